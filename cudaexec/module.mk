# The driver-API table and what is made from it, the driver loader, the libraries of the software device, ferrite-gpu.

CUDA_TABLES := cudaexec/driver_types.txt cudaexec/driver_api.txt
CUDA_GENERATED := $(addprefix $(BUILD)/gen/,cuda_api.h cuda_driver_members.h cuda_driver_symbols.h cuda_errors.h \
	cuda_entries.h cuda_abi_facts.h cuda_abi_signatures.h)
GENERATED += $(CUDA_GENERATED)

# $(call cuda_table,FILE,WHAT): FILE below gen/, made by driver_api.awk
define cuda_table
$(BUILD)/gen/$(1): cudaexec/driver_api.awk $(CUDA_TABLES)
	@mkdir -p $$(@D)
	$$(Q)awk -v make=$(2) -f cudaexec/driver_api.awk $(CUDA_TABLES) >$$@
endef
$(eval $(call cuda_table,cuda_api.h,api))
$(eval $(call cuda_table,cuda_driver_members.h,members))
$(eval $(call cuda_table,cuda_driver_symbols.h,symbols))
$(eval $(call cuda_table,cuda_errors.h,errors))
$(eval $(call cuda_table,cuda_entries.h,entries))
$(eval $(call cuda_table,cuda_abi_facts.h,abi))
$(eval $(call cuda_table,cuda_abi_signatures.h,signatures))
$(eval $(call cuda_table,cuda_twins.c,twins))
$(eval $(call cuda_table,software-device.map,exports))

# The loader of a CUDA driver, for every program that calls one. Link with -ldl.
$(eval $(call library,cudadriver,cudaexec/driver.c cudaexec/cuda_result.c))
$(eval $(call unit_test,test_driver,tests/unit/cudaexec/test_driver.c,cudadriver common,-ldl))

# The comparison with NVIDIA's header is built only where a toolkit is installed.
CUDA_TOOLKIT ?= /usr/local/cuda
ifneq ($(wildcard $(CUDA_TOOLKIT)/include/cuda.h),)
EXTRA_CFLAGS_tests/unit/cudaexec/cuda_abi_toolkit.c := -isystem $(CUDA_TOOLKIT)/include
$(eval $(call unit_test,test_cuda_abi,tests/unit/cudaexec/test_cuda_abi.c tests/unit/cudaexec/cuda_abi_toolkit.c,))
endif

# ferrite-gpu. The pure parts are tested alone, the rest with a driver root that a test makes.
$(eval $(call library,gpu,$(addprefix cudaexec/gpu/,capabilities.c requirement.c visible.c ldcache.c driverproc.c rootfs.c \
	driverfiles.c nvml.c inventory.c injection.c backend.c grants.c document.c wish.c explain.c \
	cdi.c cdi_parse.c cdi_inject.c \
	service.c)))
# CDI files are read with the tree of the bundler.
GPU_LIBRARIES := gpu bundle cudaexec-manifest common
GPU_LDLIBS := -ljansson -lyaml -lm -ldl
$(eval $(call program,libexec/ferrite-gpu,cudaexec/gpu/main.c,$(GPU_LIBRARIES),-levent_core $(GPU_LDLIBS)))
FAKE_ROOT := tests/unit/cudaexec/gpu/fake_root.c
$(eval $(call unit_test,test_injection,tests/unit/cudaexec/gpu/test_injection.c $(FAKE_ROOT),$(GPU_LIBRARIES),$(GPU_LDLIBS)))
$(eval $(call unit_test,test_gpu_service,tests/unit/cudaexec/gpu/test_service.c $(FAKE_ROOT),$(GPU_LIBRARIES),$(GPU_LDLIBS)))
$(BUILD)/tests/unit/test_gpu_service: | $(BUILD)/libexec/ferrite-gpu
$(eval $(call unit_test,test_gpu_grammar,tests/unit/cudaexec/gpu/test_grammar.c,gpu common))
$(eval $(call unit_test,test_ldcache,tests/unit/cudaexec/gpu/test_ldcache.c,gpu common))
$(eval $(call unit_test,test_cdi,tests/unit/cudaexec/gpu/test_cdi.c $(FAKE_ROOT),$(GPU_LIBRARIES),$(GPU_LDLIBS)))
$(eval $(call fuzz_target,fuzz_cdi,tests/fuzz/fuzz_cdi.c,$(GPU_LIBRARIES),$(GPU_LDLIBS)))
$(eval $(call fuzz_target,fuzz_ldcache,tests/fuzz/fuzz_ldcache.c,gpu common))

# Device code images: used by the software device and by the bundler.
$(eval $(call library,fatbin,cudaexec/softdev/fatbin.c))
$(eval $(call unit_test,test_fatbin,tests/unit/cudaexec/softdev/test_fatbin.c,fatbin common,-lzstd))
$(eval $(call fuzz_target,fuzz_fatbin,tests/fuzz/fuzz_fatbin.c,fatbin common,-lzstd))

# The software device: a driver like any other, in a folder of its own. It must load in containers that have a C library
# and nothing else, so zstd is linked in.
SOFTDEV_DIR := lib/ferrite/software-device
SOFTDEV_SOURCES := $(filter-out cudaexec/softdev/nvml.c,$(wildcard cudaexec/softdev/*.c)) cudaexec/cuda_result.c \
	supervisor/err.c supervisor/util.c supervisor/str.c
SOFTDEV_EXPORTS := -Wl,--version-script=$(BUILD)/gen/software-device.map -Wl,-z,nodelete
$(eval $(call shared,$(SOFTDEV_DIR)/libcuda.so.1,$(SOFTDEV_SOURCES) $(BUILD)/gen/cuda_twins.c,libcuda.so.1,-l:libzstd.a \
	-lm -lpthread,$$(SOFTDEV_EXPORTS)))
$(BUILD)/$(SOFTDEV_DIR)/libcuda.so.1: | $(BUILD)/gen/software-device.map
NVML_SOURCES := cudaexec/softdev/nvml.c supervisor/str.c supervisor/err.c
NVML_EXPORTS := -Wl,--version-script=cudaexec/softdev/nvml.map
$(eval $(call shared,$(SOFTDEV_DIR)/libnvidia-ml.so.1,$(NVML_SOURCES),libnvidia-ml.so.1,-ldl,$$(NVML_EXPORTS)))
$(BUILD)/$(SOFTDEV_DIR)/%.so: | $(BUILD)/$(SOFTDEV_DIR)/%.so.1
	$(Q)ln -sf $*.so.1 $@
all: $(BUILD)/$(SOFTDEV_DIR)/libcuda.so $(BUILD)/$(SOFTDEV_DIR)/libnvidia-ml.so

# The driver API as a program sees it: the built library, opened by path.
DRIVER_API_FIXTURE := tests/unit/cudaexec/softdev/driver_fixture.c
$(eval $(call unit_test,test_api_state,tests/unit/cudaexec/softdev/test_api_state.c $(DRIVER_API_FIXTURE),cudadriver \
	common,-ldl))
$(eval $(call unit_test,test_api_work,tests/unit/cudaexec/softdev/test_api_work.c $(DRIVER_API_FIXTURE),cudadriver \
	common,-ldl))
$(addprefix $(BUILD)/tests/unit/,test_api_state test_api_work test_gpu_service): | \
	$(addprefix $(BUILD)/$(SOFTDEV_DIR)/,libcuda.so.1 libnvidia-ml.so.1)

# As the examples' PTX, see examples/module.mk.
API_KERNELS := tests/unit/cudaexec/softdev/api_kernels
ptx::
	@echo "  ptx   $(API_KERNELS).ptx"
	$(Q)$(PTX_COMPILE) $(API_KERNELS).ptx.new $(API_KERNELS).cu
	$(Q)sed -e 's/^\.version .*/.version $(PTX_VERSION)/' -e '/^\/\//d' $(API_KERNELS).ptx.new >$(API_KERNELS).ptx
	$(Q)rm -f $(API_KERNELS).ptx.new
