/*
 * The USER of an image: "user", "user:group", each a name or a number. Numbers are strict (digits only, 0 to 65534):
 * a value that merely begins with a number is a name, and a name is looked up in the image's own /etc/passwd and
 * /etc/group, never on the host.
 */
#ifndef FERRITE_API_USERSPEC_H
#define FERRITE_API_USERSPEC_H

#include "supervisor/err.h"

#include <stdint.h>

#define USERSPEC_ID_MAX	  65534
#define USERSPEC_FILE_MAX (1 << 20)

struct userspec {
	uint32_t uid, gid;
	char home[256];
};

/* From the texts of /etc/passwd and /etc/group; either may be empty. -EINVAL names the part and what is wrong. */
int userspec_parse(const char *spec, const char *passwd, const char *group, struct userspec *ret_user, struct err *err);

/* The same with the files of layers (directories, lowest first): the topmost layer that has the file counts. */
int userspec_resolve(const char *spec, const int *layer_fds, unsigned n_layers, struct userspec *ret_user,
		     struct err *err);

#endif
