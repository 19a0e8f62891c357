#include "api/loglimit.h"

#include "supervisor/util.h"

bool loglimit_allows(struct loglimit *limit, uint64_t now_us)
{
	uint64_t earned = (now_us - limit->refilled_us) * LOGLIMIT_PER_SEC / 1000000;

	if (earned > 0) {
		limit->used -= (unsigned)MIN(earned, (uint64_t)limit->used);
		limit->refilled_us = now_us;
	}
	if (limit->used >= LOGLIMIT_BURST) {
		limit->dropped++;
		return false;
	}
	limit->used++;
	return true;
}
