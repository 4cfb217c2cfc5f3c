# SPDX-License-Identifier: Apache-2.0
"""Augmentation of the windows: poses that no kind of interaction has, and people of different windows as pairs.

Interactions alone teach a network that people shake hands; a leg in the air it would then take for an error. So some
windows have their joints turned by slow random rotations, within the joints' limits, and some bring together two
people of different windows who have nothing to do with each other.
"""

from __future__ import annotations

import math
from dataclasses import replace

import roma
import torch
from torch import Tensor

from closeint_core.body.torch_body import TorchBody
from closeint_core.training.synthetic.generate import Interactions
from closeint_core.training.usual_range import USUAL_HIGH, USUAL_LOW

# Radians by which a joint is turned at the usual strength, in SMPL's order: hips, knees and shoulders most.
_SPREAD = torch.tensor(
    [0.12, .55, .55, .12, .45, .45, .12, .15, .15, .12, .1, .1, .15, .1, .1, .2, .5, .5, .5, .5, .25, .25, .1, .1]
)  # fmt: skip
_NEAREST, _FARTHEST = 0.35, 2.5  # metres between two people who have nothing to do with each other


def loosened(made: Interactions, draw: torch.Generator, chosen: Tensor, strength: float = 1.0) -> Interactions:
    """Windows (N) with randomly turned joints where ``chosen`` (N,) is true. They lose their contacts, now unknown.

    Args:
        draw: on the CPU. strength: factor on the spread; each window draws its own between 0 and twice this.
    """
    device = made.poses.device
    pairs, people, frames = made.poses.shape[:3]
    time = torch.linspace(0, 1, frames, device=device)[:, None, None]
    shape = (pairs, people, 1, 24, 3)
    phase = torch.rand(pairs, people, 1, 24, 1, generator=draw).to(device) * 2 * math.pi
    speed = torch.rand(pairs, people, 1, 24, 1, generator=draw).to(device) * 2
    still, moving = torch.randn(2, *shape, generator=draw).to(device)
    turn = 0.8 * still + 0.6 * moving * torch.sin(phase + speed * math.pi * time)
    own = 2 * strength * torch.rand(pairs, people, 1, 1, 1, generator=draw).to(device)
    turn = turn * own * _SPREAD.to(device)[:, None]
    # Added as vectors, which stays smooth; only the root, which may face anywhere, is composed.
    root = roma.rotmat_to_rotvec(roma.rotvec_to_rotmat(made.poses[..., 0, :]) @ roma.rotvec_to_rotmat(turn[..., 0, :]))
    poses = made.poses + turn
    low, high = (limit.to(device) for limit in (USUAL_LOW, USUAL_HIGH))
    # A motion beyond the limits may stay there, but not go further.
    poses = torch.maximum(torch.minimum(poses, torch.maximum(made.poses, high)), torch.minimum(made.poses, low))
    poses = torch.cat([root[..., None, :], poses[..., 1:, :]], -2)
    pick = chosen.to(device)
    return replace(
        made,
        poses=torch.where(pick[:, None, None, None, None], poses, made.poses),
        contacts=made.contacts & ~pick[:, None, None, None],
    )


def repaired(made: Interactions, body: TorchBody, draw: torch.Generator, chosen: Tensor) -> Interactions:
    """Windows (N) in which, where ``chosen`` (N,) is true, the second person is taken from another window and put at a
    random place nearby, facing a random direction."""
    device = made.poses.device
    pairs = len(made)
    partner = torch.randperm(pairs, generator=draw).to(device)
    yaw = (torch.rand(pairs, generator=draw) * 2 * math.pi).to(device)
    bearing = torch.rand(pairs, generator=draw) * 2 * math.pi
    distance = _NEAREST + (_FARTHEST - _NEAREST) * torch.rand(pairs, generator=draw) ** 1.5
    offset = (distance[:, None] * torch.stack([bearing.cos(), bearing.sin()], -1)).to(device)
    poses, transl, betas = made.poses[partner, 1], made.transl[partner, 1], made.betas[partner, 1]
    rest = body.rest_joints(betas)[:, None, 0]  # (N, 1, 3)
    zero = torch.zeros_like(yaw)
    turn = roma.rotvec_to_rotmat(torch.stack([zero, zero, yaw], -1))[:, None]
    pelvis = rest + transl
    own = body.rest_joints(made.betas[:, 0])[:, None, 0] + made.transl[:, 0]
    middle = pelvis[:, :1] * pelvis.new_tensor([1.0, 1.0, 0.0])
    place = own[:, :1] * own.new_tensor([1.0, 1.0, 0.0])
    place = place + torch.cat([offset, zero[:, None]], -1)[:, None]
    pelvis = (turn @ (pelvis - middle)[..., None])[..., 0] + place
    root = roma.rotmat_to_rotvec(turn @ roma.rotvec_to_rotmat(poses[:, :, 0]))
    poses = torch.cat([root[:, :, None], poses[:, :, 1:]], 2)
    pick = chosen.to(device)

    def second(mine: Tensor, other: Tensor) -> Tensor:
        wide = pick.reshape(-1, *[1] * (other.ndim - 1))
        return torch.stack([mine[:, 0], torch.where(wide, other, mine[:, 1])], 1)

    return replace(
        made,
        poses=second(made.poses, poses),
        transl=second(made.transl, pelvis - rest),
        betas=second(made.betas, betas),
        planted=second(made.planted, made.planted[partner, 1]),
        contacts=made.contacts & ~pick[:, None, None, None],
    )
