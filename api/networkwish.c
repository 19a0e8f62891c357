#include "api/networkwish.h"

#include "supervisor/allow.h"
#include "supervisor/util.h"

#include <string.h>

static int read_mode(const json_t *value, enum sbx_network *ret_mode, struct err *err)
{
	static const char *const names[] = {
		[SBX_NETWORK_NONE] = "none", [SBX_NETWORK_BRIDGE] = "bridge", [SBX_NETWORK_HOST] = "host"};
	const char *name = json_string_value(value);

	for (unsigned i = 0; name && i < ARRAY_LEN(names); i++)
		if (strcmp(name, names[i]) == 0) {
			*ret_mode = (enum sbx_network)i;
			return 0;
		}
	return err_set(err, EINVAL, "Invalid route network: none, bridge and host are known");
}

static int read_allow(const json_t *list, struct network_wish *wish, struct err *err)
{
	const json_t *entry;
	size_t i;

	if (!json_is_array(list) || json_array_size(list) > SBX_ALLOW_MAX)
		return err_set(err, EINVAL, "Invalid route network: allow is a list of at most %d ranges",
			       SBX_ALLOW_MAX);
	json_array_foreach(list, i, entry)
	{
		struct err cause = ERR_INIT;

		if (!json_is_string(entry))
			return err_set(err, EINVAL, "Invalid route network: allow is a list of strings");
		if (allow_parse(json_string_value(entry), &wish->allow[i], &cause) < 0)
			return err_set(err, EINVAL, "Invalid route network: %s", cause.text);
		wish->n_allow++;
	}
	if (wish->n_allow > 0 && wish->mode != SBX_NETWORK_BRIDGE)
		return err_set(err, EINVAL, "Invalid route network: allow belongs to the mode bridge");
	return 0;
}

int network_wish_read(const json_t *value, struct network_wish *ret_wish, struct err *err)
{
	struct network_wish wish = {.mode = SBX_NETWORK_BRIDGE};
	const json_t *mode = json_is_object(value) ? json_object_get(value, "mode") : value;
	const json_t *allow = json_object_get(value, "allow");
	size_t known = (json_is_object(value) && mode ? 1u : 0u) + (allow ? 1u : 0u);
	int r = mode ? read_mode(mode, &wish.mode, err) : 0;

	if (r == 0 && json_object_size(value) > known)
		r = err_set(err, EINVAL, "Invalid route network: mode and allow are known");
	if (r == 0 && allow)
		r = read_allow(allow, &wish, err);
	if (r == 0)
		*ret_wish = wish;
	return r;
}
