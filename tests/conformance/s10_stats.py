"""Section 10: stats."""

from suite import Skip, case, check, equal, poll

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


@case()
def s10_stderr_goes_to_the_log_of_the_service(t):
    if not hasattr(t.service, "log"):
        raise Skip("the log of a service that was given by its URL is not at hand")
    words = f"said by {t.app}"
    answer = t.call(t.function("act"), f"err {words} first\nerr {words} second\nout x".encode())
    equal(answer.body, b"x\n", "output")
    poll(lambda: t.service.log().count(words) == 2, "both lines are in the log")
    line = next(line for line in t.service.log().splitlines() if words in line)
    for part in (t.app, "/f", t.image("act")):
        check(part in line, f"{part} is missing in {line}")


@case(deviation="more-paths", spare="an addition of ferrite")
def s10_metrics(t):
    t.call(t.function("act"), b"out x")
    answer = t.ask("GET", "/metrics")
    equal(answer.status, 200, "status")
    check(answer.headers["Content-Type"].startswith("text/plain; version=0.0.4") and "# TYPE ferrite_" in answer.text, repr(answer))
