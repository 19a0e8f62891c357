/*
 * An uploaded archive goes into an unnamed file first and to ferrite-rootfs when it is complete: a client that goes
 * away half-way has then changed nothing, and no byte is held in memory.
 */
#include "api/images.h"
#include "api/query.h"

#include "supervisor/util.h"

#include <string.h>

struct upload {
	struct peer_request peer;
	struct http_request *request; /* NULL: gone */
	struct api *api;
	struct spool spool;
	struct text name;
	struct rfs_import body;
};

static void upload_free(struct upload *upload)
{
	peer_request_done(&upload->peer);
	spool_done(&upload->spool);
	text_done(&upload->name);
	free(upload);
}

static void on_gone_early(struct http_request *request)
{
	upload_free(request->user);
}

static void on_gone(struct http_request *request)
{
	struct upload *upload = request->user;

	upload->request = NULL;
}

static void answer(struct upload *upload)
{
	_cleanup_(text_done) struct text body = {0};
	struct rfs_imported imported;

	if (!upload->peer.reply) {
		images_reply_failed(upload->request, &upload->peer.failure);
		return;
	}
	memcpy(&imported, upload->peer.reply->payload, sizeof(imported));
	imported.digest[sizeof(imported.digest) - 1] = '\0';
	text_puts(&body, "{\"message\":\"Image imported\",\"image\":{\"name\":");
	text_json(&body, upload->name.data);
	text_puts(&body, ",\"digest\":");
	text_json(&body, imported.digest);
	text_printf(&body, ",\"size\":%llu}}", (unsigned long long)imported.size);
	api_reply(upload->request, 200, &body);
}

static void on_imported(struct peer_request *request)
{
	struct upload *upload = (struct upload *)request;

	if (upload->request)
		answer(upload);
	upload_free(upload);
}

/* Ends an upload that is still coming in. */
static bool refuse(struct upload *upload, unsigned status, const char *message)
{
	api_reply_error(upload->request, status, "%s", message);
	upload_free(upload);
	return false;
}

/* Also with nothing, so that there is a file. */
static bool keep(struct upload *upload, const void *bytes, size_t length)
{
	const struct settings *settings = &api_loop_of(upload->request)->settings;
	const struct spool_limits limits = {.folder = settings->spool_dir,
					    .bytes = settings->max_image_bytes,
					    .all_files = settings->max_spool_bytes,
					    .all_open = settings->max_spools};
	struct err err = ERR_INIT;

	switch (-spool_add(&upload->spool, &limits, bytes, length, &err)) {
	case 0:
		return true;
	case EFBIG:
		return refuse(upload, 413, "The archive is larger than max_image_bytes");
	case ENOSPC:
		return refuse(upload, 507, "No space left on the device that takes the upload (state_dir)");
	case ENOBUFS:
		return refuse(upload, 503, "Too many requests are being received, try again");
	default:
		return refuse(upload, 500, "The upload cannot be kept in state_dir");
	}
}

static bool on_data(struct http_request *request, const void *bytes, size_t length)
{
	return keep(request->user, bytes, length);
}

static void on_complete(struct http_request *request)
{
	struct upload *upload = request->user;

	if (lseek(upload->spool.fd, 0, SEEK_SET) < 0) {
		(void)refuse(upload, 500, "The upload cannot be read back from state_dir");
		return;
	}
	request->gone = on_gone;
	request->patient = true;
	upload->body.size = upload->spool.length;
	upload->peer.worker = &api_loop_of(request)->worker;
	upload->peer.done = on_imported;
	upload->peer.expects = RFS_IMPORTED;
	upload->peer.out = (struct ipc_out){.type = RFS_IMPORT,
					    .body = &upload->body,
					    .body_size = sizeof(upload->body),
					    .tail = upload->name.data,
					    .tail_size = upload->name.length,
					    .fds = &upload->spool.fd,
					    .n_fds = 1};
	peers_send(upload->api->peers, PEER_ROOTFS, &upload->peer);
}

void images_upload(struct http_request *request, const struct path_match *match)
{
	struct upload *upload;

	(void)match;
	if (!images_allowed(request))
		return;
	upload = calloc(1, sizeof(*upload));
	if (!upload) {
		api_reply_error(request, 503, "ferrite is out of memory");
		return;
	}
	upload->request = request;
	upload->api = api_loop_of(request)->api;
	spool_open(&upload->spool, &upload->api->spools);
	if (!keep(upload, NULL, 0))
		return;
	/* Without a name the archive must bring one. */
	(void)path_query(request->target, "name", &upload->name);
	text_add(&upload->name, "", 1);
	if (upload->name.failed || strlen(upload->name.data) + 1 != upload->name.length) {
		(void)refuse(upload, 400, "Malformed image name");
		return;
	}
	request->user = upload;
	request->gone = on_gone_early;
	http_stream(request, on_data, on_complete);
}
