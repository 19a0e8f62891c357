#include "rootfs/reference.h"

#include "supervisor/str.h"

#include <errno.h>
#include <string.h>

#define DIGITS "0123456789"
#define LOWER  "abcdefghijklmnopqrstuvwxyz"
#define UPPER  "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define ALNUM  DIGITS LOWER
#define SHOWN  96 /* bytes of hostile text in an error */

static int refuse(const char *text, const char *why, struct err *err)
{
	char shown[SHOWN];

	return err_set(err, EINVAL, "image name \"%s\" is not valid: %s",
		       str_escape(shown, sizeof(shown), text, strlen(text)), why);
}

bool reference_is_digest(const char *text)
{
	return strncmp(text, "sha256:", 7) == 0 && strspn(text + 7, DIGITS "abcdef") == 64 && text[7 + 64] == '\0';
}

/* The first component is a host when it could not be a path component of Docker Hub. */
static bool is_host(const char *text, size_t length)
{
	if (length == 9 && memcmp(text, "localhost", 9) == 0)
		return true;
	for (size_t i = 0; i < length; i++)
		if (text[i] == '.' || text[i] == ':' || (text[i] >= 'A' && text[i] <= 'Z'))
			return true;
	return false;
}

/* host or host:port; labels of letters, digits and inner hyphens. */
static bool host_valid(const char *text, size_t length)
{
	const char *end = text + length, *colon = memchr(text, ':', length);

	if (colon) {
		size_t digits = (size_t)(end - colon - 1);

		if (digits == 0 || digits > 5 || strspn(colon + 1, DIGITS) < digits)
			return false;
		end = colon;
	}
	while (text < end) {
		size_t n = strspn(text, ALNUM UPPER "-");

		if (n == 0 || text + n > end || text[0] == '-' || text[n - 1] == '-')
			return false;
		text += n;
		if (text < end && (*text++ != '.' || text == end))
			return false;
	}
	return colon != NULL || length > 0;
}

/* Lower-case letters and digits, separated by one '.', one or two '_' or any number of '-'. */
static bool component_valid(const char *text, size_t length)
{
	const char *end = text + length;

	while (text < end) {
		size_t n = strspn(text, ALNUM), separators;

		if (n == 0)
			return false;
		text += n;
		if (text >= end)
			return text == end;
		separators = strspn(text, *text == '-' ? "-" : *text == '_' ? "_" : ".");
		if (separators == 0 || (*text == '.' && separators > 1) || (*text == '_' && separators > 2))
			return false;
		text += separators;
		if (text >= end)
			return false;
	}
	return false;
}

static int check_name(const char *whole, const char *name, struct err *err)
{
	const char *slash = strchr(name, '/');

	if (slash && is_host(name, (size_t)(slash - name))) {
		if (!host_valid(name, (size_t)(slash - name)))
			return refuse(whole, "the part before the first / is no host name", err);
		name = slash + 1;
	}
	for (;;) {
		size_t n = strcspn(name, "/");

		if (!component_valid(name, n))
			return refuse(whole,
				      "a path part takes lower-case letters and digits, separated by . _ __ or -", err);
		if (!name[n])
			return 0;
		name += n + 1;
	}
}

/* Drops what Docker does not show: docker.io/ and library/. */
static const char *familiar(const char *name)
{
	static const char *const prefixes[] = {"docker.io/", "index.docker.io/"};

	for (size_t i = 0; i < 2; i++) {
		if (strncmp(name, prefixes[i], strlen(prefixes[i])) != 0)
			continue;
		name += strlen(prefixes[i]);
		/* What would be taken for a host without it keeps "docker.io/". */
		if (strchr(name, '/') && is_host(name, strcspn(name, "/")))
			return name - strlen(prefixes[0]);
		break;
	}
	if (strncmp(name, "library/", 8) == 0 && !strchr(name + 8, '/'))
		name += 8;
	return name;
}

static bool is_bare_hex(const char *name)
{
	return strspn(name, DIGITS "abcdef") == 64 && name[64] == '\0';
}

int reference_parse(const char *text, struct reference *ret_reference, struct err *err)
{
	struct reference r = {0};
	char name[REFERENCE_TEXT_MAX];
	char *at, *colon;
	int result;

	if (!*text)
		return err_set(err, EINVAL, "image name is empty");
	if (!str_copy(name, sizeof(name), text))
		return refuse(text, "it is too long", err);
	at = strchr(name, '@');
	if (at) {
		*at++ = '\0';
		if (!reference_is_digest(at))
			return refuse(text, "after @ a digest sha256: and 64 hex digits is expected", err);
		(void)str_copy(r.digest, sizeof(r.digest), at);
	}
	colon = strrchr(name, ':');
	if (colon && !strchr(colon, '/')) {
		*colon++ = '\0';
		if (!*colon || strlen(colon) > REFERENCE_TAG_MAX || strspn(colon, ALNUM UPPER "_.-") != strlen(colon) ||
		    *colon == '.' || *colon == '-')
			return refuse(text, "a tag takes up to 128 letters, digits, _ . - and begins with none of . -",
				      err);
		(void)str_copy(r.tag, sizeof(r.tag), colon);
	}
	result = check_name(text, name, err);
	if (result < 0)
		return result;
	if (is_bare_hex(name))
		return refuse(text, "64 hex digits are an image id, not a name", err);
	if (!str_copy(r.name, sizeof(r.name), familiar(name)))
		return refuse(text, "host and path are longer than 255 bytes", err);
	if (!r.tag[0] && !r.digest[0])
		(void)str_copy(r.tag, sizeof(r.tag), "latest");
	*ret_reference = r;
	return 0;
}

char *reference_format(const struct reference *reference, char *buffer, size_t size)
{
	size_t used = 0;

	buffer[0] = '\0';
	for (int part = 0; part < 3; part++) {
		const char *text = part == 0 ? reference->name : part == 1 ? reference->tag : reference->digest;
		size_t length = strlen(text);

		if (length == 0 || used + length + 2 > size)
			continue;
		if (part > 0)
			buffer[used++] = part == 1 ? ':' : '@';
		memcpy(buffer + used, text, length + 1);
		used += length;
	}
	return buffer;
}
