#include "supervisor/policy.h"
#include "supervisor/util.h"

#include <errno.h>
#include <linux/seccomp.h>
#include <string.h>

enum danger {
	NEVER,	   /* not for untrusted programs; elsewhere with a reason */
	REASON,	   /* with a reason */
	CONDITION, /* with a condition on its arguments, or a reason */
};

/* Ordered by why: see the reasons in docs/seccomp.md. */
static const struct {
	const char *name;
	enum danger danger;
} dangerous[] = {
	/* namespaces and mounts */
	{"unshare", NEVER},
	{"setns", NEVER},
	{"mount", NEVER},
	{"umount2", NEVER},
	{"pivot_root", NEVER},
	{"chroot", NEVER},
	{"move_mount", NEVER},
	{"open_tree", NEVER},
	{"open_tree_attr", NEVER},
	{"fsopen", NEVER},
	{"fsconfig", NEVER},
	{"fsmount", NEVER},
	{"fspick", NEVER},
	{"mount_setattr", NEVER},
	{"clone3", NEVER},
	{"clone", CONDITION},
	/* kernel programming and introspection */
	{"bpf", NEVER},
	{"perf_event_open", NEVER},
	{"userfaultfd", NEVER},
	{"io_uring_setup", NEVER},
	{"io_uring_enter", NEVER},
	{"io_uring_register", NEVER},
	{"seccomp", CONDITION},
	{"ptrace", NEVER},
	{"process_vm_readv", NEVER},
	{"process_vm_writev", NEVER},
	{"process_madvise", NEVER},
	{"pidfd_getfd", NEVER},
	{"kcmp", NEVER},
	{"lookup_dcookie", NEVER},
	{"fanotify_init", NEVER},
	{"fanotify_mark", NEVER},
	{"name_to_handle_at", NEVER},
	{"open_by_handle_at", NEVER},
	{"quotactl", NEVER},
	{"quotactl_fd", NEVER},
	{"syslog", NEVER},
	{"acct", NEVER},
	/* not namespaced or global state */
	{"add_key", NEVER},
	{"keyctl", NEVER},
	{"request_key", NEVER},
	{"settimeofday", NEVER},
	{"clock_settime", NEVER},
	{"clock_adjtime", NEVER},
	{"adjtimex", NEVER},
	{"swapon", NEVER},
	{"swapoff", NEVER},
	{"reboot", NEVER},
	{"kexec_load", NEVER},
	{"kexec_file_load", NEVER},
	{"init_module", NEVER},
	{"finit_module", NEVER},
	{"delete_module", NEVER},
	{"iopl", NEVER},
	{"ioperm", NEVER},
	{"sethostname", NEVER},
	{"setdomainname", NEVER},
	{"nfsservctl", NEVER},
	{"uselib", NEVER},
	{"ustat", NEVER},
	{"sysfs", NEVER},
	{"vhangup", NEVER},
	{"modify_ldt", NEVER},
	{"vm86", NEVER},
	{"vm86old", NEVER},
	{"personality", CONDITION},
	{"mbind", REASON},
	{"migrate_pages", REASON},
	{"move_pages", REASON},
	{"set_mempolicy", REASON},
	/* memory oddities */
	{"memfd_secret", NEVER},
	{"remap_file_pages", NEVER},
	{"vmsplice", NEVER},
	/* by argument */
	{"socket", CONDITION},
	{"ioctl", CONDITION},
	{"prctl", CONDITION},
};

static int check(const struct policy *policy, const struct policy_rule *rule, bool untrusted, struct err *err)
{
	char name[64];

	policy_call_name(rule->number, name, sizeof(name));
	for (size_t i = 0; i < ARRAY_LEN(dangerous); i++) {
		if (strcmp(dangerous[i].name, name) != 0)
			continue;
		if (untrusted && dangerous[i].danger == NEVER)
			return err_set(err, EPERM, "%s:%u: %s must not be allowed to untrusted programs", rule->file,
				       rule->line, name);
		if (!rule->reason && !(dangerous[i].danger == CONDITION && rule->n_comparisons > 0))
			return err_set(err, EPERM, "%s:%u: %s is dangerous: say in a comment on the line why it is %s",
				       rule->file, rule->line, name,
				       dangerous[i].danger == CONDITION ? "allowed with any argument" : "allowed");
	}
	for (unsigned i = 0; i < rule->n_comparisons; i++) {
		const struct policy_comparison *c = &policy->comparisons[rule->comparisons + i];

		if (c->whole && (c->operator== POLICY_NOT_EQUAL || c->operator== POLICY_NOT_IN) && !rule->reason)
			return err_set(err, EPERM,
				       "%s:%u: %s compares arg%u for being different: another upper half would pass; "
				       "use int%u, or say "
				       "in a comment on the line why not",
				       rule->file, rule->line, name, c->argument, c->argument);
	}
	return 0;
}

int policy_lint(const struct policy *policy, bool untrusted, struct err *err)
{
	for (unsigned i = 0; i < policy->n_rules; i++)
		if (policy->rules[i].action == SECCOMP_RET_ALLOW) {
			int r = check(policy, &policy->rules[i], untrusted, err);

			if (r < 0)
				return r;
		}
	return 0;
}
