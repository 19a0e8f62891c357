/* The DNS servers that containers may ask: what the operator set, else what the host itself asks. */
#ifndef FERRITE_RESOLVERS_H
#define FERRITE_RESOLVERS_H

#include <stddef.h>

#define RESOLVERS_MAX	  128
#define RESOLVERS_AT_MOST 3 /* as many as resolv.conf(5) takes */

/*
 * Puts IPv4 addresses with blanks between them into OUT. SET is the operator's list; when it is empty they come from
 * /etc/resolv.conf, or, where that names a server on the host itself, which containers cannot reach, from the file in
 * which systemd-resolved keeps the real ones. What is no IPv4 address, or one of the host's own, is left out.
 */
void resolvers_find(const char *set, char *out, size_t size);

/* The same from the TEXT of a resolv.conf. */
void resolvers_read(const char *text, char *out, size_t size);

#endif
