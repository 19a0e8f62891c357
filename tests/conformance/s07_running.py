"""Sections 7.1 to 7.5 and 7.7: running a function."""

import os
import re
import socket

from suite import (
    APP_NOT_FOUND, DELETE, GET, JSON_TYPE, OPTIONS, PATCH, POST, PUT, TEXT_TYPE, UUID, a_route, an_app, case, check, equal, error, failure, ok,
    poll, row, table,
)

# --- 7.1 steps and refusals -----------------------------------------------------------------------------------------

NO_ROUTE = error(404, "Route not found on that application")
CALL = "/r/$APP/x"
table("s7_refusal", [
    *(row(f"app_not_there_{make(CALL).method.lower()}", make(CALL, "x"), APP_NOT_FOUND) for make in (GET, POST, PUT, PATCH, DELETE, OPTIONS)),
    row("route_not_there", POST(CALL, "x"), NO_ROUTE, given=[an_app()]), row("route_not_there_get", GET(CALL), NO_ROUTE, given=[an_app()]),
    row("root_not_there", GET("/r/$APP/"), NO_ROUTE, given=[a_route()]), row("no_prefix_match", GET(CALL + "/y"), NO_ROUTE, given=[a_route()]),
    row("no_shorter_match", GET("/r/$APP/a"), NO_ROUTE, given=[a_route("/a/b")]), row("case_sensitive", GET("/r/$APP/X"), NO_ROUTE, given=[a_route()]),
    row("app_case_sensitive", GET("/r/CF-X/x"), APP_NOT_FOUND), row("app_before_route", GET("/r/$APP/nothing"), APP_NOT_FOUND),
    row("no_wildcards", GET("/r/$APP/w/one"), NO_ROUTE, given=[a_route("/w/*rest")]),
])


@case()
def s7_path_is_cleaned(t):
    t.function("echo", "/a/b")
    for path in ("/a/b", "//a//b", "/a/./b", "/a/c/../b", "/a/b/", "/%2Fa%2Fb", "/a%2Fb", "/x/../../a/b"):
        equal(t.call(f"/r/$APP{path}", b"hi").body, b"hi", path)


@case()
def s7_star_is_reached_literally_and_sets_a_parameter(t):
    t.function("env", "/w/*rest")
    equal(t.environment(t.fill("/r/$APP/w/*rest")).get("PARAM_REST"), "/*rest", "PARAM_REST")


@case()
def s7_changed_route_counts_for_the_next_call(t):
    path = t.function("echo")
    equal(t.call(path, b"one").body, b"one", "before")
    t.patch_route("/f", image=t.image("act"))
    equal(t.call(path, b"out two").body, b"two\n", "after")


@case()
def s7_deleted_route_is_gone_at_once(t):
    path = t.function("echo")
    t.call(path, b"x")
    t.ask("DELETE", "/v1/apps/$APP/routes/f")
    t.expect(POST(path, b"x"), NO_ROUTE)


@case()
def s7_app_config_counts_for_the_next_call(t):
    t.new_app(config={"K": "1"})
    path = t.function("env")
    equal(t.environment(path)["K"], "1", "before")
    t.ask("PATCH", "/v1/apps/$APP", {"app": {"config": {"K": "2"}}})
    equal(t.environment(path)["K"], "2", "after")
    t.ask("PATCH", "/v1/apps/$APP", {"app": {"config": {"K": ""}}})
    check("K" not in t.environment(path), "the key is still there")


# --- 7.2 payload ----------------------------------------------------------------------------------------------------

PAYLOADS = {
    "empty": b"", "text": b"hello\n", "zero_bytes": b"a\0b\0", "every_byte": bytes(range(256)), "line_ends": b"\r\n\r\n\n", "utf8": "ü✓".encode(),
    "64k": os.urandom(65536), "1m": os.urandom(1 << 20), "9m": os.urandom(9 << 20),
}


def payload_case(name, data):
    def run(t):
        answer = t.call(t.function("echo"), data)
        equal(answer.status, 200, "status")
        check(answer.body == data, f"{len(answer.body)} bytes came back of {len(data)}: {answer!r}")

    run.__name__ = f"s7_payload_post_{name}"
    case()(run)


for _name, _data in PAYLOADS.items():
    payload_case(_name, _data)


def query_case(name, query, wanted):
    def run(t):
        equal(t.call(t.function("echo") + query).body, wanted, "payload")

    run.__name__ = f"s7_payload_get_{name}"
    case()(run)


for _name, _query, _wanted in (
    ("parameter", "?payload=hello", b"hello"), ("plus_and_percent", "?payload=a+b%26%3D%0A", b"a b&=\n"), ("none", "", b""),
    ("other_parameters", "?x=1&payload=p&y=2", b"p"), ("empty", "?payload=", b""), ("first_of_two", "?payload=1&payload=2", b"1"),
    ("utf8", "?payload=%C3%BC", "ü".encode()),
):
    query_case(_name, _query, _wanted)


@case()
def s7_payload_get_body_is_ignored(t):
    equal(t.call(t.function("echo"), b"ignored", method="GET").body, b"", "payload")


@case()
def s7_payload_post_ignores_the_parameter(t):
    equal(t.call(t.function("echo") + "?payload=p", b"body").body, b"body", "payload")


@case()
def s7_payload_post_without_a_body(t):
    path = t.function("echo")
    raw = t.raw(f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n".encode())
    answer = raw.answer()
    equal((answer.status, answer.body), (200, b""), "answer")


@case()
def s7_payload_chunked(t):
    path = t.function("echo")
    parts = [os.urandom(70000), b"b", os.urandom(10)]
    body = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"
    raw = t.raw(f"POST {path} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".encode() + body)
    equal(raw.answer().body, b"".join(parts), "payload")


@case()
def s7_payload_chunked_byte_by_byte(t):
    path = t.function("echo")
    raw = t.raw(f"POST {path} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
    for byte in b"1\r\na\r\n2\r\nbc\r\n0\r\n\r\n":
        raw.send(bytes([byte]))
    equal(raw.answer().body, b"abc", "payload")


@case()
def s7_payload_may_be_left_unread(t):
    path = t.function("env")
    equal(t.call(path, os.urandom(1 << 20)).status, 200, "status")


def method_case(method):
    def run(t):
        wanted = t.either(original=b"", ferrite=b"body")
        equal(t.call(t.function("echo"), b"body", method=method).body, wanted, "payload")

    run.__name__ = f"s7_payload_{method.lower()}"
    case(deviation="method-bodies")(run)


for _method in ("PUT", "PATCH", "DELETE", "OPTIONS"):
    method_case(_method)


@case()
def s7_payload_put_without_a_body(t):
    equal(t.call(t.function("echo"), method="PUT").body, b"", "payload")


@case()
def s7_stdin_is_closed_after_the_payload(t):
    # "act" reads to the end of its input before it does anything.
    equal(t.call(t.function("act"), b"out done").body, b"done\n", "output")


# --- 7.3 environment ------------------------------------------------------------------------------------------------


@case()
def s7_env_method_and_route(t):
    env = t.environment(t.function("env", "/a/b") + "?x=1", body=b"p")
    equal((env["METHOD"], env["ROUTE"]), ("POST", "/a/b"), "METHOD, ROUTE")


@case()
def s7_env_route_is_the_stored_path(t):
    path = t.function("env", "/a/b").replace("/a/b", "//a/./b/")
    equal(t.environment(path)["ROUTE"], "/a/b", "ROUTE")


@case(deviation="request-url")
def s7_env_request_url(t):
    path = t.function("env")
    env = t.environment(path + "?x=1&y=%20", headers={"Host": "some.host:99"})
    scheme = t.either(original="http//", ferrite="http://")
    equal(env["REQUEST_URL"], f"{scheme}some.host:99{path}?x=1&y=%20", "REQUEST_URL")


@case(deviation="request-url")
def s7_env_request_url_keeps_the_spelling(t):
    t.function("env")
    env = t.environment(f"/r/{t.app}/%2Ff", headers={"Host": "h"})
    equal(env["REQUEST_URL"], t.either(original="http//", ferrite="http://") + f"h/r/{t.app}/%2Ff", "REQUEST_URL")


def config_case(name, app_config, route_config, wanted, absent=()):
    def run(t):
        t.new_app(config=app_config)
        env = t.environment(t.function("env", config=route_config))
        for key, value in wanted.items():
            equal(env.get(key), value, key)
        for key in absent:
            check(key not in env, f"{key} is there: {env.get(key)!r}")

    run.__name__ = f"s7_env_config_{name}"
    case()(run)


config_case("of_the_app", {"FROM_APP": "a"}, {}, {"FROM_APP": "a"})
config_case("of_the_route", {}, {"FROM_ROUTE": "r"}, {"FROM_ROUTE": "r"})
config_case("route_over_app", {"K": "app", "A": "1"}, {"K": "route"}, {"K": "route", "A": "1"})
config_case("in_upper_case", {"lower": "1", "MiXed": "2"}, {}, {"LOWER": "1", "MIXED": "2"}, ("lower", "MiXed"))
config_case("dash_becomes_underscore", {"a-b-c": "1"}, {}, {"A_B_C": "1"})
config_case("dots_and_blanks_stay", {"Route.Key": "1", "with blank": "2"}, {}, {"ROUTE.KEY": "1", "WITH BLANK": "2"})
config_case("has_no_prefix", {"K": "v"}, {}, {"K": "v"}, ("CONFIG_K", "FN_K", "APP_K"))
config_case("empty_value_from_create", {"EMPTY": ""}, {}, {"EMPTY": ""})
config_case("values_as_they_are", {"V": 'a b=c"$HOME\\\n✓'}, {}, {"V": 'a b=c"$HOME\\\n✓'})
config_case("may_override_method_and_route", {"method": "mine"}, {"Route": "too"}, {"METHOD": "mine", "ROUTE": "too"})
config_case("may_override_request_url", {}, {"REQUEST-URL": "u"}, {"REQUEST_URL": "u"})
config_case("same_name_in_two_spellings", {"k": "app"}, {"K": "route"}, {"K": "route"})


@case(deviation="config-keys", spare="an original passes them on")
def s7_env_config_keys_with_forbidden_bytes(t):
    env = t.environment(t.function("env", config={"a=b": "1", "c\nd": "2"}))
    equal((env.get("A_B"), env.get("C_D")), ("1", "2"), "variables")


def header_case(name, lines, wanted, absent=(), deviation=()):
    def run(t):
        path = t.function("env")
        answer = t.raw(f"GET {path} HTTP/1.1\r\nHost: the.host\r\n{lines}Connection: close\r\n\r\n".encode()).answer()
        equal(answer.status, 200, f"status ({answer!r})")
        env = dict(entry.split("=", 1) for entry in answer.text.split("\0") if entry)
        expected = wanted(t) if callable(wanted) else wanted
        for key, value in expected.items():
            equal(env.get(key), value, key)
        for key in absent:
            check(key not in env, f"{key} is there: {env.get(key)!r}")

    run.__name__ = f"s7_env_header_{name}"
    case(deviation=deviation)(run)


header_case("plain", "X-Foo: bar\r\n", {"HEADER_X_FOO": "bar"})
header_case("in_upper_case", "x-lower-case: v\r\n", {"HEADER_X_LOWER_CASE": "v"})
header_case("dots_stay", "X-Dot.Ted: v\r\n", {"HEADER_X_DOT.TED": "v"})
header_case("repeated_are_joined_by_a_blank", "X-A: 1\r\nX-B: b\r\nx-a: 2\r\nX-A: 3\r\n", {"HEADER_X_A": "1 2 3", "HEADER_X_B": "b"})
header_case("commas_are_kept", "X-A: 1, 2\r\n", {"HEADER_X_A": "1, 2"})
header_case("blanks_around_are_dropped", "X-A:   v w  \r\n", {"HEADER_X_A": "v w"})
header_case("empty", "X-A:\r\n", {"HEADER_X_A": ""})
header_case("cookie", "Cookie: a=1; b=2\r\n", {"HEADER_COOKIE": "a=1; b=2"})
header_case("authorization", "Authorization: Basic eDp5\r\n", {"HEADER_AUTHORIZATION": "Basic eDp5"})
header_case("connection", "", {"HEADER_CONNECTION": "close"})
header_case("user_agent_and_accept", "User-Agent: u/1\r\nAccept: */*\r\n", {"HEADER_USER_AGENT": "u/1", "HEADER_ACCEPT": "*/*"})
header_case("host_is_left_out", "", {}, ("HEADER_HOST", "HOST"))
header_case("no_proxy_variable", "Proxy: http://evil\r\n", {"HEADER_PROXY": "http://evil"}, ("HTTP_PROXY", "PROXY"))
header_case("names_with_odd_characters", "X-A!b'c: v\r\n",
            lambda t: t.either(original={"HEADER_X_A!B'C": "v"}, ferrite={"HEADER_X_A_B_C": "v"}), deviation="header-names")


@case()
def s7_env_header_content_length(t):
    equal(t.environment(t.function("env"), body=b"12345")["HEADER_CONTENT_LENGTH"], "5", "HEADER_CONTENT_LENGTH")


@case()
def s7_env_header_transfer_encoding_is_left_out(t):
    path = t.function("env")
    raw = t.raw(f"POST {path} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n1\r\na\r\n0\r\n\r\n".encode())
    check(b"HEADER_TRANSFER_ENCODING" not in raw.answer().body, "it is there")


@case()
def s7_env_header_wins_over_config(t):
    env = t.environment(t.function("env", config={"HEADER_X_A": "config"}), headers={"X-A": "header"})
    equal(env["HEADER_X_A"], "header", "HEADER_X_A")


@case()
def s7_env_no_other_variables(t):
    env = t.environment(t.function("env"))
    for name in ("FN_FORMAT", "CALL_ID", "FN_CALL_ID", "APP_NAME", "FN_APP_NAME", "FN_PATH", "FN_MEMORY", "FN_DEADLINE", "TASK_ID"):
        check(name not in env, f"{name} is there: {env.get(name)!r}")


@case()
def s7_env_path_home_hostname(t):
    env = t.environment(t.function("env"))
    for name in ("PATH", "HOME", "HOSTNAME"):
        check(env.get(name), f"{name} is missing")


@case()
def s7_env_host_name_is_the_hosts(t):
    name = t.environment(t.function("env"))["HOSTNAME"]
    if t.service.host in ("127.0.0.1", "localhost"):
        equal(name, socket.gethostname(), "HOSTNAME")


@case(deviation="variable-bounds", spare="an original leaves the bound to the kernel")
def s7_env_is_bounded(t):
    path = t.function("env", config={"LONG": "x" * 200000})
    answer = t.call(path)
    check(answer.status == 431 and answer.message, repr(answer))


# --- 7.4 the container ----------------------------------------------------------------------------------------------


@case()
def s7_container_has_the_settings_of_the_image(t):
    answer = t.call(t.function("settings"))
    equal(answer.status, 200, f"status ({answer!r})")
    arguments, folder, ids, *rest = answer.text.split("\n", 3)
    equal((arguments, folder, ids), ("/function,act,args,cwd,ids,env", "/work", "1000:1000"), "arguments, folder, ids")
    variables = rest[0].split("\0")
    check("FROM_IMAGE=yes" in variables and "PATH=/somewhere" in variables, f"variables of the image: {variables}")


@case()
def s7_container_is_a_new_one_for_every_call(t):
    path = t.function("act")
    equal(len({t.call(path, b"id").body for _ in range(4)}), 4, "different processes")


@case()
def s7_container_config_over_image_variables(t):
    answer = t.call(t.function("settings", config={"from-image": "no"}))
    check("FROM_IMAGE=no" in answer.text.split("\n", 3)[3].split("\0"), f"variables: {answer!r}")


@case()
def s7_container_stderr_is_not_answered(t):
    answer = t.call(t.function("act"), b"err secret of the log\nout answer")
    equal(answer.body, b"answer\n", "body")


@case(deviation="memory-limit", spare="an original never applies it")
def s7_container_memory_is_limited(t):
    path = t.function("act", memory=32)
    equal(t.call(path, b"alloc 8\nout fits").body, b"fits\n", "within the limit")
    t.expect(POST(path, b"alloc 256\nout too much"), failure(500, "out of memory error"))


@case(deviation="timeout-kills", spare="an original shows no instances")
def s7_container_ends_at_its_timeout(t):
    equal(t.call(t.function("act", timeout=1), b"sleep 600000").status, 504, "status")
    poll(lambda: not instances_of(t), "the instance is gone")


@case(deviation="vanished-client", spare="an original lets the function run on")
def s7_container_ends_when_its_client_goes_away(t):
    path = t.function("act")
    raw = t.raw(f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 12\r\n\r\nsleep 600000".encode())
    poll(lambda: instances_of(t), "it runs")
    raw.close()
    poll(lambda: not instances_of(t), "it was stopped")


@case(deviation="half-closed")
def s7_container_of_a_half_closed_client(t):
    path = t.function("act")
    raw = t.raw(f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 19\r\n\r\nsleep 300\nout answer".encode())
    raw.sock.shutdown(socket.SHUT_WR)
    if t.is_original():
        equal(raw.answer().body, b"answer", "body")
    else:
        check(raw.is_closed(), "an answer came")


def instances_of(t):
    return [i for i in t.ask("GET", "/v1/instances").json["instances"] if i["app"] == t.app]


# --- 7.5 results ----------------------------------------------------------------------------------------------------


@case()
def s7_result_exit_0(t):
    answer = t.call(t.function("act"), b"out done\nexit 0")
    equal((answer.status, answer.body), (200, b"done\n"), "answer")


def exit_case(code, message):
    def run(t):
        t.expect(POST(t.function("act"), f"out thrown away\nexit {code}"), failure(500, message))

    run.__name__ = f"s7_result_exit_{code}"
    case()(run)


for _code in (1, 2, 3, 126, 127, 128, 143, 255):
    exit_case(_code, f"exit code {_code}")
exit_case(137, "out of memory error")


@case()
def s7_result_signal(t):
    t.expect(POST(t.function("act"), "kill 11"), failure(500, "exit code 139"))


@case()
def s7_result_timeout(t):
    t.expect(POST(t.function("act", timeout=1), "out thrown away\nsleep 60000"), failure(504, "Timed out"))


@case()
def s7_result_timeout_of_a_flood_that_is_read(t):
    t.expect(POST(t.function("act", timeout=1), "bytes 100000\nsleep 60000"), failure(504, "Timed out"))


@case(deviation="missing-image")
def s7_result_missing_image(t):
    t.new_route("/x", "no/such/image:1")
    answer = t.call("/r/$APP/x", b"")
    equal(answer.status, 500, "status")
    equal(list(answer.json), ["request_id", "error"], "keys")
    check(answer.message.startswith("Failed to pull image 'no/such/image:1': "), answer.message)
    check(("import" in answer.message) != t.is_original(), f"the cure: {answer.message}")


@case()
def s7_result_bad_image_name(t):
    t.new_route("/x", "Not A Name!")
    answer = t.call("/r/$APP/x", b"")
    equal(answer.status, 500, "status")
    check(answer.message, repr(answer))


@case(deviation="output-bound", spare="an original keeps all of it in memory")
def s7_result_output_is_bounded(t):
    answer = t.call(t.function("act"), b"flood")
    equal(answer.status, 502, "status")
    check("larger than" in answer.message, answer.message)


@case()
def s7_result_is_buffered_whole(t):
    raw = t.raw(f"POST {t.function('act')} HTTP/1.1\r\nHost: x\r\nContent-Length: 27\r\n\r\nbytes 300000\nsleep 1\nexit 4".encode())
    failure(500, "exit code 4").compare(raw.answer())


@case()
def s7_result_large_output(t):
    answer = t.call(t.function("act"), b"bytes 8000000")
    check(answer.body == b"x" * 8000000, f"{len(answer.body)} bytes")


@case()
def s7_result_of_head_has_no_body(t):
    path = t.function("echo")
    raw = t.raw(f"HEAD {path} HTTP/1.1\r\nHost: x\r\n\r\nGET /version HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    equal((raw.answer(with_body=False).status, raw.answer().status), (200, 200), "statuses")


# --- 7.5 headers of the answer --------------------------------------------------------------------------------------

HEADERS = {"X-One": ["1", "ignored"], "X-Two": ["2"]}
SENT = {"X-One": "1", "X-Two": "2"}


@case()
def s7_headers_first_value_on_success(t):
    answer = t.call(t.function("echo", headers=HEADERS), b"x")
    equal([answer.headers.get_all(name) for name in SENT], [["1"], ["2"]], "headers")


@case()
def s7_headers_on_exit_errors(t):
    t.expect(POST(t.function("act", headers=HEADERS), "exit 3"), failure(500, "exit code 3", headers=SENT))


@case()
def s7_headers_on_timeouts(t):
    t.expect(POST(t.function("act", headers=HEADERS, timeout=1), "sleep 60000"), failure(504, "Timed out", headers=SENT))


@case()
def s7_headers_on_head(t):
    equal(t.call(t.function("echo", headers=HEADERS), method="HEAD").headers["X-One"], "1", "X-One")


@case()
def s7_headers_not_when_the_route_is_not_there(t):
    t.function("echo", headers=HEADERS)
    check("X-One" not in t.call("/r/$APP/other").headers, "X-One is there")


@case()
def s7_headers_not_without_an_image(t):
    t.new_route("/x", "no/such:1", headers=HEADERS)
    check("X-One" not in t.call("/r/$APP/x", b"").headers, "X-One is there")


@case()
def s7_headers_content_type_of_the_route(t):
    path = t.function("act", headers={"Content-Type": ["text/csv"]})
    equal(t.call(path, b"out a,b").headers.get_all("Content-Type"), ["text/csv"], "on success")
    failure(500, "exit code 1", headers={"Content-Type": "text/csv"}).compare(t.call(path, b"exit 1"))


@case()
def s7_headers_content_type_in_lower_case(t):
    path = t.function("echo", headers={"content-type": ["application/json"]})
    equal(t.call(path, b"{}").headers.get_all("Content-Type"), ["application/json"], "Content-Type")


@case(deviation="empty-header", spare="an original panics (15.1)")
def s7_headers_empty_list(t):
    answer = t.call(t.function("echo", headers={"X-Empty": [], "X-One": ["1"]}), b"x")
    equal((answer.status, answer.body, answer.headers["X-One"], answer.headers["X-Empty"]), (200, b"x", "1", None), "answer")


@case(deviation="framing-header", spare="an original truncates the answer")
def s7_headers_cannot_break_the_framing(t):
    path = t.function("echo", headers={"Content-Length": ["1"], "Transfer-Encoding": ["chunked"], "Connection": ["x"], "X-One": ["1"]})
    answer = t.call(path, b"whole")
    equal((answer.body, answer.headers["Content-Length"], answer.headers["X-One"]), (b"whole", "5", "1"), "answer")


@case()
def s7_headers_cannot_split_the_answer(t):
    answer = t.ask("POST", "/v1/apps/$APP/routes", {"route": {"path": "/f", "image": t.image("echo"), "headers": {"X-A": ["1\r\nX-Evil: 1"]}}})
    if answer.status == 200:
        check("X-Evil" not in t.call("/r/$APP/f", b"x").headers, "a header was made of a value")


SNIFFED = (
    ("text", b"hello", TEXT_TYPE), ("json", b'{"a":1}', TEXT_TYPE), ("utf8", "ü".encode(), TEXT_TYPE), ("html", b"<html><body>", "text/html; charset=utf-8"),
    ("html_after_blanks", b" \n\t<!DOCTYPE HTML>", "text/html; charset=utf-8"),
    ("html_tag_in_capitals", b"<TABLE>", "text/html; charset=utf-8"),
    ("html_comment", b"<!-- x -->", "text/html; charset=utf-8"), ("no_html_tag", b"<htmlx>", TEXT_TYPE),
    ("xml", b"<?xml version='1.0'?>", "text/xml; charset=utf-8"),
    ("binary", b"\0\1\2\3", "application/octet-stream"), ("text_with_a_control_byte", b"abc\1", "application/octet-stream"),
    ("escape_is_text", b"\x1b[1mbold", TEXT_TYPE), ("byte_order_mark", b"\xef\xbb\xbfhi", TEXT_TYPE), ("utf16", b"\xff\xfeh\0", "text/plain; charset=utf-16le"),
    ("pdf", b"%PDF-1.4", "application/pdf"), ("postscript", b"%!PS-Adobe-3.0", "application/postscript"), ("gif", b"GIF89a....", "image/gif"),
    ("png", b"\x89PNG\r\n\x1a\n", "image/png"), ("jpeg", b"\xff\xd8\xff\xe0", "image/jpeg"), ("webp", b"RIFF\1\2\3\4WEBPVP", "image/webp"),
    ("bmp", b"BM\0\0", "image/bmp"), ("wave", b"RIFF\1\2\3\4WAVE", "audio/wave"), ("gzip", b"\x1f\x8b\x08\0", "application/x-gzip"),
    ("zip", b"PK\3\4....", "application/zip"), ("mp4", b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom", "video/mp4"), ("webm", b"\x1aE\xdf\xa3", "video/webm"),
    ("only_512_bytes_count", b"a" * 512 + b"\0", TEXT_TYPE), ("byte_512_counts", b"a" * 511 + b"\0", "application/octet-stream"),
)


def sniff_case(name, data, kind):
    def run(t):
        equal(t.call(t.function("echo"), data).headers.get_all("Content-Type"), [kind], "Content-Type")

    run.__name__ = f"s7_sniff_{name}"
    case()(run)


for _name, _data, _kind in SNIFFED:
    sniff_case(_name, _data, _kind)


@case()
def s7_sniff_nothing(t):
    equal(t.call(t.function("echo"), b"").headers.get_all("Content-Type"), None, "Content-Type of an empty output")


@case()
def s7_error_is_json_whatever_the_output_was(t):
    answer = t.call(t.function("act"), b"out <html>\nexit 1")
    equal(answer.headers["Content-Type"], JSON_TYPE, "Content-Type")


# --- 7.7 call ids ---------------------------------------------------------------------------------------------------


@case(deviation="call-ids")
def s7_call_ids_of_one_connection(t):
    path = t.function("act")
    connection = t.connection()
    ids = [t.call(path, b"exit 1", connection=connection).json["request_id"] for _ in range(5)]
    check(all(UUID.match(entry) for entry in ids), f"ids: {ids}")
    if t.is_original():
        check({entry[14] for entry in ids} == {"5"}, f"versions: {ids}")
    else:
        check(len(set(ids)) == 5 and {entry[14] for entry in ids} == {"4"}, f"ids: {ids}")


@case(deviation="call-id-header", spare="an addition of ferrite")
def s7_call_id_and_timing_headers(t):
    path = t.function("act")
    answer = t.call(path, b"out x", {"Ferrite-Timing": "1"})
    check(UUID.match(answer.headers["Ferrite-Call-Id"]), repr(answer))
    timing = answer.headers["Server-Timing"]
    check("queue;dur=" in timing and re.search("start;desc=(cold|warm);dur=", timing) and "run;dur=" in timing, timing)
    answer = t.call(path, b"exit 1")
    equal(answer.headers["Ferrite-Call-Id"], answer.json["request_id"], "id of a failed call")
    check("Server-Timing" not in answer.headers, "timing nobody asked for")


table("s7_call_ids", [
    row("are_not_in_other_errors", GET("/r/$APP/none"), error(404, "Route not found on that application"), given=[an_app()]),
    row("are_not_in_answers_of_the_api", GET("/v1/apps/$APP"), ok(headers={"Ferrite-Call-Id": None}), given=[an_app()]),
])
