/* The functions that the device provides to kernels: vprintf, malloc, free, __assertfail. */
#include "cudaexec/softdev/exec.h"
#include "supervisor/util.h"

#include <ctype.h>
#include <string.h>

#define PRINT_MAX  4096u /* bytes of one printf */
#define STRING_MAX 1024u /* bytes of one %s, of a format, of an assertion */
#define SPEC_MAX   32u	 /* characters of a conversion */

static uint64_t argument(const struct exec_warp *warp, const struct ptx_copy *copy, unsigned lane)
{
	uint64_t value = 0;

	memcpy(&value, warp->local + (size_t)lane * warp->block->local_stride + warp->frame->local_base + copy->from,
	       MIN(copy->size, 8u));
	return value;
}

static void set_result(struct exec_warp *warp, const struct ptx_call *call, unsigned lane, uint64_t value)
{
	if (call->ret_count)
		memcpy(warp->local + (size_t)lane * warp->block->local_stride + warp->frame->local_base +
			       call->rets[0].to,
		       &value, MIN(call->rets[0].size, 8u));
}

/* Copies the string at a generic address; false when it leaves its memory before it ends. */
static bool read_string(struct exec_warp *warp, unsigned lane, uint64_t address, char *buffer, size_t size)
{
	uint64_t room = 0;
	size_t length;

	if (!exec_room(warp, lane, address, &room))
		return false;
	length = strnlen((const char *)address, MIN(room, (uint64_t)size - 1));
	if (length == room)
		return false;
	memcpy(buffer, (const char *)address, length);
	buffer[length] = '\0';
	return true;
}

/* --- printf ------------------------------------------------------------------------------------------------------- */

struct printer {
	struct exec_warp *warp;
	unsigned lane;
	uint64_t arguments; /* generic address of the next one */
	char text[PRINT_MAX];
	size_t used;
	bool good;
};

static void put(struct printer *printer, const char *text, size_t length)
{
	length = MIN(length, PRINT_MAX - 1 - printer->used);
	memcpy(printer->text + printer->used, text, length);
	printer->used += length;
}

/* The next argument of SIZE bytes, aligned to its size. */
static uint64_t next_argument(struct printer *printer, uint32_t size)
{
	uint64_t at = (printer->arguments + size - 1) & ~(uint64_t)(size - 1), value = 0;

	if (!exec_check(printer->warp, printer->lane, at, size)) {
		printer->good = false;
		return 0;
	}
	memcpy(&value, (const void *)at, size);
	printer->arguments = at + size;
	return value;
}

/* A conversion: FLAGS are flags, width and precision with the '%', LONGS how many l's (or the like) were there. */
static void put_conversion(struct printer *printer, const char *flags, unsigned longs, char letter)
{
	char spec[SPEC_MAX + 4], text[512], string[STRING_MAX];
	uint64_t bits;
	double value;
	int length;

	if (strchr("diuxXoc", letter)) {
		bits = next_argument(printer, longs ? 8 : 4);
		(void)snprintf(spec, sizeof(spec), "%s%s%c", flags, letter == 'c' ? "" : "ll", letter);
		if (!longs && (letter == 'd' || letter == 'i'))
			bits = (uint64_t)(int64_t)(int32_t)bits;
		length = letter == 'c' ? snprintf(text, sizeof(text), spec, (int)bits)
				       : snprintf(text, sizeof(text), spec, (long long)bits);
	} else if (strchr("fFeEgGaA", letter)) {
		bits = next_argument(printer, 8);
		memcpy(&value, &bits, sizeof(value));
		(void)snprintf(spec, sizeof(spec), "%s%c", flags, letter);
		length = snprintf(text, sizeof(text), spec, value);
	} else if (letter == 'p') {
		length = snprintf(text, sizeof(text), "0x%llx", (unsigned long long)next_argument(printer, 8));
	} else {
		bits = next_argument(printer, 8);
		if (!printer->good || !read_string(printer->warp, printer->lane, bits, string, sizeof(string))) {
			printer->good = false;
			return;
		}
		(void)snprintf(spec, sizeof(spec), "%ss", flags);
		length = snprintf(text, sizeof(text), spec, string);
		if ((size_t)length >= sizeof(text)) {
			put(printer, string, strlen(string));
			return;
		}
	}
	if (length > 0)
		put(printer, text, MIN((size_t)length, sizeof(text) - 1));
}

/* Reads one conversion at FORMAT ("%5.2lf"); returns how many characters it took. */
static size_t print_conversion(struct printer *printer, const char *format)
{
	char flags[SPEC_MAX];
	size_t n = 1, digits = 0;
	unsigned longs = 0;

	/* Widths of at most three digits: longer ones are no use in a text of this size. */
	while (n < SPEC_MAX - 1 && format[n] && strchr("-+ #0123456789.", format[n]) && digits < 3) {
		digits = format[n] >= '0' && format[n] <= '9' ? digits + 1 : 0;
		n++;
	}
	memcpy(flags, format, n);
	flags[n] = '\0';
	while (format[n] && strchr("hlzjt", format[n])) {
		longs += format[n] != 'h';
		n++;
	}
	if (format[n] == '%') {
		put(printer, "%", 1);
		return n + 1;
	}
	if (format[n] == '\0' || !strchr("diuxXocfFeEgGaAps", format[n])) {
		put(printer, format, n);
		return n;
	}
	put_conversion(printer, flags, longs, format[n]);
	return n + 1;
}

static enum exec_step print_lane(struct exec_warp *warp, const struct ptx_call *call, unsigned lane)
{
	uint64_t format_address = argument(warp, &call->args[0], lane);
	struct printer printer = {
		.warp = warp, .lane = lane, .arguments = argument(warp, &call->args[1], lane), .good = true};
	char format[STRING_MAX];

	if (!read_string(warp, lane, format_address, format, sizeof(format)))
		return exec_fault(warp, PTX_ILLEGAL_ADDRESS, lane, "printf: no format at 0x%llx",
				  (unsigned long long)format_address);
	for (const char *at = format; *at && printer.good;) {
		size_t plain = strcspn(at, "%");

		put(&printer, at, plain);
		at += plain;
		if (*at)
			at += print_conversion(&printer, at);
	}
	if (!printer.good)
		return exec_fault(warp, PTX_ILLEGAL_ADDRESS, lane, "printf: an argument of \"%.100s\" is out of range",
				  format);
	device_print(warp->block->run->device, printer.text, printer.used);
	set_result(warp, call, lane, 1);
	return STEP_NEXT;
}

/* --- the others --------------------------------------------------------------------------------------------------- */

static enum exec_step fail_assertion(struct exec_warp *warp, const struct ptx_call *call, unsigned lane)
{
	char message[STRING_MAX] = "", file[STRING_MAX] = "", function[STRING_MAX] = "", text[PRINT_MAX];
	const uint32_t *index = warp->block->index, *size = warp->block->run->launch->block;
	uint32_t thread = (uint32_t)(warp - warp->block->warps) * PTX_WARP + lane;
	int length;

	(void)read_string(warp, lane, argument(warp, &call->args[0], lane), message, sizeof(message));
	(void)read_string(warp, lane, argument(warp, &call->args[1], lane), file, sizeof(file));
	(void)read_string(warp, lane, argument(warp, &call->args[3], lane), function, sizeof(function));
	length = snprintf(text, sizeof(text),
			  "%s:%u: %s: block: [%u,%u,%u], thread: [%u,%u,%u] Assertion `%s` failed.\n", file,
			  (uint32_t)argument(warp, &call->args[2], lane), function, index[0], index[1], index[2],
			  thread % size[0], thread / size[0] % size[1], thread / size[0] / size[1], message);
	device_print(warp->block->run->device, text, MIN((size_t)length, sizeof(text) - 1));
	return exec_fault(warp, PTX_ASSERT, lane, "assertion `%.150s` failed", message);
}

enum exec_step exec_builtin(struct exec_warp *warp, const struct ptx_function *function, const struct ptx_call *call,
			    uint32_t mask)
{
	struct ptx_device *device = warp->block->run->device;

	for (uint32_t bits = mask; bits; bits &= bits - 1) {
		unsigned lane = exec_first_lane(bits);
		uint64_t address;

		switch (function->builtin) {
		case BUILTIN_VPRINTF:
			if (print_lane(warp, call, lane) == STEP_FAULT)
				return STEP_FAULT;
			break;
		case BUILTIN_MALLOC:
			set_result(warp, call, lane, device_heap_alloc(device, argument(warp, &call->args[0], lane)));
			break;
		case BUILTIN_FREE:
			address = argument(warp, &call->args[0], lane);
			if (address && !device_heap_release(device, address))
				return exec_fault(warp, PTX_ILLEGAL_ADDRESS, lane,
						  "free of 0x%llx, which was not allocated",
						  (unsigned long long)address);
			break;
		default:
			return fail_assertion(warp, call, lane);
		}
	}
	return STEP_NEXT;
}
