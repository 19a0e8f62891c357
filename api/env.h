/*
 * The variables of a call: an ordered set in which a later value replaces an earlier one. Bounded in number and bytes;
 * what does not fit is remembered in `overflow`. Meant to be reused: env_clear() keeps the memory.
 */
#ifndef FERRITE_API_ENV_H
#define FERRITE_API_ENV_H

#include "api/http.h"
#include "api/text.h"
#include "supervisor/messages.h"

#define ENV_BYTES_MAX (128 * 1024)

struct env {
	unsigned n;
	struct env_entry {
		size_t at; /* in pool: "NAME=VALUE" with its terminator */
		size_t name_length;
	} entries[SBX_ENV_MAX];
	struct text pool;
	struct text name; /* of the variable that is being made */
	bool overflow;
};

void env_clear(struct env *env);
void env_done(struct env *env);

void env_set(struct env *env, const char *name, const char *value);
/* An entry "NAME=VALUE"; one without "=" or without a name is left out. */
void env_put(struct env *env, const char *entry);
/* The value, or NULL. */
const char *env_get(const struct env *env, const char *name);
/* A variable from the configuration: its key in upper case, "-" as "_"; "=" and control bytes as "_" too. */
void env_set_config(struct env *env, const char *key, const char *value);
/* HEADER_NAME for each header but Host and Transfer-Encoding; those that repeat are joined by a blank. */
void env_set_headers(struct env *env, const struct http_request *request);

/* The entry as "NAME=VALUE". */
static inline const char *env_entry(const struct env *env, unsigned i)
{
	return env->pool.data + env->entries[i].at;
}

/* Appends a packed list of all entries; the number of them is env->n. */
void env_pack(const struct env *env, struct text *out);

/*
 * Appends the request that a function of the format "http" reads: contract section 8.1. Headers sorted by name; values
 * that could not stand in one line are put into one.
 */
void env_frame(const struct env *env, const char *call_id, size_t content_length, bool first, struct text *out);

#endif
