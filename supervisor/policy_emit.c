#include "supervisor/policy.h"
#include "supervisor/util.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <string.h>
#include <sys/syscall.h>

#define DEFAULT_ACTION (SECCOMP_RET_ERRNO | EPERM)
#define UNKNOWN_ACTION (SECCOMP_RET_ERRNO | ENOSYS)

/* Jump targets inside the code of one call are labels until its end is known. */
#define LABELS_MAX 4096
#define NEXT	   UINT32_MAX /* the following instruction */

struct range {
	uint32_t first;	 /* call number */
	uint32_t action; /* when rule is -1 */
	int rule;	 /* first rule of a call with conditions, else -1 */
};

struct emitter {
	const struct policy *policy;
	struct policy_program *program;
	struct range ranges[2 * POLICY_NUMBERS_MAX + 2];
	unsigned n_ranges;
	/* Of the call whose code is being made. */
	uint32_t jump_true[POLICY_INSTRUCTIONS_MAX], jump_false[POLICY_INSTRUCTIONS_MAX];
	uint32_t label_at[LABELS_MAX];
	uint32_t n_labels;
	bool full;
};

static void put(struct emitter *e, uint16_t code, uint32_t k, uint32_t jump_true, uint32_t jump_false)
{
	unsigned at = e->program->n_instructions;

	if (at == POLICY_INSTRUCTIONS_MAX) {
		e->full = true;
		return;
	}
	e->program->instructions[at] = (struct sock_filter){.code = code, .k = k};
	e->jump_true[at] = jump_true;
	e->jump_false[at] = jump_false;
	e->program->n_instructions++;
}

static void put_return(struct emitter *e, uint32_t action)
{
	put(e, BPF_RET | BPF_K, action, NEXT, NEXT);
}

static uint32_t new_label(struct emitter *e)
{
	if (e->n_labels == LABELS_MAX) {
		e->full = true;
		return 0;
	}
	return e->n_labels++;
}

static void place_label(struct emitter *e, uint32_t label)
{
	e->label_at[label] = e->program->n_instructions;
}

/* Offsets of the halves of an argument; seccomp_data holds native 64-bit words. */
static uint32_t half(unsigned argument, bool upper)
{
	uint32_t base = (uint32_t)(offsetof(struct seccomp_data, args) + argument * sizeof(uint64_t));
	bool second = upper == (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__);

	return base + (second ? 4 : 0);
}

static void put_load(struct emitter *e, unsigned argument, bool upper)
{
	put(e, BPF_LD | BPF_W | BPF_ABS, half(argument, upper), NEXT, NEXT);
}

static void put_equal(struct emitter *e, uint64_t value, uint32_t yes, uint32_t no)
{
	put(e, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)value, yes, no);
}

/* Goes to label YES or NO; the parser made sure that the values of a set share their upper half. */
static void put_set(struct emitter *e, const struct policy_comparison *c, uint32_t yes, uint32_t no)
{
	const uint64_t *values = e->policy->values + c->values;

	if (c->whole) {
		put_load(e, c->argument, true);
		put_equal(e, values[0] >> 32, NEXT, no);
	}
	put_load(e, c->argument, false);
	for (unsigned i = 0; i < c->n_values; i++)
		put_equal(e, values[i], yes, i + 1 == c->n_values ? no : NEXT);
}

static void put_masked(struct emitter *e, const struct policy_comparison *c, uint32_t yes, uint32_t no)
{
	uint64_t value = e->policy->values[c->values];

	put_load(e, c->argument, false);
	put(e, BPF_ALU | BPF_AND | BPF_K, (uint32_t)c->mask, NEXT, NEXT);
	if (!c->whole || (c->mask >> 32 == 0 && value >> 32 == 0)) {
		put_equal(e, value, yes, no);
		return;
	}
	put_equal(e, value, NEXT, no);
	put_load(e, c->argument, true);
	put(e, BPF_ALU | BPF_AND | BPF_K, (uint32_t)(c->mask >> 32), NEXT, NEXT);
	put_equal(e, value >> 32, yes, no);
}

static void put_comparison(struct emitter *e, const struct policy_comparison *c, uint32_t yes, uint32_t no)
{
	switch (c->operator) {
	case POLICY_MASKED:
		put_masked(e, c, yes, no);
		break;
	case POLICY_NOT_EQUAL:
	case POLICY_NOT_IN:
		put_set(e, c, no, yes);
		break;
	case POLICY_EQUAL:
	case POLICY_IN:
		put_set(e, c, yes, no);
		break;
	}
}

/* Alternatives one after the other; in each, the first comparison that fails goes on to the next alternative. */
static void put_rule(struct emitter *e, const struct policy_rule *rule)
{
	uint32_t matched = new_label(e), next = 0;
	const struct policy_comparison *all = e->policy->comparisons + rule->comparisons;

	for (unsigned i = 0; i < rule->n_comparisons; i++) {
		bool last = i + 1 == rule->n_comparisons || all[i + 1].alternative;
		uint32_t yes = last ? matched : new_label(e);

		if (all[i].alternative) {
			if (i > 0)
				place_label(e, next);
			next = new_label(e);
		}
		put_comparison(e, &all[i], yes, next);
		if (!last)
			place_label(e, yes);
	}
	if (rule->n_comparisons > 0) {
		place_label(e, matched);
		put_return(e, rule->action);
		place_label(e, next);
	} else {
		put_return(e, rule->action);
	}
}

static int resolve(struct emitter *e, unsigned start, struct err *err)
{
	for (unsigned at = start; at < e->program->n_instructions; at++) {
		struct sock_filter *i = &e->program->instructions[at];
		uint32_t yes = e->jump_true[at] == NEXT ? at + 1 : e->label_at[e->jump_true[at]];
		uint32_t no = e->jump_false[at] == NEXT ? at + 1 : e->label_at[e->jump_false[at]];

		if (BPF_CLASS(i->code) != BPF_JMP)
			continue;
		if (yes - at - 1 > UINT8_MAX || no - at - 1 > UINT8_MAX)
			return err_set(err, E2BIG, "the conditions of one call are too long");
		i->jt = (uint8_t)(yes - at - 1);
		i->jf = (uint8_t)(no - at - 1);
	}
	return 0;
}

static int put_call(struct emitter *e, int first_rule, struct err *err)
{
	const struct policy *p = e->policy;
	unsigned start = e->program->n_instructions;
	bool always = false;

	e->n_labels = 0;
	for (unsigned i = (unsigned)first_rule; i < p->n_rules && !always; i++) {
		if (p->rules[i].number != p->rules[first_rule].number)
			continue;
		put_rule(e, &p->rules[i]);
		always = p->rules[i].n_comparisons == 0;
	}
	if (!always)
		put_return(e, DEFAULT_ACTION);
	if (e->full)
		return err_set(err, E2BIG, "the filter is longer than %d instructions", POLICY_INSTRUCTIONS_MAX);
	return resolve(e, start, err);
}

/* A binary decision tree over ranges [first, last]. */
static int put_tree(struct emitter *e, unsigned first, unsigned last, struct err *err)
{
	struct policy_program *program = e->program;
	unsigned middle = first + (last - first + 1) / 2;
	unsigned node = program->n_instructions, length;
	int r;

	if (first == last) {
		if (e->ranges[first].rule >= 0)
			return put_call(e, e->ranges[first].rule, err);
		put_return(e, e->ranges[first].action);
		return e->full ? err_set(err, E2BIG, "the filter is too long") : 0;
	}
	put(e, BPF_JMP | BPF_JGE | BPF_K, e->ranges[middle].first, NEXT, NEXT);
	r = put_tree(e, first, middle - 1, err);
	if (r < 0)
		return r;
	length = program->n_instructions - node - 1;
	if (length <= UINT8_MAX) {
		program->instructions[node].jt = (uint8_t)length;
	} else {
		/* Too far for a conditional jump: an unconditional one follows it. Code that moves is relative. */
		put(e, 0, 0, NEXT, NEXT);
		if (e->full)
			return err_set(err, E2BIG, "the filter is too long");
		memmove(program->instructions + node + 2, program->instructions + node + 1,
			length * sizeof(program->instructions[0]));
		program->instructions[node].jf = 1;
		program->instructions[node + 1] = (struct sock_filter){.code = BPF_JMP | BPF_JA, .k = length};
	}
	return put_tree(e, middle, last, err);
}

static void add_range(struct emitter *e, uint32_t first, uint32_t action, int rule)
{
	struct range *previous = e->n_ranges ? &e->ranges[e->n_ranges - 1] : NULL;

	if (previous && previous->rule < 0 && rule < 0 && previous->action == action)
		return;
	e->ranges[e->n_ranges++] = (struct range){first, action, rule};
}

static void make_ranges(struct emitter *e)
{
	int first_rule[POLICY_NUMBERS_MAX];
	int highest = policy_highest_known();

	for (unsigned i = 0; i < POLICY_NUMBERS_MAX; i++)
		first_rule[i] = -1;
	for (unsigned i = e->policy->n_rules; i-- > 0;)
		first_rule[e->policy->rules[i].number] = (int)i;
	for (int number = 0; number < POLICY_NUMBERS_MAX; number++) {
		int rule = first_rule[number];
		bool refuse_softly = number > highest || number == SYS_clone3;

		if (rule < 0)
			add_range(e, (uint32_t)number, refuse_softly ? UNKNOWN_ACTION : DEFAULT_ACTION, -1);
		else if (e->policy->rules[rule].n_comparisons == 0)
			add_range(e, (uint32_t)number, e->policy->rules[rule].action, -1);
		else
			add_range(e, (uint32_t)number, 0, rule);
	}
	/* Everything above, the numbers with the x32 bit among it. */
	add_range(e, POLICY_NUMBERS_MAX, UNKNOWN_ACTION, -1);
}

int policy_emit(const struct policy *policy, struct policy_program *ret_program, struct err *err)
{
	_cleanup_free_ struct emitter *e = calloc(1, sizeof(*e));
	_cleanup_free_ struct policy_program *program = calloc(1, sizeof(*program));
	int r;

	if (!e || !program)
		return err_sys(err, ENOMEM, "compile a policy");
	e->policy = policy;
	e->program = program;
	make_ranges(e);
	program->n_ranges = e->n_ranges;
	put(e, BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch), NEXT, NEXT);
	put(e, BPF_JMP | BPF_JEQ | BPF_K, seccomp_arch_native(), NEXT, NEXT);
	program->instructions[1].jt = 1;
	put_return(e, SECCOMP_RET_KILL_PROCESS);
	put(e, BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr), NEXT, NEXT);
	r = put_tree(e, 0, e->n_ranges - 1, err);
	if (r < 0)
		return r;
	*ret_program = *program;
	return 0;
}
