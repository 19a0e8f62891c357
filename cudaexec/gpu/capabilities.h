/*
 * NVIDIA_DRIVER_CAPABILITIES: which parts of the driver a container asks for. Pure functions, any thread.
 */
#ifndef FERRITE_CUDAEXEC_GPU_CAPABILITIES_H
#define FERRITE_CUDAEXEC_GPU_CAPABILITIES_H

#include "supervisor/err.h"

enum capability {
	CAPABILITY_COMPUTE = 1 << 0,
	CAPABILITY_UTILITY = 1 << 1,
	CAPABILITY_VIDEO = 1 << 2,
	CAPABILITY_GRAPHICS = 1 << 3,
	CAPABILITY_DISPLAY = 1 << 4,
	CAPABILITY_NGX = 1 << 5,
	CAPABILITY_COMPAT32 = 1 << 6,
};

#define CAPABILITIES_DEFAULT (CAPABILITY_UTILITY | CAPABILITY_COMPUTE)
#define CAPABILITIES_ALL     0x7fu

/*
 * Reads a comma list of names, or "all"; blanks around commas do not count, empty text means the default. Capabilities
 * that are implied are added (video needs compute, display needs graphics). -EINVAL names the unknown word and the
 * nearest known one. "all" gives CAPABILITIES_ALL even beside unknown words.
 */
int capabilities_parse(const char *text, unsigned *ret_capabilities, struct err *err);

/* Longest text of capabilities_text(), with its terminator. */
#define CAPABILITIES_TEXT_MAX 64

/* The names with commas between them, in the order of the bits. */
void capabilities_text(unsigned capabilities, char text[CAPABILITIES_TEXT_MAX]);

#endif
