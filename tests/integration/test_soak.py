#!/usr/bin/env python3
"""A short soak (tests/soak/run): mixed load, kills, every answer checked, no accepted call lost, no descriptor kept.

time limit: 300 s
"""

import os
import subprocess
import sys

import harness
from harness import BUILD, TOP, equal

# Enough for each kind of call and each server; memory is judged by the long form only.
SETTINGS = {"SOAK_SECONDS": "24", "SOAK_KILL_SECONDS": "4", "SOAK_GRACE_SECONDS": "10", "BUILD": str(BUILD)}


def test_a_short_soak():
    done = subprocess.run([sys.executable, "-B", str(TOP / "tests" / "soak" / "run")], env={**os.environ, **SETTINGS},
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=280, check=False)
    print(done.stdout, flush=True)
    equal(done.returncode, 0, "exit status of the soak")


if __name__ == "__main__":
    harness.run(globals())
