/*
 * Bodies of calls. The first byte picks a bundle, the second the headers; the rest up to a zero byte is the query
 * string, then comes the body. What is accepted must be consistent, and its answer must be readable again as the
 * inputs' elements are in memory.
 */
#include "cudaexec/runner/answer.h"
#include "cudaexec/runner/json_exact.h"
#include "cudaexec/runner/request.h"
#include "supervisor/util.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define LAUNCH "\"launch\":[{\"kernel\":\"k\",\"grid\":[1],\"block\":[1]}]}"

static const char *const bundles[] = {
	"{\"module\":\"a.ptx\",\"inputs\":[{\"name\":\"a\",\"datatype\":\"FP32\",\"shape\":[]},{\"name\":\"x\","
	"\"datatype\":"
	"\"FP32\",\"shape\":[\"n\"]},{\"name\":\"y\",\"datatype\":\"FP32\",\"shape\":[\"n\"]}],\"outputs\":[{\"name\":"
	"\"y\","
	"\"datatype\":\"FP32\",\"shape\":[\"n\"]}]," LAUNCH,
	"{\"module\":\"a.ptx\",\"inputs\":[{\"name\":\"i\",\"datatype\":\"UINT8\",\"shape\":[\"h\",\"w\",3]},{\"name\":"
	"\"g\","
	"\"datatype\":\"FP16\",\"shape\":[],\"default\":1.5},{\"name\":\"h\",\"datatype\":\"INT64\",\"shape\":[],"
	"\"default\":"
	"2}],\"outputs\":[{\"name\":\"i\",\"datatype\":\"UINT8\",\"shape\":[\"h\",\"w\",3]}]," LAUNCH,
	"{\"module\":\"a.ptx\",\"inputs\":[{\"name\":\"b\",\"datatype\":\"BOOL\",\"shape\":[\"n\",\"n\"]},{\"name\":"
	"\"u\","
	"\"datatype\":\"UINT64\",\"shape\":[\"m\"],\"default\":[18446744073709551615]},{\"name\":\"d\",\"datatype\":"
	"\"FP64\","
	"\"shape\":[2],\"default\":[0.1,\"NaN\"]},{\"name\":\"z\",\"datatype\":\"BF16\",\"shape\":[\"n\",\"m\",0],"
	"\"default\":"
	"[]}],\"outputs\":[{\"name\":\"u\",\"datatype\":\"UINT64\",\"shape\":[\"m\"]},{\"name\":\"b\",\"datatype\":"
	"\"BOOL\","
	"\"shape\":[\"n\",\"n\"]},{\"name\":\"d\",\"datatype\":\"FP64\",\"shape\":[2]}]," LAUNCH,
};

static struct manifest *manifests[ARRAY_LEN(bundles)];

static void load_bundles(void)
{
	for (size_t i = 0; i < ARRAY_LEN(bundles); i++)
		if (!manifests[i] && manifest_parse_text(bundles[i], strlen(bundles[i]), &manifests[i], NULL) < 0)
			abort();
}

static void set_headers(struct request_source *source, uint8_t bits, char *length, size_t size)
{
	static const char *const types[] = {NULL, "application/json", "application/octet-stream", "image/bmp"};
	static const char *const accepts[] = {NULL, "application/octet-stream", "image/*", "*/*"};

	source->content_type = types[bits & 3];
	source->accept = accepts[(bits >> 2) & 3];
	if (bits & 0x80) {
		const char *body = source->body, *end = source->length ? memrchr(body, '}', source->length) : NULL;

		/* The JSON part ends somewhere before the last brace or at it. */
		(void)snprintf(length, size, "%zu",
			       end ? (size_t)(end - body) + 1 - ((bits >> 4) & 7) : source->length);
		source->json_length = length;
	}
}

/* Every output of the bundles is also an input: the answer shows what was read. */
static void check_request(const struct request *r)
{
	_cleanup_(answer_release) struct answer answer = ANSWER_INIT;
	struct answer_model model;
	const void *data[MANIFEST_TENSORS_MAX];
	struct err err = ERR_INIT;
	json_t *json;

	for (size_t i = 0; i < r->n_outputs; i++) {
		data[i] = r->tensors[r->outputs[i].tensor].data;
		if (!data[i])
			abort();
	}
	answer_model_set(&model, "fuzz:1");
	if (answer_build(r, data, &model, &answer, &err) < 0)
		return;
	if (strcmp(answer.content_type, "application/json") != 0)
		return;
	json = json_exact_load(answer.bytes, answer.length, &err);
	if (!json)
		abort();
	json_decref(json);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(request_release) struct request *r = NULL;
	_cleanup_free_ char *query = NULL;
	struct request_source source = {0};
	struct err err = ERR_INIT;
	const uint8_t *end;
	char length[24];

	load_bundles();
	if (size < 3)
		return 0;
	end = memchr(data + 2, 0, size - 2);
	if (!end)
		return 0;
	query = strdup((const char *)data + 2);
	source.query = query && *query ? query : NULL;
	source.body = end + 1;
	source.length = size - (size_t)(end + 1 - data);
	set_headers(&source, data[1], length, sizeof(length));
	if (request_parse(manifests[data[0] % ARRAY_LEN(manifests)], &source, &r, &err) == 0)
		check_request(r);
	else if (err.code != -EINVAL && err.code != -ENOMEM)
		abort();
	return 0;
}
