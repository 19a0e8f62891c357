# The software CUDA device: the PTX engine. (The driver API on top of it is built in cudaexec/module.mk.)
SOFTDEV_ENGINE_SOURCES := $(addprefix cudaexec/softdev/, \
	device.c exec_address.c exec_atom.c exec_base.c exec_builtin.c exec_control.c exec_half.c exec_round.c exec_v3.c \
	exec_v4.c exec_warp.c heap.c launch.c memory.c pool.c ptx_arena.c ptx_decode.c ptx_decode_control.c \
	ptx_decode_data.c ptx_decode_memory.c ptx_function.c ptx_lexer.c ptx_operand.c ptx_parser.c ptx_regalloc.c ptx_repeat.c \
	ptx_variable.c)

# The register arrays hold floats and integers alike; results must not depend on how the compiler fuses operations.
# Kernels may race on their own memory (a lock polls with plain loads): the thread sanitizer watches the engine, not them.
KERNEL_ACCESS_CFLAGS := $(if $(filter thread,$(SANITIZE)),-fno-sanitize=thread)
LANES_CFLAGS := $(KERNEL_ACCESS_CFLAGS) $(if $(SANITIZE),-O1,-O3) -ffp-contract=off -fno-math-errno -fno-trapping-math -fno-strict-aliasing
EXTRA_CFLAGS_cudaexec/softdev/exec_base.c := $(LANES_CFLAGS)
EXTRA_CFLAGS_cudaexec/softdev/exec_v3.c := $(LANES_CFLAGS) -march=x86-64-v3
EXTRA_CFLAGS_cudaexec/softdev/exec_v4.c := $(LANES_CFLAGS) -march=x86-64-v4 -mprefer-vector-width=512
EXTRA_CFLAGS_cudaexec/softdev/exec_control.c := -O2 -fno-strict-aliasing
EXTRA_CFLAGS_cudaexec/softdev/exec_warp.c := -O2 -fno-strict-aliasing
EXTRA_CFLAGS_cudaexec/softdev/exec_atom.c := $(KERNEL_ACCESS_CFLAGS) -O2 -ffp-contract=off -fno-strict-aliasing
EXTRA_CFLAGS_cudaexec/softdev/exec_half.c := -O2 -ffp-contract=off -fno-strict-aliasing
EXTRA_CFLAGS_cudaexec/softdev/exec_round.c := -O2 -ffp-contract=off -frounding-math -fno-strict-aliasing

$(eval $(call library,softdev,$(SOFTDEV_ENGINE_SOURCES)))

# The test kernels, their references, and the tests that run them on the engine.
KERNEL_CASES := $(addprefix tests/gpu/kernels/,cases.c cases_float.c cases_image.c cases_int.c)
KERNEL_PTX := $(wildcard tests/gpu/kernels/*.ptx)
$(BUILD)/obj/tests/gpu/kernels/cases.o: $(KERNEL_PTX)
# References are computed with the operations that are written, and one rounding each.
$(foreach source,$(KERNEL_CASES),$(eval EXTRA_CFLAGS_$(source) := -ffp-contract=off -fno-strict-aliasing))
$(eval $(call unit_test,softdev/test_kernels,tests/unit/softdev/test_kernels.c tests/unit/softdev/engine_backend.c \
	$(KERNEL_CASES),softdev common))

# PTX as old drivers take it, without the paths of the machine that made it (the compiler also hashes them into the names
# of static functions) and without debug sections.
KERNEL_PTX_VERSION := 7.0
KERNEL_NVCC ?= $(firstword $(shell command -v nvcc) $(wildcard /usr/local/cuda/bin/nvcc))
define kernel_ptx
	@echo "  ptx   $(1)$(2)"
	$(Q)$(KERNEL_NVCC) -ptx $(if $(findstring -arch,$(3)),,-arch=compute_75) $(3) -o $(BUILD)/kernel.ptx tests/gpu/kernels/$(1).cu
	$(Q)sed -e '/^[[:space:]]*\.section/,$$d' -e '/Compiler Build ID/d' -e 's|"/.*/|"|' \
		-e 's/_INTERNAL_[0-9a-f]\{8\}_/_INTERNAL_00000000_/g' \
		-e 's/^\.version .*/.version $(KERNEL_PTX_VERSION)/' $(BUILD)/kernel.ptx >tests/gpu/kernels/$(1)$(2).ptx
	$(Q)rm -f $(BUILD)/kernel.ptx

endef
ptx::
	@mkdir -p $(BUILD)
	$(foreach k,$(filter-out features,$(basename $(notdir $(wildcard tests/gpu/kernels/*.cu)))),$(call kernel_ptx,$(k),,-O3))
	$(call kernel_ptx,features,,-O3 -std=c++17 -arch=compute_80)
	$(foreach k,softmax device_call layernorm,$(call kernel_ptx,$(k),.fast,-use_fast_math))
	$(foreach k,sgemm device_call histogram switch_local,$(call kernel_ptx,$(k),.debug,-G))

# The same kernels through a CUDA driver.
$(eval $(call program,tests/gpu/test_kernels,tests/gpu/test_kernels.c $(KERNEL_CASES),cudadriver common,-ldl -lm))
TEST_PROGRAMS += $(BUILD)/tests/gpu/test_kernels
check-gpu:: $(BUILD)/tests/gpu/test_kernels

# Other tests of the engine: what is parsed and refused, single instructions, everything beside arithmetic, memory.
SOFTDEV_TEST_PARTS := tests/unit/softdev/engine_backend.c $(KERNEL_CASES)
$(eval $(call unit_test,softdev/test_opcodes,tests/unit/softdev/test_opcodes.c $(SOFTDEV_TEST_PARTS),softdev common))
$(eval $(call unit_test,softdev/test_features,tests/unit/softdev/test_features.c $(SOFTDEV_TEST_PARTS),softdev common))
$(eval $(call unit_test,softdev/test_engine,tests/unit/softdev/test_engine.c $(SOFTDEV_TEST_PARTS),softdev common))
$(eval $(call fuzz_target,fuzz_ptx,tests/fuzz/fuzz_ptx.c,softdev common,-lm -lpthread))
$(BUILD)/obj/tests/unit/softdev/test_features.o: tests/gpu/kernels/features.ptx

EXTRA_CFLAGS_tests/bench/bench_softdev.c := -O3 -fno-strict-aliasing
$(eval $(call program,tests/bench/bench_softdev,tests/bench/bench_softdev.c $(SOFTDEV_TEST_PARTS),softdev common,-lm \
	-lpthread))
BENCHES += $(BUILD)/tests/bench/bench_softdev
