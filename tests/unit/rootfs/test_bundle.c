#include "rootfs/bundle.h"
#include "rootfs/digest.h"
#include "rootfs/reference.h"
#include "supervisor/str.h"
#include "supervisor/util.h"

#include <archive.h>
#include <archive_entry.h>
#include <elf.h>
#include <fcntl.h>
#include <ftw.h>
#include <jansson.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "tests/unit/main.h"

static const char saxpy[] = ".version 7.0\n.target sm_70\n.address_size 64\n"
			    ".visible .entry saxpy(.param .u32 n, .param .f32 a, .param .u64 x, .param .u64 y)\n"
			    "{\n\tret;\n}\n";

static const char cuda[] = "name: demo/saxpy\n"
			   "version: 1.2.3\n"
			   "runtime: cuda\n"
			   "gpu: { memory: 64MiB }\n"
			   "cuda:\n"
			   "  module: saxpy.ptx\n"
			   "  inputs:\n"
			   "    - { name: a, datatype: FP32, shape: [] }\n"
			   "    - { name: x, datatype: FP32, shape: [n] }\n"
			   "    - { name: y, datatype: FP32, shape: [n] }\n"
			   "  outputs:\n"
			   "    - { name: y, datatype: FP32, shape: [n] }\n"
			   "  launch:\n"
			   "    - kernel: saxpy\n"
			   "      grid: [\"ceildiv(n, 256)\", 1, 1]\n"
			   "      block: [256, 1, 1]\n"
			   "      args: [{ value: n, datatype: UINT32 }, a, x, y]\n";

static char folder[] = "/tmp/ferrite-test-bundle-XXXXXX";
static char template[sizeof(folder)];

static void make_folder(void)
{
	(void)strcpy(template, folder);
	ck_assert_ptr_nonnull(mkdtemp(template));
}

static int delete_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static void delete_folder(void)
{
	ck_assert_int_eq(nftw(template, delete_one, 16, FTW_DEPTH | FTW_PHYS), 0);
}

static char *path_of(const char *name)
{
	static char path[256];

	(void)snprintf(path, sizeof(path), "%s/%s", template, name);
	return path;
}

static void put_bytes(const char *name, const void *bytes, size_t length, mode_t mode)
{
	_cleanup_fd_ int fd = open(path_of(name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(fd_write_all(fd, bytes, length), 0);
	ck_assert_int_eq(fchmod(fd, mode), 0);
}

static void put(const char *name, const char *text, mode_t mode)
{
	put_bytes(name, text, strlen(text), mode);
}

/* The program that runs this test, as a file of the bundle: dynamic, for this machine. */
static void put_own_program(const char *name, mode_t mode, unsigned machine)
{
	_cleanup_free_ char *text = NULL;
	ssize_t n = file_read(AT_FDCWD, "/proc/self/exe", 256 * MIB, &text, NULL);

	ck_assert(n > 0);
	if (machine)
		((Elf64_Ehdr *)(void *)text)->e_machine = (uint16_t)machine;
	put_bytes(name, text, (size_t)n, mode);
}

static struct function_file *load(struct err *err)
{
	struct function_file *file = NULL;

	*err = ERR_INIT;
	(void)bundle_load(template, &file, err);
	return file;
}

static void refused(const char *why)
{
	struct err err;
	struct function_file *file = load(&err);

	ck_assert_msg(!file, "loaded, expected is \"%s\"", why);
	ck_assert_msg(strstr(err.text, why), "\"%s\", expected is \"%s\"", err.text, why);
}

/* The archive of the folder, in memory. */
static int write_archive(char **ret_bytes, size_t *ret_length, struct err *err)
{
	struct function_file *file = load(err);
	_cleanup_fd_ int fd = memfd_create("archive", MFD_CLOEXEC);
	struct stat st;
	int r;

	if (!file)
		return err->code;
	r = bundle_write(file, template, NULL, fd, NULL, NULL, err);
	(void)function_file_free(file);
	if (r < 0)
		return r;
	ck_assert_int_eq(fstat(fd, &st), 0);
	*ret_length = (size_t)st.st_size;
	*ret_bytes = malloc(*ret_length);
	ck_assert_int_eq((int)(pread(fd, *ret_bytes, *ret_length, 0) == st.st_size), 1);
	return 0;
}

/* A member of an archive, terminated; names are those that the archive has. */
static char *member(const char *bytes, size_t length, const char *name, size_t *ret_length)
{
	struct archive *a = archive_read_new();
	struct archive_entry *entry;
	char *found = NULL;

	(void)archive_read_support_format_tar(a);
	ck_assert_int_eq(archive_read_open_memory(a, bytes, length), ARCHIVE_OK);
	while (!found && archive_read_next_header(a, &entry) == ARCHIVE_OK) {
		size_t size = (size_t)archive_entry_size(entry);

		if (strcmp(archive_entry_pathname(entry), name) != 0)
			continue;
		found = calloc(1, size + 1);
		ck_assert_int_eq((int)(archive_read_data(a, found, size) == (la_ssize_t)size), 1);
		if (ret_length)
			*ret_length = size;
	}
	(void)archive_read_free(a);
	return found;
}

/* A blob whose digest is checked on the way. */
static char *blob(const char *bytes, size_t length, const json_t *descriptor, size_t *ret_length)
{
	char path[128], sum[DIGEST_TEXT_LENGTH + 1];
	const char *digest = json_string_value(json_object_get(descriptor, "digest"));
	size_t size = 0;
	char *found;

	(void)snprintf(path, sizeof(path), "blobs/sha256/%.64s", digest + 7);
	found = member(bytes, length, path, &size);
	ck_assert_msg(found != NULL, "%s is missing", path);
	digest_bytes(found, size, sum);
	ck_assert_str_eq(sum, digest);
	ck_assert_int_eq(json_integer_value(json_object_get(descriptor, "size")), (json_int_t)size);
	if (ret_length)
		*ret_length = size;
	return found;
}

struct unpacked {
	json_t *index, *manifest, *config;
	char *layer;
	size_t layer_length;
};

static void read_archive(const char *bytes, size_t length, struct unpacked *u)
{
	_cleanup_free_ char *index = member(bytes, length, "index.json", NULL);
	_cleanup_free_ char *manifest = NULL;
	_cleanup_free_ char *config = NULL;

	u->index = json_loads(index, 0, NULL);
	manifest = blob(bytes, length, json_array_get(json_object_get(u->index, "manifests"), 0), NULL);
	u->manifest = json_loads(manifest, 0, NULL);
	config = blob(bytes, length, json_object_get(u->manifest, "config"), NULL);
	u->config = json_loads(config, 0, NULL);
	u->layer = blob(bytes, length, json_array_get(json_object_get(u->manifest, "layers"), 0), &u->layer_length);
}

static void unpacked_clear(struct unpacked *u)
{
	json_decref(u->index);
	json_decref(u->manifest);
	json_decref(u->config);
	free(u->layer);
}

static const char *label(const struct unpacked *u, const char *name)
{
	return json_string_value(
		json_object_get(json_object_get(json_object_get(u->config, "config"), "Labels"), name));
}

START_TEST(a_kernel_bundle_becomes_an_image)
{
	_cleanup_free_ char *bytes = NULL;
	_cleanup_free_ char *module = NULL;
	_cleanup_(unpacked_clear) struct unpacked u = {0};
	json_t *annotations;
	struct err err;
	size_t length;

	put("func.yaml", cuda, 0600);
	put("saxpy.ptx", saxpy, 0600);
	ck_assert_msg(write_archive(&bytes, &length, &err) == 0, "%s", err.text);
	read_archive(bytes, length, &u);
	annotations = json_object_get(json_array_get(json_object_get(u.index, "manifests"), 0), "annotations");
	ck_assert_str_eq(json_string_value(json_object_get(annotations, "org.opencontainers.image.ref.name")),
			 "demo/saxpy:1.2.3");
	ck_assert_str_eq(label(&u, BUNDLE_LABEL_RUNTIME), "cuda");
	ck_assert_str_eq(label(&u, BUNDLE_LABEL_BASE), "host");
	ck_assert_str_eq(label(&u, BUNDLE_LABEL_NETWORK), "none");
	ck_assert_str_eq(label(&u, BUNDLE_LABEL_GPU),
			 "{\"capabilities\":\"compute,utility\",\"count\":1,\"isolation\":\"interpose\","
			 "\"memory\":67108864,\"on_pressure\":\"wait\"}");
	ck_assert_ptr_nonnull(strstr(label(&u, BUNDLE_LABEL_CUDA), "\"module\":\"saxpy.ptx\""));
	ck_assert_str_eq(json_string_value(
				 json_array_get(json_object_get(json_object_get(u.config, "config"), "Entrypoint"), 0)),
			 BUNDLE_CUDAEXEC);
	module = member(u.layer, u.layer_length, "function/saxpy.ptx", NULL);
	ck_assert_ptr_nonnull(module);
	ck_assert_str_eq(module, saxpy);
	/* The function file may hold secrets: it stays outside. */
	ck_assert_ptr_null(member(u.layer, u.layer_length, "function/func.yaml", NULL));
}
END_TEST

START_TEST(equal_folders_give_equal_bytes)
{
	_cleanup_free_ char *first = NULL;
	_cleanup_free_ char *second = NULL;
	size_t length = 0, again = 0;
	struct err err;

	put("func.yaml", cuda, 0644);
	put("saxpy.ptx", saxpy, 0644);
	put("b", "2", 0644);
	put("a", "1", 0755);
	ck_assert_int_eq(write_archive(&first, &length, &err), 0);
	/* Other times, another order in the folder, other permissions of the group. */
	(void)unlink(path_of("a"));
	put("a", "1", 0700);
	put("b", "2", 0600);
	put("saxpy.ptx", saxpy, 0664);
	ck_assert_int_eq(write_archive(&second, &again, &err), 0);
	ck_assert_uint_eq(length, again);
	ck_assert_mem_eq(first, second, length);
}
END_TEST

static const struct {
	const char *from, *to, *error;
} changes[] = {
	{"saxpy.ptx", "other.ptx", "func.yaml:6: other.ptx is not among the files of the bundle"},
	{"kernel: saxpy", "kernel: saxpi", "func.yaml:14: cuda.launch[0]"},
	{", a, x, y]", ", a, x]", "func.yaml:17: cuda.launch[0].args"},
	{"datatype: UINT32 }", "datatype: UINT64 }", "func.yaml:17: cuda.launch[0].args[0]"},
	{"[n] }\n  outputs", "[m] }\n  outputs", "func.yaml:12: cuda.outputs[0]"},
	{"gpu:", "files: [nothing]\ngpu:",
	 "func.yaml:4: \"nothing\" is not in the bundle's folder; if it has to be built, build it first, "
	 "or say how in \"build\""},
	{"gpu:", "files: [../x]\ngpu:", "func.yaml:4: file \"../x\" is refused: path traversal"},
	{"gpu:", "files: [saxpy.ptx, saxpy.ptx]\ngpu:", "/function/saxpy.ptx comes twice"},
	{"gpu:", "files: [{from: saxpy.ptx, to: /../../x}]\ngpu:", "leads above the root"},
	{"runtime: cuda", "runtime: go", "func.yaml:5: cuda has no effect here"},
};

START_TEST(mistakes_are_told_with_their_line)
{
	char text[2048];
	const char *at = strstr(cuda, changes[_i].from);

	ck_assert_ptr_nonnull(at);
	(void)snprintf(text, sizeof(text), "%.*s%s%s", (int)(at - cuda), cuda, changes[_i].to,
		       at + strlen(changes[_i].from));
	put("func.yaml", text, 0644);
	put("saxpy.ptx", saxpy, 0644);
	refused(changes[_i].error);
}
END_TEST

START_TEST(modules_are_looked_into)
{
	put("func.yaml", cuda, 0644);
	put("saxpy.ptx", "", 0644);
	refused("func.yaml:6: saxpy.ptx");
	put("saxpy.ptx", "not PTX at all", 0644);
	refused("func.yaml:6: saxpy.ptx");
	(void)unlink(path_of("saxpy.ptx"));
	ck_assert_int_eq(symlink("/etc/passwd", path_of("saxpy.ptx")), 0);
	refused("leads out of the bundle's folder");
	(void)unlink(path_of("saxpy.ptx"));
	ck_assert_int_eq(mkfifo(path_of("saxpy.ptx"), 0644), 0);
	refused("is no file, folder or link");
}
END_TEST

START_TEST(programs_are_looked_at)
{
	struct function_file *file;
	struct err err;

	put("func.yaml", "name: x\nentrypoint: run\n", 0644);
	refused("func.yaml:2: run is not among the files of the bundle");
	put_own_program("run", 0644, 0);
	refused("func.yaml:2: run is not executable: chmod +x it");
	put_own_program("run", 0755, EM_RISCV);
	refused("func.yaml:2: run is built for RISC-V, this machine is");
	put("run", "hello\n", 0755);
	refused("is no program: neither an ELF file nor a script");
	put("run", "#! /bin/sh -e\n", 0755);
	refused("run is a script for /bin/sh, which the bundle does not have");
	put_bytes("run",
		  "\x7f"
		  "ELF",
		  4, 0755);
	refused("is no program");
	put("func.yaml", "name: x\nentrypoint: ./run\nbase: scratch\n", 0644);
	put_own_program("run", 0755, 0);
	refused("is dynamically linked");
	put("func.yaml", "name: x\n", 0644);
	refused("func.yaml: entrypoint (the program to run) is missing");
	/* Dynamic programs stand on the host's libraries, and a bare name is found in the folder. */
	put("func.yaml", "name: x\nentrypoint: run\n", 0644);
	file = load(&err);
	ck_assert_msg(file != NULL, "%s", err.text);
	ck_assert_str_eq(file->base, "host");
	ck_assert_str_eq(file->entrypoint.items[0], "/function/run");
	ck_assert_str_eq(file->workdir, "/function");
	(void)function_file_free(file);
	/* What an image brings cannot be seen from here. */
	put("func.yaml", "name: x\nbase: debian\nentrypoint: [/bin/sh, -c, ./run]\n", 0644);
	file = load(&err);
	ck_assert_msg(file != NULL, "%s", err.text);
	(void)function_file_free(file);
	put("func.yaml", "name: x\nfiles: [{from: run, mode: 0644}]\nentrypoint: run\n", 0644);
	refused("is not executable");
}
END_TEST

START_TEST(handlers_are_libraries_for_this_machine)
{
	put("func.yaml", "name: x\nruntime: cuda\ncuda: { handler: libx.so }\n", 0644);
	refused("func.yaml:3: libx.so is not among the files");
	put("libx.so", "text", 0644);
	refused("func.yaml:3: libx.so is no shared library");
	put_own_program("libx.so", 0644, 0);
	refused("is no shared library (build it with -shared -fPIC)");
	put_own_program("libx.so", 0644, EM_PPC64);
	refused("libx.so is built for POWER");
}
END_TEST

START_TEST(source_modules_need_a_compiler)
{
	static const char kernel[] =
		"extern \"C\" __global__ void saxpy(unsigned n, float a, const float *x, float *y) { y[0] = a; }\n";
	char text[2048];
	const char *at = strstr(cuda, "saxpy.ptx");
	_cleanup_free_ char *bytes = NULL;
	_cleanup_(unpacked_clear) struct unpacked u = {0};
	size_t length = 0;
	struct err err;
	int r;

	(void)snprintf(text, sizeof(text), "%.*ssaxpy.cu%s", (int)(at - cuda), cuda, at + 9);
	put("func.yaml", text, 0644);
	put("saxpy.cu", kernel, 0644);
	r = write_archive(&bytes, &length, &err);
	if (r == -ENOENT) {
		ck_assert_msg(strstr(err.text, "func.yaml:6: saxpy.cu: there is no CUDA compiler"), "%s", err.text);
		return;
	}
	ck_assert_msg(r == 0, "%s", err.text);
	read_archive(bytes, length, &u);
	ck_assert_ptr_nonnull(strstr(label(&u, BUNDLE_LABEL_CUDA), "\"module\":\"saxpy.ptx\""));
	free(bytes);
	bytes = member(u.layer, u.layer_length, "function/saxpy.ptx", NULL);
	ck_assert_ptr_nonnull(bytes);
	ck_assert_ptr_nonnull(strstr(bytes, ".entry saxpy"));
	/* The compiler's own message, with its line. */
	put("saxpy.cu", "extern \"C\" __global__ void saxpy(unsigned n) { nonsense; }\n", 0644);
	free(take_ptr(bytes));
	ck_assert_int_eq(write_archive(&bytes, &length, &err), -EINVAL);
	ck_assert_msg(strstr(err.text, "nonsense"), "%s", err.text);
}
END_TEST

START_TEST(names_come_from_the_tag_the_file_or_nowhere)
{
	static const struct {
		const char *file, *given, *name;
	} rows[] = {
		{"name: a/b\n", NULL, "a/b:latest"},
		{"name: a/b\nversion: 1.0.0\n", NULL, "a/b:1.0.0"},
		{"name: a/b\nversion: 1.0.0\n", "c", "c:1.0.0"},
		{"name: a/b\nversion: 1.0.0\n", "c:2", "c:2"},
		{"version: 3\n", "host:5000/c", "host:5000/c:3"},
		{"name: a/b:7\nversion: 3\n", "", "a/b:7"},
		{"version: 3\n", NULL, NULL},
		{"name: a\n", "B", NULL},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct function_file *file = NULL;
		char name[REFERENCE_TEXT_MAX] = "";
		int r;

		ck_assert_int_eq(function_file_parse("func.yaml", rows[i].file, strlen(rows[i].file), &file, NULL), 0);
		r = bundle_image_name(file, rows[i].given, name, sizeof(name), NULL);
		ck_assert_int_eq(r == 0, rows[i].name != NULL);
		if (rows[i].name)
			ck_assert_str_eq(name, rows[i].name);
		(void)function_file_free(file);
	}
}
END_TEST

START_TEST(folders_links_and_modes)
{
	_cleanup_free_ char *bytes = NULL;
	_cleanup_(unpacked_clear) struct unpacked u = {0};
	_cleanup_free_ char *content = NULL;
	struct archive_entry *entry;
	struct archive *a;
	struct err err;
	size_t length;
	char seen[512] = "";

	put("func.yaml",
	    "name: x\nbase: debian\nfiles:\n  - {from: sub, to: /opt/sub}\n  - {from: tool, to: /bin/tool, mode: "
	    "0500}\n",
	    0644);
	ck_assert_int_eq(mkdir(path_of("sub"), 0700), 0);
	ck_assert_int_eq(mkdir(path_of("sub/deep"), 0700), 0);
	put("sub/deep/data", "content", 0600);
	put("tool", "x", 0600);
	ck_assert_int_eq(symlink("deep/data", path_of("sub/link")), 0);
	ck_assert_msg(write_archive(&bytes, &length, &err) == 0, "%s", err.text);
	read_archive(bytes, length, &u);
	a = archive_read_new();
	(void)archive_read_support_format_tar(a);
	ck_assert_int_eq(archive_read_open_memory(a, u.layer, u.layer_length), ARCHIVE_OK);
	while (archive_read_next_header(a, &entry) == ARCHIVE_OK) {
		size_t used = strlen(seen);

		ck_assert_int_eq(archive_entry_mtime(entry), 0);
		(void)snprintf(seen + used, sizeof(seen) - used, "%s %o%s%s\n", archive_entry_pathname(entry),
			       archive_entry_perm(entry), archive_entry_symlink(entry) ? " -> " : "",
			       archive_entry_symlink(entry) ? archive_entry_symlink(entry) : "");
	}
	(void)archive_read_free(a);
	ck_assert_str_eq(seen, "bin/ 755\nbin/tool 500\nopt/ 755\nopt/sub/ 755\nopt/sub/deep/ 755\n"
			       "opt/sub/deep/data 644\nopt/sub/link 777 -> deep/data\n");
	content = member(u.layer, u.layer_length, "opt/sub/deep/data", NULL);
	ck_assert_str_eq(content, "content");
}
END_TEST

START_TEST(a_missing_folder_is_said)
{
	struct function_file *file = NULL;
	struct err err = ERR_INIT;

	ck_assert_int_eq(bundle_load("/nonexistent", &file, &err), -ENOENT);
	ck_assert_int_eq(bundle_load(template, &file, &err), -ENOENT);
	ck_assert_msg(strstr(err.text, "no function file"), "%s", err.text);
}
END_TEST

START_TEST(a_full_disk_is_said)
{
	_cleanup_fd_ int full_fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
	struct function_file *file;
	struct err err;

	put("func.yaml", cuda, 0644);
	put("saxpy.ptx", saxpy, 0644);
	file = load(&err);
	ck_assert_msg(file != NULL, "%s", err.text);
	ck_assert_int_eq(bundle_write(file, template, NULL, full_fd, NULL, NULL, &err), -ENOSPC);
	ck_assert_msg(strstr(err.text, "No space left"), "%s", err.text);
	(void)function_file_free(file);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("bundle");
	TCase *all = tcase_create("all");

	tcase_add_checked_fixture(all, make_folder, delete_folder);
	tcase_set_timeout(all, 120);
	tcase_add_test(all, a_kernel_bundle_becomes_an_image);
	tcase_add_test(all, equal_folders_give_equal_bytes);
	tcase_add_loop_test(all, mistakes_are_told_with_their_line, 0, (int)ARRAY_LEN(changes));
	tcase_add_test(all, modules_are_looked_into);
	tcase_add_test(all, programs_are_looked_at);
	tcase_add_test(all, handlers_are_libraries_for_this_machine);
	tcase_add_test(all, source_modules_need_a_compiler);
	tcase_add_test(all, names_come_from_the_tag_the_file_or_nowhere);
	tcase_add_test(all, folders_links_and_modes);
	tcase_add_test(all, a_missing_folder_is_said);
	tcase_add_test(all, a_full_disk_is_said);
	suite_add_tcase(suite, all);
	return suite;
}
