"""A private ferrited for one test file, requests to it, images for it, and the account of what it left behind.

A test file is a list of functions named test_*; run(globals()) at its end calls them in order, prints one line each
and the line of counts, and exits. Each gets the arguments that it names: "service" is a fresh running service with
directories of its own, ended and audited afterwards; "folder" is an empty folder. With run(globals(), Service()) all
tests share one service, harness.shared. A test fails by an exception, and skips by raising Skip with the reason.

The harness makes itself a subreaper: whatever a service loses, the harness inherits and reports.
"""

import contextlib
import ctypes
import fcntl
import gzip
import hashlib
import http.client
import inspect
import io
import json
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tarfile
import tempfile
import time
import traceback
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent.parent
BUILD = Path(os.environ.get("BUILD", TOP / "build"))
BUILD = BUILD if BUILD.is_absolute() else TOP / BUILD
FERRITED = BUILD / "sbin" / "ferrited"
FERRITE = BUILD / "bin" / "ferrite"
SERVERS = ("ferrite-api", "ferrite-sandbox", "ferrite-rootfs", "ferrite-gpu")
# Everything here is slower under a sanitizer and on a busy machine; a test that waits longer than this is stuck.
SLOWNESS = float(os.environ.get("TEST_SLOWNESS", "1"))  # how many times slower than a test machine this one is
START_S = 30 * SLOWNESS
STOP_S = 20 * SLOWNESS
SETTLE_S = 10 * SLOWNESS
PR_SET_CHILD_SUBREAPER = 36
CLONE_NEWNET = 0x40000000
SIOCSIFFLAGS = 0x8914
FIRST_ID = 0x70000000


class Skip(Exception):
    """The test cannot run here, for the reason given."""


def check(condition, message):
    if not condition:
        raise AssertionError(message)


def equal(got, wanted, what):
    check(got == wanted, f"{what}: got {got!r}, wanted {wanted!r}")


def wait_for(condition, what, seconds=START_S):
    """Polls until the condition holds; returns its value."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        check(time.monotonic() < deadline, f"{what}: not within {seconds} s")
        time.sleep(0.01)


# --- processes and what a service leaves --------------------------------------------------------------------------


def children_of(pid):
    """Pids of the living direct children."""
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            found += [int(word) for word in task.read_text().split()]
    return found


def comm_of(pid):
    """Name of the executable, which is not cut to 15 characters as the name of the process is."""
    with contextlib.suppress(OSError):
        return os.path.basename(os.readlink(f"/proc/{pid}/exe")).removesuffix(" (deleted)")
    return ""


def state_of(pid):
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    return ""


own_children = set()  # what the harness started itself and waits for


def descendants_of(pid):
    found = []
    for child in children_of(pid):
        found += [child] + descendants_of(child)
    return found


def reap_strangers():
    """Orphans of a service become children of the harness: returns the living, forgets the dead."""
    alive = []
    for pid in children_of(os.getpid()):
        if pid in own_children:
            continue
        if state_of(pid) in ("Z", "X", ""):
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
        else:
            alive.append(pid)
    return alive


def our_cgroups():
    found = set()
    for folder, names, _ in os.walk("/sys/fs/cgroup"):
        found |= {f"{folder}/{name}" for name in names if name.startswith("ferrite")}
    return found


def our_mounts():
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    return {line.split(" - ")[0].split()[4] + " " + line.split(" - ")[1] for line in lines if "ferrite" in line}


def our_files():
    return {str(p) for top in ("/tmp", "/var/tmp", "/dev/shm", "/run") for p in Path(top).glob("*ferrite*")}


def host_state():
    """What must be the same before a service and after it."""
    return {
        "cgroup": our_cgroups(),
        "mount": our_mounts(),
        # In the test's own network: whatever appears there is the service's.
        "network": {name for _, name in socket.if_nameindex()}
        | {"forwards packets" for on in [Path("/proc/sys/net/ipv4/ip_forward").read_text()] if on != "0\n"},
        "file": our_files(),
    }


def left_behind(before, now, mine):
    """New entries, as text; with MINE only those with one of these marks in them, where others run services too."""
    found = []
    for kind, entries in now.items():
        new = sorted(entries - before[kind])
        alone_here = not mine or (kind == "network" and not another_runs())
        found += [f"{kind} {entry}" for entry in new if alone_here or any(mark in entry for mark in mine)]
    return found


def fd_table(pid):
    """Open descriptors by what they are, without numbers that differ each time."""
    counts = {}
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            kind = re.sub(r"\d+", "N", re.sub(r"fi-[0-9a-f]+", "fi-N", os.readlink(entry)))
            counts[kind] = counts.get(kind, 0) + 1
    return counts


# --- requests -----------------------------------------------------------------------------------------------------


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout):
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Answer:
    def __init__(self, response):
        self.status = response.status
        self.headers = response.headers
        self.body = response.read()

    @property
    def text(self):
        return self.body.decode("utf-8", "replace")

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def message(self):
        """error.message, which every error answer has."""
        try:
            return self.json["error"]["message"]
        except (ValueError, KeyError, TypeError):
            return f"[no error message in: {self.text[:200]}]"

    def timing(self):
        """Server-Timing as {"start": milliseconds, …, "kind": "cold"}."""
        found = {}
        for entry in self.headers.get("Server-Timing", "").split(","):
            name, *parameters = [part.strip() for part in entry.split(";")]
            for parameter in parameters:
                key, _, value = parameter.partition("=")
                if key == "dur":
                    found[name] = float(value)
                elif key == "desc":
                    found["kind"] = value
        return found


# --- the service --------------------------------------------------------------------------------------------------


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Service:
    """One ferrited with its servers. Use as a context manager: leaving it ends and audits it."""

    def __init__(self, build=BUILD, gpu="software", arguments=(), environment=None, keep=None):
        own_network()
        self.sbin = Path(build) / "sbin" / "ferrited"
        self.folder = Path(keep) if keep else Path(tempfile.mkdtemp(prefix="ferrite-test-"))
        self.own_folder = keep is None
        # Servers without privileges have to pass through to the socket and the store.
        self.folder.chmod(0o755)
        self.state_dir, self.run_dir = self.folder / "state", self.folder / "run"
        self.port = free_port()
        self.log_path = self.folder / "log"
        self.arguments = [
            "--state-dir", str(self.state_dir), "--run-dir", str(self.run_dir),
            "--listen", f"127.0.0.1:{self.port}", "--gpu", gpu, *arguments,
        ]
        self.environment = {"PATH": os.environ["PATH"], "LOG_LEVEL": "info", **(environment or {})}
        if "LLVM_PROFILE_FILE" in os.environ or "ASAN_OPTIONS" in os.environ:
            self.environment.update({k: v for k, v in os.environ.items() if k.endswith("SAN_OPTIONS")})
        self.process = None
        self.before = None

    @property
    def cgroup_mark(self):
        """The name of its cgroups, which ferrited derives from the run directory."""
        number = 2166136261
        for byte in str(self.run_dir).encode():
            number = (number ^ byte) * 16777619 % (1 << 32)
        return f"ferrite-{number:08x}"

    @property
    def socket_path(self):
        return str(self.run_dir / "api.sock")

    @property
    def pid(self):
        return self.process.pid

    def start_shared(self):
        global shared
        self.__enter__()
        shared = self

    def __enter__(self):
        become_subreaper()
        self.before = host_state()
        self.launch()
        try:
            self.wait_ready()
        except BaseException:
            self.__exit__(*sys.exc_info())
            raise
        return self

    def __exit__(self, kind, value, trace):
        problems = []
        try:
            if self.process and self.process.poll() is None:
                status = self.stop()
                if status != 0:
                    problems.append(f"ferrited ended with status {status} after SIGTERM")
            problems += self.leaks() + self.reports()
        finally:
            self.clean()
        if problems and kind is None:
            raise AssertionError("after the service ended: " + "; ".join(problems) + "\n" + self.log_tail)
        if kind is not None:
            sys.stdout.write(self.log_tail)

    def launch(self):
        """Starts ferrited without waiting for anything."""
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                [str(self.sbin), *self.arguments], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env=self.environment, cwd="/",
            )
        own_children.add(self.process.pid)

    def is_ready(self):
        try:
            return self.request("GET", "/readyz", timeout=2).status == 200
        except OSError:
            return False
        except http.client.HTTPException:
            return False

    def wait_ready(self, seconds=START_S):
        def ready():
            check(self.process.poll() is None, f"ferrited ended with {self.process.poll()}:\n{self.log()[-4000:]}")
            return self.is_ready()

        wait_for(ready, "the service becomes ready", seconds)

    def stop(self):
        """SIGTERM; returns the exit status."""
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(timeout=STOP_S)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"ferrited did not end within {STOP_S} s of SIGTERM") from None

    def kill(self):
        self.process.kill()
        self.process.wait()

    def leaks(self):
        """What is still there although the service is gone; waits until it settles."""
        mine = (self.folder.name, self.cgroup_mark)
        found = []

        def settled():
            found[:] = [f"process {p} ({comm_of(p)})" for p in reap_strangers()]
            found.extend(left_behind(self.before, host_state(), None if alone() else mine))
            found[:] = [f for f in found if f != f"file {self.folder}"]
            return not found

        with contextlib.suppress(AssertionError):
            wait_for(settled, "settled", SETTLE_S)
        return ["left behind: " + entry for entry in found]

    def reports(self):
        """What the sanitizers of the servers, where they are built with some, said on standard error."""
        found = re.search(r"(ERROR: \w+Sanitizer|WARNING: ThreadSanitizer|runtime error:)", self.log())
        return [f"a sanitizer reported: {self.log()[found.start():found.start() + 6000]}"] if found else []

    def clean(self):
        for pid in reap_strangers():
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
        self.log_tail = "".join(f"    log: {line}\n" for line in self.log().splitlines()[-60:])
        if self.own_folder:
            shutil.rmtree(self.folder, ignore_errors=True)

    def log(self):
        with contextlib.suppress(OSError):
            return self.log_path.read_text(errors="replace")
        return ""

    def servers(self):
        """{name: pid} of the servers, which are direct children of ferrited."""
        found = {comm_of(pid): pid for pid in children_of(self.process.pid) if state_of(pid) not in ("Z", "X", "")}
        return {name: pid for name, pid in found.items() if name in SERVERS}

    def connection(self, tcp=False, timeout=60):
        if tcp:
            return http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        return UnixConnection(self.socket_path, timeout)

    def request(self, method, path, body=None, headers=None, tcp=False, timeout=60):
        if isinstance(body, (dict, list)):
            body = json.dumps(body)
        connection = self.connection(tcp, timeout)
        try:
            connection.request(method, path, body=body, headers=headers or {})
            return Answer(connection.getresponse())
        finally:
            connection.close()

    def raw(self, data, tcp=True, timeout=20):
        """Sends bytes as they are and returns everything until the service closes (or the time is over)."""
        if tcp:
            s = socket.create_connection(("127.0.0.1", self.port), timeout=timeout)
        else:
            s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            s.settimeout(timeout)
            s.connect(self.socket_path)
        received = b""
        with s:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                s.sendall(data)
                s.shutdown(socket.SHUT_WR)
            with contextlib.suppress(OSError):
                while part := s.recv(65536):
                    received += part
        return received

    def import_image(self, name, archive, wanted=200):
        answer = self.request("POST", f"/v1/images?name={name}", body=archive, timeout=120)
        equal(answer.status, wanted, f"import of {name} ({answer.text[:300]})")
        return answer

    def create_route(self, app, path, image, **more):
        answer = self.request("POST", f"/v1/apps/{app}/routes", {"route": {"path": path, "image": image, **more}})
        equal(answer.status, 200, f"route {path} of {app} ({answer.text[:300]})")
        return answer.json["route"]

    def call(self, app, path, body=None, headers=None, method=None, tcp=False, timeout=60):
        method = method or ("POST" if body is not None else "GET")
        return self.request(method, f"/r/{app}{path}", body, {"Ferrite-Timing": "1", **(headers or {})}, tcp, timeout)

    def instances(self):
        return self.request("GET", "/v1/instances").json["instances"]

    def command(self, *arguments, data=None, timeout=120, env=None):
        """Runs ferrite against this service; returns the completed process (text streams)."""
        return subprocess.run(
            [str(self.sbin.parent.parent / "bin" / "ferrite"), "--api", f"unix:{self.socket_path}", *arguments],
            input=data, capture_output=True, text=not isinstance(data, bytes), timeout=timeout,
            env={**os.environ, **(env or {})},
        )

    def deploy(self, folder, app="demo", *arguments):
        done = self.command("deploy", str(folder), "--app", app, *arguments)
        equal(done.returncode, 0, f"deploy of {folder} ({done.stderr.strip()})")
        return done.stdout.strip()


_network = False


def own_network():
    """Moves the test (its main thread) into a network of its own: bridges and ports of several do not meet."""
    global _network
    if _network:
        return
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "a network namespace of one's own")
    _network = True
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        fcntl.ioctl(s, SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", 1))


_subreaper = False


def become_subreaper():
    global _subreaper
    if not _subreaper:
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        _subreaper = True


def another_runs():
    """True while this test has another service."""
    return any(state_of(pid) not in ("Z", "X", "") for pid in own_children)


def alone():
    """True where no other ferrited runs, ours or another's, so that everything new on the host is this service's."""
    if another_runs():
        return False
    mine = set(descendants_of(os.getpid()))
    for entry in os.listdir("/proc"):
        if entry.isdigit() and int(entry) not in mine and comm_of(int(entry)).startswith(("ferrite", "test_")):
            return False
    return True


@contextlib.contextmanager
def small_disk(folder, mib):
    """A file system of so many MiB on a folder: in memory where the kernel shows such files with other ids (6.3)."""
    release = tuple(int(n) for n in os.uname().release.split(".")[:2])
    if release >= (6, 3):
        mount = ["mount", "-t", "tmpfs", "-o", f"size={mib}m,mode=755", "ferrite-test", str(folder)]
    else:
        image = Path(f"{folder}.image")
        image.write_bytes(b"")
        os.truncate(image, mib << 20)
        subprocess.run(["mke2fs", "-q", "-t", "ext4", "-m", "0", str(image)], check=True)
        mount = ["mount", "-o", "loop", str(image), str(folder)]
    subprocess.run(mount, check=True)
    try:
        yield folder
    finally:
        # Whoever just ended may still let go of it.
        wait_for(lambda: subprocess.run(["umount", str(folder)], capture_output=True).returncode == 0, "umount")
        Path(f"{folder}.image").unlink(missing_ok=True)


# --- images -------------------------------------------------------------------------------------------------------


def tar_bytes(files, compress=None):
    """A tar of {path: bytes | (bytes, mode) | {"link": target} | None (folder) | tarfile.TarInfo}."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for path, content in files.items():
            if isinstance(content, tarfile.TarInfo):
                tar.addfile(content)
                continue
            info = tarfile.TarInfo(path)
            info.mode = 0o755
            data = b""
            if content is None:
                info.type = tarfile.DIRTYPE
            elif isinstance(content, dict):
                info.type, info.linkname = tarfile.SYMTYPE, content["link"]
            else:
                data, info.mode = content if isinstance(content, tuple) else (content, 0o755)
                info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return gzip.compress(buffer.getvalue(), 1) if compress == "gzip" else buffer.getvalue()


def oci_archive(layers, config, name="test:latest"):
    """An OCI image archive of tar layers (bytes) and an image configuration's "config" object."""
    blobs = {}

    def blob(data):
        digest = hashlib.sha256(data).hexdigest()
        blobs[f"blobs/sha256/{digest}"] = (data, 0o644)
        return "sha256:" + digest

    def entry(kind, data):
        return {"mediaType": f"application/vnd.oci.image.{kind}", "digest": blob(data), "size": len(data)}

    raw = [gzip.decompress(layer) if layer[:2] == b"\x1f\x8b" else layer for layer in layers]
    image = {
        "architecture": "amd64", "os": "linux", "config": config,
        "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(layer).hexdigest() for layer in raw]},
    }
    manifest = {
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": entry("config.v1+json", json.dumps(image).encode()),
        "layers": [
            entry("layer.v1.tar+gzip" if layer[:2] == b"\x1f\x8b" else "layer.v1.tar", layer) for layer in layers
        ],
    }
    index = entry("manifest.v1+json", json.dumps(manifest).encode())
    tag = name.rpartition(":")[2]
    index["annotations"] = {"org.opencontainers.image.ref.name": tag, "io.containerd.image.name": name}
    return tar_bytes({
        "oci-layout": (b'{"imageLayoutVersion":"1.0.0"}', 0o644),
        "index.json": (json.dumps({"schemaVersion": 2, "manifests": [index]}).encode(), 0o644),
        **blobs,
    })


def busybox():
    """The bytes of a static busybox."""
    path = shutil.which("busybox") or "/bin/busybox"
    data = Path(path).read_bytes()
    check(b"/lib64/ld-linux" not in data, "busybox is not static; install busybox-static")
    return data


_busybox_layer = None


def busybox_layer():
    global _busybox_layer
    if _busybox_layer is None:
        tools = "sh cat echo sleep true false head dd id env ls mount ps kill yes wc sha256sum tr test rm od".split()
        _busybox_layer = tar_bytes({
            "bin": None, "bin/busybox": busybox(), **{f"bin/{tool}": {"link": "busybox"} for tool in tools},
            "etc": None, "etc/passwd": (b"root:x:0:0::/:/bin/sh\nuser:x:1000:1000::/:/bin/sh\n", 0o644),
            "tmp": None,
        }, "gzip")
    return _busybox_layer


def shell_image(script, name="test:latest", **config):
    """An image that runs a busybox shell script: the body of a request is its input, its output the answer."""
    return oci_archive(
        [busybox_layer()],
        {"Entrypoint": ["/bin/sh", "-c", script], "Env": ["PATH=/bin"], "WorkingDir": "/", **config}, name,
    )


# --- running a test file ------------------------------------------------------------------------------------------


shared = None  # the service that all tests of a file use, where run() was asked for one


def run(names, service=None):
    """Calls every test_* function of a module in the order of the file, or those named on the command line.

    With SERVICE, a Service that is not started, all tests share it as harness.shared; its end and what it left is one
    test more.
    """
    tests = [f for n, f in names.items() if n.startswith("test_") and callable(f)]
    chosen = [t for t in tests if not sys.argv[1:] or t.__name__ in sys.argv[1:]]
    counts = {"ok": 0, "FAIL": 0, "skip": 0}
    # The runner ends a suite that takes too long with SIGTERM; its services are taken down on the way out.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by SIGTERM"))
    # Whoever starts the suite in the background has it ignore SIGINT, and so would the commands that tests interrupt.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if os.geteuid() != 0:
        print("these tests build containers: they need root")
        print(f"0 passed, {len(chosen)} failed, 0 skipped")
        sys.exit(1)
    if service:
        report(counts, "the_service_starts", service.start_shared)
    try:
        if not service or shared:
            for test in chosen:
                report(counts, test.__name__, lambda test=test: call_test(test))
    finally:
        if shared:
            report(counts, "the_service_ends_and_leaves_nothing", lambda: service.__exit__(None, None, None))
    print(f"{counts['ok']} passed, {counts['FAIL']} failed, {counts['skip']} skipped")
    sys.exit(0 if counts["FAIL"] == 0 else 1)


def report(counts, name, act):
    began = time.monotonic()
    state, remark = "ok", ""
    try:
        act()
    except Skip as reason:
        state, remark = "skip", str(reason)
    except Exception as problem:  # pylint: disable=broad-except
        state, remark = "FAIL", "".join(traceback.format_exception(problem))
    counts[state] += 1
    print(f"{state:4} {name} ({time.monotonic() - began:.1f} s) {remark}", flush=True)


def call_test(test):
    with contextlib.ExitStack() as stack:
        arguments = {}
        for name in inspect.signature(test).parameters:
            if name == "service":
                arguments[name] = stack.enter_context(Service())
            elif name == "folder":
                arguments[name] = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ferrite-test-")))
            else:
                raise TypeError(f"{test.__name__}: no such argument: {name}")
        test(**arguments)
