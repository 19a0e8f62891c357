#include "rootfs/entry.h"

#include "supervisor/str.h"

#include <errno.h>
#include <string.h>

#define SHOWN 160 /* bytes of a hostile name in an error */

static int refuse(const char *what, const char *path, const char *why, struct err *err)
{
	char shown[SHOWN];

	return err_set(err, EINVAL, "%s \"%s\" is refused: %s", what,
		       str_escape(shown, sizeof(shown), path, strlen(path)), why);
}

static bool is_hex(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/* NULL, or why the bytes of PATH are not acceptable. */
static const char *bad_bytes(const char *path)
{
	for (const unsigned char *p = (const unsigned char *)path; *p; p++) {
		if (*p < 0x20 || *p == 0x7f)
			return "control character in the name";
		/* Unit files of systemd have \x2d in their names; any other backslash is somebody's separator. */
		if (*p == '\\' && !(p[1] == 'x' && is_hex((char)p[2]) && is_hex((char)p[3])))
			return "backslash in the name";
	}
	return NULL;
}

int entry_path_normalise(const char *what, const char *path, char ret_path[ENTRY_PATH_MAX + 1], struct err *err)
{
	const char *at = path, *bad = bad_bytes(path);
	size_t used = 0;
	unsigned depth = 0;
	char out[ENTRY_PATH_MAX + 1];

	if (bad)
		return refuse(what, path, bad, err);
	if (!*path)
		return refuse(what, path, "empty name", err);
	if (*path == '/')
		return refuse(what, path, "absolute path", err);
	while (*at) {
		size_t n = strcspn(at, "/");

		if (n == 2 && memcmp(at, "..", 2) == 0)
			return refuse(what, path, "path traversal with \"..\"", err);
		if (n > ENTRY_NAME_MAX)
			return refuse(what, path, "a component is longer than 255 bytes", err);
		if (n > 0 && !(n == 1 && *at == '.')) {
			if (++depth > ENTRY_DEPTH_MAX)
				return refuse(what, path, "nested deeper than 128 directories", err);
			if (used + n + 2 > sizeof(out))
				return refuse(what, path, "longer than 4095 bytes", err);
			if (used > 0)
				out[used++] = '/';
			memcpy(out + used, at, n);
			used += n;
		}
		at += n + (at[n] == '/');
	}
	out[used] = '\0';
	memcpy(ret_path, out, used + 1);
	return 0;
}

int entry_whiteout(const char *name, enum entry_whiteout *ret_kind, const char **ret_hidden, struct err *err)
{
	const char *hidden = name + 4;

	if (strncmp(name, ".wh.", 4) != 0) {
		*ret_kind = WHITEOUT_NONE;
		return 0;
	}
	if (strcmp(hidden, ".wh..opq") == 0) {
		*ret_kind = WHITEOUT_OPAQUE;
		return 0;
	}
	if (strncmp(hidden, ".wh.", 4) == 0) {
		*ret_kind = WHITEOUT_META;
		return 0;
	}
	if (!*hidden || strcmp(hidden, ".") == 0 || strcmp(hidden, "..") == 0)
		return refuse("whiteout", name, "it hides no name", err);
	*ret_kind = WHITEOUT_ENTRY;
	*ret_hidden = hidden;
	return 0;
}

bool entry_xattr_allowed(const char *name)
{
	/* trusted.*, security.* (file capabilities, SELinux), system.* (ACLs) and what overlayfs would obey. */
	return strncmp(name, "user.", 5) == 0 && name[5] && strncmp(name, "user.overlay.", 13) != 0 &&
	       strcmp(name, "user.overlay") != 0 && strlen(name) <= 255;
}
