# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs in a Blender: imports into scenes that people really have, and writes down what is there afterwards.

    measure_scenes.py FOLDER

FOLDER has one.closeint.npz and two.closeint.npz, and in ``hostile`` clips that are wrong in every way. Writes
FOLDER/facts.json and FOLDER/arrays.npz.
"""

import json
import shutil
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
from closeint_blender.exports import export_scene  # noqa: E402
from closeint_blender.importer.bones import bone_names  # noqa: E402
from closeint_blender.importer.pair import find_pair, pose_now, read_pair, write_pair  # noqa: E402
from closeint_core.errors import CloseintError  # noqa: E402

FRAMES = (0, 3, 5)
POINTS = np.random.default_rng(0).normal(0, 0.5, (20, 3)) + np.array([0, 0, 1])


def fresh():
    bpy.ops.wm.read_homefile(use_factory_startup=True)
    return bpy.context.scene


def load(clip, **options):
    return bpy.ops.closeint.import_clip(filepath=str(clip), footage=False, **options)


def said(operator, **options):
    """What an operator reported as an error; empty if it did not."""
    try:
        operator(**options)
    except RuntimeError as error:
        return str(error).strip()
    return ""


def counts():
    kinds = ("objects", "meshes", "armatures", "actions", "cameras", "materials", "images", "collections")
    return [len(getattr(bpy.data, kind)) for kind in kinds]


def heads_of(pair, frames):
    found = []
    for frame in frames:
        bpy.context.scene.frame_set(int(pair.start) + frame)
        found.append([[list(ob.matrix_world @ ob.pose.bones[n].head) for n in bone_names(ob)] for ob in pair.objects()])
    return np.array(found)


def skins_of(pair):
    depsgraph = bpy.context.evaluated_depsgraph_get()
    found = []
    for ob in pair.meshes():
        now = ob.evaluated_get(depsgraph)
        co = np.empty(3 * len(now.data.vertices), np.float32)
        now.data.vertices.foreach_get("co", co)
        world = np.array(now.matrix_world)
        found.append(co.reshape(-1, 3) @ world[:3, :3].T + world[:3, 3])
    return np.array(found)


def hidden(clip):
    """Import while the active object is in a mode and hidden, in every way in which things are hidden."""
    facts = {}
    for mode in ("SCULPT", "EDIT"):
        for way in ("eye", "viewport", "collection", "layer", "excluded"):
            scene = fresh()
            cube, layer = bpy.data.objects["Cube"], bpy.context.view_layer
            layer.objects.active = cube
            bpy.ops.object.mode_set(mode=mode)
            home = layer.layer_collection.children[0]
            if way == "eye":
                cube.hide_set(True)
            elif way == "viewport":
                cube.hide_viewport = True
            elif way == "collection":
                home.collection.hide_viewport = True
            elif way == "layer":
                home.hide_viewport = True
            else:
                home.exclude = True
            layer.update()
            before = [cube.mode, cube.hide_viewport, home.hide_viewport, len(scene.collection.objects), layer_active()]
            error = said(load, clip=clip)
            cube = bpy.data.objects["Cube"]
            home = bpy.context.view_layer.layer_collection.children[0]
            after = [cube.mode, cube.hide_viewport, home.hide_viewport, len(scene.collection.objects), layer_active()]
            people = len([ob for ob in bpy.data.objects if ob.type == "ARMATURE"])
            facts[f"{mode} {way}"] = {"error": error, "before": before, "after": after, "people": people}
    # Into a collection that is hidden itself.
    fresh()
    layer = bpy.context.view_layer
    layer.active_layer_collection = layer.layer_collection.children[0]
    layer.layer_collection.children[0].collection.hide_viewport = True
    error = said(load, clip=clip, own_collection=False)
    facts["into hidden"] = {"error": error, "people": len([ob for ob in bpy.data.objects if ob.type == "ARMATURE"])}
    return facts


def layer_active():
    active = bpy.context.view_layer.objects.active
    return active.name if active else None


def centimetres(one, two):
    """A scene whose unit is a centimetre."""
    scene = fresh()
    scene.unit_settings.scale_length = 0.01
    load(one, floor=True)
    pair = find_pair(bpy.context)
    arrays = {"heads": heads_of(pair, FRAMES), "skins": skins_of(pair)}
    now, motion = pose_now(pair), read_pair(pair)
    arrays |= {"now_transl": now.transl, "transl": motion.transl, "poses": motion.poses}
    camera = scene.camera
    seen = np.array([world_to_camera_view(scene, camera, Vector(100 * p)) for p in POINTS])
    arrays["pixels"] = np.stack(
        [seen[:, 0] * scene.render.resolution_x, (1 - seen[:, 1]) * scene.render.resolution_y], axis=1
    )
    floor = next(ob for ob in scene.objects if ob.name.endswith("Floor"))
    facts = {"floor": list(floor.dimensions), "clip": [camera.data.clip_start, camera.data.clip_end]}
    # Moved by its object, read and written again, a constraint makes the scene play instead of reading curves.
    for ob in pair.objects():
        ob.location = (100.0, 0.0, 0.0)
    bpy.context.view_layer.update()
    write_pair(pair, read_pair(pair))
    arrays["moved"] = heads_of(pair, FRAMES)
    constraint = pair.objects()[0].pose.bones["head"].constraints.new("LIMIT_ROTATION")
    arrays["played"] = read_pair(pair).transl
    pair.objects()[0].pose.bones["head"].constraints.remove(constraint)
    facts["edits"] = said(bpy.ops.closeint.to_floor, level=False)
    facts["reapplied"] = said(bpy.ops.closeint.reapply_clip, filepath=str(two))
    for ob in pair.objects():
        ob.location = (0.0, 0.0, 0.0)
    arrays["reapplied"] = heads_of(pair, FRAMES)
    arrays["reapplied_skins"] = skins_of(pair)
    return facts, arrays


def settings(scene):
    render = scene.render
    return {
        "rate": render.fps / render.fps_base,
        "range": [scene.frame_start, scene.frame_end],
        "size": [render.resolution_x, render.resolution_y],
        "camera": scene.camera.name if scene.camera else None,
    }


def shots(clip):
    """What an import does to the scene it comes into."""
    facts = {}
    scene = fresh()
    load(clip)
    facts["untouched"] = settings(scene)
    scene = fresh()
    scene.render.fps, scene.frame_start, scene.frame_end = 25, 10, 90
    scene.render.resolution_x, scene.render.resolution_y = 1280, 720
    bpy.data.objects["Camera"].location = (1, -2, 3)
    before = settings(scene)
    load(clip, start_frame=10)
    pair = find_pair(bpy.context)
    facts["shot"] = [before, settings(scene), pair.step, pair.start]
    load(clip, set_scene="ALWAYS")
    facts["asked"] = settings(scene)
    scene = fresh()
    bpy.data.objects["Cube"].keyframe_insert("location", frame=5)
    before = settings(scene)
    load(clip)
    facts["animated"] = [before, settings(scene)]
    scene = fresh()
    before = settings(scene)
    load(clip, set_scene="NEVER", timing="FRAMES")
    facts["never"] = [before, settings(scene), find_pair(bpy.context).step]
    return facts


def loads():
    try:
        return find_pair(bpy.context).load().frames
    except CloseintError as error:
        return str(error)


def stored():
    return sorted({str(ob["closeint_clip"]) for ob in bpy.data.objects if "closeint_clip" in ob})


def moved(clip, folder):
    """A project's folder that is moved, and files that are saved elsewhere."""
    project = folder / "project"
    (project / "clips").mkdir(parents=True)
    (project / "scenes").mkdir()
    shutil.copy(clip, project / "clips" / "a.closeint.npz")
    fresh()
    load(project / "clips" / "a.closeint.npz")
    facts = {"unsaved": stored()}
    bpy.ops.wm.save_as_mainfile(filepath=str(project / "scenes" / "shot.blend"))
    facts["saved"] = stored()
    bpy.ops.wm.save_as_mainfile(filepath=str(project / "copy.blend"), copy=True)
    facts["after_copy"] = [stored(), loads()]
    bpy.ops.wm.save_as_mainfile(filepath=str(project / "second.blend"))
    facts["second"] = [stored(), loads()]
    project.rename(folder / "elsewhere")
    project = folder / "elsewhere"
    for name in ("scenes/shot", "copy", "second"):
        bpy.ops.wm.open_mainfile(filepath=str(project / f"{name}.blend"))
        facts[f"moved {name}"] = [stored(), loads()]
    # A file of an older version, which has the whole path, beside its clip.
    for ob in bpy.data.objects:
        if "closeint_clip" in ob:
            ob["closeint_clip"] = "C:\\Users\\somebody\\project\\a.closeint.npz"
    facts["gone"] = loads()
    shutil.copy(clip, project / "a.closeint.npz")
    facts["beside"] = loads()
    return facts


def renamed(one, two):
    """Bones that the user calls by other names."""
    fresh()
    load(one)
    pair = find_pair(bpy.context)
    before = read_pair(pair)
    for ob in pair.objects():
        for old, new in (
            ("pelvis", "Hips"),
            ("left_elbow", 'Fore"arm.L'),
            ("left_foot", "toe"),
            ("left_ankle", "left_foot"),
        ):
            ob.data.bones[old].name = new
    pair = find_pair(bpy.context)
    after = read_pair(pair)
    facts = {"found": pair is not None, "same": bool(np.allclose(before.poses, after.poses, atol=1e-6))}
    # While their collection is in none of the view layer.
    home = next(c for c in bpy.context.view_layer.layer_collection.children if c.name == "one")
    home.exclude = True
    facts["reapplied"] = said(bpy.ops.closeint.reapply_clip, filepath=str(two))
    facts["excluded"] = home.exclude
    home.exclude = False
    facts["smoothed"] = said(bpy.ops.closeint.smooth, strength=0.0)
    heads = heads_of(pair, FRAMES)
    return facts, {"renamed": heads}


def linked(folder):
    """Characters of another file, and a collection of one."""
    fresh()
    load(folder / "one.closeint.npz")
    name = find_pair(bpy.context).armatures[0]
    library = folder / "library.blend"
    bpy.ops.wm.save_as_mainfile(filepath=str(library))
    scene = fresh()
    with bpy.data.libraries.load(str(library), link=True) as (there, here):
        here.collections = [n for n in there.collections if n == "one"]
    scene.collection.children.link(here.collections[0])
    facts = {"armature": name}
    before = counts()
    for operator in ("smooth", "to_floor", "measure"):
        facts[operator] = said(getattr(bpy.ops.closeint, operator))
    facts["reapply"] = said(bpy.ops.closeint.reapply_clip, filepath=str(folder / "two.closeint.npz"))
    layer = bpy.context.view_layer
    layer.active_layer_collection = next(
        c for c in layer.layer_collection.children if c.collection == here.collections[0]
    )
    facts["into"] = said(load, clip=folder / "one.closeint.npz", own_collection=False)
    facts["unchanged"] = counts() == before
    facts["exported"] = [path.name for path in export_scene(folder / "linked.glb", "glb")]
    facts["after_export"] = counts() == before
    return facts


def hostile(folder):
    """Clips that are wrong in every way: a sentence, or a clip; never half of one."""
    fresh()
    facts = {}
    for path in sorted(folder.iterdir()):
        before, scene = counts(), settings(bpy.context.scene)
        error = said(load, clip=path)
        same = counts() == before and settings(bpy.context.scene) == scene
        facts[path.name] = [error, same]
        if not error:
            fresh()
    return facts


def main(folder):
    closeint_blender.register()
    one, two = folder / "one.closeint.npz", folder / "two.closeint.npz"
    facts, arrays = {"hidden": hidden(one), "shots": shots(one)}, {}
    facts["centimetres"], arrays = centimetres(one, two)
    facts["renamed"], more = renamed(one, two)
    arrays |= more
    facts["linked"] = linked(folder)
    facts["moved"] = moved(one, folder)
    facts["hostile"] = hostile(folder / "hostile")
    np.savez(folder / "arrays.npz", points=POINTS, **arrays)
    (folder / "facts.json").write_text(json.dumps(facts))


if __name__ == "__main__":
    own = own_arguments()
    run(main, Path(own[0]))
