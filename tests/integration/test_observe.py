#!/usr/bin/env python3
"""What can be observed of calls: the history, the log, the metrics, and the commands that show them.

time limit: 300 s
"""

import collections
import contextlib
import datetime
import http.client
import json
import os
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import urllib.parse
from pathlib import Path

import harness
from harness import Service, check, equal, shell_image, wait_for

LOG_BYTES = 4096
FRESH = ("cold", "warm")  # containers that had no call before
SETTINGS = {"FERRITE_API_THREADS": "2", "FERRITE_MEMORY_TOTAL": "256MiB", "FERRITE_HISTORY_LOG_BYTES": str(LOG_BYTES)}
KEYS = [
    "id", "app", "path", "image", "type", "outcome", "status", "exit_code", "signal", "error", "start", "created_at",
    "started_at", "completed_at", "queue_us", "start_us", "gpu_us", "run_us", "cpu_us", "memory_peak", "bytes_in",
    "bytes_out", "log_bytes", "log_truncated", "cursor",
]
# Prometheus' own parser, of the package python3-prometheus-client: in Debian's Python, whichever runs this file.
ORACLE = """import json, sys
from prometheus_client.parser import text_string_to_metric_families
print(json.dumps([[f.name, f.type, f.documentation, [[s.name, s.labels, s.value] for s in f.samples]]
                  for f in text_string_to_metric_families(sys.stdin.read())]))"""
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
    check(record["start"] in FRESH and record["gpu_us"] is None, f"how it began: {record}")
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
    prepare("bad")
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
    check(record["run_us"] > 500000, f"run time: {record}")
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


def test_hot_calls_have_their_own_records_and_logs():
    function = (harness.BUILD / "tests/integration/hot/function").read_bytes()
    layer = harness.tar_bytes({"function": function})
    archive = harness.oci_archive([layer], {"Entrypoint": ["/function"], "WorkingDir": "/"}, "observe/hot:1")
    service().import_image("observe/hot:1", archive)
    service().create_route("hot", "/do", "observe/hot:1", memory=32, format="http", timeout=60, idle_timeout=2)
    service().create_route("hot", "/short", "observe/hot:1", memory=32, format="http", timeout=1, idle_timeout=2)

    def do(command, status=200, path="/do"):
        return run("hot", "0123456789", status, path, headers={"X-Do": command})

    records = [do("stderr"), do("echo"), do("stderr"), do("headers 418", 418), do("headers 503", 503)]
    equal([r["start"] in FRESH for r in records], [True] + 4 * [False], "fresh starts")
    equal([r["start"] for r in records[1:]], 4 * ["hot"], "starts")
    equal([r["outcome"] for r in records], 4 * ["success"] + ["error"], "outcomes: a status of its own counts")
    equal([r["status"] for r in records], [200, 200, 200, 418, 503], "status")
    equal([log_of(r) for r in records], [b"a line of the function\n", b"", b"a line of the function\n", b"", b""], "logs")
    equal([(r["bytes_in"], r["cpu_us"]) for r in records], 5 * [(10, None)], "bytes in; the processor's time is shared")
    equal(records[1]["bytes_out"], 10, "bytes out")
    # What is said between two calls is the next one's no more than the last one's.
    records.append(do("murmur"))
    wait_for(lambda: "after the answer" in service().log(), "it murmurs")
    equal(log_of(do("echo")), b"", "log of the call after it")
    logged = re.findall(r'msg="a line of the function".* call_id=(\S+)', service().log())
    equal(logged, [records[0]["id"], records[2]["id"]], "call ids in the log")
    record = do("exit 3", 500)
    equal((record["outcome"], record["exit_code"]), ("error", 3), f"its end in the middle of a call: {record}")
    record = do("sleep 60000", 504, "/short")
    equal((record["outcome"], record["status"]), ("timeout", 504), "time-out")
    record = do("stderr")
    equal((record["start"] in FRESH, log_of(record)), (True, b"a line of the function\n"), "a fresh one")
    wait_for(lambda: not service().instances(), "the idle ones end")


def test_a_cuda_call(folder):
    """It is answered before its container has ended: what the container took comes into the record later."""
    ferrite("init", "-k", "kernel", str(folder / "scale"))
    service().deploy(folder / "scale", "cuda")
    record = completed(run("cuda", '{"factor": 3, "x": [1, 2, 3]}', path="/scale"))
    equal((record["outcome"], record["status"], record["error"]), ("success", 200, None), "how it ended")
    check(record["gpu_us"] > 0 and record["gpu_us"] <= record["run_us"], f"time of the GPU: {record}")
    check(record["cpu_us"] > 0 and record["memory_peak"] > 0, f"what it took: {record}")


def test_asynchronous_calls():
    prepare("async", type="async")
    records = []
    for body in ("say x", "exit 4"):
        answer = service().call("async", "/do", body.encode())
        equal(answer.status, 202, answer.text)
        path = f"/v1/apps/async/calls/{answer.json['call_id']}"
        wait_for(lambda path=path: ask(path).status == 200, "it has run")
        records.append(ask(path).json["call"])
    equal([(r["type"], r["outcome"], r["exit_code"], r["error"]) for r in records],
          [("async", "success", 0, None), ("async", "error", 4, "exit code 4")], "records")
    equal([log_of(r) for r in records], [b"said x\n", b"leaving with 4\n"], "logs")
    total = sum(records[0][k] for k in ("queue_us", "start_us", "run_us"))
    lasted = (moment(records[0]["completed_at"]) - moment(records[0]["created_at"])) * 1e6
    check(abs(lasted - total) <= 10, f"from its acceptance on: {records[0]}")


def test_log_lines_name_the_call():
    prepare("lines")
    service().create_route("lines", "/short", "observe/lines:1", memory=32, timeout=1)
    service().create_route("lines", "/image", "observe/missing:1")
    for body, status, path, message, image in (
        ("say x", 200, "/do", "said x", "observe/lines:1"), ("exit 3", 500, "/do", "exit code 3", "observe/lines:1"),
        ("sleep", 504, "/short", "Timed out", "observe/lines:1"), ("", 500, "/image", "there is no image", "observe/missing:1"),
    ):
        call_id = run("lines", body, status, path)["id"]
        lines = [line for line in service().log().splitlines() if f"call_id={call_id}" in line]
        check(any(message in line for line in lines), f"{body}: {lines}")
        for line in lines:
            for field in ("app_name=lines", f"path={path}", f"image={image}"):
                check(field in line, f"{body}: no {field} in {line}")


# --- metrics ------------------------------------------------------------------------------------------------------


Sample = collections.namedtuple("Sample", "name labels value")
Family = collections.namedtuple("Family", "name type documentation samples")


def parse(text):
    """The families by name, as Prometheus' parser reads them: counters lose their _total."""
    done = subprocess.run(["/usr/bin/python3", "-c", ORACLE], input=text, capture_output=True, text=True, check=False)
    equal((done.returncode, done.stderr), (0, ""), f"the parser about {text}")
    return {f[0]: Family(*f[:3], [Sample(*s) for s in f[3]]) for f in json.loads(done.stdout)}


def scrape():
    answer = ask("/metrics")
    equal((answer.status, answer.headers["Content-Type"]), (200, "text/plain; version=0.0.4; charset=utf-8"), "/metrics")
    return parse(answer.text)


def value(families, sample, **labels):
    """The value of one sample, or None."""
    for family in families.values():
        for found in family.samples:
            if found.name == sample and found.labels == labels:
                return found.value
    return None


def test_metrics_keep_to_the_conventions():
    prepare("conv")
    run("conv", "say x")
    text, families = ask("/metrics").text, scrape()
    check(text.endswith("\n"), "the last line ends")
    for name, family in families.items():
        check(re.fullmatch(r"(ferrite|process)_[a-z0-9_]+", name), f"name {name}")
        check(family.documentation.strip().endswith("."), f"{name}: help {family.documentation!r}")
        check(family.type in ("counter", "gauge", "histogram"), f"{name}: type {family.type}")
        full = name + ("_total" if family.type == "counter" else "")
        equal((text.count(f"# HELP {full} "), text.count(f"# TYPE {full} ")), (1, 1), f"head of {full}")
        check(not re.search(r"_(us|ms|micros|millis|kib|mib|percent)(_|$)", name), f"{name}: not a base unit")
        check(family.type != "gauge" or not re.search(r"_(total|count|sum|bucket)$", name), f"{name}: a gauge")
        seen = [(s.name, tuple(sorted(s.labels.items()))) for s in family.samples]
        equal(len(seen), len(set(seen)), f"{name}: samples that are there once")
        check(all(re.fullmatch(r"[a-z_]+", label) for s in family.samples for label in s.labels), f"{name}: labels")
        if family.type == "histogram":
            check(name.endswith("_seconds"), f"{name}: unit")
            check_histogram(family)
    if shutil.which("promtool"):
        done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True, check=False)
        equal((done.returncode, done.stdout + done.stderr), (0, ""), "promtool")


def check_histogram(family):
    groups = {}
    for sample in family.samples:
        labels = tuple(sorted((k, v) for k, v in sample.labels.items() if k != "le"))
        groups.setdefault(labels, []).append(sample)
    for labels, samples in groups.items():
        buckets = [s for s in samples if s.name == family.name + "_bucket"]
        bounds = [float(s.labels["le"]) for s in buckets]
        equal(bounds, sorted(set(bounds)), f"bounds of {family.name} {labels}")
        equal(buckets[-1].labels["le"], "+Inf", f"last bound of {family.name} {labels}")
        counts = [s.value for s in buckets]
        equal(counts, sorted(counts), f"buckets of {family.name} {labels} add up")
        total = [s.value for s in samples if s.name == family.name + "_count"]
        equal(total, [counts[-1]], f"count of {family.name} {labels}")
        equal(len([s for s in samples if s.name == family.name + "_sum"]), 1, f"sum of {family.name} {labels}")


def test_metrics_count_what_happens():
    prepare("count")
    service().create_route("count", "/short", "observe/count:1", memory=32, timeout=1)
    before = scrape()
    run("count", "say abc")
    run("count", "say defg")
    run("count", "exit 1", 500)
    run("count", "sleep", 504, "/short")
    after = scrape()

    def risen(sample, **labels):
        return value(after, sample, **labels) - (value(before, sample, **labels) or 0)

    for outcome, wanted in (("success", 2), ("error", 1), ("timeout", 1)):
        equal(risen("ferrite_calls_total", app="count", outcome=outcome), wanted, f"calls with {outcome}")
    equal(value(after, "ferrite_calls_total", app="count", outcome="oom"), None, "an outcome that never was")
    equal(risen("ferrite_call_output_bytes_total"), 7, "bytes out")
    equal(risen("ferrite_call_input_bytes_total"), len("say abcsay defgexit 1sleep"), "bytes in")
    for histogram in ("ferrite_call_queue_seconds", "ferrite_call_run_seconds"):
        equal(risen(histogram + "_count"), 4, histogram)
    started = [risen("ferrite_call_start_seconds_count", kind=kind) for kind in ("cold", "warm", "hot")]
    check(started[0] + started[1] == 4 and started[2] == 0, f"starts {started}")
    check(risen("ferrite_call_run_seconds_sum") > 0.5, "run time")
    check(risen("ferrite_call_run_seconds_bucket", le="0.5") <= 3, "the time-out is in none of the short buckets")
    check(risen("ferrite_http_responses_total", code="2xx") >= 2, "answers")
    equal(risen("ferrite_http_responses_total", code="5xx"), 2, "answers")


def test_gauges_show_what_is_there():
    prepare("gauge", timeout=100)
    equal(value(scrape(), "ferrite_memory_budget_bytes"), 256 << 20, "budget")
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(service().socket_path)
        s.sendall(b"POST /r/gauge/do HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nsleep")
        wait_for(lambda: value(scrape(), "ferrite_instances", state="busy") == 1, "one busy instance")
        now = scrape()
        equal(value(now, "ferrite_memory_reserved_bytes"), 32 << 20, "reserved")
        equal((value(now, "ferrite_calls_running"), value(now, "ferrite_calls_waiting")), (1, 0), "calls")
        equal(ask("/stats").json["Running"], 1, "/stats")
        equal(value(now, "ferrite_http_connections"), 2, "connections: this one and the caller's")
    wait_for(lambda: value(scrape(), "ferrite_instances", state="busy") == 0, "none")
    wait_for(lambda: value(scrape(), "ferrite_memory_reserved_bytes") == 0, "all memory is back")
    now = scrape()
    for state in ("ready", "delayed", "reserved", "running", "dead"):
        equal(value(now, "ferrite_queue_tasks", state=state), 0, f"{state} tasks")
    for server in ("ferrite-sandbox", "ferrite-rootfs", "ferrite-gpu"):
        equal(value(now, "ferrite_server_up", server=server), 1, server)
    gpus = ask("/v1/gpus").json["gpus"]
    for gpu in gpus:
        labels = {"gpu": str(gpu["index"]), "uuid": gpu["uuid"]}
        equal(value(now, "ferrite_gpu_memory_bytes", **labels), gpu["memory_total"], "GPU memory")
        equal(value(now, "ferrite_gpu_memory_reserved_bytes", **labels), gpu["memory_declared"], "GPU memory in use")
    check(gpus, "there is a device")
    api = service().servers()["ferrite-api"]
    status = Path(f"/proc/{api}/status").read_text()
    resident = int(re.search(r"VmRSS:\s+(\d+) kB", status)[1]) << 10
    shown = value(now, "process_resident_memory_bytes")
    check(abs(shown - resident) < 4 << 20, f"resident memory: {shown}, /proc has {resident}")
    fds = len(list(Path(f"/proc/{api}/fd").iterdir()))
    check(abs(value(now, "process_open_fds") - fds) <= 2, f"descriptors: {fds}")
    ticks = int(Path(f"/proc/{api}/stat").read_text().rsplit(")", 1)[1].split()[19])
    boot = int(re.search(r"btime (\d+)", Path("/proc/stat").read_text())[1])
    began = boot + ticks / os.sysconf("SC_CLK_TCK")
    check(abs(value(now, "process_start_time_seconds") - began) < 5, f"start: {began}")
    check(value(now, "process_cpu_seconds_total") > 0, "processor time")
    info = [s for s in now["ferrite_build_info"].samples]
    equal((len(info), info[0].value, info[0].labels["interface"]), (1, 1, "0.2.72"), "build")


def test_metrics_of_the_queue():
    """A service that accepts, and runs nothing itself."""
    with Service(environment={**SETTINGS, "FERRITE_ASYNC_WORKERS": "0"}) as own:
        def now(sample, **labels):
            return value(parse(own.request("GET", "/metrics").text), sample, **labels)

        equal(now("ferrite_queue_oldest_task_age_seconds"), 0, "age where none waits")
        own.create_route("q", "/a", "observe/none:1", type="async")
        for _ in range(3):
            equal(own.call("q", "/a", b"x").status, 202, "accepted")
        wait_for(lambda: now("ferrite_queue_tasks", state="ready") == 3, "three wait")
        check(now("ferrite_queue_oldest_task_age_seconds") > 0, "age of the oldest")
        equal(now("ferrite_queue_accepted_total"), 3, "accepted")
        task = own.request("GET", "/tasks").json
        wait_for(lambda: now("ferrite_queue_tasks", state="reserved") == 1, "one is reserved")
        own.request("DELETE", "/tasks", task)
        wait_for(lambda: now("ferrite_queue_acknowledged_total") == 1, "one is done")
        equal(now("ferrite_queue_tasks", state="ready"), 2, "two are left")


def test_metrics_without_the_gpu_server():
    """One server that is down takes nothing but its own figures away."""
    with Service(environment={**SETTINGS, "FERRITE_RESTART_DELAY": "2"}) as own:
        def up():
            answer = own.request("GET", "/metrics")
            equal(answer.status, 200, "/metrics")
            shown = re.search(r'^ferrite_server_up{server="ferrite-gpu"} ([01])$', answer.text, re.M)
            return int(shown[1]), "ferrite_gpu_memory_bytes" in answer.text

        equal(up(), (1, True), "with it")

        def down():
            # The first restart is immediate, the second one waits.
            with contextlib.suppress(KeyError, ProcessLookupError):
                os.kill(own.servers()["ferrite-gpu"], signal.SIGKILL)
            return up() == (0, False)

        wait_for(down, "without it")
        wait_for(lambda: up() == (1, True), "with a new one")


# --- the command --------------------------------------------------------------------------------------------------


def ferrite(*arguments, status=0, **more):
    done = service().command(*arguments, **more)
    equal(done.returncode, status, f"status of {arguments} ({done.stderr})")
    return done.stdout


def test_the_command_lists_calls():
    prepare("cli")
    first, second = run("cli", "say one"), run("cli", "exit 2", 500)
    lines = ferrite("calls", "cli").splitlines()
    equal([line.split()[0] for line in lines], ["CALL", second["id"], first["id"]], "table")
    row = lines[1].split()
    equal(row[1:3] + row[4:6], ["cli", "/do", "error", "500"], "row")
    check(row[6] in FRESH, f"start in {row}")
    equal(json.loads(ferrite("calls", "cli", "--json"))["calls"], [second, first], "calls --json")
    found = json.loads(ferrite("calls", "--json", "--limit", "1", "--status", "failed", "cli", "--since", "10min"))
    equal(found["calls"], [second], "options")
    check(first["id"] in ferrite("calls"), "calls of all apps")
    equal(json.loads(ferrite("calls", "cli", "--json", "-p", "/other"))["calls"], [], "of another route")
    equal(json.loads(ferrite("calls", "inspect", "cli", first["id"])), first, "inspect")
    ferrite("calls", "inspect", "cli", "x", status=1)
    ferrite("calls", "nobody", status=1)
    ferrite("calls", "cli", "--limit", "0", status=2)
    ferrite("calls", "cli", "--status", "odd", status=1)


def test_the_command_prints_logs():
    prepare("logs")
    service().create_route("logs", "/other", "observe/logs:1", memory=32)
    first = run("logs", "say one")
    run("logs", "true")
    second = run("logs", "say \x1b[2J two", path="/other")
    equal(ferrite("logs", "logs", first["id"]), "said one\n", "log of one call")
    equal(ferrite("logs", "logs", second["id"], data=b""), b"said \x1b[2J two\n", "byte for byte")
    out = ferrite("logs", "logs")
    equal(re.findall(r"^==> \S+ (\S+) (\S+) (\S+) <==$", out, re.M),
          [(first["id"], "/do", "success"), (second["id"], "/other", "success")], "calls that wrote something")
    equal([line for line in out.splitlines() if not line.startswith("==>")], ["said one", "said \x1b[2J two"], "logs")
    equal(ferrite("logs", "logs", "/do").count("==>"), 1, "of one route")
    lines = [json.loads(line) for line in ferrite("logs", "logs", "--json").splitlines()]
    equal([(line["id"], line["log"]) for line in lines],
          [(first["id"], "said one\n"), (second["id"], "said \x1b[2J two\n")], "as JSON")
    equal(json.loads(ferrite("logs", "logs", first["id"], "--json"))["log"], "said one\n", "one as JSON")
    ferrite("logs", "logs", "-f", first["id"], status=2)
    master, slave = os.openpty()
    subprocess.run([str(harness.FERRITE), "--api", f"unix:{service().socket_path}", "logs", "logs", second["id"]],
                   stdout=slave, stdin=subprocess.DEVNULL, timeout=60, check=True)
    os.close(slave)
    shown = os.read(master, 4096)
    os.close(master)
    check(b"\x1b" not in shown and b"\\x1b[2J two" in shown, f"harmless on a terminal: {shown}")


@contextlib.contextmanager
def following(*arguments):
    """The lines that a command prints while it runs."""
    process = subprocess.Popen([str(harness.FERRITE), "--api", f"unix:{service().socket_path}", *arguments],
                               stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True)
    harness.own_children.add(process.pid)
    try:
        yield process.stdout
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(timeout=30)
        process.stdout.close()


def test_the_command_follows():
    prepare("follow")
    old = run("follow", "say old")
    with following("calls", "follow", "-f", "--json") as lines:
        equal(json.loads(lines.readline())["id"], old["id"], "what was there")
        for i in range(3):
            new = run("follow", f"say {i}")
            equal(json.loads(lines.readline()), new, f"call {i}")
    with following("logs", "follow", "-f", "-n", "1") as lines:
        equal([lines.readline().split()[0], lines.readline()], ["==>", "said 2\n"], "the newest")
        run("follow", "exit 3", 500)
        check(lines.readline().endswith(" /do error <==\n"), "a new one")
        equal(lines.readline(), "leaving with 3\n", "its log")


def test_top():
    prepare("busy", script="read -r x; while :; do :; done", timeout=100)
    equal(json.loads(ferrite("top", "--once", "--json"))["instances"], [], "nothing runs")
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(service().socket_path)
        s.sendall(b"POST /r/busy/do HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nx\n")
        wait_for(lambda: [i for i in service().instances() if i["app"] == "busy" and i["state"] == "busy"], "it runs")
        found = json.loads(ferrite("top", "--once", "--json"))
        equal([i["app"] for i in found["instances"]], ["busy"], "instances")
        check(found["instances"][0]["cpu_percent"] > 1, f"processor: {found}")
        equal((found["stats"]["Running"], found["stats"]["Queue"]), (1, 0), "counters")
        out = ferrite("top", "--once")
        check("1 running, 0 waiting" in out and re.search(r"busy +/do +\d+ +[0-9.]+ ", out), out)
        with following("top") as lines:
            seen = [lines.readline() for _ in range(10)]
            equal(len([line for line in seen if line.startswith("calls: 1 running")]), 2, f"two looks: {seen}")
    ferrite("top", "--interval", "0", status=2)


# --- the history over time ----------------------------------------------------------------------------------------


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

        def newest():
            one_call(own, "z")
            return own.request("GET", "/v1/apps/keep/calls").json["calls"][0]

        # Each loop takes new settings when it gets to it.
        wait_for(lambda: newest()["log_truncated"], "only the mark of what is left out is kept")


if __name__ == "__main__":
    harness.run(globals(), Service(environment=SETTINGS))
