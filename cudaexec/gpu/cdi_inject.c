#include "cudaexec/gpu/cdi_inject.h"

#include "cudaexec/gpu/rootfs.h"
#include "supervisor/str.h"
#include "supervisor/util.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#define NVIDIA_MAJOR	 195u
#define NVIDIA_GPUS	 64u /* minors that are GPUs, as many as a mask has bits */
#define LIBRARY_PATH	 "LD_LIBRARY_PATH="
#define LIBRARY_PATH_MAX 4096
#define PROFILE_FILE	 "/etc/nvidia/nvidia-application-profiles-rc.d/10-container.conf"

struct cdi_list {
	const struct injection_source *source;
	struct injection *injection;
	const char *why; /* name of the device */
	char library_path[LIBRARY_PATH_MAX];
	uint64_t minors; /* of GPUs among the nodes */
	bool edit_params, profile;
};

typedef int edit_function(struct cdi_list *list, const struct source_node *node, struct err *err);

static const char *member_text(const struct source_node *node, const char *key, const char *otherwise)
{
	const struct source_node *member = source_member(node, key);

	return member && !source_is_null(member) ? member->text : otherwise;
}

/* Calls FUNCTION for each entry of a list; one that is missing or null has none. */
static int each(struct cdi_list *list, const struct source_node *edits, const char *key, edit_function *function,
		struct err *err)
{
	const struct source_node *entries = source_member(edits, key);
	int code = 0;

	for (size_t i = 0; entries && entries->kind == SOURCE_LIST && i < entries->n_children && code == 0; i++)
		code = function(list, &entries->children[i], err);
	return code;
}

/* --- nodes and mounts --------------------------------------------------------------------------------------------- */

static bool number_differs(const struct source_node *node, const char *key, unsigned found)
{
	const char *text = member_text(node, key, NULL);

	return text && strtoull(text, NULL, 0) != found;
}

/* Adds a node; where the file says which device it must be, it must be that one. */
static int add_node(struct cdi_list *list, const struct source_node *node, struct err *err)
{
	const char *path = member_text(node, "path", ""), *host = member_text(node, "hostPath", path);
	const char *type = member_text(node, "type", "");
	int root_fd = list->source->dev_fd >= 0 ? list->source->dev_fd : list->source->host_fd;
	_cleanup_fd_ int fd = rootfs_open_at(root_fd, host, O_PATH);
	struct stat st;

	if (fd < 0)
		return err_sys(err, fd, "device node %s", host);
	if (fstat(fd, &st) < 0)
		return err_sys(err, errno, "look at %s", host);
	if (strncmp(path, "/dev/", 5) != 0)
		return err_set(err, -EOPNOTSUPP, "device node %s is not below /dev", path);
	if (!S_ISCHR(st.st_mode) || type[0] == 'b' || type[0] == 'p')
		return err_set(err, -EPERM, "%s is no character device; it is not handed to a container", host);
	if (number_differs(node, "major", major(st.st_rdev)) || number_differs(node, "minor", minor(st.st_rdev)))
		return err_set(err, -EPERM, "%s is device %u:%u, not the one that the CDI file says", host,
			       major(st.st_rdev), minor(st.st_rdev));
	if (major(st.st_rdev) == NVIDIA_MAJOR && minor(st.st_rdev) < NVIDIA_GPUS)
		list->minors |= UINT64_C(1) << minor(st.st_rdev);
	return injection_add(list->injection, SBX_ITEM_DEVICE, path, NULL, take_fd(&fd), list->why, err);
}

static bool is_below(const char *path, const char *folder)
{
	size_t length = strlen(folder);

	return strncmp(path, folder, length) == 0 && (path[length] == '/' || path[length] == '\0');
}

static int add_mount(struct cdi_list *list, const struct source_node *node, struct err *err)
{
	const char *host = member_text(node, "hostPath", ""), *path = member_text(node, "containerPath", "");
	_cleanup_fd_ int fd = -1;
	struct stat st;

	if (is_below(path, "/proc") || is_below(path, "/sys") || is_below(path, "/dev"))
		return err_set(err, -EOPNOTSUPP, "%s: nothing is mounted below /proc, /sys and /dev", path);
	fd = rootfs_open_at(list->source->host_fd, host, O_PATH);
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_sys(err, fd < 0 ? fd : errno, "file %s", host);
	/* Daemons of the host are not for functions: with its socket, each is a way out of the container. */
	if (S_ISSOCK(st.st_mode))
		return 0;
	if (!S_ISREG(st.st_mode))
		return err_set(err, -EOPNOTSUPP, "%s is no regular file; others are not mounted", host);
	return injection_add(list->injection, SBX_ITEM_FILE, path, NULL, take_fd(&fd), list->why, err);
}

/* --- the hooks of NVIDIA's toolkit -------------------------------------------------------------------------------- */

/* Whether an argument is "--NAME=VALUE", or "--NAME" with the value behind it; moves *INDEX to the value's place. */
static const char *option_value(const struct source_node *args, size_t *index, const char *name)
{
	const char *text = args->children[*index].text;
	size_t length = strlen(name);

	if (strncmp(text, "--", 2) != 0 || strncmp(text + 2, name, length) != 0)
		return NULL;
	if (text[length + 2] == '=')
		return text + length + 3;
	return text[length + 2] == '\0' && *index + 1 < args->n_children ? args->children[++*index].text : NULL;
}

/* target::link */
static int make_link(struct cdi_list *list, const char *value, struct err *err)
{
	const char *colons = strstr(value, "::");
	char target[PATH_MAX];

	if (!colons || colons == value || colons[2] != '/' || colons - value >= (long)sizeof(target))
		return err_set(err, -EINVAL, "create-symlinks: '%.200s' is not of the form TARGET::LINK", value);
	(void)snprintf(target, sizeof(target), "%.*s", (int)(colons - value), value);
	return injection_add(list->injection, SBX_ITEM_LINK, colons + 2, target, -1, list->why, err);
}

static bool path_has(const char *list, const char *folder)
{
	size_t length = strlen(folder);

	for (const char *at = list; (at = strstr(at, folder)) != NULL; at += length)
		if ((at == list || at[-1] == ':') && (at[length] == ':' || at[length] == '\0'))
			return true;
	return false;
}

static int add_library_folder(struct cdi_list *list, const char *value, struct err *err)
{
	size_t used = strlen(list->library_path);

	if (value[0] != '/' || strchr(value, ':'))
		return err_set(err, -EINVAL, "update-ldcache: '%.200s' is no folder", value);
	if (path_has(list->library_path, value))
		return 0;
	if (used + strlen(value) + 2 > sizeof(list->library_path))
		return err_set(err, -EOVERFLOW, "update-ldcache: too many folders");
	(void)snprintf(list->library_path + used, sizeof(list->library_path) - used, "%s%s", used ? ":" : "", value);
	return 0;
}

/* The arguments behind the verb at index FIRST. */
static int run_verb(struct cdi_list *list, const char *verb, const struct source_node *args, size_t first,
		    struct err *err)
{
	bool links = strcmp(verb, "create-symlinks") == 0, folders = strcmp(verb, "update-ldcache") == 0;

	if (strcmp(verb, "disable-device-node-modification") == 0)
		list->edit_params = true;
	else if (strcmp(verb, "update-application-profile") == 0)
		list->profile = true;
	/* The driver of the image is never preferred to the host's, and modes below folders of ours are right. */
	else if (!links && !folders && strcmp(verb, "enable-cuda-compat") != 0 && strcmp(verb, "chmod") != 0)
		return err_set(err, -EOPNOTSUPP, "hook '%.100s' of NVIDIA's toolkit is not known", verb);
	for (size_t i = first; (links || folders) && i < args->n_children; i++) {
		const char *value = option_value(args, &i, links ? "link" : "folder");
		int code = 0;

		if (value)
			code = links ? make_link(list, value, err) : add_library_folder(list, value, err);
		if (code < 0)
			return code;
	}
	return 0;
}

/* ".../nvidia-cdi-hook VERB ..." or ".../nvidia-ctk hook VERB ..." */
static int add_hook(struct cdi_list *list, const struct source_node *node, struct err *err)
{
	const char *path = member_text(node, "path", ""), *base = strrchr(path, '/') + 1;
	const struct source_node *args = source_member(node, "args");
	size_t verb = strcmp(base, "nvidia-ctk") == 0 ? 2 : 1;
	bool own = strcmp(base, "nvidia-cdi-hook") == 0 || verb == 2;

	if (own && args && args->kind == SOURCE_LIST && args->n_children > verb &&
	    (verb == 1 || strcmp(args->children[1].text, "hook") == 0))
		return run_verb(list, args->children[verb].text, args, verb + 1, err);
	return err_set(err, -EOPNOTSUPP, "it wants to run %s on the host, which ferrite does not do", path);
}

/* --- the rest ----------------------------------------------------------------------------------------------------- */

static int add_variable(struct cdi_list *list, const struct source_node *node, struct err *err)
{
	return injection_set(list->injection, node->text, err);
}

static int refuse_gid(struct cdi_list *list, const struct source_node *node, struct err *err)
{
	(void)list;
	return strtoull(node->text, NULL, 0) == 0
		       ? 0
		       : err_set(err, -EOPNOTSUPP, "it wants additional groups, which ferrite does not give");
}

static int add_edits(struct cdi_list *list, const struct source_node *edits, struct err *err)
{
	static const struct {
		const char *key;
		edit_function *function;
	} parts[] = {{"env", add_variable},
		     {"deviceNodes", add_node},
		     {"mounts", add_mount},
		     {"hooks", add_hook},
		     {"additionalGids", refuse_gid}};
	int code = 0;

	for (size_t i = 0; i < ARRAY_LEN(parts) && code == 0; i++)
		code = each(list, edits, parts[i].key, parts[i].function, err);
	if (code == 0 && (source_member(edits, "intelRdt") || source_member(edits, "netDevices")))
		return err_set(err, -EOPNOTSUPP, "it wants intelRdt or netDevices, which ferrite does not have");
	return code;
}

/* The edits of a file once, however many of its devices are wanted, then those of the devices. */
static int add_devices(struct cdi_list *list, const struct cdi_selection *selection, struct err *err)
{
	for (unsigned i = 0; i < selection->count; i++) {
		const struct cdi_spec *spec = selection->devices[i].spec;
		bool seen = false;
		int code = 0;

		list->why = selection->devices[i].name;
		for (unsigned k = 0; k < i; k++)
			seen |= selection->devices[k].spec == spec;
		if (!seen && spec->edits)
			code = add_edits(list, spec->edits, err);
		if (code == 0)
			code = add_edits(list, selection->devices[i].edits, err);
		if (code < 0)
			return err_wrap(err, "CDI device %s (%s)", list->why, spec->file);
	}
	return 0;
}

/* What libGL may see of the GPUs: those whose nodes are there. */
static int add_profile(struct cdi_list *list, struct err *err)
{
	char text[256];

	(void)snprintf(
		text, sizeof(text),
		"{\"profiles\": [{\"name\": \"_container_\", \"settings\": [\"EGLVisibleDGPUDevices\", 0x%llx]}],"
		" \"rules\": [{\"pattern\": [], \"profile\": \"_container_\"}]}\n",
		(unsigned long long)list->minors);
	return injection_add(list->injection, SBX_ITEM_TEXT, PROFILE_FILE, text, -1, list->why, err);
}

static uint64_t mask_of_minors(uint64_t minors, const struct inventory *inventory)
{
	uint64_t mask = 0;

	for (unsigned i = 0; i < inventory->count; i++)
		if (inventory->gpus[i].minor >= 0 && inventory->gpus[i].minor < (int)NVIDIA_GPUS &&
		    (minors >> inventory->gpus[i].minor & 1))
			mask |= UINT64_C(1) << i;
	return mask;
}

static int finish(struct cdi_list *list, struct err *err)
{
	char variable[LIBRARY_PATH_MAX + sizeof(LIBRARY_PATH)];
	int code = 0;

	if (list->edit_params)
		code = injection_add_proc(list->injection, list->source,
					  mask_of_minors(list->minors, list->source->inventory), err);
	if (code == 0 && list->profile)
		code = add_profile(list, err);
	if (code == 0 && list->library_path[0]) {
		(void)snprintf(variable, sizeof(variable), LIBRARY_PATH "%s", list->library_path);
		code = injection_set(list->injection, variable, err);
	}
	if (code == 0 && list->source->cudaexec_fd >= 0)
		code = injection_add_cudaexec(list->injection, list->source->cudaexec_fd, err);
	return code;
}

int cdi_inject(const struct cdi_selection *selection, const struct injection_source *source,
	       struct injection *ret_injection, struct err *err)
{
	struct injection *injection = calloc(1, sizeof(*injection));
	struct cdi_list list = {.source = source, .injection = injection};
	int code;

	if (!injection)
		return err_set(err, -ENOMEM, "no memory for the list of mounts");
	injection->by_cdi = true;
	code = add_devices(&list, selection, err);
	if (code == 0)
		code = finish(&list, err);
	if (code == 0)
		*ret_injection = *injection;
	else
		injection_done(injection);
	free(injection);
	return code;
}

/* --- which GPUs --------------------------------------------------------------------------------------------------- */

static uint64_t minors_of(const struct source_node *edits)
{
	const struct source_node *nodes = edits ? source_member(edits, "deviceNodes") : NULL;
	uint64_t minors = 0, minor_number;

	for (size_t i = 0; nodes && nodes->kind == SOURCE_LIST && i < nodes->n_children; i++) {
		const char *path = member_text(&nodes->children[i], "path", "");

		path = member_text(&nodes->children[i], "hostPath", path);
		if (strncmp(path, "/dev/nvidia", 11) == 0 && str_u64(path + 11, &minor_number) &&
		    minor_number < NVIDIA_GPUS)
			minors |= UINT64_C(1) << minor_number;
	}
	return minors;
}

uint64_t cdi_mask(const struct cdi_selection *selection, const struct inventory *inventory)
{
	uint64_t minors = 0;

	for (unsigned i = 0; i < selection->count; i++)
		minors |= minors_of(selection->devices[i].edits) | minors_of(selection->devices[i].spec->edits);
	return mask_of_minors(minors, inventory);
}
