# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs in a Blender: exports characters to every format and reads the files back into an empty file.

    measure_exports.py CLIP FOLDER OPTIONS

OPTIONS is JSON: the importer's options, and ``unit``, the scene's unit scale. Writes FOLDER/x.fbx, x.glb, x.usdc,
x_p1.fbx, x_p2.fbx, FOLDER/facts.json and FOLDER/KIND.npz with ``heads`` (F, P, 24, 3) and ``skin0``, ``skin1``
(F, V, 3) for every importer, at the clip frames FRAMES.
"""

import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
sys.path[:0] = [str(Path(__file__).parent), str(ROOT)]

import bpy  # noqa: E402
import numpy as np  # noqa: E402
from ending import own_arguments, run  # noqa: E402

import closeint_blender  # noqa: E402
from closeint_blender.exports import EXPORTERS, export_scene  # noqa: E402
from closeint_blender.importer.build import import_clip  # noqa: E402
from closeint_blender.importer.options import ImportOptions  # noqa: E402
from closeint_core.body.data import JOINT_NAMES  # noqa: E402
from closeint_core.clip import InteractionClip  # noqa: E402

FRAMES = (0, 1, 3, 5)

READERS = {
    "fbx": ("x.fbx", lambda path: bpy.ops.import_scene.fbx(filepath=path), lambda t, r: t * r.fps + 1),
    "fbx_native": ("x.fbx", lambda path: bpy.ops.wm.fbx_import(filepath=path), lambda t, r: t * r.fps / r.fps_base + 1),
    "glb": ("x.glb", lambda path: bpy.ops.import_scene.gltf(filepath=path), lambda t, r: t * r.fps * r.fps_base),
    "usd": ("x.usdc", lambda path: bpy.ops.wm.usd_import(filepath=path), lambda t, r: t),
}
"""Reader: file, its operator, and the scene frame of a time as it counts them: seconds; of USD the scene's frames."""


def facts_of_scene():
    """All that an export could disturb."""
    data = bpy.data
    kinds = ("objects", "meshes", "armatures", "actions", "cameras", "scenes", "collections", "materials", "images")
    scene, layer = bpy.context.scene, bpy.context.view_layer
    curves = []
    from closeint_blender.importer.fcurves import curves_of

    for ob in data.objects:
        for curve in curves_of(ob):
            keys = np.empty(2 * len(curve.keyframe_points), np.float32)
            curve.keyframe_points.foreach_get("co", keys)
            curves.append([ob.name, curve.data_path, curve.array_index, float(np.abs(keys).sum()), len(keys)])
    points = {}
    for mesh in data.meshes:
        if mesh.shape_keys:
            values = np.empty(3 * len(mesh.vertices), np.float32)
            mesh.shape_keys.key_blocks[1].points.foreach_get("co", values)
            points[mesh.name] = [float(np.abs(values).sum()), [key.value for key in mesh.shape_keys.key_blocks]]
    active = layer.objects.active
    return {
        "names": {kind: sorted(block.name for block in getattr(data, kind)) for kind in kinds},
        "scene": [scene.name, scene.frame_current, scene.frame_subframe, scene.frame_start, scene.frame_end],
        "active": [active.name, active.mode] if active else None,
        "selected": sorted(ob.name for ob in layer.objects if ob.select_get()),
        "places": [[ob.name, [round(x, 7) for row in ob.matrix_world for x in row]] for ob in data.objects],
        "poses": [
            [bone.name, [round(x, 7) for row in bone.matrix_basis for x in row]]
            for ob in data.objects
            if ob.type == "ARMATURE"
            for bone in ob.pose.bones
        ],
        "properties": [[ob.name, sorted(ob.keys())] for ob in data.objects],
        "strips": [
            [ob.name, track.name, track.mute, [strip.action.name for strip in track.strips]]
            for ob in data.objects
            if ob.animation_data
            for track in ob.animation_data.nla_tracks
        ],
        "curves": sorted(curves),
        "points": points,
    }


def build(clip, options, unit):
    bpy.ops.wm.read_factory_settings(use_empty=True)
    closeint_blender.register()
    scene = bpy.context.scene
    scene.unit_settings.scale_length = unit
    result = import_clip(bpy.context, clip, ImportOptions(set_scene="ALWAYS", **options))
    # The user is in the middle of something: posing, with a bone moved that is not keyed, between two frames.
    scene.frame_set(scene.frame_start + 2, subframe=0.5)
    one = bpy.data.objects[result.people[0].armature]
    one.select_set(True)
    bpy.context.view_layer.objects.active = one
    bpy.ops.object.mode_set(mode="POSE")
    one.pose.bones["left_elbow"].rotation_quaternion = (0.8, 0.6, 0.0, 0.0)
    taken = bpy.data.objects.new("x", None)  # what an exported thing might want to be called
    taken.name = result.people[1].armature.replace(" ", "_")
    scene.collection.objects.link(taken)
    return result


def export_all(folder):
    before = facts_of_scene()
    for kind in ("fbx", "usd") if "usd_export" in dir(bpy.ops.wm) else ("fbx",):
        export_scene(folder / f"x{EXPORTERS[kind].suffix}", kind)
    bpy.ops.closeint.export(filepath=str(folder / "x"), kind="glb")
    after = facts_of_scene()
    # Each person's file while a body is being edited.
    bpy.ops.object.mode_set(mode="OBJECT")
    body = next(ob for ob in bpy.data.objects if ob.type == "MESH")
    bpy.context.view_layer.objects.active = body
    bpy.ops.object.mode_set(mode="EDIT")
    bpy.ops.closeint.export(filepath=str(folder / "x.glb"), kind="fbx", per_person=True)
    editing = [bpy.context.view_layer.objects.active == body, body.mode]
    files = sorted(path.name for path in folder.iterdir() if path.name.startswith(("x", ".")))
    return {"files": files, "before": before, "after": after, "editing": editing}


def people_here():
    armatures = sorted((ob for ob in bpy.data.objects if ob.type == "ARMATURE"), key=lambda ob: ob.name)
    skins = [[ob for ob in bpy.data.objects if skinned(ob, armature)] for armature in armatures]
    return armatures, skins


def skinned(ob, armature):
    return ob.type == "MESH" and any(m.type == "ARMATURE" and m.object == armature for m in ob.modifiers)


def read_back(path, read, frame_of, times):
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene
    read(str(path))
    armatures, skins = people_here()
    heads, points = [], [[] for _ in armatures]
    for time in times:
        frame = frame_of(time, scene.render)
        scene.frame_set(int(np.floor(frame + 1e-6)), subframe=float(max(frame - np.floor(frame + 1e-6), 0)))
        depsgraph = bpy.context.evaluated_depsgraph_get()
        heads.append([[list(ob.matrix_world @ bone_of(ob, j).head) for j in JOINT_NAMES] for ob in armatures])
        for person, parts in enumerate(skins):
            points[person].append(np.concatenate([world_points(ob.evaluated_get(depsgraph)) for ob in parts]))
    facts = {
        "armatures": [ob.name for ob in armatures],
        "bones": [sorted(bone.name for bone in ob.data.bones) for ob in armatures],
        "scales": [list(ob.scale) for ob in armatures],
        "shape_keys": sum(ob.data.shape_keys is not None for parts in skins for ob in parts),
        "materials": [sorted({m.name for ob in parts for m in ob.data.materials}) for parts in skins],
        "cameras": [ob.name for ob in bpy.data.objects if ob.type == "CAMERA"],
        "paths": [sorted(moving(ob)) for ob in armatures],
        "ends": [min(ends(ob)[0] for ob in armatures), max(ends(ob)[1] for ob in armatures)],
        "rate": scene.render.fps / scene.render.fps_base,
    }
    return {"heads": np.array(heads), **{f"skin{p}": np.array(one) for p, one in enumerate(points)}}, facts


def bone_of(ob, joint):
    return next(bone for bone in ob.pose.bones if bone.name in (joint, f"{joint}_p1", f"{joint}_p2"))


def world_points(ob):
    co = np.empty(len(ob.data.vertices) * 3, np.float32)
    ob.data.vertices.foreach_get("co", co)
    world = np.array(ob.matrix_world)
    return co.reshape(-1, 3) @ world[:3, :3].T + world[:3, 3]


def curves_here(ob):
    from closeint_blender.importer.fcurves import curves_of, curves_of_action

    found = list(curves_of(ob))
    if not found and ob.animation_data:
        for track in ob.animation_data.nla_tracks:
            for strip in track.strips:
                found += curves_of_action(ob, strip.action)
    return found


def moving(ob):
    """Which kinds of channel of the bones have keys that differ, with the bone for all but rotations."""
    found = set()
    for curve in curves_here(ob):
        values = [key.co[1] for key in curve.keyframe_points]
        kind = curve.data_path.rpartition(".")[2]
        if max(values) - min(values) > 1e-5 / min(ob.scale) and not kind.startswith("rotation"):
            found.add(curve.data_path)
    return found


def ends(ob):
    keys = [key.co[0] for curve in curves_here(ob) for key in curve.keyframe_points]
    return (min(keys), max(keys)) if keys else (0.0, 0.0)


def main(path, folder, options):
    unit = options.pop("unit", 1.0)
    clip = InteractionClip.load(path)
    build(path, options, unit)
    facts = {"export": export_all(folder)}
    closeint_blender.unregister()
    start = options.get("start_frame", 1)
    times = [frame / clip.fps for frame in FRAMES]
    for name, (file, read, frame_of) in READERS.items():
        if (name == "fbx_native" and "fbx_import" not in dir(bpy.ops.wm)) or not (folder / file).exists():
            continue
        if name == "usd":
            times = [start + frame for frame in FRAMES]
        arrays, facts[name] = read_back(folder / file, read, frame_of, times)
        np.savez(folder / f"{name}.npz", **arrays)
    times = [frame / clip.fps for frame in FRAMES]
    for person in (1, 2):
        arrays, facts[f"person{person}"] = read_back(folder / f"x_p{person}.fbx", *READERS["fbx"][1:], times)
        np.savez(folder / f"person{person}.npz", **arrays)
    (folder / "facts.json").write_text(json.dumps(facts))


if __name__ == "__main__":
    own = own_arguments()
    run(main, Path(own[0]), Path(own[1]), json.loads(own[2]))
