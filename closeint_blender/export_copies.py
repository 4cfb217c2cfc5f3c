# SPDX-License-Identifier: GPL-3.0-or-later
"""What an export writes: copies of the characters in a scene of their own, as every program reads them alike.

The body's shape is part of the mesh and no shape key (readers clamp weights below 0, or drop them); the motion is one
action an armature with a key on every frame of the clip and nothing besides. The user's scene is not touched.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import bpy
import numpy as np
from mathutils import Matrix

from .dynamic import app_context
from .importer.bones import metres_per_unit
from .importer.fcurves import Channels, write_action
from .importer.pair import PAIR, mesh_of
from .rotations import continuous, matrix_to_quaternion

_TURNED = 1e-6
"""Radians; of bones that turn less in the whole clip no rotation is written."""
_TRAVELLED = 2e-6
"""Metres; joints that stay so near to their place get no keys of location (the rounding of single precision)."""
_SCALED = 1e-5
"""Deviation of a bone's scale from 1 below which it counts as not scaled."""


@dataclass(frozen=True)
class ExportOptions:
    """How the copies are made.

    Attributes:
        first: frame number of the clip's first frame in the file; None: as in the scene.
        metres: lengths in metres; False: in the scene's own unit, for an exporter that converts it.
        tell_apart: end the bones' names with ``_p1``, ``_p2``, ... where there are several people, for formats in
            which the nodes of a file need names of their own.
    """

    first: int | None = None
    metres: bool = True
    tell_apart: bool = False


@dataclass
class _Made:
    """Everything that has to go again, and the names that were lent from the user's data-blocks."""

    blocks: list[Any] = field(default_factory=list)
    renamed: list[tuple[Any, str]] = field(default_factory=list)

    def keep(self, block: Any, name: str | None = None) -> Any:
        """Note a data-block, and give it exactly that name."""
        self.blocks.append(block)
        if name is not None:
            self._name(block, name)
        return block

    def _name(self, block: Any, name: str) -> None:
        collection = _collection_of(block)
        other = next((b for b in collection if b.name == name and b.library is None and b != block), None)
        if other is not None:
            self.renamed.append((other, name))
            other.name = f"{name[:40]} (closeint export)"
        block.name = name

    def remove(self) -> None:
        bpy.data.batch_remove(self.blocks)
        for block, name in self.renamed:
            block.name = name


def _collection_of(block: Any) -> Any:
    kinds = {
        bpy.types.Object: bpy.data.objects,
        bpy.types.Mesh: bpy.data.meshes,
        bpy.types.Armature: bpy.data.armatures,
        bpy.types.Camera: bpy.data.cameras,
        bpy.types.Action: bpy.data.actions,
        bpy.types.Scene: bpy.data.scenes,
    }
    return next(data for kind, data in kinds.items() if isinstance(block, kind))


@contextlib.contextmanager
def scene_of_copies(
    context: Any, armatures: Sequence[Any], extras: Sequence[Any], name: str, options: ExportOptions
) -> Iterator[Any]:
    """A scene with copies of characters inside the block, as the context's scene; nothing of it is left afterwards.

    Args:
        context: Blender's context.
        armatures: the characters, all over the same frames (``frames_of`` the first).
        extras: cameras and meshes that go with them.
        name: of the scene, by which some formats name the animation.
        options: what kind of copies.

    Yields:
        The scene; its range is the clip's.
    """
    source = context.scene
    frames = frames_of(armatures[0])
    first = int(frames[0]) if options.first is None else options.first
    unit = metres_per_unit(source) if options.metres else 1.0
    made = _Made()
    poses = _poses_now()
    try:
        scene = made.keep(bpy.data.scenes.new(name), name)
        _like(scene, source, options.metres)
        with context.temp_override(scene=scene, view_layer=scene.view_layers[0]):
            doubles = [made.keep(ob.copy()) for ob in armatures]
            for double, ob in zip(doubles, armatures, strict=True):
                double.data = made.keep(ob.data.copy())
            others = [made.keep(ob.copy()) for ob in extras]
            for ob in (*doubles, *others):
                _forget(ob)
                scene.collection.objects.link(ob)
            played = _play(scene, doubles, others, frames)
            scene.frame_start, scene.frame_end = first, first + len(frames) - 1
            scene.frame_set(first)
            times = first + np.arange(len(frames), dtype=np.float64)
            names = _tidy_names([ob.name for ob in (*armatures, *extras)])
            several = options.tell_apart and len(armatures) > 1
            for number, (double, ob) in enumerate(zip(doubles, armatures, strict=True)):
                suffix = f"_p{number + 1}" if several else ""
                _bake_armature(made, double, names[number], suffix, played.character(number), times, unit)
                for mesh in _meshes_of(source, ob):
                    _copy_mesh(made, scene, mesh, ob, double, suffix, unit)
            for number, (double, ob) in enumerate(zip(others, extras, strict=True)):
                _bake_extra(made, double, ob, names[len(doubles) + number], played.extra(number), times, unit)
            scene.view_layers[0].update()
            yield scene
    finally:
        made.remove()
        _restore(poses)


def frames_of(armature: Any) -> np.ndarray:
    """(T,) whole scene frames that a character's clip covers."""
    start = float(armature.get("closeint_start_frame", 1))
    count, step = int(armature.get("closeint_frames", 1)), float(armature.get("closeint_frame_step", 1.0))
    return np.arange(np.floor(start), np.floor(start + step * (count - 1) + 1e-6) + 1)


def _like(scene: Any, source: Any, metres: bool) -> None:
    render, model = scene.render, source.render
    for name in ("fps", "fps_base", "resolution_x", "resolution_y", "resolution_percentage"):
        setattr(render, name, getattr(model, name))
    render.pixel_aspect_x, render.pixel_aspect_y = model.pixel_aspect_x, model.pixel_aspect_y
    scene.unit_settings.system = "METRIC"
    scene.unit_settings.scale_length = 1.0 if metres else metres_per_unit(source)


def _tidy_names(names: Sequence[str]) -> list[str]:
    """Names without blanks and dots, which some programs cut or replace; all different."""
    tidy: list[str] = []
    for name in names:
        base = re.sub(r"[\s.]+", "_", name.strip())
        number = 1
        while (new := base if number == 1 else f"{base}_{number}") in tidy:
            number += 1
        tidy.append(new)
    return tidy


_POSE = {"location": 3, "rotation_quaternion": 4, "rotation_euler": 3, "rotation_axis_angle": 4, "scale": 3}


def _poses_now() -> dict[str, dict[str, np.ndarray]]:
    """The channels of every bone in the file, by armature object.

    What a copy depends on (the target of a constraint, say) is evaluated with it, and Blender writes that back.
    """
    found: dict[str, Any] = {}
    for ob in bpy.data.objects:
        if ob.type == "ARMATURE" and ob.pose is not None and ob.library is None:
            found[ob.name] = {path: _channel(ob, path, width) for path, width in _POSE.items()}
    return found


def _channel(ob: Any, path: str, width: int) -> np.ndarray:
    values = np.empty(width * len(ob.pose.bones), np.float32)
    ob.pose.bones.foreach_get(path, values)
    return values


def _restore(poses: dict[str, dict[str, np.ndarray]]) -> None:
    for name, channels in poses.items():
        ob: Any = bpy.data.objects[name]
        for path, values in channels.items():
            if not np.array_equal(_channel(ob, path, _POSE[path]), values):
                ob.pose.bones.foreach_set(path, values)
                ob.update_tag()


# -- what moves ------------------------------------------------------------------------------------------------------


@dataclass
class _Played:
    """What was read while the frames went by.

    Attributes:
        bones: per armature (T, J, 4, 4), poses in its own frame. worlds: per armature (T, 4, 4).
        extras: per other object (T, 4, 4). lenses: per other object (T, 3), lens and shift; empty unless a camera.
    """

    bones: list[np.ndarray]
    worlds: list[np.ndarray]
    extras: list[np.ndarray]
    lenses: list[np.ndarray]

    def character(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        return self.bones[number], self.worlds[number]

    def extra(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        return self.extras[number], self.lenses[number]


def _play(scene: Any, armatures: Sequence[Any], others: Sequence[Any], frames: np.ndarray) -> _Played:
    """Everything that moves the copies (strips, constraints, drivers, parents), frame by frame."""
    bones: list[list[Any]] = [[] for _ in armatures]
    worlds: list[list[Any]] = [[] for _ in armatures]
    extras: list[list[Any]] = [[] for _ in others]
    lenses: list[list[Any]] = [[] for _ in others]
    for frame in frames:
        scene.frame_set(int(frame))
        depsgraph = app_context.evaluated_depsgraph_get()
        for i, ob in enumerate(armatures):
            now = ob.evaluated_get(depsgraph)
            bones[i].append([bone.matrix.copy() for bone in now.pose.bones])
            worlds[i].append(now.matrix_world.copy())
        for i, ob in enumerate(others):
            now = ob.evaluated_get(depsgraph)
            extras[i].append(now.matrix_world.copy())
            if ob.type == "CAMERA":
                lenses[i].append((now.data.lens, now.data.shift_x, now.data.shift_y))

    def arrays(lists: list[list[Any]]) -> list[np.ndarray]:
        return [np.array(one, np.float64) for one in lists]

    return _Played(arrays(bones), arrays(worlds), arrays(extras), arrays(lenses))


def _bake_armature(
    made: _Made,
    ob: Any,
    name: str,
    suffix: str,
    played: tuple[np.ndarray, np.ndarray],
    times: np.ndarray,
    unit: float,
) -> None:
    """Make a copy move by one plain action, from what was read of it; ``suffix``: what its bones' names end with."""
    bones, worlds = played
    _strip(ob)
    _strip(ob.data)
    made._name(ob, name)
    made._name(ob.data, name)
    scale = Matrix.Scale(unit, 4)
    if unit != 1.0:
        ob.data.transform(scale)
    # The object stands still where it is first; what it travels is the roots' motion.
    bones = np.linalg.inv(worlds[0]) @ worlds[:, None] @ bones
    bones[..., :3, 3] *= unit
    place = Matrix(worlds[0].tolist())
    place.translation *= unit
    ob.matrix_world = place
    for bone in ob.pose.bones:
        while bone.constraints:
            bone.constraints.remove(bone.constraints[0])
        bone.rotation_mode = "QUATERNION"
        bone.matrix_basis.identity()
        _strip(bone)
    for bone in ob.data.bones:
        _strip(bone)
        bone.inherit_scale, bone.use_inherit_rotation, bone.use_local_location = "FULL", True, True
        if suffix:
            bone.name = f"{bone.name}{suffix}"
    rest = np.array([bone.matrix_local for bone in ob.data.bones], np.float64)
    index = {bone.name: i for i, bone in enumerate(ob.data.bones)}
    parents = [index[bone.parent.name] if bone.parent else -1 for bone in ob.data.bones]
    channels: list[Channels] = []
    for i, bone in enumerate(ob.data.bones):
        p = parents[i]
        local_rest = rest[i] if p < 0 else np.linalg.inv(rest[p]) @ rest[i]
        local = bones[:, i] if p < 0 else np.linalg.inv(bones[:, p]) @ bones[:, i]
        still = _TRAVELLED / metres_per_unit(app_context.scene)
        channels += _bone_channels(ob.pose.bones[bone.name], np.linalg.inv(local_rest) @ local, still)
    action = write_action(ob, name, channels, times)
    made.keep(action, name)


def _bone_channels(pose_bone: Any, basis: np.ndarray, still: float) -> list[Channels]:
    """The curves of one bone with motion (T, 4, 4) in its own frame; what does not move is set and gets none.

    ``still`` is the length, in the scene's unit, below which it does not travel.
    """
    name = pose_bone.name
    scale = np.linalg.norm(basis[:, :3, :3], axis=1)
    rotation = continuous(matrix_to_quaternion(basis[:, :3, :3] / np.maximum(scale[:, None], 1e-9)))
    found = []
    for path, values, rest, least in (
        ("location", basis[:, :3, 3], 0.0, still),
        ("rotation_quaternion", rotation, (1.0, 0.0, 0.0, 0.0), _TURNED),
        ("scale", scale, 1.0, _SCALED),
    ):
        if np.abs(values - rest).max() <= least:
            continue
        setattr(pose_bone, path, values[0].tolist())
        if np.ptp(values, axis=0).max() > least or path == "rotation_quaternion":
            found.append(Channels(f'pose.bones["{bpy.utils.escape_identifier(name)}"].{path}', values, name))
    return found


def _bake_extra(
    made: _Made,
    ob: Any,
    original: Any,
    name: str,
    played: tuple[np.ndarray, np.ndarray],
    times: np.ndarray,
    unit: float,
) -> None:
    """A camera or a plain mesh, moved by an action of its own if it moves."""
    worlds, lenses = played
    _strip(ob)
    made._name(ob, name)
    ob.data = made.keep(original.data.copy(), name)
    _strip(ob.data)
    worlds[:, :3, 3] *= unit
    place = Matrix(worlds[0].tolist())
    ob.parent = None
    ob.rotation_mode = "QUATERNION"
    if original.type == "CAMERA":
        ob.data.background_images.clear()
        ob.data.show_background_images = False
        ob.data.clip_start, ob.data.clip_end = unit * ob.data.clip_start, unit * ob.data.clip_end
    else:
        ob.data.transform(Matrix.Scale(unit, 4))
    ob.matrix_world = place
    rotation = continuous(matrix_to_quaternion(worlds[:, :3, :3] / np.linalg.norm(worlds[:, :3, :3], axis=1)[:, None]))
    moving = [
        Channels("location", worlds[:, :3, 3], "Transform"),
        Channels("rotation_quaternion", rotation, "Transform"),
    ]
    if any(np.ptp(channel.values, axis=0).max() > _TRAVELLED for channel in moving):
        made.keep(write_action(ob, name, moving, times), name)
    if len(lenses) and np.ptp(lenses, axis=0).max() > 1e-6:
        lens = [
            Channels(path, lenses[:, i : i + 1], "Lens", is_array=False)
            for i, path in enumerate(("lens", "shift_x", "shift_y"))
        ]
        made.keep(write_action(ob.data, f"{name}_Lens", lens, times), f"{name}_Lens")


# -- skins -----------------------------------------------------------------------------------------------------------


def _meshes_of(scene: Any, armature: Any) -> list[Any]:
    """The body of a character, and whatever else in the scene is skinned to it, such as clothes."""
    body = mesh_of(armature)
    skinned = [ob for ob in scene.objects if ob.type == "MESH" and _binding(ob, armature) is not None]
    return ([body] if body is not None else []) + [ob for ob in skinned if ob != body]


def _binding(ob: Any, armature: Any) -> Any:
    return next((m for m in ob.modifiers if m.type == "ARMATURE" and m.object == armature), None)


def _copy_mesh(made: _Made, scene: Any, original: Any, bones_of: Any, armature: Any, suffix: str, unit: float) -> None:
    """A skin at rest, with its shape keys and other modifiers in its points, bound to a copied armature."""
    shaped = made.keep(original.copy())
    _strip(shaped)
    for modifier in [m for m in shaped.modifiers if m.type == "ARMATURE"]:
        shaped.modifiers.remove(modifier)
    scene.collection.objects.link(shaped)
    depsgraph = app_context.evaluated_depsgraph_get()
    evaluated = shaped.evaluated_get(depsgraph)
    mesh = bpy.data.meshes.new_from_object(evaluated, preserve_all_data_layers=True, depsgraph=depsgraph)
    name = _tidy_names([original.name])[0]
    made.keep(mesh, name)
    groups = [group.name for group in original.vertex_groups]
    bpy.data.objects.remove(shaped)
    made.blocks.remove(shaped)
    _strip(mesh)
    colours = mesh.color_attributes.get("contact")
    if colours is not None:
        mesh.color_attributes.remove(colours)
    place = bones_of.matrix_world.inverted() @ original.matrix_world
    mesh.transform(Matrix.Scale(unit, 4) @ place)
    ob = made.keep(bpy.data.objects.new(name, mesh), name)
    scene.collection.objects.link(ob)
    if not ob.vertex_groups:
        for group in groups:
            ob.vertex_groups.new(name=group)
    bones = {bone.name for bone in armature.data.bones}
    for group in ob.vertex_groups:
        if f"{group.name}{suffix}" in bones:
            group.name = f"{group.name}{suffix}"
    ob.parent = armature
    modifier = ob.modifiers.new("Armature", "ARMATURE")
    modifier.object = armature


def _strip(block: Any) -> None:
    """Take off motion, constraints and our properties, which other programs have no use for."""
    if getattr(block, "animation_data", None) is not None:
        block.animation_data_clear()
    _forget(block)
    if isinstance(block, bpy.types.Object):
        block.constraints.clear()
        block.parent = None
        block.hide_render = block.hide_viewport = False


def _forget(block: Any) -> None:
    """Take off our properties; by one of them a copy would depend on the original's skin."""
    for name in [key for key in block.keys() if key.startswith("closeint")]:  # noqa: SIM118 (not a dict)
        del block[name]


def characters_of(scene: Any) -> list[list[Any]]:
    """The characters in a scene, those of one import together and in the order of its people."""
    sets: dict[str, list[Any]] = {}
    for ob in scene.objects:
        if ob.type == "ARMATURE" and PAIR in ob:
            sets.setdefault(str(ob[PAIR]), []).append(ob)
    return [sorted(people, key=lambda ob: int(ob.get("closeint_person", 0))) for people in sets.values()]
