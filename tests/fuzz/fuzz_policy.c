/* The text of a system call policy. What is accepted must compile to code that the kernel's rules for filters allow. */
#include "supervisor/policy.h"
#include "supervisor/util.h"

#include <linux/seccomp.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct policy_program *program)
{
	for (unsigned i = 0; i < program->n_instructions; i++) {
		const struct sock_filter *f = &program->instructions[i];
		unsigned room = program->n_instructions - i - 1;

		switch (BPF_CLASS(f->code)) {
		case BPF_JMP:
			if (BPF_OP(f->code) == BPF_JA ? f->k >= room : f->jt >= room || f->jf >= room)
				abort();
			break;
		case BPF_LD:
			if (f->k > sizeof(struct seccomp_data) - 4 || f->k % 4)
				abort();
			break;
		default:
			break;
		}
	}
	if (program->instructions[program->n_instructions - 1].code != (BPF_RET | BPF_K))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct policy policy;
	static struct policy_program program;
	_cleanup_free_ char *text = malloc(size + 1);
	struct err err = ERR_INIT;

	if (!text)
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';
	if (policy_parse(&policy, "fuzz", text, -1, &err) < 0)
		return 0;
	(void)policy_lint(&policy, true, &err);
	(void)policy_lint(&policy, false, &err);
	if (policy_emit(&policy, &program, &err) == 0)
		check(&program);
	return 0;
}
