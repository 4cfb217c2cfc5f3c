# SPDX-License-Identifier: Apache-2.0
"""What a motion that is nearly right tells the fit besides poses: how people go on where nothing is seen of them, and
roughly how tall they are.

Not how much farther away one of them is: on real footage the floor knows that better than the denoiser.
"""

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

    def stature_cost(self, betas: Tensor) -> Tensor:
        """(..., P) how far shapes (..., P, B) are from the guide's statures."""
        return energies.huber((betas[..., 0] - self.stature).square(), _STATURE_KNEE)


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
