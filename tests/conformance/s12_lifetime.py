"""Section 12: what a service keeps. Only a private service can be ended and started again."""

import contextlib

from services import own_service
from suite import Context, Skip, case, equal


@contextlib.contextmanager
def restartable(t, **environment):
    """A service for this case alone, and a context T for it."""
    if not hasattr(t.service, "service"):
        raise Skip("a service that was given by its URL is not restarted")
    with own_service(environment) as service:
        context = Context(service, t.target, t.image_prefix, 0)
        yield context, service.service
        context.stack.close()


def restart(service):
    equal(service.stop(), 0, "exit status after SIGTERM")
    service.launch()
    service.wait_ready()


@case(alone=True)
def s12_apps_and_routes_survive_a_restart(t):
    with restartable(t) as (own, service):
        own.new_app(config={"K": "v"})
        own.new_route("/x", "i", headers={"X-A": ["1", "2"]}, config={"L": "w"}, timeout=77)
        before = [own.ask("GET", path).body for path in ("/v1/apps", "/v1/apps/$APP/routes")]
        restart(service)
        equal([own.ask("GET", path).body for path in ("/v1/apps", "/v1/apps/$APP/routes")], before, "apps and routes")


@case(alone=True)
def s12_queued_calls_survive_a_restart(t):
    with restartable(t, FERRITE_ASYNC_WORKERS="0") as (own, service):
        own.new_route("/x", "i", type="async")
        ids = [own.call("/r/$APP/x", f"{number}".encode()).json["call_id"] for number in range(3)]
        reserved = own.ask("GET", "/tasks").json["id"]
        restart(service)
        found = [own.ask("GET", "/tasks").json for _ in range(4)]
        left = [task["id"] for task in found if task]
        # Whether a reservation survives is not said; the task does, and nothing comes twice.
        equal(sorted({reserved, *left}), sorted(ids), "tasks")
        equal(len(left), len(set(left)), "none is given twice")


@case(alone=True)
def s12_counters_begin_at_nothing(t):
    with restartable(t) as (own, service):
        own.new_app()
        restart(service)
        equal(own.ask("GET", "/stats").json, {"Queue": 0, "Running": 0, "Complete": 0}, "stats")
