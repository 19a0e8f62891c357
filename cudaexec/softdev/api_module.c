/* Modules, libraries, and the functions and kernels in them. */
#include "cudaexec/softdev/api.h"

#include "cudaexec/softdev/fatbin.h"

#include <fcntl.h>
#include <string.h>

#define IMAGE_MAX	    ((size_t)FATBIN_SIZE_MAX)
#define JIT_OPTIONS_MAX	    64u
#define LIBRARY_OPTIONS_MAX 8u

/* A log buffer of the caller: text goes in, the place of its size gets the number of bytes written. */
struct jit_buffer {
	char *text;
	size_t size;
	void **size_place;
};

struct jit_options {
	struct jit_buffer error;
	struct jit_buffer info;
};

static CUresult jit_options_read(unsigned count, const CUjit_option *options, void **values, struct jit_options *jit)
{
	*jit = (struct jit_options){0};
	if (count > JIT_OPTIONS_MAX || (count > 0 && (!options || !values)))
		return CUDA_ERROR_INVALID_VALUE;
	for (unsigned i = 0; i < count; i++) {
		switch (options[i]) {
		case CU_JIT_ERROR_LOG_BUFFER:
			jit->error.text = values[i];
			break;
		case CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES:
			jit->error.size = (unsigned)(uintptr_t)values[i];
			jit->error.size_place = &values[i];
			break;
		case CU_JIT_INFO_LOG_BUFFER:
			jit->info.text = values[i];
			break;
		case CU_JIT_INFO_LOG_BUFFER_SIZE_BYTES:
			jit->info.size = (unsigned)(uintptr_t)values[i];
			jit->info.size_place = &values[i];
			break;
		case CU_JIT_WALL_TIME: /* a float in the place of the value: nothing to compile, no time */
			values[i] = NULL;
			break;
		default: /* the rest tunes a compiler that is not here */
			if (options[i] > CU_JIT_SPLIT_COMPILE)
				return CUDA_ERROR_INVALID_VALUE;
		}
	}
	return CUDA_SUCCESS;
}

static void jit_buffer_write(const struct jit_buffer *buffer, const char *text)
{
	size_t length = strlen(text);

	if (!buffer->text || buffer->size == 0) {
		length = 0;
	} else {
		if (length >= buffer->size)
			length = buffer->size - 1;
		memcpy(buffer->text, text, length);
		buffer->text[length] = '\0';
	}
	if (buffer->size_place)
		*buffer->size_place = (void *)(uintptr_t)length;
}

/* --- programs ----------------------------------------------------------------------------------------------------- */

static void program_release(struct program *program)
{
	if (--program->references > 0)
		return;
	ptx_program_free(program->ptx);
	free(program);
}

static CUresult program_parse(const char *text, size_t length, struct program **ret_program, struct ptx_log *log)
{
	struct program *program = calloc(1, sizeof(*program));
	enum ptx_status status;

	if (!program)
		return CUDA_ERROR_OUT_OF_MEMORY;
	status = ptx_parse(text, length, &program->ptx, log);
	if (status != PTX_OK) {
		free(program);
		return (CUresult)status;
	}
	program->references = 1;
	*ret_program = program;
	return CUDA_SUCCESS;
}

static CUresult fatbin_result(int code)
{
	switch (code) {
	case -ENOEXEC:
		return CUDA_ERROR_NO_BINARY_FOR_GPU;
	case -ENOMEM:
		return CUDA_ERROR_OUT_OF_MEMORY;
	default:
		return CUDA_ERROR_INVALID_IMAGE;
	}
}

/* A container in memory; SIZE is what is there, 0 when only its own header knows. */
static CUresult program_from_fatbin(const void *image, size_t size, struct program **ret_program, struct ptx_log *log)
{
	_cleanup_free_ char *text = NULL;
	struct err err = ERR_INIT;
	size_t length = 0;
	int code = size > 0 ? 0 : fatbin_size(image, &size, &err);

	if (code == 0)
		code = fatbin_extract_ptx(image, size, SOFTDEV_CAPABILITY_MAJOR * 10 + SOFTDEV_CAPABILITY_MINOR, &text,
					  &length, &err);
	if (code != 0) {
		ptx_log_add(log, "%s\n", err.text);
		return fatbin_result(code);
	}
	return program_parse(text, length, ret_program, log);
}

static CUresult program_from_image(const void *image, size_t size, struct program **ret_program, struct ptx_log *log)
{
	/* Images in memory come without a length: a text ends with NUL, a container says its size. */
	const struct {
		uint32_t magic, version;
		const void *data;
	} *wrapper = image;

	switch (image_recognise(image, size > 0 ? size : 4)) {
	case IMAGE_PTX:
		return program_parse(image, size > 0 ? size : strnlen(image, PTX_TEXT_MAX), ret_program, log);
	case IMAGE_FATBIN_WRAPPER:
		if (size > 0 || !wrapper->data)
			return CUDA_ERROR_INVALID_IMAGE; /* a wrapper holds a pointer: it means nothing in a file */
		return program_from_fatbin(wrapper->data, 0, ret_program, log);
	case IMAGE_FATBIN:
		return program_from_fatbin(image, size, ret_program, log);
	case IMAGE_ELF:
		ptx_log_add(log, "the image is machine code for a GPU; the software device runs PTX only\n");
		return CUDA_ERROR_NO_BINARY_FOR_GPU;
	default:
		return CUDA_ERROR_INVALID_IMAGE;
	}
}

static CUresult program_load(const void *image, size_t size, const struct jit_options *jit,
			     struct program **ret_program)
{
	struct ptx_log log = PTX_LOG_INIT;
	CUresult result = program_from_image(image, size, ret_program, &log);

	jit_buffer_write(&jit->error, result == CUDA_SUCCESS ? "" : log.text);
	jit_buffer_write(&jit->info, result == CUDA_SUCCESS ? log.text : "");
	return result;
}

/* --- modules ------------------------------------------------------------------------------------------------------ */

void module_destroy(struct module *module)
{
	uint32_t count = ptx_program_kernel_count(module->program->ptx);

	for (uint32_t i = 0; i < count; i++) {
		if (!module->functions[i])
			continue;
		object_unregister(&module->functions[i]->object);
		free(module->functions[i]);
	}
	ptx_module_unload(module->ptx);
	program_release(module->program);
	object_unregister(&module->object);
	free(module);
}

/* Places a program in a context; takes a reference of its own. */
static CUresult module_new(struct context *context, struct program *program, struct library *library,
			   struct module **ret_module)
{
	uint32_t count = ptx_program_kernel_count(program->ptx);
	struct module *module = calloc(1, sizeof(*module) + count * sizeof(module->functions[0]));
	CUresult result;

	if (!module)
		return CUDA_ERROR_OUT_OF_MEMORY;
	module->program = program;
	module->library = library;
	result = (CUresult)ptx_module_load(softdev.device, program->ptx, &module->ptx, NULL);
	if (result == CUDA_SUCCESS) {
		result = object_register(&module->object, OBJECT_MODULE, context);
		if (result != CUDA_SUCCESS)
			ptx_module_unload(module->ptx);
	}
	if (result != CUDA_SUCCESS) {
		free(module);
		return result;
	}
	program->references++;
	*ret_module = module;
	return CUDA_SUCCESS;
}

static CUresult module_load(CUmodule *module, const void *image, size_t size, unsigned option_count,
			    const CUjit_option *options, void **option_values)
{
	CALL_BEGIN(call, NEED_CONTEXT);
	struct program *program = NULL;
	struct jit_options jit = {0};
	struct module *made = NULL;

	if (!module || !image)
		return CUDA_ERROR_INVALID_VALUE;
	call.result = jit_options_read(option_count, options, option_values, &jit);
	if (call.result == CUDA_SUCCESS)
		call.result = program_load(image, size, &jit, &program);
	if (call.result != CUDA_SUCCESS)
		return call.result;
	call.result = module_new(call.context, program, NULL, &made);
	program_release(program);
	if (call.result == CUDA_SUCCESS)
		*module = HANDLE(CUmodule, made);
	return call.result;
}

CUresult cuModuleLoadDataEx(CUmodule *module, const void *image, unsigned int option_count, CUjit_option *options,
			    void **option_values)
{
	return module_load(module, image, 0, option_count, options, option_values);
}

CUresult cuModuleLoadData(CUmodule *module, const void *image)
{
	return module_load(module, image, 0, 0, NULL, NULL);
}

CUresult cuModuleLoadFatBinary(CUmodule *module, const void *image)
{
	return module_load(module, image, 0, 0, NULL, NULL);
}

/* A file as an image; the length is known, so nothing behind its end is read. */
static CUresult read_image(const char *path, char **ret_image, size_t *ret_size)
{
	ssize_t size = file_read(AT_FDCWD, path, IMAGE_MAX, ret_image, NULL);

	if (size == -ENOENT || size == -EACCES || size == -EISDIR)
		return CUDA_ERROR_FILE_NOT_FOUND;
	if (size == -ENOMEM)
		return CUDA_ERROR_OUT_OF_MEMORY;
	if (size <= 0)
		return CUDA_ERROR_INVALID_IMAGE;
	*ret_size = (size_t)size;
	return CUDA_SUCCESS;
}

CUresult cuModuleLoad(CUmodule *module, const char *path)
{
	_cleanup_free_ char *image = NULL;
	size_t size = 0;
	CUresult result;

	if (!module || !path)
		return CUDA_ERROR_INVALID_VALUE;
	result = read_image(path, &image, &size);
	return result == CUDA_SUCCESS ? module_load(module, image, size, 0, NULL, NULL) : result;
}

CUresult cuModuleUnload(CUmodule module)
{
	CALL_BEGIN(call, NEED_CONTEXT);
	struct module *found = object_find(module, OBJECT_MODULE);

	if (!found || found->library || found->object.context != call.context)
		return CUDA_ERROR_INVALID_HANDLE;
	module_destroy(found);
	return CUDA_SUCCESS;
}

static CUresult module_function(struct module *module, const struct ptx_kernel *kernel, struct function **ret_function)
{
	struct function *function = module->functions[kernel->index];
	CUresult result;

	if (!function) {
		function = calloc(1, sizeof(*function));
		if (!function)
			return CUDA_ERROR_OUT_OF_MEMORY;
		function->module = module;
		function->kernel = kernel;
		function->dynamic_shared_max = PTX_SHARED_STATIC_MAX - kernel->shared_bytes;
		result = object_register(&function->object, OBJECT_FUNCTION, module->object.context);
		if (result != CUDA_SUCCESS) {
			free(function);
			return result;
		}
		module->functions[kernel->index] = function;
	}
	*ret_function = function;
	return CUDA_SUCCESS;
}

CUresult cuModuleGetFunction(CUfunction *function, CUmodule module, const char *name)
{
	CALL_BEGIN(call, NEED_CONTEXT);
	struct module *found = object_find(module, OBJECT_MODULE);
	const struct ptx_kernel *kernel;
	struct function *made = NULL;

	if (!function || !name)
		return CUDA_ERROR_INVALID_VALUE;
	if (!found)
		return CUDA_ERROR_INVALID_HANDLE;
	kernel = ptx_program_find_kernel(found->program->ptx, name);
	if (!kernel)
		return CUDA_ERROR_NOT_FOUND;
	call.result = module_function(found, kernel, &made);
	if (call.result == CUDA_SUCCESS)
		*function = HANDLE(CUfunction, made);
	return call.result;
}

static CUresult module_global(const struct module *module, const char *name, CUdeviceptr *address, size_t *bytes)
{
	uint64_t found = 0, size = 0;

	if (!ptx_module_global(module->ptx, name, &found, &size))
		return CUDA_ERROR_NOT_FOUND;
	if (address)
		*address = found;
	if (bytes)
		*bytes = size;
	return CUDA_SUCCESS;
}

CUresult cuModuleGetGlobal_v2(CUdeviceptr *address, size_t *bytes, CUmodule module, const char *name)
{
	CALL_BEGIN(call, NEED_CONTEXT);
	const struct module *found = object_find(module, OBJECT_MODULE);

	if (!name)
		return CUDA_ERROR_INVALID_VALUE;
	return found ? module_global(found, name, address, bytes) : CUDA_ERROR_INVALID_HANDLE;
}

CUresult cuModuleGetLoadingMode(CUmoduleLoadingMode *mode)
{
	CALL_BEGIN(call, NEED_DEVICE);

	if (!mode)
		return CUDA_ERROR_INVALID_VALUE;
	*mode = CU_MODULE_EAGER_LOADING;
	return CUDA_SUCCESS;
}

/* --- libraries ---------------------------------------------------------------------------------------------------- */

static void library_free(struct library *library)
{
	uint32_t count = ptx_program_kernel_count(library->program->ptx);

	for (uint32_t i = 0; i < count; i++) {
		if (!library->kernels[i])
			continue;
		object_unregister(&library->kernels[i]->object);
		free(library->kernels[i]);
	}
	program_release(library->program);
	object_unregister(&library->object);
	free(library);
}

/* Takes over the caller's reference to the program. */
static CUresult library_new(struct program *program, struct library **ret_library)
{
	uint32_t count = ptx_program_kernel_count(program->ptx);
	struct library *library = calloc(1, sizeof(*library) + count * sizeof(library->kernels[0]));
	CUresult result = library ? object_register(&library->object, OBJECT_LIBRARY, NULL) : CUDA_ERROR_OUT_OF_MEMORY;

	if (result != CUDA_SUCCESS) {
		free(library);
		program_release(program);
		return result;
	}
	library->program = program;
	*ret_library = library;
	return CUDA_SUCCESS;
}

static CUresult library_load(CUlibrary *library, const void *image, size_t size, unsigned option_count,
			     const CUjit_option *options, void **option_values, unsigned library_option_count)
{
	CALL_BEGIN(call, NEED_DEVICE);
	struct program *program = NULL;
	struct jit_options jit = {0};
	struct library *made = NULL;

	if (!library || !image || library_option_count > LIBRARY_OPTIONS_MAX)
		return CUDA_ERROR_INVALID_VALUE;
	call.result = jit_options_read(option_count, options, option_values, &jit);
	if (call.result == CUDA_SUCCESS)
		call.result = program_load(image, size, &jit, &program);
	if (call.result != CUDA_SUCCESS || !program)
		return call.result;
	call.result = library_new(program, &made);
	if (call.result == CUDA_SUCCESS)
		*library = HANDLE(CUlibrary, made);
	return call.result;
}

CUresult cuLibraryLoadData(CUlibrary *library, const void *image, CUjit_option *options, void **option_values,
			   unsigned int option_count, CUlibraryOption *library_options, void **library_option_values,
			   unsigned int library_option_count)
{
	(void)library_options; /* they say whether the image stays where it is; we keep no pointer to it */
	(void)library_option_values;
	return library_load(library, image, 0, option_count, options, option_values, library_option_count);
}

CUresult cuLibraryLoadFromFile(CUlibrary *library, const char *path, CUjit_option *options, void **option_values,
			       unsigned int option_count, CUlibraryOption *library_options,
			       void **library_option_values, unsigned int library_option_count)
{
	_cleanup_free_ char *image = NULL;
	size_t size = 0;
	CUresult result;

	(void)library_options;
	(void)library_option_values;
	if (!library || !path)
		return CUDA_ERROR_INVALID_VALUE;
	result = read_image(path, &image, &size);
	return result == CUDA_SUCCESS
		       ? library_load(library, image, size, option_count, options, option_values, library_option_count)
		       : result;
}

static _Thread_local struct library *searched; /* by the visitors below, under the lock of one call */
static _Thread_local struct module *searched_module;

static void match_module(struct object *object)
{
	struct module *module = (struct module *)object;

	if (object->kind == OBJECT_MODULE && module->library == searched)
		searched_module = module;
}

static void unload_in_context(struct object *object)
{
	if (object->kind != OBJECT_CONTEXT)
		return;
	searched_module = NULL;
	object_each((struct context *)object, match_module);
	if (searched_module)
		module_destroy(searched_module);
}

/* The module of a library in a context, made when it is asked for first. */
static CUresult library_module(struct context *context, struct library *library, struct module **ret_module)
{
	searched = library;
	searched_module = NULL;
	object_each(context, match_module);
	if (!searched_module)
		return module_new(context, library->program, library, ret_module);
	*ret_module = searched_module;
	return CUDA_SUCCESS;
}

CUresult cuLibraryUnload(CUlibrary library)
{
	CALL_BEGIN(call, NEED_DEVICE);
	struct library *found = object_find(library, OBJECT_LIBRARY);

	if (!found)
		return CUDA_ERROR_INVALID_HANDLE;
	searched = found;
	object_each(NULL, unload_in_context); /* contexts belong to no context */
	library_free(found);
	return CUDA_SUCCESS;
}

CUresult cuLibraryGetModule(CUmodule *module, CUlibrary library)
{
	CALL_BEGIN(call, NEED_CONTEXT);
	struct library *found = object_find(library, OBJECT_LIBRARY);
	struct module *made = NULL;

	if (!module)
		return CUDA_ERROR_INVALID_VALUE;
	if (!found)
		return CUDA_ERROR_INVALID_HANDLE;
	call.result = library_module(call.context, found, &made);
	if (call.result == CUDA_SUCCESS)
		*module = HANDLE(CUmodule, made);
	return call.result;
}

CUresult cuLibraryGetKernel(CUkernel *kernel, CUlibrary library, const char *name)
{
	CALL_BEGIN(call, NEED_DEVICE);
	struct library *found = object_find(library, OBJECT_LIBRARY);
	const struct ptx_kernel *described;
	struct kernel *made = NULL;

	if (!kernel || !name)
		return CUDA_ERROR_INVALID_VALUE;
	if (!found)
		return CUDA_ERROR_INVALID_HANDLE;
	described = ptx_program_find_kernel(found->program->ptx, name);
	if (!described)
		return CUDA_ERROR_NOT_FOUND;
	made = found->kernels[described->index];
	if (!made) {
		made = calloc(1, sizeof(*made));
		if (!made)
			return CUDA_ERROR_OUT_OF_MEMORY;
		made->library = found;
		made->kernel = described;
		made->dynamic_shared_max = PTX_SHARED_STATIC_MAX - described->shared_bytes;
		call.result = object_register(&made->object, OBJECT_KERNEL, NULL);
		if (call.result != CUDA_SUCCESS) {
			free(made);
			return call.result;
		}
		found->kernels[described->index] = made;
	}
	*kernel = HANDLE(CUkernel, made);
	return CUDA_SUCCESS;
}

CUresult cuLibraryGetGlobal(CUdeviceptr *address, size_t *bytes, CUlibrary library, const char *name)
{
	CALL_BEGIN(call, NEED_CONTEXT);
	struct library *found = object_find(library, OBJECT_LIBRARY);
	struct module *module = NULL;

	if (!name)
		return CUDA_ERROR_INVALID_VALUE;
	if (!found)
		return CUDA_ERROR_INVALID_HANDLE;
	call.result = library_module(call.context, found, &module);
	return call.result == CUDA_SUCCESS ? module_global(module, name, address, bytes) : call.result;
}

CUresult cuLibraryGetManaged(CUdeviceptr *address, size_t *bytes, CUlibrary library, const char *name)
{
	/* PTX marks managed variables with an attribute only; every global here can be read by the host. */
	return cuLibraryGetGlobal(address, bytes, library, name);
}

CUresult function_find(struct context *context, CUfunction handle, struct function **ret_function)
{
	struct function *function = object_find(handle, OBJECT_FUNCTION);
	struct kernel *kernel = object_find(handle, OBJECT_KERNEL);
	struct module *module = NULL;
	CUresult result;

	if (function) {
		if (function->object.context != context)
			return CUDA_ERROR_INVALID_HANDLE;
		*ret_function = function;
		return CUDA_SUCCESS;
	}
	if (!kernel)
		return CUDA_ERROR_INVALID_HANDLE;
	result = library_module(context, kernel->library, &module);
	if (result == CUDA_SUCCESS)
		result = module_function(module, kernel->kernel, ret_function);
	if (result == CUDA_SUCCESS && (*ret_function)->dynamic_shared_max < kernel->dynamic_shared_max)
		(*ret_function)->dynamic_shared_max = kernel->dynamic_shared_max;
	return result;
}
