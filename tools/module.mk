# The command `ferrite`.

SKELETONS := $(sort $(wildcard tools/ferrite/skeletons/*/*))
GENERATED += $(BUILD)/gen/tools/ferrite/skeletons.inc
$(BUILD)/gen/tools/ferrite/skeletons.inc: tools/ferrite/skeletons.awk $(SKELETONS)
	@mkdir -p $(@D)
	$(Q)awk -f tools/ferrite/skeletons.awk $(SKELETONS) >$@

FERRITE_SOURCES := $(addprefix tools/ferrite/,cli.c output.c client.c exchange.c apps.c routes.c token.c call.c bundle.c \
	folder.c trial.c test.c run.c init.c images.c status.c gpu_inject.c history.c calls.c top.c doctor.c doctor_kernel.c doctor_host.c completion.c commands.c)
$(eval $(call library,ferrite-command,$(FERRITE_SOURCES)))
$(eval $(call program,bin/ferrite,tools/ferrite/main.c,ferrite-command bundle cudaexec-manifest cudaexec-kernels api common,\
	-lcurl -ljansson -ljwt -larchive -lyaml -lcrypto -lzstd -lm))

$(eval $(call unit_test,test_cli,tests/unit/tools/test_cli.c,ferrite-command api common,-lcurl -ljansson -ljwt))

INSTALLED_FILES += $(foreach p,$(wildcard docs/man/*.[1-8]),$(p)=share/man/man$(subst .,,$(suffix $(p)))/$(notdir $(p)))
INSTALLED_FILES += cudaexec/cudaexec.h=include/cudaexec.h
