# cudaexec: the runner of CUDA bundles, and the library that the bundler shares with it.
$(eval $(call library,cudaexec-manifest,$(addprefix cudaexec/runner/,datatype.c expr.c json_exact.c values.c section.c \
	manifest.c manifest_tensors.c manifest_launch.c manifest_kernels.c)))
$(eval $(call library,cudaexec-kernels,cudaexec/runner/kernel_list.c cudaexec/runner/cubin.c))

$(eval $(call unit_test,test_expr,tests/unit/cudaexec/test_expr.c,cudaexec-manifest common,-ljansson))
$(eval $(call unit_test,test_datatype,tests/unit/cudaexec/test_datatype.c,cudaexec-manifest common,-ljansson))
$(eval $(call unit_test,test_json_exact,tests/unit/cudaexec/test_json_exact.c,cudaexec-manifest common,-ljansson))
$(eval $(call unit_test,test_manifest,tests/unit/cudaexec/test_manifest.c,cudaexec-manifest common,-ljansson))

$(eval $(call fuzz_target,fuzz_manifest,tests/fuzz/fuzz_manifest.c,cudaexec-manifest common,-ljansson -lm))
