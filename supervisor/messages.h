/*
 * Every message type of ferrite, grouped by channel. The first word names the channel, the comment the direction,
 * what the tail and the descriptors are, and the reply.
 *
 * Structures are plain, fixed and without padding holes that matter: all channels are local, both ends are built
 * together, and IPC_MAGIC names the layout. "Packed list" is str_pack()'s form. Strings in fixed arrays are terminated
 * by the receiver before use. Enums are checked by the receiver.
 *
 * A request is answered with its own reply type or with MSG_FAILED, both with the request's id.
 */
#ifndef FERRITE_MESSAGES_H
#define FERRITE_MESSAGES_H

#include "supervisor/ipc.h"

#include <stdint.h>

#define FERRITE_PROTOCOL 1

/* Who is at the other end of a channel. The number is fixed by ferrited when it makes the pair. */
enum peer {
	PEER_SUPERVISOR,
	PEER_API,
	PEER_SANDBOX,
	PEER_ROOTFS,
	PEER_GPU,
	PEER_MAX,
};

enum message_type {
	/* Any channel: the request failed. Body: struct msg_failed. */
	MSG_FAILED = 1,

	/* --- control channel: ferrited and each server (descriptor 3 of the server) --- */

	/* server -> ferrited, first message. Body: struct ctl_hello. */
	CTL_HELLO = 0x100,
	/* ferrited -> server, after hello and again on reload. Tail: packed list of "key=value". Body: struct
	   ctl_config. */
	CTL_CONFIG,
	/* ferrited -> server. One descriptor: a fresh channel to a peer; replaces an older one. Body: struct
	   ctl_channel. */
	CTL_CHANNEL,
	/* ferrited -> api. One descriptor: a listening socket. Body: struct ctl_listen. */
	CTL_LISTEN,
	/* ferrited -> server: configuration, channels and sockets of the start are complete. No body. */
	CTL_START,
	/* server -> ferrited: serving. No body. */
	CTL_READY,
	/* ferrited -> server, and back with the same id within the heartbeat deadline. No body. */
	CTL_PING,
	CTL_PONG,
	/* ferrited -> server: take no new work, finish what runs until deadline_us, exit with 0. No body. */
	CTL_DRAIN,
	/* api -> ferrited: state of all servers. No body. Reply: CTL_STATUS, tail: array of struct ctl_status_row. */
	CTL_STATUS_GET,
	CTL_STATUS,
	/*
	 * server -> ferrited: a peer broke the protocol of our channel, which is closed. ferrited kills the peer, logs
	 * it, and makes the channels of its successor. Body: struct ctl_accuse.
	 */
	CTL_ACCUSE,

	/* --- api <-> sandbox --- */

	/*
	 * api -> sandbox: make an instance and start its program. Body: struct sbx_create. Tail: packed list: working
	 * directory, host name, label, then n_args arguments, then n_env variables. Descriptors: n_layers directories,
	 * lowest layer first. Reply when the program was executed: SBX_CREATED.
	 */
	SBX_CREATE = 0x200,
	/*
	 * Body: struct sbx_created. Descriptors: stdin (write), stdout (read), stderr (read), pidfd of the instance's
	 * init, and its freezer (write): "1" stops everything in it where it is, "0" lets it go on, without a message
	 * to anybody. The kernel checked the right when it was opened, so that its holder needs none. What is frozen
	 * can be killed, runs into its time-out, and is thawed by SBX_KILL with a grace; an end of its own it reports
	 * only when it is thawed, so that the end of its output is a reason to do so.
	 */
	SBX_CREATED,
	/* sandbox -> api, event, exactly one per created instance, after its last process is gone. Body: struct
	   sbx_exited. */
	SBX_EXITED,
	/* api -> sandbox, no reply: end an instance. Body: struct sbx_kill. Unknown instances are ignored (it raced its
	   exit). */
	SBX_KILL,
	/* api -> sandbox: what an instance uses now. Body: struct sbx_stat. Reply: SBX_STATED, body: struct sbx_stated.
	 */
	SBX_STAT,
	SBX_STATED,

	/* --- gpu -> sandbox --- */

	/*
	 * Stores (or replaces) a set of host objects that instances with this profile get mounted. Body: struct
	 * sbx_profile. Tail: n_items records (struct sbx_item, each followed by its packed list: destination, then
	 * target or content where the kind says so). Descriptors: one O_PATH descriptor per FILE and DEVICE item, in
	 * order. Reply: SBX_PROFILE_DONE.
	 */
	SBX_PROFILE_PUT = 0x280,
	SBX_PROFILE_DONE,

	/* --- api <-> rootfs --- */

	/*
	 * api -> rootfs: import an image. Body: struct rfs_import. Tail: packed list: name. One descriptor: the archive
	 * (regular file or pipe, read to its end). RFS_PROGRESS events with the same id may come, then RFS_IMPORTED.
	 */
	RFS_IMPORT = 0x300,
	RFS_PROGRESS, /* Body: struct rfs_progress. */
	RFS_IMPORTED, /* Body: struct rfs_imported. */
	/*
	 * api -> rootfs: resolve a name for running. Tail: packed list: name. Body: struct rfs_open. Reply: RFS_OPENED,
	 * body: struct rfs_opened, tail: the OCI image configuration as JSON text; descriptors: layer directories,
	 * lowest first.
	 */
	RFS_OPEN,
	RFS_OPENED,
	/* rootfs -> api, event: a name now means something else or nothing. Tail: packed list: name. No body. */
	RFS_CHANGED,
	/*
	 * api -> rootfs. Body: struct rfs_query. Tail: packed list: name (empty for a list). Reply: RFS_DOCUMENT with
	 * one descriptor: a sealed memfd that holds a JSON document. Body: struct rfs_document.
	 */
	RFS_QUERY,
	RFS_DOCUMENT,
	/* api -> rootfs: forget a name (and sweep what nothing refers to). Tail: packed list: name. No body. Reply:
	   RFS_REMOVED. */
	RFS_REMOVE,
	RFS_REMOVED, /* Body: struct rfs_removed. */
	/* api -> rootfs: sweep. No body. Reply: RFS_REMOVED. */
	RFS_GC,

	/* --- api <-> gpu --- */

	/* api -> gpu: inventory. No body. Reply: GPU_DOCUMENT with one descriptor: a sealed memfd with the JSON of
	   /v1/gpus. */
	GPU_LIST = 0x400,
	GPU_DOCUMENT,
	/*
	 * api -> gpu: a share of a GPU for one instance. Body: struct gpu_attach. Tail: packed list: device wish
	 * (NVIDIA_VISIBLE_DEVICES syntax), driver capabilities (NVIDIA_DRIVER_CAPABILITIES syntax, may be empty), label
	 * (app and route, for /v1/gpus), then n_requires NVIDIA_REQUIRE_* values. Reply: GPU_ATTACHED.
	 */
	GPU_ATTACH,
	/* Body: struct gpu_attached. Tail: packed list of n_env variables "K=V" for the instance. */
	GPU_ATTACHED,
	/* api -> gpu, no reply: the instance is gone. Body: struct gpu_release. */
	GPU_RELEASE,
	/*
	 * api -> gpu, no reply, before all requests on a channel: a share that a predecessor granted is still held.
	 * Body: struct gpu_hold. Tail: packed list: label.
	 */
	GPU_HOLD,
	/*
	 * api -> gpu: what GPU_ATTACH with this body and tail would put into an instance, and why; nothing is granted.
	 * Reply: GPU_DOCUMENT with the JSON of /v1/gpus/injection, or MSG_FAILED with why it would be refused.
	 */
	GPU_EXPLAIN,
};

struct msg_failed {
	int32_t code;	/* negative errno */
	char phase[32]; /* where it failed, one word: "layers", "proc", "exec", "unpack", … */
	char text[ERR_TEXT_MAX];
};

/* --- control ------------------------------------------------------------------------------------------------------ */

struct ctl_hello {
	uint32_t protocol; /* FERRITE_PROTOCOL */
	uint32_t pid;
};

struct ctl_config {
	uint32_t n_entries;
	uint32_t reload; /* 0 at start, 1 after SIGHUP */
};

struct ctl_channel {
	uint32_t peer; /* enum peer */
};

struct ctl_accuse {
	uint32_t peer; /* enum peer */
};

enum listen_kind { LISTEN_TCP, LISTEN_UNIX, LISTEN_KIND_MAX };

struct ctl_listen {
	uint32_t kind; /* enum listen_kind */
};

enum server_state { SERVER_DOWN, SERVER_STARTING, SERVER_READY, SERVER_DRAINING, SERVER_FAILED, SERVER_STATE_MAX };

struct ctl_status_row {
	char name[24];
	uint32_t state; /* enum server_state */
	uint32_t pid;
	uint32_t restarts;
	uint32_t reserved;
	uint64_t since_us;  /* CLOCK_MONOTONIC of the last change of state */
	char last_exit[64]; /* why it last ended, empty when it never did */
};

/* --- sandbox ------------------------------------------------------------------------------------------------------ */

/*
 * Longest tails that ferrite-rootfs and ferrite-gpu take in a request; whoever sends more loses the channel. Long
 * enough for any good name: what fits and is bad gets an error.
 */
#define RFS_TAIL_MAX (16 * 1024)
#define GPU_TAIL_MAX (16 * 1024)

#define SBX_LAYERS_MAX 128
#define SBX_ARGS_MAX   1024
#define SBX_ENV_MAX    1024

enum sbx_network { SBX_NETWORK_NONE, SBX_NETWORK_BRIDGE, SBX_NETWORK_HOST, SBX_NETWORK_MAX };

#define SBX_ALLOW_MAX 16

/* What an instance on the bridge may reach although it is closed to all. */
struct sbx_allow {
	uint32_t address; /* in network order */
	uint8_t prefix;	  /* its length, 0..32 */
	uint8_t protocol; /* IPPROTO_TCP, IPPROTO_UDP; 0: all that have ports */
	uint16_t port;	  /* 0: all */
};

struct sbx_create {
	uint32_t n_layers, n_args, n_env;
	uint32_t network;  /* enum sbx_network */
	uint32_t uid, gid; /* inside, 0..65534 */
	/* The operator may have set maxima, to which these are brought down. */
	uint32_t pids_max;     /* 0: the operator's default */
	uint32_t cpu_percent;  /* of one CPU; 0: no quota */
	uint64_t memory_bytes; /* memory and swap together; 0: the operator's default */
	uint64_t disk_bytes;   /* size of the writable upper; 0: the operator's default */
	uint64_t timeout_us;   /* run time after which the instance is killed with SBX_END_TIMEOUT; 0: none */
	uint32_t profile;      /* GPU profile to mount, 0: none */
	uint32_t stop_signal;  /* for SBX_KILL with grace; 0: SIGTERM */
	uint32_t n_allow;      /* with the network "bridge" only */
	uint32_t reserved;
	struct sbx_allow allow[SBX_ALLOW_MAX];
};

enum sbx_start {
	SBX_START_COLD, /* built for this request */
	SBX_START_WARM, /* built before it, up to the root and the command */
	SBX_START_MAX,
};

struct sbx_created {
	uint64_t instance;
	uint32_t pid;	      /* of the instance's init, host view */
	uint32_t uid_base;    /* host uid of its uid 0 */
	uint64_t born_us;     /* CLOCK_MONOTONIC: request read, */
	uint64_t executed_us; /* program executed */
	uint32_t start;	      /* enum sbx_start */
	uint32_t reserved;
};

enum sbx_end {
	SBX_END_EXIT,	 /* the program returned exit_code */
	SBX_END_SIGNAL,	 /* the program died of signal */
	SBX_END_OOM,	 /* the kernel killed something in it for memory */
	SBX_END_TIMEOUT, /* its timeout_us passed */
	SBX_END_KILLED,	 /* SBX_KILL */
	SBX_END_LOST,	 /* its init died without a report */
	SBX_END_MAX,
};

struct sbx_exited {
	uint64_t instance;
	uint32_t end;	   /* enum sbx_end */
	int32_t exit_code; /* of the program; -1 when it did not exit by itself */
	int32_t signal;	   /* 0 when it was not a signal */
	uint32_t reserved;
	uint64_t cpu_us;
	uint64_t memory_peak_bytes;
	uint64_t run_us; /* from executed to gone */
};

struct sbx_kill {
	uint64_t instance;
	uint64_t grace_us; /* 0: SIGKILL at once; else the stop signal first */
};

struct sbx_stat {
	uint64_t instance;
};

struct sbx_stated {
	uint64_t instance;
	uint64_t memory_bytes;
	uint64_t cpu_us;
	uint32_t tasks;
	uint32_t frozen;  /* 1: everything in it is stopped */
	char cgroup[192]; /* path below the cgroup v2 mount */
};

enum sbx_item_kind {
	SBX_ITEM_FILE,	 /* bind mount, read-only, nosuid, nodev; list: destination */
	SBX_ITEM_DEVICE, /* bind mount, nosuid, noexec, and a device rule rw; list: destination */
	SBX_ITEM_LINK,	 /* symbolic link; list: destination, target */
	SBX_ITEM_TEXT,	 /* generated read-only file; list: destination, content */
	SBX_ITEM_MAX,
};

struct sbx_item {
	uint32_t kind;	 /* enum sbx_item_kind */
	uint32_t length; /* bytes of the packed list that follows */
};

#define SBX_ITEMS_MAX	 160
#define SBX_PROFILES_MAX 64

struct sbx_profile {
	uint32_t profile; /* number, from 1 */
	uint32_t n_items;
};

/* --- rootfs ------------------------------------------------------------------------------------------------------- */

struct rfs_import {
	uint64_t size; /* of the archive when it is known, else 0 */
};

struct rfs_progress {
	uint64_t done, total; /* bytes of the archive; total 0: unknown */
	char phase[24];
};

struct rfs_imported {
	char digest[72]; /* "sha256:…" of the manifest */
	uint64_t size;
};

struct rfs_open {
	uint32_t reserved;
};

struct rfs_opened {
	char digest[72];
	uint32_t n_layers;
	uint32_t reserved;
};

enum rfs_query_kind { RFS_QUERY_LIST, RFS_QUERY_INSPECT, RFS_QUERY_MAX };

struct rfs_query {
	uint32_t kind; /* enum rfs_query_kind */
};

struct rfs_document {
	uint64_t size;
};

struct rfs_removed {
	uint32_t blobs;
	uint32_t layers;
	uint64_t bytes;
};

/* --- gpu ---------------------------------------------------------------------------------------------------------- */

#define GPU_REQUIRES_MAX 64

struct gpu_attach {
	uint32_t count;
	uint32_t n_requires;   /* at most GPU_REQUIRES_MAX */
	uint64_t memory_bytes; /* declared device memory; 0: the operator's default */
};

enum gpu_kind { GPU_KIND_NONE, GPU_KIND_NVIDIA, GPU_KIND_SOFTWARE, GPU_KIND_MAX };

#define GPU_LABEL_MAX 256 /* with its terminator; longer ones are cut */

struct gpu_attached {
	uint64_t grant;
	uint64_t gpus;		    /* which ones, as ferrite-gpu counts them: for GPU_HOLD */
	uint32_t profile;	    /* for sbx_create */
	uint32_t kind;		    /* enum gpu_kind */
	uint64_t memory_bytes;	    /* granted device memory */
	uint64_t host_memory_bytes; /* to be added to the instance's memory limit: device memory that is host memory */
	uint32_t n_env;
	uint32_t reserved;
};

struct gpu_release {
	uint64_t grant;
};

struct gpu_hold {
	uint64_t grant, gpus, memory_bytes; /* as struct gpu_attached had them */
	uint64_t since_us;		    /* CLOCK_REALTIME */
};

struct gpu_document {
	uint64_t size;
};

#endif
