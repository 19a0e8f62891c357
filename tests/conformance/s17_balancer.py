"""Section 17: behind a load balancer, which adds X-Forwarded-For and keeps the caller's Host."""

from suite import case, check, equal

PROXIED = {"Host": "functions.example:8081", "X-Forwarded-For": "10.0.0.7, 192.168.1.1", "User-Agent": "", "Accept-Encoding": "gzip"}


@case()
def s17_forwarded_for_reaches_the_function(t):
    equal(t.environment(t.function("env"), headers=PROXIED)["HEADER_X_FORWARDED_FOR"], "10.0.0.7, 192.168.1.1", "HEADER_X_FORWARDED_FOR")


@case()
def s17_host_of_the_caller_is_kept(t):
    check("functions.example:8081/r/" in t.environment(t.function("env"), headers=PROXIED)["REQUEST_URL"], "another host")


@case()
def s17_any_host_is_served(t):
    for host in ("functions.example", "", "[::1]:8080", "a" * 200):
        equal(t.ask("GET", "/version", headers={"Host": host}).status, 200, f"Host: {host}")


@case()
def s17_absolute_targets_are_served(t):
    raw = t.raw(b"GET http://functions.example/version HTTP/1.1\r\nHost: functions.example\r\n\r\n")
    equal(raw.answer().json, {"version": "0.2.72"}, "answer")


@case()
def s17_many_kept_connections(t):
    connections = [t.connection() for _ in range(60)]
    for _ in range(2):
        equal({t.ask("GET", "/version", connection=connection).status for connection in connections}, {200}, "statuses")
