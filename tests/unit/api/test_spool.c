#include "api/spool.h"

#include "supervisor/util.h"

#include "tests/unit/main.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

static char folder[] = "/tmp/ferrite-spool-XXXXXX";
static struct spool_totals totals;
static struct spool_limits limits;
static struct spool spool;
static struct err err;

static void open_spool(void)
{
	memcpy(folder + sizeof(folder) - 7, "XXXXXX", 6);
	ck_assert_ptr_nonnull(mkdtemp(folder));
	totals.memory = totals.files = 0;
	limits = (struct spool_limits){.folder = folder,
				       .bytes = 100000,
				       .in_memory = 1000,
				       .all_memory = 5000,
				       .all_files = 200000,
				       .all_open = 4};
	spool_open(&spool, &totals);
	err = ERR_INIT;
}

static void close_spool(void)
{
	spool_done(&spool);
	ck_assert_uint_eq(totals.memory, 0);
	ck_assert_uint_eq(totals.files, 0);
	ck_assert_uint_eq(totals.open, 0);
	/* Nothing that has a name is left. */
	ck_assert_int_eq(rmdir(folder), 0);
}

static void add(size_t from, size_t length)
{
	for (size_t i = from; i < from + length;) {
		char part[700];
		size_t n = MIN(sizeof(part), from + length - i);

		for (size_t at = 0; at < n; at++)
			part[at] = (char)((i + at) * 7 % 251);
		ck_assert_int_eq(spool_add(&spool, &limits, part, n, &err), 0);
		i += n;
	}
}

/* Takes everything out, as an instance's pipe would, in parts; and compares. */
static void read_back(size_t length)
{
	int ends[2];
	size_t got = 0;

	ck_assert_int_eq(pipe2(ends, O_NONBLOCK | O_CLOEXEC), 0);
	while (got < length) {
		struct iovec parts[SPOOL_PARTS_MAX];
		char buffer[3000];
		ssize_t n;

		if (spool_in_memory(&spool)) {
			ck_assert_uint_gt(spool_peek(&spool, parts), 0);
			n = write(ends[1], parts[0].iov_base, MIN(parts[0].iov_len, (size_t)300));
			ck_assert_int_gt(n, 0);
			spool_skip(&spool, (uint64_t)n);
		} else {
			n = spool_splice(&spool, ends[1]);
			ck_assert(n > 0 || n == -EAGAIN);
		}
		while ((n = read(ends[0], buffer, sizeof(buffer))) > 0)
			for (ssize_t i = 0; i < n; i++, got++)
				ck_assert_int_eq(buffer[i], (char)(got * 7 % 251));
	}
	ck_assert_uint_eq(got, length);
	ck_assert_uint_eq(spool.at, spool.length);
	(void)close(ends[0]);
	(void)close(ends[1]);
}

START_TEST(few_bytes_stay_in_memory)
{
	open_spool();
	add(0, 1000);
	ck_assert(spool_in_memory(&spool));
	ck_assert_uint_eq(totals.memory, 1000);
	for (int i = 0; i < 2; i++) {
		read_back(1000);
		spool_rewind(&spool);
	}
	close_spool();
}
END_TEST

START_TEST(many_bytes_go_to_a_file)
{
	open_spool();
	add(0, 999);
	add(999, 99001);
	ck_assert(!spool_in_memory(&spool));
	ck_assert_uint_eq(totals.memory, 0);
	ck_assert_uint_eq(totals.files, 100000);
	for (int i = 0; i < 2; i++) {
		read_back(100000);
		spool_rewind(&spool);
	}
	ck_assert_int_eq(spool_add(&spool, &limits, "x", 1, &err), -EFBIG);
	close_spool();
}
END_TEST

START_TEST(all_together_are_bounded)
{
	struct spool other;

	open_spool();
	spool_open(&other, &totals);
	/* Memory is short: a file, and earlier than otherwise. */
	totals.memory = 4900;
	add(0, 200);
	ck_assert(!spool_in_memory(&spool));
	ck_assert_uint_eq(totals.memory, 4900);
	totals.memory = 0;
	limits.all_files = 300;
	limits.in_memory = 0;
	ck_assert_int_eq(spool_add(&other, &limits, folder, 0, &err), 0);
	ck_assert_int_ge(other.fd, 0);
	ck_assert_int_eq(spool_add(&other, &limits, limits.folder, sizeof(folder), &err), 0);
	ck_assert_int_eq(spool_add(&spool, &limits, (char[100]){0}, 100, &err), -ENOBUFS);
	spool_done(&other);
	ck_assert_uint_eq(totals.files, spool.counted);
	close_spool();
}
END_TEST

START_TEST(files_are_descriptors_and_bounded)
{
	struct spool other;

	open_spool();
	limits.all_open = 1;
	limits.in_memory = 10;
	spool_open(&other, &totals);
	add(0, 100);
	ck_assert_int_eq(spool_add(&other, &limits, folder, 11, &err), -ENOBUFS);
	ck_assert_uint_eq(totals.open, 1);
	/* What stays in memory needs none. */
	ck_assert_int_eq(spool_add(&other, &limits, folder, 10, &err), 0);
	spool_done(&other);
	spool_done(&spool);
	ck_assert_uint_eq(totals.open, 0);
	ck_assert_int_eq(spool_add(&other, &limits, folder, 11, &err), 0);
	spool_done(&other);
	close_spool();
}
END_TEST

START_TEST(folder_that_is_not_there_is_an_error)
{
	open_spool();
	limits.folder = "/nowhere/at/all";
	ck_assert_int_eq(spool_add(&spool, &limits, (char[2000]){0}, 2000, &err), -ENOENT);
	close_spool();
}
END_TEST

START_TEST(full_device_is_told)
{
	open_spool();
	limits.in_memory = 0;
	add(0, 1);
	(void)close(spool.fd);
	spool.fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
	ck_assert_int_ge(spool.fd, 0);
	ck_assert_int_eq(spool_add(&spool, &limits, "x", 1, &err), -ENOSPC);
	close_spool();
}
END_TEST

START_TEST(content_of_a_buffer_is_taken)
{
	struct evbuffer *buffer = evbuffer_new();

	open_spool();
	ck_assert_ptr_nonnull(buffer);
	for (size_t i = 0; i < 3000; i++)
		ck_assert_int_eq(evbuffer_add(buffer, &(char){(char)(i * 7 % 251)}, 1), 0);
	ck_assert_int_eq(spool_take(&spool, buffer), 0);
	ck_assert_uint_eq(evbuffer_get_length(buffer), 0);
	ck_assert_uint_eq(spool.length, 3000);
	read_back(3000);
	evbuffer_free(buffer);
	close_spool();
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("spool");
	TCase *tests = tcase_create("spool");

	tcase_add_test(tests, few_bytes_stay_in_memory);
	tcase_add_test(tests, many_bytes_go_to_a_file);
	tcase_add_test(tests, all_together_are_bounded);
	tcase_add_test(tests, files_are_descriptors_and_bounded);
	tcase_add_test(tests, folder_that_is_not_there_is_an_error);
	tcase_add_test(tests, full_device_is_told);
	tcase_add_test(tests, content_of_a_buffer_is_taken);
	suite_add_tcase(suite, tests);
	return suite;
}
