"""Section 14: clients. The flows of everyday use, each by six clients, and the requests of the fn tool and the web UI."""

import json
import os
from typing import NamedTuple

from clients import CLIENTS
from suite import JSON_TYPE, UUID, case, check, equal

BYTES = bytes(range(256)) * 20
LARGE = os.urandom(2 << 20)


class Order(NamedTuple):
    method: str
    path: str
    body: bytes = None
    headers: dict = {}
    how: str = "length"  # or chunked, expect


def as_json(value):
    return json.dumps(value).encode()


def flow(needs=(), **options):
    """Declares the function below once for each client: it gets T and SEND(order, …) -> answers."""

    def declare(function):
        for client, (send, abilities) in CLIENTS.items():
            if set(needs) <= abilities:
                _declare_for(client, send, function, options)
        return function

    return declare


def _declare_for(client, send, function, options):
    def run(t):
        def ask(*orders, parallel=False):
            filled = [o._replace(path=t.fill(o.path), body=t.fill(o.body)) for o in orders]
            t.exchanges.append(f"{client}: {[(o.method, o.path, len(o.body or b''), o.how) for o in filled]}")
            answers = send(t.service.url, filled, parallel)
            t.exchanges.append(f"  -> {answers!r}")
            return answers

        function(t, ask)

    run.__name__ = f"s14_{client}_{function.__name__}"
    case(**options)(run)


def said(answer, status, message):
    equal((answer.status, answer.message, answer.headers["Content-Type"]), (status, message, JSON_TYPE), "answer")


def has_message(answer, message):
    equal((answer.status, answer.json["message"], answer.headers["Content-Type"]), (200, message, JSON_TYPE), "answer")


# --- flows ----------------------------------------------------------------------------------------------------------


@flow()
def makes_an_app_and_a_route_and_removes_them(t, ask):
    app, routes = "/v1/apps/$APP", "/v1/apps/$APP/routes"
    answers = ask(
        Order("POST", "/v1/apps", as_json({"app": {"name": "$APP", "config": {"K": "v"}}})), Order("GET", app),
        Order("POST", routes, as_json({"route": {"path": "/x", "image": "i"}})), Order("GET", routes), Order("GET", routes + "/x"),
        Order("PATCH", routes + "/x", as_json({"route": {"timeout": 9}})), Order("DELETE", routes + "/x"),
        Order("PATCH", app, as_json({"app": {"config": {"K": ""}}})), Order("DELETE", app),
    )
    for answer, message in zip(answers, (
        "App successfully created", "Successfully loaded app", "Route successfully created", "Sucessfully listed routes",
        "Successfully loaded route", "Route successfully updated", "Route deleted", "App successfully updated", "App deleted",
    )):
        has_message(answer, message)


@flow()
def calls_with_and_without_a_body(t, ask):
    path = t.function("echo")
    got, posted, empty = ask(Order("GET", path + "?payload=a+b"), Order("POST", path, BYTES), Order("GET", path))
    equal((got.body, posted.body, empty.body), (b"a b", BYTES, b""), "outputs")
    equal(posted.headers["Content-Length"], str(len(BYTES)), "Content-Length")


@flow()
def calls_with_a_piped_body(t, ask):
    path = t.function("echo")
    answers = ask(*[Order("POST", path, BYTES, how="chunked")] * 2)
    equal([answer.body for answer in answers], [BYTES] * 2, "outputs")


@flow()
def makes_an_app_with_a_piped_body(t, ask):
    has_message(*ask(Order("POST", "/v1/apps", as_json({"app": {"name": "$APP"}}), how="chunked")), "App successfully created")


@flow()
def calls_with_a_large_body(t, ask):
    check(ask(Order("POST", t.function("echo"), LARGE))[0].body == LARGE, "the output is not the body")


@flow()
def calls_with_a_large_piped_body(t, ask):
    check(ask(Order("POST", t.function("echo"), LARGE, how="chunked"))[0].body == LARGE, "the output is not the body")


@flow()
def gets_a_large_answer(t, ask):
    answer, = ask(Order("POST", t.function("act"), b"bytes 5000000"))
    equal((answer.status, len(answer.body)), (200, 5000000), "answer")


@flow(needs=("reuse",))
def keeps_its_connection(t, ask):
    path = t.function("echo")
    answers = ask(
        Order("POST", path, b"1"), Order("GET", "/v1/apps"), Order("POST", path, b"2", how="chunked"), Order("GET", "/r/$APP/none"),
        Order("GET", "/nope"), Order("POST", "/v1/apps", b"{"), Order("HEAD", path), Order("POST", path, b"3"), Order("GET", "/version"),
    )
    equal([answer.status for answer in answers], [200, 200, 200, 404, 404, 400, 200, 200, 200], "statuses")
    equal([answer.reused for answer in answers], [False] + [True] * 8, "kept connections")


@flow(needs=("reuse",))
def keeps_its_connection_after_failed_calls(t, ask):
    path, short = t.function("act"), t.function("act", "/short", timeout=1)
    answers = ask(Order("POST", path, b"exit 1"), Order("POST", short, b"sleep 60000"), Order("POST", path, b"out x"))
    equal([answer.status for answer in answers], [500, 504, 200], "statuses")
    equal([answer.reused for answer in answers], [False, True, True], "kept connections")


@flow(needs=("expect",))
def waits_for_100_continue(t, ask):
    path = t.function("echo")
    call, made = ask(Order("POST", path, BYTES, how="expect"), Order("POST", "/v1/apps", as_json({"app": {"name": t.other_app()}}), how="expect"))
    equal(call.body, BYTES, "output")
    has_message(made, "App successfully created")


@flow(needs=("expect",), profile="auth")
def is_refused_before_its_body_is_sent(t, ask):
    del t  # the refusal needs no app
    answer, = ask(Order("POST", "/v1/apps", BYTES, how="expect"))
    equal(answer.status, 401, "status")


@flow()
def calls_asynchronously(t, ask):
    path = t.function("echo", type="async")
    for answer in ask(Order("POST", path, b"x"), Order("POST", path, b"x", how="chunked"), Order("GET", path + "?payload=x")):
        equal((answer.status, list(answer.json), answer.headers["Content-Type"]), (202, ["call_id"], JSON_TYPE), "answer")
        check(UUID.match(answer.json["call_id"]), repr(answer))


@flow()
def understands_errors(t, ask):
    t.new_app()
    path, short = t.function("act"), t.function("act", "/short", timeout=1)
    answers = ask(
        Order("GET", "/v1/apps/$APP-none"), Order("POST", "/v1/apps", as_json({"app": {"name": "$APP"}})),
        Order("GET", "/v1/apps/$APP/routes/none"), Order("POST", path, b"exit 7"), Order("POST", short, b"sleep 60000"), Order("GET", "/r/$APP/none"),
        Order("POST", "/v1/apps", as_json({})),
    )
    for answer, wanted in zip(answers, (
        (404, "App not found"), (409, "App already exists"), (404, "Route not found"), (500, "exit code 7"), (504, "Timed out"),
        (404, "Route not found on that application"), (400, "Missing new application"),
    )):
        said(answer, *wanted)


@flow()
def spells_slashes_as_2f(t, ask):
    t.function("echo", "/a/b")
    loaded, called = ask(Order("GET", "/v1/apps/$APP/routes/%2Fa%2Fb"), Order("POST", "/r/$APP/%2Fa%2Fb", b"x"))
    has_message(loaded, "Successfully loaded route")
    equal(called.body, b"x", "output")


@flow()
def asks_with_head(t, ask):
    answer, = ask(Order("HEAD", t.function("echo", headers={"X-Ran": ["yes"]})))
    equal((answer.status, answer.body, answer.headers["X-Ran"]), (200, b"", "yes"), "answer")


@flow()
def sees_the_routes_headers(t, ask):
    path = t.function("echo", headers={"Content-Type": ["application/json"], "X-One": ["1", "2"]})
    answer, = ask(Order("POST", path, b"{}"))
    equal((answer.headers["Content-Type"], answer.headers["X-One"]), ("application/json", "1"), "headers")


@flow()
def calls_many_times_at_once(t, ask):
    path = t.function("echo")
    bodies = [f"call {number}".encode() for number in range(8)]
    equal([answer.body for answer in ask(*[Order("POST", path, body) for body in bodies], parallel=True)], bodies, "outputs")


@flow()
def calls_a_hot_function(t, ask):
    path = t.function("hot", format="http", idle_timeout=20, memory=64)
    answers = ask(Order("POST", path, b"id"), Order("POST", path, b"id", how="chunked"), Order("POST", path, b"chunked\nid"))
    equal([answer.text.split()[1] for answer in answers], ["1", "2", "3"], "calls of one process")


# --- the requests of the fn tool ------------------------------------------------------------------------------------

# As its Go client sends them.
FN = {"Content-Type": "application/json", "Accept": "application/json", "Accept-Encoding": "gzip", "User-Agent": "Go-http-client/1.1"}


def fn(t, method, path, body=None):
    return t.ask(method, path, body, FN)


@case()
def s14_fn_version(t):
    equal(fn(t, "GET", "/version").json, {"version": "0.2.72"}, "answer")


@case()
def s14_fn_apps_create_inspect_list_delete(t):
    has_message(fn(t, "POST", "/v1/apps", {"app": {"name": "$APP", "routes": None, "config": None}}), "App successfully created")
    has_message(fn(t, "GET", "/v1/apps/$APP"), "Successfully loaded app")
    check(t.app in [app["name"] for app in fn(t, "GET", "/v1/apps").json["apps"]], "it is not in the list")
    has_message(fn(t, "DELETE", "/v1/apps/$APP"), "App deleted")


@case()
def s14_fn_apps_create_an_existing_one(t):
    t.new_app()
    said(fn(t, "POST", "/v1/apps", {"app": {"name": "$APP"}}), 409, "App already exists")


@case()
def s14_fn_apps_config_set(t):
    t.new_app(config={"OLD": "1"})
    app = fn(t, "GET", "/v1/apps/$APP").json["app"]
    app["config"]["NEW"] = "2"
    app["name"] = ""
    answer = fn(t, "PATCH", "/v1/apps/$APP", {"app": app})
    has_message(answer, "App successfully updated")
    equal(answer.json["app"]["config"], {"OLD": "1", "NEW": "2"}, "config")


@case()
def s14_fn_apps_config_unset_has_no_effect(t):
    # The tool leaves the key out of what it sends back, and a merge keeps it (15.1, 11).
    t.new_app(config={"A": "1", "B": "2"})
    app = fn(t, "GET", "/v1/apps/$APP").json["app"]
    del app["config"]["B"]
    app["name"] = ""
    equal(fn(t, "PATCH", "/v1/apps/$APP", {"app": app}).json["app"]["config"], {"A": "1", "B": "2"}, "config")


@case()
def s14_fn_routes_create(t):
    route = {"app_name": "", "config": {"K": "v"}, "headers": {"X-A": ["1"]}, "image": "x/y:0.0.1", "memory": 128, "path": "/hello", "type": "sync",
             "format": "default", "max_concurrency": 1, "timeout": 30, "idle_timeout": 30, "jwt_key": ""}
    answer = fn(t, "POST", "/v1/apps/$APP/routes", {"route": route})
    has_message(answer, "Route successfully created")
    equal({**answer.json["route"], "app_name": ""}, route, "route")


@case(deviation="patch-headers")
def s14_fn_routes_update_twice(t):
    t.new_route("/hello", "x:1", headers={"X-A": ["1"]})
    for image in ("x:2", "x:3"):
        route = fn(t, "GET", "/v1/apps/$APP/routes/hello").json["route"]
        route.update(path="", image=image)
        answer = fn(t, "PATCH", "/v1/apps/$APP/routes/hello", {"route": route})
        has_message(answer, "Route successfully updated")
        equal(answer.json["route"]["image"], image, "image")
    equal(answer.json["route"]["headers"], {"X-A": t.either(original=["1"] * 4, ferrite=["1"])}, "headers after two updates")


@case()
def s14_fn_routes_config_set(t):
    t.new_route("/hello", "x:1", config={"OLD": "1"})
    route = fn(t, "GET", "/v1/apps/$APP/routes/hello").json["route"]
    route["config"]["NEW"] = "2"
    route["path"] = ""
    equal(fn(t, "PATCH", "/v1/apps/$APP/routes/hello", {"route": route}).json["route"]["config"], {"OLD": "1", "NEW": "2"}, "config")


@case()
def s14_fn_routes_call_without_input(t):
    t.function("env", "/hello")
    equal(fn(t, "GET", "/v1/apps/$APP/routes/hello").json["route"]["jwt_key"], "", "jwt_key")
    answer = fn(t, "GET", "/r/$APP/hello")
    equal(answer.status, 200, "status")
    check("METHOD=GET" in answer.text.split("\0") and "HEADER_CONTENT_TYPE=application/json" in answer.text.split("\0"), repr(answer))


@case()
def s14_fn_routes_call_with_piped_input(t):
    path = t.function("echo", "/hello")
    raw = t.raw((f"POST {path} HTTP/1.1\r\nHost: localhost:8080\r\nUser-Agent: Go-http-client/1.1\r\nTransfer-Encoding: chunked\r\n"
                 "Content-Type: application/json\r\nAccept-Encoding: gzip\r\n\r\n6\r\nJohnny\r\n0\r\n\r\n").encode())
    equal(raw.answer().body, b"Johnny", "output")


@case()
def s14_fn_routes_call_of_a_failing_function(t):
    # The tool prints the body whatever the status is.
    answer = fn(t, "POST", t.function("act", "/hello"), "exit 5")
    equal((answer.status, answer.message), (500, "exit code 5"), "answer")


@case()
def s14_fn_deploy_only_posts(t):
    route = {"path": "/hello", "image": "x/hello:0.0.2"}
    has_message(fn(t, "POST", "/v1/apps/$APP/routes", {"route": route}), "Route successfully created")
    said(fn(t, "POST", "/v1/apps/$APP/routes", {"route": {**route, "image": "x/hello:0.0.3"}}), 409, "Route already exists")
    equal(fn(t, "GET", "/v1/apps/$APP/routes/hello").json["route"]["image"], "x/hello:0.0.2", "image")


@case()
def s14_fn_routes_list_and_delete(t):
    t.new_route("/hello", "x:1")
    equal([route["path"] for route in fn(t, "GET", "/v1/apps/$APP/routes").json["routes"]], ["/hello"], "paths")
    has_message(fn(t, "DELETE", "/v1/apps/$APP/routes/hello"), "Route deleted")
    said(fn(t, "GET", "/v1/apps/$APP/routes/hello"), 404, "Route not found")


# --- the web UI and the JavaScript client ---------------------------------------------------------------------------

BROWSER = {"Accept": "*/*", "Origin": "http://localhost:4000", "Content-Type": "application/json"}


@case()
def s14_web_ui_edits_an_app(t):
    has_message(t.ask("POST", "/v1/apps", {"app": {"name": "$APP", "config": {"K": "v"}}}, BROWSER), "App successfully created")
    has_message(t.ask("PATCH", "/v1/apps/$APP", {"app": {"config": {"K": "", "L": "w"}}}, BROWSER), "App successfully updated")
    equal(t.ask("GET", "/v1/apps/$APP", headers=BROWSER).json["app"]["config"], {"L": "w"}, "config")


@case()
def s14_web_ui_edits_a_route(t):
    t.function("echo", "/a/hello")
    url = "/v1/apps/$APP/routes/%2Fa%2Fhello"
    has_message(t.ask("GET", url, headers=BROWSER), "Successfully loaded route")
    has_message(t.ask("PATCH", url, {"route": {"memory": 64, "timeout": 10}}, BROWSER), "Route successfully updated")
    has_message(t.ask("DELETE", url, headers=BROWSER), "Route deleted")


@case()
def s14_web_ui_runs_a_function(t):
    t.function("act", "/hello")
    equal(t.ask("POST", "/r/$APP/%2Fhello", b"out hi", BROWSER).body, b"hi\n", "output")
    failed = t.ask("POST", "/r/$APP/%2Fhello", b"exit 1", BROWSER)
    check(failed.json["request_id"] and failed.json["error"]["message"] == "exit code 1", repr(failed))


@case()
def s14_ruby_client_spells_slashes_as_they_are(t):
    t.new_route("/a/b", "x:1")
    has_message(t.ask("GET", "/v1/apps/$APP/routes/a/b", headers={"User-Agent": "Swagger-Codegen/0.1.27/ruby"}), "Successfully loaded route")


@case()
def s14_picasso_makes_calls_and_cleans_up(t):
    t.new_app()
    for kind in ("sync", "async"):
        t.function("echo", "/" + kind, type=kind)
    equal(t.ask("POST", "/r/$APP/sync", {"name": "Johnny"}).json, {"name": "Johnny"}, "output")
    equal(t.ask("POST", "/r/$APP/async", {"name": "Johnny"}).status, 202, "status")
    has_message(t.ask("DELETE", "/v1/apps/$APP/routes/async"), "Route deleted")
    said(t.ask("DELETE", "/v1/apps/$APP"), 400, "Cannot remove apps with routes")
