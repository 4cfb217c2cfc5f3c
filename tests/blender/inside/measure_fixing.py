# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs in a Blender: import options, re-applying, reading back, looking and fixing; writes down what came of each.

    measure_fixing.py FOLDER

FOLDER holds one.closeint.npz and two.closeint.npz (the same people, other motion and shapes), touch.closeint.npz (two
who touch) and other.closeint.npz (one person). Writes FOLDER/facts.json, FOLDER/arrays.npz and FOLDER/saved.blend.
What is right is decided outside.
"""

import json
import math
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
sys.path[:0] = [str(Path(__file__).parent), str(ROOT)]

import bpy  # noqa: E402
import numpy as np  # noqa: E402
from ending import own_arguments, run  # noqa: E402

import closeint_blender  # noqa: E402
from closeint_blender.graph import bars, columns_of  # noqa: E402
from closeint_blender.importer.animated_properties import read_series  # noqa: E402
from closeint_blender.importer.fcurves import curves_of, curves_of_action  # noqa: E402
from closeint_blender.importer.motion import action_of  # noqa: E402
from closeint_blender.importer.pair import find_pair, pose_now, read_pair  # noqa: E402
from closeint_blender.operators.corrections import mark_text  # noqa: E402
from closeint_blender.pair_edit import find_edits, gather_corrections  # noqa: E402
from closeint_core.body.data import JOINT_NAMES  # noqa: E402

facts = {}
arrays = {}


def fresh():
    bpy.ops.wm.read_factory_settings(use_empty=True)
    bpy.context.scene.render.fps = 24
    bpy.context.scene.render.fps_base = 1.0


def load(folder, name="one", **options):
    options = {"set_scene": "ALWAYS", **options}
    bpy.ops.closeint.import_clip(filepath=str(folder / f"{name}.closeint.npz"), **options)
    return find_pair(bpy.context)


def heads(pair, frame, subframe=0.0):
    bpy.context.scene.frame_set(frame, subframe=subframe)
    return np.array([[list(ob.matrix_world @ ob.pose.bones[n].head) for n in JOINT_NAMES] for ob in pair.objects()])


def keep_motion(name, pair, reference=False):
    motion = read_pair(pair, reference)
    arrays[f"{name}_poses"], arrays[f"{name}_transl"] = motion.poses, motion.transl


def raised(call, **options):
    try:
        call(**options)
    except RuntimeError as error:
        return str(error)
    return ""


def options_part(folder):
    fresh()
    bpy.context.scene.render.fps = 60
    pair = load(folder, timing="SCENE", start_frame=11, camera=True, footage=False)
    scene = bpy.context.scene
    curve = curves_of(pair.objects()[0])[0]
    facts["scaled"] = {
        "step": pair.step,
        "fps": scene.render.fps / scene.render.fps_base,
        "range": [scene.frame_start, scene.frame_end],
        "keys": [curve.keyframe_points[0].co.x, curve.keyframe_points[1].co.x, curve.keyframe_points[-1].co.x],
        "count": len(curve.keyframe_points),
    }
    at = 11 + 3 * pair.step
    arrays["scaled_heads"] = heads(pair, math.floor(at), at - math.floor(at))
    keep_motion("scaled", pair)
    # A key of the user's between the clip's frames 2 (scene frame 15.8) and 3 (18.2).
    bone = pair.objects()[1].pose.bones["head"]
    scene.frame_set(17)
    bone.rotation_quaternion = (0.6, 0.8, 0.0, 0.0)
    bone.keyframe_insert("rotation_quaternion", frame=17)
    facts["between"] = gather_corrections(pair).to_json()["pins"]
    now = read_pair(pair, frames=np.array([17.0]))
    arrays["between_poses"] = now.poses

    # The footage keeps the motion's pace.
    fresh()
    bpy.context.scene.render.fps = 60
    load(folder, timing="SCENE", start_frame=11, footage_path=str(folder / "images"))
    camera = bpy.context.scene.camera
    shown = []
    for frame in (11, 12, 14, 20, 37):
        bpy.context.scene.frame_set(frame)
        user = camera.evaluated_get(bpy.context.evaluated_depsgraph_get()).data.background_images[0].image_user
        shown.append(frame - user.frame_start + 1 + user.frame_offset)
    facts["footage_shown"] = shown

    fresh()
    pair = load(folder, timing="FRAMES", footage=False)
    scene = bpy.context.scene
    facts["frames"] = {"step": pair.step, "fps": scene.render.fps / scene.render.fps_base, "end": scene.frame_end}

    fresh()
    home = bpy.data.collections.new("Mine")
    bpy.context.scene.collection.children.link(home)
    bpy.context.view_layer.active_layer_collection = bpy.context.view_layer.layer_collection.children["Mine"]
    pair = load(
        folder,
        meshes=False,
        own_collection=False,
        nla=True,
        floor=True,
        camera=False,
        set_scene="NEVER",
        timing="FRAMES",
    )
    scene = bpy.context.scene
    floor = next(ob for ob in scene.objects if ob.type == "MESH")
    facts["bare"] = {
        "in_mine": sorted(ob.name for ob in home.objects),
        "collections": sorted(c.name for c in bpy.data.collections),
        "floor_home": floor.users_collection[0].name,
        "floor_size": list(floor.dimensions),
        "floor_z": floor.location.z,
        "catcher": floor.is_shadow_catcher,
        "range": [scene.frame_start, scene.frame_end],
        "tracks": [[t.name for t in ob.animation_data.nla_tracks] for ob in pair.objects()],
        "active_actions": [ob.animation_data.action is None for ob in pair.objects()],
        "cameras": len(bpy.data.cameras),
    }
    arrays["nla_heads"] = heads(pair, 4)
    keep_motion("nla", pair)
    bpy.ops.closeint.reapply_clip(filepath=str(folder / "two.closeint.npz"))
    arrays["nla_again_heads"] = heads(pair, 4)
    facts["bare"]["tracks_after"] = [[(t.name, t.mute) for t in ob.animation_data.nla_tracks] for ob in pair.objects()]


def reapply_part(folder):
    fresh()
    pair = load(folder, footage=False)
    first, second = pair.objects()
    # What the user has made of the characters.
    first.name, first.data.name = "Anna", "Anna Rig"
    mesh = first["closeint_mesh"]
    mesh.name = "Anna Skin"
    red = bpy.data.materials.new("Red")
    mesh.data.materials[0] = red
    mesh.modifiers.new("Smooth", "SMOOTH")
    first.data.bones["head"].color.palette = "THEME07"
    first["note"] = "mine"
    second.hide_render = True
    bpy.ops.object.select_all(action="DESELECT")
    bpy.context.view_layer.objects.active = first
    bpy.context.scene.frame_set(3)
    before = sorted(ob.name for ob in bpy.data.objects)
    old_action = action_of(first).name
    bpy.ops.ed.undo_push(message="before")
    bpy.ops.closeint.reapply_clip("EXEC_DEFAULT", True, filepath=str(folder / "two.closeint.npz"))
    pair = find_pair(bpy.context)
    first = bpy.data.objects["Anna"]
    mesh = first["closeint_mesh"]
    facts["reapplied"] = {
        "objects": [before, sorted(ob.name for ob in bpy.data.objects)],
        "people": list(pair.armatures),
        "material": mesh.data.materials[0].name,
        "modifiers": [m.type for m in mesh.modifiers],
        "palette": first.data.bones["head"].color.palette,
        "note": first["note"],
        "hidden": pair.objects()[1].hide_render,
        "old_action_kept": old_action in bpy.data.actions,
        "new_action": action_of(first).name != old_action,
        "clip": Path(pair.clip).name,
        "frame": bpy.context.scene.frame_current,
        "betas": [list(ob["closeint_betas"]) for ob in pair.objects()],
        "keys": [[k.value for k in ob.data.shape_keys.key_blocks][1:] for ob in pair.meshes()],
    }
    arrays["reapplied_heads"] = heads(pair, 6)
    vertices = []
    depsgraph = bpy.context.evaluated_depsgraph_get()
    ob = pair.meshes()[1].evaluated_get(depsgraph)
    co = np.empty(len(ob.data.vertices) * 3, np.float32)
    ob.data.vertices.foreach_get("co", co)
    vertices = co.reshape(-1, 3) @ np.array(ob.matrix_world)[:3, :3].T + np.array(ob.matrix_world)[:3, 3]
    arrays["reapplied_vertices"] = vertices
    bpy.ops.ed.undo()
    facts["reapplied"]["after_undo"] = Path(find_pair(bpy.context).clip).name
    arrays["undone_heads"] = heads(find_pair(bpy.context), 6)
    bpy.ops.ed.redo()
    facts["reapplied"]["after_redo"] = Path(find_pair(bpy.context).clip).name
    bpy.ops.closeint.reapply_clip(filepath=str(folder / "two.closeint.npz"), swap=True)
    arrays["swapped_heads"] = heads(find_pair(bpy.context), 6)
    count = len(bpy.data.actions)
    facts["refused"] = [
        raised(bpy.ops.closeint.reapply_clip, filepath=str(folder / "other.closeint.npz")),
        raised(bpy.ops.closeint.reapply_clip, filepath=str(folder / "missing.closeint.npz")),
        len(bpy.data.actions) - count,
    ]


def read_part(folder):
    """The motion read back in awkward situations."""
    fresh()
    pair = load(folder, footage=False)
    keep_motion("plain", pair)
    first, second = pair.objects()
    # Both moved together: nothing changes. One moved against the other: it is part of the motion.
    for ob in (first, second):
        ob.location = (3.0, -1.0, 0.5)
        ob.rotation_euler = (0.0, 0.0, 0.7)
    bpy.context.view_layer.update()
    keep_motion("together", pair)
    second.location.x += 0.25
    bpy.context.view_layer.update()
    keep_motion("apart", pair)
    arrays["apart_heads"] = heads(pair, 5)
    second.scale = (1.2, 1.2, 1.2)
    bpy.context.view_layer.update()
    facts["scaled_refused"] = raised(bpy.ops.closeint.smooth)
    second.scale = (1, 1, 1)
    second.location.x -= 0.25
    # An Euler bone and a constraint: the scene is played.
    bone = second.pose.bones["head"]
    limit = bone.constraints.new("LIMIT_ROTATION")
    limit.owner_space = "LOCAL"
    limit.influence = 0.0
    bpy.context.view_layer.update()
    frame = bpy.context.scene.frame_current
    keep_motion("played", pair)
    facts["frame_kept"] = bpy.context.scene.frame_current == frame
    bone.constraints.remove(limit)
    bpy.context.scene.frame_set(5)
    now = pose_now(pair)
    arrays["now_poses"], arrays["now_transl"] = now.poses, now.transl
    # A key changed by hand.
    facts["edits_before"] = len(find_edits(pair))
    bone = first.pose.bones["left_elbow"]
    bone.rotation_quaternion = (0.8, 0.0, 0.6, 0.0)
    bone.keyframe_insert("rotation_quaternion", frame=5)
    first.pose.bones["pelvis"].location.x += 0.05
    first.pose.bones["pelvis"].keyframe_insert("location", frame=6)
    facts["edits"] = find_edits(pair)
    keep_motion("edited", pair)
    keep_motion("reference", pair, reference=True)
    facts["corrections"] = gather_corrections(pair).to_json()


def look_part(folder):
    fresh()
    pair = load(folder, "touch", footage=False)
    frames = pair.frames()
    series = [read_series(ob, frames) for ob in pair.objects()]
    for person, one in enumerate(series):
        for name, values in one.items():
            arrays[f"series{person}_{name}"] = values
    facts["series"] = [sorted(one) for one in series]
    bpy.context.scene.frame_set(4)
    facts["at_frame_4"] = [
        [ob.data["closeint_confidence"], list(ob.data["closeint_contacts"])] for ob in pair.objects()
    ]
    facts["described"] = pair.objects()[0].data.id_properties_ui("closeint_contact").as_dict()["description"]
    # The overlay.
    bpy.ops.closeint.overlay("EXEC_DEFAULT", True)
    colours = []
    for frame in (1, 8):
        bpy.context.scene.frame_set(frame)
        for ob in pair.meshes():
            attribute = ob.data.color_attributes["contact"]
            found = np.empty(len(attribute.data) * 4, np.float32)
            attribute.data.foreach_get("color", found)
            colours.append(found.reshape(-1, 4))
    arrays["colours"] = np.array(colours)
    facts["overlay"] = {
        "active": [ob.data.color_attributes.active_color.name for ob in pair.meshes()],
        "domain": [ob.data.color_attributes["contact"].domain for ob in pair.meshes()],
        "shown": ["closeint_overlay" in ob for ob in pair.meshes()],
    }
    bpy.ops.closeint.overlay()
    facts["overlay"]["off"] = ["closeint_overlay" in ob for ob in pair.meshes()]
    # The worst frames.
    bpy.ops.closeint.measure()
    for person, ob in enumerate(pair.objects()):
        for name in ("penetration", "reprojection", "jitter"):
            arrays[f"measured{person}_{name}"] = read_series(ob, frames)[f"closeint_{name}"]
    facts["jumps"] = {}
    for kind in ("PENETRATION", "REPROJECTION", "UNSEEN", "JITTER"):
        bpy.context.scene.frame_set(1)
        places = []
        for _ in range(2):
            bpy.ops.closeint.jump_to_worst(kind=kind)
            places.append(bpy.context.scene.frame_current)
        bpy.ops.closeint.jump_to_worst(kind=kind, rank=1)
        facts["jumps"][kind] = [*places, bpy.context.scene.frame_current]


def mark_part(folder):
    fresh()
    pair = load(folder, "touch", footage=False)
    scene = bpy.context.scene
    first, second = pair.objects()
    scene.frame_set(5)
    # By selecting bones of both, as a user does.
    for ob in (first, second):
        ob.select_set(True)
    bpy.context.view_layer.objects.active = first
    bpy.ops.object.mode_set(mode="POSE")
    bpy.ops.pose.select_all(action="DESELECT")
    facts["nothing_selected"] = raised(bpy.ops.closeint.mark_contact)

    def choose(*bones):
        bpy.ops.pose.select_all(action="DESELECT")
        for ob, name in bones:
            bone = ob.pose.bones[name]
            if hasattr(bone, "select"):
                bone.select = True
            else:
                bone.bone.select = True
        ob, name = bones[0]
        ob.data.bones.active = ob.data.bones[name]

    choose((first, "left_hand"), (second, "spine3"))
    bpy.ops.closeint.mark_contact("EXEC_DEFAULT", True, frames=3)
    choose((first, "right_hand"))
    bpy.ops.closeint.mark_contact(touch=False)
    bpy.ops.closeint.mark_contact()
    first.pose.bones["right_hand"].rotation_quaternion = (0.9, 0.1, 0.4, 0.0)
    bpy.ops.closeint.pin("EXEC_DEFAULT", True, way="ROTATION")
    bpy.ops.closeint.mark_contact(person=2, bone="left_hand", other_bone="pelvis")
    bpy.ops.object.mode_set(mode="OBJECT")
    first = bpy.data.objects[pair.armatures[0]]
    facts["marks"] = [
        [m.kind, m.frame, m.last, m.person, m.part, m.other_part, m.way if m.kind == "PIN" else "", mark_text(m)]
        for m in first.closeint_marks
    ]
    facts["wrong_bone"] = raised(bpy.ops.closeint.mark_contact, person=1, bone="tail")
    facts["mark_corrections"] = gather_corrections(pair, edits=False).to_json()
    bpy.ops.closeint.remove_mark(index=0)
    facts["marks_left"] = len(first.closeint_marks)
    bpy.ops.wm.save_as_mainfile(filepath=str(folder / "saved.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(folder / "saved.blend"))
    pair = find_pair(bpy.context)
    facts["reopened"] = {
        "marks": [m.kind for m in pair.objects()[0].closeint_marks],
        "series": sorted(read_series(pair.objects()[0], pair.frames())),
        "edits": find_edits(pair),
        "count": pair.count,
    }
    bpy.ops.closeint.remove_mark(index=-1)
    facts["marks_cleared"] = len(pair.objects()[0].closeint_marks)


def mend_part(folder):
    fresh()
    pair = load(folder, "touch", footage=False)
    keep_motion("rough", pair)
    bpy.ops.ed.undo_push(message="before")
    bpy.ops.closeint.smooth("EXEC_DEFAULT", True, seconds=0.1)
    keep_motion("smooth", pair)
    facts["smooth_edits"] = len(find_edits(pair))
    bpy.ops.ed.undo()
    pair = find_pair(bpy.context)
    keep_motion("smooth_undone", pair)
    bpy.ops.closeint.smooth(seconds=0.1, hold_contacts=False, hold_feet=False)
    keep_motion("smooth_free", pair)
    bpy.ops.ed.undo_push(message="smoothed")
    bpy.ops.closeint.smooth(seconds=0.1, strength=0.0)
    keep_motion("smooth_nothing", pair)
    camera = bpy.context.scene.camera
    before = np.array(camera.matrix_world)
    fresh()
    pair = load(folder, "touch", footage=False)
    # Off the floor, and slanting.
    tilt = bpy.context.scene.camera.matrix_world.copy()
    bpy.ops.closeint.to_floor(level=False)
    keep_motion("floored", pair)
    bpy.context.view_layer.update()
    arrays["floor_camera"] = np.stack([np.array(tilt), np.array(bpy.context.scene.camera.matrix_world)])
    bpy.ops.closeint.to_floor(level=False, offset=0.2, camera=False)
    keep_motion("raised", pair)
    bpy.ops.closeint.to_floor(level=True, follow=True)
    keep_motion("followed", pair)
    facts["camera_matrix_was"] = before.tolist()
    fresh()
    pair = load(folder, "moving", footage=False)
    camera = bpy.context.scene.camera
    seen = []
    for turn in (0, 1):
        bpy.context.scene.frame_set(5)
        heads_now = heads(pair, 5)[0]
        inverse = np.linalg.inv(np.array(camera.matrix_world))
        seen.append(heads_now @ inverse[:3, :3].T + inverse[:3, 3])
        if not turn:
            bpy.ops.closeint.to_floor(level=False, offset=0.3)
    arrays["seen_by_moving_camera"] = np.array(seen)
    facts["graph"] = [
        columns_of(np.arange(10.0), 5).tolist(),
        columns_of(np.array([1.0, 5.0, 2.0]), 3).tolist(),
        bars(10, 5, 20, np.array([0.0, 3.0])).tolist(),
    ]
    fresh()
    load(folder, "other", footage=False)
    facts["single"] = [
        raised(bpy.ops.closeint.smooth),
        raised(bpy.ops.closeint.to_floor),
        raised(bpy.ops.closeint.mark_contact, person=1, bone="head"),
        raised(bpy.ops.closeint.measure),
    ]


def strips_are_read(folder):
    fresh()
    pair = load(folder, nla=True, footage=False)
    action = action_of(pair.objects()[0])
    facts["strip_curves"] = len(curves_of_action(pair.objects()[0], action))
    # A bone keyed on top of the strip: a new action that Blender makes.
    first = pair.objects()[0]
    bpy.context.scene.frame_set(5)
    first.pose.bones["left_elbow"].rotation_quaternion = (0.8, 0.0, 0.6, 0.0)
    first.pose.bones["left_elbow"].keyframe_insert("rotation_quaternion", frame=5)
    keep_motion("on_strip_reference", pair, reference=True)
    facts["on_strip"] = {
        "active": first.animation_data.action is not None,
        "pins": [[p["type"], p["person"], p["frame"], p["joint"]] for p in gather_corrections(pair).to_json()["pins"]],
    }


def main(folder):
    closeint_blender.register()
    for part in (options_part, reapply_part, read_part, look_part, mark_part, mend_part, strips_are_read):
        print("part", part.__name__, flush=True)
        part(folder)
    closeint_blender.unregister()
    facts["gone"] = not any(
        hasattr(bpy.types, f"CLOSEINT_OT_{name}") for name in ("pin", "smooth", "overlay", "refine")
    )
    np.savez(folder / "arrays.npz", **arrays)
    (folder / "facts.json").write_text(json.dumps(facts))


if __name__ == "__main__":
    own = own_arguments()
    run(main, Path(own[0]))
