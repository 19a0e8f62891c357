/* What an image's variables ask of the GPUs, as texts of a message. */
#include "api/gpuask.h"

#include "supervisor/str.h"
#include "supervisor/util.h"

#include <check.h>
#include <string.h>

#define ENV_MAX 80

static struct text tail;
static char *list[ENV_MAX + 4];

/* Asks for an image with these variables; the texts are in LIST then. */
static int ask(char **env, unsigned n_env, const struct gpu_wish *wish, struct gpu_attach *body, struct err *err)
{
	struct image image = {.env = env, .n_env = n_env};
	int code;

	text_clear(&tail);
	code = gpu_ask(&image, wish, "app/path", body, &tail, err);
	if (code == 0)
		ck_assert_int_eq(str_unpack(tail.data, tail.length, 3 + body->n_requires, list), (long)tail.length);
	return code;
}

#define ASK(body, wish, ...) \
	ask((char *[]){__VA_ARGS__}, sizeof((char *[]){__VA_ARGS__}) / sizeof(char *), wish, body, NULL)

START_TEST(devices_and_capabilities)
{
	const struct gpu_wish plain = {.count = 2, .memory_bytes = 5}, own = {.count = 1, .capabilities = "video"};
	struct gpu_attach body;

	ck_assert_int_eq(ASK(&body, &plain, "A=1"), 0);
	ck_assert_uint_eq(body.count, 2);
	ck_assert_uint_eq(body.memory_bytes, 5);
	ck_assert_uint_eq(body.n_requires, 0);
	ck_assert_str_eq(list[0], "");
	ck_assert_str_eq(list[1], "");
	ck_assert_str_eq(list[2], "app/path");
	ck_assert_int_eq(ASK(&body, &plain, "NVIDIA_VISIBLE_DEVICES="), 0);
	ck_assert_str_eq(list[0], "void");
	ck_assert_int_eq(ASK(&body, &plain, "NVIDIA_VISIBLE_DEVICES=all", "NVIDIA_DRIVER_CAPABILITIES=compute"), 0);
	ck_assert_str_eq(list[0], "all");
	ck_assert_str_eq(list[1], "compute");
	ck_assert_int_eq(ASK(&body, &own, "NVIDIA_DRIVER_CAPABILITIES=compute"), 0);
	ck_assert_str_eq(list[1], "video");
}
END_TEST

START_TEST(requirements)
{
	const struct gpu_wish wish = {.count = 1};
	struct gpu_attach body;

	ck_assert_int_eq(ASK(&body, &wish, "NVIDIA_REQUIRE_CUDA=cuda>=12.0 brand=tesla", "NVIDIA_REQUIRE_X=driver>=5",
			     "NVIDIA_REQUIRE_JETPACK=csv", "CUDA_VERSION=11.2.1"),
			 0);
	ck_assert_uint_eq(body.n_requires, 2);
	ck_assert_str_eq(list[3], "cuda>=12.0 brand=tesla");
	ck_assert_str_eq(list[4], "driver>=5");
	ck_assert_int_eq(ASK(&body, &wish, "NVIDIA_REQUIRE_CUDA=cuda>=99", "NVIDIA_DISABLE_REQUIRE=true"), 0);
	ck_assert_uint_eq(body.n_requires, 0);
	ck_assert_int_eq(ASK(&body, &wish, "NVIDIA_REQUIRE_CUDA=cuda>=99", "NVIDIA_DISABLE_REQUIRE=yes"), 0);
	ck_assert_uint_eq(body.n_requires, 1);
}
END_TEST

START_TEST(legacy_images)
{
	const struct gpu_wish wish = {.count = 1};
	struct gpu_attach body;

	ck_assert_int_eq(ASK(&body, &wish, "CUDA_VERSION=10.2.89"), 0);
	ck_assert_uint_eq(body.n_requires, 1);
	ck_assert_str_eq(list[1], "all");
	ck_assert_str_eq(list[3], "cuda>=10.2");
	ck_assert_int_eq(ASK(&body, &wish, "CUDA_VERSION=11", "NVIDIA_DRIVER_CAPABILITIES=utility"), 0);
	ck_assert_str_eq(list[1], "utility");
	ck_assert_str_eq(list[3], "cuda>=11");
}
END_TEST

/* More than a message may have would cost the api its channel. */
START_TEST(too_many_requirements)
{
	static char requirement[] = "NVIDIA_REQUIRE_CUDA=cuda>=1";
	const struct gpu_wish wish = {.count = 1};
	struct gpu_attach body;
	struct err err = ERR_INIT;
	char *env[ENV_MAX];

	for (unsigned i = 0; i < ENV_MAX; i++)
		env[i] = requirement;
	ck_assert_int_eq(ask(env, GPU_REQUIRES_MAX, &wish, &body, &err), 0);
	ck_assert_int_eq(ask(env, GPU_REQUIRES_MAX + 1, &wish, &body, &err), -E2BIG);
	ck_assert_ptr_nonnull(strstr(err.text, "more than 64"));
}
END_TEST

static void teardown(void)
{
	text_done(&tail);
}

static Suite *make_suite(void)
{
	Suite *suite = suite_create("gpuask");
	TCase *tcase = tcase_create("gpuask");

	tcase_add_unchecked_fixture(tcase, NULL, teardown);
	tcase_add_test(tcase, devices_and_capabilities);
	tcase_add_test(tcase, requirements);
	tcase_add_test(tcase, legacy_images);
	tcase_add_test(tcase, too_many_requirements);
	suite_add_tcase(suite, tcase);
	return suite;
}

#include "tests/unit/main.h"
