/* ferrite-sandbox's configuration, as ferrited sends it. Every key is described in ferrite-sandbox(8). */
#ifndef FERRITE_SANDBOX_CONFIG_H
#define FERRITE_SANDBOX_CONFIG_H

#include "supervisor/err.h"

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

struct sandbox_config {
	char state_dir[PATH_MAX]; /* leases and the staging directory */
	char cgroup_v2[PATH_MAX]; /* directory in which instance groups are made */
	char cgroup_v1_memory[PATH_MAX], cgroup_v1_pids[PATH_MAX], cgroup_v1_cpu[PATH_MAX]; /* empty: pure v2 */
	uint32_t uid_base;								    /* host id of block 0 */
	uint32_t ids_first_block;		      /* first block for instances */
	uint32_t ids_blocks;			      /* how many: the most instances at a time */
	uint32_t store_base;			      /* host id that layer files of id 0 have */
	uint64_t memory_bytes, disk_bytes, shm_bytes; /* defaults of an instance */
	uint32_t pids_max;
	uint64_t max_disk_bytes; /* what a request gets at most; 0: what it asks for */
	uint32_t max_pids, max_cpu_percent;
	uint64_t birth_timeout_us;
	uint32_t pool_max;	   /* containers that wait for a call, at most */
	uint64_t pool_idle_us;	   /* after which those that nobody needed are given back */
	char bridge[9];		   /* name of the bridge, and of its tables of nftables */
	char resolvers[256];	   /* DNS servers of instances on the bridge, with blanks between them */
	char network_allow[1024];  /* what a route may open of the closed ranges: ADDRESS/PREFIX, with blanks */
	char network_host[4];	   /* "yes": routes may ask for the network of the host */
	uint32_t connections_max;  /* of an instance on the bridge at a time */
	char profile_drivers[256]; /* names in /proc/devices (prefixes) whose nodes a profile may bring */
};

/* The defaults. */
void sandbox_config_init(struct sandbox_config *config);

/* Sets one key; unknown keys are ignored, and with RELOAD those that count from the next start on. */
int sandbox_config_set(struct sandbox_config *config, const char *key, const char *value, bool reload, struct err *err);

/* Checks what belongs together, after the last key. */
int sandbox_config_check(const struct sandbox_config *config, struct err *err);

#endif
