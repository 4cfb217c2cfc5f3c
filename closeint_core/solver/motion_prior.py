# SPDX-License-Identifier: Apache-2.0
"""What a motion that is nearly right tells the fit besides poses: how people go on where nothing is seen of them, how
two of them stand to each other, and roughly how tall they are.
"""

from __future__ import annotations

from dataclasses import dataclass

import roma
import torch
from torch import Tensor

from closeint_core.body.torch_body import TorchBody
from closeint_core.physics import energies
from closeint_core.sequences import fill_gaps
from closeint_core.solver.calibration import SOLVER
from closeint_core.solver.state import Motion

_LIMBS = slice(5, 17)  # shoulders to ankles in Halpe-26


@dataclass
class MotionPrior:
    """P people in T frames.

    Attributes:
        weight: (P, T) in 0..1, how far the motion is believed in place of evidence. rotations: (P, T, 24, 3, 3) and
            transl: (P, T, 3) of the motion.
        steps: (P, T - 2, 24, 3), turns: (P, T - 2, 72, 3) second differences over time that are expected of the joints
            and of the rotations' columns, zero where the motion is not believed.
        stature: (P,) first shape coefficients.
        together: (T,) in 0..1, how far the motion of both is believed. apart: (T, 3) from the first person's pelvis to
            the second's, in units of their mean distance from the camera; zeros unless there are two.
    """

    weight: Tensor
    rotations: Tensor
    transl: Tensor
    steps: Tensor
    turns: Tensor
    stature: Tensor
    together: Tensor
    apart: Tensor

    def fill_translation(self, transl: Tensor) -> Tensor:
        """Translations (P, T, 3) that go the prior's way where nothing was seen, from and to where they were; who is
        seen nowhere is where the motion prior has them."""
        seen = self.weight < SOLVER.now.motion_prior.believed
        shift = torch.where(seen.any(1)[:, None, None], fill_gaps(transl - self.transl, seen), 0.0)
        return torch.where(seen[..., None], transl, self.transl + shift)

    def corrected(self, rotations: Tensor) -> Tensor:
        """Rotations (P, T, 24, 3, 3) with the prior's where nothing was seen, each joint turned by as much as it had to
        be turned on average where the person was seen: mostly the same is wrong before, in and after a gap."""
        turned = roma.rotmat_to_rotvec(self.rotations.mT @ rotations)
        seen = 1 - self.weight[..., None, None]
        mean = (seen * turned).sum(1, keepdim=True) / seen.sum(1, keepdim=True).clamp(min=1)
        gone = (self.weight >= SOLVER.now.motion_prior.believed)[..., None, None, None]
        return torch.where(gone, self.rotations @ roma.rotvec_to_rotmat(mean), rotations)

    def relative_offset_error(self, pelvis: Tensor) -> tuple[Tensor, Tensor, float]:
        """(T, 3) by how much two people's places (2, T, 3) are not to each other as the prior has them, in units of
        their mean depth (T,), and how far that may be off."""
        tuned = SOLVER.now.motion_prior
        return _between(pelvis) - self.apart, pelvis[..., 2].mean(0).clamp(min=tuned.least_mean_depth), tuned.apart

    def log_size_ratio(self, transl: Tensor) -> Tensor | None:
        """() logarithm of how much larger the second person is than the first, by the motion prior's depths.

        Args:
            transl: (2, T, 3) where people of one size would be. None where the motion is not believed.
        """
        sure = self.together > SOLVER.now.motion_prior.believed
        if not bool(sure.any()):
            return None
        ours, theirs = (_gap(places) for places in (transl, self.transl))
        return (theirs - ours)[sure].median()


def _gap(places: Tensor) -> Tensor:
    """(T,) logarithm of how much farther from the camera the second of places (2, T, 3) is than the first."""
    first, second = places[..., 2].clamp(min=SOLVER.now.motion_prior.least_depth).log()
    return second - first


def _between(pelvis: Tensor) -> Tensor:
    """(T, 3) from the first to the second of places (2, T, 3), in units of their mean depth."""
    depth = pelvis[..., 2].mean(0)[:, None].clamp(min=SOLVER.now.motion_prior.least_mean_depth)
    return (pelvis[1] - pelvis[0]) / depth


def unseen(weights: Tensor) -> Tensor:
    """(P, T) in 0..1, how far keypoints of weights (P, T, 26) say nothing of a person-frame."""
    return (1 - weights[:, :, _LIMBS].sum(-1) / SOLVER.now.motion_prior.enough).clamp(min=0)


def motion_prior_of(body: TorchBody, motion: Motion, weight: Tensor, trusted: Tensor | None = None) -> MotionPrior:
    """The motion prior of a motion, believed by a weight (P, T) in place of evidence.

    Args:
        trusted: (P, T) bool, where it can be believed at all; everywhere if not given.
    """
    with torch.no_grad():
        joints = body.skeleton(motion.rotations, motion.betas[:, None], motion.transl).joints
        believed = weight[:, 1:-1, None, None]
        turns = energies.second_difference(motion.rotations.mT.flatten(2, 3))
        steps = energies.second_difference(joints)
        together, apart = torch.zeros_like(weight[0]), torch.zeros_like(motion.transl[0])
        if len(weight) == 2:
            together = torch.ones_like(together) if trusted is None else trusted.all(0).to(together)
            apart = _between(joints[:, :, 0])
    return MotionPrior(
        weight, motion.rotations, motion.transl, believed * steps, believed * turns, motion.betas[:, 0], together, apart
    )
