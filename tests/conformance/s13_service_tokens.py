"""Section 13: tokens of the service (JWT_AUTH_KEY). Requests of a case carry one, unless it says otherwise."""

import time

from services import SERVICE_KEY
from suite import JSON_TYPE, NOT_FOUND, TEXT_TYPE, Wanted, case, check, equal, error
from tokens import bearer, client_token, token

HOUR = 3600
NO_TOKEN = {"Authorization": None}
MESSAGE = "Invalid API Authorization token."
REFUSED = error(401, MESSAGE, headers={"Content-Type": JSON_TYPE, "Www-Authenticate": 'Bearer realm=""'})
REFUSED_ORIGINAL = Wanted(401, json={"error": MESSAGE}, headers={"Content-Type": TEXT_TYPE, "Www-Authenticate": None})


def refused(t, answer):
    t.either(original=REFUSED_ORIGINAL, ferrite=REFUSED).compare(answer)


def guarded_case(name, method, path, body=None):
    def run(t):
        t.function("echo")
        refused(t, t.ask(method, path, body, NO_TOKEN))
        equal(t.ask("GET", "/v1/apps/$APP/routes/f").status, 200, "nothing was changed")

    run.__name__ = f"s13_guards_{name}"
    case(profile="auth", deviation="service-token")(run)


for _name, _method, _path, _body in (
    ("list_of_apps", "GET", "/v1/apps", None), ("create_app", "POST", "/v1/apps", {"app": {"name": "$APP-x"}}),
    ("get_app", "GET", "/v1/apps/$APP", None), ("patch_app", "PATCH", "/v1/apps/$APP", {"app": {"config": {"K": "v"}}}),
    ("delete_app", "DELETE", "/v1/apps/$APP", None), ("list_of_routes", "GET", "/v1/apps/$APP/routes", None),
    ("create_route", "POST", "/v1/apps/$APP/routes", {"route": {"path": "/y", "image": "i"}}),
    ("get_route", "GET", "/v1/apps/$APP/routes/f", None), ("patch_route", "PATCH", "/v1/apps/$APP/routes/f", {"route": {"timeout": 1}}),
    ("delete_route", "DELETE", "/v1/apps/$APP/routes/f", None), ("app_that_is_not_there", "GET", "/v1/apps/nobody", None),
    ("broken_json", "POST", "/v1/apps", "{"), ("encoded_path", "GET", "/v1/%61pps", None),
):
    guarded_case(_name, _method, _path, _body)


def open_case(name, path, status=200):
    def run(t):
        t.function("echo")
        equal(t.ask("GET", path, headers=NO_TOKEN).status, status, f"status of {path}")

    run.__name__ = f"s13_leaves_open_{name}"
    case(profile="auth")(run)


open_case("banner", "/")
open_case("version", "/version")
open_case("stats", "/stats")
open_case("calls", "/r/$APP/f")
open_case("calls_of_what_is_not_there", "/r/$APP/none", 404)
open_case("unknown_paths", "/nope", 404)


@case(profile="auth")
def s13_unknown_paths_under_v1_are_404(t):
    for method, path in (("GET", "/v1/nope"), ("GET", "/v1"), ("PUT", "/v1/apps"), ("POST", "/v1/apps/x")):
        NOT_FOUND.compare(t.ask(method, path, headers=NO_TOKEN))


def token_case(name, accepted, make):
    def run(t):
        answer = t.ask("GET", "/v1/apps", headers=make())
        if accepted:
            equal((answer.status, answer.json["message"]), (200, "Successfully listed applications"), "answer")
        else:
            refused(t, answer)

    run.__name__ = f"s13_{'accepts' if accepted else 'refuses'}_{name}"
    case(profile="auth", deviation=() if accepted else "service-token")(run)


def now():
    return int(time.time())


token_case("a_clients_token", True, lambda: bearer(client_token(SERVICE_KEY)))
token_case("no_prefix", True, lambda: {"Authorization": client_token(SERVICE_KEY)})
token_case("small_prefix", True, lambda: {"Authorization": "bearer " + client_token(SERVICE_KEY)})
token_case("hs384", True, lambda: bearer(token(SERVICE_KEY, "HS384", exp=now() + HOUR)))
token_case("hs512", True, lambda: bearer(token(SERVICE_KEY, "HS512", exp=now() + HOUR)))
token_case("no_claims", True, lambda: bearer(token(SERVICE_KEY)))
token_case("other_key", False, lambda: bearer(client_token("other")))
token_case("expired", False, lambda: bearer(token(SERVICE_KEY, exp=now() - 100)))
token_case("not_yet_valid", False, lambda: bearer(token(SERVICE_KEY, nbf=now() + HOUR)))
token_case("used_before_issued", False, lambda: bearer(token(SERVICE_KEY, iat=now() + HOUR)))
token_case("algorithm_none", False, lambda: bearer(token(SERVICE_KEY, "none")))
token_case("empty_header", False, lambda: {"Authorization": ""})
token_case("nonsense", False, lambda: bearer("nonsense"))
token_case("basic_credentials", False, lambda: {"Authorization": "Basic eDp5"})


@case(profile="auth", deviation="service-token")
def s13_query_parameters_are_no_tokens(t):
    refused(t, t.ask("GET", "/v1/apps?token=" + client_token(SERVICE_KEY), headers=NO_TOKEN))


@case(profile="auth")
def s13_key_of_a_route_is_another(t):
    path = t.function("echo", jwt_key="route")
    equal(t.call(path, b"x", bearer(client_token(SERVICE_KEY))).status, 401, "a call with the service's token")
    equal(t.call(path, b"x", bearer(client_token("route"))).status, 200, "a call with the route's token")
    equal(t.ask("GET", "/v1/apps", headers=bearer(client_token("route"))).status, 401, "the API with the route's token")


@case(profile="auth")
def s13_token_holds_for_a_kept_connection_once_each(t):
    connection = t.connection()
    for headers, status in (({}, 200), (NO_TOKEN, 401), ({}, 200)):
        equal(t.ask("GET", "/v1/apps", headers=headers, connection=connection).status, status, str(headers))


@case(profile="auth")
def s13_everything_works_with_a_token(t):
    t.new_app(config={"K": "1"})
    t.function("echo")
    for method, path, body in (
        ("GET", "/v1/apps", None), ("GET", "/v1/apps/$APP", None), ("PATCH", "/v1/apps/$APP", {"app": {}}), ("GET", "/v1/apps/$APP/routes", None),
        ("GET", "/v1/apps/$APP/routes/f", None), ("PATCH", "/v1/apps/$APP/routes/f", {"route": {}}), ("DELETE", "/v1/apps/$APP/routes/f", None),
        ("DELETE", "/v1/apps/$APP", None),
    ):
        equal(t.ask(method, path, body).status, 200, f"{method} {path}")


@case(profile="auth", deviation="more-paths", spare="an addition of ferrite")
def s13_added_paths(t):
    for path, status in (("/healthz", 200), ("/readyz", 200), ("/v1/gpus", 401), ("/v1/instances", 401), ("/v1/images", 401)):
        equal(t.ask("GET", path, headers=NO_TOKEN).status, status, path)


@case(profile="auth", spare="an addition of ferrite")
def s13_images_may_be_changed_with_a_token(t):
    check(t.ask("DELETE", "/v1/images/no/such:1").status == 404, "over TCP, with a token")
    equal(t.ask("DELETE", "/v1/images/no/such:1", headers=NO_TOKEN).status, 401, "over TCP, without")
