#include "supervisor/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static int negative(int code)
{
	return code > 0 ? -code : code;
}

int err_set(struct err *e, int code, const char *format, ...)
{
	if (e) {
		va_list args;

		va_start(args, format);
		(void)vsnprintf(e->text, sizeof(e->text), format, args);
		va_end(args);
		e->code = negative(code);
	}
	return negative(code);
}

int err_sys(struct err *e, int code, const char *format, ...)
{
	if (e) {
		va_list args;
		int n;

		va_start(args, format);
		n = vsnprintf(e->text, sizeof(e->text), format, args);
		va_end(args);
		if (n >= 0 && (size_t)n < sizeof(e->text))
			(void)snprintf(e->text + n, sizeof(e->text) - (size_t)n, ": %s",
				       strerrordesc_np(-negative(code)));
		e->code = negative(code);
	}
	return negative(code);
}

int err_wrap(struct err *e, const char *format, ...)
{
	char inner[ERR_TEXT_MAX];
	va_list args;
	int n;

	if (!e)
		return 0;
	memcpy(inner, e->text, sizeof(inner));
	va_start(args, format);
	n = vsnprintf(e->text, sizeof(e->text), format, args);
	va_end(args);
	/* Cut when it does not fit, which is what the precision says to the compiler. */
	if (n >= 0 && (size_t)n < sizeof(e->text))
		(void)snprintf(e->text + n, sizeof(e->text) - (size_t)n, ": %.*s", (int)sizeof(inner) - n, inner);
	return e->code;
}

void err_clear(struct err *e)
{
	if (e)
		*e = ERR_INIT;
}
