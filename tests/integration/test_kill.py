#!/usr/bin/env python3
"""Every program is killed again and again under a load of calls, and nothing is lost or left.

time limit: 600 s
"""

import http.client
import os
import random
import signal
import threading
import time

import harness
from harness import check, children_of, equal, fd_table, wait_for

KILLS = int(os.environ.get("FERRITE_KILLS", "50"))
CALLERS = 4
# The promise is two seconds; a build with sanitizers is several times slower.
WORKS_AGAIN_S = float(os.environ.get("FERRITE_WORKS_AGAIN_S", "2"))
CALL_TIMEOUT_S = 30
# ferrite-sandbox keeps one user namespace for each range of ids that was ever in use: what it holds depends on how many
# instances lived at a time. This is the number of ranges.
KEPT = {"user:[N]": 256}
TARGETS = ("ferrite-api", "ferrite-sandbox", "ferrite-rootfs", "ferrite-gpu", "ferrited")


class Load:
    """Callers in threads. Every call must end in an answer or in a closed or refused connection."""

    def __init__(self, service):
        self.service = service
        self.over = threading.Event()
        self.counts = {}
        self.hung = []
        self.wrong = []
        self.lock = threading.Lock()
        self.threads = [threading.Thread(target=self.caller, args=(n,)) for n in range(CALLERS)]

    def count(self, what):
        with self.lock:
            self.counts[what] = self.counts.get(what, 0) + 1

    def caller(self, number):
        text = f"caller {number}\n".encode() * 50
        while not self.over.is_set():
            try:
                answer = self.service.call("kill", "/echo", text, timeout=CALL_TIMEOUT_S, tcp=number % 2 == 0)
                self.count(answer.status)
                if answer.status == 200 and answer.body != text:
                    self.wrong.append(answer.body[:200])
                if answer.status >= 400 and answer.message.startswith("[no error message"):
                    self.wrong.append(answer.message)
            except TimeoutError:
                self.hung.append(number)
            except (ConnectionError, FileNotFoundError, http.client.HTTPException) as problem:
                self.count(type(problem).__name__)
                # Where nothing listens there is nothing to hammer on.
                time.sleep(0.01)

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        for thread in self.threads:
            thread.join()


def works(service):
    try:
        return service.call("kill", "/echo", b"again", timeout=WORKS_AGAIN_S).body == b"again"
    except (OSError, http.client.HTTPException):
        return False


def files_of(service):
    """Everything in the directories of the service, but for the store's own journal."""
    found = set()
    for top in (service.state_dir, service.run_dir):
        for folder, names, files in os.walk(top):
            found |= {os.path.relpath(os.path.join(folder, name), top) for name in names + files}
    return {name for name in found if not name.endswith(("-wal", "-shm", "-journal"))}


def account(service):
    """What has to be the same at the start and at the end, when no call is running."""
    servers = service.servers()
    return {
        "servers": sorted(servers),
        "descriptors of ferrited": fd_table(service.pid),
        **{f"descriptors of {name}": fd_table(pid) for name, pid in servers.items()},
        **{f"children of {name}": len(children_of(pid)) for name, pid in servers.items()},
        "orphans": harness.reap_strangers(),
        "instances": service.instances(),
        "cgroups": sorted(g for g in harness.our_cgroups() if service.cgroup_mark in g),
        "files": sorted(files_of(service)),
    }


def resting_account(service):
    """The account once nothing changes any more: what is made ahead for the next calls is there again."""
    last = [None]

    def resting():
        same = last[0]
        time.sleep(0.3)
        last[0] = account(service)
        return same == last[0]

    wait_for(resting, "the service comes to rest")
    return last[0]


def difference(before, now):
    """{what: (before, now)} of everything that differs; of tables of descriptors only the rows that do."""
    found = {}
    for key, value in before.items():
        other = now.get(key)
        if isinstance(value, dict) and isinstance(other, dict):
            for row in value.keys() | other.keys():
                if value.get(row, 0) != other.get(row, 0) and other.get(row, 0) > KEPT.get(row, 0):
                    found[f"{key}: {row}"] = (value.get(row, 0), other.get(row, 0))
                if value.get(row, 0) > other.get(row, 0) and row not in KEPT:
                    found[f"{key}: {row}"] = (value.get(row, 0), other.get(row, 0))
        elif value != other:
            found[key] = (value, other)
    return found


def kill_one(service, target):
    if target == "ferrited":
        service.kill()
        service.launch()
        return
    pid = wait_for(lambda: service.servers().get(target), f"{target} runs", WORKS_AGAIN_S * 2)
    os.kill(pid, signal.SIGKILL)


def test_killing_anything_at_any_time_loses_and_leaks_nothing():
    seed = int(os.environ.get("FERRITE_SEED", random.SystemRandom().randrange(1 << 32)))
    print(f"seed {seed}: FERRITE_SEED={seed} repeats it", flush=True)
    dice = random.Random(seed)
    targets = [TARGETS[i % len(TARGETS)] for i in range(KILLS)]
    dice.shuffle(targets)
    # The limit on restarts is for servers that cannot run, not for those that somebody kills.
    # A pool that follows the demand has another size before than after.
    settings = {"FERRITE_RESTART_LIMIT": "1000", "FERRITE_RESTART_DELAY": "1ms", "FERRITE_RESTART_WINDOW": "1",
                "FERRITE_POOL_MAX": "1"}
    with harness.Service(environment=settings) as service:
        service.import_image("kill:1", harness.shell_image("cat", "kill:1"))
        service.create_route("kill", "/echo", "kill:1", memory=32, timeout=10)
        check(works(service), "a call before the first kill")
        before = resting_account(service)
        with Load(service) as load:
            for number, target in enumerate(targets, 1):
                time.sleep(dice.uniform(0.05, 1.0))
                kill_one(service, target)
                began = time.monotonic()
                wait_for(lambda: works(service), f"kill {number} ({target}): calls work again", WORKS_AGAIN_S)
                print(f"kill {number:2} {target:16} calls work after {time.monotonic() - began:.2f} s", flush=True)
        print(f"calls: {load.counts}", flush=True)
        equal(load.hung, [], "callers that got neither an answer nor a closed connection")
        equal(load.wrong, [], "wrong answers")
        check(load.counts.get(200, 0) > KILLS, f"only {load.counts} calls were made: that is no load")
        difference_now = {}

        def settled():
            difference_now.clear()
            difference_now.update(difference(before, account(service)))
            return not difference_now

        try:
            wait_for(settled, "settled", 15)
        except AssertionError:
            raise AssertionError(f"not as before the kills (before, now): {difference_now}") from None


if __name__ == "__main__":
    harness.run(globals())
