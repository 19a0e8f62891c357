"""Section 3: the endpoint table and the fixed answers."""

from suite import (
    DELETE, GET, JSON_TYPE, NOT_FOUND, POST, PUT, Wanted, a_route, case, check, equal, ok, row, table,
)

table("s3", [
    row("banner", GET("/"), ok(body=b'{"goto":"https://github.com/iron-io/functions","hello":"world!"}\n', headers={"Content-Type": JSON_TYPE})),
    row("version", GET("/version"), ok(body=b'{"version":"0.2.72"}\n', headers={"Content-Type": JSON_TYPE})),
    row("query_parameters_are_ignored", GET("/version?x=1&x=2"), ok(body=b'{"version":"0.2.72"}\n')),
])


@case()
def s3_stats_has_three_counters(t):
    answer = t.ask("GET", "/stats")
    equal((answer.status, answer.headers["Content-Type"]), (200, JSON_TYPE), "answer")
    equal(list(answer.json), ["Queue", "Running", "Complete"], "keys")
    for key, value in answer.json.items():
        check(type(value) is int and value >= 0, f"{key}: {value!r}")


table("s3_not_there", [
    row("post_tasks", POST("/tasks", {}), NOT_FOUND),
    row("shutdown", GET("/shutdown"), NOT_FOUND), row("r", GET("/r"), NOT_FOUND), row("r_slash", GET("/r/"), NOT_FOUND),
    row("r_app", GET("/r/$APP"), NOT_FOUND, given=[a_route()]), row("post_r_app", POST("/r/$APP", "x"), NOT_FOUND, given=[a_route()]),
    row("put_app", PUT("/v1/apps/$APP", {"app": {}}), NOT_FOUND, given=[a_route()]),
    row("put_route", PUT("/v1/apps/$APP/routes/x", {"route": {}}), NOT_FOUND, given=[a_route()]),
    row("post_on_a_single_route", POST("/v1/apps/$APP/routes/x", {"route": {}}), NOT_FOUND, given=[a_route()]),
    row("delete_all_apps", DELETE("/v1/apps"), NOT_FOUND), row("v1_routes_is_read_only", POST("/v1/routes", {}), NOT_FOUND),
])


table("s3_swagger_spelling", [
    row("version", GET("/v1/version"), ok(json={"version": "0.2.72"}), original=NOT_FOUND),
    row("stats", GET("/v1/stats"), ok(), original=NOT_FOUND),
], deviation="swagger-paths")


@case(deviation="all-routes", spare="an original panics (15.1)")
def s3_routes_of_all_apps(t):
    other = t.other_app()
    t.new_route("/x", "i:1")
    t.new_route("/y", "i:2", app=other)
    answer = t.ask("GET", "/v1/routes")
    equal((answer.status, answer.json["message"]), (200, "Sucessfully listed routes"), "answer")
    found = {(route["app_name"], route["path"]) for route in answer.json["routes"]}
    check({(t.app, "/x"), (other, "/y")} <= found, f"routes: {found}")


@case(deviation="more-paths", spare="an addition of ferrite")
def s3_paths_that_ferrite_adds(t):
    for path, key in (("/healthz", "status"), ("/v1/gpus", "gpus"), ("/v1/instances", "instances"), ("/v1/images", "images")):
        answer = t.ask("GET", path)
        check(answer.status == 200 and key in answer.json, f"{path}: {answer!r}")
    equal(t.ask("GET", "/readyz").status, 200, "/readyz")


@case()
def s3_every_registered_method_runs_the_function(t):
    path = t.function("env")
    for method in ("GET", "POST", "PUT", "PATCH", "OPTIONS", "DELETE"):
        equal(t.environment(path, method=method)["METHOD"], method, method)


@case()
def s3_head_runs_the_function_without_a_body(t):
    path = t.function("echo", headers={"X-Ran": ["yes"]})
    answer = t.call(path, method="HEAD")
    equal((answer.status, answer.body, answer.headers["X-Ran"]), (200, b"", "yes"), "answer")


@case()
def s3_connect_runs_the_function(t):
    path = t.function("env")
    raw = t.raw(f"CONNECT {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    answer = raw.answer()
    check(answer.status == 200 and b"METHOD=CONNECT\0" in answer.body, repr(answer))


@case()
def s3_trace_runs_the_function(t):
    path = t.function("env")
    answer = t.raw(f"TRACE {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode()).answer()
    check(answer.status == 200 and b"METHOD=TRACE\0" in answer.body, repr(answer))


@case()
def s3_a_call_needs_a_slash_and_takes_the_root_route(t):
    t.function("echo", "/")
    equal(t.ask("POST", "/r/$APP/", b"root").body, b"root", "the root route")
    equal(t.ask("POST", "/r/$APP", b"root").status, 404, "without the slash")


table("s3_root", [row("is_no_prefix", GET("/r/$APP/other"), Wanted(404), given=[a_route("/")])])
