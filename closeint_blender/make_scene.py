# SPDX-License-Identifier: GPL-3.0-or-later
"""From a clip to a .blend without a window.

    python -m closeint_blender.make_scene CLIP --blend OUT.blend       (a Python with bpy)
    blender --background --python closeint_blender/make_scene.py -- CLIP --blend OUT.blend

Exit codes: 0 done; 2 bad usage or input, 3 a needed model is missing, each with one sentence on stderr.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

if not __package__:  # run as a file, by Blender
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

try:
    import bpy
except ImportError:
    sys.exit("make_scene: this Python has no bpy. Use a Python with bpy, or blender --background --python.")

from closeint_blender.importer.build import import_clip
from closeint_blender.importer.options import ImportOptions, ImportResult
from closeint_core.errors import CloseintError
from closeint_core.files import atomic_path


def make_scene(clip: Path, blend: Path, footage: str = "", start_frame: int = 1) -> ImportResult:
    """Replace the open file by a new one with the clip and a light, and save it.

    Args:
        clip: ``*.closeint.npz``.
        blend: the file to write; the footage is named relative to it.
        footage: a video or image folder to use instead of the one the clip names.
        start_frame: scene frame of the clip's first frame.

    Raises:
        CloseintError: the clip or its body cannot be used, or the file cannot be written.
    """
    bpy.ops.wm.read_factory_settings(use_empty=True)
    # A path given to the command is relative to the current folder.
    options = ImportOptions(start_frame=start_frame, footage_path=str(Path(footage).absolute()) if footage else "")
    result = import_clip(bpy.context, clip.absolute(), options)
    scene = bpy.context.scene
    scene.frame_set(scene.frame_start)
    _add_light(scene, bpy.data.collections[result.collection])
    # No .blend1 beside the result.
    bpy.context.preferences.filepaths.save_version = 0
    with atomic_path(blend.absolute()) as temporary:
        try:
            # Paths become relative only in a file that has a place.
            bpy.ops.wm.save_as_mainfile(filepath=str(temporary), check_existing=False)
            bpy.ops.file.make_paths_relative()
            bpy.ops.wm.save_as_mainfile(filepath=str(temporary), check_existing=False, compress=True)
        except RuntimeError as error:
            raise CloseintError(f"Blender cannot write {blend}: {str(error).strip()}") from error
    return result


def _add_light(scene: Any, collection: Any) -> None:
    """A sun and a grey sky, so that a render of the file shows something."""
    light = bpy.data.lights.new("Sun", "SUN")
    light.energy, light.angle = 3.0, 0.1
    sun = bpy.data.objects.new("Sun", light)
    sun.rotation_euler = (0.7, 0.2, 0.6)
    sun.location = (0.0, 0.0, 4.0)
    collection.objects.link(sun)
    world = bpy.data.worlds.new("World")
    world.color = (0.35, 0.35, 0.35)
    if world.node_tree is None:
        world.use_nodes = True
    background = next(node for node in world.node_tree.nodes if node.type == "BACKGROUND")
    background.inputs["Color"].default_value = (0.35, 0.35, 0.35, 1.0)
    scene.world = world
    # The solid view shows the materials' own colours.
    scene.display.shading.color_type = "MATERIAL"


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; see the module's docstring."""
    parser = argparse.ArgumentParser(prog="make_scene", description="Make a .blend from a closeint clip.")
    parser.add_argument("clip", type=Path, help="*.closeint.npz")
    parser.add_argument("--blend", type=Path, required=True, help="the file to write")
    parser.add_argument("--footage", default="", help="video or image folder, instead of the one the clip names")
    parser.add_argument("--start-frame", type=int, default=1, help="scene frame of the first frame (default 1)")
    options = parser.parse_args(arguments)
    try:
        result = make_scene(options.clip, options.blend, options.footage, options.start_frame)
    except CloseintError as error:
        print(f"make_scene: {error}", file=sys.stderr)
        return error.exit_code
    for warning in result.warnings:
        print(f"make_scene: warning: {warning}", file=sys.stderr)
    print(options.blend)
    return 0


if __name__ == "__main__":
    # Blender keeps its own arguments in front of "--".
    own = sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else sys.argv[1:]
    sys.exit(main(own))
