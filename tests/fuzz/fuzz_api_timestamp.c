/* Points in time from query parameters: what is read can be written, and reads back as the same. */
#include "api/timestamp.h"

#include "supervisor/util.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char text[64], written[TIMESTAMP_SIZE];
	int64_t us, again;

	if (size >= sizeof(text))
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';
	if (timestamp_read(text, &us) && (!timestamp_read(timestamp_write(written, us), &again) || again != us))
		abort();
	return 0;
}
