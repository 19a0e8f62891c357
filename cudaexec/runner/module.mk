# cudaexec, the runner of CUDA bundles, and the libraries that the bundler shares with it.
comma := ,
runner_sources = $(patsubst %,cudaexec/runner/%.c,$(1))

# The cuda section of a bundle: read and checked. Link with -ljansson -lm.
$(eval $(call library,cudaexec-manifest,$(call runner_sources,datatype expr json_exact values section manifest \
	manifest_tensors manifest_launch manifest_kernels)))
# The kernels of a module image, to check a section against; with the readers of PTX and fat binaries. Link with -lzstd.
$(eval $(call library,cudaexec-kernels,$(call runner_sources,kernel_list cubin) $(patsubst %,cudaexec/softdev/%.c,fatbin \
	ptx_arena ptx_decode ptx_decode_control ptx_decode_data ptx_decode_memory ptx_function ptx_lexer ptx_operand \
	ptx_parser ptx_regalloc ptx_repeat ptx_variable)))
# Requests and answers.
$(eval $(call library,cudaexec-codec,$(call runner_sources,buffer media query number request request_json request_v2 \
	request_raw answer)))
$(eval $(call library,cudaexec-runner,$(call runner_sources,http launch device call_fields response handler runner)))

# Inside a container there is only glibc: everything else is linked in.
$(eval $(call program,libexec/cudaexec,cudaexec/runner/main.c,cudaexec-runner cudaexec-codec cudaexec-manifest cudadriver \
	common,-Wl$(comma)-Bstatic -ljansson -lhttp_parser -Wl$(comma)-Bdynamic -lm -ldl))

$(eval $(call unit_test,test_expr,tests/unit/cudaexec/test_expr.c,cudaexec-manifest common,-ljansson))
$(eval $(call unit_test,test_datatype,tests/unit/cudaexec/test_datatype.c,cudaexec-manifest common,-ljansson))
$(eval $(call unit_test,test_json_exact,tests/unit/cudaexec/test_json_exact.c,cudaexec-manifest common,-ljansson))
$(eval $(call unit_test,test_manifest,tests/unit/cudaexec/test_manifest.c,cudaexec-manifest common,-ljansson))
$(eval $(call unit_test,test_kernels,tests/unit/cudaexec/test_kernels.c,cudaexec-kernels cudaexec-manifest common,-ljansson \
	-lzstd))
$(eval $(call unit_test,test_number,tests/unit/cudaexec/test_number.c,cudaexec-codec cudaexec-manifest common))
$(eval $(call unit_test,test_media,tests/unit/cudaexec/test_media.c,cudaexec-codec common))
$(eval $(call unit_test,test_request,tests/unit/cudaexec/test_request.c,cudaexec-codec cudaexec-manifest common,-ljansson))
$(eval $(call unit_test,test_answer,tests/unit/cudaexec/test_answer.c,cudaexec-codec cudaexec-manifest common,-ljansson))

# The runner as it is, with the software device below it.
TEST_HANDLERS := echo without_call without_version next_version
test_handler = $(call shared,tests/unit/handlers/lib$(1).so,tests/unit/cudaexec/handlers/$(1).c,lib$(1).so)
$(foreach h,$(TEST_HANDLERS),$(eval $(call test_handler,$(h))))
$(eval $(call unit_test,test_cudaexec,tests/unit/cudaexec/test_cudaexec.c tests/unit/cudaexec/runner_help.c,\
	cudaexec-codec common))
$(BUILD)/tests/unit/test_cudaexec: | $(BUILD)/libexec/cudaexec $(BUILD)/lib/ferrite/software-device/libcuda.so.1 \
	$(patsubst %,$(BUILD)/tests/unit/handlers/lib%.so,$(TEST_HANDLERS))
$(eval $(call unit_test,test_examples,tests/unit/cudaexec/test_examples.c tests/unit/cudaexec/runner_help.c,bundle \
	cudaexec-kernels cudaexec-manifest cudaexec-codec common,-ljansson -lyaml -lzstd -larchive -lcrypto))
$(BUILD)/tests/unit/test_examples: | $(BUILD)/libexec/cudaexec $(BUILD)/lib/ferrite/software-device/libcuda.so.1 examples

$(eval $(call fuzz_target,fuzz_manifest,tests/fuzz/fuzz_manifest.c,cudaexec-manifest common,-ljansson -lm))
$(eval $(call fuzz_target,fuzz_tensor_request,tests/fuzz/fuzz_tensor_request.c,cudaexec-codec cudaexec-manifest common,-ljansson -lm))
$(eval $(call fuzz_target,fuzz_cubin,tests/fuzz/fuzz_cubin.c,cudaexec-kernels cudaexec-manifest common,-ljansson -lzstd -lm))
$(eval $(call fuzz_target,fuzz_hot_http,tests/fuzz/fuzz_hot_http.c,cudaexec-runner cudaexec-codec common,-lhttp_parser))
