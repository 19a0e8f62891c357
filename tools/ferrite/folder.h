/*
 * The folder of a function as `deploy`, `test` and `run` use it: its function file, the image that is made of it or
 * that it only names, and the route that follows from it. Errors are reported here; the exit status says how it went.
 */
#ifndef FERRITE_TOOLS_FOLDER_H
#define FERRITE_TOOLS_FOLDER_H

#include "rootfs/funcfile.h"
#include "tools/ferrite/cli.h"

#include <stdio.h>

/*
 * Reads the function file of DIR. For a bundle, runs the file's build commands in the folder and checks what they left;
 * a file about an image that was made elsewhere (FUNCTION_RUNTIME_IMAGE) is only read. The caller frees the result.
 */
enum cli_exit folder_load(struct cli *cli, const char *dir, struct function_file **ret_function);

/* The name of its image: TAG, which may be NULL, or name and version of the file. REFERENCE_TEXT_MAX bytes. */
enum cli_exit folder_image_name(struct cli *cli, const struct function_file *function, const char *tag, char *name);

/* Writes the archive of a bundle to an open file. */
enum cli_exit folder_pack(struct cli *cli, const struct function_file *function, const char *dir, const char *name,
			  FILE *out);

/* Makes the image of a bundle and sends it to the service, whose answer is the caller's. */
enum cli_exit folder_send(struct cli *cli, const struct function_file *function, const char *dir, const char *name,
			  json_t **ret_document);

/* folder_send() for a bundle; for a file about an image, sees that the image is there and says what to do if not. */
enum cli_exit folder_provide_image(struct cli *cli, const struct function_file *function, const char *dir,
				   const char *name);

/* A route object with everything that the file says of it, a new reference. Fails for what is no text in UTF-8. */
enum cli_exit folder_route(struct cli *cli, const struct function_file *function, const char *image,
			   json_t **ret_route);

/*
 * The path of its route: GIVEN, which may be NULL, else the file's, else "/" and the last part of the image's name
 * without its tag. The caller's; NULL when memory is out.
 */
char *folder_path(const struct function_file *function, const char *given, const char *image);

/* Creates the route (and with it the app), or brings the one that is there up to date. Takes ROUTE. */
enum cli_exit folder_put_route(struct cli *cli, const char *app, const char *path, json_t *route);

#endif
