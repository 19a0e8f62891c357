#include "cudaexec/runner/launch.h"

#include "supervisor/str.h"
#include "supervisor/util.h"

#include <string.h>

/* Limits of every CUDA device since compute capability 3.0. */
#define BLOCK_THREADS_MAX 1024
static const int64_t grid_max[3] = {INT32_MAX, 65535, 65535};
static const int64_t block_max[3] = {1024, 1024, 64};
static const char axes[3] = {'x', 'y', 'z'};

static int fail(const struct request *r, size_t index, struct err *err)
{
	const struct manifest_launch *l = &r->manifest->launches[index];
	char shown[128];

	(void)err_wrap(err, "launch %zu (kernel \"%s\")", index,
		       str_escape(shown, sizeof(shown), l->kernel, strlen(l->kernel)));
	return -EINVAL;
}

static bool has_empty_tensor(const struct request *r)
{
	for (size_t i = 0; i < r->manifest->n_tensors; i++)
		if (r->tensors[i].count == 0)
			return true;
	return false;
}

static int plan_extent(const struct request *r, struct expr *const *extent, const char *what, const int64_t *max,
		       int64_t min, unsigned *ret_extent, struct err *err)
{
	for (size_t i = 0; i < 3; i++) {
		int64_t value;

		if (expr_eval(extent[i], r->symbols, &value, err) < 0) {
			(void)err_wrap(err, "%s %c", what, axes[i]);
			return -EINVAL;
		}
		if (value < min || value > max[i])
			return err_set(err, EINVAL, "%s %c, %s, is %lld, possible are %lld to %lld", what, axes[i],
				       expr_text(extent[i]), (long long)value, (long long)min, (long long)max[i]);
		ret_extent[i] = (unsigned)value;
	}
	return 0;
}

static int plan_value(const struct request *r, const struct manifest_arg *arg, uint64_t *ret_word, struct err *err)
{
	int64_t value;

	switch (arg->kind) {
	case MANIFEST_ARG_TENSOR:
		return 0;
	case MANIFEST_ARG_SCALAR:
		memcpy(ret_word, r->tensors[arg->tensor].data, datatype_size(arg->datatype));
		return 0;
	case MANIFEST_ARG_NUMBER:
		if (arg->datatype == DATATYPE_BOOL)
			*(uint8_t *)ret_word = arg->number != 0;
		else
			(void)datatype_store_double(arg->datatype, arg->number, ret_word);
		return 0;
	default:
		if (expr_eval(arg->value, r->symbols, &value, err) < 0)
			return -EINVAL;
		if (!datatype_store_signed(arg->datatype, value, ret_word))
			return err_set(err, EINVAL, "%s is %lld, which does not fit %s", expr_text(arg->value),
				       (long long)value, datatype_names[arg->datatype]);
		return 0;
	}
}

int launch_plan(const struct request *r, size_t index, struct launch_plan *ret_plan, struct err *err)
{
	const struct manifest_launch *l = &r->manifest->launches[index];
	struct launch_plan plan = {.skip = false};
	int64_t shared;

	if (plan_extent(r, l->grid, "grid", grid_max, 0, plan.grid, err) < 0)
		return fail(r, index, err);
	plan.skip = plan.grid[0] == 0 || plan.grid[1] == 0 || plan.grid[2] == 0;
	if (plan_extent(r, l->block, "block", block_max, plan.skip ? 0 : 1, plan.block, err) < 0)
		return fail(r, index, err);
	if (plan.skip && !has_empty_tensor(r)) {
		(void)err_set(err, EINVAL, "grid is %ux%ux%u, although no tensor is empty", plan.grid[0], plan.grid[1],
			      plan.grid[2]);
		return fail(r, index, err);
	}
	if ((uint64_t)plan.block[0] * plan.block[1] * plan.block[2] > BLOCK_THREADS_MAX) {
		(void)err_set(err, EINVAL, "block is %ux%ux%u, more than %d threads", plan.block[0], plan.block[1],
			      plan.block[2], BLOCK_THREADS_MAX);
		return fail(r, index, err);
	}
	if (expr_eval(l->shared, r->symbols, &shared, err) < 0)
		return fail(r, index, err);
	if (shared < 0 || shared > INT32_MAX) {
		(void)err_set(err, EINVAL, "shared, %s, is %lld", expr_text(l->shared), (long long)shared);
		return fail(r, index, err);
	}
	plan.shared = (unsigned)shared;
	for (size_t i = 0; i < l->n_args; i++) {
		if (plan_value(r, &l->args[i], &plan.args[i], err) < 0) {
			(void)err_wrap(err, "argument %zu", i);
			return fail(r, index, err);
		}
	}
	*ret_plan = plan;
	return 0;
}
