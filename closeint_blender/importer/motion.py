# SPDX-License-Identifier: GPL-3.0-or-later
"""The motion of an armature: written as an action, read back from whatever the user has made of it.

An action that is written here keeps a copy of its values as a property, so that what the user has changed since can
be told from what was there.
"""

from __future__ import annotations

from typing import Any

import bpy
import numpy as np

from closeint_core.body.data import JOINT_NAMES

from ..dynamic import app_context
from .bones import bone_names, units_per_metre
from .fcurves import Channels, curves_of_action, write_action
from .rig import PoseChannels, channels_of_matrices

REFERENCE = "closeint_reference"
"""Property of an action: its values as written, (T, J * 4 + 3) in one row."""

TRACK = "closeint"


def _paths(armature: Any) -> tuple[str, list[str]]:
    """The data paths of the root's location and of each joint's rotation."""
    names = [bpy.utils.escape_identifier(name) for name in bone_names(armature)]
    return f'pose.bones["{names[0]}"].location', [f'pose.bones["{name}"].rotation_quaternion' for name in names]


def write_motion(armature: Any, name: str, channels: PoseChannels, frames: np.ndarray, nla: bool = False) -> Any:
    """Give an armature a new action with a key on every frame; returns the action.

    Args:
        armature: the object.
        name: of the action.
        channels: T frames.
        frames: (T,) scene frames; may lie between whole ones.
        nla: put the action into a strip of a new track; earlier tracks of this kind are muted.
    """
    root, rotations = _paths(armature)
    names = bone_names(armature)
    curves = [Channels(root, units_per_metre(armature) * channels.root_location, names[0])]
    curves += [Channels(path, channels.rotations[:, j], names[j]) for j, path in enumerate(rotations)]
    action = write_action(armature, name, curves, frames)
    flat = np.concatenate([channels.rotations.reshape(len(frames), -1), channels.root_location], axis=1)
    action[REFERENCE] = flat.astype(np.float32).reshape(-1)
    if nla:
        push_down(armature, action, frames)
    return action


def push_down(armature: Any, action: Any, frames: np.ndarray) -> None:
    """Move the active action into a strip on a track of its own."""
    animation = armature.animation_data
    slot = getattr(animation, "action_slot", None)
    animation.action = None
    for track in animation.nla_tracks:
        if track.name.startswith(TRACK):
            track.mute = True
    track = animation.nla_tracks.new()
    track.name = TRACK
    strip = track.strips.new(action.name, int(np.floor(frames[0])), action)
    if slot is not None and strip.action_slot != slot:
        strip.action_slot = slot
    strip.extrapolation = "HOLD_FORWARD"


def action_of(armature: Any) -> Any:
    """The action the armature moves by: the active one, or that of the top strip of our own tracks; None without."""
    animation = armature.animation_data
    if animation is None:
        return None
    if animation.action is not None:
        return animation.action
    for track in reversed(animation.nla_tracks):
        if not track.mute and track.name.startswith(TRACK) and len(track.strips) == 1:
            return track.strips[0].action
    return None


def recorded_action(armature: Any) -> Any:
    """The action that knows what was written: the one the armature moves by, else one in a strip below it; or None.

    Keying a bone of a character whose motion is in a strip makes a new action on top, which knows nothing.
    """
    animation = armature.animation_data
    action = action_of(armature)
    if animation is None or action is None or REFERENCE in action:
        return action
    strips = [strip for track in reversed(animation.nla_tracks) if not track.mute for strip in track.strips]
    return next((strip.action for strip in strips if strip.action and REFERENCE in strip.action), None)


def is_in_strip(armature: Any) -> bool:
    """Whether the motion is in an NLA strip."""
    animation = armature.animation_data
    return animation is not None and animation.action is None and action_of(armature) is not None


def read_motion(armature: Any, frames: np.ndarray, rest: np.ndarray, parents: np.ndarray) -> PoseChannels:
    """Channel values of an armature, metres, at scene frames (T,), with everything the user has done to it.

    From the curves where nothing else moves the bones; otherwise the scene is played once (and the frame restored).
    """
    if _is_plain(armature):
        return _sample_curves(armature, frames)
    return _play(armature, frames, rest, parents)


def _is_plain(armature: Any) -> bool:
    animation = armature.animation_data
    for name in bone_names(armature):
        bone = armature.pose.bones[name]
        if bone.rotation_mode != "QUATERNION" or any(not c.mute for c in bone.constraints):
            return False
    if animation is None:
        return True
    action = action_of(armature)
    others = [track for track in animation.nla_tracks if not track.mute and len(track.strips)]
    if others and (animation.action is not None or len(others) > 1 or action is None):
        return False
    if any(d.data_path.startswith("pose.bones") for d in animation.drivers):
        return False
    return action is None or len(getattr(action, "layers", ())) <= 1


def _sample_curves(armature: Any, frames: np.ndarray) -> PoseChannels:
    count = len(frames)
    names, (root_path, rotation_paths) = bone_names(armature), _paths(armature)
    root = np.tile(np.array(armature.pose.bones[names[0]].location, np.float32), (count, 1))
    now = [list(armature.pose.bones[name].rotation_quaternion) for name in names]
    rotations = np.tile(np.array(now, np.float32), (count, 1, 1))
    index = {path: j for j, path in enumerate(rotation_paths)}
    for curve in curves_of_action(armature, action_of(armature)):
        if curve.mute:
            continue
        if curve.data_path == root_path:
            root[:, curve.array_index] = sample(curve, frames)
        elif curve.data_path in index:
            rotations[:, index[curve.data_path], curve.array_index] = sample(curve, frames)
    rotations /= np.maximum(np.linalg.norm(rotations, axis=-1, keepdims=True), 1e-6)
    return PoseChannels(rotations, root / np.float32(units_per_metre(armature)))


def sample(curve: Any, frames: np.ndarray) -> np.ndarray:
    """Values (T,) of an F-curve; straight from its keys where they lie on the frames."""
    flat = np.empty(2 * len(curve.keyframe_points), np.float32)
    curve.keyframe_points.foreach_get("co", flat)
    keys = flat.reshape(-1, 2)
    if len(keys) == len(frames) and np.abs(keys[:, 0] - frames).max(initial=0) < 1e-3 and not len(curve.modifiers):
        return keys[:, 1]
    return np.array([curve.evaluate(float(frame)) for frame in frames], np.float32)


def keys_between(armature: Any, frames: np.ndarray) -> list[tuple[int, float]]:
    """(joint, scene frame) of the keys that lie on none of the frames (T,): somebody else has set them."""
    root_path, rotation_paths = _paths(armature)
    joints = {path: j for j, path in enumerate(rotation_paths)} | {root_path: 0}
    found: set[tuple[int, float]] = set()
    for curve in curves_of_action(armature, action_of(armature)):
        if curve.data_path not in joints or not len(curve.keyframe_points):
            continue
        flat = np.empty(2 * len(curve.keyframe_points), np.float32)
        curve.keyframe_points.foreach_get("co", flat)
        times = flat[::2]
        nearest = np.clip(np.searchsorted(frames, times), 1, max(len(frames) - 1, 1))
        after = frames[np.minimum(nearest, len(frames) - 1)]
        away = np.minimum(np.abs(times - frames[nearest - 1]), np.abs(times - after))
        found |= {(joints[curve.data_path], float(time)) for time in times[away > 0.01]}
    return sorted(found)


def _play(armature: Any, frames: np.ndarray, rest: np.ndarray, parents: np.ndarray) -> PoseChannels:
    scene = app_context.scene
    before = scene.frame_current, scene.frame_subframe
    names = bone_names(armature)
    matrices = np.empty((len(frames), len(names), 4, 4))
    try:
        for t, frame in enumerate(frames):
            whole = int(np.floor(frame))
            scene.frame_set(whole, subframe=float(frame - whole))
            matrices[t] = [armature.pose.bones[name].matrix for name in names]
    finally:
        scene.frame_set(before[0], subframe=before[1])
    matrices[..., :3, 3] /= units_per_metre(armature)
    return channels_of_matrices(matrices, rest, parents)


def reference_of(action: Any, count: int) -> PoseChannels | None:
    """The values an action was written with; None if it was not written here or has another length."""
    if action is None or REFERENCE not in action:
        return None
    flat = np.array(action[REFERENCE], np.float32)
    width = 4 * len(JOINT_NAMES) + 3
    if flat.size != count * width:
        return None
    flat = flat.reshape(count, width)
    return PoseChannels(flat[:, :-3].reshape(count, len(JOINT_NAMES), 4), flat[:, -3:])
