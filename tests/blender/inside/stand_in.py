# SPDX-License-Identifier: GPL-3.0-or-later
"""Shared by the scripts that run inside Blender with the stand-in worker."""

import os
import stat
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from ending import own_arguments, run  # noqa: F401  their users take both from here

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT))


def worker_python(folder):
    """An executable that is the stand-in worker whatever its arguments are."""
    program = Path(folder) / "python"
    script = Path(__file__).parent / "stand_in_worker.py"
    program.write_text(f'#!/bin/sh\nexec "{os.environ["CLOSEINT_TEST_PYTHON"]}" "{script}"\n')
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return str(program)


def attempt(operator, **options):
    """What an operator returned, or what it reported as an error."""
    try:
        return sorted(operator(**options))
    except RuntimeError as error:
        return str(error).strip()
