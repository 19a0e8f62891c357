#include "rootfs/names.h"

#include "rootfs/document.h"
#include "rootfs/image.h"
#include "supervisor/str.h"
#include "supervisor/util.h"

#include <string.h>

#define INDEX_MAX	    (16 * 1024 * 1024)
#define ANNOTATION_NAME	    "org.opencontainers.image.ref.name"
#define ANNOTATION_IMPORTED "io.ferrite.imported" /* microseconds since 1970 */
#define ANNOTATION_SIZE	    "io.ferrite.size"	  /* bytes of the whole image */

static int compare(const void *a, const void *b)
{
	return strcmp(((const struct store_name *)a)->name, ((const struct store_name *)b)->name);
}

void store_names_free(struct store *store)
{
	for (size_t i = 0; i < store->n_names; i++)
		free(store->names[i].name);
	free(store->names);
	store->names = NULL;
	store->n_names = 0;
}

static int damaged(struct err *err)
{
	return err_set(err, EUCLEAN, "index.json of the image store is damaged");
}

static int load_entry(struct store *store, const json_t *json, struct err *err)
{
	const char *name = NULL, *digest = NULL, *imported = "0", *size = "0";
	json_int_t manifest_size = 0;
	struct store_name *entry = &store->names[store->n_names];
	struct reference reference;

	if (json_unpack((json_t *)json, "{s:s, s:I, s:{s:s, s?s, s?s}}", "digest", &digest, "size", &manifest_size,
			"annotations", ANNOTATION_NAME, &name, ANNOTATION_IMPORTED, &imported, ANNOTATION_SIZE,
			&size) < 0 ||
	    !reference_is_digest(digest) || reference_parse(name, &reference, err) < 0 ||
	    !str_u64(imported, &entry->imported_us) || !str_u64(size, &entry->size))
		return damaged(err);
	(void)str_copy(entry->digest, sizeof(entry->digest), digest);
	entry->manifest_size = (uint64_t)manifest_size;
	entry->name = strdup(name);
	if (!entry->name)
		return err_sys(err, ENOMEM, "read the image store");
	store->n_names++;
	return 0;
}

int store_names_load(struct store *store, struct err *err)
{
	_cleanup_free_ char *text = NULL;
	_cleanup_json_ json_t *json = NULL;
	json_t *list, *item;
	struct err why = ERR_INIT;
	size_t i;
	ssize_t n = file_read(store->dir_fd, "index.json", INDEX_MAX, &text, &why);
	int r = 0;

	if (n == -ENOENT)
		return 0;
	if (n < 0)
		return err_set(err, (int)n, "image store: %s", why.text);
	json = document_parse("index.json", text, (size_t)n, err);
	list = json_object_get(json, "manifests");
	if (!json_is_array(list) || json_array_size(list) > STORE_NAMES_MAX)
		return damaged(err);
	store->names = calloc(json_array_size(list) + 1, sizeof(*store->names));
	if (!store->names)
		return err_sys(err, ENOMEM, "read the image store");
	json_array_foreach(list, i, item)
	{
		r = load_entry(store, item, err);
		if (r < 0)
			return r;
	}
	qsort(store->names, store->n_names, sizeof(*store->names), compare);
	return 0;
}

static json_t *entry_json(const struct store_name *entry)
{
	char imported[24], size[24];
	json_t *json = image_descriptor_json(IMAGE_MEDIA_MANIFEST, entry->digest, entry->manifest_size);

	(void)snprintf(imported, sizeof(imported), "%llu", (unsigned long long)entry->imported_us);
	(void)snprintf(size, sizeof(size), "%llu", (unsigned long long)entry->size);
	(void)json_object_set_new(json, "annotations",
				  json_pack("{s:s, s:s, s:s}", ANNOTATION_NAME, entry->name, ANNOTATION_IMPORTED,
					    imported, ANNOTATION_SIZE, size));
	return json;
}

static int save(const struct store *store, const struct store_name *names, size_t n_names, struct err *err)
{
	_cleanup_json_ json_t *list = json_array();
	_cleanup_json_ json_t *index = NULL;
	_cleanup_free_ char *text = NULL;

	for (size_t i = 0; i < n_names; i++) {
		if (json_array_append_new(list, entry_json(&names[i])) < 0)
			return err_sys(err, ENOMEM, "write the index of the image store");
	}
	index = json_pack("{s:i, s:s, s:O}", "schemaVersion", 2, "mediaType", IMAGE_MEDIA_INDEX, "manifests", list);
	text = index ? document_text(index) : NULL;
	if (!text)
		return err_sys(err, ENOMEM, "write the index of the image store");
	return store_write_file(store, store->dir_fd, "index.json", text, strlen(text), err);
}

const struct store_name *store_find(const struct store *store, const struct reference *reference)
{
	char name[REFERENCE_TEXT_MAX];
	size_t length = strlen(reference->name);
	struct reference without = *reference;

	if (!reference->digest[0]) {
		struct store_name key = {.name = reference_format(reference, name, sizeof(name))};

		return store->n_names == 0 ? NULL : bsearch(&key, store->names, store->n_names, sizeof(key), compare);
	}
	/* By digest: any tag of that name will do, the digest says which image it is. */
	without.tag[0] = without.digest[0] = '\0';
	for (size_t i = 0; i < store->n_names; i++) {
		const struct store_name *entry = &store->names[i];

		if (strcmp(entry->digest, reference->digest) == 0 && strncmp(entry->name, without.name, length) == 0 &&
		    strchr(":@", entry->name[length]) && entry->name[length])
			return entry;
	}
	return NULL;
}

/* A copy of the list with room for EXTRA more; the texts are shared with the list it was copied from. */
static struct store_name *copy_names(const struct store *store, size_t extra)
{
	struct store_name *copy = calloc(store->n_names + extra + 1, sizeof(*copy));

	if (copy && store->n_names > 0)
		memcpy(copy, store->names, store->n_names * sizeof(*copy));
	return copy;
}

static struct store_name *find_in(struct store_name *names, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(names[i].name, name) == 0)
			return &names[i];
	return NULL;
}

/* Adds or changes one name of LIST, which has room for it. */
static int set_name(struct store_name *list, size_t *count, const char *name, const struct store_name *value,
		    struct err *err)
{
	struct store_name *entry = find_in(list, *count, name);
	char *text = entry ? entry->name : NULL;

	if (!entry) {
		if (*count >= STORE_NAMES_MAX)
			return err_set(err, ENOSPC, "the image store holds %d names already: remove some",
				       STORE_NAMES_MAX);
		text = strdup(name);
		if (!text)
			return err_sys(err, ENOMEM, "add a name to the image store");
		entry = &list[(*count)++];
	}
	*entry = *value;
	entry->name = text;
	return 0;
}

int store_set_names(struct store *store, char *const *names, size_t n_names, const struct store_name *value,
		    struct err *err)
{
	_cleanup_free_ struct store_name *list = copy_names(store, n_names);
	size_t count = store->n_names;
	int r = 0;

	if (!list)
		return err_sys(err, ENOMEM, "add a name to the image store");
	for (size_t i = 0; r == 0 && i < n_names; i++)
		r = set_name(list, &count, names[i], value, err);
	if (r == 0) {
		qsort(list, count, sizeof(*list), compare);
		r = save(store, list, count, err);
	}
	if (r < 0) {
		/* Texts that are not in the old list were made here. */
		for (size_t i = 0; i < count; i++)
			if (!find_in(store->names, store->n_names, list[i].name))
				free(list[i].name);
		return r;
	}
	free(store->names);
	store->names = take_ptr(list);
	store->n_names = count;
	return 0;
}

int store_remove_name(struct store *store, const char *name, struct err *err)
{
	struct store_name *found = find_in(store->names, store->n_names, name);
	_cleanup_free_ struct store_name *list = NULL;
	char *text;
	size_t at;
	int r;

	if (!found)
		return err_set(err, ENOENT, "there is no image \"%s\" in the store", name);
	list = copy_names(store, 0);
	if (!list)
		return err_sys(err, ENOMEM, "remove a name from the image store");
	at = (size_t)(found - store->names);
	memmove(list + at, list + at + 1, (store->n_names - at - 1) * sizeof(*list));
	r = save(store, list, store->n_names - 1, err);
	if ((r == -ENOSPC || r == -EDQUOT) && store_spare_use(store))
		r = save(store, list, store->n_names - 1, err);
	if (r < 0)
		return r;
	text = found->name;
	free(store->names);
	store->names = take_ptr(list);
	store->n_names--;
	free(text);
	return 0;
}
