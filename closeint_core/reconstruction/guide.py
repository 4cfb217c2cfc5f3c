# SPDX-License-Identifier: Apache-2.0
"""What a motion that is nearly right tells the fit besides poses: how people go on where nothing is seen of them, and
roughly how tall they are and how much farther away one of them is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from closeint_core.body.torch_body import TorchBody
from closeint_core.physics import energies
from closeint_core.reconstruction.series import fill_gaps

if TYPE_CHECKING:
    from closeint_core.reconstruction.fit import Motion

_DEPTH_SPREAD = 0.12
# By how much the motion may be off in how many times farther one of two people is, as a logarithm. Mostly the denoiser
# is off by a third of that, but on some real footage by as much, and there the floor knows better.
_STATURE_KNEE = 2.0  # first shape coefficients, in standard deviations of adults; beyond, the cost grows slowly
_LIMBS = slice(5, 17)  # shoulders to ankles in Halpe-26
_ENOUGH = 2.0  # weight of all limbs' keypoints with which a person-frame counts as seen


@dataclass
class Guide:
    """P people in T frames.

    Attributes:
        weight: (P, T) in 0..1, how far the motion is believed in place of evidence. transl: (P, T, 3) of the motion.
        steps: (P, T - 2, 24, 3), turns: (P, T - 2, 72, 3) second differences over time that are expected of the joints
            and of the rotations' columns, zero where the motion is not believed.
        stature: (P,) first shape coefficients.
    """

    weight: Tensor
    transl: Tensor
    steps: Tensor
    turns: Tensor
    stature: Tensor

    def carry(self, transl: Tensor) -> Tensor:
        """Translations (P, T, 3) that go the guide's way where nothing was seen, from and to where they were."""
        seen = self.weight < 0.5
        moved = self.transl + fill_gaps(transl - self.transl, seen)
        return torch.where((seen.any(1, keepdim=True) & ~seen)[..., None], moved, transl)

    def depth_cost(self, transl: Tensor) -> Tensor:
        """How far people at (P, T, 3) are from being as many times farther than each other as the guide's; a ratio,
        since the size of everything together is for others to tell."""
        if len(transl) < 2:
            return transl.new_zeros(())
        return (_depth_ratio(transl) - _depth_ratio(self.transl)).square().mean() / _DEPTH_SPREAD**2

    def stature_cost(self, betas: Tensor) -> Tensor:
        """(..., P) how far shapes (..., P, B) are from the guide's statures."""
        return energies.huber((betas[..., 0] - self.stature).square(), _STATURE_KNEE)


def _depth_ratio(transl: Tensor) -> Tensor:
    """(T,) logarithm of how many times farther from the camera the second of two people is."""
    return transl[..., 2].clamp(min=0.1).log().diff(dim=0)[0]


def unseen(weights: Tensor) -> Tensor:
    """(P, T) in 0..1, how far keypoints of weights (P, T, 26) say nothing of a person-frame."""
    return (1 - weights[:, :, _LIMBS].sum(-1) / _ENOUGH).clamp(min=0)


def guide_of(body: TorchBody, motion: Motion, weight: Tensor) -> Guide:
    """The guide of a motion, believed by a weight (P, T) in place of evidence."""
    with torch.no_grad():
        joints = body.skeleton(motion.rotations, motion.betas[:, None], motion.transl).joints
        believed = weight[:, 1:-1, None, None]
        turns = energies.second_difference(motion.rotations.mT.flatten(2, 3))
        steps = energies.second_difference(joints)
    return Guide(weight, motion.transl, believed * steps, believed * turns, motion.betas[:, 0])
