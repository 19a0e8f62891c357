#include "api/shares.h"

#include "supervisor/str.h"
#include "supervisor/util.h"

#include <string.h>

struct share {
	struct table_node node;
	struct gpu_hold hold;
	char label[GPU_LABEL_MAX];
};

int shares_open(struct shares *shares, struct err *err)
{
	(void)pthread_mutex_init(&shares->lock, NULL);
	return table_open(&shares->held, err);
}

void shares_close(struct shares *shares)
{
	struct table_node *node;

	while ((node = table_any(&shares->held)) != NULL) {
		table_remove(&shares->held, node);
		free(TABLE_OWNER(node, struct share, node));
	}
	table_close(&shares->held);
	(void)pthread_mutex_destroy(&shares->lock);
}

struct share *share_new(const char *app, const char *path)
{
	struct share *share = calloc(1, sizeof(*share));

	/* A label is for people to read: a long one is cut. */
	if (share)
		(void)snprintf(share->label, sizeof(share->label), "%s%s", app, path);
	return share;
}

void share_free(struct share *share)
{
	free(share);
}

void shares_hold(struct shares *shares, struct share *share, const struct gpu_attached *attached)
{
	/* An instance that wants no GPU to be visible (void) got none. */
	if (attached->grant == 0) {
		share_free(share);
		return;
	}
	share->hold = (struct gpu_hold){.grant = attached->grant,
					.gpus = attached->gpus,
					.memory_bytes = attached->memory_bytes,
					.since_us = clock_realtime_us()};
	pthread_mutex_lock(&shares->lock);
	table_insert(&shares->held, &share->node, table_hash_u64(attached->grant));
	pthread_mutex_unlock(&shares->lock);
}

static struct share *find(const struct shares *shares, uint64_t grant)
{
	uint64_t hash = table_hash_u64(grant);

	for (struct table_node *node = table_first(&shares->held, hash); node; node = table_next(node, hash)) {
		struct share *share = TABLE_OWNER(node, struct share, node);

		if (share->hold.grant == grant)
			return share;
	}
	return NULL;
}

void shares_release(struct shares *shares, struct peers *peers, uint64_t grant)
{
	struct gpu_release body = {.grant = grant};
	struct share *share;

	pthread_mutex_lock(&shares->lock);
	share = find(shares, grant);
	if (share)
		table_remove(&shares->held, &share->node);
	/* With the lock held: no announcement may come after it. */
	peers_tell(peers, PEER_GPU, &(struct ipc_out){.type = GPU_RELEASE, .body = &body, .body_size = sizeof(body)});
	pthread_mutex_unlock(&shares->lock);
	free(share);
}

static void announce(const struct share *share, struct peers *peers)
{
	peers_tell(peers, PEER_GPU,
		   &(struct ipc_out){.type = GPU_HOLD,
				     .body = &share->hold,
				     .body_size = sizeof(share->hold),
				     .tail = share->label,
				     .tail_size = strlen(share->label) + 1});
}

void shares_announce(struct shares *shares, struct peers *peers)
{
	pthread_mutex_lock(&shares->lock);
	for (size_t i = 0; i < shares->held.n_buckets; i++)
		for (struct table_node *node = shares->held.buckets[i]; node; node = node->next)
			announce(TABLE_OWNER(node, struct share, node), peers);
	pthread_mutex_unlock(&shares->lock);
}
