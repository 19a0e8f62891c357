#include "sandbox/seccomp.h"

#include "policy_function.h"
#include "supervisor/util.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/syscall.h>

int seccomp_load_function_policy(struct err *err)
{
	struct sock_fprog program = {
		.len = ARRAY_LEN(policy_function),
		.filter = (struct sock_filter *)policy_function,
	};

	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) < 0)
		return err_sys(err, errno, "load the system call policy");
	return 0;
}
