/*
 * cudaexec.h: the interface between ferrite's runner `cudaexec` and a handler bundle, a shared object with host code
 *that runs inside the function's container (`cuda: { handler: libNAME.so }` in func.yaml). Plain C, usable from C++;
 *nothing to link against: the runner loads the library and hands it a table of functions.
 *
 *	#include <cudaexec.h>
 *
 *	static const struct cudaexec_host *host;
 *
 *	int cudaexec_function_init(const struct cudaexec_host *h) { host = h; return 0; }
 *	int cudaexec_function_call(const struct cudaexec_request *request, struct cudaexec_response *response)
 *	{
 *		return host->write(response, request->body, request->body_length);
 *	}
 *	void cudaexec_function_fini(void) {}
 *
 * Build it with `cc -shared -fPIC -o libNAME.so NAME.c`.
 *
 * All three functions must be there. They are called from one thread, one at a time: init once, with the CUDA context
 *of the first device current; call once per request; fini when the runner ends in good order (an instance that is
 *killed gets no fini). They return 0, or anything else for failure: a failed init answers every request with status
 *500, a failed call answers this one with 500 unless the response has begun already. When the CUDA context is broken
 *after a call (a fault in a kernel), the runner answers 500 and ends, and a new instance takes its place.
 *
 * Versions: including this header puts CUDAEXEC_ABI_VERSION into the library, and the runner refuses a library of
 *another major version by name. Within a version structures only grow at their end; `size` says how much of one there
 *is.
 */
#ifndef CUDAEXEC_H
#define CUDAEXEC_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define CUDAEXEC_ABI_VERSION 1

/* The driver's handles. */
struct CUctx_st;
struct CUmod_st;
struct CUfunc_st;
struct CUstream_st;
struct CUevent_st;

struct cudaexec_field {
	const char *name;
	const char *value;
};

/* A request. Everything in it lives until cudaexec_function_call() returns. */
struct cudaexec_request {
	size_t size; /* of this structure */
	const char *method;
	const char *route; /* the route's path in its app, "/thumbnail" */
	const char *url;   /* as the caller sent it, with the query */
	const char *call_id;
	const void *body;
	size_t body_length;
	const struct cudaexec_field *headers; /* of the caller; names in lower case with '-' */
	size_t n_headers;
	const struct cudaexec_field *parameters; /* of the route's pattern, then of the query, decoded */
	size_t n_parameters;
	uint64_t deadline_us; /* CLOCK_MONOTONIC in microseconds when the answer is too late; 0: none */
};

/* A response that is being made; only the functions of the host know what is inside. */
struct cudaexec_response;

enum cudaexec_log_level { CUDAEXEC_LOG_ERROR, CUDAEXEC_LOG_WARN, CUDAEXEC_LOG_INFO, CUDAEXEC_LOG_DEBUG };

/*
 * The CUDA driver API: the entry points that handlers use most, under their plain names, resolved in the newest version
 * of each that this ABI knows. Results are CUresult numbers, 0 is success. With NVIDIA's <cuda.h> the handle types are
 * the same ones. Everything else: cudaexec_host.driver_symbol("cuName_v2").
 */
struct cudaexec_driver {
	size_t size; /* of this structure */
	int (*get_error_name)(int error, const char **name);
	int (*get_error_string)(int error, const char **text);
	int (*device_get_name)(char *name, int size, int device);
	int (*device_get_attribute)(int *value, int attribute, int device);
	int (*device_total_mem)(size_t *bytes, int device);
	int (*ctx_synchronize)(void);
	int (*module_load_data)(struct CUmod_st **module, const void *image);
	int (*module_unload)(struct CUmod_st *module);
	int (*module_get_function)(struct CUfunc_st **function, struct CUmod_st *module, const char *name);
	int (*module_get_global)(unsigned long long *address, size_t *bytes, struct CUmod_st *module, const char *name);
	int (*mem_get_info)(size_t *free, size_t *total);
	int (*mem_alloc)(unsigned long long *address, size_t bytes);
	int (*mem_free)(unsigned long long address);
	int (*mem_alloc_host)(void **memory, size_t bytes);
	int (*mem_free_host)(void *memory);
	int (*memcpy_htod)(unsigned long long to, const void *from, size_t bytes);
	int (*memcpy_dtoh)(void *to, unsigned long long from, size_t bytes);
	int (*memcpy_dtod)(unsigned long long to, unsigned long long from, size_t bytes);
	int (*memcpy_htod_async)(unsigned long long to, const void *from, size_t bytes, struct CUstream_st *stream);
	int (*memcpy_dtoh_async)(void *to, unsigned long long from, size_t bytes, struct CUstream_st *stream);
	int (*memset_d8)(unsigned long long to, unsigned char value, size_t count);
	int (*memset_d32)(unsigned long long to, unsigned value, size_t count);
	int (*launch_kernel)(struct CUfunc_st *function, unsigned grid_x, unsigned grid_y, unsigned grid_z,
			     unsigned block_x, unsigned block_y, unsigned block_z, unsigned shared_bytes,
			     struct CUstream_st *stream, void **arguments, void **extra);
	int (*stream_create)(struct CUstream_st **stream, unsigned flags);
	int (*stream_synchronize)(struct CUstream_st *stream);
	int (*stream_destroy)(struct CUstream_st *stream);
	int (*event_create)(struct CUevent_st **event, unsigned flags);
	int (*event_record)(struct CUevent_st *event, struct CUstream_st *stream);
	int (*event_synchronize)(struct CUevent_st *event);
	int (*event_elapsed_time)(float *milliseconds, struct CUevent_st *begin, struct CUevent_st *end);
	int (*event_destroy)(struct CUevent_st *event);
};

/* What the runner offers. It lives as long as the library is loaded. */
struct cudaexec_host {
	size_t size; /* of this structure */
	unsigned abi_version;
	int device; /* CUdevice */
	struct CUctx_st *context;
	const struct cudaexec_driver *driver;

	/* An entry point of the driver by its exported name, or NULL. */
	void *(*driver_symbol)(const char *name);

	/* The value of a header or parameter, or NULL. Header names are compared without case. */
	const char *(*header)(const struct cudaexec_request *request, const char *name);
	const char *(*parameter)(const struct cudaexec_request *request, const char *name);

	/*
	 * Status (200 to 599; 200 if never set) and headers. Only before the response has begun: -EBUSY afterwards;
	 * -EINVAL for what HTTP does not allow (Content-Length, Transfer-Encoding and Connection are the runner's).
	 */
	int (*set_status)(struct cudaexec_response *response, unsigned status);
	int (*add_header)(struct cudaexec_response *response, const char *name, const char *value);

	/*
	 * Appends to the body. Small bodies are sent at the end with their length; a body of more than 64 KiB, or a
	 * call of flush(), begins the response, which is then streamed. 0, or a negative errno (-EPIPE: the caller is
	 * gone).
	 */
	int (*write)(struct cudaexec_response *response, const void *data, size_t length);
	int (*flush)(struct cudaexec_response *response);

	/* A line in the function's log. */
	void (*log)(enum cudaexec_log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));
};

/* What the library has to define; visible also when it is compiled with -fvisibility=hidden. */
#define CUDAEXEC_EXPORT __attribute__((visibility("default")))
CUDAEXEC_EXPORT int cudaexec_function_init(const struct cudaexec_host *host);
CUDAEXEC_EXPORT int cudaexec_function_call(const struct cudaexec_request *request, struct cudaexec_response *response);
CUDAEXEC_EXPORT void cudaexec_function_fini(void);

#ifndef CUDAEXEC_HOST
/* The version this library was built against. */
extern const unsigned cudaexec_function_abi_version;
__attribute__((weak, used)) CUDAEXEC_EXPORT const unsigned cudaexec_function_abi_version = CUDAEXEC_ABI_VERSION;
#endif

#ifdef __cplusplus
}
#endif

#endif
