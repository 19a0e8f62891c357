#include "tools/ferrite/client.h"

#include "api/jwt.h"
#include "supervisor/util.h"
#include "tools/ferrite/output.h"

#include <ctype.h>
#include <stdarg.h>
#include <string.h>
#include <strings.h>
#include <sys/un.h>
#include <time.h>

#define CONNECT_TIMEOUT_MS 5000L

/* One exchange in progress. */
struct exchange {
	const struct client_request *request;
	struct client_reply *reply;
	CURL *curl;
	size_t sent;
	bool too_large, sink_failed, read_failed;
	uint64_t uploaded_us; /* when the last byte of the body left */
};

int client_open(const char *api, struct client *ret_client, struct err *err)
{
	struct client c = {0};

	if (!api || !*api)
		api = getenv("FERRITE_API");
	if (!api || !*api)
		api = getenv("API_URL");
	if (!api || !*api)
		api = "unix:" CLIENT_DEFAULT_SOCKET;

	if (strncmp(api, "unix:", 5) == 0) {
		if (api[5] != '/' || strlen(api + 5) >= sizeof(((struct sockaddr_un *)NULL)->sun_path))
			return err_set(err, EINVAL,
				       "\"%s\" is no address: unix: needs an absolute path below %zu bytes", api,
				       sizeof(((struct sockaddr_un *)NULL)->sun_path));
		c.socket = strdup(api + 5);
		c.url = strdup("http://localhost");
	} else if (strncmp(api, "http://", 7) == 0 || strncmp(api, "https://", 8) == 0) {
		c.url = strdup(api);
		for (size_t n = c.url ? strlen(c.url) : 0; n > 0 && c.url[n - 1] == '/'; n--)
			c.url[n - 1] = '\0';
	} else if (strstr(api, "://")) {
		return err_set(err, EINVAL, "\"%s\" is no address: use http://HOST:PORT or unix:PATH", api);
	} else if (asprintf(&c.url, "http://%s", api) < 0) {
		/* "HOST:PORT" is what IronFunctions' own tool also takes. */
		c.url = NULL;
	}
	c.curl = curl_easy_init();
	if (!c.url || !c.curl || (strncmp(api, "unix:", 5) == 0 && !c.socket)) {
		client_close(&c);
		return err_set(err, ENOMEM, "out of memory");
	}
	*ret_client = c;
	return 0;
}

void client_close(struct client *client)
{
	curl_easy_cleanup(client->curl);
	free(client->socket);
	free(client->url);
	*client = (struct client){0};
}

void client_reply_done(struct client_reply *reply)
{
	free(reply->body);
	json_decref(reply->headers);
	*reply = CLIENT_REPLY_INIT;
}

static size_t on_read(char *buffer, size_t size, size_t count, void *user)
{
	struct exchange *x = user;
	size_t room = size * count, n = 0;

	if (x->request->stream) {
		n = fread(buffer, 1, room, x->request->stream);
		if (n == 0 && ferror(x->request->stream)) {
			x->read_failed = true;
			return CURL_READFUNC_ABORT;
		}
	} else if (x->request->body) {
		n = MIN(room, (size_t)x->request->size - x->sent);
		memcpy(buffer, (const char *)x->request->body + x->sent, n);
	}
	x->sent += n;
	if (x->request->progress)
		output_progress(x->request->progress, x->sent, x->request->size > 0 ? (uint64_t)x->request->size : 0);
	return n;
}

/* A connection that was kept and is found closed makes libcurl send the body again. */
static int on_seek(void *user, curl_off_t offset, int origin)
{
	struct exchange *x = user;

	if (origin != SEEK_SET || (x->request->stream && fseeko(x->request->stream, offset, SEEK_SET) < 0))
		return CURL_SEEKFUNC_CANTSEEK;
	x->sent = (size_t)offset;
	return CURL_SEEKFUNC_OK;
}

static size_t on_write(char *data, size_t size, size_t count, void *user)
{
	struct exchange *x = user;
	size_t n = size * count;
	long status = 0;

	(void)curl_easy_getinfo(x->curl, CURLINFO_RESPONSE_CODE, &status);
	if (x->request->sink && status < 400) {
		if (fwrite(data, 1, n, x->request->sink) == n && fflush(x->request->sink) == 0)
			return n;
		x->sink_failed = true;
		return 0;
	}
	if (x->reply->length + n > CLIENT_ANSWER_MAX) {
		x->too_large = true;
		return 0;
	}

	char *grown = realloc(x->reply->body, x->reply->length + n + 1);

	if (!grown)
		return 0;
	memcpy(grown + x->reply->length, data, n);
	x->reply->body = grown;
	x->reply->length += n;
	grown[x->reply->length] = '\0';
	return n;
}

static size_t on_header(char *data, size_t size, size_t count, void *user)
{
	struct exchange *x = user;
	size_t n = size * count;
	const char *colon = memchr(data, ':', n);
	char name[128], value[8192];

	/* A new status line: what came before belonged to "100 Continue". */
	if (n > 5 && memcmp(data, "HTTP/", 5) == 0 && x->reply->headers)
		(void)json_object_clear(x->reply->headers);
	if (!colon || (size_t)(colon - data) >= sizeof(name))
		return n;

	size_t name_length = (size_t)(colon - data);
	size_t begin = name_length + 1, end = n;

	while (begin < end && isspace((unsigned char)data[begin]))
		begin++;
	while (end > begin && isspace((unsigned char)data[end - 1]))
		end--;
	for (size_t i = 0; i < name_length; i++)
		name[i] = (char)tolower((unsigned char)data[i]);
	name[name_length] = '\0';
	(void)snprintf(value, sizeof(value), "%.*s", (int)MIN(end - begin, sizeof(value) - 1), data + begin);

	if (strcmp(name, "server-timing") == 0)
		(void)snprintf(x->reply->server_timing, sizeof(x->reply->server_timing), "%.511s", value);
	if (strcmp(name, "ferrite-call-id") == 0)
		(void)snprintf(x->reply->call_id, sizeof(x->reply->call_id), "%.127s", value);
	if (x->reply->headers)
		(void)json_object_set_new(x->reply->headers, name, output_string(value));
	return n;
}

/* After the upload the server works: its time is shown, so that nobody thinks it hangs. */
static int on_progress(void *user, curl_off_t down_total, curl_off_t down, curl_off_t up_total, curl_off_t up)
{
	struct exchange *x = user;
	char text[96], elapsed[32];

	(void)down_total;
	(void)down;
	(void)up_total;
	if (x->request->stop && *x->request->stop)
		return 1;
	if (!x->request->progress || x->request->size <= 0 || up < x->request->size)
		return 0;
	if (x->uploaded_us == 0)
		x->uploaded_us = clock_monotonic_us();
	(void)snprintf(text, sizeof(text), "the service unpacks and checks it, %s",
		       output_duration_us(elapsed, clock_monotonic_us() - x->uploaded_us));
	output_progress(text, 0, 0);
	return 0;
}

static int explain(const struct client *c, const struct exchange *x, CURLcode code, struct err *err)
{
	char errno_text[128] = "";
	long number = 0;

	(void)curl_easy_getinfo(c->curl, CURLINFO_OS_ERRNO, &number);
	if (number != 0)
		(void)snprintf(errno_text, sizeof(errno_text), ": %s", strerror((int)number));
	if (x->read_failed)
		return err_set(err, EIO, "reading the body to send failed");
	if (x->sink_failed)
		return err_set(err, EIO, "writing the answer failed%s", errno_text);
	if (x->too_large)
		return err_set(err, EFBIG, "the answer is larger than %zu bytes; write it to a file with -o",
			       CLIENT_ANSWER_MAX);
	if (code == CURLE_COULDNT_CONNECT && c->socket && number == EACCES)
		return err_set(err, -CLIENT_UNREACHABLE,
			       "connect to unix:%s%s; use sudo, or join the service's socket_group (ferrite)",
			       c->socket, errno_text);
	if (code == CURLE_COULDNT_CONNECT || code == CURLE_COULDNT_RESOLVE_HOST || code == CURLE_COULDNT_RESOLVE_PROXY)
		return err_set(err, -CLIENT_UNREACHABLE,
			       "no service answers at %s%s%s; is ferrited running? (--api or FERRITE_API name another "
			       "address, \"ferrite doctor\" checks this host)",
			       c->socket ? "unix:" : c->url, c->socket ? c->socket : "", errno_text);
	if (code == CURLE_ABORTED_BY_CALLBACK)
		return err_set(err, EINTR, "stopped by a signal");
	if (code == CURLE_URL_MALFORMAT)
		return err_set(err, EINVAL, "\"%s\" is no address: use http://HOST:PORT or unix:PATH", c->url);
	if (code == CURLE_GOT_NOTHING || code == CURLE_RECV_ERROR || code == CURLE_SEND_ERROR)
		return err_set(err, ECONNRESET, "the service closed the connection before it answered");
	return err_set(err, EIO, "the exchange with the service failed: %s%s", curl_easy_strerror(code), errno_text);
}

static void set_method(CURL *curl, const struct client_request *request)
{
	bool has_body = request->body || request->stream;

	if (has_body) {
		(void)curl_easy_setopt(curl, CURLOPT_UPLOAD, 1L);
		(void)curl_easy_setopt(curl, CURLOPT_INFILESIZE_LARGE, (curl_off_t)request->size);
	} else if (strcmp(request->method, "HEAD") == 0) {
		(void)curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
	} else if (strcmp(request->method, "GET") != 0) {
		/* A POST of nothing says "Content-Length: 0". */
		(void)curl_easy_setopt(curl, CURLOPT_POST, 1L);
		(void)curl_easy_setopt(curl, CURLOPT_POSTFIELDS, "");
	}
	(void)curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, request->method);
}

static struct curl_slist *add_header(struct curl_slist *list, const char *name, const char *value)
{
	char line[1024];

	(void)snprintf(line, sizeof(line), "%s%s%s", name, *value ? ": " : ":", value);

	struct curl_slist *longer = curl_slist_append(list, line);

	return longer ? longer : list;
}

/* The service asks for its own token where functions and images are managed, over TCP. */
static struct curl_slist *add_authorization(const struct client *client, const struct client_request *request,
					    struct curl_slist *headers)
{
	const char *key = getenv("JWT_AUTH_KEY");
	_cleanup_free_ char *token = NULL;
	char value[512];

	if (client->socket || !key || !*key ||
	    (strncmp(request->path, "/v1/", 4) != 0 && strncmp(request->path, "/tasks", 6) != 0))
		return headers;
	token = jwt_token_make(key, time(NULL), JWT_SECONDS);
	(void)snprintf(value, sizeof(value), "Bearer %s", token ? token : "");
	return add_header(headers, "Authorization", value);
}

/* The variable of IronFunctions' tool, for a proxy whose certificate nobody has signed. */
static bool skips_verification(void)
{
	const char *value = getenv("SSL_SKIP_VERIFY");

	return value && strcmp(value, "true") == 0;
}

int client_send(struct client *client, const struct client_request *request, struct client_reply *ret_reply,
		struct err *err)
{
	struct exchange x = {.request = request, .reply = ret_reply, .curl = client->curl};
	CURL *curl = client->curl;
	_cleanup_free_ char *url = NULL;
	struct curl_slist *headers = NULL;

	*ret_reply = CLIENT_REPLY_INIT;
	ret_reply->body = calloc(1, 1);
	if (request->wants_headers)
		ret_reply->headers = json_object();
	if (!ret_reply->body || asprintf(&url, "%s%s", client->url, request->path) < 0)
		return err_set(err, ENOMEM, "out of memory");
	for (const struct curl_slist *h = request->headers; h; h = h->next)
		headers = curl_slist_append(headers, h->data);
	headers = add_header(headers, "Content-Type", request->content_type ? request->content_type : "");
	headers = add_authorization(client, request, headers);
	/* Asking first costs a round trip and, with servers that do not answer it, a second. */
	headers = add_header(headers, "Expect", "");

	curl_easy_reset(curl);
	(void)curl_easy_setopt(curl, CURLOPT_URL, url);
	if (client->socket)
		(void)curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, client->socket);
	if (skips_verification()) {
		(void)curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 0L);
		(void)curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 0L);
	}
	(void)curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	(void)curl_easy_setopt(curl, CURLOPT_PATH_AS_IS, 1L);
	(void)curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_TIMEOUT_MS);
	(void)curl_easy_setopt(curl, CURLOPT_USERAGENT, "ferrite/" FERRITE_VERSION);
	/* A proxy of the environment is for the world outside, not for this service. */
	(void)curl_easy_setopt(curl, CURLOPT_PROXY, "");
	(void)curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
	(void)curl_easy_setopt(curl, CURLOPT_READFUNCTION, on_read);
	(void)curl_easy_setopt(curl, CURLOPT_READDATA, &x);
	(void)curl_easy_setopt(curl, CURLOPT_SEEKFUNCTION, on_seek);
	(void)curl_easy_setopt(curl, CURLOPT_SEEKDATA, &x);
	(void)curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_write);
	(void)curl_easy_setopt(curl, CURLOPT_WRITEDATA, &x);
	(void)curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_header);
	(void)curl_easy_setopt(curl, CURLOPT_HEADERDATA, &x);
	(void)curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
	(void)curl_easy_setopt(curl, CURLOPT_XFERINFODATA, &x);
	(void)curl_easy_setopt(curl, CURLOPT_NOPROGRESS, request->progress || request->stop ? 0L : 1L);
	set_method(curl, request);

	CURLcode code = curl_easy_perform(curl);

	if (request->progress)
		output_progress_end();
	curl_slist_free_all(headers);
	(void)curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &ret_reply->status);
	(void)curl_easy_getinfo(curl, CURLINFO_TOTAL_TIME, &ret_reply->total_s);
	/* A server that answers early (413, say) may close while we still send: its answer counts. */
	if (code == CURLE_SEND_ERROR && ret_reply->status >= 400)
		code = CURLE_OK;
	return code == CURLE_OK ? 0 : explain(client, &x, code, err);
}

const char *client_message(const struct client_reply *reply, char *buffer, size_t size)
{
	json_t *document = json_loadb(reply->body, reply->length, 0, NULL);
	const char *message = json_string_value(json_object_get(json_object_get(document, "error"), "message"));

	if (message)
		(void)snprintf(buffer, size, "%s", message);
	else if (json_is_string(document))
		(void)snprintf(buffer, size, "%s", json_string_value(document));
	else if (reply->length > 0)
		(void)snprintf(buffer, size, "HTTP status %ld: %s", reply->status, reply->body);
	else
		(void)snprintf(buffer, size, "HTTP status %ld", reply->status);
	json_decref(document);
	return buffer;
}

int client_json(struct client *client, const char *method, const char *path, const json_t *body, long *ret_status,
		json_t **ret_document, struct err *err)
{
	_cleanup_(client_reply_done) struct client_reply reply = CLIENT_REPLY_INIT;
	_cleanup_free_ char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
	struct client_request request = {.method = method, .path = path};
	char message[ERR_TEXT_MAX];
	json_error_t error;

	if (body && !text)
		return err_set(err, ENOMEM, "out of memory");
	if (text) {
		request.body = text;
		request.size = (int64_t)strlen(text);
		request.content_type = "application/json";
	}

	int r = client_send(client, &request, &reply, err);

	if (r < 0)
		return r;
	if (ret_status)
		*ret_status = reply.status;
	if (reply.status >= 400)
		return err_set(err, EREMOTEIO, "%s%s", client_message(&reply, message, sizeof(message)),
			       reply.status == 401 ? " (this service asks for tokens: set JWT_AUTH_KEY to its secret)"
						   : "");
	*ret_document = json_loadb(reply.body, reply.length, JSON_DECODE_ANY, &error);
	if (!*ret_document)
		return err_set(err, EBADMSG, "the answer of %s is not JSON: is that a ferrite service? (%s)", path,
			       error.text);
	return 0;
}

static bool append_encoded(FILE *out, const char *text, bool keep_slashes)
{
	for (const char *at = text; *at; at++) {
		unsigned char c = (unsigned char)*at;

		if (isalnum(c) || strchr("-._~", c) || (keep_slashes && c == '/'))
			fputc(c, out);
		else
			fprintf(out, "%%%02X", c);
	}
	return ferror(out) == 0;
}

char *client_path(const char *format, ...)
{
	char *path = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&path, &size);
	va_list arguments;

	if (!out)
		return NULL;
	va_start(arguments, format);
	for (const char *at = format; *at; at++) {
		if (at[0] == '%' && (at[1] == 's' || at[1] == 'p')) {
			(void)append_encoded(out, va_arg(arguments, const char *), at[1] == 'p');
			at++;
		} else {
			fputc(*at, out);
		}
	}
	va_end(arguments);
	if (fclose(out) != 0) {
		free(path);
		return NULL;
	}
	return path;
}

const char *client_base(const struct client *client)
{
	return client->url;
}
