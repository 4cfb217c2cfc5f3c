# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs in a Blender: which footage frame does the camera's background show?

    measure_footage.py OUT.json FRAMES CLIP...

A background has no pixels of its own in a render, so a plane in front of a second camera shows the same image with
the same image user; the mean brightness (0 to 1, unmanaged) at each scene frame of FRAMES is written to OUT.json,
a report a clip.
"""

import json
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT))

import bpy  # noqa: E402
import numpy as np  # noqa: E402

from closeint_blender.importer.build import import_clip  # noqa: E402
from closeint_blender.importer.options import ImportOptions  # noqa: E402

START_FRAME = 5


def show(background):
    """A plane that fills the view with the background's image."""
    bpy.ops.mesh.primitive_plane_add(size=2)
    material = bpy.data.materials.new("Screen")
    if material.node_tree is None:
        material.use_nodes = True
    nodes, links = material.node_tree.nodes, material.node_tree.links
    nodes.clear()
    texture, emission, output = (
        nodes.new(kind) for kind in ("ShaderNodeTexImage", "ShaderNodeEmission", "ShaderNodeOutputMaterial")
    )
    texture.image = background.image
    texture.image.colorspace_settings.name = "Non-Color"
    for name in ("frame_start", "frame_duration", "frame_offset", "use_auto_refresh"):
        setattr(texture.image_user, name, getattr(background.image_user, name))
    links.new(texture.outputs["Color"], emission.inputs["Color"])
    links.new(emission.outputs["Emission"], output.inputs["Surface"])
    bpy.context.object.data.materials.append(material)
    camera = bpy.data.objects.new("View", bpy.data.cameras.new("View"))
    camera.data.type = "ORTHO"
    camera.data.ortho_scale = 1
    camera.location.z = 1
    bpy.context.scene.collection.objects.link(camera)
    return camera


def brightness(scene, frame, folder):
    scene.frame_set(frame)
    scene.render.filepath = str(Path(folder) / f"{frame}.png")
    bpy.ops.render.render(write_still=True)
    image = bpy.data.images.load(scene.render.filepath)
    image.colorspace_settings.name = "Non-Color"
    pixels = np.array(image.pixels[:]).reshape(-1, 4)
    return float(pixels[:, :3].mean())


def report_of(clip, frames):
    bpy.ops.wm.read_factory_settings(use_empty=True)
    result = import_clip(bpy.context, clip, ImportOptions(start_frame=START_FRAME))
    camera = bpy.data.objects[result.camera]
    report = {"warnings": result.warnings, "backgrounds": len(camera.data.background_images)}
    if camera.data.background_images:
        report["display_aspect"] = list(camera.data.background_images[0].image.display_aspect)
        for ob in list(bpy.data.objects):
            ob.hide_render = True
        scene = bpy.context.scene
        scene.camera = show(camera.data.background_images[0])
        scene.render.engine = "CYCLES"
        scene.cycles.samples = 1
        scene.cycles.use_denoising = False  # Debian's Blender has no denoiser
        scene.render.resolution_x = scene.render.resolution_y = 8
        scene.view_settings.view_transform = "Raw"
        with tempfile.TemporaryDirectory() as folder:
            report["brightness"] = [brightness(scene, frame, folder) for frame in frames]
    return report


if __name__ == "__main__":
    own = sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else sys.argv[1:]
    wanted = [int(frame) for frame in own[1].split(",")]
    Path(own[0]).write_text(json.dumps([report_of(clip, wanted) for clip in own[2:]]))
