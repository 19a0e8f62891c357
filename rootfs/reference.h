/*
 * Image names as Docker knows them: [host[:port]/]path[:tag][@sha256:digest].
 *
 * The normal form is the familiar one: "docker.io/" and "library/" are dropped, a name without tag and digest gets the
 * tag "latest". No allocation; errors name the offending part and what is allowed.
 */
#ifndef FERRITE_ROOTFS_REFERENCE_H
#define FERRITE_ROOTFS_REFERENCE_H

#include "supervisor/err.h"

#include <stdbool.h>
#include <stddef.h>

enum {
	REFERENCE_NAME_MAX = 255,			/* bytes of host and path */
	REFERENCE_TAG_MAX = 128,			/* bytes of a tag */
	REFERENCE_DIGEST_LENGTH = 7 + 64,		/* "sha256:" and 64 hex digits */
	REFERENCE_TEXT_MAX = 255 + 1 + 128 + 1 + 71 + 1 /* whole text with its terminator */
};

struct reference {
	char name[REFERENCE_NAME_MAX + 1];	  /* "iron/hello", "host:5000/x" */
	char tag[REFERENCE_TAG_MAX + 1];	  /* empty when only a digest was given */
	char digest[REFERENCE_DIGEST_LENGTH + 1]; /* "sha256:…", empty when there is none */
};

/* Parses and normalises TEXT. Returns 0 or -EINVAL. */
int reference_parse(const char *text, struct reference *ret_reference, struct err *err);

/* Writes the normal form, "name:tag", "name@digest" or "name:tag@digest"; returns the buffer. */
char *reference_format(const struct reference *reference, char *buffer, size_t size);

/* True for "sha256:" and 64 lower-case hex digits. */
bool reference_is_digest(const char *text);

#endif
