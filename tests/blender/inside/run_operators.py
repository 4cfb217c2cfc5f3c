# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs in Blender: the operators without a window, against the stand-in worker.

run_operators.py FOLDER VIDEO_FOLDER OUT.json
"""

import json
import os
import sys
import traceback
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import stand_in

import bpy  # isort: skip

import closeint_blender
from closeint_blender import preferences, session


def names():
    return sorted(ob.name for ob in bpy.data.objects)


def people():
    return [ob.name for ob in bpy.data.objects if ob.type == "ARMATURE" and "closeint_person" in ob]


def attempt(operator, **options):
    """What an operator returned, or what it reported as an error."""
    try:
        return sorted(operator(**options))
    except RuntimeError as error:
        return str(error).strip()


def alive(pid):
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return True


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
    start = names()
    scene.closeint.quality = "high"
    # True: push undo steps, as a click in the panel does; the first push also starts the undo history.
    bpy.ops.object.select_all("EXEC_DEFAULT", True, action="DESELECT")
    bpy.ops.ed.undo_push(message="start")
    facts["done"] = sorted(ops.reconstruct("EXEC_DEFAULT", True, video=good, frames="2:7", focal=900.0))
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
    try:
        main(*stand_in.own_arguments()[:3])
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)
    sys.stdout.flush()
    os._exit(0)
