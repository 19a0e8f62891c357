/*
 * One running container: its pipes, and the end that the sandbox will report. It belongs to a loop. A call attaches to
 * it to hear its output; without a call the output is thrown away. Lines on stderr go to the log, a bounded number of
 * them. What the instance was granted (memory, a GPU) is given back when its end was reported, or when the server that
 * ran it is gone.
 *
 * A hot instance is a member of its function's pool and serves one call after another, in changing loops: what moves
 * it between them is in pool.h, and hot.c says what that means here.
 */
#ifndef FERRITE_API_INSTANCE_H
#define FERRITE_API_INSTANCE_H

#include "api/api.h"
#include "api/capture.h"
#include "api/dispatcher.h"
#include "api/loglimit.h"
#include "api/pool.h"
#include "api/spool.h"

#define CALL_ID_LENGTH 36

enum instance_state { INSTANCE_STARTING, INSTANCE_BUSY, INSTANCE_IDLE, INSTANCE_ENDING, INSTANCE_STATE_MAX };

struct instance_end {
	struct sbx_exited report;
	bool server_lost; /* the report is made up: ferrite-sandbox ended */
};

/* What a call wants to hear. All run in the loop's thread; after any of them the instance may be detached. */
struct instance_events {
	/* False: the instance may belong to somebody else now. */
	bool (*output)(void *context, const void *bytes, size_t length);
	void (*output_end)(void *context);
	void (*ended)(void *context, const struct instance_end *end);
};

struct grant {
	uint64_t memory_bytes; /* of the budget */
	bool has_gpu;
	uint64_t gpu, gpu_memory_bytes;
	char gpu_device[64]; /* as the instance sees it: NVIDIA_VISIBLE_DEVICES */
};

struct instance {
	struct table_node node;
	struct worker_task end_task;
	struct worker *end_worker; /* where the end is looked for next */
	struct api *api;
	struct api_loop *loop;
	bool hot;
	struct pool_member member;
	bool has_ended;	     /* as its thread knows */
	bool counts_as_room; /* its memory is on its way back to who waits for it */
	struct function *function;
	struct grant grant;
	struct sbx_created created;
	struct instance_end end;
	_Atomic enum instance_state state;
	char call_id[CALL_ID_LENGTH + 1];   /* of the call it was made for */
	char served_id[CALL_ID_LENGTH + 1]; /* of the last call that it served; its loop's */
	uint64_t n_served;
	const struct instance_events *events;
	void *context;
	int input_fd, output_fd, log_fd;
	int freezer_fd; /* of a hot one */
	struct event *input_event, *output_event, *log_event;
	/* What it is to read: the head, then the body, both the call's. */
	const struct text *head;
	struct spool *body;
	size_t head_at;
	uint64_t sent;	    /* bytes of both */
	bool input_refused; /* it closed its standard input */
	bool keep_input_open;
	char line[1000];
	size_t line_length;
	struct loglimit log_limit;
	struct capture capture; /* what it wrote on stderr, for the record of its call */
	bool unfinished;	/* the call was recorded before the end of the instance was known */
};

/* Takes over the grant; the function gets a reference. NULL: no memory, and the grant is still the caller's. */
struct instance *instance_new(struct api_loop *loop, struct function *function, const struct grant *grant,
			      const char *call_id);
/* For an instance that the sandbox never made. */
void instance_free(struct instance *instance);
/* Gives back a grant that no instance has. */
void grant_release(struct api *api, const struct grant *grant);

/* Control thread: the reply to SBX_CREATE came. */
void instance_created(struct instance *instance, const struct peer_reply *reply);
/* Loop: takes the pipes from the reply. */
int instance_start(struct instance *instance, struct peer_reply *reply, struct err *err);
/* The call hears it from now on. */
void instance_attach(struct instance *instance, const struct instance_events *events, void *context,
		     const char *call_id);
/*
 * Begins to write HEAD and BODY, which stay the caller's and must live until it turns away. Afterwards the input is
 * closed, unless KEEP_OPEN.
 */
void instance_send(struct instance *instance, const struct text *head, struct spool *body, bool keep_open);
/* The call hears no more; what the program still writes is thrown away. */
void instance_detach(struct instance *instance);
/* The same, but the program waits for the next call. */
void instance_rest(struct instance *instance);

/* What it has written on stderr by now. UNFINISHED: the record of its call is to be completed when it has ended. */
const struct capture *instance_log(struct instance *instance, bool unfinished);

/* How many bytes of what was sent it has not read yet; its input must be open, else -1. */
int instance_unread(const struct instance *instance);
/* Whether all of head and body was sent. */
bool instance_sent_all(const struct instance *instance);
/* Whether it wrote something that nobody has read. */
bool instance_has_output(const struct instance *instance);

/* A hot one between two calls: stops it where it is, or lets it go on. Failure makes it slower, or use more. */
void instance_freeze(const struct instance *instance, bool frozen);
/* The loop gives up its events, or gets them; for a hot one between two calls. */
void instance_leave(struct instance *instance);
bool instance_arrive(struct instance *instance, struct api_loop *loop);
/* Gives back all that is left of an instance whose end was reported. In the thread that has it. */
void instance_finish(struct instance *instance);

/* Ends it; its end will be reported as always. */
void instance_kill(struct instance *instance, uint64_t grace_us);

/* Control thread: its end; it travels to the loop and frees the instance there. */
void instance_ended(struct instance *instance, const struct sbx_exited *report, bool server_lost);

#endif
