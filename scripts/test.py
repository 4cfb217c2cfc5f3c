#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Run all checks: ruff, mypy, and the tests. The first run installs what they need.

python3 scripts/test.py [--slow] [--bpy VERSION,...] [PYTEST ARGUMENTS...]
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys

import environments
from environments import ROOT, SetupError, say

DEFAULT_BPY = ("4.2.23", "4.5.15", "5.0.1")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--slow", action="store_true", help="also the tests that take minutes")
    parser.add_argument("--bpy", default=",".join(DEFAULT_BPY), help="versions of Blender as a module to test with")
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
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "CLOSEINT_BPY_PYTHONS": os.pathsep.join(pythons)}
    python = str(worker)
    workers = max(1, min(os.cpu_count() or 1, 4))
    # A test file stays on one core, as do its tensors: small ones gain nothing from a second thread.
    spread = ["-n", str(workers), "--dist", "loadfile"] if workers > 1 else []
    environment.setdefault("OMP_NUM_THREADS", "1")
    steps = [
        ("ruff check", [python, "-m", "ruff", "check", "."]),
        ("ruff format", [python, "-m", "ruff", "format", "--check", "."]),
        ("mypy", [python, "-m", "mypy"]),
        ("pytest", [python, "-m", "pytest", *spread, *(["--slow"] if options.slow else []), *rest]),
    ]
    failed = []
    for name, command in steps:
        say(name)
        status = subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode
        if status:
            failed.append(name)
    if failed:
        print(f"Error: failed: {', '.join(failed)}.", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
