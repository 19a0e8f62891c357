#include "supervisor/settings.h"

#include "supervisor/allow.h"
#include "supervisor/listen.h"
#include "supervisor/log.h"
#include "supervisor/str.h"
#include "supervisor/util.h"

#include <ctype.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>

enum type { NUMBER, BYTES, MIB_SIZE, TIME, PATH, PATHS, CHOICE, TEXT, LISTEN, RANGES };

#define TO(peer)    (1u << (peer))
#define TO_ALL	    (TO(PEER_API) | TO(PEER_SANDBOX) | TO(PEER_ROOTFS) | TO(PEER_GPU))
#define TO_FERRITED 0u
#define HOUR	    (3600 * 1000ull)

struct row {
	const char *key;
	enum type type;
	bool reloadable;
	unsigned receivers;
	uint64_t min, max;	/* NUMBER, BYTES, MIB_SIZE (in MiB), TIME (in ms) */
	const char *value;	/* the default */
	const char *choices[7]; /* CHOICE */
	const char *complaint;	/* of another choice, in IronFunctions' words */
	const char *variable;	/* IronFunctions' name in the environment */
	const char *doc;
};

static const struct row rows[SETTING_MAX] = {
	[SETTING_LISTEN] = {"listen", LISTEN, .value = "127.0.0.1:8080",
			    .doc = "addresses of the HTTP interface beside the UNIX socket: ADDR:PORT, [ADDR6]:PORT, "
				   "*:PORT (every interface), or none; may be given several times"},
	[SETTING_STATE_DIR] = {"state_dir", PATH, .value = "/var/lib/ferrite",
			       .doc = "what must survive a restart: functions, queue, images"},
	[SETTING_RUN_DIR] = {"run_dir", PATH, .value = "/run/ferrite",
			     .doc = "the lock, api.sock, and what need not survive"},
	[SETTING_SOCKET_GROUP] =
		{"socket_group", TEXT, .value = "ferrite",
		 .doc = "group of /etc/group that may use api.sock; without such a group only root may"},
	[SETTING_UID_BASE] =
		{"uid_base", NUMBER, .receivers = TO(PEER_SANDBOX), .min = 65536, .max = 4000000000u,
		 .value = "1879048192",
		 .doc = "first of the user ids that belong to ferrite: 65536 for the servers, 65536 for the "
			"image store, then one block of 65536 per container; a multiple of 65536"},
	[SETTING_LIBEXEC_DIR] = {"libexec_dir", PATH, .receivers = TO_ALL, .value = "",
				 .doc = "folder of the servers' programs; empty: found from ferrited's own place"},
	[SETTING_DRAIN_TIMEOUT] = {"drain_timeout", TIME, true, TO_FERRITED, 0, HOUR, "15",
				   .doc = "how long running calls may go on after SIGTERM"},
	[SETTING_HEARTBEAT_INTERVAL] = {"heartbeat_interval", TIME, true, TO_FERRITED, 20, HOUR, "2",
					.doc = "how often a server is asked whether it is alive"},
	[SETTING_HEARTBEAT_DEADLINE] = {"heartbeat_deadline", TIME, true, TO_FERRITED, 20, HOUR, "20",
					.doc = "a server that does not answer for so long is killed and started again"},
	[SETTING_START_DEADLINE] = {"start_deadline", TIME, true, TO_FERRITED, 20, HOUR, "30",
				    .doc = "a server that is not ready after so long is killed and started again"},
	[SETTING_RESTART_DELAY] = {"restart_delay", TIME, true, TO_FERRITED, 1, HOUR, "100ms",
				   .doc = "wait before a server is started again after it ended soon after its start; "
					  "doubled each time, at most ten times as long"},
	[SETTING_RESTART_LIMIT] = {"restart_limit", NUMBER, true, TO_FERRITED, 1, SETTING_RESTART_LIMIT_MAX, "20",
				   .doc = "a server that ends so often within restart_window stays down"},
	[SETTING_RESTART_WINDOW] = {"restart_window", TIME, true, TO_FERRITED, 100, HOUR, "30",
				    .doc = "see restart_limit"},
	[SETTING_LOG_LEVEL] = {"log_level", CHOICE, true, TO_ALL, .value = "info",
			       .choices = {"debug", "info", "warn", "error", "fatal", "panic"},
			       .complaint = "Invalid log level. ", .variable = "LOG_LEVEL",
			       .doc = "debug, info, warn or error (fatal and panic mean error)"},
	[SETTING_DB_URL] = {"db_url", TEXT, .receivers = TO(PEER_API), .value = "", .variable = "DB_URL",
			    .doc = "store of apps and routes; empty: SQLite below state_dir"},
	[SETTING_MQ_URL] = {"mq_url", TEXT, .receivers = TO(PEER_API), .value = "", .variable = "MQ_URL",
			    .doc = "queue of asynchronous calls, sqlite:PATH; empty: SQLite below state_dir"},
	[SETTING_API_URL] = {"api_url", TEXT, .receivers = TO(PEER_API), .value = "", .variable = "API_URL",
			     .doc = "a service whose asynchronous calls are run here too; empty: only our own"},
	[SETTING_ASYNC_WORKERS] = {"async_workers", NUMBER, true, TO(PEER_API), 0, 1024, "16",
				   .doc = "asynchronous calls that run at a time; 0: none are run here"},
	[SETTING_MAX_TASKS] = {"max_tasks", NUMBER, true, TO(PEER_API), 1, 100000000, "100000",
			       .doc = "asynchronous calls in the queue; further ones are refused with 503"},
	[SETTING_MAX_TASK_BYTES] = {"max_task_bytes", BYTES, true, TO(PEER_API), 1024, 512 * MIB, "64MiB",
				    .doc = "largest body of an asynchronous call"},
	[SETTING_MAX_QUEUE_BYTES] = {"max_queue_bytes", BYTES, true, TO(PEER_API), 1024, 1ull << 40, "1GiB",
				     .doc = "what all calls in the queue may take on the disk"},
	[SETTING_TASK_ATTEMPTS] = {"task_attempts", NUMBER, true, TO(PEER_API), 1, 1000, "10",
				   .doc = "an asynchronous call during which a server or the machine ended so often "
					  "is given up"},
	[SETTING_JWT_AUTH_KEY] = {"jwt_auth_key", TEXT, true, TO(PEER_API), .value = "", .variable = "JWT_AUTH_KEY",
				  .doc = "secret of the service's tokens; empty: no tokens are asked for"},
	[SETTING_API_THREADS] = {"api_threads", NUMBER, false, TO(PEER_API), 1, 256, "",
				 .doc = "event loop threads of ferrite-api; empty: one per CPU"},
	[SETTING_MEMORY_TOTAL] =
		{"memory_total", MIB_SIZE, true, TO(PEER_API), 16, 1u << 30,
		 "0", .doc = "memory for all running functions together; default: what is available at start"},
	[SETTING_MAX_WAITING] =
		{"max_waiting", NUMBER, true, TO(PEER_API), 0, 100000, "",
		 .doc =
			 "calls of a function that may wait for memory or an instance; further ones are refused with "
			 "503"},
	[SETTING_MAX_CONNECTIONS] = {"max_connections", NUMBER, false, TO(PEER_API), 1, 1000000, "",
				     .doc = "open connections of clients"},
	[SETTING_MAX_HEADER_BYTES] = {"max_header_bytes", BYTES, true, TO(PEER_API), 1024, 65536, "",
				      .doc = "largest header of a request"},
	[SETTING_MAX_BODY_BYTES] = {"max_body_bytes", BYTES, true, TO(PEER_API), 1024, 1ull << 40, "",
				    .doc = "largest body of a call"},
	[SETTING_MAX_SPOOL_BYTES] = {"max_spool_bytes", BYTES, true, TO(PEER_API), MIB, 1ull << 50, "",
				     .doc = "bodies of calls and uploads that wait in files below state_dir, together"},
	[SETTING_MAX_BUFFERED_BYTES] =
		{"max_buffered_bytes", BYTES, true, TO(PEER_API), MIB, 1ull << 40,
		 "", .doc = "what large headers, bodies and answers take of ferrite-api's memory together"},
	[SETTING_MAX_OUTPUT_BYTES] = {"max_output_bytes", BYTES, true, TO(PEER_API), 1024, 1ull << 40, "64MiB",
				      .doc = "largest answer of a function"},
	[SETTING_HISTORY_CALLS] = {"history_calls", NUMBER, true, TO(PEER_API), 0, 100000, "1000",
				   .doc = "newest calls of each app that are kept in the history; 0: none"},
	[SETTING_HISTORY_AGE] = {"history_age", TIME, true, TO(PEER_API), 1000, 8760 * HOUR, "604800",
				 .doc = "calls that ended longer ago are dropped from the history"},
	[SETTING_HISTORY_BYTES] = {"history_bytes", BYTES, true, TO(PEER_API), 64 * KIB, 1ull << 40, "64MiB",
				   .doc = "size of the history of all apps, standard error of the calls included"},
	[SETTING_HISTORY_LOG_BYTES] =
		{"history_log_bytes", BYTES, true, TO(PEER_API), 0, 4 * MIB,
		 "64KiB", .doc = "standard error of a call that is kept with it: its beginning and its end"},
	[SETTING_MEMORY_BYTES] = {"memory_bytes", BYTES, true, TO(PEER_SANDBOX), 8 * MIB, 1ull << 50, "128MiB",
				  .doc = "memory of a container for which none is asked"},
	[SETTING_DISK_BYTES] =
		{"disk_bytes", BYTES, true, TO(PEER_SANDBOX), MIB, 1ull << 50,
		 "512MiB", .doc = "what a container may write to its file system; what it writes counts as its memory"},
	[SETTING_SHM_BYTES] = {"shm_bytes", BYTES, true, TO(PEER_SANDBOX), 65536, 1ull << 50, "64MiB",
			       .doc = "size of a container's /dev/shm"},
	[SETTING_PIDS_MAX] = {"pids_max", NUMBER, true, TO(PEER_SANDBOX), 4, 4194304, "256",
			      .doc = "processes and threads of a container"},
	[SETTING_POOL_MAX] = {"pool_max", NUMBER, false, TO(PEER_SANDBOX), 0, 256, "16",
			      .doc = "most containers that are built ahead and wait for a call; 0: none"},
	[SETTING_NETWORK_DEFAULT] =
		{"network_default", CHOICE, true, TO(PEER_API), .value = "bridge", .choices = {"none", "bridge"},
		 .doc =
			 "network of an image whose route says nothing: none or bridge; CUDA bundles get none"},
	[SETTING_NETWORK_HOST] = {"network_host", CHOICE, true, TO(PEER_SANDBOX), .value = "no",
				  .choices = {"no", "yes"},
				  .doc = "whether a route may have the network of the host: no or yes"},
	[SETTING_NETWORK_ALLOW] =
		{"network_allow", RANGES, true, TO(PEER_SANDBOX), .value = "",
		 .doc =
			 "what routes may open for themselves of the private networks that are closed to instances on "
			 "the bridge: ADDRESS[/PREFIX][:PORT][/tcp|/udp], separated by blanks"},
	[SETTING_RESOLVERS] = {"resolvers", TEXT, false, TO_FERRITED, .value = "",
			       .doc = "DNS servers of instances on the bridge, separated by blanks; empty: those of "
				      "the host that are not on the host itself"},
	[SETTING_CONNECTIONS_MAX] = {"connections_max", NUMBER, false, TO(PEER_SANDBOX), 1, 65535, "1024",
				     .doc = "connections of an instance on the bridge at a time"},
	[SETTING_MAX_DISK_BYTES] = {"max_disk_bytes", BYTES, true, TO(PEER_SANDBOX), MIB, 1ull << 50, "",
				    .doc = "what a container may write to its file system, whatever is asked for"},
	[SETTING_MAX_PIDS] = {"max_pids", NUMBER, true, TO(PEER_SANDBOX), 4, 4194304, "",
			      .doc = "processes and threads of a container, whatever is asked for"},
	[SETTING_MAX_CPU_PERCENT] = {"max_cpu_percent", NUMBER, true, TO(PEER_SANDBOX), 1, 100000, "",
				     .doc = "CPU time of a container in percent of one CPU, whatever is asked for"},
	[SETTING_MAX_IMAGE_BYTES] = {"max_image_bytes", BYTES, true, TO(PEER_ROOTFS) | TO(PEER_API), MIB, 1ull << 44,
				     "16GiB", .doc = "largest image, unpacked"},
	[SETTING_MAX_ENTRIES] = {"max_entries", NUMBER, true, TO(PEER_ROOTFS), 16, 100000000, "1000000",
				 .doc = "most files of an image"},
	[SETTING_GPU] =
		{"gpu", CHOICE, .receivers = TO(PEER_GPU) | TO(PEER_API), .value = "auto",
		 .choices = {"auto", "nvidia", "software", "none"},
		 .doc =
			 "auto (NVIDIA's driver when it is there, else the software device), nvidia, software, or "
			 "none"},
	[SETTING_DRIVER_ROOT] = {"driver_root", PATH, .receivers = TO(PEER_GPU), .value = "/",
				 .doc = "root of the file system that holds NVIDIA's driver"},
	[SETTING_LIBRARY_DIRS] = {"library_dirs", PATHS, .receivers = TO(PEER_GPU), .value = "",
				  .doc = "folders with the driver's libraries, before those the loader knows"},
	[SETTING_SOFTWARE_DEVICE_DIR] =
		{"software_device_dir", PATH, .receivers = TO(PEER_GPU),
		 .value = "", .doc = "folder of the software device; empty: found from ferrited's own place"},
	[SETTING_CUDAEXEC] = {"cudaexec", PATH, .receivers = TO(PEER_GPU), .value = "",
			      .doc = "the runner of CUDA bundles; empty: found from ferrited's own place"},
	[SETTING_CDI_DIRS] = {"cdi_dirs", PATHS, .receivers = TO(PEER_GPU), .value = "/etc/cdi:/var/run/cdi",
			      .doc = "folders with CDI files, the one that counts most last"},
	[SETTING_GPU_MEMORY_DEFAULT] = {"gpu_memory_default", MIB_SIZE, true, TO(PEER_GPU), 16, 1u << 30, "1024",
					.doc = "device memory of an instance whose route says nothing"},
};

static uint64_t memory_available_mib(void)
{
	_cleanup_free_ char *text = NULL;
	const char *at;
	uint64_t kib = 0;

	if (file_read(AT_FDCWD, "/proc/meminfo", 64 * KIB, &text, NULL) < 0)
		return 1024;
	at = strstr(text, "MemAvailable:");
	if (!at || sscanf(at + 13, "%" SCNu64, &kib) != 1)
		return 1024;
	return MAX(kib / 1024, (uint64_t)16);
}

static bool parse_time(const char *text, uint64_t *ret_ms)
{
	static const struct {
		const char *suffix;
		uint64_t ms;
	} units[] = {{"", 1000}, {"ms", 1}, {"s", 1000}, {"min", 60000}, {"h", HOUR}};
	size_t digits = strspn(text, "0123456789");
	char number[24];

	if (digits >= sizeof(number))
		return false;
	memcpy(number, text, digits);
	number[digits] = '\0';
	for (size_t i = 0; i < ARRAY_LEN(units); i++)
		if (strcmp(text + digits, units[i].suffix) == 0)
			return str_u64(number, ret_ms) && !__builtin_mul_overflow(*ret_ms, units[i].ms, ret_ms);
	return false;
}

static int refuse(const char *source, const struct row *row, const char *text, struct err *err)
{
	struct err cause = ERR_INIT;
	char shown[128];

	str_escape(shown, sizeof(shown), text, strlen(text));
	switch (row->type) {
	case NUMBER:
		return err_set(err, EINVAL, "%s: %s = \"%s\": expected a number from %" PRIu64 " to %" PRIu64, source,
			       row->key, shown, row->min, row->max);
	case BYTES:
	case MIB_SIZE:
		return err_set(err, EINVAL,
			       "%s: %s = \"%s\": expected a size from %" PRIu64 " to %" PRIu64
			       " %s, or with a suffix KiB, MiB or GiB",
			       source, row->key, shown, row->min, row->max, row->type == BYTES ? "bytes" : "MiB");
	case TIME:
		return err_set(err, EINVAL,
			       "%s: %s = \"%s\": expected a time from %" PRIu64 " ms to %" PRIu64
			       " s: seconds, or a number with ms, s, min or h",
			       source, row->key, shown, row->min, row->max / 1000);
	case PATH:
	case PATHS:
		return err_set(err, EINVAL, "%s: %s = \"%s\": expected %s", source, row->key, shown,
			       row->type == PATH ? "an absolute path" : "absolute paths separated by colons");
	case CHOICE:
	case LISTEN:
		return err_set(err, EINVAL, "%s: %s = \"%s\": %sexpected %s", source, row->key, shown,
			       row->complaint ? row->complaint : "", row->doc);
	case RANGES:
		if (allow_check_list(text, &cause) < 0)
			return err_set(err, EINVAL, "%s: %s: %s", source, row->key, cause.text);
		break;
	case TEXT:
		break;
	}
	return err_set(err, EINVAL, "%s: %s: the value has control bytes or is longer than %d bytes", source, row->key,
		       SETTING_VALUE_MAX - 1);
}

/* Each returns false when TEXT is not of the type; else the normalised value is in VALUE. */
static bool take_number(const struct row *row, const char *text, char *value)
{
	uint64_t number = 0, unit = row->type == MIB_SIZE ? MIB : 1;
	bool good;

	if (!*text && !row->value[0])
		return str_copy(value, SETTING_VALUE_MAX, "");
	if (row->type == TIME)
		good = parse_time(text, &number);
	else if (row->type == NUMBER)
		good = str_u64(text, &number);
	else
		good = str_size(text, unit, &number) == 0;
	if (row->type == MIB_SIZE)
		number = number / MIB + (number % MIB != 0);
	if (!good || number < row->min || number > row->max)
		return false;
	if (row->type == TIME && number % 1000)
		(void)snprintf(value, SETTING_VALUE_MAX, "%" PRIu64 ".%03u", number / 1000, (unsigned)(number % 1000));
	else
		(void)snprintf(value, SETTING_VALUE_MAX, "%" PRIu64, row->type == TIME ? number / 1000 : number);
	return true;
}

static bool take_paths(const struct row *row, const char *text, char *value)
{
	size_t length = strlen(text);

	if (length >= SETTING_VALUE_MAX)
		return false;
	if (row->type == PATHS) {
		for (const char *at = text; *at;) {
			size_t part = strcspn(at, ":");

			if (at[0] != '/')
				return false;
			at += part + (at[part] == ':');
		}
	} else if (length > 0 || row->value[0]) {
		if (text[0] != '/')
			return false;
		/* One name per folder: no slashes at the end. */
		while (length > 1 && text[length - 1] == '/')
			length--;
	}
	memcpy(value, text, length);
	value[length] = '\0';
	return true;
}

static bool take_choice(const struct row *row, const char *text, char *value)
{
	for (size_t i = 0; row->choices[i]; i++)
		if (strcmp(row->choices[i], text) == 0)
			return str_copy(value, SETTING_VALUE_MAX, text);
	return false;
}

/* Blanks and commas separate; "none" stands alone. */
static bool take_listen(const char *text, char *value)
{
	struct listen_address address;
	char copy[SETTING_VALUE_MAX];
	char *rest = NULL;

	if (!str_copy(copy, sizeof(copy), text))
		return false;
	if (strcmp(text, "none") == 0)
		return str_copy(value, SETTING_VALUE_MAX, text);
	value[0] = '\0';
	for (char *word = strtok_r(copy, " \t,", &rest); word; word = strtok_r(NULL, " \t,", &rest)) {
		size_t used = strlen(value);

		if (listen_parse(word, &address, NULL) < 0)
			return false;
		(void)snprintf(value + used, SETTING_VALUE_MAX - used, "%s%s", used ? " " : "", word);
	}
	return value[0] != '\0';
}

static bool take(const struct row *row, const char *text, char *value)
{
	for (const char *c = text; *c; c++)
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			return false;
	switch (row->type) {
	case PATH:
	case PATHS:
		return take_paths(row, text, value);
	case CHOICE:
		return take_choice(row, text, value);
	case LISTEN:
		return take_listen(text, value);
	case RANGES:
		return allow_check_list(text, NULL) == 0 && str_copy(value, SETTING_VALUE_MAX, text);
	case TEXT:
		return str_copy(value, SETTING_VALUE_MAX, text);
	default:
		return take_number(row, text, value);
	}
}

void settings_default(struct settings *settings)
{
	memset(settings, 0, sizeof(*settings));
	for (int i = 0; i < SETTING_MAX; i++)
		(void)take(&rows[i], rows[i].value, settings->value[i]);
	(void)snprintf(settings->value[SETTING_MEMORY_TOTAL], SETTING_VALUE_MAX, "%" PRIu64, memory_available_mib());
}

static int find(const char *key)
{
	for (int i = 0; i < SETTING_MAX; i++)
		if (strcmp(rows[i].key, key) == 0)
			return i;
	return -1;
}

static int set(struct settings *settings, const char *source, int setting, const char *text, struct err *err)
{
	char value[SETTING_VALUE_MAX];

	if (!take(&rows[setting], text, value) ||
	    (setting == SETTING_UID_BASE && strtoull(value, NULL, 10) % 65536 != 0))
		return refuse(source, &rows[setting], text, err);
	memcpy(settings->value[setting], value, sizeof(value));
	settings->given[setting] = true;
	return 0;
}

int settings_set(struct settings *settings, const char *source, const char *key, const char *text, struct err *err)
{
	const char *keys[SETTING_MAX + 1] = {NULL};
	const char *nearest;
	char shown[128];
	int setting = find(key);

	if (setting >= 0)
		return set(settings, source, setting, text, err);
	for (int i = 0; i < SETTING_MAX; i++)
		keys[i] = rows[i].key;
	nearest = str_nearest(key, keys);
	str_escape(shown, sizeof(shown), key, strlen(key));
	return err_set(err, ENOENT, "%s: unknown setting \"%s\"%s%s%s", source, shown,
		       nearest ? ", did you mean \"" : "", nearest ? nearest : "", nearest ? "\"?" : "");
}

static char *trim(char *text)
{
	size_t length;

	while (*text == ' ' || *text == '\t')
		text++;
	length = strlen(text);
	while (length > 0 && (text[length - 1] == ' ' || text[length - 1] == '\t' || text[length - 1] == '\r'))
		length--;
	text[length] = '\0';
	return text;
}

static int parse_line(struct settings *settings, bool *seen, const char *source, char *line, struct err *err)
{
	char joined[SETTING_VALUE_MAX];
	char *equals, *key, *value;
	int setting;

	line = trim(line);
	if (!*line || *line == '#')
		return 0;
	equals = strchr(line, '=');
	if (!equals)
		return err_set(err, EINVAL, "%s: expected \"key = value\" or a comment", source);
	*equals = '\0';
	key = trim(line);
	value = trim(equals + 1);
	setting = find(key);
	if (setting >= 0 && seen[setting]) {
		if (setting != SETTING_LISTEN)
			return err_set(err, EINVAL, "%s: %s is given a second time", source, key);
		if ((size_t)snprintf(joined, sizeof(joined), "%s %s", settings->value[setting], value) >=
		    sizeof(joined))
			return refuse(source, &rows[setting], value, err);
		value = joined;
	}
	if (setting >= 0)
		seen[setting] = true;
	return settings_set(settings, source, key, value, err);
}

int settings_parse(struct settings *settings, const char *name, const char *text, struct err *err)
{
	bool seen[SETTING_MAX] = {false};
	char line[2 * SETTING_VALUE_MAX];

	for (unsigned number = 1; *text; number++) {
		size_t length = strcspn(text, "\n");
		char source[128];
		int r;

		(void)snprintf(source, sizeof(source), "%s:%u", name, number);
		if (length >= sizeof(line))
			return err_set(err, EINVAL, "%s: the line is longer than %zu bytes", source, sizeof(line) - 1);
		memcpy(line, text, length);
		line[length] = '\0';
		r = parse_line(settings, seen, source, line, err);
		if (r < 0)
			return r;
		text += length + (text[length] == '\n');
	}
	return 0;
}

/* The setting that the variable NAME stands for; -1: none. */
static int find_variable(const char *name, bool *ret_ours)
{
	*ret_ours = strncmp(name, "FERRITE_", 8) == 0;
	for (int i = 0; i < SETTING_MAX; i++) {
		const char *key = rows[i].key;
		size_t k = 0;

		if (!*ret_ours) {
			if (rows[i].variable && strcmp(rows[i].variable, name) == 0)
				return i;
			continue;
		}
		while (key[k] && toupper((unsigned char)key[k]) == name[8 + k])
			k++;
		if (!key[k] && !name[8 + k])
			return i;
	}
	return -1;
}

static int set_port(struct settings *settings, const char *text, struct err *err)
{
	char listen[32];
	uint64_t port = 0;

	if (!str_u64(text, &port) || port > 65535)
		return err_set(err, EINVAL, "PORT: \"%.32s\" is no port number", text);
	(void)snprintf(listen, sizeof(listen), "*:%" PRIu64, port);
	return settings_set(settings, "PORT", "listen", listen, err);
}

/* Variables of other parts of ferrite that are no settings. */
static bool foreign(const char *name)
{
	static const char *const names[] = {"FERRITE_API", "FERRITE_CUDA", "FERRITE_CONFIG"};

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (strcmp(names[i], name) == 0)
			return true;
	return false;
}

/* One pass for IronFunctions' variables, one for ours. An empty variable counts as not set. */
int settings_environment(struct settings *settings, char *const *environment, char *ret_unknown, size_t size,
			 struct err *err)
{
	ret_unknown[0] = '\0';
	for (int pass = 0; pass < 2; pass++)
		for (char *const *entry = environment; *entry; entry++) {
			size_t length = strcspn(*entry, "=");
			char name[64];
			bool ours;
			int setting, r = 0;

			if (length >= sizeof(name) || !(*entry)[length] || !(*entry)[length + 1])
				continue;
			memcpy(name, *entry, length);
			name[length] = '\0';
			setting = find_variable(name, &ours);
			if (ours != (pass == 1))
				continue;
			if (strcmp(name, "PORT") == 0)
				r = set_port(settings, *entry + length + 1, err);
			else if (setting >= 0)
				r = set(settings, name, setting, *entry + length + 1, err);
			else if (ours && !foreign(name) && !ret_unknown[0])
				(void)str_copy(ret_unknown, size, name);
			if (r < 0)
				return r;
		}
	return 0;
}

const char *settings_get(const struct settings *settings, enum setting setting)
{
	return settings->value[setting];
}

uint64_t settings_number(const struct settings *settings, enum setting setting)
{
	return strtoull(settings->value[setting], NULL, 10);
}

uint64_t settings_time_us(const struct settings *settings, enum setting setting)
{
	char *rest = NULL;
	uint64_t seconds = strtoull(settings->value[setting], &rest, 10);

	return seconds * 1000000 + (*rest == '.' ? strtoull(rest + 1, NULL, 10) * 1000 : 0);
}

const char *settings_key(enum setting setting)
{
	return rows[setting].key;
}

bool settings_reloadable(enum setting setting)
{
	return rows[setting].reloadable;
}

bool settings_pack(const struct settings *settings, enum peer peer, char *buffer, size_t size, size_t *used,
		   uint32_t *n_entries)
{
	char entry[SETTING_VALUE_MAX + 64];

	for (int i = 0; i < SETTING_MAX; i++) {
		bool server_default = rows[i].type <= MIB_SIZE && !settings->value[i][0];

		if (!(rows[i].receivers & TO(peer)) || server_default)
			continue;
		(void)snprintf(entry, sizeof(entry), "%s=%s%s", rows[i].key, settings->value[i],
			       rows[i].type == MIB_SIZE ? "MiB" : "");
		if (!str_pack(buffer, size, used, entry))
			return false;
		(*n_entries)++;
	}
	return true;
}

void settings_print(FILE *out)
{
	for (int i = 0; i < SETTING_MAX; i++)
		fprintf(out, "  %-20s %s (default: %s)\n", rows[i].key, rows[i].doc,
			i == SETTING_MEMORY_TOTAL ? "see there"
			: rows[i].value[0]	  ? rows[i].value
						  : "empty");
}
