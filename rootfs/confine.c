#include "rootfs/confine.h"

#include "supervisor/util.h"

#include <iconv.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/capability.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#define MEMORY_MAX	(1 * GIB) /* a zstd window may take 128 MiB, the rest is for names and buffers */
#define DESCRIPTORS_MAX 512	  /* the tree walk holds one per level */
#define CPU_SECONDS_MAX 3600

#if defined(__x86_64__)
#define ARCHITECTURE  AUDIT_ARCH_X86_64
#define FIRST_FOREIGN 0x40000000u /* x32 numbers */
#else
#define ARCHITECTURE  AUDIT_ARCH_AARCH64
#define FIRST_FOREIGN 0xffffffffu
#endif

static const unsigned allowed[] = {
	SYS_read,	SYS_pread64,	   SYS_readv,	   SYS_write,	  SYS_pwrite64,	    SYS_lseek,
	SYS_close,	SYS_fstat,	   SYS_newfstatat, SYS_statx,	  SYS_openat2,	    SYS_mkdirat,
	SYS_mknodat,	SYS_symlinkat,	   SYS_linkat,	   SYS_unlinkat,  SYS_readlinkat,   SYS_fchown,
	SYS_fchownat,	SYS_fchmod,	   SYS_fchmodat,   SYS_utimensat, SYS_fsetxattr,    SYS_fgetxattr,
	SYS_flistxattr, SYS_setxattr,	   SYS_getxattr,   SYS_ftruncate, SYS_fsync,	    SYS_getdents64,
	SYS_brk,	SYS_munmap,	   SYS_mremap,	   SYS_madvise,	  SYS_futex,	    SYS_getrandom,
	SYS_sendto,	SYS_clock_gettime, SYS_exit_group, SYS_exit,	  SYS_rt_sigreturn, SYS_rt_sigprocmask,
	SYS_fcntl,	SYS_sysinfo, /* qsort of the C library asks how much memory there is */
	SYS_getpid,	SYS_gettid,	   SYS_tgkill,
};

/* Memory may be had, but never made executable. */
static const unsigned without_exec[] = {SYS_mmap, SYS_mprotect};

enum {
	PER_GUARDED = 4, /* instructions for a call whose argument is looked at */
	PROGRAM_LENGTH = 5 + PER_GUARDED * ARRAY_LEN(without_exec) + 2 * ARRAY_LEN(allowed) + 1,
};

static int filter_calls(struct err *err)
{
	struct sock_filter p[PROGRAM_LENGTH];
	struct sock_fprog program = {.filter = p};
	unsigned short n = 0;

	p[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch));
	p[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCHITECTURE, 1, 0);
	p[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
	p[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
	for (size_t i = 0; i < ARRAY_LEN(allowed); i++) {
		p[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, allowed[i], 0, 1);
		p[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	}
	for (size_t i = 0; i < ARRAY_LEN(without_exec); i++) {
		/* The third argument is the protection; the accumulator is lost, but every way out returns. */
		p[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, without_exec[i], 0, 3);
		p[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[2]));
		p[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, PROT_EXEC, 1, 0);
		p[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	}
	p[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
	program.len = n;
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0)
		return err_sys(err, errno, "restrict system calls");
	return 0;
}

static int keep_capabilities(struct err *err)
{
	static const cap_value_t kept[] = {CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_FOWNER, CAP_FSETID, CAP_MKNOD};
	cap_t caps = cap_init();
	int r = 0;

	if (!caps || cap_set_flag(caps, CAP_PERMITTED, ARRAY_LEN(kept), kept, CAP_SET) < 0 ||
	    cap_set_flag(caps, CAP_EFFECTIVE, ARRAY_LEN(kept), kept, CAP_SET) < 0 || cap_set_proc(caps) < 0)
		r = err_sys(err, errno, "drop capabilities");
	if (caps)
		(void)cap_free(caps);
	return r;
}

static int limit(int resource, uint64_t value, struct err *err)
{
	struct rlimit now;

	if (getrlimit((__rlimit_resource_t)resource, &now) < 0)
		return err_sys(err, errno, "read a limit");
	now.rlim_cur = now.rlim_max = MIN(now.rlim_max, (rlim_t)value);
	if (setrlimit((__rlimit_resource_t)resource, &now) < 0)
		return err_sys(err, errno, "set a limit");
	return 0;
}

/*
 * libarchive asks for a conversion of the UTF-8 names in PAX headers. The C library reads the table of its conversions
 * at the first such question: it must do so from the host, before the root changes. (The conversion itself is built in,
 * and where it does not work libarchive keeps the bytes of the name, which is what is wanted.)
 */
static void load_tables(void)
{
	iconv_t table = iconv_open("ANSI_X3.4-1968", "UTF-8");

	if (table != (iconv_t)-1)
		(void)iconv_close(table);
}

int confine(int root_fd, uint64_t file_bytes_max, struct err *err)
{
	int r = 0;

	load_tables();
	if (fchdir(root_fd) < 0 || chroot(".") < 0 || chdir("/") < 0)
		return err_sys(err, errno, "enter the target directory");
	(void)prctl(PR_SET_DUMPABLE, 0);
	r = keep_capabilities(err);
	if (r == 0)
		r = limit(RLIMIT_CORE, 0, err);
	if (r == 0)
		r = limit(RLIMIT_NOFILE, DESCRIPTORS_MAX, err);
	if (r == 0)
		r = limit(RLIMIT_CPU, CPU_SECONDS_MAX, err);
	if (r == 0 && file_bytes_max)
		r = limit(RLIMIT_FSIZE, file_bytes_max, err);
	if (r < 0)
		return r;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return err_sys(err, errno, "forbid new privileges");
#ifdef FERRITE_SANITIZE
	/* The sanitizers' own work needs more calls and more address space than the child's. */
	(void)filter_calls;
	return 0;
#else
	r = limit(RLIMIT_AS, MEMORY_MAX, err);
	return r < 0 ? r : filter_calls(err);
#endif
}
