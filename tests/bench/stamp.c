/*
 * The user code of bench_sandbox.
 *
 *   stamp         writes the time of its first instruction to standard output, and ends
 *   stamp echo    sends back every byte
 *   stamp hold    does nothing
 */
#include <stdint.h>
#include <time.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	struct timespec t;
	uint64_t us;
	char byte;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	if (argc > 1 && argv[1][0] == 'h')
		return pause();
	while (argc > 1)
		if (read(0, &byte, 1) != 1 || write(1, &byte, 1) != 1)
			return 0;
	us = (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
	return write(1, &us, sizeof(us)) == (ssize_t)sizeof(us) ? 0 : 1;
}
