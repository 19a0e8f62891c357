/*
 * cudaexec: runs one CUDA bundle. Started in the bundle's folder inside a container; calls come on standard input,
 *answers go to standard output, standard error is the function's log.
 *
 *	FERRITE_CUDA		the bundle's cuda section as JSON (needed)
 *	FERRITE_IMAGE		NAME:TAG of the image
 *	FERRITE_BODY_MAX	bytes of a request body, or with KiB MiB GiB (256MiB)
 *	LOG_LEVEL		debug info warn error
 */
#include "cudaexec/runner/runner.h"
#include "supervisor/log.h"
#include "supervisor/str.h"
#include "supervisor/util.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>

#define BODY_MAX_DEFAULT (256 * MIB)

/*
 * Kernels print to standard output, and a handler may do so by mistake: the descriptors of the protocol move away,
 * output joins the log and input is empty.
 */
static int move_protocol(int *ret_input_fd, int *ret_output_fd)
{
	int input_fd = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3), output_fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
	int null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	if (input_fd < 0 || output_fd < 0 || null_fd < 0 || dup2(null_fd, STDIN_FILENO) < 0 ||
	    dup2(STDERR_FILENO, STDOUT_FILENO) < 0)
		return -errno;
	(void)close(null_fd);
	*ret_input_fd = input_fd;
	*ret_output_fd = output_fd;
	return 0;
}

int main(int argc, char **argv)
{
	const char *image = getenv("FERRITE_IMAGE"), *limit = getenv("FERRITE_BODY_MAX"), *level = getenv("LOG_LEVEL");
	struct runner_options options = {.manifest = getenv("FERRITE_CUDA"), .image = image ? image : "function"};
	uint64_t body_max = BODY_MAX_DEFAULT;
	int code;

	log_open("cudaexec");
	if (level && !log_level_set(level))
		log_warn("unknown LOG_LEVEL, taking info", LOG_STR("value", level));
	if (argc == 2 && strcmp(argv[1], "--version") == 0) {
		printf("cudaexec %s\n", FERRITE_VERSION);
		return 0;
	}
	if (argc > 1 || !options.manifest) {
		log_error("cudaexec takes no arguments and needs FERRITE_CUDA, the bundle's cuda section as JSON");
		return RUNNER_EXIT_USAGE;
	}
	if (limit && (str_size(limit, 1, &body_max) < 0 || body_max > SIZE_MAX / 2)) {
		log_error("FERRITE_BODY_MAX is no size", LOG_STR("value", limit));
		return RUNNER_EXIT_USAGE;
	}
	options.body_max = (size_t)body_max;
	(void)signal(SIGPIPE, SIG_IGN);
	code = move_protocol(&options.input_fd, &options.output_fd);
	if (code < 0) {
		log_error("cannot set up the descriptors", LOG_INT("errno", -code));
		return RUNNER_EXIT_USAGE;
	}
	return (int)runner_main(&options);
}
