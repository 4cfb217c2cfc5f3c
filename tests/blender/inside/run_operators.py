# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs in Blender: the operators without a window, against the stand-in worker.

run_operators.py FOLDER VIDEO_FOLDER OUT.json
"""

import json
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import stand_in
from stand_in import attempt

import bpy  # isort: skip

import closeint_blender
from closeint_blender import preferences, session


def names():
    return sorted(ob.name for ob in bpy.data.objects)


def people():
    return [ob.name for ob in bpy.data.objects if ob.type == "ARMATURE" and "closeint_person" in ob]


def alive(pid):
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return True


def newest():
    """The armatures of the import made last, in the order of the people."""
    armatures = [bpy.data.objects[name] for name in people()]
    last = max(armatures, key=lambda ob: ob.session_uid)["closeint_pair"]
    return sorted((ob for ob in armatures if ob["closeint_pair"] == last), key=lambda ob: ob["closeint_person"])


def curve_ends(armature):
    """First and last key of a character's motion, from its action or its strip."""
    from closeint_blender.importer.fcurves import curves_of

    keys = [key.co[0] for curve in curves_of(armature) for key in curve.keyframe_points]
    return [min(keys), max(keys)] if keys else []


def import_options(folder, videos):
    """What the scene's import options make of a finished job."""
    facts = {}
    ops, scene = bpy.ops.closeint, bpy.context.scene
    good = os.path.join(videos, "good.mp4")
    chosen = scene.closeint.importing
    facts["models"] = [item.identifier for item in scene.closeint.bl_rna.properties["model"].enum_items]
    facts["model_tips"] = [item.description for item in scene.closeint.bl_rna.properties["model"].enum_items]
    scene.closeint.model = "reference"
    scene.render.fps, scene.render.fps_base = 50, 1.0
    scene.frame_start, scene.frame_end = 1, 250
    chosen.start_frame, chosen.timing, chosen.set_scene = 101, "SCENE", "NEVER"
    chosen.meshes, chosen.camera, chosen.floor, chosen.nla, chosen.own_collection = False, False, True, True, False
    before, collections = set(names()), len(bpy.data.collections)
    facts["with_options"] = attempt(ops.reconstruct, video=good)
    one = newest()[0]
    facts["made"] = sorted(bpy.data.objects[name].type for name in set(names()) - before)
    facts["made_start"] = one["closeint_start_frame"]
    facts["made_step"] = one["closeint_frame_step"]
    facts["made_strips"] = [[s.frame_start, s.frame_end] for t in one.animation_data.nla_tracks for s in t.strips]
    facts["made_action"] = one.animation_data.action is None
    facts["made_scene"] = [scene.frame_start, scene.frame_end, scene.render.fps]
    facts["made_collections"] = len(bpy.data.collections) - collections

    chosen.timing, chosen.nla, chosen.meshes, chosen.footage = "FRAMES", False, True, False
    facts["again_with_options"] = attempt(ops.import_result, clip=session.history().entries[0].clip)
    one = newest()[0]
    facts["again_ends"] = curve_ends(one)
    facts["again_mesh"] = "closeint_mesh" in one

    chosen.target = "SAME"
    for ob in bpy.context.view_layer.objects:
        ob.select_set(False)
    bpy.context.view_layer.objects.active = None
    count = len(names())
    facts["onto_none"] = attempt(ops.reconstruct, video=good)
    bpy.context.view_layer.objects.active = one
    name, action = one.name, one.animation_data.action.name
    facts["onto_same"] = attempt(ops.reconstruct, video=good, model="default")
    one = bpy.data.objects[name]
    facts["onto_count"] = len(names()) - count
    facts["onto_new_action"] = one.animation_data.action.name != action and action in bpy.data.actions
    facts["onto_clip"] = one["closeint_clip"] == session.history().entries[0].clip
    facts["onto_said"] = session.state.said["reconstruct"].text
    for item in chosen.bl_rna.properties:
        if not item.is_readonly and item.identifier != "name":
            chosen.property_unset(item.identifier)
    scene.closeint.property_unset("model")
    return facts


def main(folder, videos, out):
    facts = {}
    closeint_blender.register()
    ops, scene = bpy.ops.closeint, bpy.context.scene
    good = os.path.join(videos, "good.mp4")
    facts["before"] = attempt(ops.reconstruct, video=good)
    facts["state_before"] = session.worker_state()[0]
    facts["online"] = bpy.app.online_access
    facts["install"] = attempt(ops.install)
    facts["environment"] = session.environment().folder.exists()
    preferences._defaults.python = os.path.join(folder, "nowhere")
    facts["no_python"] = attempt(ops.doctor)
    preferences._defaults.python = stand_in.worker_python(folder)
    facts["doctor"] = attempt(ops.doctor)
    facts["report"] = session.report()["ok"]

    facts["no_video"] = attempt(ops.reconstruct)
    facts["wrong_frames"] = attempt(ops.reconstruct, video=good, frames="7")
    start = names()
    scene.closeint.quality = "high"
    # True: push undo steps, as a click in the panel does; the first push also starts the undo history.
    bpy.ops.object.select_all("EXEC_DEFAULT", True, action="DESELECT")
    bpy.ops.ed.undo_push(message="start")
    facts["done"] = sorted(ops.reconstruct("EXEC_DEFAULT", True, video=good, frames="2:7", focal=900.0, fps=48.0))
    facts["people"] = people()
    facts["said"] = session.state.said["reconstruct"].text
    facts["history"] = [[Path(e.clip).name, e.video, e.people, e.frames] for e in session.history().entries]
    pid = session.state.worker.pid
    bpy.ops.ed.undo()
    facts["after_undo"] = people()

    scene = bpy.context.scene
    handler = bpy.types.CLOSEINT_FH_video
    facts["drop"] = [handler.bl_import_operator, ".mp4" in handler.bl_file_extensions.split(";")]
    facts["dropped"] = attempt(ops.drop_video, filepath=good) + [scene.closeint.video == good]
    facts["dropped_gone"] = attempt(ops.drop_video, filepath=good + ".gone")
    facts["sample"] = attempt(ops.choose_video, filepath=str(session.sample_video()))
    scene.closeint.video = good
    facts["find"] = attempt(ops.find_people)
    facts["picked"] = [scene.closeint.people, scene.closeint.person_a, scene.closeint.person_b]
    ops.pick_person(number=1)
    ops.swap_people()
    facts["swapped"] = [scene.closeint.person_a, scene.closeint.person_b]
    scene.closeint.frames, scene.frame_start, scene.frame_end = "SCENE", 4, 9
    scene.closeint.lens, scene.closeint.focal_mm, scene.closeint.sensor_mm = "MM", 35.0, 24.0
    facts["from_scene"] = attempt(ops.reconstruct)
    facts["starts_at"] = sorted({round(bpy.data.objects[name]["closeint_start_frame"]) for name in people()})
    scene.frame_start = -3
    facts["before_the_video"] = attempt(ops.reconstruct)
    scene.closeint.frames = "RANGE"
    scene.closeint.first_frame, scene.closeint.last_frame = 7, 3
    facts["empty_range"] = attempt(ops.reconstruct)
    scene.closeint.frames = "ALL"
    ops.pick_person(number=2)
    ops.pick_person(number=2)
    scene.closeint.person_b = scene.closeint.person_a
    facts["same_person"] = attempt(ops.reconstruct)
    scene.closeint.people = "AUTO"
    facts["same_worker"] = session.state.worker.pid == pid

    facts |= import_options(folder, videos)
    scene = bpy.context.scene

    before = names()
    facts["bad"] = attempt(ops.reconstruct, video=os.path.join(videos, "bad.mp4"))
    facts["gone"] = attempt(ops.reconstruct, video=os.path.join(videos, "none.mp4"))
    facts["crash"] = attempt(ops.reconstruct, video=os.path.join(videos, "crash.mp4"))
    facts["log"] = str(session.state.worker.log)
    facts["unchanged"] = names() == before
    facts["after_crash"] = attempt(ops.reconstruct, video=good, import_result=False)
    facts["not_imported"] = names() == before
    entry = session.history().entries[0]
    facts["again"] = attempt(ops.import_result, clip=entry.clip)
    os.unlink(entry.clip)
    facts["again_gone"] = attempt(ops.import_result, clip=entry.clip)
    cube = bpy.context.scene.objects.get("Cube")
    facts["cube"] = [cube is not None and cube.visible_get(), attempt(ops.hide_cube)]
    facts["cube"] += [cube is not None and cube.visible_get(), attempt(ops.hide_cube)]
    count = len(session.history().entries)
    ops.forget_result(clip=entry.clip)
    facts["forgotten"] = count - len(session.history().entries)
    facts["start"] = start

    pid = session.state.worker.pid
    facts["worker_alive"] = alive(pid)
    closeint_blender.unregister()
    facts["worker_ended"] = not alive(pid)
    for _ in range(2):
        closeint_blender.register()
        facts["registered"] = hasattr(bpy.types.Scene, "closeint") and hasattr(bpy.types, "CLOSEINT_PT_setup")
        closeint_blender.unregister()
        facts["unregistered"] = not hasattr(bpy.types.Scene, "closeint") and not hasattr(bpy.types, "CLOSEINT_PT_setup")
    facts["torch"] = "torch" in sys.modules
    Path(out).write_text(json.dumps(facts))


if __name__ == "__main__":
    stand_in.run(main, *stand_in.own_arguments()[:3])
