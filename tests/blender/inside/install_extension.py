# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs in a Blender whose user folder is empty: installs the extension and imports a clip with it.

install_extension.py EXTENSION.zip CLIP OUT.json
"""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from ending import own_arguments, run

import bpy  # isort: skip (makes addon_utils importable)
import addon_utils

MODULE = "bl_ext.user_default.closeint"


def main(archive, clip, out):
    facts = {"installed": sorted(bpy.ops.extensions.package_install_files(
        repo="user_default", filepath=archive, enable_on_install=True
    ))}  # fmt: skip
    import closeint_core

    facts["core"] = closeint_core.__file__
    facts["imported"] = sorted(bpy.ops.closeint.import_clip(filepath=clip))
    facts["people"] = len([ob for ob in bpy.data.objects if ob.type == "ARMATURE" and "closeint_person" in ob])
    facts["policy_warnings"] = [str(w) for w in addon_utils._extensions_warnings_get()]
    for _ in range(2):
        bpy.ops.preferences.addon_disable(module=MODULE)
        facts["gone"] = not hasattr(bpy.types, "CLOSEINT_OT_import_clip")
        bpy.ops.preferences.addon_enable(module=MODULE)
    facts["back"] = hasattr(bpy.types, "CLOSEINT_OT_import_clip")
    facts["torch"] = "torch" in sys.modules
    Path(out).write_text(json.dumps(facts))


if __name__ == "__main__":
    own = own_arguments()
    run(main, *own[:3])
