/*
 * Counts the lines, words and bytes of a text. Its route is of type async: the caller gets 202 and the number of the
 * call at once, the text waits in the queue, on the disk, and the function runs when there is room. Nobody waits for
 * its output, so that it says what it found on standard error, which is kept with the call.
 */
#include <ctype.h>
#include <stdio.h>

int main(void)
{
	unsigned long lines = 0, words = 0, bytes = 0;
	int before = ' ';

	for (int c; (c = getchar()) != EOF; before = c) {
		bytes++;
		lines += c == '\n';
		words += !isspace(c) && isspace(before);
	}
	fprintf(stderr, "%lu lines, %lu words, %lu bytes\n", lines, words, bytes);
	return ferror(stdin) ? 1 : 0;
}
