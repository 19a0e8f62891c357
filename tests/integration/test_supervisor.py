#!/usr/bin/env python3
"""ferrited with servers that only record what happens to them (tests/unit/supervisor/fake_server.c).

They print one line per event and do what a file tells them; see there. What the real servers do is tested elsewhere.
"""

import contextlib
import fcntl
import os
import random
import re
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import harness
from harness import BUILD, FIRST_ID, FERRITED, SERVERS, check, children_of, comm_of, equal, free_port, state_of, wait_for

FAKE = BUILD / "tests" / "fake_server"
SHORT = {name.removeprefix("ferrite-"): name for name in SERVERS}
PEERS = {"api": 1, "sandbox": 2, "rootfs": 3, "gpu": 4}
QUICK = {
    "FERRITE_HEARTBEAT_INTERVAL": "100ms", "FERRITE_HEARTBEAT_DEADLINE": "1s", "FERRITE_RESTART_DELAY": "10ms",
}


def libexec():
    """A folder where all four servers are the recorder."""
    folder = Path(tempfile.mkdtemp(prefix="ferrite-fake-"))
    folder.chmod(0o755)
    for name in SERVERS:
        shutil.copy(FAKE, folder / name)
    return folder


LIBEXEC = libexec()


class Supervisor:
    """One ferrited with fake servers in a folder of its own; a context manager."""

    def __init__(self, folder=None, settings=None, arguments=None, passed=None, closed=False):
        self.own_folder = folder is None
        # As mkdtemp makes it, closed to others: the servers have to get at their folders all the same.
        self.folder = Path(folder or tempfile.mkdtemp(prefix="ferrite-sup-"))
        if not closed:
            self.folder.chmod(0o711)
        self.port = free_port()
        self.arguments = ["--listen", f"127.0.0.1:{self.port}"] if arguments is None else arguments
        self.settings = {**QUICK, **(settings or {})}
        self.passed = passed
        self.text = ""
        self.changed = threading.Condition()
        self.process = None

    def __enter__(self):
        self.launch()
        return self

    def __exit__(self, kind, value, trace):
        killed = self.process.poll() is None
        if killed:
            self.process.kill()
            self.process.wait()
        if kind is not None:
            print("".join(f"    log: {line}\n" for line in self.text.splitlines()[-80:]), flush=True)
        if killed and self.own_folder:
            # What the killed one left is its successor's to clean.
            for short in SHORT:
                self.forget(short)
            self.passed = None
            self.launch(["--listen", "none"])
            self.end()
        if self.own_folder:
            shutil.rmtree(self.folder, ignore_errors=True)

    def launch(self, arguments=None):
        command = [
            str(FERRITED), "--state-dir", str(self.state), "--run-dir", str(self.run),
            *(self.arguments if arguments is None else arguments),
        ]
        environment = {"PATH": os.environ["PATH"], "FERRITE_LIBEXEC_DIR": str(LIBEXEC), **self.settings}
        high = [fcntl.fcntl(fd, fcntl.F_DUPFD, 50) for fd in self.passed or []]
        if high:
            # LISTEN_PID has to name the process that is executed, and its descriptors begin at 3.
            places = " ".join(f"{3 + n}<&{fd} {fd}<&-" for n, fd in enumerate(high))
            command = ["bash", "-c", f'exec {places}; LISTEN_PID=$$ LISTEN_FDS={len(high)} exec "$@"', "bash", *command]
        self.text = ""
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment,
            pass_fds=high,
        )
        for fd in high:
            os.close(fd)
        threading.Thread(target=self.read, args=(self.process.stdout,), daemon=True).start()

    def read(self, stream):
        for line in iter(stream.readline, b""):
            with self.changed:
                self.text += line.decode("utf-8", "replace")
                self.changed.notify_all()
        stream.close()

    @property
    def state(self):
        return self.folder / "state"

    @property
    def run(self):
        return self.folder / "run"

    @property
    def pid(self):
        return self.process.pid

    def line(self, pattern, after=0, seconds=20):
        """Waits for a line; returns the match, whose end() is where to look on."""
        expression = re.compile(pattern, re.M)
        with self.changed:
            self.changed.wait_for(lambda: expression.search(self.text, after), seconds)
            found = expression.search(self.text, after)
        check(found, f"no line {pattern!r} within {seconds} s")
        return found

    def mark(self):
        with self.changed:
            return len(self.text)

    def ready(self, seconds=20):
        self.line("ferrited is ready", seconds=seconds)

    def servers(self):
        found = {comm_of(p): p for p in children_of(self.pid) if state_of(p) not in ("Z", "X", "")}
        return {short: found[name] for short, name in SHORT.items() if name in found}

    def server(self, short):
        return wait_for(lambda: self.servers().get(short), f"{short} runs")

    def order(self, short, what, now=True):
        """Tells a server what to do: now, or (at) its next start."""
        path = self.state / short / "do"
        path.write_text(what + "\n")
        if now:
            os.kill(self.server(short), signal.SIGUSR1)

    def forget(self, short):
        (self.state / short / "do").unlink(missing_ok=True)

    def end(self, sign=signal.SIGTERM, seconds=20):
        self.process.send_signal(sign)
        return self.process.wait(seconds)

    def ask(self, path=None):
        """What the api's socket answers: the pid of the server."""
        kind, address = (socket.AF_UNIX, str(path)) if path else (socket.AF_INET, ("127.0.0.1", self.port))
        with socket.socket(kind, socket.SOCK_STREAM) as s:
            s.settimeout(10)
            s.connect(address)
            return int(s.makefile().readline())

    def cgroups(self):
        return sorted(set(re.findall(r"cgroup_\w+=(\S+)/instances", self.text)))


@contextlib.contextmanager
def bare(folder, **more):
    """A ferrited whose standard error the test reads itself; ready, and ended in any case."""
    command = [FERRITED, "--state-dir", f"{folder}/state", "--run-dir", f"{folder}/run", "--listen", "none"]
    environment = {**QUICK, "FERRITE_LIBEXEC_DIR": str(LIBEXEC)}
    process = subprocess.Popen(command, stderr=subprocess.PIPE, env=environment, **more)
    try:
        while b"ferrited is ready" not in process.stderr.readline():
            pass
        yield process
        process.send_signal(signal.SIGTERM)
        if not process.stderr.closed:
            process.stderr.read()
        equal(process.wait(20), 0, "exit status")
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        process.stderr.close()


def status_of(pid):
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {key: value.split() for key, _, value in (line.partition(":") for line in lines)}


def path_hash(path):
    """As in the names of cgroups: FNV-1a."""
    value = 2166136261
    for byte in path.encode():
        value = (value ^ byte) * 16777619 & 0xFFFFFFFF
    return f"{value:08x}"


def gone(pid):
    return state_of(pid) in ("Z", "X", "")


def refused(**more):
    """Starts one that must not start; returns what it said."""
    with Supervisor(**more) as s:
        equal(s.process.wait(20), 1, "exit status")
        return s.line("level=error .*").group(0)


def test_mechanisms_start_before_the_api_and_all_get_their_channels():
    with Supervisor() as s:
        s.ready()
        first = s.text.index("ferrite-api: config")
        for name in ("sandbox", "rootfs", "gpu"):
            check(s.text.index(f'"server ready" server=ferrite-{name}') < first, f"{name} is ready before the api starts")
        for a, b in (("api", "sandbox"), ("api", "rootfs"), ("api", "gpu"), ("gpu", "sandbox")):
            s.line(f"^ferrite-{a}: peer {PEERS[b]} says ferrite-{b}$")
            s.line(f"^ferrite-{b}: peer {PEERS[a]} says ferrite-{a}$")
        for name in SHORT:
            check(s.text.index(f"ferrite-{name}: channel") < s.text.index(f"ferrite-{name}: started"), "channels first")
        check("ferrite-rootfs: channel 2" not in s.text, "rootfs and sandbox have no channel")
        equal(s.text.count("ferrite-api: listener"), 2, "sockets of the api")
        equal(s.text.count(": listener"), 2, "sockets of all")
        equal(s.ask(), s.servers()["api"], "who answers on TCP")
        equal(s.ask(s.run / "api.sock"), s.servers()["api"], "who answers on the UNIX socket")
        equal(s.end(), 0, "exit status")


def test_sec_B5_each_server_has_only_what_its_row_says():
    with Supervisor() as s:
        s.ready()
        servers = s.servers()
        users = {"api": FIRST_ID + 1, "sandbox": 0, "rootfs": FIRST_ID + 65536, "gpu": FIRST_ID + 3}
        host_mounts, host_users = os.readlink("/proc/self/ns/mnt"), os.readlink("/proc/self/ns/user")
        for short, pid in servers.items():
            status = status_of(pid)
            equal(status["Uid"], [str(users[short])] * 4, f"{short}: users")
            equal(status["Gid"], [str(users[short])] * 4, f"{short}: groups")
            equal(status["Groups"], [], f"{short}: more groups")
            equal(status["NoNewPrivs"], ["1"], f"{short}: no_new_privs")
            equal(status["Seccomp"], ["2"], f"{short}: filter")
            equal(status["PPid"], [str(s.pid)], f"{short}: parent")
            for name in ("CapInh", "CapAmb"):
                equal(int(status[name][0], 16), 0, f"{short}: {name}")
            kept = {int(status[name][0], 16) for name in ("CapPrm", "CapEff", "CapBnd")}
            equal(len(kept), 1, f"{short}: sets of capabilities")
            if short in ("api", "gpu"):
                equal(kept, {0}, f"{short}: capabilities")
            module_or_raw = 1 << 16 | 1 << 17 | 1 << 22 | 1 << 25 | 1 << 38
            equal(kept.pop() & module_or_raw, 0, f"{short}: modules, raw I/O, boot, clock, perf")
            equal(os.readlink(f"/proc/{pid}/cwd"), "/", f"{short}: folder")
            equal(os.readlink(f"/proc/{pid}/fd/0"), "/dev/null", f"{short}: standard input")
            equal(os.readlink(f"/proc/{pid}/fd/1"), "/dev/null", f"{short}: standard output")
            equal(Path(f"/proc/{pid}/comm").read_text(), f"ferrite-{short}"[:15] + "\n", f"{short}: name")
            equal(Path(f"/proc/{pid}/cmdline").read_bytes(), f"ferrite-{short}\0".encode(), f"{short}: title")
            environment = Path(f"/proc/{pid}/environ").read_bytes().decode().split("\0")
            check(not any("FERRITE" in e for e in environment), f"{short}: environment {environment}")
            check(f"/servers/{short}\n" in Path(f"/proc/{pid}/cgroup").read_text(), f"{short}: cgroup")
            equal(os.readlink(f"/proc/{pid}/ns/mnt"), os.readlink(f"/proc/{s.pid}/ns/mnt"), f"{short}: mounts")
            equal(os.readlink(f"/proc/{pid}/ns/user") != host_users, short == "rootfs", f"{short}: own user namespace")
            limits = Path(f"/proc/{pid}/limits").read_text()
            check(re.search(r"Max core file size +0 +0 ", limits), f"{short}: core files")
        check(os.readlink(f"/proc/{s.pid}/ns/mnt") != host_mounts, "ferrited has mounts of its own")
        for kind in ("uid_map", "gid_map"):
            equal(Path(f"/proc/{servers['rootfs']}/{kind}").read_text().split(), ["0", str(FIRST_ID + 65536), "65536"], kind)
        own = int(status_of(s.pid)["CapEff"][0], 16)
        sandbox = int(status_of(servers["sandbox"])["CapEff"][0], 16)
        equal(sandbox & ~own, 0, "what the sandbox has and ferrited does not")
        equal(own & (1 << 16 | 1 << 17 | 1 << 22 | 1 << 25), 0, "ferrited: modules, raw I/O, boot, clock")
        for short, pid in servers.items():
            top = (s.state / short).stat()
            equal((top.st_uid, top.st_gid, top.st_mode & 0o7777), (users[short], users[short], 0o700), f"folder of {short}")
        equal(s.end(), 0, "exit status")


def test_a_killed_server_comes_back_with_new_channels():
    with Supervisor() as s:
        s.ready()
        for short in ("gpu", "sandbox", "rootfs", "api"):
            before, at = s.server(short), s.mark()
            os.kill(before, signal.SIGKILL)
            s.line(f'"server ended" server=ferrite-{short} why="signal 9', at)
            s.line(f'"server ready" server=ferrite-{short}', at)
            check(s.server(short) != before, f"{short} is a new process")
            for other in {"api": ("sandbox", "rootfs", "gpu"), "gpu": ("api", "sandbox"), "rootfs": ("api",), "sandbox": ("api", "gpu")}[short]:
                s.line(f"^ferrite-{other}: lost peer {PEERS[short]}$", at)
                s.line(f"^ferrite-{other}: peer {PEERS[short]} says ferrite-{short}$", at)
                s.line(f"^ferrite-{short}: peer {PEERS[other]} says ferrite-{other}$", at)
        equal(s.ask(), s.servers()["api"], "who answers after the api came back")
        equal(s.end(), 0, "exit status")


def test_descriptors_do_not_grow_with_restarts():
    with Supervisor(settings={"FERRITE_RESTART_LIMIT": "1000"}) as s:
        s.ready()

        def counts():
            return {name: len(os.listdir(f"/proc/{pid}/fd")) for name, pid in (("ferrited", s.pid), *s.servers().items())}

        before = counts()
        dice = random.Random(1)
        for _ in range(40):
            short = dice.choice(list(SHORT))
            at = s.mark()
            os.kill(s.server(short), signal.SIGKILL)
            if dice.random() < 0.5:
                s.line(f'"server ready" server=ferrite-{short}', at)
        wait_for(lambda: len(s.servers()) == 4 and counts() == before, f"descriptors as at the start ({before}, {counts()})")
        equal(s.end(), 0, "exit status")


def test_a_crash_loop_waits_longer_and_ends_in_failed():
    settings = {"FERRITE_RESTART_LIMIT": "5", "FERRITE_RESTART_DELAY": "20ms"}
    with Supervisor(settings=settings) as s:
        s.ready()
        s.order("gpu", "exit 3")
        s.line("a server stays down.*server=ferrite-gpu")
        delays = [int(d) for d in re.findall(r'server=ferrite-gpu why="exit status 3" restart_in_ms=(\d+)', s.text)]
        check(delays[1:] == [20, 40, 80][: len(delays) - 1] or delays == [0, 20, 40, 80], f"delays {delays}")
        check("gpu" not in s.servers(), "the gpu server stays down")
        equal(s.ask(), s.servers()["api"], "the others serve")
        s.line(f"^ferrite-api: lost peer {PEERS['gpu']}$")
        at = s.mark()
        s.order("api", "status")
        row = s.line(r"^ferrite-api: status 4711 ferrite-gpu state=(\d+) pid=(\d+) restarts=(\d+) last=(.*)$", at)
        equal(row.groups(), ("4", "0", "4", "exit status 3"), "the row of the gpu server")
        row = s.line(r"^ferrite-api: status 4711 ferrited state=(\d+) pid=(\d+)", at)
        equal(row.groups(), ("2", str(s.pid)), "the row of ferrited")
        s.forget("gpu")
        s.process.send_signal(signal.SIGHUP)
        s.line('"server ready" server=ferrite-gpu', at)
        s.line(f"^ferrite-api: peer {PEERS['gpu']} says ferrite-gpu$", at)
        equal(s.end(), 0, "exit status")


def test_a_needed_server_that_fails_is_said_clearly():
    with Supervisor(settings={"FERRITE_RESTART_LIMIT": "3"}) as s:
        s.ready()
        s.order("sandbox", "exit 4")
        s.line('level=error .*"a server that is needed stays down.*server=ferrite-sandbox last_end="exit status 4"')
        equal(s.ask(), s.servers()["api"], "the api still answers")
        equal(s.end(), 0, "exit status")


def test_a_hung_server_is_killed_and_comes_back():
    with Supervisor() as s:
        s.ready()
        before, at = s.server("rootfs"), s.mark()
        s.order("rootfs", "hang")
        s.line("ferrite-rootfs: obeys hang", at)
        s.forget("rootfs")
        s.line('killing a server.*server=ferrite-rootfs.*why="hangs', at)
        s.line('"server ready" server=ferrite-rootfs', at)
        check(gone(before), "the hung one is gone")
        equal(s.end(), 0, "exit status")


def test_standing_still_costs_no_server():
    with Supervisor(settings={"FERRITE_HEARTBEAT_DEADLINE": "500ms"}) as s:
        s.ready()
        before, at = s.servers(), s.mark()
        # The time itself is what is tested: a ping goes out, then all stand still for longer than its answer may take.
        os.kill(before["rootfs"], signal.SIGSTOP)
        time.sleep(0.25)
        os.kill(s.pid, signal.SIGSTOP)
        time.sleep(0.5)
        os.kill(before["rootfs"], signal.SIGCONT)
        time.sleep(0.25)
        os.kill(s.pid, signal.SIGCONT)
        equal(s.ask(), before["api"], "the api answers")
        equal(s.end(), 0, "exit status")
        check("killing a server" not in s.text[at:], "nobody is killed")


def test_a_server_that_never_gets_ready_is_killed():
    with Supervisor(settings={"FERRITE_START_DEADLINE": "300ms"}) as s:
        s.ready()
        at = s.mark()
        s.order("gpu", "unready", now=False)
        os.kill(s.server("gpu"), signal.SIGKILL)
        s.line('killing a server.*server=ferrite-gpu.*why="was not ready in time"', at)
        s.forget("gpu")
        s.line('"server ready" server=ferrite-gpu', at)
        equal(s.end(), 0, "exit status")


def test_a_server_that_breaks_the_protocol_is_killed():
    with Supervisor() as s:
        s.ready()
        before, at = s.server("api"), s.mark()
        s.order("api", "garbage")
        s.line('level=error .*"a server broke the protocol" server=ferrite-api.*malformed', at)
        s.forget("api")
        s.line('"server ready" server=ferrite-api', at)
        check(gone(before), "the one that broke it is gone")
        # Only the api may ask for the state of the others.
        at = s.mark()
        s.order("gpu", "status")
        s.line('"a server broke the protocol" server=ferrite-gpu.*unknown type', at)
        s.forget("gpu")
        s.line('"server ready" server=ferrite-gpu', at)
        equal(s.end(), 0, "exit status")


def test_an_accused_server_is_killed_and_both_get_a_fresh_channel():
    with Supervisor() as s:
        s.ready()
        before, at = s.server("api"), s.mark()
        s.order("sandbox", f"accuse {PEERS['api']}")
        s.line('"killing a server" server=ferrite-api .*"broke the protocol towards ferrite-sandbox"', at)
        s.forget("sandbox")
        s.line('"server ready" server=ferrite-api', at)
        check(s.server("api") != before, "api is a new process")
        s.line(f"^ferrite-sandbox: peer {PEERS['api']} says ferrite-api$", at)
        # Nobody may accuse whom it does not talk to.
        at = s.mark()
        s.order("rootfs", f"accuse {PEERS['gpu']}")
        s.line('"a server broke the protocol" server=ferrite-rootfs.*accusation', at)
        s.forget("rootfs")
        s.line('"server ready" server=ferrite-rootfs', at)
        equal(s.end(), 0, "exit status")


def test_what_a_dead_server_leaves_is_killed():
    with Supervisor() as s:
        s.ready()
        groups = s.cgroups()
        check(groups, "the sandbox is told its cgroups")
        stranger = subprocess.Popen(["sleep", "1000"])
        instance = subprocess.Popen(["sleep", "1000"])
        for group in groups:
            one = Path(group) / "instances" / "one"
            one.mkdir()
            (one / "cgroup.procs").write_text(str(instance.pid))
        s.order("sandbox", "child")
        s.line("ferrite-sandbox: obeys child")
        child = wait_for(lambda: children_of(s.server("sandbox")), "the child")[0]
        s.forget("sandbox")
        at = s.mark()
        os.kill(s.server("sandbox"), signal.SIGKILL)
        s.line('"server ready" server=ferrite-sandbox', at)
        equal(instance.wait(10), -signal.SIGKILL, "end of the instance")
        wait_for(lambda: gone(child), "the child is gone")
        equal(stranger.poll(), None, "a process that is not ours")
        stranger.kill()
        stranger.wait()
        equal(s.end(), 0, "exit status")
        equal([g for g in groups if os.path.exists(g)], [], "cgroups that are left")


def test_sigterm_drains_the_api_first_and_leaves_nothing():
    for sign in (signal.SIGTERM, signal.SIGINT):
        with Supervisor() as s:
            s.ready()
            servers, groups = s.servers(), s.cgroups()
            equal(s.end(sign), 0, "exit status")
            api = s.line("^ferrite-api: drain with time$").end()
            for short in ("sandbox", "rootfs", "gpu"):
                check(s.line(f"^ferrite-{short}: drain with time$").start() > api, f"{short} is told after the api")
            equal([short for short, pid in servers.items() if not gone(pid)], [], "servers that live")
            equal([g for g in groups if os.path.exists(g)], [], "cgroups that are left")
            equal(sorted(os.listdir(s.run)), [], "what is left in the run directory")
            equal(sorted(os.listdir(s.state)), ["api", "gpu", "rootfs", "sandbox"], "the state directory")


def test_a_signal_during_the_start_leaves_nothing():
    dice = random.Random(2)
    with tempfile.TemporaryDirectory(prefix="ferrite-sup-") as folder:
        before = harness.our_cgroups()
        for _ in range(30):
            s = Supervisor(folder=folder)
            s.launch(["--listen", "none"])
            # Anywhere between the first instruction and ready: what counts is that every moment leaves nothing.
            time.sleep(dice.uniform(0, 0.03))
            status = s.end()
            # Before main() nothing was made, and the signal's own effect ends the process.
            check(status in (0, -signal.SIGTERM), f"exit status {status}")
            if status == 0:
                equal(os.listdir(s.run), [], "the run directory")
        mine = {g for g in harness.our_cgroups() - before if f"ferrite-{path_hash(str(s.run))}" in g}
        equal(mine, set(), "cgroups that are left")


def test_a_server_that_does_not_drain_is_killed_and_the_exit_status_is_0():
    with Supervisor(settings={"FERRITE_DRAIN_TIMEOUT": "300ms"}) as s:
        s.ready()
        s.order("api", "deaf")
        s.order("gpu", "deaf")
        s.line("ferrite-api: obeys deaf")
        s.line("ferrite-gpu: obeys deaf")
        equal(s.end(), 0, "exit status")


def test_a_second_signal_ends_at_once():
    with Supervisor(settings={"FERRITE_DRAIN_TIMEOUT": "1h"}) as s:
        s.ready()
        s.order("api", "deaf")
        s.line("ferrite-api: obeys deaf")
        servers = s.servers()
        s.process.send_signal(signal.SIGTERM)
        s.line("ferrite-api: drain")
        equal(s.end(), 1, "exit status")
        equal([short for short, pid in servers.items() if not gone(pid)], [], "servers that live")
        equal(sorted(os.listdir(s.run)), [], "what is left in the run directory")


def test_sighup_reads_the_file_again():
    with tempfile.TemporaryDirectory(prefix="ferrite-conf-") as folder:
        conf = Path(folder) / "ferrited.conf"
        conf.write_text("# a comment\nmax_waiting = 7\nlog_level=info\n")
        port = free_port()
        with Supervisor(arguments=["--config", str(conf), "--listen", f"127.0.0.1:{port}"]) as s:
            s.ready()
            s.line("^ferrite-api: config max_waiting=7$")
            conf.write_text("max_waiting = 8\nmax_entries = 17\nuid_base = 65536\n")
            s.process.send_signal(signal.SIGHUP)
            s.line("^ferrite-api: reload max_waiting=8$")
            s.line("^ferrite-rootfs: reload max_entries=17$")
            s.line(f"^ferrite-sandbox: reload uid_base={FIRST_ID}$")
            s.line('"this setting changes with the next start of ferrited" key=uid_base')
            check(s.line("configuration read again"), "it says so")
            at = s.mark()
            conf.write_text("max_waiting = many\n")
            s.process.send_signal(signal.SIGHUP)
            s.line(r'level=error .*"the configuration stays as it was" error=".*ferrited.conf:1: max_waiting = \\x22many', at)
            equal(s.end(), 0, "exit status")
            s.line("ferrited has ended")
            for line in ("ferrite-api: reload max_waiting", "ferrite-rootfs: reload max_entries"):
                equal(s.text.count(line), 1, f"times that the servers were told: {line}")


def test_sec_M4_kill_9_ends_all_servers_and_a_new_one_takes_over():
    with Supervisor() as s:
        s.ready()
        s.order("rootfs", "child")
        s.line("ferrite-rootfs: obeys child")
        child = wait_for(lambda: children_of(s.server("rootfs")), "the child")[0]
        s.forget("rootfs")
        servers, groups = s.servers(), s.cgroups()
        (s.run / "sandbox" / "left").mkdir()
        (s.run / "sandbox" / "left" / "over").write_text("x")
        (s.folder / "outside").mkdir()
        (s.folder / "outside" / "file").write_text("not yours")
        (s.run / "sandbox" / "link").symlink_to(s.folder / "outside")
        s.process.kill()
        s.process.wait()
        wait_for(lambda: all(gone(pid) for pid in servers.values()), "all servers are gone", 1)
        s.launch()
        s.ready()
        wait_for(lambda: gone(child), "a process that the killed one's server left is gone", 5)
        equal(s.cgroups(), groups, "cgroups of the new one")
        equal(s.ask(), s.servers()["api"], "who answers")
        equal(os.listdir(s.run / "sandbox"), [], "the run directory is empty again")
        equal((s.folder / "outside" / "file").read_text(), "not yours", "what a link led to")
        equal(s.end(), 0, "exit status")
        equal([g for g in groups if os.path.exists(g)], [], "cgroups that are left")


def test_starting_twice_is_refused_and_disturbs_nothing():
    with Supervisor() as s:
        s.ready()
        said = refused(folder=s.folder, arguments=["--listen", "none"])
        check(f"already running in {s.run} as process {s.pid}" in said, said)
        equal(s.ask(s.run / "api.sock"), s.servers()["api"], "the first one serves on")
        equal(s.end(), 0, "exit status")


def test_sec_A2_two_beside_each_other_get_ids_of_their_own():
    with Supervisor() as one, Supervisor() as two:
        one.ready()
        two.ready()
        blocks = []
        for s in (one, two):
            first = int(s.line("config ids_first_block=(.*)").group(1))
            blocks.append(range(first, first + int(s.line("config ids_blocks=(.*)").group(1))))
        check(not set(blocks[0]) & set(blocks[1]), f"blocks {blocks}")
        check(min(min(b) for b in blocks) >= 2, "blocks 0 and 1 belong to the servers and the store")
        check(not set(one.cgroups()) & set(two.cgroups()), "cgroups differ")
        equal((one.end(), two.end()), (0, 0), "exit statuses")


def lock_ids(first, count):
    """Claims user ids as ferrited does, until the descriptor is closed."""
    fd = os.open("/sys/bus/platform/uevent", os.O_WRONLY)
    fcntl.fcntl(fd, 37, struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, first, count, 0))  # F_OFD_SETLK
    return fd


def test_no_free_range_of_ids_is_said_with_the_cure():
    base = 0x90000000
    claim = lock_ids(base, 1 << 31)
    try:
        said = refused(settings={"FERRITE_UID_BASE": str(base)})
        check(re.search(f"range of user ids from {base} is taken.*uid_base", said), said)
    finally:
        os.close(claim)
    with Supervisor(settings={"FERRITE_UID_BASE": str(base)}) as s:
        s.ready()
        equal(s.end(), 0, "the exit status when the range is free again")


def test_a_user_cannot_occupy_the_ids():
    pid = os.fork()
    if pid == 0:
        os.setgroups([])
        os.setresgid(65534, 65534, 65534)
        os.setresuid(65534, 65534, 65534)
        try:
            lock_ids(1 << 30, 1)
        except PermissionError:
            os._exit(0)
        os._exit(1)
    equal(os.waitpid(pid, 0)[1], 0, "another user's claim is refused")


def test_state_in_the_run_directory_is_refused():
    with tempfile.TemporaryDirectory(prefix="ferrite-sup-") as folder:
        for state in ("run", "run/api", "run/rootfs/deep"):
            command = [FERRITED, "--state-dir", f"{folder}/{state}", "--run-dir", f"{folder}/run", "--listen", "none"]
            kept = Path(folder) / state / "api" / "kept"
            kept.parent.mkdir(parents=True)
            kept.write_text("state")
            done = subprocess.run(command, capture_output=True, text=True, timeout=20, env={})
            equal(done.returncode, 1, f"{state}: exit status")
            check("must be apart" in done.stderr, done.stderr)
            equal(kept.read_text(), "state", "what was there")
            shutil.rmtree(f"{folder}/run")


def test_sec_F1_descriptors_of_the_caller_are_closed():
    with tempfile.TemporaryDirectory(prefix="ferrite-sup-") as folder, open("/etc/passwd") as leak:
        os.set_inheritable(leak.fileno(), True)
        with bare(folder, close_fds=False) as process:
            for pid in (process.pid, *children_of(process.pid)):
                open_files = [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")]
                check("/etc/passwd" not in open_files, f"{comm_of(pid)} has {open_files}")


def test_a_port_in_use_is_named_with_the_cure():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        said = refused(arguments=["--listen", f"127.0.0.1:{port}"])
    check(f"listen on 127.0.0.1:{port}: the port is in use" in said and "--listen" in said, said)


def test_sockets_of_the_service_manager_are_used():
    with socket.socket() as tcp, socket.socket(socket.AF_UNIX) as local, tempfile.TemporaryDirectory() as folder:
        tcp.bind(("127.0.0.1", 0))
        tcp.listen()
        local.bind(f"{folder}/s")
        local.listen()
        with Supervisor(passed=[tcp.fileno(), local.fileno()]) as s:
            s.ready()
            s.port = tcp.getsockname()[1]
            equal(s.ask(), s.servers()["api"], "who answers on TCP")
            equal(s.ask(f"{folder}/s"), s.servers()["api"], "who answers on the UNIX socket")
            equal(s.text.count("ferrite-api: listener"), 2, "sockets of the api")
            equal(s.end(), 0, "exit status")


def test_a_descriptor_that_is_no_listening_socket_is_refused():
    with open("/dev/null") as null:
        said = refused(passed=[null.fileno()])
    check("descriptor 3 from the service manager is no listening stream socket" in said, said)


def test_the_service_manager_is_told():
    for abstract in (False, True):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager, tempfile.TemporaryDirectory() as folder:
            path = f"{folder}/notify"
            manager.bind("\0" + path if abstract else path)
            manager.settimeout(20)
            heard = []

            def hear(wanted):
                while not any(wanted in line for line in heard):
                    heard.extend(manager.recv(4096).decode().splitlines())

            settings = {"NOTIFY_SOCKET": ("@" if abstract else "") + path, "WATCHDOG_USEC": "100000"}
            with Supervisor(settings=settings) as s:
                hear("READY=1")
                hear("WATCHDOG=1")
                heard.clear()
                hear("WATCHDOG=1")
                s.process.send_signal(signal.SIGHUP)
                hear("RELOADING=1")
                hear("MONOTONIC_USEC=")
                hear("READY=1")
                hear("STATUS=Serving")
                s.order("rootfs", "exit 1")
                hear("STATUS=Starting ferrite-rootfs")
                s.forget("rootfs")
                heard.clear()
                s.process.send_signal(signal.SIGTERM)
                hear("STOPPING=1")
                equal(s.process.wait(20), 0, "exit status")


def test_a_log_that_nobody_reads_ends_nobody():
    with tempfile.TemporaryDirectory(prefix="ferrite-sup-") as folder, bare(folder) as process:
        process.stderr.close()

        def servers():
            found = {comm_of(p): p for p in children_of(process.pid) if not gone(p)}
            return found if sorted(found) == sorted(SERVERS) else None

        # Each of these makes ferrited and the servers write lines.
        for name in SERVERS:
            before = wait_for(servers, "all servers run")
            os.kill(before[name], signal.SIGKILL)
            wait_for(lambda: (servers() or before)[name] != before[name], f"{name} is a new process")


def test_folders_closed_to_others_work():
    with Supervisor(closed=True) as s:
        equal(s.folder.stat().st_mode & 0o7777, 0o700, "mode of the folder above")
        s.ready()
        # The order reaches the server through the place where its folder is shown to it.
        s.order("rootfs", "exit 9")
        s.line('server=ferrite-rootfs why="exit status 9"')
        s.forget("rootfs")
        mounts = Path("/proc/self/mountinfo").read_text()
        check(str(s.folder) not in mounts, "the host sees none of the mounts")
        equal(s.end(), 0, "exit status")


def test_owners_that_differ_are_set_right():
    with Supervisor() as s:
        old = FIRST_ID + 5 * 65536
        for short, uid in (("api", 0), ("rootfs", old)):
            (s.state / short / "deep").mkdir(parents=True)
            (s.state / short / "deep" / "file").write_text("x")
            for path, shift in ((".", 0), ("deep", 0), ("deep/file", 7)):
                os.chown(s.state / short / path, uid + shift, uid + shift)
            (s.state / short / "deep" / "file").chmod(0o4755)
            (s.state / short / "link").symlink_to("/etc/passwd")
        passwd = os.stat("/etc/passwd")
        s.process.kill()
        s.process.wait()
        s.launch()
        s.ready()
        for short, uid in (("api", FIRST_ID + 1), ("rootfs", FIRST_ID + 65536)):
            file = (s.state / short / "deep" / "file").stat()
            equal((file.st_uid, file.st_gid, file.st_mode & 0o7777), (uid + 7, uid + 7, 0o4755), f"file of {short}")
            equal((s.state / short / "link").lstat().st_uid, uid if short == "api" else 0, f"link of {short}")
        equal(os.stat("/etc/passwd").st_uid, passwd.st_uid, "owner of what a link points to")
        equal(s.end(), 0, "exit status")


def test_settings_come_from_file_environment_and_options_in_that_order():
    with tempfile.TemporaryDirectory(prefix="ferrite-conf-") as folder:
        conf = Path(folder) / "c"
        port = free_port()
        conf.write_text("gpu = nvidia\nmax_waiting = 1\nmax_entries = 1000\nmemory_total = 2GiB\nlisten = 127.0.0.1:1\n")
        settings = {
            "FERRITE_CONFIG": str(conf), "FERRITE_GPU": "software", "FERRITE_MAX_WAITING": "2", "PORT": str(port),
            "LOG_LEVEL": "warn", "FERRITE_LOG_LEVEL": "debug", "DB_URL": "sqlite:x",
        }
        with Supervisor(settings=settings, arguments=["--gpu", "none"]) as s:
            s.ready()
            for server, line in (
                ("gpu", "gpu=none"), ("api", "max_waiting=2"), ("rootfs", "max_entries=1000"), ("api", "memory_total=2048MiB"),
                ("api", "log_level=debug"), ("api", "db_url=sqlite:x"),
            ):
                s.line(f"^ferrite-{server}: config {line}$")
            s.port = port
            equal(s.ask(), s.servers()["api"], "PORT")
            line = f"listening on=*:{port}"
            check(line in s.text.replace("msg=listening", "listening"), "PORT means every interface")
            equal(s.end(), 0, "exit status")


def test_bad_settings_are_named():
    with tempfile.TemporaryDirectory(prefix="ferrite-conf-") as folder:
        conf = Path(folder) / "c"
        for text, wanted in (
            ("\nmax_waitin = 1\n", r"c:2: unknown setting \x22max_waitin\x22, did you mean \x22max_waiting\x22?"),
            ("gpu = amd\n", r"c:1: gpu = \x22amd\x22: expected auto"),
            ("gpu\n", "expected"),
            ("gpu = none\ngpu = none\n", "c:2: gpu is given a second time"),
            ("state_dir = here\n", "expected an absolute path"),
            ("uid_base = 70000\n", "uid_base"),
            ("x" * 5000, "longer than"),
        ):
            conf.write_text(text)
            said = refused(arguments=["--config", str(conf)])
            check(wanted in said, f"{text[:50]!r}: {said}")
    check("open /nowhere/at/all: No such file" in refused(arguments=["--config", "/nowhere/at/all"]), "missing file")
    check("PORT: " in refused(settings={"PORT": "http"}), "bad PORT")
    said = refused(arguments=["--listen", "somewhere"])
    check("--listen: listen = " in said and "ADDR:PORT" in said, said)
    for arguments in (["--nonsense"], ["word"], ["--gpu"]):
        done = subprocess.run([FERRITED, *arguments], capture_output=True, text=True, timeout=20)
        equal((done.returncode, done.stdout), (2, ""), f"{arguments}: exit status and output")
        check("--help" in done.stderr, done.stderr)
    done = subprocess.run([FERRITED, "--help"], capture_output=True, text=True, timeout=20)
    check(done.returncode == 0 and "--state-dir" in done.stdout and "heartbeat_deadline" in done.stdout, done.stdout)
    done = subprocess.run([FERRITED, "--version"], capture_output=True, text=True, timeout=20)
    check(re.fullmatch(r"ferrited \d+\.\d+\.\d+\n", done.stdout), done.stdout)


def test_others_than_root_are_refused():
    with tempfile.TemporaryDirectory() as folder:
        # A copy that the other user can reach, wherever the clone is.
        os.chmod(folder, 0o755)
        program = shutil.copy(FERRITED, folder)
        done = subprocess.run(
            [program, "--run-dir", f"{folder}/r", "--state-dir", f"{folder}/s"], capture_output=True, text=True,
            timeout=20, user=65534, group=65534, extra_groups=[], cwd="/", env={},
        )
    equal(done.returncode, 1, "exit status")
    check("must be started as root" in done.stderr, done.stderr)


def test_a_missing_server_program_is_named():
    with tempfile.TemporaryDirectory(prefix="ferrite-fake-") as folder:
        with Supervisor(settings={"FERRITE_LIBEXEC_DIR": folder, "FERRITE_RESTART_LIMIT": "2"}) as s:
            s.line(f'cannot start a server.*server=ferrite-sandbox error="open {folder}/ferrite-sandbox: No such file')
            equal(s.end(), 0, "exit status")


if __name__ == "__main__":
    try:
        harness.run(globals())
    finally:
        shutil.rmtree(LIBEXEC, ignore_errors=True)
