#include "rootfs/entry.h"
#include "supervisor/util.h"

#include <string.h>

#include "tests/unit/main.h"

static const struct {
	const char *path, *normal;
} good[] = {
	{"a", "a"},
	{"./a", "a"},
	{"a/", "a"},
	{"a//b/./c/", "a/b/c"},
	{".", ""},
	{"./", ""},
	{"...", "..."},
	{"..a/b..", "..a/b.."},
	{"a b", "a b"},
	{"F\xc5\x91.crt", "F\xc5\x91.crt"},
	{"\xff\xfe", "\xff\xfe"},
	{"dev-disk\\x2dby.swap", "dev-disk\\x2dby.swap"},
};

static const struct {
	const char *path, *why;
} bad[] = {
	{"", "empty"},		{"/", "absolute"},	    {"/etc/passwd", "absolute"}, {"..", "traversal"},
	{"../x", "traversal"},	{"a/../../x", "traversal"}, {"a/..", "traversal"},	 {"./..", "traversal"},
	{"a\x01", "control"},	{"a\nb", "control"},	    {"\x7f", "control"},	 {"a\\b", "backslash"},
	{"..\\x", "backslash"}, {"a\\x2", "backslash"},	    {"a\\x2g", "backslash"},	 {"a\\", "backslash"},
};

START_TEST(good_paths_are_normalised)
{
	char out[ENTRY_PATH_MAX + 1];

	ck_assert_int_eq(entry_path_normalise("entry", good[_i].path, out, NULL), 0);
	ck_assert_str_eq(out, good[_i].normal);
}
END_TEST

START_TEST(sec_J1_bad_paths_are_refused_by_name)
{
	char out[ENTRY_PATH_MAX + 1] = "untouched";
	struct err err = ERR_INIT;

	ck_assert_int_eq(entry_path_normalise("entry", bad[_i].path, out, &err), -EINVAL);
	ck_assert_msg(strstr(err.text, bad[_i].why), "%s", err.text);
	ck_assert_str_eq(out, "untouched");
}
END_TEST

START_TEST(paths_end_at_their_bounds)
{
	char path[3 * ENTRY_PATH_MAX] = "", out[ENTRY_PATH_MAX + 1];

	memset(path, 'a', ENTRY_NAME_MAX);
	ck_assert_int_eq(entry_path_normalise("entry", path, out, NULL), 0);
	path[ENTRY_NAME_MAX] = 'a';
	ck_assert_int_eq(entry_path_normalise("entry", path, out, NULL), -EINVAL);
	memset(path, 0, sizeof(path));
	for (int i = 0; i < ENTRY_DEPTH_MAX; i++)
		memcpy(path + 2 * i, "a/", 2);
	ck_assert_int_eq(entry_path_normalise("entry", path, out, NULL), 0);
	memcpy(path + 2 * ENTRY_DEPTH_MAX, "a", 1);
	ck_assert_int_eq(entry_path_normalise("entry", path, out, NULL), -EINVAL);
	memset(path, 0, sizeof(path));
	for (size_t i = 0; i < 40; i++) {
		memset(path + 128 * i, 'b', 127);
		path[128 * i + 127] = '/';
	}
	path[ENTRY_PATH_MAX] = '\0';
	ck_assert_int_eq(entry_path_normalise("entry", path, out, NULL), 0);
	memset(path + ENTRY_PATH_MAX, 'b', 3);
	ck_assert_int_eq(entry_path_normalise("entry", path, out, NULL), -EINVAL);
}
END_TEST

static const struct {
	const char *name;
	int result;
	enum entry_whiteout kind;
	const char *hidden;
} whiteouts[] = {
	{"a", 0, WHITEOUT_NONE, NULL},
	{"", 0, WHITEOUT_NONE, NULL},
	{".wh", 0, WHITEOUT_NONE, NULL},
	{"x.wh.a", 0, WHITEOUT_NONE, NULL},
	{".wh.a", 0, WHITEOUT_ENTRY, "a"},
	{".wh.a.wh.b", 0, WHITEOUT_ENTRY, "a.wh.b"},
	{".wh....", 0, WHITEOUT_ENTRY, "..."},
	{".wh..x", 0, WHITEOUT_ENTRY, ".x"},
	{".wh..wh..opq", 0, WHITEOUT_OPAQUE, NULL},
	{".wh..wh..opqx", 0, WHITEOUT_META, NULL},
	{".wh..wh.plnk", 0, WHITEOUT_META, NULL},
	{".wh..wh.", 0, WHITEOUT_META, NULL},
	{".wh.", -EINVAL, WHITEOUT_NONE, NULL},
	{".wh..", -EINVAL, WHITEOUT_NONE, NULL},
	{".wh...", -EINVAL, WHITEOUT_NONE, NULL},
};

START_TEST(sec_J3_whiteouts_are_told_apart)
{
	enum entry_whiteout kind = WHITEOUT_NONE;
	const char *hidden = NULL;

	ck_assert_int_eq(entry_whiteout(whiteouts[_i].name, &kind, &hidden, NULL), whiteouts[_i].result);
	ck_assert_int_eq((int)kind, (int)whiteouts[_i].kind);
	if (whiteouts[_i].hidden)
		ck_assert_str_eq(hidden, whiteouts[_i].hidden);
}
END_TEST

START_TEST(sec_J4_only_harmless_attributes_pass)
{
	static const char *const kept[] = {"user.a", "user.overlayx", "user.mime_type"};
	static const char *const dropped[] = {"user.",
					      "user",
					      "user.overlay",
					      "user.overlay.opaque",
					      "overlay.opaque",
					      "trusted.a",
					      "security.capability",
					      "security.selinux",
					      "system.posix_acl_access",
					      "USER.a",
					      ""};
	char name[300] = "user.";

	for (size_t i = 0; i < ARRAY_LEN(kept); i++)
		ck_assert_msg(entry_xattr_allowed(kept[i]), "%s", kept[i]);
	for (size_t i = 0; i < ARRAY_LEN(dropped); i++)
		ck_assert_msg(!entry_xattr_allowed(dropped[i]), "%s", dropped[i]);
	memset(name + 5, 'a', 251);
	ck_assert(!entry_xattr_allowed(name));
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("entry");
	TCase *all = tcase_create("all");

	tcase_add_loop_test(all, good_paths_are_normalised, 0, (int)ARRAY_LEN(good));
	tcase_add_loop_test(all, sec_J1_bad_paths_are_refused_by_name, 0, (int)ARRAY_LEN(bad));
	tcase_add_test(all, paths_end_at_their_bounds);
	tcase_add_loop_test(all, sec_J3_whiteouts_are_told_apart, 0, (int)ARRAY_LEN(whiteouts));
	tcase_add_test(all, sec_J4_only_harmless_attributes_pass);
	suite_add_tcase(suite, all);
	return suite;
}
