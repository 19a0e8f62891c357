"""Section 9: asynchronous calls and the task queue."""

import os
import time

from suite import GET, JSON_TYPE, NOT_FOUND, POST, TEXT_TYPE, UUID, Wanted, a_route, an_app, case, check, equal, error, ok, poll, row, table
from tokens import bearer, client_token

PANICS = "an original closes the connection (15.1)"
NO_TIME = "0001-01-01T00:00:00.000Z"


def queue_case(**options):
    """A case that has the queue to itself."""
    return case(profile="queue", alone=True, **options)


def enqueue(t, path, body=None, headers=None, method=None):
    answer = t.call(path, body, headers, method)
    equal((answer.status, list(answer.json)), (202, ["call_id"]), f"answer ({answer!r})")
    return answer.json["call_id"]


def reserve(t):
    answer = t.ask("GET", "/tasks")
    equal((answer.status, answer.headers["Content-Type"]), (202, JSON_TYPE), f"answer ({answer!r})")
    return answer.json


def acknowledge(t, task):
    answer = t.ask("DELETE", "/tasks", task)
    equal(answer.status, 202, f"status ({answer!r})")
    return answer.json


def drain(t):
    while task := reserve(t):
        acknowledge(t, task)


def async_route(t, function="echo", path="/f", **settings):
    return t.function(function, path, type="async", **settings)


def queued_task(t, path, *request, **more):
    """The task that one call makes; it is taken out of the queue again."""
    drain(t)
    call_id = enqueue(t, path, *request, **more)
    task = reserve(t)
    equal(task["id"], call_id, "id")
    acknowledge(t, task)
    return task


# --- 9.1 the call ---------------------------------------------------------------------------------------------------


@case()
def s9_call_answers_202_with_its_id(t):
    answer = t.call(async_route(t), b"x")
    equal((answer.status, answer.headers["Content-Type"], list(answer.json)), (202, JSON_TYPE, ["call_id"]), "answer")
    check(UUID.match(answer.json["call_id"]) and answer.body.endswith(b"}\n"), f"body: {answer!r}")


@case()
def s9_call_has_no_headers_of_the_route(t):
    answer = t.call(async_route(t, headers={"X-One": ["1"], "Content-Type": ["text/csv"]}), b"x")
    equal((answer.status, answer.headers["X-One"], answer.headers["Content-Type"]), (202, None, JSON_TYPE), "answer")


@case()
def s9_call_by_get(t):
    equal(t.call(async_route(t) + "?payload=x").status, 202, "status")


@case()
def s9_call_does_not_wait_for_the_run(t):
    equal(t.call(async_route(t, "act", timeout=2), b"sleep 60000").status, 202, "status")


@case()
def s9_call_of_a_missing_image_is_accepted(t):
    t.new_route("/x", "no/such:1", type="async")
    equal(t.call("/r/$APP/x", b"x").status, 202, "status")


@case()
def s9_call_ids(t):
    path = async_route(t)
    connection = t.connection()
    ids = [t.call(path, b"x", connection=connection).json["call_id"] for _ in range(5)]
    if not t.is_original():
        equal(len(set(ids)), 5, "different ids")


@case()
def s9_call_needs_the_routes_token(t):
    path = async_route(t, jwt_key="key")
    equal(t.call(path, b"x").status, 401, "without")
    equal(t.call(path, b"x", bearer(client_token("key"))).status, 202, "with")


table("s9_call", [
    row("app_not_there", POST("/r/$APP/x", "x"), error(404, "App not found")),
    row("route_not_there", POST("/r/$APP/y", "x"), error(404, "Route not found on that application"), given=[a_route(type="async")]),
])


@queue_case(deviation="async-methods", spare=PANICS)
def s9_call_by_other_methods(t):
    path = async_route(t)
    for method in ("PUT", "PATCH", "DELETE"):
        task = queued_task(t, path, b"body", method=method)
        equal((task.get("payload"), task["env_vars"]["METHOD"]), ("body", method), method)
    equal(t.call(path, method="HEAD").status, 202, "HEAD")


@case(deviation="async-settings", alone=True, spare="an original gives it 30 s")
def s9_run_has_the_routes_timeout(t):
    path = async_route(t, "act", timeout=1)
    poll(lambda: counters(t)[:2] == (0, 0), "nothing runs")
    before = counters(t)[2]
    enqueue(t, path, b"sleep 600000")
    poll(lambda: counters(t) == (0, 0, before + 1), "it was ended")


def counters(t):
    stats = t.ask("GET", "/stats").json
    return stats["Queue"], stats["Running"], stats["Complete"]


def run_case(name, body, **settings):
    def run(t):
        path = async_route(t, "act", **settings)
        poll(lambda: counters(t)[:2] == (0, 0), "nothing runs")
        before = counters(t)[2]
        for _ in range(3):
            enqueue(t, path, body)
        poll(lambda: counters(t) == (0, 0, before + 3), "all ran, each once")

    run.__name__ = f"s9_runs_{name}"
    case(alone=True)(run)


run_case("what_was_accepted", b"out x")
run_case("a_failing_function_once", b"exit 1")
run_case("a_crashing_function_once", b"kill 11")


@case(alone=True)
def s9_runs_a_hot_function(t):
    path = t.function("hot", type="async", format="http", idle_timeout=20)
    poll(lambda: counters(t)[:2] == (0, 0), "nothing runs")
    before = counters(t)[2]
    for _ in range(3):
        enqueue(t, path, b"out x")
    poll(lambda: counters(t) == (0, 0, before + 3), "all ran")


@case(alone=True)
def s9_runs_while_sync_calls_go_on(t):
    slow, fast = async_route(t, "act", "/slow"), t.function("act", "/fast")
    for _ in range(4):
        enqueue(t, slow, b"sleep 400")
    equal(t.call(fast, b"out x").body, b"x\n", "a sync call")
    poll(lambda: counters(t)[:2] == (0, 0), "all ran")


# --- 4.3 and 9.2: the task ------------------------------------------------------------------------------------------

KEYS = ["image", "payload", "priority", "id", "completed_at", "created_at", "env_vars", "app_name", "path", "started_at"]


@queue_case()
def s9_tasks_empty_queue_is_null(t):
    drain(t)
    answer = t.ask("GET", "/tasks")
    equal((answer.status, answer.body, answer.headers["Content-Type"]), (202, b"null\n", JSON_TYPE), "answer")


@queue_case()
def s9_tasks_keys_in_order(t):
    equal(list(queued_task(t, async_route(t), b"payload 0")), KEYS, "keys")


@queue_case()
def s9_tasks_values(t):
    task = queued_task(t, async_route(t), b"payload 0")
    wanted = {"image": t.image("echo"), "payload": "payload 0", "priority": 0, "app_name": t.app, "path": "/f", "completed_at": NO_TIME,
              "created_at": NO_TIME, "started_at": NO_TIME}
    equal({key: task[key] for key in wanted}, wanted, "values")


@queue_case(deviation="request-url")
def s9_tasks_environment(t):
    t.new_app(config={"app-key": "a", "both": "app"})
    path = async_route(t, config={"both": "route", "K": "v"})
    task = queued_task(t, path + "?q=0", b"payload 0", {"Host": "the.host:8", "X-Foo": "bar", "Accept-Encoding": None, "Connection": "close"})
    env = task["env_vars"]
    env.pop("HEADER_ACCEPT_ENCODING", None)  # http.client sends it by itself
    scheme = t.either(original="http//", ferrite="http://")
    equal(env, {
        "APP_KEY": "a", "BOTH": "route", "K": "v", "METHOD": "POST", "ROUTE": "/f", "REQUEST_URL": f"{scheme}the.host:8{path}?q=0",
        "HEADER_CONTENT_LENGTH": "9", "HEADER_X_FOO": "bar", "HEADER_CONNECTION": "close",
    }, "env_vars")


@queue_case()
def s9_tasks_environment_is_sorted(t):
    task = queued_task(t, async_route(t, config={"zz": "1", "bb": "2", "AA": "3"}), b"x")
    equal(list(task["env_vars"]), sorted(task["env_vars"]), "names")


@queue_case()
def s9_tasks_empty_payload_is_left_out(t):
    equal(list(queued_task(t, async_route(t), b"")), [key for key in KEYS if key != "payload"], "keys")


@queue_case()
def s9_tasks_payload_of_a_get(t):
    equal(queued_task(t, async_route(t) + "?payload=a+b%26")["payload"], "a b&", "payload")


def payload_case(name, data):
    def run(t):
        equal(queued_task(t, async_route(t), data)["payload"].encode(), data, "payload")

    run.__name__ = f"s9_tasks_payload_{name}"
    queue_case()(run)


payload_case("with_quotes_and_lines", b'"a"\\\r\n\tb</script>&\x7f')
payload_case("utf8", "ü✓𝄞\u2028".encode())
payload_case("json", b'{"a":[1,2,{"b":null}]}')
payload_case("control_bytes", bytes(range(1, 32)))
payload_case("large", b"x" * (1 << 20))


@queue_case(deviation="task-bytes")
def s9_tasks_payload_of_bytes(t):
    task = queued_task(t, async_route(t), b"a\xff\xfeb")
    equal(task["payload"], "a\ufffd\ufffdb", "payload")
    equal(task.get("payload_base64"), t.either(original=None, ferrite="Yf/+Yg=="), "payload_base64")


@queue_case()
def s9_tasks_chunked_payload(t):
    path = async_route(t)
    drain(t)
    raw = t.raw(f"POST {path} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n".encode())
    equal(raw.answer().status, 202, "status")
    task = reserve(t)
    equal((task["payload"], "HEADER_TRANSFER_ENCODING" in task["env_vars"]), ("abc", False), "task")


@queue_case()
def s9_tasks_are_frozen(t):
    t.new_app(config={"K": "old"})
    path = async_route(t)
    drain(t)
    enqueue(t, path, b"x")
    t.ask("PATCH", "/v1/apps/$APP", {"app": {"config": {"K": "new"}}})
    t.patch_route("/f", image="other", config={"L": "new"})
    task = reserve(t)
    equal((task["image"], task["env_vars"]["K"], "L" in task["env_vars"]), (t.image("echo"), "old", False), "task")


@queue_case()
def s9_tasks_outlive_their_route(t):
    path = async_route(t)
    drain(t)
    call_id = enqueue(t, path, b"x")
    t.ask("DELETE", "/v1/apps/$APP/routes/f")
    t.ask("DELETE", "/v1/apps/$APP")
    equal(reserve(t)["id"], call_id, "id")


@queue_case()
def s9_tasks_first_in_first_out(t):
    drain(t)
    path, other = async_route(t), async_route(t, path="/g")
    ids = [enqueue(t, (path, other)[n % 2], f"{n}".encode()) for n in range(6)]
    equal([reserve(t)["id"] for _ in ids], ids, "order")


@queue_case()
def s9_tasks_reserved_ones_are_hidden(t):
    drain(t)
    path = async_route(t)
    first, second = enqueue(t, path, b"1"), enqueue(t, path, b"2")
    equal([reserve(t)["id"], reserve(t)["id"], reserve(t)], [first, second, None], "tasks")


@queue_case()
def s9_tasks_parameters_are_ignored(t):
    drain(t)
    call_id = enqueue(t, async_route(t), b"x")
    answer = t.ask("GET", "/tasks?limit=5&priority=2&wait=9")
    equal((answer.status, answer.json["id"]), (202, call_id), "answer")


@queue_case(deviation="more-paths", spare="an original has them not under /v1")
def s9_tasks_under_v1(t):
    drain(t)
    call_id = enqueue(t, async_route(t), b"x")
    task = t.ask("GET", "/v1/tasks").json
    equal(task["id"], call_id, "id")
    equal(t.ask("DELETE", "/v1/tasks", task).status, 202, "status")


@queue_case()
def s9_tasks_count_in_the_queue(t):
    drain(t)
    before = counters(t)[0]
    path = async_route(t)
    for _ in range(3):
        enqueue(t, path, b"x")
    equal(counters(t)[0], before + 3, "Queue")


@queue_case(deviation="async-durable", spare="an original says 202 also when the queue refused it")
def s9_tasks_full_queue_is_refused(t):
    drain(t)
    path = async_route(t)
    # Tasks that other cases have reserved count, too.
    answers = (t.call(path, b"x") for _ in range(41))
    answer = next(answer for answer in answers if answer.status != 202)
    equal((answer.status, answer.message), (503, "The runner queue is full"), f"answer ({answer!r})")
    check(int(answer.headers["Retry-After"]) >= 1, "Retry-After")
    acknowledge(t, reserve(t))
    enqueue(t, path, b"x")
    drain(t)


@queue_case(deviation="async-bounds", spare="an original has no bounds")
def s9_tasks_payload_is_bounded(t):
    drain(t)
    answer = t.call(async_route(t), os.urandom(3 << 20))
    equal(answer.status, 413, f"status ({answer!r})")
    equal(reserve(t), None, "the queue")


# --- 9.3 acknowledge ------------------------------------------------------------------------------------------------


@queue_case()
def s9_acknowledge_echoes_the_task(t):
    drain(t)
    enqueue(t, async_route(t), b"payload 0")
    task = reserve(t)
    answer = t.ask("DELETE", "/tasks", task)
    equal((answer.status, answer.headers["Content-Type"], answer.json), (202, JSON_TYPE, task), "answer")


@queue_case()
def s9_acknowledge_takes_one_task_out(t):
    drain(t)
    path = async_route(t)
    ids = [enqueue(t, path, b"x") for _ in range(3)]
    tasks = [reserve(t), reserve(t)]
    acknowledge(t, tasks[1])
    equal(reserve(t)["id"], ids[2], "the next one")


@queue_case()
def s9_acknowledge_id_and_priority_are_what_counts(t):
    drain(t)
    enqueue(t, async_route(t), b"x")
    task = reserve(t)
    answer = t.ask("DELETE", "/tasks", {"id": task["id"], "priority": 0, "image": "", "nonsense": [1]})
    equal((answer.status, answer.json["id"]), (202, task["id"]), "answer")
    equal(t.ask("DELETE", "/tasks", task).status, t.either(original=500, ferrite=404), "a second time")


def not_reserved(t, answer):
    if t.is_original():
        equal((answer.status, answer.json), (500, {}), "answer")
    else:
        equal((answer.status, list(answer.json)), (404, ["error"]), "answer")
        check(answer.message, repr(answer))


@queue_case(deviation="tasks-status")
def s9_acknowledge_a_second_time(t):
    drain(t)
    enqueue(t, async_route(t), b"x")
    task = reserve(t)
    acknowledge(t, task)
    not_reserved(t, t.ask("DELETE", "/tasks", task))


@queue_case(deviation="tasks-status")
def s9_acknowledge_what_was_never_there(t):
    not_reserved(t, t.ask("DELETE", "/tasks", {"id": "11111111-2222-3333-4444-555555555555", "priority": 0}))


@queue_case(deviation="tasks-status")
def s9_acknowledge_what_is_not_reserved(t):
    drain(t)
    call_id = enqueue(t, async_route(t), b"x")
    not_reserved(t, t.ask("DELETE", "/tasks", {"id": call_id, "priority": 0}))
    equal(reserve(t)["id"], call_id, "it is still there")


def malformed_case(name, body, spare=""):
    def run(t):
        answer = t.ask("DELETE", "/tasks", body)
        if t.is_original():
            equal(answer.status, 500, "status")
        else:
            equal((answer.status, list(answer.json), answer.headers["Content-Type"]), (400, ["error"], JSON_TYPE), f"answer ({answer!r})")
            check(answer.message, repr(answer))

    run.__name__ = f"s9_acknowledge_{name}"
    case(deviation="tasks-status", spare=spare)(run)


malformed_case("bad_json", "{")
malformed_case("no_json", "nonsense")
malformed_case("empty_body", "")
malformed_case("array", "[]")
malformed_case("no_priority", {"id": "x"}, PANICS)
malformed_case("priority_null", {"id": "x", "priority": None}, PANICS)
malformed_case("priority_too_high", {"id": "x", "priority": 3}, PANICS)
malformed_case("priority_negative", {"id": "x", "priority": -1}, PANICS)
malformed_case("priority_is_a_string", {"id": "x", "priority": "0"})
malformed_case("wrapped", {"task": {"id": "x", "priority": 0}}, PANICS)

table("s9_tasks_method", [
    row(method.lower(), (method, "/tasks", {}, {}), NOT_FOUND) for method in ("POST", "PUT", "PATCH")
])


@case(profile="auth", deviation="tasks-guarded")
def s9_tasks_and_the_services_token(t):
    answer = t.ask("GET", "/tasks", headers={"Authorization": None})
    equal(answer.status, t.either(original=202, ferrite=401), "GET without a token")
    answer = t.ask("DELETE", "/tasks", {"id": "x", "priority": 0}, {"Authorization": None})
    equal(answer.status, t.either(original=500, ferrite=401), "DELETE without a token")
    equal(t.ask("GET", "/tasks").status, 202, "GET with a token")


# --- the reservation expires ----------------------------------------------------------------------------------------


@case(profile="lease", deviation="tasks-status")
def s9_reservation_lasts_60_seconds(t):
    drain(t)
    path = async_route(t)
    first, second = enqueue(t, path, b"1"), enqueue(t, path, b"2")
    began = time.monotonic()
    tasks = [reserve(t), reserve(t)]
    equal([task["id"] for task in tasks], [first, second], "order")
    while time.monotonic() < began + 57:
        equal(reserve(t), None, f"after {time.monotonic() - began:.0f} s")
        time.sleep(1)
    third = enqueue(t, path, b"3")
    # Asked earlier, the queue would give the third one.
    time.sleep(max(0.0, began + 62 - time.monotonic()))
    not_reserved(t, t.ask("DELETE", "/tasks", tasks[1]))
    equal([reserve(t)["id"] for _ in range(3)], [first, second, third], "each is back in its old place")
    equal(acknowledge(t, tasks[0])["id"], first, "acknowledged after its second reservation")


table("s9_no_way_to_ask", [
    row("for_a_task", GET("/tasks/11111111-2222-3333-4444-555555555555"), NOT_FOUND),
    row("and_sync_calls_stay_sync", POST("/r/$APP/none", "x"), Wanted(404), given=[an_app()]),
])


@case(deviation="more-paths", spare="an addition of ferrite")
def s9_call_can_be_looked_up(t):
    call_id = enqueue(t, async_route(t, "act"), b"err on standard error\nexit 3")
    poll(lambda: t.ask("GET", "/v1/apps/$APP/calls/" + call_id).status == 200, "the call is in the history")
    call = t.ask("GET", "/v1/apps/$APP/calls/" + call_id).json["call"]
    equal((call["id"], call["app"], call["path"], call["type"], call["exit_code"]), (call_id, t.app, "/f", "async", 3), "call")
    equal(t.ask("GET", f"/v1/apps/$APP/calls/{call_id}/log").body, b"on standard error\n", "log")
    equal([call["id"] for call in t.ask("GET", "/v1/apps/$APP/calls").json["calls"]], [call_id], "calls of the app")
    equal(t.ask("GET", "/v1/apps/$APP/calls/11111111-2222-4333-8444-555555555555").status, 404, "another id")


@case()
def s9_type_changed_by_a_patch(t):
    path = t.function("act")
    t.expect(POST(path, "out x"), ok(body=b"x\n", headers={"Content-Type": TEXT_TYPE}))
    t.patch_route("/f", type="async")
    equal(t.call(path, b"out x").status, 202, "as async")
    t.patch_route("/f", type="sync")
    equal(t.call(path, b"out x").status, 200, "as sync again")
