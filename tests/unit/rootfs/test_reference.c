#include "rootfs/reference.h"
#include "supervisor/util.h"

#include <string.h>

#include "tests/unit/main.h"

#define HEX64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static const struct {
	const char *text, *normal;
} good[] = {
	{"iron/hello", "iron/hello:latest"},
	{"hello", "hello:latest"},
	{"docker.io/library/hello:1", "hello:1"},
	{"index.docker.io/iron/hello", "iron/hello:latest"},
	{"library/hello", "hello:latest"},
	{"docker.io/a.b/c", "docker.io/a.b/c:latest"},
	{"index.docker.io/a.b/c", "docker.io/a.b/c:latest"},
	{"library/a/b", "library/a/b:latest"},
	{"host:5000/x", "host:5000/x:latest"},
	{"host:5000/x:1", "host:5000/x:1"},
	{"localhost/x", "localhost/x:latest"},
	{"registry.example.com/a/b-c/d__e.f:V1.0_x-y", "registry.example.com/a/b-c/d__e.f:V1.0_x-y"},
	{"HOST/x", "HOST/x:latest"},
	{"x@sha256:" HEX64, "x@sha256:" HEX64},
	{"x:1@sha256:" HEX64, "x:1@sha256:" HEX64},
	{"a---b", "a---b:latest"},
	{"a:_", "a:_"},
};

static const struct {
	const char *text, *why;
} bad[] = {
	{"", "empty"},
	{"Upper", "lower-case"},
	{"a/", "path part"},
	{"/a", "path part"},
	{"a//b", "path part"},
	{"a_", "path part"},
	{"a___b", "path part"},
	{"a..b", "path part"},
	{"a.", "path part"},
	{"-a", "path part"},
	{"a b", "path part"},
	{"a\nb", "path part"},
	{"\xc3\xa4", "path part"},
	{"a:", "tag"},
	{"a:.x", "tag"},
	{"a:-x", "tag"},
	{"a:b c", "tag"},
	{"host:/x", "host"},
	{"host:123456/x", "host"},
	{"-host.x/y", "host"},
	{"host-.x/y", "host"},
	{"a.b./y", "host"},
	{"x@", "digest"},
	{"x@sha256:12", "digest"},
	{"x@sha512:" HEX64, "digest"},
	{"x@sha256:" HEX64 "0", "digest"},
	{"x@sha256:G" HEX64, "digest"},
	{HEX64, "image id"},
	{"../../etc/passwd", "host"},
};

START_TEST(good_names_are_normalised)
{
	struct reference reference;
	char text[REFERENCE_TEXT_MAX];
	const char *normal = good[_i].normal;

	ck_assert_int_eq(reference_parse(good[_i].text, &reference, NULL), 0);
	ck_assert_str_eq(reference_format(&reference, text, sizeof(text)), normal);
	/* The normal form is its own. */
	ck_assert_int_eq(reference_parse(text, &reference, NULL), 0);
	ck_assert_str_eq(reference_format(&reference, text, sizeof(text)), normal);
}
END_TEST

START_TEST(bad_names_are_refused_with_the_cause)
{
	struct reference reference = {.name = "untouched"};
	struct err err = ERR_INIT;

	ck_assert_int_eq(reference_parse(bad[_i].text, &reference, &err), -EINVAL);
	ck_assert_msg(strstr(err.text, bad[_i].why), "\"%s\": %s", bad[_i].text, err.text);
	ck_assert_str_eq(reference.name, "untouched");
}
END_TEST

START_TEST(long_names_end_at_the_bound)
{
	char text[REFERENCE_TEXT_MAX + 100];
	struct reference reference;

	memset(text, 'a', sizeof(text));
	text[REFERENCE_NAME_MAX] = '\0';
	ck_assert_int_eq(reference_parse(text, &reference, NULL), 0);
	text[REFERENCE_NAME_MAX] = 'a';
	text[REFERENCE_NAME_MAX + 1] = '\0';
	ck_assert_int_eq(reference_parse(text, &reference, NULL), -EINVAL);
	text[REFERENCE_NAME_MAX + 1] = 'a';
	text[sizeof(text) - 1] = '\0';
	ck_assert_int_eq(reference_parse(text, &reference, NULL), -EINVAL);
	memset(text, 'a', sizeof(text));
	text[1] = ':';
	text[2 + REFERENCE_TAG_MAX] = '\0';
	ck_assert_int_eq(reference_parse(text, &reference, NULL), 0);
	text[2 + REFERENCE_TAG_MAX] = 'a';
	text[3 + REFERENCE_TAG_MAX] = '\0';
	ck_assert_int_eq(reference_parse(text, &reference, NULL), -EINVAL);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("reference");
	TCase *all = tcase_create("all");

	tcase_add_loop_test(all, good_names_are_normalised, 0, (int)ARRAY_LEN(good));
	tcase_add_loop_test(all, bad_names_are_refused_with_the_cause, 0, (int)ARRAY_LEN(bad));
	tcase_add_test(all, long_names_end_at_the_bound);
	suite_add_tcase(suite, all);
	return suite;
}
