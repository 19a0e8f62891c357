#include "api/image.h"

#include "api/json.h"
#include "api/userspec.h"
#include "supervisor/str.h"

#include <signal.h>
#include <string.h>

struct image *image_ref(struct image *image)
{
	atomic_fetch_add(&image->references, 1);
	return image;
}

static void free_list(char **list)
{
	for (char **at = list; at && *at; at++)
		free(*at);
	free(list);
}

void image_unref(struct image *image)
{
	if (!image || atomic_fetch_sub(&image->references, 1) > 1)
		return;
	for (unsigned i = 0; i < image->n_layers; i++)
		fd_close(&image->layer_fds[i]);
	free_list(image->args);
	free_list(image->env);
	free(image->name);
	free(image->workdir);
	free(image->cuda_section);
	free(image);
}

static void image_unrefp(struct image **image)
{
	image_unref(*image);
}

/* Appends the strings of a JSON array (NULL and null: none) to a list. */
static int add_strings(const json_t *array, const char *key, unsigned maximum, char ***list, unsigned *n,
		       struct err *err)
{
	size_t size = json_array_size(array);
	char **bigger;

	if (array && !json_is_null(array) && !json_is_array(array))
		return err_set(err, EINVAL, "%s is no list", key);
	if (size > maximum - *n)
		return err_set(err, E2BIG, "%s has more than %u entries", key, maximum);
	bigger = realloc(*list, (*n + size + 1) * sizeof(char *));
	if (!bigger)
		return err_sys(err, ENOMEM, "%s", key);
	*list = bigger;
	(*list)[*n] = NULL;
	for (size_t i = 0; i < size; i++) {
		const char *text = json_string_value(json_array_get(array, i));

		if (!text)
			return err_set(err, EINVAL, "%s holds something that is no string", key);
		(*list)[*n] = strdup(text);
		if (!(*list)[*n])
			return err_sys(err, ENOMEM, "%s", key);
		(*list)[++*n] = NULL;
	}
	return 0;
}

/* "SIGTERM", "TERM", "15", "SIGRTMIN+3". */
static int read_signal(const char *text, uint32_t *ret_signal)
{
	const char *name = strncmp(text, "SIG", 3) == 0 ? text + 3 : text;
	uint64_t number;

	if (str_u64(text, &number) && number > 0 && number <= (uint64_t)SIGRTMAX) {
		*ret_signal = (uint32_t)number;
		return 0;
	}
	if (strncmp(name, "RTMIN+", 6) == 0 && str_u64(name + 6, &number) &&
	    number <= (uint64_t)(SIGRTMAX - SIGRTMIN)) {
		*ret_signal = (uint32_t)SIGRTMIN + (uint32_t)number;
		return 0;
	}
	for (int signal = 1; signal < 32; signal++) {
		const char *known = sigabbrev_np(signal);

		if (known && strcmp(known, name) == 0) {
			*ret_signal = (uint32_t)signal;
			return 0;
		}
	}
	return -EINVAL;
}

static int read_text(const json_t *config, const char *key, const char *absent, char **ret_text, struct err *err)
{
	const json_t *value = json_object_get(config, key);

	if (value && !json_is_null(value) && !json_is_string(value))
		return err_set(err, EINVAL, "%s is no string", key);
	*ret_text = strdup(json_string_length(value) > 0 ? json_string_value(value) : absent);
	if (*ret_text)
		return 0;
	(void)err_sys(err, ENOMEM, "%s", key);
	return -ENOMEM;
}

static int read_process(struct image *image, const json_t *config, struct err *err)
{
	_cleanup_free_ char *user = NULL, *stop = NULL;
	struct userspec resolved;
	int r = add_strings(json_object_get(config, "Entrypoint"), "Entrypoint", SBX_ARGS_MAX, &image->args,
			    &image->n_args, err);

	if (r == 0)
		r = add_strings(json_object_get(config, "Cmd"), "Cmd", SBX_ARGS_MAX, &image->args, &image->n_args, err);
	if (r == 0)
		r = add_strings(json_object_get(config, "Env"), "Env", SBX_ENV_MAX, &image->env, &image->n_env, err);
	if (r == 0)
		r = read_text(config, "WorkingDir", "/", &image->workdir, err);
	if (r == 0)
		r = read_text(config, "User", "", &user, err);
	if (r == 0)
		r = read_text(config, "StopSignal", "SIGTERM", &stop, err);
	if (r == 0 && (!stop || read_signal(stop, &image->stop_signal) < 0))
		r = err_set(err, EINVAL, "unknown stop signal \"%.32s\"", stop ? stop : "");
	if (r == 0)
		r = userspec_resolve(user, image->layer_fds, image->n_layers, &resolved, err);
	if (r < 0)
		return r;
	image->uid = resolved.uid;
	image->gid = resolved.gid;
	memcpy(image->home, resolved.home, sizeof(image->home));
	return 0;
}

static int read_labels(struct image *image, const json_t *labels, struct err *err)
{
	const char *runtime = json_string_value(json_object_get(labels, "io.ferrite.runtime"));
	const char *section = json_string_value(json_object_get(labels, "io.ferrite.cuda"));
	const char *wish = json_string_value(json_object_get(labels, "io.ferrite.gpu"));
	_cleanup_json_ json_t *parsed = NULL;

	if (runtime && strcmp(runtime, "cuda") != 0 && strcmp(runtime, "exec") != 0)
		return err_set(err, EINVAL, "label io.ferrite.runtime: \"%.32s\" is neither exec nor cuda", runtime);
	image->cuda = runtime && strcmp(runtime, "cuda") == 0;
	if (image->cuda && !section)
		return err_set(err, EINVAL, "label io.ferrite.cuda is missing");
	if (image->cuda)
		image->gpu.count = 1;
	image->cuda_section = section ? strdup(section) : NULL;
	if (section && !image->cuda_section)
		return err_sys(err, ENOMEM, "label io.ferrite.cuda");
	if (!wish)
		return 0;
	parsed = json_loads(wish, JSON_DECODE_ANY, NULL);
	if (!parsed)
		return err_set(err, EINVAL, "label io.ferrite.gpu is no JSON");
	if (gpu_wish_read(parsed, &image->gpu, err) < 0)
		return err_wrap(err, "label io.ferrite.gpu");
	return 0;
}

int image_make(const char *name, const char *digest, const char *config, size_t length, int *layer_fds,
	       unsigned n_layers, struct image **ret_image, struct err *err)
{
	_cleanup_(image_unrefp) struct image *image = calloc(1, sizeof(*image));
	_cleanup_json_ json_t *document = json_loadb(config, length, 0, NULL);
	const json_t *process = json_object_get(document, "config");
	int r;

	if (!image)
		return err_sys(err, ENOMEM, "image");
	image->references = 1;
	image->n_layers = n_layers;
	for (unsigned i = 0; i < n_layers; i++)
		image->layer_fds[i] = take_fd(&layer_fds[i]);
	image->name = strdup(name);
	if (!image->name)
		return err_sys(err, ENOMEM, "image");
	(void)str_copy(image->digest, sizeof(image->digest), digest);
	if (!json_is_object(document) || (process && !json_is_object(process) && !json_is_null(process)))
		return err_set(err, EINVAL, "its configuration is no JSON object");
	r = read_process(image, process, err);
	if (r == 0)
		r = read_labels(image, json_object_get(process, "Labels"), err);
	if (r == 0 && image->n_args == 0 && !image->cuda)
		r = err_set(err, EINVAL, "it names no program to run (neither Entrypoint nor Cmd)");
	if (r < 0)
		return r;
	*ret_image = take_ptr(image);
	return 0;
}

/* --- the images that are kept --------------------------------------------------------------------------------------
 */

int images_open(struct images *images, struct err *err)
{
	(void)pthread_mutex_init(&images->lock, NULL);
	return table_open(&images->kept, err);
}

void images_close(struct images *images)
{
	if (!images->kept.buckets)
		return;
	images_forget(images);
	table_close(&images->kept);
	(void)pthread_mutex_destroy(&images->lock);
}

static struct image *find(struct images *images, const char *name)
{
	uint64_t hash = table_hash(name, strlen(name));

	for (struct table_node *node = table_first(&images->kept, hash); node; node = table_next(node, hash)) {
		struct image *image = TABLE_OWNER(node, struct image, node);

		if (strcmp(image->name, name) == 0)
			return image;
	}
	return NULL;
}

struct image *images_find(struct images *images, const char *name)
{
	struct image *image;

	pthread_mutex_lock(&images->lock);
	image = find(images, name);
	if (image)
		image_ref(image);
	pthread_mutex_unlock(&images->lock);
	return image;
}

static void drop(struct images *images, struct image *image)
{
	table_remove(&images->kept, &image->node);
	image_unref(image);
}

void images_keep(struct images *images, struct image *image)
{
	struct image *older;

	pthread_mutex_lock(&images->lock);
	older = find(images, image->name);
	if (older)
		drop(images, older);
	else if (images->kept.count >= IMAGES_KEPT_MAX)
		drop(images, TABLE_OWNER(table_any(&images->kept), struct image, node));
	table_insert(&images->kept, &image_ref(image)->node, table_hash(image->name, strlen(image->name)));
	pthread_mutex_unlock(&images->lock);
}

void images_forget(struct images *images)
{
	struct table_node *node;

	pthread_mutex_lock(&images->lock);
	while ((node = table_any(&images->kept)) != NULL)
		drop(images, TABLE_OWNER(node, struct image, node));
	pthread_mutex_unlock(&images->lock);
}
