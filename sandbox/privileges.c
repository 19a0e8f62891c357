#include "sandbox/privileges.h"

#include "supervisor/util.h"

#include <linux/securebits.h>
#include <signal.h>
#include <sys/capability.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#define OPEN_FILES_MAX 65536 /* larger tables make driver libraries slow */
#define STACK_BYTES    (8 * MIB)
#define LOCKED_BYTES   (64 * MIB)
#define QUEUE_BYTES    819200
#define SIGNALS_MAX    4096

/* Needed by the init to start the function under its ids and to forward signals to it. */
static const cap_value_t kept[] = {CAP_SETUID, CAP_SETGID, CAP_KILL};

static int lower(int resource, const char *name, uint64_t soft, uint64_t hard, struct err *err)
{
	struct rlimit now;

	if (getrlimit((__rlimit_resource_t)resource, &now) < 0)
		return err_sys(err, errno, "read limit %s", name);
	now.rlim_max = MIN(now.rlim_max, hard);
	now.rlim_cur = MIN(now.rlim_max, soft);
	if (setrlimit((__rlimit_resource_t)resource, &now) < 0)
		return err_sys(err, errno, "set limit %s", name);
	return 0;
}

int limits_set(struct err *err)
{
	static const struct {
		int resource;
		const char *name;
		uint64_t soft, hard;
	} limits[] = {
		/* 1, not 0: with 0 a core_pattern pipe handler still starts as root of the host. */
		{RLIMIT_CORE, "core", 1, 1},
		{RLIMIT_NOFILE, "nofile", OPEN_FILES_MAX, OPEN_FILES_MAX},
		{RLIMIT_MEMLOCK, "memlock", LOCKED_BYTES, LOCKED_BYTES},
		{RLIMIT_MSGQUEUE, "msgqueue", QUEUE_BYTES, QUEUE_BYTES},
		{RLIMIT_SIGPENDING, "sigpending", SIGNALS_MAX, SIGNALS_MAX},
		{RLIMIT_STACK, "stack", STACK_BYTES, RLIM_INFINITY},
		{RLIMIT_RTPRIO, "rtprio", 0, 0},
		{RLIMIT_NICE, "nice", 0, 0},
	};
	int r = 0;

	for (unsigned i = 0; r == 0 && i < ARRAY_LEN(limits); i++)
		r = lower(limits[i].resource, limits[i].name, limits[i].soft, limits[i].hard, err);
	return r;
}

static void cap_release(cap_t *caps)
{
	if (*caps)
		(void)cap_free(*caps);
}

static int keep_only_needed(struct err *err)
{
	_cleanup_(cap_release) cap_t caps = cap_init();

	if (!caps || cap_set_flag(caps, CAP_PERMITTED, ARRAY_LEN(kept), kept, CAP_SET) < 0 ||
	    cap_set_flag(caps, CAP_EFFECTIVE, ARRAY_LEN(kept), kept, CAP_SET) < 0 ||
	    cap_set_flag(caps, CAP_INHERITABLE, ARRAY_LEN(kept), kept, CAP_SET) < 0 || cap_set_proc(caps) < 0)
		return err_sys(err, errno, "set capabilities");
	return 0;
}

int privileges_drop(uint32_t id, struct err *err)
{
	/* Root is nothing special, ids change no capabilities, and no ambient one can be raised again. */
	const unsigned bits = SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP |
			      SECBIT_NO_SETUID_FIXUP_LOCKED | SECBIT_KEEP_CAPS_LOCKED | SECBIT_NO_CAP_AMBIENT_RAISE |
			      SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED;
	_cleanup_(cap_release) cap_t all = cap_get_proc();
	int r;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return err_sys(err, errno, "set no_new_privs");
	/* Inheritable first: afterwards the bounding set would forbid it. */
	if (!all || cap_set_flag(all, CAP_INHERITABLE, ARRAY_LEN(kept), kept, CAP_SET) < 0 || cap_set_proc(all) < 0)
		return err_sys(err, errno, "set inheritable capabilities");
	for (unsigned i = 0; i < ARRAY_LEN(kept); i++)
		if (cap_set_ambient(kept[i], CAP_SET) < 0)
			return err_sys(err, errno, "set an ambient capability");
	for (cap_value_t cap = 0; CAP_IS_SUPPORTED(cap); cap++)
		if (cap_drop_bound(cap) < 0)
			return err_sys(err, errno, "drop capability %d from the bounding set", cap);
	if (cap_set_secbits(bits) < 0)
		return err_sys(err, errno, "lock the securebits");
	if (setresgid(id, id, id) < 0 || setresuid(id, id, id) < 0)
		return err_sys(err, errno, "become id %u", id);
	r = keep_only_needed(err);
	if (r == 0 && prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
		r = err_sys(err, errno, "ask for the parent-death signal");
	return r;
}
