#include "cudaexec/runner/answer.h"

#include "cudaexec/runner/media.h"
#include "cudaexec/runner/number.h"
#include "supervisor/str.h"
#include "supervisor/util.h"

#include <string.h>

#define EMPTY_ROWS_MAX 65536 /* "[]" that an empty output may print */
#define CHUNK	       1024  /* elements printed between two looks at the buffer's room */

void answer_model_set(struct answer_model *model, const char *image)
{
	const char *slash = strrchr(image, '/'), *at = strchr(image, '@');
	const char *colon = strrchr(slash ? slash : image, ':');
	const char *end = at ? at : colon;
	size_t length = end ? (size_t)(end - image) : strlen(image);

	(void)snprintf(model->name, sizeof(model->name), "%.*s", (int)MIN(length, sizeof(model->name) - 1), image);
	if (!str_copy(model->version, sizeof(model->version), end ? end + 1 : "latest"))
		(void)str_copy(model->version, sizeof(model->version), "latest");
}

/* Elements, separated by commas, without brackets. */
static void print_elements(struct buffer *b, enum datatype type, const char *elements, uint64_t count)
{
	size_t size = datatype_size(type);

	while (count > 0) {
		uint64_t n = MIN(count, (uint64_t)CHUNK);
		char *start = buffer_reserve(b, n * (NUMBER_TEXT_MAX + 1)), *at = start;

		if (!start)
			return;
		for (uint64_t i = 0; i < n; i++) {
			at += number_print(type, elements, at);
			*at++ = ',';
			elements += size;
		}
		count -= n;
		buffer_commit(b, (size_t)(at - start) - (count == 0));
	}
}

/* One level of nested arrays; returns where the next row's elements are. */
static const char *print_nested(struct buffer *b, enum datatype type, const uint64_t *dims, unsigned rank,
				const char *elements)
{
	if (rank == 0) {
		print_elements(b, type, elements, 1);
		return elements + datatype_size(type);
	}
	buffer_append_text(b, "[");
	if (rank == 1) {
		print_elements(b, type, elements, dims[0]);
		elements += dims[0] * datatype_size(type);
	} else {
		for (uint64_t i = 0; i < dims[0] && !buffer_failed(b); i++) {
			if (i > 0)
				buffer_append_text(b, ",");
			elements = print_nested(b, type, dims + 1, rank - 1, elements);
		}
	}
	buffer_append_text(b, "]");
	return elements;
}

/* Rows that print_nested() would write for an output without elements. */
static int check_rows(const struct manifest_tensor *t, const struct request_tensor *out, struct err *err)
{
	uint64_t rows = 1;

	for (unsigned i = 0; out->count == 0 && i < t->rank && out->dims[i] > 0; i++)
		if (__builtin_mul_overflow(rows, out->dims[i], &rows) || rows > EMPTY_ROWS_MAX)
			return err_set(err, EINVAL, "output \"%s\" is empty, but has more than %d rows", t->name,
				       EMPTY_ROWS_MAX);
	return 0;
}

static int build_shorthand(const struct request *r, const void *const *data, struct answer *a, struct err *err)
{
	struct buffer *b = &a->text;

	buffer_append_text(b, "{");
	for (size_t i = 0; i < r->n_outputs; i++) {
		const struct manifest_tensor *t = &r->manifest->tensors[r->outputs[i].tensor];
		const struct request_tensor *out = &r->tensors[r->outputs[i].tensor];
		int code = check_rows(t, out, err);

		if (code < 0)
			return code;
		buffer_append_format(b, "%s\"%s\":", i > 0 ? "," : "", t->name);
		(void)print_nested(b, t->datatype, out->dims, t->rank, data[i]);
	}
	buffer_append_text(b, "}\n");
	return 0;
}

static void print_v2_output(const struct request *r, size_t index, const void *data, struct buffer *b)
{
	const struct manifest_tensor *t = &r->manifest->tensors[r->outputs[index].tensor];
	const struct request_tensor *out = &r->tensors[r->outputs[index].tensor];

	buffer_append_format(b, "%s{\"name\":\"%s\",\"datatype\":\"%s\",\"shape\":[", index > 0 ? "," : "", t->name,
			     datatype_names[t->datatype]);
	for (unsigned d = 0; d < t->rank; d++)
		buffer_append_format(b, "%s%llu", d > 0 ? "," : "", (unsigned long long)out->dims[d]);
	if (r->outputs[index].binary) {
		buffer_append_format(b, "],\"parameters\":{\"binary_data_size\":%zu}}", out->bytes);
		return;
	}
	buffer_append_text(b, "],\"data\":[");
	print_elements(b, t->datatype, data, out->count);
	buffer_append_text(b, "]}");
}

static void build_v2(const struct request *r, const void *const *data, const struct answer_model *model,
		     struct answer *a)
{
	struct buffer *b = &a->text;

	buffer_append_text(b, "{");
	if (r->id) {
		buffer_append_text(b, "\"id\":");
		buffer_append_json(b, r->id);
		buffer_append_text(b, ",");
	}
	buffer_append_text(b, "\"model_name\":");
	buffer_append_json(b, model->name);
	buffer_append_text(b, ",\"model_version\":");
	buffer_append_json(b, model->version);
	buffer_append_text(b, ",\"outputs\":[");
	for (size_t i = 0; i < r->n_outputs; i++)
		print_v2_output(r, i, data[i], b);
	buffer_append_text(b, "]}");
	a->json_length = b->length;
	for (size_t i = 0; i < r->n_outputs; i++) {
		if (!r->outputs[i].binary)
			continue;
		a->has_json_length = true;
		a->content_type = "application/octet-stream";
		buffer_append(b, data[i], r->tensors[r->outputs[i].tensor].bytes);
	}
	if (!a->has_json_length)
		buffer_append_text(b, "\n");
}

/* The one output as it is, when the caller wants bytes or a picture. */
static bool build_raw(const struct request *r, const void *const *data, struct answer *a)
{
	const struct request_tensor *out = &r->tensors[r->outputs[0].tensor];
	const char *image = NULL;

	if (r->n_outputs != 1 || r->outputs[0].binary)
		return false;
	if (r->accept_images && r->manifest->tensors[r->outputs[0].tensor].datatype == DATATYPE_UINT8)
		image = media_image_type(data[0], out->bytes);
	if (!image && !r->accept_raw)
		return false;
	a->content_type = image ? image : "application/octet-stream";
	a->bytes = data[0];
	a->length = out->bytes;
	return true;
}

int answer_build(const struct request *r, const void *const *data, const struct answer_model *model,
		 struct answer *ret_answer, struct err *err)
{
	struct answer a = {.status = 200, .content_type = "application/json", .text = ret_answer->text};
	int code = 0;

	buffer_clear(&a.text);
	if (!build_raw(r, data, &a)) {
		if (r->form == REQUEST_V2)
			build_v2(r, data, model, &a);
		else
			code = build_shorthand(r, data, &a, err);
		a.bytes = a.text.bytes;
		a.length = a.text.length;
	}
	if (code == 0 && buffer_failed(&a.text))
		code = err_sys(err, ENOMEM, "answer");
	/* The buffer may have moved: it stays the caller's in any case. */
	ret_answer->text = a.text;
	if (code < 0)
		return code;
	*ret_answer = a;
	return 0;
}

void answer_error(unsigned status, const char *message, struct answer *ret_answer)
{
	static const char no_memory[] = "{\"error\":{\"message\":\"out of memory\"}}\n";
	struct buffer *b = &ret_answer->text;

	buffer_clear(b);
	buffer_append_text(b, "{\"error\":{\"message\":");
	buffer_append_json(b, message);
	buffer_append_text(b, "}}\n");
	ret_answer->status = status;
	ret_answer->content_type = "application/json";
	ret_answer->has_json_length = false;
	ret_answer->bytes = buffer_failed(b) ? no_memory : b->bytes;
	ret_answer->length = buffer_failed(b) ? sizeof(no_memory) - 1 : b->length;
}

unsigned answer_status(int code)
{
	return code == -ENOMEM ? 507 : 400;
}

void answer_release(struct answer *answer)
{
	buffer_release(&answer->text);
	*answer = ANSWER_INIT;
}
