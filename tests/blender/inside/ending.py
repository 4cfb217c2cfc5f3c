# SPDX-License-Identifier: GPL-3.0-or-later
"""Shared by the scripts that run inside Blender: their arguments and their end."""

import os
import sys
import traceback


def own_arguments():
    return sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else sys.argv[1:]


def run(main, *arguments):
    """Run a script's main and end at once: bpy 4.2 may crash then after exports, 4.5 hang after undo."""
    try:
        main(*arguments)
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)
    sys.stdout.flush()
    os._exit(0)
