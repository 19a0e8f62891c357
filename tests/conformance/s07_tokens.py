"""Section 7.6: tokens of a route."""

import re
import time

from suite import POST, case, check, equal, error
from tokens import bearer, client_token, encoded, token

KEY = "a key, über all"
# Far enough that no clock is in doubt.
HOUR = 3600


def accepted_case(name, make):
    def run(t):
        answer = t.call(t.function("echo", jwt_key=KEY), b"in", make())
        equal((answer.status, answer.body), (200, b"in"), f"answer ({answer!r})")

    run.__name__ = f"s7_jwt_accepts_{name}"
    case()(run)


def differing_case(name, make):
    """An original accepts it."""

    def run(t):
        answer = t.call(t.function("echo", jwt_key=KEY), b"in", make())
        equal(answer.status, t.either(original=200, ferrite=401), f"status ({answer!r})")

    run.__name__ = f"s7_jwt_{name}"
    case(deviation="token-types")(run)


def refused_case(name, message, make):
    """MESSAGE is the text, a pattern, or None for any text."""

    def run(t):
        path = t.function("echo", jwt_key=KEY, headers={"X-Ran": ["yes"]})
        answer = t.call(path, b"in", make())
        equal((answer.status, answer.headers["Www-Authenticate"]), (401, 'Bearer realm=""'), f"answer ({answer!r})")
        check("X-Ran" not in answer.headers, "the function ran")
        equal((list(answer.json), list(answer.json["error"])), (["error"], ["message"]), "keys")
        if isinstance(message, re.Pattern):
            check(message.search(answer.message), f"message: {answer.message}")
        elif message:
            equal(answer.message, message, "message")

    run.__name__ = f"s7_jwt_refuses_{name}"
    case()(run)


def now():
    return int(time.time())


accepted_case("a_clients_token", lambda: bearer(client_token(KEY)))
accepted_case("hs384", lambda: bearer(token(KEY, "HS384", exp=now() + HOUR)))
accepted_case("hs512", lambda: bearer(token(KEY, "HS512", exp=now() + HOUR)))
accepted_case("no_claims_for_ever", lambda: bearer(token(KEY)))
accepted_case("unknown_claims", lambda: bearer(token(KEY, sub="x", aud=["y"], deep={"a": 1})))
accepted_case("no_prefix", lambda: {"Authorization": client_token(KEY)})
accepted_case("small_prefix", lambda: {"Authorization": "bearer " + client_token(KEY)})
accepted_case("capital_prefix", lambda: {"Authorization": "BEARER " + client_token(KEY)})
accepted_case("no_type", lambda: bearer(token(KEY, header={"alg": "HS256"}, exp=now() + HOUR)))
differing_case("other_type", lambda: bearer(token(KEY, header={"alg": "HS256", "typ": "at+jwt"}, exp=now() + HOUR)))
differing_case("expiry_with_a_fraction", lambda: bearer(token(KEY, exp=now() + HOUR + 0.5)))

refused_case("no_header", "no token present in request", lambda: {})
refused_case("empty_header", "no token present in request", lambda: {"Authorization": ""})
refused_case("one_segment", "token contains an invalid number of segments", lambda: bearer("abc"))
refused_case("two_segments", "token contains an invalid number of segments", lambda: bearer("a.b"))
refused_case("four_segments", "token contains an invalid number of segments", lambda: bearer(client_token(KEY) + ".x"))
refused_case("other_key", "signature is invalid", lambda: bearer(client_token("other")))
refused_case("empty_key", "signature is invalid", lambda: bearer(client_token("")))
refused_case("changed_claims", "signature is invalid", lambda: bearer(changed(client_token(KEY))))
refused_case("cut_signature", "signature is invalid", lambda: bearer(client_token(KEY)[:-4]))
refused_case("other_hash", "signature is invalid", lambda: bearer(token(KEY, "HS256", {"alg": "HS512", "typ": "JWT"}, exp=now() + HOUR)))
refused_case("expired", re.compile(r"^token is expired by 1m4[0-9]s$"), lambda: bearer(token(KEY, exp=now() - 100)))
refused_case("expired_long_ago", re.compile(r"^token is expired by 2h0m[0-9]+s$"), lambda: bearer(token(KEY, exp=now() - 7200)))
refused_case("not_yet_valid", "token is not valid yet", lambda: bearer(token(KEY, nbf=now() + HOUR)))
refused_case("used_before_issued", re.compile("^Token used before issued$", re.I), lambda: bearer(token(KEY, iat=now() + HOUR)))
refused_case("algorithm_none", "'none' signature type is not allowed", lambda: bearer(token(KEY, "none", exp=now() + HOUR)))
refused_case("algorithm_unknown", None, lambda: bearer(token(KEY, "HS256", {"alg": "XX1", "typ": "JWT"})))
refused_case("bad_base64", re.compile("illegal base64 data"), lambda: bearer("a!." + client_token(KEY).split(".", 1)[1]))
refused_case("claims_that_are_no_json", None, lambda: bearer("a.b.c"))
refused_case("basic_credentials", None, lambda: {"Authorization": "Basic eDp5"})


def changed(text):
    head, _, signature = text.split(".")
    return f"{head}.{encoded(b'{}')}.{signature}"


@case()
def s7_jwt_no_query_parameter(t):
    path = t.function("echo", jwt_key=KEY)
    equal(t.call(f"{path}?token={client_token(KEY)}&access_token={client_token(KEY)}", b"x").status, 401, "status")


@case()
def s7_jwt_routes_have_keys_of_their_own(t):
    t.function("echo", "/one", jwt_key="one")
    t.function("echo", "/two", jwt_key="two")
    t.function("echo", "/open")
    for path, key, status in (("/one", "one", 200), ("/one", "two", 401), ("/two", "two", 200), ("/open", "one", 200)):
        equal(t.call(f"/r/$APP{path}", b"x", bearer(client_token(key))).status, status, f"{path} with the key of {key}")
    equal(t.call("/r/$APP/open", b"x").status, 200, "without a token")


@case()
def s7_jwt_check_comes_after_the_404(t):
    t.function("echo", jwt_key=KEY)
    t.expect(POST("/r/$APP/none", b"x"), error(404, "Route not found on that application"))


@case()
def s7_jwt_holds_for_every_method(t):
    path = t.function("echo", jwt_key=KEY)
    for method in ("GET", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD"):
        equal(t.call(path, method=method).status, 401, method)


@case()
def s7_jwt_token_reaches_the_function(t):
    path = t.function("env", jwt_key=KEY)
    text = client_token(KEY)
    equal(t.environment(path, headers=bearer(text))["HEADER_AUTHORIZATION"], "Bearer " + text, "HEADER_AUTHORIZATION")


@case()
def s7_jwt_key_changed_by_a_patch(t):
    path = t.function("echo", jwt_key="old")
    t.patch_route("/f", jwt_key="new")
    equal(t.call(path, b"x", bearer(client_token("old"))).status, 401, "the old key")
    equal(t.call(path, b"x", bearer(client_token("new"))).status, 200, "the new key")


@case()
def s7_jwt_key_set_by_a_patch(t):
    path = t.function("echo")
    equal(t.call(path, b"x").status, 200, "before")
    t.patch_route("/f", jwt_key="new")
    equal(t.call(path, b"x").status, 401, "after")


@case()
def s7_jwt_long_key(t):
    key = "k" * 300
    path = t.function("echo", jwt_key=key)
    equal(t.call(path, b"x", bearer(client_token(key))).status, 200, "status")


@case(deviation="listed-keys")
def s7_jwt_key_in_lists(t):
    t.function("echo", jwt_key=KEY)
    wanted = t.either(original=KEY, ferrite="")
    for path in ("/v1/apps/$APP/routes", *t.either(original=(), ferrite=("/v1/routes",))):
        routes = [route for route in t.ask("GET", path).json["routes"] if route["app_name"] == t.app]
        equal([route["jwt_key"] for route in routes], [wanted], path)


@case()
def s7_jwt_key_of_one_route_is_shown_to_sign_with(t):
    t.function("echo", jwt_key=KEY)
    equal(t.ask("GET", "/v1/apps/$APP/routes/f").json["route"]["jwt_key"], KEY, "jwt_key")
