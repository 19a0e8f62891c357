#include "cudaexec/runner/manifest_parts.h"
#include "supervisor/str.h"
#include "supervisor/util.h"

#include <string.h>

#define POINTER_SIZE 8

static const struct kernel_signature *find_kernel(const struct kernel_list *list, const char *name)
{
	for (size_t i = 0; i < list->count; i++)
		if (strcmp(list->kernels[i].name, name) == 0)
			return &list->kernels[i];
	return NULL;
}

static int fail_no_kernel(struct section *s, const struct kernel_list *list, const char *name)
{
	_cleanup_free_ const char **names = calloc(list->count + 1, sizeof(*names));
	const char *nearest = NULL;
	char shown[128], suggestion[128];

	for (size_t i = 0; names && i < list->count; i++)
		names[i] = list->kernels[i].name;
	if (names)
		nearest = str_nearest(name, names);
	if (!nearest && list->count == 1)
		nearest = list->kernels[0].name;
	(void)section_enter_key(s, "kernel");
	(void)str_escape(shown, sizeof(shown), name, strlen(name));
	if (!nearest)
		return section_fail(s, EINVAL, "the module has no kernel \"%s\" (it has %zu others)", shown,
				    list->count);
	return section_fail(s, EINVAL, "the module has no kernel \"%s\" (did you mean \"%s\"?)", shown,
			    str_escape(suggestion, sizeof(suggestion), nearest, strlen(nearest)));
}

/* What an argument is called in an error. */
static const char *describe_arg(const struct manifest *m, const struct manifest_arg *arg, char *buffer, size_t size)
{
	if (arg->kind == MANIFEST_ARG_TENSOR)
		(void)snprintf(buffer, size, "the device pointer of \"%s\"", m->tensors[arg->tensor].name);
	else if (arg->kind == MANIFEST_ARG_SCALAR)
		(void)snprintf(buffer, size, "\"%s\" (%s)", m->tensors[arg->tensor].name,
			       datatype_names[arg->datatype]);
	else
		(void)snprintf(buffer, size, "a value of type %s", datatype_names[arg->datatype]);
	return buffer;
}

static int check_launch(struct section *s, const struct manifest *m, const struct manifest_launch *l,
			const struct kernel_list *kernels)
{
	const struct kernel_signature *kernel = find_kernel(kernels, l->kernel);
	char shown[128], described[128];

	if (!kernel)
		return fail_no_kernel(s, kernels, l->kernel);
	(void)str_escape(shown, sizeof(shown), l->kernel, strlen(l->kernel));
	(void)section_enter_key(s, "args");
	if (kernel->n_params != l->n_args)
		return section_fail(s, EINVAL, "kernel \"%s\" takes %zu arguments, the launch gives it %zu", shown,
				    kernel->n_params, l->n_args);
	for (size_t i = 0; i < l->n_args; i++) {
		const struct manifest_arg *arg = &l->args[i];
		size_t size = arg->kind == MANIFEST_ARG_TENSOR ? POINTER_SIZE : datatype_size(arg->datatype);

		if (size == kernel->param_sizes[i])
			continue;
		(void)section_enter_index(s, i);
		return section_fail(s, EINVAL, "parameter %zu of kernel \"%s\" has %zu bytes, %s has %zu", i, shown,
				    kernel->param_sizes[i], describe_arg(m, arg, described, sizeof(described)), size);
	}
	return 0;
}

int manifest_check_kernels(const struct manifest *manifest, const struct kernel_list *kernels, struct err *err)
{
	for (size_t i = 0; i < manifest->n_launches; i++) {
		struct section s = {.err = err};
		int r;

		(void)snprintf(s.place, sizeof(s.place), "cuda.launch[%zu]", i);
		r = check_launch(&s, manifest, &manifest->launches[i], kernels);
		if (r < 0)
			return r;
	}
	return 0;
}

struct kernel_list *kernel_list_free(struct kernel_list *list)
{
	if (!list)
		return NULL;
	for (size_t i = 0; i < list->count; i++) {
		free(list->kernels[i].name);
		free(list->kernels[i].param_sizes);
	}
	free(list->kernels);
	free(list);
	return NULL;
}

void kernel_list_release(struct kernel_list **list)
{
	*list = kernel_list_free(*list);
}
