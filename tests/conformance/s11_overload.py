"""Section 11: memory accounting and overload. An original server always has 300 GiB (15.1): it is never asked."""

import time

from s10_stats import start
from suite import POST, case, check, equal, failure, poll

NEVER = "an original never runs out of memory (15.1)"


def declare(**options):
    return case(profile="small", alone=True, spare=NEVER, **options)


def running(t):
    return [i for i in t.ask("GET", "/v1/instances").json["instances"] if i["app"] == t.app]


def queued(t):
    return t.ask("GET", "/stats").json["Queue"]


def refused(answer, message):
    equal((answer.status, answer.message), (503, message), "refusal")
    check(int(answer.headers["Retry-After"]) >= 1, f"Retry-After: {answer!r}")


@declare()
def s11_calls_run_side_by_side_while_they_fit(t):
    path = t.function("act", memory=128)
    calls = [start(t, path, "sleep 1000") for _ in range(2)]
    poll(lambda: len(running(t)) == 2, "both run")
    equal([call.answer().status for call in calls], [200, 200], "statuses")


@declare()
def s11_a_call_waits_for_memory(t):
    path = t.function("act", memory=256)
    first = start(t, path, "sleep 1000\nout first")
    poll(lambda: running(t), "the first runs")
    second = start(t, path, "out second")
    equal((first.answer().body, second.answer().body), (b"first\n", b"second\n"), "outputs")


@declare()
def s11_memory_comes_back_after_every_kind_of_end(t):
    path, short = t.function("act", memory=256), t.function("act", "/short", memory=256, timeout=1)
    equal(t.call(short, b"sleep 60000").status, 504, "a time-out")
    for body, status in (("exit 1", 500), ("kill 9", 500), ("alloc 600", 500), ("exit 0", 200), ("exit 0", 200)):
        equal(t.call(path, body).status, status, body)


@declare()
def s11_memory_comes_back_when_the_client_leaves(t):
    path = t.function("act", memory=256)
    gone = start(t, path, "sleep 600000")
    poll(lambda: running(t), "it runs")
    gone.close()
    equal(t.call(path, b"out next").body, b"next\n", "output")


@declare()
def s11_small_calls_wait_behind_large_ones(t):
    t.function("act", "/half", memory=128)
    t.function("act", "/whole", memory=256)
    first = start(t, f"/r/{t.app}/half", "sleep 1500\nout first")
    poll(lambda: running(t), "the first runs")
    large = start(t, f"/r/{t.app}/whole", "sleep 300")
    poll(lambda: queued(t) == 1, "the large one waits")
    small = start(t, f"/r/{t.app}/half", "out small")
    poll(lambda: queued(t) == 2, "the small one waits behind it")
    equal([call.answer().status for call in (first, large, small)], [200] * 3, "statuses")


@declare(deviation="overload-status")
def s11_full_line_is_refused_at_once(t):
    path = t.function("act", memory=256)
    first = start(t, path, "sleep 2000")
    poll(lambda: running(t), "the first runs")
    waiting = [start(t, path, "exit 0") for _ in range(2)]
    poll(lambda: queued(t) == 2, "two wait")
    refused(t.call(path, b"exit 0"), "The runner queue is full")
    equal([call.answer().status for call in (first, *waiting)], [200] * 3, "statuses")


@declare(deviation="overload-status")
def s11_no_memory_for_ten_seconds(t):
    path = t.function("act", memory=256)
    first = start(t, path, "sleep 14000")
    poll(lambda: running(t), "the first runs")
    began = time.monotonic()
    refused(t.call(path, b"exit 0"), "Task timed out. No available memory.")
    check(time.monotonic() - began > 9, "it did not wait")
    first.close()


@declare(deviation="too-large-call")
def s11_what_can_never_fit_is_refused_at_once(t):
    path = t.function("act", memory=257)
    answer = t.call(path, b"exit 0")
    check(answer.status == 503 and answer.message, repr(answer))


@declare()
def s11_reads_go_on_under_load(t):
    path = t.function("act", memory=256)
    calls = [start(t, path, "sleep 700")]
    poll(lambda: running(t), "one runs")
    calls += [start(t, path, "sleep 10") for _ in range(2)]
    poll(lambda: queued(t) == 2, "two wait")
    for url in ("/", "/version", "/v1/apps", "/v1/apps/$APP/routes"):
        equal(t.ask("GET", url).status, 200, url)
    equal([call.answer().status for call in calls], [200] * 3, "statuses")


@declare()
def s11_default_memory_counts_as_128(t):
    path = t.function("act")
    calls = [start(t, path, "sleep 1500") for _ in range(2)]
    poll(lambda: len(running(t)) == 2, "two run")
    calls.append(start(t, path, "exit 0"))
    poll(lambda: queued(t) == 1, "the third waits")
    equal([call.answer().status for call in calls], [200] * 3, "statuses")


@declare()
def s11_failure_has_its_request_id(t):
    path = t.function("act", memory=256)
    t.expect(POST(path, "exit 2"), failure(500, "exit code 2"))
