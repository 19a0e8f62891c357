/*
 * A function tried out: called under an app, a route and an image that live only as long as the trial, in a real
 * container of the service. Nothing of what is deployed is touched. trial_end() removes what trial_begin() made.
 */
#ifndef FERRITE_TOOLS_TRIAL_H
#define FERRITE_TOOLS_TRIAL_H

#include "rootfs/reference.h"
#include "tools/ferrite/client.h"
#include "tools/ferrite/folder.h"

struct trial {
	struct cli *cli;
	struct function_file *function;
	char app[32];
	char image[REFERENCE_TEXT_MAX];
	char *path;
	char *authorization;	     /* a header line; NULL: none is wanted */
	bool made_image, made_route; /* ours to remove */
};

#define TRIAL_INIT ((struct trial){0})

/*
 * Makes image, app and route for the function of DIR. From then on a signal that would end the program (SIGINT,
 * SIGTERM) only breaks off the call that is under way, so that the trial is ended; a second one is obeyed. On failure
 * nothing is left, and the caller ends the trial all the same.
 */
enum cli_exit trial_begin(struct cli *cli, const char *dir, struct trial *trial);

/* Takes a route that is deployed instead, for the function file of DIR: nothing is made, built or removed. */
enum cli_exit trial_begin_remote(struct cli *cli, const char *dir, const char *app, const char *path,
				 struct trial *trial);

/* Whether a signal came. */
bool trial_stopped(void);

void trial_end(struct trial *trial);

/*
 * One call: POST with a body, GET without. HEADERS stay the caller's. The reply is the caller's to free, also after an
 * error.
 */
int trial_call(struct trial *trial, const char *body, size_t length, struct curl_slist *headers, FILE *sink,
	       struct client_reply *ret_reply, struct err *err);

/*
 * Adds a variable as the header from which the function gets HEADER_NAME. False when its name or value cannot be one:
 * blanks in the name, line feeds in the value, a name such as Host that means something to the request itself.
 */
bool trial_add_variable(struct curl_slist **headers, const char *name, const char *value);

#endif
