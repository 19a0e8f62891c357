#!/usr/bin/env python3
"""What can be observed of calls: the history, the log, the metrics, and the commands that show them.

time limit: 300 s
"""

import datetime
import http.client
import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import urllib.parse

import harness
from harness import Service, check, equal, shell_image, wait_for

LOG_BYTES = 4096
SETTINGS = {"FERRITE_API_THREADS": "2", "FERRITE_MEMORY_TOTAL": "256MiB", "FERRITE_HISTORY_LOG_BYTES": str(LOG_BYTES)}
KEYS = [
    "id", "app", "path", "image", "type", "outcome", "status", "exit_code", "signal", "error", "start", "created_at",
    "started_at", "completed_at", "queue_us", "start_us", "gpu_us", "run_us", "cpu_us", "memory_peak", "bytes_in",
    "bytes_out", "log_bytes", "log_truncated", "cursor",
]
# What the body says is done.
SCRIPT = """read -r what rest; case "$what" in
say) printf '%s' "$rest"; echo "said $rest" >&2;;
exit) echo "leaving with $rest" >&2; exit "$rest";;
signal) kill -"$rest" $$;;
sleep) echo "before the sleep" >&2; sleep 600;;
hog) x=$(yes | head -c 100000000); echo "$x";;
lines) i=0; while [ "$i" -lt "$rest" ]; do echo "line $i"; i=$((i+1)); done >&2;;
bytes) printf 'a\\0b\\377' >&2;;
esac"""


def service():
    return harness.shared


def ask(path, **more):
    return service().request("GET", path, **more)


def prepare(app, path="/do", script=SCRIPT, **route):
    image = f"observe/{app}:1"
    service().import_image(image, shell_image(script, image))
    service().create_route(app, path, image, memory=32, **route)


def calls(app, **parameters):
    answer = ask(f"/v1/apps/{app}/calls?" + urllib.parse.urlencode(parameters))
    equal(answer.status, 200, f"calls of {app} with {parameters} ({answer.text[:200]})")
    return answer.json["calls"]


def run(app, body, status=200, path="/do", **more):
    """Calls, and returns the record that the history has of it at once."""
    answer = service().call(app, path, body.encode(), **more)
    equal(answer.status, status, f"{body!r} ({answer.text[:200]})")
    found = ask(f"/v1/apps/{app}/calls/{answer.headers['Ferrite-Call-Id']}")
    equal(found.status, 200, f"the record of {body!r} ({found.text[:200]})")
    return found.json["call"]


def log_of(record):
    answer = ask(f"/v1/apps/{record['app']}/calls/{record['id']}/log")
    equal((answer.status, answer.headers["Content-Type"]), (200, "text/plain; charset=utf-8"), "log")
    equal(answer.headers["X-Content-Type-Options"], "nosniff", "log")
    equal(answer.headers["Ferrite-Log-Truncated"], "1" if record["log_truncated"] else None, "log")
    return answer.body


def completed(record):
    """The record once its container is gone too: what it took is known then."""
    path = f"/v1/apps/{record['app']}/calls/{record['id']}"
    wait_for(lambda: ask(path).json["call"]["cpu_us"] is not None, "the end of the container is in the record")
    return ask(path).json["call"]


def moment(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


# --- the history --------------------------------------------------------------------------------------------------


def test_a_successful_call():
    prepare("ok")
    body = "say " + "x" * 1000
    record = run("ok", body)
    equal(list(record), KEYS, "keys of a record")
    equal((record["app"], record["path"], record["image"]), ("ok", "/do", "observe/ok:1"), "what was called")
    equal((record["type"], record["outcome"], record["status"]), ("sync", "success", 200), "how it ended")
    equal((record["exit_code"], record["signal"], record["error"]), (0, None, None), "how it ended")
    equal((record["start"], record["gpu_us"]), ("cold", None), "how it began")
    equal((record["bytes_in"], record["bytes_out"]), (len(body), 1000), "bytes")
    check(record["run_us"] > 0 and record["start_us"] > 0 and record["queue_us"] >= 0, f"durations: {record}")
    check(record["cpu_us"] > 0 and record["memory_peak"] > 0, f"what it took: {record}")
    created, started, ended = (moment(record[k]) for k in ("created_at", "started_at", "completed_at"))
    check(created <= started <= ended, f"order of times: {record}")
    total = sum(record[k] for k in ("queue_us", "start_us", "run_us"))
    check(abs((ended - created) * 1e6 - total) <= 10, f"durations add up to the whole: {record}")
    equal(log_of(record), b"said " + b"x" * 1000 + b"\n", "standard error")
    equal((record["log_bytes"], record["log_truncated"]), (1006, False), "standard error")


def test_calls_that_fail():
    prepare("bad", timeout=1)
    record = run("bad", "exit 3", 500)
    equal((record["outcome"], record["exit_code"], record["error"]), ("error", 3, "exit code 3"), "exit code")
    equal(log_of(record), b"leaving with 3\n", "standard error of a function that failed")
    record = run("bad", "signal TERM", 500)
    equal((record["outcome"], record["exit_code"], record["signal"]), ("error", None, 15), f"signal {record}")
    record = run("bad", "hog", 500)
    equal((record["outcome"], record["error"]), ("oom", "out of memory error"), "memory")
    check(record["memory_peak"] >= 16 << 20, f"the peak of one that was killed for memory: {record}")


def test_a_time_out_has_its_log_and_what_it_took():
    prepare("slow", timeout=1)
    record = run("slow", "sleep", 504)
    equal((record["outcome"], record["status"], record["error"]), ("timeout", 504, "Timed out"), "time-out")
    check(record["run_us"] >= 1000000, f"run time: {record}")
    equal(log_of(record), b"before the sleep\n", "what it said before")
    record = completed(record)
    check(record["memory_peak"] > 0 and record["outcome"] == "timeout", f"after its end: {record}")
    equal(log_of(record), b"before the sleep\n", "log after its end")


def test_calls_that_never_ran():
    service().create_route("never", "/image", "observe/missing:1")
    record = run("never", "", 500, "/image")
    equal((record["outcome"], record["start"], record["started_at"]), ("refused", None, None), "image")
    check("observe/missing:1" in record["error"], f"reason: {record}")
    equal((record["run_us"], record["cpu_us"], record["exit_code"]), (None, None, None), "nothing ran")
    prepare("large", "/x")
    service().request("PATCH", "/v1/apps/large/routes/x", {"route": {"memory": 100000}})
    record = run("large", "say x", 503, "/x")
    equal((record["outcome"], record["status"]), ("refused", 503), "more memory than there is")


def test_a_client_that_goes_away():
    prepare("gone")
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(service().socket_path)
        s.sendall(b"POST /r/gone/do HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nsleep")
        wait_for(lambda: [i for i in service().instances() if i["app"] == "gone" and i["state"] == "busy"], "it runs")
    wait_for(lambda: calls("gone"), "the call is in the history")
    record = completed(calls("gone")[0])
    equal((record["outcome"], record["status"]), ("cancelled", None), "cancelled")
    equal(record["error"], "the client went away", "reason")


def test_the_log_is_bounded_and_keeps_both_ends():
    prepare("loud")
    record = run("loud", "lines 2000")
    log = log_of(record)
    check(record["log_truncated"], "truncated")
    check(log.startswith(b"line 0\nline 1\n") and log.endswith(b"line 1998\nline 1999\n"), f"ends: {log[:80]} {log[-80:]}")
    left_out = re.search(rb"\n\[ferrite: (\d+) bytes left out\]\n", log)
    check(left_out, "the gap is marked")
    written = sum(len(f"line {i}\n") for i in range(2000))
    equal(int(left_out[1]), written - LOG_BYTES, "bytes left out")
    equal(len(log), LOG_BYTES + len(left_out[0]), "bytes kept")
    record = run("loud", "bytes")
    equal((log_of(record), record["log_truncated"]), (b"a\0b\xff", False), "bytes as they were")


def test_lists():
    prepare("list", timeout=1)
    service().create_route("list", "/other", "observe/list:1", memory=32)
    first = run("list", "say 1")
    run("list", "exit 2", 500)
    run("list", "exit 1", 500, "/other")
    last = run("list", "say 2", path="/other")
    found = calls("list")
    equal([c["path"] for c in found], ["/other", "/other", "/do", "/do"], "newest first")
    equal((found[0], found[3]), (last, first), "records as they are alone")
    equal([c["exit_code"] for c in calls("list", path="/do")], [2, 0], "by path")
    equal([c["exit_code"] for c in calls("list", path="do")], [2, 0], "by path without its slash")
    for status, wanted in (
        ("success", [0, 0]), ("error", [1, 2]), ("failed", [1, 2]), ("500", [1, 2]), ("5xx", [1, 2]), ("2xx", [0, 0]),
        ("200", [0, 0]), ("504", []), ("timeout", []),
    ):
        equal([c["exit_code"] for c in calls("list", status=status)], wanted, f"status={status}")
    equal([c["exit_code"] for c in calls("list", limit=3)], [0, 1, 2], "limit")
    equal(calls("list", limit=3, before=found[2]["cursor"]), found[3:], "the page after")
    equal(calls("list", after=found[2]["cursor"]), found[:2], "what is new")
    equal(calls("list", since=found[1]["created_at"]), found[:2], "since a time")
    equal(len(calls("list", since=int(moment(first["created_at"])))), 4, "since a second")
    equal(calls("list", since="2099-01-01T00:00:00Z"), [], "since the future")
    everything = ask("/v1/calls?limit=1000").json["calls"]
    check({"list", "ok"} <= {c["app"] for c in everything}, "calls of all apps")
    equal([c for c in everything if c["app"] == "list"], found, "in the list of all apps")


def test_wrong_questions():
    prepare("ask")
    for query, text in (
        ("limit=0", "limit must be"), ("limit=1001", "limit must be"), ("limit=x", "limit must be"), ("limit=", "limit"),
        ("status=600", "status must be"), ("status=good", "status must be"), ("since=yesterday", "since must be"),
        ("before=-1", "before must be"), ("after=1.5", "after must be"), ("path=%00", "path must be"),
        ("limit=99999999999999999999999", "limit must be"),
    ):
        answer = ask(f"/v1/apps/ask/calls?{query}")
        equal(answer.status, 400, query)
        check(text in answer.message, f"{query}: {answer.message}")
    equal(calls("ask"), [], "an app without calls")
    for path, text in (
        ("/v1/apps/nobody/calls", "App not found"), ("/v1/apps/nobody/calls/x", "App not found"),
        ("/v1/apps/ask/calls/x", "Call not found"), ("/v1/apps/ask/calls/x/log", "Call not found"),
        ("/v1/apps/nobody/calls/x/log", "App not found"), ("/v1/apps/ask/calls/%27%22", "Call not found"),
    ):
        answer = ask(path)
        equal((answer.status, answer.message), (404, text), path)
    equal(ask("/v1/apps/ask/calls/x/logs").body, b'"Not Found"\n', "no such path")
    equal(service().request("POST", "/v1/apps/ask/calls", "{}").status, 404, "no such method")


def test_a_deleted_app_keeps_its_history():
    prepare("late")
    record = run("late", "say x")
    service().request("DELETE", "/v1/apps/late/routes/do")
    service().request("DELETE", "/v1/apps/late")
    equal(calls("late"), [record], "calls of an app that is gone")
    equal(log_of(record), b"said x\n", "log of an app that is gone")


def one_call(own, text):
    answer = own.call("keep", "/do", f"say {text}".encode())
    equal((answer.status, answer.body), (200, text.encode()), "call")
    return answer.headers["Ferrite-Call-Id"]


def ids_of(own):
    return [c["id"] for c in own.request("GET", "/v1/apps/keep/calls").json["calls"]]


def test_the_history_survives_what_ends_the_service(folder):
    settings = {"FERRITE_API_THREADS": "2"}
    with Service(keep=folder, environment=settings) as own:
        own.import_image("observe/keep:1", shell_image(SCRIPT, "observe/keep:1"))
        own.create_route("keep", "/do", "observe/keep:1", memory=32)
        ids = [one_call(own, "1")]
    with Service(keep=folder, environment=settings) as own:
        equal(ids_of(own), ids, "after an orderly end")
        ids.insert(0, one_call(own, "2"))
        # Whoever reads has it written first; so what was read survives everything but the machine's end.
        equal(ids_of(own), ids, "before the kill")
        own.kill()
        own.launch()
        own.wait_ready()
        equal(ids_of(own), ids, "after a kill")
        ids.insert(0, one_call(own, "3"))
        equal(ids_of(own), ids, "after a call")
    # Damage is no reason not to start.
    database = next(folder.rglob("calls.db"))
    database.write_bytes(b"no database " * 1000)
    with Service(keep=folder, environment=settings) as own:
        equal(ids_of(own), [], "a new history")
        one = one_call(own, "4")
        equal(ids_of(own), [one], "calls go into it")
        check("the call history was set aside" in own.log(), "the log says so")
        check(database.with_name("calls.db.unusable").exists(), "the old file is still there")
    with sqlite3.connect(database) as db:
        db.execute("PRAGMA user_version = 77")
    with Service(keep=folder, environment=settings) as own:
        equal(ids_of(own), [], "after a file of a newer version")
        check("schema 77" in own.log(), "the log says why")


def test_the_history_is_bounded_by_settings(folder):
    config = folder / "ferrited.conf"
    config.write_text("history_calls = 3\n")
    with Service(arguments=["--config", str(config)]) as own:
        own.import_image("observe/keep:1", shell_image(SCRIPT, "observe/keep:1"))
        own.create_route("keep", "/do", "observe/keep:1", memory=32)
        ids = [one_call(own, str(i)) for i in range(5)][::-1]
        equal(ids_of(own), ids[:3], "the newest three")

        def reload(text, left, what):
            config.write_text(text)
            own.process.send_signal(signal.SIGHUP)
            wait_for(lambda: len(ids_of(own)) == left, what)
            equal(ids_of(own), ids[:left], what)

        reload("history_calls = 2\n", 2, "a lower number")
        reload("history_calls = 0\n", 0, "none at all")
        one_call(own, "x")
        equal(ids_of(own), [], "nothing is kept")
        config.write_text("history_calls = 3\nhistory_log_bytes = 0\n")
        own.process.send_signal(signal.SIGHUP)
        wait_for(lambda: one_call(own, "y") in ids_of(own), "calls are kept again")
        found = own.request("GET", "/v1/apps/keep/calls").json["calls"][0]
        equal((found["log_bytes"] > 0, found["log_truncated"]), (True, True), "only the mark of what is left out")


if __name__ == "__main__":
    harness.run(globals(), Service(environment=SETTINGS))
