#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Run all checks: ruff, tuned numbers, mypy, the documentation's build, and the tests. The first run installs what they
need.

python3 scripts/test.py [--slow] [--bpy VERSION,...] [--also VERSION,...] [PYTEST ARGUMENTS...]

What needs a Blender runs in every version of ``--bpy`` and in the Blenders that are found on this machine. The newest
one, ``--also``, is a job of its own at the end: it is reported, but its failures do not fail the run.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import blender_runtimes
import environments
from environments import ROOT, SetupError, say

DEFAULT_BPY = ("4.2.23", "4.5.15", "5.0.1")
ALSO_BPY = ("5.2.3",)
ALSO_SECONDS = 240
"""After that the job that may fail is ended: it must not hold up the others."""
TEST_SECONDS = 300
"""After that a test has failed; most take less than one."""


def main() -> int:
    """Run the command line; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--slow", action="store_true", help="also the tests that take minutes")
    parser.add_argument("--bpy", default=",".join(DEFAULT_BPY), help="versions of Blender as a module to test with")
    parser.add_argument("--also", default=",".join(ALSO_BPY), help="versions whose failures are only reported")
    options, rest = parser.parse_known_args()
    try:
        worker = environments.ensure_worker(dev=True)
    except SetupError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 3
    pythons = []
    for version in filter(None, options.bpy.split(",")):
        try:
            pythons.append(str(environments.ensure_bpy(version)))
        except SetupError as error:
            say(f"tests with Blender {version} are skipped: {error}")
    also = [version for version in options.also.split(",") if version]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "CLOSEINT_BPY_PYTHONS": os.pathsep.join(pythons)}
    if also:
        environment["CLOSEINT_TEST_BLENDERS"] = f"!{','.join(also)}"
    python = str(worker)
    workers = max(1, min(os.cpu_count() or 1, 4))
    # A test file stays on one core, as do its tensors: small ones gain nothing from a second thread.
    spread = ["-n", str(workers), "--dist", "loadfile"] if workers > 1 else []
    environment.setdefault("OMP_NUM_THREADS", "1")
    environment["NO_MKDOCS_2_WARNING"] = "1"  # the theme's advertisement of its successor
    # A test that hangs fails and says where: the run must come to its end.
    limit = [] if options.slow else [f"--timeout={TEST_SECONDS}"]
    steps = [
        ("ruff check", [python, "-m", "ruff", "check", "."]),
        ("ruff format", [python, "-m", "ruff", "format", "--check", "."]),
        ("tuned numbers", [python, "scripts/count_tuned_numbers.py"]),
        ("mypy", [python, "-m", "mypy"]),
        ("import-linter", [str(worker.with_name("lint-imports" + worker.suffix)), "--no-logo"]),
        ("documentation", [python, "-m", "mkdocs", "build", "--strict", "--quiet"]),
        ("pytest", [python, "-m", "pytest", *spread, *limit, *(["--slow"] if options.slow else []), *rest]),
    ]
    failed = []
    for name, command in steps:
        say(name)
        status = subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode
        if status:
            failed.append(name)
    # Tests that were asked for by name are of no use to the other job.
    reports = [] if rest else [test_also(version, python, spread, environment) for version in also]
    for report in reports:
        say(report)
    if failed:
        print(f"Error: failed: {', '.join(failed)}.", file=sys.stderr)
    return 1 if failed else 0


def test_also(version: str, python: str, spread: Sequence[str], environment: dict[str, str]) -> str:
    """Run what needs a Blender in one whose failures do not count; returns a sentence on it.

    What pytest says goes to a file, so that the run's own last line stays the one of the tests that count.
    """
    job = f"Blender {version} (a job of its own that may fail)"
    try:
        blender = python_with_bpy(version)
    except SetupError as error:
        return f"{job}: not run: {error}"
    say(job)
    log = environments.HOME / f"tests-{version}.txt"
    variables = {
        **environment,
        "CLOSEINT_BPY_PYTHONS": str(blender),
        "CLOSEINT_TEST_BLENDERS": version,
        "CLOSEINT_TEST_NEEDS_BLENDER": "1",
    }
    started = time.monotonic()
    command = [python, "-m", "pytest", *spread, "-p", "no:cacheprovider", "tests/blender"]
    with open(log, "w", encoding="utf-8") as file:
        process = subprocess.Popen(
            command, cwd=ROOT, env=variables, stdout=file, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            status = process.wait(ALSO_SECONDS)
        except subprocess.TimeoutExpired:
            end_with_children(process)
            return f"{job}: ended after {ALSO_SECONDS} s; its output is in {log.relative_to(ROOT)}"
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    for line in lines:
        if line.startswith(("FAILED", "ERROR")):
            say(f"Blender {version}: {line}")
    result = "passes" if status == 0 else f"FAILS (status {status}), which does not fail this run"
    counts = lines[-1].strip("= ") if lines else "no output"
    took = time.monotonic() - started
    return f"{job}: {result}: {counts}; with its start {took:.0f} s; output in {log.relative_to(ROOT)}"


def end_with_children(process: subprocess.Popen[bytes]) -> None:
    """Kill a process of a session of its own with all that it started."""
    if os.name == "nt":
        process.kill()
    else:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def python_with_bpy(version: str) -> Path:
    """A Python with that version of Blender: one that is on this machine, or else a new environment.

    Raises:
        SetupError: the Python it needs is not there, or the installation failed.
    """
    for executable, is_module in blender_runtimes.candidates():
        if is_module and executable.name.endswith(f"bpy-{version}"):
            runtime = blender_runtimes.probe(executable, is_module)
            if runtime is not None and runtime.label == f"bpy-{version}":
                return executable
    return environments.ensure_bpy(version)


if __name__ == "__main__":
    sys.exit(main())
