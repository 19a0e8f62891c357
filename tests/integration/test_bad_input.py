#!/usr/bin/env python3
"""Whatever comes from outside: each mistake gets an error that names its cause, changes nothing, and leaks nothing.

time limit: 400 s
"""

import contextlib
import gzip
import io
import os
import signal
import socket
import struct
import subprocess
import tarfile
import time

import harness
from harness import check, equal, shell_image, tar_bytes, wait_for

SETTINGS = {
    "FERRITE_MAX_BODY_BYTES": "1MiB", "FERRITE_MAX_OUTPUT_BYTES": "1MiB", "FERRITE_MAX_IMAGE_BYTES": "64MiB",
    "FERRITE_MAX_ENTRIES": "2000",
}

KERNEL_YAML = """name: bad/{name}
version: 1.0.0
runtime: cuda
gpu: {{ memory: 64MiB }}
cuda:
  module: k.ptx
  inputs:
    - {{ name: n_loops, datatype: UINT32, shape: [] }}
    - {{ name: x, datatype: FP32, shape: [n] }}
  outputs:
    - {{ name: y, datatype: FP32, shape: ["{shape}"] }}
  launch:
    - {{ kernel: k, grid: [1, 1, 1], block: [1, 1, 1], args: [n_loops, x, y] }}
"""

# k(n_loops, x, y): what it does with them is BODY.
KERNEL_PTX = """.version 6.4
.target sm_75
.address_size 64
.visible .entry k(.param .u32 p0, .param .u64 p1, .param .u64 p2)
{{
	.reg .pred %p<2>;
	.reg .b32 %r<4>;
	.reg .b64 %rd<4>;
	ld.param.u32 %r1, [p0];
	ld.param.u64 %rd1, [p1];
	ld.param.u64 %rd2, [p2];
	cvta.to.global.u64 %rd2, %rd2;
{body}
	ret;
}}
"""


def service():
    return harness.shared


def images():
    return sorted(i["name"] for i in service().request("GET", "/v1/images").json["images"])


def temporary_files():
    """Everything in the state directory but the store's journal."""
    found = []
    for folder, names, files in os.walk(service().state_dir):
        found += [os.path.join(folder, name) for name in names + files]
    return sorted(name for name in found if not name.endswith(("-wal", "-shm", "-journal")))


def still_well():
    """A right call is answered rightly."""
    if "well:1" not in images():
        service().import_image("well:1", shell_image("cat", "well:1"))
        service().create_route("well", "/echo", "well:1", memory=32)
    equal(service().call("well", "/echo", b"well").body, b"well", "a right call afterwards")


def error(answer, statuses, *texts):
    check(answer.status in statuses, f"status {answer.status}, wanted one of {statuses}: {answer.text[:300]}")
    message = answer.message
    check(not message.startswith("[no error message"), message)
    for text in texts:
        check(text.lower() in message.lower(), f"no {text!r} in {message!r}")


def status_line(received):
    return received.split(b"\r\n", 1)[0].decode("latin-1")


# --- HTTP and JSON ------------------------------------------------------------------------------------------------


def test_sec_L3_malformed_http():
    for sent in (
        b"\x00\x01\x02\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
        b"POST /r/a/b HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /r/a/b HTTP/1.1\r\nHost: x\r\nContent-Length: 1e3\r\n\r\n",
        b"POST /r/a/b HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999999\r\n\r\n",
        b"POST /r/a/b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n",
        b"POST /r/a/b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff1\r\n",
        b"GET " + b"/x" * 100000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X-A: " + b"y" * 200000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X: y\r\n" * 20000 + b"\r\n",
        b"POST /v1/apps HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{",
    ):
        received = service().raw(sent)
        line = status_line(received)
        check(not received or line.split(" ")[1][0] in "45", f"{sent[:60]!r} was answered with {line!r}")
    still_well()


def test_connections_that_send_nothing_or_slowly_hold_nobody_up():
    idle = [socket.create_connection(("127.0.0.1", service().port)) for _ in range(50)]
    for s in idle[::2]:
        s.sendall(b"POST /r/well/echo HTTP/1.1\r\nHost: x\r\nContent-Le")
    still_well()
    for s in idle:
        s.close()


def test_oversized_body():
    still_well()
    big = b"x" * (2 * 1024 * 1024)
    error(service().call("well", "/echo", big), (413,))
    error(service().request("POST", "/v1/apps", big), (400, 413))
    parts = iter([b"x" * 65536] * 32)
    connection = service().connection()
    with contextlib.suppress(ConnectionError):
        connection.request("POST", "/r/well/echo", parts, {"Transfer-Encoding": "chunked"}, encode_chunked=True)
    error(harness.Answer(connection.getresponse()), (413,))
    connection.close()
    still_well()


def test_json_of_the_wrong_type():
    before = service().request("GET", "/v1/apps").json["apps"]
    for body in (
        "", "{", "[]", "3", '"x"', '{"app":[]}', '{"app":{"name":5}}', '{"app":{"name":"a","config":{"k":1}}}',
        '{"app":{"name":"a","config":[]}}', "{\"app\":{\"name\":\"\xff\"}}", "[" * 100000,
    ):
        answer = service().request("POST", "/v1/apps", body.encode("latin-1"))
        error(answer, (400,))
    for route in (
        {"path": "/x", "image": 5}, {"path": "/x", "image": "i", "memory": -1},
        {"path": "/x", "image": "i", "memory": 1.5},
        {"path": "/x", "image": "i", "timeout": 99999999999}, {"path": "/x", "image": "i", "headers": {"A": "b"}},
        {"path": "/x", "image": "i", "type": "often"}, {"path": "/x", "image": "i", "format": "xml"},
        {"path": "no-slash", "image": "i"}, {"image": "i"}, {"path": "/x"}, {"path": "/:dynamic", "image": "i"},
        {"path": "/x", "image": "i", "timeout": -1}, {"path": "/x", "image": "i", "config": {"k": 1}},
    ):
        error(service().request("POST", "/v1/apps/bad/routes", {"route": route}), (400,))
    equal(service().request("GET", "/v1/apps").json["apps"], before, "apps after refused requests")


def test_unknown_app_route_and_image():
    error(service().call("nobody", "/x"), (404,), "App not found")
    still_well()
    error(service().call("well", "/nowhere"), (404,), "Route not found")
    service().create_route("bad", "/no-image", "does/not-exist:1")
    error(service().call("bad", "/no-image"), (404, 500, 502, 503), "does/not-exist:1")
    error(service().request("GET", "/v1/images/does/not-exist:1"), (404,), "does/not-exist:1")
    error(service().request("DELETE", "/v1/images/does/not-exist:1"), (404,), "does/not-exist:1")


# --- function files -----------------------------------------------------------------------------------------------


def write_kernel(folder, body="", shape="n", yaml=None, name="k"):
    (folder / "func.yaml").write_text(yaml or KERNEL_YAML.format(name=name, shape=shape))
    (folder / "k.ptx").write_text(KERNEL_PTX.format(body=body))


def test_function_file_mistakes_name_the_place(folder):
    good = KERNEL_YAML.format(name="m", shape="n")
    for old, new, texts in (
        ("version: 1.0.0", "versoin: 1.0.0", ("func.yaml:2", "versoin", "version")),
        ("datatype: FP32, shape: [n]", "datatype: FP99, shape: [n]", ("func.yaml:9", "FP99")),
        ('shape: ["n"]', 'shape: ["m"]', ("func.yaml:11", "m")),
        ("args: [n_loops, x, y]", "args: [n_loops, x]", ("func.yaml:13", "k")),
        ("args: [n_loops, x, y]", "args: [x, n_loops, y]", ("func.yaml:13", "k")),
        ("kernel: k,", "kernel: nope,", ("func.yaml:13", "nope")),
        ("module: k.ptx", "module: missing.ptx", ("missing.ptx",)),
        ("memory: 64MiB", "memory: 64MB", ("func.yaml:4", "64MB")),
        ("runtime: cuda", "runtime: rocm", ("func.yaml:3", "rocm")),
        ("name: bad/m", "name: [unclosed", ("func.yaml",)),
    ):
        check(old in good, f"the test replaces {old!r}")
        write_kernel(folder, yaml=good.replace(old, new))
        done = service().command("deploy", str(folder), "--app", "bad")
        equal(done.returncode, 2, f"status with {new!r} ({done.stderr.strip()})")
        for text in texts:
            check(text in done.stderr, f"{new!r}: no {text!r} in {done.stderr!r}")


def test_executables_that_cannot_run(folder):
    busybox = harness.busybox()
    foreign = bytearray(busybox)
    struct.pack_into("<H", foreign, 18, 183)  # e_machine: aarch64
    for name, files, entry, texts in (
        ("missing", {"bin": None}, "/bin/none", ("/bin/none",)),
        ("mode", {"bin": None, "bin/x": (busybox, 0o644)}, "/bin/x", ("/bin/x",)),
        ("foreign", {"bin": None, "bin/x": bytes(foreign)}, "/bin/x", ("/bin/x",)),
        ("text", {"bin": None, "bin/x": b"no program"}, "/bin/x", ("/bin/x",)),
        ("folder", {"bin": None}, "/bin", ("/bin",)),
    ):
        image = f"bad/{name}:1"
        service().import_image(image, harness.oci_archive([tar_bytes(files)], {"Entrypoint": [entry]}, image))
        service().create_route("bad", f"/exec-{name}", image, memory=32)
        error(service().call("bad", f"/exec-{name}", b"x"), (500, 502), *texts)
    (folder / "func.yaml").write_text("name: bad/none\nentrypoint: [/function/none]\nbase: scratch\n")
    done = service().command("deploy", str(folder), "--app", "bad")
    equal(done.returncode, 2, f"status of a bundle without its executable ({done.stderr})")
    check("none" in done.stderr, done.stderr)
    still_well()


# --- archives -----------------------------------------------------------------------------------------------------


def refused(archive, *texts):
    """An import that is refused changes neither the list of images nor the files of the store."""
    still_well()
    before_images, before_files = images(), temporary_files()
    answer = service().request("POST", "/v1/images?name=bad/archive:1", archive, timeout=120)
    error(answer, (400, 413, 422), *texts)
    equal(images(), before_images, "images after a refused import")
    wait_for(lambda: temporary_files() == before_files, "the files of the store are as before", 10)


def layer_image(layer):
    return harness.oci_archive([layer], {"Entrypoint": ["/bin/sh"]}, "bad/archive:1")


def link(path, kind, target):
    info = tarfile.TarInfo(path)
    info.type, info.linkname = kind, target
    return info


def test_truncated_and_corrupt_archives():
    good = shell_image("cat", "bad/archive:1")
    for size in (0, 1, 511, 600, len(good) // 2, len(good) * 9 // 10):
        refused(good[:size])
    refused(b"this is no archive at all" * 100)
    refused(gzip.compress(good)[:-20])
    middle = len(good) // 2
    refused(good[:middle] + bytes([good[middle] ^ 1]) + good[middle + 1:])


def test_sec_J1_archives_that_leave_their_root():
    victim = "/tmp/ferrite-escaped"
    for name, files in (
        ("dots", {"../../../../../../../../tmp/ferrite-escaped": b"x"}),
        ("link", {"out": {"link": "/tmp"}, "out/ferrite-escaped": b"x"}),
        ("links", {"a": {"link": "../../../../../../../.."}, "a/tmp/ferrite-escaped": b"x"}),
        ("hard link", {"h": link("h", tarfile.LNKTYPE, "../../../../../../../../etc/shadow")}),
        ("absolute", {"/tmp/ferrite-escaped": b"x"}),
    ):
        service().request("POST", "/v1/images?name=bad/escape:1", layer_image(tar_bytes({**files, "bin": None})))
        check(not os.path.lexists(victim), f"{name}: an archive wrote to {victim}")
    still_well()


def test_sec_J2_archive_bombs():
    class Zeros(io.RawIOBase):
        def readable(self):
            return True

        def readinto(self, buffer):
            buffer[:] = bytes(len(buffer))
            return len(buffer)

    bomb = io.BytesIO()
    with tarfile.open(fileobj=bomb, mode="w:gz", compresslevel=1) as tar:
        info = tarfile.TarInfo("zeros")
        info.size = 300 * 1024 * 1024
        tar.addfile(info, io.BufferedReader(Zeros(), 1 << 20))
    refused(layer_image(bomb.getvalue()), "64")
    refused(bomb.getvalue(), "64")
    refused(layer_image(tar_bytes({f"file{i}": b"" for i in range(3000)}, "gzip")), "2000")


# --- kernels ------------------------------------------------------------------------------------------------------


def deploy_kernel(folder, name, body, shape="n", **route):
    write_kernel(folder, body, shape, name=name)
    service().deploy(folder, "bad", "--path", f"/{name}")
    if route:
        answer = service().request("PATCH", f"/v1/apps/bad/routes/{name}", {"route": route})
        equal(answer.status, 200, f"route of {name}")


def call_kernel(name, n_loops=0, x=(1.0, 2.0)):
    body = f'{{"n_loops": {n_loops}, "x": {list(x)}}}'
    return service().call("bad", f"/{name}", body, {"Content-Type": "application/json"})


def test_ptx_with_a_syntax_error(folder):
    write_kernel(folder, "\tadd.s32 %r2 %r1, 1;", name="syntax")
    done = service().command("deploy", str(folder), "--app", "bad", "--path", "/syntax")
    if done.returncode == 0:
        error(call_kernel("syntax"), (500,), "line 13")
    else:
        equal(done.returncode, 2, done.stderr)
        check("13" in done.stderr, done.stderr)
    still_well()


def test_kernel_faults_name_the_cuda_error_and_the_next_call_works(folder):
    deploy_kernel(folder, "outside", """
	setp.eq.u32 %p1, %r1, 0;
	@%p1 bra FINE;
	mov.u64 %rd3, 1099511627776;
	add.s64 %rd2, %rd2, %rd3;
FINE:
	st.global.u32 [%rd2], %r1;
""")
    error(call_kernel("outside", 1), (500,), "CUDA_ERROR_ILLEGAL_ADDRESS")
    equal(call_kernel("outside", 0).status, 200, "the call after the fault")


def test_kernel_that_loops_for_ever(folder):
    deploy_kernel(folder, "loop", """
LOOP:
	setp.ne.u32 %p1, %r1, 0;
	@%p1 bra LOOP;
	st.global.u32 [%rd2], %r1;
""", timeout=2)
    error(call_kernel("loop", 1), (500, 504))
    equal(call_kernel("loop", 0).status, 200, "the call after the endless one")
    wait_for(lambda: service().instances() == [], "its instance is gone")


def test_kernel_that_asks_for_too_much_memory(folder):
    deploy_kernel(folder, "memory", "", "n * 1000000000")
    error(call_kernel("memory"), (503, 507))
    still_well()


def test_wrong_tensors(folder):
    deploy_kernel(folder, "tensors", "")
    for body, texts in (
        ('{"n_loops": 1}', ("x",)), ('{"n_loops": [1, 2], "x": [1]}', ("n_loops",)),
        ('{"n_loops": 1, "x": ["a"]}', ("x",)),
        ('{"n_loops": -1, "x": [1]}', ("n_loops", "-1")), ('{"n_loops": 1, "x": [1], "z": 2}', ("z",)),
        ('{"n_loops": 1, "x": [[1, 2], [3]]}', ("x",)), ("{", ()), ("[]", ()), ('{"inputs": 5}', ("inputs",)),
        ('{"inputs": [{"name": "x", "datatype": "FP32", "shape": [3], "data": [1, 2]}]}', ("x",)),
        ('{"inputs": [{"name": "x", "datatype": "FP64", "shape": [1], "data": [1]}]}', ("x", "FP64")),
        ('{"inputs": [{"name": "x", "datatype": "FP32", "shape": [-1], "data": [1]}]}', ("x",)),
        ('{"inputs": [{"name": "x", "datatype": "FP32", "shape": [4611686018427387904, 4], "data": [1]}]}', ("x",)),
    ):
        answer = service().call("bad", "/tensors", body, {"Content-Type": "application/json"})
        error(answer, (400,), *texts)
    equal(call_kernel("tensors").status, 200, "a right call afterwards")


# --- functions that misbehave -------------------------------------------------------------------------------------


def misbehave(name, script, **route):
    image = f"bad/{name}:1"
    service().import_image(image, shell_image(script, image))
    service().create_route("bad", f"/{name}", image, **{"memory": 32, "timeout": 3, **route})


def gone():
    wait_for(lambda: service().instances() == [], f"instances are gone ({service().instances()})")
    still_well()


def test_function_that_forks_without_end():
    misbehave("fork", 'f() { f & f & }; f; while :; do f; done')
    # The shell gives up when it gets no more tasks (2), or is ended for their memory, or for the time it takes.
    answer = service().call("bad", "/fork", b"")
    error(answer, (500, 504))
    check(answer.message in ("exit code 2", "out of memory error", "Timed out"), answer.message)
    gone()


def test_function_that_fills_its_disk():
    # What it writes is in its memory, which is less than its disk here.
    misbehave("disk", "dd if=/dev/zero of=/tmp/x bs=1M count=4096 2>/dev/null && echo filled")
    error(service().call("bad", "/disk", b""), (500,), "out of memory")
    gone()
    # Here it is more: the program hears that the disk is full, and says so as it likes.
    misbehave("full", "dd if=/dev/zero of=/tmp/x bs=1M count=4096 2>&1; exit 7", memory=1024, timeout=30)
    error(service().call("bad", "/full", b""), (500,), "exit code 7")
    misbehave("said", "dd if=/dev/zero of=/tmp/x bs=1M count=4096 2>&1 | grep -o 'No space left'", memory=1024, timeout=30)
    equal(service().call("bad", "/said", b"").body, b"No space left\n", "what the program heard")
    gone()


def test_sec_L4_function_that_floods_its_outputs():
    misbehave("stdout", "yes")
    error(service().call("bad", "/stdout", b""), (502,), "output is larger than 1048576 bytes")
    gone()
    # The log is carried as fast as it may; only the time ends it.
    misbehave("stderr", "yes >&2")
    error(service().call("bad", "/stderr", b""), (504,), "Timed out")
    gone()


def test_function_that_ignores_sigterm():
    misbehave("term", 'trap "" TERM HUP INT; while :; do sleep 1; done', timeout=1)
    error(service().call("bad", "/term", b""), (504,), "Timed out")
    gone()


def test_every_exit_code_and_signal():
    misbehave("exit", 'read code; exit "$code"', timeout=10)
    for code in range(256):
        answer = service().call("bad", "/exit", f"{code}\n".encode())
        if code == 0:
            equal(answer.status, 200, answer.text)
        else:
            # 137 is what the original reports when memory runs out.
            error(answer, (500,), "out of memory" if code == 137 else f"exit code {code}")
    misbehave("signal", 'read n; kill -"$n" $$; exit 1', timeout=10)
    ignored = (signal.SIGCHLD, signal.SIGCONT, signal.SIGURG, signal.SIGWINCH, signal.SIGQUIT)  # the last: by a shell
    stopping = (signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU)
    for number in sorted(set(range(1, 65)) - {32, 33, *stopping}):  # 32 and 33 are the C library's
        answer = service().call("bad", "/signal", f"{number}\n".encode())
        code = 1 if number in ignored else 128 + number
        error(answer, (500,), "out of memory" if code == 137 else f"exit code {code}")
    gone()


def test_function_that_needs_more_memory_than_it_has():
    misbehave("oom", "x=$(yes | head -c 100000000); echo survived", timeout=int(3 * harness.SLOWNESS))
    error(service().call("bad", "/oom", b""), (500,), "out of memory")
    gone()


# --- the host -----------------------------------------------------------------------------------------------------


def refuses_to_start(*texts, arguments=(), state=None):
    other = harness.Service()
    try:
        command = [str(other.sbin), *other.arguments, *arguments]
        if state:
            command += ["--state-dir", str(state.state_dir), "--run-dir", str(state.run_dir)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=harness.START_S)
    finally:
        other.process = None
        other.clean()
    check(done.returncode != 0, "it started")
    for text in texts:
        check(text in done.stderr, f"no {text!r} in {done.stderr!r}")


def test_port_in_use():
    refuses_to_start(str(service().port), arguments=["--listen", f"127.0.0.1:{service().port}"])
    still_well()


def test_starting_twice():
    refuses_to_start(str(service().run_dir), state=service())
    still_well()


def test_wrong_settings():
    for arguments, text in (
        (["--listen", "nonsense"], "nonsense"), (["--gpu", "maybe"], "maybe"), (["--bogus"], "bogus"),
        (["--config", "/nonexistent/file"], "/nonexistent/file"),
    ):
        refuses_to_start(text, arguments=arguments)


def test_a_full_disk(folder):
    with harness.small_disk(folder, 24), harness.Service(keep=folder) as full:
        full.import_image("small:1", shell_image("cat", "small:1"))
        full.create_route("full", "/echo", "small:1", memory=32)
        layer = tar_bytes({"big": os.urandom(30 * 1024 * 1024)})
        big = harness.oci_archive([layer], {"Entrypoint": ["/x"]}, "big:1")
        answer = full.request("POST", "/v1/images?name=big:1", big, timeout=120)
        check(answer.status in (413, 500, 507), f"status {answer.status}: {answer.text[:300]}")
        check("space" in answer.message.lower(), answer.message)
        equal(full.call("full", "/echo", b"still").body, b"still", "a call on a full disk")
        equal([i["name"] for i in full.request("GET", "/v1/images").json["images"]], ["small:1"], "images")
        # With not one block left calls work, and the way out is open: images can be removed.
        full.import_image("large:1", shell_image("cat", "large:1"))
        with open(folder / "filler", "ab", buffering=0) as filler, contextlib.suppress(OSError):
            while filler.write(bytes(4096)) == 4096:
                pass
        equal(full.call("full", "/echo", b"still").body, b"still", "a call when nothing is left")
        done = full.command("images", "rm", "large:1")
        equal(done.returncode, 0, f"removal on a full disk: {done.stderr}")
        equal([i["name"] for i in full.request("GET", "/v1/images").json["images"]], ["small:1"], "images")
        (folder / "filler").unlink()


if __name__ == "__main__":
    harness.run(globals(), harness.Service(environment=SETTINGS))
