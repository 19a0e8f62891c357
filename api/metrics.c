#include "api/metrics.h"

#include "supervisor/util.h"

#include <pthread.h>
#include <string.h>

#define OTHER	   METRICS_APPS_MAX
#define OTHER_NAME "_other" /* which may be an app's name too */

/* The upper bounds of the buckets. A hot call takes tenths of a millisecond, a long one minutes. */
static const struct {
	uint64_t us;
	const char *seconds;
} bounds[METRICS_BUCKETS] = {
	{100, "0.0001"}, {250, "0.00025"}, {500, "0.0005"}, {1000, "0.001"},  {2500, "0.0025"}, {5000, "0.005"},
	{10000, "0.01"}, {25000, "0.025"}, {50000, "0.05"}, {100000, "0.1"},  {250000, "0.25"}, {500000, "0.5"},
	{1000000, "1"},	 {2500000, "2.5"}, {5000000, "5"},  {10000000, "10"}, {30000000, "30"}, {60000000, "60"},
};

/* Names of the apps that have a place of their own. They are added, never changed. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char *apps[METRICS_APPS_MAX];
static _Atomic unsigned n_apps;

unsigned metrics_app(const char *app)
{
	unsigned i;

	if (strcmp(app, OTHER_NAME) == 0)
		return OTHER;
	pthread_mutex_lock(&lock);
	for (i = 0; i < n_apps; i++)
		if (strcmp(apps[i], app) == 0)
			break;
	if (i == n_apps && i < METRICS_APPS_MAX) {
		apps[i] = strdup(app);
		if (apps[i])
			atomic_store(&n_apps, i + 1);
		else
			i = OTHER;
	}
	pthread_mutex_unlock(&lock);
	return i;
}

/* --- counting ----------------------------------------------------------------------------------------------------- */

/* Only one thread writes: no addition can be lost, and none needs the bus. */
static void add(_Atomic uint64_t *counter, uint64_t more)
{
	atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + more,
			      memory_order_relaxed);
}

static uint64_t get(const _Atomic uint64_t *counter)
{
	return atomic_load_explicit(counter, memory_order_relaxed);
}

static void observe(struct metrics_histogram *histogram, int64_t us)
{
	unsigned i = 0;

	if (us < 0)
		return;
	while (i < METRICS_BUCKETS && (uint64_t)us > bounds[i].us)
		i++;
	add(&histogram->buckets[i], 1);
	add(&histogram->sum_us, (uint64_t)us);
}

void metrics_count(struct metrics *metrics, const struct record *record)
{
	add(&metrics->calls[record->function->metrics_app][record->outcome], 1);
	add(&metrics->bytes_in, (uint64_t)record->bytes_in);
	add(&metrics->bytes_out, (uint64_t)record->bytes_out);
	observe(&metrics->queue, record->queue_us);
	observe(&metrics->run, record->run_us);
	if (record->start >= 0)
		observe(&metrics->start[record->start], record->start_us);
}

/* --- writing ------------------------------------------------------------------------------------------------------ */

void metrics_family(struct text *out, const char *name, const char *type, const char *help)
{
	text_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

void metrics_label(struct text *out, const char *value)
{
	text_puts(out, "\"");
	for (; *value; value++) {
		if (*value == '\n')
			text_puts(out, "\\n");
		else if (*value == '"' || *value == '\\')
			text_printf(out, "\\%c", *value);
		else
			text_add(out, value, 1);
	}
	text_puts(out, "\"");
}

static void write_calls_of(const struct metrics *const *metrics, unsigned n, unsigned app, struct text *out)
{
	for (unsigned outcome = 0; outcome < RECORD_OUTCOME_MAX; outcome++) {
		uint64_t sum = 0;

		for (unsigned i = 0; i < n; i++)
			sum += get(&metrics[i]->calls[app][outcome]);
		/* An app's successes are there from its first call on, so that a rate has something to begin from. */
		if (sum == 0 && outcome != RECORD_SUCCESS)
			continue;
		text_puts(out, "ferrite_calls_total{app=");
		metrics_label(out, app == OTHER ? OTHER_NAME : apps[app]);
		text_printf(out, ",outcome=\"%s\"} %llu\n", record_outcome_name((enum record_outcome)outcome),
			    (unsigned long long)sum);
	}
}

/* Histograms are parts of struct metrics: OFFSET says which. LABELS are written as they are, with a comma. */
static void write_histogram(const struct metrics *const *metrics, unsigned n, size_t offset, const char *name,
			    const char *labels, struct text *out)
{
	uint64_t count = 0, sum = 0;
	int length = (int)strlen(labels);

	for (unsigned bucket = 0; bucket <= METRICS_BUCKETS; bucket++) {
		for (unsigned i = 0; i < n; i++) {
			const struct metrics_histogram *h = (const void *)((const char *)metrics[i] + offset);

			count += get(&h->buckets[bucket]);
			sum += bucket == 0 ? get(&h->sum_us) : 0;
		}
		text_printf(out, "%s_bucket{%sle=\"%s\"} %llu\n", name, labels,
			    bucket == METRICS_BUCKETS ? "+Inf" : bounds[bucket].seconds, (unsigned long long)count);
	}
	/* Without their comma. */
	length = MAX(length - 1, 0);
	text_printf(out, "%s_sum%s%.*s%s %llu.%06llu\n", name, length ? "{" : "", length, labels, length ? "}" : "",
		    (unsigned long long)(sum / 1000000), (unsigned long long)(sum % 1000000));
	text_printf(out, "%s_count%s%.*s%s %llu\n", name, length ? "{" : "", length, labels, length ? "}" : "",
		    (unsigned long long)count);
}

static void write_total(const struct metrics *const *metrics, unsigned n, size_t offset, const char *name,
			const char *help, struct text *out)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < n; i++)
		sum += get((const _Atomic uint64_t *)(const void *)((const char *)metrics[i] + offset));
	metrics_family(out, name, "counter", help);
	text_printf(out, "%s %llu\n", name, (unsigned long long)sum);
}

void metrics_write(const struct metrics *const *metrics, unsigned n, struct text *out)
{
	unsigned known = atomic_load(&n_apps);

	metrics_family(out, "ferrite_calls_total", "counter", "Calls that have ended, by app and by how they ended.");
	for (unsigned app = 0; app < known; app++)
		write_calls_of(metrics, n, app, out);
	write_calls_of(metrics, n, OTHER, out);
	write_total(metrics, n, offsetof(struct metrics, bytes_in), "ferrite_call_input_bytes_total",
		    "Bytes of the payloads of calls.", out);
	write_total(metrics, n, offsetof(struct metrics, bytes_out), "ferrite_call_output_bytes_total",
		    "Bytes that functions answered.", out);
	metrics_family(out, "ferrite_call_queue_seconds", "histogram",
		       "From the request to memory, or an instance, for the call.");
	write_histogram(metrics, n, offsetof(struct metrics, queue), "ferrite_call_queue_seconds", "", out);
	metrics_family(out, "ferrite_call_start_seconds", "histogram",
		       "From then until the function's program had the call, by how it was started.");
	for (unsigned start = 0; start < RECORD_START_MAX; start++) {
		char labels[32];

		(void)snprintf(labels, sizeof(labels), "kind=\"%s\",", record_start_name((enum record_start)start));
		write_histogram(metrics, n, offsetof(struct metrics, start) + start * sizeof(struct metrics_histogram),
				"ferrite_call_start_seconds", labels, out);
	}
	metrics_family(out, "ferrite_call_run_seconds", "histogram", "From then until the answer was complete.");
	write_histogram(metrics, n, offsetof(struct metrics, run), "ferrite_call_run_seconds", "", out);
}
