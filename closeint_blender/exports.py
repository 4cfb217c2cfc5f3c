# SPDX-License-Identifier: GPL-3.0-or-later
"""The open scene in the files of other programs, by Blender's own exporters."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import bpy

from closeint_core.errors import CloseintError
from closeint_core.files import atomic_path


def _fbx(path: str) -> None:
    bpy.ops.export_scene.fbx(
        filepath=path,
        object_types={"ARMATURE", "MESH", "CAMERA"},
        add_leaf_bones=False,
        bake_anim_use_all_actions=False,
        bake_anim_use_nla_strips=False,
        bake_anim_simplify_factor=0.0,  # the motion as it is
        colors_type="NONE",  # some programs would show the contacts' colours instead of the materials'
    )


def _glb(path: str) -> None:
    options: dict[str, Any] = {"export_vertex_color": "NONE", "export_all_vertex_colors": False}
    known = bpy.ops.export_scene.gltf.get_rna_type().properties.keys()
    options = {name: value for name, value in options.items() if name in known}
    bpy.ops.export_scene.gltf(filepath=path, export_format="GLB", export_cameras=True, **options)


def _usd(path: str) -> None:
    options: dict[str, Any] = {"export_animation": True, "export_textures": False, "export_textures_mode": "KEEP"}
    options["convert_world_material"] = False
    # Their names changed between versions.
    known = bpy.ops.wm.usd_export.get_rna_type().properties.keys()
    bpy.ops.wm.usd_export(filepath=path, **{name: value for name, value in options.items() if name in known})


EXPORTERS: dict[str, tuple[str, str, Callable[[str], Any]]] = {
    "fbx": (".fbx", "export_scene.fbx", _fbx),
    "glb": (".glb", "export_scene.gltf", _glb),
    "usd": (".usdc", "wm.usd_export", _usd),
}
"""Format: suffix, the operator it needs, the function that writes it."""


def require_exporter(kind: str) -> None:
    """See that this Blender can write a format.

    Raises:
        CloseintError: it cannot.
    """
    module, name = EXPORTERS[kind][1].split(".")
    # A missing operator's attribute exists all the same; dir tells.
    if name not in dir(getattr(bpy.ops, module)):
        raise CloseintError(
            f"This Blender cannot write {kind.upper()}.",
            "Enable its exporter in Preferences > Add-ons, or use a Blender that was built with it.",
        )


def export_scene(path: Path, kind: str) -> None:
    """Write the scene, whole or not at all.

    Args:
        path: file to write.
        kind: ``fbx``, ``glb`` or ``usd``.

    Raises:
        CloseintError: this Blender lacks the exporter, or it fails.
    """
    require_exporter(kind)
    _, _, write = EXPORTERS[kind]
    with atomic_path(path.absolute()) as temporary:
        try:
            write(str(temporary))
        except RuntimeError as error:
            raise CloseintError(f"Blender cannot write {path}: {str(error).strip()}") from error
        if temporary.stat().st_size == 0:
            raise CloseintError(f"Blender's exporter wrote nothing to {path}.")
