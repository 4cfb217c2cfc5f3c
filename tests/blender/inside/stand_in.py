# SPDX-License-Identifier: GPL-3.0-or-later
"""Shared by the scripts that run inside Blender with the stand-in worker."""

import os
import stat
import sys
import traceback
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT))


def own_arguments():
    return sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else sys.argv[1:]


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


def run(main, *arguments):
    """Run a script's main and end at once: some Blenders hang or crash at their end."""
    try:
        main(*arguments)
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)
    sys.stdout.flush()
    os._exit(0)
