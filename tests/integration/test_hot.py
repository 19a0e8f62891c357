#!/usr/bin/env python3
"""Hot functions (format "http") in real containers, with a function that misbehaves as it is told; and large bodies.

time limit: 300 s
"""

import contextlib
import http.client
import os
import random
import re
import signal
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import harness
from harness import BUILD, check, equal, wait_for

ENVIRONMENT = {"FERRITE_MEMORY_TOTAL": "512MiB", "FERRITE_API_THREADS": "2", "FERRITE_MAX_OUTPUT_BYTES": "8MiB"}
POISON = "1000"  # ms: long after the answer, long before any time-out here


def service():
    return harness.shared


def image(name="hot:latest", **config):
    function = (BUILD / "tests/integration/hot/function").read_bytes()
    return harness.oci_archive(
        [harness.tar_bytes({"function": function})],
        {"Entrypoint": ["/function"], "WorkingDir": "/", "Env": ["OF_IMAGE=1"], **config}, name,
    )


def route(path, **more):
    """A fresh function on a path of the app "hot"."""
    settings = {"format": "http", "memory": 32, "timeout": 20, **more}
    if not any(i["name"].startswith("hot") for i in service().request("GET", "/v1/images").json["images"]):
        service().import_image("hot:latest", image())
    service().request("DELETE", f"/v1/apps/hot/routes{path}")
    service().create_route("hot", path, "hot:latest", **settings)
    return path


def do(path, command, body=b"", **more):
    return service().call("hot", path, body, {"X-Do": command}, **more)


def who(path):
    """The name of the instance that answers, and the calls it has served."""
    answer = do(path, "who")
    equal(answer.status, 200, answer.text)
    name, served = answer.text.split()
    return name, int(served)


def failed(answer, status, text):
    equal(answer.status, status, answer.text)
    check(text in answer.message, answer.text)
    check(re.fullmatch(r"[0-9a-f-]{36}", answer.json["request_id"]), answer.text)


def instances(path):
    return [i for i in service().instances() if i["route"] == path]


def states(path):
    return sorted(i["state"] for i in instances(path))


def replaced(path, before):
    """The function serves on, with another instance that has served nobody yet."""
    name, served = who(path)
    check(name != before, f"the instance {before} served again")
    equal(served, 1, "calls of the new instance")


# --- the bytes ----------------------------------------------------------------------------------------------------


def test_request_bytes():
    service().request("POST", "/v1/apps", {"app": {"name": "hot", "config": {"APP-KEY": "fromapp"}}})
    path = route("/bytes", config={"low": "x"})
    for first in (True, False):
        answer = service().request("POST", "/r/hot/bytes?q=1", b"the body", {"X-Do": "request", "X-Foo": "bar"})
        lines = [
            "GET / HTTP/1.1", "App_key: fromapp", "Content-Length: 8", *(["Fn_format: http"] if first else []),
            "Header_accept_encoding: identity", "Header_content_length: 8", "Header_x_do: request",
            "Header_x_foo: bar", "Low: x", "Method: POST", "Request_url: http://localhost/r/hot/bytes?q=1",
            "Route: /bytes", f"Task-Id: {answer.headers['Ferrite-Call-Id']}", "", "the body",
        ]
        equal(answer.text, "\r\n".join(lines), "request")
    answer = service().request("GET", "/r/hot/bytes?payload=a%20b", headers={"X-Do": "request"})
    check("\r\nContent-Length: 3\r\n" in answer.text and answer.text.endswith("\r\n\r\na b"), answer.text)
    equal(len(instances(path)), 1, "instances")


def test_environment_has_no_caller():
    path = route("/environment", config={"K": "v"})
    answer = do(path, "env", method="PUT", tcp=True)
    names = {line.split("=")[0] for line in answer.text.split()}
    equal(names, {"PATH", "HOSTNAME", "HOME", "OF_IMAGE", "APP_KEY", "K", "FN_FORMAT"}, "environment")
    check("FN_FORMAT=http\n" in answer.text and "K=v\n" in answer.text, answer.text)


def test_answers():
    path = route("/answers", headers={"X-Route": ["route"], "X-Only": ["1"]})
    answer = do(path, "headers 418")
    equal((answer.status, answer.text), (418, "abcdefg"), "answer")
    wanted = {"Content-Type": "text/x-own", "X-Function": "yes", "X-Route": "route", "X-Only": "1",
              "Content-Length": "7", "X-Hop": None, "X-Trailer": None, "Keep-Alive": None, "Transfer-Encoding": None}
    equal({name: answer.headers[name] for name in wanted}, wanted, "headers")
    equal((do(path, "no-content 204").status, do(path, "no-content 304").status), (204, 304), "answers without a body")
    equal((do(path, "continue").text, do(path, "old").text), ("ok", "old"), "interim answers and HTTP/1.0")
    equal(service().call("hot", path, b"", {"X-Do": "big 5"}, method="HEAD").status, 200, "HEAD")
    equal(len(do(path, f"big {8 << 20}").body), 8 << 20, "a large answer")
    equal(who(path)[1], 8, "all of one instance")


def test_timing_and_state():
    path = route("/timing")
    kinds = [do(path, "").headers["Server-Timing"].split("desc=")[1].split(";")[0] for _ in range(3)]
    check(kinds[0] in ("cold", "warm") and kinds[1:] == ["hot", "hot"], f"starts {kinds}")
    wait_for(lambda: states(path) == ["idle"], "idle")
    check(" idle " in service().command("ps").stdout, "ferrite ps")


# --- what functions do wrong --------------------------------------------------------------------------------------


def test_failures_are_told_at_once_and_replace_the_instance():
    path = route("/wrong", timeout=100)
    for command, status, text in (
        ("exit 3", 500, "exit code 3"), ("exit 0", 502, "ended before its answer was complete"),
        ("exit-mid 4", 500, "exit code 4"), ("exit-mid 0", 502, "ended before its answer was complete"),
        ("garbage", 502, "no HTTP answer"), ("close-output", 502, "closed its input or output"),
        (f"big {(8 << 20) + 1}", 502, "too large"),
    ):
        before = who(path)[0]
        failed(do(path, command), status, text)
        replaced(path, before)


def test_sec_L4_answers_that_end_an_instance():
    path = route("/last", timeout=100)
    for command, text in (("until-close", "until the end"), ("short", "abc"), ("exit-after 1", None), ("exit-after 0", None)):
        before = who(path)[0]
        answer = do(path, command)
        equal(answer.status, 200, f"{command}: {answer.text}")
        check(answer.text.startswith(text or before), f"{command}: {answer.text}")
        replaced(path, before)


def test_body_that_is_not_read():
    path = route("/unread", timeout=100)
    before = who(path)[0]
    answer = do(path, "unread", b"x" * (3 << 20))
    equal((answer.status, answer.text), (200, f"{before} 2"), "answer")
    replaced(path, before)


def test_rest_of_a_request_stays_with_its_instance():
    # Read byte by byte, so that what is left is in the pipe, or has not come that far, and not with the function.
    path = route("/rest", config={"READS": "1"}, timeout=100)
    for size, part in ((1, 0), (1000, 999), (60000, 0), (1 << 18, 1 << 16), (3 << 20, 0)):
        before = who(path)[0]
        answer = do(path, f"part {part}", b"x" * size)
        equal((answer.status, answer.text.split()[0]), (200, before), f"answer after {part} of {size} bytes")
        replaced(path, before)


def test_timeout():
    path = route("/timeout", timeout=1, headers={"X-Route": ["1"]})
    for command in ("silent", "long"):
        before = who(path)[0]
        answer = do(path, command)
        failed(answer, 504, "Timed out")
        equal(answer.headers["X-Route"], "1", "the route's header")
        replaced(path, before)


def test_sec_L5_output_that_nobody_asked_for():
    path = route("/unasked", timeout=100)
    before = who(path)[0]
    do(path, f"late {POISON}")
    # It is sent into the pipe while the function sleeps: what it writes then is no answer to this.
    replaced(path, before)
    path = route("/speaks", config={"AT_START": "speak"}, timeout=100)
    failed(do(path, "who"), 502, "wrote before it was asked")


def test_sec_L5_idle_instance_that_speaks_or_ends():
    path = route("/idle", timeout=100)
    before = who(path)[0]
    do(path, "late 0")
    wait_for(lambda: not instances(path), "the poisoned instance is gone")
    replaced(path, before)
    before = who(path)[0]
    os.kill(instances(path)[0]["pid"], signal.SIGKILL)
    wait_for(lambda: not instances(path), "the killed instance is gone")
    replaced(path, before)


def test_sec_L5_no_answer_goes_to_another_caller():
    """Callers of whom a third make the function misbehave, or go away: each of the others gets its own bytes."""
    path = route("/mixed", config={"READS": "1"}, timeout=60, max_concurrency=3)
    # Each leaves bytes of its request or of an answer behind, or an instance that is about to end.
    trouble = ("short", "late 0", "late 2", "part 0", "part 7", "exit-after 0", "die-on-next",
               "until-close", "exit 3", "exit-mid 0", "garbage", "murmur")

    def vanish(body):
        connection = service().connection(tcp=True)
        connection.request("POST", f"/r/hot{path}", body, {"X-Do": "sleep 5"})
        connection.close()

    def call(caller):
        dice = random.Random(caller)
        for n in range(100):
            body = f"{caller}/{n} {'x' * dice.randrange(10, 300)}".encode()
            kind = dice.random()
            if kind < 0.1:
                vanish(body)
            elif kind < 0.35:
                do(path, dice.choice(trouble), body, tcp=True)
            else:
                answer = do(path, "echo", body, tcp=True)
                equal((answer.status, answer.text), (200, body.decode()), f"answer to {body[:10]}")

    at_once(8, call)


def reads_input(path):
    """Whether a function of the route has its standard input open."""
    inits = [i["pid"] for i in service().instances() if i["route"] == path]
    return any(os.path.lexists(f"/proc/{pid}/fd/0") for init in inits for pid in harness.children_of(init))


def test_call_that_nobody_read_is_tried_again():
    path = route("/again", timeout=100)
    before = who(path)[0]
    for command in ("die-on-next", "close-input"):
        do(path, command)
        # It answers first: a call that came before its input is closed would be lost in it, which nobody can tell.
        if command == "close-input":
            wait_for(lambda: not reads_input(path), "it closed its input")
        replaced(path, before)
        before = who(path)[0]
    path = route("/never", config={"AT_START": "exit"}, timeout=100)
    failed(do(path, "who"), 500, "exit code 5")
    equal(len(re.findall(r"msg=\"call failed\".*path=/never", service().log())), 1, "failures in the log")


def test_vanished_client():
    path = route("/vanish", timeout=100)
    before = who(path)[0]
    connection = service().connection(tcp=True)
    connection.request("POST", f"/r/hot{path}", b"", {"X-Do": "sleep 60000"})
    wait_for(lambda: states(path) == ["busy"], "the call runs")
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(who, path)
        connection.close()
        name, served = waiting.result()
    check(name != before and served == 1, "the next in line got a fresh instance")


# --- the pool -----------------------------------------------------------------------------------------------------


def at_once(n, act):
    with ThreadPoolExecutor(n) as pool:
        return [f.result() for f in [pool.submit(act, i) for i in range(n)]]


def test_concurrency():
    path = route("/many", max_concurrency=3)
    answers = at_once(9, lambda i: do(path, "sleep 50", tcp=True))
    equal({a.status for a in answers}, {200}, "status")
    counts = {}
    for answer in answers:
        name = answer.text.split()[0]
        counts[name] = counts.get(name, 0) + 1
    equal(len(counts), 3, f"instances: {counts}")
    equal(states(path), ["idle"] * 3, "instances")


def test_one_serves_calls_of_all_loops():
    path = route("/shared")
    names = {who(path)[0]}
    # Connections land in either loop; each call finds the one instance, wherever it was.
    for _ in range(40):
        answer = do(path, "who", tcp=True)
        equal(answer.status, 200, answer.text)
        names.add(answer.text.split()[0])
    equal(len(names), 1, "instances")
    answers = at_once(16, lambda i: [do(path, "who", tcp=True).text.split()[0] for _ in range(25)])
    equal({name for part in answers for name in part}, names, "instances")


def test_line_is_in_order():
    path = route("/order", timeout=60)
    with ThreadPoolExecutor(12) as pool:
        first = pool.submit(do, path, "sleep 2000")
        wait_for(lambda: states(path) == ["busy"], "the first runs")
        calls = []
        for i in range(10):
            calls.append(pool.submit(do, path, "who", tcp=True))
            wait_for(lambda i=i: service().request("GET", "/stats").json["Queue"] == i + 1, f"call {i} waits")
        equal(first.result().status, 200, "the first")
        equal([int(c.result().text.split()[1]) for c in calls], list(range(2, 12)), "order of service")


def test_line_is_bounded_in_length_and_time():
    with harness.Service(environment={"FERRITE_MAX_WAITING": "2"}) as own:
        own.import_image("hot:latest", image())
        own.create_route("hot", "/h", "hot:latest", format="http", timeout=3)
        with ThreadPoolExecutor(3) as pool:
            pool.submit(own.call, "hot", "/h", b"", {"X-Do": "sleep 2500"})
            wait_for(lambda: own.request("GET", "/stats").json["Running"] == 1, "one runs")
            waiting = [pool.submit(own.call, "hot", "/h", b"", {"X-Do": "sleep 2500"}) for _ in range(2)]
            wait_for(lambda: own.request("GET", "/stats").json["Queue"] == 2, "two wait")
            answer = own.call("hot", "/h", b"")
            failed(answer, 503, "The runner queue is full")
            equal(answer.headers["Retry-After"], "1", "Retry-After")
            answers = sorted((f.result() for f in waiting), key=lambda a: a.status)
            equal(answers[0].status, 200, answers[0].text)
            failed(answers[1], 504, "Timed out")


def test_change_of_route_app_and_image():
    path = route("/change")
    before = who(path)[0]
    for method, where, what in (
        ("PATCH", "/v1/apps/hot/routes/change", {"route": {"config": {"NEW": "1"}}}),
        ("PATCH", "/v1/apps/hot", {"app": {"config": {"MORE": "1"}}}),
    ):
        equal(service().request(method, where, what).status, 200, where)
        replaced(path, before)
        before = who(path)[0]
        wait_for(lambda: len(instances(path)) == 1, "the old instance is gone")
    service().import_image("hot:latest", image(Env=["OF_IMAGE=2"]))
    replaced(path, before)
    check("OF_IMAGE=2\n" in do(path, "env").text, "the new image")
    wait_for(lambda: len(instances(path)) == 1, "the old instance is gone")
    service().request("DELETE", "/v1/apps/hot/routes/change")
    wait_for(lambda: not instances(path), "the instance of a deleted route is gone")


def test_busy_instance_of_a_changed_route_ends_after_its_call():
    path = route("/swap")
    with ThreadPoolExecutor(1) as pool:
        busy = pool.submit(do, path, "sleep 1500")
        wait_for(lambda: states(path) == ["busy"], "the call runs")
        service().request("PATCH", "/v1/apps/hot/routes/swap", {"route": {"config": {"NEW": "1"}}})
        name = who(path)[0]
        answer = busy.result()
    equal(answer.status, 200, answer.text)
    check(answer.text.split()[0] != name, "two pools")
    wait_for(lambda: states(path) == ["idle"], "one is left")


def test_idle_timeout():
    path = route("/short", idle_timeout=1)
    who(path)
    equal(len(instances(path)), 1, "instances")
    wait_for(lambda: not instances(path), "idle instances end")
    equal(service().request("GET", "/stats").json["Running"], 0, "running")


def frozen(path):
    found = [i["cgroup"] for i in instances(path)]
    top = "/sys/fs/cgroup" if os.path.exists("/sys/fs/cgroup/cgroup.controllers") else "/sys/fs/cgroup/unified"
    texts = []
    for group in found:
        with open(f"{top}/{group}/cgroup.events", encoding="ascii") as file:
            texts.append(file.read())
    return bool(texts) and all("frozen 1" in text for text in texts)


def test_idle_instances_are_frozen():
    path = route("/frozen", timeout=100)
    before = who(path)[0]
    for served in (2, 3):
        wait_for(lambda: frozen(path), "the idle instance is frozen")
        equal(who(path), (before, served), "it goes on")
    # From another loop, too.
    wait_for(lambda: frozen(path), "the idle instance is frozen")
    equal({do(path, "who", tcp=True).text.split()[0] for _ in range(12)}, {before}, "instances")
    wait_for(lambda: frozen(path), "the idle instance is frozen")
    os.kill(instances(path)[0]["pid"], signal.SIGKILL)
    wait_for(lambda: not instances(path), "the killed instance is gone")
    replaced(path, before)
    wait_for(lambda: frozen(path), "the idle instance is frozen")
    service().request("DELETE", "/v1/apps/hot/routes/frozen")
    wait_for(lambda: not instances(path), "the instance of a deleted route is gone")


def saxpy(path):
    """Calls the example; returns how it was started."""
    answer = service().call("hot", path, '{"a": 2, "x": [1, 2], "y": [1, 1]}', {"Content-Type": "application/json"})
    equal((answer.status, answer.json), (200, {"y": [3, 5]}), "answer")
    return answer.timing()["kind"]


def test_cuda_bundle_keeps_its_instance():
    service().deploy(BUILD / "examples/saxpy", "hot", "--path", "/saxpy")
    where = "/v1/apps/hot/routes/saxpy"
    service().request("PATCH", where, {"route": {"format": "http", "memory": 64}})
    check(saxpy("/saxpy") != "hot", "the first has to start")
    equal({saxpy("/saxpy") for _ in range(5)}, {"hot"}, "starts")
    equal(service().call("hot", "/saxpy", "nonsense").status, 400, "a bad request")
    equal(saxpy("/saxpy"), "hot", "start after a bad request")
    service().request("DELETE", where)


def test_idle_instances_give_up_their_gpu():
    total = service().request("GET", "/v1/gpus").json["gpus"][0]["memory_total"] >> 20
    image_name = next(i["name"] for i in service().request("GET", "/v1/images").json["images"] if "saxpy" in i["name"])
    wish = {"count": 1, "memory": f"{total * 6 // 10}MiB"}
    paths = ("/share1", "/share2")
    for path in paths:
        service().create_route("hot", path, image_name, format="http", memory=64, gpu=wish)
    # Each takes more than half of the device: one of them has to make room for the other, every time.
    for path in paths * 2:
        check(saxpy(path) != "hot", "there was no room for both")
        equal(saxpy(path), "hot", "start of the second call")
    for path in paths:
        service().request("DELETE", f"/v1/apps/hot/routes{path}")


def test_idle_instances_make_room():
    path = route("/small", max_concurrency=3, memory=100)
    at_once(3, lambda i: do(path, "sleep 100"))
    equal(len(instances(path)), 3, "instances")
    big = route("/large", memory=300)
    equal(who(big)[1], 1, "a call that needs the room")
    wait_for(lambda: len(instances(path)) < 3, "some made room")


def test_call_that_waits_for_memory_takes_what_gets_free():
    path = route("/tight", max_concurrency=2, memory=400)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(do, path, "sleep 1500")
        wait_for(lambda: states(path) == ["busy"], "the first runs")
        second = pool.submit(do, path, "who")
        name = first.result().text.split()[0]
        equal(second.result().text, f"{name} 2", "the second had the same instance")


def test_lost_server():
    path = route("/lost", timeout=60)
    who(path)
    with ThreadPoolExecutor(2) as pool:
        running = pool.submit(do, path, "sleep 30000")
        wait_for(lambda: states(path) == ["busy"], "the call runs")
        waiting = pool.submit(do, path, "who")
        wait_for(lambda: service().request("GET", "/stats").json["Queue"] == 1, "one waits")
        os.kill(service().servers()["ferrite-sandbox"], signal.SIGKILL)
        failed(running.result(), 502, "ferrite-sandbox ended")
        answer = waiting.result()
        equal((answer.status, answer.text.split()[1]), (200, "1"), "the one that waited")


def test_drain_ends_idle_instances():
    with harness.Service() as own:
        own.import_image("hot:latest", image())
        own.create_route("hot", "/h", "hot:latest", format="http", max_concurrency=2)
        equal(own.call("hot", "/h", b"x").text, "x", "answer")


# --- large bodies -------------------------------------------------------------------------------------------------


def fnv(part, n):
    value = 14695981039346656037
    for byte in part * n:
        value = ((value ^ byte) * 1099511628211) % (1 << 64)
    return f"{value:016x}"


def rss_of(name):
    with open(f"/proc/{service().servers()[name]}/status", encoding="ascii") as status:
        return int(re.search(r"VmRSS:\s+(\d+)", status.read()).group(1)) << 10


def test_body_is_whole():
    path = route("/whole")
    part = os.urandom(1000)
    for n in (0, 1, 1000, 1048, 1049, 3000):
        answer = do(path, "sum 20", part * n)
        equal(answer.text, f"{n * 1000} {fnv(part, n)}", f"{n} kB")
        answer = service().call("hot", path, iter([part] * n), {"X-Do": "sum"}, method="POST")
        equal(answer.text, f"{n * 1000} {fnv(part, n)}", f"{n} kB in chunks")


def test_gigabyte():
    hot, cold = route("/gigabyte", timeout=200), "/cold"
    service().import_image("wc:latest", harness.shell_image("wc -c", "wc:latest"))
    service().create_route("hot", cold, "wc:latest", memory=64, timeout=200)
    part = b"x" * (1 << 20)
    who(hot)
    before, highest, stop = rss_of("ferrite-api"), [0], threading.Event()

    def watch():
        while not stop.wait(0.02):
            highest[0] = max(highest[0], rss_of("ferrite-api"))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        sent = {"X-Do": "sum", "Content-Length": str(1 << 30)}
        answer = service().call("hot", hot, iter([part] * 1024), sent, method="POST", timeout=200)
        equal(answer.text.split()[0], str(1 << 30), "hot")
        answer = service().call("hot", cold, iter([part] * 1024), {"Content-Length": str(1 << 30)}, method="POST", timeout=200)
        equal(answer.text.strip(), str(1 << 30), "cold")
    finally:
        stop.set()
        watcher.join()
    check(highest[0] - before < 32 << 20, f"ferrite-api grew from {before} to {highest[0]} bytes")


def test_slow_sender_holds_no_container():
    path = route("/slow")
    connection = socket.create_connection(("127.0.0.1", service().port))
    with contextlib.closing(connection):
        head = f"POST /r/hot{path} HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n"
        connection.sendall(head.encode() + b"ab")
        wait_for(lambda: who(path)[1] == 3, "others are served meanwhile")
        connection.sendall(b"cd")
        response = http.client.HTTPResponse(connection)
        response.begin()
        equal((response.status, response.read()), (200, b"abcd"), "answer")


def test_body_bounds():
    settings = {"FERRITE_MAX_BODY_BYTES": "2MiB", "FERRITE_MAX_SPOOL_BYTES": "3MiB"}
    with harness.Service(environment=settings) as own:
        own.import_image("hot:latest", image())
        own.create_route("hot", "/h", "hot:latest", format="http", max_concurrency=2)
        body = b"x" * (2 << 20)
        equal(own.call("hot", "/h", body + b"x").status, 413, "too large by its length")
        equal(own.call("hot", "/h", iter([body, b"x"]), method="POST").status, 413, "too large in chunks")
        held = own.connection(tcp=True)
        with contextlib.closing(held):
            held.putrequest("POST", "/r/hot/h")
            held.putheader("Content-Length", str(2 << 20))
            held.endheaders(body[:-1])
            files = f"/proc/{own.servers()['ferrite-api']}/fd"
            wait_for(lambda: (2 << 20) - 1 in sizes(files), "the body is in a file")
            answer = own.call("hot", "/h", body)
            failed(answer, 503, "Too many requests")
            held.send(b"x")
            equal(harness.Answer(held.getresponse()).status, 200, "the one that was there first")
        equal(own.call("hot", "/h", body).status, 200, "there is room again")
        # The answer goes out before the call gives back what it held.
        wait_for(lambda: 2 << 20 not in sizes(files), "the end of the last open file")
        check(not list(own.state_dir.glob("**/upload-*")), "no file has a name")


def sizes(folder):
    found = []
    for entry in os.listdir(folder):
        with contextlib.suppress(OSError):
            found.append(os.stat(f"{folder}/{entry}").st_size)
    return found


if __name__ == "__main__":
    harness.run(globals(), harness.Service(environment=ENVIRONMENT))
