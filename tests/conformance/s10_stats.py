"""Section 10: stats."""

from suite import case, check, equal, poll

COUNTERS = ("Queue", "Running", "Complete")


def stats(t):
    answer = t.ask("GET", "/stats").json
    return tuple(answer[key] for key in COUNTERS)


def start(t, path, body):
    """A call whose answer is not waited for."""
    return t.raw(f"POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())


def complete_case(name, body, status, **route):
    def run(t):
        path = t.function("act", **route)
        poll(lambda: stats(t)[:2] == (0, 0), "nothing runs")
        before = stats(t)[2]
        for _ in range(2):
            equal(t.call(path, body).status, status, "status")
        poll(lambda: stats(t) == (0, 0, before + 2), "both are counted")

    run.__name__ = f"s10_complete_counts_{name}"
    case(alone=True)(run)


complete_case("successes", b"exit 0", 200)
complete_case("failures", b"exit 1", 500)
complete_case("timeouts", b"sleep 60000", 504, timeout=1)


@case(alone=True)
def s10_refusals_are_not_counted(t):
    t.new_app()
    before = stats(t)[2]
    t.call("/r/$APP/none")
    t.call("/r/nobody/none")
    equal(stats(t)[2], before, "Complete")


@case(alone=True)
def s10_running_counts_while_it_runs(t):
    path = t.function("act", timeout=30)
    _, running, complete = stats(t)
    first, second = start(t, path, "sleep 1500"), start(t, path, "sleep 1500")
    poll(lambda: stats(t)[1] == running + 2, "two run")
    equal((first.answer().status, second.answer().status), (200, 200), "statuses")
    poll(lambda: stats(t) == (0, running, complete + 2), "both ended")


@case(profile="small", alone=True, spare="an original never runs out of memory (15.1)")
def s10_queue_counts_what_waits(t):
    path = t.function("act", memory=256)
    first = start(t, path, "sleep 1500")
    poll(lambda: stats(t)[1] == 1, "one runs")
    second = start(t, path, "out second")
    poll(lambda: stats(t)[:2] == (1, 1), "one waits")
    equal((first.answer().status, second.answer().status), (200, 200), "statuses")
    poll(lambda: stats(t)[:2] == (0, 0), "nothing waits or runs")


@case()
def s10_api_requests_are_not_counted(t):
    for value in t.ask("GET", "/stats").json.values():
        check(0 <= value < 1 << 63, f"counter {value}")
