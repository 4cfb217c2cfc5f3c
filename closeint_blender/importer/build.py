# SPDX-License-Identifier: GPL-3.0-or-later
"""A clip file becomes a collection in the scene."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bpy
import numpy as np

from closeint_core.body.data import JOINT_NAMES, BodyData
from closeint_core.body.load import load_body
from closeint_core.clip import SUFFIX, InteractionClip
from closeint_core.errors import CloseintError

from ..clip_paths import stored_path
from ..scene_state import is_untouched, nothing_half_made, preserve_user_state
from .animated_properties import write_series
from .bones import metres_per_unit
from .camera import add_background, make_camera
from .camera_model import BlenderCamera, blender_camera, frame_rate
from .character import SHAPE_KEY_LIMIT, make_armature, make_mesh, rest_matrices
from .clip_series import clip_depths, imported_series
from .contact_colours import set_colours, touch_colours
from .floor import make_floor
from .footage import Footage, find_footage, stored_pixel_aspect, stream_warning
from .motion import write_motion
from .options import ImportedPerson, ImportOptions, ImportResult
from .pair import PAIR, new_identity
from .rig import BoneLayout, lay_out_bones, pose_channels

_LONGEST_NAME = 40
"""Of Blender's 63 bytes, so that what is added to a clip's name still fits."""


_LARGEST_IMAGE = 65536
"""Pixels; Blender's limit of a side."""
_LAST_FRAME = 1_048_574
"""Blender's own."""
_FARTHEST = 1e5
"""Metres; beyond, single precision has no centimetres."""
_LARGEST_BETA = 100.0
"""Standard deviations; ten times what a shape key takes."""


@dataclass(frozen=True)
class PreparedPerson:
    """What is computed of one person before the scene is touched.

    Attributes:
        betas: (B,) shape coefficients, as many as the body has. root_joint: (3,) of the rest pose, body's frame.
        layout: the bones.
    """

    betas: np.ndarray
    root_joint: np.ndarray
    layout: BoneLayout


def import_clip(context: Any, path: str | Path, options: ImportOptions | None = None) -> ImportResult:
    """Build the people, the camera and the footage of a clip in the current scene.

    Works in any mode and in background. Everything goes into a new collection named after the clip, or into the
    active one; the user's selection, mode and frame stay. Nothing is made when the clip cannot be read.

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
    path = Path(bpy.path.abspath(str(path))).absolute()
    clip = InteractionClip.load(path)
    _require_possible(path, clip, options)
    body = load_body(clip.body)
    people = [prepare_person(clip, body, i) for i in range(clip.people)]
    camera = blender_camera(clip.camera_K, clip.camera_R, clip.camera_t, clip.image_size)
    scene = context.scene
    set_up = options.set_scene == "ALWAYS" or (options.set_scene == "AUTO" and is_untouched(scene))
    if not options.own_collection:
        _require_own(context.collection)

    with nothing_half_made(scene), preserve_user_state(context):
        collection = _collection(context, path, options)
        name = collection.name if options.own_collection else clip_name(path)
        result = ImportResult(collection.name, warnings=body_warnings(clip, body))
        unit = 1.0 / metres_per_unit(scene)
        if set_up and options.timing == "CLIP":
            scene.render.fps, scene.render.fps_base = frame_rate(clip.fps)
        step = frame_step(scene, clip.fps, options, set_up)
        placed = PlacedClip(path, clip, body, people, clip_depths(clip), new_identity(), options.start_frame, step)
        for i in range(clip.people):
            made = _build_person(context, collection, f"{name} Person {i + 1}", placed, i, options)
            result.people.append(made)
            placed.mark(bpy.data.objects[made.armature], i)
        if options.camera:
            result.warnings += camera.warnings
            ob = make_camera(collection, f"{name} Camera", camera, placed.times(), unit)
            ob[PAIR] = placed.identity
            result.camera = ob.name
            if set_up or scene.camera is None:
                scene.camera = ob
            if options.footage:
                result.warnings += add_footage(ob, clip, path, options, step)
        if options.floor:
            floor = make_floor(collection, clip.transl, unit)
            floor[PAIR] = placed.identity
            result.floor = floor.name
        if set_up:
            _set_scene(scene, clip, camera if options.camera else None, placed.times())
        elif options.set_scene == "AUTO":
            result.notes.append(_kept_note(scene, clip, result.camera, placed.times(), options))
    return result


@dataclass(frozen=True)
class PlacedClip:
    """A clip, what is computed of it, and where it lies in the scene.

    Attributes:
        path: its file. body: of its people. people: each one's bones and shape.
        depths: (T,) metres that two people are in each other; None without a pair.
        identity: of the characters of one import.
        start: scene frame of the clip's first. step: scene frames per clip frame.
    """

    path: Path
    clip: InteractionClip
    body: BodyData
    people: list[PreparedPerson]
    depths: np.ndarray | None
    identity: str
    start: float
    step: float

    def times(self) -> np.ndarray:
        """(T,) scene frames of the clip's."""
        result: np.ndarray = self.start + self.step * np.arange(self.clip.frames)
        return result

    def mark(self, armature: Any, person: int) -> None:
        """Note on the armature of one of the clip's people what tools that act on it later need to know."""
        armature[PAIR] = self.identity
        armature["closeint_clip"] = stored_path(self.path)
        armature["closeint_person"] = person
        armature["closeint_body"] = self.clip.body
        armature["closeint_betas"] = [float(b) for b in self.clip.betas[person]]
        armature["closeint_root_joint"] = [float(x) for x in self.people[person].root_joint]
        armature["closeint_start_frame"] = int(self.start)
        armature["closeint_frame_step"] = self.step
        armature["closeint_frames"] = self.clip.frames
        armature["closeint_fps"] = self.clip.fps


def _collection(context: Any, path: Path, options: ImportOptions) -> Any:
    """Where everything goes: a new collection, or the active one."""
    if not options.own_collection:
        return context.collection or context.scene.collection
    collection = bpy.data.collections.new(clip_name(path))
    context.scene.collection.children.link(collection)
    collection["closeint_clip"] = stored_path(path)
    return collection


def _require_possible(path: Path, clip: InteractionClip, options: ImportOptions) -> None:
    """See that Blender can hold a clip.

    Raises:
        CloseintError: it cannot.
    """
    last = options.start_frame + clip.frames
    far = max(float(np.abs(values).max(initial=0)) for values in (clip.transl, clip.camera_t))
    problem = ""
    if clip.image_size.max() > _LARGEST_IMAGE:
        problem = f"pictures of {' x '.join(map(str, clip.image_size.tolist()))} pixels"
    elif np.abs(clip.betas).max(initial=0) > _LARGEST_BETA:
        problem = f"a shape coefficient of {np.abs(clip.betas).max():.3g}"
    elif far > _FARTHEST:
        problem = f"places {far:.3g} m away"
    elif last > _LAST_FRAME:
        problem = f"frames up to {last}"
    if problem:
        raise CloseintError(f"{path.name} has {problem}, which Blender cannot hold.", "Make the clip again.")


def _require_own(collection: Any) -> None:
    """See that something can be put into the active collection.

    Raises:
        CloseintError: it is another file's.
    """
    if collection is not None and (collection.library is not None or collection.override_library is not None):
        raise CloseintError(
            f"The active collection {collection.name} is linked from another file, so nothing can be put into it.",
            "Choose another collection, or New Collection.",
        )


def clip_name(path: Path) -> str:
    """What a clip file's objects are named after."""
    return path.name.removesuffix(SUFFIX).removesuffix(".npz")[:_LONGEST_NAME] or "Clip"


def _kept_note(
    scene: Any, clip: InteractionClip, camera: str | None, frames: np.ndarray, options: ImportOptions
) -> str:
    """What an existing shot kept, in a sentence."""
    render = scene.render
    rate = render.fps / render.fps_base
    text = (
        f"The scene keeps its {rate:.4g} fps, frames {scene.frame_start} to {scene.frame_end}, "
        f"{render.resolution_x} x {render.resolution_y} pixels"
    )
    if scene.camera is not None and scene.camera.name != camera:
        text += f" and camera {scene.camera.name}"
    text += f"; the clip has {clip.fps:.4g} fps and lies at frames {frames[0]:.0f} to {frames[-1]:.0f}"
    if options.timing != "FRAMES" and abs(rate / clip.fps - 1) > 1e-3:
        text += ", at its own speed"
    return f"{text}. Set Up Scene: Always changes that."


def frame_step(scene: Any, fps: float, options: ImportOptions, set_up: bool) -> float:
    """Scene frames per clip frame. A scene that is not set up has its own rate, and the motion keeps its speed."""
    if options.timing == "FRAMES" or (options.timing == "CLIP" and set_up):
        return 1.0
    step = scene.render.fps / scene.render.fps_base / fps
    return 1.0 if abs(step - 1) < 1e-6 else float(step)


def prepare_person(clip: InteractionClip, body: BodyData, person: int) -> PreparedPerson:
    """The bones and the shape of one person.

    Raises:
        CloseintError: the clip does not fit its body.
    """
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
    return PreparedPerson(betas, np.asarray(joints[0]), layout)


def body_warnings(clip: InteractionClip, body: BodyData) -> list[str]:
    """What Blender's characters lack against the clip's body."""
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
    context: Any, collection: Any, name: str, placed: PlacedClip, index: int, options: ImportOptions
) -> ImportedPerson:
    clip, body, person = placed.clip, placed.body, placed.people[index]
    armature = make_armature(context, collection, name, person.layout, body.parents, index)
    mesh_name = ""
    if options.meshes:
        mesh = make_mesh(collection, f"{name} Body", body, person.betas, armature, person.layout.lift, index)
        set_colours(mesh.data, touch_colours(body.dense_weights, clip.contacts[index].max(0)), make=True)
        armature["closeint_mesh"] = mesh
        mesh_name = mesh.name
    channels = pose_channels(clip.poses[index], clip.transl[index], person.root_joint, rest_matrices(armature))
    action = write_motion(armature, name, channels, placed.times(), options.nla)
    write_series(armature, imported_series(clip, index, placed.depths), placed.times())
    return ImportedPerson(armature.name, mesh_name, action.name)


def add_footage(camera: Any, clip: InteractionClip, path: Path, options: ImportOptions, step: float) -> list[str]:
    """Show the clip's footage behind a camera; returns warnings."""
    video = bpy.path.abspath(options.footage_path) if options.footage_path else clip.video
    footage: Footage | None
    footage, warning = find_footage(video, path, clip.frame_start)
    warnings = [warning] if warning else []
    if footage:
        aspect = stored_pixel_aspect(clip.metadata)
        problem = add_background(camera, footage, options.start_frame, clip.frames, clip.image_size, step, aspect)
        warnings += [text for text in (problem, stream_warning(footage, clip.video, clip.metadata)) if text]
    return warnings


def _set_scene(scene: Any, clip: InteractionClip, camera: BlenderCamera | None, frames: np.ndarray) -> None:
    render = scene.render
    scene.frame_start = int(frames[0])
    scene.frame_end = max(int(np.floor(frames[-1] + 1e-6)), scene.frame_start)
    if camera:
        render.resolution_x, render.resolution_y = (int(n) for n in clip.image_size)
        render.resolution_percentage = 100
        render.pixel_aspect_x, render.pixel_aspect_y = camera.pixel_aspect
