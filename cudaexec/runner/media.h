/* Content-Type and Accept headers, as far as a call needs them. No allocation, nothing fails. */
#ifndef FERRITE_CUDAEXEC_MEDIA_H
#define FERRITE_CUDAEXEC_MEDIA_H

#include <stdbool.h>
#include <stddef.h>

enum media_match {
	MEDIA_NAMED, /* the type itself must stand there */
	MEDIA_KIND,  /* or its kind with a star: image/... */
	MEDIA_ANY,   /* or everything is accepted; also when there is no header */
};

/* Is the header (NULL allowed) this type, parameters aside? */
bool media_is(const char *header, const char *type);

/* Bytes that are taken as they are: application/octet-stream, a form's default, or an image. */
bool media_is_raw(const char *header);

/* Does the Accept header take TYPE, at least as closely as MATCH says? Ranges with q=0 do not count. */
bool media_accepts(const char *header, const char *type, enum media_match match);

/* The type of a picture file by its first bytes, or NULL when it is none that browsers show. */
const char *media_image_type(const void *bytes, size_t length);

#endif
