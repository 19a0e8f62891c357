#include <stdio.h>

int main(void)
{
	char name[256];

	if (!fgets(name, sizeof(name), stdin))
		snprintf(name, sizeof(name), "world");
	printf("Hello, %s!\n", name);
	return 0;
}
