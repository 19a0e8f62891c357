/* The table of commands: what is not here does not exist, in help and completion neither. */
#include "tools/ferrite/commands.h"

#include "supervisor/util.h"

static const struct cli_option app_options[] = {
	{0, "config", "KEY=VALUE", "a setting all its functions see in their environment (repeatable)"},
	{0, NULL, NULL, NULL},
};

static const struct cli_option routes_ls_options[] = {
	{'i', "image", "NAME", "only the routes of this image"},
	{0, NULL, NULL, NULL},
};

static const struct cli_option call_options[] = {
	{'d', "data", "DATA|@FILE|-", "the body: the text itself, a file, or standard input in chunks as it comes"},
	{'t', "type", "TYPE", "its content type (default: JSON when it looks so, else application/octet-stream)"},
	{'X', "method", "METHOD", "default POST with a body, GET without"},
	{'H', "header", "NAME: VALUE", "a header of the request (repeatable)"},
	{'o', "output", "FILE", "write the answer there"},
	{0, "timing", NULL, "print on standard error where the time went: queue, start, gpu, run"},
	{0, NULL, NULL, NULL},
};

static const struct cli_option bundle_options[] = {
	{'t', "tag", "NAME[:TAG]", "name of the image (default: name and version of the function file)"},
	{'o', "output", "FILE|-", "write the OCI archive there instead of sending it to the service"},
	{0, NULL, NULL, NULL},
};

static const struct cli_option deploy_options[] = {
	{0, "app", "APP", "the app; created when it is not there"},
	{0, "path", "PATH", "path of the route (default: path of the function file, else its name)"},
	{'t', "tag", "NAME[:TAG]", "name of the image (default: name and version of the function file)"},
	{0, NULL, NULL, NULL},
};

static const struct cli_option test_options[] = {
	{0, "remote", "APP", "call the function that is deployed in this app, instead of trying the folder out"},
	{0, "path", "PATH", "with --remote: path of the route (default: path of the function file, else its name)"},
	{0, NULL, NULL, NULL},
};

static const struct cli_option run_options[] = {
	{'e', "env", "NAME[=VALUE]", "only this variable, as HEADER_NAME (repeatable; default: the environment)"},
	{0, NULL, NULL, NULL},
};

static const struct cli_option init_options[] = {
	{'k', "kind", "exec|kernel|handler", "a plain executable (default), a CUDA kernel, or a CUDA handler"},
	{0, NULL, NULL, NULL},
};

static const struct cli_option calls_options[] = {
	{'n', "limit", "N", "at most so many (default 100, at most 1000)"},
	{'s', "status", "STATUS", "504, 5xx, failed, or success, error, oom, timeout, refused, broken, cancelled"},
	{'p', "path", "PATH", "only calls of this route"},
	{0, "since", "TIME", "made then or later: 10min, 2h, 7d (ago), or 2026-11-22T06:02:43Z"},
	{'f', "follow", NULL, "go on with the calls that end from now on, until interrupted"},
	{0, NULL, NULL, NULL},
};

static const struct cli_option logs_options[] = {
	{'n', "limit", "N", "of the newest so many calls (default 10, at most 1000)"},
	{'s', "status", "STATUS", "only of calls that ended so; see calls"},
	{0, "since", "TIME", "only of calls that were made then or later; see calls"},
	{'f', "follow", NULL, "go on with the calls that end from now on, until interrupted"},
	{0, NULL, NULL, NULL},
};

static const struct cli_option gpu_inject_options[] = {
	{0, "dry-run", NULL, "only show it; it is done when an instance starts"},
	{0, NULL, NULL, NULL},
};

static const struct cli_option top_options[] = {
	{'i', "interval", "SECONDS", "between two looks (default 1)"},
	{0, "once", NULL, "look once, over one interval, and end"},
	{0, NULL, NULL, NULL},
};

static const struct cli_option doctor_options[] = {
	{0, "state-dir", "DIR", "where ferrited keeps its images (default /var/lib/ferrite)"},
	{0, NULL, NULL, NULL},
};

const struct cli_command cli_commands[] = {
	{"init", "DIR", "begin a function bundle in a new folder", 1, 1, init_options, init_bundle},
	{"bundle", "[DIR]", "make an image of a bundle folder", 0, 1, bundle_options, bundle_make},
	{"deploy", "[DIR]", "bundle a folder and give it a URL", 0, 1, deploy_options, bundle_deploy},
	{"test", "[DIR]", "run the tests of a function file", 0, 1, test_options, function_test},
	{"run", "[DIR]", "try a function out: standard input in, its answer out", 0, 1, run_options, function_run},
	{"bump", "[DIR]", "raise the last part of the version in a function file", 0, 1, NULL, bundle_bump},
	{"call", "APP PATH", "call a function", 2, 2, call_options, call_function},
	{"apps ls", "", "list the apps", 0, 0, NULL, apps_ls},
	{"apps create", "APP", "create an app", 1, 1, app_options, apps_create},
	{"apps inspect", "APP", "show an app", 1, 1, NULL, apps_inspect},
	{"apps update", "APP", "change an app's settings", 1, 1, app_options, apps_update},
	{"apps delete", "APP", "delete an app without routes", 1, 1, NULL, apps_delete},
	{"apps config ls", "APP", "list an app's settings", 1, 1, NULL, apps_config_ls},
	{"apps config set", "APP KEY=VALUE...", "set an app's settings", 2, -1, NULL, apps_config_set},
	{"apps config unset", "APP KEY...", "remove settings of an app", 2, -1, NULL, apps_config_unset},
	{"routes ls", "APP", "list an app's routes", 1, 1, routes_ls_options, routes_ls},
	{"routes create", "APP PATH IMAGE", "create a route, and its app", 2, 3, routes_options, routes_create},
	{"routes inspect", "APP PATH", "show a route", 2, 2, NULL, routes_inspect},
	{"routes update", "APP PATH", "change a route", 2, 2, routes_options, routes_update},
	{"routes delete", "APP PATH", "delete a route", 2, 2, NULL, routes_delete},
	{"routes call", "APP PATH", "the same as call", 2, 2, call_options, call_function},
	{"routes config ls", "APP PATH", "list a route's settings", 2, 2, NULL, routes_config_ls},
	{"routes config set", "APP PATH KEY=VALUE...", "set a route's settings", 3, -1, NULL, routes_config_set},
	{"routes config unset", "APP PATH KEY...", "remove settings of a route", 3, -1, NULL, routes_config_unset},
	{"routes headers ls", "APP PATH", "list the headers of its answers", 2, 2, NULL, routes_headers_ls},
	{"routes headers set", "APP PATH NAME=VALUE...", "set headers of its answers", 3, -1, NULL, routes_headers_set},
	{"routes headers unset", "APP PATH NAME...", "remove headers", 3, -1, NULL, routes_headers_unset},
	{"routes token", "APP PATH [SECONDS]", "make a token for calls of a route with a jwt_key", 2, 3, NULL,
	 routes_token},
	{"images ls", "", "list the images of the store", 0, 0, NULL, images_ls},
	{"images import", "FILE|- [NAME]", "import a docker save, OCI or root file system archive", 1, 2, NULL,
	 images_import},
	{"images inspect", "NAME", "show an image", 1, 1, NULL, images_inspect},
	{"images rm", "NAME", "forget an image", 1, 1, NULL, images_rm},
	{"images gc", "", "remove what no image refers to", 0, 0, NULL, images_gc},
	{"calls", "[APP]", "list the calls that have ended, the newest first", 0, 1, calls_options, calls_ls},
	{"calls inspect", "APP ID", "show a call", 2, 2, NULL, calls_inspect},
	{"logs", "APP [ID|PATH]", "print what calls wrote on standard error", 1, 2, logs_options, calls_logs},
	{"ps", "", "list the running instances", 0, 0, NULL, status_ps},
	{"gpu", "", "list the GPUs and who holds their memory", 0, 0, NULL, status_gpu},
	{"gpu inject", "APP PATH|IMAGE", "show what a route or an image would get of the GPUs, and why", 1, 2,
	 gpu_inject_options, gpu_inject},
	{"top", "", "show the instances that take most of the processor", 0, 0, top_options, top},
	{"stats", "", "print the counters of calls", 0, 0, NULL, status_stats},
	{"doctor", "", "check this host, each problem with its cure", 0, 0, doctor_options, doctor},
	{"version", "", "print the versions of this command and of the service", 0, 0, NULL, status_version},
	{"completion", "bash|zsh", "print a completion script for a shell", 1, 1, NULL, completion},
	{"help", "[COMMAND]...", "print help", 0, -1, NULL, help_print},
	{0},
};
