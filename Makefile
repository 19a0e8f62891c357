# ferrite: see `make help`. GNU make; everything is built below $(BUILD), nothing beside the sources.
#
# Each folder describes its programs, libraries and tests in its module.mk with the macros below.

BUILD ?= build
CC ?= gcc
CLANG ?= clang
prefix ?= /usr
sysconfdir ?= /etc
DESTDIR ?=
SANITIZE ?=
VERSION := 0.1.0

bindir := $(prefix)/bin
sbindir := $(prefix)/sbin
libexecdir := $(prefix)/libexec/ferrite
libdir := $(prefix)/lib/ferrite
includedir := $(prefix)/include
mandir := $(prefix)/share/man
datadir := $(prefix)/share

# Rows of tables leave out what is zero.
WARNINGS := -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wvla \
	-Wno-missing-field-initializers -Werror
CPPFLAGS += -I. -I$(BUILD)/gen -D_GNU_SOURCE -DFERRITE_VERSION='"$(VERSION)"' -DFERRITE_SYSCONFDIR='"$(sysconfdir)"'
CFLAGS ?= -O2 -g
# -fcf-protection is what gcc and clang call CET; _FORTIFY_SOURCE needs optimisation and gets in a sanitizer's way.
HARDENING := -fstack-protector-strong -fstack-clash-protection -fcf-protection=full
LINK_HARDENING := -Wl,-z,relro,-z,now,-z,noexecstack,--as-needed
ifeq ($(SANITIZE),)
HARDENING += -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2
SANITIZE_FLAGS :=
else
SANITIZE_FLAGS := -fsanitize=$(SANITIZE) -fno-sanitize-recover=all -fno-omit-frame-pointer -DFERRITE_SANITIZE
endif
FERRITE_CFLAGS = -std=gnu17 $(WARNINGS) $(CFLAGS) $(HARDENING) $(SANITIZE_FLAGS)
LINK = $(CC) $(CFLAGS) $(SANITIZE_FLAGS) $(LDFLAGS) $(LINK_HARDENING)

PROGRAMS :=
SHARED_LIBRARIES :=
UNIT_TESTS :=
FUZZ_TARGETS :=
BENCHES :=
INSTALLED_FILES :=
TEST_PROGRAMS :=
GENERATED :=

all:

.SECONDEXPANSION:

# --- macros for module.mk -------------------------------------------------------------------------------------------
# In all of them sources are paths from the top (generated ones begin with $(BUILD)/gen/), libraries are names made by
# `library`. Objects of programs are position independent (PIE), those of shared libraries are built a second time.

define newline


endef
objects = $(patsubst %.c,$(BUILD)/$(2)/%.o,$(patsubst $(BUILD)/gen/%,gen/%,$(1)))

# $(call library,NAME,SOURCES): $(BUILD)/lib/NAME.a
define library
$(BUILD)/lib/$(1).a: $$(call objects,$(2),obj)
	@mkdir -p $$(@D)
	@rm -f $$@
	$$(Q)$$(AR) rcs $$@ $$^
DEPENDENCIES += $$(patsubst %.o,%.d,$$(call objects,$(2),obj))
endef

# $(call program,DIR/NAME,SOURCES,LIBRARIES,LDLIBS[,LINK FLAGS]): $(BUILD)/DIR/NAME. DIR is bin, sbin, libexec, tests/…;
# programs in bin, sbin and libexec are built by `all` and installed.
define program
$(BUILD)/$(1): $$(call objects,$(2),obj) $$(patsubst %,$(BUILD)/lib/%.a,$(3))
	@mkdir -p $$(@D)
	@echo "  link  $(1)"
	$$(Q)$$(LINK) $$(if $$(findstring -static,$(5)),,-pie) $(5) -o $$@ $$(call objects,$(2),obj) \
		-Wl,--start-group $$(patsubst %,$(BUILD)/lib/%.a,$(3)) -Wl,--end-group $(4)
DEPENDENCIES += $$(patsubst %.o,%.d,$$(call objects,$(2),obj))
PROGRAMS += $$(if $$(filter bin/% sbin/% libexec/%,$(1)),$(BUILD)/$(1))
endef

# $(call shared,PATH/NAME.so,SOURCES,SONAME,LDLIBS[,LINK FLAGS]): $(BUILD)/PATH/NAME.so
define shared
$(BUILD)/$(1): $$(call objects,$(2),pic)
	@mkdir -p $$(@D)
	@echo "  link  $(1)"
	$$(Q)$$(LINK) -shared -Wl,-soname,$(3) $(5) -o $$@ $$^ $(4)
DEPENDENCIES += $$(patsubst %.o,%.d,$$(call objects,$(2),pic))
SHARED_LIBRARIES += $(BUILD)/$(1)
endef

# $(call unit_test,NAME,SOURCES,LIBRARIES,LDLIBS): a libcheck program, run by `make check`
define unit_test
$(call program,tests/unit/$(1),$(2),$(3),-lcheck -lsubunit -lm -lrt -lpthread $(4))
UNIT_TESTS += $(BUILD)/tests/unit/$(1)
endef

# $(call fuzz_target,NAME,SOURCES,LIBRARIES,LDLIBS): a libFuzzer entry point. `make check` links it with tests/fuzz/main.c,
# which runs the corpus tests/fuzz/corpus/NAME; `make fuzz` builds it with clang's fuzzer.
define fuzz_target
$(call program,tests/fuzz/$(1),$(2) tests/fuzz/main.c,$(3),$(4))
FUZZ_TARGETS += $(BUILD)/tests/fuzz/$(1)
FUZZ_NAMES += $(1)
FUZZ_SOURCES_$(1) := $(2)
FUZZ_LIBRARIES_$(1) := $(3)
FUZZ_LDLIBS_$(1) := $(4)
endef

Q := $(if $(V),,@)

# Changed compiler options (another prefix, a sanitizer) rebuild what was built with the old ones.
FLAGS = $(CC) $(CPPFLAGS) $(FERRITE_CFLAGS) $(LDFLAGS)
$(BUILD)/flags: force
	@mkdir -p $(@D)
	@echo '$(FLAGS)' | cmp -s - $@ || echo '$(FLAGS)' >$@

$(BUILD)/obj/%.o: %.c $(BUILD)/flags | $$(GENERATED)
	@mkdir -p $(@D)
	@echo "  cc    $<"
	$(Q)$(CC) $(CPPFLAGS) $(FERRITE_CFLAGS) -fPIE $(EXTRA_CFLAGS_$<) -MMD -MP -c -o $@ $<
$(BUILD)/obj/gen/%.o: $(BUILD)/gen/%.c $(BUILD)/flags | $$(GENERATED)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(FERRITE_CFLAGS) -fPIE -MMD -MP -c -o $@ $<
$(BUILD)/pic/%.o: %.c $(BUILD)/flags | $$(GENERATED)
	@mkdir -p $(@D)
	@echo "  cc    $< (shared)"
	$(Q)$(CC) $(CPPFLAGS) $(FERRITE_CFLAGS) -fPIC -fvisibility=hidden $(EXTRA_CFLAGS_$<) -MMD -MP -c -o $@ $<
$(BUILD)/pic/gen/%.o: $(BUILD)/gen/%.c $(BUILD)/flags | $$(GENERATED)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(FERRITE_CFLAGS) -fPIC -fvisibility=hidden -MMD -MP -c -o $@ $<

include $(wildcard supervisor/module.mk sandbox/module.mk cudaexec/module.mk cudaexec/*/module.mk rootfs/module.mk \
	api/module.mk tools/module.mk examples/module.mk tests/module.mk)

all: $$(PROGRAMS) $$(SHARED_LIBRARIES)

help:
	@echo "make              build everything into $(BUILD)/"
	@echo "make check        build and run the whole test suite (tools/check does this and installs what is missing)"
	@echo "make check-unit   the unit tests and fuzz corpora only"
	@echo "make check-asan   the suite under AddressSanitizer and UndefinedBehaviorSanitizer"
	@echo "make check-tsan   the threaded parts (ferrite-api, the software device) under ThreadSanitizer"
	@echo "make check-security  every suite that shows a row of docs/security-tests.md, and that the page is complete"
	@echo "make check-vm     the integration tests in a Debian guest with systemd and pure cgroup v2 (tools/setup vm)"
	@echo "make conformance  what IronFunctions' clients expect, case by case; URL=http://HOST:PORT asks another server"
	@echo "make check-gpu    the GPU tests against the NVIDIA driver of this machine"
	@echo "make lint         formatting, compiler warnings with gcc and clang, clang-tidy, cppcheck, shellcheck, man pages"
	@echo "make fuzz         build the fuzz targets with libFuzzer and run each for FUZZ_SECONDS (default 60)"
	@echo "make bench        benchmarks beside peers, as ratios"
	@echo "make bench-sandbox  the part about containers, beside bubblewrap, crun and runc"
	@echo "make bench-hot    the part about calls, beside nginx"
	@echo "make soak         mixed load with kills for SOAK_SECONDS (default 1800); tests/soak/run says what it judges"
	@echo "make demo         the demonstration (tools/demo does this and installs what is missing)"
	@echo "make ptx          regenerate the checked-in PTX of the examples and test kernels (needs nvcc or clang)"
	@echo "make install      install below \$$(DESTDIR)\$$(prefix); prefix=$(prefix)"
	@echo "make uninstall    remove what install put there"
	@echo "make dist         source archive of the committed tree"
	@echo "make clean        remove $(BUILD)/"
	@echo "Variables: BUILD, CC, CFLAGS, SANITIZE (e.g. address,undefined), prefix, DESTDIR, V=1 (show commands)"

check-unit: $$(UNIT_TESTS) $$(FUZZ_TARGETS)
	$(Q)tests/run --build $(BUILD) unit fuzz

# For the lint: every object without linking, and the generated headers alone.
objects: $$(patsubst %.d,%.o,$$(DEPENDENCIES))
generated: $$(GENERATED)

test-build: all $$(UNIT_TESTS) $$(FUZZ_TARGETS) $$(TEST_PROGRAMS)

check: test-build
	$(Q)tests/run --build $(BUILD) all

check-asan:
	$(Q)$(MAKE) --no-print-directory BUILD=$(BUILD)/asan SANITIZE=address,undefined CFLAGS="-O1 -g" check-suite
check-suite: test-build
	$(Q)tests/run --build $(BUILD) unit fuzz integration conformance

# Only what has threads: the programs that make namespaces and filters of their own would measure the sanitizer. The
# integration tests run ferrite-api of the one build among the programs of the other.
TSAN_DIR := $(BUILD)/tsan
TSAN_TESTS := $(addprefix tests/unit/,$(addprefix api_,$(API_TESTS)) softdev/test_engine softdev/test_features \
	softdev/test_kernels test_api_state test_api_work)
check-tsan: all $$(BUILD)/tests/integration/hot/function
	$(Q)$(MAKE) --no-print-directory BUILD=$(TSAN_DIR) SANITIZE=thread CFLAGS="-O1 -g" \
		$(addprefix $(TSAN_DIR)/,libexec/ferrite-api $(TSAN_TESTS))
	$(Q)tests/tsan $(BUILD) $(TSAN_DIR) $(TSAN_TESTS)

# Folders add what their GPU tests need to check-gpu, and how their PTX is made to ptx.
check-gpu:: test-build
	$(Q)tests/run --build $(BUILD) gpu

check-security: test-build
	$(Q)tests/security/table --check
	$(Q)tests/run --build $(BUILD) $$(tests/security/table --suites)

check-vm: test-build
	$(Q)tests/vm/run --build $(BUILD)

# With URL a server that runs already, else private ones. TARGET=original asks for what IronFunctions itself answers.
conformance: $(if $(URL),,all)
	$(Q)BUILD=$(BUILD) PYTHONDONTWRITEBYTECODE=1 python3 tests/conformance/test_conformance.py \
		$(if $(URL),--url $(URL)) $(if $(TARGET),--target $(TARGET))

lint:
	$(Q)tools/lint $(BUILD)

bench: all $$(BENCHES)
	$(Q)tests/bench/run --build $(BUILD)

bench-sandbox: all $$(BENCHES)
	$(Q)tests/bench/sandbox --build $(BUILD)

bench-hot: all $$(BENCHES)
	$(Q)tests/bench/run --build $(BUILD) hot

soak: all
	$(Q)BUILD=$(BUILD) python3 -B tests/soak/run

demo:
	$(Q)BUILD=$(BUILD) tools/demo

# --- fuzzing: everything once more with clang's coverage, below $(BUILD)/fuzz ----------------------------------------

FUZZ_SECONDS ?= 60
fuzz:
	$(Q)$(MAKE) --no-print-directory BUILD=$(BUILD)/fuzz CC="$(CLANG)" SANITIZE=address,undefined \
		CFLAGS="-O1 -g -fsanitize=fuzzer-no-link" fuzzers
	$(Q)tests/fuzz/run $(BUILD)/fuzz/fuzzers $(FUZZ_SECONDS)

# $(call fuzzer,NAME)
define fuzzer
$(BUILD)/fuzzers/$(1): $$(call objects,$$(FUZZ_SOURCES_$(1)),obj) $$(patsubst %,$(BUILD)/lib/%.a,$$(FUZZ_LIBRARIES_$(1)))
	@mkdir -p $$(@D)
	@echo "  link  fuzzers/$(1)"
	$$(Q)$$(LINK) -fsanitize=fuzzer -o $$@ $$(call objects,$$(FUZZ_SOURCES_$(1)),obj) \
		-Wl,--start-group $$(patsubst %,$(BUILD)/lib/%.a,$$(FUZZ_LIBRARIES_$(1))) -Wl,--end-group $$(FUZZ_LDLIBS_$(1))
endef
$(foreach name,$(FUZZ_NAMES),$(eval $(call fuzzer,$(name))))
fuzzers: $(patsubst %,$(BUILD)/fuzzers/%,$(FUZZ_NAMES))

# --- installation ---------------------------------------------------------------------------------------------------
# INSTALLED_FILES are pairs SOURCE=DESTINATION below the prefix, for what is no program; programs go where their folder
# in the build tree says (libexec/ to libexec/ferrite/), shared libraries to the same place as in the build tree.

INSTALLED_PROGRAMS = $(foreach p,$(patsubst $(BUILD)/%,%,$(PROGRAMS)),$(BUILD)/$(p)=$(patsubst libexec/%,libexec/ferrite/%,$(p)))
INSTALLED_LIBRARIES = $(foreach l,$(patsubst $(BUILD)/%,%,$(SHARED_LIBRARIES)),$(if $(filter lib/%,$(l)),$(BUILD)/$(l)=$(l)))
from = $(firstword $(subst =, ,$(1)))
to = $(DESTDIR)$(prefix)/$(lastword $(subst =, ,$(1)))

install: all
	$(Q)$(MAKE) --no-print-directory install-built

# The same without building: for tests, which must not rebuild what they are about to try.
install-built:
	$(foreach f,$(INSTALLED_PROGRAMS),$(newline)$(Q)install -D -m 755 $(call from,$(f)) $(call to,$(f)))
	$(foreach f,$(INSTALLED_LIBRARIES) $(INSTALLED_FILES),$(newline)$(Q)install -D -m 644 $(call from,$(f)) $(call to,$(f)))
	@echo "installed below $(DESTDIR)$(prefix)"

uninstall:
	$(Q)rm -f $(foreach f,$(INSTALLED_PROGRAMS) $(INSTALLED_LIBRARIES) $(INSTALLED_FILES),$(call to,$(f)))
	$(Q)rmdir $(DESTDIR)$(libexecdir) $(DESTDIR)$(libdir)/software-device $(DESTDIR)$(libdir) 2>/dev/null || true

clean:
	rm -rf $(BUILD)

dist:
	git archive --format=tar.gz --prefix=ferrite-$(VERSION)/ -o ferrite-$(VERSION).tar.gz HEAD

.PHONY: all help test-build check check-unit check-asan check-suite check-tsan check-security check-vm check-gpu conformance lint fuzz fuzzers objects generated bench bench-hot bench-sandbox soak demo ptx install \
	install-built uninstall dist clean force
.DELETE_ON_ERROR:

-include $(DEPENDENCIES)
