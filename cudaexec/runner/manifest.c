#include "cudaexec/runner/manifest.h"

#include "cudaexec/runner/json_exact.h"
#include "cudaexec/runner/manifest_parts.h"
#include "supervisor/str.h"
#include "supervisor/util.h"

#include <string.h>

int manifest_find_tensor(const struct manifest *m, const char *name)
{
	for (size_t i = 0; i < m->n_tensors; i++)
		if (strcmp(m->tensors[i].name, name) == 0)
			return (int)i;
	return -1;
}

int manifest_find_symbol(const struct manifest *m, const char *name)
{
	for (size_t i = 0; i < m->n_symbols; i++)
		if (strcmp(m->symbols[i], name) == 0)
			return (int)i;
	return -1;
}

/* Looks a name of an expression up and remembers the one that is missing, for the error. */
struct resolver {
	struct manifest *m;
	char unknown[EXPR_NAME_MAX + 1];
};

static int resolve(void *user, const char *name)
{
	struct resolver *r = user;
	int slot = manifest_find_symbol(r->m, name);

	if (slot < 0)
		(void)str_copy(r->unknown, sizeof(r->unknown), name);
	else
		r->m->symbol_used[slot] = true;
	return slot;
}

static int fail_unknown_name(struct section *s, const struct manifest *m, const char *name)
{
	const char *candidates[MANIFEST_SYMBOLS_MAX + 1] = {NULL};
	int tensor = manifest_find_tensor(m, name);
	const char *nearest;

	if (tensor >= 0)
		return section_fail(s, EINVAL, "\"%s\" is no integer: expressions use dimensions and scalar integers",
				    name);
	for (size_t i = 0; i < m->n_symbols; i++)
		candidates[i] = m->symbols[i];
	nearest = str_nearest(name, candidates);
	if (nearest)
		return section_fail(s, EINVAL, "unbound name \"%s\": no input has it (did you mean \"%s\"?)", name,
				    nearest);
	return section_fail(s, EINVAL, "unbound name \"%s\": no input has it", name);
}

int manifest_parse_expr(struct section *s, struct manifest *m, const json_t *value, struct expr **ret_expr)
{
	struct resolver resolver = {.m = m};
	int r;

	if (json_is_integer(value)) {
		*ret_expr = expr_number(json_integer_value(value));
		return *ret_expr ? 0 : section_fail(s, ENOMEM, "out of memory");
	}
	if (!json_is_string(value) || strlen(json_string_value(value)) != json_string_length(value))
		return section_fail(s, EINVAL, "must be an integer or an expression");
	r = expr_compile(json_string_value(value), resolve, &resolver, ret_expr, s->err);
	if (r < 0 && resolver.unknown[0])
		return fail_unknown_name(s, m, resolver.unknown);
	return r < 0 ? section_wrap(s) : 0;
}

/* --- module and handler --- */

static int check_path(struct section *s, const char *key, const char *path)
{
	(void)section_enter_key(s, key);
	if (path[0] == '/')
		return section_fail(s, EINVAL, "must be a path below the bundle's folder, not an absolute one");
	for (const char *at = path; *at; at++)
		if ((unsigned char)*at < 0x20 || *at == 0x7f || *at == '\\')
			return section_fail(s, EINVAL, "has a control character or a backslash in it");
	for (const char *at = path; *at;) {
		size_t length = strcspn(at, "/");

		if (length == 0 || (length == 1 && at[0] == '.') || (length == 2 && memcmp(at, "..", 2) == 0))
			return section_fail(s, EINVAL, "must not have empty, \".\" or \"..\" components");
		at += length;
		if (*at == '/' && !*++at)
			return section_fail(s, EINVAL, "must name a file, not a folder");
	}
	s->place[strlen(s->place) - strlen(key) - 1] = '\0';
	return 0;
}

static int module_kind(const char *path, enum manifest_module_kind *ret_kind)
{
	static const struct {
		const char *suffix;
		enum manifest_module_kind kind;
	} kinds[] = {
		{".ptx", MANIFEST_MODULE_PTX},
		{".fatbin", MANIFEST_MODULE_FATBIN},
		{".cubin", MANIFEST_MODULE_CUBIN},
		{".cu", MANIFEST_MODULE_CU},
	};
	size_t length = strlen(path);

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		size_t n = strlen(kinds[i].suffix);

		if (length > n && strcmp(path + length - n, kinds[i].suffix) == 0) {
			*ret_kind = kinds[i].kind;
			return 0;
		}
	}
	return -EINVAL;
}

static int parse_handler(struct section *s, const json_t *section)
{
	static const char *const kernel_keys[] = {"inputs", "outputs", "scratch", "launch"};

	for (size_t i = 0; i < ARRAY_LEN(kernel_keys); i++) {
		const json_t *value = json_object_get(section, kernel_keys[i]);

		if (value && json_array_size(value) > 0) {
			(void)section_enter_key(s, kernel_keys[i]);
			return section_fail(s, EINVAL,
					    "belongs to kernel bundles; a handler reads requests and launches itself");
		}
	}
	return 0;
}

static int parse_program(struct section *s, struct manifest *m, const json_t *section)
{
	const char *module, *handler;
	int r = section_string(s, section, "module", MANIFEST_PATH_MAX, false, &module);

	if (r == 0)
		r = section_string(s, section, "handler", MANIFEST_PATH_MAX, false, &handler);
	if (r < 0)
		return r;
	if (!module == !handler)
		return section_fail(s, EINVAL,
				    module ? "\"module\" and \"handler\" exclude each other"
					   : "needs a \"module\" (PTX, fatbin, cubin, cu) or a \"handler\" (library)");
	r = check_path(s, module ? "module" : "handler", module ? module : handler);
	if (r < 0)
		return r;
	if (module && module_kind(module, &m->module_kind) < 0) {
		(void)section_enter_key(s, "module");
		return section_fail(s, EINVAL, "\"%s\" ends in none of .ptx .fatbin .cubin .cu", module);
	}
	*(module ? &m->module : &m->handler) = strdup(module ? module : handler);
	if (!m->module && !m->handler)
		return section_fail(s, ENOMEM, "out of memory");
	return module ? 0 : parse_handler(s, section);
}

/* --- the whole --- */

static int parse(struct section *s, struct manifest *m, const json_t *section)
{
	static const char *const keys[] = {"module", "handler", "inputs", "outputs", "scratch", "launch", NULL};
	int r = section_keys(s, section, "the section", keys);

	if (r == 0)
		r = parse_program(s, m, section);
	if (r == 0 && m->module)
		r = manifest_parse_tensors(s, m, section);
	if (r == 0 && m->module)
		r = manifest_parse_launches(s, m, section);
	if (r < 0)
		return r;
	m->canonical = json_exact_dump(section);
	if (!m->canonical)
		return section_fail(s, ENOMEM, "out of memory");
	if (strlen(m->canonical) >= MANIFEST_TEXT_MAX)
		return section_fail(s, E2BIG, "%zu bytes as JSON, at most %d are possible", strlen(m->canonical),
				    MANIFEST_TEXT_MAX - 1);
	return 0;
}

int manifest_parse(const json_t *section, struct manifest **ret_manifest, struct err *err)
{
	_cleanup_(manifest_release) struct manifest *m = calloc(1, sizeof(*m));
	struct err unseen = ERR_INIT; /* wrapping an error needs one */
	struct section s = {.place = "cuda", .err = err ? err : &unseen};
	int r;

	if (!m)
		return section_fail(&s, ENOMEM, "out of memory");
	r = parse(&s, m, section);
	if (r < 0)
		return r;
	*ret_manifest = take_ptr(m);
	return 0;
}

int manifest_parse_text(const char *text, size_t length, struct manifest **ret_manifest, struct err *err)
{
	struct err unseen = ERR_INIT;
	json_t *section;
	int r;

	if (!err)
		err = &unseen;
	if (length >= MANIFEST_TEXT_MAX)
		return err_set(err, E2BIG, "cuda: more than %d bytes of JSON", MANIFEST_TEXT_MAX - 1);
	section = json_exact_load(text, length, err);
	if (!section)
		return err_wrap(err, "cuda");
	r = manifest_parse(section, ret_manifest, err);
	json_decref(section);
	return r;
}

const char *manifest_canonical(const struct manifest *manifest)
{
	return manifest->canonical;
}

char *manifest_error_place(const struct err *err, char *buffer, size_t size)
{
	size_t length = strcspn(err->text, ": ");

	buffer[0] = '\0';
	if (strncmp(err->text, "cuda", 4) != 0 || err->text[length] != ':' || length >= size)
		return buffer;
	memcpy(buffer, err->text, length);
	buffer[length] = '\0';
	return buffer;
}

struct manifest *manifest_free(struct manifest *m)
{
	if (!m)
		return NULL;
	for (size_t i = 0; i < m->n_tensors; i++) {
		for (unsigned d = 0; d < MANIFEST_RANK_MAX; d++)
			(void)expr_free(m->tensors[i].shape[d]);
		json_decref(m->tensors[i].default_value);
	}
	free(m->tensors);
	manifest_launches_free(m);
	free(m->module);
	free(m->handler);
	free(m->canonical);
	free(m);
	return NULL;
}

void manifest_release(struct manifest **manifest)
{
	*manifest = manifest_free(*manifest);
}
