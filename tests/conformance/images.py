"""The functions that the cases call, as images: one static program (functions/function.c) under several entry points."""

import hashlib
import io
import json
import os
import subprocess
import tarfile
import tempfile
from pathlib import Path

SOURCE = Path(__file__).resolve().parent / "functions" / "function.c"
# name: configuration of the image. The program's first argument says what it does.
FUNCTIONS = {
    "echo": {"Entrypoint": ["/function", "echo"]},
    "env": {"Entrypoint": ["/function", "env"]},
    "act": {"Entrypoint": ["/function", "act"]},
    "hot": {"Entrypoint": ["/function", "hot"]},
    "hot-echo": {"Entrypoint": ["/function", "hot", "echo"]},
    "hot-again": {"Entrypoint": ["/function", "hot"], "Env": ["AGAIN=yes"]},
    "hot-early": {"Entrypoint": ["/function", "hot", "early"]},
    "hot-gone": {"Entrypoint": ["/function", "act"], "Cmd": ["exit 3"]},
    "hot-text": {"Entrypoint": ["/function", "act"], "Cmd": ["out this is no HTTP", "flush", "sleep 60000"]},
    "hot-silent": {"Entrypoint": ["/function", "act"], "Cmd": ["sleep 600000"]},
    "settings": {
        "Entrypoint": ["/function", "act"], "Cmd": ["args", "cwd", "ids", "env"], "WorkingDir": "/work", "User": "1000:1000",
        "Env": ["FROM_IMAGE=yes", "PATH=/somewhere"],
    },
}


def program():
    """The bytes of the functions' program."""
    with tempfile.TemporaryDirectory() as folder:
        binary = Path(folder) / "function"
        compiler = os.environ.get("CC", "gcc").split()
        subprocess.run([*compiler, "-D_GNU_SOURCE", "-std=gnu17", "-static", "-Os", "-s", "-o", binary, SOURCE], check=True)
        return binary.read_bytes()


def tar(files):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for path, (data, mode) in files.items():
            info = tarfile.TarInfo(path)
            info.mode, info.size = mode, len(data or b"")
            if data is None:
                info.type = tarfile.DIRTYPE
            archive.addfile(info, io.BytesIO(data or b""))
    return buffer.getvalue()


def archives(prefix):
    """(name, archive as "docker save" writes it) of every function."""
    layer = tar({"function": (program(), 0o755), "work": (None, 0o755), "tmp": (None, 0o777)})
    for function, config in FUNCTIONS.items():
        name = f"{prefix}{function}:1"
        image = json.dumps({
            "architecture": "amd64", "os": "linux", "config": config, "history": [],
            "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(layer).hexdigest()]},
        }).encode()
        config_name = hashlib.sha256(image).hexdigest() + ".json"
        manifest = [{"Config": config_name, "RepoTags": [name], "Layers": ["layer/layer.tar"]}]
        yield name, tar({
            config_name: (image, 0o644), "layer": (None, 0o755), "layer/layer.tar": (layer, 0o644),
            "manifest.json": (json.dumps(manifest).encode(), 0o644),
        })
