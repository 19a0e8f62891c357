"""What a crash in a container starts outside, with a core_pattern as crash reporters set it: only where the machine is ours."""

import resource
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "integration"))
from harness import SLOWNESS, check, equal, run, wait_for  # noqa: E402
from test_sandbox import Sandbox  # noqa: E402

PATTERN = Path("/proc/sys/kernel/core_pattern")


def unlimited():
    resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


def test_sec_E8_a_crash_starts_nothing_outside():
    before = PATTERN.read_text()
    with tempfile.TemporaryDirectory(prefix="ferrite-core-") as folder, Sandbox() as box:
        started = Path(folder) / "started"
        handler = Path(folder) / "handler"
        handler.write_text(f"#!/bin/sh\necho $1 >>{started}\ncat >/dev/null\n")
        handler.chmod(0o755)
        try:
            PATTERN.write_text(f"|{handler} %P")
            for _ in range(20):
                answer = box.run("/bin/inspector", "signal", 6)
                equal((answer["end"], answer["signal"]), ("signal", 6), "a crash")
            # The kernel starts the handlers in order: after this one those of the crashes would have begun, too.
            subprocess.run(["sh", "-c", "kill -ABRT $$"], preexec_fn=unlimited, check=False)
            wait_for(started.exists, "control: the handler of a crash outside", 20 * SLOWNESS)
        finally:
            PATTERN.write_text(before)
        check(len(started.read_text().splitlines()) == 1, f"handlers: {started.read_text()}")


if __name__ == "__main__":
    run(globals())
