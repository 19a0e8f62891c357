#!/usr/bin/env python3
"""Function files as IronFunctions' tool knows them: deploy, bump, test and run."""

import json
import os
import signal
import subprocess

import harness
from harness import FERRITE, check, equal, wait_for

# Writes what it was asked with to standard output and a line to standard error.
SCRIPT = """#!/bin/busybox sh
export PATH=/bin
input=$(busybox cat)
busybox echo "$METHOD|$HEADER_GREETING|$NAME|$input"
busybox echo "log of $input" >&2
[ "$input" != fail ] || exit 3
"""
FILE = """# kept 0.0.1
name: files/echo
version: 0.0.1  # kept too
runtime: exec
base: scratch
entrypoint: [/function/echo]
build:
  - cp template echo && chmod +x echo
  - echo built
files: [echo, {from: busybox, to: /bin/busybox, mode: 0755}]
type: sync
memory: 48
timeout: 9s
idle_timeout: 1m
max_concurrency: 3
format: default
jwt_key: secret
headers: {X-From: file}
config: {NAME: "${FILES_NAME}!"}
path: /say
"""


def service():
    return harness.shared


def ferrite(*arguments, status=0, **options):
    done = service().command(*arguments, **options)
    equal(done.returncode, status, f"exit status of {arguments} ({done.stderr} {done.stdout})")
    return done


def document(*arguments, status=0):
    return json.loads(ferrite("--json", *arguments, status=status).stdout)


def make(folder, tests="", text=FILE):
    (folder / "template").write_text(SCRIPT)
    (folder / "busybox").write_bytes(harness.busybox())
    (folder / "func.yaml").write_text(text + tests)
    return str(folder)


def left_by_trials():
    apps = [a["name"] for a in document("apps", "ls")["apps"] if "trial" in a["name"]]
    images = [i["name"] for i in document("images", "ls")["images"] if "trial" in i["name"]]
    return apps + images


def test_deploy_carries_every_key_and_brings_up_to_date(folder):
    make(folder)
    done = ferrite("deploy", str(folder), "--app", "files", env={"FILES_NAME": "Ada"})
    check("build: cp template" in done.stderr and "built" in done.stderr, f"build commands: {done.stderr}")
    equal(done.stdout, "http://localhost/r/files/say\n", "standard output of deploy")
    route = service().request("GET", "/v1/apps/files/routes/say").json["route"]
    wanted = {
        "image": "files/echo:0.0.1", "type": "sync", "memory": 48, "timeout": 9, "idle_timeout": 60,
        "max_concurrency": 3, "format": "default", "jwt_key": "secret", "headers": {"X-From": ["file"]},
        "config": {"NAME": "Ada!"},
    }
    equal({key: route[key] for key in wanted}, wanted, "route")
    # Where it stands, as fn does.
    command = [str(FERRITE), "--api", f"unix:{service().socket_path}"]
    done = subprocess.run([*command, "bump"], cwd=folder, capture_output=True, text=True, timeout=60, check=True)
    equal(done.stdout, "0.0.2\n", "bump")
    equal((folder / "func.yaml").read_text(), FILE.replace("version: 0.0.1", "version: 0.0.2"), "file after bump")
    (folder / "func.yaml").write_text((folder / "func.yaml").read_text().replace("memory: 48", "memory: 64"))
    subprocess.run([*command, "deploy", "--app", "files"], cwd=folder, capture_output=True, timeout=60, check=True,
                   env={**os.environ, "FILES_NAME": "Grace"})
    route = service().request("GET", "/v1/apps/files/routes/say").json["route"]
    equal((route["image"], route["memory"], route["config"]), ("files/echo:0.0.2", 64, {"NAME": "Grace!"}), "update")


def test_variables_that_are_missing_or_no_text_are_told(folder):
    make(folder)
    done = ferrite("deploy", str(folder), "--app", "files-vars")
    check("FILES_NAME, which config NAME takes from the environment, is not set" in done.stderr, done.stderr)
    done = ferrite("deploy", str(folder), "--app", "files-vars", status=2, env={"FILES_NAME": b"\xff"})
    check("func.yaml:19: the value of config NAME is not text in UTF-8" in done.stderr, done.stderr)


def test_a_build_that_fails_deploys_nothing(folder):
    make(folder, text=FILE.replace("cp template", "false && cp template"))
    done = ferrite("deploy", str(folder), "--app", "files-none", status=2)
    check("func.yaml:7: the build command" in done.stderr and "exit status 1" in done.stderr, done.stderr)
    equal(service().request("GET", "/v1/apps/files-none").status, 404, "app")


def test_a_file_of_fn_needs_its_image(folder):
    (folder / "func.json").write_text(json.dumps({
        "name": "files/node", "version": "1.2.3", "runtime": "node:6", "entrypoint": "node func.js", "path": "/node",
        "timeout": "20s", "headers": {"X-A": "b"},
    }))
    done = ferrite("deploy", str(folder), "--app", "files", status=1)
    for text in ("func.json:1", "node:6", "docker save files/node:1.2.3 | ferrite images import - files/node:1.2.3"):
        check(text in done.stderr, f"no {text!r} in {done.stderr}")
    done = ferrite("bundle", str(folder), status=2)
    check("func.json:1: there is nothing to bundle" in done.stderr, done.stderr)
    service().import_image("files/node:1.2.3", harness.shell_image("echo from elsewhere", "files/node:1.2.3"))
    ferrite("deploy", str(folder), "--app", "files")
    answer = service().call("files", "/node")
    equal((answer.status, answer.text, answer.headers["X-A"]), (200, "from elsewhere\n", "b"), "call")
    (folder / "func.json").unlink()
    (folder / "func.yml").write_text("name: files/none\nversion: 0.0.1\n")
    done = ferrite("deploy", str(folder), "--app", "files", status=1)
    check("about the image files/none:0.0.1, which is not in the store" in done.stderr, done.stderr)


def test_the_first_of_the_three_names_counts(folder):
    (folder / "func.json").write_text('{"name": "json", "version": "0.0.1"}')
    (folder / "func.yml").write_text("name: yml\nversion: 0.0.5\n")
    (folder / "func.yml").chmod(0o640)
    os.chown(folder / "func.yml", 1234, 1235)
    equal(document("bump", str(folder)), {"file": "func.yml", "version": "0.0.6"}, "bump")
    found = (folder / "func.yml").stat()
    equal((found.st_mode & 0o7777, found.st_uid, found.st_gid), (0o640, 1234, 1235), "mode and owner after bump")
    equal(sorted(os.listdir(folder)), ["func.json", "func.yml"], "files after bump")
    (folder / "func.yaml").write_text("nam: x\n")
    done = ferrite("bump", str(folder), status=2)
    check('func.yaml:1: unknown key "nam"; did you mean "name"?' in done.stderr, done.stderr)


TESTS = """
tests:
  - name: a greeting
    in: Ada
    out: "POST||!|Ada\\n"
  - name: a variable
    env: {GREETING: hello}
    out: "GET|hello|!|\\n"
    err: "log of \\n"
"""
WRONG = """
tests:
  - name: another greeting
    in: "Ada\\nLove\\tlace"
    out: "POST||!|Ada\\nByron"
  - name: right
    in: x
    out: "POST||!|x\\n"
  - in: fail
  - in: y
    err: "log of x\\n"
"""


def test_tests_pass_in_a_container_and_leave_nothing(folder):
    make(folder, TESTS)
    done = ferrite("test", str(folder))
    lines = done.stdout.splitlines()
    check(lines[0].startswith("ok   a greeting (") and lines[1].startswith("ok   a variable ("), done.stdout)
    equal(lines[2], "2 passed, 0 failed, 0 skipped", "last line")
    found = document("test", str(folder))
    equal((found["passed"], found["failed"], [t["name"] for t in found["tests"]]), (2, 0, ["a greeting", "a variable"]),
          "test --json")
    equal(left_by_trials(), [], "left by the trials")


def test_tests_that_fail_show_the_difference(folder):
    make(folder, WRONG)
    done = ferrite("test", str(folder), status=1)
    for text in (
        "FAIL another greeting", "its output differs", "out, - expected, + got, after 12 bytes that are the same:",
        "     - Byron  (no newline at its end)\n", "     + Love\tlace\n", "ok   right", "FAIL test 3",
        "exit code 3 (HTTP status 500)", "FAIL test 4", "its standard error differs", "     + log of y\n",
        "1 passed, 3 failed, 0 skipped\n",
    ):
        check(text in done.stdout, f"no {text!r} in {done.stdout}")
    found = document("test", str(folder), status=1)
    equal((found["tests"][0]["got"], found["tests"][2]["passed"]), ("POST||!|Ada\nLove\tlace\n", False), "as JSON")
    equal(left_by_trials(), [], "left by the trials")


def test_tests_run_against_what_is_deployed(folder):
    make(folder, TESTS)
    ferrite("deploy", str(folder), "--app", "files-remote", "--path", "/there")
    (folder / "echo").unlink()
    ferrite("test", str(folder), "--remote", "files-remote", "--path", "/there")
    done = ferrite("test", str(folder), "--remote", "files-remote", status=1)
    check("Route not found" in done.stdout and "0 passed, 2 failed" in done.stdout, done.stdout)
    check(not (folder / "echo").exists(), "a remote test built something")


def test_tests_say_what_is_wrong_with_them(folder):
    make(folder)
    done = ferrite("test", str(folder), status=2)
    check("func.yaml has no tests" in done.stderr, done.stderr)
    make(folder, '\ntests:\n  - name: x\n    env: {"A B": c}\n')
    done = ferrite("test", str(folder), status=2)
    check('func.yaml:23: the variable "A B" cannot travel as a header' in done.stderr, done.stderr)
    make(folder, TESTS)
    done = subprocess.run([str(FERRITE), "--api", f"unix:{folder}/no.sock", "test", str(folder)], capture_output=True,
                          text=True, timeout=60, check=False)
    equal(done.returncode, 3, f"status without a service ({done.stderr})")


def test_run_is_one_call_in_the_environment_of_the_caller(folder):
    make(folder)
    done = ferrite("run", str(folder), data="Ada", env={"GREETING": "hi", "FILES_NAME": "N"})
    equal(done.stdout, "POST|hi|N!|Ada\n", "with input")
    command = [str(FERRITE), "--api", f"unix:{service().socket_path}", "run", str(folder), "-e", "GREETING=only"]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False,
                          env={**os.environ, "GREETING": "hi"})
    equal((done.returncode, done.stdout), (0, "GET|only|!|\n"), f"without input ({done.stderr})")
    done = ferrite("run", str(folder), data="fail", status=1)
    check("exit code 3" in done.stderr, done.stderr)
    equal(left_by_trials(), [], "left by the trials")
    wait_for(lambda: service().instances() == [], "no instance is left")


def test_a_signal_ends_the_call_and_the_trial(folder):
    make(folder, text=FILE.replace("timeout: 9s", "timeout: 60s"))
    (folder / "template").write_text("#!/bin/busybox sh\nbusybox sleep 60\n")
    for command in ("run", "test"):
        (folder / "func.yaml").write_text((folder / "func.yaml").read_text() + ("\ntests: [{in: x}]" if command == "test" else ""))
        running = subprocess.Popen([str(FERRITE), "--api", f"unix:{service().socket_path}", command, str(folder)],
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        harness.own_children.add(running.pid)
        wait_for(lambda: [i for i in service().instances() if i["state"] == "busy"], f"{command} calls the function")
        running.send_signal(signal.SIGINT)
        said = running.communicate(timeout=30)[0]
        equal(running.returncode, 1, f"status of {command} ({said})")
        check("stopped by a signal" in said, said)
        equal(left_by_trials(), [], f"left by {command}")
        wait_for(lambda: service().instances() == [], "no instance is left")


if __name__ == "__main__":
    harness.run(globals(), harness.Service())
