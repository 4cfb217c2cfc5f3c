# SPDX-License-Identifier: Apache-2.0
"""Closed-form legs: feet that stand where they should, exactly, whatever the rest of the body does."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

BASE = torch.tensor([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
"""The rest frame (x left, y up, z forward) turned to the world: forward is +X, left +Y, up +Z."""


class Leg(NamedTuple):
    """Local rotations (..., 3, 3) of hip, knee and ankle, and metres (...) by which the ankle is out of reach."""

    hip: Tensor
    knee: Tensor
    ankle: Tensor
    over: Tensor


def axis_rotation(axis: int, angle: Tensor) -> Tensor:
    """Rotation matrices (..., 3, 3) about a coordinate axis, radians (...)."""
    c, s = torch.cos(angle), torch.sin(angle)
    zero, one = torch.zeros_like(c), torch.ones_like(c)
    rows = {
        0: (one, zero, zero, zero, c, -s, zero, s, c),
        1: (c, zero, s, zero, one, zero, -s, zero, c),
        2: (c, -s, zero, s, c, zero, zero, zero, one),
    }[axis]
    result: Tensor = torch.stack(rows, -1).unflatten(-1, (3, 3))
    return result


def solve_leg(
    rest: tuple[Tensor, Tensor, Tensor, Tensor], pelvis: Tensor, turn: Tensor, ankle: Tensor, foot: Tensor, pole: Tensor
) -> Leg:
    """Rotations that put the ankle and the foot where they belong, the knee bending towards ``pole``.

    Args:
        rest: rest positions (..., 3) of pelvis, hip, knee and ankle.
        pelvis: (..., 3) posed pelvis joint. turn: (..., 3, 3) its world rotation.
        ankle: (..., 3) where the ankle joint has to be. foot: (..., 3, 3) world rotation of the foot.
        pole: (..., 3) direction in which the knee points.
    """
    root, hip_rest, knee_rest, ankle_rest = rest
    thigh, shin = knee_rest - hip_rest, ankle_rest - knee_rest
    hip = pelvis + _apply(turn, hip_rest - root)
    reach = ankle - hip
    length = reach.square().sum(-1).clamp(min=1e-8).sqrt()
    # |thigh + Rx(angle) shin|^2 = length^2 is  b cos + c sin = d.
    b = thigh[..., 1] * shin[..., 1] + thigh[..., 2] * shin[..., 2]
    c = thigh[..., 2] * shin[..., 1] - thigh[..., 1] * shin[..., 2]
    both = torch.hypot(b, c)
    fixed = thigh.square().sum(-1) + shin.square().sum(-1) + 2 * thigh[..., 0] * shin[..., 0]
    longest = torch.sqrt(fixed + 2 * both)
    # A knee is never locked dead straight, and near that limit its angle runs away: stop a little before.
    over = torch.relu(length - 0.992 * longest)
    held = torch.minimum(length, 0.9985 * longest)
    cosine = ((held.square() - fixed) / (2 * both)).clamp(-0.92, 0.99999)
    angle = torch.atan2(c, b) + torch.acos(cosine)
    bend = axis_rotation(0, angle)
    straight = thigh + _apply(bend, shin)
    forward = torch.zeros_like(straight)
    forward[..., 2] = 1.0
    hip_world = _frame(reach, pole) @ _frame(straight, forward).mT
    return Leg(turn.mT @ hip_world, bend, (hip_world @ bend).mT @ foot, over)


def _frame(along: Tensor, towards: Tensor) -> Tensor:
    """Orthonormal frames (..., 3, 3): first column ``along``, second as near ``towards`` as can be."""
    a = torch.nn.functional.normalize(along, dim=-1)
    b = torch.nn.functional.normalize(towards - (towards * a).sum(-1, keepdim=True) * a, dim=-1)
    return torch.stack((a, b, torch.linalg.cross(a, b)), -1)


def _apply(matrices: Tensor, vectors: Tensor) -> Tensor:
    return (matrices @ vectors[..., None])[..., 0]
