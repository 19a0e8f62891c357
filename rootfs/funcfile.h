/*
 * The function file: func.yaml, func.yml or func.json of a bundle folder.
 *
 * Reading is strict: an unknown key is an error that names the key, its line and the nearest known key; every value is
 * checked for type and range; everything is bounded. Error texts begin with the file and line ("func.yaml:7: …").
 *
 * The result is one structure that owns everything it points to; function_file_free() releases it. Optional strings
 * that were not given are NULL, optional numbers have a has_… flag where 0 means something. No thread is started and
 * nothing is shared, so different files may be read by different threads.
 */
#ifndef FERRITE_ROOTFS_FUNCFILE_H
#define FERRITE_ROOTFS_FUNCFILE_H

#include "cudaexec/runner/manifest.h"
#include "supervisor/err.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	FUNCTION_FILE_MAX = 1024 * 1024, /* bytes of the file */
	FUNCTION_LIST_MAX = 1024,	 /* entries of any list or map in it */
};

enum function_runtime {
	FUNCTION_RUNTIME_EXEC,
	FUNCTION_RUNTIME_CUDA,
	FUNCTION_RUNTIME_IMAGE, /* nothing to bundle: the file speaks of an image that was made elsewhere */
	FUNCTION_RUNTIME_MAX,
};
enum function_pressure { FUNCTION_PRESSURE_WAIT, FUNCTION_PRESSURE_FAIL, FUNCTION_PRESSURE_MAX };
enum function_isolation {
	FUNCTION_ISOLATION_INTERPOSE,
	FUNCTION_ISOLATION_EXCLUSIVE,
	FUNCTION_ISOLATION_REMOTE,
	FUNCTION_ISOLATION_MIG,
	FUNCTION_ISOLATION_MAX,
};
enum function_network {
	FUNCTION_NETWORK_NONE,
	FUNCTION_NETWORK_BRIDGE,
	FUNCTION_NETWORK_HOST,
	FUNCTION_NETWORK_MAX,
};

/* The names of the values above as they stand in the file ("image" only here), each list ended by NULL. */
extern const char *const function_runtime_names[FUNCTION_RUNTIME_MAX + 1];
extern const char *const function_pressure_names[FUNCTION_PRESSURE_MAX + 1];
extern const char *const function_isolation_names[FUNCTION_ISOLATION_MAX + 1];
extern const char *const function_network_names[FUNCTION_NETWORK_MAX + 1];

/* Keys and values in the order of the file. */
struct function_pair {
	char *key;
	char *value;
};

struct function_pairs {
	struct function_pair *items;
	size_t count;
};

/* items is ended by NULL, or NULL when the key was not given. */
struct function_strings {
	char **items;
	size_t count;
};

/* One row of `files`. */
struct function_copy {
	char *from;    /* relative to the folder */
	char *to;      /* absolute, in the image; NULL: its place below /function */
	uint32_t mode; /* permission bits, 0: as in the folder */
	unsigned line;
};

/* One row of `tests`. Texts that were not given are NULL. */
struct function_test {
	char *name;
	char *in;  /* standard input of the function */
	char *out; /* its exact standard output */
	char *err; /* its exact standard error, local runs only */
	struct function_pairs env;
	unsigned line;
};

struct function_gpu {
	uint32_t count;	       /* 0: no GPU */
	uint64_t memory_bytes; /* usable device memory; 0: operator setting */
	char *capabilities;    /* never NULL, default "compute,utility" */
	enum function_pressure on_pressure;
	enum function_isolation isolation;
	uint32_t sm_percent; /* 1..100; 0: not given */
	uint32_t warm;	     /* contexts to keep ready */
};

struct function_file {
	char *file_name; /* "func.yaml", "func.yml" or "func.json" */

	/* --- IronFunctions' keys --- */
	char *name;    /* image name, maybe without tag */
	char *version; /* becomes the tag */
	char *path;    /* route path, begins with '/' (put in front when it was missing) */
	char *type;    /* "sync" or "async" */
	char *format;  /* "default" or "http" */
	bool has_memory, has_timeout, has_idle_timeout, has_max_concurrency;
	uint64_t memory_mib; /* host memory */
	uint32_t timeout_s, idle_timeout_s;
	uint32_t max_concurrency;
	char *jwt_key;
	struct function_pairs config; /* `$VAR` is not expanded here */
	struct function_pairs headers;
	char *fn_runtime;	       /* "go", "node:6": with it fn makes the image, in Docker; NULL: none */
	struct function_strings build; /* shell commands that make the files of the bundle */
	struct function_test *tests;
	size_t n_tests;

	/* --- ferrite's keys --- */
	enum function_runtime runtime;
	char *base; /* "host", "scratch" or an image name; after bundle_load() never NULL */
	struct function_strings entrypoint, cmd, env; /* env: "K=V" */
	char *workdir;				      /* after bundle_load() never NULL */
	char *user;
	struct function_copy *files; /* NULL: the whole folder */
	size_t n_files;
	bool has_gpu, has_network;
	struct function_gpu gpu;       /* with defaults where the file has none */
	enum function_network network; /* with its default when the file has none */
	struct manifest *cuda;	       /* the validated `cuda` section, NULL for other runtimes */
	json_t *cuda_section;	       /* the section itself */

	/* Where each part of the file stands, for messages about it. */
	struct source_node *lines;
};

/*
 * Finds and reads the function file of the folder DIR. Returns 0; -ENOENT when there is none; -EINVAL with file, line
 * and cause; -E2BIG when a bound is exceeded.
 */
int function_file_load(const char *dir, struct function_file **ret_file, struct err *err);

/* The same from memory. FILE_NAME decides between YAML and JSON by its ending and stands in error texts. */
int function_file_parse(const char *file_name, const char *text, size_t length, struct function_file **ret_file,
			struct err *err);

/*
 * Raises the last part of the version in TEXT, the file as it was read, and leaves every other byte as it is; a block
 * of YAML without a version gets 0.0.1 below its name. The result and its new version are the caller's to free. -EINVAL
 * when the file is wrong or its version is not of the form MAJOR.MINOR.PATCH.
 */
int function_file_bump(const char *file_name, const char *text, size_t length, char **ret_text, char **ret_version,
		       struct err *err);

/* Reads the function file of the folder DIR as it is. The name is one of the three and static; the text is terminated.
 */
int function_file_read(const char *dir, const char **ret_name, char **ret_text, size_t *ret_length, struct err *err);

/*
 * Puts "func.yaml:LINE: " in front of an error whose text begins with a place such as "cuda.launch[0].args[2]"
 * (manifest_error_place()); without a known place only the file name. Returns the error's code.
 */
int function_file_locate(const struct function_file *file, struct err *err);

/* The line of a place such as "files[2].from", or of its nearest known parent; 0 when nothing of it is known. */
unsigned function_file_line(const struct function_file *file, const char *place);

/* Accepts NULL; returns NULL. */
struct function_file *function_file_free(struct function_file *file);

/* For _cleanup_(). */
void function_file_release(struct function_file **file);

#endif
