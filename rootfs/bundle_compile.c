#include "rootfs/bundle_compile.h"

#include "supervisor/util.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define COMPILE_TIME_US (120ull * 1000000)
#define OUTPUT_MAX	4096 /* bytes of the compiler's messages that are kept, the first ones */
#define PTX_MAX		(64 * 1024 * 1024)
#define NVCC_PLACE	"/usr/local/cuda/bin/nvcc"
#define CUDA_PLACE	"/usr/local/cuda"

/* The oldest architecture that current compilers still know; PTX runs on every newer one. */
#define ARCHITECTURE_NVCC  "-arch=compute_75"
#define ARCHITECTURE_CLANG "--cuda-gpu-arch=sm_75"

struct output {
	char text[OUTPUT_MAX + 1];
	size_t length;
};

/* Full path of a program of the PATH, or false. */
static bool find_program(const char *name, char *buffer, size_t size)
{
	const char *path = getenv("PATH");

	for (const char *at = path ? path : "/usr/bin:/bin"; *at;) {
		size_t n = strcspn(at, ":");

		if (n > 0 && *at == '/' && (size_t)snprintf(buffer, size, "%.*s/%s", (int)n, at, name) < size &&
		    access(buffer, X_OK) == 0)
			return true;
		at += n + (at[n] == ':');
	}
	return false;
}

static _Noreturn void run_compiler(int dir_fd, int output_fd, char *const *argv)
{
	int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	(void)setpgid(0, 0);
	if (null_fd >= 0 && dup2(null_fd, 0) >= 0 && dup2(output_fd, 1) >= 0 && dup2(output_fd, 2) >= 0 &&
	    fchdir(dir_fd) == 0)
		(void)execv(argv[0], argv);
	_exit(127);
}

/* Reads until the compiler and its children have closed their end, or the time is over. */
static int read_output(int fd, struct output *output, struct err *err)
{
	uint64_t end = clock_monotonic_us() + COMPILE_TIME_US;

	for (;;) {
		struct pollfd p = {.fd = fd, .events = POLLIN};
		uint64_t now = clock_monotonic_us();
		char buffer[4096];
		ssize_t n;

		if (now >= end)
			return err_set(err, ETIMEDOUT, "the compiler does not come to an end");
		if (poll(&p, 1, (int)((end - now) / 1000) + 1) <= 0)
			continue;
		n = read(fd, buffer, sizeof(buffer));
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return 0;
		n = (ssize_t)MIN((size_t)n, OUTPUT_MAX - output->length);
		memcpy(output->text + output->length, buffer, (size_t)n);
		output->length += (size_t)n;
	}
}

static int run(int dir_fd, char *const *argv, struct output *output, struct err *err)
{
	int pipe_fds[2], status = 0, r;
	pid_t pid;

	if (pipe2(pipe_fds, O_CLOEXEC) < 0)
		return err_sys(err, errno, "start the compiler");
	pid = fork();
	if (pid == 0)
		run_compiler(dir_fd, pipe_fds[1], argv);
	(void)close(pipe_fds[1]);
	r = pid < 0 ? err_sys(err, errno, "start the compiler") : read_output(pipe_fds[0], output, err);
	(void)close(pipe_fds[0]);
	if (pid < 0)
		return r;
	if (r < 0)
		(void)kill(-pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (r < 0)
		return r;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	/* The first message names the file and line; an error text has no room for more. */
	while (output->length > 0 && output->text[output->length - 1] == '\n')
		output->length--;
	output->text[output->length] = '\0';
	return err_set(err, EINVAL, "%s failed: %s", argv[0], output->length ? output->text : "no message");
}

static int compile_to(int dir_fd, const char *path, char *result, struct err *err)
{
	struct output output = {.length = 0};
	char program[4096], source[4096];
	/* A name that begins with a hyphen is a file all the same. */
	bool fits = (size_t)snprintf(source, sizeof(source), "./%s", path) < sizeof(source);

	if (!fits)
		return err_set(err, ENAMETOOLONG, "the name of the module is too long");
	if (find_program("nvcc", program, sizeof(program)) || access(NVCC_PLACE, X_OK) == 0) {
		char *argv[] = {access(program, X_OK) == 0 ? program : (char[]){NVCC_PLACE},
				(char[]){"-ptx"},
				(char[]){ARCHITECTURE_NVCC},
				(char[]){"-o"},
				result,
				source,
				NULL};

		return run(dir_fd, argv, &output, err);
	}
	if (find_program("clang", program, sizeof(program)) && access(CUDA_PLACE, R_OK) == 0) {
		char *argv[] = {program,
				(char[]){"-S"},
				(char[]){"-O2"},
				(char[]){"-x"},
				(char[]){"cuda"},
				(char[]){"--cuda-device-only"},
				(char[]){ARCHITECTURE_CLANG},
				(char[]){"--cuda-path=" CUDA_PLACE},
				(char[]){"-o"},
				result,
				source,
				NULL};

		return run(dir_fd, argv, &output, err);
	}
	return err_set(err, ENOENT,
		       "there is no CUDA compiler on this machine (nvcc, or clang with %s): compile the module to PTX "
		       "elsewhere and name the .ptx file",
		       CUDA_PLACE);
}

int bundle_compile(int dir_fd, const char *path, char **ret_text, size_t *ret_length, struct err *err)
{
	const char *folder = getenv("TMPDIR");
	char result[4096];
	_cleanup_fd_ int fd = -1;
	ssize_t n;
	int r;

	if ((size_t)snprintf(result, sizeof(result), "%s/ferrite-module-XXXXXX", folder && *folder ? folder : "/tmp") >=
	    sizeof(result))
		return err_set(err, ENAMETOOLONG, "TMPDIR is too long");
	fd = mkostemp(result, O_CLOEXEC);
	if (fd < 0)
		return err_sys(err, errno, "make a temporary file in %s", folder && *folder ? folder : "/tmp");
	r = compile_to(dir_fd, path, result, err);
	if (r == 0) {
		n = file_read(AT_FDCWD, result, PTX_MAX, ret_text, err);
		r = n < 0 ? (int)n : 0;
		if (n >= 0)
			*ret_length = (size_t)n;
	}
	(void)unlink(result);
	return r;
}
