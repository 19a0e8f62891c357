/* The settings file of ferrited, and the same text as an environment variable and an address. */
#include "supervisor/listen.h"
#include "supervisor/settings.h"
#include "supervisor/str.h"
#include "supervisor/util.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct settings settings;
	static char buffer[256 * 1024];
	_cleanup_free_ char *text = malloc(size + 1);
	struct listen_address address;
	struct err err = ERR_INIT;
	char unknown[64], *environment[2] = {text, NULL};

	if (!text)
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';
	settings_default(&settings);
	(void)settings_parse(&settings, "fuzz", text, &err);
	(void)settings_environment(&settings, environment, unknown, sizeof(unknown), &err);
	(void)listen_parse(text, &address, &err);
	(void)listen_find_group(text, "ferrite");
	for (int peer = PEER_API; peer < PEER_MAX; peer++) {
		char *list[SETTING_MAX + 1];
		size_t used = 0;
		uint32_t n = 0;

		/* Whatever was accepted has to travel. */
		if (!settings_pack(&settings, (enum peer)peer, buffer, sizeof(buffer), &used, &n) ||
		    str_unpack(buffer, used, n, list) != (long)used)
			abort();
	}
	return 0;
}
