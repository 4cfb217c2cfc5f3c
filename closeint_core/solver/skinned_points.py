# SPDX-License-Identifier: Apache-2.0
"""Points that ride on joints, and how they move when joints turn: the Jacobians of skinning in closed form.

A point of the skin, a keypoint, a sphere's centre, the centre of mass, and the difference of two such points are all
sum_j R_j m_j + s_j o_j, with R and o the joints' posed rotations and offsets (``Skeleton``), m (3,) a moment and s a
skinning weight for each joint. Turning joint a by a small world rotation omega moves it by omega x v_a, where
v_a = sum over a's descendants j of (R_j m_j + s_j o_j) - s_j p_a with p_a the joint's place. Here every joint turns
in its own axes, R_a -> R_a exp(delta), so omega = R_a delta.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from closeint_core.body.torch_body import Skeleton, TorchBody
from closeint_core.solver.calibration import SOLVER

JOINTS = 24
STATE = 3 * JOINTS + 3
"""Numbers that a person's frame is changed by: three for every joint, three for the place."""
_OTHER_AXES = ((1, 2), (2, 0), (0, 1))
"""The two axes of which each component of a cross product is made."""


class SkinnedPoints(NamedTuple):
    """Points (...,): ``moments`` (..., 24, 3) and ``weights`` (..., 24)."""

    moments: Tensor
    weights: Tensor

    def of(self, *index: Tensor) -> SkinnedPoints:
        """Those at an index of the leading axes."""
        return SkinnedPoints(self.moments[index], self.weights[index])

    def __sub__(self, other: SkinnedPoints) -> SkinnedPoints:
        return SkinnedPoints(self.moments - other.moments, self.weights - other.weights)


class SkinningMap:
    """What makes points of a body's vertices, on the body's device."""

    def __init__(self, body: TorchBody) -> None:
        device = body.template.device
        self.joints = torch.as_tensor(body.data.skin_joints, dtype=torch.long, device=device)
        self.weights = torch.as_tensor(body.data.skin_weights, dtype=torch.float32, device=device)
        below = torch.eye(JOINTS, dtype=torch.bool)
        for joint in range(JOINTS - 1, 0, -1):  # children have greater numbers than their parents
            below[body.parents[joint]] |= below[joint]
        self.below = below.float().to(device)
        """(24, 24), 1 where the second joint is the first or hangs on it."""

    def vertices(self, vertex: Tensor, place: Tensor) -> SkinnedPoints:
        """Points (N,) of vertices (N,) that lie at ``place`` (N, 3) in the rest pose (with correctives, if any)."""
        joints, weights = self.joints[vertex], self.weights[vertex]
        own = weights.new_zeros(len(vertex), JOINTS).scatter_add_(1, joints, weights)
        return SkinnedPoints(own[..., None] * place[:, None], own)

    def combined(self, regressor: Tensor, rest: Tensor, weights: Tensor) -> SkinnedPoints:
        """Points (..., K) that are combinations (K, V) of vertices at rest (..., V, 3), skinned by weights (V, 24)."""
        used = (regressor != 0).any(0)
        shares = regressor[:, used, None] * weights[used]  # (K, v, 24)
        moments = torch.einsum("kvj,...vc->...kjc", shares, rest[..., used, :])
        return SkinnedPoints(moments, shares.sum(1).expand(*moments.shape[:-2], JOINTS))


def parts_of(skeleton: Skeleton, points: SkinnedPoints) -> Tensor:
    """(..., K, 24, 3), what each joint contributes to points (..., K) of a posed skeleton (...)."""
    turned = torch.einsum("...jab,...kjb->...kja", skeleton.rotations, points.moments)
    return turned + points.weights[..., None] * skeleton.offsets[..., None, :, :]


class Columns(NamedTuple):
    """Points (..., K) as ``SkinnedPoints``, last in memory: ``moments`` (..., 24, 3, K), ``weights`` (..., 24, K).

    What is done to every joint of every point then runs along the points, which are many.
    """

    moments: Tensor
    weights: Tensor

    @classmethod
    def of(cls, points: SkinnedPoints) -> Columns:
        """The same points."""
        return cls(points.moments.movedim(-3, -1).contiguous(), points.weights.mT.contiguous())


def levers(skeleton: Skeleton, points: Columns, below: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Places (..., K, 3) of points, the v_a of every joint (..., 24, 3, K) and the weights (..., 24, K) it moves."""
    parts = skeleton.rotations @ points.moments  # (..., 24, 3, K)
    parts.addcmul_(skeleton.offsets[..., None], points.weights[..., None, :])
    total = (below @ parts.flatten(-2)).view_as(parts)
    weight = below @ points.weights
    place = total[..., 0, :, :].mT.clone()  # everything hangs on the root
    return place, total.addcmul_(skeleton.joints[..., None], weight[..., None, :], value=-1), weight


def along(skeleton: Skeleton, points: Columns, below: Tensor, direction: Tensor) -> tuple[Tensor, Tensor]:
    """Places (..., K, 3) of points, and the slope (..., K, 75) of their components along ``direction`` (..., K, 3);
    the slope with the points last in memory."""
    place, lever, weight = levers(skeleton, points, below)
    heading = direction.mT  # (..., 3, K)
    # lever x direction, then in each joint's own axes.
    turn = [
        (lever[..., j, :] * heading[..., None, k, :]).addcmul_(lever[..., k, :], heading[..., None, j, :], value=-1)
        for j, k in _OTHER_AXES
    ]
    slope = lever.new_empty(*lever.shape[:-3], STATE, lever.shape[-1])
    turned = slope[..., : 3 * JOINTS, :].unflatten(-2, (JOINTS, 3))
    for axis in range(3):
        component = torch.mul(turn[0], skeleton.rotations[..., 0, axis, None], out=turned[..., axis, :])
        for i in (1, 2):
            component.addcmul_(turn[i], skeleton.rotations[..., i, axis, None])
    torch.mul(weight[..., :1, :], heading, out=slope[..., 3 * JOINTS :, :])
    return place, slope.mT


def jacobian(skeleton: Skeleton, lever: Tensor, weight: Tensor) -> Tensor:
    """(..., 75, 3, K), the full slope of points with levers v_a (..., 24, 3, K) and total weights (..., K)."""
    slope = lever.new_zeros(*lever.shape[:-3], STATE, 3, lever.shape[-1])
    turned = slope[..., : 3 * JOINTS, :, :].unflatten(-3, (JOINTS, 3))  # (..., 24, b, i, K)
    axes = skeleton.rotations[..., None]  # (..., 24, i, b, 1): the joints' axes in the world
    for i, (j, k) in enumerate(_OTHER_AXES):
        out = torch.mul(axes[..., j, :, :], lever[..., None, k, :], out=turned[..., i, :])
        out.addcmul_(axes[..., k, :, :], lever[..., None, j, :], value=-1)
        slope[..., 3 * JOINTS + i, i, :] = weight
    return slope


def joint_slopes(skeleton: Skeleton, below: Tensor) -> Tensor:
    """(..., 3 * 24, 75) slopes of the joints' places, every joint's x first, then y and z.

    Joints ride on their parents; the root does on itself. below: (24, 24), see ``SkinningMap``.
    """
    joints = skeleton.joints
    lever = (joints.mT[..., None, :, :] - joints[..., None]) * below[:, None]  # (..., joint that turns, 3, moved joint)
    return jacobian(skeleton, lever, torch.ones_like(joints[..., 0])).flatten(-2).mT


def inverse_right_jacobian(vectors: Tensor) -> Tensor:
    """(..., 3, 3) change of rotation vectors (..., 3) by a small turn in the rotated axes.

    J^-1 = I + [v]/2 + (1/t^2 - (1 + cos t) / (2 t sin t)) [v]^2, t = |v| (Sola et al., "A micro Lie theory", 2018).
    """
    angle = vectors.norm(dim=-1).clamp(*SOLVER.now.terms.angles)
    factor = 1 / angle**2 - (1 + torch.cos(angle)) / (2 * angle * torch.sin(angle))
    cross = torch.zeros(*vectors.shape[:-1], 3, 3, device=vectors.device)
    x, y, z = vectors.unbind(-1)
    cross[..., 0, 1], cross[..., 0, 2], cross[..., 1, 2] = -z, y, -x
    cross = cross - cross.mT
    eye = torch.eye(3, device=vectors.device)
    return eye + 0.5 * cross + factor[..., None, None] * (cross @ cross)
