"""Section 5: apps."""

from suite import APP_NOT_FOUND, DELETE, GET, PATCH, POST, a_route, an_app, case, check, equal, error, ok, row, table

MISSING = error(400, "Missing new application")
INVALID = "validation failure list:\n"
LIST = GET("/v1/apps")

# --- create ---------------------------------------------------------------------------------------------------------

table("s5_apps_create", [
    row("answers_200", POST("/v1/apps", {"app": {"name": "$APP"}}),
        ok(json={"message": "App successfully created", "app": {"name": "$APP", "config": None}})),
    row("with_config", POST("/v1/apps", {"app": {"name": "$APP", "config": {"A": "1", "b.c-d e": "x=y\n"}}}),
        ok(json={"message": "App successfully created", "app": {"name": "$APP", "config": {"A": "1", "b.c-d e": "x=y\n"}}})),
    row("stores_empty_values", POST("/v1/apps", {"app": {"name": "$APP", "config": {"A": ""}}}), ok(),
        then=[(GET("/v1/apps/$APP"), ok(part={"app": {"name": "$APP", "config": {"A": ""}}}))]),
    row("no_app", POST("/v1/apps", {"x": 1}), MISSING), row("app_null", POST("/v1/apps", {"app": None}), MISSING),
    row("empty_object", POST("/v1/apps", "{}"), MISSING), row("null", POST("/v1/apps", "null"), MISSING),
    row("unwrapped", POST("/v1/apps", {"name": "$APP"}), MISSING),
    row("exists", POST("/v1/apps", {"app": {"name": "$APP"}}), error(409, "App already exists"), given=[an_app()]),
    row("exists_changes_nothing", POST("/v1/apps", {"app": {"name": "$APP", "config": {"K": "new"}}}), error(409, "App already exists"),
        given=[an_app(config={"K": "old"})], then=[(GET("/v1/apps/$APP"), ok(part={"app": {"name": "$APP", "config": {"K": "old"}}}))]),
])

BAD_NAMES = (
    ("missing_name", {}, "Missing app name"), ("empty_name", {"name": ""}, "Missing app name"), ("null_name", {"name": None}, "Missing app name"),
    ("31_bytes", {"name": "x" * 31}, "App name must be 30 characters or less"),
    ("length_before_characters", {"name": " " * 31}, "App name must be 30 characters or less"),
    *((f"with_{word}", {"name": f"a{character}b"}, "Invalid app name") for word, character in (
        ("blank", " "), ("dot", "."), ("slash", "/"), ("dollar", "$"), ("percent", "%"), ("exclamation", "!"), ("at", "@"), ("hash", "#"),
        ("ampersand", "&"), ("control_byte", "\u0001"), ("newline", "\n"), ("star", "*"), ("plus", "+"), ("comma", ","), ("colon", ":"),
        ("question", "?"), ("quote", '"'), ("less", "<"), ("equals", "="),
    )),
)
table("s5_apps_create", [
    row(name, POST("/v1/apps", {"app": app}), error(400, INVALID + text), original=error(500, INVALID + text), deviation="app-error-status")
    for name, app, text in BAD_NAMES
])


def name_case(word, name, accepted, original):
    """Whether a name is accepted. An app of that name that was there before is not ours to remove."""

    def run(t):
        answer = t.ask("POST", "/v1/apps", {"app": {"name": name}})
        if t.either(ferrite=accepted, original=original):
            equal(answer.status, 200, f"status ({answer!r})")
            t.apps.append(name)
            equal(answer.json["app"]["name"], name, "name")
            equal(t.ask("GET", "/v1/apps").json["apps"].count({"name": name, "config": None}), 1, "in the list")
        else:
            equal((answer.status >= 400, answer.message), (True, INVALID + "Invalid app name"), "answer")

    run.__name__ = f"s5_apps_name_{word}"
    case(deviation=() if accepted == original else "app-names")(run)


for _word, _name, _accepted, _original in (
    ("small_letters", "abcxyz", True, True), ("digits", "0123456789", True, True), ("dash_and_underscore", "-a_b-", True, True),
    ("30_bytes", "thirty-bytes-are-just-accepted", True, True), ("one_byte", "q", True, True), ("capital_z", "ZzZ", True, True),
    ("capital_letters", "ABCXY", True, False), ("mixed_case", "MyApp", True, False), ("bracket", "a[b", False, True),
    ("brace", "a{b", False, True), ("tilde", "a~b", False, True), ("umlaut", "caf\u00e9", False, True), ("caret", "a^b", False, True),
    ("backslash", "a\\b", False, True), ("bar", "a|b", False, True),
):
    name_case(_word, _name, _accepted, _original)


@case()
def s5_apps_names_are_case_sensitive(t):
    t.new_app()
    equal(t.ask("GET", f"/v1/apps/{t.app.upper()}").status, 404, "status")


@case()
def s5_apps_refused_name_makes_nothing(t):
    t.ask("POST", "/v1/apps", {"app": {"name": "$APP!"}})
    check(t.fill("$APP!") not in [app["name"] for app in t.ask("GET", "/v1/apps").json["apps"]], "the app is there")


# --- list and get ---------------------------------------------------------------------------------------------------


@case()
def s5_apps_list_is_sorted_by_name(t):
    for suffix in ("-b", "-a", "-B", "_c", "-10", "-2"):
        name = t.app + suffix.lower()
        if name not in t.apps:
            t.new_app(name)
    answer = t.ask("GET", "/v1/apps")
    equal((answer.status, answer.json["message"]), (200, "Successfully listed applications"), "answer")
    names = [app["name"].encode() for app in answer.json["apps"]]
    equal(names, sorted(names), "names")


@case()
def s5_apps_list_ignores_parameters(t):
    t.new_app()
    for query in ("?page=2", "?limit=0", "?name=nothing", "?image=x"):
        answer = t.ask("GET", "/v1/apps" + query)
        check({"name": t.app, "config": None} in answer.json["apps"], f"{query}: {answer!r}")


@case()
def s5_apps_list_has_message_first(t):
    equal(list(t.ask("GET", "/v1/apps").json), ["message", "apps"], "keys")


table("s5_apps_get", [
    row("found", GET("/v1/apps/$APP"), ok(json={"message": "Successfully loaded app", "app": {"name": "$APP", "config": {"A": "1"}}}),
        given=[an_app(config={"A": "1"})]),
    row("not_there", GET("/v1/apps/$APP"), APP_NOT_FOUND), row("impossible_name", GET("/v1/apps/a.b%20c"), APP_NOT_FOUND),
    row("long_name", GET("/v1/apps/" + "x" * 400), APP_NOT_FOUND),
])

# --- update ---------------------------------------------------------------------------------------------------------


def updated(config):
    return ok(json={"message": "App successfully updated", "app": {"name": "$APP", "config": config}})


CONFIG = an_app(config={"A": "1", "B": "2"})
URL = "/v1/apps/$APP"
table("s5_apps_patch", [
    row("sets_a_key", PATCH(URL, {"app": {"config": {"C": "3"}}}), updated({"A": "1", "B": "2", "C": "3"}), given=[CONFIG]),
    row("replaces_a_value", PATCH(URL, {"app": {"config": {"A": "9"}}}), updated({"A": "9", "B": "2"}), given=[CONFIG]),
    row("empty_value_removes", PATCH(URL, {"app": {"config": {"A": ""}}}), updated({"B": "2"}), given=[CONFIG]),
    row("removing_what_is_not_there", PATCH(URL, {"app": {"config": {"X": ""}}}), updated({"A": "1", "B": "2"}), given=[CONFIG]),
    row("config_absent", PATCH(URL, {"app": {}}), updated({"A": "1", "B": "2"}), given=[CONFIG]),
    row("config_null", PATCH(URL, {"app": {"config": None}}), updated({"A": "1", "B": "2"}), given=[CONFIG]),
    row("config_empty", PATCH(URL, {"app": {"config": {}}}), updated({"A": "1", "B": "2"}), given=[CONFIG]),
    row("null_stays_null", PATCH(URL, {"app": {}}), updated(None), given=[an_app()]),
    row("null_becomes_an_object", PATCH(URL, {"app": {"config": {}}}), updated({}), given=[an_app()]),
    row("keys_are_case_sensitive", PATCH(URL, {"app": {"config": {"a": "3"}}}), updated({"A": "1", "B": "2", "a": "3"}), given=[CONFIG]),
    row("is_stored", PATCH(URL, {"app": {"config": {"A": "", "C": "3"}}}), updated({"B": "2", "C": "3"}), given=[CONFIG],
        then=[(GET(URL), ok(part={"app": {"name": "$APP", "config": {"B": "2", "C": "3"}}}))]),
    row("empty_name_is_not_given", PATCH(URL, {"app": {"name": "", "config": {"C": "3"}}}), updated({"C": "3"}), given=[an_app()]),
    row("null_name_is_not_given", PATCH(URL, {"app": {"name": None}}), updated(None), given=[an_app()]),
    row("no_app", PATCH(URL, {}), MISSING, given=[an_app()]), row("app_null", PATCH(URL, {"app": None}), MISSING, given=[an_app()]),
    row("top_level_null", PATCH(URL, "null"), MISSING, given=[an_app()]),
    row("same_name", PATCH(URL, {"app": {"name": "$APP"}}), error(400, "Could not update app - name is immutable"), given=[an_app()]),
    row("other_name", PATCH(URL, {"app": {"name": "other"}}), error(400, "Could not update app - name is immutable"), given=[an_app()]),
    row("not_there", PATCH(URL, {"app": {"config": {"A": "1"}}}), APP_NOT_FOUND, then=[(GET(URL), APP_NOT_FOUND)]),
    row("no_app_before_not_there", PATCH(URL, {}), MISSING),
    row("name_before_not_there", PATCH(URL, {"app": {"name": "x"}}), error(400, "Could not update app - name is immutable")),
])

# --- delete ---------------------------------------------------------------------------------------------------------

table("s5_apps_delete", [
    row("deleted", DELETE(URL), ok(body=b'{"message":"App deleted"}\n'), given=[an_app()], then=[(GET(URL), APP_NOT_FOUND)]),
    row("still_has_routes", DELETE(URL), error(400, "Cannot remove apps with routes"), given=[a_route()],
        then=[(GET(URL), ok()), (GET(URL + "/routes/x"), ok())]),
    row("not_there", DELETE(URL), APP_NOT_FOUND, original=error(500, "bucket not found"), deviation="delete-missing"),
    row("a_second_time", DELETE(URL), ok(), given=[an_app()], then=[(GET(URL), APP_NOT_FOUND)]),
    row("after_its_last_route", DELETE(URL + "/routes/x"), ok(json={"message": "Route deleted"}), given=[a_route()],
        then=[(DELETE(URL), ok(json={"message": "App deleted"}))]),
    row("and_made_again_is_empty", DELETE(URL), ok(), given=[an_app(config={"A": "1"})],
        then=[(POST("/v1/apps", {"app": {"name": "$APP"}}), ok(part={"app": {"name": "$APP", "config": None}}))]),
    row("body_is_ignored", DELETE(URL, "{nonsense"), ok(json={"message": "App deleted"}), given=[an_app()]),
])
