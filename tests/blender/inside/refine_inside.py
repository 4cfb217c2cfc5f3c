# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs in a Blender: a correction is keyed, and the real worker solves again around it.

refine_inside.py CLIP WORKER_PYTHON OUT.json OUT.npz
"""

import json
import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
sys.path[:0] = [str(Path(__file__).parent), str(ROOT)]

import bpy  # noqa: E402
import numpy as np  # noqa: E402
from ending import own_arguments, run  # noqa: E402

import closeint_blender  # noqa: E402
from closeint_blender.importer.pair import find_pair, read_pair  # noqa: E402
from closeint_blender.pair_edit import find_edits  # noqa: E402
from closeint_blender.preferences import preferences  # noqa: E402

AT = 9


def raised(call, **options):
    try:
        call(**options)
    except RuntimeError as error:
        return str(error)
    return ""


def main(clip, python, out, arrays):
    bpy.ops.wm.read_factory_settings(use_empty=True)
    closeint_blender.register()
    facts = {"not_installed": ""}
    bpy.ops.closeint.import_clip(filepath=clip, footage=False)
    facts["not_installed"] = raised(bpy.ops.closeint.refine)
    preferences().python = python
    facts["nothing_to_do"] = raised(bpy.ops.closeint.refine)
    pair = find_pair(bpy.context)
    names = list(pair.armatures)
    before = read_pair(pair)
    first = pair.objects()[0]
    bone = first.pose.bones["right_elbow"]
    bpy.context.scene.frame_set(AT + 1)
    bone.rotation_quaternion = (0.8, 0.0, 0.0, 0.6)
    bone.keyframe_insert("rotation_quaternion", frame=AT + 1)
    edited = read_pair(pair)
    bpy.ops.ed.undo_push(message="edited")
    facts["edits"] = len(find_edits(pair))
    facts["refined"] = sorted(bpy.ops.closeint.refine("EXEC_DEFAULT", True, blend=0.15))
    pair = find_pair(bpy.context)
    after = read_pair(pair)
    facts |= {
        "names": [names, list(pair.armatures)],
        "clip": Path(pair.clip).name,
        "edits_after": len(find_edits(pair)),
        "left": sorted(os.listdir(os.environ["CLOSEINT_BLENDER_HOME"])),
    }
    bpy.ops.ed.undo()
    undone = read_pair(find_pair(bpy.context))
    facts["clip_undone"] = Path(find_pair(bpy.context).clip).name
    bpy.ops.ed.redo()
    facts["clip_redone"] = Path(find_pair(bpy.context).clip).name
    # A second round gets a new name; a clip file that is gone is said.
    bpy.context.scene.frame_set(3)
    bpy.ops.closeint.mark_contact(person=1, bone="head", touch=False)
    bpy.ops.closeint.refine(blend=0.1)
    pair = find_pair(bpy.context)
    facts["second"] = [Path(pair.clip).name, len(pair.objects()[0].closeint_marks)]
    bpy.ops.closeint.pin(person=1, bone="head")
    os.unlink(pair.clip)
    facts["clip_gone"] = raised(bpy.ops.closeint.refine)
    closeint_blender.unregister()
    motions = {"before": before, "edited": edited, "after": after, "undone": undone}
    flat = {f"{name}_{field}": getattr(m, field) for name, m in motions.items() for field in ("poses", "transl")}
    np.savez(arrays, **flat)
    Path(out).write_text(json.dumps(facts))


if __name__ == "__main__":
    own = own_arguments()
    run(main, *own[:4])
