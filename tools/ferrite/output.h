/*
 * What `ferrite` prints. Text that came from the service or from a file is made harmless before it reaches a terminal:
 * control characters come out as \xNN. Through a pipe it is passed as it is. Prints to stdio streams; no errors.
 */
#ifndef FERRITE_TOOLS_OUTPUT_H
#define FERRITE_TOOLS_OUTPUT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define OUTPUT_COLUMNS_MAX 10

/* Untrusted text. Line feeds and tabs pass. */
void output_text(FILE *stream, const char *text);

/* LENGTH bytes of it, escaped wherever they go: for pieces of output that people compare. */
void output_escaped(FILE *stream, const char *text, size_t length);

/* A whole document on standard output, indented, with a line feed. */
void output_json(const json_t *document);

/* A JSON string of any bytes: what is no UTF-8 becomes \xNN. Never NULL but when memory is out. */
json_t *output_string(const char *text);

/*
 * A table is collected row by row, so that its columns fit, and then printed. On a terminal that is too narrow its last
 * columns go onto lines of their own.
 */
struct output_table;
struct output_table *output_table_new(const char *const *headings);
/* Takes as many cells as there are headings; NULL is shown as "-". Cells are copied. */
void output_table_row(struct output_table *table, const char *const *cells);
/* Prints it (headings only when there is a row or a terminal) and frees it; the other prints nothing without a row. */
void output_table_print(struct output_table *table);
void output_table_print_if_any(struct output_table *table);

/* "1.5 MiB" and "3d 4h" in a buffer of at least 32 bytes, which is returned. */
char *output_bytes(char *buffer, uint64_t bytes);
char *output_duration_us(char *buffer, uint64_t us);

/* Text of a member for a table cell: strings as they are, numbers and truth values in text, in a buffer of SIZE. */
const char *output_member(const json_t *object, const char *key, char *buffer, size_t size);

/*
 * A line of progress on standard error, overwritten in place, only on a terminal and at most ten times a second.
 * TOTAL 0: unknown. output_progress_end() removes the line.
 */
void output_progress(const char *what, uint64_t done, uint64_t total);
void output_progress_end(void);

#endif
