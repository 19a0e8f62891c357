/* ferrite call: one request to a function. Its answer is passed byte by byte, whatever it holds. */
#include "api/jwt.h"
#include "supervisor/util.h"
#include "tools/ferrite/client.h"
#include "tools/ferrite/commands.h"
#include "tools/ferrite/output.h"

#include <ctype.h>
#include <fcntl.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

/* Fills the body of the request from -d; *ret_file is what has to be closed afterwards. */
static enum cli_exit take_body(struct cli *cli, struct client_request *request, FILE **ret_file)
{
	const char *data = cli_value(cli, "data");
	struct stat st;

	if (!data)
		return CLI_OK;
	if (strcmp(data, "-") == 0) {
		request->stream = stdin;
		request->size = -1;
		request->content_type = exchange_content_type(NULL, NULL);
	} else if (data[0] == '@') {
		*ret_file = fopen(data + 1, "re");
		if (!*ret_file || fstat(fileno(*ret_file), &st) < 0)
			return cli_fail(cli, CLI_USAGE, "cannot read %s: %s", data + 1, strerror(errno));
		if (S_ISDIR(st.st_mode))
			return cli_fail(cli, CLI_USAGE, "cannot send %s: it is a folder", data + 1);
		request->stream = *ret_file;
		request->size = S_ISREG(st.st_mode) ? st.st_size : -1;
		request->content_type = exchange_content_type(data + 1, NULL);
	} else {
		request->body = data;
		request->size = (int64_t)strlen(data);
		request->content_type = exchange_content_type(NULL, data);
	}
	return CLI_OK;
}

static struct curl_slist *take_headers(const struct cli *cli)
{
	struct curl_slist *headers = NULL;
	const char *value;

	for (size_t i = 0; (value = cli_value_at(cli, "header", i)); i++)
		headers = curl_slist_append(headers, value);
	if (cli_value(cli, "timing") || cli->json)
		headers = curl_slist_append(headers, "Ferrite-Timing: 1");
	return headers;
}

/*
 * A route with a jwt_key wants a token, which is made here. Where the route cannot be read the call goes out without:
 * its answer says what is wrong.
 */
static struct curl_slist *sign(const struct cli *cli, struct client *client, struct curl_slist *headers)
{
	_cleanup_free_ char *route = strndup(cli->args[1], strcspn(cli->args[1], "?"));
	_cleanup_free_ char *token = NULL;
	char line[512];
	struct err err = ERR_INIT;
	const char *given;

	for (size_t i = 0; (given = cli_value_at(cli, "header", i)); i++)
		if (strncasecmp(given, "Authorization:", 14) == 0)
			return headers;
	if (!route || token_for_route(client, cli->args[0], route, JWT_SECONDS, &token, &err) < 0 || !token)
		return headers;
	(void)snprintf(line, sizeof(line), "Authorization: Bearer %s", token);
	return curl_slist_append(headers, line);
}

/* Server-Timing "queue;dur=0.1, start;dur=2;desc=cold" as an object of milliseconds, with start's desc as "kind". */
static json_t *parse_timing(const char *text)
{
	json_t *timing = json_object();
	char name[64], copy[512];
	char *rest = copy;

	(void)snprintf(copy, sizeof(copy), "%s", text);
	for (char *entry; (entry = strsep(&rest, ","));) {
		char *parameters = entry;
		const char *token = strsep(&parameters, ";");

		(void)snprintf(name, sizeof(name), "%s", token + strspn(token, " "));
		for (char *parameter; (parameter = strsep(&parameters, ";"));) {
			parameter += strspn(parameter, " ");
			if (strncmp(parameter, "dur=", 4) == 0)
				(void)json_object_set_new(timing, name, json_real(strtod(parameter + 4, NULL)));
			if (strncmp(parameter, "desc=", 5) == 0)
				(void)json_object_set_new(timing, "kind", output_string(parameter + 5));
		}
	}
	return timing;
}

static void print_timing(const struct client_reply *reply)
{
	json_t *timing = parse_timing(reply->server_timing);
	static const char *const parts[] = {"queue", "start", "gpu", "run"};
	const char *kind = json_string_value(json_object_get(timing, "kind"));

	fputs("time:", stderr);
	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		const json_t *part = json_object_get(timing, parts[i]);

		if (!part)
			continue;
		fprintf(stderr, " %s %.2f ms", parts[i], json_number_value(part));
		if (strcmp(parts[i], "start") == 0 && kind) {
			fputs(" (", stderr);
			output_text(stderr, kind);
			fputs(")", stderr);
		}
		fputc(',', stderr);
	}
	fprintf(stderr, " in all %.2f ms\n", reply->total_s * 1000);
	json_decref(timing);
}

static json_t *body_member(const struct client_reply *reply, const char **ret_key)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const unsigned char *b = (const unsigned char *)reply->body;
	json_t *text = json_stringn(reply->body, reply->length);

	*ret_key = "body";
	if (text)
		return text;
	*ret_key = "body_base64";

	_cleanup_free_ char *out = malloc(reply->length / 3 * 4 + 5);
	size_t n = 0;

	if (!out)
		return NULL;
	for (size_t i = 0; i < reply->length; i += 3) {
		unsigned group = (unsigned)b[i] << 16 | (i + 1 < reply->length ? (unsigned)b[i + 1] << 8 : 0) |
				 (i + 2 < reply->length ? b[i + 2] : 0);

		out[n++] = digits[group >> 18];
		out[n++] = digits[group >> 12 & 63];
		out[n++] = i + 1 < reply->length ? digits[group >> 6 & 63] : '=';
		out[n++] = i + 2 < reply->length ? digits[group & 63] : '=';
	}
	return json_stringn(out, n);
}

static void print_document(const struct client_reply *reply)
{
	const char *key = NULL;
	json_t *body = body_member(reply, &key);
	json_t *document = json_pack("{s:i, s:s*, s:O, s:f, s:o, s:o}", "status", (int)reply->status, "call_id",
				     *reply->call_id ? reply->call_id : NULL, "headers", reply->headers, "total_ms",
				     reply->total_s * 1000, "timing_ms", parse_timing(reply->server_timing), key, body);

	output_json(document);
	json_decref(document);
}

static enum cli_exit report(struct cli *cli, const struct client_reply *reply)
{
	char message[ERR_TEXT_MAX];

	if (cli->json) {
		print_document(reply);
		return reply->status < 400 ? CLI_OK : CLI_FAILED;
	}
	if (cli_value(cli, "timing"))
		print_timing(reply);
	if (reply->status < 400)
		return CLI_OK;
	return cli_fail(cli, CLI_FAILED, "%s (HTTP status %ld%s%s)", client_message(reply, message, sizeof(message)),
			reply->status, *reply->call_id ? ", call " : "", reply->call_id);
}

static enum cli_exit exchange_call(struct cli *cli, struct client *client, struct client_request *request)
{
	_cleanup_(client_reply_done) struct client_reply reply = CLIENT_REPLY_INIT;
	const char *output = cli_value(cli, "output");
	_cleanup_file_ FILE *file = NULL;
	struct err err = ERR_INIT;

	if (output && strcmp(output, "-") != 0) {
		file = fopen(output, "we");
		if (!file)
			return cli_fail(cli, CLI_USAGE, "cannot write %s: %s", output, strerror(errno));
	}
	request->sink = file ? file : cli->json ? NULL : stdout;
	request->wants_headers = cli->json;
	if (client_send(client, request, &reply, &err) < 0)
		return cli_fail_err(cli, &err);
	return report(cli, &reply);
}

/* The path of a route with its query as the user wrote it: only the part before '?' is encoded. */
static char *function_path(const char *app, const char *route)
{
	_cleanup_free_ char *plain = strndup(route, strcspn(route, "?"));
	_cleanup_free_ char *path = NULL;
	char *whole = NULL;

	if (plain)
		path = client_path(*plain == '/' ? "/r/%s%p" : "/r/%s/%p", app, plain);
	if (!path || asprintf(&whole, "%s%s", path, route + strlen(plain)) < 0)
		return NULL;
	return whole;
}

enum cli_exit call_function(struct cli *cli)
{
	_cleanup_free_ char *path = function_path(cli->args[0], cli->args[1]);
	_cleanup_file_ FILE *file = NULL;
	struct client_request request = {.path = path};
	enum cli_exit status = CLI_OK;
	struct client *client = exchange_client(cli, &status);

	if (!client)
		return status;
	if (!path)
		return cli_fail(cli, CLI_FAILED, "out of memory");
	for (const char *at = path; *at; at++)
		if (isspace((unsigned char)*at) || iscntrl((unsigned char)*at))
			return cli_fail(cli, CLI_USAGE, "the query in \"%s\" has blanks; write them as %%20",
					cli->args[1]);
	status = take_body(cli, &request, &file);
	if (status != CLI_OK)
		return status;
	request.method = cli_value(cli, "method");
	if (!request.method)
		request.method = cli_value(cli, "data") ? "POST" : "GET";
	if (cli_value(cli, "type"))
		request.content_type = cli_value(cli, "type");
	request.headers = sign(cli, client, take_headers(cli));
	status = exchange_call(cli, client, &request);
	curl_slist_free_all(request.headers);
	return status;
}
