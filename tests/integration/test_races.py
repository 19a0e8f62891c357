#!/usr/bin/env python3
"""What happens to ferrite-api at the same time: calls, changes, reloads, clients and servers that go away.

Made for `make check-tsan`, where ferrite-api is built with ThreadSanitizer and the harness fails a test for a report;
useful without it, for everything must be given back in the end.

time limit: 300 s
"""

import contextlib
import http.client
import os
import random
import signal
import socket
import threading
import time

import harness
from harness import check, equal, shell_image, wait_for

SECONDS = float(os.environ.get("FERRITE_RACE_SECONDS", "8"))
SETTINGS = {"FERRITE_MEMORY_TOTAL": "1GiB", "FERRITE_API_THREADS": "4"}
CLOSED = (ConnectionError, FileNotFoundError, http.client.HTTPException)


class Together:
    """Runs functions again and again, each in a thread of its own, until the time is over."""

    def __init__(self, *acts):
        self.end = time.monotonic() + SECONDS
        self.problems = []
        self.threads = [threading.Thread(target=self.repeat, args=(act,)) for act in acts]

    def repeat(self, act):
        while time.monotonic() < self.end and not self.problems:
            try:
                act()
            except CLOSED:
                time.sleep(0.01)
            except Exception as problem:  # pylint: disable=broad-except
                self.problems.append(f"{act.__name__}: {problem!r}")

    def run(self):
        for thread in self.threads:
            thread.start()
        for thread in self.threads:
            thread.join()
        equal(self.problems, [], "problems")


def settled(service):
    """Nothing runs, waits or is held any more, and calls work."""

    def works():
        with contextlib.suppress(OSError, http.client.HTTPException):
            return service.call("race", "/echo", b"still here").body == b"still here"
        return False

    wait_for(works, "calls work again")
    wait_for(lambda: not service.instances(), "the instances have ended")

    def counters():
        stats = service.request("GET", "/stats").json
        return stats["Queue"], stats["Running"]

    # The list of instances forgets one before its call is answered.
    wait_for(lambda: counters() == (0, 0), f"no call is in the counters ({counters()})")


@contextlib.contextmanager
def prepared():
    with harness.Service(environment=SETTINGS) as service:
        service.import_image("race:1", shell_image("cat", "race:1"))
        service.import_image("sleep:1", shell_image("sleep 20", "sleep:1"))
        service.create_route("race", "/echo", "race:1", memory=64)
        service.create_route("race", "/big", "race:1", memory=700)
        service.create_route("race", "/sleep", "sleep:1", memory=64)
        yield service
        settled(service)


def call(service):
    path = random.choice(["/echo", "/echo", "/big"])
    text = os.urandom(random.choice([0, 10, 200000]))
    answer = service.call("race", path, text, tcp=True)
    check(answer.status in (200, 404, 500, 502, 503), f"status {answer.status}: {answer.text[:200]}")
    if answer.status == 200:
        equal(answer.body, text, "the answer")


def leave(service):
    """Closes at some moment: before the request is complete, in the line for memory, while the function runs."""
    path = random.choice(["/echo", "/big", "/sleep"])
    with socket.create_connection(("127.0.0.1", service.port), timeout=20) as s:
        s.sendall(f"POST /r/race{path} HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n".encode())
        s.sendall(random.choice([b"he", b"hello"]))
        time.sleep(random.choice([0, 0.001, 0.005, 0.02, 0.2]))


def change(service):
    number = random.randrange(4)
    answers = [
        service.request("POST", f"/v1/apps/r{number}/routes", {"route": {"path": "/a", "image": "race:1"}}),
        service.request("PATCH", "/v1/apps/race/routes/echo", {"route": {"config": {"K": str(number)}}}),
        service.request("DELETE", f"/v1/apps/r{number}/routes/a"),
        service.request("DELETE", f"/v1/apps/r{number}"),
    ]
    for answer in answers:
        check(answer.status in (200, 400, 404, 409), f"status {answer.status}: {answer.text[:200]}")


def look(service):
    for path in ("/v1/apps", "/v1/routes", "/v1/instances", "/v1/gpus", "/v1/images", "/healthz", "/stats"):
        answer = service.request("GET", path)
        check(answer.status in (200, 500, 502, 503), f"{path}: {answer.status}: {answer.text[:200]}")


def image_again(service):
    """The name means another image each time; what was opened before stays usable."""
    marker = f"cat # {random.random()}"
    answer = service.request("POST", "/v1/images?name=race:1", shell_image(marker, "race:1"))
    check(answer.status in (200, 409, 500, 502, 503), f"status {answer.status}: {answer.text[:200]}")


def reload(service):
    service.process.send_signal(signal.SIGHUP)
    time.sleep(0.02)


def acts(service, *functions):
    def bound(function):
        def act():
            function(service)

        act.__name__ = function.__name__
        return act

    return [bound(function) for function in functions]


def test_everything_at_once():
    with prepared() as service:
        Together(*acts(service, call, call, call, leave, leave, change, look, image_again, reload)).run()


def test_servers_that_go_away():
    def kill(service):
        time.sleep(0.7)
        pid = service.servers().get(random.choice(["ferrite-sandbox", "ferrite-rootfs", "ferrite-gpu"]))
        if pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    with prepared() as service:
        Together(*acts(service, call, call, leave, look, kill)).run()


def test_a_new_ferrite_gpu_knows_what_is_held():
    """Shares outlive the server that granted them, or their memory would be promised twice, and end with the holder."""
    def holders(service):
        with contextlib.suppress(OSError, http.client.HTTPException):
            answer = service.request("GET", "/v1/gpus")
            if answer.status == 200:
                return [[h[key] for key in ("grant", "label", "memory")] for g in answer.json["gpus"] for h in g["holders"]]
        return None

    with prepared() as service:
        service.create_route("race", "/gpu", "sleep:1", memory=64, gpu={"count": 1, "memory": "64MiB"})
        config = {"Entrypoint": ["/bin/sleep", "20"], "Env": ["NVIDIA_VISIBLE_DEVICES=void"]}
        service.import_image("void:1", harness.oci_archive([harness.busybox_layer()], config, "void:1"))
        service.create_route("race", "/void", "void:1", memory=64, gpu={"count": 1})
        callers = [service.connection(), service.connection()]
        callers[0].request("POST", "/r/race/gpu", b"")
        callers[1].request("POST", "/r/race/void", b"")
        wait_for(lambda: len(service.instances()) == 2, "the instances run")
        api = service.servers()["ferrite-api"]
        before = holders(service)
        equal([h[1:] for h in before], [["race/gpu", 64 << 20]], "holders")
        for _ in range(2):
            pid = service.servers()["ferrite-gpu"]
            os.kill(pid, signal.SIGKILL)
            wait_for(lambda pid=pid: service.servers().get("ferrite-gpu", pid) != pid, "a new ferrite-gpu")
            wait_for(lambda: holders(service) is not None, "the list of GPUs")
            equal(holders(service), before, "holders after the restart")
        equal(service.servers().get("ferrite-api"), api, "the api, which said nothing wrong")
        for caller in callers:
            caller.close()
        wait_for(lambda: holders(service) == [], "the share is given back")


def test_an_end_in_the_middle():
    """SIGTERM while calls run and clients come: what was accepted is answered or closed, and all of it ends."""
    for _ in range(3):
        with harness.Service(environment=SETTINGS) as service:
            service.import_image("race:1", shell_image("cat", "race:1"))
            service.create_route("race", "/echo", "race:1", memory=64)
            over = threading.Event()

            def caller(service=service, over=over):
                while not over.is_set():
                    with contextlib.suppress(*CLOSED):
                        answer = service.call("race", "/echo", b"x", tcp=True)
                        check(answer.status in (200, 502, 503), f"status {answer.status}")

            threads = [threading.Thread(target=caller) for _ in range(4)]
            for thread in threads:
                thread.start()
            time.sleep(0.5)
            try:
                equal(service.stop(), 0, "the exit status")
            finally:
                over.set()
                for thread in threads:
                    thread.join()


def test_long_names_fail_alone():
    """A name that no server takes is the fault of one call, not the end of the channel."""
    with prepared() as service:
        service.create_route("race", "/long", "x" * 20000)
        equal(service.call("race", "/long", b"").status, 500, "a call of an image with a name that is too long")
        answer = service.request("GET", "/v1/images/" + "x" * 20000)
        check(400 <= answer.status < 500, f"the look at an image with a name that is too long: {answer.status}")
        equal(service.call("race", "/echo", b"x").status, 200, "the next call")
        equal(service.request("GET", "/readyz").status, 200, "readiness")


harness.run(globals())
