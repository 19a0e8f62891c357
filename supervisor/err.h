/*
 * Error objects.
 *
 * A fallible function returns a negative errno value (or NULL) and takes a `struct err *` last. On success the
 * object is untouched. The object is a fixed buffer: making or wrapping an error never allocates, so it is safe
 * after fork, in a signal-free child and when memory is short. Messages are built from the inside out and read
 * from the outside in: "start instance: mount /proc: Operation not permitted".
 *
 * Library code fills the object; only program code (main.c and its glue) prints it, once, where it can act.
 * Every function accepts err == NULL and then only passes the code on. Objects are not shared between threads.
 */
#ifndef FERRITE_ERR_H
#define FERRITE_ERR_H

#include <stddef.h>

#define ERR_TEXT_MAX 512

struct err {
	int code;		 /* negative errno value, 0 when no error was set */
	char text[ERR_TEXT_MAX]; /* always terminated; longer texts are cut */
};

#define ERR_INIT ((struct err){0, ""})

/* Sets the object to CODE (an errno value of either sign) with the formatted text; returns the negative code. */
int err_set(struct err *e, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* The same, with ": " and the system's text for CODE appended. */
int err_sys(struct err *e, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Puts the formatted text and ": " in front of what is there; returns the code that is there. */
int err_wrap(struct err *e, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Forgets the error. */
void err_clear(struct err *e);

#endif
