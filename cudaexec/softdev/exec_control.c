/* The flow of control: groups of lanes, frames, barriers, the loop. */
#include "cudaexec/softdev/exec.h"
#include "supervisor/util.h"

#include <stdarg.h>
#include <string.h>

enum exec_step exec_fault(struct exec_warp *warp, enum ptx_status status, unsigned lane, const char *format, ...)
{
	struct exec_block *block = warp->block;
	struct exec_run *run = block->run;
	int expected = PTX_OK;
	uint32_t warp_index = (uint32_t)(warp - block->warps), thread = warp_index * PTX_WARP + lane;
	const uint32_t *size = run->launch->block;
	char text[256];
	va_list list;

	if (!atomic_compare_exchange_strong(&run->status, &expected, (int)status))
		return STEP_FAULT;
	va_start(list, format);
	(void)vsnprintf(text, sizeof(text), format, list);
	va_end(list);
	/* Only the worker that set the status writes the log. */
	ptx_log_add(run->log, "kernel '%.200s', block (%u,%u,%u), thread (%u,%u,%u), line %u: %s\n",
		    run->function->kernel.name, block->index[0], block->index[1], block->index[2], thread % size[0],
		    thread / size[0] % size[1], thread / size[0] / size[1],
		    warp->pc > 0 ? warp->frame->function->lines[warp->pc - 1] : 0, text);
	return STEP_FAULT;
}

/* --- groups ------------------------------------------------------------------------------------------------------- */

static void add_group(struct exec_warp *warp, struct exec_frame *frame, uint32_t pc, uint32_t mask)
{
	for (uint32_t i = 0; i < warp->group_count; i++) {
		struct exec_group *group = &warp->groups[i];

		if (group->frame == frame && group->pc == pc && group->state != GROUP_BARRIER) {
			group->mask |= mask;
			group->state = GROUP_READY;
			return;
		}
	}
	warp->groups[warp->group_count++] = (struct exec_group){.frame = frame, .pc = pc, .mask = mask};
}

static void remove_group(struct exec_warp *warp, uint32_t i)
{
	warp->groups[i] = warp->groups[--warp->group_count];
}

/* Puts the running group back among the others. */
static void park(struct exec_warp *warp)
{
	if (warp->mask)
		add_group(warp, warp->frame, warp->pc, warp->mask);
	warp->mask = 0;
}

/* The group that runs next: the deepest and lowest, or, for fairness, any other than the last. */
static int choose_group(struct exec_warp *warp, bool rotate)
{
	int best = -1;

	for (uint32_t n = 0; n < warp->group_count; n++) {
		uint32_t i = rotate ? (warp->last_group + 1 + n) % warp->group_count : n;
		const struct exec_group *group = &warp->groups[i], *other = best < 0 ? NULL : &warp->groups[best];

		if (group->state != GROUP_READY)
			continue;
		if (rotate)
			return (int)i;
		if (!other || group->frame->depth > other->frame->depth ||
		    (group->frame->depth == other->frame->depth && group->pc < other->pc))
			best = (int)i;
	}
	return best;
}

/* The next place of this frame at which another group waits. */
static uint32_t find_limit(const struct exec_warp *warp)
{
	uint32_t limit = UINT32_MAX;

	for (uint32_t i = 0; i < warp->group_count; i++) {
		const struct exec_group *group = &warp->groups[i];

		if (group->frame == warp->frame && group->state != GROUP_BARRIER && group->pc > warp->pc)
			limit = MIN(limit, group->pc);
	}
	return limit;
}

static void enter_frame(struct exec_warp *warp, struct exec_frame *frame)
{
	warp->frame = frame;
	warp->code = frame->function->insns;
	warp->base[0] = frame->registers;
	warp->base[1] = frame->constants;
	warp->full = frame->live;
}

static bool resume(struct exec_warp *warp, bool rotate)
{
	int i = choose_group(warp, rotate);

	if (i < 0)
		return false;
	warp->last_group = (uint32_t)i;
	warp->mask = warp->groups[i].mask;
	warp->pc = warp->groups[i].pc;
	enter_frame(warp, warp->groups[i].frame);
	remove_group(warp, (uint32_t)i);
	warp->limit = find_limit(warp);
	warp->ticks = EXEC_TURN;
	for (uint32_t slot = 0; slot < sizeof(warp->rows) / sizeof(warp->rows[0]); slot++)
		warp->rows[slot].valid = false;
	return true;
}

/* --- branches and the end of threads ------------------------------------------------------------------------------ */

enum exec_step op_BRA(struct exec_warp *warp, const struct ptx_insn *insn, uint32_t mask)
{
	uint32_t target = (uint32_t)insn->imm;

	if (mask == warp->mask) {
		warp->pc = target;
		return warp->group_count ? STEP_SWITCH : STEP_NEXT;
	}
	add_group(warp, warp->frame, target, mask);
	warp->mask &= ~mask;
	return STEP_SWITCH;
}

static void drop_dead_frames(struct exec_warp *warp)
{
	while (warp->top->live == 0 && warp->top->below)
		warp->top = warp->top->below;
}

static void release_barriers(struct exec_block *block);

enum exec_step op_EXIT(struct exec_warp *warp, const struct ptx_insn *insn, uint32_t mask)
{
	(void)insn;
	warp->frame->live &= ~mask;
	for (struct exec_frame *frame = warp->frame->parent; frame; frame = frame->parent)
		frame->live &= ~mask;
	warp->full = warp->frame->live;
	warp->mask &= ~mask;
	warp->live &= ~mask;
	warp->block->live_threads -= (uint32_t)__builtin_popcount(mask);
	drop_dead_frames(warp);
	release_barriers(warp->block);
	return warp->mask && warp->group_count == 0 ? STEP_NEXT : STEP_SWITCH;
}

enum exec_step op_TRAP(struct exec_warp *warp, const struct ptx_insn *insn, uint32_t mask)
{
	(void)insn;
	return exec_fault(warp, PTX_ILLEGAL_INSTRUCTION, exec_first_lane(mask), "trap");
}

enum exec_step op_NOP(struct exec_warp *warp, const struct ptx_insn *insn, uint32_t mask)
{
	(void)warp, (void)insn, (void)mask;
	return STEP_NEXT;
}

enum exec_step op_FENCE(struct exec_warp *warp, const struct ptx_insn *insn, uint32_t mask)
{
	(void)warp, (void)insn, (void)mask;
	atomic_thread_fence(memory_order_seq_cst);
	return STEP_NEXT;
}

/* --- calls -------------------------------------------------------------------------------------------------------- */

static void copy_values(const struct exec_warp *warp, const struct ptx_copy *copies, uint32_t count, uint32_t from,
			uint32_t to, uint32_t mask)
{
	for (uint32_t i = 0; i < count; i++)
		for (uint32_t bits = mask; bits; bits &= bits - 1) {
			uint8_t *lane = warp->local + (size_t)exec_first_lane(bits) * warp->block->local_stride;

			memmove(lane + to + copies[i].to, lane + from + copies[i].from, copies[i].size);
		}
}

/* A frame of FUNCTION on the stack of the warp; NULL when there is no room. */
static struct exec_frame *push_frame(struct exec_warp *warp, const struct ptx_function *function, uint8_t *constants)
{
	uint8_t *end = warp->top->registers + warp->top->function->register_bytes;
	struct exec_frame *frame =
		(struct exec_frame *)(void *)(warp->stack + (((size_t)(end - warp->stack) + 63) & ~63ull));
	size_t room = warp->block->run->function->register_bytes + EXEC_STACK;
	uint32_t local_base = warp->frame->local_base + warp->frame->function->local_bytes;

	if ((size_t)((uint8_t *)frame - warp->stack) + 256 + function->register_bytes > room ||
	    local_base + function->local_bytes > warp->block->local_stride)
		return NULL;
	*frame = (struct exec_frame){.function = function,
				     .registers = (uint8_t *)frame + 128,
				     .constants = constants,
				     .parent = warp->frame,
				     .below = warp->top,
				     .return_pc = warp->pc,
				     .depth = warp->frame->depth + 1,
				     .local_base = local_base};
	warp->top = frame;
	return frame;
}

/* One function for the lanes of MASK. */
static enum exec_step call_function(struct exec_warp *warp, const struct ptx_call *call, uint32_t index, uint32_t mask)
{
	const struct ptx_module *module = warp->block->run->module;
	const struct ptx_function *function = module->program->functions[index];
	struct exec_frame *frame;

	if (function->builtin)
		return exec_builtin(warp, function, call, mask);
	for (uint32_t i = 0; i < call->arg_count; i++)
		if (call->args[i].to + call->args[i].size > function->args_bytes)
			return exec_fault(warp, PTX_INVALID_PC, exec_first_lane(mask),
					  "call of '%.100s' with other parameters than it has", function->kernel.name);
	for (uint32_t i = 0; i < call->ret_count; i++)
		if (call->rets[i].from + call->rets[i].size > function->args_bytes)
			return exec_fault(warp, PTX_INVALID_PC, exec_first_lane(mask),
					  "call of '%.100s' with another result than it has", function->kernel.name);
	frame = push_frame(warp, function, module->constants[index]);
	if (!frame)
		return exec_fault(warp, PTX_HARDWARE_STACK_ERROR, exec_first_lane(mask),
				  "no stack left for a call of '%.100s' (depth %u)", function->kernel.name,
				  warp->frame->depth + 1);
	frame->call = call;
	frame->live = mask;
	copy_values(warp, call->args, call->arg_count, warp->frame->local_base, frame->local_base, mask);
	warp->mask &= ~mask;
	add_group(warp, frame, 0, mask);
	return STEP_SWITCH;
}

enum exec_step op_CALL(struct exec_warp *warp, const struct ptx_insn *insn, uint32_t mask)
{
	const struct ptx_call *call = &warp->frame->function->calls[insn->imm];
	uint32_t count = warp->block->run->module->program->function_count;
	enum exec_step step = STEP_NEXT, one;
	const uint64_t *targets;

	if (call->function != UINT32_MAX)
		return call_function(warp, call, call->function, mask);
	targets = exec_lanes(warp, insn->a);
	/* Lanes with the same target go together. */
	while (mask) {
		uint64_t target = targets[exec_first_lane(mask)];
		uint64_t index = (target - PTX_FUNCTION_ADDRESS(0)) / 16;
		uint32_t same = 0;

		if (index >= count || target != PTX_FUNCTION_ADDRESS(index) ||
		    warp->block->run->module->program->functions[index]->entry)
			return exec_fault(warp, PTX_INVALID_PC, exec_first_lane(mask),
					  "call of 0x%llx, which is no function", (unsigned long long)target);
		for (uint32_t bits = mask; bits; bits &= bits - 1)
			same |= targets[exec_first_lane(bits)] == target ? 1u << exec_first_lane(bits) : 0;
		one = call_function(warp, call, (uint32_t)index, same);
		if (one == STEP_FAULT)
			return one;
		step = MAX(step, one);
		mask &= ~same;
	}
	return step;
}

enum exec_step op_RET(struct exec_warp *warp, const struct ptx_insn *insn, uint32_t mask)
{
	struct exec_frame *frame = warp->frame;

	(void)insn;
	copy_values(warp, frame->call->rets, frame->call->ret_count, frame->local_base, frame->parent->local_base,
		    mask);
	frame->live &= ~mask;
	warp->mask &= ~mask;
	warp->full = frame->live;
	add_group(warp, frame->parent, frame->return_pc, mask);
	drop_dead_frames(warp);
	return STEP_SWITCH;
}

/* --- barriers ----------------------------------------------------------------------------------------------------- */

/* Lets the threads of a complete barrier go on, with the results of reductions. */
static void open_barrier(struct exec_block *block, uint32_t number)
{
	struct exec_barrier *barrier = &block->barriers[number];

	for (uint32_t w = 0; w < block->warp_count; w++) {
		struct exec_warp *warp = &block->warps[w];

		for (uint32_t i = 0; i < warp->group_count; i++) {
			struct exec_group *group = &warp->groups[i];
			const struct ptx_insn *insn = group->reduction;

			if (group->state != GROUP_BARRIER || group->barrier != number)
				continue;
			group->state = GROUP_READY;
			group->reduction = NULL;
			if (!insn)
				continue;
			if (insn->op == OP_BAR_RED_POPC) {
				uint32_t *lanes = (uint32_t *)(void *)(group->frame->registers + insn->dst);

				for (uint32_t bits = group->mask; bits; bits &= bits - 1)
					lanes[exec_first_lane(bits)] = barrier->popc;
			} else {
				uint32_t *predicate = (uint32_t *)(void *)(group->frame->registers + insn->dst);
				bool value = insn->op == OP_BAR_RED_AND ? barrier->all : barrier->any;

				*predicate = (*predicate & ~group->mask) | (value ? group->mask : 0);
			}
		}
	}
	*barrier = (struct exec_barrier){.all = true};
	block->barriers_used &= ~(1u << number);
}

/* Opens every barrier at which all threads that live, or as many as it wants, have arrived. */
static void release_barriers(struct exec_block *block)
{
	for (uint32_t bits = block->barriers_used; bits; bits &= bits - 1) {
		const struct exec_barrier *barrier = &block->barriers[exec_first_lane(bits)];
		uint32_t wanted = barrier->expected ? MIN(barrier->expected, block->live_threads) : block->live_threads;

		if (barrier->arrived >= wanted)
			open_barrier(block, exec_first_lane(bits));
	}
}

/* Enters the lanes of MASK into the barrier of the instruction; true with its number. */
static bool arrive(struct exec_warp *warp, const struct ptx_insn *insn, uint32_t mask, uint32_t *ret_number)
{
	unsigned lane = exec_first_lane(mask);
	uint32_t number = ((const uint32_t *)exec_lanes(warp, insn->a))[lane], count = 0;
	struct exec_barrier *barrier;

	if (insn->b != PTX_OPERAND_NONE)
		count = ((const uint32_t *)exec_lanes(warp, insn->b))[lane];
	if (number >= EXEC_BARRIERS || count > PTX_BLOCK_THREADS_MAX || count % PTX_WARP != 0) {
		(void)exec_fault(warp, PTX_ILLEGAL_INSTRUCTION, lane, "barrier %u for %u threads", number, count);
		return false;
	}
	barrier = &warp->block->barriers[number];
	barrier->arrived += (uint32_t)__builtin_popcount(mask);
	barrier->expected = count;
	warp->block->barriers_used |= 1u << number;
	*ret_number = number;
	return true;
}

static enum exec_step wait_at_barrier(struct exec_warp *warp, const struct ptx_insn *insn, uint32_t mask,
				      bool reduction)
{
	uint32_t number = 0;

	if (!arrive(warp, insn, mask, &number))
		return STEP_FAULT;
	warp->groups[warp->group_count++] = (struct exec_group){.frame = warp->frame,
								.pc = warp->pc,
								.mask = mask,
								.state = GROUP_BARRIER,
								.barrier = (uint8_t)number,
								.reduction = reduction ? insn : NULL};
	warp->mask &= ~mask;
	release_barriers(warp->block);
	return STEP_SWITCH;
}

enum exec_step op_BAR_SYNC(struct exec_warp *warp, const struct ptx_insn *insn, uint32_t mask)
{
	return wait_at_barrier(warp, insn, mask, false);
}

enum exec_step op_BAR_ARRIVE(struct exec_warp *warp, const struct ptx_insn *insn, uint32_t mask)
{
	uint32_t number = 0;

	if (!arrive(warp, insn, mask, &number))
		return STEP_FAULT;
	release_barriers(warp->block);
	return STEP_NEXT;
}

static enum exec_step reduce_at_barrier(struct exec_warp *warp, const struct ptx_insn *insn, uint32_t mask)
{
	uint32_t number = ((const uint32_t *)exec_lanes(warp, insn->a))[exec_first_lane(mask)];
	uint32_t value = exec_predicate(warp, insn->c) ^ (insn->sub ? EXEC_ALL : 0);

	if (number < EXEC_BARRIERS) {
		struct exec_barrier *barrier = &warp->block->barriers[number];

		barrier->popc += (uint32_t)__builtin_popcount(value & mask);
		barrier->all &= (value & mask) == mask;
		barrier->any |= (value & mask) != 0;
	}
	return wait_at_barrier(warp, insn, mask, true);
}

enum exec_step op_BAR_RED_POPC(struct exec_warp *warp, const struct ptx_insn *insn, uint32_t mask)
{
	return reduce_at_barrier(warp, insn, mask);
}

enum exec_step op_BAR_RED_AND(struct exec_warp *warp, const struct ptx_insn *insn, uint32_t mask)
{
	return reduce_at_barrier(warp, insn, mask);
}

enum exec_step op_BAR_RED_OR(struct exec_warp *warp, const struct ptx_insn *insn, uint32_t mask)
{
	return reduce_at_barrier(warp, insn, mask);
}

/*
 * Waits until the lanes of the mask are here. Lanes that cannot come because everything waits are not waited for: that
 * is what the loop means with force_sync.
 */
enum exec_step op_BAR_WARP(struct exec_warp *warp, const struct ptx_insn *insn, uint32_t mask)
{
	uint32_t members = ((const uint32_t *)exec_lanes(warp, insn->a))[exec_first_lane(mask)];

	if ((members & warp->live & ~mask) == 0 || warp->force_sync) {
		warp->force_sync = false;
		return STEP_NEXT;
	}
	warp->groups[warp->group_count++] =
		(struct exec_group){.frame = warp->frame, .pc = warp->pc - 1, .mask = mask, .state = GROUP_WARP_SYNC};
	warp->mask &= ~mask;
	return STEP_SWITCH;
}

/* --- the loop ----------------------------------------------------------------------------------------------------- */

/* Runs the current group until groups change, its turn is over, or something fails. */
static enum exec_step run_group(struct exec_warp *warp)
{
	const exec_handler *handlers = warp->handlers;
	enum exec_step step;

	while (warp->ticks-- > 0) {
		const struct ptx_insn *insn = warp->code + warp->pc++;
		uint32_t mask = warp->mask;

		if (insn->guard) {
			uint32_t guard = ((const uint32_t *)(void *)warp->base[0])[insn->guard / 2 - 1];

			mask &= insn->guard & 1 ? ~guard : guard;
		}
		if (__builtin_expect(mask != 0, 1)) {
			step = handlers[insn->op](warp, insn, mask);
			if (__builtin_expect(step != STEP_NEXT, 0))
				return step;
		}
		if (__builtin_expect(warp->pc == warp->limit, 0))
			return STEP_SWITCH;
	}
	warp->ticks = 0;
	return STEP_NEXT;
}

/* When every group waits, a warp barrier that can never be complete is let through. */
static bool force_warp_sync(struct exec_warp *warp)
{
	int best = -1;

	for (uint32_t i = 0; i < warp->group_count; i++)
		if (warp->groups[i].state == GROUP_WARP_SYNC &&
		    (best < 0 || warp->groups[i].pc < warp->groups[best].pc))
			best = (int)i;
	if (best < 0)
		return false;
	warp->groups[best].state = GROUP_READY;
	warp->force_sync = true;
	return true;
}

/* Takes instructions from what is left of the launch; false when nothing is. */
static bool take_budget(struct exec_block *block)
{
	struct exec_run *run = block->run;
	long long left = atomic_load(&run->budget), part;

	if (run->launch->instruction_budget == 0 || block->budget > 0)
		return true;
	do {
		if (left <= 0)
			return false;
		/* Not everything at once: other workers need some too. */
		part = MIN((long long)EXEC_TURN, left / (2 * (long long)run->workers) + 1);
	} while (!atomic_compare_exchange_weak(&run->budget, &left, left - part));
	block->budget = (uint64_t)part;
	return true;
}

/* Gives back what a turn has left over. */
static void return_budget(struct exec_block *block)
{
	atomic_fetch_add(&block->run->budget, (long long)block->budget);
	block->budget = 0;
}

static void count_instructions(struct exec_block *block, uint32_t count)
{
	block->instructions += count;
	if (block->run->launch->instruction_budget)
		block->budget -= MIN((uint64_t)count, block->budget);
}

/* One turn of a warp. */
static enum exec_step run_warp(struct exec_warp *warp)
{
	struct exec_block *block = warp->block;
	uint32_t slice = EXEC_SLICE, before;
	bool rotate = false;
	enum exec_step step;

	while (slice > 0) {
		if (!take_budget(block)) {
			warp->frame = warp->top;
			warp->pc = 0;
			return exec_fault(warp, PTX_LAUNCH_TIMEOUT, 0, "the instruction budget of %llu is used up",
					  (unsigned long long)block->run->launch->instruction_budget);
		}
		if (!resume(warp, rotate) && !(force_warp_sync(warp) && resume(warp, false)))
			break;
		warp->ticks = MIN(warp->ticks, slice);
		if (block->run->launch->instruction_budget)
			warp->ticks = (uint32_t)MIN((uint64_t)warp->ticks, block->budget);
		before = warp->ticks;
		step = run_group(warp);
		count_instructions(block, before - warp->ticks);
		slice -= MIN(slice, before - warp->ticks);
		if (step == STEP_FAULT)
			return step;
		rotate = step == STEP_NEXT;
		park(warp);
	}
	return_budget(block);
	return STEP_NEXT;
}

static bool warp_can_run(const struct exec_warp *warp)
{
	for (uint32_t i = 0; i < warp->group_count; i++)
		if (warp->groups[i].state != GROUP_BARRIER)
			return true;
	return false;
}

bool exec_block_run(struct exec_block *block)
{
	bool any = false;

	for (uint32_t w = 0; w < block->warp_count; w++) {
		struct exec_warp *warp = &block->warps[w];

		if (!warp_can_run(warp))
			continue;
		any = true;
		if (atomic_load_explicit(&block->run->status, memory_order_relaxed) != PTX_OK ||
		    run_warp(warp) == STEP_FAULT)
			return true;
	}
	if (block->live_threads == 0)
		return true;
	if (!any) {
		block->warps[0].frame = block->warps[0].top;
		block->warps[0].pc = 0;
		(void)exec_fault(&block->warps[0], PTX_LAUNCH_FAILED, 0, "every thread waits at a barrier");
		return true;
	}
	return false;
}

/* --- start -------------------------------------------------------------------------------------------------------- */

static void fill(uint8_t *specials, enum ptx_special place, uint32_t value)
{
	uint32_t *lanes = (uint32_t *)(void *)(specials + place * PTX_SPECIAL_BYTES);

	for (unsigned i = 0; i < PTX_WARP; i++)
		lanes[i] = value;
}

void exec_block_start(struct exec_block *block, uint64_t number)
{
	const uint32_t *grid = block->run->launch->grid;
	uint8_t *specials = block->warps[0].base[3];

	block->index[0] = (uint32_t)(number % grid[0]);
	block->index[1] = (uint32_t)(number / grid[0] % grid[1]);
	block->index[2] = (uint32_t)(number / grid[0] / grid[1]);
	for (unsigned i = 0; i < 3; i++)
		fill(specials, SPECIAL_CTAID_X + i, block->index[i]);
	block->barriers_used = 0;
	block->live_threads = block->run->threads;
	for (uint32_t i = 0; i < EXEC_BARRIERS; i++)
		block->barriers[i] = (struct exec_barrier){.all = true};
	for (uint32_t w = 0; w < block->warp_count; w++) {
		struct exec_warp *warp = &block->warps[w];
		struct exec_frame *frame = (struct exec_frame *)(void *)warp->stack;

		frame->live = warp->live = warp->threads;
		frame->parent = frame->below = NULL;
		warp->top = frame;
		warp->mask = 0;
		warp->force_sync = false;
		warp->group_count = 0;
		add_group(warp, frame, 0, warp->threads);
	}
}
