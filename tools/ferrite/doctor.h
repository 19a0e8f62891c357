/*
 * The checks of `ferrite doctor`. Each looks at one property of the host, changes nothing that outlives it, and says
 * how it found it and, unless all is well, what to do. No errors: what cannot be looked at is a finding too.
 */
#ifndef FERRITE_TOOLS_DOCTOR_H
#define FERRITE_TOOLS_DOCTOR_H

#include "tools/ferrite/cli.h"

enum doctor_state { DOCTOR_OK, DOCTOR_WARNING, DOCTOR_PROBLEM };

struct doctor_finding {
	enum doctor_state state;
	char text[512];
	char cure[512]; /* empty when nothing is to be done */
};

struct doctor_subject {
	struct cli *cli;
	const char *state_dir;
};

typedef struct doctor_finding (*doctor_check)(const struct doctor_subject *subject);

/* Makes a finding; CURE may be NULL. */
struct doctor_finding doctor_found(enum doctor_state state, const char *cure, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* doctor_kernel.c */
struct doctor_finding doctor_kernel(const struct doctor_subject *subject);
struct doctor_finding doctor_namespaces(const struct doctor_subject *subject);
struct doctor_finding doctor_cgroups(const struct doctor_subject *subject);
struct doctor_finding doctor_overlay(const struct doctor_subject *subject);
struct doctor_finding doctor_idmap(const struct doctor_subject *subject);
struct doctor_finding doctor_seccomp(const struct doctor_subject *subject);

/* doctor_host.c */
struct doctor_finding doctor_memory(const struct doctor_subject *subject);
struct doctor_finding doctor_disk(const struct doctor_subject *subject);
struct doctor_finding doctor_bridge(const struct doctor_subject *subject);
struct doctor_finding doctor_ids(const struct doctor_subject *subject);
struct doctor_finding doctor_gpu(const struct doctor_subject *subject);
struct doctor_finding doctor_service(const struct doctor_subject *subject);
struct doctor_finding doctor_servers(const struct doctor_subject *subject);
struct doctor_finding doctor_port(const struct doctor_subject *subject);

#endif
