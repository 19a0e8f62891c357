"""Section 8: hot functions. On an original server every route here needs an idle_timeout: without one it would hang (15.1)."""

import concurrent.futures
import os
import re

from suite import JSON_TYPE, POST, TEXT_TYPE, UUID, Wanted, case, check, equal, failure, ok, poll
from tokens import bearer, client_token

HANGS = "an original hangs or ends (15.1)"


def hot(t, image="hot", path="/f", **settings):
    return t.function(image, path, **{"format": "http", "timeout": 20, "idle_timeout": 20, "memory": 64, **settings})


def identity(t, path):
    """(a name of the process that answered, how many calls it had)."""
    answer = t.call(path, b"id")
    equal(answer.status, 200, f"status ({answer!r})")
    name, calls = answer.text.split()
    return name, int(calls)


def at_once(t, path, bodies):
    """Answers of calls that are all under way together."""
    with concurrent.futures.ThreadPoolExecutor(len(bodies)) as pool:
        return list(pool.map(lambda body: t.call(path, body), bodies))


def instances_of(t):
    return [i for i in t.ask("GET", "/v1/instances").json["instances"] if i["app"] == t.app]


# --- 8.1 bytes on stdin ---------------------------------------------------------------------------------------------


def stdin_of(t, path, request=b"POST %s HTTP/1.1\r\nHost: the.host:8\r\nX-Foo: bar\r\nContent-Length: 3\r\n\r\nraw"):
    """The bytes that a call of the function "hot" finds on its standard input."""
    answer = t.raw(request.replace(b"%s", path.encode())).answer()
    equal(answer.status, 200, f"status ({answer!r})")
    return answer.body


def wanted_stdin(t, path, lines, body):
    """LINES without Request_url and Task-Id, which come last."""
    scheme = t.either(original="http//", ferrite="http://")
    lines = [*lines, f"Request_url: {scheme}the.host:8{path}", f"Route: {path.removeprefix('/r/' + t.app).partition('?')[0]}"]
    return "".join(f"{line}\r\n" for line in ["GET / HTTP/1.1", *lines]).encode() + b"Task-Id: UUID\r\n\r\n" + body


def without_id(data):
    return re.sub(rb"Task-Id: [0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\r\n", b"Task-Id: UUID\r\n", data)


@case(deviation="request-url")
def s8_stdin_first_request(t):
    t.new_app(config={"app-key": "fromapp"})
    path = hot(t)
    equal(without_id(stdin_of(t, path)), wanted_stdin(t, path, (
        "App_key: fromapp", "Content-Length: 3", "Fn_format: http", "Header_content_length: 3", "Header_x_foo: bar", "Method: POST"), b"raw"), "stdin")


@case(deviation="request-url")
def s8_stdin_later_requests(t):
    t.new_app(config={"app-key": "fromapp"})
    path = hot(t)
    stdin_of(t, path)
    for _ in range(2):
        equal(without_id(stdin_of(t, path)), wanted_stdin(t, path, (
            "App_key: fromapp", "Content-Length: 3", "Header_content_length: 3", "Header_x_foo: bar", "Method: POST"), b"raw"), "stdin")


@case(deviation="request-url")
def s8_stdin_of_a_get_with_a_payload(t):
    path = hot(t) + "?payload=raw&x=1"
    got = stdin_of(t, path, b"GET %s HTTP/1.1\r\nHost: the.host:8\r\n\r\n")
    equal(without_id(got), wanted_stdin(t, path, ("Content-Length: 3", "Fn_format: http", "Method: GET"), b"raw"), "stdin")


@case(deviation="request-url")
def s8_stdin_without_a_payload(t):
    path = hot(t)
    got = stdin_of(t, path, b"GET %s HTTP/1.1\r\nHost: the.host:8\r\n\r\n")
    equal(without_id(got), wanted_stdin(t, path, ("Content-Length: 0", "Fn_format: http", "Method: GET"), b""), "stdin")


@case(deviation="request-url")
def s8_stdin_of_a_chunked_request(t):
    path = hot(t)
    got = stdin_of(t, path, b"POST %s HTTP/1.1\r\nHost: the.host:8\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nr\r\n2\r\naw\r\n0\r\n\r\n")
    equal(without_id(got), wanted_stdin(t, path, ("Content-Length: 3", "Fn_format: http", "Method: POST"), b"raw"), "stdin")


@case()
def s8_stdin_names_of_headers(t):
    path = hot(t, config={"a-b": "1", "MiX_ed": "2", "dot.ted": "3"})
    text = stdin_of(t, path, b"POST %s HTTP/1.1\r\nHost: h\r\nx-UPPER-lower: v\r\nX-Dot.Ted: w\r\nContent-Length: 3\r\n\r\nraw").decode()
    for line in ("A_b: 1", "Mix_ed: 2", "Dot.ted: 3", "Header_x_upper_lower: v", "Header_x_dot.ted: w"):
        check(f"\r\n{line}\r\n" in text, f"{line} is missing in {text!r}")


@case()
def s8_stdin_headers_are_sorted(t):
    path = hot(t, config={"zz": "1", "bb": "2", "xx": "3"})
    names = [line.split(":")[0] for line in stdin_of(t, path).decode().split("\r\n\r\n")[0].split("\r\n")[1:]]
    equal(names, sorted(names), "names")


@case()
def s8_stdin_has_no_host_header(t):
    lines = stdin_of(t, hot(t)).lower().split(b"\r\n")
    check(not any(line.startswith((b"host:", b"header_host:", b"transfer-encoding:", b"user-agent:")) for line in lines), f"lines: {lines}")


@case()
def s8_stdin_task_id_is_of_each_call(t):
    path = hot(t)
    ids = {re.search(rb"Task-Id: (\S+)", stdin_of(t, path)).group(1).decode() for _ in range(3)}
    check(all(UUID.match(entry) for entry in ids), f"ids: {ids}")
    if not t.is_original():
        equal(len(ids), 3, "different ids")


@case(deviation="call-id-header", spare="an addition of ferrite")
def s8_stdin_task_id_is_the_call_id(t):
    answer = t.call(hot(t), b"raw")
    equal(re.search(r"Task-Id: (\S+)", answer.text).group(1), answer.headers["Ferrite-Call-Id"], "call id")


@case()
def s8_stdin_shows_changed_config(t):
    t.new_app(config={"K": "1"})
    path = hot(t)
    check(b"\r\nK: 1\r\n" in stdin_of(t, path), "before")
    t.ask("PATCH", "/v1/apps/$APP", {"app": {"config": {"K": "2"}}})
    check(b"\r\nK: 2\r\n" in stdin_of(t, path), "after")


@case()
def s8_stdin_values_cannot_make_headers(t):
    path = hot(t, config={"K": "1\r\nX-Evil: 2\r\n\r\nGET / HTTP/1.1"})
    head = stdin_of(t, path).split(b"\r\n\r\n")[0].split(b"\r\n")
    check(not any(line.startswith((b"X-Evil", b"X-evil")) for line in head), f"lines: {head}")


@case(deviation="method-bodies", spare=HANGS)
def s8_stdin_of_other_methods(t):
    path = hot(t)
    for method in ("PUT", "PATCH", "DELETE", "OPTIONS"):
        answer = t.call(path, b"raw", method=method)
        check(f"\r\nMethod: {method}\r\n" in answer.text and answer.text.startswith("GET / HTTP/1.1\r\n"), f"{method}: {answer!r}")
        check(answer.text.endswith("\r\n\r\nraw"), f"the body of {method}: {answer!r}")


@case(deviation="method-bodies", spare=HANGS)
def s8_head_has_no_body(t):
    path = hot(t)
    answer = t.call(path, method="HEAD")
    equal((answer.status, answer.body), (200, b""), "answer")
    equal(identity(t, path)[1], 2, "the same instance goes on")


@case()
def s8_stdin_large_body(t):
    data = os.urandom(9 << 20)
    path = hot(t, "hot-echo")
    for _ in range(2):
        check(t.call(path, data).body == data, "not what was sent")


@case()
def s8_stdin_binary_body(t):
    data = bytes(range(256)) * 3 + b"\r\n\r\nGET / HTTP/1.1\r\n\r\n"
    equal(t.call(hot(t, "hot-echo"), data).body, data, "body")


# --- 8.2 the answer -------------------------------------------------------------------------------------------------


def answer_case(name, commands, body, **options):
    def run(t):
        path = hot(t)
        for _ in range(2):
            answer = t.call(path, commands)
            equal(answer.status, 200, f"status ({answer!r})")
            check(answer.body == body, f"body: {answer!r}")

    run.__name__ = f"s8_answer_{name}"
    case(**options)(run)


answer_case("with_a_length", b"out hello", b"hello\n")
answer_case("empty", b"sleep 0", b"")
answer_case("chunked", b"chunked\nbytes 12345", b"x" * 12345)
answer_case("chunked_and_empty", b"chunked\nsleep 0", b"")
answer_case("byte_by_byte", b"slow\nout hello", b"hello\n")
answer_case("chunked_byte_by_byte", b"slow\nchunked\nout hello", b"hello\n")
answer_case("larger_than_any_buffer", b"bytes 8000000", b"x" * 8000000)
answer_case("chunked_and_large", b"chunked\nbytes 3000000", b"x" * 3000000)
answer_case("with_unknown_headers", b"header X-Unknown: 1\nheader Server: mine\nout hello", b"hello\n")
answer_case("status_200_with_another_phrase", b"status 200 Fine\nout hello", b"hello\n")
answer_case("until_the_output_ends", b"until-close\nout hello", b"hello\n", spare=HANGS)
answer_case("after_an_interim_one", b"interim\nout hello", b"hello\n", spare=HANGS)


@case()
def s8_answer_has_the_routes_headers(t):
    path = hot(t, headers={"X-One": ["1", "2"], "Content-Type": ["text/csv"]})
    answer = t.call(path, b"out a,b")
    equal((answer.headers.get_all("X-One"), answer.headers.get_all("Content-Type")), (["1"], ["text/csv"]), "headers")


@case()
def s8_answer_is_sniffed(t):
    path = hot(t)
    for commands, kind in ((b"out hello", TEXT_TYPE), (b"out <html>", "text/html; charset=utf-8"), (b"out \0", "application/octet-stream")):
        if b"\0" not in commands:
            equal(t.call(path, commands).headers["Content-Type"], kind, repr(commands))


@case(deviation="hot-status")
def s8_status_of_the_function(t):
    path = hot(t)
    for line in ("404 Not Found", "201 Created", "503 Service Unavailable"):
        answer = t.call(path, f"status {line}\nout body".encode())
        equal((answer.status, answer.body), (t.either(original=200, ferrite=int(line[:3])), b"body\n"), f"answer to {line}")


@case(deviation="hot-status")
def s8_status_without_a_body(t):
    answer = t.call(hot(t), b"status 204 No Content")
    equal((answer.status, answer.body), (t.either(original=200, ferrite=204), b""), "answer")


@case(deviation="hot-status")
def s8_headers_of_the_function(t):
    answer = t.call(hot(t), b"header X-Mine: 1\nheader Content-Type: text/csv\nheader Set-Cookie: a=1\nheader Set-Cookie: b=2\nout x")
    equal((answer.headers["X-Mine"], answer.headers["Content-Type"], answer.headers.get_all("Set-Cookie")),
          t.either(original=(None, TEXT_TYPE, None), ferrite=("1", "text/csv", ["a=1", "b=2"])), "headers")


@case(deviation="hot-status")
def s8_framing_headers_of_the_function_are_not_passed(t):
    path = hot(t)
    connection = t.connection()
    for _ in range(2):
        answer = t.call(path, b"header Connection: close\nheader Keep-Alive: timeout=1\nchunked\nout x", connection=connection)
        equal((answer.body, answer.headers["Connection"], answer.headers["Keep-Alive"]), (b"x\n", None, None), "answer")


@case(deviation="hot-status", spare=HANGS)
def s8_status_1xx_is_no_answer(t):
    path = hot(t, timeout=2)
    answer = t.call(path, b"status 101 Switching Protocols\nout x")
    check(answer.status >= 500, repr(answer))


@case()
def s8_stderr_is_not_answered(t):
    equal(t.call(hot(t), b"err for the log\nout x").body, b"x\n", "body")


# --- 8.3 life cycle -------------------------------------------------------------------------------------------------


@case()
def s8_one_container_serves_many_calls(t):
    path = hot(t)
    seen = [identity(t, path) for _ in range(5)]
    equal([(name, calls) for name, calls in seen], [(seen[0][0], number) for number in range(1, 6)], "process and calls")


@case()
def s8_one_container_serves_one_call_at_a_time(t):
    path = hot(t, max_concurrency=1)
    answers = at_once(t, path, [b"sleep 300\nid"] * 4)
    names = {answer.text.split()[0] for answer in answers}
    equal((len(names), sorted(answer.text.split()[1] for answer in answers)), (1, ["1", "2", "3", "4"]), f"processes and calls ({answers})")


@case()
def s8_max_concurrency_bounds_the_containers(t):
    path = hot(t, max_concurrency=3)
    answers = at_once(t, path, [b"sleep 700\nid"] * 8)
    names = [answer.text.split()[0] for answer in answers]
    equal(len(set(names)), 3, f"processes ({names})")
    equal(sorted(names.count(name) for name in set(names)), [2, 3, 3], "calls of each")


@case()
def s8_a_free_container_is_taken_before_a_new_one(t):
    path = hot(t, max_concurrency=4)
    equal(len({identity(t, path)[0] for _ in range(6)}), 1, "processes")


@case()
def s8_calls_that_wait_are_served_in_order(t):
    path = hot(t, max_concurrency=1)
    identity(t, path)
    calls = []
    for number in range(5):
        body = f"sleep 150\nid\nout {number}"
        calls.append(t.raw(f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()))
        # The next one is sent when this one is inside.
        poll(lambda: t.ask("GET", "/version").status == 200, "an answer")
    lines = [call.answer().text.split() for call in calls]
    equal([(int(calls), int(number)) for _, calls, number in lines], [(n + 2, n) for n in range(5)], "order")


@case()
def s8_routes_have_containers_of_their_own(t):
    other = t.other_app()
    t.new_app(other)
    t.new_route("/one", t.image("hot"), app=other, format="http", idle_timeout=20, memory=64)
    names = {identity(t, path)[0] for path in (hot(t, path="/one"), hot(t, path="/two"), f"/r/{other}/one")}
    equal(len(names), 3, "processes")


def pool_case(key, value):
    def run(t):
        path = hot(t)
        before = identity(t, path)[0]
        t.patch_route("/f", **{key: t.image("hot-again") if key == "image" else value})
        check(identity(t, path)[0] != before, "the old container answered")

    run.__name__ = f"s8_pool_changes_with_{key}"
    case()(run)


for _key, _value in (("image", None), ("timeout", 19), ("memory", 80), ("max_concurrency", 2)):
    pool_case(_key, _value)


@case()
def s8_pool_changes_with_format(t):
    path = hot(t)
    identity(t, path)
    t.patch_route("/f", format="default", image=t.image("act"))
    names = {t.call(path, b"id").text for _ in range(2)}
    equal(len(names), 2, "a container for each call")


@case()
def s8_container_environment_has_config_and_format(t):
    t.new_app(config={"from-app": "a"})
    answer = t.call(hot(t, config={"from-route": "r"}), b"env")
    variables = answer.text.split("\0")
    for entry in ("FROM_APP=a", "FROM_ROUTE=r", "FN_FORMAT=http"):
        check(entry in variables, f"{entry} is missing in {variables}")


@case(deviation="hot-environment")
def s8_container_environment_has_no_callers_headers(t):
    answer = t.call(hot(t), b"env", {"Authorization": "Basic c2VjcmV0", "X-Mine": "1"})
    names = {entry.split("=")[0] for entry in answer.text.split("\0")}
    equal({"HEADER_AUTHORIZATION", "HEADER_X_MINE"} & names, t.either(original={"HEADER_AUTHORIZATION", "HEADER_X_MINE"}, ferrite=set()), "headers")


@case(deviation="hot-settings")
def s8_pool_changes_with_config(t):
    t.new_app(config={"K": "1"})
    path = hot(t)
    variables = []
    for value in ("1", "2", "3"):
        t.ask("PATCH", "/v1/apps/$APP", {"app": {"config": {"K": value}}})
        variables.append([entry for entry in t.call(path, b"env").text.split("\0") if entry.startswith("K=")][0])
    equal(variables, t.either(original=["K=1"] * 3, ferrite=["K=1", "K=2", "K=3"]), "the containers' variables")


@case(deviation="hot-waiting")
def s8_waiting_does_not_count_against_the_run(t):
    path = hot(t, timeout=2)
    first, second = at_once(t, path, [b"sleep 1400\nout x"] * 2)
    late = t.either(original=500, ferrite=200)
    equal(sorted((first.status, second.status)), sorted((200, late)), "statuses")


@case(deviation="hot-waiting", spare=HANGS)
def s8_waiting_ends_with_the_timeout(t):
    path = hot(t, timeout=2)
    answers = at_once(t, path, [b"sleep 1400\nout x"] * 4)
    equal({answer.status for answer in answers}, {200, 504}, f"statuses ({answers})")
    equal({answer.message for answer in answers if answer.status == 504}, {"Timed out"}, "messages")


@case(spare="an original shows no instances")
def s8_idle_timeout_ends_the_container(t):
    path = hot(t, idle_timeout=1)
    before = identity(t, path)[0]
    poll(lambda: not instances_of(t), "the instance ends")
    after, calls = identity(t, path)
    check(after != before and calls == 1, "the old process answered")


@case(deviation="hot-idle", spare=HANGS)
def s8_idle_timeout_0_keeps_the_container(t):
    path = t.function("hot", format="http", memory=64)
    equal([identity(t, path)[1] for _ in range(3)], [1, 2, 3], "calls of one process")


@case()
def s8_container_has_no_run_limit_of_its_own(t):
    path = hot(t, timeout=2)
    seen = [t.call(path, b"sleep 600\nid").text.split() for _ in range(5)]
    equal([calls for _, calls in seen], ["1", "2", "3", "4", "5"], "calls of one process that ran longer than a call may")


@case(spare="an original shows no instances")
def s8_deleted_route_ends_its_container(t):
    path = hot(t, idle_timeout=600)
    identity(t, path)
    t.ask("DELETE", "/v1/apps/$APP/routes/f")
    poll(lambda: not instances_of(t), "the instance ends")


@case()
def s8_route_token_is_asked_for(t):
    path = hot(t, jwt_key="key")
    equal(t.call(path, b"id").status, 401, "without a token")
    equal(t.call(path, b"id", bearer(client_token("key"))).status, 200, "with a token")


@case()
def s8_kept_connection(t):
    path = hot(t)
    connection = t.connection()
    equal([t.call(path, b"id", connection=connection).text.split()[1] for _ in range(4)], ["1", "2", "3", "4"], "calls")


# --- 8.4 results ----------------------------------------------------------------------------------------------------


@case(deviation="hot-timeout")
def s8_timeout(t):
    path = hot(t, timeout=1)
    t.expect(POST(path, "sleep 60000"), t.either(original=failure(500, "Timed out"), ferrite=failure(504, "Timed out")))


@case(deviation="hot-timeout")
def s8_timeout_and_the_routes_headers(t):
    path = hot(t, timeout=1, headers={"X-One": ["1"]})
    equal(t.call(path, b"sleep 60000").headers["X-One"], t.either(original=None, ferrite="1"), "X-One")


@case(deviation="hot-timeout", spare=HANGS)
def s8_timeout_replaces_the_container(t):
    path = hot(t, timeout=2)
    before = identity(t, path)[0]
    equal(t.call(path, b"sleep 2600\nout late").status, 504, "status")
    seen = [identity(t, path) for _ in range(3)]
    check(before not in [name for name, _ in seen], "the old process answered")
    equal([calls for _, calls in seen], [1, 2, 3], "calls of the new one")


@case(deviation="hot-timeout", spare=HANGS)
def s8_timeout_late_answer_reaches_nobody(t):
    path = hot(t, timeout=2)
    t.call(path, b"sleep 2200\nout late")
    for number in range(5):
        equal(t.call(path, f"sleep 100\nout {number}".encode()).body, f"{number}\n".encode(), "answer")


def ending_case(name, commands, status, message=None):
    """The function ends, or spoils its output, in the middle of a call."""

    def run(t):
        path = hot(t, timeout=3)
        before = identity(t, path)[0]
        answer = t.call(path, commands)
        if t.is_original():
            failure(500, "Timed out").compare(answer)
            return
        equal((answer.status, list(answer.json)), (status, ["request_id", "error"]), f"answer ({answer!r})")
        check(answer.message == message if message else answer.message, f"message: {answer.message}")
        after, calls = identity(t, path)
        check(after != before and calls == 1, "the old process answered")

    run.__name__ = f"s8_ends_{name}"
    case(deviation="hot-errors")(run)


ending_case("exit_without_an_answer", b"exit 0", 502)
ending_case("exit_with_an_error", b"exit 3", 500, "exit code 3")
ending_case("killed", b"kill 9", 500, "out of memory error")
ending_case("segmentation_fault", b"kill 11", 500, "exit code 139")
ending_case("no_http", b"garbage", 502)
ending_case("no_status", b"status nonsense\nout x", 502)
ending_case("two_lengths", b"header Content-Length: 5\nout hello world", 502)
ending_case("too_much_memory", b"alloc 300", 500, "out of memory error")


def start_case(image, status):
    """The function never gets as far as serving a request."""

    def run(t):
        path = hot(t, image, timeout=2)
        for _ in range(2):
            answer = t.call(path, b"id")
            equal((answer.status, answer.headers["Content-Type"], list(answer.json)),
                  (t.either(original=500, ferrite=status), JSON_TYPE, ["request_id", "error"]), f"answer ({answer!r})")

    run.__name__ = f"s8_ends_{image.replace('-', '_')}"
    case(deviation="hot-errors")(run)


start_case("hot-gone", 500)
start_case("hot-text", 502)
start_case("hot-silent", 504)


@case(spare=HANGS)
def s8_ends_after_its_answer(t):
    path = hot(t)
    names = []
    for _ in range(3):
        answer = t.call(path, b"last\nid")
        equal(answer.status, 200, f"status ({answer!r})")
        names.append(answer.text.split()[0])
    equal(len(set(names)), 3, "processes")


@case(deviation="hot-errors", spare=HANGS)
def s8_poison_second_answer_reaches_nobody(t):
    path = hot(t)
    for number in range(4):
        equal(t.call(path, f"twice\nout {number}".encode()).body, f"{number}\n".encode(), "answer")
    equal(t.call(path, b"out last").body, b"last\n", "answer")


@case(deviation="hot-errors", spare=HANGS)
def s8_poison_written_before_it_is_asked(t):
    path = hot(t, "hot-early", timeout=3)
    for number in range(4):
        answer = t.call(path, f"out {number}".encode())
        # What a fresh process writes at once cannot be told from an answer to its first call; another call's answer can.
        check(answer.status == 502 or answer.body in (b"early", f"{number}\n".encode()), f"another call's answer: {answer!r}")


@case(spare=HANGS)
def s8_vanished_client_does_not_disturb_the_next(t):
    path = hot(t, max_concurrency=1)
    identity(t, path)
    gone = t.raw(f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 20\r\n\r\nsleep 600\nout nobody".encode())
    poll(lambda: any(i["state"] == "busy" for i in instances_of(t)), "it runs")
    gone.close()
    for number in range(3):
        equal(t.call(path, f"out {number}".encode()).body, f"{number}\n".encode(), "answer")


@case()
def s8_missing_image(t):
    t.new_route("/x", "no/such:1", format="http", idle_timeout=20)
    answer = t.call("/r/$APP/x", b"x")
    equal(answer.status, 500, f"status ({answer!r})")


@case(deviation="output-bound", spare="an original keeps all of it in memory")
def s8_output_is_bounded(t):
    path = hot(t, memory=512)
    answer = t.call(path, b"bytes 100000000")
    equal(answer.status, 502, f"status ({answer.status})")
    equal(identity(t, path)[1], 1, "calls of the next process")


@case()
def s8_many_callers_get_their_own_answers(t):
    path = hot(t, max_concurrency=2)
    bodies = [f"out {number}".encode() for number in range(40)]
    equal([answer.body for answer in at_once(t, path, bodies)], [body[4:] + b"\n" for body in bodies], "answers")


@case()
def s8_complete_answer_is_ok(t):
    t.expect(POST(hot(t), "out x"), ok(body=b"x\n", headers={"Content-Length": "2"}))


@case(spare="an original never runs out of memory (15.1)", profile="small", alone=True)
def s8_hot_container_gives_way_or_ends(t):
    hot_path = hot(t, memory=256, idle_timeout=2)
    identity(t, hot_path)
    equal(t.call(t.function("act", "/cold", memory=256), b"out cold").body, b"cold\n", "a cold call that needs its memory")
    Wanted(200).compare(t.call(hot_path, b"id"))
