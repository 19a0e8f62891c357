# ferrite-rootfs, the image store, and the bundler that the ferrite command links.

# What both need, and the bundler. Link with cudaexec-manifest, cudaexec-kernels, common, -larchive -ljansson -lyaml -lcrypto.
$(eval $(call library,bundle,rootfs/bundle.c rootfs/bundle_check.c rootfs/bundle_compile.c rootfs/bundle_files.c \
	rootfs/bundle_write.c rootfs/digest.c rootfs/document.c rootfs/elf.c rootfs/entry.c rootfs/funcfile.c rootfs/funcfile_bump.c rootfs/image.c \
	rootfs/reference.c rootfs/source_tree.c))

$(eval $(call library,rootfs,rootfs/archive_image.c rootfs/beneath.c rootfs/child.c rootfs/compose.c rootfs/confine.c \
	rootfs/describe.c rootfs/gc.c rootfs/hostbase.c rootfs/import.c rootfs/jobs.c \
	rootfs/layers.c rootfs/names.c rootfs/requests.c rootfs/runnable.c rootfs/service.c rootfs/spool.c rootfs/store.c \
	rootfs/stream.c rootfs/tree.c rootfs/unpack.c rootfs/work.c))

ROOTFS_LDLIBS := -larchive -ljansson -lcrypto -lcap

$(eval $(call program,libexec/ferrite-rootfs,rootfs/main.c,rootfs bundle common,$(ROOTFS_LDLIBS)))
INSTALLED_FILES += docs/man/ferrite-rootfs.8=share/man/man8/ferrite-rootfs.8

BUNDLE_LIBRARIES := bundle cudaexec-manifest cudaexec-kernels common
BUNDLE_LDLIBS := -larchive -ljansson -lyaml -lcrypto -lzstd
$(eval $(call unit_test,test_reference,tests/unit/rootfs/test_reference.c,bundle common))
$(eval $(call unit_test,test_entry,tests/unit/rootfs/test_entry.c,bundle common))
$(eval $(call unit_test,test_image,tests/unit/rootfs/test_image.c,bundle common,-ljansson -lcrypto))
$(eval $(call unit_test,test_funcfile,tests/unit/rootfs/test_funcfile.c,$(BUNDLE_LIBRARIES),$(BUNDLE_LDLIBS)))
$(eval $(call unit_test,test_elf,tests/unit/rootfs/test_elf.c,bundle common))
$(eval $(call unit_test,test_bundle,tests/unit/rootfs/test_bundle.c,$(BUNDLE_LIBRARIES),$(BUNDLE_LDLIBS)))
$(eval $(call unit_test,test_confine,tests/unit/rootfs/test_confine.c,rootfs bundle common,$(ROOTFS_LDLIBS)))

$(eval $(call fuzz_target,fuzz_archive,tests/fuzz/fuzz_archive.c,rootfs bundle common,$(ROOTFS_LDLIBS)))
$(eval $(call fuzz_target,fuzz_image_config,tests/fuzz/fuzz_image_config.c,bundle common,-ljansson -lcrypto))
$(eval $(call fuzz_target,fuzz_funcfile,tests/fuzz/fuzz_funcfile.c,$(BUNDLE_LIBRARIES),$(BUNDLE_LDLIBS)))
$(eval $(call unit_test,test_store,tests/unit/rootfs/test_store.c,rootfs bundle common,$(ROOTFS_LDLIBS)))
