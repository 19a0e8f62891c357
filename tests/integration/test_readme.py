#!/usr/bin/env python3
"""The five-minute tour of the README, pasted line by line."""

import subprocess

import harness
from harness import check


def tour():
    """The lines of the tour that a second shell gets."""
    text = (harness.TOP / "README.md").read_text().split("## Five minutes")[1].split("\n## ")[0]
    lines = [line.strip() for line in text.splitlines() if line.startswith("    ")]
    check(lines[0].startswith("tools/setup") and "sbin/ferrited" in lines[1], f"the tour begins with {lines[:2]}")
    return lines[2:]


def test_every_line_of_the_tour_works(service):
    lines = tour()
    script = "\n".join(f"echo '$ {line.split(chr(39))[0]}'; {line}; echo \"status $?\"" for line in lines)
    script = script.replace("/tmp/ferrite", str(service.folder)).replace("$PWD/build/bin", str(harness.BUILD / "bin"))
    done = subprocess.run(["bash", "-c", script], cwd=harness.TOP, capture_output=True, text=True, timeout=200, check=False)
    steps = done.stdout.split("$ ")[1:]
    check(len(steps) == len(lines), f"{len(steps)} of {len(lines)} lines were run:\n{done.stdout}\n{done.stderr}")
    for line, step in zip(lines, steps):
        # The mistake that is shown on purpose, and the doctor, who looks at the whole machine.
        wanted = "status 1" if '"y": [10, 20]' in line else "status 0"
        fine = wanted in step or "doctor" in line
        check(fine, f"{line}: {step}\n{done.stderr}")
    for text in ('{"y":[12,24,36]}', '{"x":[3,6,9]}', "Hello, Ada!", "/greet", "demo/scale", "software"):
        check(text in done.stdout, f"no {text!r} in:\n{done.stdout}")
    check("time:" in done.stderr, "the time split")


if __name__ == "__main__":
    harness.run(globals())
