/* Raising the version of a function file in place. */
#include "rootfs/funcfile.h"
#include "supervisor/str.h"
#include "supervisor/util.h"

#include <string.h>

#define FIRST_VERSION "0.0.1"
/* More places than this where the old version stands as text before the one that counts: somebody plays. */
#define PLACES_MAX 256

/* "1.2.3" to "1.2.4". */
static int next_version(const char *version, char **ret_next, struct err *err)
{
	const char *patch = strrchr(version, '.');
	size_t dots = 0;
	uint64_t number;

	for (const char *at = version; *at; at++)
		dots += *at == '.';
	if (dots != 2 || version[strspn(version, "0123456789.")] || *version == '.' || strstr(version, "..") ||
	    !str_u64(patch + 1, &number) || number == UINT64_MAX)
		return err_set(err, EINVAL, "version \"%s\" is not of the form MAJOR.MINOR.PATCH, such as %s", version,
			       FIRST_VERSION);
	if (asprintf(ret_next, "%.*s.%llu", (int)(patch - version), version, (unsigned long long)number + 1) < 0)
		return err_sys(err, ENOMEM, "raise the version");
	return 0;
}

/* The text with REMOVED bytes at AT replaced. */
static char *replace(const char *text, size_t length, size_t at, size_t removed, const char *inserted)
{
	char *result = NULL;

	if (asprintf(&result, "%.*s%s%.*s", (int)at, text, inserted, (int)(length - at - removed),
		     text + at + removed) < 0)
		return NULL;
	return result;
}

/* Whether a changed text is still a function file, and has that version. */
static bool has_version(const char *file_name, const char *text, const char *version)
{
	_cleanup_(function_file_release) struct function_file *file = NULL;

	return function_file_parse(file_name, text, strlen(text), &file, NULL) == 0 && file->version &&
	       strcmp(file->version, version) == 0;
}

static size_t start_of_line(const char *text, unsigned line)
{
	const char *at = text;

	for (; line > 1; line--) {
		const char *end = strchr(at, '\n');

		if (!end)
			return strlen(text);
		at = end + 1;
	}
	return (size_t)(at - text);
}

/*
 * The old version may stand in a comment and in other values before its own place. Only one change of one place makes
 * the parser see the new version, so that trying them in order finds it whatever the file looks like.
 */
static int replace_version(const struct function_file *file, const char *old, const char *next, const char *text,
			   size_t length, char **ret_text, struct err *err)
{
	const char *at = text + start_of_line(text, function_file_line(file, "version"));

	for (int i = 0; i < PLACES_MAX && (at = strstr(at, old)); i++, at++) {
		_cleanup_free_ char *changed = replace(text, length, (size_t)(at - text), strlen(old), next);

		if (!changed)
			return err_sys(err, ENOMEM, "raise the version");
		if (has_version(file->file_name, changed, next)) {
			*ret_text = take_ptr(changed);
			return 0;
		}
	}
	return err_set(err, EINVAL, "%s:%u: the version is written in a way that cannot be changed in place",
		       file->file_name, function_file_line(file, "version"));
}

static int insert_version(const struct function_file *file, const char *text, size_t length, char **ret_text,
			  struct err *err)
{
	unsigned line = function_file_line(file, "name");
	size_t at = start_of_line(text, line > 0 ? line + 1 : 1);
	bool mid_line = at > 0 && text[at - 1] != '\n';
	_cleanup_free_ char *changed = replace(
		text, length, at, 0, mid_line ? "\nversion: " FIRST_VERSION "\n" : "version: " FIRST_VERSION "\n");

	if (!changed)
		return err_sys(err, ENOMEM, "raise the version");
	if (!has_version(file->file_name, changed, FIRST_VERSION))
		return err_set(err, EINVAL, "%s has no version: give it one, such as %s", file->file_name,
			       FIRST_VERSION);
	*ret_text = take_ptr(changed);
	return 0;
}

int function_file_bump(const char *file_name, const char *text, size_t length, char **ret_text, char **ret_version,
		       struct err *err)
{
	_cleanup_(function_file_release) struct function_file *file = NULL;
	_cleanup_free_ char *next = NULL;
	int r = function_file_parse(file_name, text, length, &file, err);

	if (r < 0)
		return r;
	/* What follows takes the text as a string. */
	if (strlen(text) != length)
		return err_set(err, EINVAL, "%s has a zero byte in it", file_name);
	if (!file->version) {
		next = strdup(FIRST_VERSION);
		r = next ? insert_version(file, text, length, ret_text, err)
			 : err_sys(err, ENOMEM, "raise the version");
	} else {
		r = next_version(file->version, &next, err);
		if (r < 0)
			err_wrap(err, "%s:%u", file_name, function_file_line(file, "version"));
		else
			r = replace_version(file, file->version, next, text, length, ret_text, err);
	}
	if (r == 0)
		*ret_version = take_ptr(next);
	return r;
}
