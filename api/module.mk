# ferrite-api: HTTP, apps and routes, and the scheduling of calls. No privileges.

API_SOURCES := api/table.c api/worker.c api/loglimit.c api/text.c api/http.c api/http_reply.c api/path.c api/json.c api/model.c \
	api/gpuwish.c api/networkwish.c api/store.c api/reply.c api/change.c api/apps.c api/routes.c api/router.c \
	api/status.c api/settings.c api/service.c api/peers.c api/budget.c api/sniff.c \
	api/userspec.c api/image.c api/env.c api/function.c api/dispatcher.c api/instance.c \
	api/variables.c api/answer.c api/call.c api/call_answer.c api/call_create.c api/call_result.c api/run.c \
	api/queue_store.c api/queue.c api/task_json.c api/tasks.c api/async.c api/task_run.c api/runner.c \
	api/remote.c \
	api/query.c api/images.c api/upload.c api/inventory.c api/health.c api/shares.c
API_SOURCES += api/gpuask.c api/injection.c
# Hot instances and large bodies.
API_SOURCES += api/spool.c api/pool.c api/hot.c
# What can be observed: history, metrics.
API_SOURCES += api/database.c api/timestamp.c api/capture.c api/record.c api/history.c api/recorder.c api/calls.c \
	api/call_observe.c api/metrics.c api/scrape.c
# Tokens.
API_SOURCES += api/jwt.c
$(eval $(call library,api,$(API_SOURCES)))

API_LDLIBS := -levent_core -lhttp_parser -ljansson -ljwt -lsqlite3 -lcurl -lcrypto -lpthread
$(eval $(call program,libexec/ferrite-api,api/main.c,api common,$(API_LDLIBS)))

API_TESTS := test_http test_peers test_function test_path test_model test_env test_sniff test_store test_budget test_image test_answer \
	test_loglimit
API_TESTS += test_queue_store test_history test_capture test_metrics
API_TESTS += test_jwt
API_TESTS += test_pool test_spool test_gpuask
$(foreach t,$(API_TESTS),$(eval $(call unit_test,api_$(t),tests/unit/api/$(t).c,api common,$(API_LDLIBS))))

API_FUZZ := fuzz_api_http fuzz_api_json fuzz_api_answer fuzz_api_image fuzz_api_jwt fuzz_api_task
API_FUZZ += fuzz_api_timestamp
$(foreach f,$(API_FUZZ),$(eval $(call fuzz_target,$(f),tests/fuzz/$(f).c,api common,$(API_LDLIBS))))

# The function of tests/integration/test_hot.py.
$(eval $(call program,tests/integration/hot/function,tests/integration/hot/function.c,,,-static -fno-sanitize=all))
EXTRA_CFLAGS_tests/integration/hot/function.c := -fno-sanitize=all
TEST_PROGRAMS += $(BUILD)/tests/integration/hot/function

# The function that tests/bench/run calls.
$(eval $(call program,tests/bench/echo,tests/bench/echo.c,,,-static -fno-sanitize=all))
EXTRA_CFLAGS_tests/bench/echo.c := -fno-sanitize=all
BENCHES += $(BUILD)/tests/bench/echo
