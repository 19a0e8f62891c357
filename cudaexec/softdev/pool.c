/* The worker threads of a device, and the choice of lane operations for this CPU. */
#include "cudaexec/softdev/exec.h"
#include "supervisor/util.h"

#include <signal.h>

static atomic_uint level_max = 4;

void exec_limit_level(unsigned level)
{
	atomic_store(&level_max, level);
}

const exec_handler *exec_handlers(void)
{
	unsigned level = atomic_load(&level_max);

	if (level >= 4 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
	    __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
	    __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2"))
		return exec_handlers_v4;
	if (level >= 3 && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
	    __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2"))
		return exec_handlers_v3;
	return exec_handlers_base;
}

static void *worker_main(void *argument)
{
	struct ptx_device *device = argument;
	uint64_t seen = 0;

	pthread_mutex_lock(&device->pool_lock);
	for (;;) {
		struct exec_run *run;

		while (!device->stopping && (device->generation == seen || device->wanted == 0))
			pthread_cond_wait(&device->work_ready, &device->pool_lock);
		if (device->stopping)
			break;
		seen = device->generation;
		device->wanted--;
		device->busy++;
		run = device->run;
		pthread_mutex_unlock(&device->pool_lock);
		exec_worker(run);
		pthread_mutex_lock(&device->pool_lock);
		if (--device->busy == 0)
			pthread_cond_signal(&device->work_done);
	}
	pthread_mutex_unlock(&device->pool_lock);
	return NULL;
}

/* Starts threads until there are COUNT, or as many as the system gives. They take no signals. */
static void start_threads(struct ptx_device *device, uint32_t count)
{
	sigset_t all, before;

	if (device->thread_count >= count)
		return;
	if (!device->threads)
		device->threads = calloc(device->workers, sizeof(*device->threads));
	if (!device->threads)
		return;
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	while (device->thread_count < count &&
	       pthread_create(&device->threads[device->thread_count], NULL, worker_main, device) == 0)
		device->thread_count++;
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
}

void pool_run(struct ptx_device *device, struct exec_run *run)
{
	uint32_t helpers = run->workers - 1;

	if (helpers > 0) {
		start_threads(device, helpers);
		pthread_mutex_lock(&device->pool_lock);
		device->run = run;
		device->wanted = MIN(helpers, device->thread_count);
		device->generation++;
		pthread_cond_broadcast(&device->work_ready);
		pthread_mutex_unlock(&device->pool_lock);
	}
	exec_worker(run);
	if (helpers > 0) {
		pthread_mutex_lock(&device->pool_lock);
		device->wanted = 0; /* who has not come yet is not needed any more */
		while (device->busy > 0)
			pthread_cond_wait(&device->work_done, &device->pool_lock);
		device->run = NULL;
		pthread_mutex_unlock(&device->pool_lock);
	}
}

void pool_stop(struct ptx_device *device)
{
	pthread_mutex_lock(&device->pool_lock);
	device->stopping = true;
	pthread_cond_broadcast(&device->work_ready);
	pthread_mutex_unlock(&device->pool_lock);
	for (uint32_t i = 0; i < device->thread_count; i++)
		(void)pthread_join(device->threads[i], NULL);
	free(device->threads);
}
