# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs in Blender what ``blender --command closeint ARGUMENTS`` runs, against the stand-in worker.

run_command.py FOLDER ARGUMENTS...
"""

import os
import sys
import traceback
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import stand_in

import bpy  # noqa: F401  isort: skip

import closeint_blender
from closeint_blender import cli, preferences

if __name__ == "__main__":
    folder, *arguments = stand_in.own_arguments()
    try:
        closeint_blender.register()
        if folder != "-":
            preferences._defaults.python = stand_in.worker_python(folder)
        status = cli._command(arguments)
    except BaseException:
        traceback.print_exc()
        status = 99
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
