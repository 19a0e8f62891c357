#!/usr/bin/env python3
"""Every example deployed and called, each form of a request to a CUDA function, and the documented statuses."""

import json
import os
import re
import shutil
import struct
import subprocess
import sys

import harness
from harness import check, equal, wait_for

sys.path.insert(0, str(harness.TOP / "tools"))
import demo_calls  # noqa: E402

EXAMPLES = ("saxpy", "thumbnail", "mandelbrot", "softmax", "nbody", "hello", "handler", "hot-echo", "wordcount")
JSON = {"Content-Type": "application/json"}
BYTES = {"Content-Type": "application/octet-stream"}


def service():
    return harness.shared


def deploy(name):
    """Deploys an example as the build made it."""
    return service().deploy(harness.BUILD / "examples" / name, "demo", "--path", f"/{name}")


def example(folder, name):
    deploy(name)
    connection = service().connection(tcp=True)
    lines = []
    wrong = demo_calls.run_example(connection, "demo", harness.BUILD / "examples" / name, folder, lines.append)
    connection.close()
    equal(wrong, 0, f"wrong answers of {name}:\n" + "\n".join(lines))


def test_saxpy(folder):
    example(folder, "saxpy")


def test_thumbnail(folder):
    example(folder, "thumbnail")


def test_mandelbrot(folder):
    example(folder, "mandelbrot")


def test_softmax(folder):
    example(folder, "softmax")


def test_nbody(folder):
    example(folder, "nbody")


def test_hello(folder):
    example(folder, "hello")


def test_handler(folder):
    example(folder, "handler")


def test_hot_echo(folder):
    example(folder, "hot-echo")
    answers = [service().call("demo", "/hot-echo", b"again") for _ in range(2)]
    equal([a.body for a in answers], [b"again"] * 2, "answers")
    counts = [int(a.headers["X-Calls"]) for a in answers]
    check(counts[0] < counts[1], f"one process answers both: {counts}")
    service().request("DELETE", "/v1/apps/demo/routes/hot-echo")
    wait_for(lambda: service().instances() == [], "its processes end with the route")


def test_wordcount(folder):
    example(folder, "wordcount")
    call = service().call("demo", "/wordcount", b"one two\n").json["call_id"]

    def log():
        answer = service().request("GET", f"/v1/apps/demo/calls/{call}/log")
        return answer.text if answer.status == 200 else None

    equal(wait_for(log, "the call has run"), "1 lines, 2 words, 8 bytes\n", "log of the call")
    done = service().command("test", str(harness.BUILD / "examples" / "wordcount"), "--remote", "demo")
    equal(done.returncode, 1, f"tests of what does not wait ({done.stderr})")
    check("the route is of type async" in done.stdout, done.stdout)


def test_every_example_passes_its_own_tests():
    for name in EXAMPLES:
        done = service().command("test", str(harness.BUILD / "examples" / name))
        equal(done.returncode, 0, f"ferrite test {name}: {done.stdout} {done.stderr}")
        check(re.search(r"^[1-9]\d* passed, 0 failed, 0 skipped$", done.stdout, re.M), f"{name}: {done.stdout}")


def test_no_example_is_forgotten():
    folders = sorted(p.name for p in (harness.TOP / "examples").iterdir() if (p / "func.yaml").exists())
    equal(folders, sorted(EXAMPLES), "examples")


def saxpy(body, headers=None, query=""):
    return service().call("demo", "/saxpy" + query, body, headers)


def test_a_shorthand_object():
    deploy("saxpy")
    answer = saxpy('{"a": 2, "x": [1, 2, 3], "y": [10, 20, 30]}', JSON)
    equal(answer.status, 200, answer.text)
    equal(answer.json, {"y": [12, 24, 36]}, "answer")
    check(answer.headers["Ferrite-Call-Id"], "call id")
    found = answer.timing()
    check({"start", "gpu", "run"} <= found.keys(), f"time split: {found}")
    check(found["kind"] in ("cold", "warm"), f"kind of start: {found}")


def test_the_inference_protocol():
    tensors = [
        {"name": "a", "shape": [], "datatype": "FP32", "data": [2]},
        {"name": "x", "shape": [3], "datatype": "FP32", "data": [1, 2, 3]},
        {"name": "y", "shape": [3], "datatype": "FP32", "data": [10, 20, 30]},
    ]
    answer = saxpy(json.dumps({"id": "seven", "inputs": tensors, "outputs": [{"name": "y"}]}), JSON)
    equal(answer.status, 200, answer.text)
    equal(answer.json["id"], "seven", "id")
    equal(answer.json["outputs"], [{"name": "y", "shape": [3], "datatype": "FP32", "data": [12, 24, 36]}], "outputs")
    check(answer.json["model_name"] and answer.json["model_version"], "name of the model")


def test_the_binary_extension():
    def tensor(name, shape, data):
        return {"name": name, "shape": shape, "datatype": "FP32", "parameters": {"binary_data_size": len(data)}}

    a, x, y = struct.pack("<f", 2), struct.pack("<3f", 1, 2, 3), struct.pack("<3f", 10, 20, 30)
    head = json.dumps({
        "inputs": [tensor("a", [1], a), tensor("x", [3], x), tensor("y", [3], y)],
        "outputs": [{"name": "y", "parameters": {"binary_data": True}}],
    }).encode()
    for content_type in ("application/json", "application/octet-stream"):
        headers = {"Content-Type": content_type, "Inference-Header-Content-Length": str(len(head))}
        answer = saxpy(head + a + x + y, headers)
        equal(answer.status, 200, answer.text)
        length = int(answer.headers["Inference-Header-Content-Length"])
        output = json.loads(answer.body[:length])["outputs"][0]
        equal(output["parameters"]["binary_data_size"], 12, "size of the output")
        equal(struct.unpack("<3f", answer.body[length:]), (12, 24, 36), "output")


# One tensor without default, a scalar, and a free dimension.
RAW_YAML = """name: test/scale
version: 1.0.0
runtime: cuda
gpu: { memory: 64MiB }
cuda:
  module: NAME.ptx
  inputs:
    - { name: factor, datatype: FP32, shape: [] }
    - { name: x, datatype: FP32, shape: [n] }
  outputs:
    - { name: x, datatype: FP32, shape: [n] }
  launch:
    - { kernel: scale, grid: ["ceildiv(n, 256)", 1, 1], block: [256, 1, 1],
        args: [{ value: n, datatype: UINT32 }, factor, x] }
"""


def test_raw_bytes(folder):
    shutil.copy(harness.TOP / "tools" / "ferrite" / "skeletons" / "kernel" / "NAME.ptx", folder)
    (folder / "func.yaml").write_text(RAW_YAML)
    service().deploy(folder, "demo", "--path", "/scale")
    body = struct.pack("<3f", 1, 2, 3)
    answer = service().call("demo", "/scale?factor=3", body, BYTES)
    equal(answer.status, 200, answer.text)
    equal(answer.json, {"x": [3, 6, 9]}, "answer in JSON")
    answer = service().call("demo", "/scale?factor=3&n=3", body, {**BYTES, "Accept": "application/octet-stream"})
    equal(answer.headers["Content-Type"], "application/octet-stream", "content type")
    equal(struct.unpack("<3f", answer.body), (3, 6, 9), "answer in bytes")
    for query, wrong, text in (
        ("?factor=3&n=4", body, "x"), ("", body, "factor"), ("?factor=x", body, "factor"),
        ("?factor=3", body[:-1], "x"), ("?factor=3&m=1", body, "m"),
    ):
        answer = service().call("demo", "/scale" + query, wrong, BYTES)
        equal(answer.status, 400, f"{query}: {answer.text}")
        check(text in answer.message, f"{query}: {answer.message}")


def test_wrong_input_names_the_tensor_and_both_values():
    answer = saxpy('{"a": 2, "x": [1, 2, 3], "y": [10, 20]}', JSON)
    equal(answer.status, 400, answer.text)
    for text in ("y", "2", "3"):
        check(text in answer.message, answer.message)


def test_special_numbers():
    answer = saxpy('{"a": 1, "x": ["NaN", "Infinity", 0.1], "y": [0, 0, 0]}', JSON)
    equal(answer.status, 200, answer.text)
    equal(answer.json["y"][:2], ["NaN", "Infinity"], "not a number and infinity")
    equal(struct.pack("<f", answer.json["y"][2]), struct.pack("<f", 0.1), "reads back to the same number")


def test_empty_tensors():
    answer = saxpy('{"a": 1, "x": [], "y": []}', JSON)
    equal((answer.status, answer.json), (200, {"y": []}), "empty tensors")


def test_over_tcp_and_over_the_socket_alike():
    body = '{"a": 2, "x": [1], "y": [1]}'
    answers = [service().call("demo", "/saxpy", body, JSON, tcp=tcp) for tcp in (False, True)]
    equal(answers[0].body, answers[1].body, "bodies")


def test_images_are_not_taken_over_tcp_without_tokens():
    answer = service().request("POST", "/v1/images?name=x:1", b"x", tcp=True)
    check(answer.status in (401, 403), f"status {answer.status}")
    answer = service().request("DELETE", "/v1/images/demo/saxpy", tcp=True)
    check(answer.status in (401, 403), f"status {answer.status}")


def test_status_pages():
    for path in ("/healthz", "/readyz", "/version", "/stats", "/"):
        equal(service().request("GET", path).status, 200, path)
    equal(service().request("GET", "/no").status, 404, "an unknown page")
    gpus = service().request("GET", "/v1/gpus").json["gpus"]
    equal(len(gpus), 1, f"devices: {gpus}")
    check("software" in json.dumps(gpus).lower(), f"the software device says what it is: {gpus}")
    wait_for(lambda: service().instances() == [], "no instance is left")


def test_installed_elsewhere_it_works_from_there(folder):
    """make install into a prefix; a service from there runs a CUDA function with nothing of the build tree in sight."""
    prefix = folder / "prefix"
    make = ["make", "-s", "-C", str(harness.TOP), f"BUILD={harness.BUILD}", f"prefix={prefix}"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    subprocess.run([*make, "install-built"], check=True, env=environment, stdout=subprocess.DEVNULL)
    for path in ("bin/ferrite", "sbin/ferrited", "libexec/ferrite/ferrite-api", "include/cudaexec.h"):
        check((prefix / path).exists(), f"{path} is not installed")
    with harness.Service(build=prefix) as installed:
        for name, pid in installed.servers().items():
            check(os.path.samefile(f"/proc/{pid}/exe", prefix / "libexec" / "ferrite" / name), f"{name} runs from there")
        installed.deploy(harness.TOP / "examples" / "saxpy")
        answer = installed.call("demo", "/saxpy", '{"a": 2, "x": [1], "y": [1]}', JSON)
        equal((answer.status, answer.body), (200, b'{"y":[3]}\n'), "answer")
    subprocess.run([*make, "uninstall"], check=True, env=environment)
    left = [str(p) for p in prefix.rglob("*") if not p.is_dir()]
    equal(left, [], "files after uninstall")


if __name__ == "__main__":
    harness.run(globals(), harness.Service())
