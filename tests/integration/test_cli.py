#!/usr/bin/env python3
"""The command `ferrite` against a running service, and what it says when it is used wrongly."""

import base64
import hmac
import http.server
import json
import os
import ssl
import subprocess
import termios
import threading

import harness
from harness import FERRITE, check, equal, wait_for

def shared():
    """One service for all tests of this file: the commands do not disturb each other."""
    return harness.shared


def ran(done, status, *texts):
    said = f"{done.stderr.strip()} {done.stdout.strip()[:300]}"
    equal(done.returncode, status, f"exit status of {done.args[3:]} ({said})")
    for text in texts:
        check(text in done.stdout + done.stderr, f"{done.args[3:]}: no {text!r} in {done.stdout!r} {done.stderr!r}")
    return done


def ferrite(*arguments, **options):
    return shared().command(*arguments, **options)


def document(*arguments, status=0, **options):
    return json.loads(ran(ferrite("--json", *arguments, **options), status).stdout)


def alone(*arguments, **options):
    """The command without a service."""
    return subprocess.run([str(FERRITE), *arguments], capture_output=True, text=True, timeout=60, **options)


def test_help_lists_every_command_and_each_has_its_own():
    overview = alone("--help")
    equal(overview.returncode, 0, "status of --help")
    commands = [line[2:].split("  ")[0] for line in overview.stdout.split("Commands:")[1].split("\n\n")[0].splitlines()]
    check(len([c for c in commands if c]) > 25, f"only {commands}")
    for command in filter(None, commands):
        words = [w for w in command.split() if w.islower() and w.isalpha()]
        done = alone("help", *words)
        equal(done.returncode, 0, f"help {words}")
        check("usage: ferrite" in done.stdout, f"help {words}: {done.stdout}")


def test_wrong_use_is_status_2_and_says_what_is_right():
    for arguments, text in (
        ([], "usage"), (["apps", "lst"], "apps ls"), (["bogus"], "unknown command"), (["apps", "create"], "needs APP"),
        (["apps", "ls", "more"], "unexpected argument"), (["call", "a", "/b", "--tming"], "--timing"),
        (["call", "a", "/b", "-d"], "needs a value"), (["routes", "create", "a", "/b"], "IMAGE"),
        (["routes", "create", "a", "/b", "i", "--memory", "lots"], "whole number"),
        (["routes", "update", "a", "/b", "--network", "{x"], "JSON object"), (["calls", "--since", "yesterday"], "2h"),
        (["logs", "a", "d73c1fcc"], "whole id"),
        (["apps", "config", "set", "a", "novalue"], "KEY=VALUE"), (["completion", "fish"], "bash and zsh"),
        (["deploy", "/nonexistent", "--app", "a"], "/nonexistent"), (["deploy", "."], "--app"),
        (["images", "import", "/nonexistent"], "/nonexistent"), (["images", "import", "-"], "name"),
        (["call", "a", "/b", "-d", "@/nonexistent"], "/nonexistent"), (["init", "-k", "x", "/tmp/y"], "kernel"),
        (["--api", "unix:relative", "apps", "ls"], "absolute path"), (["--api", "ftp://x", "apps", "ls"], "no address"),
        (["apps", "ls", "--json=1"], "takes no value"),
    ):
        done = alone(*arguments)
        equal(done.returncode, 2, f"status of {arguments} ({done.stderr})")
        check(text in done.stdout + done.stderr, f"{arguments}: no {text!r} in {done.stderr!r}")


def test_no_service_is_status_3_and_says_where_it_looked(folder):
    socket = f"unix:{folder}/none.sock"
    for arguments in (["apps", "ls"], ["call", "a", "/b"], ["ps"], ["gpu"], ["version"]):
        done = alone("--api", socket, *arguments)
        equal(done.returncode, 3, f"status of {arguments}")
        check(socket in done.stderr, f"{arguments}: {done.stderr}")
    by_environment = alone("apps", "ls", env={**os.environ, "FERRITE_API": socket})
    equal(by_environment.returncode, 3, "status with FERRITE_API")
    check(socket in by_environment.stderr, by_environment.stderr)
    answer = alone("--json", "--api", socket, "apps", "ls")
    check(socket in json.loads(answer.stdout)["error"]["message"], answer.stdout)


def test_apps():
    ran(ferrite("apps", "create", "cli-a", "--config", "K=v"), 0, "App successfully created")
    ran(ferrite("apps", "create", "cli-a"), 1, "App already exists")
    ran(ferrite("apps", "ls"), 0, "cli-a")
    check("cli-a" in [a["name"] for a in document("apps", "ls")["apps"]], "apps ls --json")
    equal(document("apps", "inspect", "cli-a")["config"], {"K": "v"}, "inspect")
    ran(ferrite("apps", "update", "cli-a", "--config", "L=w=x"), 0)
    equal(ran(ferrite("apps", "config", "ls", "cli-a"), 0).stdout.split(), ["K=v", "L=w=x"], "config")
    ran(ferrite("apps", "config", "set", "cli-a", "M=1", "N=2"), 0)
    ran(ferrite("apps", "config", "unset", "cli-a", "K", "L"), 0)
    equal(document("apps", "config", "ls", "cli-a"), {"M": "1", "N": "2"}, "config after unset")
    ran(ferrite("apps", "delete", "cli-a"), 0, "App deleted")
    ran(ferrite("apps", "inspect", "cli-a"), 1, "App not found")
    equal(document("apps", "inspect", "cli-a", status=1)["error"]["message"], "App not found", "error as JSON")


def check_token(token, key, lifetime):
    head, claims, signature = (base64.urlsafe_b64decode(part + "===") for part in token.split("."))
    equal(json.loads(head)["alg"], "HS256", "algorithm")
    said = json.loads(claims)
    equal((said["exp"] - said["iat"], said["iat"] - said["nbf"]), (lifetime, 60), f"claims {said}")
    equal(signature, hmac.digest(key, token.rpartition(".")[0].encode(), "sha256"), "signature")


def test_routes():
    ran(ferrite("routes", "create", "cli-r", "/one", "some/image", "-m", "64", "--header", "X-A=b"), 0)
    ran(ferrite("routes", "create", "cli-r", "/one", "some/image"), 1, "Route already exists")
    ran(ferrite("routes", "ls", "cli-r"), 0, "/one", "some/image")
    route = document("routes", "inspect", "cli-r", "/one")
    equal((route["memory"], route["headers"]), (64, {"X-A": ["b"]}), "route")
    ran(ferrite("routes", "update", "cli-r", "/one", "-t", "7", "--config", "A=1"), 0)
    equal(document("routes", "inspect", "cli-r", "one")["timeout"], 7, "time-out after update")
    ran(ferrite("routes", "token", "cli-r", "/one"), 1, "has no jwt_key")
    options = ["--type", "async", "--format", "http", "--idle-timeout", "9", "-c", "4", "--network", "bridge",
               "--gpu", '{"memory": "64MiB"}', "--warm", "2", "--jwt-key", "k"]
    ran(ferrite("routes", "update", "cli-r", "/one", *options), 0)
    route = document("routes", "inspect", "cli-r", "/one")
    wanted = {"type": "async", "format": "http", "idle_timeout": 9, "max_concurrency": 4, "network": "bridge",
              "gpu": {"memory": "64MiB"}, "warm": 2, "timeout": 7}
    equal({key: route[key] for key in wanted}, wanted, "route after update")
    ran(ferrite("routes", "update", "cli-r", "/one", "--gpu", "many"), 2, "--gpu takes a number")
    network = {"mode": "bridge", "allow": ["192.168.1.7:5432/tcp"]}
    ran(ferrite("routes", "update", "cli-r", "/one", "--network", json.dumps(network)), 0)
    equal(document("routes", "inspect", "cli-r", "/one")["network"], network, "network as an object")
    ran(ferrite("routes", "update", "cli-r", "/one", "--network", "none"), 0)
    token = ran(ferrite("routes", "token", "cli-r", "/one", "60"), 0).stdout.strip()
    check_token(token, b"k", 60)
    ran(ferrite("routes", "config", "set", "cli-r", "/one", "B=2"), 0)
    ran(ferrite("routes", "config", "unset", "cli-r", "/one", "A"), 0)
    equal(ran(ferrite("routes", "config", "ls", "cli-r", "/one"), 0).stdout, "B=2\n", "config")
    ran(ferrite("routes", "headers", "set", "cli-r", "/one", "X-B=c"), 0)
    ran(ferrite("routes", "headers", "unset", "cli-r", "/one", "X-A"), 0)
    equal(ran(ferrite("routes", "headers", "ls", "cli-r", "/one"), 0).stdout, "X-B=c\n", "headers")
    ran(ferrite("apps", "delete", "cli-r"), 1, "Cannot remove apps with routes")
    ran(ferrite("routes", "delete", "cli-r", "/one"), 0, "Route deleted")
    ran(ferrite("routes", "inspect", "cli-r", "/one"), 1, "Route not found")
    ran(ferrite("apps", "delete", "cli-r"), 0)


def test_images(folder):
    archive = folder / "shell.tar"
    archive.write_bytes(harness.shell_image("cat", "cli/echo:1"))
    ran(ferrite("images", "import", str(archive), "cli/echo:1"), 0, "cli/echo:1")
    ran(ferrite("images", "ls"), 0, "cli/echo:1", "sha256:")
    check("cli/echo:1" in [i["name"] for i in document("images", "ls")["images"]], "images ls --json")
    check("sha256:" in json.dumps(document("images", "inspect", "cli/echo:1")), "inspect")
    ran(ferrite("images", "import", "-", "cli/echo:2", data=archive.read_bytes()), 0)
    ran(ferrite("images", "rm", "cli/echo:2"), 0)
    ran(ferrite("images", "inspect", "cli/echo:2"), 1, "cli/echo:2")
    ran(ferrite("images", "gc"), 0)
    (folder / "broken.tar").write_bytes(archive.read_bytes()[:5000])
    ran(ferrite("images", "import", str(folder / "broken.tar"), "cli/broken:1"), 1)


def test_call(folder):
    script = 'printf "%s|%s|" "$METHOD" "$HEADER_X_TEST"; cat'
    shared().import_image("cli/call:1", harness.shell_image(script, "cli/call:1"))
    shared().create_route("cli-c", "/echo", "cli/call:1", memory=32)
    equal(ran(ferrite("call", "cli-c", "/echo"), 0).stdout, "GET||", "without a body")
    equal(ran(ferrite("call", "cli-c", "echo", "-d", "text"), 0).stdout, "POST||text", "with text")
    equal(ran(ferrite("call", "cli-c", "/echo?a=1", "-X", "PUT", "-H", "X-Test: t"), 0).stdout, "PUT|t|", "method")
    payload = bytes(range(256)) * 500
    (folder / "input").write_bytes(payload)
    done = ferrite("call", "cli-c", "/echo", "-d", f"@{folder}/input", data=b"")
    equal(done.stdout, b"POST||" + payload, "bytes of a file, terminal escapes included")
    done = ferrite("call", "cli-c", "/echo", "-d", "-", data=payload)
    equal(done.stdout, b"POST||" + payload, "bytes of standard input, in chunks")
    ran(ferrite("call", "cli-c", "/echo", "-d", "x", "-o", str(folder / "out")), 0)
    equal((folder / "out").read_text(), "POST||x", "answer in a file")
    ran(ferrite("call", "cli-c", "/echo", "-d", "x", "--timing"), 0, "time:", "start", "run", "in all")
    found = document("call", "cli-c", "/echo", "-d", "x")
    equal((found["status"], found["body"]), (200, "POST||x"), "call --json")
    check(found["timing_ms"]["run"] >= 0 and found["call_id"], str(found))
    found = document("call", "cli-c", "/echo", "-d", "@" + str(folder / "input"))
    check("body_base64" in found, "bytes in JSON")
    ran(ferrite("call", "cli-c", "/none"), 1, "Route not found")
    equal(document("call", "cli-c", "/none", status=1)["status"], 404, "status of an unknown route")


def test_status_commands():
    ran(ferrite("ps"), 0)
    wait_for(lambda: document("ps")["instances"] == [], "no instance is left")
    ran(ferrite("gpu"), 0, "software")
    check(len(document("gpu")["gpus"]) == 1, "one software device")
    ran(ferrite("gpu", "inject", "cli-c"), 2, "--dry-run")
    ran(ferrite("gpu", "inject", "--dry-run", "none:1"), 1, "none:1")
    ran(ferrite("stats"), 0, "Complete")
    check("Complete" in document("stats"), "stats --json")
    ran(ferrite("version"), 0, "ferrite ", "service ")
    check({"ferrite", "service"} <= set(document("version")), "version --json")


class Versions(http.server.BaseHTTPRequestHandler):
    """What stands before a service and speaks TLS."""

    def do_GET(self):
        body = b'{"version": "behind TLS"}'
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def test_certificates_are_checked_unless_the_caller_says_otherwise(folder):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=nobody", "-days", "1",
                    "-keyout", str(folder / "key"), "-out", str(folder / "cert")], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert", folder / "key")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Versions) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            command = ["--api", f"https://127.0.0.1:{server.server_port}", "version"]
            refused = alone(*command)
            equal(refused.returncode, 1, f"status with a certificate that nobody signed ({refused.stderr})")
            check("certificate" in refused.stderr, refused.stderr)
            ran(alone(*command, env={**os.environ, "SSL_SKIP_VERIFY": "true"}), 0, "behind TLS")
        finally:
            server.shutdown()


def test_sec_M1_doctor():
    done = ferrite("doctor", "--state-dir", str(shared().state_dir))
    check(done.stdout.splitlines()[-1].endswith("problems"), done.stdout)
    found = document("doctor", "--state-dir", str(shared().state_dir), status=done.returncode)
    states = {c["check"]: c["state"] for c in found["checks"]}
    equal(states["service"], "ok", f"doctor about the service ({found})")
    equal(states["idmapped mounts"], "ok", f"doctor about idmapped mounts ({found})")
    for c in found["checks"]:
        check(c["state"] in ("ok", "warning", "problem"), str(c))
        check(c["state"] != "problem" or c["cure"], f"a problem without a cure: {c}")
    equal(done.returncode, 1 if found["problems"] else 0, "status of doctor")


def test_init_bundles_deploy_as_they_are(folder):
    ran(ferrite("init", "-k", "kernel", str(folder / "scale")), 0, "func.yaml")
    ran(ferrite("test", str(folder / "scale")), 0, "1 passed, 0 failed")
    url = ran(ferrite("deploy", str(folder / "scale"), "--app", "cli-i"), 0).stdout.strip()
    equal(url, "http://localhost/r/cli-i/scale", "URL")
    answer = ran(ferrite("call", "cli-i", "/scale", "-d", '{"factor": 3, "x": [1, 2, 3]}'), 0)
    equal(json.loads(answer.stdout), {"x": [3, 6, 9]}, "answer of the kernel")
    for kind, path, data, wanted in (
        ("exec", "greet", "Ada", "Hello, Ada!\n"),
        ("handler", "turn", "abc", "cba"),
    ):
        ran(ferrite("init", "-k", kind, str(folder / path)), 0)
        include = {**os.environ, "CPATH": str(harness.TOP / "cudaexec") + ":" + str(harness.TOP / "cudaexec/runner")}
        tested = document("test", str(folder / path), env=include)
        equal((tested["passed"], tested["failed"]), (1, 0), f"tests of the skeleton {kind}: {tested}")
        deployed = document("deploy", str(folder / path), "--app", "cli-i", "--path", f"/{kind}", env=include)
        equal(deployed["path"], f"/{kind}", "deploy --json")
        equal(ran(ferrite("call", "cli-i", f"/{kind}", "-d", data), 0).stdout, wanted, f"answer of {kind}")
    ran(ferrite("init", str(folder / "greet")), 2, "exists", "take a new folder", str(folder / "greet"))
    again = ran(ferrite("deploy", str(folder / "scale"), "--app", "cli-i", "-t", "demo/scale:2"), 0)
    equal(again.stdout.strip(), url, "deploy of what is there")
    equal(document("routes", "inspect", "cli-i", "/scale")["image"], "demo/scale:2", "image after the second deploy")


def test_bundle_writes_an_archive_that_can_be_imported(folder):
    ran(ferrite("init", "-k", "kernel", str(folder / "scale")), 0)
    ran(ferrite("bundle", str(folder / "scale"), "-o", str(folder / "scale.tar")), 0, "scale.tar")
    ran(ferrite("bundle", str(folder / "scale"), "-o", str(folder / "again.tar")), 0)
    equal((folder / "scale.tar").read_bytes(), (folder / "again.tar").read_bytes(), "equal folders, equal bytes")
    ran(ferrite("images", "import", str(folder / "scale.tar"), "cli/scale:9"), 0)
    equal(ran(ferrite("bundle", str(folder / "scale"), "-t", "cli/scale:10"), 0).stdout, "cli/scale:10\n", "bundle")
    names = [i["name"] for i in document("images", "ls")["images"]]
    check({"cli/scale:9", "cli/scale:10"} <= set(names), str(names))


def test_completion_is_valid_shell_and_knows_the_commands():
    script = ran(alone("completion", "bash"), 0).stdout
    done = subprocess.run(
        ["bash", "-c", script + '\n_ferrite_words; _ferrite_words routes; _ferrite_words call demo /x'],
        capture_output=True, text=True, check=True,
    )
    top, routes, call = done.stdout.splitlines()
    check({"apps", "call", "doctor", "--json"} <= set(top.split()), top)
    check({"create", "config", "headers"} <= set(routes.split()), routes)
    check({"--timing", "--data"} <= set(call.split()), call)
    check(ran(alone("completion", "zsh"), 0).stdout.startswith("#compdef ferrite"), "zsh")


def on_terminal(*arguments, columns=80):
    """What the command shows on a terminal of that width."""
    master, slave = os.openpty()
    termios.tcsetwinsize(slave, (24, columns))
    subprocess.run(
        [str(FERRITE), "--api", f"unix:{shared().socket_path}", *arguments],
        stdout=slave, stderr=slave, stdin=subprocess.DEVNULL, timeout=60, check=True,
    )
    os.close(slave)
    shown = os.read(master, 4096)
    os.close(master)
    return shown


def test_text_from_the_service_is_harmless_on_a_terminal():
    """An app's setting with a terminal escape, listed on a pseudo terminal."""
    ran(ferrite("apps", "create", "cli-t", "--config", "K=\x1b]0;owned\x07"), 0)
    shown = on_terminal("apps", "config", "ls", "cli-t")
    check(b"\x1b" not in shown and b"\\x1b]0;owned\\x07" in shown, repr(shown))


def test_tables_fold_at_the_width_of_the_terminal():
    ran(ferrite("apps", "create", "cli-w"), 0)
    shared().create_route("cli-w", "/a", "x:1")
    equal(shared().call("cli-w", "/a", b"").status, 500, "status of a call without an image")
    wide = on_terminal("calls", "cli-w", columns=300).decode().splitlines()
    narrow = on_terminal("calls", "cli-w", columns=80).decode().splitlines()
    equal((len(wide), len(narrow)), (2, 4), f"lines of {wide} and {narrow}")
    for above, below, whole in ((*narrow[:2], wide[0]), (*narrow[2:], wide[1])):
        check(len(above) <= 80 and len(below) <= 80 and below.startswith("  "), f"{above!r} {below!r}")
        equal(f"{above} {below}".split(), whole.split(), "cells")


def test_a_row_of_a_table_is_one_line():
    ran(ferrite("apps", "create", "cli-rows"), 0)
    shared().create_route("cli-rows", "/a", "x:1\n/forged  y:1")
    listed = ferrite("routes", "ls", "cli-rows")
    equal(len(listed.stdout.splitlines()), 2, f"lines of {listed.stdout!r}")


if __name__ == "__main__":
    harness.run(globals(), harness.Service())
