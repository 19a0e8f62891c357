#!/usr/bin/env python3
"""The boundary against worse kernels, failing calls and other tools; what rows of the security table have no other place.

time limit: 600 s
"""

import contextlib
import errno
import mmap
import os
import re
import shutil
import struct
import subprocess
import tempfile
from pathlib import Path

import harness
from harness import BUILD, check, equal, wait_for
from test_sandbox import DENIED, MIB, PROGRAMS, Sandbox, box

SERVERS = ("ferrite-sandbox", "ferrite-api", "ferrite-rootfs", "ferrite-gpu")


@contextlib.contextmanager
def environment(**values):
    os.environ.update(values)
    try:
        yield
    finally:
        for name in values:
            del os.environ[name]


class FaultySandbox(Sandbox):
    """A server whose calls fail when the test wants it: tests/integration/sandbox/fault.c."""

    LAYOUT = struct.Struct("7i64i")

    def __init__(self, calls, *config, pool=0):
        super().__init__(*config, pool=pool)
        self.calls = calls

    def __enter__(self):
        with tempfile.NamedTemporaryFile(prefix="ferrite-fault-") as file:
            file.write(self.LAYOUT.pack(0, 0, -1, 0, 0, 0, len(self.calls), *self.calls, *[0] * (64 - len(self.calls))))
            file.flush()
            self.control = mmap.mmap(file.fileno(), self.LAYOUT.size)
            with environment(FAULT_CONTROL=file.name, FAULT_PROGRAM=str(BUILD / "libexec" / "ferrite-sandbox")):
                return super().__enter__()

    def command(self):
        command = super().command()
        return [command[0], PROGRAMS / "fault", *command[2:]]

    def fail(self, number, nth, error):
        struct.pack_into("4i", self.control, 8, number, nth, error, 0)

    def counted(self):
        return struct.unpack_from("i", self.control, 20)[0]


# --- M: host and operation ----------------------------------------------------------------------------------------

NEEDED = {
    "clone3": 435, "close_range": 436, "fsconfig": 431, "fsmount": 432, "fsopen": 430, "fspick": 433,
    "mount_setattr": 442, "move_mount": 429, "open_tree": 428, "openat2": 437, "pidfd_send_signal": 424,
}


def test_sec_M2_a_kernel_that_lacks_a_call_is_refused():
    # There is no other way to make a container, so none that is weaker.
    for name, number in NEEDED.items():
        with tempfile.TemporaryDirectory(prefix="ferrite-sbx-") as folder:
            command = [PROGRAMS / "driver", PROGRAMS / "fault", f"state_dir={folder}/state", *box().command()[3:]]
            with environment(FAULT_PROGRAM=str(BUILD / "libexec" / "ferrite-sandbox"), FAULT_MISSING=str(number)):
                done = subprocess.run(command, input="", capture_output=True, text=True, timeout=60, check=False)
            check("error" in done.stdout and f"this kernel has no {name}(2)" in done.stderr, f"{name}: {done}")


# --- faults -------------------------------------------------------------------------------------------------------

# The calls of a birth and of a removal by number (x86-64), and how each may fail. Those whose failure ends the server on
# purpose (giving its own identity back) are left out, and those that the kernel never refuses.
FAULTS = {
    "openat": (257, errno.EMFILE), "openat2": (437, errno.EMFILE), "mkdir": (83, errno.ENOSPC),
    "mkdirat": (258, errno.ENOSPC), "mknodat": (259, errno.ENOSPC), "symlinkat": (266, errno.ENOSPC),
    "unlinkat": (263, errno.EBUSY), "socketpair": (53, errno.EMFILE), "pipe2": (293, errno.EMFILE),
    "sendmsg": (46, errno.ENOBUFS), "clone3": (435, errno.EAGAIN), "bpf": (321, errno.ENOMEM),
    "fsopen": (430, errno.ENOMEM), "fsconfig": (431, errno.ENOMEM), "fsmount": (432, errno.EMFILE),
    "fspick": (433, errno.EMFILE), "open_tree": (428, errno.EMFILE), "move_mount": (429, errno.ENOMEM),
    "mount_setattr": (442, errno.ENOMEM), "mount": (165, errno.ENOMEM), "umount2": (166, errno.EBUSY),
    "pivot_root": (155, errno.ENOMEM), "fchown": (93, errno.EIO), "fchdir": (81, errno.EIO),
    "epoll_ctl": (233, errno.ENOSPC), "unshare": (272, errno.ENOSPC), "sethostname": (170, errno.EPERM),
    "keyctl": (250, errno.EDQUOT), "setsid": (112, errno.EPERM), "setgroups": (116, errno.EPERM),
    "setresgid": (119, errno.EAGAIN), "capset": (126, errno.EPERM), "seccomp": (317, errno.ENOMEM),
    "execveat": (322, errno.ENOMEM), "close_range": (436, errno.EMFILE), "prlimit64": (302, errno.EPERM),
    "pidfd_send_signal": (424, errno.ESRCH), "fstatfs": (138, errno.EIO),
}
MOST = 200  # no call is made more often in a birth


def strike(server, name, more):
    """Lets the first, the second, ... of these calls fail during a birth, until it makes no more of them."""
    number, error = FAULTS[name]
    for nth in range(1, MOST):
        server.fail(number, nth, error)
        answer = server.request("run", "/bin/inspector", "limits", **more)
        struck = server.counted() >= nth
        server.fail(-1, 0, 0)
        if "end" not in answer:
            check(answer["failed"]["phase"] and answer["failed"]["text"], f"{name} {nth}: {answer}")
            # One that waited may have met an earlier fault.
            check(struck or server.pool, f"{name} {nth}: failed without a fault: {answer}")
        elif answer["exit_code"] == 0 and name != "prlimit64":
            # It ran, so everything holds that would have held. (The inspector itself makes that one, too.)
            check("core=1 1" in answer["stdout"], f"{name} {nth}: {answer}")
        check(server.driver.poll() is None, f"{name} {nth}: the server ended: {server.log()[-1000:]}")
        if not struck:
            return nth - 1
    raise AssertionError(f"{name}: more than {MOST} of them")


def faults(pool):
    with FaultySandbox([number for number, _ in FAULTS.values()], pool=pool) as server:
        server.run("/bin/inspector", "exit", 0)
        server.settled()
        for _ in range(2):  # both have their maps of ids
            server.run("/bin/inspector", "exit", 0)
        server.settled()
        wait_for(lambda: server.waiting() == pool, "the pool", 10)
        before = descriptors(server.server)
        struck = {}
        for name in FAULTS:
            struck[name] = strike(server, name, {"disk": 16 * MIB})
            answers = [server.request("run", "/bin/inspector", "exit", 7) for _ in range(1 + pool)]
            equal(answers[-1].get("exit_code"), 7, f"the next birth after {name}: {answers}")
        server.settled()
        wait_for(lambda: server.waiting() == pool, "the pool", 10)
        equal(server.processes(), [], "processes")
        equal(Path("/proc/self/mountinfo").read_text(), server.mounts, "mounts")
        equal(len(harness.children_of(server.server)), pool, "children of the server")
        # Each range of ids makes a map at its first use and keeps it.
        after = descriptors(server.server)
        equal({k: v for k, v in after.items() if v > before.get(k, 0) and "user:" not in k}, {}, "descriptors")
        print("     faults: " + " ".join(f"{name}={n}" for name, n in struck.items()))
        check(sum(struck.values()) > 100 and all(struck[n] for n in ("openat", "fsmount", "pivot_root")), f"{struck}")


def test_every_call_of_a_birth_may_fail():
    faults(0)


def test_every_call_of_a_birth_from_the_pool_may_fail():
    faults(1)


def descriptors(pid):
    counts = {}
    for kind, n in harness.fd_table(pid).items():
        kind = re.sub(r"fi-\w+", "GROUP", kind)
        counts[kind] = counts.get(kind, 0) + n
    return counts


# --- rows that have no other place --------------------------------------------------------------------------------


def test_sec_B5_programs_are_hardened():
    for path in [BUILD / "sbin" / "ferrited", *(BUILD / "libexec" / name for name in SERVERS)]:
        text = subprocess.run(["readelf", "-hldW", path], capture_output=True, text=True, check=True).stdout
        check("DYN (Position-Independent" in text and "GNU_RELRO" in text, f"{path}: no PIE with read-only relocations")
        check(re.search(r"FLAGS.*(BIND_)?NOW", text), f"{path}: relocations are made late")
        stack = re.search(r"GNU_STACK.* (RWE?|R?W?E) ", text)
        check(stack and "E" not in stack[1], f"{path}: the stack can be executed")
        check(not re.search(r"LOAD .* RWE ", text), f"{path}: memory that can be written and executed")


def test_sec_C8_one_thread():
    # A filter and an identity hold for the thread that takes them.
    equal(os.listdir(f"/proc/{box().server}/task"), [str(box().server)], "threads of the server")
    instance = box().create("/bin/inspector", "hold")
    group = box().ask(op="stat", instance=instance)["cgroup"]
    pids = (box().groups[0] / Path(group).name / "cgroup.procs").read_text().split()
    init = next(p for p in pids if Path(f"/proc/{p}/comm").read_text().strip() == "ferrite-init")
    status = Path(f"/proc/{init}/status").read_text()
    check("Threads:\t1\n" in status and "Seccomp:\t2\n" in status, status)
    box().ask(op="kill", instance=instance)
    box().wait(instance)


def test_sec_C10_speculation():
    def lines(text):
        return {k: v.strip() for k, v in (line.split(":", 1) for line in text.splitlines() if ":" in line)
                if k.startswith("Speculation")}

    inside = lines(box().run("/bin/sh", "-c", "cat /proc/self/status")["stdout"])
    host = lines(Path("/proc/self/status").read_text())
    equal(set(inside), set(host), "what is told of it")
    for key, value in inside.items():
        # Our filter asks for no exception from what the kernel does for filtered processes.
        check(value == host[key] or "mitigated" in value or "disabled" in value, f"{key}: {value}, outside {host[key]}")


def test_sec_E4_nothing_of_ours_is_written_to_a_proc_of_the_image():
    names = ("proc/self/oom_score_adj", "proc/self/attr/exec", "proc/self/attr/keycreate", "proc/sysrq-trigger",
             "proc/sys/user/max_user_namespaces", "proc/sys/user/max_inotify_instances", "proc/sys/kernel/core_pattern")
    layer = box().layer({name: b"image" for name in names})

    def host():
        found = {}
        for path in Path("/proc/sys").rglob("*"):
            if path.is_file() and path.stat().st_mode & 0o200 and path.parts[3] in ("user", "kernel", "vm", "fs"):
                with contextlib.suppress(OSError):
                    found[str(path)] = path.read_bytes()
        # What the kernel itself counts on.
        return {k: v for k, v in found.items() if not re.search(r"random|ns_last_pid|pty/nr|-state|-nr$", k)}

    before = host()
    answer = box().run("/bin/sh", "-c", "cat /proc/self/oom_score_adj; ls /proc | grep -c sys",
                       layers=[box().base_layer, layer])
    equal(answer["stdout"], "500\n0\n", f"the real one: {answer}")
    equal([(layer / name).read_bytes() for name in names], [b"image"] * len(names), "the files of the image")
    equal(host(), before, "settings of the host")


def test_sec_K1_nothing_of_the_image_runs_outside():
    source, canary = box().folder / "x.c", box().folder / "canary-k1"
    source.write_text(f'#include <fcntl.h>\n__attribute__((constructor)) void f(void) {{ open("{canary}", O_CREAT, 0600); }}')
    library = box().layer({"bin": None}) / "x.so"
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", library, source], check=True)
    subprocess.run(["true"], env={"LD_PRELOAD": str(library)}, check=True)
    check(canary.exists(), "control: the library is loaded where somebody asks for it")
    canary.unlink()
    variables = {"LD_PRELOAD": "./x.so", "LD_AUDIT": "./x.so", "LD_LIBRARY_PATH": "/", "GCONV_PATH": "/", "PATH": "/bin:.",
                 "BASH_ENV": "/x.so", "ENV": "/x.so"}
    answer = box().run("/bin/sh", "-c", "echo ran", env=[f"{k}={v}" for k, v in variables.items()],
                       layers=[box().base_layer, library.parent])
    equal(answer["stdout"], "ran\n", f"{answer}")
    check(not canary.exists(), "code of the image ran outside")
    text = Path(f"/proc/{box().server}/maps").read_text()
    check("x.so" not in text and "/layer-" not in text, "the server has mapped a file of an image")


# --- controls: the same program under other tools -----------------------------------------------------------------


def bubblewrap(root, *args):
    return ["bwrap", "--unshare-all", "--uid", "0", "--gid", "0", "--bind", root, "/", "--proc", "/proc", "--dev", "/dev",
            "--cap-drop", "ALL", "--die-with-parent", "/bin/inspector", *args]


def ours(*args):
    return box().run("/bin/inspector", *args)["stdout"]


# What each row of the comparison counts: openings that somebody inside has. Less is stricter.
ROWS = (
    ("calls that should be denied", ("syscalls", *(str(n) for n in DENIED.values())),
     lambda text: sum(not line.endswith(("=EPERM", "=ENOSYS")) for line in text.splitlines())),
    ("namespaces that can be made", ("namespaces",), lambda text: text.count("=ok")),
    ("families of sockets", ("families",), lambda text: len({x.split("_")[0] for x in text.splitlines()})),
    ("capabilities", ("caps",),
     lambda text: sum(bin(int(x.split()[1], 16)).count("1") for x in text.splitlines() if x.startswith("Cap"))),
    ("terminal calls", ("ioctls",), lambda text: sum("EPERM" not in x and "FIONREAD" not in x for x in text.splitlines())),
    ("files of /proc that can be written", ("walk", "/proc"),
     lambda text: sum(x.startswith("write=") and not re.match(r"write=/proc/\d+/", x) for x in text.splitlines())),
    ("reserved huge pages", ("huge",), lambda text: sum("ENOMEM" not in x for x in text.splitlines())),
)


def test_controls_against_bubblewrap():
    if not shutil.which("bwrap"):
        raise harness.Skip("there is no bwrap (tools/setup test)")
    weaker, differ = [], 0
    with tempfile.TemporaryDirectory(prefix="ferrite-control-") as root:
        shutil.copytree(box().base_layer, root, symlinks=True, dirs_exist_ok=True)
        for folder in ("proc", "dev", "tmp"):
            (Path(root) / folder).mkdir(exist_ok=True)
        for what, command, count in ROWS:
            other = subprocess.run(bubblewrap(root, *command), capture_output=True, text=True, timeout=60, check=False)
            check(other.stdout, f"bubblewrap runs nothing: {other}")
            mine, theirs = count(ours(*command)), count(other.stdout)
            print(f"     {what:36} ferrite {mine:5}  bubblewrap {theirs:5}")
            weaker += [what] if mine > theirs else []
            differ += mine < theirs
    equal(weaker, [], "rows in which ferrite is weaker")
    check(differ >= 3, "the checks find nothing under a tool that has no filter: they cannot fail")


if __name__ == "__main__":
    harness.run(globals(), service=Sandbox())
