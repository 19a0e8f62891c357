/*
 * Included before every file that the analyser looks at: tells it what it cannot know, that functions which make an
 * error return a negative code. Never part of a build.
 */
#include "supervisor/err.h"

static inline int lint_negative(int r)
{
	if (r >= 0)
		__builtin_unreachable();
	return r;
}

#define err_set(...)  lint_negative(err_set(__VA_ARGS__))
#define err_sys(...)  lint_negative(err_sys(__VA_ARGS__))
#define err_wrap(...) lint_negative(err_wrap(__VA_ARGS__))
