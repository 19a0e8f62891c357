/* The eBPF program is run by a small interpreter of the few instructions it may have. */
#include "sandbox/device_policy.h"
#include "sandbox/devices.h"
#include "supervisor/util.h"

#include <string.h>
#include <sys/sysmacros.h>

#include "tests/unit/main.h"

/* Returns what the program returns; fails the test on anything the kernel's verifier would refuse. */
static uint64_t interpret(const struct bpf_insn *program, unsigned n, const struct bpf_cgroup_dev_ctx *context)
{
	uint64_t r[11] = {0};

	for (unsigned at = 0; at < n; at++) {
		const struct bpf_insn *i = &program[at];
		uint32_t word;

		switch (i->code) {
		case BPF_LDX | BPF_MEM | BPF_W:
			ck_assert_uint_eq(i->src_reg, 1);
			ck_assert_uint_le((unsigned)i->off + 4, sizeof(*context));
			memcpy(&word, (const char *)context + i->off, 4);
			r[i->dst_reg] = word;
			break;
		case BPF_ALU64 | BPF_MOV | BPF_K:
			r[i->dst_reg] = (uint64_t)(int64_t)i->imm;
			break;
		case BPF_ALU64 | BPF_MOV | BPF_X:
			r[i->dst_reg] = r[i->src_reg];
			break;
		case BPF_ALU64 | BPF_AND | BPF_K:
			r[i->dst_reg] &= (uint64_t)(int64_t)i->imm;
			break;
		case BPF_JMP | BPF_JEQ | BPF_K:
			at += r[i->dst_reg] == (uint64_t)(int64_t)i->imm ? (unsigned)i->off : 0;
			break;
		case BPF_JMP | BPF_JNE | BPF_K:
			at += r[i->dst_reg] != (uint64_t)(int64_t)i->imm ? (unsigned)i->off : 0;
			break;
		case BPF_JMP | BPF_EXIT:
			return r[0];
		default:
			ck_abort_msg("instruction %#x at %u", i->code, at);
		}
	}
	ck_abort_msg("the program runs over its end");
	return 0;
}

/* As makedev() composes them: 195:255, 195:0, 511:0. */
static const uint64_t gpu[] = {195 << 8 | 255, 195 << 8, 511 << 8};

static bool allowed(uint32_t kind, uint32_t access, uint32_t major, uint32_t minor, bool with_gpu)
{
	struct bpf_insn program[DEVICE_POLICY_PROGRAM_MAX];
	unsigned n = device_policy_compile(gpu, with_gpu ? ARRAY_LEN(gpu) : 0, program);
	struct bpf_cgroup_dev_ctx context = {access << 16 | kind, major, minor};

	ck_assert_uint_le(n, DEVICE_POLICY_PROGRAM_MAX);
	return interpret(program, n, &context) == 1;
}

START_TEST(sec_D7_only_listed_characters_and_never_mknod)
{
	const uint32_t rw = BPF_DEVCG_ACC_READ | BPF_DEVCG_ACC_WRITE;

	for (unsigned i = 0; i < device_nodes_count; i++) {
		const struct device_node *d = &device_nodes[i];

		ck_assert(allowed(BPF_DEVCG_DEV_CHAR, rw, d->major, d->minor, false));
		ck_assert(allowed(BPF_DEVCG_DEV_CHAR, BPF_DEVCG_ACC_READ, d->major, d->minor, true));
		ck_assert(!allowed(BPF_DEVCG_DEV_BLOCK, rw, d->major, d->minor, true));
		ck_assert(!allowed(BPF_DEVCG_DEV_CHAR, BPF_DEVCG_ACC_MKNOD, d->major, d->minor, true));
		ck_assert(!allowed(BPF_DEVCG_DEV_CHAR, rw | BPF_DEVCG_ACC_MKNOD, d->major, d->minor, true));
	}
	for (uint32_t major = 0; major < 300; major++)
		for (uint32_t minor = 0; minor < 12; minor++) {
			bool listed = false;

			for (unsigned i = 0; i < device_nodes_count; i++)
				listed |= device_nodes[i].major == major && device_nodes[i].minor == minor;
			ck_assert_int_eq(allowed(BPF_DEVCG_DEV_CHAR, rw, major, minor, false), listed);
		}
}
END_TEST

START_TEST(a_profile_adds_its_devices)
{
	const uint32_t rw = BPF_DEVCG_ACC_READ | BPF_DEVCG_ACC_WRITE;

	for (unsigned i = 0; i < ARRAY_LEN(gpu); i++) {
		ck_assert(allowed(BPF_DEVCG_DEV_CHAR, rw, major(gpu[i]), minor(gpu[i]), true));
		ck_assert(!allowed(BPF_DEVCG_DEV_CHAR, rw, major(gpu[i]), minor(gpu[i]), false));
	}
	ck_assert(!allowed(BPF_DEVCG_DEV_CHAR, rw, 195, 1, true));
	ck_assert(!allowed(BPF_DEVCG_DEV_CHAR, rw, 511, 1, true));
}
END_TEST

START_TEST(the_largest_program_fits)
{
	static uint64_t many[DEVICE_POLICY_EXTRA_MAX + 50];
	struct bpf_insn program[DEVICE_POLICY_PROGRAM_MAX];

	for (unsigned i = 0; i < ARRAY_LEN(many); i++)
		many[i] = makedev(195, i);
	ck_assert_uint_le(device_policy_compile(many, ARRAY_LEN(many), program), DEVICE_POLICY_PROGRAM_MAX);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("device_policy");
	TCase *all = tcase_create("all");

	tcase_add_test(all, sec_D7_only_listed_characters_and_never_mknod);
	tcase_add_test(all, a_profile_adds_its_devices);
	tcase_add_test(all, the_largest_program_fits);
	suite_add_tcase(suite, all);
	return suite;
}
