#include "cudaexec/gpu/visible.h"

#include "supervisor/str.h"
#include "supervisor/util.h"

#include <string.h>
#include <strings.h>

#define WORD_MAX   128
#define CDI_PREFIX "nvidia.com/gpu="

static int refuse(int code, const char *word, const char *why, struct err *err)
{
	char shown[4 * WORD_MAX];

	str_escape(shown, sizeof(shown), word, strlen(word));
	return err_set(err, code, "visible device '%s': %s", shown, why);
}

static int no_such(const char *word, unsigned count, struct err *err)
{
	char why[64];

	if (count == 0)
		return refuse(-ENODEV, word, "this machine has no GPU", err);
	(void)snprintf(why, sizeof(why), "no such GPU; there %s %u, numbered from 0", count == 1 ? "is" : "are", count);
	return refuse(-ENODEV, word, why, err);
}

static int find_uuid(const char *word, const char *const *uuids, unsigned count, uint64_t *mask, struct err *err)
{
	unsigned found = count, matches = 0;

	for (unsigned i = 0; i < count; i++) {
		if (strncasecmp(uuids[i], word, strlen(word)) == 0) {
			found = i;
			matches++;
		}
	}
	if (matches > 1)
		return refuse(-EINVAL, word, "more than one GPU begins like this", err);
	if (matches == 0)
		return no_such(word, count, err);
	*mask |= UINT64_C(1) << found;
	return 0;
}

static int take_word(const char *word, const char *const *uuids, unsigned count, struct visible *visible, bool *words,
		     struct err *err)
{
	static const char *const kinds[] = {"void", "none", "all"};
	uint64_t index;

	if (strncmp(word, CDI_PREFIX, strlen(CDI_PREFIX)) == 0)
		word += strlen(CDI_PREFIX);
	if (word[0] == '\0')
		return 0;
	for (unsigned i = 0; i < ARRAY_LEN(kinds); i++) {
		if (strcmp(word, kinds[i]) == 0) {
			words[i] = true;
			return 0;
		}
	}
	if (strncmp(word, "MIG-", 4) == 0 || (strchr(word, ':') && word[0] >= '0' && word[0] <= '9'))
		return refuse(-EOPNOTSUPP, word, "MIG devices are not supported yet; name a whole GPU", err);
	if (strncmp(word, "GPU-", 4) == 0)
		return find_uuid(word, uuids, count, &visible->mask, err);
	if (!str_u64(word, &index))
		return refuse(-EINVAL, word, "expected all, none, void, an index or GPU-<uuid>", err);
	if (index >= count)
		return no_such(word, count, err);
	visible->mask |= UINT64_C(1) << index;
	return 0;
}

/* The strongest of the words wins, whatever else the list has; a mistake in the rest does not matter then. */
static void words_win(struct visible *visible, const bool *words, unsigned count)
{
	if (words[VISIBLE_VOID])
		*visible = (struct visible){VISIBLE_VOID, 0};
	else if (words[VISIBLE_NONE])
		*visible = (struct visible){VISIBLE_NONE, 0};
	else
		*visible = (struct visible){VISIBLE_ALL, count == GPUS_MAX ? ~UINT64_C(0) : (UINT64_C(1) << count) - 1};
}

int visible_parse(const char *text, const char *const *uuids, unsigned count, struct visible *ret_visible,
		  struct err *err)
{
	struct visible visible = {VISIBLE_LIST, 0};
	bool words[VISIBLE_LIST] = {false}, any = false;
	struct err first = ERR_INIT;
	int code = 0;

	while (*text) {
		size_t length = strcspn(text, ","), blanks = strspn(text, " \t");
		char word[WORD_MAX];
		size_t size = length > blanks ? length - blanks : 0;

		while (size > 0 && (text[blanks + size - 1] == ' ' || text[blanks + size - 1] == '\t'))
			size--;
		if (size >= sizeof(word))
			return err_set(err, -EINVAL, "visible devices: a word is longer than %d bytes", WORD_MAX - 1);
		memcpy(word, text + MIN(blanks, length), size);
		word[size] = '\0';
		any |= size > 0;
		if (code == 0)
			code = take_word(word, uuids, count, &visible, words, &first);
		else
			(void)take_word(word, uuids, count, &visible, words, NULL);
		text += length + (text[length] == ',');
	}
	if (!any)
		words[VISIBLE_VOID] = true;
	if (words[VISIBLE_VOID] || words[VISIBLE_NONE] || words[VISIBLE_ALL])
		words_win(&visible, words, count);
	else if (code < 0)
		return err_set(err, code, "%s", first.text);
	*ret_visible = visible;
	return 0;
}
