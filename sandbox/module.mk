# ferrite-sandbox: containers. Everything but main.c is the library `sandbox`.

GENERATED += $(BUILD)/gen/policy_function.h $(BUILD)/gen/firewall_rules.h

$(BUILD)/gen/firewall_rules.h: sandbox/policy/firewall.nft
	@mkdir -p $(@D)
	$(Q)(echo '#define FIREWALL_RULES \'; sed -e '/^\s*#/d' -e 's/"/\\"/g' -e 's/.*/\t"&\\n" \\/' $<; echo '	""') >$@

$(eval $(call library,sandbox,sandbox/config.c sandbox/ids.c sandbox/idmap.c sandbox/cgroup.c sandbox/cgroup_v1.c \
	sandbox/cgroup_v2.c sandbox/device_policy.c sandbox/devices.c sandbox/mounts.c sandbox/root.c sandbox/proc.c \
	sandbox/generated.c sandbox/inject.c sandbox/profile.c sandbox/net.c sandbox/route.c sandbox/firewall.c sandbox/bridge.c sandbox/privileges.c sandbox/seccomp.c \
	sandbox/child.c sandbox/spawn.c sandbox/instance.c sandbox/kernel.c sandbox/channel.c sandbox/create.c sandbox/pool.c sandbox/service.c))

$(eval $(call program,libexec/ferrite-sandbox,sandbox/main.c,sandbox common,-lmnl -lcap))

# The init has no C library, so nothing that needs one: no canary, no fortified calls, no sanitizer.
EXTRA_CFLAGS_sandbox/init.c := -ffreestanding -fno-stack-protector -U_FORTIFY_SOURCE -fno-sanitize=all
$(eval $(call program,libexec/ferrite-init,sandbox/init.c,,,-static -nostdlib -fno-sanitize=all))

$(eval $(call unit_test,test_ids,tests/unit/sandbox/test_ids.c,sandbox common))
$(eval $(call unit_test,test_device_policy,tests/unit/sandbox/test_device_policy.c,sandbox common))
$(eval $(call unit_test,test_requests,tests/unit/sandbox/test_requests.c,sandbox common,-lmnl -lcap))
$(eval $(call unit_test,test_root,tests/unit/sandbox/test_root.c,sandbox common))
$(eval $(call unit_test,test_channel,tests/unit/sandbox/test_channel.c,sandbox common))
$(eval $(call unit_test,test_function_policy,tests/unit/sandbox/test_function_policy.c,common,-lseccomp))
$(eval $(call fuzz_target,fuzz_sandbox,tests/fuzz/fuzz_sandbox.c,sandbox common,-lmnl -lcap))

# Programs of tests/integration/test_sandbox.py, and of the bench.
$(eval $(call library,sandbox_harness,tests/integration/sandbox/harness.c))
$(eval $(call program,tests/integration/sandbox/driver,tests/integration/sandbox/driver.c,sandbox_harness common,-ljansson))
TEST_PROGRAMS += $(BUILD)/tests/integration/sandbox/driver
$(eval $(call program,tests/integration/sandbox/fault,tests/integration/sandbox/fault.c))
TEST_PROGRAMS += $(BUILD)/tests/integration/sandbox/fault

# What runs inside: static, without sanitizers, which need a /proc that is not there.
EXTRA_CFLAGS_tests/integration/sandbox/inspector.c := -fno-sanitize=all
$(eval $(call program,tests/integration/sandbox/inspector,tests/integration/sandbox/inspector.c,,,-static -fno-sanitize=all))
TEST_PROGRAMS += $(BUILD)/tests/integration/sandbox/inspector

$(eval $(call program,tests/bench/bench_sandbox,tests/bench/bench_sandbox.c,sandbox_harness sandbox common))
$(eval $(call program,tests/bench/stamp,tests/bench/stamp.c,,,-static -fno-sanitize=all))
EXTRA_CFLAGS_tests/bench/stamp.c := -fno-sanitize=all
BENCHES += $(BUILD)/tests/bench/bench_sandbox $(BUILD)/tests/bench/stamp
