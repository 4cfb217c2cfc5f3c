# SPDX-License-Identifier: GPL-3.0-or-later
"""A new result on characters that are in the scene already.

Objects, names, materials, modifiers and whatever else the user has made of them stay; the motion becomes a new action,
and bones and skin follow if the new result has other shapes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy
import numpy as np
from mathutils import Vector

from closeint_core.body.data import BodyData
from closeint_core.body.load import load_body
from closeint_core.clip import InteractionClip
from closeint_core.errors import CloseintError

from ..scene_state import edit_mode, preserve_user_state
from .animated_properties import write_series
from .bones import bone_names, units_per_metre
from .build import PlacedClip, PreparedPerson, body_warnings, prepare_person
from .camera import animate_camera
from .camera_model import blender_camera
from .character import SHAPE_KEY_LIMIT, rest_matrices
from .clip_series import clip_depths, imported_series
from .contact_colours import set_colours, touch_colours
from .motion import action_of, is_in_strip, write_motion
from .options import ImportedPerson, ImportResult
from .pair import PAIR, Pair, mesh_of, move, pair_relations
from .rig import pose_channels, stand_up

_SAME_SHAPE = 1e-4
"""Difference of shape coefficients below which bones and skin are left alone."""


def reapply_clip(context: Any, pair: Pair, path: str | Path, swap: bool = False, camera: bool = True) -> ImportResult:
    """Give characters the motion and the shapes of another clip; the clip starts at the same scene frame.

    Args:
        context: Blender's context.
        pair: the characters.
        path: a ``*.closeint.npz`` file with as many people on the same body.
        swap: the clip's people are the other way round.
        camera: move the characters' camera too, if it is there.

    Raises:
        CloseintError: the clip cannot be used, or does not fit the characters. Nothing has been changed then.
    """
    path = Path(bpy.path.abspath(str(path))).absolute()
    clip = InteractionClip.load(path)
    people = pair.objects()
    if clip.people != len(people):
        raise CloseintError(
            f"{path.name} has {clip.people} people, but there are {len(people)} characters.",
            "Choose a clip of the same people, or import it as new characters.",
        )
    worn = str(people[0].get("closeint_body", clip.body))
    if worn != clip.body:
        raise CloseintError(
            f"{path.name} is for the body {clip.body}, the characters have {worn}.", "Import it as new characters."
        )
    body = load_body(clip.body)
    prepared = [prepare_person(clip, body, i) for i in range(clip.people)]
    relations = pair_relations(people)
    view = blender_camera(clip.camera_K, clip.camera_R, clip.camera_t, clip.image_size)
    placed = PlacedClip(path, clip, body, prepared, clip_depths(clip), pair.identity, pair.start, pair.step)
    result = ImportResult(people[0].users_collection[0].name, warnings=body_warnings(clip, body))
    order = list(range(clip.people))[:: -1 if swap else 1]
    with preserve_user_state(context):
        for person, (name, relation) in enumerate(zip(pair.armatures, relations, strict=True)):
            armature = bpy.data.objects[name]
            result.people.append(_reapply_person(context, armature, placed, order[person], relation, result))
            placed.mark(armature, order[person])
            armature["closeint_person"] = person
        if camera:
            for ob in context.scene.objects:
                if ob.type == "CAMERA" and ob.get(PAIR) == pair.identity:
                    animate_camera(ob, view, placed.times(), units_per_metre(people[0]))
                    result.camera = ob.name
    return result


def _reapply_person(
    context: Any,
    armature: Any,
    placed: PlacedClip,
    source: int,
    relation: tuple[np.ndarray, np.ndarray],
    result: ImportResult,
) -> ImportedPerson:
    """One character gets the motion and the shape of the clip's person ``source``.

    Args:
        relation: rotation (3, 3) and offset (3,), metres, of the character's frame in the first one's.
        result: takes warnings.
    """
    mesh, clip, body, person = mesh_of(armature), placed.clip, placed.body, placed.people[source]
    old = np.zeros(len(person.betas))
    known = list(armature["closeint_betas"])[: len(old)]
    old[: len(known)] = known
    if np.abs(old - person.betas).max(initial=0) > _SAME_SHAPE:
        _reshape_bones(context, armature, person)
        if mesh is not None:
            result.warnings += _reshape_skin(mesh, body, old, person, units_per_metre(armature))
    rotation, offset = relation
    poses, transl = move(clip.poses[source], clip.transl[source], person.root_joint, rotation.T, -rotation.T @ offset)
    channels = pose_channels(poses, transl, person.root_joint, rest_matrices(armature))
    before = action_of(armature)
    if before is not None:
        before.use_fake_user = True  # the user may have worked on it
    action = write_motion(armature, armature.name, channels, placed.times(), is_in_strip(armature))
    write_series(armature, imported_series(clip, source, placed.depths), placed.times())
    if mesh is not None and len(mesh.data.vertices) == body.num_vertices and "closeint_overlay" not in mesh:
        set_colours(mesh.data, touch_colours(body.dense_weights, clip.contacts[source].max(0)))
    return ImportedPerson(armature.name, mesh.name if mesh is not None else "", action.name)


def _reshape_bones(context: Any, armature: Any, person: PreparedPerson) -> None:
    """Put the 24 bones where the new shape has its joints; bones the user has added keep their place."""
    layout, unit, names = person.layout, units_per_metre(armature), bone_names(armature)
    with edit_mode(context, armature):
        for i, name in enumerate(names):
            bone = armature.data.edit_bones[name]
            bone.use_connect = False
            bone.head, bone.tail = unit * layout.heads[i], unit * layout.tails[i]
            bone.align_roll(Vector(layout.z_axes[i]))


def _reshape_skin(mesh: Any, body: BodyData, old: np.ndarray, person: PreparedPerson, unit: float) -> list[str]:
    """Set the shape keys, and lift the skin as the bones were; what the user has sculpted stays. Returns warnings."""
    keys = mesh.data.shape_keys
    names = [f"Shape{i:03d}" for i in range(len(person.betas))]
    if keys is None or any(name not in keys.key_blocks for name in names):
        return [f"{mesh.name} has lost its shape keys, so its skin keeps its shape while the bones get a new one."]
    values = np.clip(person.betas, -SHAPE_KEY_LIMIT, SHAPE_KEY_LIMIT)
    for name, value in zip(names, values, strict=True):
        keys.key_blocks[name].value = float(value)
    # What lies beyond the keys' limits, and the height over the floor, are part of every key.
    beyond = (person.betas - values) - (old - np.clip(old, -SHAPE_KEY_LIMIT, SHAPE_KEY_LIMIT))
    old_lift = -float(body.rest(old)[0][:, 1].min())
    count = len(mesh.data.vertices)
    shift = np.zeros((count, 3), np.float32)
    shift[:, 2] = person.layout.lift - old_lift
    if np.any(beyond) and count == body.num_vertices:
        shift += stand_up(body.shapedirs[:, :, : len(beyond)] @ beyond)
    for key in keys.key_blocks:
        points = np.empty(count * 3, np.float32)
        key.points.foreach_get("co", points)
        key.points.foreach_set("co", (points.reshape(-1, 3) + unit * shift).reshape(-1))
    mesh.data.update()
    return []
