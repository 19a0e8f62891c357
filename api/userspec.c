#include "api/userspec.h"

#include "supervisor/str.h"
#include "supervisor/util.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define FIELDS_MAX 7
#define LINE_MAX_  1024

struct line {
	char text[LINE_MAX_];
	char *fields[FIELDS_MAX];
	unsigned n;
};

/* Cuts the next line of *AT into its fields; false at the end. Lines that are too long are passed over. */
static bool next_line(const char **at, struct line *line)
{
	while (**at) {
		size_t length = strcspn(*at, "\n");
		const char *start = *at;
		char *field = line->text;

		*at += length + ((*at)[length] == '\n');
		if (length >= sizeof(line->text))
			continue;
		memcpy(line->text, start, length);
		line->text[length] = '\0';
		for (line->n = 0; field && line->n < FIELDS_MAX; line->n++)
			line->fields[line->n] = strsep(&field, ":");
		return true;
	}
	return false;
}

static bool read_id(const char *text, uint32_t *ret_id)
{
	uint64_t value;

	if (!str_u64(text, &value) || value > USERSPEC_ID_MAX)
		return false;
	*ret_id = (uint32_t)value;
	return true;
}

static bool is_digits(const char *text)
{
	return *text && text[strspn(text, "0123456789")] == '\0';
}

static int find_user(const char *name, const char *passwd, struct userspec *user, struct err *err)
{
	struct line line;
	uint32_t uid, gid, wanted = 0;
	bool by_number = is_digits(name);

	if (by_number && !read_id(name, &wanted))
		return err_set(err, EINVAL, "user %.64s is out of range (0 to %d)", name, USERSPEC_ID_MAX);
	while (next_line(&passwd, &line)) {
		if (line.n < 4 || !read_id(line.fields[2], &uid) || !read_id(line.fields[3], &gid))
			continue;
		if (by_number ? uid != wanted : strcmp(line.fields[0], name) != 0)
			continue;
		user->uid = uid;
		user->gid = gid;
		if (line.n < 6 || !str_copy(user->home, sizeof(user->home), line.fields[5]) || user->home[0] != '/')
			(void)str_copy(user->home, sizeof(user->home), "/");
		return 0;
	}
	if (!by_number)
		return err_set(err, EINVAL, "user \"%.64s\" is not in the image's /etc/passwd", name);
	user->uid = wanted;
	user->gid = 0;
	(void)str_copy(user->home, sizeof(user->home), wanted == 0 ? "/root" : "/");
	return 0;
}

static int find_group(const char *name, const char *group, uint32_t *ret_gid, struct err *err)
{
	struct line line;
	uint32_t gid;

	if (is_digits(name)) {
		if (read_id(name, ret_gid))
			return 0;
		return err_set(err, EINVAL, "group %.64s is out of range (0 to %d)", name, USERSPEC_ID_MAX);
	}
	while (next_line(&group, &line))
		if (line.n >= 3 && strcmp(line.fields[0], name) == 0 && read_id(line.fields[2], &gid)) {
			*ret_gid = gid;
			return 0;
		}
	return err_set(err, EINVAL, "group \"%.64s\" is not in the image's /etc/group", name);
}

int userspec_parse(const char *spec, const char *passwd, const char *group, struct userspec *ret_user, struct err *err)
{
	struct userspec user = {0};
	char name[128];
	size_t length = strcspn(spec, ":");
	int r;

	if (length >= sizeof(name))
		return err_set(err, EINVAL, "the image's user is longer than %zu bytes", sizeof(name) - 1);
	memcpy(name, spec, length);
	name[length] = '\0';
	if (spec[length] == ':' && strchr(spec + length + 1, ':'))
		return err_set(err, EINVAL, "user \"%.64s\" has more than two parts", spec);
	r = find_user(length ? name : "0", passwd, &user, err);
	if (r == 0 && spec[length] == ':' && spec[length + 1])
		r = find_group(spec + length + 1, group, &user.gid, err);
	if (r == 0)
		*ret_user = user;
	return r;
}

/* 1: read; 0: this layer says that there is no such file; -ENOENT: this layer says nothing. */
static int read_from_layer(int layer_fd, const char *path, char **ret_text, struct err *err)
{
	struct open_how how = {.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY,
			       .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};
	struct open_how look = {.flags = O_PATH | O_CLOEXEC | O_NOFOLLOW,
				.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};
	_cleanup_fd_ int entry_fd = (int)syscall(SYS_openat2, layer_fd, path, &look, sizeof(look));
	_cleanup_fd_ int fd = -1;
	char self[64];
	struct stat st;

	if (entry_fd < 0)
		return errno == ENOENT || errno == ENOTDIR ? -ENOENT : err_sys(err, errno, "the image's /%s", path);
	if (fstat(entry_fd, &st) < 0)
		return err_sys(err, errno, "the image's /%s", path);
	/* A whiteout of overlayfs: a character device with number 0. */
	if (S_ISCHR(st.st_mode))
		return 0;
	fd = (int)syscall(SYS_openat2, layer_fd, path, &how, sizeof(how));
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_sys(err, errno, "the image's /%s", path);
	if (!S_ISREG(st.st_mode))
		return err_set(err, EINVAL, "the image's /%s is no regular file", path);
	(void)snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
	if (file_read(AT_FDCWD, self, USERSPEC_FILE_MAX, ret_text, err) < 0)
		return err_wrap(err, "the image's /%s", path);
	return 1;
}

static int read_file(const char *path, const int *layer_fds, unsigned n_layers, char **ret_text, struct err *err)
{
	int r = -ENOENT;

	for (unsigned i = n_layers; i > 0 && r == -ENOENT; i--)
		r = read_from_layer(layer_fds[i - 1], path, ret_text, err);
	if (r < 0 && r != -ENOENT)
		return r;
	if (r != 1)
		*ret_text = strdup("");
	if (*ret_text)
		return 0;
	(void)err_sys(err, ENOMEM, "the image's /%s", path);
	return -ENOMEM;
}

int userspec_resolve(const char *spec, const int *layer_fds, unsigned n_layers, struct userspec *ret_user,
		     struct err *err)
{
	_cleanup_free_ char *passwd = NULL, *group = NULL;
	int r = read_file("etc/passwd", layer_fds, n_layers, &passwd, err);

	if (r == 0)
		r = read_file("etc/group", layer_fds, n_layers, &group, err);
	return r < 0 ? r : userspec_parse(spec, passwd, group, ret_user, err);
}
