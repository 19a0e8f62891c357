#include "cudaexec/runner/kernel_list.h"

#include "cudaexec/softdev/engine.h"
#include "cudaexec/softdev/fatbin.h"
#include "supervisor/str.h"
#include "supervisor/util.h"

#include <string.h>

struct kernel_signature *kernel_list_add(struct kernel_list *list, const char *name, size_t n_params, struct err *err)
{
	struct kernel_signature *bigger, *kernel;

	if (list->count == KERNEL_LIST_MAX || n_params > KERNEL_PARAMS_MAX) {
		(void)err_set(err, E2BIG, "more than %d kernels, or a kernel of more than %d parameters",
			      KERNEL_LIST_MAX, KERNEL_PARAMS_MAX);
		return NULL;
	}
	bigger = reallocarray(list->kernels, list->count + 1, sizeof(*bigger));
	if (bigger)
		list->kernels = bigger;
	kernel = bigger ? &bigger[list->count] : NULL;
	if (kernel) {
		kernel->name = strdup(name);
		kernel->n_params = n_params;
		kernel->param_sizes = calloc(n_params + 1, sizeof(*kernel->param_sizes));
		list->count++;
	}
	if (!kernel || !kernel->name || !kernel->param_sizes) {
		(void)err_sys(err, ENOMEM, "list the kernels");
		return NULL;
	}
	return kernel;
}

static int read_ptx(const char *text, size_t length, struct kernel_list *list, struct err *err)
{
	struct ptx_program *program = NULL;
	struct ptx_log log = PTX_LOG_INIT;
	enum ptx_status status = ptx_parse(text, length, &program, &log);
	int r = 0;

	if (status == PTX_OUT_OF_MEMORY)
		return err_sys(err, ENOMEM, "PTX");
	if (status != PTX_OK)
		return err_set(err, EINVAL, "PTX: %.*s", (int)strcspn(log.text, "\n"), log.text);
	for (uint32_t i = 0; r == 0 && i < ptx_program_kernel_count(program); i++) {
		const struct ptx_kernel *k = ptx_program_kernel(program, i);
		struct kernel_signature *signature = kernel_list_add(list, k->name, k->param_count, err);

		if (!signature)
			r = -EINVAL;
		for (uint32_t p = 0; signature && p < k->param_count; p++)
			signature->param_sizes[p] = k->params[p].size;
	}
	ptx_program_free(program);
	return r;
}

/* What runs is decided by the driver; the kernels are the same in every text of a fat binary. */
#define ANY_TARGET 1000

static int read_fatbin(const void *image, size_t length, struct kernel_list *list, struct err *err)
{
	_cleanup_free_ char *text = NULL;
	size_t text_length = 0;
	int r = fatbin_extract_ptx(image, length, ANY_TARGET, &text, &text_length, err);

	if (r == -ENOEXEC)
		return err_set(err, EINVAL,
			       "fat binary without PTX: its kernels cannot be checked; build it with PTX in it "
			       "(nvcc -gencode arch=compute_75,code=compute_75), or as a .cubin");
	if (r < 0) {
		(void)err_wrap(err, "fat binary");
		return r == -ENOMEM ? r : -EINVAL;
	}
	return read_ptx(text, text_length, list, err);
}

int kernel_list_read(const void *image, size_t length, struct kernel_list **ret_list, struct err *err)
{
	_cleanup_(kernel_list_release) struct kernel_list *list = calloc(1, sizeof(*list));
	int r;

	if (!list)
		return err_sys(err, ENOMEM, "list the kernels");
	switch (image_recognise(image, length)) {
	case IMAGE_ELF:
		r = cubin_read_kernels(image, length, list, err);
		break;
	case IMAGE_FATBIN:
		r = read_fatbin(image, length, list, err);
		break;
	case IMAGE_FATBIN_WRAPPER:
		return err_set(err, EINVAL,
			       "a fat binary in its wrapper, which holds a pointer: write it with nvcc -fatbin");
	default:
		r = read_ptx(image, length, list, err);
		break;
	}
	if (r < 0)
		return r;
	*ret_list = take_ptr(list);
	return 0;
}
