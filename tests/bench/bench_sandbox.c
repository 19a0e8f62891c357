/*
 * What containers cost, without HTTP: requests to private servers of ferrite-sandbox, each a fresh container with all
 * isolation and limits.
 *
 *   bench_sandbox [-p PAUSE_US] [PART[=COUNT]]...
 *
 *   start    one at a time, from the request to the first instruction and to the end; cold, warm, and beside them plain
 *            starts of the same program; COUNT rounds with a pause between
 *   hot      a byte to a running program and back, and the same with the program frozen before; COUNT rounds
 *   rate     two loops without a pause, for COUNT seconds
 *   burst    64 requests at once, COUNT times
 *   idle     memory of COUNT containers that do nothing
 *   births   COUNT in a row without a pause; failures, and the far percentiles
 *   worker   for tests/bench/sandbox: a run of /bin/true in the root file system WORKER_ROOT per line of standard
 * input, "cold" or "warm"; prints microseconds
 *
 * Without a part: all but worker.
 */
#include "sandbox/config.h"
#include "supervisor/util.h"
#include "tests/integration/sandbox/harness.h"

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define WARM_UP	 5
#define RUNS_MAX 1000000
#define REPLY_MS 30000
#define PAUSE_US 3000 /* lets the server remove the last one and fill its pool, as between calls of a quiet service */
#define LOOPS	 2u
#define BURST	 64

/* A private server. */
struct box {
	struct harness harness;
	char name[40];
	char groups[4][128];
};

static char folder[] = "/tmp/ferrite-bench-XXXXXX";
static struct box cold, warm;
static unsigned pause_us = PAUSE_US;
static char stamp[PATH_MAX];
static int layer_fd = -1;

/* --- figures ------------------------------------------------------------------------------------------------------ */

static uint64_t *new_row(unsigned n)
{
	uint64_t *row = calloc(n, sizeof(*row));

	if (!row)
		abort();
	return row;
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static void report_head(void)
{
	printf("%-42s %7s %8s %8s %8s %8s %8s %8s  us\n", "what", "n", "min", "median", "p95", "p99", "p99.9", "max");
}

/* Sorts the row; returns its median. */
static uint64_t report(const char *name, uint64_t *v, unsigned n)
{
	const unsigned per_mille[] = {500, 950, 990, 999};

	qsort(v, n, sizeof(*v), compare);
	printf("%-42s %7u %8llu", name, n, (unsigned long long)v[0]);
	for (unsigned i = 0; i < ARRAY_LEN(per_mille); i++)
		printf(" %8llu", (unsigned long long)v[MIN((uint64_t)n * per_mille[i] / 1000, n - 1)]);
	printf(" %8llu\n", (unsigned long long)v[n - 1]);
	return v[n / 2];
}

/* --- servers ------------------------------------------------------------------------------------------------------ */

/* FILE below the build directory that this program is in. */
static void build_path(char path[PATH_MAX], const char *file)
{
	ssize_t n = readlink("/proc/self/exe", path, PATH_MAX - 1);

	path[MAX(n, 0)] = '\0';
	for (int up = 0; up < 3 && strrchr(path, '/'); up++)
		*strrchr(path, '/') = '\0';
	(void)snprintf(path + strlen(path), PATH_MAX - strlen(path), "/%s", file);
}

/* A layer with the stamp alone. */
static int make_layer(struct err *err)
{
	struct sandbox_config defaults;
	char path[64];
	_cleanup_fd_ int fd = -1, in = open(stamp, O_RDONLY | O_CLOEXEC), out = -1;
	struct stat st;

	sandbox_config_init(&defaults);
	(void)snprintf(path, sizeof(path), "%s/layer", folder);
	if (mkdir(path, 0755) == 0)
		fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
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
static int box_start(struct box *box, const char *name, const char *pool, struct err *err)
{
	static const char *const kinds[] = {"memory", "pids", "cpu"};
	char text[7][256];
	const char *config[7];
	bool hybrid = access("/sys/fs/cgroup/memory/cgroup.procs", F_OK) == 0;
	char program[PATH_MAX];
	unsigned n = 0;

	(void)snprintf(box->name, sizeof(box->name), "%s-%s", strrchr(folder, '/') + 1, name);
	(void)snprintf(text[n++], sizeof(text[0]), "state_dir=%s/%s", folder, name);
	(void)snprintf(text[n++], sizeof(text[0]), "log_level=error");
	(void)snprintf(text[n++], sizeof(text[0]), "%s", pool);
	(void)snprintf(box->groups[0], sizeof(box->groups[0]), "/sys/fs/cgroup/%s%s", hybrid ? "unified/" : "",
		       box->name);
	(void)snprintf(text[n++], sizeof(text[0]), "cgroup_v2=%s", box->groups[0]);
	for (unsigned i = 0; hybrid && i < ARRAY_LEN(kinds); i++) {
		(void)snprintf(box->groups[i + 1], sizeof(box->groups[0]), "/sys/fs/cgroup/%s/%s", kinds[i], box->name);
		(void)snprintf(text[n++], sizeof(text[0]), "cgroup_v1_%s=%s", kinds[i], box->groups[i + 1]);
	}
	for (unsigned i = 0; i < n; i++)
		config[i] = text[i];
	build_path(program, "libexec/ferrite-sandbox");
	return harness_start(&box->harness, program, config, n, err);
}

/* Ends the server; false when it left a group. */
static bool box_stop(struct box *box)
{
	bool clean = true;

	if (box->harness.pid > 0)
		clean = harness_stop(&box->harness) == 0;
	for (unsigned i = 0; i < ARRAY_LEN(box->groups); i++)
		if (box->groups[i][0] && rmdir(box->groups[i]) < 0 && errno != ENOENT)
			clean = false;
	return clean;
}

static int start_servers(struct err *err)
{
	int r = 0;

	if (layer_fd < 0)
		layer_fd = r = make_layer(err);
	if (r >= 0)
		r = box_start(&cold, "cold", "pool_max=0", err);
	return r < 0 ? r : box_start(&warm, "warm", "pool_max=16", err);
}

static bool clean_up(void)
{
	static const char *const names[] = {"cold/ids", "cold/stage",  "cold",	"warm/ids", "warm/stage",
					    "warm",	"layer/stamp", "layer", ""};
	bool clean = box_stop(&cold) && box_stop(&warm);
	char path[PATH_MAX];

	fd_close(&layer_fd);
	for (unsigned i = 0; i < ARRAY_LEN(names); i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", folder, names[i]);
		(void)remove(path);
	}
	return clean;
}

/* --- one container ------------------------------------------------------------------------------------------------ */

static int request(struct box *box, const char *program, const char *argument, struct err *err)
{
	const char *const arguments[] = {program, argument, NULL};
	struct sbx_create body = {.memory_bytes = 64 * MIB, .pids_max = 64, .cpu_percent = 100};
	struct harness_texts texts = {.arguments = arguments};
	uint64_t id;

	return harness_create(&box->harness, &body, &texts, &layer_fd, 1, &id, err);
}

/* The next message: SBX_CREATED or SBX_EXITED. */
static int next(struct box *box, struct err *err)
{
	struct ipc_message *m = box->harness.message;
	int r = harness_receive(&box->harness, box->harness.api_fd, REPLY_MS, err);

	if (r <= 0)
		return r < 0 ? r : err_set(err, EPIPE, "the server is gone");
	if (m->header.type == MSG_FAILED)
		return err_set(err, EIO, "%s", ((const struct msg_failed *)(const void *)m->payload)->text);
	return m->header.type;
}

static const struct sbx_created *created(const struct box *box)
{
	return (const struct sbx_created *)(const void *)box->harness.message->payload;
}

/* One run; times from before the request was sent. RET_MAIN_US NULL: the program writes no time. */
static int run_once(struct box *box, const char *program, uint64_t *ret_main_us, uint64_t *ret_whole_us, bool *ret_warm,
		    struct err *err)
{
	uint64_t stamp_us = 0, began = clock_monotonic_us();
	int r = request(box, program, NULL, err);

	while (r >= 0) {
		r = next(box, err);
		if (r < 0 || r == SBX_EXITED)
			break;
		*ret_warm = created(box)->start == SBX_START_WARM;
		if (ret_main_us && read(box->harness.message->fds[1], &stamp_us, sizeof(stamp_us)) != sizeof(stamp_us))
			return err_set(err, EIO, "the program did not run");
		ipc_message_done(box->harness.message);
	}
	if (r < 0)
		return r;
	*ret_whole_us = clock_monotonic_us() - began;
	if (ret_main_us)
		*ret_main_us = stamp_us - began;
	return 0;
}

/* A plain start of the program; until its first instruction and its end. */
static int spawn_once(uint64_t *ret_main_us, uint64_t *ret_whole_us, struct err *err)
{
	char *arguments[] = {stamp, NULL};
	posix_spawn_file_actions_t actions;
	uint64_t stamp_us = 0, began = clock_monotonic_us();
	int ends[2], status = -1;
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return err_sys(err, errno, "make a pipe");
	(void)posix_spawn_file_actions_init(&actions);
	(void)posix_spawn_file_actions_adddup2(&actions, ends[1], 1);
	if (posix_spawn(&pid, stamp, &actions, NULL, arguments, NULL) == 0)
		(void)waitpid(pid, &status, 0);
	*ret_whole_us = clock_monotonic_us() - began;
	(void)posix_spawn_file_actions_destroy(&actions);
	fd_close(&ends[1]);
	if (status != 0 || read(ends[0], &stamp_us, sizeof(stamp_us)) != (ssize_t)sizeof(stamp_us)) {
		fd_close(&ends[0]);
		return err_set(err, EIO, "%s does not run", stamp);
	}
	fd_close(&ends[0]);
	*ret_main_us = stamp_us - began;
	return 0;
}

/* --- parts -------------------------------------------------------------------------------------------------------- */

static int measure_start(unsigned n, struct err *err)
{
	uint64_t *row[6], unused_us[2];
	unsigned n_warm = 0, from_pool = 0;
	bool is_warm;
	int r = 0;

	for (unsigned i = 0; i < ARRAY_LEN(row); i++)
		row[i] = new_row(n);
	for (unsigned i = 0; r == 0 && i < n + WARM_UP; i++) {
		unsigned at = i < WARM_UP ? 0 : i - WARM_UP;

		r = run_once(&cold, "/stamp", &row[0][at], &row[1][at], &is_warm, err);
		(void)usleep(pause_us);
		if (r == 0)
			r = run_once(&warm, "/stamp", &unused_us[0], &unused_us[1], &is_warm, err);
		(void)usleep(pause_us);
		if (r == 0)
			r = spawn_once(&row[4][at], &row[5][at], err);
		/* A row of warm starts has nothing but warm starts. */
		if (is_warm && i >= WARM_UP) {
			row[2][n_warm] = unused_us[0];
			row[3][n_warm++] = unused_us[1];
		}
		from_pool += is_warm;
	}
	if (r < 0 || n_warm == 0)
		return r < 0 ? r : err_set(err, EIO, "no container came from the pool");
	report_head();
	(void)report("cold: request to first instruction", row[0], n);
	(void)report("warm: request to first instruction", row[2], n_warm);
	(void)report("posix_spawn: call to first instruction", row[4], n);
	(void)report("cold: request to its end", row[1], n);
	(void)report("warm: request to its end", row[3], n_warm);
	(void)report("posix_spawn: call to its end", row[5], n);
	printf("%u of %u requests found a container in the pool\n", from_pool, n + WARM_UP);
	for (unsigned i = 0; i < ARRAY_LEN(row); i++)
		free(row[i]);
	return 0;
}

/* Until STAT says so: nobody freezes at an instant. */
static int await_frozen(struct box *box, uint64_t instance, struct err *err)
{
	struct sbx_stat body = {.instance = instance};

	for (;;) {
		int r = ipc_send_wait(
			box->harness.api_fd,
			&(struct ipc_out){.type = SBX_STAT, .id = 1, .body = &body, .body_size = sizeof(body)}, 1000,
			err);

		if (r == 0)
			r = next(box, err);
		if (r < 0)
			return r;
		if (((const struct sbx_stated *)(const void *)box->harness.message->payload)->frozen)
			return 0;
	}
}

static int there_and_back(int in_fd, int out_fd, struct err *err)
{
	char byte = 'x';

	if (write(in_fd, &byte, 1) != 1 || read(out_fd, &byte, 1) != 1)
		return err_set(err, EIO, "the program does not answer");
	return 0;
}

static int measure_hot(unsigned n, struct err *err)
{
	uint64_t *hot = new_row(n), *thawed = new_row(n), *freezing = new_row(n), instance = 0, began;
	int fds[5] = {-1, -1, -1, -1, -1};
	int r = request(&cold, "/stamp", "echo", err);

	if (r == 0)
		r = MIN(next(&cold, err), 0);
	for (unsigned i = 0; r == 0 && i < ARRAY_LEN(fds); i++)
		fds[i] = ipc_message_take_fd(cold.harness.message, i);
	if (r == 0)
		instance = created(&cold)->instance;
	for (unsigned i = 0; r == 0 && i < n; i++) {
		began = clock_monotonic_us();
		r = there_and_back(fds[0], fds[1], err);
		hot[i] = clock_monotonic_us() - began;
		began = clock_monotonic_us();
		if (r == 0 && write(fds[4], "1", 1) != 1)
			r = err_sys(err, errno, "freeze");
		freezing[i] = clock_monotonic_us() - began;
		if (r == 0)
			r = await_frozen(&cold, instance, err);
		began = clock_monotonic_us();
		if (r == 0 && write(fds[4], "0", 1) != 1)
			r = err_sys(err, errno, "thaw");
		if (r == 0)
			r = there_and_back(fds[0], fds[1], err);
		thawed[i] = clock_monotonic_us() - began;
	}
	for (unsigned i = 0; i < ARRAY_LEN(fds); i++)
		fd_close(&fds[i]);
	/* Its input is closed: it ends. */
	if (r == 0)
		r = MIN(next(&cold, err), 0);
	if (r == 0) {
		uint64_t first, second;

		report_head();
		first = report("hot: a byte there and back", hot, n);
		second = report("frozen: thaw, a byte there and back", thawed, n);
		(void)report("freezing: the write", freezing, n);
		printf("thaw + call - hot call = %lld us (median)\n", (long long)(second - first));
	}
	free(hot);
	free(thawed);
	free(freezing);
	return r;
}

static int measure_rate(unsigned seconds, struct err *err)
{
	struct box *boxes[] = {&cold, &warm};

	for (unsigned i = 0; i < ARRAY_LEN(boxes); i++) {
		uint64_t began = clock_monotonic_us(), end = began + (uint64_t)seconds * 1000000, now = began;
		unsigned running = 0, done = 0, n_warm = 0;
		int r = 0;

		while (r >= 0 && (now < end || running > 0)) {
			while (r >= 0 && now < end && running < LOOPS) {
				r = request(boxes[i], "/stamp", NULL, err);
				running++;
			}
			r = r < 0 ? r : next(boxes[i], err);
			if (r == SBX_CREATED)
				n_warm += created(boxes[i])->start == SBX_START_WARM;
			if (r == SBX_EXITED) {
				running--;
				done++;
			}
			ipc_message_done(boxes[i]->harness.message);
			now = clock_monotonic_us();
		}
		if (r < 0)
			return r;
		printf("%u loops, pool %s: %.0f containers/s (%u of %u from the pool)\n", LOOPS, i ? "on " : "off",
		       (double)done * 1e6 / (double)(now - began), n_warm, done);
	}
	return 0;
}

static int measure_burst(unsigned n, struct err *err)
{
	struct box *boxes[] = {&cold, &warm};

	report_head();
	for (unsigned i = 0; i < ARRAY_LEN(boxes); i++) {
		uint64_t *whole = new_row(n);
		int r = 0;

		for (unsigned k = 0; r >= 0 && k < n; k++) {
			uint64_t began = clock_monotonic_us();
			unsigned ended = 0;

			for (unsigned m = 0; r >= 0 && m < BURST; m++)
				r = request(boxes[i], "/stamp", NULL, err);
			while (r >= 0 && ended < BURST) {
				r = next(boxes[i], err);
				ended += r == SBX_EXITED;
				ipc_message_done(boxes[i]->harness.message);
			}
			whole[k] = clock_monotonic_us() - began;
		}
		if (r < 0)
			return err_wrap(err, "burst");
		(void)report(i ? "64 at once, pool on: until the last end" : "64 at once, pool off: until the last end",
			     whole, n);
		free(whole);
	}
	return 0;
}

static int64_t available_kib(void)
{
	_cleanup_free_ char *text = NULL;
	const char *at;

	/* What was freed a moment ago is given back in the background. */
	(void)usleep(1000000);
	if (file_read(AT_FDCWD, "/proc/meminfo", 65536, &text, NULL) < 0)
		return 0;
	at = strstr(text, "MemAvailable:");
	return at ? strtoll(at + strlen("MemAvailable:"), NULL, 10) : 0;
}

/* The same program without a container, to be subtracted. */
static double plain_kib(unsigned n)
{
	char *arguments[] = {stamp, (char *)"hold", NULL};
	pid_t *pids = calloc(n, sizeof(*pids));
	int64_t before = available_kib(), with = before;

	for (unsigned i = 0; pids && i < n; i++)
		if (posix_spawn(&pids[i], stamp, NULL, NULL, arguments, NULL) != 0)
			pids[i] = 0;
	with = available_kib();
	for (unsigned i = 0; pids && i < n; i++) {
		if (pids[i] <= 0)
			continue;
		(void)kill(pids[i], SIGKILL);
		(void)waitpid(pids[i], NULL, 0);
	}
	free(pids);
	return (double)(before - with) / n;
}

static int measure_idle(unsigned n, struct err *err)
{
	double plain = plain_kib(n), contained;
	int(*fds)[2] = calloc(n, sizeof(*fds));
	int64_t before = available_kib();
	int r = fds ? 0 : err_sys(err, ENOMEM, "many containers");
	unsigned made = 0;

	for (; r >= 0 && made < n; made++) {
		r = request(&cold, "/stamp", "hold", err);
		if (r >= 0)
			r = next(&cold, err);
		/* What whoever runs a function keeps of it: its pipes. */
		for (unsigned i = 0; r >= 0 && i < 2; i++)
			fds[made][i] = ipc_message_take_fd(cold.harness.message, i);
		ipc_message_done(cold.harness.message);
	}
	contained = (double)(before - available_kib()) / n;
	for (unsigned i = 0; i < made; i++) {
		fd_close(&fds[i][0]);
		fd_close(&fds[i][1]);
	}
	free(fds);
	if (r < 0)
		return err_wrap(err, "container %u", made);
	printf("%u idle containers: %.0f KiB each, of which the program alone %.0f KiB\n", n, contained, plain);
	return 0;
}

static int measure_births(unsigned n, struct err *err)
{
	uint64_t *row = new_row(n), whole_us;
	unsigned failures = 0, n_warm = 0;
	struct err last = ERR_INIT;
	bool is_warm = false;

	for (unsigned i = 0; i < n; i++) {
		int r = run_once(&warm, "/stamp", &row[i - failures], &whole_us, &is_warm, &last);

		failures += r < 0;
		n_warm += r == 0 && is_warm;
	}
	if (failures == n)
		return err_set(err, EIO, "all %u births failed: %s", n, last.text);
	report_head();
	(void)report("births in a row: request to first instr.", row, n - failures);
	printf("%u failures in %u births%s%s; %u from the pool\n", failures, n, failures ? ", the last: " : "",
	       last.text, n_warm);
	free(row);
	return 0;
}

/* --- peers -------------------------------------------------------------------------------------------------------- */

static int work(struct err *err)
{
	char line[16];
	uint64_t whole_us;
	bool is_warm;
	int r = 0;

	while (r == 0 && fgets(line, sizeof(line), stdin)) {
		r = run_once(line[0] == 'w' ? &warm : &cold, "/bin/true", NULL, &whole_us, &is_warm, err);
		if (r == 0)
			printf("%llu\n", (unsigned long long)whole_us);
		(void)fflush(stdout);
	}
	return r;
}

/* --- program ------------------------------------------------------------------------------------------------------ */

static const struct part {
	const char *name;
	unsigned count;
	int (*run)(unsigned, struct err *);
} parts[] = {
	{"start", 200, measure_start}, {"hot", 1000, measure_hot},  {"rate", 4, measure_rate},
	{"burst", 10, measure_burst},  {"idle", 500, measure_idle}, {"births", 2000, measure_births},
};

/* "NAME" or "NAME=COUNT". */
static int run_part(const char *text, struct err *err)
{
	size_t length = strcspn(text, "=");

	for (unsigned i = 0; i < ARRAY_LEN(parts); i++) {
		unsigned count = text[length] ? (unsigned)strtoul(text + length + 1, NULL, 10) : parts[i].count;

		if (strncmp(parts[i].name, text, length) != 0 || parts[i].name[length] != '\0')
			continue;
		if (count == 0 || count > RUNS_MAX)
			return err_set(err, EINVAL, "%s: a count is 1 to %d", text, RUNS_MAX);
		printf("\n");
		return parts[i].run(count, err);
	}
	return err_set(err, EINVAL, "there is no part %s", text);
}

static int run_all(char **names, struct err *err)
{
	int r = start_servers(err);

	if (r >= 0 && names[0] && strcmp(names[0], "worker") == 0)
		return work(err);
	for (unsigned i = 0; r >= 0 && names[i]; i++)
		r = run_part(names[i], err);
	for (unsigned i = 0; r >= 0 && !names[0] && i < ARRAY_LEN(parts); i++)
		r = run_part(parts[i].name, err);
	return r;
}

int main(int argc, char **argv)
{
	const char *root = getenv("WORKER_ROOT");
	struct err err = ERR_INIT;
	bool clean;
	int option, r;

	while ((option = getopt(argc, argv, "p:")) != -1) {
		if (option != 'p')
			return 2;
		pause_us = (unsigned)strtoul(optarg, NULL, 10);
	}
	if (!mkdtemp(folder)) {
		perror(folder);
		return 1;
	}
	(void)chmod(folder, 0711);
	build_path(stamp, "tests/bench/stamp");
	if (root)
		layer_fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	r = run_all(argv + optind, &err);
	clean = clean_up();
	if (r < 0)
		fprintf(stderr, "bench_sandbox: %s\n", err.text);
	else if (!clean)
		fprintf(stderr, "bench_sandbox: the servers left something behind\n");
	return r < 0 || !clean ? 1 : 0;
}
