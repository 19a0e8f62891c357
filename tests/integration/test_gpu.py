#!/usr/bin/env python3
"""Devices of CDI files, from the file to what a function finds in its container."""
import json
import os
import shutil
import tempfile
from pathlib import Path

import harness
from harness import check, equal, shell_image

HOOK = {"hookName": "createContainer", "path": "/usr/bin/nvidia-cdi-hook"}
EDITS = {
    "env": ["THING=yes"],
    "mounts": [{"hostPath": "{folder}/thing.so", "containerPath": "/opt/thing/thing.so", "options": ["ro"]}],
    "hooks": [
        {**HOOK, "args": ["nvidia-cdi-hook", "create-symlinks", "--link", "thing.so::/opt/thing/name.so"]},
        {**HOOK, "args": ["nvidia-cdi-hook", "update-ldcache", "--folder", "/opt/thing"]},
    ],
}
FOREIGN = {"hooks": [{"hookName": "prestart", "path": "/bin/sh", "args": ["sh", "-c", "touch {folder}/ran"]}]}
SCRIPT = "echo $THING; echo $LD_LIBRARY_PATH; cat /opt/thing/name.so; echo x >/opt/thing/thing.so || echo kept"


class Folder:
    """CDI files and what they name; only root can change it."""

    def __init__(self):
        self.path = Path(tempfile.mkdtemp(prefix="ferrite-cdi-"))
        self.path.chmod(0o755)
        (self.path / "thing.so").write_text("content\n")
        self.write("good.json", "test.example/thing", [("one", EDITS), ("foreign", FOREIGN)])
        (self.path / "wrong.yaml").write_text("cdiVersion: 0.5.0\nkind: test.example/wrong\nsurprise: 1\n")

    def write(self, name, kind, devices):
        devices = [{"name": device, "containerEdits": edits} for device, edits in devices]
        text = json.dumps({"cdiVersion": "0.5.0", "kind": kind, "devices": devices})
        (self.path / name).write_text(text.replace("{folder}", str(self.path)))


def deploy(service, name, device, script=SCRIPT):
    service.import_image(f"{name}:1", shell_image(script, f"{name}:1", Env=[f"NVIDIA_VISIBLE_DEVICES={device}"]))
    service.create_route("cdi", f"/{name}", f"{name}:1", memory=32, gpu={"count": 1})
    return service.call("cdi", f"/{name}", b"")


def test_sec_K5_cdi_devices():
    folder = Folder()
    try:
        with harness.Service(environment={"FERRITE_CDI_DIRS": f"/nonexistent:{folder.path}"}) as service:
            answer = deploy(service, "thing", "test.example/thing=one")
            equal(answer.text.split(), ["yes", "/opt/thing", "content", "kept"], f"inside: {answer.status} {answer.text}")
            equal((folder.path / "thing.so").read_text(), "content\n", "the file of the host")
            told = service.request("GET", "/v1/gpus/injection?app=cdi&path=/thing").json
            equal([m["source"] for m in told["mounts"] if m["destination"] == "/opt/thing/thing.so"],
                  [str(folder.path / "thing.so")], "explained")
            equal({row["variable"] for row in told["environment"]}, {"THING=yes", "LD_LIBRARY_PATH=/opt/thing"}, "explained")

            answer = deploy(service, "foreign", "test.example/thing=foreign")
            equal(answer.status, 500, answer.text)
            check("/bin/sh on the host" in answer.text, answer.text)
            check(not os.path.exists(folder.path / "ran"), "the hook ran")
            answer = deploy(service, "unknown", "test.example/wrong=one")
            equal(answer.status, 500, answer.text)
            check("test.example/wrong=one" in answer.text, answer.text)
            check("wrong.yaml:3: surprise: no such field" in service.log_path.read_text(), "the log names the wrong file")
    finally:
        shutil.rmtree(folder.path)


if __name__ == "__main__":
    harness.run(globals())
