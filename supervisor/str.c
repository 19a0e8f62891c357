#include "supervisor/str.h"

#include "supervisor/util.h"

#include <string.h>

bool str_u64(const char *text, uint64_t *ret_value)
{
	uint64_t value = 0;

	if (!*text)
		return false;
	for (; *text; text++) {
		if (*text < '0' || *text > '9')
			return false;
		if (__builtin_mul_overflow(value, (uint64_t)10, &value) ||
		    __builtin_add_overflow(value, (uint64_t)(*text - '0'), &value))
			return false;
	}
	*ret_value = value;
	return true;
}

int str_size(const char *text, uint64_t unit, uint64_t *ret_bytes)
{
	static const struct {
		const char *suffix;
		uint64_t factor;
	} suffixes[] = {{"KiB", KIB}, {"MiB", MIB}, {"GiB", GIB}};
	size_t digits = strspn(text, "0123456789");
	char number[24];
	uint64_t value;

	if (digits == 0)
		return -EINVAL;
	if (digits >= sizeof(number))
		return -ERANGE;
	memcpy(number, text, digits);
	number[digits] = '\0';
	if (text[digits]) {
		size_t i = 0;

		while (i < ARRAY_LEN(suffixes) && strcmp(text + digits, suffixes[i].suffix) != 0)
			i++;
		if (i == ARRAY_LEN(suffixes))
			return -EINVAL;
		unit = suffixes[i].factor;
	}
	if (!str_u64(number, &value) || __builtin_mul_overflow(value, unit, ret_bytes))
		return -ERANGE;
	return 0;
}

bool str_copy(char *buffer, size_t size, const char *text)
{
	size_t length = strlen(text);

	if (length >= size) {
		if (size)
			buffer[0] = '\0';
		return false;
	}
	memcpy(buffer, text, length + 1);
	return true;
}

void str_trim_end(char *text)
{
	size_t length = strlen(text);

	while (length > 0 && (text[length - 1] == ' ' || text[length - 1] == '\t'))
		length--;
	text[length] = '\0';
}

static bool is_plain(unsigned char c)
{
	return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

char *str_escape(char *buffer, size_t size, const void *bytes, size_t length)
{
	static const char hex[] = "0123456789abcdef";
	const unsigned char *in = bytes;
	size_t needed = 0, used = 0, room;

	if (size == 0)
		return buffer;
	for (size_t i = 0; i < length; i++)
		needed += is_plain(in[i]) ? 1 : 4;
	room = size - 1;
	if (needed > room)
		room = room > 3 ? room - 3 : 0;
	for (size_t i = 0; i < length && used + (is_plain(in[i]) ? 1 : 4) <= room; i++) {
		if (is_plain(in[i])) {
			buffer[used++] = (char)in[i];
		} else {
			buffer[used++] = '\\';
			buffer[used++] = 'x';
			buffer[used++] = hex[in[i] >> 4];
			buffer[used++] = hex[in[i] & 15];
		}
	}
	if (needed > size - 1)
		while (used < size - 1 && used < room + 3)
			buffer[used++] = '.';
	buffer[used] = '\0';
	return buffer;
}

/* Levenshtein distance with one row; names longer than the row count as far away. */
static size_t distance(const char *a, const char *b)
{
	enum { LONGEST = 64 };
	size_t row[LONGEST + 1], la = strlen(a), lb = strlen(b);

	if (la > LONGEST || lb > LONGEST)
		return SIZE_MAX;
	for (size_t j = 0; j <= lb; j++)
		row[j] = j;
	for (size_t i = 1; i <= la; i++) {
		size_t diagonal = row[0];

		row[0] = i;
		for (size_t j = 1; j <= lb; j++) {
			size_t above = row[j];

			row[j] = MIN(MIN(row[j], row[j - 1]) + 1, diagonal + (a[i - 1] != b[j - 1]));
			diagonal = above;
		}
	}
	return row[lb];
}

const char *str_nearest(const char *name, const char *const *candidates)
{
	size_t best = strlen(name) / 3 + 1;
	const char *nearest = NULL;

	for (; *candidates; candidates++) {
		size_t d = distance(name, *candidates);

		if (d < best || (d == best && !nearest)) {
			best = d;
			nearest = *candidates;
		}
	}
	return nearest;
}

long str_unpack(char *bytes, size_t length, size_t count, char **ret_list)
{
	size_t at = 0;

	for (size_t i = 0; i < count; i++) {
		size_t n = strnlen(bytes + at, length - at);

		if (at + n >= length)
			return -EBADMSG;
		ret_list[i] = bytes + at;
		at += n + 1;
	}
	ret_list[count] = NULL;
	return (long)at;
}

bool str_pack(char *buffer, size_t size, size_t *used, const char *text)
{
	size_t length = strlen(text) + 1;

	if (length > size - *used)
		return false;
	memcpy(buffer + *used, text, length);
	*used += length;
	return true;
}
