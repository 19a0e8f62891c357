/* Kernels of module images that nvcc made, and what damaged ones say. */
#include "cudaexec/runner/manifest.h"
#include "supervisor/util.h"

#include <fcntl.h>
#include <string.h>

#include "tests/unit/main.h"

#define IMAGES "tests/unit/cudaexec/images/"

static char *load(const char *name, size_t *ret_length)
{
	char path[256], *bytes = NULL;
	struct err err = ERR_INIT;
	ssize_t n;

	snprintf(path, sizeof(path), IMAGES "%s", name);
	n = file_read(AT_FDCWD, path, MIB, &bytes, &err);
	ck_assert_msg(n > 0, "%s", err.text);
	*ret_length = (size_t)n;
	return bytes;
}

static const struct kernel_signature *find(const struct kernel_list *list, const char *name)
{
	for (size_t i = 0; i < list->count; i++)
		if (strcmp(list->kernels[i].name, name) == 0)
			return &list->kernels[i];
	return NULL;
}

static void check_sizes(const struct kernel_list *list, const char *name, const size_t *sizes, size_t n)
{
	const struct kernel_signature *k = find(list, name);

	ck_assert_msg(k != NULL, "no kernel %s", name);
	ck_assert_uint_eq(k->n_params, n);
	for (size_t i = 0; i < n; i++)
		ck_assert_msg(k->param_sizes[i] == sizes[i], "%s parameter %zu has %zu bytes", name, i,
			      k->param_sizes[i]);
}

static const char *const good[] = {"kernels.ptx", "kernels_sm75.cubin", "kernels_sm90.cubin", "kernels_sm100.cubin",
				   "kernels.fatbin"};

START_TEST(every_image_lists_the_same_kernels)
{
	_cleanup_(kernel_list_release) struct kernel_list *list = NULL;
	struct err err = ERR_INIT;
	size_t length;
	_cleanup_free_ char *image = load(good[_i], &length);

	ck_assert_msg(kernel_list_read(image, length, &list, &err) == 0, "%s: %s", good[_i], err.text);
	ck_assert_uint_eq(list->count, 4);
	check_sizes(list, "saxpy", (const size_t[]){4, 4, 8, 8}, 4);
	check_sizes(list, "every_size", (const size_t[]){1, 2, 8, 16, 8}, 5);
	check_sizes(list, "without", NULL, 0);
	check_sizes(list, "with_helper", (const size_t[]){8}, 1);
}
END_TEST

/* Cut anywhere, an image is refused or lists something; it never reads behind its end (the buffer has no more). */
START_TEST(cut_images_do_no_harm)
{
	size_t length;
	_cleanup_free_ char *image = load(good[_i], &length);

	for (size_t n = 0; n < length; n += n < 200 ? 1 : 37) {
		_cleanup_(kernel_list_release) struct kernel_list *list = NULL;
		struct err err = ERR_INIT;
		_cleanup_free_ char *cut = malloc(n ? n : 1);

		memcpy(cut, image, n);
		if (kernel_list_read(cut, n, &list, &err) < 0)
			ck_assert_int_ne(err.text[0], '\0');
	}
}
END_TEST

START_TEST(other_files_are_named)
{
	static const struct {
		const char *bytes;
		size_t length;
		const char *error;
	} table[] = {
		{"\177ELF\2\1", 6, "cubin: 6 bytes are no ELF file"},
		{"\177ELF\2\1\1\0\0\0\0\0\0\0\0\0\3\0\x3e\0\1\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
		 "\0\0\0\0\0\0\0\0"
		 "\0\0\0\0\0\0",
		 64, "cubin: an ELF file, but not for a CUDA device"},
		{"\xb1\x43\x62\x46\1\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 24,
		 "a fat binary in its wrapper, which holds a pointer: write it with nvcc -fatbin"},
		{".version 6.4\n.target sm_75\n.address_size 64\n.visible .entry k()\n{\n\tfoo.bar %r1;\n}\n", 0,
		 "PTX: line 6: "},
	};

	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		struct kernel_list *list = NULL;
		struct err err = ERR_INIT;
		size_t length = table[i].length ? table[i].length : strlen(table[i].bytes);

		ck_assert_int_eq(kernel_list_read(table[i].bytes, length, &list, &err), -EINVAL);
		ck_assert_msg(strncmp(err.text, table[i].error, strlen(table[i].error)) == 0, "%s", err.text);
		ck_assert_ptr_null(list);
	}
}
END_TEST

START_TEST(machine_code_alone_is_refused_with_the_cure)
{
	size_t length;
	_cleanup_free_ char *image = load("kernels_machine.fatbin", &length);
	struct kernel_list *list = NULL;
	struct err err = ERR_INIT;

	ck_assert_int_eq(kernel_list_read(image, length, &list, &err), -EINVAL);
	ck_assert_msg(strstr(err.text, "without PTX") && strstr(err.text, "code=compute_75"), "%s", err.text);
}
END_TEST

START_TEST(a_damaged_parameter_list_is_refused)
{
	size_t length;
	_cleanup_free_ char *image = load("kernels_sm75.cubin", &length);
	/* The record of saxpy's last parameter: format, attribute, payload, index, ordinal 3. */
	static const char record[] = "\x04\x17\x0c\0\0\0\0\0\x03\0\x10\0\0\xf0\x21";
	char *at = memmem(image, length, record, sizeof(record) - 1);
	struct kernel_list *list = NULL;
	struct err err = ERR_INIT;

	ck_assert_ptr_nonnull(at);
	at[8] = 2;
	ck_assert_int_eq(kernel_list_read(image, length, &list, &err), -EINVAL);
	ck_assert_str_eq(err.text, "cubin: the parameters of kernel \"saxpy\" are not in order");
	at[8] = 9;
	ck_assert_int_eq(kernel_list_read(image, length, &list, &err), -EINVAL);
	at[2] = '\xff';
	at[3] = '\xff';
	ck_assert_int_eq(kernel_list_read(image, length, &list, &err), -EINVAL);
	ck_assert_str_eq(err.text, "cubin: the attributes of kernel \"saxpy\" are cut short");
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("kernels");
	TCase *all = tcase_create("all");

	tcase_set_timeout(all, 60);
	tcase_add_loop_test(all, every_image_lists_the_same_kernels, 0, (int)ARRAY_LEN(good));
	tcase_add_loop_test(all, cut_images_do_no_harm, 0, (int)ARRAY_LEN(good));
	tcase_add_test(all, other_files_are_named);
	tcase_add_test(all, machine_code_alone_is_refused_with_the_cure);
	tcase_add_test(all, a_damaged_parameter_list_is_refused);
	suite_add_tcase(suite, all);
	return suite;
}
