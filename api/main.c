/* ferrite-api: serves HTTP, keeps apps and routes, and schedules calls. Started by ferrited. */
#include "api/service.h"

#include "supervisor/log.h"

#include <signal.h>
#include <stdlib.h>

int main(void)
{
	struct err err = ERR_INIT;

	/* A closed connection or pipe is an error of one call, seen where it is written to. */
	(void)signal(SIGPIPE, SIG_IGN);
	if (service_run(&err) == 0)
		return EXIT_SUCCESS;
	log_error("ferrite-api ends", LOG_STR("error", err.text));
	return EXIT_FAILURE;
}
