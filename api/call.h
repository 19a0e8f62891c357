/*
 * One call of a function, from the complete request to the answer. It stays in one loop and passes through the stages
 * of enum call_stage; where it waits, the loop goes on. Somebody waits for its end: an HTTP client, which may go away
 * at any stage, or the owner of a queued task, which does not. Every call ends in call_end(), once.
 */
#ifndef FERRITE_API_CALL_H
#define FERRITE_API_CALL_H

#include "api/answer.h"
#include "api/api.h"
#include "api/env.h"
#include "api/instance.h"
#include "api/record.h"

enum call_stage {
	CALL_BODY,	/* the request is still coming in */
	CALL_OPENING,	/* ferrite-rootfs resolves the image */
	CALL_LINE,	/* in line for a hot instance */
	CALL_WAITING,	/* in line for memory */
	CALL_ATTACHING, /* ferrite-gpu grants a share */
	CALL_CREATING,	/* ferrite-sandbox makes the instance */
	CALL_RUNNING,
};

enum call_outcome {
	CALL_ANSWERED,	/* by the function, whatever its status */
	CALL_FAILED,	/* the function's fault: its exit, its memory, or what it wrote */
	CALL_TIMED_OUT, /* it ran longer than its route allows */
	CALL_REFUSED,	/* nothing of it ran: no memory, image, container or GPU */
	CALL_BROKEN,	/* a server or the container ended under it */
	CALL_ABANDONED, /* its client went away */
	CALL_OUTCOME_MAX,
};

struct call_end {
	enum call_outcome outcome;
	unsigned status;		 /* of the answer; 0: nobody hears one */
	const char *message;		 /* what went wrong; NULL: the function's own answer counts */
	const struct sbx_exited *report; /* of the instance; NULL: it lives on, or there never was one */
};

/* A queued call. It belongs to its owner, who must keep it until `ended` was called. */
struct call_task {
	char id[CALL_ID_LENGTH + 1];
	unsigned n_variables;
	const char *variables;	  /* packed "K=V": frozen when the call was accepted */
	struct evbuffer *payload; /* its content is taken */
	uint64_t created_us;	  /* CLOCK_REALTIME when it was accepted; 0: unknown */
	/* In the loop's thread. OUTPUT is what the function answered, the call's own. */
	void (*ended)(struct call_task *task, const struct call_end *end, struct evbuffer *output);
};

struct call {
	struct peer_request peer; /* one at a time */
	struct budget_wait wait;
	enum call_stage stage;
	struct http_request *request; /* NULL: the client is gone, or there never was one */
	struct call_task *task;	      /* NULL: the call came over HTTP */
	struct api_loop *loop;
	struct function *function;
	struct image *image;
	struct instance *instance;
	char id[CALL_ID_LENGTH + 1];
	struct grant grant; /* as long as no instance has it */
	struct gpu_wish gpu;
	struct share *share; /* until it is granted */
	struct text gpu_env; /* packed "K=V" */
	unsigned n_gpu_env;
	struct sbx_create create;
	struct rfs_open open;
	struct gpu_attach attach;
	uint64_t gpu_until_us; /* an idle instance gives up its share until then */
	struct text tail;      /* of the message that is under way */
	struct spool payload;
	struct evbuffer *output; /* what is to be answered */
	bool framed;		 /* the instance reads and writes HTTP: format http, or a CUDA bundle */
	struct text head;	 /* in front of the payload when framed */
	struct answer answer;
	bool heard;	       /* something of it */
	struct pool_wait turn; /* format http */
	bool starting;	       /* has the pool's right to start an instance */
	bool retried;
	bool ending;		  /* the output ended, the exit is not reported yet */
	struct sbx_exited report; /* of the instance's end */
	bool has_report;
	const struct capture *log; /* of an instance that has ended, or was given back */
	struct capture captured;   /* of the latter */
	enum record_start start;
	uint64_t bytes_in;
	struct event *timer;
	bool is_queued, is_running; /* in the counters */
	size_t output_counted;	    /* of the output, in what all requests buffer */
	uint64_t received_us, admitted_us, executed_us;
};

/* A fresh id: CALL_ID_LENGTH characters and the terminator. */
void call_make_id(char *id);
/* Both take over the reference to FUNCTION. NULL: no memory. */
struct call *call_new(struct http_request *request, struct function *function);
struct call *call_new_task(struct api_loop *loop, struct function *function, struct call_task *task);
/* Everything that came with the call is there; PAYLOAD's content is taken. */
void call_start(struct call *call, struct evbuffer *payload);
/* Ends the instance that the call runs in. */
void call_stop(struct call *call);
/* Whether somebody still waits for the end. */
static inline bool call_is_wanted(const struct call *call)
{
	return call->request || call->task;
}

/* The variables that describe the call: contract section 7.3. The client must not be gone. */
void call_variables(const struct call *call, struct env *env);

/* Answers whoever waits and frees the call; the instance, if there is one, lives on until it ends. */
void call_end(struct call *call, const struct call_end *end);
/* The end of a call without an answer of its function. */
void call_fail(struct call *call, enum call_outcome outcome, unsigned status, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
/* The end of a call whose client went away. */
void call_abandon(struct call *call);

/* call_observe.c: what is remembered of it; before it is answered, so that whoever has the answer finds the call. */
void call_observe(struct call *call, const struct call_end *end);
/* call_answer.c: the answer to the HTTP client. */
void call_answer(struct call *call, const struct call_end *end);

/* call_create.c: from the image to the running instance. */
void call_open_image(struct call *call);
/* ... and on, from a place in the budget. */
void call_reserve(struct call *call);
/* Writes the head that a framed request begins with; FIRST: to a fresh instance. -E2BIG, -ENOMEM. */
int call_frame(struct call *call, bool first);
/* call_result.c: gives the call to its instance. */
void call_run(struct call *call);

#endif
