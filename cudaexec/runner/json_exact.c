#include "cudaexec/runner/json_exact.h"

#include "supervisor/str.h"
#include "supervisor/util.h"

#include <string.h>

/* Longest run of digits that surely fits int64_t: 10^18 - 1. */
#define SAFE_DIGITS 18

/* What the text before parsing holds that jansson alone would refuse or mistake. */
struct scan {
	size_t n_big;	    /* integers that do not fit int64_t */
	bool has_nul;	    /* a \u0000 escape in a string */
	size_t long_digits; /* digits of an integer that is too long, or 0 */
};

/* The end of the string whose opening quote is at AT. */
static size_t skip_string(const char *text, size_t length, size_t at, bool *has_nul)
{
	for (at++; at < length && text[at] != '"'; at++) {
		if (text[at] != '\\')
			continue;
		if (length - at >= 6 && memcmp(text + at, "\\u0000", 6) == 0)
			*has_nul = true;
		at++;
	}
	return at < length ? at + 1 : length;
}

static bool is_number_char(char c)
{
	return (c >= '0' && c <= '9') || c == '-' || c == '+' || c == '.' || c == 'e' || c == 'E';
}

/* True when the token is an integer in JSON's grammar that int64_t cannot hold. */
static bool is_big(const char *token, size_t length)
{
	bool negative = token[0] == '-';
	const char *digits = token + negative;
	size_t n = length - negative;
	uint64_t value = 0;

	if (n <= SAFE_DIGITS || digits[0] == '0')
		return false;
	for (size_t i = 0; i < n; i++)
		if (digits[i] < '0' || digits[i] > '9')
			return false;
	if (n > 19)
		return true;
	for (size_t i = 0; i < n; i++)
		value = value * 10 + (uint64_t)(digits[i] - '0');
	return value > (uint64_t)INT64_MAX + negative;
}

/* The next big integer at or behind *AT; its length, with *AT on it, or 0 at the end of the text. */
static size_t next_big(const char *text, size_t length, size_t *at, struct scan *scan)
{
	while (*at < length) {
		size_t end = *at;

		if (text[*at] == '"') {
			*at = skip_string(text, length, *at, &scan->has_nul);
			continue;
		}
		while (end < length && is_number_char(text[end]))
			end++;
		if (end > *at && is_big(text + *at, end - *at))
			return end - *at;
		*at = MAX(end, *at + 1);
	}
	return 0;
}

static struct scan scan_text(const char *text, size_t length)
{
	struct scan scan = {0};
	size_t at = 0, n;

	while ((n = next_big(text, length, &at, &scan)) > 0) {
		scan.n_big++;
		if (n > JSON_EXACT_DIGITS_MAX)
			scan.long_digits = n;
		at += n;
	}
	return scan;
}

/* Copies the text with each big integer as a string marked by a leading NUL. */
static char *rewrite(const char *text, size_t length, size_t n_big, size_t *ret_length)
{
	static const char prefix[] = "\"\\u0000";
	char *out = malloc(length + n_big * (sizeof(prefix) + 1) + 1);
	struct scan scan = {0};
	size_t used = 0, done = 0, at = 0, n;

	if (!out)
		return NULL;
	while ((n = next_big(text, length, &at, &scan)) > 0) {
		memcpy(out + used, text + done, at - done);
		used += at - done;
		memcpy(out + used, prefix, sizeof(prefix) - 1);
		used += sizeof(prefix) - 1;
		memcpy(out + used, text + at, n);
		used += n;
		out[used++] = '"';
		at += n;
		done = at;
	}
	memcpy(out + used, text + done, length - done);
	*ret_length = used + length - done;
	return out;
}

json_t *json_exact_load(const char *text, size_t length, struct err *err)
{
	static const size_t flags = JSON_REJECT_DUPLICATES | JSON_DECODE_ANY;
	struct scan scan = scan_text(text, length);
	json_error_t error;
	json_t *value;

	if (scan.long_digits) {
		(void)err_set(err, EINVAL, "JSON: an integer of %zu digits", scan.long_digits);
		return NULL;
	}
	if (scan.n_big == 0 || scan.has_nul) {
		value = json_loadb(text, length, flags, &error);
	} else {
		size_t rewritten_length = 0;
		_cleanup_free_ char *rewritten = rewrite(text, length, scan.n_big, &rewritten_length);

		if (!rewritten) {
			(void)err_sys(err, ENOMEM, "parse JSON");
			return NULL;
		}
		value = json_loadb(rewritten, rewritten_length, flags | JSON_ALLOW_NUL, &error);
	}
	if (!value) {
		char cause[JSON_ERROR_TEXT_LENGTH * 2];

		(void)str_escape(cause, sizeof(cause), error.text, strlen(error.text));
		(void)err_set(err, json_error_code(&error) == json_error_out_of_memory ? ENOMEM : EINVAL,
			      "JSON, line %d column %d: %s", error.line, error.column, cause);
	}
	return value;
}

json_t *json_exact_integer(const char *text)
{
	char marked[JSON_EXACT_DIGITS_MAX + 2] = "";
	size_t length = strlen(text);

	if (length > JSON_EXACT_DIGITS_MAX)
		return NULL;
	memcpy(marked + 1, text, length);
	return json_stringn(marked, length + 1);
}

const char *json_exact_digits(const json_t *value)
{
	if (!json_is_string(value) || json_string_length(value) < 2 || json_string_value(value)[0] != '\0')
		return NULL;
	return json_string_value(value) + 1;
}

char *json_exact_dump(const json_t *value)
{
	static const char prefix[] = "\"\\u0000";
	char *text = json_dumps(value, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY);
	const char *in = text, *end;
	char *out = text;

	if (!text)
		return NULL;
	end = text + strlen(text);
	while (in < end) {
		bool has_nul = false;
		size_t length = *in == '"' ? skip_string(in, (size_t)(end - in), 0, &has_nul) : 1;

		if (has_nul && strncmp(in, prefix, sizeof(prefix) - 1) == 0) {
			memmove(out, in + sizeof(prefix) - 1, length - sizeof(prefix));
			out += length - sizeof(prefix);
		} else {
			memmove(out, in, length);
			out += length;
		}
		in += length;
	}
	*out = '\0';
	return text;
}
