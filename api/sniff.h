/* The content type of bytes without a label, as browsers and Go's net/http guess it. */
#ifndef FERRITE_API_SNIFF_H
#define FERRITE_API_SNIFF_H

#include <stddef.h>

#define SNIFF_BYTES 512 /* more are not looked at */

const char *sniff_content_type(const void *bytes, size_t length);

#endif
