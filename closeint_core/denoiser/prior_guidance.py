# SPDX-License-Identifier: Apache-2.0
"""The interaction prior in the sampler of a denoiser: as an energy of its guidance, or as a projection in its steps."""

from __future__ import annotations

import torch
from torch import Tensor

from closeint_core.body.torch_body import TorchBody
from closeint_core.denoiser.canonical import PairMotion, pair_frames
from closeint_core.denoiser.crops import Crops
from closeint_core.denoiser.ddim import DDIMStep
from closeint_core.denoiser.guidance import GuidedMotion
from closeint_core.denoiser.prior import InteractionPrior
from closeint_core.denoiser.state import PairState


class PriorEnergy:
    """Mean squared distance of a motion's canonical numbers (scaled) from what the prior makes of them.

    The prior's answer counts as a fixed target, so that the gradient points from the motion to it.

    Args:
        up: (3,) or (B, 3) upwards in the motion's frame. single: (B, T) 1 where there is one person; such windows
            have no energy, since the prior is about two.
    """

    def __init__(self, prior: InteractionPrior, up: Tensor, single: Tensor | None = None, weight: float = 1.0) -> None:
        self.prior, self.up, self.single, self.weight = prior.eval(), up, single, weight

    def __call__(self, motion: GuidedMotion) -> Tensor:
        """(B,) the energy of a motion, without unit."""
        pair = PairMotion(motion.rotations, motion.skeleton.joints[..., 0, :])
        frames = pair_frames(pair, self.up)
        numbers = frames.into(pair)
        with torch.no_grad():
            target = self.prior(numbers).numbers
        energy = ((numbers - target) / self.prior.deviation).square().mean(dim=(1, 2, 3))
        result: Tensor = energy if self.single is None else energy * (1.0 - _any_single(self.single))
        return result


class PriorProjection:
    """Replaces the noisy motion at late steps by its encode-decode projection (Huang et al., CVPR 2024).

    Args:
        body: for where the pelvis is. up, single: as ``PriorEnergy``. latest: the largest timestep at which it acts.
        share: how much of the projection is taken.
    """

    def __init__(
        self,
        prior: InteractionPrior,
        body: TorchBody,
        up: Tensor,
        single: Tensor | None = None,
        latest: int = 20,
        share: float = 0.5,
    ) -> None:
        self.prior, self.body, self.up, self.single = prior.eval(), body, up, single
        self.latest, self.share = latest, share

    def noisy(self, numbers: Tensor, crops: Crops, step: DDIMStep) -> Tensor:
        """The noisy motion (B, T, 2, 157), partly projected."""
        if step.timestep > self.latest:
            return numbers
        projected = self.project(numbers, crops)
        share = torch.full_like(numbers[:, :1, :1, :1], self.share)
        if self.single is not None:
            share = share * (1.0 - _any_single(self.single))[:, None, None, None]
        return numbers + share * (projected - numbers)

    def clean(self, numbers: Tensor, crops: Crops, step: DDIMStep) -> Tensor:
        """Unchanged."""
        return numbers

    @torch.no_grad()
    def project(self, numbers: Tensor, crops: Crops) -> Tensor:
        """Encode-decode projection of a motion (B, T, 2, 157); shape is not the prior's concern."""
        motion = GuidedMotion(numbers, crops, self.body)
        rest = self.body.rest_joints(motion.state.betas)[..., 0, :]
        pair = self.prior.project(PairMotion(motion.rotations, rest + motion.translation), self.up)
        state = PairState.of_motion(pair.rotations, motion.state.betas, pair.pelvis - rest, crops)
        return state.numbers()


def _any_single(single: Tensor) -> Tensor:
    """(B,) 1 for windows in which somebody is alone at some time."""
    return single.bool().any(dim=1).to(torch.float32)
