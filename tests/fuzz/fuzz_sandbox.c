/* The decoders of ferrite-sandbox: the first byte chooses a creation request or profile records. */
#include "sandbox/create.h"
#include "sandbox/profile.h"
#include "sandbox/root.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fuzz_create(const uint8_t *data, size_t size)
{
	static struct ipc_message message;
	static struct create_request request;
	struct sandbox_config config;
	const char *phase = "";
	struct err err = ERR_INIT;

	/* The table of rules lets nothing shorter or longer through. */
	if (size < 1 + sizeof(struct sbx_create) || size - 1 > IPC_PAYLOAD_MAX)
		return;
	sandbox_config_init(&config);
	message.n_fds = data[0] % (SBX_LAYERS_MAX + 1);
	message.header.length = (uint32_t)(size - 1);
	memcpy(message.payload, data + 1, size - 1);
	message.payload[size - 1] = '\0';
	if (create_parse(&config, &message, &request, &phase, &err) < 0)
		return;
	/* What is accepted is complete and terminated. */
	if (!request.what.arguments[0][0] || request.what.cwd[0] != '/' || request.what.command.uid > 65534 ||
	    strlen(request.what.hostname) > 64)
		__builtin_trap();
	for (uint32_t i = 0; i < request.what.command.n_args + request.what.command.n_env; i++)
		(void)strlen(request.what.arguments[i]);
}

static void fuzz_records(const uint8_t *data, size_t size)
{
	char *bytes = malloc(size + 1);
	size_t at = 0;

	if (!bytes)
		return;
	memcpy(bytes, data, size);
	bytes[size] = '\0';
	(void)profile_major_allowed(bytes, 195, "nvidia,mem");
	while (at < size) {
		struct profile_record record;
		long n = profile_next_record(bytes + at, size - at, &record);

		if (n <= 0)
			break;
		at += (size_t)n;
		if (at > size)
			__builtin_trap();
		(void)root_path_valid(record.destination);
	}
	free(bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	if (data[0] & 0x80)
		fuzz_records(data + 1, size - 1);
	else
		fuzz_create(data, size);
	return 0;
}
