/*
 * What ferrite-sandbox and the two processes of a birth say to each other over the instance's own socket pair. Shared
 * by code with a C library and by the init without one: constants and plain structures only.
 *
 * The server clones a process into new namespaces. It enters its groups and forks the builder; then it gives up
 * privilege and executes ferrite-init, which waits. The builder makes what needs no root, then the root, and exits;
 * with that the init is let go, reads the command and starts it. So what a call waits for is a root and one execution.
 *
 * server -> first process: BIRTH_MAPPED
 * server -> builder:       BIRTH_ITEMS (only with a profile), BIRTH_ROOT: when root and command are known
 * server -> init:          BIRTH_COMMAND, in the socket at once and read when the builder is gone
 * all of them -> server:   struct birth_report, one per packet, never with descriptors
 */
#ifndef FERRITE_SANDBOX_BIRTH_H
#define FERRITE_SANDBOX_BIRTH_H

#include <stdint.h>

/* Descriptors of the processes from their first step on: the socket is 3. */
#define BIRTH_SOCKET_FD 3
#define BIRTH_INIT_FD	4

/* The init's own id inside; functions get 0..65534, so they can neither signal nor trace it. */
#define BIRTH_INIT_ID 65535

#define BIRTH_RESOLVERS_MAX 3

enum birth_message {
	BIRTH_MAPPED = 1, /* the id maps are written: go. No body, no descriptors */
	BIRTH_ITEMS,	  /* the profile's records (struct sbx_item and lists) as tail; detached mounts */
	/* struct birth_root; tail: cwd, host name; detached, id-mapped, read-only mounts, lowest first */
	BIRTH_ROOT,
	BIRTH_COMMAND, /* struct birth_command; tail: arguments, variables; stdin, stdout, stderr */
};

enum birth_flags {
	BIRTH_FULL_PROC = 1, /* all of /proc and a read-only /sys, masked: a GPU driver library needs them */
};

struct birth_root {
	uint32_t flags;
	uint32_t address, gateway; /* on the bridge, in network order; 0: it is not there */
	uint32_t n_resolvers;
	uint32_t resolvers[BIRTH_RESOLVERS_MAX]; /* in network order */
	uint64_t disk_bytes;
	uint64_t shm_bytes;
};

struct birth_command {
	uint32_t n_args, n_env;
	uint32_t uid, gid;
	uint64_t file_bytes; /* RLIMIT_FSIZE */
	uint64_t tasks;	     /* RLIMIT_NPROC */
};

enum birth_report_kind {
	BIRTH_FAILED = 1, /* code: negative errno, phase and text: where and on what */
	BIRTH_EXECUTED,	  /* the program was executed at time_us */
	BIRTH_EXITED,	  /* code: wait status of the program */
};

struct birth_report {
	uint32_t kind;
	int32_t code;
	uint64_t time_us; /* CLOCK_MONOTONIC */
	char phase[32];
	char text[512];
};

#endif
