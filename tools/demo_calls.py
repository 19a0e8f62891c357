#!/usr/bin/env python3
"""Calls an example as its calls.json says and compares the answers; tools/demo and the tests use it.

usage: tools/demo_calls.py --port PORT --app APP --pictures DIR EXAMPLE...

calls.json is a list of calls. Each has a "title" and, as far as it needs them, "query", "headers", a body ("json": any
value, "text": a string, "file": a file of the example), and what makes the answer right: "expected_json" (numbers
within "tolerance", default 1e-5 relative), "expected_text", "expected_status" (default 200), or "check": a Python script of the example that gets the
file with the body and the file with the answer and prints one line about what it saw, with exit status 0 when the
answer is right. "picture" is the file name under which an answer that is a picture is kept.
"""

import argparse
import http.client
import json
import math
import subprocess
import sys
import tempfile
from pathlib import Path

SHOWN = 96


def shorten(data):
    """The beginning of a body, for people."""
    try:
        text = " ".join(data.decode().split())
        if text.isprintable():
            return text if len(text) <= SHOWN else text[: SHOWN - 4] + " ..."
    except UnicodeDecodeError:
        pass
    return f"[{len(data)} bytes]"


def body_of(call, folder):
    if "json" in call:
        return json.dumps(call["json"]).encode(), "application/json"
    if "text" in call:
        return call["text"].encode(), "text/plain"
    if "file" in call:
        content_type = "application/json" if call["file"].endswith(".json") else "application/octet-stream"
        return (folder / call["file"]).read_bytes(), content_type
    return b"", "text/plain"


def same(got, wanted, tolerance):
    """Equal, but for rounding in numbers."""
    if isinstance(wanted, dict):
        if not isinstance(got, dict) or got.keys() != wanted.keys():
            return False
        return all(same(got[key], wanted[key], tolerance) for key in wanted)
    if isinstance(wanted, list):
        if not isinstance(got, list) or len(got) != len(wanted):
            return False
        return all(same(a, b, tolerance) for a, b in zip(got, wanted))
    if isinstance(wanted, float) or isinstance(got, float):
        numbers = isinstance(got, (int, float)) and isinstance(wanted, (int, float))
        return numbers and math.isclose(got, wanted, rel_tol=tolerance, abs_tol=tolerance)
    return got == wanted


def judge(call, folder, body, answer):
    """Returns (right, remark)."""
    if "expected_json" in call:
        try:
            got = json.loads(answer)
        except ValueError:
            return False, "the answer is not JSON"
        return same(got, call["expected_json"], call.get("tolerance", 1e-5)), ""
    if "expected_text" in call:
        return answer.decode("utf-8", "replace") == call["expected_text"], ""
    if "check" not in call:
        return True, ""
    with tempfile.NamedTemporaryFile() as request, tempfile.NamedTemporaryFile() as reply:
        Path(request.name).write_bytes(body)
        Path(reply.name).write_bytes(answer)
        done = subprocess.run(
            [sys.executable, str(folder / call["check"]), request.name, reply.name],
            capture_output=True, text=True, timeout=120, check=False,
        )
    return done.returncode == 0, (done.stdout + done.stderr).strip()


def timing(header):
    """Server-Timing for people."""
    parts = []
    for entry in filter(None, header.split(",")):
        name, *parameters = [part.strip() for part in entry.split(";")]
        values = dict(parameter.partition("=")[::2] for parameter in parameters)
        if "dur" in values:
            kind = f" ({values['desc']})" if "desc" in values else ""
            parts.append(f"{name} {float(values['dur']):.2f} ms{kind}")
    return ", ".join(parts)


def make_call(connection, app, path, call, folder):
    """Returns (status, headers, body sent, answer)."""
    body, content_type = body_of(call, folder)
    headers = {"Content-Type": content_type, "Ferrite-Timing": "1", **call.get("headers", {})}
    connection.request("POST" if body else "GET", f"/r/{app}{path}{call.get('query', '')}", body, headers)
    response = connection.getresponse()
    return response.status, response.headers, body, response.read()


def run_example(connection, app, folder, pictures=None, show=print):
    """Makes all calls of an example that is deployed at its folder's name. Returns the number of wrong answers."""
    wrong = 0
    for call in json.loads((folder / "calls.json").read_text()):
        status, headers, body, answer = make_call(connection, app, "/" + folder.name, call, folder)
        right, remark = False, f"HTTP status {status}"
        if status == call.get("expected_status", 200):
            right, remark = judge(call, folder, body, answer)
        show(f"  {call['title']}")
        show(f"    input   {shorten(body) or '(none)'}{'  ' + call['query'] if 'query' in call else ''}")
        show(f"    answer  {shorten(answer)}")
        if remark:
            show(f"            {remark}")
        show(f"    time    {timing(headers.get('Server-Timing', ''))}")
        if right and pictures and "picture" in call:
            Path(pictures).mkdir(parents=True, exist_ok=True)
            (Path(pictures) / call["picture"]).write_bytes(answer)
            show(f"    picture {pictures}/{call['picture']}")
        if not right:
            show("    WRONG: the answer is not what it should be")
            wrong += 1
    return wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--app", default="demo")
    parser.add_argument("--pictures")
    parser.add_argument("examples", nargs="+")
    options = parser.parse_args()
    connection = http.client.HTTPConnection("127.0.0.1", options.port, timeout=120)
    wrong = sum(run_example(connection, options.app, Path(e), options.pictures) for e in options.examples)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
