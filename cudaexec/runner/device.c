#include "cudaexec/runner/device.h"

#include "cudaexec/runner/launch.h"
#include "supervisor/str.h"
#include "supervisor/util.h"

#include <fcntl.h>
#include <string.h>

#define JIT_LOG_SIZE 8192

/* Fills the error of a failed driver call. Returns -EIO, or 0 when RESULT is success. */
static int fail_call(CUresult result, const char *call, struct device_error *e)
{
	if (result == CUDA_SUCCESS)
		return 0;
	(void)cuda_result_check(result, call, &e->err);
	e->status = result == CUDA_ERROR_OUT_OF_MEMORY ? 507 : 500;
	e->transient = result == CUDA_ERROR_OUT_OF_MEMORY || result == CUDA_ERROR_DEVICE_UNAVAILABLE;
	return -EIO;
}

void device_close(struct device *d)
{
	free(d->functions);
	free(d->buffers);
	*d = (struct device){.ordinal = 0};
}

int device_check(struct device *d, const char *what, struct device_error *e)
{
	CUresult result = d->driver.cuCtxSynchronize();

	if (result == CUDA_SUCCESS)
		return 0;
	(void)fail_call(result, what, e);
	e->lost = true;
	return -EIO;
}

int device_open(struct device *d, const char *library, struct device_error *e)
{
	struct cuda_driver *cu = &d->driver;
	int count = 0, code = cuda_driver_load(library, cu, &e->err);

	if (code < 0)
		return code;
	code = fail_call(cu->cuInit(0), "cuInit", e);
	if (code == 0)
		code = fail_call(cu->cuDeviceGetCount(&count), "cuDeviceGetCount", e);
	if (code == 0 && count == 0)
		return err_set(&e->err, ENODEV, "the CUDA driver has no device here");
	if (code == 0)
		code = fail_call(cu->cuDeviceGet(&d->ordinal, 0), "cuDeviceGet", e);
	if (code == 0)
		code = fail_call(cu->cuDevicePrimaryCtxRetain(&d->context, d->ordinal), "cuDevicePrimaryCtxRetain", e);
	if (code == 0)
		code = fail_call(cu->cuCtxSetCurrent(d->context), "cuCtxSetCurrent", e);
	if (code == 0)
		code = fail_call(cu->cuStreamCreate(&d->stream, CU_STREAM_NON_BLOCKING), "cuStreamCreate", e);
	if (code == 0)
		code = fail_call(cu->cuEventCreate(&d->begin, CU_EVENT_DEFAULT), "cuEventCreate", e);
	if (code == 0)
		code = fail_call(cu->cuEventCreate(&d->end, CU_EVENT_DEFAULT), "cuEventCreate", e);
	return code;
}

/* --- the module --- */

/* The first line of the compiler's log behind the error: it has the line of the PTX. */
static void add_log(struct err *err, const char *log)
{
	char shown[256], text[ERR_TEXT_MAX];
	size_t skip = strspn(log, " \t\r\n"), length = strcspn(log + skip, "\r\n");

	if (length == 0)
		return;
	(void)str_copy(text, sizeof(text), err->text);
	(void)err_set(err, err->code, "%s: %s", text, str_escape(shown, sizeof(shown), log + skip, length));
}

static int load_image(struct device *d, const char *path, const void *image, struct device_error *e)
{
	char log[JIT_LOG_SIZE] = "";
	CUjit_option options[] = {CU_JIT_ERROR_LOG_BUFFER, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES};
	void *values[] = {log, (void *)(uintptr_t)sizeof(log)};
	CUresult result = d->driver.cuModuleLoadDataEx(&d->module, image, ARRAY_LEN(options), options, values);

	if (result == CUDA_SUCCESS)
		return 0;
	(void)fail_call(result, "cuModuleLoadDataEx", e);
	log[sizeof(log) - 1] = '\0';
	add_log(&e->err, log);
	(void)err_wrap(&e->err, "module %s", path);
	return -EIO;
}

static int find_functions(struct device *d, const struct manifest *m, struct device_error *e)
{
	for (size_t i = 0; i < m->n_launches; i++) {
		const struct manifest_launch *l = &m->launches[i];
		CUresult result = d->driver.cuModuleGetFunction(&d->functions[i], d->module, l->kernel);
		char shown[128];

		if (result == CUDA_SUCCESS)
			continue;
		(void)str_escape(shown, sizeof(shown), l->kernel, strlen(l->kernel));
		(void)fail_call(result, "cuModuleGetFunction", e);
		(void)err_wrap(&e->err, "module %s has no kernel \"%s\"", m->module, shown);
		return -EIO;
	}
	return 0;
}

int device_load(struct device *d, const struct manifest *m, struct device_error *e)
{
	_cleanup_free_ char *image = NULL;
	int code;

	if (m->module_kind == MANIFEST_MODULE_CU)
		return err_set(&e->err, ENOEXEC, "module %s is source: it has to be compiled when the bundle is made",
			       m->module);
	if (file_read(AT_FDCWD, m->module, DEVICE_MODULE_MAX, &image, &e->err) < 0)
		return err_wrap(&e->err, "module");
	d->functions = calloc(m->n_launches + 1, sizeof(*d->functions));
	d->buffers = calloc(m->n_tensors + 1, sizeof(*d->buffers));
	if (!d->functions || !d->buffers)
		return err_sys(&e->err, ENOMEM, "load module");
	d->n_buffers = m->n_tensors;
	code = load_image(d, m->module, image, e);
	return code == 0 ? find_functions(d, m, e) : code;
}

/* --- a call --- */

struct run {
	struct device *d;
	const struct request *r;
	struct launch_plan *plans;
	struct device_error *e;
};

static void release_buffer(struct device *d, struct device_buffer *b)
{
	if (b->room > 0)
		(void)d->driver.cuMemFree_v2(b->address);
	*b = (struct device_buffer){0};
}

static CUresult grow_buffers(struct run *x)
{
	const struct manifest *m = x->r->manifest;

	for (size_t i = 0; i < m->n_tensors; i++) {
		struct device_buffer *b = &x->d->buffers[i];
		size_t wanted = MAX(x->r->tensors[i].bytes, (size_t)1);
		CUresult result;

		if (m->tensors[i].is_scalar || b->room >= wanted)
			continue;
		release_buffer(x->d, b);
		result = x->d->driver.cuMemAlloc_v2(&b->address, wanted);
		if (result != CUDA_SUCCESS)
			return result;
		b->room = wanted;
	}
	return CUDA_SUCCESS;
}

/* Buffers of earlier calls may be in the way of this one: when memory runs out, begin again without them. */
static int prepare_buffers(struct run *x)
{
	CUresult result = grow_buffers(x);
	uint64_t total = 0;

	if (result == CUDA_ERROR_OUT_OF_MEMORY) {
		for (size_t i = 0; i < x->d->n_buffers; i++)
			release_buffer(x->d, &x->d->buffers[i]);
		result = grow_buffers(x);
	}
	if (result == CUDA_SUCCESS)
		return 0;
	for (size_t i = 0; i < x->r->manifest->n_tensors; i++)
		if (!x->r->manifest->tensors[i].is_scalar &&
		    __builtin_add_overflow(total, x->r->tensors[i].bytes, &total))
			total = UINT64_MAX;
	(void)fail_call(result, "cuMemAlloc", x->e);
	(void)err_wrap(&x->e->err, "the call needs %llu bytes of device memory", (unsigned long long)total);
	return -EIO;
}

static int copy_in(struct run *x)
{
	const struct cuda_driver *cu = &x->d->driver;
	const struct manifest *m = x->r->manifest;
	int code = 0;

	for (size_t i = 0; code == 0 && i < m->n_tensors; i++) {
		const struct request_tensor *t = &x->r->tensors[i];
		CUdeviceptr to = x->d->buffers[i].address;

		if (m->tensors[i].is_scalar || t->bytes == 0)
			continue;
		if (m->tensors[i].is_input)
			code = fail_call(cu->cuMemcpyHtoDAsync_v2(to, t->data, t->bytes, x->d->stream),
					 "cuMemcpyHtoDAsync", x->e);
		else if (m->tensors[i].is_output)
			code = fail_call(cu->cuMemsetD8Async(to, 0, t->bytes, x->d->stream), "cuMemsetD8Async", x->e);
	}
	return code;
}

/* More than this much dynamic shared memory has to be asked for. */
#define SHARED_DEFAULT (48u * 1024)

static int launch_one(struct run *x, size_t index)
{
	const struct cuda_driver *cu = &x->d->driver;
	const struct manifest_launch *l = &x->r->manifest->launches[index];
	struct launch_plan *p = &x->plans[index];
	CUfunction f = x->d->functions[index];
	void *params[MANIFEST_ARGS_MAX + 1] = {NULL};
	int code = 0;

	for (size_t i = 0; i < l->n_args; i++) {
		if (l->args[i].kind == MANIFEST_ARG_TENSOR)
			p->args[i] = x->d->buffers[l->args[i].tensor].address;
		params[i] = &p->args[i];
	}
	if (p->shared > SHARED_DEFAULT)
		code = fail_call(
			cu->cuFuncSetAttribute(f, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, (int)p->shared),
			"cuFuncSetAttribute", x->e);
	if (code == 0)
		code = fail_call(cu->cuLaunchKernel(f, p->grid[0], p->grid[1], p->grid[2], p->block[0], p->block[1],
						    p->block[2], p->shared, x->d->stream, params, NULL),
				 "cuLaunchKernel", x->e);
	if (code < 0) {
		char shown[128];

		(void)err_wrap(&x->e->err, "kernel \"%s\"",
			       str_escape(shown, sizeof(shown), l->kernel, strlen(l->kernel)));
	}
	return code;
}

static int copy_out(struct run *x, void **outputs)
{
	const struct cuda_driver *cu = &x->d->driver;
	int code = 0;

	for (size_t i = 0; code == 0 && i < x->r->n_outputs; i++) {
		size_t tensor = x->r->outputs[i].tensor, bytes = x->r->tensors[tensor].bytes;

		if (bytes > 0)
			code = fail_call(cu->cuMemcpyDtoHAsync_v2(outputs[i], x->d->buffers[tensor].address, bytes,
								  x->d->stream),
					 "cuMemcpyDtoHAsync", x->e);
	}
	return code;
}

/* Everything that goes through the stream. A fault of a kernel shows at whatever call comes after it. */
static int run_stream(struct run *x, void **outputs)
{
	const struct cuda_driver *cu = &x->d->driver;
	int code = fail_call(cu->cuEventRecord(x->d->begin, x->d->stream), "cuEventRecord", x->e);

	if (code == 0)
		code = copy_in(x);
	for (size_t i = 0; code == 0 && i < x->r->manifest->n_launches; i++)
		if (!x->plans[i].skip)
			code = launch_one(x, i);
	if (code == 0)
		code = copy_out(x, outputs);
	if (code == 0)
		code = fail_call(cu->cuEventRecord(x->d->end, x->d->stream), "cuEventRecord", x->e);
	if (code == 0)
		code = fail_call(cu->cuStreamSynchronize(x->d->stream), "cuStreamSynchronize", x->e);
	return code;
}

/* After a failure: is it the context that broke? Then that is the error, and it came from a kernel. */
static void diagnose(struct run *x)
{
	const struct manifest *m = x->r->manifest;
	struct device_error check = DEVICE_ERROR_INIT;
	char what[160], shown[128];

	if (m->n_launches == 1)
		(void)snprintf(what, sizeof(what), "kernel \"%s\"",
			       str_escape(shown, sizeof(shown), m->launches[0].kernel, strlen(m->launches[0].kernel)));
	else
		(void)snprintf(what, sizeof(what), "one of the %zu kernels", m->n_launches);
	if (device_check(x->d, what, &check) < 0)
		*x->e = check;
}

static int allocate_outputs(const struct request *r, void **outputs, struct device_error *e)
{
	for (size_t i = 0; i < r->n_outputs; i++) {
		outputs[i] = malloc(MAX(r->tensors[r->outputs[i].tensor].bytes, (size_t)1));
		if (!outputs[i]) {
			e->status = 507;
			return err_sys(&e->err, ENOMEM, "output \"%s\"",
				       r->manifest->tensors[r->outputs[i].tensor].name);
		}
	}
	return 0;
}

int device_run(struct device *d, const struct request *r, void **outputs, uint64_t *ret_gpu_us, struct device_error *e)
{
	_cleanup_free_ struct launch_plan *plans = calloc(r->manifest->n_launches, sizeof(*plans));
	struct run x = {.d = d, .r = r, .plans = plans, .e = e};
	float milliseconds = 0;
	int code;

	if (!plans) {
		e->status = 507;
		return err_sys(&e->err, ENOMEM, "call");
	}
	for (size_t i = 0; i < r->manifest->n_launches; i++) {
		if (launch_plan(r, i, &plans[i], &e->err) < 0) {
			e->status = 400;
			return -EINVAL;
		}
	}
	code = prepare_buffers(&x);
	if (code == 0)
		code = allocate_outputs(r, outputs, e);
	if (code == 0)
		code = run_stream(&x, outputs);
	if (code < 0) {
		diagnose(&x);
		return code;
	}
	if (d->driver.cuEventElapsedTime(&milliseconds, d->begin, d->end) == CUDA_SUCCESS && milliseconds > 0)
		*ret_gpu_us = (uint64_t)((double)milliseconds * 1000);
	return 0;
}
