/* Request targets: percent-decoding, cleaning of paths, query parameters, matching against patterns. No state. */
#ifndef FERRITE_API_PATH_H
#define FERRITE_API_PATH_H

#include "api/text.h"

#include <stdbool.h>
#include <stddef.h>

/*
 * The decoded path of a request target (its query and, in absolute form, its scheme and host are left out). %2F becomes
 * a slash. BUFFER needs strlen(target) + 2 bytes. -EINVAL: a bad escape, a zero byte, or no path at all.
 */
int path_decode(const char *target, char *buffer);

/* Whether every percent sign in TEXT begins a proper escape and there are no control bytes: what a URL parser takes. */
bool path_is_url(const char *text);

/*
 * Cleans in place as Go's path.Clean does after a slash was put in front: doubled slashes merged, "." and ".."
 * resolved, no slash at the end but for "/" itself. PATH begins with a slash; the result is never longer.
 */
void path_clean(char *path);

/* The decoded value of a query parameter of TARGET; false when it is not there (or not decodable). */
bool path_query(const char *target, const char *name, struct text *ret_value);

struct path_match {
	char *app;  /* what stood for ":" */
	char *rest; /* what stood for "*", with its slash in front; never empty */
};

/*
 * Matches a decoded path: ":" is one non-empty segment, "*" at the end is a slash and the rest. A single slash at the
 * end of the path is ignored. PATH is cut into pieces when it matches.
 */
bool path_match(const char *pattern, char *path, struct path_match *ret_match);

#endif
