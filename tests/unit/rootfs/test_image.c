#include "rootfs/document.h"
#include "rootfs/image.h"
#include "supervisor/util.h"

#include <string.h>

#include "tests/unit/main.h"

#define HEX64	   "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define DIGEST	   "\"sha256:" HEX64 "\""
#define LAYER_TYPE "\"application/vnd.oci.image.layer.v1.tar+gzip\""
#define CONFIG	   "\"config\":{\"digest\":" DIGEST ",\"size\":5}"
#define LAYER	   "{\"mediaType\":" LAYER_TYPE ",\"digest\":" DIGEST ",\"size\":7}"
#define ROOTFS	   "\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[" DIGEST "]}"

static const struct {
	const char *text, *why; /* NULL: it is good */
} manifests[] = {
	{"{\"schemaVersion\":2," CONFIG ",\"layers\":[" LAYER "]}", NULL},
	{"{\"schemaVersion\":2," CONFIG ",\"layers\":[],\"unknown\":{\"a\":[1]}}", NULL},
	{"", "no valid JSON"},
	{"[]", "no object"},
	{"{\"schemaVersion\":1," CONFIG ",\"layers\":[]}", "schemaVersion"},
	{"{" CONFIG ",\"layers\":[]}", "schemaVersion"},
	{"{\"schemaVersion\":2,\"layers\":[]}", "descriptor is no object"},
	{"{\"schemaVersion\":2," CONFIG "}", "layers is missing"},
	{"{\"schemaVersion\":2," CONFIG ",\"layers\":{}}", "layers is no list"},
	{"{\"schemaVersion\":2," CONFIG ",\"layers\":[1]}", "descriptor is no object"},
	{"{\"schemaVersion\":2," CONFIG ",\"layers\":[{\"digest\":\"sha256:12\",\"size\":1}]}", "no valid sha256"},
	{"{\"schemaVersion\":2," CONFIG ",\"layers\":[{\"digest\":" DIGEST "}]}", "no valid size"},
	{"{\"schemaVersion\":2," CONFIG ",\"layers\":[{\"digest\":" DIGEST ",\"size\":-1}]}", "no valid size"},
	{"{\"schemaVersion\":2," CONFIG ",\"layers\":[{\"digest\":" DIGEST ",\"size\":1.5}]}", "no valid size"},
	{"{\"schemaVersion\":2," CONFIG ",\"layers\":[{\"digest\":" DIGEST ",\"size\":1}]}", "no layer"},
	{"{\"schemaVersion\":2," CONFIG ",\"layers\":[{\"mediaType\":\"x\",\"digest\":" DIGEST ",\"size\":1}]}",
	 "no layer"},
	{"{\"schemaVersion\":2," CONFIG ",\"layers\":[],\"manifests\":[]}", "an index, not a manifest"},
	{"{\"schemaVersion\":2,\"schemaVersion\":2," CONFIG ",\"layers\":[]}", "no valid JSON"},
	{"{\"schemaVersion\":2," CONFIG ",\"layers\":[]} x", "no valid JSON"},
};

START_TEST(sec_J5_manifests_are_checked)
{
	struct image_manifest manifest = {0};
	struct err err = ERR_INIT;
	int r = image_manifest_parse(manifests[_i].text, strlen(manifests[_i].text), &manifest, &err);

	if (manifests[_i].why) {
		ck_assert_int_lt(r, 0);
		ck_assert_msg(strstr(err.text, manifests[_i].why), "%s", err.text);
		ck_assert_ptr_null(manifest.document);
		return;
	}
	ck_assert_msg(r == 0, "%s", err.text);
	ck_assert_uint_eq(manifest.config.size, 5);
	image_manifest_clear(&manifest);
}
END_TEST

static const struct {
	const char *text;
	size_t n_layers;
	const char *why;
} configs[] = {
	{"{" ROOTFS "}", 1, NULL},
	{"{\"os\":\"\",\"architecture\":\"\"," ROOTFS ",\"config\":null}", 1, NULL},
	{"{" ROOTFS ",\"config\":{\"Cmd\":null,\"Entrypoint\":[\"a\"],\"Env\":[\"A=\"],\"Labels\":{\"l\":\"v\"}}}", 1,
	 NULL},
	{"{}", 0, NULL},
	{"{}", 1, "names 0 layers, the manifest 1"},
	{"{" ROOTFS "}", 0, "names 1 layers, the manifest 0"},
	{"{\"rootfs\":{\"diff_ids\":[\"x\"]}}", 1, "no sha256 digest"},
	{"{\"rootfs\":[]}", 0, "rootfs is no object"},
	{"{\"rootfs\":{\"diff_ids\":{}}}", 0, "diff_ids is no list"},
	{"{\"os\":\"plan9\"," ROOTFS "}", 1, "plan9"},
	{"{\"architecture\":\"sparc\"," ROOTFS "}", 1, "sparc"},
	{"{\"os\":3," ROOTFS "}", 1, "os is no string"},
	{"{" ROOTFS ",\"config\":[]}", 1, "config is no object"},
	{"{" ROOTFS ",\"config\":{\"Cmd\":\"sh\"}}", 1, "Cmd is no list"},
	{"{" ROOTFS ",\"config\":{\"Entrypoint\":[1]}}", 1, "entry 0 of Entrypoint"},
	{"{" ROOTFS ",\"config\":{\"Env\":[\"A=1\",\"B\"]}}", 1, "entry 1 of Env is no NAME=VALUE"},
	{"{" ROOTFS ",\"config\":{\"Env\":[\"=1\"]}}", 1, "NAME=VALUE"},
	{"{" ROOTFS ",\"config\":{\"User\":1}}", 1, "User is no string"},
	{"{" ROOTFS ",\"config\":{\"Labels\":[]}}", 1, "Labels is no object"},
	{"{" ROOTFS ",\"config\":{\"Labels\":{\"a\":null}}}", 1, "label a"},
	{"{" ROOTFS "}", 129, "more than 128 layers"},
};

START_TEST(configurations_are_checked)
{
	struct image_config config = {0};
	struct err err = ERR_INIT;
	int r = image_config_parse(configs[_i].text, strlen(configs[_i].text), configs[_i].n_layers, &config, &err);

	if (configs[_i].why) {
		ck_assert_int_lt(r, 0);
		ck_assert_msg(strstr(err.text, configs[_i].why), "%s", err.text);
		ck_assert_ptr_null(config.document);
		return;
	}
	ck_assert_msg(r == 0, "%s", err.text);
	image_config_clear(&config);
}
END_TEST

START_TEST(what_is_needed_to_run_is_kept)
{
	static const char text[] = "{\"os\":\"linux\",\"history\":[{\"created_by\":\"x\"}],\"config\":{\"Cmd\":[\"a\"],"
				   "\"Labels\":{\"l\":\"v\"}}}";
	struct image_config config;
	_cleanup_free_ char *run = NULL;

	ck_assert_int_eq(image_config_parse(text, strlen(text), 0, &config, NULL), 0);
	ck_assert_str_eq(image_config_label(&config, "l"), "v");
	ck_assert_ptr_null(image_config_label(&config, "m"));
	ck_assert_int_eq(image_run_config(&config, &run, NULL), 0);
	ck_assert_str_eq(run, "{\"config\":{\"Cmd\":[\"a\"],\"Labels\":{\"l\":\"v\"}},\"os\":\"linux\"}");
	image_config_clear(&config);
}
END_TEST

static const struct {
	const char *text, *why;
} dockers[] = {
	{"[{\"Config\":\"c\",\"RepoTags\":null,\"Layers\":[\"l\"]}]", NULL},
	{"[{\"Config\":\"c\",\"RepoTags\":[\"a:1\"],\"Layers\":null}]", NULL},
	{"[]", "no list of images"},
	{"{}", "no list of images"},
	{"[1]", "no object"},
	{"[{\"Layers\":[]}]", "Config is missing"},
	{"[{\"Config\":1}]", "Config is no string"},
	{"[{\"Config\":\"c\",\"Layers\":[1]}]", "no string"},
	{"[{\"Config\":\"c\",\"Layers\":\"l\"}]", "no list"},
	{"[{\"Config\":\"c\",\"RepoTags\":[1]}]", "RepoTags"},
};

START_TEST(manifest_json_is_checked)
{
	struct image_docker docker = {0};
	struct err err = ERR_INIT;
	int r = image_docker_parse(dockers[_i].text, strlen(dockers[_i].text), &docker, &err);

	if (dockers[_i].why) {
		ck_assert_int_lt(r, 0);
		ck_assert_msg(strstr(err.text, dockers[_i].why), "%s", err.text);
		return;
	}
	ck_assert_msg(r == 0, "%s", err.text);
	ck_assert_str_eq(docker.entries[0].config, "c");
	image_docker_clear(&docker);
}
END_TEST

START_TEST(an_index_tells_whom_it_fits)
{
	char text[1024];
	struct image_index index;

	(void)snprintf(text, sizeof(text),
		       "{\"schemaVersion\":2,\"manifests\":["
		       "{\"digest\":" DIGEST ",\"size\":1,\"platform\":{\"os\":\"linux\",\"architecture\":\"%s\"},"
		       "\"annotations\":{\"org.opencontainers.image.ref.name\":\"n\"}},"
		       "{\"digest\":" DIGEST ",\"size\":1,\"platform\":{\"os\":\"linux\",\"architecture\":\"vax\"}},"
		       "{\"digest\":" DIGEST
		       ",\"size\":1,\"platform\":{\"os\":\"unknown\",\"architecture\":\"unknown\"}},"
		       "{\"digest\":" DIGEST ",\"size\":1,\"mediaType\":\"" IMAGE_MEDIA_INDEX "\"}]}",
		       image_host_architecture());
	ck_assert_int_eq(image_index_parse(text, strlen(text), &index, NULL), 0);
	ck_assert_uint_eq(index.count, 4);
	ck_assert(image_descriptor_fits(&index.manifests[0]));
	ck_assert_str_eq(image_descriptor_name(&index.manifests[0]), "n");
	ck_assert(!image_descriptor_fits(&index.manifests[1]));
	ck_assert(!image_descriptor_fits(&index.manifests[2]));
	ck_assert(image_descriptor_fits(&index.manifests[3]));
	ck_assert(image_descriptor_is_index(&index.manifests[3]));
	ck_assert(!image_descriptor_is_index(&index.manifests[0]));
	image_index_clear(&index);
}
END_TEST

START_TEST(sec_J5_nesting_is_bounded_before_it_is_parsed)
{
	char text[4096];
	struct err err = ERR_INIT;

	memset(text, '[', sizeof(text));
	ck_assert_ptr_null(document_parse("it", text, sizeof(text), &err));
	ck_assert_msg(strstr(err.text, "nested deeper"), "%s", err.text);
	/* Brackets inside of texts do not count. */
	memset(text, '[', 100);
	text[0] = text[99] = '"';
	text[50] = '\\';
	text[51] = '"';
	json_t *json = document_parse("it", text, 100, &err);
	ck_assert_ptr_null(json); /* no object or list at the top: jansson wants one */
	ck_assert_ptr_null(strstr(err.text, "nested deeper"));
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("image");
	TCase *all = tcase_create("all");

	tcase_add_loop_test(all, sec_J5_manifests_are_checked, 0, (int)ARRAY_LEN(manifests));
	tcase_add_loop_test(all, configurations_are_checked, 0, (int)ARRAY_LEN(configs));
	tcase_add_test(all, what_is_needed_to_run_is_kept);
	tcase_add_loop_test(all, manifest_json_is_checked, 0, (int)ARRAY_LEN(dockers));
	tcase_add_test(all, an_index_tells_whom_it_fits);
	tcase_add_test(all, sec_J5_nesting_is_bounded_before_it_is_parsed);
	suite_add_tcase(suite, all);
	return suite;
}
