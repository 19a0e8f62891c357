#!/usr/bin/env python3
"""ferrite-sandbox alone: what an instance can do, how it ends, and what is left of it. time limit: 600 s

A private ferrite-sandbox is driven by tests/integration/sandbox/driver.c. Tests whose names begin with sec_ carry the
ids of the security table (tables A to H of the design's security contract); what they find impossible inside is, where
it can be, shown to be possible outside.
"""

import ctypes
import json
import os
import platform
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import harness
from harness import BUILD, check, equal, wait_for

PROGRAMS = BUILD / "tests" / "integration" / "sandbox"
# Ids of our own, so that other services on the machine are not counted.
UID_BASE = 0x10000000 + os.getpid() % 100 * 0x500000
STORE = UID_BASE + 65536
V1 = Path("/sys/fs/cgroup/memory/cgroup.procs").exists()
V2_ROOT = Path("/sys/fs/cgroup/unified" if V1 else "/sys/fs/cgroup")
MIB = 1 << 20
POOL = 8  # groups that the server keeps made ahead, CGROUP_POOL


def own(path, uid=STORE, gid=STORE):
    """Gives a tree to the store, links included."""
    os.chown(path, uid, gid, follow_symlinks=False)
    if not path.is_symlink() and path.is_dir():
        for child in path.iterdir():
            own(child, uid, gid)


class Sandbox:
    """A private server with its driver; remembers what the machine looked like before."""

    pool = 0  # of those that are not told: containers that wait, at most

    def __init__(self, *config, blocks=64, pool=None):
        self.pool = Sandbox.pool if pool is None else pool
        self.config = (f"pool_max={self.pool}", *config)
        self.blocks = blocks
        self.always_warm = False

    def start_shared(self):
        harness.shared = self.__enter__()

    def __enter__(self):
        self.folder = Path(tempfile.mkdtemp(prefix="ferrite-sbx-"))
        self.folder.chmod(0o711)
        self.name = self.folder.name
        self.mounts = Path("/proc/self/mountinfo").read_text()
        self.groups = [V2_ROOT / self.name]
        if V1:
            self.groups += [Path(f"/sys/fs/cgroup/{kind}/{self.name}") for kind in ("memory", "pids", "cpu")]
        self.launch()
        self.base_layer = self.layer({"bin": None})
        shutil.copy(PROGRAMS / "inspector", self.base_layer / "bin" / "inspector")
        shutil.copy(shutil.which("busybox"), self.base_layer / "bin" / "busybox")
        (self.base_layer / "bin" / "sh").symlink_to("busybox")
        own(self.base_layer)
        return self

    def command(self):
        keys = ("cgroup_v2", "cgroup_v1_memory", "cgroup_v1_pids", "cgroup_v1_cpu")
        groups = [f"{key}={group}" for key, group in zip(keys, self.groups)]
        return [PROGRAMS / "driver", BUILD / "libexec" / "ferrite-sandbox", f"state_dir={self.folder}/state", *groups,
                f"ids_blocks={self.blocks}", f"uid_base={UID_BASE}", f"store_base={STORE}", *self.config]

    def launch(self):
        """Starts a server, or a successor of one that was killed."""
        self.driver = subprocess.Popen(  # pylint: disable=consider-using-with
            self.command(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=(self.folder / "log").open("a"),
            text=True,
        )
        started = json.loads(self.driver.stdout.readline())
        check("server" in started, f"the server does not start: {started} {self.log()}")
        self.server = started["server"]

    def kill_server(self):
        os.kill(self.server, signal.SIGKILL)
        self.driver.kill()
        self.driver.wait()
        wait_for(lambda: not self.processes(all_of_them=True), "the end of the instances", 5)

    def log(self):
        return (self.folder / "log").read_text()

    def layer(self, entries):
        """A layer folder: name -> None (folder), bytes, or "-> target"."""
        folder = Path(tempfile.mkdtemp(prefix="layer-", dir=self.folder))
        folder.chmod(0o755)
        for name, content in entries.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if content is None:
                path.mkdir(exist_ok=True)
            elif isinstance(content, str):
                path.symlink_to(content.removeprefix("-> "))
            else:
                path.write_bytes(content)
                path.chmod(0o755)
        own(folder)
        return folder

    def ask(self, **request):
        self.driver.stdin.write(json.dumps(request) + "\n")
        self.driver.stdin.flush()
        return json.loads(self.driver.stdout.readline())

    def request(self, op, *args, layers=None, **more):
        layers = [str(p) for p in (layers or [self.base_layer])]
        while True:
            if self.always_warm:
                wait_for(self.waiting, "a container in the pool", 10)
            answer = self.ask(op=op, layers=layers, args=[str(a) for a in args], **more)
            if not self.always_warm or answer.get("start") != "cold":
                return answer
            # What is on its way out after a failure looked like one that waits: once more.
            if op == "create":
                self.ask(op="kill", instance=answer["instance"])
                self.wait(answer["instance"])

    def run(self, *args, **more):
        answer = self.request("run", *args, **more)
        check("end" in answer, f"{args}: {answer} {self.log()[-2000:]}")
        return answer

    def inspect(self, *args, **more):
        """Runs the inspector; its key=value lines."""
        answer = self.run("/bin/inspector", *args, **more)
        equal((answer["end"], answer["exit_code"]), ("exit", 0), f"end of {args}: {answer}")
        return answer["stdout"]

    def values(self, *args, **more):
        return dict(line.split("=", 1) for line in self.inspect(*args, **more).splitlines() if "=" in line)

    def create(self, *args, **more):
        answer = self.request("create", *args, **more)
        check("instance" in answer, f"{args}: {answer}")
        return answer["instance"]

    def wait(self, instance, **more):
        return self.ask(op="wait", instance=instance, **more)

    def refused(self, phase, text, *args, **more):
        answer = self.request("create", *args, **more)
        check("failed" in answer, f"was not refused: {args} {more} {answer}")
        failed = answer["failed"]
        equal(failed["phase"], phase, f"phase of {failed}")
        check(text in failed["text"], f"no {text!r} in {failed}")
        return failed

    def groups_left(self):
        return [str(g) for top in self.groups if top.exists() for g in top.iterdir() if g.is_dir()]

    def leases(self):
        data = (self.folder / "state" / "ids").read_bytes()
        return sum(1 for byte in data[-self.blocks:] if byte)

    def waiting(self):
        return len(self.waiting_groups())

    def waiting_processes(self):
        return sum(self.waiting_groups(), [])

    def waiting_groups(self):
        """Processes of each container in the pool: those that have an init and a builder, and no program."""
        found = []
        for group in self.groups[0].glob("fi-*"):
            try:
                pids = (group / "cgroup.procs").read_text().split()
                names = {Path(f"/proc/{pid}/comm").read_text().strip() for pid in pids}
            except OSError:
                continue
            if "ferrite-birth" in names and names <= {"ferrite-init", "ferrite-birth"}:
                found.append(pids)
        return found

    def settled(self):
        def done():
            waiting = self.waiting()
            return len(self.groups_left()) == (POOL + waiting) * len(self.groups) and self.leases() == waiting

        wait_for(done, f"removal: {self.leases()} leases, {POOL} groups wanted, are {self.groups_left()}", 10)

    def processes(self, all_of_them=False):
        """Processes whose user is one of ours, without those of the pool."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    uid = entry.stat().st_uid
                    if (entry / "stat").read_text().rsplit(")", 1)[1].split()[0] == "Z":
                        continue  # of a killed server: the machine's process 1 reaps when it likes
                    group = (entry / "cgroup").read_text()
                    if "/ferrite-sbx-" in group and self.name not in group:
                        continue  # of another server with the same ids
                except OSError:
                    continue
                if self.first_id() <= uid < self.first_id() + self.blocks * 65536:
                    found.append((entry.name, uid))
        waiting = [] if all_of_them else self.waiting_processes()
        return [process for process in found if process[0] not in waiting]

    def first_id(self):
        return UID_BASE + 2 * 65536

    def stop(self):
        self.driver.stdin.close()
        equal(self.driver.wait(30), 0, f"exit status of the driver; log: {self.log()[-2000:]}")

    def __exit__(self, kind, value, trace):
        try:
            if self.driver.poll() is None:
                self.stop()
            equal(self.groups_left(), [], "groups left")
            equal(Path("/proc/self/mountinfo").read_text(), self.mounts, "mounts")
        finally:
            for group in self.groups:
                if group.exists():
                    group.rmdir()
            shutil.rmtree(self.folder)


def box():
    return harness.shared


# --- ends ---------------------------------------------------------------------------------------------------------


def test_exit_codes_are_exact():
    for code in range(256):
        answer = box().run("/bin/inspector", "exit", code)
        equal((answer["end"], answer["exit_code"], answer["signal"]), ("exit", code, 0), f"exit {code}")


def test_signals_are_exact():
    for number in sorted(set(range(1, 65)) - {signal.SIGCHLD, signal.SIGURG, signal.SIGWINCH, signal.SIGCONT,
                                              signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU, 32, 33}):
        answer = box().run("/bin/inspector", "signal", number)
        equal((answer["end"], answer["exit_code"], answer["signal"]), ("signal", -1, number), f"signal {number}")


def test_usage_is_reported():
    birth = box().run("/bin/inspector", "burn", 0)["cpu_us"]
    answer = box().run("/bin/inspector", "burn", 200000)
    check(200000 <= answer["cpu_us"] < 300000 + 4 * birth, f"CPU time {answer}, of a birth {birth}")
    check(answer["run_us"] >= 200000, f"run time {answer}")
    filled = box().run("/bin/inspector", "fill", "/tmp/file", disk=16 * MIB)
    check(filled["memory_peak"] > 14 * MIB, f"peak memory {filled}")


def test_timeout_kills():
    answer = box().run("/bin/inspector", "stubborn", timeout_us=200000)
    equal((answer["end"], answer["exit_code"], answer["signal"]), ("timeout", -1, 9), "a stubborn program")
    equal(box().run("/bin/inspector", "exit", 3, timeout_us=60000000)["end"], "exit", "a quick program")


def test_sec_G3_memory_limit_ends_with_oom():
    answer = box().run("/bin/inspector", "hog", memory=32 * MIB)
    equal((answer["end"], answer["signal"]), ("oom", 9), f"hog {answer}")
    check(answer["memory_peak"] <= 33 * MIB, f"peak memory {answer}")
    answer = box().run("/bin/inspector", "fill", "/tmp/file", memory=32 * MIB, disk=1024 * MIB)
    equal(answer["end"], "oom", f"a file system larger than the memory: {answer}")
    answer = box().run("/bin/inspector", "fill", "/dev/shm/file", memory=32 * MIB)
    equal(answer["end"], "oom", f"shared memory larger than the memory: {answer}")


def socket_bytes(kind):
    """What the machine's socket buffers of a kind take, in all network namespaces."""
    line = re.search(rf"^{kind.upper()}:.* mem (\d+)", Path("/proc/net/sockstat").read_text(), re.M)
    return int(line[1]) * 4096


def test_sec_G3_socket_buffers_are_limited():
    for kind in ("tcp", "udp"):
        before = socket_bytes(kind)
        instance = box().create("/bin/inspector", "sockets", kind, memory=32 * MIB, await_output=True)
        taken = socket_bytes(kind) - before
        box().ask(op="kill", instance=instance)
        box().wait(instance)
        check(taken < 64 * MIB, f"{kind} buffers of {taken} bytes with a limit of {32 * MIB}")


def test_sec_G2_fork_bomb_is_bounded():
    answer = box().run("/bin/inspector", "forkbomb", pids=20)
    equal((answer["end"], answer["exit_code"]), ("exit", 3), f"fork bomb {answer}")
    equal(answer["stdout"], "children=19\nerror=EAGAIN\n", "fork bomb")
    box().settled()
    equal(box().processes(), [], "processes")


def test_cpu_quota_holds():
    answer = box().run("/bin/inspector", "spin", timeout_us=1000000, cpu=20)
    birth = box().run("/bin/inspector", "exit", 0)["cpu_us"]
    check(answer["cpu_us"] - birth < answer["run_us"] / 2, f"20 % of a CPU: {answer}, of a birth {birth}")


def test_kill_at_once_and_with_grace():
    for grace, program, wanted in ((0, "obedient", ("killed", -1, 9)), (5000000, "obedient", ("killed", 40, 0)),
                                   (200000, "stubborn", ("killed", -1, 9))):
        instance = box().create("/bin/inspector", program, await_output=True)
        box().ask(op="kill", instance=instance, grace_us=grace)
        answer = box().wait(instance)
        equal((answer["end"], answer["exit_code"], answer["signal"]), wanted, f"{program} with {grace}: {answer}")
    instance = box().create("/bin/inspector", "stubborn", await_output=True)
    box().ask(op="kill", instance=instance, grace_us=60000000)
    box().ask(op="kill", instance=instance, grace_us=0)
    equal(box().wait(instance)["end"], "killed", "patience that ends early")
    instance = box().create("/bin/inspector", "obedient", stop_signal=int(signal.SIGUSR2), await_output=True)
    box().ask(op="kill", instance=instance, grace_us=5000000)
    check(f"signal={int(signal.SIGUSR2)}" in box().wait(instance)["stdout"], "the image's stop signal")
    box().ask(op="kill", instance=instance, grace_us=0)
    box().ask(op="kill", instance=12345, grace_us=0)
    equal(box().run("/bin/inspector", "exit", 0)["end"], "exit", "killing the unknown")


def freeze(instance):
    equal(box().ask(op="freeze", instance=instance), {"errno": 0}, "freezing without any right")
    wait_for(lambda: box().ask(op="stat", instance=instance)["frozen"], "everything to stop", 10)


def test_frozen_instances_stand_still_and_go_on():
    instance = box().create("/bin/inspector", "spin", await_output=False)
    freeze(instance)
    before = box().ask(op="stat", instance=instance)["cpu_us"]
    equal(box().run("/bin/inspector", "exit", 3)["exit_code"], 3, "another one")
    equal(box().ask(op="stat", instance=instance)["cpu_us"], before, "CPU time of a frozen one")
    equal(box().ask(op="thaw", instance=instance), {"errno": 0}, "thawing without any right")
    wait_for(lambda: box().ask(op="stat", instance=instance)["cpu_us"] > before, "it to go on", 10)
    check(not box().ask(op="stat", instance=instance)["frozen"], "it runs")
    box().ask(op="kill", instance=instance)
    box().wait(instance)


def test_frozen_instances_end_as_others_do():
    instance = box().create("/bin/inspector", "stubborn", await_output=True)
    freeze(instance)
    box().ask(op="kill", instance=instance)
    equal(box().wait(instance)["end"], "killed", "a frozen one, at once")
    instance = box().create("/bin/inspector", "obedient", await_output=True)
    freeze(instance)
    box().ask(op="kill", instance=instance, grace_us=60000000)
    answer = box().wait(instance)
    equal((answer["end"], answer["exit_code"]), ("killed", 40), f"a frozen one, with grace: {answer}")
    instance = box().create("/bin/inspector", "stubborn", timeout_us=300000)
    equal(box().ask(op="freeze", instance=instance), {"errno": 0}, "freezing")
    equal(box().wait(instance)["end"], "timeout", "a frozen one, after its time")
    instance = box().create("/bin/sh", "-c", "read line; exec /bin/inspector hog", memory=32 * MIB)
    freeze(instance)
    box().ask(op="thaw", instance=instance)
    equal(box().wait(instance, stdin="go\n")["end"], "oom", "one that was frozen, out of memory")
    box().settled()
    equal(box().processes(), [], "processes")


def test_daemons_do_not_survive():
    equal(box().run("/bin/inspector", "daemons", 20)["exit_code"], 0, "daemons")
    box().settled()
    equal(box().processes(), [], "processes")


def test_output_floods_are_carried_and_bounded():
    for descriptor, name in ((1, "stdout_total"), (2, "stderr_total")):
        answer = box().run("/bin/inspector", "flood", descriptor, 32 * MIB)
        equal((answer["exit_code"], answer[name]), (0, 32 * MIB), f"flood of descriptor {descriptor}")


def test_standard_input_arrives():
    answer = box().run("/bin/busybox", "cat", stdin="hello")
    equal(answer["stdout"], "hello", "input")
    instance = box().create("/bin/inspector", "wait_stdin")
    equal(box().wait(instance)["exit_code"], 0, "end of input")


def test_standard_descriptors_open_again_by_name():
    for user in (0, 1000):
        found = box().values("reopen", uid=user, gid=user)
        equal(set(found.values()), {"ok"}, f"as {user}: {found}")


def test_many_at_once():
    instances = [box().create("/bin/inspector", "hold", pids=4, disk=MIB) for _ in range(40)]
    stats = [box().ask(op="stat", instance=i) for i in instances]
    check(all(s["tasks"] >= 2 and s["memory"] > 0 for s in stats), f"{stats[0]}")
    for s in stats:
        group = V2_ROOT / s["cgroup"]
        check(group.parent == box().groups[0] and len((group / "cgroup.procs").read_text().split()) == 2, f"{s}")
    scores = {Path(f"/proc/{pid}/oom_score_adj").read_text() for pid, _ in box().processes()}
    equal(scores, {"500\n"}, "oom_score_adj")
    for i in instances:
        box().ask(op="kill", instance=i, grace_us=0)
    equal({box().wait(i)["end"] for i in instances}, {"killed"}, "ends")
    check("failed" in box().ask(op="stat", instance=instances[0]), "stat of an instance that is gone")
    box().settled()


def test_id_ranges_run_out_with_a_clear_error():
    with Sandbox(blocks=3) as small:
        instances = [small.create("/bin/inspector", "hold") for _ in range(3)]
        failed = small.refused("ids", "are in use", "/bin/inspector", "hold")
        equal(failed["code"], -87, "EUSERS")
        small.ask(op="kill", instance=instances[0], grace_us=0)
        small.wait(instances[0])
        wait_for(lambda: small.leases() == 2, "the lease to be given back", 5)
        small.create("/bin/inspector", "hold")


# --- bad commands -------------------------------------------------------------------------------------------------


def test_sec_F4_programs_that_cannot_be_executed():
    foreign = bytearray((PROGRAMS / "inspector").read_bytes()[:4096])
    foreign[18:20] = b"\xb7\x00"  # aarch64
    layer = box().layer({
        "app/plain": b"hello\n", "app/foreign": bytes(foreign), "app/script": b"#!/no/such/interpreter\n",
        "app/cut": b"\x7fELF", "app/folder": None, "app/unreadable": b"#!/bin/sh\n", "app/loop": "-> loop",
        "app/linked": "-> /bin/inspector", "app/good": b"#!/bin/sh\necho script $1\n",
        "app/nowhere": "-> /missing", "usr/bin/tool": b"#!/bin/sh\necho tool\n",
    })
    (layer / "app" / "unreadable").chmod(0o644)
    os.mkfifo(layer / "app" / "fifo")
    own(layer)
    layers = [box().base_layer, layer]
    for program, phase, text in (
        ("/app/missing", "exec", "No such file"), ("missing", "exec", "No such file"),
        ("/app/plain", "exec", "Exec format"), ("/app/foreign", "exec", "Exec format"),
        ("/app/cut", "exec", "Exec format"), ("/app/script", "interpreter", "its interpreter: No such file"),
        ("/app/folder", "exec", "Is a directory"), ("/app/unreadable", "exec", "Permission denied"),
        ("/app/fifo", "exec", "Permission denied"), ("/app/loop", "exec", "Too many levels"),
        ("/app/nowhere", "exec", "No such file"), ("/dev/null", "exec", "Permission denied"),
        ("/proc/self/fd/0", "exec", "Permission denied"), ("app", "exec", "No such file"),
    ):
        failed = box().refused(phase, text, program, layers=layers)
        check(program in failed["text"], f"the error names the program: {failed}")
    equal(box().run("/app/good", "x", layers=layers)["stdout"], "script x\n", "a script")
    equal(box().run("tool", layers=layers)["stdout"], "tool\n", "by PATH")
    equal(box().run("/app/linked", "exit", 4, layers=layers)["exit_code"], 4, "through a link")
    equal(box().run("good", "y", layers=layers, env=["PATH=/nowhere:/app"])["stdout"], "script y\n", "by its own PATH")
    equal(box().run("./good", "z", layers=layers, cwd="/app")["stdout"], "script z\n", "relative")


def test_requests_that_are_refused():
    plain = box().layer({"file": b"x"}) / "file"
    foreign = box().layer({})
    own(foreign, 0, 0)
    go = ("/bin/inspector", "exit", 0)
    box().refused("layers", "not a directory", *go, layers=[plain])
    box().refused("layers", "not to the store", *go, layers=[foreign])
    box().refused("layers", "not to the store", *go, layers=["/"])
    check("failed" in box().ask(op="create", layers=[], args=["/x"]), "no layers")
    box().refused("command", "no command")
    box().refused("command", "no command", "")
    box().refused("user", "0 to 65534", *go, uid=65535)
    box().refused("user", "0 to 65534", *go, gid=70000)
    box().refused("network", "network_host", *go, network=2)
    box().refused("profile", "no profile 9", *go, profile=9)
    box().refused("limits", "4 MiB", *go, memory=MIB)
    box().refused("limits", "1 MiB", *go, disk=5)
    box().refused("limits", "stop signal", *go, stop_signal=99)
    box().refused("limits", "stop signal", *go, stop_signal=17)
    for cwd in ("relative", "/a/../b", "/a//b", "/a/./b", "/a\nb"):
        box().refused("cwd", "plain absolute path", *go, cwd=cwd)
    box().refused("hostname", "host name", *go, hostname="a b")
    box().refused("hostname", "host name", *go, hostname="x" * 65)
    equal(box().run(*go, cwd="/app/")["exit_code"], 0, "a folder that is made")


def test_sec_D8_working_directory_and_host_name():
    answer = box().run("/bin/sh", "-c", "pwd; hostname; cat /etc/hostname /etc/resolv.conf /etc/hosts",
                       cwd="/a/b/c", hostname="box-1")
    equal(answer["stdout"], "/a/b/c\nbox-1\nbox-1\n127.0.0.1\tlocalhost box-1\n::1\tlocalhost ip6-localhost\n", "output")
    links = box().layer({"in": "-> /real", "real": None, "out": "-> ../../../../tmp", "self": "-> /proc/self/fd/4"})
    layers = [box().base_layer, links]
    equal(box().run("/bin/sh", "-c", "pwd", cwd="/in", layers=layers)["stdout"], "/real\n", "a link inside")
    equal(box().run("/bin/sh", "-c", "pwd", cwd="/out", layers=layers)["stdout"], "/tmp\n", "a link that goes up")
    check("failed" in box().request("create", "/bin/true", cwd="/self", layers=layers), "a magic link")


def test_large_arguments():
    text = "x" * 100000
    answer = box().run("/bin/sh", "-c", "echo ${#1}", "sh", text)
    equal(answer["stdout"], "100000\n", "a long argument")
    many = [f"V{i}=1" for i in range(900)]
    equal(box().run("/bin/sh", "-c", "env | grep -c ^V", env=many)["stdout"], "900\n", "many variables")


def test_layers_are_stacked_and_stay_as_they_are():
    lower = box().layer({"a/x": b"lower", "a/y": b"lower", "gone": b"lower"})
    upper = box().layer({"a/x": b"upper"})
    os.mknod(upper / "gone", 0o20000, 0)
    own(upper)
    layers = [box().base_layer, lower, upper]
    script = "cat a/x a/y; ls gone 2>/dev/null; echo new > a/x; rm a/y; cat a/x; ls a"
    answer = box().run("/bin/sh", "-c", script, layers=layers)
    equal(answer["stdout"], "upperlowernew\nx\n", f"{answer}")
    equal((lower / "a" / "y").read_bytes(), b"lower", "lower layer")
    equal((upper / "a" / "x").read_bytes(), b"upper", "upper layer")
    many = [box().base_layer] + [box().layer({f"n{i}": b""}) for i in range(127)]
    equal(box().run("/bin/sh", "-c", "ls -d /n* | wc -l", layers=many)["stdout"].strip(), "127", "128 layers")


# --- A: identity and namespaces -----------------------------------------------------------------------------------


def test_sec_A1_root_inside_is_nobody_outside():
    text = box().inspect("ids")
    maps = [line.split() for line in text.splitlines() if line.startswith(" ")]
    equal(len(maps), 2, text)
    for inside, outside, count in maps:
        equal((inside, count), ("0", "65536"), "map")
        check(int(outside) >= box().first_id(), f"map to {outside}")
    found = box().values("open", "w", "/proc/sys/kernel/core_pattern", "/proc/sysrq-trigger", "/proc/sys/vm/swappiness")
    check("ok" not in found.values(), f"{found}")
    outside = subprocess.run([PROGRAMS / "inspector", "open", "w", "/proc/sys/kernel/core_pattern"],
                             capture_output=True, text=True, check=True).stdout
    check("=ok" in outside, f"control: {outside}")


def test_sec_A2_I1_ranges_are_disjoint():
    first = box().request("create", "/bin/inspector", "hold")
    second = box().request("create", "/bin/inspector", "runtime")
    check(abs(first["uid_base"] - second["uid_base"]) >= 65536, f"{first} {second}")
    # kill(-1) of the second left the first alone
    box().wait(second["instance"])
    equal(box().ask(op="stat", instance=first["instance"])["tasks"] >= 2, True, "the first one lives")
    box().ask(op="kill", instance=first["instance"])
    box().wait(first["instance"])


def test_sec_A3_groups_are_empty_and_stay():
    for user in (0, 1000):
        found = box().values("ids", uid=user, gid=user)
        equal((found["uid"], found["gid"], found["groups"]), (str(user), str(user), "0"), f"{found}")
        equal(found["setgroups"], "EPERM", "setgroups")
        equal(found["setuid65535"], "EPERM", "becoming the init's user")
    equal(box().values("ids", uid=1000)["setuid0"], "EPERM", "becoming root")


def test_sec_A4_no_new_namespaces():
    found = box().values("namespaces")
    equal({k: v for k, v in found.items() if v not in ("EPERM", "ENOSYS")}, {}, "namespaces")
    equal(len(found), 25, "answers")
    equal(box().inspect("forks"), "fork=ok\nstatus=7\n", "an ordinary fork")
    outside = subprocess.run([PROGRAMS / "inspector", "namespaces"], capture_output=True, text=True, check=True).stdout
    check("unshare_net=ok" in outside, f"control: {outside}")


def test_sec_A6_I2_only_own_processes():
    listed = [line for line in box().inspect("list", "/proc").splitlines() if line[6:].isdigit()]
    # The builder of the root was the second one.
    equal(listed, ["entry=3"], "processes in /proc")
    found = box().inspect("orphans", 500)
    equal(found, "processes=1\n", "orphans are reaped")


def test_sec_A7_names_are_its_own():
    answer = box().run("/bin/sh", "-c", "cat /proc/self/cgroup; hostname x")
    groups = [line.split(":", 2)[2] for line in answer["stdout"].splitlines()]
    mine = [g for line, g in zip(answer["stdout"].splitlines(), groups)
            if line.split(":")[1] in ("", "memory", "pids", "cpu")]
    equal(set(mine), {"/"}, f"cgroups {answer['stdout']}")
    check(answer["exit_code"] != 0, "the host name cannot be changed")


# --- B: privilege -------------------------------------------------------------------------------------------------


def test_sec_B1_setuid_means_nothing():
    layer = box().layer({"bin/su": (PROGRAMS / "inspector").read_bytes()})
    (layer / "bin" / "su").chmod(0o6755)
    own(layer)
    (layer / "bin" / "su").chmod(0o6755)
    answer = box().run("/bin/su", "setid", uid=1000, gid=1000, layers=[box().base_layer, layer])
    equal(answer["stdout"], "uid=1000\neuid=1000\negid=1000\n", "a setuid program")


def test_sec_B2_no_capabilities():
    for user in (0, 1000):
        text = box().inspect("caps", uid=user)
        sets = [line.split()[1] for line in text.splitlines() if line.startswith("Cap")]
        equal(sets, ["0" * 16] * 5, f"capability sets as {user}")


def test_sec_B3_no_way_back():
    found = box().values("caps")
    equal(found["no_new_privs"], "1", "no_new_privs")
    for key in ("set_keepcaps", "set_securebits", "ambient_raise"):
        equal(found[key], "EPERM", key)
    check("Seccomp:\t2" in box().inspect("caps"), "seccomp")


def test_sec_B4_limits():
    found = box().values("limits", memory=64 * MIB, disk=16 * MIB, pids=50)
    equal(found["core"], "1 1", "core")
    equal(found["fsize"], f"{64 * MIB} {64 * MIB}", "fsize")
    check(int(found["nofile"].split()[1]) <= 65536, "nofile")
    for key in ("nproc", "memlock", "msgqueue", "sigpending", "rtprio"):
        check(0 <= int(found[key].split()[1]) < 1 << 30, f"{key}: {found[key]}")
    answer = box().run("/bin/sh", "-c", "cd /tmp; /bin/inspector signal 6; ls /tmp")
    check("core" not in answer["stdout"], "no core file")


# --- C: system calls ----------------------------------------------------------------------------------------------

# By number, so that the names' source is not the policy compiler's. x86-64.
DENIED = {
    "ptrace": 101, "syslog": 103, "modify_ldt": 154, "pivot_root": 155, "adjtimex": 159, "chroot": 161, "acct": 163,
    "settimeofday": 164, "mount": 165, "umount2": 166, "swapon": 167, "swapoff": 168, "reboot": 169,
    "sethostname": 170, "setdomainname": 171, "iopl": 172, "ioperm": 173, "init_module": 175, "delete_module": 176,
    "quotactl": 179, "remap_file_pages": 216, "clock_settime": 227, "kexec_load": 246, "add_key": 248,
    "request_key": 249, "keyctl": 250, "migrate_pages": 256, "unshare": 272, "vmsplice": 278, "move_pages": 279,
    "perf_event_open": 298, "fanotify_init": 300, "fanotify_mark": 301, "name_to_handle_at": 303,
    "open_by_handle_at": 304, "clock_adjtime": 305, "setns": 308, "process_vm_readv": 310, "process_vm_writev": 311,
    "kcmp": 312, "finit_module": 313, "kexec_file_load": 320, "bpf": 321, "userfaultfd": 323,
    "io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427, "open_tree": 428, "move_mount": 429,
    "fsopen": 430, "fsconfig": 431, "fsmount": 432, "fspick": 433, "clone3": 435, "pidfd_getfd": 438,
    "process_madvise": 440, "mount_setattr": 442, "quotactl_fd": 443, "memfd_secret": 447, "statmount": 457,
    "listmount": 458, "io_setup": 206, "lookup_dcookie": 212, "uselib": 134, "ustat": 136, "sysfs": 139, "vhangup": 153,
}


def test_sec_C1_C3_C4_C5_C6_I3_denied_calls():
    names = {str(v): k for k, v in DENIED.items()}
    found = box().values("syscalls", *names)
    equal({names[k]: v for k, v in found.items() if v not in ("EPERM", "ENOSYS")}, {}, "denied calls")
    equal(len(found), len(DENIED), "answers")
    outside = subprocess.run([PROGRAMS / "inspector", "syscalls", "425", "321", "165"], capture_output=True, text=True,
                             check=True).stdout
    check("165=EPERM" not in outside and "321=EPERM" not in outside, f"control: {outside}")


def test_sec_C2_other_architectures():
    if platform.machine() != "x86_64":
        raise harness.Skip("x86-64 only")
    answer = box().run("/bin/inspector", "int80")
    equal((answer["end"], answer["signal"]), ("signal", signal.SIGSYS), f"int 0x80: {answer}")
    equal(box().values("x32"), {"x32": "ENOSYS", "x32_unshare": "ENOSYS"}, "x32")


def test_sec_C9_unknown_calls():
    numbers = list(range(600, 1024, 7)) + [1023]
    equal(set(box().values("syscalls", *numbers).values()), {"ENOSYS"}, "unknown numbers")


# --- D: file system -----------------------------------------------------------------------------------------------


def test_sec_D1_hostile_images():
    canary = box().folder / "canary"
    canary.mkdir()
    (canary / "file").write_text("untouched")
    canary.chmod(0o777)
    places = ("dev", "proc", "sys", "tmp", "etc", "etc/resolv.conf", "etc/hosts", "app")
    targets = (str(canary), "../../../../../.." + str(canary), "/proc/self/root" + str(canary), "/nowhere", "PLACE",
               "FIFO", "FILE", "/proc/1/root", ".", "/")
    started = 0
    for place in places:
        for target in targets:
            layer = box().layer({"bin": None})
            path = layer / place
            path.parent.mkdir(parents=True, exist_ok=True)
            if target == "FIFO":
                os.mkfifo(path)
            elif target == "FILE":
                path.write_text("text")
            else:
                path.symlink_to("/" + place if target == "PLACE" else target)
            own(layer)
            answer = box().request("run", "/bin/inspector", "escape", canary / "file", cwd="/app",
                                   layers=[box().base_layer, layer])
            if "end" in answer:
                started += 1
                check("OUTSIDE" not in answer["stdout"] and "canary=E" in answer["stdout"],
                      f"/{place} -> {target}: {answer}")
            else:
                check(answer["failed"]["phase"] in ("dev", "proc", "etc", "cwd", "exec"), f"{place} {target} {answer}")
            equal(sorted(os.listdir(canary)), ["file"], f"the canary after /{place} -> {target}")
            equal((canary / "file").read_text(), "untouched", "canary")
    check(started >= 20, f"only {started} of the images could be started at all")


def test_sec_D2_places_that_change_during_the_start():
    canary = Path(tempfile.mkdtemp(prefix="canary-", dir=box().folder))
    canary.chmod(0o777)
    layer = box().layer({"bin": None, "etc/keep": b"", "app": None, "dev": None, "proc": None})
    libc = ctypes.CDLL(None)
    names = ("etc", "app", "dev", "proc")
    for name in names:
        (layer / f"{name}.link").symlink_to(canary)
    own(layer)
    stop = threading.Event()

    def exchange():
        while not stop.is_set():
            for name in names:
                libc.renameat2(-100, bytes(layer / name), -100, bytes(layer / f"{name}.link"), 2)

    racer = threading.Thread(target=exchange)
    racer.start()
    started = 0
    try:
        for _ in range(400):
            answer = box().request("run", "/bin/inspector", "escape", canary / "file", cwd="/app",
                                   layers=[box().base_layer, layer])
            started += "end" in answer
            check("OUTSIDE" not in answer.get("stdout", ""), f"{answer}")
    finally:
        stop.set()
        racer.join()
    equal(os.listdir(canary), [], f"the canary after {started} starts")


def test_sec_D3_attributes_of_overlayfs_in_an_image():
    lower = box().layer({"secret": b"other"})
    layer = box().layer({"file": b"own", "tool": b"own"})
    for name, value in (("user.overlay.redirect", b"/secret"), ("user.overlay.origin", b"x" * 16)):
        os.setxattr(layer / "file", name, value)
    (layer / "tool").chmod(0o6755)
    answer = box().run("/bin/sh", "-c", "cat file; echo more >> tool; cat tool; stat -c %A tool",
                       layers=[box().base_layer, lower, layer])
    equal(answer["stdout"], "ownownmore\n-rwxr-xr-x\n", f"{answer}")
    equal((layer / "tool").read_bytes(), b"own", "the layer")


def test_sec_D5_nothing_of_one_instance_is_in_the_next():
    layer = box().layer({"data/file": b"first"})
    layers = [box().base_layer, layer]
    script = ("cat /data/file; for d in / /tmp /etc /data /bin /dev/shm /run /var/tmp; do ls $d/mark 2>/dev/null; "
              "echo x > $d/mark; done 2>/dev/null; echo second > /data/file; rm -f /bin/busybox; ls /tmp/mark")
    for _ in range(2):
        equal(box().run("/bin/sh", "-c", script, layers=layers)["stdout"], "first/tmp/mark\n", "what is there")
    equal(sorted(p.name for p in layer.rglob("*")), ["data", "file"], "the layer")


def test_sec_D4_the_old_root_is_gone():
    secret = box().folder / "secret"
    secret.write_text("x")
    found = box().values("escape", secret)
    check("OUTSIDE" not in found.values() and found["canary"] == "ENOENT", f"{found}")
    mounts = box().inspect("mounts")
    check(box().name not in mounts and "/dev/vda" not in mounts and "cgroup" not in mounts, mounts)
    points = sorted(line.split()[4] for line in mounts.splitlines())
    equal(points, ["/", "/dev", "/dev/full", "/dev/null", "/dev/random", "/dev/shm", "/dev/tty", "/dev/urandom",
                   "/dev/zero", "/proc"], "mount points")
    for line in mounts.splitlines():
        options = line.split()[5].split(",")
        if not line.split()[4].startswith("/dev/") or line.split()[4] == "/dev/shm":
            check("nosuid" in options, f"nosuid: {line}")
    outside = subprocess.run([PROGRAMS / "inspector", "escape", secret], capture_output=True, text=True,
                             check=True).stdout
    check("canary=ok" in outside, f"control: {outside}")


def test_sec_D6_disk_is_limited():
    before = os.statvfs("/").f_bavail * os.statvfs("/").f_frsize
    answer = box().run("/bin/inspector", "fill", "/file", disk=8 * MIB)
    equal(answer["exit_code"], 5, f"{answer}")
    check("error=ENOSPC" in answer["stdout"], answer["stdout"])
    written = int(answer["stdout"].split()[0].split("=")[1])
    check(7 * MIB <= written <= 8 * MIB, f"written {written}")
    answer = box().run("/bin/inspector", "files", "/tmp", disk=8 * MIB)
    check("error=ENOSPC" in answer["stdout"] and int(answer["stdout"].split()[0].split("=")[1]) < 3000, f"{answer}")
    after = os.statvfs("/").f_bavail * os.statvfs("/").f_frsize
    check(abs(after - before) < 512 * MIB, f"free space of the host {before} {after}")


def test_sec_D7_devices():
    layer = box().layer({"node": None})
    for name, kind, number in (("disk", 0o60000, os.makedev(254, 0)), ("kmsg", 0o20000, os.makedev(1, 11)),
                               ("mem", 0o20000, os.makedev(1, 1)), ("null", 0o20000, os.makedev(1, 3))):
        os.mknod(layer / "node" / name, kind | 0o666, number)
    own(layer)
    layers = [box().base_layer, layer]
    found = box().values("open", "r", "/node/disk", "/node/kmsg", "/node/mem", "/node/null", layers=layers)
    equal(set(found.values()), {"EACCES"}, f"nodes of the image: {found}")
    found = box().values("open", "w", "/dev/null", "/dev/zero", "/dev/full")
    equal(set(found.values()), {"ok"}, f"our nodes: {found}")
    listed = sorted(line[6:] for line in box().inspect("list", "/dev").splitlines())
    equal(listed, [".", "..", "fd", "full", "null", "random", "shm", "stderr", "stdin", "stdout", "tty", "urandom",
                   "zero"], "/dev")
    found = box().values("nodes")
    for key in ("mknod_char", "mknod_block", "mknod_whiteout"):
        equal(found[key], "EPERM", key)
    equal((found["mknod_fifo"], found["dev_create"]), ("ok", "EROFS"), "what may be made")


def test_sec_D9_no_loop_no_fuse():
    found = box().values("open", "r", "/dev/fuse", "/dev/loop-control", "/dev/kvm", "/dev/mem", "/dev/net/tun")
    equal(set(found.values()), {"ENOENT"}, f"{found}")


# --- E: proc, sys, dev --------------------------------------------------------------------------------------------


def test_sec_E1_proc_has_only_processes():
    listed = {line[6:] for line in box().inspect("list", "/proc").splitlines()}
    equal(listed - {".", "..", "3", "self", "thread-self"}, set(), "entries of /proc")
    text = box().inspect("walk", "/proc")
    written = [line[6:] for line in text.splitlines() if line.startswith("write=")]
    check(written and all(w.startswith("/proc/3/") for w in written), f"writable: {written}")


def test_sec_E2_E3_no_console_and_our_null():
    layer = box().layer({"dev/null": "-> /etc/secret", "dev/console": "-> /etc/secret", "etc/secret": b"keep"})
    answer = box().run("/bin/sh", "-c", "echo x > /dev/null; ls /dev/console; cat /etc/secret",
                       layers=[box().base_layer, layer])
    equal(answer["stdout"], "keep", "a /dev of the image has no effect")


def test_sec_E5_E7_the_init_is_out_of_reach():
    digest = subprocess.run(["sha256sum", BUILD / "libexec" / "ferrite-init", BUILD / "libexec" / "ferrite-sandbox"],
                            capture_output=True, text=True, check=True).stdout
    for user in (0, 1000):
        found = box().values("runtime", uid=user)
        for key in ("readlink_exe", "write_exe", *(k for k in found if k.startswith("/proc/1"))):
            check(found[key] in ("ENOENT", "EACCES", "EPERM"), f"as {user}: {key}={found[key]}")
        equal(found["kill_init"], "EPERM", f"signals to the init as {user}")
    layer = box().layer({"entry": b"#!/proc/self/exe\n"})
    answer = box().request("run", "/entry", layers=[box().base_layer, layer])
    check("failed" in answer or answer["end"] != "exit" or answer["exit_code"] != 0, f"{answer}")
    again = subprocess.run(["sha256sum", BUILD / "libexec" / "ferrite-init", BUILD / "libexec" / "ferrite-sandbox"],
                           capture_output=True, text=True, check=True).stdout
    equal(again, digest, "our programs")


def test_sec_E6_no_sys():
    equal(box().values("open", "r", "/sys/kernel", "/sys/class"), {"/sys/kernel": "ENOENT", "/sys/class": "ENOENT"}, "")


def test_sec_E9_no_terminal_injection():
    found = box().values("ioctls")
    equal({k: v for k, v in found.items() if k != "FIONREAD" and v != "EPERM"}, {}, "ioctls")
    equal(found["FIONREAD"], "ok", "an ordinary ioctl")


# --- F: descriptors -----------------------------------------------------------------------------------------------


def test_sec_F1_F2_only_three_pipes():
    # The server itself holds many descriptors; other instances run beside.
    other = box().create("/bin/inspector", "hold")
    text = box().inspect("fds")
    box().ask(op="kill", instance=other)
    box().wait(other)
    lines = text.splitlines()
    equal([line.split("=")[0] for line in lines], ["fd0", "fd1", "fd2"], text)
    check(all("=pipe " in line for line in lines), text)


def test_sec_F1_working_directory_through_descriptors():
    for number in list(range(0, 40)) + [200]:
        answer = box().request("create", "/bin/inspector", "exit", 0, cwd=f"/proc/self/fd/{number}")
        check("failed" in answer and answer["failed"]["phase"] == "cwd", f"{number}: {answer}")


# --- G, H: groups and network -------------------------------------------------------------------------------------


def test_sec_G1_G7_no_cgroup_files():
    text = box().run("/bin/sh", "-c", "cat /proc/self/mounts | grep -c cgroup; ls /sys/fs 2>&1")["stdout"]
    check(text.startswith("0\n"), text)


def test_sec_G5_kill_reaches_everything():
    for _ in range(20):
        instance = box().create("/bin/sh", "-c", "while :; do (sleep 100 & ) ; done", pids=60)
        box().ask(op="kill", instance=instance)
        equal(box().wait(instance)["end"], "killed", "a forking program")
    box().settled()
    equal(box().processes(), [], "processes")


def test_sec_P8_what_the_machine_has_once_is_not_used_up():
    # Both are counted against the user who made the namespace, the host's root: 128 instances by default.
    instance = box().create("/bin/inspector", "grab", await_output=True)
    libc = ctypes.CDLL(None, use_errno=True)
    fd = libc.inotify_init1(os.O_CLOEXEC)
    check(fd >= 0, f"root of the host has no inotify left: {os.strerror(ctypes.get_errno())}")
    os.close(fd)
    box().ask(op="kill", instance=instance)
    found = dict(line.split("=", 1) for line in box().wait(instance)["stdout"].splitlines())
    equal(found, {"instances": "8", "init": "EMFILE", "watches": "1024", "watch": "ENOSPC"}, "what it got")


def inspect_outside(*args):
    """What the inspector finds outside, as root of the machine."""
    text = subprocess.run([PROGRAMS / "inspector", *args], capture_output=True, text=True, check=True).stdout
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


def test_sec_P8_what_a_user_has_is_each_instances_own():
    before = inspect_outside("user", "0")
    check(int(before["queues"]) > 0 and int(before["timers"]) > 0, f"control: {before}")
    holders = [box().create("/bin/inspector", "user", "1", await_output=True) for _ in range(3)]
    during = inspect_outside("user", "0")
    found = []
    for instance in holders:
        box().ask(op="kill", instance=instance)
        found.append(box().wait(instance)["stdout"])
    check(found[0].startswith("queues=") and not found[0].startswith("queues=0\n"), f"an instance gets some: {found}")
    equal(found, found[:1] * 3, "each instance gets the same")
    equal(during["queues"], before["queues"], "message queues of the host's root")
    # Other processes of the host's root have timers, too.
    check(int(during["timers"]) > int(before["timers"]) - 4096, f"timers of the host's root: {before} {during}")


def test_sec_G3_functions_die_first():
    equal(box().run("/bin/sh", "-c", "cat /proc/self/oom_score_adj")["stdout"], "500\n", "score of a function")
    # As a child of ours whose score we raised: on machines that take CAP_SYS_RESOURCE from us, that is not much.
    control = subprocess.run(
        ["sh", "-c", f"echo 500 > /proc/self/oom_score_adj; exec setpriv --bounding-set=-sys_resource "
         f"--inh-caps=-sys_resource {PROGRAMS}/inspector oom"], capture_output=True, text=True, check=True).stdout
    equal(box().inspect("oom"), control, "what it can make of it")


def test_sec_H1_no_host_network():
    with socket.create_server(("127.0.0.1", 0)) as tcp, socket.socket(socket.AF_UNIX) as local:
        name = f"ferrite-test-{os.getpid()}"
        local.bind("\0" + name)
        local.listen()
        port = str(tcp.getsockname()[1])
        found = box().values("connect", port, name)
        equal((found["tcp"], found["abstract"], found["lo"]), ("ECONNREFUSED", "ECONNREFUSED", "up"), f"{found}")
        outside = subprocess.run([PROGRAMS / "inspector", "connect", port, name], capture_output=True, text=True,
                                 check=True).stdout
        check("tcp=ok" in outside and "abstract=ok" in outside, f"control: {outside}")


def test_sec_H4_socket_families():
    families = {line.split("_")[0] for line in box().inspect("families").splitlines()}
    equal(families, {"family1", "family2", "family10"} if Path("/proc/net/if_inet6").exists() else
          {"family1", "family2"}, "families")
    check("type3" not in "".join(line for line in box().inspect("families").splitlines() if "family1_" not in line),
          "no raw sockets")


def test_sec_H4_protocols():
    equal(set(box().values("protocols")), {"type1_0", "type1_6", "type2_0", "type2_17"}, "protocols of AF_INET")


def test_sec_G3_no_reserved_huge_pages():
    equal(box().values("huge"), {"mmap": "ENOMEM", "memfd": "ENOMEM", "shm": "ENOMEM"}, "huge pages")


# --- K: profiles --------------------------------------------------------------------------------------------------


def test_sec_K2_profiles_are_checked():
    library = box().folder / "libx.so"
    library.write_bytes(b"library")
    library.chmod(0o755)
    loose = box().folder / "loose.so"
    loose.write_bytes(b"library")
    loose.chmod(0o777)
    text = {"kind": 3, "to": "/etc/ok", "text": "x"}

    def refused(reason, *items):
        answer = box().ask(op="profile", profile=1, items=list(items))
        check("failed" in answer and reason in answer["failed"]["text"], f"{items}: {answer}")

    refused("others than root", {"kind": 0, "to": "/lib/a", "from": str(loose)})
    refused("not a regular file", {"kind": 0, "to": "/lib/a", "from": "/tmp"})
    refused("not a character device", {"kind": 1, "to": "/dev/a", "from": str(library)})
    refused("no driver that is allowed", {"kind": 1, "to": "/dev/null2", "from": "/dev/null"})
    refused("plain absolute path", {"kind": 0, "to": "/lib/../etc/a", "from": str(library)})
    refused("plain absolute path", {"kind": 0, "to": "relative", "from": str(library)})
    refused("malformed", text, {"kind": 7, "to": "/x"})
    refused("malformed", {"kind": 2, "to": "/x"})
    refused("fewer descriptors", {"kind": 0, "to": "/x"})
    check("failed" in box().ask(op="profile", profile=0, items=[text]), "profile 0")


def test_sec_K3_profiles_are_injected():
    library = box().folder / "libgood.so"
    library.write_bytes(b"library")
    library.chmod(0o755)
    items = [
        {"kind": 0, "to": "/usr/local/nvidia/lib64/libcuda.so.1.2", "from": str(library)},
        {"kind": 2, "to": "/usr/local/nvidia/lib64/libcuda.so.1", "text": "libcuda.so.1.2"},
        {"kind": 3, "to": "/etc/driver/version", "text": "1.2\n"},
    ]
    equal(box().ask(op="profile", profile=3, items=items), {"done": True}, "profile")
    script = ("cat /usr/local/nvidia/lib64/libcuda.so.1 /etc/driver/version; "
              "echo y > /usr/local/nvidia/lib64/libcuda.so.1.2; rm -f /usr/local/nvidia/lib64/libcuda.so.1.2; "
              "cat /usr/local/nvidia/lib64/libcuda.so.1.2; ls /sys /proc/meminfo")
    answer = box().run("/bin/sh", "-c", script, profile=3)
    equal(answer["stdout"], "library1.2\nlibrary", f"{answer}")
    check("Read-only" in answer["stderr"], f"{answer}")
    equal(library.read_bytes(), b"library", "the host's file")
    # Links in the image steer nothing outside, and what is there under the name is replaced.
    canary = box().folder / "libs"
    canary.mkdir()
    layer = box().layer({"usr/local/nvidia": f"-> {canary}", "etc/driver": "-> /"})
    answer = box().request("run", "/bin/sh", "-c", "cat /version", profile=3, layers=[box().base_layer, layer])
    equal(os.listdir(canary), [], "the canary")
    check("failed" in answer and answer["failed"]["phase"] == "profile", f"{answer}")


def test_sec_K4_device_profiles():
    with Sandbox("profile_drivers=nvidia,mem") as box2:
        items = [{"kind": 1, "to": "/dev/nvidia-zero", "from": "/dev/zero"},
                 {"kind": 1, "to": "/dev/nvidia-kmsg", "from": "/dev/kmsg"}]
        equal(box2.ask(op="profile", profile=1, items=items[:1]), {"done": True}, "profile")
        found = box2.values("open", "r", "/dev/nvidia-zero", "/proc/cpuinfo", "/sys/devices/system/cpu/online",
                            profile=1)
        equal(set(found.values()), {"ok"}, f"{found}")
        text = box2.inspect("walk", "/proc", profile=1)
        written = [line[6:] for line in text.splitlines() if line.startswith("write=")]
        check(all(w.startswith("/proc/3/") for w in written), f"writable in the full /proc: {written}")
        text = box2.inspect("walk", "/sys", profile=1)
        check(text.endswith("writable=0\n"), f"writable in /sys: {text[-500:]}")
        found = box2.values("open", "r", "/proc/kcore", "/proc/kallsyms", "/proc/keys", "/sys/kernel/debug",
                            "/sys/firmware/acpi", "/sys/fs/cgroup/cgroup.procs", profile=1)
        check("ok" not in [v for k, v in found.items() if k.startswith("/sys")], f"{found}")
        equal(box2.run("/bin/sh", "-c", "cat /proc/kallsyms /proc/keys /proc/timer_list", profile=1)["stdout"], "",
              "masked files are empty")
        # The device program is per profile: without it the same node cannot be opened.
        found = box2.values("open", "r", "/dev/nvidia-zero")
        equal(found["/dev/nvidia-zero"], "ENOENT", "without the profile")


# --- L: control plane, and the server's own end -------------------------------------------------------------------


def broken(server, **message):
    answer = server.ask(op="raw", **message)
    check("lost" in answer, f"the channel was not closed after {message}: {answer}")
    server.ask(op="channel", peer=message["peer"])
    equal(server.run("/bin/inspector", "exit", 1)["exit_code"], 1, "afterwards")


def test_sec_L1_malformed_messages_close_the_channel():
    with Sandbox() as server:
        body = "00" * 72
        for message in (
            {"type": 0x999, "hex": ""}, {"type": 0x200, "hex": "00"}, {"type": 0x200, "hex": body, "fds": 3},
            {"type": 0x200, "hex": "ff" * 72}, {"type": 0x203, "hex": "00" * 15}, {"type": 0x203, "hex": "00" * 17},
            {"type": 0x205, "hex": "00" * 8, "fds": 1}, {"type": 0x280, "hex": "00" * 8},
            {"hex": "41" * 40, "no_header": True}, {"hex": "41", "no_header": True},
        ):
            broken(server, peer="api", **message)
        for message in ({"type": 0x200, "hex": body}, {"type": 0x280, "hex": "00"}):
            broken(server, peer="gpu", **message)
        check("out of order" in server.log() or "unknown type" in server.log(), "violations are logged")


def test_sec_G5_instances_die_with_their_owner():
    with Sandbox() as server:
        for _ in range(5):
            instance = server.create("/bin/inspector", "stubborn")
        equal(server.ask(op="freeze", instance=instance), {"errno": 0}, "freezing one")
        check(len(server.processes()) >= 10, "they run")
        server.ask(op="channel", peer="api")
        wait_for(lambda: not server.processes(), "the end of the instances", 5)
        server.settled()
        equal(server.run("/bin/inspector", "exit", 1)["exit_code"], 1, "afterwards")


def test_sec_G6_kill_nine_leaves_nothing():
    with Sandbox() as server:
        for _ in range(5):
            instance = server.create("/bin/inspector", "stubborn")
        equal(server.ask(op="freeze", instance=instance), {"errno": 0}, "freezing one")
        equal(server.leases(), 5, "leases")
        server.kill_server()
        old = server.groups_left()
        equal(len(old), POOL * len(server.groups), "the groups are still there")
        # A successor in the same place sweeps.
        server.launch()
        equal((set(server.groups_left()) & set(old), server.leases()), (set(), 0), "after the sweep")
        equal(server.run("/bin/inspector", "exit", 1)["exit_code"], 1, "afterwards")


def test_sec_G6_kill_nine_at_any_moment():
    with Sandbox() as server:
        for step in range(30):
            request = {"op": "create", "layers": [str(server.base_layer)], "args": ["/bin/inspector", "stubborn"]}
            server.driver.stdin.write((json.dumps(request) + "\n") * 5)
            server.driver.stdin.flush()
            time.sleep(step * 0.0005)
            server.kill_server()
            server.launch()
            equal(server.leases(), 0, "leases")
        equal(server.run("/bin/inspector", "exit", 1)["exit_code"], 1, "afterwards")


def test_two_servers_cannot_share_their_leases():
    done = subprocess.run(box().command(), input="", capture_output=True, text=True, timeout=60, check=False)
    check("error" in done.stdout and "another ferrite-sandbox" in done.stderr, f"{done}")


def test_bad_configuration_is_refused():
    good = {"state_dir": "/tmp/ferrite-sbx-none", "cgroup_v2": str(V2_ROOT)}
    for change, text in (({"state_dir": ""}, "state_dir"), ({"cgroup_v2": ""}, "cgroup_v2"),
                         ({"cgroup_v1_memory": "/x"}, "all of them"), ({"ids_blocks": "0"}, "ids_blocks"),
                         ({"ids_blocks": "x"}, "malformed"), ({"uid_base": "1000"}, "uid_base"),
                         ({"uid_base": "4294967290"}, "uid_base"), ({"memory_bytes": "1"}, "too small"),
                         ({"memory_bytes": "1x"}, "malformed"), ({"cgroup_v2": "/tmp"}, "not on a cgroup")):
        arguments = [f"{k}={v}" for k, v in {**good, **change}.items()]
        done = subprocess.run([PROGRAMS / "driver", BUILD / "libexec" / "ferrite-sandbox", *arguments], input="",
                              capture_output=True, text=True, timeout=60, check=False)
        check("error" in done.stdout and text in done.stderr, f"{change}: {done}")
    shutil.rmtree("/tmp/ferrite-sbx-none", ignore_errors=True)


def descriptors(pid):
    """Open descriptors by what they are, groups without their names."""
    counts = {}
    for kind, n in harness.fd_table(pid).items():
        kind = re.sub(r"fi-\w+", "GROUP", kind)
        counts[kind] = counts.get(kind, 0) + n
    return counts


def test_sec_M3_nothing_is_leaked_by_hundreds():
    box().run("/bin/inspector", "exit", 0)
    box().settled()
    # Every range has made its id map once.
    hold = [box().create("/bin/inspector", "hold", pids=4) for _ in range(30)]
    for instance in hold:
        box().ask(op="kill", instance=instance)
        box().wait(instance)
    box().settled()
    before = descriptors(box().server)
    for i in range(300):
        if i % 3 == 0:
            box().request("create", "/missing")
        elif i % 3 == 1:
            box().request("create", "/bin/inspector", layers=["/"])
        else:
            box().run("/bin/inspector", "exit", 0)
    box().settled()
    equal(descriptors(box().server), before, "descriptors of the server")
    equal(box().processes(), [], "processes")
    equal(Path("/proc/self/mountinfo").read_text(), box().mounts, "mounts")
    equal(harness.children_of(box().server), [], "children of the server")


if __name__ == "__main__":
    harness.run(globals(), service=Sandbox())
