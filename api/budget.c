#include "api/budget.h"

#include "supervisor/util.h"

void budget_open(struct budget *budget, uint64_t total, unsigned max_waiting, uint64_t max_wait_us)
{
	*budget = (struct budget){.total = total, .max_waiting = max_waiting, .max_wait_us = max_wait_us};
	(void)pthread_mutex_init(&budget->lock, NULL);
	TAILQ_INIT(&budget->line);
}

void budget_close(struct budget *budget)
{
	(void)pthread_mutex_destroy(&budget->lock);
}

static bool fits(const struct budget *budget, uint64_t bytes)
{
	return budget->used <= budget->total && bytes <= budget->total - budget->used;
}

static void end_wait(struct budget *budget, struct budget_wait *wait, int result)
{
	struct budget_wait *first;

	TAILQ_REMOVE(&budget->line, wait, link);
	budget->n_waiting--;
	wait->queued = false;
	first = TAILQ_FIRST(&budget->line);
	if (first && first->first_since_us == 0)
		first->first_since_us = clock_monotonic_us();
	wait->result = result;
}

static void let_in(struct budget *budget)
{
	struct budget_wait *first;

	while ((first = TAILQ_FIRST(&budget->line)) != NULL && fits(budget, first->bytes)) {
		budget->used += first->bytes;
		end_wait(budget, first, 0);
		worker_post(first->worker, &first->task);
	}
}

void budget_limit(struct budget *budget, uint64_t total, unsigned max_waiting, uint64_t max_wait_us)
{
	pthread_mutex_lock(&budget->lock);
	budget->total = total;
	budget->max_waiting = max_waiting;
	budget->max_wait_us = max_wait_us;
	let_in(budget);
	pthread_mutex_unlock(&budget->lock);
}

int budget_enter(struct budget *budget, struct budget_wait *wait)
{
	int r = 0;

	wait->queued = false;
	wait->first_since_us = 0;
	pthread_mutex_lock(&budget->lock);
	if (wait->bytes > budget->total) {
		r = -E2BIG;
	} else if (budget->n_waiting == 0 && fits(budget, wait->bytes)) {
		budget->used += wait->bytes;
	} else if (budget->n_waiting >= budget->max_waiting) {
		r = -ENOBUFS;
	} else {
		if (budget->n_waiting++ == 0)
			wait->first_since_us = clock_monotonic_us();
		wait->queued = true;
		TAILQ_INSERT_TAIL(&budget->line, wait, link);
		r = -EINPROGRESS;
	}
	pthread_mutex_unlock(&budget->lock);
	return r;
}

/* It may take more than its half where nobody else wants it: only who comes next has to wait. */
static bool half_is_free(const struct budget *budget)
{
	return budget->n_waiting == 0 && budget->used < budget->total / 2;
}

int budget_try_half(struct budget *budget, uint64_t bytes)
{
	int r = 0;

	pthread_mutex_lock(&budget->lock);
	if (bytes > budget->total)
		r = -E2BIG;
	else if (half_is_free(budget) && fits(budget, bytes))
		budget->used += bytes;
	else
		r = -EAGAIN;
	pthread_mutex_unlock(&budget->lock);
	return r;
}

uint64_t budget_over_half(struct budget *budget)
{
	uint64_t over;

	pthread_mutex_lock(&budget->lock);
	over = budget->used < budget->total / 2 ? 0 : budget->used - budget->total / 2 + 1;
	pthread_mutex_unlock(&budget->lock);
	return over;
}

bool budget_has_half(struct budget *budget, uint64_t bytes)
{
	bool free;

	pthread_mutex_lock(&budget->lock);
	free = half_is_free(budget) && fits(budget, bytes);
	pthread_mutex_unlock(&budget->lock);
	return free;
}

bool budget_cancel(struct budget *budget, struct budget_wait *wait)
{
	bool queued;

	pthread_mutex_lock(&budget->lock);
	queued = wait->queued;
	if (queued) {
		end_wait(budget, wait, -ECANCELED);
		let_in(budget);
	}
	pthread_mutex_unlock(&budget->lock);
	return queued;
}

void budget_leave(struct budget *budget, uint64_t bytes)
{
	pthread_mutex_lock(&budget->lock);
	budget->used -= MIN(bytes, budget->used);
	let_in(budget);
	pthread_mutex_unlock(&budget->lock);
}

uint64_t budget_lacking(struct budget *budget)
{
	const struct budget_wait *first;
	uint64_t lacking = 0;

	/* Most of the time nobody waits, and this is asked often. */
	if (atomic_load(&budget->n_waiting) == 0)
		return 0;
	pthread_mutex_lock(&budget->lock);
	first = TAILQ_FIRST(&budget->line);
	if (first)
		lacking = first->bytes + budget->used - MIN(first->bytes + budget->used, budget->total);
	pthread_mutex_unlock(&budget->lock);
	return lacking;
}

void budget_tick(struct budget *budget, uint64_t now_us)
{
	struct budget_wait *first;

	pthread_mutex_lock(&budget->lock);
	first = TAILQ_FIRST(&budget->line);
	if (first && now_us >= first->first_since_us + budget->max_wait_us) {
		end_wait(budget, first, -ETIMEDOUT);
		worker_post(first->worker, &first->task);
		let_in(budget);
	}
	pthread_mutex_unlock(&budget->lock);
}
