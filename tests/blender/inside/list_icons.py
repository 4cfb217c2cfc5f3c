# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes the names of this Blender's icons: list_icons.py OUT.json"""

import json
import os
import sys
from pathlib import Path

import bpy

if __name__ == "__main__":
    out = (sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else sys.argv[1:])[0]
    icons = bpy.types.UILayout.bl_rna.functions["label"].parameters["icon"].enum_items.keys()
    Path(out).write_text(json.dumps(list(icons)))
    os._exit(0)
