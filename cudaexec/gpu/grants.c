#include "cudaexec/gpu/grants.h"

#include "supervisor/str.h"
#include "supervisor/util.h"

uint64_t grants_declared(const struct grants *grants, unsigned index)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < grants->count; i++)
		if (grants->list[i].mask >> index & 1)
			sum += grants->list[i].memory_bytes;
	return sum;
}

static uint64_t free_bytes(const struct grants *grants, const struct inventory *inventory, unsigned index)
{
	uint64_t total = inventory->gpus[index].memory_bytes, declared = grants_declared(grants, index);

	if (total == 0)
		return UINT64_MAX; /* the driver does not say: nothing can be checked */
	return declared < total ? total - declared : 0;
}

/* Whether a GPU takes that much more; the text says why not. */
static int check_room(const struct grants *grants, const struct inventory *inventory, unsigned index, uint64_t bytes,
		      struct err *err)
{
	uint64_t total = inventory->gpus[index].memory_bytes, available = free_bytes(grants, inventory, index);

	if (bytes <= available)
		return 0;
	return err_set(err, bytes > total ? -ENOSPC : -EAGAIN,
		       "GPU %u (%s) has %llu MiB free of %llu MiB, %llu MiB are asked for", index,
		       inventory->gpus[index].name, (unsigned long long)(available / MIB),
		       (unsigned long long)(total / MIB), (unsigned long long)((bytes + MIB - 1) / MIB));
}

/* Takes the GPUs with most room, one by one. */
static int choose(const struct grants *grants, const struct inventory *inventory, const struct grant_request *request,
		  uint64_t *ret_mask, struct err *err)
{
	uint64_t mask = 0;

	if (request->count > inventory->count)
		return err_set(err, -ENODEV, "%u GPUs are asked for, this machine has %u", request->count,
			       inventory->count);
	for (unsigned n = 0; n < request->count; n++) {
		unsigned best = inventory->count;

		for (unsigned i = 0; i < inventory->count; i++)
			if (!(mask >> i & 1) &&
			    (best == inventory->count ||
			     free_bytes(grants, inventory, i) > free_bytes(grants, inventory, best)))
				best = i;
		mask |= UINT64_C(1) << best;
	}
	*ret_mask = mask;
	return 0;
}

static int reserve(struct grants *grants, struct err *err)
{
	unsigned room = grants->room ? grants->room * 2 : 64;
	struct grant *list;

	if (grants->count < grants->room)
		return 0;
	if (grants->count == GRANTS_MAX)
		return err_set(err, -ENOMEM, "%u instances hold a GPU, more are not served", grants->count);
	list = reallocarray(grants->list, room, sizeof(*list));
	if (!list)
		return err_set(err, -ENOMEM, "no memory for another holder of a GPU");
	grants->list = list;
	grants->room = room;
	return 0;
}

int grants_add(struct grants *grants, const struct inventory *inventory, const struct grant_request *request,
	       const struct grant **ret_grant, struct err *err)
{
	uint64_t mask = request->visible.mask;
	struct grant *grant;
	int code = 0;

	if (request->visible.kind == VISIBLE_ALL)
		code = choose(grants, inventory, request, &mask, err);
	for (unsigned i = 0; i < inventory->count && code == 0; i++)
		if (mask >> i & 1)
			code = check_room(grants, inventory, i, request->memory_bytes, err);
	if (code == 0)
		code = reserve(grants, err);
	if (code < 0)
		return code;
	grant = &grants->list[grants->count++];
	*grant = (struct grant){
		.id = ++grants->last_id,
		.mask = mask,
		.memory_bytes = request->memory_bytes,
		.since_us = clock_realtime_us(),
	};
	(void)snprintf(grant->label, sizeof(grant->label), "%s", request->label);
	*ret_grant = grant;
	return 0;
}

int grants_restore(struct grants *grants, const struct inventory *inventory, const struct gpu_hold *hold,
		   const char *label, struct err *err)
{
	uint64_t all = inventory->count < 64 ? (UINT64_C(1) << inventory->count) - 1 : UINT64_MAX;
	int code;

	if (hold->grant == 0)
		return err_set(err, -EPROTO, "a grant without an id");
	for (unsigned i = 0; i < grants->count; i++)
		if (grants->list[i].id == hold->grant)
			return err_set(err, -EPROTO, "grant %llu twice", (unsigned long long)hold->grant);
	code = reserve(grants, err);
	if (code < 0)
		return code;
	grants->list[grants->count] = (struct grant){
		.id = hold->grant,
		.mask = hold->gpus & all,
		.memory_bytes = hold->memory_bytes,
		.since_us = hold->since_us,
	};
	(void)str_copy(grants->list[grants->count].label, GPU_LABEL_MAX, label);
	grants->count++;
	grants->last_id = MAX(grants->last_id, hold->grant);
	return 0;
}

void grants_set_profile(struct grants *grants, uint64_t id, uint32_t profile)
{
	for (unsigned i = 0; i < grants->count; i++)
		if (grants->list[i].id == id)
			grants->list[i].profile = profile;
}

bool grants_use_profile(const struct grants *grants, uint32_t profile)
{
	for (unsigned i = 0; i < grants->count; i++)
		if (grants->list[i].profile == profile)
			return true;
	return false;
}

void grants_remove(struct grants *grants, uint64_t id)
{
	for (unsigned i = 0; i < grants->count; i++) {
		if (grants->list[i].id == id) {
			grants->list[i] = grants->list[--grants->count];
			return;
		}
	}
}

void grants_clear(struct grants *grants)
{
	free(grants->list);
	*grants = (struct grants){.last_id = grants->last_id};
}
