#include "sandbox/firewall.h"

#include "firewall_rules.h"
#include "supervisor/util.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>

#define RULES_MAX   8192
#define REGISTER    4 /* a field of a concatenated key fills whole registers of 32 bits */
#define BUFFER_SIZE 2048
#define NFT_MS	    10000 /* it needs tens */

static const char *const nft_programs[] = {"/usr/sbin/nft", "/sbin/nft", "/usr/bin/nft"};

/* --- the rules ---------------------------------------------------------------------------------------------------- */

struct blank {
	const char *name, *value;
};

/* Puts the values in the place of the %NAMES%. */
static int fill_in(const char *template, const struct blank *blanks, size_t n, char *out, size_t size, struct err *err)
{
	size_t used = 0;

	while (*template) {
		const char *piece = template;
		size_t length = strcspn(template, "%");

		template += length;
		for (size_t i = 0; length == 0 && i < n; i++)
			if (strncmp(template, blanks[i].name, strlen(blanks[i].name)) == 0) {
				piece = blanks[i].value;
				length = strlen(piece);
				template += strlen(blanks[i].name);
				break;
			}
		if (length == 0 && piece == template)
			return err_set(err, EINVAL, "the rules have a blank that is not known: %.16s", template);
		if (length >= size - used)
			return err_set(err, E2BIG, "the rules of the bridge are too large");
		memcpy(out + used, piece, length);
		used += length;
	}
	out[used] = '\0';
	return 0;
}

/* "a b" becomes "elements = { a, b }". */
static void list_resolvers(const char *resolvers, char *out, size_t size)
{
	size_t used = 0;

	*out = '\0';
	while (*(resolvers += strspn(resolvers, " ")) && used < size) {
		int length = (int)strcspn(resolvers, " ");

		used += (size_t)snprintf(out + used, size - used, "%s%.*s", used ? ", " : "elements = { ", length,
					 resolvers);
		resolvers += length;
	}
	if (used > 0 && used < size)
		(void)snprintf(out + used, size - used, " }");
}

static int write_rules(const struct firewall_rules *rules, char *out, size_t size, struct err *err)
{
	char subnet[INET_ADDRSTRLEN + 4], connections[12], resolvers[512];
	const struct blank blanks[] = {
		{"%NAME%", rules->name},
		{"%SUBNET%", subnet},
		{"%RESOLVERS%", resolvers},
		{"%CONNECTIONS%", connections},
		{"%OTHERS%", rules->only_ours ? "drop" : "accept"},
	};
	char address[INET_ADDRSTRLEN];

	(void)inet_ntop(AF_INET, &rules->subnet, address, sizeof(address));
	(void)snprintf(subnet, sizeof(subnet), "%s/%u", address, rules->prefix);
	(void)snprintf(connections, sizeof(connections), "%u", rules->connections_max);
	list_resolvers(rules->resolvers, resolvers, sizeof(resolvers));
	return fill_in(FIREWALL_RULES, blanks, ARRAY_LEN(blanks), out, size, err);
}

static const char *find_nft(void)
{
	for (size_t i = 0; i < ARRAY_LEN(nft_programs); i++)
		if (access(nft_programs[i], X_OK) == 0)
			return nft_programs[i];
	return NULL;
}

/* Not for long: a server that waits answers nobody, and ferrited ends one that does not answer. */
static int wait_for_nft(pid_t pid, int *ret_status, struct err *err)
{
	_cleanup_fd_ int pid_fd = pidfd_open(pid, 0);
	struct pollfd p = {.fd = pid_fd, .events = POLLIN};
	bool ended = pid_fd >= 0 && poll(&p, 1, NFT_MS) > 0;

	if (!ended)
		(void)kill(pid, SIGKILL);
	while (waitpid(pid, ret_status, 0) < 0 && errno == EINTR)
		;
	return ended ? 0
		     : err_set(err, ETIMEDOUT, "nft did not load the rules of the bridge within %d s", NFT_MS / 1000);
}

/* A fixed program with an empty environment, which reads the rules from a pipe: they fit into it whole. */
static int run_nft(const char *text, struct err *err)
{
	const char *program = find_nft();
	char *const arguments[] = {(char[]){"nft"}, (char[]){"-f"}, (char[]){"-"}, NULL};
	char *const no_environment[] = {NULL};
	_cleanup_fd_ int in_fd = -1, out_fd = -1;
	posix_spawn_file_actions_t actions;
	int ends[2], status, r;
	pid_t pid;

	if (!program)
		return err_set(err, ENOENT, "there is no nft program: install the package nftables");
	if (pipe2(ends, O_CLOEXEC) < 0)
		return err_sys(err, errno, "make a pipe");
	in_fd = ends[0];
	out_fd = ends[1];
	if (write(out_fd, text, strlen(text)) != (ssize_t)strlen(text))
		return err_sys(err, errno, "write the rules of the bridge");
	fd_close(&out_fd);
	(void)posix_spawn_file_actions_init(&actions);
	(void)posix_spawn_file_actions_adddup2(&actions, in_fd, 0);
	r = posix_spawn(&pid, program, &actions, NULL, arguments, no_environment);
	(void)posix_spawn_file_actions_destroy(&actions);
	if (r != 0)
		return err_sys(err, r, "execute %s", program);
	r = wait_for_nft(pid, &status, err);
	if (r < 0)
		return r;
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		return err_set(err, EIO, "%s refused the rules of the bridge; what it said is above", program);
	return 0;
}

/* --- elements of sets --------------------------------------------------------------------------------------------- */

struct key {
	unsigned char bytes[48];
	size_t length;
};

/* Appends a field, which begins on a register of its own. */
static void key_add(struct key *key, const void *bytes, size_t length)
{
	memcpy(key->bytes + key->length, bytes, length);
	key->length += (length + REGISTER - 1) / REGISTER * REGISTER;
}

static struct nlmsghdr *begin(struct firewall *firewall, struct mnl_nlmsg_batch *batch, uint16_t type, uint16_t flags,
			      uint8_t family, uint16_t resource)
{
	struct nlmsghdr *message = mnl_nlmsg_put_header(mnl_nlmsg_batch_current(batch));
	struct nfgenmsg *general = mnl_nlmsg_put_extra_header(message, sizeof(*general));

	message->nlmsg_type = type;
	message->nlmsg_flags = NLM_F_REQUEST | flags;
	message->nlmsg_seq = ++firewall->sequence;
	*general = (struct nfgenmsg){.nfgen_family = family, .version = NFNETLINK_V0, .res_id = htons(resource)};
	return message;
}

static void put_key(struct nlmsghdr *message, uint16_t attribute, const struct key *key)
{
	struct nlattr *nest = mnl_attr_nest_start(message, attribute);

	mnl_attr_put(message, NFTA_DATA_VALUE, key->length, key->bytes);
	mnl_attr_nest_end(message, nest);
}

static void put_element(struct nlmsghdr *message, const char *table, const char *set, const struct key *first,
			const struct key *last)
{
	struct nlattr *list, *element;

	mnl_attr_put_strz(message, NFTA_SET_ELEM_LIST_TABLE, table);
	mnl_attr_put_strz(message, NFTA_SET_ELEM_LIST_SET, set);
	list = mnl_attr_nest_start(message, NFTA_SET_ELEM_LIST_ELEMENTS);
	element = mnl_attr_nest_start(message, NFTA_LIST_ELEM);
	put_key(message, NFTA_SET_ELEM_KEY, first);
	if (last)
		put_key(message, NFTA_SET_ELEM_KEY_END, last);
	mnl_attr_nest_end(message, element);
	mnl_attr_nest_end(message, list);
}

/* Adds or takes away one element: LAST is the end of an interval, or NULL. What is taken away may be gone already. */
static int change_element(struct firewall *firewall, uint8_t family, const char *set, const struct key *first,
			  const struct key *last, bool add, struct err *err)
{
	_Alignas(struct nlmsghdr) char buffer[BUFFER_SIZE];
	struct mnl_nlmsg_batch *batch = mnl_nlmsg_batch_start(buffer, sizeof(buffer) / 2);
	uint16_t type = (NFNL_SUBSYS_NFTABLES << 8) | (add ? NFT_MSG_NEWSETELEM : NFT_MSG_DELSETELEM);
	ssize_t n = -1;

	if (!batch)
		return err_sys(err, ENOMEM, "change the set %s", set);
	(void)begin(firewall, batch, NFNL_MSG_BATCH_BEGIN, 0, AF_UNSPEC, NFNL_SUBSYS_NFTABLES);
	(void)mnl_nlmsg_batch_next(batch);
	put_element(begin(firewall, batch, type, NLM_F_ACK | (add ? NLM_F_CREATE : 0), family, 0), firewall->name, set,
		    first, last);
	(void)mnl_nlmsg_batch_next(batch);
	(void)begin(firewall, batch, NFNL_MSG_BATCH_END, 0, AF_UNSPEC, NFNL_SUBSYS_NFTABLES);
	(void)mnl_nlmsg_batch_next(batch);
	n = mnl_socket_sendto(firewall->socket, mnl_nlmsg_batch_head(batch), mnl_nlmsg_batch_size(batch));
	mnl_nlmsg_batch_stop(batch);
	if (n >= 0)
		n = mnl_socket_recvfrom(firewall->socket, buffer, sizeof(buffer));
	if (n >= 0)
		n = mnl_cb_run(buffer, (size_t)n, 0, mnl_socket_get_portid(firewall->socket), NULL, NULL);
	if (n < 0 && (add || errno != ENOENT))
		return err_sys(err, errno, "change the set %s of the table %s", set, firewall->name);
	return 0;
}

static int change_pin(struct firewall *firewall, const char *port, const unsigned char mac[6], struct in_addr address,
		      bool add, struct err *err)
{
	char name[IFNAMSIZ] = "";
	struct key key = {.length = 0};

	(void)snprintf(name, sizeof(name), "%s", port);
	key_add(&key, name, sizeof(name));
	key_add(&key, mac, 6);
	key_add(&key, &address, sizeof(address));
	return change_element(firewall, NFPROTO_BRIDGE, "pinned", &key, NULL, add, err);
}

int firewall_pin(struct firewall *firewall, const char *port, const unsigned char mac[6], struct in_addr address,
		 struct err *err)
{
	return change_pin(firewall, port, mac, address, true, err);
}

int firewall_unpin(struct firewall *firewall, const char *port, const unsigned char mac[6], struct in_addr address,
		   struct err *err)
{
	return change_pin(firewall, port, mac, address, false, err);
}

int firewall_allow(struct firewall *firewall, struct in_addr source, const struct sbx_allow *allow, bool add,
		   struct err *err)
{
	uint32_t mask = allow->prefix ? htonl(~0u << (32 - allow->prefix)) : 0;
	uint32_t low = allow->address & mask, high = low | ~mask;
	uint8_t first_protocol = allow->protocol, last_protocol = allow->protocol ? allow->protocol : UINT8_MAX;
	uint16_t first_port = htons(allow->port), last_port = allow->port ? first_port : UINT16_MAX;
	struct key first = {.length = 0}, last = {.length = 0};

	key_add(&first, &source, sizeof(source));
	key_add(&first, &low, sizeof(low));
	key_add(&first, &first_protocol, sizeof(first_protocol));
	key_add(&first, &first_port, sizeof(first_port));
	key_add(&last, &source, sizeof(source));
	key_add(&last, &high, sizeof(high));
	key_add(&last, &last_protocol, sizeof(last_protocol));
	key_add(&last, &last_port, sizeof(last_port));
	return change_element(firewall, NFPROTO_INET, "allowed", &first, &last, add, err);
}

/* --- life --------------------------------------------------------------------------------------------------------- */

int firewall_open(struct firewall *firewall, const struct firewall_rules *rules, struct err *err)
{
	char text[RULES_MAX];
	int r;

	*firewall = (struct firewall){.socket = NULL};
	(void)snprintf(firewall->name, sizeof(firewall->name), "%s", rules->name);
	r = write_rules(rules, text, sizeof(text), err);
	if (r == 0)
		r = run_nft(text, err);
	if (r < 0)
		return r;
	firewall->socket = mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC);
	if (!firewall->socket || mnl_socket_bind(firewall->socket, 0, MNL_SOCKET_AUTOPID) < 0) {
		r = err_sys(err, errno, "open a netfilter socket");
		firewall_close(firewall);
	}
	return r;
}

void firewall_close(struct firewall *firewall)
{
	char text[256];

	if (!firewall->name[0])
		return;
	(void)snprintf(text, sizeof(text), "delete table bridge %s\ndelete table inet %s\n", firewall->name,
		       firewall->name);
	(void)run_nft(text, NULL);
	if (firewall->socket)
		(void)mnl_socket_close(firewall->socket);
	*firewall = (struct firewall){.socket = NULL};
}
