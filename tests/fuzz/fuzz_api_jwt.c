/* The Authorization field: the first line of the input is the key, the rest the field's value. */
#include "api/jwt.h"

#include "supervisor/util.h"

#include <string.h>

#define NOW_S 1700000000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_own_token(const char *key)
{
	char message[JWT_MESSAGE_MAX];
	_cleanup_free_ char *token = jwt_token_make(key, NOW_S, 60);

	if (!token || !jwt_token_accepted(key, token, NOW_S, message))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_free_ char *text = malloc(size + 1), *longer_key = NULL;
	char message[JWT_MESSAGE_MAX] = "";
	char *value;
	bool accepted;

	if (!text)
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';
	value = strchr(text, '\n');
	if (!value || value == text)
		return 0;
	*value++ = '\0';
	accepted = jwt_token_accepted(text, value, NOW_S, message);
	if (accepted == (*message != '\0') || strlen(message) >= sizeof(message))
		abort();
	/* What one key signed, no other accepts. */
	if (asprintf(&longer_key, "%sx", text) < 0 ||
	    (accepted && jwt_token_accepted(longer_key, value, NOW_S, message)))
		abort();
	check_own_token(text);
	return 0;
}
