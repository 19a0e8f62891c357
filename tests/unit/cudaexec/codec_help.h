/* Manifests and requests for the tests of the codec. JSON is written with single quotes, so that it can be read. */
#ifndef FERRITE_TESTS_UNIT_CUDAEXEC_CODEC_HELP_H
#define FERRITE_TESTS_UNIT_CUDAEXEC_CODEC_HELP_H

#include "cudaexec/runner/request.h"
#include "supervisor/util.h"

#include <check.h>
#include <string.h>

/* y = a * x + y, with a default for a. */
#define SAXPY \
	"'inputs':[{'name':'a','datatype':'FP32','shape':[]},{'name':'x','datatype':'FP32','shape':['n']}," \
	"{'name':'y','datatype':'FP32','shape':['n']}],'outputs':[{'name':'y','datatype':'FP32','shape':['n']}]"

static inline char *help_quote(const char *text)
{
	char *json = strdup(text);

	for (char *at = json; *at; at++)
		if (*at == '\'')
			*at = '"';
	return json;
}

/* A manifest with these tensors and one launch. */
static inline struct manifest *help_manifest(const char *tensors)
{
	_cleanup_free_ char *text = NULL, *json = NULL;
	struct manifest *m = NULL;
	struct err err = ERR_INIT;

	ck_assert(asprintf(&text, "{'module':'a.ptx',%s,'launch':[{'kernel':'k','grid':[1],'block':[1]}]}", tensors) >
		  0);
	json = help_quote(text);
	ck_assert_msg(manifest_parse_text(json, strlen(json), &m, &err) == 0, "%s", err.text);
	return m;
}

#endif
