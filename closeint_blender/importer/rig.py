# SPDX-License-Identifier: GPL-3.0-or-later
"""The arithmetic of the armature: where bones lie and which channel values make a pose.

No bpy here. Two frames occur: the body's own (SMPL's rest pose: Y up, facing +Z, left is +X) and Blender's
(Z up, the character faces -Y). A character is stood up once, by ``stand_up``; the clip's global orientation
already maps the body's frame to the clip's Z-up world, so nothing else is converted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..rotations import continuous, matrix_to_quaternion, multiply, quaternion_to_rotvec, rotvec_to_quaternion

UPRIGHT: np.ndarray = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])
"""Rotation from the body's frame (Y up) to Blender's (Z up): +90 degrees about X."""

SHORTEST_BONE = 0.01
"""Metres; Blender deletes bones of no length."""

_FOLDED = -0.95
"""Cosine of the angle between a bone and its child below which the parent is leant aside. Towards -1, Blender loses
the digits of the child's rest matrix, and beyond -0.9939 it approximates it: up to 0.1 mm at the feet."""

_AIM = {
    "pelvis": "spine1",
    "spine1": "spine2",
    "spine2": "spine3",
    "spine3": "neck",
    "neck": "head",
    "left_hip": "left_knee",
    "right_hip": "right_knee",
    "left_knee": "left_ankle",
    "right_knee": "right_ankle",
    "left_ankle": "left_foot",
    "right_ankle": "right_foot",
    "left_collar": "left_shoulder",
    "right_collar": "right_shoulder",
    "left_shoulder": "left_elbow",
    "right_shoulder": "right_elbow",
    "left_elbow": "left_wrist",
    "right_elbow": "right_wrist",
    "left_wrist": "left_hand",
    "right_wrist": "right_hand",
}
"""The joint a bone points to."""

_TIP = {
    "head": (0.0, 0.18, 0.0),
    "left_foot": (0.0, 0.0, 0.07),
    "right_foot": (0.0, 0.0, 0.07),
    "left_hand": (0.08, 0.0, 0.0),
    "right_hand": (-0.08, 0.0, 0.0),
}
"""Bones without a child: head to tail, in the body's frame, metres."""

_ARM = ("collar", "shoulder", "elbow", "wrist", "hand")


@dataclass(frozen=True)
class BoneLayout:
    """Where the bones of one person lie, in Blender's frame, metres.

    Attributes:
        heads: (J, 3), the joints.
        tails: (J, 3).
        z_axes: (J, 3) unit vectors, the direction each bone's Z axis is rolled to.
        lift: metres the body was raised by, so that its rest pose stands on z = 0.
    """

    heads: np.ndarray
    tails: np.ndarray
    z_axes: np.ndarray
    lift: float


@dataclass(frozen=True)
class PoseChannels:
    """Channel values of one person.

    Attributes:
        rotations: (T, J, 4) quaternions w, x, y, z in each bone's own frame; the sign never jumps.
        root_location: (T, 3) metres, in the root bone's own frame.
    """

    rotations: np.ndarray
    root_location: np.ndarray


def stand_up(points: np.ndarray) -> np.ndarray:
    """Points or directions (..., 3) of the body's frame, in Blender's."""
    result: np.ndarray = points @ UPRIGHT.T
    return result


def lay_out_bones(
    joints: np.ndarray, names: Sequence[str], parents: Sequence[int] | np.ndarray, lift: float = 0.0
) -> BoneLayout:
    """Bones that start at the joints and point along the limbs.

    A bone's X axis is the flexion axis of its joint (positive bends an elbow, a knee's positive swings the shank
    back, the spine bends forward), and left and right mirror each other, as Blender's mirror tools expect.

    Args:
        joints: (J, 3) of the rest pose, body's frame.
        names: the J joints' names; unknown ones get a short bone upwards.
        parents: (J,) index of each joint's parent; the root's is negative.
        lift: metres to raise the rest pose by.
    """
    joints = np.asarray(joints, np.float64)
    index = {name: i for i, name in enumerate(names)}
    tails = np.empty_like(joints)
    flexion = np.tile([1.0, 0.0, 0.0], (len(names), 1))
    for i, name in enumerate(names):
        target = index.get(_AIM.get(name, ""))
        tails[i] = joints[target] if target is not None else joints[i] + _TIP.get(name, (0.0, 0.05, 0.0))
        if np.linalg.norm(tails[i] - joints[i]) < SHORTEST_BONE:
            tails[i] = joints[i] + (0.0, SHORTEST_BONE, 0.0)
        side, _, part = name.partition("_")
        if part in _ARM:
            # The arms lie along X, so they bend about the vertical.
            flexion[i] = (0.0, -1.0, 0.0) if side == "left" else (0.0, 1.0, 0.0)
    along = tails - joints
    lengths = np.linalg.norm(along, axis=1, keepdims=True)
    along = _unfold(along / lengths, parents)
    tails = joints + lengths * along
    z_axes = np.cross(flexion, along)
    lengths = np.linalg.norm(z_axes, axis=1, keepdims=True)
    # A bone along its own flexion axis has no use for it; any direction across the bone serves.
    z_axes = np.where(lengths > 1e-3, z_axes / np.maximum(lengths, 1e-3), np.roll(along, 1, axis=1))
    up = (0.0, 0.0, lift)
    return BoneLayout(stand_up(joints) + up, stand_up(tails) + up, stand_up(z_axes), float(lift))


def _unfold(along: np.ndarray, parents: Sequence[int] | np.ndarray) -> np.ndarray:
    """Directions (J, 3) with parents leant back as far as needed for no child to fold straight back on them.

    In practice that is the pelvis, which points up while the thighs point down.
    """
    along = along.copy()
    for joint in range(len(along)):
        children = along[[j for j, parent in enumerate(parents) if parent == joint]]
        direction = along[joint]
        for lean in np.radians(np.arange(0, 45, 3)):
            sine, cosine = np.sin(lean), np.cos(lean)
            leant = direction @ np.array([[1, 0, 0], [0, cosine, -sine], [0, sine, cosine]])
            if (children @ leant).min(initial=0.0) > _FOLDED:
                along[joint] = leant
                break
    return along


def pose_channels(poses: np.ndarray, transl: np.ndarray, root_joint: np.ndarray, rest: np.ndarray) -> PoseChannels:
    """The channel values that put an armature in the poses of a clip.

    With B a bone's rest matrix and S = UPRIGHT^-1 B its axes in the body's frame, a joint's rotation R becomes
    S^-1 R S; the root's becomes B^-1 R S, since its R leads out of the body's frame to the world.

    Args:
        poses: (T, J, 3) axis-angle, radians; joint 0 is the global orientation.
        transl: (T, 3) metres; joint 0 stands at root_joint + transl.
        root_joint: (3,) of the rest pose, body's frame.
        rest: (J, 4, 4) the bones' rest matrices in the armature's frame, as Blender made them.
    """
    axes = UPRIGHT.T @ np.asarray(rest, np.float64)[:, :3, :3]
    # S^-1 R S turns by the same angle about the axis S^-1 a, so the vector is rotated, not the matrix.
    local = np.einsum("jki,tjk->tji", axes, np.asarray(poses, np.float64))
    rotations = rotvec_to_quaternion(local)
    root_axes = matrix_to_quaternion(axes[0])
    root_rest = matrix_to_quaternion(rest[0, :3, :3])
    # B^-1 R S = (B^-1 S) (S^-1 R S)
    rotations[:, 0] = multiply(multiply(root_rest * (1, -1, -1, -1), root_axes), rotations[:, 0])
    world = np.asarray(root_joint, np.float64) + transl
    root_location = (world - rest[0, :3, 3]) @ rest[0, :3, :3]
    return PoseChannels(continuous(rotations).astype(np.float32), root_location.astype(np.float32))


def clip_motion(channels: PoseChannels, root_joint: np.ndarray, rest: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Poses (T, J, 3) and transl (T, 3) of a clip from channel values: the inverse of ``pose_channels``."""
    rest = np.asarray(rest, np.float64)
    axes = UPRIGHT.T @ rest[:, :3, :3]
    rotations = np.array(channels.rotations, np.float64)
    root_axes = matrix_to_quaternion(axes[0])
    root_rest = matrix_to_quaternion(rest[0, :3, :3])
    change = multiply(root_rest * (1, -1, -1, -1), root_axes)
    rotations[:, 0] = multiply(change * (1, -1, -1, -1), rotations[:, 0])
    poses = np.einsum("jik,tjk->tji", axes, quaternion_to_rotvec(rotations))
    world = np.asarray(channels.root_location, np.float64) @ rest[0, :3, :3].T + rest[0, :3, 3]
    return poses.astype(np.float32), (world - np.asarray(root_joint, np.float64)).astype(np.float32)


def channels_of_matrices(matrices: np.ndarray, rest: np.ndarray, parents: Sequence[int] | np.ndarray) -> PoseChannels:
    """Channel values from posed bone matrices (T, J, 4, 4) in the armature's frame, as Blender evaluates them."""
    matrices, rest = np.asarray(matrices, np.float64), np.asarray(rest, np.float64)
    parents = np.asarray(parents)
    local_rest, local = rest.copy(), matrices.copy()
    below = parents >= 0
    local_rest[below] = np.linalg.inv(rest[parents[below]]) @ rest[below]
    local[:, below] = np.linalg.inv(matrices[:, parents[below]]) @ matrices[:, below]
    basis = np.linalg.inv(local_rest) @ local
    rotation = basis[..., :3, :3]
    # A bone may be scaled; its rotation is what is left without.
    rotation = rotation / np.maximum(np.linalg.norm(rotation, axis=-2, keepdims=True), 1e-9)
    quaternions = continuous(matrix_to_quaternion(rotation))
    return PoseChannels(quaternions.astype(np.float32), basis[:, 0, :3, 3].astype(np.float32))
