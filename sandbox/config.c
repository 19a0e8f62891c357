#include "sandbox/config.h"

#include "supervisor/str.h"
#include "supervisor/util.h"

#include <stddef.h>
#include <string.h>

#define BLOCK_IDS    65536u
#define BLOCKS_MAX   4096u
#define UID_BASE_MIN 100000u /* nothing of the host's own */
#define MEMORY_MIN   (8 * MIB)

enum kind { KIND_TEXT, KIND_NUMBER, KIND_SIZE };

struct key {
	const char *name;
	enum kind kind;
	bool reloadable;
	size_t offset, size;
};

#define KEY(field, kind, reloadable) \
	{ \
#field, kind, reloadable, offsetof(struct sandbox_config, field), \
			sizeof(((struct sandbox_config *)0)->field) \
	}

static const struct key keys[] = {
	KEY(state_dir, KIND_TEXT, false),
	KEY(cgroup_v2, KIND_TEXT, false),
	KEY(cgroup_v1_memory, KIND_TEXT, false),
	KEY(cgroup_v1_pids, KIND_TEXT, false),
	KEY(cgroup_v1_cpu, KIND_TEXT, false),
	KEY(uid_base, KIND_NUMBER, false),
	KEY(ids_first_block, KIND_NUMBER, false),
	KEY(ids_blocks, KIND_NUMBER, false),
	KEY(store_base, KIND_NUMBER, false),
	KEY(memory_bytes, KIND_SIZE, true),
	KEY(disk_bytes, KIND_SIZE, true),
	KEY(shm_bytes, KIND_SIZE, true),
	KEY(pids_max, KIND_NUMBER, true),
	KEY(birth_timeout_us, KIND_NUMBER, true),
	KEY(pool_max, KIND_NUMBER, false),
	KEY(pool_idle_us, KIND_NUMBER, false),
	KEY(bridge, KIND_TEXT, false),
	KEY(resolvers, KIND_TEXT, false),
	KEY(network_allow, KIND_TEXT, true),
	KEY(network_host, KIND_TEXT, true),
	KEY(connections_max, KIND_NUMBER, false),
	KEY(max_disk_bytes, KIND_SIZE, true),
	KEY(max_pids, KIND_NUMBER, true),
	KEY(max_cpu_percent, KIND_NUMBER, true),
	KEY(profile_drivers, KIND_TEXT, true),
};

void sandbox_config_init(struct sandbox_config *config)
{
	*config = (struct sandbox_config){
		.uid_base = 0x70000000,
		.ids_first_block = 2,
		.ids_blocks = 1024,
		.store_base = 0x70010000,
		.memory_bytes = 128 * MIB,
		.disk_bytes = 512 * MIB,
		.shm_bytes = 64 * MIB,
		.pids_max = 256,
		.birth_timeout_us = 10000000,
		.pool_max = 16,
		.pool_idle_us = 10000000,
		.bridge = "ferrite0",
		.connections_max = 1024,
		.profile_drivers = "nvidia",
	};
}

int sandbox_config_set(struct sandbox_config *config, const char *key, const char *value, bool reload, struct err *err)
{
	for (unsigned i = 0; i < ARRAY_LEN(keys); i++) {
		const struct key *k = &keys[i];
		void *field = (char *)config + k->offset;
		uint64_t number = 0;
		bool good = true;

		if (strcmp(k->name, key) != 0 || (reload && !k->reloadable))
			continue;
		if (k->kind == KIND_TEXT)
			good = str_copy(field, k->size, value);
		else if (k->kind == KIND_SIZE)
			good = str_size(value, 1, &number) == 0;
		else
			good = str_u64(value, &number) && (k->size == 8 || number <= UINT32_MAX);
		if (!good)
			return err_set(err, EINVAL, "malformed value \"%s\"", value);
		if (k->kind != KIND_TEXT && k->size == 8)
			*(uint64_t *)field = number;
		else if (k->kind != KIND_TEXT)
			*(uint32_t *)field = (uint32_t)number;
	}
	return 0;
}

int sandbox_config_check(const struct sandbox_config *config, struct err *err)
{
	uint64_t end = config->uid_base + ((uint64_t)config->ids_first_block + config->ids_blocks) * BLOCK_IDS;

	if (!config->state_dir[0])
		return err_set(err, EINVAL, "state_dir is not set");
	if (!config->cgroup_v2[0])
		return err_set(err, EINVAL, "cgroup_v2 is not set: births need a cgroup v2 hierarchy");
	if (!config->cgroup_v1_memory[0] != !config->cgroup_v1_pids[0] ||
	    !config->cgroup_v1_memory[0] != !config->cgroup_v1_cpu[0])
		return err_set(err, EINVAL,
			       "cgroup_v1_memory, cgroup_v1_pids and cgroup_v1_cpu: set all of them or none");
	if (config->uid_base < UID_BASE_MIN || config->ids_blocks == 0 || config->ids_blocks > BLOCKS_MAX ||
	    end > UINT32_MAX)
		return err_set(err, EINVAL,
			       "uid_base %u, ids_first_block %u, ids_blocks %u: ids must be %u to %u, blocks 1 to %u",
			       config->uid_base, config->ids_first_block, config->ids_blocks, UID_BASE_MIN, UINT32_MAX,
			       BLOCKS_MAX);
	/* Layers are told from the host's own folders by their owner. */
	if (config->store_base < UID_BASE_MIN || config->store_base > UINT32_MAX - BLOCK_IDS)
		return err_set(err, EINVAL, "store_base %u: ids must be %u to %u", config->store_base, UID_BASE_MIN,
			       UINT32_MAX - BLOCK_IDS);
	if (config->max_disk_bytes && config->max_disk_bytes < MIB)
		return err_set(err, EINVAL, "max_disk_bytes is less than 1 MiB");
	if (config->memory_bytes < MEMORY_MIN || config->disk_bytes < MIB || config->pids_max == 0)
		return err_set(err, EINVAL, "memory_bytes, disk_bytes or pids_max is too small");
	return 0;
}
