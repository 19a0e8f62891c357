#include "cudaexec/runner/handler.h"

#define CUDAEXEC_HOST
#include "cudaexec/cudaexec.h"
#include "cudaexec/runner/answer.h"
#include "cudaexec/runner/call_fields.h"
#include "cudaexec/runner/response.h"
#include "supervisor/log.h"
#include "supervisor/str.h"
#include "supervisor/util.h"

#include <dlfcn.h>
#include <elf.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <strings.h>

#define LOG_LINE_MAX 4096

struct handler {
	void *library;
	char *path;
	struct device *device;
	struct cudaexec_driver driver;
	struct cudaexec_host host;
	int (*init)(const struct cudaexec_host *host);
	int (*call)(const struct cudaexec_request *request, struct cudaexec_response *response);
	void (*fini)(void);
};

/* --- the host's functions --- */

/* driver_symbol() has no argument for the handler it belongs to; there is one driver in a process. */
static void *driver_library;

static void *host_driver_symbol(const char *name)
{
	return dlsym(driver_library, name);
}

static const char *find_field(const struct cudaexec_field *fields, size_t n, const char *name,
			      int (*compare)(const char *, const char *))
{
	for (size_t i = 0; i < n; i++)
		if (compare(fields[i].name, name) == 0)
			return fields[i].value;
	return NULL;
}

static const char *host_header(const struct cudaexec_request *request, const char *name)
{
	return find_field(request->headers, request->n_headers, name, strcasecmp);
}

static const char *host_parameter(const struct cudaexec_request *request, const char *name)
{
	return find_field(request->parameters, request->n_parameters, name, strcmp);
}

static void __attribute__((format(printf, 2, 3))) host_log(enum cudaexec_log_level level, const char *format, ...)
{
	static const enum log_level levels[] = {LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG};
	char line[LOG_LINE_MAX];
	va_list args;

	va_start(args, format);
	(void)vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	log_line(levels[MIN((unsigned)level, 3u)], line);
}

/*
 * The driver's functions return CUresult, an enumeration, where the public table says int: both are passed alike, and
 * so are the handle types.
 */
#define SET(member, symbol) memcpy(&d->member, &cu->symbol, sizeof(d->member))

static void fill_driver(struct cudaexec_driver *d, const struct cuda_driver *cu)
{
	*d = (struct cudaexec_driver){.size = sizeof(*d)};
	SET(get_error_name, cuGetErrorName);
	SET(get_error_string, cuGetErrorString);
	SET(device_get_name, cuDeviceGetName);
	SET(device_get_attribute, cuDeviceGetAttribute);
	SET(device_total_mem, cuDeviceTotalMem_v2);
	SET(ctx_synchronize, cuCtxSynchronize);
	SET(module_load_data, cuModuleLoadData);
	SET(module_unload, cuModuleUnload);
	SET(module_get_function, cuModuleGetFunction);
	SET(module_get_global, cuModuleGetGlobal_v2);
	SET(mem_get_info, cuMemGetInfo_v2);
	SET(mem_alloc, cuMemAlloc_v2);
	SET(mem_free, cuMemFree_v2);
	SET(mem_alloc_host, cuMemAllocHost_v2);
	SET(mem_free_host, cuMemFreeHost);
	SET(memcpy_htod, cuMemcpyHtoD_v2);
	SET(memcpy_dtoh, cuMemcpyDtoH_v2);
	SET(memcpy_dtod, cuMemcpyDtoD_v2);
	SET(memcpy_htod_async, cuMemcpyHtoDAsync_v2);
	SET(memcpy_dtoh_async, cuMemcpyDtoHAsync_v2);
	SET(memset_d8, cuMemsetD8_v2);
	SET(memset_d32, cuMemsetD32_v2);
	SET(launch_kernel, cuLaunchKernel);
	SET(stream_create, cuStreamCreate);
	SET(stream_synchronize, cuStreamSynchronize);
	SET(stream_destroy, cuStreamDestroy_v2);
	SET(event_create, cuEventCreate);
	SET(event_record, cuEventRecord);
	SET(event_synchronize, cuEventSynchronize);
	SET(event_elapsed_time, cuEventElapsedTime);
	SET(event_destroy, cuEventDestroy_v2);
}

static void fill_host(struct handler *h)
{
	fill_driver(&h->driver, &h->device->driver);
	driver_library = h->device->driver.library;
	h->host = (struct cudaexec_host){
		.size = sizeof(h->host),
		.abi_version = CUDAEXEC_ABI_VERSION,
		.device = h->device->ordinal,
		.context = h->device->context,
		.driver = &h->driver,
		.driver_symbol = host_driver_symbol,
		.header = host_header,
		.parameter = host_parameter,
		.set_status = response_set_status,
		.add_header = response_add_header,
		.write = response_write,
		.flush = response_flush,
		.log = host_log,
	};
}

/* --- loading --- */

/* The loader's own words for a library of another machine are "No such file or directory". */
static int check_architecture(const char *path, struct err *err)
{
	static const struct {
		unsigned machine;
		const char *name;
	} names[] = {{EM_X86_64, "x86-64"}, {EM_AARCH64, "aarch64"}, {EM_386, "i386"},	{EM_ARM, "arm"},
		     {EM_RISCV, "riscv"},   {EM_PPC64, "ppc64"},     {EM_S390, "s390"}, {190, "a CUDA device"}};
#ifdef __aarch64__
	static const unsigned ours = EM_AARCH64;
#else
	static const unsigned ours = EM_X86_64;
#endif
	_cleanup_fd_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	const char *theirs = "another machine", *mine = "?";
	Elf64_Ehdr header;

	if (fd < 0)
		return err_sys(err, errno, "handler %s", path);
	if (read(fd, &header, sizeof(header)) < (ssize_t)sizeof(header) || memcmp(header.e_ident, ELFMAG, SELFMAG) != 0)
		return err_set(err, ENOEXEC, "handler %s is no shared object", path);
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (names[i].machine == header.e_machine)
			theirs = names[i].name;
		if (names[i].machine == ours)
			mine = names[i].name;
	}
	if (header.e_machine != ours || header.e_ident[EI_CLASS] != ELFCLASS64)
		return err_set(err, ENOEXEC, "handler %s is built for %s, this machine is %s", path, theirs, mine);
	return 0;
}

static int find_symbol(struct handler *h, const char *name, void *ret_function, struct err *err)
{
	void *address = dlsym(h->library, name);

	if (!address)
		return err_set(err, ENOEXEC, "handler %s does not define %s()", h->path, name);
	memcpy(ret_function, &address, sizeof(address));
	return 0;
}

static int check_version(const struct handler *h, struct err *err)
{
	const unsigned *version = dlsym(h->library, "cudaexec_function_abi_version");

	if (!version)
		return err_set(err, ENOEXEC, "handler %s was not built with cudaexec.h: it has no ABI version",
			       h->path);
	if (*version != CUDAEXEC_ABI_VERSION)
		return err_set(err, ENOEXEC, "handler %s was built for version %u of cudaexec.h, this runner has %d",
			       h->path, *version, CUDAEXEC_ABI_VERSION);
	return 0;
}

static int load(struct handler *h, struct err *err)
{
	_cleanup_free_ char *file = NULL;
	int code = check_architecture(h->path, err);

	if (code < 0)
		return code;
	/* With a slash the loader takes the path itself and searches nowhere. */
	if (asprintf(&file, "./%s", h->path) < 0)
		return err_sys(err, ENOMEM, "handler %s", h->path);
	h->library = dlopen(file, RTLD_NOW | RTLD_LOCAL);
	if (!h->library)
		return err_set(err, ENOEXEC, "handler %s: %s", h->path, dlerror());
	code = check_version(h, err);
	if (code == 0)
		code = find_symbol(h, "cudaexec_function_init", &h->init, err);
	if (code == 0)
		code = find_symbol(h, "cudaexec_function_call", &h->call, err);
	if (code == 0)
		code = find_symbol(h, "cudaexec_function_fini", &h->fini, err);
	return code;
}

/* The library stays mapped: threads that it started may still run its code. */
static void handler_free(struct handler **handler)
{
	if (*handler) {
		free((*handler)->path);
		free(*handler);
	}
	*handler = NULL;
}

int handler_open(const char *path, struct device *device, struct handler **ret_handler, struct err *err)
{
	_cleanup_(handler_free) struct handler *h = calloc(1, sizeof(*h));
	int code;

	if (h)
		h->path = strdup(path);
	if (!h || !h->path)
		return err_sys(err, ENOMEM, "handler %s", path);
	h->device = device;
	fill_host(h);
	code = load(h, err);
	if (code < 0)
		return code;
	code = h->init(&h->host);
	if (code != 0)
		return err_set(err, EPROTO, "handler %s: cudaexec_function_init() returned %d", path, code);
	*ret_handler = take_ptr(h);
	return 0;
}

struct handler *handler_close(struct handler *h)
{
	if (h) {
		h->fini();
		handler_free(&h);
	}
	return NULL;
}

/* --- a call --- */

static int fail_call(int fd, unsigned http_status, const struct err *cause)
{
	_cleanup_(answer_release) struct answer answer = ANSWER_INIT;

	answer_error(http_status, cause->text, &answer);
	return http_write(fd, answer.status, (struct http_field[]){{"Content-Type", answer.content_type}}, 1,
			  answer.bytes, answer.length);
}

int handler_call(struct handler *h, const struct http_call *call, int fd, bool *ret_lost, struct err *err)
{
	_cleanup_(call_fields_clear) struct call_fields fields = {0};
	_cleanup_(response_clear) struct cudaexec_response response = {.fd = fd, .status = 200};
	struct device_error broken = DEVICE_ERROR_INIT;
	struct err cause = ERR_INIT;
	int code = call_fields_read(&fields, call, &cause), status = code;

	if (code == 0) {
		status = h->call(&fields.request, &response);
		if (status != 0)
			(void)err_set(&cause, EPROTO, "handler %s: cudaexec_function_call() returned %d%s%s", h->path,
				      status, status < 0 && status > -4096 ? ": " : "",
				      status < 0 && status > -4096 ? strerrordesc_np(-status) : "");
	}
	if (device_check(h->device, "handler", &broken) < 0) {
		*ret_lost = true;
		cause = broken.err;
		status = -EIO;
	}
	if (status == 0)
		return response_finish(&response, NULL, 0);
	if (!response.begun)
		return fail_call(fd, code == -EINVAL ? 400 : 500, &cause);
	*err = cause;
	return -EPROTO;
}
