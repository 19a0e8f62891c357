/* The service's call history as the commands calls and logs read it: one question after another, each for what is new.
 */
#ifndef FERRITE_TOOLS_HISTORY_H
#define FERRITE_TOOLS_HISTORY_H

#include "tools/ferrite/cli.h"

#include <jansson.h>

#define HISTORY_POLL_US 500000 /* how long what is followed may lag behind */

struct history_question {
	const char *app; /* NULL: all */
	const char *path, *status, *since, *limit;
	json_int_t after; /* the cursor of the newest call that was seen; 0: none yet */
};

/* Takes the options --limit, --status, --path and --since of a command; reports what is wrong with them. */
enum cli_exit history_options(const struct cli *cli, struct history_question *question, char *since, size_t size);

/*
 * Asks; *RET_CALLS is an array of calls, the newest first, the caller's. `after` moves on, so that the next question
 * brings what has ended since.
 */
enum cli_exit history_ask(struct cli *cli, struct history_question *question, json_t **ret_calls);

#endif
