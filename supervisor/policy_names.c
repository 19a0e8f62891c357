#include "supervisor/policy.h"
#include "supervisor/str.h"
#include "supervisor/util.h"

#include <asm/prctl.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/netlink.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

/*
 * Calls newer than the oldest libseccomp that ferrite is built with. They stay "unknown" (ENOSYS) unless a policy names
 * them; the numbers are the same on every architecture.
 */
static const struct {
	const char *name;
	int number;
} newer_calls[] = {
	{"cachestat", 451},	    {"fchmodat2", 452},		{"map_shadow_stack", 453}, {"futex_wake", 454},
	{"futex_wait", 455},	    {"futex_requeue", 456},	{"statmount", 457},	   {"listmount", 458},
	{"lsm_get_self_attr", 459}, {"lsm_set_self_attr", 460}, {"lsm_list_modules", 461}, {"mseal", 462},
	{"setxattrat", 463},	    {"getxattrat", 464},	{"listxattrat", 465},	   {"removexattrat", 466},
	{"open_tree_attr", 467},    {"file_getattr", 468},	{"file_setattr", 469},
};

#define CONSTANT(name) \
	{ \
#name, (uint64_t)(name) \
	}

static const struct {
	const char *name;
	uint64_t value;
} constants[] = {
	/* socket */
	CONSTANT(AF_UNSPEC),
	CONSTANT(AF_UNIX),
	CONSTANT(AF_INET),
	CONSTANT(AF_INET6),
	CONSTANT(AF_NETLINK),
	CONSTANT(AF_PACKET),
	CONSTANT(AF_VSOCK),
	CONSTANT(AF_ALG),
	CONSTANT(SOCK_STREAM),
	CONSTANT(SOCK_DGRAM),
	CONSTANT(SOCK_RAW),
	CONSTANT(SOCK_SEQPACKET),
	CONSTANT(SOCK_CLOEXEC),
	CONSTANT(SOCK_NONBLOCK),
	CONSTANT(IPPROTO_TCP),
	CONSTANT(IPPROTO_UDP),
	CONSTANT(NETLINK_ROUTE),
	CONSTANT(NETLINK_NETFILTER),
	CONSTANT(NETLINK_KOBJECT_UEVENT),
	/* clone, unshare, setns */
	CONSTANT(CLONE_NEWTIME),
	CONSTANT(CLONE_NEWNS),
	CONSTANT(CLONE_NEWCGROUP),
	CONSTANT(CLONE_NEWUTS),
	CONSTANT(CLONE_NEWIPC),
	CONSTANT(CLONE_NEWUSER),
	CONSTANT(CLONE_NEWPID),
	CONSTANT(CLONE_NEWNET),
	CONSTANT(CLONE_IO),
	CONSTANT(CLONE_VM),
	CONSTANT(CLONE_FS),
	CONSTANT(CLONE_FILES),
	CONSTANT(CLONE_SIGHAND),
	CONSTANT(CLONE_PIDFD),
	CONSTANT(CLONE_PTRACE),
	CONSTANT(CLONE_VFORK),
	CONSTANT(CLONE_PARENT),
	CONSTANT(CLONE_THREAD),
	CONSTANT(CLONE_UNTRACED),
	/* mmap, mprotect */
	CONSTANT(PROT_NONE),
	CONSTANT(PROT_READ),
	CONSTANT(PROT_WRITE),
	CONSTANT(PROT_EXEC),
	CONSTANT(MAP_SHARED),
	CONSTANT(MAP_PRIVATE),
	CONSTANT(MAP_FIXED),
	CONSTANT(MAP_ANONYMOUS),
	CONSTANT(MAP_HUGETLB),
	/* memfd_create, shmget */
	CONSTANT(MFD_HUGETLB),
	CONSTANT(SHM_HUGETLB),
	/* personality */
	CONSTANT(PER_LINUX),
	CONSTANT(ADDR_NO_RANDOMIZE),
	CONSTANT(READ_IMPLIES_EXEC),
	/* prctl, arch_prctl, seccomp */
	CONSTANT(PR_SET_PDEATHSIG),
	CONSTANT(PR_GET_PDEATHSIG),
	CONSTANT(PR_GET_DUMPABLE),
	CONSTANT(PR_SET_DUMPABLE),
	CONSTANT(PR_GET_KEEPCAPS),
	CONSTANT(PR_SET_KEEPCAPS),
	CONSTANT(PR_SET_NAME),
	CONSTANT(PR_GET_NAME),
	CONSTANT(PR_GET_SECCOMP),
	CONSTANT(PR_SET_SECCOMP),
	CONSTANT(PR_CAPBSET_READ),
	CONSTANT(PR_CAPBSET_DROP),
	CONSTANT(PR_GET_TSC),
	CONSTANT(PR_SET_TSC),
	CONSTANT(PR_GET_SECUREBITS),
	CONSTANT(PR_SET_SECUREBITS),
	CONSTANT(PR_SET_TIMERSLACK),
	CONSTANT(PR_GET_TIMERSLACK),
	CONSTANT(PR_SET_MM),
	CONSTANT(PR_SET_VMA),
	CONSTANT(PR_SET_PTRACER),
	CONSTANT(PR_SET_CHILD_SUBREAPER),
	CONSTANT(PR_GET_CHILD_SUBREAPER),
	CONSTANT(PR_SET_NO_NEW_PRIVS),
	CONSTANT(PR_GET_NO_NEW_PRIVS),
	CONSTANT(PR_GET_TID_ADDRESS),
	CONSTANT(PR_SET_THP_DISABLE),
	CONSTANT(PR_GET_THP_DISABLE),
	CONSTANT(PR_CAP_AMBIENT),
	CONSTANT(PR_GET_SPECULATION_CTRL),
	CONSTANT(PR_SET_SPECULATION_CTRL),
	CONSTANT(PR_MCE_KILL),
	CONSTANT(PR_MCE_KILL_GET),
	CONSTANT(PR_SET_FP_MODE),
	CONSTANT(PR_GET_FP_MODE),
	CONSTANT(PR_SVE_SET_VL),
	CONSTANT(PR_SVE_GET_VL),
	CONSTANT(PR_SET_ENDIAN),
	CONSTANT(PR_GET_ENDIAN),
	CONSTANT(PR_SET_UNALIGN),
	CONSTANT(PR_GET_UNALIGN),
	CONSTANT(PR_SET_IO_FLUSHER),
	CONSTANT(PR_GET_IO_FLUSHER),
	CONSTANT(PR_SET_SYSCALL_USER_DISPATCH),
	CONSTANT(PR_SCHED_CORE),
	CONSTANT(PR_GET_TIMING),
	CONSTANT(PR_SET_TIMING),
#ifdef ARCH_SET_FS
	CONSTANT(ARCH_SET_FS),
	CONSTANT(ARCH_GET_FS),
	CONSTANT(ARCH_SET_GS),
	CONSTANT(ARCH_GET_GS),
	CONSTANT(ARCH_GET_CPUID),
	CONSTANT(ARCH_SET_CPUID),
#endif
	CONSTANT(SECCOMP_SET_MODE_STRICT),
	CONSTANT(SECCOMP_SET_MODE_FILTER),
	CONSTANT(SECCOMP_GET_ACTION_AVAIL),
	CONSTANT(SECCOMP_GET_NOTIF_SIZES),
	CONSTANT(SECCOMP_FILTER_FLAG_TSYNC),
	CONSTANT(SECCOMP_FILTER_FLAG_LOG),
	CONSTANT(SECCOMP_FILTER_FLAG_SPEC_ALLOW),
	CONSTANT(SECCOMP_FILTER_FLAG_NEW_LISTENER),
	/* ioctl */
	CONSTANT(TIOCSTI),
	CONSTANT(TIOCLINUX),
	CONSTANT(TIOCSETD),
	CONSTANT(TIOCCONS),
	CONSTANT(TIOCGWINSZ),
	CONSTANT(TCGETS),
	CONSTANT(FIONREAD),
	CONSTANT(FIONBIO),
	CONSTANT(FIOCLEX),
	CONSTANT(FIONCLEX),
	/* fcntl */
	CONSTANT(F_DUPFD),
	CONSTANT(F_GETFD),
	CONSTANT(F_SETFD),
	CONSTANT(F_GETFL),
	CONSTANT(F_SETFL),
	CONSTANT(F_SETOWN),
	CONSTANT(F_SETSIG),
	CONSTANT(F_NOTIFY),
	CONSTANT(F_SETLEASE),
	CONSTANT(F_DUPFD_CLOEXEC),
	CONSTANT(F_SETPIPE_SZ),
	CONSTANT(F_ADD_SEALS),
	CONSTANT(F_GET_SEALS),
	/* mknod */
	CONSTANT(S_IFMT),
	CONSTANT(S_IFREG),
	CONSTANT(S_IFCHR),
	CONSTANT(S_IFBLK),
	CONSTANT(S_IFIFO),
	CONSTANT(S_IFSOCK),
	CONSTANT(S_ISUID),
	CONSTANT(S_ISGID),
	/* bpf */
	CONSTANT(BPF_PROG_LOAD),
	CONSTANT(BPF_PROG_ATTACH),
	CONSTANT(BPF_PROG_DETACH),
	CONSTANT(BPF_PROG_QUERY),
	CONSTANT(BPF_LINK_CREATE),
	/* prlimit64 */
	CONSTANT(RLIMIT_NOFILE),
	CONSTANT(RLIMIT_CORE),
};

bool policy_call_number(const char *name, int *ret_number)
{
	int number = seccomp_syscall_resolve_name_arch(SCMP_ARCH_NATIVE, name);

	for (size_t i = 0; number == __NR_SCMP_ERROR && i < ARRAY_LEN(newer_calls); i++)
		if (strcmp(name, newer_calls[i].name) == 0)
			number = newer_calls[i].number;
	if (number == __NR_SCMP_ERROR)
		return false;
	*ret_number = number;
	return true;
}

void policy_call_name(int number, char *buffer, size_t size)
{
	_cleanup_free_ char *name = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, number);
	const char *found = name ? name : "?";

	for (size_t i = 0; !name && i < ARRAY_LEN(newer_calls); i++)
		if (newer_calls[i].number == number)
			found = newer_calls[i].name;
	(void)str_copy(buffer, size, found);
}

int policy_highest_known(void)
{
	static int highest = -1;

	for (int number = 0; highest < 0 && number < POLICY_NUMBERS_MAX; number++) {
		int candidate = POLICY_NUMBERS_MAX - 1 - number;
		_cleanup_free_ char *name = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, candidate);

		if (name)
			highest = candidate;
	}
	return highest;
}

/* Error and signal names come from the C library, which knows them all. */
static bool libc_name(const char *name, uint64_t *ret_value)
{
	for (int i = 1; i < 134; i++) {
		const char *error = strerrorname_np(i);

		if (error && strcmp(error, name) == 0) {
			*ret_value = (uint64_t)i;
			return true;
		}
	}
	for (int i = 1; i < SIGRTMIN; i++) {
		const char *signal_name = sigabbrev_np(i);

		if (signal_name && strncmp(name, "SIG", 3) == 0 && strcmp(signal_name, name + 3) == 0) {
			*ret_value = (uint64_t)i;
			return true;
		}
	}
	return false;
}

bool policy_constant(const char *name, uint64_t *ret_value)
{
	for (size_t i = 0; i < ARRAY_LEN(constants); i++)
		if (strcmp(constants[i].name, name) == 0) {
			*ret_value = constants[i].value;
			return true;
		}
	return libc_name(name, ret_value);
}
