/* ferrite images … */
#include "supervisor/util.h"
#include "tools/ferrite/client.h"
#include "tools/ferrite/commands.h"
#include "tools/ferrite/output.h"

#include <string.h>
#include <sys/stat.h>

/* An image name keeps its slashes in a path; the rest ("host:5000/x:1", "…@sha256:…") is encoded. */
static char *image_url(const char *name)
{
	return client_path("/v1/images/%p", name);
}

enum cli_exit images_ls(struct cli *cli)
{
	json_t *document = NULL;
	enum cli_exit status = exchange_json(cli, "GET", client_path("/v1/images"), NULL, &document);
	const json_t *image;
	size_t i;

	if (status != CLI_OK)
		return status;
	if (cli->json) {
		output_json(document);
		json_decref(document);
		return CLI_OK;
	}

	struct output_table *table = output_table_new((const char *const[]){"NAME", "DIGEST", "SIZE", NULL});

	json_array_foreach(json_object_get(document, "images"), i, image)
	{
		const char *digest = json_string_value(json_object_get(image, "digest"));
		char size[32], short_digest[20] = "";

		if (digest)
			(void)snprintf(short_digest, sizeof(short_digest), "%.19s", digest);
		output_table_row(table,
				 (const char *const[]){json_string_value(json_object_get(image, "name")), short_digest,
						       output_bytes(size, (uint64_t)json_integer_value(
										  json_object_get(image, "size")))});
	}
	output_table_print(table);
	json_decref(document);
	return CLI_OK;
}

enum cli_exit images_send(struct cli *cli, FILE *archive, long long size, const char *name, json_t **ret_document)
{
	_cleanup_(client_reply_done) struct client_reply reply = CLIENT_REPLY_INIT;
	_cleanup_free_ char *path = name ? client_path("/v1/images?name=%s", name) : client_path("/v1/images");
	struct client_request request = {
		.method = "POST",
		.path = path,
		.content_type = "application/x-tar",
		.stream = archive,
		.size = size,
		.progress = "sending the image",
	};
	enum cli_exit status = CLI_OK;
	struct client *client = exchange_client(cli, &status);
	struct err err = ERR_INIT;
	char message[ERR_TEXT_MAX];

	if (!client)
		return status;
	if (!path)
		return cli_fail(cli, CLI_FAILED, "out of memory");
	if (client_send(client, &request, &reply, &err) < 0)
		return cli_fail_err(cli, &err);
	if (reply.status >= 400)
		return cli_fail(cli, CLI_FAILED, "%s", client_message(&reply, message, sizeof(message)));
	*ret_document = json_loadb(reply.body, reply.length, 0, NULL);
	if (!*ret_document)
		return cli_fail(cli, CLI_FAILED, "the answer is not JSON: is that a ferrite service?");
	return CLI_OK;
}

/* "/tmp/thumb-1.tar.gz" names the image "thumb-1" when the user does not. */
static char *name_from_file(const char *file)
{
	static const char *const endings[] = {".gz", ".zst", ".zstd", ".xz", ".bz2", ".tar", ".oci", ".tgz"};
	const char *slash = strrchr(file, '/');
	char *name = strdup(slash ? slash + 1 : file);

	for (size_t i = 0; name && i < ARRAY_LEN(endings); i++) {
		size_t length = strlen(name), ending = strlen(endings[i]);

		if (length > ending && strcmp(name + length - ending, endings[i]) == 0)
			name[length - ending] = '\0';
	}
	return name;
}

enum cli_exit images_import(struct cli *cli)
{
	bool from_stdin = strcmp(cli->args[0], "-") == 0;
	_cleanup_file_ FILE *file = from_stdin ? NULL : fopen(cli->args[0], "re");
	_cleanup_free_ char *own_name = NULL;
	const char *name = cli->args[1];
	json_t *document = NULL;
	struct stat st = {0};

	if (from_stdin && !name)
		return cli_fail(cli, CLI_USAGE, "an archive from standard input needs a name: images import - NAME");
	if (!from_stdin && (!file || fstat(fileno(file), &st) < 0))
		return cli_fail(cli, CLI_USAGE, "cannot read %s: %s", cli->args[0], strerror(errno));
	if (S_ISDIR(st.st_mode))
		return cli_fail(cli, CLI_USAGE, "%s is a folder; \"ferrite bundle\" makes an image of one",
				cli->args[0]);
	if (!name)
		name = own_name = name_from_file(cli->args[0]);

	enum cli_exit status =
		images_send(cli, from_stdin ? stdin : file, S_ISREG(st.st_mode) ? st.st_size : -1, name, &document);

	if (status != CLI_OK)
		return status;
	if (cli->json) {
		output_json(document);
	} else {
		const char *digest = json_string_value(json_object_get(json_object_get(document, "image"), "digest"));

		output_text(stdout, name ? name : "");
		fputs(digest ? " imported, " : " imported", stdout);
		output_text(stdout, digest ? digest : "");
		putchar('\n');
	}
	json_decref(document);
	return CLI_OK;
}

enum cli_exit images_inspect(struct cli *cli)
{
	json_t *document = NULL;
	enum cli_exit status = exchange_json(cli, "GET", image_url(cli->args[0]), NULL, &document);

	if (status != CLI_OK)
		return status;
	output_json(document);
	json_decref(document);
	return CLI_OK;
}

enum cli_exit images_rm(struct cli *cli)
{
	return exchange_print(cli, "DELETE", image_url(cli->args[0]), NULL);
}

enum cli_exit images_gc(struct cli *cli)
{
	return exchange_print(cli, "POST", client_path("/v1/images/gc"), NULL);
}
