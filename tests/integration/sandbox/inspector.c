/*
 * Runs inside an instance and tells what it can do there: `inspector COMMAND [ARGUMENT...]`, key=value lines on
 * standard output. Static, so that it needs nothing from an image. test_sandbox.py compares the answers, and runs some
 * commands outside as well, to show that they can succeed.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/sched.h>
#include <mqueue.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define NUMBERS_MAX 1024

static const char *result(long r)
{
	return r >= 0 ? "ok" : strerrorname_np(errno);
}

static void show_file(const char *path, const char *const *prefixes)
{
	FILE *f = fopen(path, "re");
	char line[512];

	while (f && fgets(line, sizeof(line), f))
		for (const char *const *p = prefixes; *p; p++)
			if (strncmp(line, *p, strlen(*p)) == 0)
				printf("%s", line);
	if (f)
		(void)fclose(f);
	else
		printf("%s=%s\n", path, strerrorname_np(errno));
}

static int ids(char **arguments)
{
	static const char *const all[] = {"", NULL};
	gid_t groups[64];

	(void)arguments;
	printf("uid=%u\ngid=%u\neuid=%u\ngroups=%d\n", getuid(), getgid(), geteuid(), getgroups(64, groups));
	show_file("/proc/self/uid_map", all);
	show_file("/proc/self/gid_map", all);
	printf("setgroups=%s\n", result(syscall(SYS_setgroups, 0, NULL)));
	printf("setuid0=%s\n", result(syscall(SYS_setresuid, 0, 0, 0)));
	printf("setuid65535=%s\n", result(syscall(SYS_setresuid, 65535, 65535, 65535)));
	return 0;
}

static int caps(char **arguments)
{
	static const char *const wanted[] = {"Cap", "NoNewPrivs", "Seccomp", NULL};

	(void)arguments;
	show_file("/proc/self/status", wanted);
	printf("no_new_privs=%d\n", prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
	printf("securebits=%#x\n", (unsigned)prctl(PR_GET_SECUREBITS));
	printf("set_keepcaps=%s\n", result(prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0)));
	printf("set_securebits=%s\n", result(prctl(PR_SET_SECUREBITS, 0, 0, 0, 0)));
	printf("ambient_raise=%s\n", result(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, 6, 0, 0)));
	return 0;
}

static int fds(char **arguments)
{
	(void)arguments;
	for (int fd = 0; fd < NUMBERS_MAX; fd++) {
		char path[64], target[256];
		struct stat st;
		ssize_t n;

		if (fstat(fd, &st) < 0)
			continue;
		(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		n = readlink(path, target, sizeof(target) - 1);
		target[n < 0 ? 0 : n] = '\0';
		printf("fd%d=%s %s\n", fd, S_ISFIFO(st.st_mode) ? "pipe" : "other", target);
		if (fchdir(fd) == 0)
			printf("fchdir%d=ok\n", fd);
	}
	return 0;
}

static int limits(char **arguments)
{
	static const struct {
		const char *name;
		int number;
	} all[] = {{"core", RLIMIT_CORE},
		   {"nofile", RLIMIT_NOFILE},
		   {"fsize", RLIMIT_FSIZE},
		   {"nproc", RLIMIT_NPROC},
		   {"memlock", RLIMIT_MEMLOCK},
		   {"msgqueue", RLIMIT_MSGQUEUE},
		   {"sigpending", RLIMIT_SIGPENDING},
		   {"rtprio", RLIMIT_RTPRIO},
		   {"stack", RLIMIT_STACK}};

	(void)arguments;
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		struct rlimit l;

		(void)getrlimit((__rlimit_resource_t)all[i].number, &l);
		printf("%s=%lld %lld\n", all[i].name, (long long)l.rlim_cur, (long long)l.rlim_max);
	}
	return 0;
}

/* syscalls N...: each number with arguments that no call can take. */
static int syscalls(char **arguments)
{
	for (; *arguments; arguments++) {
		long n = strtol(*arguments, NULL, 0);

		printf("%ld=%s\n", n, result(syscall(n, -1L, -1L, -1L, -1L, -1L, -1L)));
	}
	return 0;
}

static int namespaces(char **arguments)
{
	static const struct {
		const char *name;
		unsigned long flag;
	} all[] = {{"user", CLONE_NEWUSER}, {"mount", CLONE_NEWNS}, {"pid", CLONE_NEWPID},	 {"net", CLONE_NEWNET},
		   {"ipc", CLONE_NEWIPC},   {"uts", CLONE_NEWUTS},  {"cgroup", CLONE_NEWCGROUP}, {"time", 0x80}};

	(void)arguments;
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		struct clone_args clone3_arguments = {.flags = all[i].flag, .exit_signal = SIGCHLD};
		pid_t pid = fork();
		long r;

		if (pid == 0) {
			printf("unshare_%s=%s\n", all[i].name, result(unshare((int)all[i].flag)));
			(void)fflush(stdout);
			_exit(0);
		}
		(void)waitpid(pid, NULL, 0);
		r = all[i].flag == 0x80 ? (errno = EPERM, -1) : syscall(SYS_clone, all[i].flag | SIGCHLD, 0, 0, 0, 0);
		if (r == 0)
			_exit(0);
		printf("clone_%s=%s\n", all[i].name, result(r));
		r = syscall(SYS_clone3, &clone3_arguments, sizeof(clone3_arguments));
		if (r == 0)
			_exit(0);
		printf("clone3_%s=%s\n", all[i].name, result(r));
	}
	printf("setns=%s\n", result(setns(0, 0)));
	return 0;
}

/* A plain thread and child must work, or the checks above prove nothing. */
static int forks(char **arguments)
{
	pid_t pid = fork();

	(void)arguments;
	if (pid == 0)
		_exit(7);
	printf("fork=%s\n", result(pid));
	int status = 0;
	(void)waitpid(pid, &status, 0);
	printf("status=%d\n", WEXITSTATUS(status));
	return 0;
}

static int families(char **arguments)
{
	static const int types[] = {SOCK_STREAM, SOCK_DGRAM, SOCK_RAW, SOCK_SEQPACKET};

	(void)arguments;
	for (int family = 0; family <= 50; family++)
		for (size_t t = 0; t < sizeof(types) / sizeof(types[0]); t++) {
			int fd = socket(family, types[t], 0);

			if (fd >= 0)
				printf("family%d_type%d=ok\n", family, types[t]);
			if (fd >= 0)
				(void)close(fd);
		}
	return 0;
}

/* Which protocols the two IP families offer, by type of socket. */
static int protocols(char **arguments)
{
	static const int types[] = {SOCK_STREAM, SOCK_DGRAM, SOCK_RAW, SOCK_SEQPACKET, SOCK_DCCP};

	(void)arguments;
	for (int protocol = 0; protocol <= 300; protocol++)
		for (size_t t = 0; t < sizeof(types) / sizeof(types[0]); t++) {
			int fd = socket(AF_INET, types[t], protocol);

			if (fd >= 0)
				printf("type%d_%d=ok\n", types[t], protocol);
			if (fd >= 0)
				(void)close(fd);
		}
	return 0;
}

/* Reserved huge pages of the machine. */
static int huge(char **arguments)
{
	enum { SIZE = 2 << 20 };
	void *map = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);

	(void)arguments;
	printf("mmap=%s\n", result(map == MAP_FAILED ? -1 : 0));
	printf("memfd=%s\n", result(memfd_create("x", MFD_HUGETLB)));
	printf("shm=%s\n", result(shmget(IPC_PRIVATE, SIZE, SHM_HUGETLB | 0600)));
	return 0;
}

static int ioctls(char **arguments)
{
	static const struct {
		const char *name;
		unsigned long number;
	} all[] = {{"TIOCSTI", TIOCSTI},
		   {"TIOCLINUX", TIOCLINUX},
		   {"TIOCSETD", TIOCSETD},
		   {"TIOCCONS", TIOCCONS},
		   {"TIOCSTI_high", TIOCSTI | 1UL << 40},
		   {"TIOCLINUX_high", TIOCLINUX | 1UL << 63}};
	int n = 0;

	(void)arguments;
	for (int fd = 0; fd < 3; fd++)
		for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
			printf("%s_%d=%s\n", all[i].name, fd, result(syscall(SYS_ioctl, fd, all[i].number, "x")));
	printf("FIONREAD=%s\n", result(ioctl(0, FIONREAD, &n)));
	return 0;
}

#ifdef __x86_64__
static int int80(char **arguments)
{
	long r;

	(void)arguments;
	/* getpid of i386 */
	__asm__ volatile("int $0x80" : "=a"(r) : "a"(20) : "memory");
	printf("int80=%ld\n", r);
	return 0;
}

static int x32(char **arguments)
{
	(void)arguments;
	printf("x32=%s\n", result(syscall(0x40000000L + SYS_getpid)));
	printf("x32_unshare=%s\n", result(syscall(0x40000000L + SYS_unshare, CLONE_NEWUSER)));
	return 0;
}
#endif

/* Opens everything below a directory; prints what can be opened for writing. */
static void walk(const char *path, int depth, unsigned *n_read, unsigned *n_write)
{
	DIR *dir = depth > 8 ? NULL : opendir(path);

	for (struct dirent *e = dir ? readdir(dir) : NULL; e; e = readdir(dir)) {
		char child[1024];
		struct stat st;
		int fd;

		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0 || e->d_type == DT_LNK)
			continue;
		(void)snprintf(child, sizeof(child), "%s/%s", path, e->d_name);
		if (e->d_type == DT_DIR) {
			walk(child, depth + 1, n_read, n_write);
			continue;
		}
		fd = open(child, O_RDONLY | O_NONBLOCK | O_NOCTTY);
		if (fd >= 0) {
			(*n_read)++;
			(void)close(fd);
		}
		fd = open(child, O_WRONLY | O_NONBLOCK | O_NOCTTY);
		/* A mask is the null device. */
		if (fd >= 0 && (fstat(fd, &st) < 0 || S_ISCHR(st.st_mode))) {
			(void)close(fd);
			fd = -1;
		}
		if (fd >= 0) {
			(*n_write)++;
			printf("write=%s\n", child);
			(void)close(fd);
		}
	}
	if (dir)
		(void)closedir(dir);
}

static int walk_tree(char **arguments)
{
	unsigned n_read = 0, n_write = 0;

	walk(arguments[0], 0, &n_read, &n_write);
	printf("readable=%u\nwritable=%u\n", n_read, n_write);
	return 0;
}

static int list(char **arguments)
{
	DIR *dir = opendir(arguments[0]);

	for (struct dirent *e = dir ? readdir(dir) : NULL; e; e = readdir(dir))
		printf("entry=%s\n", e->d_name);
	return dir ? closedir(dir) : 1;
}

/* open FLAGS PATH...: r, w, or x for a path only. */
static int opens(char **arguments)
{
	int flags = arguments[0][0] == 'w' ? O_WRONLY : arguments[0][0] == 'x' ? O_PATH : O_RDONLY;

	for (arguments++; *arguments; arguments++)
		printf("%s=%s\n", *arguments, result(open(*arguments, flags | O_NONBLOCK | O_NOCTTY)));
	return 0;
}

static int nodes(char **arguments)
{
	(void)arguments;
	printf("mknod_char=%s\n", result(mknod("/tmp/null", S_IFCHR | 0666, makedev(1, 3))));
	printf("mknod_block=%s\n", result(mknod("/tmp/disk", S_IFBLK | 0666, makedev(254, 0))));
	printf("mknod_whiteout=%s\n", result(mknod("/tmp/whiteout", S_IFCHR, makedev(0, 0))));
	printf("mknod_fifo=%s\n", result(mknod("/tmp/fifo", S_IFIFO | 0600, 0)));
	printf("dev_create=%s\n", result(open("/dev/new", O_WRONLY | O_CREAT, 0600)));
	return 0;
}

static int mounts(char **arguments)
{
	static const char *const all[] = {"", NULL};

	(void)arguments;
	show_file("/proc/self/mountinfo", all);
	return 0;
}

/* Ways to the old root: every descriptor, "..", and the links of /proc. */
static int escape(char **arguments)
{
	static const char *const ways[] = {"/..",	  "/../../../..",	"/proc/1/root",
					   "/proc/1/cwd", "/proc/self/root/..", "/proc/self/cwd/../.."};
	struct stat root, there;

	(void)stat("/", &root);
	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		int outside =
			stat(ways[i], &there) == 0 && (there.st_dev != root.st_dev || there.st_ino != root.st_ino);

		printf("%s=%s\n", ways[i], outside ? "OUTSIDE" : "inside");
	}
	for (int i = 0; i < 64; i++)
		if (chdir("..") < 0)
			break;
	(void)stat(".", &there);
	printf("dotdot=%s\n", there.st_ino == root.st_ino && there.st_dev == root.st_dev ? "inside" : "OUTSIDE");
	printf("canary=%s\n", result(open(arguments[0], O_RDONLY)));
	return 0;
}

static int runtime(char **arguments)
{
	char target[256];
	ssize_t n = readlink("/proc/1/exe", target, sizeof(target));

	(void)arguments;
	printf("readlink_exe=%s\n", result(n));
	for (size_t i = 0; i < 6; i++) {
		static const char *const files[] = {"/proc/1/exe",  "/proc/1/environ", "/proc/1/cmdline",
						    "/proc/1/maps", "/proc/1/mem",     "/proc/1/mountinfo"};

		printf("%s=%s\n", files[i], result(open(files[i], O_RDONLY)));
	}
	printf("write_exe=%s\n", result(open("/proc/1/exe", O_WRONLY)));
	printf("kill_init=%s\n", result(kill(1, SIGTERM)));
	printf("kill_all=%s\n", result(kill(-1, SIGCONT)));
	return 0;
}

static int connects(char **arguments)
{
	int tcp = socket(AF_INET, SOCK_STREAM, 0), local = socket(AF_UNIX, SOCK_STREAM, 0);
	struct sockaddr_in address = {.sin_family = AF_INET,
				      .sin_port = htons((uint16_t)strtol(arguments[0], NULL, 10)),
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct sockaddr_un name = {.sun_family = AF_UNIX};
	struct ifreq interface = {.ifr_name = "lo"};

	(void)snprintf(name.sun_path + 1, sizeof(name.sun_path) - 1, "%s", arguments[1]);
	printf("tcp=%s\n", result(connect(tcp, (void *)&address, sizeof(address))));
	printf("abstract=%s\n",
	       result(connect(local, (void *)&name,
			      (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(arguments[1])))));
	printf("lo=%s\n", ioctl(tcp, SIOCGIFFLAGS, &interface) == 0 && (interface.ifr_flags & IFF_UP) ? "up" : "down");
	return 0;
}

static int setid(char **arguments)
{
	printf("uid=%u\neuid=%u\negid=%u\n", getuid(), geteuid(), getegid());
	(void)arguments;
	return 0;
}

/* --- programs that misbehave -------------------------------------------------------------------------------------- */

static int do_exit(char **arguments)
{
	return (int)strtol(arguments[0], NULL, 10);
}

static int do_signal(char **arguments)
{
	int number = (int)strtol(arguments[0], NULL, 10);

	(void)signal(number, SIG_DFL);
	(void)raise(number);
	return 99;
}

static int forkbomb(char **arguments)
{
	unsigned n = 0;

	(void)arguments;
	for (;;) {
		pid_t pid = fork();

		if (pid < 0)
			break;
		if (pid == 0)
			for (;;)
				(void)pause();
		n++;
	}
	printf("children=%u\nerror=%s\n", n, strerrorname_np(errno));
	(void)fflush(stdout);
	return 3;
}

/* Takes what it can of inotify, whose limit is the user's, and tells how much; holds it. */
static int grab(char **arguments)
{
	unsigned instances = 0, watches = 0;
	int first_fd = inotify_init1(IN_CLOEXEC);

	(void)arguments;
	for (int fd = first_fd; fd >= 0; fd = inotify_init1(IN_CLOEXEC))
		instances++;
	printf("instances=%u\ninit=%s\n", instances, strerrorname_np(errno));
	for (;; watches++) {
		char name[32];

		(void)snprintf(name, sizeof(name), "/tmp/w%u", watches);
		if (mkdir(name, 0700) < 0 || inotify_add_watch(first_fd, name, IN_CREATE) < 0)
			break;
	}
	printf("watches=%u\nwatch=%s\n", watches, strerrorname_np(errno));
	(void)fflush(stdout);
	return pause();
}

/* user WAIT: takes what it can of the things that are counted per user, and holds it if WAIT is 1. */
static int user(char **arguments)
{
	struct mq_attr attributes = {.mq_maxmsg = 10, .mq_msgsize = 8192};
	struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN};
	unsigned queues = 0, timers = 0;
	char name[32];
	timer_t timer;

	for (;; queues++) {
		(void)snprintf(name, sizeof(name), "/inspector%u", queues);
		if (mq_open(name, O_CREAT | O_RDWR | O_CLOEXEC, 0600, &attributes) < 0)
			break;
	}
	while (timers < 1000000 && timer_create(CLOCK_MONOTONIC, &event, &timer) == 0)
		timers++;
	printf("queues=%u\ntimers=%u\n", queues, timers);
	(void)fflush(stdout);
	if (arguments[0][0] == '1')
		return pause();
	while (queues-- > 0) {
		(void)snprintf(name, sizeof(name), "/inspector%u", queues);
		(void)mq_unlink(name);
	}
	return 0;
}

/* oom: how far it can lower its score, after somebody with the right raised it. */
static int oom(char **arguments)
{
	int least = 1000;

	(void)arguments;
	for (int score = 500; score >= 0; score -= 100) {
		FILE *f = fopen("/proc/self/oom_score_adj", "we");

		if (!f)
			break;
		(void)fprintf(f, "%d", score);
		if (fclose(f) == 0)
			least = score;
	}
	printf("least=%d\n", least);
	return 0;
}

/* sockets TYPE: fills buffers that nobody reads, and holds them. */
static int sockets(char **arguments)
{
	static char bytes[1 << 16];
	bool stream = strcmp(arguments[0], "tcp") == 0;
	int type = (stream ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC;
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	socklen_t size = sizeof(address);
	int room = 1 << 24;
	int listener = socket(AF_INET, type, 0);

	if (bind(listener, (struct sockaddr *)&address, size) < 0 || (stream && listen(listener, 8) < 0) ||
	    getsockname(listener, (struct sockaddr *)&address, &size) < 0)
		return 97;
	for (int i = 0; i < 300; i++) {
		int to = stream ? -1 : socket(AF_INET, type, 0);
		int from = socket(AF_INET, type, 0);
		ssize_t n = 1;

		if (!stream) {
			address.sin_port = 0;
			size = sizeof(address);
			(void)setsockopt(to, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room));
			if (bind(to, (struct sockaddr *)&address, size) < 0 ||
			    getsockname(to, (struct sockaddr *)&address, &size) < 0)
				break;
		}
		(void)setsockopt(from, SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
		if (connect(from, (struct sockaddr *)&address, size) < 0)
			break;
		if (stream)
			(void)accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		for (int k = 0; n > 0 && k < (stream ? 1 << 10 : 16); k++)
			n = send(from, bytes, stream ? sizeof(bytes) : sizeof(bytes) / 2, MSG_DONTWAIT);
	}
	printf("full=1\n");
	(void)fflush(stdout);
	return pause();
}

static int hog(char **arguments)
{
	size_t step = 1 << 20;

	(void)arguments;
	for (;;) {
		char *p = mmap(NULL, step, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (p == MAP_FAILED)
			return 4;
		memset(p, 1, step);
	}
}

static int fill(char **arguments)
{
	static char block[65536];
	int fd = open(arguments[0], O_WRONLY | O_CREAT, 0600);
	unsigned long long total = 0;
	ssize_t n;

	memset(block, 1, sizeof(block));
	while ((n = write(fd, block, sizeof(block))) > 0)
		total += (unsigned long long)n;
	printf("written=%llu\nerror=%s\n", total, strerrorname_np(errno));
	return 5;
}

static int files(char **arguments)
{
	unsigned n = 0;

	for (;; n++) {
		char name[256];
		int fd;

		(void)snprintf(name, sizeof(name), "%s/%u", arguments[0], n);
		fd = open(name, O_WRONLY | O_CREAT, 0600);
		if (fd < 0)
			break;
		(void)close(fd);
	}
	printf("files=%u\nerror=%s\n", n, strerrorname_np(errno));
	return 6;
}

static int flood(char **arguments)
{
	static char block[65536];
	long long left = strtoll(arguments[1], NULL, 10);
	int fd = (int)strtol(arguments[0], NULL, 10);

	memset(block, 'x', sizeof(block));
	while (left > 0) {
		ssize_t n = write(fd, block, sizeof(block) < (size_t)left ? sizeof(block) : (size_t)left);

		if (n <= 0)
			return 8;
		left -= n;
	}
	return 0;
}

static _Noreturn int stubborn(char **arguments)
{
	(void)arguments;
	for (int i = 1; i < 32; i++)
		(void)signal(i, SIG_IGN);
	printf("ready\n");
	(void)fflush(stdout);
	for (;;)
		(void)sleep(1000);
}

static volatile sig_atomic_t got;

static void note(int number)
{
	got = number;
}

static int obedient(char **arguments)
{
	(void)arguments;
	for (int i = 1; i < 65; i++)
		(void)signal(i, note);
	printf("ready\n");
	(void)fflush(stdout);
	while (!got)
		(void)usleep(1000);
	printf("signal=%d\n", (int)got);
	return 40;
}

/* Leaves daemons in sessions of their own, and ends. */
static int daemons(char **arguments)
{
	for (long n = strtol(arguments[0], NULL, 10); n > 0; n--)
		if (fork() == 0) {
			(void)setsid();
			if (fork() == 0) {
				(void)close(0), (void)close(1), (void)close(2);
				for (;;)
					(void)pause();
			}
			_exit(0);
		}
	return 0;
}

/* Many short orphans: nothing may stay unreaped. */
static int orphans(char **arguments)
{
	unsigned zombies = 0;
	DIR *proc;

	for (long n = strtol(arguments[0], NULL, 10); n > 0; n--) {
		pid_t pid = fork();

		if (pid == 0) {
			if (fork() == 0)
				_exit(0);
			_exit(0);
		}
		(void)waitpid(pid, NULL, 0);
	}
	(void)usleep(100000);
	proc = opendir("/proc");
	for (struct dirent *e = proc ? readdir(proc) : NULL; e; e = readdir(proc))
		zombies += e->d_name[0] > '0' && e->d_name[0] <= '9';
	printf("processes=%u\n", zombies);
	return proc ? closedir(proc) : 1;
}

static _Noreturn int hold(char **arguments)
{
	(void)arguments;
	printf("ready\n");
	(void)fflush(stdout);
	for (;;)
		(void)pause();
}

/* Runs until its standard input ends. */
static int wait_stdin(char **arguments)
{
	char byte;

	(void)arguments;
	while (read(0, &byte, 1) > 0)
		;
	return 0;
}

static _Noreturn int spin(char **arguments)
{
	(void)arguments;
	for (;;)
		;
}

/* burn US: uses so much CPU time. */
static int burn(char **arguments)
{
	long wanted = strtol(arguments[0], NULL, 10);
	struct timespec used;

	do
		(void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
	while (used.tv_sec * 1000000 + used.tv_nsec / 1000 < wanted);
	return 0;
}

static int reopen(char **arguments)
{
	static const char *const names[] = {"/dev/stdout", "/dev/stderr", "/proc/self/fd/1", "/dev/fd/2"};

	(void)arguments;
	for (size_t i = 0; i < 4; i++)
		printf("%s=%s\n", names[i], result(open(names[i], O_WRONLY)));
	printf("/dev/stdin=%s\n", result(open("/dev/stdin", O_RDONLY | O_NONBLOCK)));
	return 0;
}

static const struct {
	const char *name;
	int (*run)(char **);
	int arguments;
} commands[] = {
	{"ids", ids, 0},	   {"caps", caps, 0},
	{"fds", fds, 0},	   {"limits", limits, 0},
	{"syscalls", syscalls, 1}, {"namespaces", namespaces, 0},
	{"forks", forks, 0},	   {"families", families, 0},
	{"ioctls", ioctls, 0},
#ifdef __x86_64__
	{"int80", int80, 0},	   {"x32", x32, 0},
#endif
	{"walk", walk_tree, 1},	   {"list", list, 1},
	{"open", opens, 2},	   {"nodes", nodes, 0},
	{"mounts", mounts, 0},	   {"escape", escape, 1},
	{"runtime", runtime, 0},   {"connect", connects, 2},
	{"setid", setid, 0},	   {"exit", do_exit, 1},
	{"signal", do_signal, 1},  {"forkbomb", forkbomb, 0},
	{"hog", hog, 0},	   {"fill", fill, 1},
	{"files", files, 1},	   {"flood", flood, 2},
	{"stubborn", stubborn, 0}, {"obedient", obedient, 0},
	{"daemons", daemons, 1},   {"orphans", orphans, 1},
	{"hold", hold, 0},	   {"wait_stdin", wait_stdin, 0},
	{"spin", spin, 0},	   {"reopen", reopen, 0},
	{"burn", burn, 1},	   {"grab", grab, 0},
	{"sockets", sockets, 1},   {"protocols", protocols, 0},
	{"huge", huge, 0},	   {"user", user, 1},
	{"oom", oom, 0},
};

int main(int argc, char **argv)
{
	for (size_t i = 0; argc > 1 && i < sizeof(commands) / sizeof(commands[0]); i++)
		if (strcmp(argv[1], commands[i].name) == 0 && argc - 2 >= commands[i].arguments)
			return commands[i].run(argv + 2);
	fprintf(stderr, "inspector: unknown command or too few arguments\n");
	return 98;
}
