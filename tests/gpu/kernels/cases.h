/*
 * The 21 test kernels with their references in C. A case runs one kernel on a backend (the engine itself, or a CUDA
 * driver) with random input of a given size and compares: exactly for integers and where every operation is rounded the
 * same way, else within a stated tolerance.
 */
#ifndef FERRITE_TESTS_GPU_KERNELS_CASES_H
#define FERRITE_TESTS_GPU_KERNELS_CASES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct kernel_arg {
	const void *value;
	size_t size;
};

/* What a case needs from a device. Functions return false after they have written the reason into error. */
struct backend {
	bool (*load)(struct backend *backend, const char *ptx, size_t size);
	uint64_t (*alloc)(struct backend *backend, size_t size);
	void (*release)(struct backend *backend, uint64_t address);
	bool (*put)(struct backend *backend, uint64_t to, const void *from, size_t size);
	bool (*get)(struct backend *backend, void *to, uint64_t from, size_t size);
	bool (*variable)(struct backend *backend, const char *name, uint64_t *ret_address);
	bool (*launch)(struct backend *backend, const char *kernel, const unsigned grid[3], const unsigned block[3],
		       unsigned shared, const struct kernel_arg *args, unsigned count);
	char error[512];
	void *state;
};

struct random {
	uint64_t state;
};

uint32_t random_u32(struct random *random);
uint32_t random_below(struct random *random, uint32_t bound);
float random_float(struct random *random, float low, float high);

struct kernel_case {
	const char *name; /* of the kernel, and of its PTX */
	bool (*run)(struct backend *backend, struct random *random, uint32_t n);
	uint32_t n_max; /* larger sizes add nothing but time */
};

extern const struct kernel_case kernel_cases[];
extern const unsigned kernel_case_count;

/* The checked-in PTX of a kernel, by name and variant ("", "fast", "debug"); NULL when there is none. */
const char *kernel_ptx(const char *name, const char *variant, size_t *ret_size);

/* Runs a case with every size up to its largest; false with the reason (case, size) in backend->error. */
bool kernel_case_run(const struct kernel_case *test, struct backend *backend, uint64_t seed, const char *variant);

/* --- for the files with cases ---------------------------------------------------------------------------------------
 */

bool case_fail(struct backend *backend, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A host array with its copy on the device; everything is released by case_done(). */
struct array {
	void *host;
	uint64_t device;
	size_t bytes;
};

#define CASE_ARRAYS 6
struct case_memory {
	struct backend *backend;
	struct array arrays[CASE_ARRAYS];
	unsigned count;
	bool failed;
};

/* Makes an array of COUNT elements, zeroed; at least one byte is allocated. */
struct array *case_array(struct case_memory *memory, size_t count, size_t size);
bool case_upload(struct case_memory *memory);
bool case_download(struct case_memory *memory, struct array *array);
bool case_done(struct case_memory *memory, bool result);

bool case_same(struct backend *backend, const char *what, size_t i, uint64_t got, uint64_t want);
/* |got - want| <= relative * |want| + absolute */
bool case_near(struct backend *backend, const char *what, size_t i, double got, double want, double relative,
	       double absolute);

#define ARG(x) \
	(struct kernel_arg) \
	{ \
		&(x), sizeof(x) \
	}
/* Launches NAME with the arguments that follow. */
#define CASE_LAUNCH(backend, name, gx, gy, bx, by, shared, ...) \
	(backend)->launch(backend, name, (const unsigned[]){gx, gy, 1}, (const unsigned[]){bx, by, 1}, shared, \
			  (const struct kernel_arg[]){__VA_ARGS__}, \
			  sizeof((const struct kernel_arg[]){__VA_ARGS__}) / sizeof(struct kernel_arg))

extern bool case_vector_add(struct backend *backend, struct random *random, uint32_t n);
extern bool case_saxpy(struct backend *backend, struct random *random, uint32_t n);
extern bool case_reduce_sum(struct backend *backend, struct random *random, uint32_t n);
extern bool case_reduce_tree(struct backend *backend, struct random *random, uint32_t n);
extern bool case_sgemm(struct backend *backend, struct random *random, uint32_t n);
extern bool case_histogram(struct backend *backend, struct random *random, uint32_t n);
extern bool case_mandelbrot(struct backend *backend, struct random *random, uint32_t n);
extern bool case_conv2d(struct backend *backend, struct random *random, uint32_t n);
extern bool case_thumbnail(struct backend *backend, struct random *random, uint32_t n);
extern bool case_softmax(struct backend *backend, struct random *random, uint32_t n);
extern bool case_layernorm(struct backend *backend, struct random *random, uint32_t n);
extern bool case_scan(struct backend *backend, struct random *random, uint32_t n);
extern bool case_nbody(struct backend *backend, struct random *random, uint32_t n);
extern bool case_alpha_blend(struct backend *backend, struct random *random, uint32_t n);
extern bool case_transpose(struct backend *backend, struct random *random, uint32_t n);
extern bool case_device_call(struct backend *backend, struct random *random, uint32_t n);
extern bool case_black_scholes(struct backend *backend, struct random *random, uint32_t n);
extern bool case_votes(struct backend *backend, struct random *random, uint32_t n);
extern bool case_atomics(struct backend *backend, struct random *random, uint32_t n);
extern bool case_integer_mix(struct backend *backend, struct random *random, uint32_t n);
extern bool case_switch_local(struct backend *backend, struct random *random, uint32_t n);

#endif
