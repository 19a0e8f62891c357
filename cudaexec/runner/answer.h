/*
 * The answer to a call: JSON in the form of the request, v2 with binary outputs, the bytes of one tensor, or an error
 * object. An answer borrows the outputs' bytes where it sends them as they are; they must outlive it.
 */
#ifndef FERRITE_CUDAEXEC_ANSWER_H
#define FERRITE_CUDAEXEC_ANSWER_H

#include "cudaexec/runner/buffer.h"
#include "cudaexec/runner/request.h"

#include <stddef.h>

struct answer {
	unsigned status;	  /* HTTP */
	const char *content_type; /* static */
	bool has_json_length;	  /* send Inference-Header-Content-Length: json_length */
	size_t json_length;
	const void *bytes; /* the body: in text, or an output */
	size_t length;
	struct buffer text;
};

#define ANSWER_INIT ((struct answer){.text = BUFFER_INIT})

/* What answers in the v2 form say about the function. */
struct answer_model {
	char name[256];
	char version[128];
};

/* Splits an image reference: "host:5000/a/b:1.0" is model "host:5000/a/b" version "1.0"; no tag means "latest". */
void answer_model_set(struct answer_model *model, const char *image);

/*
 * Builds the answer of a call that worked. DATA has the elements of r->outputs[i], in this order. Returns 0; -EINVAL
 * when the answer would be all brackets (an empty output of very many rows); -ENOMEM.
 */
int answer_build(const struct request *r, const void *const *data, const struct answer_model *model,
		 struct answer *ret_answer, struct err *err);

/* {"error":{"message":…}} */
void answer_error(unsigned status, const char *message, struct answer *ret_answer);

/* The status for a negative errno value of request_parse() and answer_build(). */
unsigned answer_status(int code);

void answer_release(struct answer *answer);

#endif
