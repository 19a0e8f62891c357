"""HTTP clients of other makes, each with its own ideas of chunks, kept connections and Expect.

Every client gets the same order: a list of requests that it sends one after the other over what it believes to be one
connection, or all at once. It returns an Answer for each, with "reused": whether the connection was used before (None
where the client does not say).
"""

import base64
import contextlib
import http.client
import json
import os
import shutil
import socket
import subprocess
import tempfile
import threading
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from email.message import Message
from pathlib import Path
from urllib.parse import urlsplit

from services import harness
from suite import ANSWER_S, Answer, Skip, check

FOLDER = Path(__file__).resolve().parent / "clients"


def need(program):
    path = shutil.which(program)
    if not path:
        raise Skip(f"{program} is not installed: tools/setup test")
    return path


def run(command, data=b""):
    """What a program printed. The harness is told of it: it takes children that it does not know for lost ones."""
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        harness.own_children.add(process.pid)
        try:
            output, complaint = process.communicate(data, timeout=ANSWER_S)
        except subprocess.TimeoutExpired:
            process.kill()
            raise AssertionError(f"{command[0]} did not end within {ANSWER_S} s") from None
    check(process.returncode == 0, f"{command[0]} ended with {process.returncode}: {complaint.decode(errors='replace')}")
    return output


def pieces(data, size=1000):
    return [data[at:at + size] for at in range(0, len(data), size)]


def made_answer(status, headers, body, reused):
    message = Message()
    for name, value in headers.items():
        message[name] = value
    answer = Answer(status, message, body)
    answer.reused = reused
    return answer


# --- programs that take the order as JSON ---------------------------------------------------------------------------


def run_program(command, base, requests, parallel):
    order = {"base": base, "parallel": parallel, "requests": [
        {"method": r.method, "path": r.path, "headers": r.headers, "body": base64.b64encode(r.body or b"").decode(), "how": r.how}
        for r in requests
    ]}
    answers = json.loads(run(command, json.dumps(order).encode()))
    return [made_answer(a["status"], a["headers"], base64.b64decode(a["body"] or ""), a["reused"]) for a in answers]


_go_lock = threading.Lock()
_go_program = None


def go_program():
    """Built once in a run; the go command's own cache keeps the result for the next one."""
    global _go_program
    with _go_lock:
        if _go_program is None:
            folder = harness.BUILD / "tests" / "conformance"
            folder.mkdir(parents=True, exist_ok=True)
            program = folder / "client-go"
            environment = {**os.environ, "GO111MODULE": "off", "GOPROXY": "off", "GOFLAGS": "", "GOCACHE": str(folder / "go-cache"), "CC": "gcc"}
            subprocess.run([need("go"), "build", "-o", program, FOLDER / "client.go"], check=True, env=environment)
            _go_program = program
    return _go_program


def by_go(base, requests, parallel=False):
    return run_program([go_program()], base, requests, parallel)


def by_node_http(base, requests, parallel=False):
    return run_program([need("node"), FOLDER / "client.js", "http"], base, requests, parallel)


def by_node_fetch(base, requests, parallel=False):
    return run_program([need("node"), FOLDER / "client.js", "fetch"], base, requests, parallel)


# --- curl -----------------------------------------------------------------------------------------------------------


def curl_arguments(folder, number, base, request):
    words = ["-s", "-S", "-D", f"{folder}/head-{number}", "-w", "%{http_code} %{num_connects}\n",
             "--path-as-is", "--max-time", str(ANSWER_S)]
    for name, value in request.headers.items():
        words += ["-H", f"{name}: {value}"]
    if request.method == "HEAD":
        words += ["-I", "-o", "/dev/null"]  # -I writes the header where the body goes
    else:
        words += ["-X", request.method, "-o", f"{folder}/body-{number}"]
    if request.body:
        (folder / f"request-{number}").write_bytes(request.body)
        words += ["--data-binary", f"@{folder}/request-{number}"]
        # curl asks with Expect by itself for a long body; here only where the case wants it.
        words += ["-H", {"chunked": "Transfer-Encoding: chunked", "expect": "Expect: 100-continue", "length": "Expect:"}[request.how]]
        if not any(name.lower() == "content-type" for name in request.headers):
            words += ["-H", "Content-Type:"]
    return [*words, base + request.path]


def curl_answer(folder, number, status, connects):
    head = (folder / f"head-{number}").read_bytes()
    # Interim answers come before the last one.
    lines = [part for part in head.replace(b"\r\n", b"\n").split(b"\n\n") if part][-1].decode("latin-1").split("\n")[1:]
    headers = dict(line.split(": ", 1) for line in lines if ": " in line)
    body = folder / f"body-{number}"
    answer = made_answer(status, headers, body.read_bytes() if body.exists() else b"", connects == 0)
    answer.interim = b" 100 " in head
    return answer


def by_curl(base, requests, parallel=False):
    curl = need("curl")
    with tempfile.TemporaryDirectory(prefix="ferrite-test-") as name:
        folder = Path(name)
        arguments = [curl_arguments(folder, number, base, request) for number, request in enumerate(requests)]
        if parallel:
            commands = [[curl, *words] for words in arguments]
        else:
            commands = [[curl, *(word for number, words in enumerate(arguments) for word in ([*(["--next"] if number else []), *words]))]]
        with ThreadPoolExecutor(len(commands)) as pool:
            outputs = list(pool.map(run, commands))
        results = [line.split() for output in outputs for line in output.decode().splitlines()]
        return [curl_answer(folder, number, int(status), int(connects)) for number, (status, connects) in enumerate(results)]


# --- Python ---------------------------------------------------------------------------------------------------------


def python_request(connection, request):
    fresh = connection.sock is None
    if request.how == "chunked":
        connection.request(request.method, request.path, iter(pieces(request.body)), {**request.headers, "Transfer-Encoding": "chunked"}, encode_chunked=True)
    elif request.how == "expect":
        connection.putrequest(request.method, request.path)
        for name, value in {**request.headers, "Expect": "100-continue", "Content-Length": str(len(request.body))}.items():
            connection.putheader(name, value)
        connection.endheaders()
        first = connection.sock.recv(12, socket.MSG_PEEK)
        if first.endswith(b" 100"):
            connection.send(request.body)
    else:
        connection.request(request.method, request.path, request.body, request.headers)
    response = connection.getresponse()
    return made_answer(response.status, dict(response.getheaders()), response.read(), not fresh)


def by_python_http(base, requests, parallel=False):
    def some(chosen):
        with contextlib.closing(http.client.HTTPConnection(urlsplit(base).netloc, timeout=ANSWER_S)) as connection:
            return [python_request(connection, request) for request in chosen]

    if not parallel:
        return some(requests)
    with ThreadPoolExecutor(len(requests)) as pool:
        return [answer for answers in pool.map(lambda request: some([request]), requests) for answer in answers]


class NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_):
        return None


def by_urllib(base, requests, parallel=False):
    opener = urllib.request.build_opener(NoRedirect, urllib.request.ProxyHandler({}))

    def one(request):
        body = iter(pieces(request.body)) if request.how == "chunked" else request.body
        asked = urllib.request.Request(base + request.path, body, request.headers, method=request.method)
        try:
            response = opener.open(asked, timeout=ANSWER_S)
        except urllib.error.HTTPError as error:
            response = error
        with response:
            return made_answer(response.status, dict(response.headers.items()), response.read(), None)

    if not parallel:
        return [one(request) for request in requests]
    with ThreadPoolExecutor(len(requests)) as pool:
        return list(pool.map(one, requests))


# What each can do beyond plain requests: "reuse" (it says whether the connection was kept), "expect".
CLIENTS = {
    "curl": (by_curl, {"reuse", "expect"}),
    "python_http": (by_python_http, {"reuse", "expect"}),
    "urllib": (by_urllib, set()),
    "node_http": (by_node_http, {"reuse", "expect"}),
    "node_fetch": (by_node_fetch, set()),
    "go": (by_go, {"reuse", "expect"}),
}
