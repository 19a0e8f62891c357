#!/usr/bin/env python3
"""The security table once more, in containers that waited in the pool; and the pool's own life. time limit: 600 s"""

import functools
import os
import signal
import subprocess
import tempfile
from pathlib import Path

import harness
import test_sandbox
from harness import check, equal, wait_for
from test_sandbox import MIB, V1, Sandbox

# Those of a killed server and of leaks count exactly: the pool has its own below, and in test_security.py.
SECURITY = {name: test for name, test in vars(test_sandbox).items()
            if name.startswith("test_sec_") and "G6" not in name and "M3" not in name}


class WarmSandbox(Sandbox):
    """Every request waits until it is served from the pool."""

    def __init__(self):
        super().__init__(pool=2)
        self.always_warm = True


def test_each_is_used_once():
    with Sandbox(pool=4) as server:
        seen = set()
        for _ in range(8):
            wait_for(server.waiting, "a container in the pool", 10)
            answer = server.request("create", "/bin/inspector", "hold")
            equal(answer["start"], "warm", "start")
            group = server.ask(op="stat", instance=answer["instance"])["cgroup"]
            check(not {answer["pid"], answer["uid_base"], group} & seen, f"used twice: {answer}")
            seen |= {answer["pid"], answer["uid_base"], group}


def limits(server, **more):
    """What the kernel holds an instance to."""
    instance = server.create("/bin/inspector", "hold", **more)
    group = Path(server.ask(op="stat", instance=instance)["cgroup"]).name
    files = [(1, "memory.limit_in_bytes"), (1, "memory.memsw.limit_in_bytes"), (1, "memory.kmem.tcp.limit_in_bytes"),
             (2, "pids.max"), (3, "cpu.cfs_quota_us")] if V1 else [(0, "memory.max"), (0, "memory.swap.max"),
             (0, "memory.oom.group"), (0, "pids.max"), (0, "cpu.max")]
    paths = [server.groups[i] / group / name for i, name in files]
    found = [path.read_text() if path.exists() else None for path in paths]
    server.ask(op="kill", instance=instance)
    server.wait(instance)
    return found


def test_sec_G4_limits_are_those_of_the_request():
    with Sandbox() as cold, WarmSandbox() as warm:
        for more in ({}, {"memory": 32 * MIB, "pids": 7, "cpu": 30}, {"memory": 512 * MIB, "pids": 3000}):
            equal(limits(warm, **more), limits(cold, **more), f"limits for {more}")
        for more in ({}, {"disk": 8 * MIB}, {"disk": 900 * MIB, "memory": 1024 * MIB}):
            script = "df -k / /dev/shm | awk '/overlay|tmpfs/ {print $2}'; ulimit -f; ulimit -p"
            equal(warm.run("/bin/sh", "-c", script, **more)["stdout"],
                  cold.run("/bin/sh", "-c", script, **more)["stdout"], f"sizes for {more}")


def test_it_grows_by_demand_and_is_given_back():
    with Sandbox("pool_idle_us=300000", pool=4) as server:
        wait_for(lambda: server.waiting() == 1, "the first", 10)
        answer = server.request("burst", "/bin/inspector", "exit", 0, count=20)
        equal((answer["created"], answer["failed"], answer["good"]), (20, 0, 20), f"{answer}")
        check(1 <= answer["warm"] < 20, f"{answer}")
        wait_for(lambda: server.waiting() == 1, "all but one to be given back", 10)
        server.settled()
    with Sandbox("pool_idle_us=60000000", pool=4) as server:
        server.request("burst", "/bin/inspector", "exit", 0, count=20)
        wait_for(lambda: server.waiting() == 4, "as many as it may have", 10)
        server.settled()


def test_a_burst_of_64():
    for pool in (0, 16):
        with Sandbox(pool=pool, blocks=128) as server:
            for _ in range(3):
                answer = server.request("burst", "/bin/inspector", "exit", 0, count=64, pids=4)
                equal((answer["created"], answer["failed"], answer["good"]), (64, 0, 64), f"{answer}")
            server.settled()
            # The pool may still grow while they are looked at.
            wait_for(lambda: not server.processes(), "no process but those of the pool", 10)


def test_one_that_dies_while_it_waits():
    with Sandbox(pool=2) as server:
        wait_for(lambda: server.waiting() == 1, "the first", 10)
        os.kill(int(server.waiting_processes()[0]), signal.SIGKILL)
        wait_for(lambda: server.leases() == 0, "its removal", 10)
        check("a container for the pool did not start" in server.log(), "it is logged")
        equal(server.run("/bin/inspector", "exit", 3)["start"], "cold", "the next one")
        wait_for(lambda: server.waiting() == 1, "another", 10)
        equal(server.run("/bin/inspector", "exit", 3)["start"], "warm", "the one after it")


def test_it_outlives_who_asked():
    with Sandbox(pool=2) as server:
        wait_for(lambda: len(server.waiting_processes()) == 2, "an init and a builder", 10)
        before = server.waiting_processes()
        server.ask(op="channel", peer="api")
        equal(server.waiting_processes(), before, "the pool")
        equal(server.run("/bin/inspector", "exit", 3)["start"], "warm", "for the next owner")


def test_it_keeps_no_disk_of_the_host_in_use():
    run = functools.partial(subprocess.run, check=True)
    # What is mounted on a shared mount: on a host with systemd everything is.
    top = Path(tempfile.mkdtemp(prefix="ferrite-disk-"))
    run(["mount", "-t", "tmpfs", "none", top])
    try:
        run(["mount", "--make-shared", top])
        (top / "disk").mkdir()
        run(["mount", "-t", "tmpfs", "none", top / "disk"])
        with Sandbox(pool=1) as server:
            wait_for(lambda: len(server.waiting_processes()) == 2, "an init and a builder", 10)
            mounts = Path(f"/proc/{server.waiting_processes()[0]}/mountinfo")
            check(f"{top}/disk" in mounts.read_text(), "it was built while the disk was there")
            run(["umount", top / "disk"])
            server.mounts = Path("/proc/self/mountinfo").read_text()
            wait_for(lambda: f"{top}/disk" not in mounts.read_text(), "the disk to be free", 10)
            text = server.inspect("mounts")
            check("master:" not in text and "shared:" not in text, f"propagation: {text}")
    finally:
        run(["umount", "-R", top])
        top.rmdir()


def test_it_takes_no_range_from_requests():
    with Sandbox(pool=3, blocks=3) as server:
        for _ in range(3):
            server.create("/bin/inspector", "hold")
        server.refused("ids", "are in use", "/bin/inspector", "hold")


def test_kill_nine_leaves_nothing_of_it():
    with Sandbox(pool=4) as server:
        server.request("burst", "/bin/inspector", "exit", 0, count=20)
        wait_for(lambda: server.waiting() == 4, "a full pool", 10)
        server.settled()
        server.kill_server()
        old = set(server.groups_left())
        check(len(old) > 0, "the groups are still there")
        server.launch()
        equal(set(server.groups_left()) & old, set(), "after the sweep")
        equal(server.run("/bin/inspector", "exit", 1)["exit_code"], 1, "afterwards")


if __name__ == "__main__":
    harness.run({**SECURITY, **globals()}, service=WarmSandbox())
