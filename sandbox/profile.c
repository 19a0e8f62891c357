#include "sandbox/profile.h"

#include "sandbox/device_policy.h"
#include "sandbox/mounts.h"
#include "sandbox/root.h"
#include "supervisor/str.h"
#include "supervisor/util.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#define PROC_DEVICES_MAX (64 * 1024)

long profile_next_record(char *bytes, size_t length, struct profile_record *ret_record)
{
	struct sbx_item item;
	char *list[3];
	size_t count;

	if (length < sizeof(item))
		return -EBADMSG;
	memcpy(&item, bytes, sizeof(item));
	if (item.kind >= SBX_ITEM_MAX || item.length > length - sizeof(item))
		return -EBADMSG;
	count = item.kind == SBX_ITEM_FILE || item.kind == SBX_ITEM_DEVICE ? 1 : 2;
	if (str_unpack(bytes + sizeof(item), item.length, count, list) != (long)item.length)
		return -EBADMSG;
	*ret_record = (struct profile_record){item.kind, list[0], count == 2 ? list[1] : NULL};
	return (long)(sizeof(item) + item.length);
}

static bool name_allowed(const char *name, size_t length, const char *prefixes)
{
	while (*prefixes) {
		size_t n = strcspn(prefixes, ",");

		if (n > 0 && n <= length && strncmp(name, prefixes, n) == 0)
			return true;
		prefixes += n + (prefixes[n] == ',');
	}
	return false;
}

bool profile_major_allowed(const char *devices, unsigned major, const char *prefixes)
{
	bool character = false;

	for (const char *line = devices; *line;) {
		size_t length = strcspn(line, "\n");
		char *end;
		unsigned long number = strtoul(line, &end, 10);

		if (strncmp(line, "Character devices:", 18) == 0)
			character = true;
		else if (strncmp(line, "Block devices:", 14) == 0)
			character = false;
		else if (character && end != line && *end == ' ' && number == major &&
			 name_allowed(end + 1, length - (size_t)(end + 1 - line), prefixes))
			return true;
		line += length + (line[length] == '\n');
	}
	return false;
}

static int check_source(int fd, uint32_t kind, const char *devices, const char *prefixes, uint64_t *ret_device,
			struct err *err)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return err_sys(err, errno, "look at it");
	if (kind == SBX_ITEM_FILE) {
		if (!S_ISREG(st.st_mode))
			return err_set(err, EINVAL, "is not a regular file");
		if (st.st_uid != 0 || (st.st_mode & (S_IWGRP | S_IWOTH)))
			return err_set(err, EPERM, "can be changed by others than root");
		return 0;
	}
	if (!S_ISCHR(st.st_mode))
		return err_set(err, EINVAL, "is not a character device");
	if (!profile_major_allowed(devices, major(st.st_rdev), prefixes))
		return err_set(err, EPERM, "device %u:%u belongs to no driver that is allowed (%s)", major(st.st_rdev),
			       minor(st.st_rdev), prefixes);
	*ret_device = st.st_rdev;
	return 1;
}

static int check_records(struct profile *profile, unsigned n_items, const int *source_fds, unsigned n_sources,
			 const char *devices, const char *prefixes, struct err *err)
{
	unsigned used = 0, count = 0;
	size_t at = 0;

	for (; at < profile->length; count++) {
		struct profile_record record;
		long n = profile_next_record(profile->records + at, profile->length - at, &record);
		int r;

		if (n < 0)
			return err_set(err, EBADMSG, "record %u of the profile is malformed", count);
		at += (size_t)n;
		if (!root_path_valid(record.destination))
			return err_set(err, EINVAL, "record %u: the destination is no plain absolute path", count);
		if (!profile_record_has_fd(&record))
			continue;
		if (used == n_sources)
			return err_set(err, EBADMSG, "fewer descriptors than records that need one");
		r = check_source(source_fds[used++], record.kind, devices, prefixes,
				 &profile->devices[profile->n_devices], err);
		if (r < 0)
			return err_wrap(err, "%s", record.destination);
		profile->n_devices += (unsigned)r;
	}
	if (count != n_items || used != n_sources)
		return err_set(err, EBADMSG, "%u records and %u descriptors, announced were %u and %u", count, used,
			       n_items, n_sources);
	return 0;
}

static void profile_cleanup(struct profile *profile)
{
	profile_done(profile);
}

int profile_build(struct profile *profile, const struct sbx_profile *message, char *tail, size_t length,
		  int *source_fds, unsigned n_sources, int proc_fd, const char *prefixes, struct err *err)
{
	_cleanup_(profile_cleanup) struct profile made = {.number = message->profile, .program_fd = -1};
	_cleanup_free_ char *devices = NULL;
	int r = (int)file_read(proc_fd, "devices", PROC_DEVICES_MAX, &devices, err);

	if (r < 0)
		return r;
	made.records = malloc(length + 1);
	made.source_fds = calloc(n_sources + 1, sizeof(int));
	made.devices = calloc(n_sources + 1, sizeof(uint64_t));
	if (!made.records || !made.source_fds || !made.devices)
		return err_sys(err, ENOMEM, "store a profile");
	memcpy(made.records, tail, length);
	made.length = length;
	r = check_records(&made, message->n_items, source_fds, n_sources, devices, prefixes, err);
	if (r == 0 && made.n_devices > 0) {
		made.program_fd = device_policy_load(made.devices, made.n_devices, err);
		r = MIN(made.program_fd, 0);
	}
	if (r < 0)
		return r;
	for (unsigned i = 0; i < n_sources; i++)
		made.source_fds[i] = take_fd(&source_fds[i]);
	made.n_sources = n_sources;
	*profile = made;
	made = (struct profile){.program_fd = -1};
	return 0;
}

int profile_clone_mounts(const struct profile *profile, int *ret_fds, struct err *err)
{
	size_t at = 0;
	unsigned n = 0;
	int r = 0;

	while (at < profile->length) {
		struct profile_record record;
		uint64_t attributes = MOUNT_ATTR_NOSUID;

		at += (size_t)profile_next_record(profile->records + at, profile->length - at, &record);
		if (!profile_record_has_fd(&record))
			continue;
		attributes |= record.kind == SBX_ITEM_FILE ? MOUNT_ATTR_RDONLY | MOUNT_ATTR_NODEV : MOUNT_ATTR_NOEXEC;
		ret_fds[n] = r = mount_clone(profile->source_fds[n], "", err);
		if (r >= 0) {
			n++;
			r = mount_set_attributes(ret_fds[n - 1], attributes, err);
		}
		if (r < 0) {
			while (n > 0)
				fd_close(&ret_fds[--n]);
			return err_wrap(err, "%s", record.destination);
		}
	}
	return (int)n;
}

void profile_done(struct profile *profile)
{
	for (unsigned i = 0; i < profile->n_sources; i++)
		fd_close(&profile->source_fds[i]);
	free(profile->records);
	free(profile->source_fds);
	free(profile->devices);
	fd_close(&profile->program_fd);
	*profile = (struct profile){.program_fd = -1};
}
