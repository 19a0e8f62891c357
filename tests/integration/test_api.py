#!/usr/bin/env python3
"""The HTTP interface, answer by answer, as IronFunctions' clients know it.

By itself it starts a private service. With FERRITE_TEST_API=URL (http://HOST:PORT or unix:PATH) it asks a service that
runs already; the tests that run functions then need its image store to be open to them (the UNIX socket).

time limit: 300 s
"""

import http.client
import json
import os
import re
import socket
import threading
import time

import harness
from harness import Skip, check, equal, shell_image, wait_for

UUID = re.compile(r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$")
JSON_TYPE = "application/json; charset=utf-8"
SETTINGS = {
    "FERRITE_MAX_BODY_BYTES": "4MiB", "FERRITE_MAX_OUTPUT_BYTES": "2MiB", "FERRITE_MEMORY_TOTAL": "256MiB",
    "FERRITE_API_THREADS": "2",
}


class Running:
    """A service that somebody else started."""

    def __init__(self, url):
        self.unix = url.removeprefix("unix:") if url.startswith("unix:") else None
        self.address = None if self.unix else url.removeprefix("http://").rstrip("/")

    def start_shared(self):
        harness.shared = self

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def connection(self, tcp=False, timeout=60):
        if self.unix:
            return harness.UnixConnection(self.unix, timeout)
        return http.client.HTTPConnection(self.address, timeout=timeout)

    request = harness.Service.request
    create_route = harness.Service.create_route
    import_image = harness.Service.import_image
    call = harness.Service.call
    instances = harness.Service.instances


def service():
    return harness.shared


def ask(method, path, body=None, headers=None, **more):
    return service().request(method, path, body, headers, **more)


def message_is(answer, status, message):
    equal((answer.status, answer.json), (status, {"error": {"message": message}}), "answer")
    equal(answer.headers["Content-Type"], JSON_TYPE, "content type")
    check(answer.body.endswith(b"\n"), "no newline at the end")


def drop(app):
    """Removes an app with its routes, whatever is there."""
    for route in ask("GET", f"/v1/apps/{app}/routes").json["routes"]:
        ask("DELETE", f"/v1/apps/{app}/routes" + route["path"].replace("%", "%25").replace("?", "%3F"))
    ask("DELETE", f"/v1/apps/{app}")


# --- fixed answers and conventions --------------------------------------------------------------------------------


def test_fixed_answers():
    for path, text in (
        ("/", b'{"goto":"https://github.com/iron-io/functions","hello":"world!"}\n'), ("/version", b'{"version":"0.2.72"}\n'),
        ("/version/", b'{"version":"0.2.72"}\n'), ("/v1/version", b'{"version":"0.2.72"}\n'),
    ):
        answer = ask("GET", path)
        equal((answer.status, answer.body, answer.headers["Content-Type"]), (200, text, JSON_TYPE), path)
        equal(answer.headers["Content-Length"], str(len(text)), "length")
        check("Server" not in answer.headers, "a Server header")
    for path in ("/stats", "/v1/stats"):
        equal(list(ask("GET", path).json), ["Queue", "Running", "Complete"], f"keys of {path}")
    equal(ask("GET", "/healthz").status, 200, "/healthz")
    equal(ask("GET", "/readyz").status, 200, "/readyz")


def test_unknown_paths_and_methods():
    for method, path in (
        ("GET", "/nope"), ("GET", "/v1"), ("PUT", "/v1/apps"), ("POST", "/version"), ("DELETE", "/v1/apps"),
        ("POST", "/v1/apps/a"), ("PUT", "/v1/apps/a/routes/x"), ("POST", "/v1/apps/a/routes/x"), ("POST", "/v1/version"),
        ("POST", "/r"), ("GET", "/r/"), ("GET", "/r/app"), ("OPTIONS", "/v1/apps"),
        ("PROPFIND", "/v1/apps"),
    ):
        answer = ask(method, path)
        equal((answer.status, answer.body), (404, b'"Not Found"\n'), f"{method} {path}")
        equal(answer.headers["Content-Type"], JSON_TYPE, "content type")
        check("Allow" not in answer.headers, "an Allow header")
    equal(ask("HEAD", "/v1/apps").body, b"", "HEAD has no body")


def raw(data):
    connection = service().connection(timeout=10)
    connection.connect()
    connection.sock.sendall(data)
    return connection.sock


def read_answers(sock, count):
    """COUNT answers in a row from one connection."""
    found, reader = [], sock.makefile("rb")
    for _ in range(count):
        status = int(reader.readline().split()[1])
        headers = http.client.parse_headers(reader)
        found.append((status, reader.read(int(headers["Content-Length"]))))
    return found


def test_pipelined_requests_are_answered_in_order():
    sock = raw(
        b"GET /version HTTP/1.1\r\nHost: x\r\n\r\n"
        b"DELETE /v1/apps/none HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nGET /"
        b"GET /nope HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"
        b"POST /v1/apps HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n[]\r\n0\r\nX-T: 1\r\n\r\n"
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    )
    answers = read_answers(sock, 5)
    equal([status for status, _ in answers], [200, 404, 404, 400, 200], "statuses")
    sock.close()


def test_http_1_0_and_keep_alive():
    sock = raw(b"GET /version HTTP/1.0\r\n\r\n")
    received = b""
    while part := sock.recv(65536):
        received += part
    check(b"Connection: close" in received, received)
    sock = raw(b"GET /version HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    equal(read_answers(sock, 1)[0][0], 200, "status")
    sock.sendall(b"GET /version HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    equal(read_answers(sock, 1)[0][0], 200, "status")
    equal(sock.recv(1), b"", "the connection is closed")


def test_expect_100_continue():
    sock = raw(b"POST /v1/apps HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
    equal(sock.recv(65536), b"HTTP/1.1 100 Continue\r\n\r\n", "the interim answer")
    sock.sendall(b"{}")
    equal(read_answers(sock, 1)[0][0], 400, "status")
    sock.close()
    sock = raw(b"POST /nope HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
    equal(read_answers(sock, 1)[0][0], 404, "a refusal needs no body")
    sock.close()


def test_oversized_and_malformed_requests():
    for data, statuses in (
        (b"GARBAGE\r\n\r\n", {400}), (b"GET / HTTP/2.0\r\n\r\n", {505}),
        (b"GET /\x01 HTTP/1.1\r\n\r\n", {400}), (b"GET / HTTP/1.1\r\nX: " + b"y" * 90000, {431}),
        (b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 300 + b"\r\n", {431}), (b"GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n", {400}),
        (b"GET /a%00b HTTP/1.1\r\nHost: x\r\n\r\n", {400}),
        (b"POST /v1/apps HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", {400}),
        (b"POST /v1/apps HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n", {413}),
    ):
        sock = raw(data)
        status, body = read_answers(sock, 1)[0]
        check(status in statuses, f"{data[:40]!r}: {status}")
        check(json.loads(body)["error"]["message"], "no message")
        sock.close()


# --- apps ---------------------------------------------------------------------------------------------------------


def test_apps():
    drop("t1")
    answer = ask("POST", "/v1/apps", {"app": {"name": "t1", "config": {"K": "v", "EMPTY": ""}}, "message": "stray"})
    equal(answer.body, b'{"message":"App successfully created","app":{"name":"t1","config":{"EMPTY":"","K":"v"}}}\n', "create")
    equal(answer.status, 200, "status")
    message_is(ask("POST", "/v1/apps", {"app": {"name": "t1"}}), 409, "App already exists")
    answer = ask("GET", "/v1/apps/t1")
    equal(answer.json["message"], "Successfully loaded app", "message")
    answer = ask("PATCH", "/v1/apps/t1", {"app": {"name": "", "config": {"K": "", "NEW": "1"}}})
    equal(answer.json, {"message": "App successfully updated", "app": {"name": "t1", "config": {"EMPTY": "", "NEW": "1"}}}, "patch")
    message_is(ask("PATCH", "/v1/apps/t1", {"app": {"name": "t1"}}), 400, "Could not update app - name is immutable")
    message_is(ask("PATCH", "/v1/apps/t1", {}), 400, "Missing new application")
    message_is(ask("PATCH", "/v1/apps/t1", "{"), 400, "Invalid JSON")
    message_is(ask("PATCH", "/v1/apps/none", {"app": {}}), 404, "App not found")
    message_is(ask("GET", "/v1/apps/none"), 404, "App not found")
    equal(ask("DELETE", "/v1/apps/t1").body, b'{"message":"App deleted"}\n', "delete")
    message_is(ask("DELETE", "/v1/apps/t1"), 404, "App not found")


def test_app_bodies():
    for body, message in (
        ("", "Invalid JSON"), ("{", "Invalid JSON"), ("[]", "Invalid JSON"), ("7", "Invalid JSON"),
        ('{"app":5}', "Invalid JSON"), ('{"app":{"name":5}}', "Invalid JSON"), ('{"app":{"config":{"a":1}}}', "Invalid JSON"),
        ("null", "Missing new application"), ("{}", "Missing new application"), ('{"app":null}', "Missing new application"),
        ('{"name":"x"}', "Missing new application"), ('{"app":{}}', "validation failure list:\nMissing app name"),
        ('{"app":{"name":"' + "x" * 31 + '"}}', "validation failure list:\nApp name must be 30 characters or less"),
        ('{"app":{"name":"a b"}}', "validation failure list:\nInvalid app name"),
        ('{"app":{"name":"é"}}', "validation failure list:\nInvalid app name"),
    ):
        message_is(ask("POST", "/v1/apps", body.encode()), 400, message)


def test_json_rules():
    drop("t2")
    answer = ask("POST", "/v1/apps", b' \n{"APP":{"NAME":"x","name":"t2","other":[1.5]},"app":null} trailing', {"Content-Type": "image/png"})
    equal(answer.status, 200, answer.text)
    equal(answer.json["app"], {"name": "t2", "config": None}, "app")
    equal(ask("PATCH", "/v1/apps/t2", {"app": {"config": None}}).json["app"]["config"], None, "config stays null")
    equal(ask("PATCH", "/v1/apps/t2", {"app": {"config": {}}}).json["app"]["config"], {}, "config becomes an object")
    drop("t2")


def test_app_list_is_sorted():
    names = ["t3-b", "t3-B", "t3-a", "t3_a"]
    for name in names:
        drop(name)
        equal(ask("POST", "/v1/apps", {"app": {"name": name}}).status, 200, name)
    answer = ask("GET", "/v1/apps?page=2").json
    equal(answer["message"], "Successfully listed applications", "message")
    equal([a["name"] for a in answer["apps"] if a["name"].startswith("t3")], sorted(names), "order")
    for name in names:
        drop(name)


# --- routes -------------------------------------------------------------------------------------------------------


def test_routes():
    drop("t4")
    answer = ask("POST", "/v1/apps/t4/routes", {"route": {"path": "/hello", "image": "iron/hello", "app_name": "other"}})
    equal(answer.body, b'{"message":"Route successfully created","route":{"app_name":"t4","path":"/hello","image":"iron/hello",'
          b'"memory":128,"headers":{},"type":"sync","format":"default","max_concurrency":1,"timeout":30,"idle_timeout":0,'
          b'"config":{},"jwt_key":""}}\n', "create")
    equal(ask("GET", "/v1/apps/t4").json["app"], {"name": "t4", "config": None}, "the app was made")
    message_is(ask("POST", "/v1/apps/t4/routes", {"route": {"path": "//hello/", "image": "i"}}), 409, "Route already exists")
    for path in ("/hello", "/%2Fhello", "//hello/", "/x/../hello"):
        answer = ask("GET", "/v1/apps/t4/routes" + path)
        equal((answer.status, answer.json.get("message")), (200, "Successfully loaded route"), path)
    message_is(ask("GET", "/v1/apps/t4/routes/Hello"), 404, "Route not found")
    message_is(ask("GET", "/v1/apps/none/routes/hello"), 404, "App not found")
    message_is(ask("DELETE", "/v1/apps/t4"), 400, "Cannot remove apps with routes")
    message_is(ask("DELETE", "/v1/apps/none/routes/x"), 404, "App not found")
    equal(ask("DELETE", "/v1/apps/t4/routes/hello").body, b'{"message":"Route deleted"}\n', "delete")
    message_is(ask("DELETE", "/v1/apps/t4/routes/hello"), 404, "Route not found")
    drop("t4")


def test_the_root_route():
    drop("t5")
    service().create_route("t5", "/", "i")
    for path in ("/v1/apps/t5/routes/", "/v1/apps/t5/routes/%2F"):
        equal(ask("GET", path).json["route"]["path"], "/", path)
    equal(len(ask("GET", "/v1/apps/t5/routes").json["routes"]), 1, "the list")
    equal(ask("PATCH", "/v1/apps/t5/routes", {"route": {"timeout": 9}}).json["route"]["timeout"], 9, "patch without a slash")
    equal(ask("DELETE", "/v1/apps/t5/routes").json, {"message": "Route deleted"}, "delete without a slash")
    drop("t5")


def test_route_validation():
    drop("t6")
    prefix = "validation failure list:\nvalidation failure list:\n"
    for route, messages in (
        ({}, "Missing route Image\nMissing route Path\nInvalid Path format"), ({"path": "/x"}, "Missing route Image"),
        ({"image": "i", "path": "x"}, "Invalid Path format"), ({"image": "i", "path": "/:x"}, "Dynamic URL is not allowed"),
        ({"image": "i", "path": "/%zz"}, "Path malformed"), ({"image": "i", "path": "/x", "type": "Sync"}, "Invalid route Type"),
        ({"image": "i", "path": "/x", "format": "json"}, "Invalid route Format"),
        ({"image": "i", "path": "/x", "max_concurrency": -1, "timeout": -1, "idle_timeout": -2},
         "Negative MaxConcurrency\nNegative timeout\nNegative idle timeout"),
    ):
        message_is(ask("POST", "/v1/apps/t6/routes", {"route": route}), 400, prefix + messages)
    message_is(ask("GET", "/v1/apps/t6"), 404, "App not found")
    message_is(ask("POST", "/v1/apps/t6/routes", {"x": 1}), 400, "Missing new route")
    message_is(ask("POST", "/v1/apps/t6/routes", "["), 400, "Invalid JSON")
    for route in ({"memory": -1}, {"memory": 1.5}, {"timeout": 99999999999}, {"headers": {"A": "b"}}, {"config": {"a": 1}}):
        message_is(ask("POST", "/v1/apps/t6/routes", {"route": {"path": "/x", "image": "i", **route}}), 400, "Invalid JSON")
    message_is(ask("POST", "/v1/apps/a%20b/routes", {"route": {"path": "/x", "image": "i"}}), 400, "Invalid app name")
    message_is(ask("POST", f"/v1/apps/{'x' * 31}/routes", {"route": {"path": "/x", "image": "i"}}), 400,
               "App name must be 30 characters or less")


def test_route_patches():
    drop("t7")
    service().create_route("t7", "/x", "i", headers={"x-old": ["1"]}, config={"A": "1", "B": "2"}, jwt_key="k")
    route = ask("PATCH", "/v1/apps/t7/routes/x", {"route": {
        "memory": 0, "timeout": 5, "headers": {"X-OLD": ["2", "3"], "x-new": ["4"]}, "config": {"A": "", "C": "3"}, "jwt_key": "",
        "app_name": "zzz",
    }}).json
    equal(route["message"], "Route successfully updated", "message")
    route = route["route"]
    equal((route["memory"], route["timeout"], route["jwt_key"], route["app_name"]), (128, 5, "k", "t7"), "values")
    equal(route["headers"], {"X-New": ["4"], "X-Old": ["2", "3"]}, "headers are replaced")
    equal(route["config"], {"B": "2", "C": "3"}, "config is merged")
    route = ask("PATCH", "/v1/apps/t7/routes/x", {"route": {"headers": {"x-old": []}}}).json["route"]
    equal(route["headers"], {"X-New": ["4"]}, "an empty list removes")
    message_is(ask("PATCH", "/v1/apps/t7/routes/x", {"route": {"path": "/x"}}), 400, "Could not update route - path is immutable")
    message_is(ask("PATCH", "/v1/apps/t7/routes/x", {"route": {"type": "x"}}), 400,
               "validation failure list:\nvalidation failure list:\nInvalid route Type")
    message_is(ask("PATCH", "/v1/apps/t7/routes/y", {"route": {}}), 404, "Route not found")
    message_is(ask("PATCH", "/v1/apps/none/routes/y", {"route": {}}), 404, "App not found")
    message_is(ask("PATCH", "/v1/apps/t7/routes/x", {}), 400, "Missing new route")
    drop("t7")


def test_route_extensions_are_returned_only_when_set():
    drop("t8")
    plain = service().create_route("t8", "/plain", "i")
    check(not {"gpu", "network", "warm"} & set(plain), "extension keys without a wish")
    wish = {"count": 1, "memory": "64MiB"}
    rich = service().create_route("t8", "/rich", "i", gpu=wish, network="none", warm=1)
    equal((rich["gpu"], rich["network"], rich["warm"]), (wish, "none", 1), "extensions")
    gone = ask("PATCH", "/v1/apps/t8/routes/rich", {"route": {"gpu": {}, "network": "", "warm": 0}}).json["route"]
    check(not {"gpu", "network", "warm"} & set(gone), "extension keys after removal")
    answer = ask("POST", "/v1/apps/t8/routes", {"route": {"path": "/bad", "image": "i", "gpu": {"memroy": 1}}})
    check(answer.status == 400 and "memory" in answer.message, answer.text)
    drop("t8")


def test_route_lists():
    drop("t9")
    for path, image in (("/a", "i:1"), ("/b", "i:2"), ("/c", "i:1")):
        service().create_route("t9", path, image)
    answer = ask("GET", "/v1/apps/t9/routes").json
    equal(answer["message"], "Sucessfully listed routes", "message")
    equal([r["path"] for r in answer["routes"]], ["/c", "/b", "/a"], "order")
    equal([r["path"] for r in ask("GET", "/v1/apps/t9/routes?image=i:1").json["routes"]], ["/c", "/a"], "filter")
    equal(len(ask("GET", "/v1/apps/t9/routes?image=").json["routes"]), 3, "an empty filter")
    equal(ask("GET", "/v1/apps/t9/routes?image=i").json["routes"], [], "no such image")
    equal(ask("GET", "/v1/apps/none/routes").json["routes"], [], "an app that is not there")
    check(len(ask("GET", "/v1/routes").json["routes"]) >= 3, "routes of all apps")
    drop("t9")


# --- running ------------------------------------------------------------------------------------------------------

_imported = set()


def function(path, script, app="run", **route):
    """A route that runs a shell script."""
    name = f"api-test{path}:1"
    if name not in _imported:
        if getattr(service(), "address", None):
            raise Skip("images can be imported over the UNIX socket only")
        # A shell keeps back variables whose names it could not write: "env" is run without one.
        command = {"Entrypoint": ["/bin/env"]} if script == "env" else {}
        service().import_image(name, shell_image(script, name, **command))
        _imported.add(name)
    ask("DELETE", f"/v1/apps/{app}/routes{path}")
    service().create_route(app, path, name, **{"memory": 32, "timeout": 20, **route})


def failed_with(answer, status, message):
    equal((answer.status, list(answer.json), answer.message), (status, ["request_id", "error"], message), answer.text)
    check(UUID.match(answer.json["request_id"]), "request_id")
    equal(answer.headers["Ferrite-Call-Id"], answer.json["request_id"], "call id")


def test_unknown_functions():
    drop("nobody")
    message_is(ask("GET", "/r/nobody/x"), 404, "App not found")
    function("/cat", "cat")
    message_is(ask("POST", "/r/run/nowhere"), 404, "Route not found on that application")


def test_payloads():
    function("/cat", "cat")
    answer = service().call("run", "/cat", b"hello\x00world")
    equal((answer.status, answer.body), (200, b"hello\x00world"), "POST")
    check(UUID.match(answer.headers["Ferrite-Call-Id"]), "call id")
    for path in ("/r/run/cat", "/r/run/%2Fcat", "/r/run//x/../cat/"):
        equal(ask("POST", path, b"x").body, b"x", path)
    equal(ask("GET", "/r/run/cat?payload=a+b%26").body, b"a b&", "GET with a payload")
    equal(ask("GET", "/r/run/cat", b"ignored").body, b"", "GET with a body")
    for method in ("PUT", "PATCH", "DELETE", "OPTIONS"):
        equal(ask(method, "/r/run/cat", b"body").body, b"body", method)
    answer = ask("HEAD", "/r/run/cat", b"body")
    equal((answer.status, answer.body, answer.headers["Content-Length"]), (200, b"", "4"), "HEAD")
    big = os.urandom(1 << 20)
    equal(service().call("run", "/cat", big).body, big, "1 MiB")
    connection = service().connection()
    connection.request("POST", "/r/run/cat", iter([b"a" * 70000, b"b", b"c" * 10]), encode_chunked=True,
                       headers={"Transfer-Encoding": "chunked"})
    equal(connection.getresponse().read(), b"a" * 70000 + b"b" + b"c" * 10, "chunked")
    connection.close()


def test_connect_and_trace_run_functions():
    function("/env", "env")
    for method in ("CONNECT", "TRACE"):
        sock = raw(f"{method} /r/run/env HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        status, body = read_answers(sock, 1)[0]
        equal(status, 200, method)
        check(f"METHOD={method}".encode() in body, body)
        sock.close()


def test_environment():
    function("/env", "env", config={"route-key": "r", "Both": "route", "METHOD": "mine"})
    ask("PATCH", "/v1/apps/run", {"app": {"config": {"App.Key": "a", "both": "app"}}})
    answer = ask("POST", "/r/run/env?q=1", b"xy", {"X-Foo": "1", "Host": "some.host", "X-Dot.Ted": "d", "Cookie": "c"})
    env = dict(line.split("=", 1) for line in answer.text.splitlines())
    for name, value in {
        "METHOD": "mine", "ROUTE": "/env", "REQUEST_URL": "http://some.host/r/run/env?q=1", "ROUTE_KEY": "r", "APP.KEY": "a",
        "BOTH": "route", "HEADER_X_FOO": "1", "HEADER_X_DOT.TED": "d", "HEADER_COOKIE": "c", "HEADER_CONTENT_LENGTH": "2",
    }.items():
        equal(env.get(name), value, name)
    for name in ("HEADER_HOST", "HEADER_TRANSFER_ENCODING", "FN_FORMAT"):
        check(name not in env, name)
    for name in ("PATH", "HOME", "HOSTNAME"):
        check(name in env, name)
    # A change of the app's configuration counts from the next call on.
    ask("PATCH", "/v1/apps/run", {"app": {"config": {"App.Key": "b", "both": ""}}})
    check("APP.KEY=b" in ask("GET", "/r/run/env").text.splitlines(), "the new configuration")
    ask("PATCH", "/v1/apps/run", {"app": {"config": {"App.Key": ""}}})


def test_repeated_headers_are_joined():
    function("/env", "env")
    sock = raw(b"GET /r/run/env HTTP/1.1\r\nHost: x\r\nX-A: 1\r\nx-a: 2\r\n\r\n")
    check(b"HEADER_X_A=1 2\n" in read_answers(sock, 1)[0][1], "joined by a blank")
    sock.close()


def test_results():
    function("/exit", "echo thrown away; read code; exit $code", headers={"X-R": ["1", "2"]})
    answer = service().call("run", "/exit", b"0\n")
    equal((answer.status, answer.body, answer.headers["X-R"]), (200, b"thrown away\n", "1"), "exit 0")
    for code in (1, 3, 255):
        answer = service().call("run", "/exit", f"{code}\n".encode())
        failed_with(answer, 500, f"exit code {code}")
        equal(answer.headers["X-R"], "1", "headers of the route")
    failed_with(service().call("run", "/exit", b"137\n"), 500, "out of memory error")


def test_timeout():
    function("/slow", "sleep 60", timeout=1, headers={"X-R": ["1"]})
    begin = time.monotonic()
    answer = service().call("run", "/slow", b"")
    failed_with(answer, 504, "Timed out")
    equal(answer.headers["X-R"], "1", "headers of the route")
    check(time.monotonic() - begin < 10, "the answer did not come at the deadline")
    wait_for(lambda: service().instances() == [], "the instance is gone")


def test_content_types():
    function("/cat", "cat")
    for body, kind in (
        (b"text", "text/plain; charset=utf-8"), (b'{"a":1}', "text/plain; charset=utf-8"), (b"<html>", "text/html; charset=utf-8"),
        (b"\0\1\2", "application/octet-stream"), (b"\x89PNG\r\n\x1a\n", "image/png"), (b"", None),
    ):
        equal(service().call("run", "/cat", body).headers["Content-Type"], kind, repr(body))
    function("/typed", "read code; echo out; exit $code", headers={"content-type": ["x/y"], "Content-Length": ["1"], "Empty": []})
    answer = service().call("run", "/typed", b"0\n")
    equal((answer.headers["Content-Type"], answer.body), ("x/y", b"out\n"), "the route's type, and its length ignored")
    equal(service().call("run", "/typed", b"1\n").headers["Content-Type"], "x/y", "on errors too")


def test_timing():
    function("/cat", "cat")
    answer = ask("POST", "/r/run/cat", b"x", {"Ferrite-Timing": "1"})
    timing = answer.timing()
    for key in ("queue", "start", "run"):
        check(timing.get(key, -1) >= 0, f"{key} in {answer.headers['Server-Timing']}")
    check(timing["kind"] in ("cold", "warm"), f"start {timing}")
    check("Server-Timing" not in ask("POST", "/r/run/cat", b"x").headers, "timing unasked for")


def test_call_ids_differ():
    function("/cat", "cat")
    connection = service().connection()
    ids = set()
    for _ in range(5):
        connection.request("POST", "/r/run/cat", b"x")
        response = connection.getresponse()
        equal(response.read(), b"x", "output")
        ids.add(response.headers["Ferrite-Call-Id"])
    connection.close()
    equal(len(ids), 5, "ids over one connection")


def test_output_is_bounded():
    function("/flood", "yes")
    answer = service().call("run", "/flood", b"")
    equal(answer.status, 502, answer.text[:200])
    check("larger than" in answer.message, answer.message)
    wait_for(lambda: service().instances() == [], "the instance is gone")


def test_missing_image():
    service().create_route("run", "/missing", "no/such:1")
    answer = service().call("run", "/missing", b"")
    equal(answer.status, 500, answer.text)
    check(answer.message.startswith("Failed to pull image 'no/such:1': "), answer.message)
    check("ferrite images import" in answer.message, "the cure")
    ask("DELETE", "/v1/apps/run/routes/missing")


def test_memory_admission():
    function("/hold", "sleep 3; echo held", memory=200)
    function("/cat", "cat", memory=100)
    function("/huge", "cat", memory=1 << 44)
    failed_with(service().call("run", "/huge", b""), 503, "Task timed out. No available memory.")
    results = {}

    def call(name, path):
        results[name] = service().call("run", path, b"x")

    first = threading.Thread(target=call, args=("first", "/hold"))
    first.start()
    wait_for(lambda: len(service().instances()) == 1, "the first runs")
    # It has to wait until the first has ended, and then runs.
    call("second", "/cat")
    first.join()
    equal((results["first"].body, results["second"].body), (b"held\n", b"x"), "outputs")
    check(results["second"].timing()["queue"] > 0, "it waited")


def test_client_that_goes_away_stops_its_function():
    function("/slow", "sleep 60", timeout=30)
    sock = raw(b"POST /r/run/slow HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
    wait_for(lambda: [i for i in service().instances() if i["route"] == "/slow"], "it runs")
    sock.close()
    wait_for(lambda: service().instances() == [], "it was stopped", 10)


def test_instances_are_listed():
    function("/slow", "sleep 60", timeout=30)
    sock = raw(b"POST /r/run/slow HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
    row = wait_for(lambda: [i for i in service().instances() if i["route"] == "/slow" and i["cgroup"]], "it runs")[0]
    equal((row["app"], row["route"], row["state"], row["gpu"]), ("run", "/slow", "busy", None), "row")
    check(row["pid"] > 1 and row["memory_reserved"] == 32 << 20, row)
    sock.close()
    wait_for(lambda: service().instances() == [], "it was stopped", 10)


def test_stats_count_calls():
    function("/cat", "cat")
    before = ask("GET", "/stats").json
    for _ in range(3):
        service().call("run", "/cat", b"")
    after = ask("GET", "/stats").json
    equal((after["Queue"], after["Running"], after["Complete"]), (0, 0, before["Complete"] + 3), "counters")


# --- images and GPUs ----------------------------------------------------------------------------------------------


def test_images():
    function("/cat", "cat")
    names = [i["name"] for i in ask("GET", "/v1/images").json["images"]]
    check("api-test/cat:1" in names, names)
    equal(ask("GET", "/v1/images/api-test/cat:1").json["name"], "api-test/cat:1", "inspect")
    equal(ask("GET", "/v1/images/api-test%2Fcat:1").json["name"], "api-test/cat:1", "inspect with %2F")
    answer = ask("GET", "/v1/images/no/such:9")
    check(answer.status == 404 and "no/such:9" in answer.message, answer.text)
    service().import_image("api-test/gone:1", shell_image("echo 1", "api-test/gone:1"))
    equal(ask("DELETE", "/v1/images/api-test/gone:1").status, 200, "delete")
    equal(ask("DELETE", "/v1/images/api-test/gone:1").status, 404, "delete again")


def test_a_new_image_counts_from_the_next_call_on():
    function("/change", "echo one")
    equal(service().call("run", "/change", b"").body, b"one\n", "the first image")
    service().import_image("api-test/change:1", shell_image("echo two", "api-test/change:1"))
    equal(service().call("run", "/change", b"").body, b"two\n", "the second image")
    ask("DELETE", "/v1/images/api-test/change:1")
    equal(service().call("run", "/change", b"").status, 500, "no image")
    _imported.discard("api-test/change:1")


def test_images_are_not_changed_over_tcp():
    if not hasattr(service(), "port"):
        raise Skip("the service was started by somebody else")
    for method, path in (("POST", "/v1/images?name=x:1"), ("DELETE", "/v1/images/x:1"), ("POST", "/v1/images/gc")):
        answer = ask(method, path, b"x", tcp=True)
        check(answer.status == 403 and "api.sock" in answer.message, answer.text)
    equal(ask("GET", "/v1/images", tcp=True).status, 200, "reading is free")


def test_gpus():
    answer = ask("GET", "/v1/gpus")
    equal(answer.status, 200, answer.text)
    check(isinstance(answer.json["gpus"], list), answer.text)


def test_injection():
    """What an instance would get is told without an instance, and is what one gets."""
    where = "/v1/gpus/injection"
    equal(ask("GET", where).status, 400, "a question about nothing")
    equal(ask("GET", f"{where}?app=run&path=cat").status, 400, "a path without a slash")
    equal(ask("GET", f"{where}?app=none&path=/cat").status, 404, "an unknown app")
    equal(ask("GET", f"{where}?image=none%3A1").status, 404, "an unknown image")
    function("/plain", "cat", memory=16)
    equal(ask("GET", f"{where}?app=run&path=/none").status, 404, "an unknown route")
    answer = ask("GET", f"{where}?app=run&path=/plain").json
    check(not answer["injected"] and "asks for a GPU" in answer["reason"], f"without a wish: {answer}")

    function("/injected", "env; ls -l /usr/local/nvidia/lib64", memory=64, gpu={"count": 1, "memory": "32MiB"})
    held = ask("GET", "/v1/gpus").json["gpus"][0]["memory_declared"]
    answer = ask("GET", f"{where}?app=run&path=/injected")
    equal(answer.status, 200, answer.text)
    told = answer.json
    check(told["injected"] and told["waits_for"] is None, answer.text)
    equal((told["wish"]["capabilities"], told["wish"]["memory"]), ("compute,utility", 32 << 20), "wish")
    equal(ask("GET", "/v1/gpus").json["gpus"][0]["memory_declared"], held, "a question holds nothing")
    check(all(row["why"] for key in ("mounts", "devices", "links", "files", "environment") for row in told[key]), answer.text)
    libraries = [m["destination"] for m in told["mounts"] if m["destination"].startswith("/usr/local/nvidia/lib64/")]
    check(libraries and all(os.path.isfile(m["source"]) for m in told["mounts"]), answer.text)
    inside = ask("POST", "/r/run/injected", b"").text
    for name in libraries + [row["path"] for row in told["links"]]:
        check(os.path.basename(name) in inside, f"{name} is not in {inside}")
    for row in told["environment"]:
        check(row["variable"] in inside, f"{row} is not in {inside}")

    function("/greedy", "cat", memory=16, gpu={"count": 60})
    answer = ask("GET", f"{where}?app=run&path=/greedy")
    equal(answer.status, 409, answer.text)
    check("60 GPUs are asked for" in answer.text, answer.text)


def test_many_clients_at_once():
    function("/cat", "cat", memory=16)
    wrong = []

    def caller(number):
        for turn in range(10):
            body = f"{number} {turn}".encode()
            answer = service().call("run", "/cat", body)
            if answer.body != body:
                wrong.append(answer.text)

    threads = [threading.Thread(target=caller, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    equal(wrong, [], "wrong answers")


if __name__ == "__main__":
    url = os.environ.get("FERRITE_TEST_API")
    harness.run(globals(), Running(url) if url else harness.Service(environment=SETTINGS))
