"""The image store as a process: ferrite-rootfs in its user namespace, driven over its channels as ferrited and
ferrite-api do it. time limit: 600 s"""

import array
import contextlib
import ctypes
import datetime
import gzip
import json
import os
import shutil
import signal
import socket
import stat
import struct
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
import zlib
from pathlib import Path

import rootfs_archives as make
from harness import BUILD, TOP, check, equal, run, small_disk, wait_for
from rootfs_archives import entry

SERVER = BUILD / "libexec" / "ferrite-rootfs"
STORE_BASE = 0x70010000
MAGIC = 0x31524546
HEADER = struct.Struct("<IHHIiQQ")
FAILED = 1
HELLO, CONFIG, CHANNEL, LISTEN, START, READY, PING, PONG, DRAIN = range(0x100, 0x109)
ACCUSE = 0x10B
IMPORT, PROGRESS, IMPORTED, OPEN, OPENED, CHANGED, QUERY, DOCUMENT, REMOVE, REMOVED, GC = range(0x300, 0x30B)
PEER_API = 1
LIST, INSPECT = 0, 1
CLONE_NEWNS, CLONE_NEWUSER = 0x20000, 0x10000000
libc = ctypes.CDLL(None, use_errno=True)


class Failed(Exception):
    def __init__(self, code, phase, text):
        super().__init__(f"{phase}: {text} ({code})")
        self.code, self.phase, self.text = code, phase, text


class Message:
    def __init__(self, data, fds):
        magic, self.type, n_fds, length, _, self.id, _ = HEADER.unpack_from(data)
        self.body = data[HEADER.size:]
        self.fds = fds
        equal((magic, n_fds, length), (MAGIC, len(fds), len(self.body)), "header of a message")


def send(channel, kind, body=b"", fds=(), number=0, raw=None):
    data = raw or HEADER.pack(MAGIC, kind, len(fds), len(body), 0, number, 0) + body
    control = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
    channel.sendmsg([data], control)


def receive(channel, seconds=60):
    channel.settimeout(seconds)
    data, control, _, _ = channel.recvmsg(HEADER.size + 160 * 1024, socket.CMSG_SPACE(200 * 4))
    fds = []
    for level, kind, payload in control:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fds += array.array("i", payload[: len(payload) // 4 * 4])
    return Message(data, fds) if data else None


def text_of(data):
    return data.split(b"\0", 1)[0].decode()


class Image:
    """What RFS_OPENED answered: layers as (device, inode, path) and descriptors, which are closed with it."""

    def __init__(self, message):
        digest, count, _ = struct.unpack_from("<72sII", message.body)
        self.digest = text_of(digest)
        self.config = json.loads(text_of(message.body[80:]))
        self.fds = message.fds
        equal(len(self.fds), count, "layer descriptors")
        self.layers = [Path(os.readlink(f"/proc/self/fd/{fd}")) for fd in self.fds]

    def close(self):
        for fd in self.fds:
            os.close(fd)
        self.fds = []

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.close()


def into_user_namespace(base=STORE_BASE):
    """In a child: root of a user namespace whose ids are the store's, as ferrited starts the server."""
    ready, mapped = os.pipe(), os.pipe()
    parent = os.getpid()
    helper = os.fork()
    if helper == 0:
        os.read(ready[0], 1)
        for kind in ("uid", "gid"):
            Path(f"/proc/{parent}/{kind}_map").write_text(f"0 {base} 65536\n")
        os.write(mapped[1], b"x")
        os._exit(0)
    if libc.unshare(CLONE_NEWUSER) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    os.write(ready[1], b"x")
    os.read(mapped[0], 1)
    os.waitpid(helper, 0)
    for fd in ready + mapped:
        os.close(fd)
    os.setgroups([])
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)


class Server:
    """One ferrite-rootfs on a state directory of its own (or a given one)."""

    def __init__(self, folder=None, settings=None, start=True):
        self.own = folder is None
        self.folder = Path(folder or tempfile.mkdtemp(prefix="ferrite-rootfs-test-"))
        self.state = self.folder / "images"
        self.folder.chmod(0o755)
        if not self.state.exists():
            self.state.mkdir()
            os.chown(self.state, STORE_BASE, STORE_BASE)
        self.settings = dict({"state_dir": str(self.state)}, **(settings or {}))
        self.pid = None
        self.number = 0
        self.progress = []
        self.changed = []
        self.pending = {}
        if start:
            self.start()

    def start(self):
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.log = open(self.folder / "log", "ab")
        self.pid = os.fork()
        if self.pid == 0:
            try:
                # By descriptor, as ferrited does: folders above it may be closed to the store's user.
                program = os.dup2(os.open(SERVER, os.O_RDONLY), 300, inheritable=False)
                into_user_namespace()
                os.dup2(self.log.fileno(), 2)
                os.dup2(theirs.fileno(), 3)
                os.closerange(4, 256)
                os.execve(program, [str(SERVER)], os.environ)
            except BaseException as why:
                os.write(2, f"{why}\n".encode())
            finally:
                os._exit(127)
        theirs.close()
        self.control = ours
        hello = receive(ours)
        equal((hello.type, struct.unpack("<II", hello.body)[0]), (HELLO, 1), "hello")
        entries = b"".join(f"{k}={v}".encode() + b"\0" for k, v in self.settings.items())
        send(ours, CONFIG, struct.pack("<II", len(self.settings), 0) + entries)
        self.connect()
        send(ours, START)
        ready = receive(ours)
        check(ready and ready.type == READY, f"the server did not get ready: {self.log_text()}")

    def connect(self):
        self.api, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        send(self.control, CHANNEL, struct.pack("<I", PEER_API), [theirs.fileno()])
        theirs.close()

    def log_text(self):
        return (self.folder / "log").read_text()

    def kill(self):
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
            self.pid = None
            self.control.close()
            self.api.close()

    def stop(self):
        """As when ferrited ends: the channel closes, and the server ends by itself with status 0."""
        if self.pid:
            self.control.close()
            _, status = os.waitpid(self.pid, 0)
            self.pid = None
            self.api.close()
            equal(status, 0, "exit status of the server")

    def __enter__(self):
        return self

    def __exit__(self, kind, *unused):
        if kind:
            sys.stderr.write(self.log_text())
            self.kill()
        else:
            self.stop()
        self.log.close()
        if self.own:
            shutil.rmtree(self.folder)

    # --- requests ---

    def ask(self, kind, body=b"", fds=()):
        self.number += 1
        send(self.api, kind, body, fds, self.number)
        return self.number

    def answer(self, number, kind):
        while number not in self.pending:
            message = receive(self.api)
            check(message is not None, f"the server closed the channel: {self.log_text()}")
            if message.type == PROGRESS:
                done, total, phase = struct.unpack("<QQ24s", message.body)
                self.progress.append((text_of(phase), done, total))
            elif message.type == CHANGED:
                self.changed.append(text_of(message.body))
            else:
                self.pending[message.id] = message
        message = self.pending.pop(number)
        if message.type == FAILED:
            code, phase, text = struct.unpack("<i32s512s", message.body)
            raise Failed(code, text_of(phase), text_of(text))
        equal(message.type, kind, "type of the answer")
        return message

    def begin_import(self, source, name, size=0):
        """SOURCE: bytes (through a pipe), a path, or a descriptor."""
        thread = None
        if isinstance(source, bytes):
            source, writer = os.pipe()

            def feed(data):
                with contextlib.suppress(BrokenPipeError), open(writer, "wb") as out:
                    out.write(data)

        elif not isinstance(source, int):
            source, writer = os.open(source, os.O_RDONLY), None
        else:
            source, writer = os.dup(source), None
        number = self.ask(IMPORT, struct.pack("<Q", size) + name.encode() + b"\0", [source])
        os.close(source)
        return number, writer, (feed if writer is not None else None)

    def put(self, source, name=""):
        data = source
        number, _, feed = self.begin_import(source, name, len(data) if isinstance(data, bytes) else 0)
        if feed:
            threading.Thread(target=feed, args=(data,), daemon=True).start()
        message = self.answer(number, IMPORTED)
        digest, size = struct.unpack("<72sQ", message.body)
        return text_of(digest), size

    def refused(self, source, name, text, code=None):
        try:
            self.put(source, name)
        except Failed as why:
            check(text in why.text, f"the error of {name} is {why.text!r}, expected is {text!r}")
            if code:
                equal(why.code, -code, f"code of {name}")
            return why
        raise AssertionError(f"{name} was imported, expected is an error with {text!r}")

    def open(self, name):
        return Image(self.answer(self.ask(OPEN, struct.pack("<I", 0) + name.encode() + b"\0"), OPENED))

    def query(self, kind, name=""):
        message = self.answer(self.ask(QUERY, struct.pack("<I", kind) + name.encode() + b"\0"), DOCUMENT)
        with open(message.fds[0], "rb") as document:
            text = document.read()
        equal(len(text), struct.unpack("<Q", message.body)[0], "size of the document")
        return json.loads(text)

    def names(self):
        return [image["name"] for image in self.query(LIST)["images"]]

    def remove(self, name):
        return struct.unpack("<IIQ", self.answer(self.ask(REMOVE, name.encode() + b"\0"), REMOVED).body)

    def gc(self):
        return struct.unpack("<IIQ", self.answer(self.ask(GC), REMOVED).body)

    # --- what is on disk ---

    def settled(self):
        """The store's folder without tmp's rubbish, which is deleted in the background."""
        wait_for(lambda: not list((self.state / "tmp").iterdir()), "emptying of tmp")
        return sorted(
            str(p.relative_to(self.state))
            for p in list((self.state / "blobs/sha256").iterdir()) + list((self.state / "layers").iterdir())
        )


    def quiet(self):
        """No work goes on in the background, and what it had is closed."""
        wait_for(lambda: not Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text(), "the end of the workers")
        send(self.control, PING, number=99)
        equal(receive(self.control).id, 99, "heartbeat")


def expect_failure(function, text, code=None):
    try:
        function()
    except Failed as why:
        check(text in why.text, f"the error is {why.text!r}, expected is {text!r}")
        if code:
            equal(why.code, -code, "code")
        return
    raise AssertionError(f"expected is an error with {text!r}")


HELLO_LAYER = make.tar([entry("bin/", None), entry("bin/hello", b"#!/bin/sh\n", mode=0o755)])
SECOND_LAYER = make.tar([entry("etc/", None), entry("etc/motd", b"second\n")])


# --- every layout and compression ---------------------------------------------------------------------------------


def test_every_layout_and_compression():
    layers = [HELLO_LAYER, SECOND_LAYER]
    run_config = {"Cmd": ["/bin/hello"], "Env": ["A=1"]}
    forms = {
        "old": make.docker_old(layers, ["demo/old:1"], run_config),
        "new": make.docker_new(layers, ["new:1"], run_config),
        "oci": make.oci(layers, run=run_config),
        "oci-dot": make.oci(layers, prefix="./", run=run_config),
        "oci-gzip": make.oci(layers, compression="gzip", run=run_config),
        "oci-zstd": make.oci(layers, compression="zstd", run=run_config),
    }
    with Server() as server:
        for form, archive in forms.items():
            for compression, pack in make.COMPRESS.items():
                name = f"t/{form}:{compression or 'plain'}"
                digest, size = server.put(pack(archive), name)
                check(size > 0, "size")
                with server.open(name) as image:
                    equal(image.digest, digest, "digest")
                    equal(image.config["config"]["Cmd"], ["/bin/hello"], "command")
                    equal(len(image.layers), 2, "layers")
                    equal((image.layers[0] / "bin/hello").read_bytes(), b"#!/bin/sh\n", "content")
                    equal((image.layers[1] / "etc/motd").read_bytes(), b"second\n", "content")
        check(any(phase == "read" for phase, _, _ in server.progress), "progress of reading")
        check(any(phase == "unpack" for phase, _, _ in server.progress), "progress of unpacking")
        check("t/old:plain" in server.changed, "event for a new name")
        # Layers are shared: two of them for all these images.
        folders = [p for p in server.settled() if p.startswith("layers/") and not p.endswith(".json")]
        equal(len(folders), 2, "unpacked layers")


def test_plain_root_file_systems():
    tree = make.tar([entry("./", None, mode=0o711), entry("./usr/", None), entry("./usr/x", b"1"), entry("./a", b"2")])
    with Server() as server:
        for compression, pack in make.COMPRESS.items():
            name = f"tree:{compression or 'plain'}"
            server.put(pack(tree), name)
            with server.open(name) as image:
                equal((image.layers[0] / "a").read_bytes(), b"2", "content")
                equal(stat.S_IMODE(image.layers[0].stat().st_mode), 0o711, "mode of the root")
                about = server.query(INSPECT, name)
                equal(about["layers"][0]["diff_id"], "sha256:" + make.sha256(tree), "diff id")
                equal(about["architecture"], make.ARCHITECTURE, "architecture")
        server.refused(tree, "", "gives the image no name")
        # The same from a file, which may be read at any speed.
        path = server.folder / "tree.tar"
        path.write_bytes(tree)
        equal(server.put(path, "tree:file")[0], server.query(INSPECT, "tree:plain")["digest"], "digest")


def test_names():
    archive = make.docker_old([HELLO_LAYER], ["demo/x:7", "docker.io/library/y:latest"])
    with Server() as server:
        digest, _ = server.put(archive)
        equal(server.names(), ["demo/x:7", "y:latest"], "names of the archive")
        server.put(archive, "host:5000/Z".lower())
        for name in ("y", "docker.io/y", "library/y:latest", f"y@{digest}", f"demo/x@{digest}", "host:5000/z"):
            server.open(name).close()
        for name, text in {
            "demo/x": 'no image "demo/x:latest"',
            f"other@{digest}": "no image",
            "demo/x@sha256:" + "0" * 64: "no image",
            "": "empty",
            "Upper": "lower-case",
            "a//b": "path part",
            "a:": "tag",
            "a@sha256:12": "digest",
            "x" * 5000: "too long",
            "a\x01": "not valid",
            "0" * 64: "image id",
        }.items():
            expect_failure(lambda name=name: server.open(name), text)
        server.refused(archive, "a b", "not valid")
        server.refused(archive, f"a@{digest}", "not under a digest")


def test_several_images_in_an_archive():
    one, top_one = make.oci_blobs([HELLO_LAYER])
    two, top_two = make.oci_blobs([SECOND_LAYER])
    top_one["annotations"] = {"org.opencontainers.image.ref.name": "demo/one:1"}
    top_two["annotations"] = {"org.opencontainers.image.ref.name": "demo/two:1"}
    archive = make.oci_archive({**one, **two}, [top_one, top_two])
    with Server() as server:
        server.refused(archive, "other", "holds 2 images")
        equal(server.put(archive, "demo/two:1")[0], top_two["digest"], "digest")
        # An index for several machines inside: ours is taken.
        foreign, top_foreign = make.oci_blobs([SECOND_LAYER], architecture=make.OTHER_ARCHITECTURE)
        top_one["platform"] = {"os": "linux", "architecture": make.ARCHITECTURE}
        top_foreign["platform"] = {"os": "linux", "architecture": make.OTHER_ARCHITECTURE}
        index = json.dumps({"schemaVersion": 2, "manifests": [top_foreign, top_one]}).encode()
        blobs = {**one, **foreign, make.sha256(index): index}
        top = make.descriptor(index, "application/vnd.oci.image.index.v1+json")
        equal(server.put(make.oci_archive(blobs, [top]), "multi")[0], top_one["digest"], "digest")
        server.refused(make.oci_archive(foreign, [top_foreign]), "foreign", "no image for linux/" + make.ARCHITECTURE)
        del top_foreign["platform"]
        server.refused(make.oci_archive(foreign, [top_foreign]), "foreign", "this machine is linux/")


# --- unpacking ----------------------------------------------------------------------------------------------------


def test_sec_J4_owners_modes_and_times():
    entries = [
        entry("d/", None, mode=0o2750, uid=33, gid=34, mtime=1500000000),
        entry("d/suid", b"x", mode=0o4755, uid=0),
        entry("d/sgid", b"x", mode=0o2711, uid=1000, gid=1001),
        entry("sticky/", None, mode=0o1777),
        entry("nobody", b"x", mode=0o600, uid=65534, gid=65534),
        entry("link", kind=tarfile.SYMTYPE, link="../../outside", uid=5, gid=6),
        entry("hard", kind=tarfile.LNKTYPE, link="d/suid"),
        entry("F\u0151tan\u00fas.crt", b"utf-8"),
        entry("nfd-e\u0301", b"not normalised"),
        entry("latin-\udcff", b"bytes"),
        entry("unit\\x2dname.slice", b"systemd"),
        entry("device", kind=tarfile.CHRTYPE, devmajor=1, devminor=3),
        entry("block", kind=tarfile.BLKTYPE, devmajor=8, devminor=0),
        entry("whiteout-device", kind=tarfile.CHRTYPE, devmajor=0, devminor=0),
        entry("fifo", kind=tarfile.FIFOTYPE),
        entry("d/again", b"first"),
        entry("d/again", b"second", mode=0o640),
    ]
    with Server() as server:
        server.put(make.tar(entries), "tree")
        with server.open("tree") as image:
            root = image.layers[0]
            of = lambda name: os.lstat(root / name)
            ids = lambda name: (of(name).st_uid - STORE_BASE, of(name).st_gid - STORE_BASE)
            mode = lambda name: stat.S_IMODE(of(name).st_mode)
            equal((ids("d"), mode("d"), int(of("d").st_mtime)), ((33, 34), 0o2750, 1500000000), "directory")
            equal((ids("d/suid"), mode("d/suid")), ((0, 0), 0o4755), "setuid file")
            equal((ids("d/sgid"), mode("d/sgid")), ((1000, 1001), 0o2711), "setgid file")
            equal(mode("sticky"), 0o1777, "sticky directory")
            equal(ids("nobody"), (65534, 65534), "largest id")
            equal((ids("link"), os.readlink(root / "link")), ((5, 6), "../../outside"), "symbolic link")
            equal(of("hard").st_ino, of("d/suid").st_ino, "hard link")
            equal(int(of("nobody").st_mtime), 1700000000, "time")
            for name in ("F\u0151tan\u00fas.crt", "nfd-e\u0301", "latin-\udcff", "unit\\x2dname.slice"):
                check(of(name), "names keep their bytes")
            for name in ("device", "block", "whiteout-device", "fifo"):
                check(not os.path.lexists(root / name), f"{name} was unpacked")
            equal((root / "d/again").read_bytes(), b"second", "the last entry of a name counts")
            equal(stat.S_IMODE(root.stat().st_mode), 0o755, "mode of a root without an entry")


def test_large_folders():
    """Thousands of names in one folder, deep paths, long names, a file of some size."""
    deep = "/".join(["deep"] * 100)
    entries = [entry(f"many/{i:05}-{'x' * (i % 200)}", b"%d" % i) for i in range(5000)]
    entries += [entry(deep + "/file", b"bottom"), entry("big", os.urandom(5 << 20))]
    with Server() as server:
        server.put(make.COMPRESS["zstd"](make.tar(entries)), "tree")
        with server.open("tree") as image:
            equal(len(os.listdir(image.layers[0] / "many")), 5000, "entries")
            equal((image.layers[0] / deep / "file").read_bytes(), b"bottom", "content")
        server.remove("tree")
        equal(server.settled(), [], "the store")


def test_sec_J4_attributes():
    headers = {
        "SCHILY.xattr.user.kept": "yes",
        "SCHILY.xattr.user.overlay.opaque": "y",
        "SCHILY.xattr.user.overlay.redirect": "/etc",
        "SCHILY.xattr.trusted.overlay.opaque": "y",
        "SCHILY.xattr.security.capability": "\1\0\0\2",
        "SCHILY.acl.access": "user::rwx,user:0:rwx,group::rwx,mask::rwx,other::rwx",
    }
    entries = [entry("d/", None, pax_headers=headers), entry("f", b"x", pax_headers=headers)]
    with Server() as server:
        server.put(make.tar(entries), "tree")
        with server.open("tree") as image:
            for name in ("d", "f"):
                equal(os.listxattr(image.layers[0] / name), ["user.kept"], f"attributes of {name}")


def test_sec_J3_whiteouts():
    lower = make.tar(
        [entry("a", b"1"), entry("gone", b"1"), entry("d/", None), entry("d/x", b"1"), entry("e/", None),
         entry("e/x", b"1"), entry("r/", None), entry("r/x", b"1")]
    )
    upper = make.tar(
        [entry(".wh.gone", b""), entry("d/", None), entry("d/.wh..wh..opq", b""), entry("d/y", b"2"),
         entry("e/.wh.x", b""), entry(".wh..wh.aufs", b""), entry(".wh.r", b""), entry("r/", None), entry("r/z", b"2"),
         entry(".wh.own", b""), entry("own", b"2"), entry("kept", b"2"), entry(".wh.kept", b"")]
    )
    top = make.tar([entry(".wh..wh..opq", b""), entry("only", b"3")])
    with Server() as server:
        server.put(make.oci([lower, upper]), "two")
        server.put(make.oci([lower, upper, top]), "three")
        server.put(make.oci([lower, upper, lower]), "twice")
        with server.open("two") as image:
            node = os.lstat(image.layers[1] / "gone")
            check(stat.S_ISCHR(node.st_mode) and node.st_rdev == 0, "a whiteout is a device 0:0")
            equal(os.getxattr(image.layers[1] / "d", "user.overlay.opaque"), b"y", "opaque directory")
            seen = overlay(image, lambda root: sorted(str(p.relative_to(root)) for p in Path(root).rglob("*")))
            equal(seen, ["a", "d", "d/y", "e", "kept", "own", "r", "r/z"], "the merged tree")
        with server.open("three") as image:
            equal(len(image.layers), 1, "layers above an opaque root")
            equal(sorted(os.listdir(image.layers[0])), ["only"], "the merged tree")
        with server.open("twice") as image:
            equal(len(image.layers), 2, "a layer that comes twice is shown once, where it is uppermost")
            seen = overlay(image, lambda root: sorted(os.listdir(root)))
            equal(seen, ["a", "d", "e", "gone", "kept", "own", "r"], "the merged tree")


def overlay(image, look):
    """What LOOK sees in the overlay of an image's layers, mounted in a user namespace as the sandbox does."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            into_user_namespace()
            libc.unshare(CLONE_NEWNS)
            work = tempfile.mkdtemp(prefix="ferrite-rootfs-overlay-", dir="/dev/shm")
            lower = ":".join(str(layer) for layer in reversed(image.layers))
            os.mkdir(work + "/empty")
            option = f"lowerdir={lower}:{work}/empty,userxattr".encode()
            if libc.mount(b"overlay", work.encode(), b"overlay", 0, option) != 0:
                raise OSError(ctypes.get_errno(), "mount the overlay")
            answer = look(work)
            libc.umount2(work.encode(), 2)
            shutil.rmtree(work)
            os.write(writer, json.dumps(answer).encode())
        except BaseException as why:
            os.write(writer, json.dumps(str(why)).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with open(reader, "rb") as answer:
        text = answer.read()
    os.waitpid(pid, 0)
    return json.loads(text)


def test_sec_J1_evil_layers_are_refused_by_name():
    canary = {p: p.read_bytes() for p in (Path("/etc/passwd"), Path("/etc/hosts")) if p.exists()}
    with Server() as server:
        server.put(make.oci([HELLO_LAYER]), "good")
        before = server.settled()
        for name, archive, text in make.evil_layers():
            for kind, image in (("tree", archive), ("image", make.oci([HELLO_LAYER, archive]))):
                server.refused(image, f"evil/{name}:{kind}", text)
        equal(server.settled(), before, "the store after refused images")
        equal(server.names(), ["good:latest"], "names after refused images")
        for path, content in canary.items():
            equal(path.read_bytes(), content, f"content of {path}")
        check(not (server.folder.parent / "escape").exists(), "a file was made outside")


def test_sec_J2_bombs_end_in_named_errors():
    mebi = b"\0" * (1 << 20)
    many = make.tar([entry(f"d/{i}", b"") for i in range(3000)])
    # Says that it is four terabytes of holes.
    sparse_map = (b"1\n%d\n0\n" % (1 << 42)).ljust(512, b"\0")
    sparse = entry("sparse", sparse_map, pax_headers={
        "GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "sparse",
        "GNU.sparse.realsize": str(1 << 42)})
    with Server(settings={"max_image_bytes": "8MiB", "max_entries": "2000"}) as server:
        server.refused(many, "entries", "more than 2000 entries")
        server.refused(make.tar([sparse]), "sparse", "bytes of files")
        server.refused(make.tar([entry("pax", b"", pax_headers={"comment": "x" * (4 << 20)})]), "pax", "damaged")
        server.refused(gzip.compress(gzip.compress(HELLO_LAYER)), "nested", "compressed more than once")
        server.refused(make.tar([entry("a", mebi * 5), entry("b", mebi * 5)]), "size", "8388608 bytes")
        server.refused(gzip.compress(make.tar([entry("a", mebi * 10)])), "size-gzip", "8388608 bytes")
        server.refused(make.oci([HELLO_LAYER] * 130), "layers", "more than 128")
        server.refused(make.oci([HELLO_LAYER], run={"Env": ["A=1"] * 2000}), "env", "more than 1024")
        server.refused(make.oci([HELLO_LAYER], run={"Labels": {"x": "y" * 200000}}), "label", "larger than 131072")
        equal(server.settled(), [], "the store")
    # Within the limit of bytes, but hardly anything when compressed.
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = packer.compress(entry("zeros", b"", size=400 << 20)[0].tobuf())
    bomb += b"".join(packer.compress(mebi) for _ in range(400)) + packer.flush()
    with Server() as server:
        server.refused(bomb, "ratio", "compression bomb")
        equal(server.settled(), [], "the store")


# --- digests, sizes, documents ------------------------------------------------------------------------------------


def test_sec_J5_damaged_archives():
    good = make.oci([HELLO_LAYER, SECOND_LAYER], compression="gzip")
    layer = gzip.compress(HELLO_LAYER, mtime=0)

    def swap(blobs):
        name = make.sha256(layer)
        blobs[name] = gzip.compress(SECOND_LAYER, mtime=0)

    def flip(blobs):
        blobs[make.sha256(layer)] = layer[:-1] + bytes([layer[-1] ^ 1])

    def lose(blobs):
        del blobs[make.sha256(layer)]

    def size(manifest):
        manifest["layers"][0]["size"] += 1

    def media(manifest):
        manifest["layers"][0]["mediaType"] = "application/vnd.oci.image.layer.v1.tar+zstd"

    def foreign(manifest):
        manifest["layers"][0]["mediaType"] = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"

    def version(manifest):
        manifest["schemaVersion"] = 1

    def algorithm(manifest):
        manifest["layers"][0]["digest"] = "md5:" + "0" * 32

    with Server() as server:
        for name, archive, text in (
            ("empty", b"", "empty"),
            ("text", b"hello world\n" * 100, "no tar archive"),
            ("xz", b"\xfd7zXZ\0" + b"\0" * 600, "xz"),
            ("bzip2", b"BZh9" + b"\0" * 600, "bzip2"),
            ("zip", b"PK\3\4" + b"\0" * 600, "zip"),
            ("cut", good[: len(good) // 2], "cut off"),
            ("cut-gzip", gzip.compress(good)[:-100], "cut off"),
            ("cut-zstd", make.zstd(good)[:-20], "cut off"),
            ("cut-tree", gzip.compress(HELLO_LAYER)[:-30], "cut off"),
            ("swapped", make.oci([HELLO_LAYER], compression="gzip", change_blobs=swap), "digest mismatch"),
            ("flipped", make.oci([HELLO_LAYER], compression="gzip", change_blobs=flip), "digest mismatch"),
            ("lost", make.oci([HELLO_LAYER], compression="gzip", change_blobs=lose), "lacks the file"),
            ("size", make.oci([HELLO_LAYER], compression="gzip", change=size), "size mismatch"),
            ("media", make.oci([HELLO_LAYER], compression="gzip", change=media), "promises zstd"),
            ("foreign", make.oci([HELLO_LAYER], compression="gzip", change=foreign), "no layer"),
            ("version", make.oci([HELLO_LAYER], change=version), "schemaVersion"),
            ("algorithm", make.oci([HELLO_LAYER], change=algorithm), "sha256"),
            ("diff-id", make.oci([HELLO_LAYER], text=make.config([SECOND_LAYER])), "digest mismatch"),
            ("count", make.oci([HELLO_LAYER], text=make.config([])), "names 0 layers"),
            ("json", make.oci([HELLO_LAYER], text=b'{"a":'), "no valid JSON"),
            ("list", make.oci([HELLO_LAYER], text=b"[]"), "no object"),
            ("deep", make.oci([HELLO_LAYER], text=b"[" * 5000), "nested deeper"),
            ("twice", make.oci([HELLO_LAYER], text=b'{"os":"linux","os":"linux"}'), "no valid JSON"),
            ("cmd", make.oci([HELLO_LAYER], run={"Cmd": "sh"}), "Cmd is no list"),
            ("env", make.oci([HELLO_LAYER], run={"Env": ["A"]}), "NAME=VALUE"),
            ("label", make.oci([HELLO_LAYER], run={"Labels": {"a": 1}}), "no string"),
            ("windows", make.oci([HELLO_LAYER], text=make.config([HELLO_LAYER], os="windows")), "windows"),
            ("neither", make.files([("blobs/sha256/x", b"1")]), "neither manifest.json"),
            ("lists", make.files([("manifest.json", b"[]")]), "no list of images"),
            ("unlisted", make.files([("manifest.json", b'[{"Config":"x.json","Layers":[]}]')]), "lacks the file"),
            ("promise", make.docker_old([HELLO_LAYER], ["a:1"]).replace(b'"created_by": "a test"',
                                                                        b'"created_by": "a tesT"'), "digest mismatch"),
        ):
            server.refused(archive, f"bad/{name}", text)
        # An index inside an index inside an index …
        blobs, top = make.oci_blobs([HELLO_LAYER])
        for _ in range(8):
            index = json.dumps({"schemaVersion": 2, "manifests": [top]}).encode()
            blobs[make.sha256(index)] = index
            top = make.descriptor(index, "application/vnd.oci.image.index.v1+json")
        server.refused(make.oci_archive(blobs, [top]), "bad/recursive", "nested in indexes")
        equal(server.settled(), [], "the store")
        server.put(good, "good")


def test_sec_J6_changed_on_disk():
    with Server() as server:
        server.put(make.oci([HELLO_LAYER, SECOND_LAYER]), "x")
        with server.open("x") as image:
            victim = image.layers[0] / "bin/hello"
        server.stop()
        # In the same boot a layer is checked once; a new boot is imitated by another boot id.
        verified = server.state / "verified"
        verified.write_text("another boot\n")
        content = victim.read_bytes()
        times = victim.stat()
        victim.write_bytes(content[:-1] + b"!")
        os.utime(victim, ns=(times.st_atime_ns, times.st_mtime_ns))
        server.start()
        expect_failure(lambda: server.open("x"), "has changed on disk")
        server.put(make.oci([HELLO_LAYER, SECOND_LAYER]), "x")
        with server.open("x") as image:
            equal((image.layers[0] / "bin/hello").read_bytes(), content, "content after another import")
        # A manifest with a flipped bit.
        manifest = server.state / "blobs/sha256" / server.query(INSPECT, "x")["digest"][7:]
        manifest.write_bytes(manifest.read_bytes().replace(b"schemaVersion", b"schemaVersioN"))
        server.stop()
        server.start()
        expect_failure(lambda: server.open("x"), "has changed on disk")
        check("has changed on disk" in server.query(LIST)["images"][0]["error"], "error in the list")
        expect_failure(server.gc, "has changed on disk")
        server.put(make.oci([HELLO_LAYER, SECOND_LAYER]), "x")
        server.open("x").close()


# --- what the store keeps -----------------------------------------------------------------------------------------


def test_removal_and_sweeping():
    with Server() as server:
        server.put(make.oci([HELLO_LAYER]), "one")
        alone = server.settled()
        server.put(make.oci([HELLO_LAYER, SECOND_LAYER]), "two")
        server.put(make.oci([HELLO_LAYER, SECOND_LAYER]), "three")
        equal(server.remove("three")[:2], (0, 0), "what a second name's removal sweeps")
        server.changed.clear()
        blobs, layers, size = server.remove("two")
        equal((blobs, layers), (3, 1), "what the last name's removal sweeps")
        check(size > 0, "bytes")
        equal(server.changed, ["two:latest"], "event")
        equal(server.settled(), alone, "the store")
        server.open("one").close()
        expect_failure(lambda: server.remove("two"), "no image")
        # A name that moves on leaves nothing behind.
        server.put(make.oci([SECOND_LAYER]), "one")
        check("one:latest" in server.changed, "event")
        server.remove("one")
        equal(server.settled(), [], "the store")
        equal(server.names(), [], "names")


def test_layers_in_use_stay():
    with Server() as server:
        server.put(make.oci([HELLO_LAYER]), "one")
        with server.open("one") as image:
            server.remove("one")
            equal((image.layers[0] / "bin/hello").read_bytes(), b"#!/bin/sh\n", "content while in use")
        equal(server.gc()[1], 1, "layers swept after the last user went")
        equal(server.settled(), [], "the store")


def test_restart_keeps_everything():
    with Server() as server:
        digest, _ = server.put(make.oci([HELLO_LAYER]), "one")
        server.put(make.oci([SECOND_LAYER]), "two:3")
        before, listed = server.settled(), server.query(LIST)
        server.kill()
        server.start()
        equal(server.settled(), before, "the store")
        equal(server.query(LIST), listed, "the list")
        with server.open("one") as image:
            equal(image.digest, digest, "digest")


def test_killed_in_the_middle_of_an_import():
    """Cut off at many points of the way: nothing is left, and what was there works."""
    layers = [make.tar([entry(f"f{i}-{j}", os.urandom(20000)) for j in range(20)]) for i in range(3)]
    archive = make.oci(layers, compression="gzip")
    with Server() as server:
        server.put(make.oci([HELLO_LAYER]), "good")
        before = server.settled()
        number, writer, _ = server.begin_import(archive, "cut")
        half = len(archive) // 2
        os.write(writer, archive[:4096])
        wait_for(lambda: list((server.state / "tmp").glob("import-*/*")), "the beginning of the import")
        server.kill()
        os.close(writer)
        server.start()
        equal(server.settled(), before, "the store")
        for delay in range(0, 120, 8):
            number, writer, feed = server.begin_import(archive, "cut")
            thread = threading.Thread(target=feed, args=(archive,), daemon=True)
            thread.start()
            time.sleep(delay / 1000)
            server.kill()
            thread.join()
            server.start()
            if "cut:latest" in server.names():
                server.open("cut").close()
                server.remove("cut")
            equal(server.settled(), before, f"the store, killed after {delay} ms")
            server.open("good").close()
        check(half > 0 and number > 0, "the import began")


def test_the_asker_goes():
    """When the api is gone, its imports end and leave nothing; a fresh channel works."""
    with Server() as server:
        before = server.settled()
        _, writer, _ = server.begin_import(HELLO_LAYER, "cut")
        wait_for(lambda: list((server.state / "tmp").glob("import-*")), "the beginning of the import")
        server.connect()
        equal(server.names(), [], "names")
        equal(server.settled(), before, "the store")
        with contextlib.suppress(BrokenPipeError):
            os.write(writer, HELLO_LAYER)
        os.close(writer)
        server.put(make.oci([HELLO_LAYER]), "one")


def fill_disk(folder):
    """Takes all that is left, to the last block."""
    with open(folder / "filler", "ab", buffering=0) as filler, contextlib.suppress(OSError):
        while filler.write(bytes(4096)) == 4096:
            pass


def test_full_disk():
    folder = Path(tempfile.mkdtemp(prefix="ferrite-rootfs-full-"))
    try:
        with small_disk(folder, 3):
            fill_and_empty(folder)
    finally:
        folder.rmdir()


def fill_and_empty(folder):
    with Server(folder) as server:
        server.put(make.oci([HELLO_LAYER]), "good")
        before = server.settled()
        noise = os.urandom(1 << 20)
        two = make.tar([entry("a", noise), entry("b", noise[::-1])])
        five = make.tar([entry(str(i), noise) for i in range(5)])
        server.refused(make.oci([five]), "five", "No space left")
        # Fits once, as an archive, but not a second time, unpacked.
        server.refused(make.oci([two]), "two", "No space left")
        equal(server.settled(), before, "the store")
        equal(server.names(), ["good:latest"], "names")
        with server.open("good") as image:
            equal((image.layers[0] / "bin/hello").read_bytes(), b"#!/bin/sh\n", "content")
        server.put(make.oci([SECOND_LAYER]), "small")
        # Removing needs no space that is not there, and gives some back.
        server.put(make.oci([make.tar([entry("noise", noise)])]), "large")
        server.quiet()
        fill_disk(folder)
        removed = server.remove("large")
        check(removed[0] > 0 and removed[1] == 1, f"blobs and layers removed: {removed}")
        equal(server.names(), ["good:latest", "small:latest"], "names after a removal on a full disk")
        server.settled()
        fill_disk(folder)
        equal(server.gc()[:2], (0, 0), "nothing to sweep on a full disk")
        server.remove("small")
        (folder / "filler").unlink()
        server.put(make.oci([SECOND_LAYER]), "again")
    with Server(folder) as server:
        equal(server.names(), ["again:latest", "good:latest"], "names after a restart")


def test_many_at_once():
    with Server() as server:
        archives = {f"many/{i}": make.oci([make.tar([entry(str(i), os.urandom(5000))]), HELLO_LAYER])
                    for i in range(20)}
        numbers = []
        for name, archive in archives.items():
            number, _, feed = server.begin_import(archive, name)
            threading.Thread(target=feed, args=(archive,), daemon=True).start()
            numbers.append(number)
        for number in numbers:
            server.answer(number, IMPORTED)
        numbers = [server.ask(OPEN, struct.pack("<I", 0) + name.encode() + b"\0") for name in archives for _ in range(5)]
        for number in numbers:
            Image(server.answer(number, OPENED)).close()
        for name in archives:
            server.remove(name)
        equal(server.settled(), [], "the store")


# --- bases --------------------------------------------------------------------------------------------------------


PROGRAM = r"""
#include <stdio.h>
#include <math.h>
#include <pwd.h>
#include <unistd.h>
int main(int argc, char **argv) {
	struct passwd *p = getpwuid(0);
	printf("%s %.3f %s\n", argc > 1 ? argv[1] : "", sqrt(argc + 1.0), p ? p->pw_name : "?");
	return 7;
}
"""


def compiled(folder, source, name, *options):
    (folder / (name + ".c")).write_text(source)
    subprocess.run(["cc", "-o", folder / name, folder / (name + ".c"), *options], check=True)
    return (folder / name).read_bytes()


def host_image(program, **more):
    layer = make.tar([entry("function/", None), entry("function/program", program, mode=0o755)])
    return make.oci([layer], run={"Labels": {"io.ferrite.base": "host"}, "Cmd": ["/function/program"]}, **more)


def test_host_base_runs_a_dynamic_program():
    with Server(settings={"libexec_dir": str(BUILD / "libexec")}) as server:
        program = compiled(server.folder, PROGRAM, "program", "-lm")
        server.put(host_image(program), "dynamic")

        def look(root):
            done = subprocess.run(
                ["chroot", root, "/function/program", "hello"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT
            )
            return [done.returncode, done.stdout.decode()]

        with server.open("dynamic") as image:
            equal(len(image.layers), 2, "layers")
            for layer in image.layers:
                owner = layer.stat().st_uid
                check(STORE_BASE <= owner < STORE_BASE + 65536, "a layer belongs to the store's ids")
            equal(overlay(image, look), [7, "hello 1.732 root\n"], "the program's answer")
            # The base stays while nothing changes, also over a restart.
            first = image.layers
        server.stop()
        server.start()
        with server.open("dynamic") as image:
            equal(image.layers, first, "layers after a restart")
        layers = [p.name for p in (server.state / "layers").iterdir() if p.is_dir()]
        equal(len([name for name in layers if name.startswith("host-")]), 1, "layers of the host")


def test_host_base_for_several_images_at_once():
    """Whoever makes the base at the same moment: what was handed out stays, also through a sweep in the middle."""
    with Server(settings={"libexec_dir": str(BUILD / "libexec")}) as server:
        program = compiled(server.folder, PROGRAM, "program", "-lm")
        for i in range(4):
            server.put(host_image(program + b"#" * i), f"dynamic:{i}")
        for _ in range(5):
            numbers = [
                server.ask(OPEN, struct.pack("<I", 0) + f"dynamic:{i}".encode() + b"\0") for i in range(4)
            ]
            server.gc()
            images = [Image(server.answer(number, OPENED)) for number in numbers]
            server.gc()
            server.settled()
            for image in images:
                for fd in image.fds:
                    check(os.listdir(fd), f"a layer is empty: {image.layers}")
                    check(os.fstat(fd).st_nlink > 0, f"a layer was deleted: {image.layers}")
                image.close()
            server.stop()
            for layer in (server.state / "layers").glob("host-*"):
                shutil.rmtree(layer) if layer.is_dir() else layer.unlink()
            server.start()


def test_host_base_takes_further_libraries():
    with Server() as server:
        program = compiled(server.folder, '#include <zlib.h>\nint main(void) { return zlibVersion()[0] - 48; }',
                           "program", "-lz")
        server.put(host_image(program), "zlib")
        with server.open("zlib") as image:
            equal(len(image.layers), 3, "base, further libraries, image")
            look = lambda root: subprocess.run(["chroot", root, "/function/program"]).returncode
            equal(overlay(image, look), 1, "exit status")
        # A library that the bundle brings itself is not looked for; one that nobody has is named.
        compiled(server.folder, "int mine(void) { return 3; }", "libmine.so.1", "-shared", "-fPIC",
                 "-Wl,-soname,libmine.so.1")
        program = compiled(server.folder, "int mine(void); int main(void) { return mine(); }", "user",
                           str(server.folder / "libmine.so.1"), "-Wl,-rpath,/function")
        server.refused(host_image(program), "lacking", "libmine.so.1")
        layer = make.tar([entry("function/program", program, mode=0o755),
                          entry("function/libmine.so.1", (server.folder / "libmine.so.1").read_bytes())])
        server.put(make.oci([layer], run={"Labels": {"io.ferrite.base": "host"}}), "own")
        with server.open("own") as image:
            look = lambda root: subprocess.run(["chroot", root, "/function/program"]).returncode
            equal(overlay(image, look), 3, "exit status")
        # The driver's libraries come with the GPU.
        compiled(server.folder, "int cuInit(int x) { return x; }", "libcuda.so.1", "-shared", "-fPIC",
                 "-Wl,-soname,libcuda.so.1")
        program = compiled(server.folder, "int cuInit(int); int main(void) { return cuInit(0); }", "gpu",
                           str(server.folder / "libcuda.so.1"))
        server.put(host_image(program), "gpu")
        with server.open("gpu") as image:
            equal(len(image.layers), 2, "layers")


def test_base_image():
    base_run = {"Env": ["PATH=/base", "B=1"], "Entrypoint": ["/bin/hello"], "Cmd": ["x"], "User": "5",
                "Labels": {"b": "1", "io.ferrite.runtime": "exec"}}
    own = make.oci([SECOND_LAYER], run={"Env": ["PATH=/own"], "Labels": {"io.ferrite.base": "demo/base", "o": "2"}})
    entry_own = make.oci([SECOND_LAYER], run={"Entrypoint": ["/e"], "Labels": {"io.ferrite.base": "demo/base"}})
    with Server() as server:
        server.refused(own, "lonely", 'the base image "demo/base" is not in the store')
        base, _ = server.put(make.oci([HELLO_LAYER], run=base_run, compression="gzip"), "demo/base")
        server.put(own, "derived")
        server.put(entry_own, "entry")
        server.put(make.oci([]), "nothing")
        expect_failure(lambda: server.open("nothing"), "nothing to run")
        server.remove("demo/base")
        with server.open("derived") as image:
            equal(len(image.layers), 2, "layers")
            equal((image.layers[0] / "bin/hello").read_bytes(), b"#!/bin/sh\n", "the base is below")
            got = image.config["config"]
            equal(sorted(got["Env"]), ["B=1", "PATH=/own"], "environment")
            equal((got["Entrypoint"], got["Cmd"], got["User"]), (["/bin/hello"], ["x"], "5"), "what the base says")
            equal(got["Labels"], {"b": "1", "io.ferrite.runtime": "exec", "o": "2",
                                  "org.opencontainers.image.base.name": "demo/base:latest",
                                  "org.opencontainers.image.base.digest": base}, "labels")
        with server.open("entry") as image:
            equal((image.config["config"]["Entrypoint"], image.config["config"].get("Cmd")), (["/e"], None), "entry")


# --- the list, and hostile peers ----------------------------------------------------------------------------------


def test_list_and_inspect():
    run_config = {"Cmd": ["x"], "Labels": {"io.ferrite.runtime": "cuda", "a": "b"}}
    with Server() as server:
        equal(server.query(LIST), {"images": []}, "an empty list")
        digest, size = server.put(make.oci([HELLO_LAYER, SECOND_LAYER], run=run_config,
                                           text=make.config([HELLO_LAYER, SECOND_LAYER], run_config,
                                                            created="2020-01-02T03:04:05Z")), "demo/x:1")
        image = server.query(LIST)["images"][0]
        for key, value in {"name": "demo/x:1", "digest": digest, "size": size, "layers": 2, "runtime": "cuda",
                           "created": "2020-01-02T03:04:05Z"}.items():
            equal(image[key], value, key)
        equal(image["labels"]["a"], "b", "label")
        then = datetime.datetime.fromisoformat(image["imported"].replace("Z", "+00:00")).timestamp()
        check(abs(time.time() - then) < 3600, f"time of the import: {image['imported']}")
        about = server.query(INSPECT, "demo/x:1")
        equal(about["config"]["Cmd"], ["x"], "config")
        equal([layer["diff_id"] for layer in about["layers"]],
              ["sha256:" + make.sha256(HELLO_LAYER), "sha256:" + make.sha256(SECOND_LAYER)], "diff ids")
        expect_failure(lambda: server.query(INSPECT, "nothing"), "no image")
        expect_failure(lambda: server.query(7), "unknown query")


def test_sec_L1_L2_hostile_peers():
    """Who breaks a rule loses its channel and is accused to ferrited; the server and its images stay.

    A channel that merely closes, as when the api is restarted, is no accusation. Neither leaves a descriptor.
    """
    pipe = os.pipe()
    name = b"x\0"
    cases = {
        "unknown type": lambda api: send(api, 0x999),
        "wrong size": lambda api: send(api, OPEN, b""),
        "import without archive": lambda api: send(api, IMPORT, struct.pack("<Q", 0) + name),
        "two archives": lambda api: send(api, IMPORT, struct.pack("<Q", 0) + name, [pipe[0], pipe[0]]),
        "descriptor with a query": lambda api: send(api, QUERY, struct.pack("<I", 0) + name, [pipe[0]]),
        "tail too long": lambda api: send(api, REMOVE, b"x" * 20000 + b"\0"),
        "an answer as request": lambda api: send(api, OPENED, b"\0" * 80),
        "bad magic": lambda api: send(api, 0, raw=b"\0" * 32),
        "short": lambda api: send(api, 0, raw=b"FER1"),
        "length": lambda api: send(api, 0, raw=HEADER.pack(MAGIC, GC, 0, 99, 0, 1, 0)),
    }
    with Server() as server:
        fds = lambda: len(os.listdir(f"/proc/{server.pid}/fd"))
        server.put(make.oci([HELLO_LAYER]), "good")
        server.open("good").close()
        server.quiet()
        before = fds()
        for _ in range(3):
            server.api.close()
            server.connect()
            server.open("good").close()
        equal(fds(), before, "descriptors of the server")
        for case, action in cases.items():
            action(server.api)
            with contextlib.suppress(ConnectionResetError):
                check(receive(server.api) is None, f"{case}: the channel stays open")
            accusation = receive(server.control)
            equal((accusation.type, struct.unpack("<I", accusation.body)), (ACCUSE, (PEER_API,)), f"{case}: accused")
            server.api.close()
            server.connect()
            server.open("good").close()
        server.quiet()
        equal(fds(), before, "descriptors of the server after the accusations")
        # Names that are no packed list get an answer, because a client may have caused them.
        for body in (b"x", b"x\0y\0", b""):
            expect_failure(lambda body=body: server.answer(server.ask(OPEN, struct.pack("<I", 0) + body), OPENED),
                           "no packed list")
        # A descriptor that is no archive.
        with socket.socket() as unconnected:
            number = server.ask(IMPORT, struct.pack("<Q", 0) + b"x\0", [unconnected.fileno()])
            expect_failure(lambda: server.answer(number, IMPORTED), "read the archive")
        folder = os.open("/", os.O_RDONLY)
        number = server.ask(IMPORT, struct.pack("<Q", 0) + b"x\0", [folder])
        expect_failure(lambda: server.answer(number, IMPORTED), "read the archive")
        os.close(folder)
    os.close(pipe[0])
    os.close(pipe[1])


def test_ferrited_out_of_order():
    """A server takes no order of ferrited that does not fit its state: it ends, for nobody else can be wrong there."""
    for kind, body in ((START, b""), (LISTEN, struct.pack("<I", 0)), (HELLO, struct.pack("<II", 1, 1)), (0x999, b"")):
        with Server() as server:
            fds = [server.control.fileno()] if kind == LISTEN else []
            send(server.control, kind, body, fds)
            equal(os.waitstatus_to_exitcode(os.waitpid(server.pid, 0)[1]), 1, f"exit status after {kind:#x}")
            server.pid = None


def test_busy_with_a_slow_import():
    """A client that sends slowly holds up nobody: other requests, and the heartbeat, are answered."""
    with Server() as server:
        server.put(make.oci([HELLO_LAYER]), "good")
        writers = [server.begin_import(HELLO_LAYER, f"slow:{i}") for i in range(8)]
        server.open("good").close()
        send(server.control, PING, number=77)
        equal(receive(server.control).id, 77, "heartbeat")
        equal(server.names(), ["good:latest"], "names")
        for number, writer, feed in writers:
            threading.Thread(target=feed, args=(HELLO_LAYER,), daemon=True).start()
        for number, _, _ in writers:
            server.answer(number, IMPORTED)
        # Draining: nothing new, and the end comes when the rest is done.
        number, writer, feed = server.begin_import(HELLO_LAYER, "last")
        raw = HEADER.pack(MAGIC, DRAIN, 0, 0, 0, 0, time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000 + 30_000_000)
        send(server.control, DRAIN, raw=raw)
        send(server.control, PING, number=78)
        equal(receive(server.control).id, 78, "heartbeat while draining")
        server.refused(HELLO_LAYER, "late", "shutting down")
        feed(HELLO_LAYER)
        server.answer(number, IMPORTED)
        _, status = os.waitpid(server.pid, 0)
        server.pid = None
        equal(status, 0, "exit status after draining")


def test_sec_J7_unpacking_reads_no_file_of_the_image():
    """The unpacking process makes no system call that could load or run anything; only files of the layer are made."""
    if not shutil.which("strace"):
        raise AssertionError("strace is missing: tools/setup installs it")
    with Server() as server:
        trace = server.folder / "trace"
        tracer = subprocess.Popen(
            ["strace", "-f", "-qq", "-o", trace, "-e", "trace=openat2,openat,open,execve,chroot,connect", "-p",
             str(server.pid)], stderr=subprocess.DEVNULL,
        )
        wait_for(lambda: "TracerPid:\t0" not in Path(f"/proc/{server.pid}/status").read_text(), "strace")
        evil = [entry("lib/libnss_files.so.2", b"\x7fELF", mode=0o755), entry("etc/nsswitch.conf", b"passwd: files\n"),
                entry("etc/ld.so.preload", b"/lib/evil.so\n"), entry("usr/lib/locale/C.utf8/LC_CTYPE", b"x"),
                entry("n\u00e4me", b"x")]
        server.put(make.tar(evil), "evil")
        tracer.send_signal(signal.SIGINT)
        tracer.wait()
        lines = [line.split(None, 1) for line in trace.read_text().splitlines()]
        confined = {pid for pid, call in lines if call.startswith("chroot(")}
        check(len(confined) >= 2, "reading and unpacking were confined")
        for pid in confined:
            calls = [call for p, call in lines if p == pid]
            after = calls[[i for i, c in enumerate(calls) if c.startswith("chroot(")][0] + 1:]
            for call in after:
                check(call.startswith(("openat2(", "+++", "---")), f"a confined process made the call {call}")
                check("openat2(" not in call or "RESOLVE_NO_SYMLINKS" in call, f"a call that follows links: {call}")


if __name__ == "__main__":
    sys.exit(run(globals()))
