# The examples: bundles that can be deployed as they are. Their PTX is checked in; `make ptx` makes it again with nvcc or,
# where there is none, clang. What needs the C compiler is built into a copy of the folder, so that
# $(BUILD)/examples holds every example ready to deploy.
EXAMPLES := saxpy thumbnail mandelbrot softmax nbody hello handler hot-echo wordcount
# Those that are a C program of one file, linked so that their images need nothing else.
EXAMPLE_PROGRAMS := hello hot-echo wordcount
EXAMPLE_KERNELS := $(foreach e,saxpy thumbnail mandelbrot softmax nbody,$(e)/$(e)) handler/histogram
EXAMPLE_FILES := $(filter-out %.gitignore %/libhandler.so $(foreach e,$(EXAMPLE_PROGRAMS),examples/$(e)/$(e)),\
	$(wildcard $(patsubst %,examples/%/*,$(EXAMPLES))))
EXAMPLES_BUILT := $(patsubst %,$(BUILD)/%,$(EXAMPLE_FILES)) $(BUILD)/examples/handler/libhandler.so \
	$(foreach e,$(EXAMPLE_PROGRAMS),$(BUILD)/examples/$(e)/$(e))

all: examples
examples: $(EXAMPLES_BUILT)
.PHONY: examples

$(patsubst %,$(BUILD)/%,$(EXAMPLE_FILES)): $(BUILD)/examples/%: examples/%
	@mkdir -p $(@D)
	$(Q)cp -p $< $@
$(foreach e,$(EXAMPLE_PROGRAMS),$(BUILD)/examples/$(e)/$(e)): $(BUILD)/examples/%: examples/%.c
	@mkdir -p $(@D)
	$(Q)$(CC) -std=gnu17 $(WARNINGS) -O2 -static -o $@ $<
$(BUILD)/examples/handler/libhandler.so: examples/handler/handler.c cudaexec/cudaexec.h
	@mkdir -p $(@D)
	$(Q)$(CC) -std=gnu17 $(WARNINGS) -O2 -shared -fPIC -Icudaexec -o $@ $<

# The lowest version of the language that has everything in these files, so that old drivers take them too.
PTX_VERSION := 6.4
PTX_ARCH := 75
NVCC ?= $(firstword $(shell command -v nvcc) $(wildcard /usr/local/cuda/bin/nvcc))
ifneq ($(NVCC),)
PTX_COMPILE = $(NVCC) -ptx -O3 -arch=compute_$(PTX_ARCH) -o
else
PTX_COMPILE = $(CLANG) -x cuda --cuda-device-only --cuda-gpu-arch=sm_$(PTX_ARCH) -O3 -S -o
endif

# $(call ptx,NAME): NAME.ptx from NAME.cu, in place. Only `make ptx` does this: a build must not need a CUDA compiler.
define ptx
ptx::
	@echo "  ptx   $(1).ptx"
	$$(Q)$$(PTX_COMPILE) $(1).ptx.new $(1).cu
	$$(Q)sed -e 's/^\.version .*/.version $$(PTX_VERSION)/' -e '/^\/\//d' $(1).ptx.new >$(1).ptx
	$$(Q)rm -f $(1).ptx.new
endef
$(foreach k,$(EXAMPLE_KERNELS),$(eval $(call ptx,examples/$(k))))
