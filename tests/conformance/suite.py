"""What the cases of the conformance suite are made of.

A case is a function of one argument, the context T, with a name that says section and behaviour. It is declared with
@case, or as a row of a table. T has an app name of its own, so that cases run side by side; what a case makes in that
app is removed after it. "$APP" in paths, bodies and expected answers stands for that name.

Where ferrite differs from an original server on purpose, the case names the deviation (the id of a row in
docs/compatibility.md) and holds both expectations; t.either() and the argument original= of a row choose one.
"""

import contextlib
import http.client
import json
import re
import secrets
import socket
import time
from typing import NamedTuple
from urllib.parse import quote

JSON_TYPE = "application/json; charset=utf-8"
TEXT_TYPE = "text/plain; charset=utf-8"
UUID = re.compile(r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$")
# Nothing here takes that long unless something hangs.
ANSWER_S = 40
WAIT_S = 30


class Skip(Exception):
    """The case cannot run here, for the reason given."""


def check(condition, message):
    if not condition:
        raise AssertionError(message)


def shown(value):
    text = repr(value)
    return text if len(text) <= 700 else f"{text[:700]}… ({len(text)} characters)"


def equal(got, wanted, what):
    check(got == wanted, f"{what}:\n  got    {shown(got)}\n  wanted {shown(wanted)}")


def poll(condition, what, seconds=WAIT_S):
    """Asks until the condition holds; returns its value."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        check(time.monotonic() < deadline, f"{what}: not within {seconds} s")
        time.sleep(0.02)
    return value


# --- requests and answers -----------------------------------------------------------------------------------------


class Request(NamedTuple):
    method: str
    path: str
    body: object = None
    headers: dict = {}


def _maker(method):
    return lambda path, body=None, headers=None: Request(method, path, body, headers or {})


GET, POST, PUT, PATCH, DELETE, HEAD, OPTIONS = map(_maker, "GET POST PUT PATCH DELETE HEAD OPTIONS".split())


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def __repr__(self):
        return f"{self.status} {dict(self.headers)} {self.body[:600]!r}"

    @property
    def text(self):
        return self.body.decode("utf-8", "replace")

    @property
    def json(self):
        try:
            return json.loads(self.body)
        except ValueError:
            raise AssertionError(f"the body is no JSON: {self!r}") from None

    @property
    def message(self):
        with contextlib.suppress(AssertionError, KeyError, TypeError):
            return self.json["error"]["message"]
        return f"[no error.message: {self!r}]"


class Wanted:
    """What an answer has to be. JSON is compared by value, headers by text (None: must not be there)."""

    def __init__(self, status, **more):
        self.statuses = status if isinstance(status, tuple) else (status,)
        self.json = more.pop("json", Wanted)
        self.body = more.pop("body", None)
        self.headers = more.pop("headers", {})
        self.part = more.pop("part", None)  # keys the JSON object must have with these values, others do not matter
        self.proof = more.pop("proof", None)  # called with the answer
        if (self.json is not Wanted or self.part is not None) and "Content-Type" not in self.headers:
            self.headers = {"Content-Type": JSON_TYPE, **self.headers}
        check(not more, f"Wanted: {more}")

    def compare(self, answer, fill=lambda value: value):
        check(answer.status in self.statuses, f"status: got {answer!r}, wanted {' or '.join(map(str, self.statuses))}")
        if self.json is not Wanted:
            equal(answer.json, fill(self.json), "JSON body")
            check(answer.body.endswith(b"\n"), f"a JSON body ends with a newline: {answer!r}")
        if self.part is not None:
            for key, value in fill(self.part).items():
                check(key in answer.json, f"key {key} is missing in {answer!r}")
                equal(answer.json[key], value, key)
        if self.body is not None:
            equal(answer.body, fill(self.body), "body")
        for name, value in self.headers.items():
            equal(answer.headers[name], fill(value), f"header {name}")
        if self.proof:
            self.proof(answer)


def ok(**more):
    return Wanted(200, **more)


def error(status, message, **more):
    return Wanted(status, json={"error": {"message": message}}, **more)


def failure(status, message, **more):
    """The error of a function that was called: request_id first, then error."""

    def proof(answer):
        equal(list(answer.json), ["request_id", "error"], "keys")
        check(UUID.match(answer.json["request_id"]), f"request_id is no UUID: {answer!r}")
        equal(answer.json["error"], {"message": message}, "error")

    headers = {"Content-Type": JSON_TYPE, **more.pop("headers", {})}
    return Wanted(status, proof=proof, headers=headers, **more)


NOT_FOUND = Wanted(404, body=b'"Not Found"\n', headers={"Content-Type": JSON_TYPE, "Allow": None})
APP_NOT_FOUND = error(404, "App not found")
ROUTE_NOT_FOUND = error(404, "Route not found")
INVALID_JSON = error(400, "Invalid JSON")
# The real server mislabels that one answer.
INVALID_JSON_ORIGINAL = error(400, "Invalid JSON", headers={"Content-Type": TEXT_TYPE})


# --- cases --------------------------------------------------------------------------------------------------------


class Case(NamedTuple):
    name: str
    run: object
    deviations: tuple
    profile: str  # which service it needs: plain, queue, lease, auth, small
    alone: bool  # it looks at something all cases of that service share
    spare: str  # why an original server is not asked


CASES = []


def _declare(name, run, deviation=(), profile="plain", alone=False, spare=""):
    check(re.match(r"s\d+_[a-z0-9_]+$", name), f"a case is named s<section>_<behaviour>: {name}")
    check(all(name != other.name for other in CASES), f"two cases are named {name}")
    deviations = (deviation,) if isinstance(deviation, str) else tuple(deviation)
    CASES.append(Case(name, run, deviations, profile, alone, spare))


def case(**options):
    """Declares the function below as a case: @case(deviation=, profile=, alone=, spare=)."""

    def declare(function):
        _declare(function.__name__, function, **options)
        return function

    return declare


class Row(NamedTuple):
    name: str
    request: Request
    wanted: Wanted
    options: dict


def row(name, request, wanted, **options):
    """options: original= another Wanted; given= what is made first; then= [(request, wanted), …]; and those of case."""
    return Row(name, request, wanted, options)


def table(prefix, rows, **common):
    for entry in rows:
        options = {**common, **entry.options}
        steps = [(entry.request, entry.wanted), *options.pop("then", [])]
        original = options.pop("original", None)
        given = options.pop("given", [])
        check(original is None or options.get("deviation"), f"{entry.name}: another answer without a deviation")
        _declare(f"{prefix}_{entry.name}", _row_runner(steps, original, given), **options)


def _row_runner(steps, original, given):
    def run(t):
        for make in given:
            make(t)
        for number, (request, wanted) in enumerate(steps):
            if number == 0 and original and t.target == "original":
                wanted = original
                t.expect(request, wanted)
                if any(status >= 300 for status in wanted.statuses):
                    return  # what follows speaks of ferrite's answer
            else:
                t.expect(request, wanted)

    return run


def an_app(**app):
    return lambda t: t.new_app(**app)


def a_route(path="/x", image="iron/hello", **settings):
    return lambda t: t.new_route(path, image, **settings)


# --- the context of a running case --------------------------------------------------------------------------------

RUN_TOKEN = secrets.token_hex(2)


class Context:
    def __init__(self, service, target, image_prefix, number):
        self.service, self.target, self.image_prefix = service, target, image_prefix
        self.app = f"cf-{RUN_TOKEN}-{number}"
        self.apps = [self.app]
        self.exchanges = []
        self.default_headers = {}
        self.stack = contextlib.ExitStack()

    def fill(self, value):
        """Puts the app's name where "$APP" stands."""
        if isinstance(value, str):
            return value.replace("$APP", self.app)
        if isinstance(value, bytes):
            return value.replace(b"$APP", self.app.encode())
        if isinstance(value, dict):
            return {self.fill(key): self.fill(entry) for key, entry in value.items()}
        if isinstance(value, (list, tuple)):
            return [self.fill(entry) for entry in value]
        return value

    def either(self, *, original, ferrite):
        return original if self.target == "original" else ferrite

    def is_original(self):
        return self.target == "original"

    # Requests ..................................................................................................

    def connection(self, timeout=ANSWER_S):
        """A kept connection, closed when the case ends."""
        connection = self.service.connection(timeout)
        self.stack.callback(connection.close)
        return connection

    def ask(self, method, path, body=None, headers=None, connection=None):
        path, body = self.fill(path), self.fill(body)
        # None leaves out what is sent by default.
        headers = {name: self.fill(value) for name, value in {**self.default_headers, **(headers or {})}.items() if value is not None}
        if isinstance(body, (dict, list)):
            body = json.dumps(body)
        if isinstance(body, str):
            body = body.encode()
        self.exchanges.append(f"{method} {path} {headers or ''} {shown(body) if body is not None else ''}")
        with contextlib.ExitStack() as stack:
            if connection is None:
                connection = self.service.connection(ANSWER_S)
                stack.callback(connection.close)
            # http.client gives POST, PUT and PATCH a length by itself, others only with a body.
            connection.request(method, path, body=body, headers=headers)
            response = connection.getresponse()
            answer = Answer(response.status, response.headers, response.read())
        self.exchanges.append(f"  -> {answer!r}")
        return answer

    def expect(self, request, wanted):
        answer = self.ask(*request)
        wanted.compare(answer, self.fill)
        return answer

    def raw(self, data=b"", timeout=ANSWER_S):
        """A socket on which DATA was sent as it is."""
        data = self.fill(data)
        self.exchanges.append(f"raw {shown(data)}")
        sock = self.service.raw_socket(timeout)
        self.stack.callback(sock.close)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            sock.sendall(data)
        return RawConnection(sock, self.exchanges)

    # Apps, routes, functions ...................................................................................

    def new_app(self, name=None, **app):
        name = name or self.app
        answer = self.ask("POST", "/v1/apps", {"app": {"name": name, **app}})
        equal(answer.status, 200, f"creation of the app ({answer!r})")
        if name not in self.apps:
            self.apps.append(name)
        return answer.json["app"]

    def other_app(self):
        self.apps.append(f"{self.app}-{len(self.apps)}")
        return self.apps[-1]

    def new_route(self, path, image, app="$APP", **settings):
        answer = self.ask("POST", f"/v1/apps/{app}/routes", {"route": {"path": path, "image": image, **settings}})
        equal(answer.status, 200, f"creation of the route ({answer!r})")
        return answer.json["route"]

    def patch_route(self, path, **settings):
        answer = self.ask("PATCH", f"/v1/apps/$APP/routes{path}", {"route": settings})
        equal(answer.status, 200, f"change of the route ({answer!r})")
        return answer.json["route"]

    def image(self, function):
        return f"{self.image_prefix}{function}:1"

    def function(self, function, path="/f", **settings):
        """A route that runs one of our functions; returns the path to call it by."""
        self.new_route(path, self.image(function), **settings)
        return f"/r/{self.app}{path}"

    def call(self, path, body=None, headers=None, method=None, connection=None):
        return self.ask(method or ("GET" if body is None else "POST"), path, body, headers, connection)

    def environment(self, path, **request):
        """The variables that the function "env" sees, in a call of PATH."""
        answer = self.call(path, **request)
        equal(answer.status, 200, f"call of env ({answer!r})")
        return dict(entry.split("=", 1) for entry in answer.text.split("\0") if "=" in entry)

    def clean(self):
        self.stack.close()
        for app in self.apps:
            url = f"/v1/apps/{quote(app)}"
            for route in self.ask("GET", url + "/routes").json.get("routes") or []:
                self.ask("DELETE", url + "/routes" + quote(route["path"]))
            self.ask("DELETE", url)


class RawConnection:
    """Reads answers from a socket one after the other, interim ones too."""

    def __init__(self, sock, exchanges):
        self.sock, self.exchanges = sock, exchanges
        self.reader = sock.makefile("rb")

    def send(self, data):
        self.sock.sendall(data)

    def status_line(self):
        return self.reader.readline()

    def answer(self, with_body=True):
        status = self.status_line()
        check(status.startswith(b"HTTP/1."), f"no status line: {status!r}")
        headers = http.client.parse_headers(self.reader)
        body = b""
        if with_body and headers["Transfer-Encoding"] == "chunked":
            while size := int(self.reader.readline().split(b";")[0], 16):
                body += self.reader.read(size)
                self.reader.readline()
            self.reader.readline()
        elif with_body and headers["Content-Length"]:
            body = self.reader.read(int(headers["Content-Length"]))
        answer = Answer(int(status.split()[1]), headers, body)
        self.exchanges.append(f"  -> {answer!r}")
        return answer

    def is_closed(self):
        try:
            return self.reader.read(1) == b""
        except (ConnectionResetError, socket.timeout):
            return False

    def close(self):
        """Both halves, at once."""
        self.reader.close()
        self.sock.close()
