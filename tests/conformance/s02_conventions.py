"""Section 2: HTTP conventions."""

from suite import (
    APP_NOT_FOUND, DELETE, GET, HEAD, INVALID_JSON, INVALID_JSON_ORIGINAL, JSON_TYPE, NOT_FOUND, OPTIONS, PATCH, POST, PUT, Wanted,
    a_route, an_app, case, check, equal, error, ok, row, table,
)

CREATED = {"message": "App successfully created", "app": {"name": "$APP", "config": None}}

# --- the wire -----------------------------------------------------------------------------------------------------


@case()
def s2_keep_alive_serves_many_requests(t):
    connection = t.connection()
    for _ in range(3):
        equal(t.ask("GET", "/version", connection=connection).status, 200, "status")
        port = connection.sock.getsockname()[1]
        t.ask("GET", "/nope", connection=connection)
        equal(connection.sock.getsockname()[1], port, "the connection is kept after an error too")


@case()
def s2_pipelined_requests_are_answered_in_order(t):
    raw = t.raw(b"GET /version HTTP/1.1\r\nHost: x\r\n\r\nGET /nope HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n")
    equal([raw.answer().status for _ in range(3)], [200, 404, 200], "statuses")


@case()
def s2_connection_close_is_honoured(t):
    raw = t.raw(b"GET /version HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    equal(raw.answer().headers["Connection"], "close", "Connection")
    check(raw.is_closed(), "the connection stays open")


@case()
def s2_http_1_0_closes(t):
    raw = t.raw(b"GET /version HTTP/1.0\r\n\r\n")
    equal(raw.answer().status, 200, "status")
    check(raw.is_closed(), "the connection stays open")


@case()
def s2_http_1_0_keep_alive(t):
    raw = t.raw(b"GET /version HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    equal(raw.answer().status, 200, "status")
    raw.send(b"GET /version HTTP/1.0\r\n\r\n")
    equal(raw.answer().status, 200, "status of the second request")


@case()
def s2_no_server_cors_or_encoding_headers(t):
    answer = t.ask("GET", "/version", headers={"Origin": "http://elsewhere", "Accept-Encoding": "gzip, deflate"})
    for name in ("Server", "Access-Control-Allow-Origin", "Content-Encoding", "Vary"):
        check(name not in answer.headers, f"{name} in {answer!r}")


@case()
def s2_a_date_is_sent(t):
    check(t.ask("GET", "/version").headers["Date"], "no Date header")


@case()
def s2_no_cors_preflight(t):
    answer = t.ask("OPTIONS", "/v1/apps", headers={"Origin": "http://x", "Access-Control-Request-Method": "POST"})
    NOT_FOUND.compare(answer)


@case()
def s2_expect_100_continue_on_the_api(t):
    raw = t.raw(b"POST /v1/apps HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
    check(raw.status_line().startswith(b"HTTP/1.1 100 "), "no interim answer")
    equal(raw.status_line(), b"\r\n", "the interim answer has no headers")
    raw.send(b"{}")
    equal(raw.answer().status, 400, "status")


@case()
def s2_expect_100_continue_on_a_call(t):
    path = t.function("echo")
    raw = t.raw(f"POST {path} HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n".encode())
    check(raw.status_line().startswith(b"HTTP/1.1 100 "), "no interim answer")
    equal(raw.status_line(), b"\r\n", "the interim answer has no headers")
    raw.send(b"hello")
    equal(raw.answer().body, b"hello", "body")


@case()
def s2_expect_with_the_body_sent_at_once(t):
    raw = t.raw(b"POST /v1/apps HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n{}")
    answer = raw.answer()
    if answer.status == 100:
        answer = raw.answer()
    equal(answer.status, 400, "status")


def chunked(*parts):
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


@case()
def s2_chunked_body_creates_an_app(t):
    raw = t.raw(b"POST /v1/apps HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(b'{"app":', b'{"name":"', t.app.encode(), b'"}}'))
    equal(raw.answer().json["message"], "App successfully created", "message")


@case()
def s2_chunked_body_patches_a_route(t):
    t.new_route("/x", "i")
    raw = t.raw(
        f"PATCH /v1/apps/{t.app}/routes/x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
        + chunked(b'{"route"', b':{"timeout":9}}')
    )
    equal(raw.answer().json["route"]["timeout"], 9, "timeout")


@case()
def s2_chunked_body_with_extensions_and_trailers(t):
    raw = t.raw(
        b"POST /v1/apps HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2;name=value\r\n{}\r\n0\r\nX-Trailer: 1\r\n\r\n"
        b"GET /version HTTP/1.1\r\nHost: x\r\n\r\n"
    )
    equal((raw.answer().status, raw.answer().status), (400, 200), "statuses")


@case()
def s2_header_names_in_any_case(t):
    raw = t.raw(b"POST /v1/apps HTTP/1.1\r\nhOST: x\r\ncontent-LENGTH: 2\r\n\r\n{}GET /version HTTP/1.1\r\nhost: x\r\n\r\n")
    equal((raw.answer().status, raw.answer().status), (400, 200), "statuses")


@case()
def s2_json_ends_with_a_newline_that_is_counted(t):
    raw = t.raw(b"GET /version HTTP/1.1\r\nHost: x\r\n\r\n")
    answer = raw.answer()
    equal(answer.headers["Content-Length"], str(len(b'{"version":"0.2.72"}\n')), "Content-Length")
    check(answer.body.endswith(b"}\n"), "no newline")


@case(deviation="json-escapes")
def s2_json_escapes(t):
    value = "<a> & b\u2028\u2029\"\\/"
    t.new_app(config={"K": value})
    answer = t.ask("GET", "/v1/apps/$APP")
    equal(answer.json["app"]["config"]["K"], value, "value")
    check((b"\\u003c" in answer.body) == t.is_original(), f"escapes of <: {answer!r}")


@case(deviation="never-chunked")
def s2_long_answers(t):
    t.new_app(config={f"KEY{n}": "v" * 100 for n in range(50)})
    answer = t.ask("GET", "/v1/apps/$APP")
    equal(len(answer.json["app"]["config"]), 50, "keys")
    equal(answer.headers["Transfer-Encoding"], t.either(original="chunked", ferrite=None), "Transfer-Encoding")


@case(deviation="malformed-http", spare="an original answers as Go's HTTP server does")
def s2_malformed_requests(t):
    for data in (b"GARBAGE\r\n\r\n", b"GET /\x01 HTTP/1.1\r\n\r\n", b"GET / HTTP/1.1\r\nno colon\r\n\r\n"):
        raw = t.raw(data)
        error(400, "Malformed HTTP request", headers={"Connection": "close", "Content-Type": JSON_TYPE}).compare(raw.answer())
        check(raw.is_closed(), "the connection stays open")


@case(deviation="malformed-http", spare="an original answers as Go's HTTP server does")
def s2_malformed_escapes_in_a_path(t):
    for path in ("/%zz", "/%", "/v1/apps/%2", "/a%00b"):
        answer = t.raw(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()).answer()
        check(answer.status == 400 and answer.json["error"]["message"], f"{path}: {answer!r}")


@case()
def s2_contradicting_lengths_are_refused(t):
    raw = t.raw(b"POST /v1/apps HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{} ")
    equal(raw.answer().status, 400, "status")


@case(deviation="request-bounds", spare="an original has no bounds")
def s2_bounds_of_a_request(t):
    equal(t.raw(b"GET / HTTP/1.1\r\nX: " + b"y" * 90000).answer().status, 431, "a long header")
    equal(t.raw(b"POST /v1/apps HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n").answer().status, 413, "a long body")


# --- the content type of a request is never looked at ----------------------------------------------------------------

table("s2_content_type_ignored", [
    row(name, POST("/v1/apps", {"app": {"name": "$APP"}}, headers), ok(json=CREATED))
    for name, headers in (
        ("none", {}), ("text", {"Content-Type": "text/plain"}), ("form", {"Content-Type": "application/x-www-form-urlencoded"}),
        ("multipart", {"Content-Type": "multipart/form-data; boundary=x"}), ("xml", {"Content-Type": "application/xml"}),
        ("octets", {"Content-Type": "application/octet-stream"}), ("broken", {"Content-Type": ";;;"}),
        ("json_charset", {"Content-Type": "application/json; charset=iso-8859-1"}),
    )
])

# --- rules of request JSON ------------------------------------------------------------------------------------------

table("s2_json", [
    row(name, POST("/v1/apps", body), ok(json=CREATED))
    for name, body in (
        ("text_after_the_value_is_ignored", '{"app":{"name":"$APP"}} trailing garbage'),
        ("second_value_is_ignored", '{"app":{"name":"$APP"}}{"app":{"name":"other"}}'),
        ("keys_match_in_capitals", '{"APP":{"NAME":"$APP"}}'),
        ("keys_match_in_mixed_case", '{"App":{"nAmE":"$APP"}}'),
        ("unknown_top_keys_are_ignored", '{"x":[1,{"y":null}],"app":{"name":"$APP"}}'),
        ("unknown_inner_keys_are_ignored", '{"app":{"id":7,"name":"$APP","owner":{"a":[]}}}'),
        ("last_of_repeated_keys_wins", '{"app":{"name":"first","name":"$APP"}}'),
        ("null_means_not_given", '{"app":{"name":"$APP","config":null,"routes":null}}'),
        ("leading_white_space", ' \r\n\t{"app" : {"name" : "$APP"} }'),
        ("escapes_in_strings", '{"\\u0061pp":{"n\\u0061me":"$APP"}}'),
        ("stray_message", '{"message":"App successfully created","app":{"name":"$APP"}}'),
    )
])

BROKEN = (
    ("empty", ""), ("white_space", "  \n"), ("truncated_object", '{"app":{"name":"$APP"'), ("truncated_string", '{"app":{"name":"$A'),
    ("truncated_literal", "nul"), ("top_level_array", "[]"), ("top_level_array_of_objects", '[{"app":{"name":"$APP"}}]'),
    ("top_level_string", '"app"'), ("top_level_number", "1"), ("top_level_true", "true"), ("single_quotes", "{'app':{}}"),
    ("bare_keys", '{app:{"name":"$APP"}}'), ("trailing_comma", '{"app":{"name":"$APP",}}'), ("comment", '/* */{"app":{"name":"$APP"}}'),
    ("no_colon", '{"app" {"name":"$APP"}}'), ("control_byte_in_string", '{"app":{"name":"a\nb"}}'), ("bad_escape", '{"app":{"name":"\\x"}}'),
    ("leading_zero", '{"app":{"n":01}}'), ("nan", '{"app":{"n":NaN}}'), ("form", "app=$APP"), ("xml", "<app/>"),
)
table("s2_invalid_json", [
    row(name, POST("/v1/apps", body), INVALID_JSON, original=INVALID_JSON_ORIGINAL, deviation="json-error-type") for name, body in BROKEN
])
table("s2_invalid_json_app", [
    row(name, POST("/v1/apps", f'{{"app":{value}}}'), INVALID_JSON, original=INVALID_JSON_ORIGINAL, deviation="json-error-type")
    for name, value in (
        ("is_an_array", "[]"), ("is_a_string", '"x"'), ("is_a_number", "3"), ("is_true", "true"), ("name_is_a_number", '{"name":1}'),
        ("name_is_true", '{"name":true}'), ("name_is_an_array", '{"name":["x"]}'), ("name_is_an_object", '{"name":{}}'),
        ("config_is_an_array", '{"name":"x","config":[]}'), ("config_is_a_string", '{"name":"x","config":"k"}'),
        ("config_value_is_a_number", '{"name":"x","config":{"K":1}}'), ("config_value_is_true", '{"name":"x","config":{"K":true}}'),
        ("config_value_is_an_object", '{"name":"x","config":{"K":{}}}'), ("config_value_is_an_array", '{"name":"x","config":{"K":["v"]}}'),
        ("routes_is_an_object", '{"name":"x","routes":{}}'),
    )
])
table("s2_invalid_json_route", [
    row(f"{method.lower()}_{name}", (POST if method == "POST" else PATCH)(path, f'{{"route":{{{given}{value}}}}}'), INVALID_JSON,
        original=INVALID_JSON_ORIGINAL, deviation="json-error-type", given=[a_route()])
    for method, path, given in (("POST", "/v1/apps/$APP/routes", '"path":"/y","image":"i",'), ("PATCH", "/v1/apps/$APP/routes/x", ""))
    for name, value in (
        ("image_is_a_number", '"image":1'), ("memory_is_a_string", '"memory":"128"'), ("memory_is_negative", '"memory":-1'),
        ("memory_is_a_fraction", '"memory":1.5'), ("memory_beyond_64_bits", '"memory":18446744073709551616'),
        ("headers_is_an_array", '"headers":[]'), ("header_is_a_string", '"headers":{"A":"b"}'), ("header_holds_a_number", '"headers":{"A":[1]}'),
        ("type_is_a_number", '"type":1'), ("format_is_true", '"format":true'), ("max_concurrency_is_a_string", '"max_concurrency":"1"'),
        ("max_concurrency_is_a_fraction", '"max_concurrency":1.5'), ("timeout_is_a_string", '"timeout":"30s"'),
        ("timeout_is_a_fraction", '"timeout":1.5'), ("timeout_beyond_32_bits", '"timeout":99999999999'),
        ("timeout_far_below_zero", '"timeout":-2147483649'), ("idle_timeout_is_a_string", '"idle_timeout":"30"'),
        ("idle_timeout_beyond_32_bits", '"idle_timeout":2147483648'), ("config_is_an_array", '"config":["a"]'),
        ("config_value_is_a_number", '"config":{"A":1}'), ("jwt_key_is_a_number", '"jwt_key":5'),
    )
])
table("s2_invalid_json_route", [
    row("path_is_a_number", POST("/v1/apps/$APP/routes", '{"route":{"path":1,"image":"i"}}'), INVALID_JSON,
        original=INVALID_JSON_ORIGINAL, deviation="json-error-type"),
    row("is_a_string", POST("/v1/apps/$APP/routes", '{"route":"x"}'), INVALID_JSON,
        original=INVALID_JSON_ORIGINAL, deviation="json-error-type"),
    row("is_an_array", POST("/v1/apps/$APP/routes", '{"route":[]}'), INVALID_JSON,
        original=INVALID_JSON_ORIGINAL, deviation="json-error-type"),
    row("on_patch_of_an_app", PATCH("/v1/apps/$APP", "{"), INVALID_JSON, original=INVALID_JSON_ORIGINAL,
        deviation="json-error-type", given=[an_app()]),
])


@case(deviation="json-limits")
def s2_json_that_cannot_be_given_back(t):
    for body in ('{"app":{"name":"$APP","n":99999999999999999999}}', '{"app":{"name":"$APP","config":{"K":"a\\u0000b"}}}',
                 b'{"app":{"name":"$APP","config":{"K":"\xff"}}}'):
        equal(t.ask("POST", "/v1/apps", body).status, t.either(original=200, ferrite=400), f"status for {body!r}")
        t.ask("DELETE", "/v1/apps/$APP")


@case()
def s2_an_error_has_message_and_nothing_else(t):
    equal(t.ask("GET", "/v1/apps/$APP").body, b'{"error":{"message":"App not found"}}\n', "body")


# --- what is not there ----------------------------------------------------------------------------------------------

table("s2_unknown_path", [
    row(re_name, GET(path), NOT_FOUND)
    for re_name, path in (
        ("word", "/nope"), ("v1", "/v1"), ("v1_slash", "/v1/"), ("v2", "/v2/apps"), ("apps_without_v1", "/apps"), ("v1_app", "/v1/app"),
        ("below_version", "/version/x"), ("below_stats", "/stats/x"), ("below_an_app", "/v1/apps/x/nope"), ("capitals", "/V1/APPS"),
        ("favicon", "/favicon.ico"), ("route_is_singular", "/v1/apps/x/route"),
    )
])
table("s2_unregistered_method", [
    row(f"{make('/').method.lower()}_{name}", make(path), NOT_FOUND)
    for name, path, methods in (
        ("root", "/", (POST, PUT, PATCH, DELETE, OPTIONS)), ("version", "/version", (POST, PUT, DELETE)), ("stats", "/stats", (POST, DELETE)),
        ("apps", "/v1/apps", (PUT, PATCH, DELETE, OPTIONS)), ("an_app", "/v1/apps/x", (POST, PUT, OPTIONS)),
        ("routes", "/v1/apps/x/routes", (PUT, OPTIONS)), ("a_route", "/v1/apps/x/routes/y", (POST, PUT, OPTIONS)),
        ("tasks", "/tasks", (PUT, PATCH, OPTIONS)),
    )
    for make in methods
])
table("s2_head", [
    row(name, HEAD(path), Wanted((404, 200), body=b"")) for name, path in (("root", "/"), ("version", "/version"), ("apps", "/v1/apps"))
])
table("s2_foreign_method", [
    row("propfind", ("PROPFIND", "/v1/apps", None, {}), NOT_FOUND), row("made_up", ("BREW", "/version", None, {}), Wanted((404, 400, 501))),
    row("propfind_on_a_function", ("PROPFIND", "/r/$APP/x", None, {}), NOT_FOUND, given=[a_route()]),
])

# --- trailing slashes -----------------------------------------------------------------------------------------------


def moved(status, path):
    return Wanted(status, headers={"Location": path})


table("s2_trailing_slash", [
    row("get_version", GET("/version/"), ok(json={"version": "0.2.72"}), original=moved(301, "/version")),
    row("get_stats", GET("/stats/"), ok(), original=moved(301, "/stats")),
    row("get_apps", GET("/v1/apps/"), ok(part={"message": "Successfully listed applications"}), original=moved(301, "/v1/apps")),
    row("post_apps", POST("/v1/apps/", {"app": {"name": "$APP"}}), ok(json=CREATED), original=moved(307, "/v1/apps")),
    row("get_app", GET("/v1/apps/$APP/"), ok(part={"message": "Successfully loaded app"}), original=moved(301, "/v1/apps/$APP"), given=[an_app()]),
    row("patch_app", PATCH("/v1/apps/$APP/", {"app": {}}), ok(part={"message": "App successfully updated"}),
        original=moved(307, "/v1/apps/$APP"), given=[an_app()]),
    row("delete_app", DELETE("/v1/apps/$APP/"), ok(json={"message": "App deleted"}), original=moved(307, "/v1/apps/$APP"), given=[an_app()]),
], deviation="trailing-slash")
table("s2_routes_without_slash", [
    row("delete", DELETE("/v1/apps/$APP/routes"), ok(json={"message": "Route deleted"}), original=moved(307, "/v1/apps/$APP/routes/")),
    row("patch", PATCH("/v1/apps/$APP/routes", {"route": {"timeout": 9}}), ok(part={"message": "Route successfully updated"}),
        original=moved(307, "/v1/apps/$APP/routes/")),
], deviation="routes-without-slash", given=[a_route("/")])

# --- percent-decoding -----------------------------------------------------------------------------------------------

table("s2_percent", [
    row("letters_of_a_fixed_path", GET("/%76ersion"), ok(json={"version": "0.2.72"})),
    row("letters_of_v1", GET("/v1/%61pps"), ok(part={"message": "Successfully listed applications"})),
    row("letters_of_an_app", GET("/v1/apps/%6eot-there"), APP_NOT_FOUND),
    row("route_with_2f", GET("/v1/apps/$APP/routes/%2Fx"), ok(part={"message": "Successfully loaded route"}), given=[a_route()]),
    row("route_with_small_2f", GET("/v1/apps/$APP/routes/%2fx"), ok(part={"message": "Successfully loaded route"}), given=[a_route()]),
    row("deep_route_with_2f", GET("/v1/apps/$APP/routes/%2Fa%2Fb"), ok(part={"message": "Successfully loaded route"}), given=[a_route("/a/b")]),
    row("patch_with_2f", PATCH("/v1/apps/$APP/routes/%2Fx", {"route": {"timeout": 7}}), ok(part={"message": "Route successfully updated"}),
        given=[a_route()]),
    row("delete_with_2f", DELETE("/v1/apps/$APP/routes/%2Fx"), ok(json={"message": "Route deleted"}), given=[a_route()]),
    row("slash_in_the_app_segment", GET("/v1/apps/a%2Fb"), Wanted(404)),
    row("blank_in_a_route", GET("/v1/apps/$APP/routes/a%20b"), ok(part={"message": "Successfully loaded route"}), given=[a_route("/a b")]),
    row("umlaut_in_a_route", GET("/v1/apps/$APP/routes/%C3%BC"), ok(part={"message": "Successfully loaded route"}), given=[a_route("/ü")]),
    row("put_is_not_there", PUT("/v1/apps/$APP/routes/%2Fx", {"route": {}}), NOT_FOUND, given=[a_route()]),
    row("error_stays_an_error", GET("/v1/apps/$APP/routes/%2Fy"), error(404, "Route not found"), given=[a_route()]),
])


@case()
def s2_percent_in_a_call(t):
    path = t.function("echo", "/f")
    for spelling in (path, f"/r/{t.app}/%2Ff", f"/r/{t.app}/%66", f"/r/{t.app}//f", f"/r/{t.app}/f/", f"/r/{t.app}/a/../f"):
        equal(t.call(spelling, b"hi").body, b"hi", spelling)
