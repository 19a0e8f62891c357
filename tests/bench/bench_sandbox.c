/*
 * How long a container takes: requests to a private ferrite-sandbox, one after the other, each a fresh instance with
 * all isolation and limits that runs a static program once.
 *
 *   bench_sandbox [-n RUNS] [-g] PROGRAM STAMP DIRECTORY KEY=VALUE...
 *
 * PROGRAM is ferrite-sandbox, STAMP is bench_stamp, DIRECTORY an empty folder for the layer; KEY=VALUE configure the
 * server. Prints microseconds: "name n min median p95 p99 max". With -g one line "median median" for scripts.
 */
#include "sandbox/config.h"
#include "supervisor/util.h"
#include "tests/integration/sandbox/harness.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define RUNS_MAX   100000
#define REPLY_MS   30000
#define BETWEEN_US 3000 /* lets the server remove the last one, as between calls of a quiet service */

static struct harness harness;

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static void report(const char *name, uint64_t *v, unsigned n)
{
	qsort(v, n, sizeof(*v), compare);
	printf("%-32s %6u %8llu %8llu %8llu %8llu %8llu\n", name, n, (unsigned long long)v[0],
	       (unsigned long long)v[n / 2], (unsigned long long)v[n * 95 / 100], (unsigned long long)v[n * 99 / 100],
	       (unsigned long long)v[n - 1]);
}

static int copy_program(const char *from, int layer_fd, struct err *err)
{
	_cleanup_fd_ int in = open(from, O_RDONLY | O_CLOEXEC);
	_cleanup_fd_ int out = openat(layer_fd, "stamp", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);
	struct stat st;

	if (in < 0 || out < 0 || fstat(in, &st) < 0)
		return err_sys(err, errno, "copy %s", from);
	if (copy_file_range(in, NULL, out, NULL, (size_t)st.st_size, 0) != st.st_size)
		return err_sys(err, errno, "copy %s", from);
	return 0;
}

static int make_layer(const char *directory, const char *stamp, struct err *err)
{
	struct sandbox_config defaults;
	_cleanup_fd_ int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r;

	sandbox_config_init(&defaults);
	if (fd < 0)
		return err_sys(err, errno, "open %s", directory);
	r = copy_program(stamp, fd, err);
	if (r == 0 && (fchown(fd, defaults.store_base, defaults.store_base) < 0 ||
		       fchownat(fd, "stamp", defaults.store_base, defaults.store_base, 0) < 0))
		r = err_sys(err, errno, "give %s to the store", directory);
	return r < 0 ? r : take_fd(&fd);
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

int main(int argc, char **argv)
{
	static uint64_t to_main[RUNS_MAX], whole[RUNS_MAX];
	struct err err = ERR_INIT;
	unsigned n = 200;
	bool brief = false;
	int option, layer_fd, r;

	while ((option = getopt(argc, argv, "n:g")) != -1) {
		if (option == 'n')
			n = (unsigned)strtoul(optarg, NULL, 10);
		else if (option == 'g')
			brief = true;
		else
			return 2;
	}
	if (argc - optind < 3 || n == 0 || n > RUNS_MAX)
		return 2;
	layer_fd = make_layer(argv[optind + 2], argv[optind + 1], &err);
	r = layer_fd < 0 ? layer_fd
			 : harness_start(&harness, argv[optind], (const char *const *)argv + optind + 3,
					 (unsigned)(argc - optind - 3), &err);
	for (unsigned i = 0; r >= 0 && i < n + 5; i++) {
		unsigned at = i < 5 ? 0 : i - 5; /* the first ones warm up */

		r = run_once(layer_fd, &to_main[at], &whole[at], &err);
		(void)usleep(BETWEEN_US);
	}
	if (r < 0) {
		fprintf(stderr, "bench_sandbox: %s\n", err.text);
		return 1;
	}
	(void)harness_stop(&harness);
	if (brief) {
		qsort(to_main, n, sizeof(to_main[0]), compare);
		qsort(whole, n, sizeof(whole[0]), compare);
		printf("%llu %llu\n", (unsigned long long)to_main[n / 2], (unsigned long long)whole[n / 2]);
		return 0;
	}
	printf("%-32s %6s %8s %8s %8s %8s %8s  us\n", "what", "n", "min", "median", "p95", "p99", "max");
	report("request to first instruction", to_main, n);
	report("request to removed process", whole, n);
	return 0;
}
