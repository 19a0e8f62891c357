#include "cudaexec/gpu/driverproc.h"

#include "supervisor/util.h"

#include <ctype.h>
#include <string.h>

#define MODIFY_KEY "ModifyDeviceFiles:"

char *driverproc_rewrite_params(const char *params)
{
	static const char line[] = MODIFY_KEY " 0\n";
	size_t length = strlen(params);
	const char *found = params;
	char *text, *at;

	while (found && *found && strncmp(found, MODIFY_KEY, strlen(MODIFY_KEY)) != 0) {
		found = strchr(found, '\n');
		if (found)
			found++;
	}
	text = malloc(length + sizeof(line) + 1);
	if (!text)
		return NULL;
	if (!found || !*found) { /* not there: add the line */
		bool newline = length > 0 && params[length - 1] != '\n';

		(void)snprintf(text, length + sizeof(line) + 1, "%s%s%s", params, newline ? "\n" : "", line);
		return text;
	}
	at = mempcpy(text, params, (size_t)(found - params));
	at = mempcpy(at, line, sizeof(line) - 1);
	found += strcspn(found, "\n");
	(void)strcpy(at, *found ? found + 1 : found);
	return text;
}

bool driver_version_valid(const char *text)
{
	unsigned parts = 0;

	for (;; text++) {
		size_t digits = strspn(text, "0123456789");

		if (digits == 0 || digits > 6)
			return false;
		parts++;
		text += digits;
		if (*text != '.')
			return *text == '\0' && parts >= 2 && parts <= 3;
	}
}

bool driverproc_version(const char *text, char *ret_version, size_t size)
{
	size_t line = strcspn(text, "\n");

	for (size_t i = 0; i < line;) {
		size_t length = strcspn(text + i, " \t\n");
		char word[DRIVER_VERSION_MAX];

		if (length > 0 && length < sizeof(word) && length < size) {
			memcpy(word, text + i, length);
			word[length] = '\0';
			if (driver_version_valid(word)) {
				memcpy(ret_version, word, length + 1);
				return true;
			}
		}
		i += length + 1;
	}
	return false;
}

bool driverproc_major(const char *devices, const char *name, unsigned *ret_major)
{
	bool character = false;

	for (const char *line = devices; *line;) {
		size_t length = strcspn(line, "\n");
		unsigned long major = 0;
		char *end;

		if (strncmp(line, "Character devices:", 18) == 0) {
			character = true;
		} else if (strncmp(line, "Block devices:", 14) == 0) {
			character = false;
		} else if (character) {
			major = strtoul(line, &end, 10);
			if (end != line && *end == ' ' && (size_t)(end + 1 - line) + strlen(name) == length &&
			    strncmp(end + 1, name, strlen(name)) == 0 && major < 1u << 12) {
				*ret_major = (unsigned)major;
				return true;
			}
		}
		line += length + (line[length] == '\n');
	}
	return false;
}

bool driverproc_field(const char *information, const char *key, char *ret_value, size_t size)
{
	size_t key_length = strlen(key);

	for (const char *line = information; *line;) {
		size_t length = strcspn(line, "\n");

		if (length > key_length && strncmp(line, key, key_length) == 0 && line[key_length] == ':') {
			const char *value = line + key_length + 1, *end = line + length;

			while (value < end && isspace((unsigned char)*value))
				value++;
			while (end > value && isspace((unsigned char)end[-1]))
				end--;
			if (value == end || (size_t)(end - value) >= size)
				return false;
			memcpy(ret_value, value, (size_t)(end - value));
			ret_value[end - value] = '\0';
			return true;
		}
		line += length + (line[length] == '\n');
	}
	return false;
}
