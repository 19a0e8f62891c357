#!/usr/bin/env python3
"""Tokens at both levels: those of a route (jwt_key) and those of the service (JWT_AUTH_KEY), asked for over TCP.

The tokens are made here, with Python's own HMAC, so that ferrite's library is not its own witness.
"""

import base64
import grp
import hashlib
import hmac
import json
import os
import subprocess
import sys
import time

import harness
from harness import check, equal, shell_image

SERVICE_KEY = "of the service ü"
ROUTE_KEY = "of the route"
REFUSED = {"error": {"message": "Invalid API Authorization token."}}
HASHES = {"HS256": hashlib.sha256, "HS384": hashlib.sha384, "HS512": hashlib.sha512}
CHALLENGE = 'Bearer realm=""'


def segment(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def token(key, algorithm="HS256", **claims):
    signed = b".".join(segment(json.dumps(part).encode()) for part in ({"alg": algorithm, "typ": "JWT"}, claims))
    digest = hmac.new(key.encode(), signed, HASHES[algorithm]).digest()
    return (signed + b"." + segment(digest)).decode()


def bearer(key, **claims):
    return {"Authorization": "Bearer " + token(key, **claims)}


def service():
    return harness.shared


def ask(method, path, body=None, headers=None, tcp=True):
    return service().request(method, path, body, headers, tcp=tcp)


GUARDED = (
    ("GET", "/v1/apps"), ("POST", "/v1/apps"), ("GET", "/v1/apps/a"), ("PATCH", "/v1/apps/a"), ("DELETE", "/v1/apps/a"),
    ("GET", "/v1/apps/a/routes"), ("POST", "/v1/apps/a/routes"), ("GET", "/v1/apps/a/routes/x"), ("GET", "/v1/routes"),
    ("PATCH", "/v1/apps/a/routes/x"), ("DELETE", "/v1/apps/a/routes/x"), ("GET", "/v1/gpus"), ("GET", "/v1/gpus/injection"), ("GET", "/v1/instances"),
    ("GET", "/v1/images"), ("POST", "/v1/images?name=x:1"), ("POST", "/v1/images/gc"), ("GET", "/v1/images/x:1"),
    ("DELETE", "/v1/images/x:1"), ("GET", "/v1/version"), ("GET", "/v1/stats"), ("GET", "/v1/apps/"), ("GET", "/v1/apps/a/routes/%2Fx"),
)


def test_what_is_guarded_over_tcp():
    now = int(time.time())
    for method, path in GUARDED:
        for headers in ({}, {"Authorization": "Bearer x"}, bearer("another key"), bearer(SERVICE_KEY, exp=now - 10)):
            answer = ask(method, path, b"{}" if method != "GET" else None, headers)
            equal((answer.status, answer.json), (401, REFUSED), f"{method} {path} {headers}")
            equal(answer.headers["Content-Type"], "application/json; charset=utf-8", "type")
            equal(answer.headers["Www-Authenticate"], CHALLENGE, "challenge")
        check(ask(method, path, b"{}" if method != "GET" else None, bearer(SERVICE_KEY)).status != 401, f"{method} {path} with a token")
    equal(ask("GET", "/v1/nope").body, b'"Not Found"\n', "unknown paths below /v1 stay unknown")


def test_what_stays_open():
    for path in ("/", "/version", "/stats", "/healthz", "/readyz"):
        equal(ask("GET", path).status, 200, path)
    equal(ask("GET", "/r/nobody/x").status, 404, "functions")
    equal(ask("GET", "/v1/apps", tcp=False).status, 200, "the UNIX socket")


def test_images_are_changed_over_tcp_with_a_token():
    archive = shell_image("cat", "jwt/cat:1")
    equal(ask("POST", "/v1/images?name=jwt/cat:1", archive).status, 401, "without a token")
    answer = ask("POST", "/v1/images?name=jwt/cat:1", archive, bearer(SERVICE_KEY, exp=int(time.time()) + 60))
    equal(answer.status, 200, answer.text[:200])
    equal(ask("DELETE", "/v1/images/none:1", headers=bearer(SERVICE_KEY)).status, 404, "deletion")
    equal(ask("POST", "/v1/images/gc", headers=bearer(SERVICE_KEY)).status, 200, "collection")


def routes():
    service().import_image("jwt/cat:1", shell_image("cat", "jwt/cat:1"))
    service().request("DELETE", "/v1/apps/jwt/routes/x")
    service().create_route("jwt", "/x", "jwt/cat:1", jwt_key=ROUTE_KEY, memory=32)


def test_tokens_of_a_route():
    routes()
    now = int(time.time())
    for name in HASHES:
        for scheme in ("", "Bearer ", "bearer ", "BEARER "):
            answer = ask("POST", "/r/jwt/x", b"hello", {"Authorization": scheme + token(ROUTE_KEY, name)})
            equal((answer.status, answer.body), (200, b"hello"), f"{scheme}{name}")
    good = {"iat": now - 5, "nbf": now - 65, "exp": now + 3600}
    equal(ask("GET", "/r/jwt/x?payload=p", headers=bearer(ROUTE_KEY, **good)).body, b"p", "as clients make them")
    none = segment(b'{"alg":"none"}').decode() + "." + segment(b"{}").decode() + "."
    for value, message in (
        (None, "no token present in request"), ("", "no token present in request"),
        ("Bearer ", "token contains an invalid number of segments"),  # blanks at the end are no part of a field's value
        ("a.b", "token contains an invalid number of segments"), ("x.y.z", "illegal base64 data at input byte 1"),
        (token("another"), "signature is invalid"), (token(ROUTE_KEY)[:-4], "signature is invalid"),
        (token(SERVICE_KEY), "signature is invalid"), (none, "'none' signature type is not allowed"),
        (token(ROUTE_KEY, nbf=now + 1000), "token is not valid yet"), (token(ROUTE_KEY, iat=now + 1000), "Token used before issued"),
    ):
        for path in ("/r/jwt/x", "/r/jwt/%2Fx/"):
            answer = ask("POST", path, b"x", {} if value is None else {"Authorization": value})
            equal((answer.status, answer.json), (401, {"error": {"message": message}}), value)
            equal(answer.headers["Www-Authenticate"], CHALLENGE, "challenge")
    answer = ask("POST", "/r/jwt/x", b"", bearer(ROUTE_KEY, exp=now - 7200))
    check(answer.status == 401 and answer.message.startswith("token is expired by 2h0m"), answer.text)
    equal(ask("POST", "/r/jwt/x?token=" + token(ROUTE_KEY), b"").status, 401, "no query parameter")
    equal(service().call("jwt", "/x", b"").status, 401, "over the UNIX socket too")


def test_what_is_not_there_is_said_first_and_what_cannot_run_afterwards():
    routes()
    equal(ask("POST", "/r/none/x", b"").json["error"]["message"], "App not found", "app")
    equal(ask("POST", "/r/jwt/y", b"").json["error"]["message"], "Route not found on that application", "route")
    for kind in ({"type": "async"}, {"format": "http"}, {"image": "no/such:1"}):
        service().request("DELETE", "/v1/apps/jwt/routes/k")
        service().create_route("jwt", "/k", **{"image": "jwt/cat:1", "jwt_key": ROUTE_KEY, **kind})
        equal(ask("POST", "/r/jwt/k", b"").status, 401, f"without a token: {kind}")
        check(ask("POST", "/r/jwt/k", b"", bearer("x")).status == 401, f"with a wrong one: {kind}")
    service().request("DELETE", "/v1/apps/jwt/routes/k")


def test_keys_are_changed_and_shown_only_one_at_a_time():
    routes()
    path = "/v1/apps/jwt/routes/x"
    equal(ask("GET", path, tcp=False).json["route"]["jwt_key"], ROUTE_KEY, "the route itself")
    for listing in ("/v1/apps/jwt/routes", "/v1/routes", "/v1/apps/jwt/routes?image=jwt/cat:1"):
        answer = ask("GET", listing, tcp=False)
        equal([r["jwt_key"] for r in answer.json["routes"] if r["path"] == "/x"], [""], listing)
        check(ROUTE_KEY not in answer.text, listing)
        equal(list(answer.json["routes"][0])[-1], "jwt_key", "the order of keys")
    # What a list shows can be sent back: an empty key changes nothing.
    equal(ask("PATCH", path, {"route": {"jwt_key": ""}}, tcp=False).json["route"]["jwt_key"], ROUTE_KEY, "an empty key")
    equal(ask("PATCH", path, {"route": {"jwt_key": "new"}}, tcp=False).json["route"]["jwt_key"], "new", "a new key")
    equal(ask("POST", "/r/jwt/x", b"1", bearer(ROUTE_KEY)).message, "signature is invalid", "the old key")
    equal(ask("POST", "/r/jwt/x", b"1", bearer("new")).body, b"1", "the new key")


def test_the_command_signs():
    routes()
    made = service().command("routes", "token", "jwt", "/x", "120")
    equal(made.returncode, 0, made.stderr)
    equal(ask("POST", "/r/jwt/x", b"1", {"Authorization": "Bearer " + made.stdout.strip()}).body, b"1", "its token")
    claims = json.loads(base64.urlsafe_b64decode(made.stdout.split(".")[1] + "=="))
    equal((claims["exp"] - claims["iat"], claims["iat"] - claims["nbf"]), (120, 60), "claims")
    equal(service().command("call", "jwt", "/x", "-d", "signed").stdout, "signed", "call")
    given = service().command("call", "jwt", "/x", "-d", "1", "-H", "Authorization: Bearer " + token("wrong"))
    check(given.returncode == 1 and "signature is invalid" in given.stderr, given.stderr)
    service().create_route("jwt", "/open", "jwt/cat:1", memory=32)
    made = service().command("routes", "token", "jwt", "/open")
    check(made.returncode == 1 and "no jwt_key" in made.stderr, made.stderr)
    check(service().command("routes", "token", "jwt", "/x", "soon").returncode == 2, "not a number of seconds")
    equal(service().command("routes", "create", "jwt", "/made", "jwt/cat:1", "--jwt-key", "k2").returncode, 0, "create")
    equal(ask("GET", "/v1/apps/jwt/routes/made", tcp=False).json["route"]["jwt_key"], "k2", "--jwt-key")


def test_the_command_has_a_token_for_the_service():
    url = f"http://127.0.0.1:{service().port}"
    refused = service().command("--api", url, "apps", "ls", env={"JWT_AUTH_KEY": ""})
    check(refused.returncode == 1 and "Invalid API Authorization token." in refused.stderr and "JWT_AUTH_KEY" in refused.stderr, refused.stderr)
    done = service().command("--api", url, "apps", "ls", env={"JWT_AUTH_KEY": SERVICE_KEY})
    equal(done.returncode, 0, done.stderr)
    check("jwt" in done.stdout, done.stdout)
    called = service().command("--api", url, "call", "jwt", "/x", "-d", "both", env={"JWT_AUTH_KEY": SERVICE_KEY})
    equal((called.returncode, called.stdout), (0, "both"), called.stderr)


def test_sec_L6_keys_are_in_no_log():
    log = service().log()
    check(SERVICE_KEY not in log and ROUTE_KEY not in log and "eyJ" not in log, "a key or a token is in the log")


def test_sec_L7_the_local_socket_is_its_groups():
    users = grp.getgrnam("users").gr_gid
    for group, mode in (("users", 0o660), ("there-is-none", 0o600)):
        with harness.Service(environment={"FERRITE_SOCKET_GROUP": group}) as service:
            equal(os.stat(service.socket_path).st_mode & 0o7777, mode, "mode")
            path = str(service.socket_path)
            script = f"import socket; socket.socket(socket.AF_UNIX).connect({path!r}); print('connected')"
            for groups, wanted in (("--clear-groups", False), (f"--groups={users}", group == "users")):
                done = subprocess.run(["setpriv", "--reuid=65534", "--regid=65534", groups, sys.executable, "-c", script],
                                      capture_output=True, text=True, timeout=60, check=False)
                equal("connected" in done.stdout, wanted, f"{group}, as a user with {groups}: {done}")


if __name__ == "__main__":
    harness.run(globals(), harness.Service(environment={"JWT_AUTH_KEY": SERVICE_KEY, "LOG_LEVEL": "debug"}))
