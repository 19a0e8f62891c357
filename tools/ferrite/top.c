/* ferrite top: the instances that take most of the processor, again and again. */
#include "supervisor/str.h"
#include "supervisor/util.h"
#include "tools/ferrite/client.h"
#include "tools/ferrite/commands.h"
#include "tools/ferrite/output.h"

#include <string.h>
#include <sys/ioctl.h>

#define INTERVAL_DEFAULT 1
#define INTERVAL_MAX	 3600
#define LINES_AROUND	 4 /* the head of the screen, and its last line */

/* What was there at one moment. */
struct sample {
	uint64_t at_us;
	json_t *stats, *instances;
};

static void sample_done(struct sample *sample)
{
	json_decref(sample->stats);
	json_decref(sample->instances);
	*sample = (struct sample){0};
}

static enum cli_exit take_sample(struct cli *cli, struct sample *sample)
{
	json_t *document = NULL;
	enum cli_exit status = exchange_json(cli, "GET", client_path("/v1/instances"), NULL, &document);

	sample->at_us = clock_monotonic_us();
	sample->instances = json_incref(json_object_get(document, "instances"));
	json_decref(document);
	return status != CLI_OK ? status : exchange_json(cli, "GET", client_path("/stats"), NULL, &sample->stats);
}

static const json_t *find(const json_t *instances, json_int_t id)
{
	const json_t *row;
	size_t i;

	json_array_foreach((json_t *)instances, i, row)
	{
		if (json_integer_value(json_object_get(row, "id")) == id)
			return row;
	}
	return NULL;
}

static double rate(const json_t *before, const json_t *now, const char *key, uint64_t us)
{
	json_int_t more =
		json_integer_value(json_object_get(now, key)) - json_integer_value(json_object_get(before, key));

	/* A new ferrite-api counts from nothing again. */
	return us > 0 && more > 0 ? (double)more * 1e6 / (double)us : 0;
}

static int compare(const void *a, const void *b)
{
	double left = json_number_value(json_object_get(*(json_t *const *)a, "cpu_percent"));
	double right = json_number_value(json_object_get(*(json_t *const *)b, "cpu_percent"));

	return left < right ? 1 : left > right ? -1 : 0;
}

/* Adds "cpu_percent", of one processor, to each instance; the busiest come first. One that is new has used what it has
 * since it began. */
static json_t *weigh(const struct sample *before, const struct sample *now)
{
	size_t n = json_array_size(now->instances);
	_cleanup_free_ json_t **rows = calloc(n + 1, sizeof(json_t *));
	json_t *weighed = json_array();

	for (size_t i = 0; rows && i < n; i++) {
		json_t *row = json_array_get(now->instances, i);
		const json_t *old = find(before->instances, json_integer_value(json_object_get(row, "id")));

		rows[i] = row;
		(void)json_object_set_new(row, "cpu_percent",
					  json_real(rate(old, row, "cpu_us", now->at_us - before->at_us) / 1e4));
	}
	if (rows)
		qsort(rows, n, sizeof(json_t *), compare);
	for (size_t i = 0; rows && i < n; i++)
		(void)json_array_append(weighed, rows[i]);
	return weighed;
}

static const char *bytes(const json_t *row, const char *key, char *buffer)
{
	return output_bytes(buffer, (uint64_t)MAX(json_integer_value(json_object_get(row, key)), 0));
}

/* As many as the terminal has room for; all of them elsewhere. */
static size_t room(void)
{
	struct winsize size = {0};

	if (!isatty(STDOUT_FILENO) || ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_row <= LINES_AROUND)
		return SIZE_MAX;
	return size.ws_row - LINES_AROUND;
}

static void print_head(const struct sample *before, const struct sample *now)
{
	printf("calls: %" JSON_INTEGER_FORMAT " running, %" JSON_INTEGER_FORMAT " waiting, %.1f a second\n",
	       json_integer_value(json_object_get(now->stats, "Running")),
	       json_integer_value(json_object_get(now->stats, "Queue")),
	       rate(before->stats, now->stats, "Complete", now->at_us - before->at_us));
	printf("instances: %zu\n\n", json_array_size(now->instances));
}

static void print_table(const json_t *weighed)
{
	struct output_table *table = output_table_new(
		(const char *const[]){"STATE", "APP", "ROUTE", "PID", "CPU %", "MEMORY", "LIMIT", "TASKS", NULL});
	size_t most = room(), i;
	const json_t *row;

	json_array_foreach((json_t *)weighed, i, row)
	{
		char pid[32], cpu[32], tasks[32], used[32], limit[32], unused[8];

		if (i == most)
			break;
		(void)snprintf(cpu, sizeof(cpu), "%.1f", json_number_value(json_object_get(row, "cpu_percent")));
		output_table_row(table,
				 (const char *const[]){output_member(row, "state", unused, sizeof(unused)),
						       output_member(row, "app", unused, sizeof(unused)),
						       output_member(row, "route", unused, sizeof(unused)),
						       output_member(row, "pid", pid, sizeof(pid)), cpu,
						       bytes(row, "memory", used), bytes(row, "memory_reserved", limit),
						       output_member(row, "tasks", tasks, sizeof(tasks))});
	}
	output_table_print(table);
}

static void show(const struct cli *cli, const struct sample *before, const struct sample *now, bool once)
{
	json_t *weighed = weigh(before, now);

	if (cli->json) {
		json_t *document = json_pack("{s:O, s:f, s:O}", "stats", now->stats, "calls_per_second",
					     rate(before->stats, now->stats, "Complete", now->at_us - before->at_us),
					     "instances", weighed);

		output_json(document);
		json_decref(document);
	} else {
		if (!once && isatty(STDOUT_FILENO))
			fputs("\033[H\033[J", stdout);
		print_head(before, now);
		print_table(weighed);
	}
	json_decref(weighed);
}

enum cli_exit top(struct cli *cli)
{
	const char *given = cli_value(cli, "interval");
	bool once = cli_value(cli, "once");
	struct sample before = {0}, now = {0};
	uint64_t seconds = INTERVAL_DEFAULT;
	enum cli_exit status;

	if (given && (!str_u64(given, &seconds) || seconds == 0 || seconds > INTERVAL_MAX))
		return cli_fail(cli, CLI_USAGE, "--interval takes a number of seconds from 1 to %d, not \"%s\"",
				INTERVAL_MAX, given);
	status = take_sample(cli, &before);
	while (status == CLI_OK) {
		(void)sleep((unsigned)seconds);
		status = take_sample(cli, &now);
		if (status == CLI_OK)
			show(cli, &before, &now, once);
		sample_done(&before);
		before = now;
		now = (struct sample){0};
		if (once || fflush(stdout) != 0)
			break;
	}
	sample_done(&before);
	return status;
}
