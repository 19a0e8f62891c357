/* The texts of the NVIDIA environment contract: visible devices, driver capabilities, requirements; driver proc files.
 */
#include "cudaexec/gpu/capabilities.h"
#include "cudaexec/gpu/driverproc.h"
#include "cudaexec/gpu/requirement.h"
#include "cudaexec/gpu/visible.h"
#include "supervisor/util.h"

#include <check.h>
#include <string.h>

static const char *const uuids[] = {"GPU-11111111-aaaa", "GPU-22222222-bbbb", "GPU-22222222-cccc"};

static void expect_visible(const char *text, int code, enum visible_kind kind, uint64_t mask)
{
	struct visible visible = {VISIBLE_VOID, 99};
	struct err err = ERR_INIT;
	int got = visible_parse(text, uuids, ARRAY_LEN(uuids), &visible, &err);

	ck_assert_msg(got == code, "'%s' gives %d (%s)", text, got, err.text);
	if (code < 0) {
		ck_assert_uint_eq(visible.mask, 99);
		ck_assert(err.text[0] != '\0');
		return;
	}
	ck_assert_msg(visible.kind == kind && visible.mask == mask, "'%s' gives kind %d mask %llu", text, visible.kind,
		      (unsigned long long)visible.mask);
}

START_TEST(visible_words)
{
	expect_visible("", 0, VISIBLE_VOID, 0);
	expect_visible("void", 0, VISIBLE_VOID, 0);
	expect_visible(" , ", 0, VISIBLE_VOID, 0);
	expect_visible("none", 0, VISIBLE_NONE, 0);
	expect_visible("all", 0, VISIBLE_ALL, 7);
	expect_visible("0", 0, VISIBLE_LIST, 1);
	expect_visible(" 2 , 0 ", 0, VISIBLE_LIST, 5);
	expect_visible("1,1", 0, VISIBLE_LIST, 2);
	expect_visible("GPU-1", 0, VISIBLE_LIST, 1);
	expect_visible("gpu-11111111-AAAA", -EINVAL, VISIBLE_LIST, 0);
	expect_visible("GPU-22222222-CCCC", 0, VISIBLE_LIST, 4);
	expect_visible("nvidia.com/gpu=1", 0, VISIBLE_LIST, 2);
	expect_visible("nvidia.com/gpu=all", 0, VISIBLE_ALL, 7);
	expect_visible("0,all", 0, VISIBLE_ALL, 7);
	expect_visible("all,none", 0, VISIBLE_NONE, 0);
	expect_visible("none,all,void", 0, VISIBLE_VOID, 0);
	expect_visible("rubbish,all", 0, VISIBLE_ALL, 7);
}
END_TEST

START_TEST(visible_errors)
{
	expect_visible("3", -ENODEV, VISIBLE_LIST, 0);
	expect_visible("0,3", -ENODEV, VISIBLE_LIST, 0);
	expect_visible("-1", -EINVAL, VISIBLE_LIST, 0);
	expect_visible("0x1", -EINVAL, VISIBLE_LIST, 0);
	expect_visible("GPU-2", -EINVAL, VISIBLE_LIST, 0);
	expect_visible("GPU-9", -ENODEV, VISIBLE_LIST, 0);
	expect_visible("MIG-GPU-1/0/0", -EOPNOTSUPP, VISIBLE_LIST, 0);
	expect_visible("0:1", -EOPNOTSUPP, VISIBLE_LIST, 0);
	expect_visible("99999999999999999999999", -EINVAL, VISIBLE_LIST, 0);
	expect_visible("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
		       "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
		       -EINVAL, VISIBLE_LIST, 0);
}
END_TEST

START_TEST(visible_without_gpu)
{
	struct visible visible;
	struct err err = ERR_INIT;

	ck_assert_int_eq(visible_parse("all", NULL, 0, &visible, &err), 0);
	ck_assert_uint_eq(visible.mask, 0);
	ck_assert_int_eq(visible_parse("0", NULL, 0, &visible, &err), -ENODEV);
	ck_assert_ptr_nonnull(strstr(err.text, "no GPU"));
}
END_TEST

static void expect_capabilities(const char *text, unsigned expected)
{
	unsigned got = 0;

	ck_assert_int_eq(capabilities_parse(text, &got, NULL), 0);
	ck_assert_msg(got == expected, "'%s' gives %x", text, got);
}

START_TEST(capability_words)
{
	unsigned got = 77;
	struct err err = ERR_INIT;

	expect_capabilities("", CAPABILITIES_DEFAULT);
	expect_capabilities(" , ", CAPABILITIES_DEFAULT);
	expect_capabilities("utility", CAPABILITY_UTILITY);
	expect_capabilities("compute, utility", CAPABILITIES_DEFAULT);
	expect_capabilities("video", CAPABILITY_VIDEO | CAPABILITY_COMPUTE);
	expect_capabilities("display", CAPABILITY_DISPLAY | CAPABILITY_GRAPHICS);
	expect_capabilities("all", CAPABILITIES_ALL);
	expect_capabilities("all,something", CAPABILITIES_ALL);
	ck_assert_int_eq(capabilities_parse("compte", &got, &err), -EINVAL);
	ck_assert_uint_eq(got, 77);
	ck_assert_ptr_nonnull(strstr(err.text, "did you mean compute"));
}
END_TEST

static void expect_requirement(const char *text, int expected)
{
	const struct requirement_facts facts = {"12.4", "450.80.02", "7.5", "Tesla"};
	struct err err = ERR_INIT;
	int got = requirement_check(text, &facts, NULL, &err);

	ck_assert_msg(got == expected, "'%s' gives %d (%s)", text, got, err.text);
}

START_TEST(requirement_table)
{
	static const struct {
		const char *text;
		int expected;
	} rows[] = {
		{"", 1},
		{"cuda>=12.0", 1},
		{"cuda>=12.5", 0},
		{"cuda=12.4", 1},
		{"cuda=12.4.0", 1},
		{"cuda!=12.4.0", 0},
		{"cuda=13", 0},
		{"cuda<13,cuda>11", 1},
		{"cuda<=12.4", 1},
		{"cuda>12.4", 0},
		{"arch>=7.0,brand=TESLA", 1},
		{"brand!=tesla", 0},
		{"cuda>=13.0 brand=tesla,driver>=450,driver<451", 1},
		{"cuda>=13.0 brand=tesla,driver>=451", 0},
		{"cuda>=12.0 brand=tesla,driver>=450,driver<451", 1},
		{"  cuda>=12.0   ", 1},
		{",", 1},
		{"unknown>=3", 1},
		{"cuda>=10.2,unknown=x", 1},
		{"cuda", -EINVAL},
		{"=12", -EINVAL},
		{"cuda>=", -EINVAL},
		{"cuda>=1>2", -EINVAL},
		{"brand>tesla", -EINVAL},
		{"cuda~12", -EINVAL},
		{"cuda=12.4 broken", -EINVAL},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		expect_requirement(rows[i].text, rows[i].expected);
}
END_TEST

START_TEST(requirement_unknown_facts)
{
	const struct requirement_facts facts = {NULL, "", NULL, NULL};
	bool ignored = false;

	ck_assert_int_eq(requirement_check("cuda>=99,driver>=99,arch>=99,brand=x", &facts, &ignored, NULL), 1);
	ck_assert(!ignored);
	ck_assert_int_eq(requirement_check("colour=red", &facts, &ignored, NULL), 1);
	ck_assert(ignored);
}
END_TEST

START_TEST(versions)
{
	ck_assert_int_eq(version_compare("12.4", "12.10"), -1);
	ck_assert_int_eq(version_compare("535.309.01", "535.309.1"), 0);
	ck_assert_int_eq(version_compare("12", "12.0.0"), 0);
	ck_assert_int_eq(version_compare("99999999999999999999", "1"), 1);
	ck_assert(driver_version_valid("535.309.01"));
	ck_assert(driver_version_valid("550.54"));
	ck_assert(!driver_version_valid("550"));
	ck_assert(!driver_version_valid("550."));
	ck_assert(!driver_version_valid("1.2.3.4"));
	ck_assert(!driver_version_valid("1"));
	ck_assert(!driver_version_valid(""));
}
END_TEST

static void expect_params(const char *before, const char *after)
{
	char *got = driverproc_rewrite_params(before);

	ck_assert_str_eq(got, after);
	free(got);
}

START_TEST(params)
{
	expect_params("ResmanDebugLevel: 1\nModifyDeviceFiles: 1\nDeviceFileUID: 0\n",
		      "ResmanDebugLevel: 1\nModifyDeviceFiles: 0\nDeviceFileUID: 0\n");
	expect_params("ModifyDeviceFiles: 0\n", "ModifyDeviceFiles: 0\n");
	expect_params("ModifyDeviceFiles: 1", "ModifyDeviceFiles: 0\n");
	expect_params("DeviceFileUID: 0\n", "DeviceFileUID: 0\nModifyDeviceFiles: 0\n");
	expect_params("DeviceFileUID: 0", "DeviceFileUID: 0\nModifyDeviceFiles: 0\n");
	expect_params("XModifyDeviceFiles: 1\n", "XModifyDeviceFiles: 1\nModifyDeviceFiles: 0\n");
	expect_params("", "ModifyDeviceFiles: 0\n");
}
END_TEST

START_TEST(proc_texts)
{
	static const char devices[] = "Character devices:\n  1 mem\n195 nvidia-frontend\n506 nvidia-uvm\n"
				      "\nBlock devices:\n 7 nvidia-blocks\n";
	static const char information[] =
		"Model: \t\t NVIDIA T4\nIRQ:   \t\t 12\nGPU UUID: \t GPU-1\nDevice Minor: \t 3\nBus Type:\n";
	char text[16] = "same";
	unsigned major = 1;

	ck_assert(driverproc_major(devices, "nvidia-uvm", &major));
	ck_assert_uint_eq(major, 506);
	ck_assert(!driverproc_major(devices, "nvidia", &major));
	ck_assert(!driverproc_major(devices, "nvidia-blocks", &major));
	ck_assert(!driverproc_major("", "nvidia-uvm", &major));
	ck_assert(driverproc_field(information, "Model", text, sizeof(text)));
	ck_assert_str_eq(text, "NVIDIA T4");
	ck_assert(driverproc_field(information, "Device Minor", text, sizeof(text)));
	ck_assert_str_eq(text, "3");
	ck_assert(!driverproc_field(information, "Bus Type", text, sizeof(text)));
	ck_assert(!driverproc_field(information, "GPU", text, sizeof(text)));
	ck_assert(!driverproc_field(information, "Model", text, 4));
	ck_assert_str_eq(text, "3");
	ck_assert(driverproc_version(
		"NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.309.01  Fri\nGCC version: 1.2\n", text,
		sizeof(text)));
	ck_assert_str_eq(text, "535.309.01");
	ck_assert(!driverproc_version("GCC\nNVRM 535.309.01", text, sizeof(text)));
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("gpu_grammar");
	TCase *tcase = tcase_create("grammar");

	tcase_add_test(tcase, visible_words);
	tcase_add_test(tcase, visible_errors);
	tcase_add_test(tcase, visible_without_gpu);
	tcase_add_test(tcase, capability_words);
	tcase_add_test(tcase, requirement_table);
	tcase_add_test(tcase, requirement_unknown_facts);
	tcase_add_test(tcase, versions);
	tcase_add_test(tcase, params);
	tcase_add_test(tcase, proc_texts);
	suite_add_tcase(suite, tcase);
	return suite;
}

#include "tests/unit/main.h"
