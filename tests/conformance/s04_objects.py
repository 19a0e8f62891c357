"""Section 4: objects, their keys and the order of these."""

from suite import GET, JSON_TYPE, PATCH, POST, a_route, an_app, case, check, equal, ok, row, table

ROUTE = (
    b'{"app_name":"$APP","path":"/hello","image":"iron/hello","memory":128,"headers":{},"type":"sync","format":"default",'
    b'"max_concurrency":1,"timeout":30,"idle_timeout":0,"config":{},"jwt_key":""}'
)
KEYS = "app_name path image memory headers type format max_concurrency timeout idle_timeout config jwt_key".split()
DEFAULTS = {
    "app_name": "$APP", "path": "/x", "image": "iron/hello", "memory": 128, "headers": {}, "type": "sync", "format": "default",
    "max_concurrency": 1, "timeout": 30, "idle_timeout": 0, "config": {}, "jwt_key": "",
}

# --- apps -----------------------------------------------------------------------------------------------------------

table("s4_app", [
    row("keys_in_order", POST("/v1/apps", {"app": {"name": "$APP", "config": {"K": "v"}}}),
        ok(body=b'{"message":"App successfully created","app":{"name":"$APP","config":{"K":"v"}}}\n', headers={"Content-Type": JSON_TYPE})),
    row("config_is_null_when_never_given", POST("/v1/apps", {"app": {"name": "$APP"}}),
        ok(body=b'{"message":"App successfully created","app":{"name":"$APP","config":null}}\n')),
    row("config_null_is_not_given", POST("/v1/apps", {"app": {"name": "$APP", "config": None}}),
        ok(body=b'{"message":"App successfully created","app":{"name":"$APP","config":null}}\n')),
    row("empty_config_is_an_object", POST("/v1/apps", {"app": {"name": "$APP", "config": {}}}),
        ok(body=b'{"message":"App successfully created","app":{"name":"$APP","config":{}}}\n')),
    row("config_stays_an_object_after_the_last_key", PATCH("/v1/apps/$APP", {"app": {"config": {"K": ""}}}),
        ok(body=b'{"message":"App successfully updated","app":{"name":"$APP","config":{}}}\n'), given=[an_app(config={"K": "v"})]),
    row("get_has_the_same_form", GET("/v1/apps/$APP"),
        ok(body=b'{"message":"Successfully loaded app","app":{"name":"$APP","config":{"K":"v"}}}\n'), given=[an_app(config={"K": "v"})]),
])


@case(deviation="app-routes-key")
def s4_app_with_routes_inside(t):
    app = {"name": t.app, "routes": [{"path": "/inside", "image": "i"}]}
    created = t.ask("POST", "/v1/apps", {"app": app})
    equal(created.status, 200, "status")
    equal("routes" in created.json["app"], t.is_original(), "routes in the answer")
    equal("routes" in t.ask("GET", "/v1/apps/$APP").json["app"], t.is_original(), "routes in the stored app")
    equal(t.ask("GET", "/v1/apps/$APP/routes/inside").status, 404, "no route is made")


@case()
def s4_app_without_routes_does_not_show_the_key(t):
    t.new_route("/x", "i")
    equal(list(t.ask("GET", "/v1/apps/$APP").json["app"]), ["name", "config"], "keys")


# --- routes ---------------------------------------------------------------------------------------------------------

table("s4_route", [
    row("keys_in_order_with_defaults", POST("/v1/apps/$APP/routes", {"route": {"image": "iron/hello", "path": "/hello"}}),
        ok(body=b'{"message":"Route successfully created","route":' + ROUTE + b"}\n", headers={"Content-Type": JSON_TYPE})),
    row("get_has_the_same_form", GET("/v1/apps/$APP/routes/hello"),
        ok(body=b'{"message":"Successfully loaded route","route":' + ROUTE + b"}\n"), given=[a_route("/hello")]),
    row("list_has_the_same_form", GET("/v1/apps/$APP/routes"),
        ok(body=b'{"message":"Sucessfully listed routes","routes":[' + ROUTE + b"]}\n"), given=[a_route("/hello")]),
    row("patch_has_the_same_form", PATCH("/v1/apps/$APP/routes/hello", {"route": {}}),
        ok(body=b'{"message":"Route successfully updated","route":' + ROUTE + b"}\n"), given=[a_route("/hello")]),
])


def stored(key, given, wanted=None):
    wanted = given if wanted is None else wanted
    request = POST("/v1/apps/$APP/routes", {"route": {"path": "/x", "image": "iron/hello", key: given}})
    route = {**DEFAULTS, key: wanted}
    return request, ok(json={"message": "Route successfully created", "route": route}), [
        (GET("/v1/apps/$APP/routes/x"), ok(json={"message": "Successfully loaded route", "route": route}))]


def stored_rows(rows):
    for name, key, *values in rows:
        request, wanted, then = stored(key, *values)
        yield row(name, request, wanted, then=then)


table("s4_route_key", list(stored_rows((
    ("app_name_of_the_body_is_overridden", "app_name", "other", "$APP"), ("image_any_text", "image", "host:5000/a/b@sha256:xyz ✓"),
    ("memory", "memory", 1024), ("memory_beyond_32_bits", "memory", 1 << 33), ("headers", "headers", {"X-A": ["1", "2"], "x-b": ["3"]}),
    ("type_async", "type", "async"), ("type_sync", "type", "sync"), ("format_http", "format", "http"), ("format_default", "format", "default"),
    ("max_concurrency", "max_concurrency", 7), ("timeout", "timeout", 45), ("timeout_has_no_upper_limit", "timeout", 2147483647),
    ("idle_timeout", "idle_timeout", 60), ("config", "config", {"A": "1", "b-c": "", "ü": "✓"}),
))))
table("s4_route_default", list(stored_rows((
    ("memory_0", "memory", 0, 128), ("memory_null", "memory", None, 128), ("headers_null", "headers", None, {}),
    ("type_empty", "type", "", "sync"), ("type_null", "type", None, "sync"), ("format_empty", "format", "", "default"),
    ("max_concurrency_0", "max_concurrency", 0, 1), ("timeout_0", "timeout", 0, 30), ("timeout_null", "timeout", None, 30),
    ("config_null", "config", None, {}), ("config_empty", "config", {}, {}),
))))


@case()
def s4_route_ignores_unknown_keys(t):
    route = t.new_route("/x", "iron/hello", name="n", appname="other", anything={"a": [1]})
    equal(route, t.fill(DEFAULTS), "route")


@case()
def s4_route_keys_are_all_written(t):
    t.new_route("/x", "i", config={"A": "1"}, headers={"B": ["2"]}, jwt_key="k")
    equal(list(t.ask("GET", "/v1/apps/$APP/routes/x").json["route"]), KEYS, "keys")


@case(deviation="route-keys", spare="an addition of ferrite")
def s4_route_keys_that_ferrite_adds(t):
    plain = t.new_route("/plain", "i")
    check(not {"gpu", "network", "warm"} & set(plain), f"keys nobody asked for: {plain}")
    rich = t.new_route("/rich", "i", gpu={"count": 1}, network="none", warm=1)
    equal((rich["gpu"], rich["network"], rich["warm"]), ({"count": 1}, "none", 1), "what was asked for")
    gone = t.patch_route("/rich", gpu={}, network="", warm=0)
    check(not {"gpu", "network", "warm"} & set(gone), f"keys after their removal: {gone}")


# --- wrappers -------------------------------------------------------------------------------------------------------

table("s4_wrapper", [
    row("stray_message_beside_a_route", POST("/v1/apps/$APP/routes", {"message": "Successfully loaded route", "route": {"path": "/x", "image": "i"}}),
        ok(part={"message": "Route successfully created"})),
    row("stray_message_beside_an_app", PATCH("/v1/apps/$APP", {"message": "m", "app": {"config": {}}}),
        ok(part={"message": "App successfully updated"}), given=[an_app()]),
    row("whole_answer_sent_back", PATCH("/v1/apps/$APP/routes/x", {"message": "m", "error": None, "route": {**DEFAULTS, "path": ""}}),
        ok(part={"message": "Route successfully updated"}), given=[a_route()]),
    row("empty_list_of_routes", GET("/v1/apps/$APP/routes"), ok(body=b'{"message":"Sucessfully listed routes","routes":[]}\n'), given=[an_app()]),
])


@case()
def s4_wrapper_apps_is_a_list(t):
    check(isinstance(t.ask("GET", "/v1/apps").json["apps"], list), "apps is no list")
