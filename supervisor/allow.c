#include "supervisor/allow.h"

#include "supervisor/str.h"
#include "supervisor/util.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#define TEXT_MAX   64
#define SEPARATORS " \t,"

static uint32_t mask_of(uint8_t prefix)
{
	return prefix ? htonl(~0u << (32 - prefix)) : 0;
}

/* Cuts off what follows the last SEPARATOR; NULL: there is none. */
static char *cut(char *text, char separator)
{
	char *at = strrchr(text, separator);

	if (at)
		*at++ = '\0';
	return at;
}

static bool read_protocol(char *text, uint8_t *ret_protocol)
{
	char *slash = strrchr(text, '/');

	*ret_protocol = 0;
	if (!slash || (slash[1] >= '0' && slash[1] <= '9'))
		return true;
	*slash = '\0';
	if (strcmp(slash + 1, "tcp") == 0)
		*ret_protocol = IPPROTO_TCP;
	else if (strcmp(slash + 1, "udp") == 0)
		*ret_protocol = IPPROTO_UDP;
	return *ret_protocol != 0;
}

static bool read_number(const char *text, uint64_t min, uint64_t max, uint64_t *ret_number)
{
	return !text || (str_u64(text, ret_number) && *ret_number >= min && *ret_number <= max);
}

int allow_parse(const char *text, struct sbx_allow *ret_allow, struct err *err)
{
	char copy[TEXT_MAX], shown[TEXT_MAX * 2];
	struct sbx_allow allow = {.prefix = 32};
	uint64_t port = 0, prefix = 32;
	bool good = str_copy(copy, sizeof(copy), text) && read_protocol(copy, &allow.protocol);
	char *port_text = good ? cut(copy, ':') : NULL, *prefix_text = good ? cut(copy, '/') : NULL;

	if (!good || !read_number(port_text, 1, UINT16_MAX, &port) || !read_number(prefix_text, 0, 32, &prefix) ||
	    inet_pton(AF_INET, copy, &allow.address) != 1) {
		str_escape(shown, sizeof(shown), text, strnlen(text, TEXT_MAX));
		return err_set(err, EINVAL, "\"%s\" is not of the form ADDRESS[/PREFIX][:PORT][/tcp|/udp]", shown);
	}
	allow.port = (uint16_t)port;
	allow.prefix = (uint8_t)prefix;
	allow.address &= mask_of(allow.prefix);
	*ret_allow = allow;
	return 0;
}

bool allow_within(const struct sbx_allow *inner, const struct sbx_allow *outer)
{
	return inner->prefix >= outer->prefix && (inner->address & mask_of(outer->prefix)) == outer->address &&
	       (outer->port == 0 || inner->port == outer->port) &&
	       (outer->protocol == 0 || inner->protocol == outer->protocol);
}

/* The next text of a list, in COPY; false at the end. */
static bool next(const char **list, char copy[TEXT_MAX])
{
	size_t length;

	*list += strspn(*list, SEPARATORS);
	length = strcspn(*list, SEPARATORS);
	if (length == 0)
		return false;
	/* What is cut off here was too long to be read. */
	(void)snprintf(copy, TEXT_MAX, "%.*s", (int)length, *list);
	*list += length;
	return true;
}

bool allow_within_list(const struct sbx_allow *inner, const char *list)
{
	struct sbx_allow outer;
	char text[TEXT_MAX];

	while (next(&list, text))
		if (allow_parse(text, &outer, NULL) == 0 && allow_within(inner, &outer))
			return true;
	return false;
}

int allow_check_list(const char *list, struct err *err)
{
	struct sbx_allow allow;
	char text[TEXT_MAX];
	int r = 0;

	while (r == 0 && next(&list, text))
		r = allow_parse(text, &allow, err);
	return r;
}
