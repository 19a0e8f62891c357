#!/usr/bin/env python3
"""The conformance suite: what an IronFunctions client may expect of a server, case by case.

usage: test_conformance.py [--url [PROFILE=]URL]... [--target ferrite|original] [--images PREFIX]
                           [--write-images DIR] [--list] [CASE | PREFIX]...

Without --url it starts private services and ends them again (root). With it, it asks the given one: a case that needs a
service with other settings (services.py names them) is skipped unless that one is given too. See README.md.

time limit: 240 s
"""

import argparse
import concurrent.futures
import importlib
import os
import re
import signal
import sys
import threading
import time
import traceback
from collections import Counter
from pathlib import Path

import deviations
import images
import services
import suite
import tokens

SECTIONS = sorted(Path(__file__).resolve().parent.glob("s[0-9]*.py"))
# Calls at once: more than a small machine has processors, since most of them wait.
WORKERS = 8


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, usage=argparse.SUPPRESS)
    parser.add_argument("--url", action="append", default=[], help="base URL, or PROFILE=URL")
    parser.add_argument("--target", choices=("ferrite", "original"), default="ferrite")
    parser.add_argument("--images", default="conformance/", help="what the functions' image names begin with")
    parser.add_argument("--write-images", metavar="DIR", help="write the functions as archives for docker load, and end")
    parser.add_argument("--list", action="store_true", help="print the names of the cases, and end")
    parser.add_argument("cases", nargs="*", help="names of cases, or what they begin with")
    options = parser.parse_args()
    options.urls = dict(url.split("=", 1) if re.match(r"[a-z]+=", url) else ("plain", url) for url in options.url)
    for profile in options.urls:
        if profile not in services.PROFILES:
            sys.exit(f"conformance: no service is called {profile}; there are: {', '.join(services.PROFILES)}")
    return options


class Report:
    """Prints results as they come, and counts them."""

    def __init__(self):
        self.counts = Counter()
        self.lock = threading.Lock()

    def add(self, state, name, seconds=0.0, remark=""):
        with self.lock:
            self.counts[state] += 1
            print(f"{state:4} {name} ({seconds:.1f} s) {remark}".rstrip(), flush=True)


def run_case(case, number, service, options, report):
    began = time.monotonic()
    context = suite.Context(service, options.target, options.images, number)
    if case.profile == "auth":
        context.default_headers = tokens.bearer(tokens.client_token(services.SERVICE_KEY))
    state, remark = "ok", ""
    try:
        try:
            case.run(context)
        finally:
            asked = list(context.exchanges)
            context.clean()
    except suite.Skip as reason:
        state, remark = "skip", str(reason)
    except Exception as problem:  # pylint: disable=broad-except
        where = traceback.extract_tb(problem.__traceback__)
        line = next((f"{Path(f.filename).name}:{f.lineno}" for f in reversed(where) if "conformance/s" in f.filename), "")
        exchanges = "".join(f"\n    {entry[:1000]}" for entry in asked[-10:])
        state, remark = "FAIL", f"{line} {type(problem).__name__}: {problem}{exchanges}"
    report.add(state, case.name, time.monotonic() - began, remark)


def reason_to_skip(case, found, options):
    if case.profile not in found:
        return f"needs a service of the profile {case.profile}: --url {case.profile}=URL"
    if options.target == "original" and case.spare:
        return case.spare
    return ""


def run_profile(numbered, service, options, report):
    """All cases of one service: those that may run side by side, then the others one by one."""
    with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
        for number, case in numbered:
            if not case.alone:
                pool.submit(run_case, case, number, service, options, report)
    for number, case in numbered:
        if case.alone:
            run_case(case, number, service, options, report)


def run_cases(chosen, options, report):
    profiles = [p for p in services.PROFILES if any(case.profile == p for case in chosen)]
    with services.Services(options.urls, profiles, list(images.archives(options.images)) if not options.urls else []) as found:
        runnable = {profile: [] for profile in found}
        for number, case in enumerate(chosen):
            if reason := reason_to_skip(case, found, options):
                report.add("skip", case.name, remark=reason)
            else:
                runnable[case.profile].append((number, case))
        threads = [
            threading.Thread(target=run_profile, args=(numbered, found[profile], options, report))
            for profile, numbered in runnable.items()
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        # What goes wrong in a thread is reported nowhere else.
        missing = len(chosen) - report.counts.total()
        suite.check(missing == 0, f"{missing} cases have no result")


def print_summary(cases):
    print("\ncases per section:", ", ".join(
        f"{section} {count}" for section, count in sorted(
            Counter(int(case.name[1:].split("_")[0]) for case in cases).items())
    ))
    print("deviations from the original (docs/compatibility.md):")
    for line in deviations.listing(suite.CASES):
        print(line)


def main():
    options = parse()
    if options.write_images:
        folder = Path(options.write_images)
        folder.mkdir(parents=True, exist_ok=True)
        for name, archive in images.archives(options.images):
            path = folder / (re.sub(r"[^a-z0-9.-]", "-", name) + ".tar")
            path.write_bytes(archive)
            print(f"{path}: docker load -i {path}")
        return 0
    for section in SECTIONS:
        importlib.import_module(section.stem)
    chosen = [c for c in suite.CASES if not options.cases or c.name.startswith(tuple(options.cases))]
    if options.list:
        print("\n".join(case.name for case in chosen))
        return 0
    # The runner ends a suite that takes too long with SIGTERM; its services are taken down on the way out.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by SIGTERM"))
    report = Report()
    if not options.urls and os.geteuid() != 0:
        print("a private service builds containers, which needs root; --url asks one that runs already")
        print(f"0 passed, {len(chosen)} failed, 0 skipped")
        return 1
    began = time.monotonic()
    try:
        run_cases(chosen, options, report)
        if not options.urls:
            report.add("ok", "the_services_end_and_leave_nothing")
    except AssertionError as problem:
        report.add("FAIL", "the_services_start_and_end", remark=str(problem))
    if not options.cases:
        problems = deviations.compare(suite.CASES)
        report.add("FAIL" if problems else "ok", "the_deviations_are_those_of_the_document", remark="\n  ".join(["", *problems]))
        print_summary(chosen)
    counts = report.counts
    print(f"{time.monotonic() - began:.0f} s")
    print(f"{counts['ok']} passed, {counts['FAIL']} failed, {counts['skip']} skipped")
    return 0 if counts["FAIL"] == 0 and counts["ok"] else 1


if __name__ == "__main__":
    sys.exit(main())
