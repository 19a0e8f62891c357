#include "rootfs/funcfile.h"

#include "rootfs/document.h"
#include "rootfs/reference.h"
#include "rootfs/source_tree.h"
#include "supervisor/str.h"
#include "supervisor/util.h"

#include <fcntl.h>
#include <limits.h>
#include <string.h>

const char *const function_runtime_names[FUNCTION_RUNTIME_MAX + 1] = {"exec", "cuda", "image", NULL};
const char *const function_pressure_names[FUNCTION_PRESSURE_MAX + 1] = {"wait", "fail", NULL};
const char *const function_isolation_names[FUNCTION_ISOLATION_MAX + 1] = {"interpose", "exclusive", "remote", "mig",
									  NULL};
const char *const function_network_names[FUNCTION_NETWORK_MAX + 1] = {"none", "bridge", "host", NULL};

#define MEMORY_MIB_MAX	 (1ull << 30)
#define GPU_COUNT_MAX	 64
#define CAPABILITIES_MAX 127

/* Everything that reads a value gets this: the file for error texts and results, and the place of the value. */
struct reading {
	struct function_file *file;
	const char *place;
	struct err *err;
};

struct key {
	const char *name;
	int (*read)(const struct reading *r, const struct source_node *node);
};

static int bad(const struct reading *r, const struct source_node *node, const char *expected)
{
	char shown[80] = "";

	if (node->kind == SOURCE_SCALAR)
		(void)str_escape(shown, sizeof(shown), node->text, strlen(node->text));
	return err_set(r->err, EINVAL, "%s:%u: %s: %s is expected%s%s%s", r->file->file_name, node->line, r->place,
		       expected, node->kind == SOURCE_SCALAR ? ", not \"" : "", shown,
		       node->kind == SOURCE_SCALAR ? "\"" : "");
}

static int no_memory(const struct reading *r)
{
	return err_sys(r->err, ENOMEM, "read %s", r->file->file_name);
}

static int unknown_key(const struct reading *r, const struct source_node *node, const char *const *known)
{
	const char *nearest = str_nearest(node->key, known);
	char shown[80];

	return err_set(r->err, EINVAL, "%s:%u: unknown key \"%s\"%s%s%s%s%s", r->file->file_name, node->line,
		       str_escape(shown, sizeof(shown), node->key, strlen(node->key)), *r->place ? " in " : "",
		       r->place, nearest ? "; did you mean \"" : "", nearest ? nearest : "", nearest ? "\"?" : "");
}

/* Reads the members of a map with a table of keys. */
static int read_keys(const struct reading *r, const struct source_node *map, const struct key *keys, size_t n_keys)
{
	const char *known[48];

	if (map->kind != SOURCE_MAP)
		return bad(r, map, "a list of keys and values");
	for (size_t i = 0; i < n_keys; i++)
		known[i] = keys[i].name;
	known[n_keys] = NULL;
	for (size_t i = 0; i < map->n_children; i++) {
		const struct source_node *node = &map->children[i];
		char place[256];
		struct reading inner = {r->file, place, r->err};
		size_t k = 0;
		int result;

		while (k < n_keys && strcmp(keys[k].name, node->key) != 0)
			k++;
		if (k == n_keys)
			return unknown_key(r, node, known);
		(void)snprintf(place, sizeof(place), "%.200s%s%s", r->place, *r->place ? "." : "", node->key);
		/* A key without a value is as good as none. */
		result = source_is_null(node) ? 0 : keys[k].read(&inner, node);
		if (result < 0)
			return result;
	}
	return 0;
}

/* --- values ------------------------------------------------------------------------------------------------------- */

static int take_text(const struct reading *r, const struct source_node *node, char **ret)
{
	char *copy;

	if (node->kind != SOURCE_SCALAR)
		return bad(r, node, "a text");
	copy = strdup(node->text);
	if (!copy)
		return no_memory(r);
	free(*ret);
	*ret = copy;
	return 0;
}

static int take_number(const struct reading *r, const struct source_node *node, uint64_t min, uint64_t max,
		       uint64_t *ret)
{
	uint64_t value;
	char expected[80];

	(void)snprintf(expected, sizeof(expected), "a number from %llu to %llu", (unsigned long long)min,
		       (unsigned long long)max);
	if (node->kind != SOURCE_SCALAR || !str_u64(node->text, &value) || value < min || value > max)
		return bad(r, node, expected);
	*ret = value;
	return 0;
}

static int take_choice(const struct reading *r, const struct source_node *node, const char *const *names, unsigned *ret)
{
	char expected[128] = "";
	size_t used = 0;

	for (unsigned i = 0; names[i]; i++) {
		if (node->kind == SOURCE_SCALAR && strcmp(node->text, names[i]) == 0) {
			*ret = i;
			return 0;
		}
		used += (size_t)snprintf(expected + used, sizeof(expected) - used, "%s%s",
					 i == 0		? ""
					 : names[i + 1] ? ", "
							: " or ",
					 names[i]);
	}
	return bad(r, node, expected);
}

/* Seconds: a plain number, or parts with the units h, m, s as in "1m30s". */
static bool parse_seconds(const char *text, uint32_t *ret)
{
	uint64_t total = 0;

	if (str_u64(text, &total))
		return total <= INT32_MAX && (*ret = (uint32_t)total, true);
	total = 0;
	while (*text) {
		size_t digits = strspn(text, "0123456789");
		uint64_t value = 0, unit;

		if (digits == 0 || digits > 9)
			return false;
		for (size_t i = 0; i < digits; i++)
			value = value * 10 + (uint64_t)(text[i] - '0');
		text += digits;
		unit = *text == 'h' ? 3600 : *text == 'm' ? 60 : *text == 's' ? 1 : 0;
		if (unit == 0 || text[1] == 's')
			return false;
		text++;
		total += value * unit;
		if (total > INT32_MAX)
			return false;
	}
	*ret = (uint32_t)total;
	return true;
}

static int take_seconds(const struct reading *r, const struct source_node *node, uint32_t *ret, bool *ret_given)
{
	if (node->kind != SOURCE_SCALAR || !*node->text || !parse_seconds(node->text, ret))
		return bad(r, node, "a time in whole seconds such as 30 or 1m30s");
	*ret_given = true;
	return 0;
}

static void strings_free(struct function_strings *strings)
{
	for (size_t i = 0; i < strings->count; i++)
		free(strings->items[i]);
	free(strings->items);
	*strings = (struct function_strings){0};
}

static int strings_room(const struct reading *r, const struct source_node *node, struct function_strings *ret)
{
	if (node->n_children > FUNCTION_LIST_MAX)
		return bad(r, node, "a shorter list (at most 1024 entries)");
	strings_free(ret);
	ret->items = calloc(node->n_children + 1, sizeof(char *));
	return ret->items ? 0 : no_memory(r);
}

static int take_strings(const struct reading *r, const struct source_node *node, struct function_strings *ret)
{
	int result;

	if (node->kind != SOURCE_LIST)
		return bad(r, node, "a list of texts");
	result = strings_room(r, node, ret);
	for (size_t i = 0; result == 0 && i < node->n_children; i++) {
		result = take_text(r, &node->children[i], &ret->items[i]);
		ret->count += result == 0;
	}
	return result;
}

/* A list, or one text that is split at blanks, as IronFunctions' files have it. */
static int take_command(const struct reading *r, const struct source_node *node, struct function_strings *ret)
{
	_cleanup_free_ char *copy = NULL;
	char *rest, *word;

	if (node->kind == SOURCE_LIST)
		return take_strings(r, node, ret);
	if (node->kind != SOURCE_SCALAR)
		return bad(r, node, "a command (a list of texts, or one text)");
	if (strpbrk(node->text, "\"'\\"))
		return bad(r, node, "a list of texts where quotes are needed");
	copy = strdup(node->text);
	strings_free(ret);
	ret->items = calloc(FUNCTION_LIST_MAX + 1, sizeof(char *));
	if (!copy || !ret->items)
		return no_memory(r);
	rest = copy;
	while ((word = strsep(&rest, " \t\n"))) {
		if (!*word)
			continue;
		if (ret->count == FUNCTION_LIST_MAX)
			return bad(r, node, "a shorter command (at most 1024 words)");
		ret->items[ret->count] = strdup(word);
		if (!ret->items[ret->count])
			return no_memory(r);
		ret->count++;
	}
	return 0;
}

static void pairs_free(struct function_pairs *pairs)
{
	for (size_t i = 0; i < pairs->count; i++) {
		free(pairs->items[i].key);
		free(pairs->items[i].value);
	}
	free(pairs->items);
	*pairs = (struct function_pairs){0};
}

static int take_pairs(const struct reading *r, const struct source_node *node, struct function_pairs *ret)
{
	if (node->kind != SOURCE_MAP)
		return bad(r, node, "names with a text each");
	if (node->n_children > FUNCTION_LIST_MAX)
		return bad(r, node, "fewer names (at most 1024)");
	pairs_free(ret);
	ret->items = calloc(node->n_children + 1, sizeof(*ret->items));
	if (!ret->items)
		return no_memory(r);
	for (size_t i = 0; i < node->n_children; i++) {
		const struct source_node *child = &node->children[i];
		struct function_pair *pair = &ret->items[ret->count++];

		pair->key = strdup(child->key);
		pair->value = strdup(child->kind == SOURCE_SCALAR && !source_is_null(child) ? child->text : "");
		if (!pair->key || !pair->value)
			return no_memory(r);
		if (child->kind != SOURCE_SCALAR)
			return bad(r, child, "one text per name");
	}
	return 0;
}

/* --- IronFunctions' keys ------------------------------------------------------------------------------------------ */

static int read_name(const struct reading *r, const struct source_node *node)
{
	struct reference reference;
	int result = take_text(r, node, &r->file->name);

	if (result == 0 && reference_parse(r->file->name, &reference, r->err) < 0) {
		err_wrap(r->err, "%s:%u: name", r->file->file_name, node->line);
		return -EINVAL;
	}
	return result;
}

static int read_version(const struct reading *r, const struct source_node *node)
{
	struct reference reference;
	char text[REFERENCE_TEXT_MAX];

	if (node->kind != SOURCE_SCALAR || snprintf(text, sizeof(text), "x:%s", node->text) >= (int)sizeof(text) ||
	    strpbrk(node->text, ":/@") || reference_parse(text, &reference, NULL) < 0)
		return bad(r, node, "a version such as 1.0.0, which becomes the tag of the image,");
	return take_text(r, node, &r->file->version);
}

static int read_path(const struct reading *r, const struct source_node *node)
{
	char *path = NULL;

	if (node->kind != SOURCE_SCALAR || !*node->text || strpbrk(node->text, " \t\r\n?#"))
		return bad(r, node, "a path such as /hello");
	if (asprintf(&path, "%s%s", *node->text == '/' ? "" : "/", node->text) < 0)
		return no_memory(r);
	free(r->file->path);
	r->file->path = path;
	return 0;
}

static int read_type(const struct reading *r, const struct source_node *node)
{
	static const char *const names[] = {"sync", "async", NULL};
	unsigned unused;
	int result = take_choice(r, node, names, &unused);

	return result < 0 ? result : take_text(r, node, &r->file->type);
}

static int read_format(const struct reading *r, const struct source_node *node)
{
	static const char *const names[] = {"default", "http", NULL};
	unsigned unused;
	int result = take_choice(r, node, names, &unused);

	return result < 0 ? result : take_text(r, node, &r->file->format);
}

static int read_memory(const struct reading *r, const struct source_node *node)
{
	uint64_t bytes;

	if (node->kind != SOURCE_SCALAR || str_size(node->text, MIB, &bytes) < 0 || bytes == 0 || bytes % MIB != 0 ||
	    bytes / MIB > MEMORY_MIB_MAX)
		return bad(r, node, "host memory in whole MiB such as 128 or 1GiB");
	r->file->memory_mib = bytes / MIB;
	r->file->has_memory = true;
	return 0;
}

static int read_timeout(const struct reading *r, const struct source_node *node)
{
	return take_seconds(r, node, &r->file->timeout_s, &r->file->has_timeout);
}

static int read_idle_timeout(const struct reading *r, const struct source_node *node)
{
	return take_seconds(r, node, &r->file->idle_timeout_s, &r->file->has_idle_timeout);
}

static int read_max_concurrency(const struct reading *r, const struct source_node *node)
{
	uint64_t value;
	int result = take_number(r, node, 1, INT32_MAX, &value);

	if (result == 0) {
		r->file->max_concurrency = (uint32_t)value;
		r->file->has_max_concurrency = true;
	}
	return result;
}

static int read_jwt_key(const struct reading *r, const struct source_node *node)
{
	return take_text(r, node, &r->file->jwt_key);
}

static int read_config(const struct reading *r, const struct source_node *node)
{
	return take_pairs(r, node, &r->file->config);
}

static int read_headers(const struct reading *r, const struct source_node *node)
{
	return take_pairs(r, node, &r->file->headers);
}

static int read_build(const struct reading *r, const struct source_node *node)
{
	return take_strings(r, node, &r->file->build);
}

/* The entry at work is the last of file->tests. */
static struct function_test *last_test(const struct reading *r)
{
	return &r->file->tests[r->file->n_tests - 1];
}

static int read_test_name(const struct reading *r, const struct source_node *node)
{
	return take_text(r, node, &last_test(r)->name);
}

static int read_test_in(const struct reading *r, const struct source_node *node)
{
	return take_text(r, node, &last_test(r)->in);
}

static int read_test_out(const struct reading *r, const struct source_node *node)
{
	return take_text(r, node, &last_test(r)->out);
}

static int read_test_err(const struct reading *r, const struct source_node *node)
{
	return take_text(r, node, &last_test(r)->err);
}

static int read_test_env(const struct reading *r, const struct source_node *node)
{
	return take_pairs(r, node, &last_test(r)->env);
}

static int read_tests(const struct reading *r, const struct source_node *node)
{
	static const struct key keys[] = {{"name", read_test_name},
					  {"in", read_test_in},
					  {"out", read_test_out},
					  {"err", read_test_err},
					  {"env", read_test_env}};
	int result = 0;

	if (node->kind != SOURCE_LIST || node->n_children > FUNCTION_LIST_MAX)
		return bad(r, node, "a list of tests (at most 1024)");
	r->file->tests = calloc(node->n_children + 1, sizeof(*r->file->tests));
	if (!r->file->tests)
		return no_memory(r);
	for (size_t i = 0; result == 0 && i < node->n_children; i++) {
		char place[32];
		struct reading inner = {r->file, place, r->err};

		(void)snprintf(place, sizeof(place), "tests[%zu]", i);
		r->file->tests[r->file->n_tests++].line = node->children[i].line;
		result = read_keys(&inner, &node->children[i], keys, ARRAY_LEN(keys));
	}
	return result;
}

/* --- ferrite's keys ----------------------------------------------------------------------------------------------- */

/* The languages for which fn makes an image with Docker, as "go" or, with the tag of the base image, "node:6". */
static bool is_fn_runtime(const char *text)
{
	static const char *const languages[] = {
		"docker", "dotnet", "elixir", "erlang", "gcc",	"go",	"java",	 "leiningen",	    "mono",
		"node",	  "perl",   "php",    "python", "ruby", "rust", "scala", "lambda-nodejs4.3"};
	size_t length = strcspn(text, ":");

	for (size_t i = 0; i < ARRAY_LEN(languages); i++)
		if (strlen(languages[i]) == length && strncmp(languages[i], text, length) == 0)
			return text[length] == '\0' || text[length + 1] != '\0';
	return false;
}

static int read_runtime(const struct reading *r, const struct source_node *node)
{
	static const char *const ours[] = {"exec", "cuda", NULL};

	if (node->kind == SOURCE_SCALAR && is_fn_runtime(node->text)) {
		r->file->runtime = FUNCTION_RUNTIME_IMAGE;
		return take_text(r, node, &r->file->fn_runtime);
	}
	for (unsigned i = 0; ours[i]; i++)
		if (node->kind == SOURCE_SCALAR && strcmp(node->text, ours[i]) == 0) {
			r->file->runtime = (enum function_runtime)i;
			return 0;
		}
	return bad(r, node, "exec, cuda or a runtime of fn (go, node, ruby, python, rust, dotnet, java, …)");
}

static int read_base(const struct reading *r, const struct source_node *node)
{
	struct reference reference;
	int result = take_text(r, node, &r->file->base);

	if (result == 0 && strcmp(r->file->base, "host") != 0 && strcmp(r->file->base, "scratch") != 0 &&
	    reference_parse(r->file->base, &reference, r->err) < 0) {
		err_wrap(r->err, "%s:%u: base", r->file->file_name, node->line);
		return -EINVAL;
	}
	return result;
}

static int read_entrypoint(const struct reading *r, const struct source_node *node)
{
	return take_command(r, node, &r->file->entrypoint);
}

static int read_cmd(const struct reading *r, const struct source_node *node)
{
	return take_command(r, node, &r->file->cmd);
}

/* A list of NAME=VALUE, or a map. */
static int read_env(const struct reading *r, const struct source_node *node)
{
	struct function_strings *env = &r->file->env;
	int result = 0;

	if (node->kind == SOURCE_SCALAR)
		return bad(r, node, "a list of NAME=VALUE, or names with a text each");
	if (node->kind == SOURCE_LIST)
		result = take_strings(r, node, env);
	else
		result = strings_room(r, node, env);
	for (size_t i = 0; result == 0 && i < node->n_children; i++) {
		const struct source_node *child = &node->children[i];

		if (child->kind != SOURCE_SCALAR)
			return bad(r, child, "a text");
		if (node->kind == SOURCE_LIST && (*child->text == '=' || !strchr(child->text, '=')))
			return bad(r, child, "NAME=VALUE");
		if (node->kind == SOURCE_LIST)
			continue;
		if (!*child->key || strchr(child->key, '='))
			return bad(r, child, "a name without =");
		if (asprintf(&env->items[i], "%s=%s", child->key, source_is_null(child) ? "" : child->text) < 0)
			return no_memory(r);
		env->count++;
	}
	return result;
}

static int read_workdir(const struct reading *r, const struct source_node *node)
{
	if (node->kind != SOURCE_SCALAR || *node->text != '/')
		return bad(r, node, "an absolute path");
	return take_text(r, node, &r->file->workdir);
}

static int read_user(const struct reading *r, const struct source_node *node)
{
	return take_text(r, node, &r->file->user);
}

static struct function_copy *last_copy(const struct reading *r)
{
	return &r->file->files[r->file->n_files - 1];
}

static int read_from(const struct reading *r, const struct source_node *node)
{
	if (node->kind != SOURCE_SCALAR || !*node->text || *node->text == '/')
		return bad(r, node, "a path below the bundle's folder");
	return take_text(r, node, &last_copy(r)->from);
}

static int read_to(const struct reading *r, const struct source_node *node)
{
	if (node->kind != SOURCE_SCALAR || *node->text != '/')
		return bad(r, node, "an absolute path");
	return take_text(r, node, &last_copy(r)->to);
}

static int read_mode(const struct reading *r, const struct source_node *node)
{
	char *end;
	unsigned long mode;

	/* Octal with or without the leading 0, as chmod takes it; never as a decimal number. */
	if (node->kind != SOURCE_SCALAR || strspn(node->text, "01234567o") != strlen(node->text) || !*node->text)
		return bad(r, node, "permissions such as 0755");
	mode = strtoul(node->text + (strncmp(node->text, "0o", 2) == 0 ? 2 : 0), &end, 8);
	if (*end || mode == 0 || mode > 07777)
		return bad(r, node, "permissions such as 0755");
	last_copy(r)->mode = (uint32_t)mode;
	return 0;
}

static int read_files(const struct reading *r, const struct source_node *node)
{
	static const struct key keys[] = {{"from", read_from}, {"to", read_to}, {"mode", read_mode}};
	int result = 0;

	if (node->kind != SOURCE_LIST || node->n_children > FUNCTION_LIST_MAX)
		return bad(r, node, "a list of files (at most 1024)");
	r->file->files = calloc(node->n_children + 1, sizeof(*r->file->files));
	if (!r->file->files)
		return no_memory(r);
	for (size_t i = 0; result == 0 && i < node->n_children; i++) {
		const struct source_node *child = &node->children[i];
		char place[32];
		struct reading inner = {r->file, place, r->err};

		(void)snprintf(place, sizeof(place), "files[%zu]", i);
		r->file->files[r->file->n_files++].line = child->line;
		result = child->kind == SOURCE_SCALAR ? read_from(&inner, child)
						      : read_keys(&inner, child, keys, ARRAY_LEN(keys));
		if (result == 0 && !last_copy(&inner)->from)
			result = bad(&inner, child, "the key from");
	}
	return result;
}

static int read_gpu_count(const struct reading *r, const struct source_node *node)
{
	uint64_t value;
	int result = take_number(r, node, 0, GPU_COUNT_MAX, &value);

	if (result == 0)
		r->file->gpu.count = (uint32_t)value;
	return result;
}

static int read_gpu_memory(const struct reading *r, const struct source_node *node)
{
	if (node->kind != SOURCE_SCALAR || str_size(node->text, 1, &r->file->gpu.memory_bytes) < 0 ||
	    r->file->gpu.memory_bytes == 0 || r->file->gpu.memory_bytes > INT64_MAX)
		return bad(r, node, "device memory such as 512MiB (a plain number is bytes)");
	return 0;
}

static int read_gpu_capabilities(const struct reading *r, const struct source_node *node)
{
	static const char *const known[] = {"compute", "utility",  "graphics", "video", "display",
					    "ngx",     "compat32", "all",      NULL};
	_cleanup_free_ char *copy = node->kind == SOURCE_SCALAR ? strdup(node->text) : NULL;
	char *rest = copy, *word;
	unsigned unused;

	if (!copy || !*copy || strlen(copy) > CAPABILITIES_MAX)
		return bad(r, node, "a list such as compute,utility");
	while ((word = strsep(&rest, ","))) {
		struct source_node one = {.kind = SOURCE_SCALAR, .line = node->line, .text = word};
		int result = take_choice(r, &one, known, &unused);

		if (result < 0)
			return result;
	}
	return take_text(r, node, &r->file->gpu.capabilities);
}

static int read_gpu_pressure(const struct reading *r, const struct source_node *node)
{
	unsigned value;
	int result = take_choice(r, node, function_pressure_names, &value);

	if (result == 0)
		r->file->gpu.on_pressure = (enum function_pressure)value;
	return result;
}

static int read_gpu_isolation(const struct reading *r, const struct source_node *node)
{
	unsigned value;
	int result = take_choice(r, node, function_isolation_names, &value);

	if (result == 0)
		r->file->gpu.isolation = (enum function_isolation)value;
	return result;
}

static int read_gpu_sm_percent(const struct reading *r, const struct source_node *node)
{
	uint64_t value;
	int result = take_number(r, node, 1, 100, &value);

	if (result == 0)
		r->file->gpu.sm_percent = (uint32_t)value;
	return result;
}

static int read_gpu_warm(const struct reading *r, const struct source_node *node)
{
	uint64_t value;
	int result = take_number(r, node, 0, 1024, &value);

	if (result == 0)
		r->file->gpu.warm = (uint32_t)value;
	return result;
}

static int read_gpu(const struct reading *r, const struct source_node *node)
{
	static const struct key keys[] = {
		{"count", read_gpu_count},
		{"memory", read_gpu_memory},
		{"capabilities", read_gpu_capabilities},
		{"on_pressure", read_gpu_pressure},
		{"isolation", read_gpu_isolation},
		{"sm_percent", read_gpu_sm_percent},
		{"warm", read_gpu_warm},
	};

	r->file->has_gpu = true;
	return read_keys(r, node, keys, ARRAY_LEN(keys));
}

static int read_network(const struct reading *r, const struct source_node *node)
{
	unsigned value;
	int result = take_choice(r, node, function_network_names, &value);

	if (result == 0) {
		r->file->network = (enum function_network)value;
		r->file->has_network = true;
	}
	return result;
}

static int read_cuda(const struct reading *r, const struct source_node *node)
{
	r->file->cuda_section = source_json(node);
	return r->file->cuda_section ? 0 : no_memory(r);
}

/* --- the file ----------------------------------------------------------------------------------------------------- */

static const struct key keys[] = {
	{"name", read_name},
	{"version", read_version},
	{"path", read_path},
	{"type", read_type},
	{"format", read_format},
	{"memory", read_memory},
	{"timeout", read_timeout},
	{"idle_timeout", read_idle_timeout},
	{"max_concurrency", read_max_concurrency},
	{"jwt_key", read_jwt_key},
	{"config", read_config},
	{"headers", read_headers},
	{"build", read_build},
	{"tests", read_tests},
	{"runtime", read_runtime},
	{"base", read_base},
	{"entrypoint", read_entrypoint},
	{"cmd", read_cmd},
	{"env", read_env},
	{"workdir", read_workdir},
	{"user", read_user},
	{"files", read_files},
	{"gpu", read_gpu},
	{"network", read_network},
	{"cuda", read_cuda},
};

/* A name without anything to run, and without a runtime that would want it: such a file is about an image. */
static bool is_about_image(const struct function_file *f)
{
	static const char *const own[] = {"runtime", "entrypoint", "cmd", "base", "files", "cuda"};

	for (size_t i = 0; i < ARRAY_LEN(own); i++)
		if (source_member(f->lines, own[i]))
			return false;
	return f->name != NULL;
}

/* ferrite does not make that image, so that what only a bundle has would be without effect. */
static int check_image(const struct reading *r)
{
	static const char *const bundles_have[] = {"base", "env", "workdir", "user", "files", "cuda"};
	const struct function_file *f = r->file;

	for (size_t i = 0; i < ARRAY_LEN(bundles_have); i++)
		if (source_member(f->lines, bundles_have[i]))
			return err_set(r->err, EINVAL,
				       "%s:%u: %s has no effect here: ferrite does not make the image%s%s, it runs the "
				       "one of that name",
				       f->file_name, source_line(f->lines, bundles_have[i]), bundles_have[i],
				       f->fn_runtime ? " of runtime " : "", f->fn_runtime ? f->fn_runtime : "");
	if (!f->name)
		return err_set(r->err, EINVAL,
			       "%s:%u: runtime %s needs the key name: ferrite runs the image of that "
			       "name",
			       f->file_name, source_line(f->lines, "runtime"), f->fn_runtime);
	return 0;
}

/* What the keys mean together, and defaults that depend on the runtime. */
static int check_whole(const struct reading *r)
{
	struct function_file *f = r->file;
	bool cuda = f->runtime == FUNCTION_RUNTIME_CUDA;
	const char *odd = f->entrypoint.count ? "entrypoint" : f->cmd.count ? "cmd" : NULL;

	if (is_about_image(f))
		f->runtime = FUNCTION_RUNTIME_IMAGE;
	if (f->runtime == FUNCTION_RUNTIME_IMAGE && check_image(r) < 0)
		return r->err->code;
	if (cuda && !f->cuda_section)
		return err_set(r->err, EINVAL, "%s: runtime cuda needs the key cuda", f->file_name);
	if (!cuda && f->cuda_section)
		return err_set(r->err, EINVAL, "%s:%u: the key cuda needs runtime: cuda", f->file_name,
			       source_line(f->lines, "cuda"));
	if (cuda && odd)
		return err_set(r->err, EINVAL, "%s:%u: %s has no meaning with runtime cuda, which runs cudaexec",
			       f->file_name, source_line(f->lines, odd), odd);
	if (cuda && !source_member(source_member(f->lines, "gpu"), "count"))
		f->gpu.count = 1;
	if (cuda && f->gpu.count == 0)
		return err_set(r->err, EINVAL, "%s:%u: gpu.count: runtime cuda needs at least 1", f->file_name,
			       source_line(f->lines, "gpu.count"));
	/* `gpu:` with anything in it means that one is wanted. */
	if (!cuda && f->has_gpu && !source_member(source_member(f->lines, "gpu"), "count"))
		f->gpu.count = 1;
	if (!f->has_network)
		f->network = cuda ? FUNCTION_NETWORK_NONE : FUNCTION_NETWORK_BRIDGE;
	if (!f->gpu.capabilities)
		f->gpu.capabilities = strdup("compute,utility");
	return f->gpu.capabilities ? 0 : no_memory(r);
}

static int parse_manifest(const struct reading *r)
{
	int result;

	if (!r->file->cuda_section)
		return 0;
	result = manifest_parse(r->file->cuda_section, &r->file->cuda, r->err);
	return result < 0 ? function_file_locate(r->file, r->err) : 0;
}

static bool is_json_name(const char *name)
{
	const char *dot = strrchr(name, '.');

	return dot && strcmp(dot, ".json") == 0;
}

/* JSON is nearly a part of YAML; what is not JSON is said by the JSON parser, lines come from the YAML parser. */
static int check_json(const char *name, const char *text, size_t length, struct err *err)
{
	_cleanup_json_ json_t *json = document_parse(name, text, length, err);

	return json ? 0 : -EINVAL;
}

int function_file_parse(const char *file_name, const char *text, size_t length, struct function_file **ret_file,
			struct err *err)
{
	_cleanup_(function_file_release) struct function_file *f = NULL;
	struct err local = ERR_INIT;
	struct reading r = {.place = "", .err = err ? err : &local};
	int result = 0;

	f = calloc(1, sizeof(*f));
	if (!f || !(f->file_name = strdup(file_name)))
		return err_sys(err, ENOMEM, "read %s", file_name);
	r.file = f;
	if (length > FUNCTION_FILE_MAX)
		return err_set(err, E2BIG, "%s is larger than %d bytes", file_name, FUNCTION_FILE_MAX);
	if (is_json_name(file_name))
		result = check_json(file_name, text, length, r.err);
	if (result == 0)
		result = source_parse(file_name, text, length, &f->lines, r.err);
	if (result == 0)
		result = read_keys(&r, f->lines, keys, ARRAY_LEN(keys));
	if (result == 0)
		result = check_whole(&r);
	if (result == 0)
		result = parse_manifest(&r);
	if (result < 0)
		return result;
	*ret_file = take_ptr(f);
	return 0;
}

int function_file_read(const char *dir, const char **ret_name, char **ret_text, size_t *ret_length, struct err *err)
{
	static const char *const names[] = {"func.yaml", "func.yml", "func.json"};
	_cleanup_fd_ int dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (dir_fd < 0)
		return err_sys(err, errno, "open the folder %s", dir);
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		struct err why = ERR_INIT;
		ssize_t n;

		if (faccessat(dir_fd, names[i], F_OK, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		n = file_read(dir_fd, names[i], FUNCTION_FILE_MAX, ret_text, &why);
		if (n < 0)
			return err_set(err, n == -EFBIG ? E2BIG : (int)-n, "%s", why.text);
		*ret_name = names[i];
		*ret_length = (size_t)n;
		return 0;
	}
	return err_set(err, ENOENT, "%s holds no function file (func.yaml, func.yml or func.json)", dir);
}

int function_file_load(const char *dir, struct function_file **ret_file, struct err *err)
{
	_cleanup_free_ char *text = NULL;
	const char *name = NULL;
	size_t length = 0;
	int r = function_file_read(dir, &name, &text, &length, err);

	return r < 0 ? r : function_file_parse(name, text, length, ret_file, err);
}

int function_file_locate(const struct function_file *file, struct err *err)
{
	char place[256];
	unsigned line;

	if (!err)
		return -EINVAL;
	line = source_line(file->lines, manifest_error_place(err, place, sizeof(place)));
	if (line > 0)
		err_wrap(err, "%s:%u", file->file_name, line);
	else
		err_wrap(err, "%s", file->file_name);
	return err->code;
}

unsigned function_file_line(const struct function_file *file, const char *place)
{
	return source_line(file->lines, place);
}

struct function_file *function_file_free(struct function_file *file)
{
	if (!file)
		return NULL;
	for (size_t i = 0; i < file->n_tests; i++) {
		struct function_test *t = &file->tests[i];

		free(t->name);
		free(t->in);
		free(t->out);
		free(t->err);
		pairs_free(&t->env);
	}
	for (size_t i = 0; i < file->n_files; i++) {
		free(file->files[i].from);
		free(file->files[i].to);
	}
	free(file->tests);
	free(file->files);
	pairs_free(&file->config);
	pairs_free(&file->headers);
	strings_free(&file->build);
	strings_free(&file->entrypoint);
	strings_free(&file->cmd);
	strings_free(&file->env);
	char *const texts[] = {file->file_name, file->name,   file->version,	      file->path,
			       file->type,	file->format, file->jwt_key,	      file->base,
			       file->workdir,	file->user,   file->gpu.capabilities, file->fn_runtime};
	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		free(texts[i]);
	(void)manifest_free(file->cuda);
	json_decref(file->cuda_section);
	(void)source_tree_free(file->lines);
	free(file);
	return NULL;
}

void function_file_release(struct function_file **file)
{
	*file = function_file_free(*file);
}
