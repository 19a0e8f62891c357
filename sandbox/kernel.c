#include "sandbox/kernel.h"

#include "supervisor/util.h"

#include <sys/syscall.h>

static const struct {
	long number;
	const char *name;
} needed[] = {
	{SYS_clone3, "clone3"},
	{SYS_close_range, "close_range"},
	{SYS_fsconfig, "fsconfig"},
	{SYS_fsmount, "fsmount"},
	{SYS_fsopen, "fsopen"},
	{SYS_fspick, "fspick"},
	{SYS_mount_setattr, "mount_setattr"},
	{SYS_move_mount, "move_mount"},
	{SYS_open_tree, "open_tree"},
	{SYS_openat2, "openat2"},
	{SYS_pidfd_send_signal, "pidfd_send_signal"},
};

int kernel_check(struct err *err)
{
	/* No call does anything with these; one that is there says so with another error. */
	for (unsigned i = 0; i < ARRAY_LEN(needed); i++)
		if (syscall(needed[i].number, -1, -1, -1, -1, -1, -1) < 0 && errno == ENOSYS)
			return err_set(
				err, ENOSYS,
				"this kernel has no %s(2), without which no container is made: boot Linux 6.1 or later",
				needed[i].name);
	return 0;
}
