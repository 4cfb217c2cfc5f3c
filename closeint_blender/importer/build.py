# SPDX-License-Identifier: GPL-3.0-or-later
"""A clip file becomes a collection in the scene."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bpy
import numpy as np

from closeint_core.body.data import JOINT_NAMES, BodyData, load_body
from closeint_core.clip import SUFFIX, InteractionClip
from closeint_core.errors import CloseintError

from ..scene_state import preserve_user_state
from .camera import add_background, make_camera
from .camera_model import BlenderCamera, blender_camera, frame_rate
from .character import SHAPE_KEY_LIMIT, make_armature, make_mesh, rest_matrices
from .fcurves import Channels, write_action
from .footage import Footage, find_footage
from .options import ImportedPerson, ImportOptions, ImportResult
from .rig import BoneLayout, lay_out_bones, pose_channels

_LONGEST_NAME = 40
"""Of Blender's 63 bytes, so that what is added to a clip's name still fits."""


@dataclass(frozen=True)
class _Person:
    """What is computed of one person before the scene is touched."""

    betas: np.ndarray
    root_joint: np.ndarray
    layout: BoneLayout


def import_clip(context: Any, path: str | Path, options: ImportOptions | None = None) -> ImportResult:
    """Build the people, the camera and the footage of a clip in the current scene.

    Works in any mode and in background. Everything goes into a new collection named after the clip; the user's
    selection, mode and frame stay. Nothing is made when the clip cannot be read.

    Args:
        context: Blender's context.
        path: a ``*.closeint.npz`` file.
        options: what to import.

    Returns:
        Names of what was made, and warnings.

    Raises:
        CloseintError: the clip or its body cannot be used.
    """
    options = options or ImportOptions()
    path = Path(bpy.path.abspath(str(path)))
    clip = InteractionClip.load(path)
    body = load_body(clip.body)
    people = [_prepare(clip, body, i) for i in range(clip.people)]
    camera = blender_camera(clip.camera_K, clip.camera_R, clip.camera_t, clip.image_size)

    name = path.name.removesuffix(SUFFIX).removesuffix(".npz")[:_LONGEST_NAME] or "Clip"
    with preserve_user_state(context):
        collection = bpy.data.collections.new(name)
        context.scene.collection.children.link(collection)
        result = ImportResult(collection.name, warnings=_body_warnings(clip, body))
        collection["closeint_clip"] = str(path)
        frames = np.arange(clip.frames) + options.start_frame
        for i, person in enumerate(people):
            result.people.append(_build_person(context, collection, clip, body, person, i, path, frames))
        if options.camera:
            result.warnings += camera.warnings
            ob = make_camera(collection, f"{collection.name} Camera", camera, frames)
            result.camera = ob.name
            context.scene.camera = ob
            if options.footage:
                result.warnings += _add_footage(ob, clip, path, options)
        if options.set_scene:
            _set_scene(context.scene, clip, camera if options.camera else None, options.start_frame)
    return result


def _prepare(clip: InteractionClip, body: BodyData, person: int) -> _Person:
    joints_of_clip, joints_of_body = clip.poses.shape[2], len(body.parents)
    if joints_of_clip != joints_of_body or joints_of_body != len(JOINT_NAMES):
        raise CloseintError(f"The clip has {joints_of_clip} joints, but its body {body.name} has {joints_of_body}.")
    available = body.shapedirs.shape[2]
    if clip.betas.shape[1] > available:
        raise CloseintError(
            f"The clip has {clip.betas.shape[1]} shape coefficients, but its body {body.name} has {available}."
        )
    betas = np.zeros(available)
    betas[: clip.betas.shape[1]] = clip.betas[person]
    vertices, joints = body.rest(betas)
    # The rest pose stands on the floor.
    layout = lay_out_bones(joints, JOINT_NAMES, body.parents, lift=-float(vertices[:, 1].min()))
    return _Person(betas, np.asarray(joints[0]), layout)


def _body_warnings(clip: InteractionClip, body: BodyData) -> list[str]:
    warnings = []
    if body.posedirs is not None and np.any(body.posedirs):
        warnings.append(
            f"The pose-dependent corrections of the body {body.name} are left out: the mesh is skinned only, "
            "and may differ by some millimetres near strongly bent joints."
        )
    if np.abs(clip.betas).max(initial=0.0) > SHAPE_KEY_LIMIT:
        warnings.append(
            f"A shape coefficient exceeds {SHAPE_KEY_LIMIT:g}, Blender's limit of a shape key; "
            "the rest of it is part of the basis shape."
        )
    return warnings


def _build_person(
    context: Any,
    collection: Any,
    clip: InteractionClip,
    body: BodyData,
    person: _Person,
    index: int,
    path: Path,
    frames: np.ndarray,
) -> ImportedPerson:
    name = f"{collection.name} Person {index + 1}"
    armature = make_armature(context, collection, name, person.layout, JOINT_NAMES, body.parents, index)
    mesh = make_mesh(collection, f"{name} Body", body, JOINT_NAMES, person.betas, armature, person.layout.lift, index)
    channels = pose_channels(
        clip.poses[index], clip.transl[index], person.root_joint, rest_matrices(armature, JOINT_NAMES)
    )
    curves = [Channels(f'pose.bones["{JOINT_NAMES[0]}"].location', channels.root_location, JOINT_NAMES[0])]
    curves += [
        Channels(f'pose.bones["{bone}"].rotation_quaternion', channels.rotations[:, j], bone)
        for j, bone in enumerate(JOINT_NAMES)
    ]
    action = write_action(armature, name, curves, frames)
    # What tools that act on the character later need to know.
    armature["closeint_clip"] = str(path)
    armature["closeint_person"] = index
    armature["closeint_body"] = clip.body
    armature["closeint_betas"] = [float(b) for b in clip.betas[index]]
    armature["closeint_start_frame"] = int(frames[0])
    armature["closeint_mesh"] = mesh
    return ImportedPerson(armature.name, mesh.name, action.name)


def _add_footage(camera: Any, clip: InteractionClip, path: Path, options: ImportOptions) -> list[str]:
    video = bpy.path.abspath(options.footage_path) if options.footage_path else clip.video
    footage: Footage | None
    footage, warning = find_footage(video, path, clip.frame_start)
    warnings = [warning] if warning else []
    if footage:
        problem = add_background(camera, footage, options.start_frame, clip.frames, clip.image_size)
        warnings += [problem] if problem else []
    return warnings


def _set_scene(scene: Any, clip: InteractionClip, camera: BlenderCamera | None, start_frame: int) -> None:
    render = scene.render
    render.fps, render.fps_base = frame_rate(clip.fps)
    scene.frame_start = start_frame
    scene.frame_end = start_frame + clip.frames - 1
    if camera:
        render.resolution_x, render.resolution_y = (int(n) for n in clip.image_size)
        render.resolution_percentage = 100
        render.pixel_aspect_x, render.pixel_aspect_y = camera.pixel_aspect
