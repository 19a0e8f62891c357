/* The /v1/images handlers: what ferrite-rootfs has, and bringing in more. */
#ifndef FERRITE_API_IMAGES_H
#define FERRITE_API_IMAGES_H

#include "api/api.h"

api_handler images_list, images_get, images_delete, images_collect;
/* upload.c */
api_handler images_upload;

/* Whether a request may change the images: those over TCP may not without service authentication. False: replied. */
bool images_allowed(struct http_request *request);
/* Answers with what MSG_FAILED of ferrite-rootfs (or its absence) means. */
struct err;
void images_reply_failed(struct http_request *request, const struct err *failure);

#endif
