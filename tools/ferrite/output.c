#include "tools/ferrite/output.h"

#include "supervisor/util.h"

#include <inttypes.h>
#include <limits.h>
#include <string.h>
#include <sys/ioctl.h>

#define PROGRESS_INTERVAL_US 100000
#define COLUMN_GAP	     2

struct output_table {
	const char *headings[OUTPUT_COLUMNS_MAX];
	size_t n_columns;
	char **cells;
	size_t n_cells, room;
};

/* Length of the well-formed UTF-8 sequence of a printable character at TEXT, 0 when there is none. */
static size_t printable_length(const unsigned char *text)
{
	unsigned char c = text[0];

	if (c < 0x80)
		return (c >= 0x20 && c != 0x7f) || c == '\n' || c == '\t' ? 1 : 0;
	/* U+0080 to U+009F are control characters that some terminals obey. */
	if (c == 0xc2)
		return text[1] >= 0xa0 && text[1] <= 0xbf ? 2 : 0;

	size_t length = c >= 0xc3 && c <= 0xdf ? 2 : (c & 0xf0) == 0xe0 ? 3 : c >= 0xf0 && c <= 0xf4 ? 4 : 0;

	for (size_t i = 1; i < length; i++)
		if ((text[i] & 0xc0) != 0x80)
			return 0;
	/* Bidirectional overrides and line separators: U+2028 to U+202E, U+2066 to U+2069. */
	if (c == 0xe2 && ((text[1] == 0x80 && text[2] >= 0xa8 && text[2] <= 0xae) ||
			  (text[1] == 0x81 && text[2] >= 0xa6 && text[2] <= 0xa9)))
		return 0;
	return length;
}

void output_escaped(FILE *stream, const char *text, size_t length)
{
	_cleanup_free_ unsigned char *copy = malloc(length + 1);

	if (!copy)
		return;
	/* What comes before the end may be the beginning of a character that is not there. */
	memcpy(copy, text, length);
	copy[length] = '\0';
	for (size_t i = 0; i < length;) {
		size_t n = copy[i] ? printable_length(copy + i) : 0;

		if (n > 0)
			(void)fwrite(copy + i, 1, n, stream);
		else
			fprintf(stream, "\\x%02x", copy[i]);
		i += n > 0 ? n : 1;
	}
}

void output_text(FILE *stream, const char *text)
{
	if (isatty(fileno(stream)))
		output_escaped(stream, text, strlen(text));
	else
		fputs(text, stream);
}

void output_json(const json_t *document)
{
	(void)json_dumpf(document, stdout, JSON_INDENT(2) | JSON_ENSURE_ASCII | JSON_ENCODE_ANY);
	putchar('\n');
}

json_t *output_string(const char *text)
{
	json_t *string = json_string(text);

	if (string)
		return string;

	_cleanup_free_ char *safe = malloc(4 * strlen(text) + 1);
	char *out = safe;

	if (!safe)
		return NULL;
	for (const unsigned char *at = (const unsigned char *)text; *at; at++)
		out += *at >= 0x20 && *at < 0x7f ? sprintf(out, "%c", *at) : sprintf(out, "\\x%02x", *at);
	return json_string(safe);
}

struct output_table *output_table_new(const char *const *headings)
{
	struct output_table *table = calloc(1, sizeof(*table));

	for (; table && headings[table->n_columns] && table->n_columns < OUTPUT_COLUMNS_MAX; table->n_columns++)
		table->headings[table->n_columns] = headings[table->n_columns];
	return table;
}

void output_table_row(struct output_table *table, const char *const *cells)
{
	if (!table)
		return;
	if (table->n_cells + table->n_columns > table->room) {
		size_t room = 2 * table->room + 16 * table->n_columns;
		char **grown = reallocarray(table->cells, room, sizeof(*grown));

		if (!grown)
			return;
		table->cells = grown;
		table->room = room;
	}
	for (size_t i = 0; i < table->n_columns; i++) {
		char *cell = strdup(cells[i] && *cells[i] ? cells[i] : "-");

		/* A row is one line, whatever somebody called an image. */
		for (char *at = cell; at && *at; at++)
			if ((unsigned char)*at < 0x20)
				*at = '?';
		table->cells[table->n_cells++] = cell;
	}
}

/* The width of the terminal; what goes elsewhere is as wide as it is. */
static int line_width(void)
{
	struct winsize size;

	return isatty(STDOUT_FILENO) && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col
													: INT_MAX;
}

/* Columns that the terminal has no room for go on below, indented: all rows break at the same one. */
static void print_row(const struct output_table *table, const char *const *cells, const int *widths, int line)
{
	int used = 0, gap = 0;

	for (size_t i = 0; i < table->n_columns; i++) {
		const char *cell = cells[i] ? cells[i] : "-";

		if (i > 0 && used + COLUMN_GAP + widths[i] > line) {
			putchar('\n');
			used = 0;
			gap = 0;
		}
		/* Not after the last one of a line, which would be trailing blanks. */
		printf("%*s", i > 0 && used == 0 ? COLUMN_GAP : gap, "");
		used += (i > 0 ? COLUMN_GAP : 0) + widths[i];
		gap = COLUMN_GAP + widths[i] - (int)strlen(cell);
		output_text(stdout, cell);
	}
	putchar('\n');
}

static void print_table(const struct output_table *table, bool empty_too)
{
	int widths[OUTPUT_COLUMNS_MAX] = {0}, line = line_width();

	for (size_t i = 0; i < table->n_columns; i++)
		widths[i] = (int)strlen(table->headings[i]);
	for (size_t row = 0; row < table->n_cells; row += table->n_columns)
		for (size_t i = 0; i < table->n_columns; i++)
			if (table->cells[row + i])
				widths[i] = MAX(widths[i], (int)strlen(table->cells[row + i]));
	if (table->n_cells > 0 || empty_too)
		print_row(table, table->headings, widths, line);
	for (size_t i = 0; i < table->n_cells; i += table->n_columns)
		print_row(table, (const char *const *)&table->cells[i], widths, line);
}

static void free_table(struct output_table *table)
{
	for (size_t i = 0; i < table->n_cells; i++)
		free(table->cells[i]);
	free(table->cells);
	free(table);
}

void output_table_print(struct output_table *table)
{
	if (!table)
		return;
	print_table(table, isatty(STDOUT_FILENO));
	free_table(table);
}

void output_table_print_if_any(struct output_table *table)
{
	if (!table)
		return;
	print_table(table, false);
	free_table(table);
}

char *output_bytes(char *buffer, uint64_t bytes)
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
	double value = (double)bytes;
	size_t unit = 0;

	while (value >= 1024 && unit + 1 < ARRAY_LEN(units)) {
		value /= 1024;
		unit++;
	}
	(void)snprintf(buffer, 32, unit == 0 || value >= 100 ? "%.0f %s" : "%.1f %s", value, units[unit]);
	return buffer;
}

char *output_duration_us(char *buffer, uint64_t us)
{
	uint64_t s = us / 1000000;

	if (us < 1000)
		(void)snprintf(buffer, 32, "%" PRIu64 " us", us);
	else if (us < 1000000)
		(void)snprintf(buffer, 32, "%.1f ms", (double)us / 1000);
	else if (s < 60)
		(void)snprintf(buffer, 32, "%.1f s", (double)us / 1000000);
	else if (s < 3600)
		(void)snprintf(buffer, 32, "%" PRIu64 "m %" PRIu64 "s", s / 60, s % 60);
	else if (s < 86400)
		(void)snprintf(buffer, 32, "%" PRIu64 "h %" PRIu64 "m", s / 3600, s / 60 % 60);
	else
		(void)snprintf(buffer, 32, "%" PRIu64 "d %" PRIu64 "h", s / 86400, s / 3600 % 24);
	return buffer;
}

const char *output_member(const json_t *object, const char *key, char *buffer, size_t size)
{
	const json_t *member = json_object_get(object, key);

	if (json_is_string(member))
		return json_string_value(member);
	if (json_is_boolean(member))
		return json_is_true(member) ? "yes" : "no";
	if (json_is_integer(member)) {
		(void)snprintf(buffer, size, "%" JSON_INTEGER_FORMAT, json_integer_value(member));
		return buffer;
	}
	if (json_is_real(member)) {
		(void)snprintf(buffer, size, "%g", json_real_value(member));
		return buffer;
	}
	return NULL;
}

static uint64_t progress_last_us;

void output_progress(const char *what, uint64_t done, uint64_t total)
{
	char done_text[32], total_text[32];
	uint64_t now = clock_monotonic_us();

	if (!isatty(STDERR_FILENO) || now - progress_last_us < PROGRESS_INTERVAL_US)
		return;
	progress_last_us = now;
	if (total > 0)
		fprintf(stderr, "\r\033[K%s: %s of %s (%u %%)", what, output_bytes(done_text, done),
			output_bytes(total_text, total), (unsigned)(done * 100 / total));
	else if (done > 0)
		fprintf(stderr, "\r\033[K%s: %s", what, output_bytes(done_text, done));
	else
		fprintf(stderr, "\r\033[K%s ...", what);
	(void)fflush(stderr);
}

void output_progress_end(void)
{
	if (progress_last_us > 0)
		fputs("\r\033[K", stderr);
	progress_last_us = 0;
}
