/*
 * A call of a kernel bundle, decoded: which tensors came in, what the dimensions are, and what is to go back.
 *
 * The four body forms: Open Inference Protocol v2 as JSON, the same with the binary extension, shorthand JSON
 * ({"a":2,"x":[1,2,3]}), and raw bytes of one tensor with scalars and dimensions in the query string. Everything is
 * checked against the manifest; what is missing comes from the manifest's defaults.
 *
 * A request borrows its manifest and its body (binary inputs are not copied): both must outlive it. Memory is bounded
 * by the length of the body: no shape is believed before the data for it has been seen.
 */
#ifndef FERRITE_CUDAEXEC_REQUEST_H
#define FERRITE_CUDAEXEC_REQUEST_H

#include "cudaexec/runner/manifest.h"
#include "supervisor/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What the caller sent. Texts may be NULL when there is none. */
struct request_source {
	const char *content_type;
	const char *accept;
	const char *json_length; /* Inference-Header-Content-Length */
	const char *query;	 /* of the URL, behind '?', still encoded */
	const void *body;
	size_t length;
};

enum request_form { REQUEST_V2, REQUEST_SHORTHAND, REQUEST_RAW };

struct request_tensor {
	uint64_t dims[MANIFEST_RANK_MAX]; /* as many as the manifest's rank */
	uint64_t count;			  /* elements */
	size_t bytes;
	const void *data; /* inputs: the elements */
	void *owned;	  /* where they were decoded to, or NULL when they lie in the body */
	bool given;
};

struct request_output {
	size_t tensor; /* index in the manifest */
	bool binary;   /* v2: as bytes behind the JSON */
};

struct request {
	const struct manifest *manifest;
	enum request_form form;
	struct request_tensor *tensors; /* one for each of the manifest's; sizes are set for all of them */
	int64_t symbols[MANIFEST_SYMBOLS_MAX];
	bool bound[MANIFEST_SYMBOLS_MAX];
	const char *bound_by[MANIFEST_SYMBOLS_MAX]; /* name of the tensor; NULL: the query string */
	struct request_output outputs[MANIFEST_TENSORS_MAX];
	size_t n_outputs;
	char *id;	 /* v2: of the request, or NULL */
	bool accept_raw; /* the caller takes application/octet-stream */
	bool accept_json;
	bool accept_images;
};

/*
 * Decodes a call. Returns 0 and a request that the caller frees; -EINVAL when the caller is wrong, with a text that
 * names the tensor and both values; -ENOMEM.
 */
int request_parse(const struct manifest *manifest, const struct request_source *source, struct request **ret_request,
		  struct err *err);

/* Accepts NULL; returns NULL. */
struct request *request_free(struct request *request);

/* For _cleanup_(). */
void request_release(struct request **request);

#endif
