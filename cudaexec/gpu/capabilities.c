#include "cudaexec/gpu/capabilities.h"

#include "supervisor/str.h"
#include "supervisor/util.h"

#include <string.h>

#define WORD_MAX 32

static const char *const names[] = {"compute", "utility",  "video", "graphics", "display",
				    "ngx",     "compat32", "all",   NULL};

/* Takes the next word of a comma list, without blanks; false at the end. Words that do not fit come out empty. */
static bool next_word(const char **text, char *word)
{
	const char *start = *text + strspn(*text, " \t");
	size_t length = strcspn(start, ",");

	if (**text == '\0')
		return false;
	*text = start + length + (start[length] == ',');
	while (length > 0 && (start[length - 1] == ' ' || start[length - 1] == '\t'))
		length--;
	if (length >= WORD_MAX)
		length = WORD_MAX - 1; /* no name is so long: it stays unknown */
	memcpy(word, start, length);
	word[length] = '\0';
	return true;
}

static int unknown(const char *word, struct err *err)
{
	char shown[4 * WORD_MAX];
	const char *nearest = str_nearest(word, names);

	str_escape(shown, sizeof(shown), word, strlen(word));
	return err_set(err, -EINVAL, "driver capability '%s' is unknown%s%s", shown, nearest ? "; did you mean " : "",
		       nearest ? nearest : "");
}

int capabilities_parse(const char *text, unsigned *ret_capabilities, struct err *err)
{
	unsigned capabilities = 0;
	char word[WORD_MAX], bad[WORD_MAX] = "";

	while (next_word(&text, word)) {
		unsigned i = 0;

		if (word[0] == '\0')
			continue;
		while (names[i] && strcmp(names[i], word) != 0)
			i++;
		if (!names[i])
			memcpy(bad, word, sizeof(bad));
		else
			capabilities |= strcmp(word, "all") == 0 ? CAPABILITIES_ALL : 1u << i;
	}
	if (bad[0] != '\0' && capabilities != CAPABILITIES_ALL)
		return unknown(bad, err);
	if (capabilities & CAPABILITY_DISPLAY)
		capabilities |= CAPABILITY_GRAPHICS;
	if (capabilities & CAPABILITY_VIDEO)
		capabilities |= CAPABILITY_COMPUTE;
	*ret_capabilities = capabilities ? capabilities : CAPABILITIES_DEFAULT;
	return 0;
}

void capabilities_text(unsigned capabilities, char text[CAPABILITIES_TEXT_MAX])
{
	size_t used = 0;

	text[0] = '\0';
	for (unsigned i = 0; 1u << i <= CAPABILITY_COMPAT32; i++)
		if (capabilities >> i & 1)
			used += (size_t)snprintf(text + used, CAPABILITIES_TEXT_MAX - used, "%s%s", used ? "," : "",
						 names[i]);
}
