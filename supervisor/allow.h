/*
 * Ranges of the network in text form: ADDRESS[/PREFIX][:PORT][/tcp|/udp], IPv4. Routes name with it what they want to
 * reach, the operator what they may. Plain values.
 */
#ifndef FERRITE_ALLOW_H
#define FERRITE_ALLOW_H

#include "supervisor/messages.h"

#include <stdbool.h>

/* -EINVAL says what is wrong with TEXT. A prefix cuts off the rest of the address. */
int allow_parse(const char *text, struct sbx_allow *ret_allow, struct err *err);

/* Whether everything in INNER lies in OUTER. */
bool allow_within(const struct sbx_allow *inner, const struct sbx_allow *outer);

/* Whether INNER lies in one of LIST: texts with blanks or commas between them. */
bool allow_within_list(const struct sbx_allow *inner, const char *list);

/* Whether every text of LIST can be read; the error names the first that cannot. */
int allow_check_list(const char *list, struct err *err);

#endif
