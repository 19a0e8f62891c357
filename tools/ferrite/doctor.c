/* ferrite doctor: runs every check and prints one line for each. */
#include "tools/ferrite/doctor.h"

#include "supervisor/util.h"
#include "tools/ferrite/commands.h"
#include "tools/ferrite/output.h"

#include <stdarg.h>

static const struct {
	const char *name;
	doctor_check check;
} checks[] = {
	{"kernel", doctor_kernel},
	{"namespaces", doctor_namespaces},
	{"cgroups", doctor_cgroups},
	{"overlayfs", doctor_overlay},
	{"idmapped mounts", doctor_idmap},
	{"seccomp", doctor_seccomp},
	{"memory", doctor_memory},
	{"disk", doctor_disk},
	{"bridge", doctor_bridge},
	{"user ids", doctor_ids},
	{"gpu", doctor_gpu},
	{"service", doctor_service},
	{"servers", doctor_servers},
	{"port", doctor_port},
};

static const char *const state_names[] = {"ok", "warning", "problem"};

struct doctor_finding doctor_found(enum doctor_state state, const char *cure, const char *format, ...)
{
	struct doctor_finding finding = {.state = state};
	va_list arguments;

	va_start(arguments, format);
	(void)vsnprintf(finding.text, sizeof(finding.text), format, arguments);
	va_end(arguments);
	if (cure)
		(void)snprintf(finding.cure, sizeof(finding.cure), "%s", cure);
	return finding;
}

static void print_finding(const char *name, const struct doctor_finding *finding)
{
	printf("%-8s %-16s ", state_names[finding->state], name);
	output_text(stdout, finding->text);
	putchar('\n');
	if (*finding->cure) {
		printf("%-8s %-16s -> ", "", "");
		output_text(stdout, finding->cure);
		putchar('\n');
	}
	(void)fflush(stdout);
}

enum cli_exit doctor(struct cli *cli)
{
	struct doctor_subject subject = {.cli = cli, .state_dir = cli_value(cli, "state-dir")};
	unsigned counts[ARRAY_LEN(state_names)] = {0};
	json_t *rows = json_array();

	if (!subject.state_dir)
		subject.state_dir = "/var/lib/ferrite";
	for (size_t i = 0; i < ARRAY_LEN(checks); i++) {
		struct doctor_finding finding = checks[i].check(&subject);

		counts[finding.state]++;
		if (!cli->json)
			print_finding(checks[i].name, &finding);
		(void)json_array_append_new(rows,
					    json_pack("{s:s, s:s, s:o, s:o}", "check", checks[i].name, "state",
						      state_names[finding.state], "text", output_string(finding.text),
						      "cure", output_string(finding.cure)));
	}
	if (cli->json) {
		json_t *document =
			json_pack("{s:O, s:i, s:i, s:i}", "checks", rows, "ok", (int)counts[DOCTOR_OK], "warnings",
				  (int)counts[DOCTOR_WARNING], "problems", (int)counts[DOCTOR_PROBLEM]);

		output_json(document);
		json_decref(document);
	} else {
		printf("%u ok, %u warnings, %u problems\n", counts[DOCTOR_OK], counts[DOCTOR_WARNING],
		       counts[DOCTOR_PROBLEM]);
	}
	json_decref(rows);
	return counts[DOCTOR_PROBLEM] > 0 ? CLI_FAILED : CLI_OK;
}
