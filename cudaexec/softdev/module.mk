# The software CUDA device: the PTX engine. (The driver API on top of it is built in cudaexec/module.mk.)
SOFTDEV_ENGINE_SOURCES := $(addprefix cudaexec/softdev/, \
	device.c exec_address.c exec_atom.c exec_base.c exec_builtin.c exec_control.c exec_half.c exec_round.c exec_v3.c \
	exec_v4.c exec_warp.c heap.c launch.c memory.c pool.c ptx_arena.c ptx_decode.c ptx_decode_control.c \
	ptx_decode_data.c ptx_decode_memory.c ptx_function.c ptx_lexer.c ptx_operand.c ptx_parser.c ptx_regalloc.c \
	ptx_variable.c)

# The register arrays hold floats and integers alike; results must not depend on how the compiler fuses operations.
LANES_CFLAGS := -O3 -ffp-contract=off -fno-math-errno -fno-trapping-math -fno-strict-aliasing
EXTRA_CFLAGS_cudaexec/softdev/exec_base.c := $(LANES_CFLAGS)
EXTRA_CFLAGS_cudaexec/softdev/exec_v3.c := $(LANES_CFLAGS) -march=x86-64-v3
EXTRA_CFLAGS_cudaexec/softdev/exec_v4.c := $(LANES_CFLAGS) -march=x86-64-v4 -mprefer-vector-width=512
EXTRA_CFLAGS_cudaexec/softdev/exec_control.c := -O2 -fno-strict-aliasing
EXTRA_CFLAGS_cudaexec/softdev/exec_warp.c := -O2 -fno-strict-aliasing
EXTRA_CFLAGS_cudaexec/softdev/exec_atom.c := -O2 -ffp-contract=off -fno-strict-aliasing
EXTRA_CFLAGS_cudaexec/softdev/exec_half.c := -O2 -ffp-contract=off -fno-strict-aliasing
EXTRA_CFLAGS_cudaexec/softdev/exec_round.c := -O2 -ffp-contract=off -frounding-math -fno-strict-aliasing

$(eval $(call library,softdev,$(SOFTDEV_ENGINE_SOURCES)))
