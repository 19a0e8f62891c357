/*
 * Which devices an instance may open: an eBPF program on its cgroup v2 group. Everything not listed is denied, making
 * nodes always. The second fence behind a /dev with only these nodes and mounts that are nodev.
 */
#ifndef FERRITE_SANDBOX_DEVICE_POLICY_H
#define FERRITE_SANDBOX_DEVICE_POLICY_H

#include "supervisor/err.h"

#include <linux/bpf.h>
#include <stdint.h>

#define DEVICE_POLICY_EXTRA_MAX	  160
#define DEVICE_POLICY_PROGRAM_MAX (16 + 4 * (DEVICE_POLICY_EXTRA_MAX + 8))

/* Writes the program that allows the devices of every instance and N_EXTRA more (dev_t); returns its length. */
unsigned device_policy_compile(const uint64_t *extra, unsigned n_extra,
			       struct bpf_insn program[DEVICE_POLICY_PROGRAM_MAX]);

/* Loads it; returns a descriptor that can be attached to any number of groups. */
int device_policy_load(const uint64_t *extra, unsigned n_extra, struct err *err);

/* Attaches it to a group, in place of OLD_FD when that is not -1. */
int device_policy_attach(int program_fd, int old_fd, int group_fd, struct err *err);

#endif
