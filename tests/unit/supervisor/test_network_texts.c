#include "supervisor/allow.h"
#include "supervisor/resolvers.h"
#include "supervisor/util.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#include "tests/unit/main.h"

static struct sbx_allow parsed(const char *text)
{
	struct sbx_allow allow;
	struct err err = ERR_INIT;

	ck_assert_msg(allow_parse(text, &allow, &err) == 0, "%s: %s", text, err.text);
	return allow;
}

START_TEST(ranges_are_read)
{
	static const struct {
		const char *text, *address;
		unsigned prefix, protocol, port;
	} cases[] = {
		{"10.0.0.5", "10.0.0.5", 32, 0, 0},
		{"10.0.0.5:5432", "10.0.0.5", 32, 0, 5432},
		{"10.0.0.5/tcp", "10.0.0.5", 32, IPPROTO_TCP, 0},
		{"10.0.0.5:53/udp", "10.0.0.5", 32, IPPROTO_UDP, 53},
		{"192.168.7.9/16", "192.168.0.0", 16, 0, 0},
		{"192.168.7.9/24:80/tcp", "192.168.7.0", 24, IPPROTO_TCP, 80},
		{"1.2.3.4/0", "0.0.0.0", 0, 0, 0},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct sbx_allow allow = parsed(cases[i].text);
		char address[INET_ADDRSTRLEN];

		ck_assert_str_eq(inet_ntop(AF_INET, &allow.address, address, sizeof(address)), cases[i].address);
		ck_assert_uint_eq(allow.prefix, cases[i].prefix);
		ck_assert_uint_eq(allow.protocol, cases[i].protocol);
		ck_assert_uint_eq(allow.port, cases[i].port);
	}
}
END_TEST

START_TEST(bad_ranges_are_refused)
{
	static const char *const bad[] = {
		"",
		"10",
		"10.0.0.256",
		"10.0.0.5:0",
		"10.0.0.5:65536",
		"10.0.0.5:",
		"10.0.0.5/33",
		"10.0.0.5/",
		"10.0.0.5/-1",
		"10.0.0.5/icmp",
		"10.0.0.5/tcp/tcp",
		"10.0.0.5/24/24",
		"::1",
		"[::1]:80",
		"example.org",
		" 10.0.0.5",
		"10.0.0.5:80/tcp ",
		"10.0.0.5:80/tcp10.0.0.5:80/tcp10.0.0.5:80/tcp10.0.0.5:80/tcp10.0.0.5:80/tcp"};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct sbx_allow allow = {.port = 7};
		struct err err = ERR_INIT;

		ck_assert_msg(allow_parse(bad[i], &allow, &err) == -EINVAL, "accepted \"%s\"", bad[i]);
		ck_assert_msg(strstr(err.text, "ADDRESS[/PREFIX]"), "%s", err.text);
		ck_assert_uint_eq(allow.port, 7);
	}
}
END_TEST

START_TEST(what_lies_within)
{
	static const struct {
		const char *inner, *list;
		bool within;
	} cases[] = {
		{"10.1.2.3", "10.0.0.0/8", true},
		{"10.1.2.3:80", "10.0.0.0/8", true},
		{"10.1.2.3:80/tcp", "10.0.0.0/8:80", true},
		{"10.1.2.3:80", "10.0.0.0/8:80/tcp", false},
		{"10.1.2.3", "10.0.0.0/8:80", false},
		{"10.0.0.0/7", "10.0.0.0/8", false},
		{"11.0.0.1", "10.0.0.0/8", false},
		{"192.168.1.1:53/udp", "10.0.0.0/8 192.168.1.1:53/udp", true},
		{"192.168.1.1:53/udp", "10.0.0.0/8,\t192.168.1.1:53", true},
		{"192.168.1.1", "", false},
		{"8.8.8.8", "0.0.0.0/0", true},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct sbx_allow inner = parsed(cases[i].inner);

		ck_assert_msg(allow_within_list(&inner, cases[i].list) == cases[i].within, "%s in \"%s\"",
			      cases[i].inner, cases[i].list);
	}
	ck_assert_int_eq(allow_check_list("10.0.0.0/8 10.0.0.1:80/tcp", NULL), 0);
	ck_assert_int_eq(allow_check_list("", NULL), 0);
	ck_assert_int_eq(allow_check_list("10.0.0.0/8 nonsense", NULL), -EINVAL);
}
END_TEST

START_TEST(resolvers_that_a_container_can_reach)
{
	static const struct {
		const char *text, *found;
	} cases[] = {
		{"nameserver 9.9.9.9\n", "9.9.9.9"},
		{"# nameserver 1.1.1.1\nsearch x\nnameserver\t9.9.9.9 # quad\nnameserver 8.8.8.8", "9.9.9.9 8.8.8.8"},
		{"nameserver 127.0.0.53\nnameserver 127.1.1.1\n", ""},
		{"nameserver fe80::1%eth0\nnameserver 10.0.0.2\r\n", "10.0.0.2"},
		{"nameserver 1.1.1.1\nnameserver 2.2.2.2\nnameserver 3.3.3.3\nnameserver 4.4.4.4\n",
		 "1.1.1.1 2.2.2.2 3.3.3.3"},
		{"nameserver\nnameserver 1.2.3\nnameservers 1.2.3.4\nnameserver 0.0.0.0\n", ""},
		{"nameserver 1.1.1.1111111111111111111111111111111\n", ""},
	};
	char found[RESOLVERS_MAX];

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		resolvers_read(cases[i].text, found, sizeof(found));
		ck_assert_str_eq(found, cases[i].found);
	}
	resolvers_find("10.9.8.7, 10.9.8.6", found, sizeof(found));
	ck_assert_str_eq(found, "10.9.8.7 10.9.8.6");
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("network texts");
	TCase *tcase = tcase_create("all");

	tcase_add_test(tcase, ranges_are_read);
	tcase_add_test(tcase, bad_ranges_are_refused);
	tcase_add_test(tcase, what_lies_within);
	tcase_add_test(tcase, resolvers_that_a_container_can_reach);
	suite_add_tcase(suite, tcase);
	return suite;
}
