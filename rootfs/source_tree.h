/*
 * A YAML (or JSON) document as a tree that remembers lines. Bounded in size, depth and number of nodes; anchors,
 * aliases, tags and several documents in one file are refused, duplicate keys too.
 */
#ifndef FERRITE_ROOTFS_SOURCE_TREE_H
#define FERRITE_ROOTFS_SOURCE_TREE_H

#include "supervisor/err.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

enum source_kind { SOURCE_SCALAR, SOURCE_LIST, SOURCE_MAP };

struct source_node {
	enum source_kind kind;
	unsigned line;	   /* from 1; of a map's member: of its key */
	char *key;	   /* of a map's member, else NULL */
	char *text;	   /* of scalars, as it stands there */
	bool quoted;	   /* "text" is a string whatever it looks like */
	size_t n_children; /* of lists and maps */
	struct source_node *children;
};

enum {
	SOURCE_DEPTH_MAX = 16,
	SOURCE_NODES_MAX = 65536,
	SOURCE_CHILDREN_MAX = 8192,
	SOURCE_TEXT_MAX = 64 * 1024, /* bytes of one scalar */
};

/*
 * Parses a whole document. Error texts begin with "FILE_NAME:LINE: ". An empty document is an empty map. The caller
 * frees the tree.
 */
int source_parse(const char *file_name, const char *text, size_t length, struct source_node **ret_root,
		 struct err *err);

/* Accepts NULL; returns NULL. */
struct source_node *source_tree_free(struct source_node *root);

/* The member of a map, or NULL. */
const struct source_node *source_member(const struct source_node *map, const char *key);

/* True for a scalar that says nothing: "", "~", "null". */
bool source_is_null(const struct source_node *node);

/* The line of a place such as "cuda.launch[0].args[2]", or of the nearest part of it that is there; 0: not even that.
 */
unsigned source_line(const struct source_node *root, const char *place);

/*
 * The tree as JSON, with numbers, booleans and null where plain scalars look like them (YAML 1.2 core schema); integers
 * beyond 64 signed bits become big integers (cudaexec/runner/json_exact.h), .inf and .nan the strings "Infinity",
 * "-Infinity" and "NaN". New reference; NULL when memory is short.
 */
json_t *source_json(const struct source_node *node);

#endif
