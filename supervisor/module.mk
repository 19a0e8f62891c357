# ferrited, and the code every program shares.

$(eval $(call library,common,supervisor/err.c supervisor/util.c supervisor/str.c supervisor/log.c supervisor/ipc.c \
	supervisor/server.c supervisor/loop.c supervisor/cgroup.c supervisor/allow.c))

$(eval $(call unit_test,test_str,tests/unit/supervisor/test_str.c,common))

# The policy compiler runs at build time, before anything else is compiled: $(BUILD)/gen/policy_NAME.h comes from
# supervisor/policy/NAME.policy (our servers) or sandbox/policy/NAME.policy (what runs in containers). A folder names
# the headers it needs in GENERATED.
POLICY_SOURCES := supervisor/policy_names.c supervisor/policy_parse.c supervisor/policy_lint.c supervisor/policy_emit.c
POLICY_FILES := $(wildcard supervisor/policy/*.policy sandbox/policy/*.policy)

$(BUILD)/host/policy_compile: supervisor/policy_compile.c $(POLICY_SOURCES) supervisor/err.c supervisor/util.c \
		supervisor/str.c supervisor/policy.h supervisor/err.h supervisor/util.h supervisor/str.h
	@mkdir -p $(@D)
	@echo "  host  policy_compile"
	$(Q)$(CC) $(CPPFLAGS) $(FERRITE_CFLAGS) -o $@ $(filter %.c,$^) -lseccomp

$(BUILD)/gen/policy_%.h: supervisor/policy/%.policy $(POLICY_FILES) $(BUILD)/host/policy_compile
	@mkdir -p $(@D)
	@echo "  gen   policy_$*.h"
	$(Q)$(BUILD)/host/policy_compile $< $@
$(BUILD)/gen/policy_%.h: sandbox/policy/%.policy $(POLICY_FILES) $(BUILD)/host/policy_compile
	@mkdir -p $(@D)
	@echo "  gen   policy_$*.h"
	$(Q)$(BUILD)/host/policy_compile --untrusted $< $@

$(eval $(call library,policy,$(POLICY_SOURCES)))
$(eval $(call unit_test,test_policy,tests/unit/supervisor/test_policy.c,policy common,-lseccomp))

GENERATED += $(foreach name,api sandbox rootfs gpu,$(BUILD)/gen/policy_$(name).h)

$(eval $(call library,ferrited,supervisor/settings.c supervisor/listen.c supervisor/notify.c supervisor/folders.c \
	supervisor/process.c supervisor/process_child.c supervisor/control.c supervisor/resolvers.c supervisor/supervise.c))
$(eval $(call program,sbin/ferrited,supervisor/main.c,ferrited common,-lcap))

# Stands in for the servers where ferrited itself is tested.
$(eval $(call program,tests/fake_server,tests/unit/supervisor/fake_server.c,common))
TEST_PROGRAMS += $(BUILD)/tests/fake_server

$(eval $(call unit_test,test_ipc,tests/unit/supervisor/test_ipc.c,common))
$(eval $(call unit_test,test_loop,tests/unit/supervisor/test_loop.c,common))
$(eval $(call unit_test,test_log,tests/unit/supervisor/test_log.c,common))
$(eval $(call unit_test,test_settings,tests/unit/supervisor/test_settings.c,ferrited common,-lcap))
$(eval $(call unit_test,test_network_texts,tests/unit/supervisor/test_network_texts.c,ferrited common,-lcap))

$(eval $(call fuzz_target,fuzz_ipc,tests/fuzz/fuzz_ipc.c,common))
$(eval $(call fuzz_target,fuzz_config,tests/fuzz/fuzz_config.c,ferrited common,-lcap))
$(eval $(call fuzz_target,fuzz_policy,tests/fuzz/fuzz_policy.c,policy common,-lseccomp))

# Units and script for init systems, with the prefix in the place of /usr.
INIT_FILES := $(addprefix $(BUILD)/init/,ferrited.service ferrited.socket ferrited.init)
$(BUILD)/init/%: tools/init/% force
	@mkdir -p $(@D)
	$(Q)sed 's#/usr/sbin/#$(sbindir)/#' $< >$@.new
	$(Q)if cmp -s $@.new $@; then rm $@.new; else mv $@.new $@; fi
all: $(INIT_FILES)
INSTALLED_FILES += docs/man/ferrited.8=share/man/man8/ferrited.8 docs/man/ferrited.conf.5=share/man/man5/ferrited.conf.5 \
	$(BUILD)/init/ferrited.service=lib/systemd/system/ferrited.service \
	$(BUILD)/init/ferrited.socket=lib/systemd/system/ferrited.socket \
	$(BUILD)/init/ferrited.init=share/ferrite/ferrited.init
