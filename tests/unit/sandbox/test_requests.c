/* What comes in messages: creation requests, profile records, paths, settings; and how an end is told. */
#include "sandbox/config.h"
#include "sandbox/create.h"
#include "sandbox/instance.h"
#include "sandbox/profile.h"
#include "sandbox/root.h"
#include "supervisor/str.h"
#include "supervisor/util.h"

#include <signal.h>
#include <string.h>

#include "tests/unit/main.h"

static struct ipc_message message;
static struct create_request request;
static struct sandbox_config config, maxima;

static const char *const good_texts[] = {"/", "host", "label", "/bin/true", "A=b"};

/* Parses a request made of BODY and texts; as many texts as it says. */
static int parse(struct sbx_create *body, const char *const *texts, unsigned n_texts, const char **ret_phase)
{
	static struct err err;
	size_t used = 0;

	sandbox_config_init(&config);
	config.max_disk_bytes = maxima.max_disk_bytes;
	config.max_pids = maxima.max_pids;
	config.max_cpu_percent = maxima.max_cpu_percent;
	err = ERR_INIT;
	memcpy(message.payload, body, sizeof(*body));
	for (unsigned i = 0; i < n_texts; i++)
		ck_assert(str_pack((char *)message.payload + sizeof(*body), 8192, &used, texts[i]));
	message.header.length = (uint32_t)(sizeof(*body) + used);
	message.n_fds = 1;
	*ret_phase = "";
	return create_parse(&config, &message, &request, ret_phase, &err);
}

static int parse_good(struct sbx_create body, const char **ret_phase)
{
	body.n_layers = body.n_args = body.n_env = 1;
	return parse(&body, good_texts, ARRAY_LEN(good_texts), ret_phase);
}

START_TEST(defaults_are_filled_in)
{
	const char *phase;

	ck_assert_int_eq(parse_good((struct sbx_create){.uid = 7, .gid = 65534}, &phase), 0);
	ck_assert_uint_eq(request.limits.memory_bytes, config.memory_bytes);
	ck_assert_uint_eq(request.limits.tasks, config.pids_max + 1);
	ck_assert_uint_eq(request.what.root.disk_bytes, config.disk_bytes);
	ck_assert_uint_eq(request.what.command.uid, 7);
	ck_assert_uint_eq(request.stop_signal, SIGTERM);
	ck_assert_str_eq(request.what.hostname, "host");
	ck_assert_str_eq(request.what.arguments[0], "/bin/true");
	ck_assert_str_eq(request.what.arguments[1], "A=b");
}
END_TEST

START_TEST(what_is_asked_for_is_brought_down_to_the_maxima)
{
	const struct {
		uint32_t pids, cpu, wanted_pids, wanted_cpu;
		uint64_t disk, wanted_disk;
	} rows[] = {
		{10, 20, 10, 20, 2 * MIB, 2 * MIB},
		{100, 100, 100, 100, 8 * MIB, 8 * MIB},
		{101, 101, 100, 100, 9 * MIB, 8 * MIB},
		/* No quota is more than any, and a default is no way around. */
		{0, 0, 100, 100, 0, 8 * MIB},
	};
	const char *phase;

	maxima = (struct sandbox_config){.max_disk_bytes = 8 * MIB, .max_pids = 100, .max_cpu_percent = 100};
	for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
		ck_assert_int_eq(parse_good((struct sbx_create){.pids_max = rows[i].pids,
								.cpu_percent = rows[i].cpu,
								.disk_bytes = rows[i].disk},
					    &phase),
				 0);
		ck_assert_uint_eq(request.limits.tasks, rows[i].wanted_pids + 1);
		ck_assert_uint_eq(request.limits.cpu_percent, rows[i].wanted_cpu);
		ck_assert_uint_eq(request.what.root.disk_bytes, rows[i].wanted_disk);
	}
	maxima = (struct sandbox_config){0};
	ck_assert_int_eq(parse_good((struct sbx_create){.pids_max = 60000}, &phase), 0);
	ck_assert_uint_eq(request.limits.tasks, 60001);
	ck_assert_uint_eq(request.limits.cpu_percent, 0);
}
END_TEST

START_TEST(sec_L1_counts_that_do_not_fit_are_violations)
{
	const struct sbx_create bad[] = {
		{.n_layers = 2, .n_args = 1, .n_env = 1},      {.n_layers = 0, .n_args = 1, .n_env = 1},
		{.n_layers = 1, .n_args = 2, .n_env = 1},      {.n_layers = 1, .n_args = 1, .n_env = 0},
		{.n_layers = 1, .n_args = 1025, .n_env = 1},   {.n_layers = 1, .n_args = UINT32_MAX, .n_env = 1},
		{.n_layers = 1, .n_args = 1, .n_env = 100000}, {.n_layers = 1, .n_args = 1, .n_env = 1, .network = 3},
	};
	const char *phase;

	for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
		struct sbx_create body = bad[i];

		ck_assert_int_eq(parse(&body, good_texts, ARRAY_LEN(good_texts), &phase), -EPROTO);
	}
}
END_TEST

START_TEST(sec_L2_values_out_of_range_are_refused)
{
	const struct {
		struct sbx_create body;
		const char *phase;
	} bad[] = {
		{{.uid = 65535}, "user"},
		{{.gid = 65536}, "user"},
		{{.network = SBX_NETWORK_HOST}, "network"},
		{{.memory_bytes = 1}, "limits"},
		{{.memory_bytes = UINT64_MAX}, "limits"},
		{{.disk_bytes = 1}, "limits"},
		{{.disk_bytes = UINT64_MAX}, "limits"},
		{{.pids_max = UINT32_MAX}, "limits"},
		{{.cpu_percent = UINT32_MAX}, "limits"},
		{{.timeout_us = UINT64_MAX}, "limits"},
		{{.stop_signal = 65}, "limits"},
		{{.stop_signal = SIGCHLD}, "limits"},
	};
	const char *phase;

	for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
		ck_assert_int_lt(parse_good(bad[i].body, &phase), 0);
		ck_assert_str_eq(phase, bad[i].phase);
	}
}
END_TEST

START_TEST(texts_are_judged)
{
	static const struct {
		const char *cwd, *hostname, *command, *phase;
	} bad[] = {
		{"relative", "h", "/x", "cwd"},
		{"/a/../b", "h", "/x", "cwd"},
		{"//", "h", "/x", NULL},
		{"/", "a b", "/x", "hostname"},
		{"/", "\xc3\xa4", "/x", "hostname"},
		{"/", "h", "", "command"},
		{"", "", "x", NULL},
	};
	const char *phase;

	for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
		const char *texts[] = {bad[i].cwd, bad[i].hostname, "", bad[i].command};
		struct sbx_create body = {.n_layers = 1, .n_args = 1};
		int r = parse(&body, texts, ARRAY_LEN(texts), &phase);

		ck_assert_int_eq(r < 0, bad[i].phase != NULL);
		if (r < 0)
			ck_assert_str_eq(phase, bad[i].phase);
	}
	ck_assert_str_eq(request.what.cwd, "/");
	ck_assert_str_eq(request.what.hostname, "ferrite");
}
END_TEST

START_TEST(places_in_a_root_are_plain)
{
	static const char *const good[] = {"/a", "/a/b.c/d", "/.a", "/..a", "/a b"};
	static const char *const bad[] = {"", "a", "/", "//", "/a/", "/a//b", "/.", "/..", "/a/..", "/a/./b", "/a\n"};
	char longest[ROOT_PATH_MAX + 10];

	for (unsigned i = 0; i < ARRAY_LEN(good); i++)
		ck_assert_msg(root_path_valid(good[i]), "%s", good[i]);
	for (unsigned i = 0; i < ARRAY_LEN(bad); i++)
		ck_assert_msg(!root_path_valid(bad[i]), "%s", bad[i]);
	for (unsigned i = 0; i < sizeof(longest); i++)
		longest[i] = i % 2 ? 'a' : '/';
	longest[ROOT_PATH_MAX] = '\0';
	ck_assert(!root_path_valid(longest));
	longest[ROOT_PATH_MAX - 2] = '\0';
	ck_assert(root_path_valid(longest));
}
END_TEST

static size_t put_record(char *buffer, uint32_t kind, const char *list, size_t length)
{
	struct sbx_item item = {kind, (uint32_t)length};

	memcpy(buffer, &item, sizeof(item));
	memcpy(buffer + sizeof(item), list, length);
	return sizeof(item) + length;
}

START_TEST(profile_records_are_read_exactly)
{
	char bytes[256];
	struct profile_record record;
	size_t n = put_record(bytes, SBX_ITEM_LINK, "/a\0b", 5);

	ck_assert_int_eq(profile_next_record(bytes, n, &record), (long)n);
	ck_assert_str_eq(record.destination, "/a");
	ck_assert_str_eq(record.content, "b");
	ck_assert(!profile_record_has_fd(&record));
	for (size_t cut = 0; cut < n; cut++)
		ck_assert_int_eq(profile_next_record(bytes, cut, &record), -EBADMSG);
	n = put_record(bytes, SBX_ITEM_FILE, "/a\0b", 5);
	ck_assert_int_eq(profile_next_record(bytes, n, &record), -EBADMSG);
	n = put_record(bytes, SBX_ITEM_TEXT, "/a", 3);
	ck_assert_int_eq(profile_next_record(bytes, n, &record), -EBADMSG);
	n = put_record(bytes, SBX_ITEM_FILE, "/ab", 3);
	ck_assert_int_eq(profile_next_record(bytes, n, &record), -EBADMSG);
	n = put_record(bytes, SBX_ITEM_MAX, "/a", 3);
	ck_assert_int_eq(profile_next_record(bytes, n, &record), -EBADMSG);
}
END_TEST

START_TEST(drivers_are_found_by_their_names)
{
	static const char devices[] = "Character devices:\n  1 mem\n195 nvidia\n511 nvidia-uvm\n 10 misc\n\n"
				      "Block devices:\n  7 loop\n259 nvidia-block\n";

	ck_assert(profile_major_allowed(devices, 195, "nvidia"));
	ck_assert(profile_major_allowed(devices, 511, "nvidia"));
	ck_assert(profile_major_allowed(devices, 1, "nvidia,mem"));
	ck_assert(!profile_major_allowed(devices, 1, "nvidia"));
	ck_assert(!profile_major_allowed(devices, 259, "nvidia"));
	ck_assert(!profile_major_allowed(devices, 7, "loop"));
	ck_assert(!profile_major_allowed(devices, 195, ""));
	ck_assert(!profile_major_allowed(devices, 195, ",,"));
	ck_assert(!profile_major_allowed("", 195, "nvidia"));
	ck_assert(!profile_major_allowed("195 nvidia\n", 195, "nvidia"));
}
END_TEST

START_TEST(settings_are_strict)
{
	struct err err = ERR_INIT;

	sandbox_config_init(&config);
	ck_assert_int_eq(sandbox_config_set(&config, "memory_bytes", "64MiB", false, &err), 0);
	ck_assert_uint_eq(config.memory_bytes, 64 * MIB);
	ck_assert_int_eq(sandbox_config_set(&config, "ids_blocks", "4294967296", false, &err), -EINVAL);
	ck_assert_int_eq(sandbox_config_set(&config, "pids_max", "-1", false, &err), -EINVAL);
	ck_assert_int_eq(sandbox_config_set(&config, "unheard_of", "1", false, &err), 0);
	ck_assert_int_eq(sandbox_config_set(&config, "uid_base", "200000", true, &err), 0);
	ck_assert_uint_eq(config.uid_base, 0x70000000);
	ck_assert_int_eq(sandbox_config_set(&config, "pids_max", "9", true, &err), 0);
	ck_assert_uint_eq(config.pids_max, 9);
}
END_TEST

#define EXITED(code)   ((code) << 8)
#define KILLED_BY(num) (num)

START_TEST(ends_are_told_exactly)
{
	const struct {
		enum instance_cause cause;
		bool has_status;
		int status;
		uint64_t oom_kills;
		struct sbx_exited wanted;
	} rows[] = {
		{CAUSE_NONE, true, EXITED(0), 0, {.end = SBX_END_EXIT}},
		{CAUSE_NONE, true, EXITED(255), 0, {.end = SBX_END_EXIT, .exit_code = 255}},
		{CAUSE_NONE, true, KILLED_BY(11), 0, {.end = SBX_END_SIGNAL, .exit_code = -1, .signal = 11}},
		{CAUSE_NONE, true, KILLED_BY(11 | 0x80), 0, {.end = SBX_END_SIGNAL, .exit_code = -1, .signal = 11}},
		{CAUSE_NONE, true, KILLED_BY(9), 1, {.end = SBX_END_OOM, .exit_code = -1, .signal = 9}},
		{CAUSE_NONE, true, EXITED(0), 1, {.end = SBX_END_OOM}},
		{CAUSE_NONE, false, 0, 1, {.end = SBX_END_OOM, .exit_code = -1, .signal = 9}},
		{CAUSE_NONE, false, 0, 0, {.end = SBX_END_LOST, .exit_code = -1}},
		{CAUSE_TIMEOUT, false, 0, 0, {.end = SBX_END_TIMEOUT, .exit_code = -1, .signal = 9}},
		{CAUSE_TIMEOUT, false, 0, 3, {.end = SBX_END_TIMEOUT, .exit_code = -1, .signal = 9}},
		{CAUSE_KILLED, true, EXITED(4), 0, {.end = SBX_END_KILLED, .exit_code = 4}},
		{CAUSE_KILLED, false, 0, 0, {.end = SBX_END_KILLED, .exit_code = -1, .signal = 9}},
	};

	for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
		struct instance instance = {.id = 5,
					    .executed_us = 1000,
					    .cause = rows[i].cause,
					    .has_status = rows[i].has_status,
					    .status = rows[i].status};
		struct cgroup_usage usage = {.cpu_us = 7, .memory_peak_bytes = 8, .oom_kills = rows[i].oom_kills};
		struct sbx_exited got = instance_outcome(&instance, &usage, 4000);

		ck_assert_msg(got.end == rows[i].wanted.end, "row %u: end %u", i, got.end);
		ck_assert_msg(got.exit_code == rows[i].wanted.exit_code, "row %u: code %d", i, got.exit_code);
		ck_assert_msg(got.signal == rows[i].wanted.signal, "row %u: signal %d", i, got.signal);
		ck_assert_uint_eq(got.instance, 5);
		ck_assert_uint_eq(got.run_us, 3000);
		ck_assert_uint_eq(got.cpu_us, 7);
		ck_assert_uint_eq(got.memory_peak_bytes, 8);
	}
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("requests");
	TCase *all = tcase_create("all");

	tcase_add_test(all, defaults_are_filled_in);
	tcase_add_test(all, what_is_asked_for_is_brought_down_to_the_maxima);
	tcase_add_test(all, sec_L1_counts_that_do_not_fit_are_violations);
	tcase_add_test(all, sec_L2_values_out_of_range_are_refused);
	tcase_add_test(all, texts_are_judged);
	tcase_add_test(all, places_in_a_root_are_plain);
	tcase_add_test(all, profile_records_are_read_exactly);
	tcase_add_test(all, drivers_are_found_by_their_names);
	tcase_add_test(all, settings_are_strict);
	tcase_add_test(all, ends_are_told_exactly);
	suite_add_tcase(suite, all);
	return suite;
}
