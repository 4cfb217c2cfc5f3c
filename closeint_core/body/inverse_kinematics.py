# SPDX-License-Identifier: Apache-2.0
"""Closed-form joint rotations from 3D landmarks: the start of the fit.

Every rotation is read off directions between landmarks: frames for the pelvis, chest and head,
shortest swings plus a hinge for the limbs. Bone lengths do not matter, so landmarks of any scale
will do.
"""

from __future__ import annotations

import roma
import torch
from torch import Tensor
from torch.nn.functional import normalize

from closeint_core.halpe import HALPE_INDEX as K

PELVIS, SPINE1, SPINE2, SPINE3, NECK, HEAD = 0, 3, 6, 9, 12, 15
_Limb = tuple[int, int, str, str, str, tuple[float, float, float]]
"""Joint, its child, Halpe start, middle and end, hinge axis in the rest pose."""
_LIMBS: tuple[_Limb, ...] = (
    (16, 18, "left_shoulder", "left_elbow", "left_wrist", (0.0, -1.0, 0.0)),
    (17, 19, "right_shoulder", "right_elbow", "right_wrist", (0.0, 1.0, 0.0)),
    (1, 4, "left_hip", "left_knee", "left_ankle", (1.0, 0.0, 0.0)),
    (2, 5, "right_hip", "right_knee", "right_ankle", (1.0, 0.0, 0.0)),
)
_FEET = ((7, 4, "left_heel", "left_big_toe"), (8, 5, "right_heel", "right_big_toe"))


def frame_from(x: Tensor, y: Tensor) -> Tensor:
    """(..., 3, 3) rotation whose columns are x, the part of y across it, and their cross product."""
    x = normalize(x, dim=-1)
    y = normalize(y - (x * y).sum(-1, keepdim=True) * x, dim=-1)
    return torch.stack([x, y, torch.linalg.cross(x, y)], -1)


def swing(start: Tensor, end: Tensor) -> Tensor:
    """(..., 3, 3) shortest rotation taking unit vectors ``start`` to unit vectors ``end`` (..., 3)."""
    axis = torch.linalg.cross(start.expand_as(end), end)
    cosine = (start * end).sum(-1, keepdim=True)
    # Opposite vectors leave the axis open; any one across `start` serves.
    spare = torch.linalg.cross(start.expand_as(end), torch.roll(start, 1, -1).expand_as(end))
    axis = torch.where(axis.norm(dim=-1, keepdim=True) < 1e-6, spare, axis)
    angle = torch.atan2(torch.linalg.cross(start.expand_as(end), end).norm(dim=-1, keepdim=True), cosine)
    result: Tensor = roma.rotvec_to_rotmat(normalize(axis, dim=-1) * angle)
    return result


def _apply(rotation: Tensor, vector: Tensor) -> Tensor:
    return (rotation @ vector[..., None])[..., 0]


def poses_from_landmarks(landmarks: Tensor, rest_joints: Tensor) -> Tensor:
    """Joint rotations that give a body the limb directions of the landmarks.

    Args:
        landmarks: (..., 26, 3) Halpe-26, any scale and origin, finite, in the frame the pose should have.
        rest_joints: (24, 3) joints of the rest pose (SMPL's T-pose: Y up, facing +Z, left +X).

    Returns:
        (..., 24, 3, 3) local rotations; joints the landmarks say nothing of keep the identity.
    """
    batch = landmarks.shape[:-2]
    local = torch.eye(3, dtype=landmarks.dtype, device=landmarks.device).expand(*batch, 24, 3, 3).clone()
    pelvis, chest = _trunk(landmarks)
    local[..., PELVIS, :, :] = pelvis
    bend = roma.rotmat_to_rotvec(pelvis.mT @ chest) / 3
    for joint in (SPINE1, SPINE2, SPINE3):
        local[..., joint, :, :] = roma.rotvec_to_rotmat(bend)
    local[..., NECK, :, :] = local[..., HEAD, :, :] = _half_head_turn(landmarks, chest)
    shins = {}
    for limb in _LIMBS:
        joint, child = limb[:2]
        parent = chest if joint in (16, 17) else pelvis
        upper, lower = _limb(limb, landmarks, rest_joints, parent)
        local[..., joint, :, :], local[..., child, :, :] = upper, lower
        shins[child] = parent @ upper @ lower
    for joint, knee, heel, toe in _FEET:
        direction = _apply(shins[knee].mT, normalize(_at(landmarks, toe) - _at(landmarks, heel), dim=-1))
        turn = roma.rotmat_to_rotvec(swing(direction.new_tensor([0.0, -0.25, 0.97]), direction))
        local[..., joint, :, :] = roma.rotvec_to_rotmat(turn * (0.7 / turn.norm(dim=-1, keepdim=True).clamp(min=0.7)))
    return local


def _at(landmarks: Tensor, name: str) -> Tensor:
    return landmarks[..., K[name], :]


def _trunk(landmarks: Tensor) -> tuple[Tensor, Tensor]:
    """Rotations (..., 3, 3) of the pelvis and of the chest."""
    left_hip, right_hip = _at(landmarks, "left_hip"), _at(landmarks, "right_hip")
    left, right = _at(landmarks, "left_shoulder"), _at(landmarks, "right_shoulder")
    hips, shoulders = (left_hip + right_hip) / 2, (left + right) / 2
    pelvis = frame_from(left_hip - right_hip, shoulders - hips)
    chest_x = normalize(left - right, dim=-1)
    up = normalize(shoulders - hips, dim=-1)
    # The chest keeps the up direction, the shoulders turn it.
    chest_x = chest_x - (chest_x * up).sum(-1, keepdim=True) * up
    return pelvis, frame_from(chest_x, up)


def _half_head_turn(landmarks: Tensor, chest: Tensor) -> Tensor:
    """(..., 3, 3) half of the head's rotation against the chest, limited: the neck takes as much."""
    left, right = _at(landmarks, "left_ear"), _at(landmarks, "right_ear")
    head_x = normalize(left - right, dim=-1)
    forward = _at(landmarks, "nose") - (left + right) / 2
    # The nose lies about 20 degrees below the ears' horizontal plane.
    head_up = normalize(torch.linalg.cross(normalize(forward, dim=-1), head_x), dim=-1)
    head_up = head_up + 0.36 * normalize(forward, dim=-1)
    turn = roma.rotmat_to_rotvec(chest.mT @ frame_from(head_x, head_up)) / 2
    limit = 0.7 / turn.norm(dim=-1, keepdim=True).clamp(min=0.7)
    half: Tensor = roma.rotvec_to_rotmat(turn * limit)
    return half


def _limb(limb: _Limb, landmarks: Tensor, rest_joints: Tensor, parent: Tensor) -> tuple[Tensor, Tensor]:
    """Local rotations (..., 3, 3) of a limb's upper joint and of its hinge; ``parent``: the rotation above it."""
    joint, child, a, b, c, hinge_axis = limb
    rest = normalize(rest_joints[child] - rest_joints[joint], dim=-1)
    hinge = rest.new_tensor(hinge_axis)
    hinge = normalize(hinge - (hinge * rest).sum() * rest, dim=-1)
    start, middle, end = (_at(landmarks, name) for name in (a, b, c))
    upper = _apply(parent.mT, normalize(middle - start, dim=-1))
    lower = _apply(parent.mT, normalize(end - middle, dim=-1))
    plain = _apply(swing(rest, upper), hinge)
    cross = torch.linalg.cross(upper, lower)
    if joint in (1, 2):
        # Knees do not bend backwards: noise on a straight leg must not turn the thigh round.
        cross = cross * ((cross * plain).sum(-1, keepdim=True) > 0)
    # The bent limb fixes the twist of its upper part; a straight one keeps the plain swing's.
    axis = frame_from(upper, cross + 0.2 * plain)[..., 1]
    rest_frame = torch.stack([rest, hinge, torch.linalg.cross(rest, hinge)], -1)
    rotation = torch.stack([upper, axis, torch.linalg.cross(upper, axis)], -1) @ rest_frame.mT
    angle = torch.atan2((cross * axis).sum(-1), (upper * lower).sum(-1)).clamp(0.0, 2.6)
    return rotation, roma.rotvec_to_rotmat(hinge * angle[..., None])
