#include "cudaexec/gpu/cdi.h"
#include "supervisor/str.h"
#include "supervisor/util.h"

#include <ctype.h>
#include <string.h>

#define VERSION(major, minor) ((major)*100u + (minor))

/* One file on its way through the checks. */
struct reading {
	const char *file;
	unsigned version; /* that the file declares */
	struct err *err;
};

struct field {
	const char *key;
	unsigned since; /* version; 0: the first */
	bool required;
	int (*check)(const struct reading *r, const struct source_node *node);
};

static int wrong(const struct reading *r, const struct source_node *node, const char *what)
{
	return err_set(r->err, EINVAL, "%s:%u: %s%s%s", r->file, node->line, node->key ? node->key : "",
		       node->key ? ": " : "", what);
}

/* --- objects and lists -------------------------------------------------------------------------------------------- */

static const struct field *find_field(const struct field *fields, const char *key)
{
	for (; fields->key; fields++)
		if (strcmp(fields->key, key) == 0)
			return fields;
	return NULL;
}

static int check_object(const struct reading *r, const struct source_node *node, const struct field *fields)
{
	if (node->kind != SOURCE_MAP)
		return wrong(r, node, "an object is expected");
	for (size_t i = 0; i < node->n_children; i++) {
		const struct source_node *member = &node->children[i];
		const struct field *field = find_field(fields, member->key);
		int code;

		if (!field)
			return wrong(r, member, "no such field");
		if (field->since > r->version)
			return wrong(r, member, "the file's cdiVersion does not have this field yet");
		code = source_is_null(member) ? 0 : field->check(r, member);
		if (code < 0)
			return code;
	}
	for (; fields->key; fields++) {
		const struct source_node *member = source_member(node, fields->key);

		if (fields->required && (!member || source_is_null(member)))
			return err_set(r->err, EINVAL, "%s:%u: %s is missing", r->file, node->line, fields->key);
	}
	return 0;
}

static int check_list(const struct reading *r, const struct source_node *node,
		      int (*check)(const struct reading *, const struct source_node *))
{
	if (node->kind != SOURCE_LIST)
		return wrong(r, node, "a list is expected");
	for (size_t i = 0; i < node->n_children; i++) {
		int code = check(r, &node->children[i]);

		if (code < 0)
			return code;
	}
	return 0;
}

/* --- values ------------------------------------------------------------------------------------------------------- */

static int check_text(const struct reading *r, const struct source_node *node)
{
	if (node->kind != SOURCE_SCALAR)
		return wrong(r, node, "a text is expected");
	for (const char *at = node->text; *at; at++)
		if (iscntrl((unsigned char)*at))
			return wrong(r, node, "a text holds a control character");
	return 0;
}

static int check_texts(const struct reading *r, const struct source_node *node)
{
	return check_list(r, node, check_text);
}

/* Absolute, without anything that would make it another path. */
static int check_path(const struct reading *r, const struct source_node *node)
{
	int code = check_text(r, node);
	const char *at = node->text;

	if (code < 0)
		return code;
	if (at[0] != '/' || at[1] == '\0' || strlen(at) >= PATH_MAX / 2)
		return wrong(r, node, "an absolute path is expected");
	while (*at) {
		size_t length = strcspn(++at, "/");

		if (length == 0 || (at[0] == '.' && (length == 1 || (length == 2 && at[1] == '.'))))
			return wrong(r, node, "a path without empty parts, . and .. is expected");
		at += length;
	}
	return 0;
}

static bool read_number(const struct source_node *node, uint64_t max)
{
	char *end;
	unsigned long long value;

	if (node->kind != SOURCE_SCALAR || node->quoted || !isdigit((unsigned char)node->text[0]))
		return false;
	errno = 0;
	value = strtoull(node->text, &end, 0);
	return errno == 0 && *end == '\0' && value <= max;
}

static int check_u32(const struct reading *r, const struct source_node *node)
{
	return read_number(node, UINT32_MAX) ? 0 : wrong(r, node, "a whole number is expected");
}

static int check_i64(const struct reading *r, const struct source_node *node)
{
	return read_number(node, INT64_MAX) ? 0 : wrong(r, node, "a whole number is expected");
}

static int check_timeout(const struct reading *r, const struct source_node *node)
{
	uint64_t seconds;

	if (node->kind == SOURCE_SCALAR && !node->quoted && str_u64(node->text, &seconds) && seconds > 0)
		return 0;
	return wrong(r, node, "a number of seconds above 0 is expected");
}

static int check_truth(const struct reading *r, const struct source_node *node)
{
	if (node->kind == SOURCE_SCALAR && !node->quoted &&
	    (strcmp(node->text, "true") == 0 || strcmp(node->text, "false") == 0))
		return 0;
	return wrong(r, node, "true or false is expected");
}

static int check_gids(const struct reading *r, const struct source_node *node)
{
	return check_list(r, node, check_u32);
}

static int check_annotations(const struct reading *r, const struct source_node *node)
{
	if (node->kind != SOURCE_MAP)
		return wrong(r, node, "an object is expected");
	for (size_t i = 0; i < node->n_children; i++) {
		int code = check_text(r, &node->children[i]);

		if (code < 0)
			return code;
	}
	return 0;
}

static int check_variable(const struct reading *r, const struct source_node *node)
{
	int code = check_text(r, node);
	const char *equals;

	if (code < 0)
		return code;
	equals = strchr(node->text, '=');
	if (!equals || equals == node->text)
		return wrong(r, node, "a variable NAME=VALUE is expected");
	/* What steers the loader could replace any library of the image. */
	return strncmp(node->text, "LD_", 3) == 0 ? wrong(r, node, "a variable of the loader (LD_…) is not allowed")
						  : 0;
}

static int check_variables(const struct reading *r, const struct source_node *node)
{
	return check_list(r, node, check_variable);
}

static int check_word(const struct reading *r, const struct source_node *node, const char *const *words,
		      const char *expected)
{
	int code = check_text(r, node);

	for (; code == 0 && *words; words++)
		if (strcmp(node->text, *words) == 0)
			return 0;
	return code < 0 ? code : wrong(r, node, expected);
}

/* --- container edits ---------------------------------------------------------------------------------------------- */

static int check_node_type(const struct reading *r, const struct source_node *node)
{
	static const char *const types[] = {"b", "c", "u", "p", "", NULL};

	return check_word(r, node, types, "b, c, u or p is expected");
}

static int check_permissions(const struct reading *r, const struct source_node *node)
{
	int code = check_text(r, node);

	if (code < 0 || strcmp(node->text, "none") == 0)
		return code;
	return strspn(node->text, "rwm") == strlen(node->text) ? 0 : wrong(r, node, "letters of rwm are expected");
}

static int check_device_node(const struct reading *r, const struct source_node *node)
{
	static const struct field fields[] = {
		{"path", 0, true, check_path},
		{"hostPath", VERSION(0, 5), false, check_path},
		{"type", 0, false, check_node_type},
		{"major", 0, false, check_i64},
		{"minor", 0, false, check_i64},
		{"fileMode", 0, false, check_u32},
		{"permissions", 0, false, check_permissions},
		{"uid", 0, false, check_u32},
		{"gid", 0, false, check_u32},
		{0},
	};

	return check_object(r, node, fields);
}

static int check_device_nodes(const struct reading *r, const struct source_node *node)
{
	return check_list(r, node, check_device_node);
}

static int check_mount(const struct reading *r, const struct source_node *node)
{
	static const struct field fields[] = {
		{"hostPath", 0, true, check_path},
		{"containerPath", 0, true, check_path},
		{"options", 0, false, check_texts},
		{"type", VERSION(0, 4), false, check_text},
		{0},
	};

	return check_object(r, node, fields);
}

static int check_mounts(const struct reading *r, const struct source_node *node)
{
	return check_list(r, node, check_mount);
}

static int check_hook_name(const struct reading *r, const struct source_node *node)
{
	static const char *const names[] = {
		"prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop", NULL};

	return check_word(r, node, names, "the name of an OCI hook is expected");
}

static int check_hook(const struct reading *r, const struct source_node *node)
{
	static const struct field fields[] = {
		{"hookName", 0, true, check_hook_name}, {"path", 0, true, check_path},
		{"args", 0, false, check_texts},	{"env", 0, false, check_variables},
		{"timeout", 0, false, check_timeout},	{0},
	};

	return check_object(r, node, fields);
}

static int check_hooks(const struct reading *r, const struct source_node *node)
{
	return check_list(r, node, check_hook);
}

static int check_rdt(const struct reading *r, const struct source_node *node)
{
	static const struct field fields[] = {
		{"closID", 0, false, check_text},
		{"l3CacheSchema", 0, false, check_text},
		{"memBwSchema", 0, false, check_text},
		{"schemata", VERSION(1, 1), false, check_texts},
		{"enableMonitoring", VERSION(1, 1), false, check_truth},
		{"enableCMT", 0, false, check_truth},
		{"enableMBM", 0, false, check_truth},
		{0},
	};

	return check_object(r, node, fields);
}

static int check_net_device(const struct reading *r, const struct source_node *node)
{
	static const struct field fields[] = {
		{"hostInterfaceName", 0, true, check_text}, {"name", 0, true, check_text}, {0}};

	return check_object(r, node, fields);
}

static int check_net_devices(const struct reading *r, const struct source_node *node)
{
	return check_list(r, node, check_net_device);
}

static int check_edits(const struct reading *r, const struct source_node *node)
{
	static const struct field fields[] = {
		{"env", 0, false, check_variables},
		{"deviceNodes", 0, false, check_device_nodes},
		{"mounts", 0, false, check_mounts},
		{"hooks", 0, false, check_hooks},
		{"additionalGids", VERSION(0, 7), false, check_gids},
		{"intelRdt", VERSION(0, 7), false, check_rdt},
		{"netDevices", VERSION(1, 1), false, check_net_devices},
		{0},
	};

	return check_object(r, node, fields);
}

/* --- names and the whole ------------------------------------------------------------------------------------------ */

/* A letter first (or a digit where allowed), a letter or digit last, of INNER between. */
static bool name_valid(const char *name, size_t length, bool digit_first, const char *inner)
{
	if (length == 0 || !isascii(name[0]) || !isalnum((unsigned char)name[length - 1]) ||
	    !(isalpha((unsigned char)name[0]) || (digit_first && isdigit((unsigned char)name[0]))))
		return false;
	for (size_t i = 0; i < length; i++)
		if (!isalnum((unsigned char)name[i]) && !strchr(inner, name[i]))
			return false;
	return true;
}

static int check_kind(const struct reading *r, const struct source_node *node)
{
	int code = check_text(r, node);
	size_t vendor;

	if (code < 0)
		return code;
	vendor = strcspn(node->text, "/");
	if (node->text[vendor] == '\0' || strlen(node->text) >= CDI_NAME_MAX / 2 ||
	    !name_valid(node->text, vendor, false, "_-.") ||
	    !name_valid(node->text + vendor + 1, strlen(node->text + vendor + 1), false,
			r->version >= VERSION(0, 6) ? "_-." : "_-"))
		return wrong(r, node, "vendor/class is expected");
	return 0;
}

static int check_device_name(const struct reading *r, const struct source_node *node)
{
	int code = check_text(r, node);

	if (code < 0)
		return code;
	return strlen(node->text) < CDI_NAME_MAX / 2 &&
			       name_valid(node->text, strlen(node->text), r->version >= VERSION(0, 5), "_-.:")
		       ? 0
		       : wrong(r, node, "the name of a device is expected");
}

static int check_own_edits(const struct reading *r, const struct source_node *node)
{
	int code = check_edits(r, node);

	return code == 0 && node->n_children == 0 ? wrong(r, node, "a device without edits") : code;
}

static int check_device(const struct reading *r, const struct source_node *node)
{
	static const struct field fields[] = {
		{"name", 0, true, check_device_name},
		{"annotations", VERSION(0, 6), false, check_annotations},
		{"containerEdits", 0, true, check_own_edits},
		{0},
	};

	return check_object(r, node, fields);
}

static int check_devices(const struct reading *r, const struct source_node *node)
{
	int code = check_list(r, node, check_device);

	if (code == 0 && node->n_children == 0)
		return wrong(r, node, "at least one device is expected");
	for (size_t i = 0; code == 0 && i < node->n_children; i++) {
		const char *name = source_member(&node->children[i], "name")->text;

		for (size_t k = 0; k < i; k++)
			if (strcmp(source_member(&node->children[k], "name")->text, name) == 0)
				return wrong(r, &node->children[i], "a device of this name is there already");
	}
	return code;
}

/* The version comes before everything else, as it says what the rest may be. */
static int read_version(struct reading *r, const struct source_node *root)
{
	static const char *const known[] = {"0.1.0", "0.2.0", "0.3.0", "0.4.0", "0.5.0",
					    "0.6.0", "0.7.0", "0.8.0", "1.0.0", "1.1.0"};
	const struct source_node *node = source_member(root, "cdiVersion");
	const char *text = node && node->kind == SOURCE_SCALAR ? node->text : "";

	text += text[0] == 'v';
	for (size_t i = 0; i < ARRAY_LEN(known); i++) {
		if (strcmp(text, known[i]) == 0) {
			r->version = VERSION((unsigned)(text[0] - '0'), (unsigned)(text[2] - '0'));
			return 0;
		}
	}
	return err_set(r->err, EINVAL, "%s:%u: cdiVersion: a version from 0.1.0 to 1.1.0 is expected", r->file,
		       node ? node->line : root->line);
}

static int check_root(struct reading *r, const struct source_node *root)
{
	static const struct field fields[] = {
		{"cdiVersion", 0, true, check_text},
		{"kind", 0, true, check_kind},
		{"annotations", VERSION(0, 6), false, check_annotations},
		{"devices", 0, true, check_devices},
		{"containerEdits", 0, false, check_edits},
		{0},
	};
	int code = read_version(r, root);

	return code < 0 ? code : check_object(r, root, fields);
}

int cdi_parse(const char *file, const char *text, size_t length, struct cdi_spec **ret_spec, struct err *err)
{
	struct reading r = {.file = file, .err = err};
	struct cdi_spec *spec = calloc(1, sizeof(*spec));
	int code;

	if (!spec)
		return err_set(err, -ENOMEM, "no memory for %s", file);
	code = source_parse(file, text, length, &spec->tree, err);
	if (code == 0)
		code = check_root(&r, spec->tree);
	if (code < 0) {
		cdi_spec_free(spec);
		return code;
	}
	(void)snprintf(spec->file, sizeof(spec->file), "%s", file);
	spec->kind = source_member(spec->tree, "kind")->text;
	spec->edits = source_member(spec->tree, "containerEdits");
	if (spec->edits && source_is_null(spec->edits))
		spec->edits = NULL;
	*ret_spec = spec;
	return 0;
}

void cdi_spec_free(struct cdi_spec *spec)
{
	if (!spec)
		return;
	source_tree_free(spec->tree);
	free(spec);
}
