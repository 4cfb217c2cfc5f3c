# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs in a Blender: imports a clip in an awkward situation and writes down what is there afterwards.

    measure_import.py CLIP FOLDER FRAMES

Writes FOLDER/facts.json, FOLDER/arrays.npz and FOLDER/saved.blend; FRAMES are scene frames, "1,5,9". The clip starts
at scene frame START_FRAME. What is right is decided outside, where the reference computations are.
"""

import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
sys.path[:0] = [str(Path(__file__).parent), str(ROOT)]

import bpy  # noqa: E402
import numpy as np  # noqa: E402
from bpy_extras.object_utils import world_to_camera_view  # noqa: E402
from ending import own_arguments, run  # noqa: E402
from mathutils import Vector  # noqa: E402

import closeint_blender  # noqa: E402

START_FRAME = 5
POINTS = np.random.default_rng(0).normal(0, 0.5, (20, 3)) + np.array([0, 0, 1])


def collection_facts(collection):
    objects = list(collection.all_objects)
    armatures = sorted((ob for ob in objects if ob.type == "ARMATURE"), key=lambda ob: ob["closeint_person"])
    cameras = [ob for ob in objects if ob.type == "CAMERA"]
    return armatures, [ob["closeint_mesh"] for ob in armatures], cameras[0] if cameras else None


def measure(scene, armatures, meshes, camera, frames):
    heads, vertices, pixels = [], [], []
    for frame in frames:
        scene.frame_set(frame)
        depsgraph = bpy.context.evaluated_depsgraph_get()
        heads.append([[list(ob.matrix_world @ bone.head) for bone in in_order(ob)] for ob in armatures])
        posed = []
        for ob in meshes:
            evaluated = ob.evaluated_get(depsgraph)
            co = np.empty(len(evaluated.data.vertices) * 3, np.float32)
            evaluated.data.vertices.foreach_get("co", co)
            world = np.array(evaluated.matrix_world)
            posed.append(co.reshape(-1, 3) @ world[:3, :3].T + world[:3, 3])
        vertices.append(posed)
        if camera:
            width, height = scene.render.resolution_x, scene.render.resolution_y
            seen = np.array([world_to_camera_view(scene, camera, Vector(p)) for p in POINTS])
            pixels.append(np.stack([seen[:, 0] * width, (1 - seen[:, 1]) * height], axis=1))
    return {"heads": np.array(heads), "vertices": np.array(vertices), "pixels": np.array(pixels)}


def in_order(armature):
    from closeint_core.body.data import JOINT_NAMES

    return [armature.pose.bones[name] for name in JOINT_NAMES]


def curve_facts(target):
    from closeint_blender.importer.fcurves import curves_of

    curves = curves_of(target)
    interpolation, rotations, keys = set(), {}, set()
    for curve in curves:
        interpolation |= {key.interpolation for key in curve.keyframe_points}
        co = np.empty(len(curve.keyframe_points) * 2, np.float32)
        curve.keyframe_points.foreach_get("co", co)
        keys.add((float(co[0]), float(co[-2]), len(co) // 2))
        if curve.data_path.endswith("rotation_quaternion"):
            rotations.setdefault(curve.data_path, {})[curve.array_index] = co[1::2]
    dots = [
        float((q[1:] * q[:-1]).sum(axis=1).min())
        for q in (np.stack([c[i] for i in range(4)], axis=1) for c in rotations.values())
        if len(q) > 1
    ]
    return {
        "curves": len(curves),
        "interpolation": sorted(interpolation),
        "keys": sorted(keys),
        "rotations": len(rotations),
        "smallest_dot": min(dots, default=None),
        "groups": sorted({curve.group.name for curve in curves if curve.group}),
    }


def series_facts(armature):
    """The armature data's animated properties: name -> (N, T) values of the keys, and their frames."""
    from closeint_blender.importer.fcurves import curves_of

    series, times = {}, set()
    for curve in curves_of(armature.data):
        co = np.empty(len(curve.keyframe_points) * 2, np.float32)
        curve.keyframe_points.foreach_get("co", co)
        series.setdefault(curve.data_path[2:-2], {})[curve.array_index] = co[1::2].tolist()
        times.add((float(co[0]), float(co[-2]), len(co) // 2))
    return {
        "series": {name: [columns[i] for i in sorted(columns)] for name, columns in series.items()},
        "times": sorted(times),
    }


def contact_colours(mesh):
    attribute = mesh.color_attributes["contact"]
    colours = np.empty(4 * len(attribute.data), np.float32)
    attribute.data.foreach_get("color", colours)
    return {"domain": attribute.domain, "colours": colours.reshape(-1, 4)[:, :3].tolist()}


def mesh_facts(ob):
    mesh = ob.data
    keys = mesh.shape_keys.key_blocks
    counts = [len(vertex.groups) for vertex in mesh.vertices]
    sums = [sum(group.weight for group in vertex.groups) for vertex in mesh.vertices]
    return {
        "vertices": len(mesh.vertices),
        "faces": len(mesh.polygons),
        "groups_most": max(counts),
        "weight_sum": [min(sums), max(sums)],
        "groups": [group.name for group in ob.vertex_groups],
        "keys": [key.name for key in keys],
        "key_values": [key.value for key in keys][1:],
        "materials": [material.name for material in mesh.materials],
        "material_indices": sorted({polygon.material_index for polygon in mesh.polygons}),
        "smooth": all(polygon.use_smooth for polygon in mesh.polygons),
        "uv_layers": len(mesh.uv_layers),
        "valid": not mesh.copy().validate(),
    }


def scene_facts(scene, collection, armatures, meshes, camera):
    background = camera.data.background_images[0] if camera and camera.data.background_images else None
    return {
        "fps": scene.render.fps / scene.render.fps_base,
        "range": [scene.frame_start, scene.frame_end],
        "resolution": [scene.render.resolution_x, scene.render.resolution_y],
        "collection": collection.name,
        "objects": sorted(ob.name for ob in collection.all_objects),
        "scene_camera": scene.camera.name if scene.camera else None,
        "actions": [ob.animation_data.action.name for ob in armatures],
        "curves": [curve_facts(ob) for ob in armatures],
        "camera_curves": curve_facts(camera) if camera else None,
        "lens_curves": curve_facts(camera.data) if camera else None,
        "meshes": [mesh_facts(ob) for ob in meshes],
        "properties": [
            {
                key: (list(ob[key]) if hasattr(ob[key], "to_list") else ob[key])
                for key in ob.keys()  # noqa: SIM118 (not a dict)
                if key != "closeint_mesh"
            }
            for ob in armatures
        ],
        "background": background
        and {
            "path": bpy.path.abspath(background.image.filepath),
            "source": background.image.source,
            "offset": background.image_user.frame_offset,
            "start": background.image_user.frame_start,
            "duration": background.image_user.frame_duration,
        },
    }


def user_state():
    active = bpy.context.view_layer.objects.active
    return {
        "active": active.name if active else None,
        "mode": active.mode if active else None,
        "selected": sorted(ob.name for ob in bpy.context.view_layer.objects if ob.select_get()),
        "frame": bpy.context.scene.frame_current,
    }


def counts():
    data = bpy.data
    return [len(part) for part in (data.objects, data.collections, data.actions, data.meshes, data.armatures)]


def main(clip, folder, frames):
    bpy.ops.wm.read_factory_settings()
    closeint_blender.register()
    closeint_blender.unregister()
    closeint_blender.register()

    # The user is editing the default cube, with the light selected too, somewhere in time.
    scene = bpy.context.scene
    scene.frame_set(17)
    bpy.data.objects["Light"].select_set(True)
    bpy.context.view_layer.objects.active = bpy.data.objects["Cube"]
    bpy.ops.object.mode_set(mode="EDIT")
    before = user_state()
    returned = sorted(bpy.ops.closeint.import_clip(filepath=str(clip), start_frame=START_FRAME))
    facts = {"returned": returned, "state": [before, user_state()]}
    bpy.ops.object.mode_set(mode="OBJECT")

    collection = bpy.data.collections[clip.name.removesuffix(".closeint.npz")]
    armatures, meshes, camera = collection_facts(collection)
    facts["scene"] = scene_facts(scene, collection, armatures, meshes, camera)
    facts["series"] = [series_facts(ob) for ob in armatures]
    facts["contact"] = [contact_colours(ob.data) for ob in meshes]
    arrays = measure(scene, armatures, meshes, camera, frames)

    facts["undo"] = []
    bpy.ops.ed.undo_push(message="before")
    names = counts()
    # True: push an undo step as a click in the menu does.
    bpy.ops.closeint.import_clip("EXEC_DEFAULT", True, filepath=str(clip), camera=False, set_scene="NEVER")
    for step in (bpy.ops.ed.undo, bpy.ops.ed.redo, bpy.ops.ed.undo):
        facts["undo"].append(counts() == names)
        step()
    facts["undo"].append(counts() == names)

    scene = bpy.context.scene
    facts["errors"] = []
    for wrong in (folder / "missing.closeint.npz", Path(__file__)):
        count = len(bpy.data.objects)
        try:
            bpy.ops.closeint.import_clip(filepath=str(wrong))
        except RuntimeError as error:
            facts["errors"].append([str(error), len(bpy.data.objects) - count])
    # The same clip again makes a second set beside the first.
    bpy.ops.closeint.import_clip(filepath=str(clip), camera=False, set_scene="NEVER")
    facts["collections_after_second"] = sorted(c.name for c in scene.collection.children)

    blend = folder / "saved.blend"
    bpy.ops.wm.save_as_mainfile(filepath=str(blend))
    bpy.ops.wm.open_mainfile(filepath=str(blend))
    scene = bpy.context.scene
    collection = bpy.data.collections[clip.name.removesuffix(".closeint.npz")]
    again = collection_facts(collection)
    facts["reopened"] = scene_facts(scene, collection, *again)
    arrays |= {f"reopened_{key}": value for key, value in measure(scene, *again, frames[:1]).items()}

    closeint_blender.unregister()
    facts["operator_gone"] = not hasattr(bpy.types, "CLOSEINT_OT_import_clip")
    np.savez(folder / "arrays.npz", points=POINTS, **arrays)
    (folder / "facts.json").write_text(json.dumps(facts))


if __name__ == "__main__":
    own = own_arguments()
    run(main, Path(own[0]), Path(own[1]), [int(frame) for frame in own[2].split(",")])
