# SPDX-License-Identifier: Apache-2.0
"""Two people's motion seen from where they stand: the frame in which the interaction prior works.

Each person has a frame of their own. Its origin is the middle between the two pelvises, Y points up, Z towards the
other person, all averaged over the window. The numbers of a window are therefore the same wherever the pair stands and
faces, and swapping the people swaps the numbers and changes nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import normalize

from closeint_core.denoiser.rotation6d import matrix_to_rows6d, rows6d_to_matrix

CANONICAL = 24 * 6 + 3
_FACING = 0.02  # metres; where the people are in one place, the way they face decides what is "towards the other"


@dataclass(frozen=True)
class PairMotion:
    """Motion of two people in any Z- or Y-up frame, batch shape (B, T, 2).

    Attributes:
        rotations: (B, T, 2, 24, 3, 3), relative to the parent; the first is the global orientation.
        pelvis: (B, T, 2, 3) metres, position of joint 0.
    """

    rotations: Tensor
    pelvis: Tensor


@dataclass(frozen=True)
class PairFrames:
    """The two people's frames: axes (B, 1, 2, 3, 3) as columns, x left, y up, z to the other; origin (B, 1, 2, 3)."""

    axes: Tensor
    origin: Tensor

    def into(self, motion: PairMotion) -> Tensor:
        """Canonical numbers (B, T, 2, 147): 24 rotations in 6D rows, then the pelvis in metres."""
        root = self.axes.mT @ motion.rotations[..., 0, :, :]
        rotations = torch.cat([root[..., None, :, :], motion.rotations[..., 1:, :, :]], dim=-3)
        pelvis = (self.axes.mT @ (motion.pelvis - self.origin)[..., None])[..., 0]
        return torch.cat([matrix_to_rows6d(rotations).flatten(start_dim=-2), pelvis], dim=-1)

    def back(self, numbers: Tensor) -> PairMotion:
        """The motion of canonical numbers (B, T, 2, 147)."""
        rotations = rows6d_to_matrix(numbers[..., : CANONICAL - 3].unflatten(-1, (24, 6)))
        root = self.axes @ rotations[..., 0, :, :]
        pelvis = (self.axes @ numbers[..., CANONICAL - 3 :, None])[..., 0] + self.origin
        return PairMotion(torch.cat([root[..., None, :, :], rotations[..., 1:, :, :]], dim=-3), pelvis)


def pair_frames(motion: PairMotion, up: Tensor) -> PairFrames:
    """The frames of a window.

    Args:
        up: (3,) or (B, 3), unit, in the motion's frame; (0, -1, 0) is upwards for a camera held level.
    """
    up = up.reshape(-1, 1, 1, 3).to(motion.pelvis)
    facing = motion.rotations[..., 0, :, 2]
    towards = motion.pelvis.flip(2) - motion.pelvis + _FACING * (facing - facing.flip(2))
    towards = towards.mean(dim=1, keepdim=True)
    # With even that undecided, everybody faces where they face.
    facing = facing.mean(dim=1, keepdim=True)
    ahead, lost = _level(towards, up)
    own, unknown = _level(facing, up)
    ahead = torch.where(lost, own, ahead)
    # Lying people exactly above each other: any level direction serves.
    spare, useless = _level(torch.ones_like(up) * up.new_tensor([1.0, 0.0, 0.0]), up)
    other_spare, _ = _level(torch.ones_like(up) * up.new_tensor([0.0, 0.0, 1.0]), up)
    ahead = torch.where(lost & unknown, torch.where(useless, other_spare, spare), ahead)
    upwards = up.expand_as(ahead)
    axes = torch.stack([torch.linalg.cross(upwards, ahead), upwards, ahead], dim=-1)
    origin = motion.pelvis.mean(dim=(1, 2), keepdim=True).expand(-1, -1, 2, -1)
    return PairFrames(axes, origin)


def _level(vectors: Tensor, up: Tensor) -> tuple[Tensor, Tensor]:
    """Unit horizontal parts (..., 3), and (..., 1) whether the vector is so steep that it has hardly any."""
    level = vectors - (vectors * up).sum(dim=-1, keepdim=True) * up
    return normalize(level, dim=-1), level.norm(dim=-1, keepdim=True) < 1e-4
