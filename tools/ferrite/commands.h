/* The functions behind the rows of commands.c, by the file they are in. Each returns the exit status of the program. */
#ifndef FERRITE_TOOLS_COMMANDS_H
#define FERRITE_TOOLS_COMMANDS_H

#include "tools/ferrite/cli.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

/* apps.c */
enum cli_exit apps_ls(struct cli *cli);
enum cli_exit apps_create(struct cli *cli);
enum cli_exit apps_inspect(struct cli *cli);
enum cli_exit apps_update(struct cli *cli);
enum cli_exit apps_delete(struct cli *cli);
enum cli_exit apps_config_ls(struct cli *cli);
enum cli_exit apps_config_set(struct cli *cli);
enum cli_exit apps_config_unset(struct cli *cli);

/* routes.c */
enum cli_exit routes_ls(struct cli *cli);
enum cli_exit routes_create(struct cli *cli);
enum cli_exit routes_inspect(struct cli *cli);
enum cli_exit routes_update(struct cli *cli);
enum cli_exit routes_delete(struct cli *cli);
enum cli_exit routes_token(struct cli *cli);
enum cli_exit routes_config_ls(struct cli *cli);
enum cli_exit routes_config_set(struct cli *cli);
enum cli_exit routes_config_unset(struct cli *cli);
enum cli_exit routes_headers_ls(struct cli *cli);
enum cli_exit routes_headers_set(struct cli *cli);
enum cli_exit routes_headers_unset(struct cli *cli);

/* token.c */
enum cli_exit routes_token(struct cli *cli);

/* call.c */
enum cli_exit call_function(struct cli *cli);

/* bundle.c */
enum cli_exit bundle_make(struct cli *cli);
enum cli_exit bundle_deploy(struct cli *cli);
enum cli_exit bundle_bump(struct cli *cli);
/* test.c */
enum cli_exit function_test(struct cli *cli);
/* run.c */
enum cli_exit function_run(struct cli *cli);
/* init.c */
enum cli_exit init_bundle(struct cli *cli);

/* images.c */
enum cli_exit images_ls(struct cli *cli);
enum cli_exit images_import(struct cli *cli);
enum cli_exit images_inspect(struct cli *cli);
enum cli_exit images_rm(struct cli *cli);
enum cli_exit images_gc(struct cli *cli);

/* status.c */
enum cli_exit status_ps(struct cli *cli);
enum cli_exit status_gpu(struct cli *cli);
enum cli_exit status_stats(struct cli *cli);
enum cli_exit status_version(struct cli *cli);

/* gpu_inject.c */
enum cli_exit gpu_inject(struct cli *cli);

/* calls.c */
enum cli_exit calls_ls(struct cli *cli);
enum cli_exit calls_inspect(struct cli *cli);
enum cli_exit calls_logs(struct cli *cli);
/* top.c */
enum cli_exit top(struct cli *cli);

/* doctor.c */
enum cli_exit doctor(struct cli *cli);
/* completion.c */
enum cli_exit completion(struct cli *cli);
/* main.c */
enum cli_exit help_print(struct cli *cli);

/* --- shared between the groups (exchange.c) ------------------------------------------------------------------------
 */

/* Options that both create and update a route; the deploy command takes them too. */
extern const struct cli_option routes_options[];

/* cli->client, opened on first use; NULL after the error was reported, with *ret_status its exit status. */
struct client *exchange_client(struct cli *cli, enum cli_exit *ret_status);

/*
 * One exchange with the service: BODY is taken (may be NULL), PATH is taken too (NULL: memory was out). On success the
 * document is the caller's. On failure the error was reported and the exit status says how.
 */
enum cli_exit exchange_json(struct cli *cli, const char *method, char *path, json_t *body, json_t **ret_document);

/* The same, then prints the whole document with --json, else the line "MESSAGE" of the answer. */
enum cli_exit exchange_print(struct cli *cli, const char *method, char *path, json_t *body);

/* Sets "KEY=VALUE" words in a JSON object of strings; reports and returns CLI_USAGE for anything else. */
enum cli_exit exchange_pairs(struct cli *cli, char *const *words, json_t *object);

/* A token for calls of a route, good for SECONDS (token.c); NULL when the route has no jwt_key. The caller frees. */
int token_for_route(struct client *client, const char *app, const char *route, int64_t seconds, char **ret_token,
		    struct err *err);

/* What a body probably is: JSON says so itself, in the file's NAME or in its DATA (both may be NULL); else bytes. */
const char *exchange_content_type(const char *name, const char *data);

/* Sends an open archive as image NAME; reports errors; the answer's document is the caller's. */
enum cli_exit images_send(struct cli *cli, FILE *archive, long long size, const char *name, json_t **ret_document);

#endif
