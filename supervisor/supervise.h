/*
 * ferrited's state machine: starts the servers in their order, watches them by pidfd, heartbeat and messages, starts
 * them again, gives up on one that keeps ending, and ends them all.
 *
 *	DOWN -> STARTING (process runs; hello, then configuration, channels, sockets, start) -> READY -> DOWN …
 *	any -> FAILED: it ended too often; it stays until SIGHUP asks to try again
 *	READY -> DRAINING: told to finish
 *
 * An end that nobody asked for leads to a new start: at once when the server had served for a second, else after a
 *delay that doubles. What a dead server leaves (its other processes; for ferrite-sandbox every instance) is killed by
 *cgroup before the new one starts. Channels between servers are made again when either end restarts and given to both.
 *
 * Single-threaded; nothing here blocks on a server.
 */
#ifndef FERRITE_SUPERVISE_H
#define FERRITE_SUPERVISE_H

#include "supervisor/cgroup.h"
#include "supervisor/listen.h"
#include "supervisor/loop.h"
#include "supervisor/messages.h"
#include "supervisor/notify.h"
#include "supervisor/process.h"
#include "supervisor/settings.h"

#include <limits.h>

/* Which messages a server may send now. */
enum server_turn { TURN_HELLO = 1, TURN_STARTED = 2, TURN_READY = 4 };

struct supervisor;

struct server_slot {
	struct supervisor *supervisor;
	const struct process_row *row;
	enum server_state state;
	enum server_turn turn;
	struct process process; /* pid 0: none runs */
	struct loop_watch process_watch, control_watch;
	char state_dir[PATH_MAX], run_dir[PATH_MAX]; /* as it reaches them */
	uint64_t since_us;			     /* of the state */
	uint64_t start_us;			     /* when to start it next; 0: not planned */
	uint64_t deadline_us;			     /* of start or drain; 0: none */
	uint64_t ping_us;			     /* when to ask next */
	uint64_t asked_us;			     /* of the ping that is not answered; 0: none */
	uint64_t ping_id;
	uint64_t ready_us; /* when it became ready; 0: not in this life */
	unsigned strikes;  /* ends in a row without having served for a while */
	unsigned restarts;
	uint64_t ends_us[SETTING_RESTART_LIMIT_MAX]; /* the latest ends, as a ring */
	unsigned n_ends;
	bool let_go;	     /* it closed its control channel */
	char killed_for[64]; /* why we killed it; empty: we did not */
	char last_exit[64];
};

enum supervisor_phase { PHASE_SERVE, PHASE_DRAIN_API, PHASE_DRAIN_REST, PHASE_END };

struct supervisor {
	struct loop loop;
	struct settings settings;
	struct cgroup_tree cgroups;
	char bridge[9]; /* name of the bridge and of its tables of nftables */
	struct process_place place;
	struct listen_set listeners;
	struct notify notify;
	uint32_t ids_first_block, ids_blocks;
	/* Reads all sources again; set by the program. */
	int (*reload)(struct supervisor *supervisor, struct settings *ret_settings, struct err *err);

	/* Private. */
	struct server_slot servers[PEER_MAX];
	int held_fds[PEER_MAX][PEER_MAX]; /* [a][b]: end of a channel to B, for A when it says hello; -1: none */
	struct loop_watch signal_watch, timer_watch;
	int signal_fd, timer_fd;
	enum supervisor_phase phase;
	bool announced; /* READY=1 was sent */
	bool forced;	/* the second signal came */
	uint64_t watchdog_at_us;
	struct ipc_message message;
};

/*
 * Prepares the private part, and holds back the signals that mean something until the run: one that comes during the
 * preparation ends in order what was made. The public part and the servers' folders are filled in by the caller before
 * the run.
 */
void supervisor_init(struct supervisor *supervisor);

/* Runs until everything ended. 0: drained; 1: ended by a second signal; negative: could not go on. */
int supervisor_run(struct supervisor *supervisor, struct err *err);

/* --- between supervise.c and control.c --- */

/* Handles all messages of a server. Negative: it broke the protocol. */
int control_dispatch(struct server_slot *server, struct err *err);

/* Sends a message; a server that does not take it is killed. */
void control_send(struct server_slot *server, const struct ipc_out *out);

/* Sends the configuration. */
int control_send_config(struct server_slot *server, bool reload, struct err *err);

/* Closes what waits for (and from) a server: it failed, or it ended. */
void control_drop_held(struct supervisor *supervisor, enum peer peer, bool failed);

void supervisor_set_state(struct server_slot *server, enum server_state state);

/* Its end of the control channel is closed: it is ending by itself, or is as good as dead and gets killed soon. */
void supervisor_let_go(struct server_slot *server);

/* Kills a server; the end is noticed through its pidfd. WHY is what the status shows. */
void supervisor_kill(struct server_slot *server, const char *why);

#endif
