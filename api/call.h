/*
 * One call of a function, from the complete request to the answer. It stays in the loop of its request and passes
 * through the stages of enum call_stage; where it waits, the loop goes on. The client may go away at any stage.
 */
#ifndef FERRITE_API_CALL_H
#define FERRITE_API_CALL_H

#include "api/answer.h"
#include "api/api.h"
#include "api/instance.h"

enum call_stage {
	CALL_BODY,	/* the request is still coming in */
	CALL_OPENING,	/* ferrite-rootfs resolves the image */
	CALL_WAITING,	/* in line for memory */
	CALL_ATTACHING, /* ferrite-gpu grants a share */
	CALL_CREATING,	/* ferrite-sandbox makes the instance */
	CALL_RUNNING,
};

struct call {
	struct peer_request peer; /* one at a time */
	struct budget_wait wait;
	enum call_stage stage;
	struct http_request *request; /* NULL: the client is gone */
	struct api_loop *loop;
	struct function *function;
	struct image *image;
	struct instance *instance;
	char id[CALL_ID_LENGTH + 1];
	struct grant grant; /* as long as no instance has it */
	struct gpu_wish gpu;
	struct text gpu_env; /* packed "K=V" */
	unsigned n_gpu_env;
	struct sbx_create create;
	struct rfs_open open;
	struct gpu_attach attach;
	struct text tail;	 /* of the message that is under way */
	struct evbuffer *input;	 /* the payload, framed where the format wants it */
	struct evbuffer *output; /* what is to be answered */
	bool framed;		 /* format http: a CUDA bundle */
	struct answer answer;
	struct event *timer;
	bool is_queued, is_running; /* in the counters */
	uint64_t received_us, admitted_us, executed_us;
};

/* Takes over the reference to FUNCTION. NULL: no memory. */
struct call *call_new(struct http_request *request, struct function *function);
/* The request is complete; PAYLOAD's content is taken. */
void call_start(struct call *call, struct evbuffer *payload);

/* {"request_id":…,"error":{"message":…}} and the end of the call; WITH_HEADERS: the route's headers belong to it. */
void call_fail(struct call *call, unsigned status, bool with_headers, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
/* Ends the call and gives back all it holds; the instance, if there is one, lives on until it ends. */
void call_free(struct call *call);

/* call_create.c: from the image to the running instance. */
void call_open_image(struct call *call);
/* call_result.c: what the instance does, and the answer. */
void call_run(struct call *call);

#endif
