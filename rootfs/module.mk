# ferrite-rootfs, the image store, and the bundler that the ferrite command links.

$(eval $(call library,bundle,rootfs/reference.c rootfs/digest.c rootfs/document.c rootfs/elf.c))

$(eval $(call library,rootfs,rootfs/archive_image.c rootfs/beneath.c rootfs/child.c rootfs/compose.c rootfs/confine.c \
	rootfs/describe.c rootfs/entry.c rootfs/gc.c rootfs/hostbase.c rootfs/image.c rootfs/import.c rootfs/jobs.c \
	rootfs/layers.c rootfs/names.c rootfs/requests.c rootfs/runnable.c rootfs/service.c rootfs/spool.c rootfs/store.c \
	rootfs/stream.c rootfs/tree.c rootfs/unpack.c rootfs/work.c))

ROOTFS_LDLIBS := -larchive -ljansson -lcrypto -lcap

$(eval $(call program,libexec/ferrite-rootfs,rootfs/main.c,rootfs bundle common,$(ROOTFS_LDLIBS)))
