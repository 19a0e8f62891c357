#include "api/capture.h"

#include "supervisor/util.h"

#include <string.h>

#define ROOM_MIN ((size_t)256)

static bool reserve(struct capture *capture, size_t wanted)
{
	size_t room = MIN(MAX(MAX(capture->room * 2, wanted), ROOM_MIN), capture->limit);
	char *bigger;

	if (wanted <= capture->room)
		return true;
	bigger = realloc(capture->data, room);
	if (!bigger) {
		/* From here on it is as if the limit were what there is. */
		capture->limit = capture->room;
		return false;
	}
	capture->data = bigger;
	capture->room = room;
	return true;
}

/* The second half is a ring; its oldest byte is the one that is written over next. */
static void add_to_ring(struct capture *capture, const char *bytes, size_t length)
{
	size_t head = capture->limit / 2, ring = capture->limit - head;

	if (length > ring) {
		capture->total += length - ring;
		bytes += length - ring;
		length = ring;
	}
	while (length > 0) {
		size_t at = (size_t)((capture->total - head) % ring), n = MIN(length, ring - at);

		memcpy(capture->data + head + at, bytes, n);
		capture->total += n;
		bytes += n;
		length -= n;
	}
}

void capture_add(struct capture *capture, size_t limit, const void *bytes, size_t length)
{
	size_t n;

	if (capture->total == 0)
		capture->limit = limit;
	n = (size_t)MIN((uint64_t)length, capture->limit - MIN(capture->total, (uint64_t)capture->limit));
	if (n > 0 && !reserve(capture, (size_t)capture->total + n))
		n = (size_t)(capture->limit - MIN(capture->total, (uint64_t)capture->limit));
	if (n > 0)
		memcpy(capture->data + capture->total, bytes, n);
	capture->total += n;
	if (length > n && capture->limit > 0)
		add_to_ring(capture, (const char *)bytes + n, length - n);
	else
		capture->total += length - n;
}

bool capture_truncated(const struct capture *capture)
{
	return capture->total > capture->limit;
}

void capture_copy(const struct capture *capture, struct text *out)
{
	size_t head = capture->limit / 2, ring = capture->limit - head, at;

	if (!capture_truncated(capture)) {
		if (capture->total > 0)
			text_add(out, capture->data, (size_t)capture->total);
		return;
	}
	if (head > 0)
		text_add(out, capture->data, head);
	text_printf(out, "\n[ferrite: %llu bytes left out]\n", (unsigned long long)(capture->total - capture->limit));
	if (ring == 0)
		return;
	at = (size_t)((capture->total - head) % ring);
	text_add(out, capture->data + head + at, ring - at);
	text_add(out, capture->data + head, at);
}

void capture_done(struct capture *capture)
{
	free(capture->data);
	*capture = (struct capture){0};
}
