# SPDX-License-Identifier: GPL-3.0-or-later
"""Points of a posed body without its mesh: a few hundred points of a long clip in a moment."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from closeint_core.body.data import BodyData
from closeint_core.body.skinning import axis_angle_to_matrix, joint_transforms


@dataclass
class PosedSkeleton:
    """Joints (..., 24, 3), their global rotations (..., 24, 3, 3) and offsets (..., 24, 3), metres.

    A rest point x that moves with joint j alone is at R_j x + o_j.
    """

    joints: np.ndarray
    rotations: np.ndarray
    offsets: np.ndarray


def pose_skeleton(body: BodyData, poses: np.ndarray, betas: np.ndarray, transl: np.ndarray) -> PosedSkeleton:
    """Forward kinematics of one person: poses (T, 24, 3) axis-angle, betas (B,), transl (T, 3)."""
    rest = body.joint_template + body.joint_shapedirs[:, :, : len(betas)] @ np.asarray(betas, np.float32)
    world = joint_transforms(axis_angle_to_matrix(np.asarray(poses, np.float32)), rest, body.parents)
    rotations = world[..., :3, :3]
    joints = world[..., :3, 3] + np.asarray(transl, np.float32)[:, None]
    return PosedSkeleton(joints, rotations, joints - np.einsum("tjab,jb->tja", rotations, rest))


@dataclass
class BodyPoints:
    """K points that ride on a body.

    Attributes:
        moments: (K, 24, 3), sum over vertices of regressor x weight of joint x rest vertex.
        masses: (K, 24), the same without the vertex.
    """

    moments: np.ndarray
    masses: np.ndarray

    def posed(self, skeleton: PosedSkeleton) -> np.ndarray:
        """(T, K, 3), exact for linear blend skinning without pose correctives."""
        frames = len(skeleton.joints)
        rotations = skeleton.rotations.transpose(0, 2, 1, 3).reshape(frames * 3, -1)  # (T * 3, 24 * 3)
        turned = (rotations @ self.moments.reshape(len(self.moments), -1).T).reshape(frames, 3, -1)
        moved = np.matmul(skeleton.offsets.transpose(0, 2, 1), self.masses.T)
        return np.ascontiguousarray((turned + moved).transpose(0, 2, 1))


def regressed_points(body: BodyData, betas: np.ndarray, regressor: np.ndarray) -> BodyPoints:
    """The points that a regressor (K, V) gives of the posed vertices of a body of shape betas (B,)."""
    used = np.flatnonzero(np.any(regressor != 0, axis=0))
    vertices = body.template[used] + body.shapedirs[used, :, : len(betas)] @ np.asarray(betas, np.float32)
    weighted = regressor[:, used, None] * body.dense_weights[used]  # (K, v, 24)
    moments = np.einsum("kvj,vc->kjc", weighted, vertices, optimize=True)
    return BodyPoints(moments.astype(np.float32), weighted.sum(1).astype(np.float32))


def rigid_points(points: np.ndarray, weights: np.ndarray) -> BodyPoints:
    """Rest points (K, 3) with skinning weights (K, 24) of their own."""
    return BodyPoints((weights[:, :, None] * points[:, None]).astype(np.float32), weights.astype(np.float32))
