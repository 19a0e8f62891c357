/*
 * ferrited: reads its settings, prepares folders, sockets and cgroups, and runs the supervisor. See ferrited(8).
 */
#include "supervisor/folders.h"
#include "supervisor/log.h"
#include "supervisor/str.h"
#include "supervisor/supervise.h"
#include "supervisor/util.h"

#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>

#define DEFAULT_CONFIG FERRITE_SYSCONFDIR "/ferrite/ferrited.conf"
#define OPTIONS_MAX    64
#define BLOCKS_FIRST   2u /* 0: servers, 1: store */
#define BLOCKS_PER_SET 256u
#define BLOCK_SETS     64u
#define CLAIM_FILE     "/sys/bus/platform/uevent" /* never written; every kernel has it, mode 0200 */
#define GROUP_FILE_MAX (4 * 1024 * 1024)

enum exit_code { EXIT_DONE = 0, EXIT_FORCED = 1, EXIT_USAGE = 2, EXIT_START = 1 };

/* What the command line said, kept for reloads. */
static struct {
	const char *config; /* NULL: the default, which may be missing */
	struct {
		const char *key, *value, *source;
	} options[OPTIONS_MAX];
	unsigned n_options;
	char listen[SETTING_VALUE_MAX];
} arguments;

static struct supervisor supervisor;
static bool own_socket;	 /* api.sock is ours, not the service manager's */
static bool own_folders; /* the run directory was taken into use */

static void print_help(void)
{
	printf("usage: ferrited [options]\n"
	       "Starts and watches the servers of ferrite, in the foreground. SIGTERM ends it, SIGHUP reads the "
	       "settings again.\n\n"
	       "  --config FILE        settings file (default: " DEFAULT_CONFIG ")\n"
	       "  --state-dir DIR      what must survive a restart\n"
	       "  --run-dir DIR        the lock, api.sock, and what need not survive\n"
	       "  --listen ADDR:PORT   HTTP address beside the UNIX socket; may be repeated; none: no TCP\n"
	       "  --gpu KIND           auto, nvidia, software or none\n"
	       "  --help, --version\n\n"
	       "Settings (KEY = VALUE in the file, FERRITE_KEY in the environment; PORT, DB_URL, MQ_URL, API_URL, "
	       "LOG_LEVEL and\n"
	       "JWT_AUTH_KEY work as in IronFunctions):\n");
	settings_print(stdout);
}

static int add_option(const char *source, const char *key, const char *value)
{
	if (arguments.n_options == OPTIONS_MAX)
		return -E2BIG;
	arguments.options[arguments.n_options].source = source;
	arguments.options[arguments.n_options].key = key;
	arguments.options[arguments.n_options].value = value;
	arguments.n_options++;
	return 0;
}

/* Folders on the command line may be relative to where the command is given; the program itself works in /. */
static int add_folder(const char *source, const char *key, const char *value)
{
	char *absolute = NULL;
	_cleanup_free_ char *here = getcwd(NULL, 0);

	if (value[0] == '/' || !value[0] || !here)
		return add_option(source, key, value);
	/* Lives as long as the process. */
	return asprintf(&absolute, "%s/%s", here, value) < 0 ? -ENOMEM : add_option(source, key, absolute);
}

static bool add_listen(const char *value)
{
	size_t used = strlen(arguments.listen);

	return (size_t)snprintf(arguments.listen + used, sizeof(arguments.listen) - used, "%s%s", used ? " " : "",
				value) < sizeof(arguments.listen) - used;
}

/* Returns an exit code, or -1 to go on. */
static int parse_arguments(int argc, char **argv)
{
	static const struct option options[] = {
		{"config", required_argument, NULL, 'c'},  {"state-dir", required_argument, NULL, 's'},
		{"run-dir", required_argument, NULL, 'r'}, {"listen", required_argument, NULL, 'l'},
		{"gpu", required_argument, NULL, 'g'},	   {"help", no_argument, NULL, 'h'},
		{"version", no_argument, NULL, 'v'},	   {0},
	};
	bool good = true;
	int option;

	while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		switch (option) {
		case 'c':
			arguments.config = optarg;
			break;
		case 's':
			good &= add_folder("--state-dir", "state_dir", optarg) == 0;
			break;
		case 'r':
			good &= add_folder("--run-dir", "run_dir", optarg) == 0;
			break;
		case 'l':
			good &= add_listen(optarg);
			break;
		case 'g':
			good &= add_option("--gpu", "gpu", optarg) == 0;
			break;
		case 'h':
			print_help();
			return EXIT_DONE;
		case 'v':
			printf("ferrited %s\n", FERRITE_VERSION);
			return EXIT_DONE;
		default:
			fprintf(stderr, "ferrited: try ferrited --help\n");
			return EXIT_USAGE;
		}
	}
	if (optind < argc || !good) {
		fprintf(stderr, "ferrited: unexpected argument \"%s\", or too many options; try ferrited --help\n",
			optind < argc ? argv[optind] : "");
		return EXIT_USAGE;
	}
	if (arguments.listen[0])
		(void)add_option("--listen", "listen", arguments.listen);
	return -1;
}

/* --- settings ----------------------------------------------------------------------------------------------------- */

static int read_file(struct settings *settings, struct err *err)
{
	const char *named = arguments.config ? arguments.config : getenv("FERRITE_CONFIG");
	const char *path = named ? named : DEFAULT_CONFIG;
	_cleanup_free_ char *text = NULL;

	if (file_read(AT_FDCWD, path, SETTINGS_FILE_MAX, &text, err) < 0) {
		if (!named && err->code == -ENOENT) {
			err_clear(err);
			return 0;
		}
		return err->code;
	}
	return settings_parse(settings, path, text, err);
}

static bool exists(const char *folder, const char *name)
{
	char path[PATH_MAX];

	return (size_t)snprintf(path, sizeof(path), "%s/%s", folder, name) < sizeof(path) && access(path, F_OK) == 0;
}

/* Finds the programs from our own place, so that a build tree and any prefix work. */
static int find_programs(struct settings *settings, struct err *err)
{
	char own[SETTING_VALUE_MAX - 64], *libexec = settings->value[SETTING_LIBEXEC_DIR];
	char *device = settings->value[SETTING_SOFTWARE_DEVICE_DIR], *runner = settings->value[SETTING_CUDAEXEC];
	ssize_t n = readlink("/proc/self/exe", own, sizeof(own) - 1);
	char *slash;

	if (n < 0 || (size_t)n == sizeof(own) - 1)
		return err_sys(err, n < 0 ? errno : ENAMETOOLONG, "find the own program");
	own[n] = '\0';
	for (int i = 0; i < 2; i++) {
		slash = strrchr(own, '/');
		if (!slash)
			return err_set(err, EINVAL, "the own program's path %s is odd", own);
		*slash = '\0';
	}
	if (!*libexec) {
		(void)snprintf(libexec, SETTING_VALUE_MAX, "%s/libexec/ferrite", own);
		/* A build tree has no folder of its own below libexec. */
		if (!exists(libexec, process_rows[PEER_API].program))
			(void)snprintf(libexec, SETTING_VALUE_MAX, "%s/libexec", own);
	}
	if (!*device)
		(void)snprintf(device, SETTING_VALUE_MAX, "%s/lib/ferrite/software-device", own);
	if (!*runner)
		(void)snprintf(runner, SETTING_VALUE_MAX, "%.900s/cudaexec", libexec);
	return 0;
}

static int read_settings(struct settings *settings, char *ret_unknown, size_t size, struct err *err)
{
	int r;

	settings_default(settings);
	r = read_file(settings, err);
	if (r == 0)
		r = settings_environment(settings, environ, ret_unknown, size, err);
	for (unsigned i = 0; r == 0 && i < arguments.n_options; i++)
		r = settings_set(settings, arguments.options[i].source, arguments.options[i].key,
				 arguments.options[i].value, err);
	return r < 0 ? r : find_programs(settings, err);
}

/* Computed when it was not given: must not seem changed by a reload. */
static void keep(struct settings *fresh, const struct settings *old, enum setting setting)
{
	if (!fresh->given[setting] && !old->given[setting])
		memcpy(fresh->value[setting], old->value[setting], SETTING_VALUE_MAX);
}

static int reread_settings(struct supervisor *s, struct settings *ret_settings, struct err *err)
{
	char unknown[64];
	int r = read_settings(ret_settings, unknown, sizeof(unknown), err);

	keep(ret_settings, &s->settings, SETTING_MEMORY_TOTAL);
	keep(ret_settings, &s->settings, SETTING_LIBEXEC_DIR);
	keep(ret_settings, &s->settings, SETTING_SOFTWARE_DEVICE_DIR);
	keep(ret_settings, &s->settings, SETTING_CUDAEXEC);
	return r;
}

/* --- preparation -------------------------------------------------------------------------------------------------- */

/* Canonical, so that two names of one folder are one supervisor. */
static int make_top(enum setting setting, struct err *err)
{
	char *value = supervisor.settings.value[setting], real[PATH_MAX];
	int r = folders_make(value, 0711, err);

	if (r < 0)
		return r;
	if (!realpath(value, real) || !str_copy(value, SETTING_VALUE_MAX, real))
		return err_sys(err, errno, "find the folder %s", value);
	return 0;
}

/* The servers' run folders are emptied at each start: no state may lie in them. */
static int check_apart(const char *state_dir, const char *run_dir, struct err *err)
{
	size_t length = strlen(run_dir);
	bool same = strcmp(state_dir, run_dir) == 0;

	for (int i = PEER_API; i < PEER_MAX && strncmp(state_dir, run_dir, length) == 0 && state_dir[length] == '/';
	     i++) {
		const char *rest = state_dir + length + 1;
		size_t n = strlen(process_rows[i].name);

		same |= strncmp(rest, process_rows[i].name, n) == 0 && (rest[n] == '/' || rest[n] == '\0');
	}
	return same ? err_set(err, EINVAL, "state_dir %s and run_dir %s must be apart: the run directory is emptied",
			      state_dir, run_dir)
		    : 0;
}

static int make_folders(int *ret_lock_fd, struct err *err)
{
	const char *state_dir = settings_get(&supervisor.settings, SETTING_STATE_DIR);
	const char *run_dir = settings_get(&supervisor.settings, SETTING_RUN_DIR);
	int r = make_top(SETTING_RUN_DIR, err);

	if (r == 0)
		*ret_lock_fd = r = folders_lock(run_dir, err);
	if (r >= 0)
		r = make_top(SETTING_STATE_DIR, err);
	if (r == 0)
		r = check_apart(state_dir, run_dir, err);
	for (int i = PEER_API; r == 0 && i < PEER_MAX; i++) {
		const struct process_row *row = &process_rows[i];
		uid_t uid = process_uid(row, supervisor.place.uid_base);
		char path[PATH_MAX];

		r = folders_own(state_dir, row->name, uid, err);
		if (r == 0)
			r = folders_own(run_dir, row->name, uid, err);
		(void)snprintf(path, sizeof(path), "%.1000s/%s", run_dir, row->name);
		if (r == 0)
			r = folders_empty(path, err);
	}
	return r;
}

/* Replaces PATH by one that the servers can reach. */
static int reach(struct folders_view *view, const char *path, char *ret_path, size_t size, struct err *err)
{
	const struct settings *s = &supervisor.settings;
	const char *const avoid[] = {
		settings_get(s, SETTING_STATE_DIR),    settings_get(s, SETTING_RUN_DIR),
		settings_get(s, SETTING_LIBEXEC_DIR),  settings_get(s, SETTING_SOFTWARE_DEVICE_DIR),
		settings_get(s, SETTING_CUDAEXEC),     settings_get(s, SETTING_DRIVER_ROOT),
		settings_get(s, SETTING_LIBRARY_DIRS), NULL,
	};

	return folders_reach(view, path, avoid, ret_path, size, err);
}

static int reach_setting(struct folders_view *view, enum setting setting, bool is_file, struct err *err)
{
	char *value = supervisor.settings.value[setting], folder[SETTING_VALUE_MAX], shown[SETTING_VALUE_MAX];
	const char *name = "";
	int r;

	memcpy(folder, value, sizeof(folder));
	if (is_file) {
		name = strrchr(value, '/');
		folder[name - value] = '\0';
	}
	/* What is not there is reported by the server that looks for it. */
	if (!folder[0] || access(folder, F_OK) < 0)
		return 0;
	r = reach(view, folder, shown, sizeof(shown), err);
	if (r == 0 && strcmp(folder, shown) != 0) {
		char replaced[2 * SETTING_VALUE_MAX];

		(void)snprintf(replaced, sizeof(replaced), "%s%s", shown, name);
		if (!str_copy(value, SETTING_VALUE_MAX, replaced))
			return err_set(err, ENAMETOOLONG, "the path %s is too long", replaced);
	}
	return r;
}

static int make_view(struct err *err)
{
	static struct folders_view view;
	int r = folders_leave_mounts(err);

	for (int i = PEER_API; r == 0 && i < PEER_MAX; i++) {
		struct server_slot *server = &supervisor.servers[i];
		char path[PATH_MAX];

		(void)snprintf(path, sizeof(path), "%.1000s/%s", settings_get(&supervisor.settings, SETTING_STATE_DIR),
			       server->row->name);
		r = reach(&view, path, server->state_dir, sizeof(server->state_dir), err);
		(void)snprintf(path, sizeof(path), "%.1000s/%s", settings_get(&supervisor.settings, SETTING_RUN_DIR),
			       server->row->name);
		if (r == 0)
			r = reach(&view, path, server->run_dir, sizeof(server->run_dir), err);
	}
	if (r == 0)
		r = reach_setting(&view, SETTING_CUDAEXEC, true, err);
	if (r == 0)
		r = reach_setting(&view, SETTING_SOFTWARE_DEVICE_DIR, false, err);
	if (r == 0)
		r = reach_setting(&view, SETTING_LIBEXEC_DIR, false, err);
	if (r == 0 && view.point[0])
		log_info("folders that are closed to others are shown to the servers elsewhere",
			 LOG_STR("below", view.point), LOG_INT("folders", view.n));
	return r;
}

/*
 * Claims the first free set of id blocks, so that supervisors beside each other never share a user id. The claim is a
 * lock of the bytes that the ids number, in a file that only root can open and that is the same in every mount
 * namespace; the kernel takes it back whatever happens to us.
 */
static int claim_ids(int *ret_fd, struct err *err)
{
	_cleanup_fd_ int fd = open(CLAIM_FILE, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);

	if (fd < 0)
		return err_sys(err, errno, "claim user ids: open %s", CLAIM_FILE);
	for (unsigned set = 0; set < BLOCK_SETS; set++) {
		uint64_t first = supervisor.place.uid_base +
				 (uint64_t)(BLOCKS_FIRST + set * BLOCKS_PER_SET) * PROCESS_IDS_PER_BLOCK;
		struct flock claim = {.l_type = F_WRLCK,
				      .l_whence = SEEK_SET,
				      .l_start = (off_t)first,
				      .l_len = (off_t)BLOCKS_PER_SET * PROCESS_IDS_PER_BLOCK};

		if (first + (uint64_t)claim.l_len > UINT32_MAX)
			break;
		if (fcntl(fd, F_OFD_SETLK, &claim) < 0) {
			if (errno == EAGAIN || errno == EACCES)
				continue;
			return err_sys(err, errno, "claim user ids: lock %s", CLAIM_FILE);
		}
		supervisor.ids_first_block = BLOCKS_FIRST + set * BLOCKS_PER_SET;
		supervisor.ids_blocks = BLOCKS_PER_SET;
		*ret_fd = take_fd(&fd);
		return 0;
	}
	return err_set(err, ENOSPC,
		       "every range of user ids from %u is taken by another ferrited: end one, or set uid_base",
		       supervisor.place.uid_base);
}

static gid_t socket_group(void)
{
	_cleanup_free_ char *text = NULL;

	if (file_read(AT_FDCWD, "/etc/group", GROUP_FILE_MAX, &text, NULL) < 0)
		return (gid_t)-1;
	return listen_find_group(text, settings_get(&supervisor.settings, SETTING_SOCKET_GROUP));
}

static int open_sockets(struct err *err)
{
	struct listen_set *set = &supervisor.listeners;
	const char *run_dir = settings_get(&supervisor.settings, SETTING_RUN_DIR);
	bool has_unix = false, has_tcp = false;
	char path[PATH_MAX];
	int r;

	/* What the service manager passed stands in for what we would open of its kind. */
	for (unsigned i = 0; i < set->n_sockets; i++) {
		has_unix |= set->sockets[i].kind == LISTEN_UNIX;
		has_tcp |= set->sockets[i].kind == LISTEN_TCP;
	}
	if (!has_tcp) {
		r = listen_open_tcp(set, settings_get(&supervisor.settings, SETTING_LISTEN), err);
		if (r < 0)
			return r;
	}
	(void)snprintf(path, sizeof(path), "%s/api.sock", run_dir);
	r = has_unix ? 0 : listen_open_unix(set, path, socket_group(), err);
	own_socket = !has_unix && r == 0;
	for (unsigned i = 0; r == 0 && i < set->n_sockets; i++)
		log_info("listening", LOG_STR("on", set->sockets[i].text));
	return r;
}

/* Names on the host that tell this service from others: what a run directory is used by once has one name for ever. */
static int find_names(struct err *err)
{
	uint32_t hash = 2166136261u;
	char name[32];

	for (const char *c = settings_get(&supervisor.settings, SETTING_RUN_DIR); *c; c++)
		hash = (hash ^ (unsigned char)*c) * 16777619u;
	(void)snprintf(name, sizeof(name), "ferrite-%08x", hash);
	(void)snprintf(supervisor.bridge, sizeof(supervisor.bridge), "fe%06x", hash & 0xffffff);
	return cgroup_tree_find(&supervisor.cgroups, name, err);
}

static int prepare(int *ret_lock_fd, int *ret_ids_fd, struct err *err)
{
	int r = make_folders(ret_lock_fd, err);

	own_folders = r == 0;
	/* From here on nothing of a predecessor's may live: its instances use ids and folders that are handed out anew.
	 */
	if (r == 0)
		r = find_names(err);
	if (r == 0)
		r = cgroup_tree_make(&supervisor.cgroups, err);
	if (r == 0)
		r = claim_ids(ret_ids_fd, err);
	if (r == 0)
		r = open_sockets(err);
	if (r == 0)
		r = make_view(err);
	supervisor.place.cgroups = &supervisor.cgroups;
	supervisor.place.libexec_dir = settings_get(&supervisor.settings, SETTING_LIBEXEC_DIR);
	return r < 0 ? r : process_confine_self(err);
}

/* Leaves the folders, but nothing in the run directory. */
static void clean_up(void)
{
	const char *run_dir = settings_get(&supervisor.settings, SETTING_RUN_DIR);
	struct err err = ERR_INIT;
	char path[PATH_MAX];

	if (cgroup_tree_kill(&supervisor.cgroups, NULL, 2000, &err) < 0 ||
	    cgroup_tree_remove(&supervisor.cgroups, NULL, 2000, &err) < 0)
		log_warn("a cgroup is left", LOG_STR("error", err.text));
	for (int i = PEER_API; i < PEER_MAX && own_folders; i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", run_dir, process_rows[i].name);
		if (folders_empty(path, &err) == 0)
			(void)rmdir(path);
	}
	(void)snprintf(path, sizeof(path), "%s/api.sock", run_dir);
	if (own_socket)
		(void)unlink(path);
	folders_unlock(run_dir);
}

/* Only what the service manager meant to pass stays open, and no file of ours may become standard error. */
static int take_descriptors(struct err *err)
{
	int r, fd;

	for (fd = 0; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR | O_NOCTTY) != fd)
			return err_sys(err, errno, "open the null device");
	r = listen_take_passed(&supervisor.listeners, err);
	if (r < 0)
		return r;
	return close_range(STDERR_FILENO + 1 + (unsigned)r, ~0u, 0) < 0 ? err_sys(err, errno, "close descriptors") : 0;
}

static int run(struct err *err)
{
	_cleanup_fd_ int lock_fd = -1, ids_fd = -1;
	char unknown[64];
	int r;

	r = take_descriptors(err);
	if (r == 0)
		r = read_settings(&supervisor.settings, unknown, sizeof(unknown), err);
	if (r < 0)
		return r;
	(void)log_level_set(settings_get(&supervisor.settings, SETTING_LOG_LEVEL));
	if (unknown[0])
		log_warn("unknown variable in the environment", LOG_STR("name", unknown));
	if (geteuid() != 0)
		return err_set(err, EPERM,
			       "ferrited must be started as root: it makes containers and gives its servers users "
			       "of their own");
	r = notify_open(&supervisor.notify, err);
	supervisor.place.uid_base = (uint32_t)settings_number(&supervisor.settings, SETTING_UID_BASE);
	if (r == 0)
		r = prepare(&lock_fd, &ids_fd, err);
	if (r == 0) {
		log_info("ferrited starts", LOG_STR("version", FERRITE_VERSION),
			 LOG_STR("state_dir", settings_get(&supervisor.settings, SETTING_STATE_DIR)),
			 LOG_STR("run_dir", settings_get(&supervisor.settings, SETTING_RUN_DIR)),
			 LOG_STR("gpu", settings_get(&supervisor.settings, SETTING_GPU)),
			 LOG_STR("cgroups", supervisor.cgroups.v1[CGROUP_MEMORY][0] ? "hybrid" : "v2"));
		r = supervisor_run(&supervisor, err);
	}
	if (lock_fd >= 0)
		clean_up();
	listen_close(&supervisor.listeners);
	notify_close(&supervisor.notify);
	return r;
}

int main(int argc, char **argv)
{
	struct err err = ERR_INIT;
	int r = parse_arguments(argc, argv);

	if (r >= 0)
		return r;
	log_open("ferrited");
	supervisor_init(&supervisor);
	supervisor.reload = reread_settings;
	r = run(&err);
	if (r < 0) {
		log_error("ferrited cannot go on", LOG_STR("error", err.text));
		return EXIT_START;
	}
	log_info("ferrited has ended");
	return r > 0 ? EXIT_FORCED : EXIT_DONE;
}
