"""Section 6: routes."""

from suite import APP_NOT_FOUND, DELETE, GET, PATCH, POST, ROUTE_NOT_FOUND, a_route, an_app, case, check, equal, error, ok, row, table

ROUTES = "/v1/apps/$APP/routes"
X = ROUTES + "/x"
MISSING = error(400, "Missing new route")
IMMUTABLE = error(400, "Could not update route - path is immutable")
LOADED = ok(part={"message": "Successfully loaded route"})


def invalid(*messages):
    return error(400, "validation failure list:\nvalidation failure list:\n" + "\n".join(messages))


# --- create ---------------------------------------------------------------------------------------------------------


def create(**route):
    return POST(ROUTES, {"route": route})


def creates(path):
    """Accepted with this path, and found by it."""
    return ok(proof=lambda answer: equal(answer.json["route"]["path"], path, "path"))


table("s6_create", [
    row("makes_the_app", create(path="/x", image="i"), ok(part={"message": "Route successfully created"}),
        then=[(GET("/v1/apps/$APP"), ok(part={"app": {"name": "$APP", "config": None}}))]),
    row("in_an_app_that_is_there", create(path="/x", image="i"), ok(), given=[an_app(config={"K": "v"})],
        then=[(GET("/v1/apps/$APP"), ok(part={"app": {"name": "$APP", "config": {"K": "v"}}}))]),
    row("root", create(path="/", image="i"), creates("/"), then=[(GET(ROUTES + "/"), LOADED)]),
    row("deep_path", create(path="/a/b/c", image="i"), creates("/a/b/c"), then=[(GET(ROUTES + "/a/b/c"), LOADED)]),
    row("path_with_blank", create(path="/a b", image="i"), creates("/a b"), then=[(GET(ROUTES + "/a%20b"), LOADED)]),
    row("path_with_umlaut", create(path="/ü", image="i"), creates("/ü"), then=[(GET(ROUTES + "/%C3%BC"), LOADED)]),
    row("path_with_star", create(path="/w/*rest", image="i"), creates("/w/*rest"), then=[(GET(ROUTES + "/w/*rest"), LOADED)]),
    row("path_with_dots_in_names", create(path="/a.b/..c", image="i"), creates("/a.b/..c"), then=[(GET(ROUTES + "/a.b/..c"), LOADED)]),
    row("two_routes", create(path="/x", image="i"), ok(), then=[(create(path="/y", image="i"), ok()), (GET(X), LOADED)]),
    row("exists", create(path="/x", image="other"), error(409, "Route already exists"), given=[a_route()],
        then=[(GET(X), ok(proof=lambda answer: equal(answer.json["route"]["image"], "iron/hello", "image")))]),
    row("no_route", POST(ROUTES, {"x": 1}), MISSING), row("route_null", POST(ROUTES, {"route": None}), MISSING),
    row("empty_object", POST(ROUTES, "{}"), MISSING), row("null", POST(ROUTES, "null"), MISSING),
    row("unwrapped", POST(ROUTES, {"path": "/x", "image": "i"}), MISSING),
])

table("s6_create_invalid", [
    row("no_image", create(path="/x"), invalid("Missing route Image")), row("empty_image", create(path="/x", image=""), invalid("Missing route Image")),
    row("no_path", create(image="i"), invalid("Missing route Path", "Invalid Path format")),
    row("empty_path", create(path="", image="i"), invalid("Missing route Path", "Invalid Path format")),
    row("nothing", create(), invalid("Missing route Image", "Missing route Path", "Invalid Path format")),
    row("path_without_slash", create(path="x", image="i"), invalid("Invalid Path format")),
    row("path_with_colon", create(path="/:name", image="i"), invalid("Dynamic URL is not allowed")),
    row("path_with_colon_inside", create(path="/a/b:c", image="i"), invalid("Dynamic URL is not allowed")),
    row("type", create(path="/x", image="i", type="batch"), invalid("Invalid route Type")),
    row("type_is_case_sensitive", create(path="/x", image="i", type="Sync"), invalid("Invalid route Type")),
    row("format", create(path="/x", image="i", format="xml"), invalid("Invalid route Format")),
    row("format_json", create(path="/x", image="i", format="json"), invalid("Invalid route Format")),
    row("format_is_case_sensitive", create(path="/x", image="i", format="HTTP"), invalid("Invalid route Format")),
    row("max_concurrency", create(path="/x", image="i", max_concurrency=-1), invalid("Negative MaxConcurrency")),
    row("timeout", create(path="/x", image="i", timeout=-1), invalid("Negative timeout")),
    row("idle_timeout", create(path="/x", image="i", idle_timeout=-1), invalid("Negative idle timeout")),
    row("everything_in_order", create(type="t", format="f", max_concurrency=-1, timeout=-1, idle_timeout=-1), invalid(
        "Missing route Image", "Missing route Path", "Invalid Path format", "Invalid route Type", "Invalid route Format",
        "Negative MaxConcurrency", "Negative timeout", "Negative idle timeout")),
    row("colon_before_format", create(path="a:b/c", image="i"), invalid("Dynamic URL is not allowed", "Invalid Path format")),
    row("makes_no_app", create(path="x", image="i"), invalid("Invalid Path format"), then=[(GET("/v1/apps/$APP"), APP_NOT_FOUND)]),
    row("makes_no_route", create(path="/x", image="i", timeout=-1), invalid("Negative timeout"), given=[an_app()], then=[(GET(X), ROUTE_NOT_FOUND)]),
])
table("s6_create_malformed_path", [
    row("bad_escape", create(path="/%zz", image="i"), invalid("Path malformed")), row("cut_escape", create(path="/a%2", image="i"), invalid("Path malformed")),
], deviation="malformed-path", spare="an original panics (15.1)")
table("s6_create_in_a_bad_app", [
    row("name", POST("/v1/apps/a%20b/routes", {"route": {"path": "/x", "image": "i"}}), error(400, "Invalid app name"),
        original=error(500, "Invalid app name"), deviation="app-error-status"),
    row("length", POST(f"/v1/apps/{'x' * 31}/routes", {"route": {"path": "/x", "image": "i"}}),
        error(400, "App name must be 30 characters or less"), original=error(500, "App name must be 30 characters or less"), deviation="app-error-status"),
])
table("s6_create_cleans_the_path", [
    row(name, create(path=path, image="i"), creates(clean), original=creates(path), then=[(GET(ROUTES + clean), LOADED)],
        deviation="clean-paths", spare="an original keeps a route that can never be deleted again")
    for name, path, clean in (
        ("trailing_slash", "/x/", "/x"), ("doubled_slash", "//x", "/x"), ("dots", "/a/../b", "/b"), ("dot", "/./b/.", "/b"), ("above_the_root", "/../x", "/x"),
    )
])
table("s6_create_url_as_path", [
    row("whole_url", create(path="http://h/p", image="i"), invalid("Dynamic URL is not allowed", "Invalid Path format")),
], deviation="colon-paths", spare="an original keeps a route that can never be deleted again")

# --- look-up --------------------------------------------------------------------------------------------------------

table("s6_get", [
    *(row(name, GET(ROUTES + path), LOADED, given=[a_route("/a/b")]) for name, path in (
        ("exact", "/a/b"), ("encoded_slash", "/%2Fa%2Fb"), ("doubled_slash", "//a//b"), ("dots", "/a/c/../b"), ("dot", "/./a/./b"),
        ("trailing_slash", "/a/b/"), ("query_is_ignored", "/a/b?image=x"),
    )),
    row("root_is_not_the_list", GET(ROUTES + "/"), ROUTE_NOT_FOUND, given=[a_route()]),
    row("root_route", GET(ROUTES + "/"), LOADED, given=[a_route("/")]), row("encoded_root", GET(ROUTES + "/%2F"), LOADED, given=[a_route("/")]),
    row("case_sensitive", GET(ROUTES + "/X"), ROUTE_NOT_FOUND, given=[a_route()]),
    row("no_prefix_match", GET(ROUTES + "/x/y"), ROUTE_NOT_FOUND, given=[a_route()]),
    row("no_shorter_match", GET(ROUTES + "/a"), ROUTE_NOT_FOUND, given=[a_route("/a/b")]),
    row("app_not_there", GET(X), APP_NOT_FOUND), row("route_not_there", GET(X), ROUTE_NOT_FOUND, given=[an_app()]),
    row("app_as_a_query", GET("/v1/apps/$APP/routes/x?app=other"), LOADED, given=[a_route()]),
])

# --- delete ---------------------------------------------------------------------------------------------------------

table("s6_delete", [
    row("deleted", DELETE(X), ok(body=b'{"message":"Route deleted"}\n'), given=[a_route()], then=[(GET(X), ROUTE_NOT_FOUND)]),
    row("leaves_the_app", DELETE(X), ok(), given=[a_route()], then=[(GET("/v1/apps/$APP"), ok())]),
    row("leaves_other_routes", DELETE(X), ok(), given=[a_route(), a_route("/x/y")], then=[(GET(ROUTES + "/x/y"), LOADED)]),
    row("app_not_there", DELETE(X), APP_NOT_FOUND),
    row("route_not_there", DELETE(X), ROUTE_NOT_FOUND, original=ok(json={"message": "Route deleted"}), given=[an_app()], deviation="delete-missing"),
    row("root", DELETE(ROUTES + "/"), ok(json={"message": "Route deleted"}), given=[a_route("/"), a_route()], then=[(GET(X), LOADED)]),
    row("and_made_again", DELETE(X), ok(), given=[a_route(timeout=99)],
        then=[(create(path="/x", image="i"), ok(proof=lambda answer: equal(answer.json["route"]["timeout"], 30, "timeout")))]),
])

# --- list -----------------------------------------------------------------------------------------------------------


@case()
def s6_list_message_and_order(t):
    for path in ("/b", "/a", "/c/d", "/"):
        t.new_route(path, "i")
    answer = t.ask("GET", ROUTES)
    equal((answer.status, answer.json["message"]), (200, "Sucessfully listed routes"), "answer")
    # Other stores than Bolt have another order: clients cannot rely on it, ferrite keeps Bolt's.
    equal([route["path"] for route in answer.json["routes"]], ["/c/d", "/b", "/a", "/"], "paths")


@case()
def s6_list_is_of_one_app(t):
    other = t.other_app()
    t.new_route("/mine", "i")
    t.new_route("/theirs", "i", app=other)
    equal([route["path"] for route in t.ask("GET", ROUTES).json["routes"]], ["/mine"], "paths")


def listed(*paths):
    return ok(proof=lambda answer: equal(sorted(route["path"] for route in answer.json["routes"]), sorted(paths), "paths"))


IMAGES = [a_route("/a", "i:1"), a_route("/b", "i:2"), a_route("/c", "i:1"), a_route("/d", "x/y z")]
table("s6_list", [
    row("app_not_there", GET(ROUTES), ok(json={"message": "Sucessfully listed routes", "routes": []})),
    row("image_filter", GET(ROUTES + "?image=i:1"), listed("/a", "/c"), given=IMAGES),
    row("image_filter_decoded", GET(ROUTES + "?image=x%2Fy+z"), listed("/d"), given=IMAGES),
    row("image_filter_is_exact", GET(ROUTES + "?image=i"), listed(), given=IMAGES),
    row("image_filter_case_sensitive", GET(ROUTES + "?image=I:1"), listed(), given=IMAGES),
    row("empty_filter", GET(ROUTES + "?image="), listed("/a", "/b", "/c", "/d"), given=IMAGES),
    row("other_parameters_are_ignored", GET(ROUTES + "?page=2&limit=1"), listed("/a", "/b", "/c", "/d"), given=IMAGES),
])

# --- patch ----------------------------------------------------------------------------------------------------------


def patch(**route):
    return PATCH(X, {"route": route})


def changed(**keys):
    def proof(answer):
        equal(answer.json["message"], "Route successfully updated", "message")
        for key, value in keys.items():
            equal(answer.json["route"][key], value, key)

    return ok(proof=proof)


FULL = a_route("/x", "iron/hello", memory=64, type="async", format="http", max_concurrency=3, timeout=5, idle_timeout=6,
               config={"A": "1", "B": "2"}, headers={"X-A": ["1"]})
table("s6_patch_sets", [
    *(row(key, patch(**{key: value}), changed(**{key: value}), given=[FULL],
          then=[(GET(X), ok(proof=lambda answer, key=key, value=value: equal(answer.json["route"][key], value, key)))])
      for key, value in (
          ("image", "other:2"), ("memory", 256), ("type", "sync"), ("format", "default"), ("max_concurrency", 9), ("timeout", 77),
          ("idle_timeout", 88))),
    row("several_at_once", patch(image="n", timeout=1, memory=1), changed(image="n", timeout=1, memory=1, idle_timeout=6), given=[FULL]),
])
table("s6_patch_keeps", [
    row(name, patch(**{key: value}), changed(**{key: kept}), given=[FULL])
    for name, key, value, kept in (
        ("image_empty", "image", "", "iron/hello"), ("image_null", "image", None, "iron/hello"), ("memory_0", "memory", 0, 64),
        ("type_empty", "type", "", "async"), ("format_empty", "format", "", "http"), ("max_concurrency_0", "max_concurrency", 0, 3),
        ("timeout_0", "timeout", 0, 5), ("timeout_null", "timeout", None, 5), ("idle_timeout_0", "idle_timeout", 0, 6),
        ("config_null", "config", None, {"A": "1", "B": "2"}), ("config_empty", "config", {}, {"A": "1", "B": "2"}),
        ("headers_null", "headers", None, {"X-A": ["1"]}), ("headers_empty", "headers", {}, {"X-A": ["1"]}),
    )
])
table("s6_patch", [
    row("app_name_is_ignored", patch(app_name="other"), ok(), given=[a_route()], then=[(GET(X), LOADED)]),
    row("unknown_keys_are_ignored", patch(nonsense=[1]), changed(timeout=30), given=[a_route()]),
    row("empty_path_is_not_given", patch(path="", timeout=9), changed(path="/x", timeout=9), given=[a_route()]),
    row("null_path_is_not_given", patch(path=None), changed(path="/x"), given=[a_route()]),
    row("config_merges", patch(config={"C": "3", "A": "9"}), changed(config={"A": "9", "B": "2", "C": "3"}), given=[FULL]),
    row("config_empty_value_removes", patch(config={"A": ""}), changed(config={"B": "2"}), given=[FULL]),
    row("config_last_key_leaves_an_object", patch(config={"A": "", "B": ""}), changed(config={}), given=[FULL]),
    row("no_route", PATCH(X, {}), MISSING, given=[a_route()]), row("route_null", PATCH(X, {"route": None}), MISSING, given=[a_route()]),
    row("top_level_null", PATCH(X, "null"), MISSING, given=[a_route()]),
    row("same_path", patch(path="/x"), IMMUTABLE, given=[a_route()]), row("other_path", patch(path="/y"), IMMUTABLE, given=[a_route()]),
    row("bad_type", patch(type="x"), invalid("Invalid route Type"), given=[a_route()]),
    row("bad_format", patch(format="json"), invalid("Invalid route Format"), given=[a_route()]),
    row("negative_max_concurrency", patch(max_concurrency=-1), invalid("Negative MaxConcurrency"), given=[a_route()]),
    row("negative_timeout", patch(timeout=-1), invalid("Negative timeout"), given=[a_route()]),
    row("negative_idle_timeout", patch(idle_timeout=-1), invalid("Negative idle timeout"), given=[a_route()]),
    row("several_messages", patch(type="x", timeout=-1), invalid("Invalid route Type", "Negative timeout"), given=[a_route()]),
    row("refused_changes_nothing", patch(image="n", timeout=-1), invalid("Negative timeout"), given=[a_route()],
        then=[(GET(X), ok(proof=lambda answer: equal(answer.json["route"]["image"], "iron/hello", "image")))]),
    row("app_not_there", patch(timeout=1), APP_NOT_FOUND), row("route_not_there", patch(timeout=1), ROUTE_NOT_FOUND, given=[an_app()]),
    row("json_before_existence", PATCH(X, "{}"), MISSING), row("path_before_existence", patch(path="/x"), IMMUTABLE),
    row("path_before_validation", patch(path="/x", type="x"), IMMUTABLE, given=[a_route()]),
    row("validation_before_existence", patch(type="x"), invalid("Invalid route Type")),
    row("cleaned_path", PATCH(ROUTES + "//x/", {"route": {"timeout": 8}}), changed(timeout=8), given=[a_route()]),
    row("counts_for_the_next_read", patch(timeout=8), changed(timeout=8), given=[a_route()],
        then=[(GET(ROUTES), ok(proof=lambda answer: equal(answer.json["routes"][0]["timeout"], 8, "timeout")))]),
])

# --- headers in a patch ---------------------------------------------------------------------------------------------


def headers_case(name, stored, sent, original, ferrite):
    def run(t):
        t.new_route("/x", "i", headers=stored)
        equal(t.patch_route("/x", headers=sent)["headers"], t.either(original=original, ferrite=ferrite), "headers")
        equal(t.ask("GET", X).json["route"]["headers"], t.either(original=original, ferrite=ferrite), "stored headers")

    run.__name__ = f"s6_patch_headers_{name}"
    case(deviation=() if original == ferrite else "patch-headers")(run)


headers_case("new_one", {"X-A": ["1"]}, {"X-B": ["2"]}, {"X-A": ["1"], "X-B": ["2"]}, {"X-A": ["1"], "X-B": ["2"]})
headers_case("empty_list_removes", {"X-A": ["1"], "X-B": ["2"]}, {"X-A": []}, {"X-B": ["2"]}, {"X-B": ["2"]})
headers_case("null_removes", {"X-A": ["1"], "X-B": ["2"]}, {"X-A": None}, {"X-B": ["2"]}, {"X-B": ["2"]})
headers_case("get_a_canonical_name", {}, {"x-new": ["1"]}, {"X-New": ["1"]}, {"X-New": ["1"]})
headers_case("same_one", {"X-A": ["1"]}, {"X-A": ["2", "3"]}, {"X-A": ["1", "2", "3"]}, {"X-A": ["2", "3"]})
headers_case("same_values", {"X-A": ["1"]}, {"X-A": ["1"]}, {"X-A": ["1", "1"]}, {"X-A": ["1"]})
headers_case("lower_case_from_create", {"x-a": ["1"]}, {"x-a": ["2"]}, {"x-a": ["1"], "X-A": ["2"]}, {"X-A": ["2"]})
headers_case("lower_case_removed", {"x-a": ["1"]}, {"X-A": []}, {"x-a": ["1"]}, {})


@case()
def s6_create_keeps_header_names_as_sent(t):
    equal(t.new_route("/x", "i", headers={"x-lower": ["1"]})["headers"], {"x-lower": ["1"]}, "headers")


@case()
def s6_jwt_key_cannot_be_removed_by_a_patch(t):
    t.function("echo", jwt_key="secret")
    t.patch_route("/f", jwt_key="")
    equal(t.call(f"/r/{t.app}/f", b"x").status, 401, "status of a call without a token")


@case()
def s6_many_routes(t):
    for number in range(60):
        t.new_route(f"/r{number:02}", "i")
    paths = [route["path"] for route in t.ask("GET", ROUTES).json["routes"]]
    check(len(paths) == 60 and len(set(paths)) == 60, f"paths: {paths}")
