# SPDX-License-Identifier: GPL-3.0-or-later
"""A file with one clip in it: filled and saved."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import bpy

from closeint_core.errors import CloseintError
from closeint_core.files import atomic_path
from closeint_core.provenance import put_mark

from .clip_paths import anchor_clips
from .dynamic import app_context
from .importer.build import import_clip
from .importer.camera_model import frame_rate
from .importer.options import ImportOptions, ImportResult


def fill_scene(
    clip: Path, footage: str = "", options: ImportOptions | None = None, fps: float | None = None
) -> ImportResult:
    """Put the clip and a light into the open, empty file.

    Args:
        clip: a ``*.closeint.npz`` file. footage: instead of the one that the clip names.
        options: of the import. fps: frame rate of the scene, for a timing that does not set it.

    Raises:
        CloseintError: the clip or its body cannot be used.
    """
    # A path given to the command is relative to the current folder.
    options = replace(
        options or ImportOptions(),
        footage_path=str(Path(footage).absolute()) if footage else "",
        set_scene="ALWAYS",  # the file is the clip's own, even where a rate was asked for
    )
    scene = app_context.scene
    if fps is not None:
        scene.render.fps, scene.render.fps_base = frame_rate(fps)
    result = import_clip(bpy.context, clip.absolute(), options)
    scene.frame_set(scene.frame_start)
    _add_light(scene, bpy.data.collections.get(result.collection) or scene.collection)
    return result


def save_scene(blend: Path) -> None:
    """Save the open file, with relative paths, whole or not at all.

    Raises:
        CloseintError: it cannot be written.
    """
    # No .blend1 beside the result.
    app_context.preferences.filepaths.save_version = 0
    with atomic_path(blend.absolute()) as temporary:
        try:
            # Paths become relative only in a file that has a place.
            bpy.ops.wm.save_as_mainfile(filepath=str(temporary), check_existing=False)
            bpy.ops.file.make_paths_relative()
            anchor_clips(str(temporary))
            bpy.ops.wm.save_as_mainfile(filepath=str(temporary), check_existing=False, compress=True)
        except RuntimeError as error:
            raise CloseintError(f"Blender cannot write {blend}: {str(error).strip()}") from error
        put_mark(temporary, "blend")


def _add_light(scene: Any, collection: Any) -> None:
    """A sun and a grey sky, so that a render of the file shows something."""
    light: Any = bpy.data.lights.new("Sun", "SUN")
    light.energy, light.angle = 3.0, 0.1
    sun = bpy.data.objects.new("Sun", light)
    sun.rotation_euler = (0.7, 0.2, 0.6)
    sun.location = (0.0, 0.0, 4.0)
    collection.objects.link(sun)
    world: Any = bpy.data.worlds.new("World")
    world.color = (0.35, 0.35, 0.35)
    if world.node_tree is None:
        world.use_nodes = True
    background = next(node for node in world.node_tree.nodes if node.type == "BACKGROUND")
    background.inputs["Color"].default_value = (0.35, 0.35, 0.35, 1.0)
    scene.world = world
    # The solid view shows the materials' own colours.
    scene.display.shading.color_type = "MATERIAL"
