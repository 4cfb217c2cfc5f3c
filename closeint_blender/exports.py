# SPDX-License-Identifier: GPL-3.0-or-later
"""The characters in the files of other programs, by Blender's own exporters."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bpy

from closeint_core.errors import CloseintError
from closeint_core.files import atomic_path
from closeint_core.provenance import put_mark

from .export_copies import ExportOptions, characters_of, scene_of_copies
from .glb import tidy_glb
from .importer.pair import PAIR
from .scene_state import preserve_user_state


def _known(operator: Any, options: dict[str, Any]) -> dict[str, Any]:
    """The options that this Blender's operator has: names change between versions."""
    known = operator.get_rna_type().properties.keys()
    return {name: value for name, value in options.items() if name in known}


def _fbx(path: str, _scene: Any) -> None:
    bpy.ops.export_scene.fbx(
        filepath=path,
        object_types={"ARMATURE", "MESH", "CAMERA"},
        add_leaf_bones=False,
        bake_anim_use_all_actions=False,
        bake_anim_use_nla_strips=False,
        # Channels that stand still get no keys; of the rest a key is left out only where it says nothing
        # (0.001: a millionth of the value).
        bake_anim_use_all_bones=False,
        bake_anim_force_startend_keying=False,
        bake_anim_simplify_factor=0.001,
        colors_type="NONE",
    )


def _glb(path: str, scene: Any) -> None:
    options = {
        "use_active_scene": True,
        "export_cameras": True,
        "export_morph": False,
        "export_vertex_color": "NONE",
        "export_all_vertex_colors": False,
        # Everything that moves in one animation: players show one.
        "export_animation_mode": "ACTIVE_ACTIONS",
        "export_nla_strips_merged_animation_name": scene.name,
        "export_frame_range": True,
        "export_optimize_animation_size": True,
        "export_optimize_animation_keep_anim_armature": False,
    }
    operator = bpy.ops.export_scene.gltf
    operator(filepath=path, export_format="GLB", **_known(operator, options))
    render = scene.render
    tidy_glb(Path(path), (scene.frame_end - scene.frame_start) * render.fps_base / render.fps)


def _usd(path: str, _scene: Any) -> None:
    options = {
        "export_animation": True,
        "export_shapekeys": False,
        "export_custom_properties": False,
        "export_textures": False,
        "export_textures_mode": "KEEP",
        "convert_world_material": False,
        "export_lights": False,
    }
    operator = bpy.ops.wm.usd_export
    operator(filepath=path, **_known(operator, options))


@dataclass(frozen=True)
class Exporter:
    """A format.

    Attributes:
        suffix: of its files. operator: that it needs. copies: what kind of copies it is given.
        write: a path and the scene of copies, which is the context's, to the file.
    """

    suffix: str
    operator: str
    copies: ExportOptions
    write: Callable[[str, Any], None]


EXPORTERS: dict[str, Exporter] = {
    # FBX and GLB know no first frame: what is written late starts with nothing. FBX converts the scene's unit.
    "fbx": Exporter(".fbx", "export_scene.fbx", ExportOptions(first=0, metres=False, tell_apart=True), _fbx),
    "glb": Exporter(".glb", "export_scene.gltf", ExportOptions(first=0, tell_apart=True), _glb),
    "usd": Exporter(".usdc", "wm.usd_export", ExportOptions(), _usd),
}


def require_exporter(kind: str) -> None:
    """See that this Blender can write a format.

    Raises:
        CloseintError: it cannot.
    """
    module, name = EXPORTERS[kind].operator.split(".")
    # A missing operator's attribute exists all the same; dir tells.
    if name not in dir(getattr(bpy.ops, module)):
        raise CloseintError(
            f"This Blender cannot write {kind.upper()}.",
            "Enable its exporter in Preferences > Add-ons, or use a Blender that was built with it.",
        )


def export_scene(
    path: Path, kind: str, context: Any = None, characters: Sequence[Any] = (), each: bool = False
) -> list[Path]:
    """Write characters with their camera and floor, whole or not at all; the scene stays as it is.

    The body's shape is in the mesh and the bones; FBX and GLB start at time 0, USD at the scene's frame.

    Args:
        path: file to write.
        kind: ``fbx``, ``glb`` or ``usd``.
        context: Blender's context; None: the present one.
        characters: armature objects; none: all characters of the scene.
        each: a file for each person, ``path`` with ``_p1``, ``_p2``, ... before its suffix, and no camera in them.

    Returns:
        The files.

    Raises:
        CloseintError: there are no characters, this Blender lacks the exporter, or it fails.
    """
    require_exporter(kind)
    context = context or bpy.context
    people = list(characters) or [ob for some in characters_of(context.scene) for ob in some]
    if not people:
        raise CloseintError("There are no characters of a clip in the scene.", "Import a clip first.")
    path = path.absolute()
    if each and len(people) > 1:
        files = [path.with_name(f"{path.stem}_p{number + 1}{path.suffix}") for number in range(len(people))]
        for file, person in zip(files, people, strict=True):
            _export(file, kind, context, [person], [])
        return files
    identities = {ob.get(PAIR) for ob in people}
    extras = [
        ob
        for ob in context.scene.objects
        if ob.get(PAIR) in identities and (ob.type == "CAMERA" or (ob.type == "MESH" and ob.parent is None))
    ]
    _export(path, kind, context, people, extras)
    return [path]


def _export(path: Path, kind: str, context: Any, people: Sequence[Any], extras: Sequence[Any]) -> None:
    exporter = EXPORTERS[kind]
    window = context.window
    shown = window.scene if window is not None else None
    active = context.view_layer.objects.active
    # What is being edited or sculpted is evaluated otherwise; a pose may stay.
    editing = active is not None and active.mode not in ("OBJECT", "POSE")
    with (
        preserve_user_state(context) if editing else contextlib.nullcontext(),
        atomic_path(path) as temporary,
        scene_of_copies(context, people, extras, path.stem, exporter.copies) as scene,
    ):
        try:
            exporter.write(str(temporary), scene)
        except RuntimeError as error:
            raise CloseintError(f"Blender cannot write {path}: {str(error).strip()}") from error
        finally:
            # The exporter of glTF shows its scene in the window.
            if shown is not None and window.scene != shown:
                window.scene = shown
        if temporary.stat().st_size == 0:
            raise CloseintError(f"Blender's exporter wrote nothing to {path}.")
        put_mark(temporary, kind)
