/*
 * Runs a fuzz target over files: the corpus and every past crasher are regression tests of the normal suite. A file or
 * the files of a folder (not recursive) may be named; ends with the line of counts.
 */
#include "supervisor/util.h"

#include <fcntl.h>
#include <sys/stat.h>

#define INPUT_MAX (16 * MIB)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned ran;

static int run_file(int dirfd, const char *path)
{
	_cleanup_free_ char *text = NULL;
	struct err err = ERR_INIT;
	ssize_t length = file_read(dirfd, path, INPUT_MAX, &text, &err);

	if (length < 0) {
		fprintf(stderr, "%s\n", err.text);
		return -1;
	}
	(void)LLVMFuzzerTestOneInput((const uint8_t *)text, (size_t)length);
	ran++;
	return 0;
}

static int run_folder(const char *path)
{
	_cleanup_dir_ DIR *dir = opendir(path);

	if (!dir) {
		perror(path);
		return -1;
	}
	for (struct dirent *entry = readdir(dir); entry; entry = readdir(dir))
		if (entry->d_name[0] != '.' && run_file(dirfd(dir), entry->d_name) < 0)
			return -1;
	return 0;
}

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		struct stat st;

		if (stat(argv[i], &st) < 0) {
			perror(argv[i]);
			return 1;
		}
		if ((S_ISDIR(st.st_mode) ? run_folder(argv[i]) : run_file(AT_FDCWD, argv[i])) < 0)
			return 1;
	}
	printf("%u passed, 0 failed, 0 skipped\n", ran);
	return ran > 0 ? 0 : 1;
}
