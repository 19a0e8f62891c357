#include "rootfs/source_tree.h"

#include "cudaexec/runner/json_exact.h"
#include "supervisor/str.h"
#include "supervisor/util.h"

#include <math.h>
#include <string.h>
#include <yaml.h>

struct reader {
	const char *file_name;
	yaml_parser_t parser;
	size_t n_nodes;
	struct err *err;
};

static int fail(const struct reader *r, size_t line, const char *why)
{
	return err_set(r->err, EINVAL, "%s:%zu: %s", r->file_name, line, why);
}

static int next(struct reader *r, yaml_event_t *event)
{
	const yaml_parser_t *p = &r->parser;

	if (yaml_parser_parse(&r->parser, event))
		return 0;
	if (p->error == YAML_MEMORY_ERROR)
		return err_sys(r->err, ENOMEM, "read %s", r->file_name);
	if (p->error == YAML_READER_ERROR)
		return err_set(r->err, EINVAL, "%s: byte %zu: %s", r->file_name, p->problem_offset, p->problem);
	return err_set(r->err, EINVAL, "%s:%zu: %s%s%s", r->file_name, p->problem_mark.line + 1,
		       p->context ? p->context : "", p->context ? ", " : "", p->problem ? p->problem : "not YAML");
}

/* What these trees do without: anchors and tags make one document mean another one's size or types. */
static int check_plain(const struct reader *r, const yaml_event_t *event)
{
	size_t line = event->start_mark.line + 1;
	const yaml_char_t *anchor = NULL, *tag = NULL;

	switch (event->type) {
	case YAML_ALIAS_EVENT:
		return fail(r, line, "aliases (*name) are not used in this file");
	case YAML_SCALAR_EVENT:
		anchor = event->data.scalar.anchor;
		tag = event->data.scalar.tag;
		break;
	case YAML_SEQUENCE_START_EVENT:
		anchor = event->data.sequence_start.anchor;
		tag = event->data.sequence_start.tag;
		break;
	case YAML_MAPPING_START_EVENT:
		anchor = event->data.mapping_start.anchor;
		tag = event->data.mapping_start.tag;
		break;
	default:
		return fail(r, line, "a value is expected");
	}
	if (anchor)
		return fail(r, line, "anchors (&name) are not used in this file");
	return tag ? fail(r, line, "tags (!name) are not used in this file") : 0;
}

static int take_scalar(struct reader *r, const yaml_event_t *event, char **ret_text)
{
	size_t line = event->start_mark.line + 1, length = event->data.scalar.length;
	const char *value = (const char *)event->data.scalar.value;

	if (length > SOURCE_TEXT_MAX)
		return fail(r, line, "a text is longer than 65536 bytes");
	if (memchr(value, '\0', length))
		return fail(r, line, "a text holds a zero byte");
	*ret_text = strndup(value, length);
	return *ret_text ? 0 : err_sys(r->err, ENOMEM, "read %s", r->file_name);
}

static int read_node(struct reader *r, const yaml_event_t *event, struct source_node *node, unsigned depth);

static struct source_node *add_child(struct reader *r, struct source_node *parent, size_t line)
{
	struct source_node *bigger;

	if (parent->n_children >= SOURCE_CHILDREN_MAX || ++r->n_nodes > SOURCE_NODES_MAX) {
		(void)fail(r, line, "too many entries");
		return NULL;
	}
	/* Grows by doubling: a power of two says that it is full. */
	if ((parent->n_children & (parent->n_children - 1)) == 0) {
		size_t room = parent->n_children ? 2 * parent->n_children : 1;

		bigger = reallocarray(parent->children, room, sizeof(*bigger));
		if (!bigger) {
			(void)err_sys(r->err, ENOMEM, "read %s", r->file_name);
			return NULL;
		}
		parent->children = bigger;
	}
	parent->children[parent->n_children] = (struct source_node){.line = (unsigned)line};
	return &parent->children[parent->n_children++];
}

static int read_list(struct reader *r, struct source_node *node, unsigned depth)
{
	for (;;) {
		struct source_node *child;
		yaml_event_t event;
		int result = next(r, &event);

		if (result < 0)
			return result;
		if (event.type == YAML_SEQUENCE_END_EVENT) {
			yaml_event_delete(&event);
			return 0;
		}
		child = add_child(r, node, event.start_mark.line + 1);
		result = child ? read_node(r, &event, child, depth + 1) : -EINVAL;
		yaml_event_delete(&event);
		if (result < 0)
			return result;
	}
}

static int read_key(struct reader *r, struct source_node *node, const yaml_event_t *event,
		    struct source_node **ret_child)
{
	size_t line = event->start_mark.line + 1;
	_cleanup_free_ char *key = NULL;
	int result = check_plain(r, event);

	if (result == 0 && event->type != YAML_SCALAR_EVENT)
		result = fail(r, line, "a key is a plain word");
	if (result == 0)
		result = take_scalar(r, event, &key);
	if (result < 0 || !key)
		return result;
	if (source_member(node, key)) {
		char shown[80];

		return err_set(r->err, EINVAL, "%s:%zu: key \"%s\" stands twice (first in line %u)", r->file_name, line,
			       str_escape(shown, sizeof(shown), key, strlen(key)), source_member(node, key)->line);
	}
	*ret_child = add_child(r, node, line);
	if (!*ret_child)
		return -EINVAL;
	(*ret_child)->key = take_ptr(key);
	return 0;
}

static int read_map(struct reader *r, struct source_node *node, unsigned depth)
{
	for (;;) {
		struct source_node *child = NULL;
		yaml_event_t event;
		bool end;
		int result = next(r, &event);

		if (result < 0)
			return result;
		end = event.type == YAML_MAPPING_END_EVENT;
		result = end ? 0 : read_key(r, node, &event, &child);
		yaml_event_delete(&event);
		if (result < 0 || end)
			return result;
		result = next(r, &event);
		if (result < 0)
			return result;
		result = read_node(r, &event, child, depth + 1);
		yaml_event_delete(&event);
		if (result < 0)
			return result;
	}
}

static int read_node(struct reader *r, const yaml_event_t *event, struct source_node *node, unsigned depth)
{
	int result = check_plain(r, event);

	if (result < 0)
		return result;
	if (depth > SOURCE_DEPTH_MAX)
		return fail(r, event->start_mark.line + 1, "nested too deep");
	switch (event->type) {
	case YAML_SCALAR_EVENT:
		node->kind = SOURCE_SCALAR;
		node->quoted = event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
		return take_scalar(r, event, &node->text);
	case YAML_SEQUENCE_START_EVENT:
		node->kind = SOURCE_LIST;
		return read_list(r, node, depth);
	default: /* a mapping: check_plain() lets nothing else through */
		node->kind = SOURCE_MAP;
		return read_map(r, node, depth);
	}
}

/* Stream start, document start, the value, document end, stream end. */
static int read_document(struct reader *r, struct source_node *root)
{
	static const yaml_event_type_t order[] = {YAML_STREAM_START_EVENT, YAML_DOCUMENT_START_EVENT, YAML_NO_EVENT,
						  YAML_DOCUMENT_END_EVENT, YAML_STREAM_END_EVENT};
	int result = 0;

	for (size_t i = 0; result == 0 && i < ARRAY_LEN(order); i++) {
		yaml_event_t event;

		result = next(r, &event);
		if (result < 0)
			return result;
		if (order[i] == YAML_NO_EVENT)
			result = read_node(r, &event, root, 0);
		else if (i == 1 && event.type == YAML_STREAM_END_EVENT)
			i = ARRAY_LEN(order); /* nothing in the file: an empty map */
		else if (event.type != order[i])
			result = fail(r, event.start_mark.line + 1, "the file holds more than one document");
		yaml_event_delete(&event);
	}
	return result;
}

int source_parse(const char *file_name, const char *text, size_t length, struct source_node **ret_root, struct err *err)
{
	struct err unused = ERR_INIT;
	struct reader r = {.file_name = file_name, .err = err ? err : &unused};
	struct source_node *root = calloc(1, sizeof(*root));
	int result;

	if (!root || !yaml_parser_initialize(&r.parser)) {
		free(root);
		return err_sys(err, ENOMEM, "read %s", file_name);
	}
	*root = (struct source_node){.kind = SOURCE_MAP, .line = 1};
	yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&r.parser, (const unsigned char *)text, length);
	result = read_document(&r, root);
	yaml_parser_delete(&r.parser);
	if (result == 0 && source_is_null(root)) {
		free_ptr(&root->text);
		root->kind = SOURCE_MAP;
	}
	if (result == 0 && root->kind != SOURCE_MAP)
		result = fail(&r, root->line, "the file is no list of keys and values");
	if (result < 0) {
		source_tree_free(root);
		return r.err->code ? r.err->code : result;
	}
	*ret_root = root;
	return 0;
}

static void clear(struct source_node *node)
{
	for (size_t i = 0; i < node->n_children; i++)
		clear(&node->children[i]);
	free(node->children);
	free(node->key);
	free(node->text);
}

struct source_node *source_tree_free(struct source_node *root)
{
	if (root) {
		clear(root);
		free(root);
	}
	return NULL;
}

const struct source_node *source_member(const struct source_node *map, const char *key)
{
	for (size_t i = 0; map && map->kind == SOURCE_MAP && i < map->n_children; i++)
		if (map->children[i].key && strcmp(map->children[i].key, key) == 0)
			return &map->children[i];
	return NULL;
}

bool source_is_null(const struct source_node *node)
{
	static const char *const nulls[] = {"", "~", "null", "Null", "NULL"};

	for (size_t i = 0; node->kind == SOURCE_SCALAR && !node->quoted && i < ARRAY_LEN(nulls); i++)
		if (strcmp(node->text, nulls[i]) == 0)
			return true;
	return false;
}

unsigned source_line(const struct source_node *root, const char *place)
{
	const struct source_node *node = root;
	unsigned line = 0;

	while (node && *place) {
		size_t length = strcspn(place, ".[]");
		const struct source_node *found = NULL;
		char word[256];
		uint64_t index;

		if (length == 0 || length >= sizeof(word)) {
			if (length >= sizeof(word))
				break;
			place++;
			continue;
		}
		memcpy(word, place, length);
		word[length] = '\0';
		if (node->kind == SOURCE_LIST && str_u64(word, &index) && index < node->n_children)
			found = &node->children[index];
		else if (node->kind == SOURCE_MAP)
			found = source_member(node, word);
		if (found)
			line = found->line;
		node = found;
		place += length;
	}
	return line;
}

/* --- JSON --------------------------------------------------------------------------------------------------------- */

static bool is_integer(const char *text)
{
	size_t sign = *text == '-' || *text == '+';

	return text[sign] && strspn(text + sign, "0123456789") == strlen(text + sign);
}

static json_t *integer_json(const char *text)
{
	char *end;
	long long value;

	text += *text == '+';
	errno = 0;
	value = strtoll(text, &end, 10);
	return errno == ERANGE ? json_exact_integer(text) : json_integer(value);
}

static bool is_real(const char *text)
{
	size_t digits;

	text += *text == '-' || *text == '+';
	digits = strspn(text, "0123456789");
	text += digits;
	if (*text == '.') {
		size_t more = strspn(text + 1, "0123456789");

		digits += more;
		text += 1 + more;
	}
	if (digits == 0)
		return false;
	if (*text == 'e' || *text == 'E') {
		text++;
		text += *text == '-' || *text == '+';
		if (!*text)
			return false;
		text += strspn(text, "0123456789");
	}
	return !*text;
}

static json_t *scalar_json(const struct source_node *node)
{
	static const struct {
		const char *text, *value;
	} special[] = {{".inf", "Infinity"}, {"+.inf", "Infinity"}, {"-.inf", "-Infinity"}, {".nan", "NaN"}};
	const char *text = node->text;

	if (node->quoted)
		return json_string(text);
	if (source_is_null(node))
		return json_null();
	if (strcasecmp(text, "true") == 0 || strcasecmp(text, "false") == 0)
		return json_boolean(strcasecmp(text, "true") == 0);
	for (size_t i = 0; i < ARRAY_LEN(special); i++)
		if (strcasecmp(text, special[i].text) == 0)
			return json_string(special[i].value);
	if (is_integer(text))
		return integer_json(text);
	if (is_real(text) && isfinite(strtod(text, NULL)))
		return json_real(strtod(text, NULL));
	return json_string(text);
}

json_t *source_json(const struct source_node *node)
{
	json_t *json;
	int r = 0;

	if (node->kind == SOURCE_SCALAR)
		return scalar_json(node);
	json = node->kind == SOURCE_LIST ? json_array() : json_object();
	for (size_t i = 0; json && r == 0 && i < node->n_children; i++) {
		json_t *child = source_json(&node->children[i]);

		r = node->kind == SOURCE_LIST ? json_array_append_new(json, child)
					      : json_object_set_new(json, node->children[i].key, child);
	}
	if (r < 0) {
		json_decref(json);
		return NULL;
	}
	return json;
}
