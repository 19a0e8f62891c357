/* What the api asks for: one function per type of message. */
#include "rootfs/describe.h"
#include "rootfs/service.h"

#include "supervisor/log.h"
#include "supervisor/str.h"
#include "supervisor/util.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>

/* The name in the tail; NULL when the tail is no packed list of one. */
static const char *tail_name(struct ipc_message *m, size_t size)
{
	char *list[2];
	size_t length;
	char *tail = ipc_tail(m, size, &length);

	return str_unpack(tail, length, 1, list) == (long)length ? list[0] : NULL;
}

static void refuse_tail(struct service *s, uint64_t id)
{
	struct err why = ERR_INIT;

	(void)err_set(&why, EPROTO, "the name is no packed list");
	service_fail(s, id, "name", &why);
}

static void handle_import(struct service *s, struct ipc_message *m)
{
	const struct rfs_import *body = (const void *)m->payload;
	const char *name = tail_name(m, sizeof(*body));
	int archive_fd = ipc_message_take_fd(m, 0);
	struct err why = ERR_INIT;

	if (!name) {
		fd_close(&archive_fd);
		refuse_tail(s, m->header.id);
		return;
	}
	/* The descriptor is the import's from here on, also when it fails. */
	if (service_add_import(s, m->header.id, archive_fd, body->size, name, &why) < 0)
		service_fail(s, m->header.id, "import", &why);
}

static void handle_open(struct service *s, struct ipc_message *m)
{
	const char *name = tail_name(m, sizeof(struct rfs_open));
	const struct store_name *found;
	struct reference reference;
	struct err why = ERR_INIT;

	if (!name) {
		refuse_tail(s, m->header.id);
		return;
	}
	if (reference_parse(name, &reference, &why) < 0) {
		service_fail(s, m->header.id, "name", &why);
		return;
	}
	found = store_find(&s->store, &reference);
	if (!found) {
		char text[REFERENCE_TEXT_MAX];

		(void)err_set(&why, ENOENT, "there is no image \"%s\" in the store",
			      reference_format(&reference, text, sizeof(text)));
		service_fail(s, m->header.id, "image", &why);
		return;
	}
	service_open_image(s, m->header.id, found->digest);
}

static int sealed_memfd(const char *text, size_t length, struct err *err)
{
	_cleanup_fd_ int fd = memfd_create("ferrite-images", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int r;

	if (fd < 0)
		return err_sys(err, errno, "make a document");
	r = fd_write_all(fd, text, length);
	if (r < 0)
		return err_sys(err, r, "write a document");
	if (lseek(fd, 0, SEEK_SET) < 0 ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0)
		return err_sys(err, errno, "seal a document");
	return take_fd(&fd);
}

static int describe(struct service *s, uint32_t kind, const char *name, char **ret_text, struct err *err)
{
	struct reference reference;
	int r;

	if (kind == RFS_QUERY_LIST)
		return describe_images(&s->store, ret_text, err);
	if (kind != RFS_QUERY_INSPECT)
		return err_set(err, EPROTO, "unknown query %u", kind);
	r = reference_parse(name, &reference, err);
	return r < 0 ? r : describe_image(&s->store, &reference, ret_text, err);
}

static void handle_query(struct service *s, struct ipc_message *m)
{
	const struct rfs_query *body = (const void *)m->payload;
	const char *name = tail_name(m, sizeof(*body));
	_cleanup_free_ char *text = NULL;
	_cleanup_fd_ int fd = -1;
	struct rfs_document document;
	struct err why = ERR_INIT;

	if (!name) {
		refuse_tail(s, m->header.id);
		return;
	}
	if (describe(s, body->kind, name, &text, &why) < 0 || (fd = sealed_memfd(text, strlen(text), &why)) < 0) {
		service_fail(s, m->header.id, "query", &why);
		return;
	}
	document.size = strlen(text);
	service_send(s, &(struct ipc_out){.type = RFS_DOCUMENT,
					  .id = m->header.id,
					  .body = &document,
					  .body_size = sizeof(document),
					  .fds = &fd,
					  .n_fds = 1});
}

static int remove_name(struct service *s, const char *text, struct err *err)
{
	char name[REFERENCE_TEXT_MAX];
	struct reference reference;
	const struct store_name *found;
	int r = reference_parse(text, &reference, err);

	if (r < 0)
		return r;
	found = store_find(&s->store, &reference);
	if (!found)
		return err_set(err, ENOENT, "there is no image \"%s\" in the store",
			       reference_format(&reference, name, sizeof(name)));
	(void)str_copy(name, sizeof(name), found->name);
	r = store_remove_name(&s->store, name, err);
	if (r < 0)
		return r;
	log_info("image removed", LOG_STR("name", name));
	service_changed(s, name);
	return 0;
}

static void handle_remove(struct service *s, struct ipc_message *m)
{
	bool gc_only = m->header.type == RFS_GC;
	const char *name = gc_only ? NULL : tail_name(m, 0);
	struct rfs_removed removed = {0};
	struct err why = ERR_INIT;

	if (!gc_only && !name) {
		refuse_tail(s, m->header.id);
		return;
	}
	if (!gc_only && remove_name(s, name, &why) < 0) {
		service_fail(s, m->header.id, "remove", &why);
		return;
	}
	if (service_sweep(s, &removed, &why) < 0) {
		log_warn("the store was not swept", LOG_STR("why", why.text));
		/* The name is gone, which was the order; only a sweep that was asked for has failed. */
		if (gc_only) {
			service_fail(s, m->header.id, "gc", &why);
			return;
		}
	}
	service_send(s,
		     &(struct ipc_out){
			     .type = RFS_REMOVED, .id = m->header.id, .body = &removed, .body_size = sizeof(removed)});
}

void service_request(struct service *service, struct ipc_message *message)
{
	switch (message->header.type) {
	case RFS_IMPORT:
		handle_import(service, message);
		break;
	case RFS_OPEN:
		handle_open(service, message);
		break;
	case RFS_QUERY:
		handle_query(service, message);
		break;
	default: /* RFS_REMOVE and RFS_GC: the table of rules lets nothing else through */
		handle_remove(service, message);
		break;
	}
}
