#include "sandbox/device_policy.h"

#include "sandbox/devices.h"
#include "supervisor/util.h"

#include <stddef.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

static void put(struct bpf_insn *program, unsigned *n, struct bpf_insn instruction)
{
	program[(*n)++] = instruction;
}

/* if (major == r2 && minor == r3) return 1; */
static void put_rule(struct bpf_insn *program, unsigned *n, uint32_t major, uint32_t minor)
{
	put(program, n, (struct bpf_insn){BPF_JMP | BPF_JNE | BPF_K, 2, 0, 3, (int32_t)major});
	put(program, n, (struct bpf_insn){BPF_JMP | BPF_JNE | BPF_K, 3, 0, 2, (int32_t)minor});
	put(program, n, (struct bpf_insn){BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, 1});
	put(program, n, (struct bpf_insn){BPF_JMP | BPF_EXIT, 0, 0, 0, 0});
}

unsigned device_policy_compile(const uint64_t *extra, unsigned n_extra,
			       struct bpf_insn program[DEVICE_POLICY_PROGRAM_MAX])
{
	const int16_t access = offsetof(struct bpf_cgroup_dev_ctx, access_type);
	const int16_t major_at = offsetof(struct bpf_cgroup_dev_ctx, major);
	const int16_t minor_at = offsetof(struct bpf_cgroup_dev_ctx, minor);
	unsigned n = 0;

	put(program, &n, (struct bpf_insn){BPF_LDX | BPF_MEM | BPF_W, 4, 1, access, 0});
	put(program, &n, (struct bpf_insn){BPF_LDX | BPF_MEM | BPF_W, 2, 1, major_at, 0});
	put(program, &n, (struct bpf_insn){BPF_LDX | BPF_MEM | BPF_W, 3, 1, minor_at, 0});
	put(program, &n, (struct bpf_insn){BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, 0});
	/* access_type: kind in the low half, access bits in the high half. Only characters, never mknod. */
	put(program, &n, (struct bpf_insn){BPF_ALU64 | BPF_MOV | BPF_X, 5, 4, 0, 0});
	put(program, &n, (struct bpf_insn){BPF_ALU64 | BPF_AND | BPF_K, 5, 0, 0, 0xffff});
	put(program, &n, (struct bpf_insn){BPF_JMP | BPF_JEQ | BPF_K, 5, 0, 1, BPF_DEVCG_DEV_CHAR});
	put(program, &n, (struct bpf_insn){BPF_JMP | BPF_EXIT, 0, 0, 0, 0});
	put(program, &n, (struct bpf_insn){BPF_ALU64 | BPF_AND | BPF_K, 4, 0, 0, BPF_DEVCG_ACC_MKNOD << 16});
	put(program, &n, (struct bpf_insn){BPF_JMP | BPF_JEQ | BPF_K, 4, 0, 1, 0});
	put(program, &n, (struct bpf_insn){BPF_JMP | BPF_EXIT, 0, 0, 0, 0});
	for (unsigned i = 0; i < device_nodes_count; i++)
		put_rule(program, &n, device_nodes[i].major, device_nodes[i].minor);
	for (unsigned i = 0; i < n_extra && i < DEVICE_POLICY_EXTRA_MAX; i++)
		put_rule(program, &n, major(extra[i]), minor(extra[i]));
	put(program, &n, (struct bpf_insn){BPF_JMP | BPF_EXIT, 0, 0, 0, 0});
	return n;
}

int device_policy_load(const uint64_t *extra, unsigned n_extra, struct err *err)
{
	struct bpf_insn program[DEVICE_POLICY_PROGRAM_MAX];
	unsigned n = device_policy_compile(extra, n_extra, program);
	union bpf_attr attr;
	int fd;

	memset(&attr, 0, sizeof(attr));
	attr.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE;
	attr.insns = (uintptr_t)program;
	attr.insn_cnt = n;
	attr.license = (uintptr_t) "Apache-2.0";
	fd = (int)syscall(SYS_bpf, BPF_PROG_LOAD, &attr, sizeof(attr));
	if (fd < 0)
		return err_sys(err, errno, "load the device policy");
	return fd;
}

int device_policy_attach(int program_fd, int old_fd, int group_fd, struct err *err)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.target_fd = (uint32_t)group_fd;
	attr.attach_bpf_fd = (uint32_t)program_fd;
	attr.attach_type = BPF_CGROUP_DEVICE;
	attr.attach_flags = BPF_F_ALLOW_MULTI;
	if (old_fd >= 0) {
		attr.attach_flags |= BPF_F_REPLACE;
		attr.replace_bpf_fd = (uint32_t)old_fd;
	}
	if (syscall(SYS_bpf, BPF_PROG_ATTACH, &attr, sizeof(attr)) < 0)
		return err_sys(err, errno, "attach the device policy");
	return 0;
}
