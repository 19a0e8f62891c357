/*
 * The `cuda:` section of a function bundle: what module or handler it has, which tensors go in and out, and which
 * kernels are launched on them (contract: docs of function bundles, sections 2 and 3).
 *
 * manifest_parse() validates the whole section strictly and compiles its expressions once; the result is read-only and
 * may be shared between threads. It owns copies of everything, the JSON can be released.
 *
 * Every error text begins with the place in the section, such as "cuda.launch[0].args[2]: …"; with
 * manifest_error_place() a caller that knows the source file turns it into a line number.
 */
#ifndef FERRITE_CUDAEXEC_MANIFEST_H
#define FERRITE_CUDAEXEC_MANIFEST_H

#include "cudaexec/runner/datatype.h"
#include "cudaexec/runner/expr.h"
#include "supervisor/err.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	MANIFEST_TEXT_MAX = 64 * 1024, /* bytes of the canonical JSON: it travels in an environment variable */
	MANIFEST_TENSORS_MAX = 64,     /* inputs, outputs and scratch buffers together */
	MANIFEST_LAUNCHES_MAX = 64,
	MANIFEST_ARGS_MAX = 64,	    /* per launch */
	MANIFEST_SYMBOLS_MAX = 128, /* dimension and scalar-integer names */
	MANIFEST_RANK_MAX = 8,
	MANIFEST_NAME_MAX = EXPR_NAME_MAX,
	MANIFEST_KERNEL_NAME_MAX = 1023, /* mangled C++ names are long */
	MANIFEST_PATH_MAX = 255,
};

enum manifest_module_kind {
	MANIFEST_MODULE_PTX,
	MANIFEST_MODULE_FATBIN,
	MANIFEST_MODULE_CUBIN,
	MANIFEST_MODULE_CU, /* source: the bundler compiles it and names the result in the section it stores */
};

/* An input, output or scratch buffer; one object also for an input that is updated in place as an output. */
struct manifest_tensor {
	char name[MANIFEST_NAME_MAX + 1];
	enum datatype datatype;
	unsigned rank;
	struct expr *shape[MANIFEST_RANK_MAX]; /* of inputs: each one a number or a name */
	bool is_input;
	bool is_output;
	bool is_scalar;	       /* an input without dimensions: passed by value */
	int symbol;	       /* slot of a scalar integer, else -1 */
	json_t *default_value; /* inputs only, may be NULL; already checked against datatype and shape */
};

enum manifest_arg_kind {
	MANIFEST_ARG_TENSOR, /* device pointer of tensors[tensor] */
	MANIFEST_ARG_SCALAR, /* value of the scalar input tensors[tensor] */
	MANIFEST_ARG_VALUE,  /* value of an expression, converted to datatype */
	MANIFEST_ARG_NUMBER, /* floating constant */
};

struct manifest_arg {
	enum manifest_arg_kind kind;
	size_t tensor;
	enum datatype datatype; /* of what is passed; not used for tensors */
	struct expr *value;
	double number;
};

struct manifest_launch {
	char *kernel;
	struct expr *grid[3];
	struct expr *block[3];
	struct expr *shared; /* bytes */
	size_t n_args;
	struct manifest_arg *args;
};

struct manifest {
	/* Exactly one of the two is set; both are paths below the bundle's working directory. */
	char *module;
	char *handler;
	enum manifest_module_kind module_kind;

	/* Inputs in their order, then outputs that are not inputs, then scratch buffers. */
	struct manifest_tensor *tensors;
	size_t n_tensors;
	size_t n_inputs;
	/* Indices into tensors, in the order of the section. */
	size_t outputs[MANIFEST_TENSORS_MAX];
	size_t n_outputs;

	struct manifest_launch *launches;
	size_t n_launches;

	/* Names that expressions use: dimensions of inputs and scalar integer inputs. */
	char symbols[MANIFEST_SYMBOLS_MAX][MANIFEST_NAME_MAX + 1];
	bool symbol_used[MANIFEST_SYMBOLS_MAX]; /* some expression or shape needs its value */
	size_t n_symbols;

	char *canonical; /* the section as compact JSON with sorted keys */
};

/*
 * Validates SECTION, the value of the bundle's `cuda` key. Returns 0 and a manifest that the caller frees, -EINVAL with
 * the place and the cause, -E2BIG when a bound above is exceeded, or -ENOMEM.
 */
int manifest_parse(const json_t *section, struct manifest **ret_manifest, struct err *err);

/* The same for JSON text (the canonical form in the environment of the runner). */
int manifest_parse_text(const char *text, size_t length, struct manifest **ret_manifest, struct err *err);

/* The canonical JSON: compact, keys sorted, equal for equal sections. Lives as long as the manifest. */
const char *manifest_canonical(const struct manifest *manifest);

/*
 * Copies the place that an error text of this module begins with, e.g. "cuda.launch[0].args[2]" or
 * "cuda.launch[0].grdi" for an unknown key; empty when there is none. Returns the buffer.
 */
char *manifest_error_place(const struct err *err, char *buffer, size_t size);

/* One kernel of a module as its own parameter list describes it. */
struct kernel_signature {
	char *name;
	size_t n_params;
	size_t *param_sizes; /* bytes */
};

struct kernel_list {
	struct kernel_signature *kernels;
	size_t count;
};

/*
 * Compares every launch with the kernels of the module: the kernel exists, and the number of arguments and the size of
 * each agree. Returns 0 or -EINVAL naming the kernel, the argument and both sizes.
 */
int manifest_check_kernels(const struct manifest *manifest, const struct kernel_list *kernels, struct err *err);

/*
 * Reads the kernels of a module image: PTX text, fat binary or cubin, told apart by their first bytes. Returns 0 and a
 * list that the caller frees, -EINVAL when the image is malformed or of no known kind, -ENOMEM. The texts name the
 * cause, for PTX with the line; they carry no place.
 */
int kernel_list_read(const void *image, size_t length, struct kernel_list **ret_list, struct err *err);

/* Accept NULL; return NULL. */
struct kernel_list *kernel_list_free(struct kernel_list *list);
struct manifest *manifest_free(struct manifest *manifest);

/* For _cleanup_(). */
void manifest_release(struct manifest **manifest);
void kernel_list_release(struct kernel_list **list);

#endif
