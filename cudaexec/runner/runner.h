/*
 * The runner of CUDA bundles: reads calls in the hot HTTP format from one descriptor, answers on another, until the
 * input ends. One per process.
 */
#ifndef FERRITE_CUDAEXEC_RUNNER_H
#define FERRITE_CUDAEXEC_RUNNER_H

#include <stddef.h>

/* How the program ends. 4 and above: the instance has to be replaced, the calls it read were answered. */
enum runner_exit {
	RUNNER_EXIT_END = 0,	  /* the input ended between two calls */
	RUNNER_EXIT_USAGE = 2,	  /* unknown arguments or environment */
	RUNNER_EXIT_PROTOCOL = 3, /* the input is no HTTP; answered with 400 if that was possible */
	RUNNER_EXIT_LOST = 4,	  /* a fault broke the CUDA context, or the device was not to be had at the start */
	RUNNER_EXIT_OUTPUT = 5,	  /* an answer could not be written, or not finished */
};

struct runner_options {
	const char *manifest; /* canonical JSON of the cuda section */
	const char *image;    /* NAME:TAG, for answers in the v2 form */
	const char *library;  /* the CUDA driver; NULL: libcuda.so.1 */
	size_t body_max;      /* bytes */
	int input_fd;
	int output_fd;
};

/* Works until the input ends. What cannot be told to a caller is logged. */
enum runner_exit runner_main(const struct runner_options *options);

#endif
