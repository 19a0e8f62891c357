"""Makes images for the tests of the image store: good ones in every layout, and evil ones by name of the trick."""

import gzip
import hashlib
import io
import json
import platform
import subprocess
import tarfile

ARCHITECTURE = {"x86_64": "amd64", "aarch64": "arm64"}[platform.machine()]
OTHER_ARCHITECTURE = {"amd64": "arm64", "arm64": "amd64"}[ARCHITECTURE]


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def zstd(data):
    return subprocess.run(["zstd", "-q", "-c"], input=data, stdout=subprocess.PIPE, check=True).stdout


COMPRESS = {"": lambda d: d, "gzip": lambda d: gzip.compress(d, mtime=0), "zstd": zstd}


def entry(name, data=None, kind=None, mode=None, uid=0, gid=0, link="", mtime=1700000000, **more):
    info = tarfile.TarInfo(name)
    if kind is None:
        kind = tarfile.REGTYPE if data is not None else tarfile.DIRTYPE
    info.type = kind
    info.mode = mode if mode is not None else (0o755 if kind == tarfile.DIRTYPE else 0o644)
    info.uid, info.gid, info.mtime, info.linkname = uid, gid, mtime, link
    info.size = len(data) if data is not None and kind == tarfile.REGTYPE else 0
    for key, value in more.items():
        setattr(info, key, value)
    return info, data


def tar(entries, form=tarfile.PAX_FORMAT):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as archive:
        for info, data in entries:
            archive.addfile(info, io.BytesIO(data) if data is not None else None)
    return out.getvalue()


def files(pairs, prefix=""):
    return tar([entry(prefix + name, data) for name, data in pairs])


def config(layers, run=None, architecture=ARCHITECTURE, **more):
    document = {
        "architecture": architecture,
        "os": "linux",
        "config": run or {},
        "rootfs": {"type": "layers", "diff_ids": ["sha256:" + sha256(layer) for layer in layers]},
        "history": [{"created_by": "a test"}],
    }
    document.update(more)
    return json.dumps(document).encode()


MEDIA = {"": "", "gzip": "+gzip", "zstd": "+zstd"}


def descriptor(data, media_type, **more):
    return dict({"mediaType": media_type, "digest": "sha256:" + sha256(data), "size": len(data)}, **more)


def oci_blobs(layers, run=None, compression="", text=None, change=None, **more):
    """Blobs by digest, and the descriptor of the manifest."""
    packed = [COMPRESS[compression](layer) for layer in layers]
    text = text or config(layers, run, **more)
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": descriptor(text, "application/vnd.oci.image.config.v1+json"),
        "layers": [
            descriptor(blob, "application/vnd.oci.image.layer.v1.tar" + MEDIA[compression]) for blob in packed
        ],
    }
    if change:
        change(manifest)
    manifest = json.dumps(manifest).encode()
    blobs = {sha256(blob): blob for blob in packed + [text, manifest]}
    return blobs, descriptor(manifest, "application/vnd.oci.image.manifest.v1+json")


def oci(layers, name=None, prefix="", change_blobs=None, **more):
    """An OCI image archive."""
    blobs, top = oci_blobs(layers, **more)
    if name:
        top["annotations"] = {"org.opencontainers.image.ref.name": name}
    return oci_archive(blobs, [top], prefix, change_blobs)


def oci_archive(blobs, tops, prefix="", change_blobs=None):
    if change_blobs:
        change_blobs(blobs)
    index = json.dumps({"schemaVersion": 2, "manifests": tops}).encode()
    pairs = [("oci-layout", b'{"imageLayoutVersion":"1.0.0"}'), ("index.json", index)]
    pairs += [("blobs/sha256/" + digest, blob) for digest, blob in sorted(blobs.items())]
    return files(pairs, prefix)


def docker_old(layers, tags, run=None, link_repeated=False, **more):
    """docker save before version 25: one directory per layer, manifest.json behind them."""
    text = config(layers, run, **more)
    entries, paths, first = [], [], {}
    for number, layer in enumerate(layers):
        folder = sha256(b"%d" % number + layer)
        path = folder + "/layer.tar"
        entries.append(entry(folder + "/"))
        entries.append(entry(folder + "/VERSION", b"1.0"))
        entries.append(entry(folder + "/json", b"{}"))
        if link_repeated and layer in first:
            entries.append(entry(path, kind=tarfile.SYMTYPE, link="../" + first[layer]))
        else:
            entries.append(entry(path, layer))
            first.setdefault(layer, path)
        paths.append(path)
    entries.append(entry(sha256(text) + ".json", text))
    manifest = [{"Config": sha256(text) + ".json", "RepoTags": tags, "Layers": paths}]
    entries.append(entry("manifest.json", json.dumps(manifest).encode()))
    entries.append(entry("repositories", b"{}"))
    return tar(entries, tarfile.GNU_FORMAT)


def docker_new(layers, tags, run=None, **more):
    """docker save since version 25: an OCI layout with a manifest.json beside it."""
    blobs, top = oci_blobs(layers, run, **more)
    top["annotations"] = {
        "io.containerd.image.name": "docker.io/library/" + tags[0],
        "org.opencontainers.image.ref.name": tags[0].split(":")[1],
    }
    manifest = json.loads(blobs[top["digest"][7:]])
    path = lambda d: "blobs/sha256/" + d["digest"][7:]
    old = [{"Config": path(manifest["config"]), "RepoTags": tags, "Layers": [path(d) for d in manifest["layers"]]}]
    index = json.dumps({"schemaVersion": 2, "manifests": [top]}).encode()
    entries = [entry("blobs/"), entry("blobs/sha256/")]
    entries += [entry("blobs/sha256/" + digest, blob) for digest, blob in sorted(blobs.items())]
    entries += [
        entry("index.json", index),
        entry("manifest.json", json.dumps(old).encode()),
        entry("oci-layout", b'{"imageLayoutVersion":"1.0.0"}'),
    ]
    return tar(entries)


SPECIAL = "bin/tool"


def evil_layers():
    """Layers that must be refused: (name, archive, text that the error must hold)."""
    deep = "/".join(["d"] * 200) + "/x"
    f = tarfile
    cases = [
        ("traversal", [entry("../escape", b"x")], "path traversal"),
        ("traversal-inside", [entry("a/../../escape", b"x")], "path traversal"),
        ("absolute", [entry("/etc/escape", b"x")], "absolute path"),
        ("symlink-through", [entry("d", kind=f.SYMTYPE, link="/tmp"), entry("d/escape", b"x")], "symbolic link"),
        ("symlink-parent", [entry("d", kind=f.SYMTYPE, link=".."), entry("d/escape", b"x")], "symbolic link"),
        ("symlink-dir", [entry("a/"), entry("a/d", kind=f.SYMTYPE, link="../.."), entry("a/d/e/", None)],
         "symbolic link"),
        ("file-as-parent", [entry("a", b"x"), entry("a/b", b"x")], "symbolic link or a file"),
        ("link-outside", [entry("l", kind=f.LNKTYPE, link="../../etc/passwd")], "path traversal"),
        ("link-absolute", [entry("l", kind=f.LNKTYPE, link="/etc/passwd")], "absolute path"),
        ("link-missing", [entry("l", kind=f.LNKTYPE, link="etc/passwd")], "did not bring"),
        ("link-through", [entry("s", kind=f.SYMTYPE, link="/etc"), entry("l", kind=f.LNKTYPE, link="s/passwd")],
         "symbolic link"),
        ("link-to-folder", [entry("d/"), entry("l", kind=f.LNKTYPE, link="d")], "no file"),
        ("control", [entry("a\x01b", b"x")], "control character"),
        ("newline", [entry("a\nb", b"x")], "control character"),
        ("backslash", [entry("..\\..\\escape", b"x")], "backslash"),
        ("deep", [entry(deep, b"x")], "deeper than 128"),
        ("long-component", [entry("a" * 300, b"x")], "longer than 255"),
        ("whiteout-empty", [entry(".wh.", b"")], "hides no name"),
        ("whiteout-dotdot", [entry(".wh...", b"")], "hides no name"),
        ("whiteout-dot", [entry("d/.wh..", b"")], "hides no name"),
        ("root-as-file", [entry(".", kind=f.SYMTYPE, link="/")], "root of a layer"),
        ("uid-large", [entry("a", b"x", uid=70000)], "0..65534"),
        ("gid-large", [entry("a", b"x", gid=65535)], "0..65534"),
        ("folder-replaced", [entry("d/"), entry("d", b"x")], "replace a directory"),
    ]
    return [(name, tar(entries), text) for name, entries, text in cases]
