#!/usr/bin/env python3
"""More than is reasonable of everything a client can do over HTTP. What has to hold: others are answered meanwhile, each
limit says what it is, and neither memory nor descriptors grow from one round to the next.

time limit: 240 s
"""

import contextlib
import json
import resource
import selectors
import socket
import threading
import time
from pathlib import Path

import harness
from harness import check, equal, fd_table, shell_image, wait_for

IDLE = 10000
SETTINGS = {
    "FERRITE_MEMORY_TOTAL": "256MiB", "FERRITE_MAX_OUTPUT_BYTES": "32MiB", "FERRITE_MAX_WAITING": "4", "FERRITE_API_THREADS": "2",
}
# A sanitizer keeps what was freed, and is slow.
SANITIZED = any(mark in (harness.BUILD / "libexec" / "ferrite-api").read_bytes() for mark in (b"__asan_init", b"__tsan_init"))
VERSION = b"GET /version HTTP/1.1\r\nHost: x\r\n\r\n"


def service():
    return harness.shared


def api():
    return service().servers()["ferrite-api"]


def pss():
    """What ferrite-api takes of the machine's memory, bytes."""
    for line in Path(f"/proc/{api()}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no Pss in smaps_rollup")


def sockets_of_its_own():
    """The sockets that ferrite-api has without any client: its connections of before may still be closing."""
    least, seen = 1 << 30, 0
    while seen < 50:
        now = fd_table(api())["socket:[N]"]
        least, seen = min(least, now), seen + 1 if now >= least else 0
        time.sleep(0.01)
    return least


def flat(act, what, slack=2 << 20):
    """Runs ACT three times. The first may leave caches behind; what it takes after that is a leak."""
    sockets = sockets_of_its_own()

    def settled():
        return wait_for(lambda: fd_table(api())["socket:[N]"] <= sockets and fd_table(api()), f"{what}: connections are closed")

    act()
    fds, first = settled(), pss()
    for _ in range(2):
        act()
    equal(settled(), fds, f"descriptors after {what}")
    wait_for(lambda: SANITIZED or pss() - first < slack, f"{what}: ferrite-api grew from {first} bytes, and shrinks again", 10)


def connect():
    return socket.create_connection(("127.0.0.1", service().port), timeout=30)


def answers(sock, count=1):
    """(status, headers, body) of COUNT answers in a row."""
    found, reader = [], sock.makefile("rb")
    for _ in range(count):
        line = reader.readline()
        check(line.startswith(b"HTTP/1.1 "), f"no answer but {line!r}")
        headers = harness.http.client.parse_headers(reader)
        found.append((int(line.split()[1]), headers, reader.read(int(headers["Content-Length"]))))
    return found


def is_alive():
    equal(service().request("GET", "/version", tcp=True).status, 200, "another client is answered")


_imported = set()


def function(path, script, **route):
    if path not in _imported:
        service().import_image(f"overload{path}:1", shell_image(script))
        _imported.add(path)
        service().create_route("o", path, f"overload{path}:1", **{"memory": 16, "timeout": 60, **route})


def idle_wanted():
    """As many as the service takes, and this process may open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 32768), max(hard, 32768)))
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    mine = resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 200
    return min(1000 if SANITIZED else IDLE, mine)


def test_idle_connections():
    wanted = idle_wanted()
    before = pss()

    def act():
        with contextlib.ExitStack() as stack:
            sockets = []
            for _ in range(wanted):
                sockets.append(stack.enter_context(connect()))
                sockets[-1].sendall(VERSION)
            for sock in sockets:
                equal(sock.recv(4096)[:15], b"HTTP/1.1 200 OK", "answer")
            each = (pss() - before) / wanted
            check(SANITIZED or each < 4096, f"an idle connection takes {each:.0f} bytes of ferrite-api")
            # At the limit of the service, new clients take the places of the longest idle ones.
            for _ in range(20):
                is_alive()
            open_yet = 0
            for sock in sockets[-100:]:
                sock.sendall(VERSION)
                open_yet += answers(sock)[0][0] == 200
            equal(open_yet, 100, "the latest are served on")
            print(f"     {wanted} idle connections: {each:.0f} bytes each")

    flat(act, f"{wanted} idle connections")


def test_many_new_connections():
    failures = []

    def client():
        for _ in range(500):
            try:
                with connect() as sock:
                    sock.sendall(b"GET /version HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                    equal(answers(sock)[0][0], 200, "status")
            except (OSError, AssertionError) as problem:
                failures.append(repr(problem))

    def act():
        threads = [threading.Thread(target=client) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        equal(failures, [], "connections that failed")

    flat(act, "2000 connections one after the other")


def test_clients_that_vanish():
    """At every stage of a request: each gives back what it held, and functions that nobody waits for are stopped."""
    function("/sleep", "sleep 60")
    cuts = (b"", b"GET", b"GET /r/o/sleep HTTP/1.1\r\nHo", b"POST /r/o/sleep HTTP/1.1\r\nContent-Length: 100000\r\n\r\nabc",
            b"POST /v1/apps HTTP/1.1\r\nContent-Length: 9\r\n\r\n{", b"GET /v1/apps HTTP/1.1\r\n\r\n" * 50)

    def act():
        for cut in cuts * 20:
            with connect() as sock:
                sock.sendall(cut)
        with contextlib.ExitStack() as stack:
            for _ in range(6):
                stack.enter_context(connect()).sendall(b"GET /r/o/sleep HTTP/1.1\r\nHost: x\r\n\r\n")
            wait_for(lambda: len(service().instances()) == 6, "six run")
        wait_for(lambda: service().instances() == [], "all were stopped")
        stats = service().request("GET", "/stats").json
        equal((stats["Queue"], stats["Running"]), (0, 0), "counters")

    flat(act, "clients that vanish")


def test_header_floods():
    message = json.loads('{"error":{"message":"The request header is too large"}}')
    floods = (b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 300, b"GET / HTTP/1.1\r\nX: " + b"y" * 200000, b"GET /" + b"y" * 200000)

    def act():
        for flood in floods * 10:
            with connect() as sock:
                with contextlib.suppress(ConnectionError):
                    sock.sendall(flood)
                status, headers, body = answers(sock)[0]
                equal((status, json.loads(body), headers["Connection"]), (431, message, "close"), "answer")
        is_alive()

    flat(act, "header floods")


def test_slow_senders():
    """Half a header is refused after its time; half a body is waited for longer. Nobody waits for either."""
    sockets = [connect() for _ in range(300)]
    for n, sock in enumerate(sockets):
        sock.sendall(b"POST /v1/apps HTTP/1.1\r\n" + (b"Content-Length: 100\r\n\r\n{" if n % 2 else b"X-Half: "))
    for _ in range(50):
        is_alive()
    for sock in sockets[0:10:2]:
        status, _, body = answers(sock)[0]
        equal((status, json.loads(body)), (408, {"error": {"message": "The request took too long to arrive"}}), "answer")
    sockets[1].sendall(b'"app":{}}' + b" " * 90)
    equal(answers(sockets[1])[0][0], 400, "half a body, then all of it")
    for sock in sockets:
        sock.close()


def test_slow_readers():
    size = 16 << 20
    function("/big", f"head -c {size} /dev/zero")

    def act():
        with contextlib.ExitStack() as stack:
            sockets = [stack.enter_context(connect()) for _ in range(4)]
            for sock in sockets:
                sock.sendall(b"GET /r/o/big HTTP/1.1\r\nHost: x\r\n\r\n")
            # Each is answered, that is, no function runs for it any more, and most of the answer is still ours.
            for sock in sockets:
                check(sock.recv(8, socket.MSG_PEEK), "no answer")
            wait_for(lambda: service().instances() == [], "the functions ended")
            is_alive()
            status, _, body = answers(sockets[0])[0]
            equal((status, len(body)), (200, size), "a slow reader gets all of it")

    flat(act, "slow readers")


def test_pipelining():
    def many():
        """As much as one likes, each answer in its turn, read by somebody who is in no hurry."""
        count = 5000
        with connect() as sock:
            sender = threading.Thread(target=sock.sendall, args=(VERSION * count,))
            sender.start()
            equal({status for status, _, _ in answers(sock, count)}, {200}, "answers")
            sender.join()

    def behind_a_call():
        """Behind a call that lasts only so much is read ahead: the rest stays with its sender, who is missed all the same."""
        connection = service().connection()
        connection.connect()
        with connection.sock as sock:
            sock.sendall(b"GET /r/o/sleep HTTP/1.1\r\nHost: x\r\n\r\n")
            wait_for(lambda: len(service().instances()) == 1, "it runs")
            sock.setblocking(False)
            sent = 0
            with selectors.DefaultSelector() as selector:
                selector.register(sock, selectors.EVENT_WRITE)
                while selector.select(0.5):
                    sent += sock.send(VERSION * 1000)
                    check(sent < 64 << 20, "the service reads without end")
            is_alive()
        wait_for(lambda: service().instances() == [], "it was stopped")

    function("/sleep", "sleep 60")
    flat(many, "pipelined requests")
    flat(behind_a_call, "requests behind a call")


def test_the_line_is_bounded():
    """Four may wait for memory; the next is told so at once, and when to come again."""
    function("/hold", "sleep 60", memory=200)
    with contextlib.ExitStack() as stack:
        for n in range(5):
            stack.enter_context(connect()).sendall(b"GET /r/o/hold HTTP/1.1\r\nHost: x\r\n\r\n")
            if n == 0:
                wait_for(lambda: len(service().instances()) == 1, "one runs")
        wait_for(lambda: service().request("GET", "/stats").json["Queue"] == 4, "four wait")
        answer = service().call("o", "/hold")
        equal((answer.status, answer.message), (503, "The runner queue is full"), "answer")
        check(answer.headers["Retry-After"], "no Retry-After")
    wait_for(lambda: service().request("GET", "/stats").json["Queue"] == 0, "the line is empty")
    wait_for(lambda: service().instances() == [], "it was stopped")


def test_answers_in_memory_are_bounded():
    """Functions that write much and do not end, then clients that do not read: some get through, others are told."""
    with harness.Service(environment={**SETTINGS, "FERRITE_MAX_BUFFERED_BYTES": "40MiB"}) as small, contextlib.ExitStack() as stack:
        small.import_image("overload:1", shell_image(f"head -c {16 << 20} /dev/zero; sleep 60"))
        small.import_image("overload:2", shell_image(f"head -c {16 << 20} /dev/zero"))
        small.create_route("o", "/write", "overload:1", memory=16, timeout=60)
        small.create_route("o", "/read", "overload:2", memory=16)

        def ask(path):
            sock = stack.enter_context(socket.create_connection(("127.0.0.1", small.port), timeout=30))
            sock.sendall(f"GET /r/o/{path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            return sock

        message = "Too many answers are being made, try again"
        writers = [ask("write") for _ in range(6)]
        with selectors.DefaultSelector() as selector:
            for sock in writers:
                selector.register(sock, selectors.EVENT_READ)
            told = [key.fileobj for key, _ in selector.select(30)]
        check(told, "nobody was told")
        status, headers, body = answers(told[0])[0]
        equal((status, json.loads(body)["error"]["message"], headers["Retry-After"]), (503, message, "1"), "answer")
        for sock in writers:
            sock.close()
        wait_for(lambda: small.instances() == [], "the writers are gone")
        equal(len(answers(ask("read"))[0][2]), 16 << 20, "there is room again")
        readers = [ask("read") for _ in range(12)]
        wait_for(lambda: small.instances() == [] and small.request("GET", "/stats").json["Queue"] == 0, "all ended")
        statuses = {sock.recv(12, socket.MSG_PEEK) for sock in readers}
        check(b"HTTP/1.1 503" in statuses and b"HTTP/1.1 200" in statuses, f"{statuses}")


def test_connections_are_bounded():
    """Where none is idle, a connection too many gets an answer."""
    with harness.Service(environment={**SETTINGS, "FERRITE_MAX_CONNECTIONS": "20"}) as small:
        def to_small():
            return socket.create_connection(("127.0.0.1", small.port), timeout=30)

        with contextlib.ExitStack() as stack:
            for _ in range(20):
                stack.enter_context(to_small()).sendall(b"GET / HTTP/1.1\r\nX: ")
            # What was sent is read soon, not at once.
            def refusal():
                with to_small() as sock:
                    sock.sendall(VERSION)
                    found = answers(sock)[0]
                    return found if found[0] != 200 else None

            status, headers, body = wait_for(refusal, "a refusal")
            equal((status, json.loads(body)), (503, {"error": {"message": "Too many connections, try again"}}), "answer")
            equal((headers["Retry-After"], headers["Connection"]), ("1", "close"), "headers")
        wait_for(lambda: small.request("GET", "/version", tcp=True).status == 200, "there is room again")


if __name__ == "__main__":
    harness.run(globals(), harness.Service(environment=SETTINGS))
