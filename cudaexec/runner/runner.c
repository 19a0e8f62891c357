#include "cudaexec/runner/runner.h"

#include "cudaexec/runner/answer.h"
#include "cudaexec/runner/call_fields.h"
#include "cudaexec/runner/device.h"
#include "cudaexec/runner/handler.h"
#include "cudaexec/runner/http.h"
#include "cudaexec/runner/request.h"
#include "supervisor/log.h"
#include "supervisor/util.h"

#include <string.h>

struct runner {
	const struct runner_options *options;
	struct manifest *manifest;
	struct handler *handler;
	struct device device;
	struct answer_model model;
	struct answer answer;
	struct device_error broken; /* why nothing can run, when broken.err.code is set */
	bool lost;
};

/* --- start --- */

static int start(struct runner *x)
{
	const struct runner_options *o = x->options;
	struct device_error *e = &x->broken;
	int code = manifest_parse_text(o->manifest, strlen(o->manifest), &x->manifest, &e->err);

	if (code == 0)
		code = device_open(&x->device, o->library, e);
	if (code == 0 && x->manifest->handler)
		return handler_open(x->manifest->handler, &x->device, &x->handler, &e->err);
	if (code == 0)
		code = device_load(&x->device, x->manifest, e);
	return code;
}

/* A bundle that cannot run keeps its process: every call hears why. */
static void report_start(struct runner *x)
{
	char name[128] = "?";

	if (x->broken.err.code == 0) {
		(void)x->device.driver.cuDeviceGetName(name, sizeof(name), x->device.ordinal);
		log_info("ready", LOG_STR("device", name),
			 LOG_STR("program", x->manifest->handler ? x->manifest->handler : x->manifest->module));
	} else {
		log_error("the bundle cannot run", LOG_STR("error", x->broken.err.text));
	}
}

/* --- calls --- */

static int send_answer(struct runner *x, const uint64_t *gpu_us)
{
	const struct answer *a = &x->answer;
	struct http_field fields[3] = {{"Content-Type", a->content_type}};
	char json_length[24], microseconds[24];
	size_t n = 1;

	if (a->has_json_length) {
		(void)snprintf(json_length, sizeof(json_length), "%zu", a->json_length);
		fields[n++] = (struct http_field){"Inference-Header-Content-Length", json_length};
	}
	if (gpu_us) {
		(void)snprintf(microseconds, sizeof(microseconds), "%llu", (unsigned long long)*gpu_us);
		fields[n++] = (struct http_field){"Ferrite-Gpu-Us", microseconds};
	}
	return http_write(x->options->output_fd, a->status, fields, n, a->bytes, a->length);
}

static int send_error(struct runner *x, unsigned status, const char *message)
{
	answer_error(status, message, &x->answer);
	return send_answer(x, NULL);
}

static void free_outputs(void **outputs, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(outputs[i]);
}

static int run_request(struct runner *x, const struct request *r)
{
	struct device_error error = DEVICE_ERROR_INIT;
	void *outputs[MANIFEST_TENSORS_MAX] = {NULL};
	uint64_t gpu_us = 0;
	int code = device_run(&x->device, r, outputs, &gpu_us, &error);

	if (code < 0) {
		x->lost = error.lost;
		code = send_error(x, error.status, error.err.text);
	} else {
		code = answer_build(r, (const void *const *)outputs, &x->model, &x->answer, &error.err);
		code = code < 0 ? send_error(x, answer_status(code), error.err.text) : send_answer(x, &gpu_us);
	}
	free_outputs(outputs, r->n_outputs);
	return code;
}

static int run_kernels(struct runner *x, const struct http_call *call)
{
	const struct request_source source = {
		.content_type = http_header(call, "Header_content_type"),
		.accept = http_header(call, "Header_accept"),
		.json_length = http_header(call, "Header_inference_header_content_length"),
		.query = call_query(call),
		.body = call->body,
		.length = call->length,
	};
	_cleanup_(request_release) struct request *r = NULL;
	struct err err = ERR_INIT;
	int code = request_parse(x->manifest, &source, &r, &err);

	return code < 0 ? send_error(x, answer_status(code), err.text) : run_request(x, r);
}

/* Returns a negative errno when the output is unusable. */
static int answer_call(struct runner *x, const struct http_call *call)
{
	struct err err = ERR_INIT;
	int code;

	if (call->too_large) {
		char message[96];

		(void)snprintf(message, sizeof(message), "the body is larger than %zu bytes", x->options->body_max);
		return send_error(x, 413, message);
	}
	if (x->broken.err.code != 0) {
		x->lost = x->broken.transient;
		return send_error(x, x->broken.status, x->broken.err.text);
	}
	if (!x->handler)
		return run_kernels(x, call);
	code = handler_call(x->handler, call, x->options->output_fd, &x->lost, &err);
	if (code == -EPROTO)
		log_error("a streamed answer was cut short", LOG_STR("error", err.text));
	return code;
}

static enum runner_exit serve(struct runner *x, struct http_reader *reader)
{
	while (!x->lost) {
		const struct http_call *call;
		struct err err = ERR_INIT;
		int code = http_read(reader, &call, &err);

		if (code == 0)
			return RUNNER_EXIT_END;
		if (code < 0) {
			log_error("cannot read a call", LOG_STR("error", err.text));
			(void)send_error(x, code == -EBADMSG ? 400 : 500, err.text);
			return RUNNER_EXIT_PROTOCOL;
		}
		code = answer_call(x, call);
		if (code < 0) {
			log_error("cannot write an answer", LOG_INT("errno", -code));
			return RUNNER_EXIT_OUTPUT;
		}
	}
	log_error("the CUDA context is lost, another instance has to take over");
	return RUNNER_EXIT_LOST;
}

enum runner_exit runner_main(const struct runner_options *options)
{
	struct runner x = {.options = options, .answer = ANSWER_INIT, .broken = DEVICE_ERROR_INIT};
	struct http_reader *reader = http_reader_new(options->input_fd, options->body_max);
	enum runner_exit status;

	if (!reader) {
		log_error("out of memory");
		return RUNNER_EXIT_OUTPUT;
	}
	answer_model_set(&x.model, options->image);
	(void)start(&x);
	report_start(&x);
	status = serve(&x, reader);
	/* After a fault, fini would only meet the broken context. */
	if (!x.lost)
		x.handler = handler_close(x.handler);
	answer_release(&x.answer);
	http_reader_free(reader);
	device_close(&x.device);
	x.manifest = manifest_free(x.manifest);
	return status;
}
