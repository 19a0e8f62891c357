#include "supervisor/resolvers.h"

#include "supervisor/util.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <string.h>

#define FILE_MAX (64 * 1024)
#define BLANKS	 " \t,"

static const char *const files[] = {"/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"};

/* Appends the address when it is one that a container can reach. */
static void add(const char *word, size_t length, unsigned *n, char *out, size_t size)
{
	char address[INET_ADDRSTRLEN];
	struct in_addr binary;
	size_t used = strlen(out);

	if (*n == RESOLVERS_AT_MOST || length >= sizeof(address) || used + length + 2 > size)
		return;
	memcpy(address, word, length);
	address[length] = '\0';
	if (inet_pton(AF_INET, address, &binary) != 1 || ntohl(binary.s_addr) >> 24 == IN_LOOPBACKNET ||
	    binary.s_addr == INADDR_ANY)
		return;
	(void)snprintf(out + used, size - used, "%s%s", used ? " " : "", address);
	(*n)++;
}

void resolvers_read(const char *text, char *out, size_t size)
{
	unsigned n = 0;

	*out = '\0';
	for (; *text; text += strcspn(text, "\n"), text += *text == '\n') {
		const char *word = text + strspn(text, BLANKS);

		if (strncmp(word, "nameserver", 10) != 0 || !strchr(BLANKS, word[10]) || !word[10])
			continue;
		word += 10 + strspn(word + 10, BLANKS);
		add(word, strcspn(word, BLANKS "\r\n"), &n, out, size);
	}
}

void resolvers_find(const char *set, char *out, size_t size)
{
	unsigned n = 0;

	*out = '\0';
	for (; *(set += strspn(set, BLANKS)); set += strcspn(set, BLANKS))
		add(set, strcspn(set, BLANKS), &n, out, size);
	for (size_t i = 0; !*out && i < ARRAY_LEN(files); i++) {
		_cleanup_free_ char *text = NULL;

		if (file_read(AT_FDCWD, files[i], FILE_MAX, &text, NULL) >= 0)
			resolvers_read(text, out, size);
	}
}
