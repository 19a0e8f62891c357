/* ferrite-rootfs: the image store. Started by ferrited, see docs/man/ferrite-rootfs.8. */
#include "rootfs/service.h"

#include "rootfs/image.h"
#include "supervisor/log.h"
#include "supervisor/str.h"
#include "supervisor/util.h"

#include <signal.h>
#include <string.h>
#include <sys/stat.h>

static int set_text(char **text, const char *value, struct err *err)
{
	char *copy = strdup(value);

	if (!copy)
		return err_sys(err, ENOMEM, "keep a setting");
	free(*text);
	*text = copy;
	return 0;
}

static int on_config(void *context, const char *key, const char *value, bool reload, struct err *err)
{
	struct service *s = context;
	uint64_t number;

	if (strcmp(key, "max_image_bytes") == 0) {
		if (str_size(value, 1, &number) < 0 || number == 0)
			return err_set(err, EINVAL, "\"%.40s\" is no size", value);
		s->unpack_limits.bytes = number;
	} else if (strcmp(key, "max_entries") == 0) {
		if (!str_u64(value, &number) || number == 0)
			return err_set(err, EINVAL, "\"%.40s\" is no number", value);
		s->unpack_limits.entries = number;
	} else if (!reload && strcmp(key, "state_dir") == 0) {
		return set_text(&s->state_dir, value, err);
	} else if (!reload && strcmp(key, "libexec_dir") == 0 && *value) {
		return set_text(&s->libexec_dir, value, err);
	}
	return 0;
}

static int on_channel(void *context, enum peer peer, int fd, struct err *err)
{
	if (peer != PEER_API) {
		fd_close(&fd);
		return err_set(err, EPROTO, "channel to an unexpected peer %d", (int)peer);
	}
	return service_set_api(context, fd, err);
}

static void on_drain(void *context, uint64_t deadline_us)
{
	service_drain(context, deadline_us);
}

int main(void)
{
	static const struct server_callbacks callbacks = {
		.config = on_config, .channel = on_channel, .drain = on_drain};
	static struct service service = {
		.loop = {.epoll_fd = -1}, .store = STORE_INIT, .api_fd = -1, .timer_fd = -1, .api_watch = {.fd = -1}};
	struct err err = ERR_INIT;
	int r;

	(void)umask(022);
	(void)signal(SIGPIPE, SIG_IGN);
	service.unpack_limits = UNPACK_LIMITS_DEFAULT;
	r = server_open(&service.server, "ferrite-rootfs", &callbacks, &service, &err);
	if (r == 0)
		r = service_start(&service, &err);
	if (r == 0)
		r = server_ready(&service.server, &err);
	if (r == 0)
		r = service_run(&service, &err);
	if (r < 0)
		log_error("ending", LOG_STR("why", err.text));
	service_stop(&service);
	return r < 0 ? 1 : 0;
}
