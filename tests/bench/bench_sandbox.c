/*
 * How long a container takes: requests to a private ferrite-sandbox, one after the other, each a fresh instance with
 * all isolation and limits that runs a static program once; interleaved with plain starts of the same program.
 *
 *   bench_sandbox [-n RUNS] [-p PAUSE_US]
 *
 * The pause between two runs matters: see docs/performance.md.
 *
 * Prints microseconds: what, n, min, median, p95, p99, max; and the ratio of the medians.
 */
#include "sandbox/config.h"
#include "supervisor/util.h"
#include "tests/integration/sandbox/harness.h"

#include <fcntl.h>
#include <limits.h>
#include <spawn.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define WARM_UP	   5
#define RUNS_MAX   10000
#define REPLY_MS   30000
#define BETWEEN_US 3000 /* lets the server remove the last one, as between calls of a quiet service */

static struct harness harness;
static char folder[] = "/tmp/ferrite-bench-XXXXXX";
static char layer[64];
static char groups[4][128];

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static void report(const char *name, uint64_t *v, unsigned n)
{
	qsort(v, n, sizeof(*v), compare);
	printf("%-36s %6u %8llu %8llu %8llu %8llu %8llu\n", name, n, (unsigned long long)v[0],
	       (unsigned long long)v[n / 2], (unsigned long long)v[n * 95 / 100], (unsigned long long)v[n * 99 / 100],
	       (unsigned long long)v[n - 1]);
}

/* FILE below the build directory that this program is in. */
static void build_path(char path[PATH_MAX], const char *file)
{
	ssize_t n = readlink("/proc/self/exe", path, PATH_MAX - 1);

	path[MAX(n, 0)] = '\0';
	for (int up = 0; up < 3 && strrchr(path, '/'); up++)
		*strrchr(path, '/') = '\0';
	(void)snprintf(path + strlen(path), PATH_MAX - strlen(path), "/%s", file);
}

static int make_layer(const char *stamp, struct err *err)
{
	struct sandbox_config defaults;
	_cleanup_fd_ int fd = -1, in = open(stamp, O_RDONLY | O_CLOEXEC), out = -1;
	struct stat st;

	sandbox_config_init(&defaults);
	if (mkdir(layer, 0755) == 0)
		fd = open(layer, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	out = openat(fd, "stamp", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0755);
	if (in < 0 || out < 0 || fstat(in, &st) < 0 ||
	    copy_file_range(in, NULL, out, NULL, (size_t)st.st_size, 0) != st.st_size)
		return err_sys(err, errno, "copy %s", stamp);
	if (fchown(fd, defaults.store_base, defaults.store_base) < 0 ||
	    fchown(out, defaults.store_base, defaults.store_base) < 0)
		return err_sys(err, errno, "give the layer to the store");
	return take_fd(&fd);
}

/* Group directories, as the test of ferrite-sandbox makes them. */
static int start_server(struct err *err)
{
	static const char *const kinds[] = {"memory", "pids", "cpu"};
	static char text[6][256];
	const char *config[6];
	bool hybrid = access("/sys/fs/cgroup/memory/cgroup.procs", F_OK) == 0;
	char program[PATH_MAX];
	unsigned n = 0;

	(void)snprintf(text[n++], sizeof(text[0]), "state_dir=%s/state", folder);
	(void)snprintf(text[n++], sizeof(text[0]), "log_level=error");
	(void)snprintf(groups[0], sizeof(groups[0]), "/sys/fs/cgroup/%s%s", hybrid ? "unified/" : "",
		       strrchr(folder, '/') + 1);
	(void)snprintf(text[n++], sizeof(text[0]), "cgroup_v2=%s", groups[0]);
	for (unsigned i = 0; hybrid && i < ARRAY_LEN(kinds); i++) {
		(void)snprintf(groups[i + 1], sizeof(groups[0]), "/sys/fs/cgroup/%s/%s", kinds[i],
			       strrchr(folder, '/') + 1);
		(void)snprintf(text[n++], sizeof(text[0]), "cgroup_v1_%s=%s", kinds[i], groups[i + 1]);
	}
	for (unsigned i = 0; i < n; i++)
		config[i] = text[i];
	build_path(program, "libexec/ferrite-sandbox");
	return harness_start(&harness, program, config, n, err);
}

static void clean_up(void)
{
	static const char *const names[] = {"state/ids", "state/stage", "state", "layer/stamp", "layer", ""};
	char path[PATH_MAX];

	if (harness.pid > 0)
		(void)harness_stop(&harness);
	for (unsigned i = 0; i < ARRAY_LEN(groups); i++)
		if (groups[i][0])
			(void)rmdir(groups[i]);
	for (unsigned i = 0; i < ARRAY_LEN(names); i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", folder, names[i]);
		(void)remove(path);
	}
}

/* A plain start of the program; until its first instruction and its end. */
static int spawn_once(const char *program, uint64_t *ret_main_us, uint64_t *ret_whole_us, struct err *err)
{
	char *arguments[] = {(char *)program, NULL};
	posix_spawn_file_actions_t actions;
	uint64_t stamp = 0, began = clock_monotonic_us();
	int ends[2], status = -1;
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return err_sys(err, errno, "make a pipe");
	(void)posix_spawn_file_actions_init(&actions);
	(void)posix_spawn_file_actions_adddup2(&actions, ends[1], 1);
	if (posix_spawn(&pid, program, &actions, NULL, arguments, NULL) == 0)
		(void)waitpid(pid, &status, 0);
	*ret_whole_us = clock_monotonic_us() - began;
	(void)posix_spawn_file_actions_destroy(&actions);
	fd_close(&ends[1]);
	if (status != 0 || read(ends[0], &stamp, sizeof(stamp)) != (ssize_t)sizeof(stamp)) {
		fd_close(&ends[0]);
		return err_set(err, EIO, "%s does not run", program);
	}
	fd_close(&ends[0]);
	*ret_main_us = stamp - began;
	return 0;
}

/* One run; times from before the request was sent. */
static int run_once(int layer_fd, uint64_t *ret_main_us, uint64_t *ret_whole_us, struct err *err)
{
	static const char *const arguments[] = {"/stamp", NULL};
	struct sbx_create body = {.memory_bytes = 64 * MIB, .pids_max = 64, .cpu_percent = 100};
	struct harness_texts texts = {.arguments = arguments};
	uint64_t id, stamp = 0, began = clock_monotonic_us();
	bool exited = false;
	int r = harness_create(&harness, &body, &texts, &layer_fd, 1, &id, err);

	while (r >= 0 && !exited) {
		r = harness_receive(&harness, harness.api_fd, REPLY_MS, err);
		if (r <= 0)
			return r < 0 ? r : err_set(err, EPIPE, "the server is gone");
		if (harness.message->header.type == MSG_FAILED)
			return err_set(err, EIO, "%s", ((struct msg_failed *)harness.message->payload)->text);
		if (harness.message->header.type == SBX_CREATED) {
			if (read(harness.message->fds[1], &stamp, sizeof(stamp)) != (ssize_t)sizeof(stamp))
				return err_set(err, EIO, "the program did not run");
		} else {
			exited = true;
		}
		ipc_message_done(harness.message);
	}
	*ret_main_us = stamp - began;
	*ret_whole_us = clock_monotonic_us() - began;
	return MIN(r, 0);
}

static int measure(unsigned n, unsigned pause_us, const char *stamp, struct err *err)
{
	static uint64_t inside[2][RUNS_MAX], plain[2][RUNS_MAX];
	int layer_fd = make_layer(stamp, err);
	int r = MIN(layer_fd, 0);

	if (r == 0)
		r = start_server(err);
	for (unsigned i = 0; r == 0 && i < n + WARM_UP; i++) {
		unsigned at = i < WARM_UP ? 0 : i - WARM_UP;

		r = run_once(layer_fd, &inside[0][at], &inside[1][at], err);
		(void)usleep(pause_us);
		if (r == 0)
			r = spawn_once(stamp, &plain[0][at], &plain[1][at], err);
	}
	fd_close(&layer_fd);
	if (r < 0)
		return r;
	printf("%-36s %6s %8s %8s %8s %8s %8s  us\n", "what", "n", "min", "median", "p95", "p99", "max");
	report("container: request to main()", inside[0], n);
	report("container: request to its end", inside[1], n);
	report("posix_spawn: call to main()", plain[0], n);
	report("posix_spawn: call to its end", plain[1], n);
	printf("container / posix_spawn = %.1f to main(), %.1f to the end\n",
	       (double)inside[0][n / 2] / (double)plain[0][n / 2], (double)inside[1][n / 2] / (double)plain[1][n / 2]);
	return 0;
}

int main(int argc, char **argv)
{
	struct err err = ERR_INIT;
	char stamp[PATH_MAX];
	unsigned n = 200, pause_us = BETWEEN_US;
	int option, r;

	while ((option = getopt(argc, argv, "n:p:")) != -1) {
		if (option == 'n')
			n = (unsigned)strtoul(optarg, NULL, 10);
		else if (option == 'p')
			pause_us = (unsigned)strtoul(optarg, NULL, 10);
		else
			return 2;
	}
	if (n == 0 || n > RUNS_MAX)
		return 2;
	if (!mkdtemp(folder)) {
		perror(folder);
		return 1;
	}
	(void)chmod(folder, 0711);
	(void)snprintf(layer, sizeof(layer), "%s/layer", folder);
	build_path(stamp, "tests/bench/stamp");
	r = measure(n, pause_us, stamp, &err);
	clean_up();
	if (r < 0)
		fprintf(stderr, "bench_sandbox: %s\n", err.text);
	return r < 0 ? 1 : 0;
}
