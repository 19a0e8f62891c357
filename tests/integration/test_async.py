#!/usr/bin/env python3
"""Asynchronous calls: accepted on the disk, run with what was frozen, acknowledged after the run, and lost by nothing.

time limit: 600 s
"""

import base64
import concurrent.futures
import contextlib
import http.client
import json
import os
import random
import re
import signal
import sqlite3
import threading
import time

import harness
from harness import Service, check, equal, wait_for

NO_TIME = "0001-01-01T00:00:00.000Z"
KILLS = int(os.environ.get("FERRITE_ASYNC_KILLS", "25"))
CALLERS = 4
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[1-5][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
# What a function writes goes to the log; so a run is a line there.
MARK = re.compile(r"msg=\"?ran:(\S+?)\"? .*user_log=\"?true")
ECHO = "read line; echo ran:$line"


def prepare(service, script=ECHO, path="/a", **more):
    service.import_image("async" + path, harness.shell_image(script, "async" + path))
    return service.create_route("q", path, "async" + path, **{"type": "async", **more})


def submit(service, body=b"x\n", path="/a", wanted=202, **more):
    answer = service.call("q", path, body, **more)
    equal(answer.status, wanted, f"call of {path} ({answer.text[:300]})")
    return answer.json["call_id"] if wanted == 202 else answer


def ran(service):
    """Every run in the log, in order."""
    return MARK.findall(service.log())


def wait_runs(service, wanted, what="the tasks run"):
    wait_for(lambda: set(ran(service)) >= set(wanted), what)


def depth(service):
    return service.request("GET", "/stats").json["Queue"]


def drained(service):
    stats = service.request("GET", "/stats").json
    return stats["Queue"] == 0 and stats["Running"] == 0


def reserve(service):
    answer = service.request("GET", "/tasks")
    equal(answer.status, 202, f"reservation ({answer.text[:300]})")
    return answer.json


def acknowledge(service, task):
    return service.request("DELETE", "/tasks", task)


def with_settings(**settings):
    return Service(environment={f"FERRITE_{key}": value for key, value in settings.items()})


def queue_owner(**settings):
    """A service that accepts, and runs nothing itself."""
    return with_settings(ASYNC_WORKERS="0", **settings)


@contextlib.contextmanager
def queue_of(service):
    """The file of a service that does not run."""
    with contextlib.closing(sqlite3.connect(queue_file(service))) as db, db:
        yield db


# --- the call -----------------------------------------------------------------------------------------------------


def test_a_call_is_accepted_and_runs(service):
    prepare(service)
    answer = service.call("q", "/a", b"one\n")
    equal(answer.status, 202, "status")
    equal(list(answer.json), ["call_id"], "keys")
    check(UUID.fullmatch(answer.json["call_id"]), f"no uuid: {answer.text}")
    equal(answer.headers["Content-Type"], "application/json; charset=utf-8", "content type")
    wait_runs(service, {"one"})
    wait_for(lambda: drained(service), "the queue is empty")
    check(answer.json["call_id"] in service.log(), "the log names the call")
    equal(ran(service), ["one"], "runs")


def test_variables_and_payload_are_frozen(service):
    script = 'echo "ran:$METHOD,$ROUTE,$K,$HEADER_X_FOO,$(wc -c),$REQUEST_URL"'
    prepare(service, script, config={"k": "old"})
    service.request("PATCH", "/v1/apps/q/routes/a", {"route": {"config": {"k": "new"}}})
    submit(service, b"12345", headers={"X-Foo": "bar"})
    submit(service, b"ignored", "/a?payload=12", method="GET")
    submit(service, b"1234567", method="PUT")
    wait_for(lambda: len(ran(service)) == 3, "three runs")
    equal(sorted(run.rsplit(",", 1)[0] for run in ran(service)),
          ["GET,/a,new,,2", "POST,/a,new,bar,5", "PUT,/a,new,,7"], "what the function saw")
    check("http://localhost/r/q/a?payload=12" in service.log(), "the whole URL")


def test_a_route_that_changed_or_went_away():
    with queue_owner() as service:
        prepare(service, "echo ran:old:$V", config={"V": "1"})
        service.import_image("async/new", harness.shell_image("echo ran:new:$V", "async/new"))
        first = submit(service)
        service.request("PATCH", "/v1/apps/q/routes/a", {"route": {"image": "async/new", "config": {"V": "2"}}})
        submit(service)
        service.request("DELETE", "/v1/apps/q/routes/a")
        service.request("DELETE", "/v1/apps/q")
        check(first, "accepted")
        service.environment["FERRITE_ASYNC_WORKERS"] = "1"
        equal(service.stop(), 0, "exit status")
        service.launch()
        service.wait_ready()
        wait_for(lambda: len(ran(service)) == 2, "both run")
        equal(ran(service), ["old:1", "new:2"], "what ran")
        check("the route of a task is gone" in service.log(), "the log says that it is gone")


def test_the_routes_own_limits_count(service):
    prepare(service, "sleep 30; echo ran:never", timeout=1)
    submit(service)
    wait_for(lambda: "Timed out" in service.log(), "its own time limit ends it")
    wait_for(lambda: drained(service), "it is not tried again")
    equal(ran(service), [], "runs")


def test_a_failure_is_no_reason_to_try_again(service):
    prepare(service, "echo ran:x; exit 3")
    submit(service)
    wait_runs(service, {"x"})
    wait_for(lambda: drained(service), "the queue is empty")
    submit(service)
    wait_for(lambda: len(ran(service)) == 2 and drained(service), "the second one")
    equal(ran(service), ["x", "x"], "one run each")
    service.create_route("q", "/nothing", "no/such/image", type="async")
    submit(service, path="/nothing")
    wait_for(lambda: drained(service), "an image that is not there ends the task too")


def test_refusals():
    with queue_owner(MAX_TASK_BYTES="4096", MAX_TASKS="3") as service:
        prepare(service)
        equal(submit(service, b"x" * 4097, wanted=413).headers["Content-Type"], "application/json; charset=utf-8",
              "type of a 413")
        for _ in range(3):
            submit(service, b"x" * 4096)
        refused = submit(service, wanted=503)
        equal(refused.message, "The runner queue is full", "message")
        metrics = service.request("GET", "/metrics").text
        for line in ('ferrite_queue_tasks{state="ready"} 3', "ferrite_queue_accepted_total 3",
                     "ferrite_queue_acknowledged_total 0"):
            check(f"\n{line}\n" in metrics, f"no {line} in /metrics")
        age = float(re.search(r"^ferrite_queue_oldest_task_age_seconds (.*)$", metrics, re.M).group(1))
        check(0 < age < 60, f"age of the oldest: {age}")
        check(int(refused.headers["Retry-After"]) > 0, "Retry-After")
        equal(depth(service), 3, "nothing of it is stored")
        equal(acknowledge(service, reserve(service)).status, 202, "one goes")
        submit(service)
        equal(service.call("q", "/none", b"").status, 404, "no such route")
    with queue_owner(MAX_QUEUE_BYTES="20000") as service:
        prepare(service)
        submit(service, b"x" * 10000)
        submit(service, b"x" * 10000, wanted=503)
        submit(service, b"small")


def test_half_of_the_memory_is_left():
    with with_settings(MEMORY_TOTAL="512") as service:
        prepare(service, "echo ran:begun; sleep 3", memory=128)
        prepare(service, "echo sync", "/sync", memory=128, type="sync")
        for _ in range(8):
            submit(service)
        wait_for(lambda: service.request("GET", "/stats").json["Running"] >= 2, "two run")
        for _ in range(5):
            check(service.request("GET", "/stats").json["Running"] <= 3, "no more than half")
            equal(service.call("q", "/sync").text, "sync\n", "there is room for a sync call")
        wait_for(lambda: drained(service) and len(ran(service)) == 8, "all have run", 60)


def test_as_many_at_a_time_as_workers():
    with with_settings(ASYNC_WORKERS="2") as service:
        prepare(service, "sleep 0.3; read line; echo ran:$line")
        for n in range(8):
            submit(service, b"%d\n" % n)
        most = 0
        while not drained(service):
            most = max(most, service.request("GET", "/stats").json["Running"])
        equal(most, 2, "most at a time")
        wait_runs(service, {str(n) for n in range(8)})


HOT = """while read line; do
    case $line in Content-Length*) n=${line#*: }; n=${n%?};; esac
    test "${#line}" -gt 1 && continue
    body=$(dd bs=1 count=$n 2>/dev/null); test "$BEGUN" || BEGUN=$body
    printf 'HTTP/1.1 200 OK\\r\\nContent-Length: %d\\r\\n\\r\\nran:%s:%s\\n' $((${#body} + ${#BEGUN} + 6)) "$body" "$BEGUN"
done"""


def test_hot_functions_run_tasks_too(service):
    prepare(service, HOT, format="http", idle_timeout=60)
    for n in range(5):
        submit(service, b"%d" % n)
    wait_for(lambda: len(ran(service)) == 5, "all run")
    equal(sorted(run.split(":")[0] for run in ran(service)), list("01234"), "bodies")
    equal(len({run.split(":")[1] for run in ran(service)}), 1, "instances")
    equal(len(service.instances()), 1, "the instance stays")


def test_idle_instances_make_room_for_tasks():
    with with_settings(MEMORY_TOTAL="256") as service:
        prepare(service, HOT, "/hot", type="sync", format="http", idle_timeout=600, memory=200)
        equal(service.call("q", "/hot", b"1").text, "ran:1:1\n", "hot")
        equal(len(service.instances()), 1, "it stays")
        prepare(service)
        submit(service, b"x\n")
        wait_runs(service, {"x"})


# --- GET and DELETE /tasks ----------------------------------------------------------------------------------------


def test_the_task_object():
    with queue_owner() as service:
        prepare(service, config={"K": "v"})
        equal(service.request("GET", "/tasks").body, b"null\n", "an empty queue")
        call_id = submit(service, b"payload 0", "/a?q=0", headers={"X-Two": "b"}, tcp=True)
        answer = service.request("GET", "/tasks")
        equal(answer.status, 202, "status")
        equal(list(answer.json), ["image", "payload", "priority", "id", "completed_at", "created_at", "env_vars",
                                  "app_name", "path", "started_at"], "keys")
        variables = answer.json["env_vars"]
        equal(list(variables), sorted(variables), "order of the variables")
        equal({k: variables[k] for k in ("METHOD", "ROUTE", "K", "HEADER_X_TWO", "HEADER_CONTENT_LENGTH")},
              {"METHOD": "POST", "ROUTE": "/a", "K": "v", "HEADER_X_TWO": "b", "HEADER_CONTENT_LENGTH": "9"},
              "variables")
        equal({k: v for k, v in answer.json.items() if k != "env_vars"}, {
            "image": "async/a", "payload": "payload 0", "priority": 0, "id": call_id, "app_name": "q", "path": "/a",
            "completed_at": NO_TIME, "created_at": NO_TIME, "started_at": NO_TIME}, "values")
        equal(service.request("GET", "/v1/tasks").body, b"null\n", "it is reserved")
        echoed = acknowledge(service, answer.json)
        equal(echoed.status, 202, "acknowledged")
        equal(echoed.body, answer.body, "the echo")
        equal(acknowledge(service, answer.json).status, 404, "a second time")
        equal(depth(service), 0, "Queue")


def test_payloads_of_bytes():
    with queue_owner() as service:
        prepare(service)
        submit(service, b"\x00\xff\xfe a")
        task = reserve(service)
        equal(task["payload"], "\x00\ufffd\ufffd a", "as the original writes it")
        equal(base64.b64decode(task["payload_base64"]), b"\x00\xff\xfe a", "as it is")
        equal(acknowledge(service, task).status, 202, "acknowledged")
        submit(service, None, method="GET")
        check("payload" not in reserve(service), "an empty payload is left out")


def test_malformed_acknowledgements():
    with queue_owner() as service:
        prepare(service)
        submit(service)
        task = reserve(service)
        for body, status, message in (
            (b"", 400, "Invalid JSON"), (b"{", 400, "Invalid JSON"), (b"[]", 400, "Invalid JSON"),
            (b"[" * 100000, 400, "Invalid JSON"), (b'{"a":[' + b"0," * 100000 + b"0]}", 400, "Invalid JSON"),
            ({**task, "priority": "0"}, 400, "Invalid JSON"), ({**task, "id": 7}, 400, "Invalid JSON"),
            ({**task, "env_vars": 7}, 400, "Invalid JSON"),
            ({"id": task["id"]}, 400, "Invalid priority: a task has one from 0 to 2"),
            ({**task, "priority": 3}, 400, "Invalid priority: a task has one from 0 to 2"),
            ({**task, "priority": -1}, 400, "Invalid priority: a task has one from 0 to 2"),
            ({**task, "priority": 1}, 404, None), ({**task, "id": "x" * 1000}, 404, None), ({"priority": 0}, 404, None),
        ):
            answer = service.request("DELETE", "/tasks", body)
            equal(answer.status, status, f"{str(body)[:60]} ({answer.text[:200]})")
            if message:
                equal(answer.message, message, f"{str(body)[:60]}")
        equal(service.request("POST", "/tasks", task).status, 404, "POST")
        equal(acknowledge(service, {"id": task["id"], "priority": 0}).status, 202, "id and priority are enough")


def test_order_and_expiry():
    with queue_owner() as service:
        prepare(service)
        ids = [submit(service, b"%d" % n) for n in range(4)]
        service.stop()
        with queue_of(service) as db:
            for n, priority in ((1, 1), (3, 2)):
                db.execute("UPDATE tasks SET priority = ? WHERE id = ?", (priority, ids[n]))
        service.launch()
        service.wait_ready()
        taken = [reserve(service) for _ in range(4)]
        equal([t["id"] for t in taken], [ids[3], ids[1], ids[0], ids[2]], "highest priority first, then in order")
        equal([t["priority"] for t in taken], [2, 1, 0, 0], "priorities")
        equal(reserve(service), None, "all are reserved")
        # Sixty seconds later, as the file knows it.
        service.stop()
        with queue_of(service) as db:
            equal(db.execute("SELECT count(*) FROM tasks WHERE state = 2").fetchone()[0], 4, "reserved")
            db.execute("UPDATE tasks SET until_us = until_us - 61000000 WHERE id IN (?, ?)", (ids[0], ids[1]))
        service.launch()
        service.wait_ready()
        equal(acknowledge(service, taken[2]).status, 404, "an expired reservation")
        equal(acknowledge(service, taken[0]).status, 202, "one that a restart did not end")
        equal([reserve(service)["id"] for _ in range(2)], [ids[1], ids[0]], "back in their old places")
        equal(reserve(service), None, "the other one is reserved still")


def queue_file(service):
    return str(service.state_dir / "api" / "queue.db")


def test_two_clients_compete():
    with queue_owner() as service:
        prepare(service)
        wanted = {submit(service, b"%d" % n) for n in range(40)}
        seen = [[], []]

        def client(mine):
            while task := reserve(service):
                mine.append(task["id"])
                equal(acknowledge(service, task).status, 202, "acknowledged")

        threads = [threading.Thread(target=client, args=(mine,)) for mine in seen]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        equal(sorted(seen[0] + seen[1]), sorted(wanted), "each exactly once")
        equal(depth(service), 0, "Queue")


def test_a_run_of_ours_cannot_be_acknowledged_by_others(service):
    prepare(service, "sleep 2; echo ran:x")
    call_id = submit(service)
    wait_for(lambda: service.request("GET", "/stats").json["Running"] == 1, "it runs")
    equal(acknowledge(service, {"id": call_id, "priority": 0}).status, 404, "not theirs")
    equal(reserve(service), None, "nor can they have it")
    wait_runs(service, {"x"})


# --- another's queue ----------------------------------------------------------------------------------------------


def test_api_url_of_another_service():
    with queue_owner() as owner:
        prepare(owner, "read line; echo ran:theirs", config={"V": "frozen"})
        with Service(environment={"API_URL": f"http://127.0.0.1:{owner.port}"}) as worker:
            worker.import_image("async/a", harness.shell_image('read line; echo "ran:$V:$line:$METHOD"', "async/a"))
            for n in range(20):
                submit(owner, b"%d\n" % n)
            submit(owner, b"\xff\n")
            prepare(worker, path="/own")
            submit(worker, b"own\n", "/own")
            wait_runs(worker, {f"frozen:{n}:POST" for n in range(20)} | {"own"})
            wait_for(lambda: owner.request("GET", "/tasks").json is None and depth(owner) == 0, "all acknowledged")
            wait_for(lambda: "frozen:\\xff:POST" in worker.log(), "bytes arrive as bytes")
            equal(ran(owner), [], "nothing ran there")
            # The owner goes away, and comes back.
            owner.stop()
            wait_for(lambda: "no tasks from the queue at API_URL" in worker.log(), "the log says so")
            owner.launch()
            owner.wait_ready()
            submit(owner, b"again\n")
            wait_runs(worker, {"frozen:again:POST"})
            wait_for(lambda: drained(worker), "it has ended")
            owner.stop()
            with queue_of(owner) as db:
                equal(db.execute("SELECT count(*) FROM tasks").fetchone()[0], 0, "tasks that are left")
            owner.launch()
            owner.wait_ready()


def test_the_services_token_guards_the_queue():
    key = "a secret of both"
    with Service(environment={"FERRITE_ASYNC_WORKERS": "0", "JWT_AUTH_KEY": key}) as owner:
        prepare(owner)
        for path in ("/tasks", "/v1/tasks"):
            equal(owner.request("GET", path, tcp=True).status, 401, f"GET {path} without a token")
            equal(owner.request("DELETE", path, b"{}", tcp=True).status, 401, f"DELETE {path} without a token")
        url = f"http://127.0.0.1:{owner.port}"
        with Service(environment={"API_URL": url, "JWT_AUTH_KEY": "another"}) as worker:
            wait_for(lambda: "answered with status 401" in worker.log(), "a wrong key is refused")
        with Service(environment={"API_URL": url, "JWT_AUTH_KEY": key}) as worker:
            worker.import_image("async/a", harness.shell_image(ECHO, "async/a"))
            submit(owner, b"guarded\n", tcp=True)
            wait_runs(worker, {"guarded"})


def test_api_url_of_ourselves():
    service = Service()
    service.environment["API_URL"] = f"http://127.0.0.1:{service.port}"
    with service:
        prepare(service)
        submit(service, b"1\n")
        wait_runs(service, {"1"})


# --- what may happen to the file ----------------------------------------------------------------------------------


def expect_refusal(service, *words):
    """The service does not come up, and its log says why."""
    service.launch()
    wait_for(lambda: all(word in service.log() for word in words) or service.process.poll() is not None,
             f"the log says {words}")
    for word in words:
        check(word in service.log(), f"no {word!r} in the log:\n{service.log()[-3000:]}")
    service.stop()


def test_damaged_newer_and_unknown_queues():
    with queue_owner() as service:
        prepare(service)
        call_id = submit(service)
        service.stop()
        path = queue_file(service)
        good = open(path, "rb").read()

        def write(data):
            with open(path, "r+b") as file:
                file.truncate(0)
                file.write(data)

        write(b"this is no database, but it is long enough to be looked at" * 100)
        expect_refusal(service, path, "move the file away")
        check(open(path, "rb").read().startswith(b"this is no database"), "it was left alone")
        write(good)
        with queue_of(service) as db:
            db.execute("PRAGMA user_version = 99")
        expect_refusal(service, path, "newer version")
        with queue_of(service) as db:
            db.execute("PRAGMA user_version = 1")
        service.environment["MQ_URL"] = "redis://localhost"
        expect_refusal(service, "mq type not supported redis")
        service.environment["MQ_URL"] = f"sqlite:{service.state_dir}/api/ferrite.db"
        expect_refusal(service, "name the same file")
        service.environment["MQ_URL"] = f"sqlite:{path}"
        service.launch()
        service.wait_ready()
        equal(reserve(service)["id"], call_id, "nothing was lost")


# --- crashes ------------------------------------------------------------------------------------------------------


def test_tasks_outlive_everything():
    with queue_owner() as service:
        prepare(service)
        wanted = {f"r{n}" for n in range(30)}
        for text in wanted:
            submit(service, text.encode() + b"\n")
        service.kill()
        wait_for(lambda: not harness.reap_strangers(), "its servers end too")
        service.environment["FERRITE_ASYNC_WORKERS"] = "4"
        service.launch()
        service.wait_ready()
        wait_runs(service, wanted)
        wait_for(lambda: drained(service), "the queue is empty")
        equal(sorted(ran(service)), sorted(wanted), "each once")


def found(answer):
    return answer if answer.status == 200 else None


def crash_each_run(service, server):
    """Has `server` end three times while a task runs, and looks at what is told of its end."""
    call_id = submit(service, b"payload")
    for n in range(3):
        wait_for(lambda: service.request("GET", "/stats").json["Running"] == 1, "it runs")
        pid = service.servers()[server]
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: service.servers().get(server) not in (None, pid), "a new server")
        service.wait_ready()
    wait_for(lambda: re.search(f"a task was given up.*{call_id}", service.log()), "it is given up, and the log names it")
    service.wait_ready()
    answer = wait_for(lambda: found(service.request("GET", f"/v1/apps/q/calls/{call_id}")), "its record")
    call = answer.json["call"]
    equal((call["type"], call["outcome"], call["status"], call["path"], call["bytes_in"]),
          ("async", "broken", 502, "/a", len(b"payload")), "the call in the history")
    equal(call["error"], "given up: something crashed each of the 3 times that it ran", "its error")


def test_a_task_that_crashes_a_server_is_given_up():
    with with_settings(TASK_ATTEMPTS="3") as service:
        prepare(service, "echo begun; sleep 60", timeout=100)
        crash_each_run(service, "ferrite-api")
        crash_each_run(service, "ferrite-sandbox")
        records = service.request("GET", "/v1/apps/q/calls?status=broken").json["calls"]
        equal(len([c for c in records if c["error"].startswith("given up")]), 2, "each once")
        equal(depth(service), 0, "Queue")
        prepare(service, path="/b")
        submit(service, b"others\n", "/b")
        wait_runs(service, {"others"})


class Stream:
    """Callers that submit tasks, and remember which were accepted."""

    def __init__(self, service):
        self.service, self.over, self.lock = service, threading.Event(), threading.Lock()
        self.accepted, self.refused, self.wrong, self.n = [], {}, [], 0
        self.threads = [threading.Thread(target=self.caller) for _ in range(CALLERS)]

    def caller(self):
        while not self.over.is_set():
            with self.lock:
                self.n += 1
                name = f"t{self.n}"
            try:
                answer = self.service.call("q", "/a", name.encode() + b"\n", timeout=30)
            except (OSError, http.client.HTTPException):
                answer = None
            with self.lock:
                if answer is None:
                    self.refused["no answer"] = self.refused.get("no answer", 0) + 1
                elif answer.status == 202:
                    self.accepted.append(name)
                else:
                    self.refused[answer.status] = self.refused.get(answer.status, 0) + 1
                    if answer.status < 500:
                        self.wrong.append(answer.text)
            time.sleep(0.02)

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        for thread in self.threads:
            thread.join()


def test_nothing_accepted_is_lost():
    generator = random.Random(int(os.environ.get("FERRITE_SEED", "1")))
    with with_settings(RESTART_LIMIT="1000", RESTART_DELAY="1ms", TASK_ATTEMPTS="1000") as service:
        prepare(service)
        with Stream(service) as stream:
            for _ in range(KILLS):
                time.sleep(generator.uniform(0.05, 0.4))
                name = generator.choice(("ferrite-api", "ferrite-api", "ferrite-sandbox", "ferrite-rootfs",
                                         "ferrite-gpu", "ferrited"))
                if name == "ferrited":
                    service.kill()
                    wait_for(lambda: not harness.reap_strangers(), "its servers end too")
                    service.launch()
                    continue
                pid = service.servers().get(name)
                if pid:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                if generator.random() < 0.3:
                    wait_for(service.is_ready, "ready again")
        service.wait_ready()
        wait_for(lambda: drained(service), "the queue is empty", 120)
        runs = ran(service)
        lost = set(stream.accepted) - set(runs)
        equal(stream.wrong, [], "wrong answers")
        check(len(stream.accepted) > 30, f"only {len(stream.accepted)} were accepted: {stream.refused}")
        equal(sorted(lost), [], f"lost of {len(stream.accepted)}")
        again = len(runs) - len(set(runs))
        # At most what was running at a kill runs once more.
        check(again <= KILLS * 16, f"{again} runs were repeated")
        print(f"     {len(stream.accepted)} accepted, {len(runs)} runs, {again} of them repeated, "
              f"{len(set(runs) - set(stream.accepted))} of calls without an answer, refused: {stream.refused}")


def test_many_at_once_share_a_commit():
    with queue_owner() as service:
        prepare(service)
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            ids = list(pool.map(lambda n: submit(service, b"%d" % n), range(200)))
        equal(len(set(ids)), 200, "ids")
        equal(depth(service), 200, "Queue")


if __name__ == "__main__":
    harness.run(globals())
