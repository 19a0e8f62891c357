"""ferrite as a service of systemd, installed as `make install` does: runs in the guest that tests/vm/run boots."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "integration"))
from harness import SLOWNESS, check, equal, run, shell_image, wait_for  # noqa: E402

UNIT = "ferrited.service"
SOCKET = "/run/ferrite/api.sock"


class Connection(http.client.HTTPConnection):
    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(20 * SLOWNESS)
        self.sock.connect(SOCKET)


def request(method, path, body=None):
    connection = Connection("localhost")
    try:
        connection.request(method, path, body)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def systemctl(*arguments):
    done = subprocess.run(["systemctl", *arguments], capture_output=True, text=True, timeout=60 * SLOWNESS)
    return done.returncode, done.stdout.strip()


def show(name):
    return systemctl("show", "--value", "-p", name, UNIT)[1]


def start():
    code, _ = systemctl("start", UNIT)
    check(code == 0, "systemctl start failed:\n" + journal())
    equal(show("ActiveState"), "active", "state after start")


def journal():
    return subprocess.run(
        ["journalctl", "-u", UNIT, "--no-pager", "-n", "60"], capture_output=True, text=True, timeout=60 * SLOWNESS
    ).stdout


def answers():
    try:
        return request("GET", "/readyz")[0] == 200
    except OSError:
        return False


def call_works():
    try:
        return request("POST", "/r/vm/echo", b"through systemd") == (200, b"through systemd")
    except (OSError, http.client.HTTPException):
        return False


def test_the_guest_is_what_it_should_be():
    kind = subprocess.run(["stat", "-fc", "%T", "/sys/fs/cgroup"], capture_output=True, text=True, timeout=60).stdout
    equal(kind.strip(), "cgroup2fs", "file system of /sys/fs/cgroup")
    equal(Path("/proc/1/comm").read_text().strip(), "systemd", "process 1")


def test_start_is_ready_when_systemctl_returns():
    start()
    check(answers(), "not ready although systemd says active")
    check(show("StatusText"), "systemd was told no status")


def test_a_function_runs():
    status, text = request("POST", "/v1/images?name=vm/echo", shell_image("exec cat", "vm/echo:latest"))
    check(status in (200, 201), f"import: {status} {text!r}")
    route = {"route": {"path": "/echo", "image": "vm/echo"}}
    status, text = request("POST", "/v1/apps/vm/routes", json.dumps(route))
    equal(status, 200, f"route: {text!r}")
    check(call_works(), "the call does not answer:\n" + journal())


def test_containers_are_below_the_unit():
    group = show("ControlGroup")
    folders = [f for f, _, _ in os.walk("/sys/fs/cgroup" + group)]
    check(len(folders) > 4, f"groups below {group}: {folders}")


def test_reload_keeps_the_process():
    before = show("MainPID")
    code, _ = systemctl("reload", UNIT)
    equal(code, 0, "reload")
    check(call_works(), "no answer after a reload")
    equal(show("MainPID"), before, "process after a reload")


def test_every_server_may_be_killed():
    main = int(show("MainPID"))
    for name in ("ferrite-api", "ferrite-sandbox", "ferrite-rootfs", "ferrite-gpu"):
        [pid] = [p for p in children(main) if comm(p) == name]
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: pid not in children(main), f"end of {name}", 20 * SLOWNESS)
        wait_for(call_works, f"calls after the end of {name}", 20 * SLOWNESS)
    equal(int(show("MainPID")), main, "ferrited")


def test_systemd_restarts_a_killed_ferrited():
    before = int(show("MainPID"))
    os.kill(before, signal.SIGKILL)
    wait_for(lambda: show("MainPID") not in ("0", str(before)) and call_works(), "a new ferrited", 60 * SLOWNESS)
    check(int(show("NRestarts")) >= 1, "systemd counted no restart")


def test_stop_is_clean():
    code, _ = systemctl("stop", UNIT)
    equal(code, 0, "stop")
    equal(show("ActiveState"), "inactive", "state after stop")
    equal(show("Result"), "success", "result")
    left = [p for p in os.listdir("/proc") if p.isdigit() and comm(int(p)).startswith("ferrite")]
    equal(left, [], "processes after stop")
    check("ferrite" not in Path("/proc/mounts").read_text(), "mounts after stop")


def test_socket_activation():
    code, _ = systemctl("start", "ferrited.socket")
    equal(code, 0, "start of the socket")
    equal(show("ActiveState"), "inactive", "service before the first client")
    wait_for(call_works, "the first call", 60 * SLOWNESS)
    equal(show("ActiveState"), "active", "service after the first client")
    systemctl("stop", "ferrited.socket", UNIT)


def comm(pid):
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def children(pid):
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                if int(Path(f"/proc/{entry}/stat").read_text().rsplit(")", 1)[1].split()[1]) == pid:
                    found.append(int(entry))
            except OSError:
                pass
    return found

if __name__ == "__main__":
    run(globals())
