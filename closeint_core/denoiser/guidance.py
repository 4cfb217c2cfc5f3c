# SPDX-License-Identifier: Apache-2.0
"""Differentiable energies that steer sampling: applied to the clean estimate between the steps.

An energy maps a motion to one number a window, (B,). ``EnergyGuidance`` walks down their weighted sum by gradient
descent with a step length of its own for each window, which is halved until the energy falls; it therefore never
rises, and a batch gives what its windows give one by one. What an energy is made of is ``physics.energies``'s, which
the fit and the refinement use too.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple, Protocol

import roma
import torch
from torch import Tensor

from closeint_core.body.torch_body import Skeleton, TorchBody
from closeint_core.denoiser.crops import Crops
from closeint_core.denoiser.ddim import DDIMStep
from closeint_core.denoiser.state import PairState
from closeint_core.physics import energies as physics
from closeint_core.physics.joint_limits import beyond_limits

if TYPE_CHECKING:
    from closeint_core.body.spheres import BodySpheres

STEP_SCALE = (1.0, 0.3, 0.1)
"""How far a unit gradient may move pose, betas and crop camera, relative to each other."""


class GuidedMotion:
    """A motion (B, T, 2, 157) and the quantities that energies need of it, each computed once."""

    def __init__(self, numbers: Tensor, crops: Crops, body: TorchBody) -> None:
        self.state = PairState.of(numbers)
        self.crops = crops
        self.body = body

    @cached_property
    def rotations(self) -> Tensor:
        """(B, T, 2, 24, 3, 3), camera axes."""
        return self.state.rotations()

    @cached_property
    def translation(self) -> Tensor:
        """(B, T, 2, 3) metres, camera axes."""
        return self.state.translation(self.crops)

    @cached_property
    def skeleton(self) -> Skeleton:
        """Posed joints, batch shape (B, T, 2)."""
        return self.body.skeleton(self.rotations, self.state.betas, self.translation)

    @cached_property
    def keypoints(self) -> Tensor:
        """(B, T, 2, 26, 3) Halpe-26, metres, camera axes."""
        result: Tensor = _halpe(self.body)(self.skeleton, self.state.betas)
        return result


def _halpe(body: TorchBody) -> torch.nn.Module:
    points = body.__dict__.get("_guidance_halpe")
    if points is None:  # precomputed once a body; kept outside its modules, so that its state does not change
        points = body.points("halpe")
        body.__dict__["_guidance_halpe"] = points
    return points


class Energy(Protocol):
    """The interface of an energy."""

    weight: float

    def __call__(self, motion: GuidedMotion) -> Tensor:
        """(B,), lower is better."""
        ...


class ReprojectionEnergy:
    """Distance of the projected keypoints from the seen ones, in crops, robust to confident wrong joints.

    Args:
        keypoints: (B, T, 2, 26, 3) pixels and confidence; NaN where unseen.
        scale: error, as part of the crop's side, beyond which a joint counts as wrong (Geman-McClure).
    """

    def __init__(self, keypoints: Tensor, weight: float = 1.0, scale: float = 0.05) -> None:
        seen = torch.isfinite(keypoints).all(dim=-1)
        self.confidence = torch.where(seen, keypoints[..., 2], torch.zeros_like(keypoints[..., 2]))
        self.pixels = torch.where(seen[..., None], keypoints[..., :2], torch.zeros_like(keypoints[..., :2]))
        self.weight, self.scale = weight, scale

    def __call__(self, motion: GuidedMotion) -> Tensor:
        """(B,) the energy of a motion, without unit."""
        error = (motion.crops.project(motion.keypoints) - self.pixels) / motion.crops.side[..., None, None]
        loss = self.confidence * physics.geman_mcclure((error / self.scale).square().sum(dim=-1), 1.0)
        return loss.sum(dim=(1, 2, 3)) / self.confidence.sum(dim=(1, 2, 3)).clamp(min=1e-6)


class PenetrationEnergy:
    """Overlap of the two bodies' inscribed spheres, mean over frames of the summed squared depths in cm."""

    def __init__(self, spheres: BodySpheres, weight: float = 1.0) -> None:
        self.spheres = spheres
        self.radii = torch.as_tensor(spheres.rest_radii, dtype=torch.float32)
        self.weight = weight

    def __call__(self, motion: GuidedMotion) -> Tensor:
        """(B,) the energy of a motion, without unit."""
        return (100.0 * self._depths(motion)).square().sum(dim=(-1, -2)).mean(dim=1)

    def _depths(self, motion: GuidedMotion) -> Tensor:
        centres = self.spheres.centres(motion.skeleton, motion.state.betas)
        radii = self.radii.to(centres)
        return physics.overlaps(centres[:, :, 0], radii, centres[:, :, 1], radii)

    def condition(self, motion: GuidedMotion) -> Tensor:
        """(B, T), the summed depth in the scale of the published network's penetration input (a thousandth)."""
        return self._depths(motion).sum(dim=(-1, -2)) / 1000.0


class ContactEnergy:
    """Joints that should touch come together: squared gap in cm beyond a reach, averaged over time.

    Args:
        joints: (K, 2) int64, a joint of the first person and one of the second.
        probability: (B, T, K) of touching.
        reach: (K,) metres between two joints whose skins touch.
    """

    def __init__(self, joints: Tensor, probability: Tensor, reach: Tensor, weight: float = 1.0) -> None:
        self.joints, self.probability, self.reach, self.weight = joints, probability, reach, weight

    def __call__(self, motion: GuidedMotion) -> Tensor:
        """(B,) the energy of a motion, without unit."""
        posed = motion.skeleton.joints
        gap = physics.gaps(posed[:, :, 0, self.joints[:, 0]], posed[:, :, 1, self.joints[:, 1]], self.reach)
        return (self.probability * (100.0 * gap).square()).sum(dim=-1).mean(dim=1)


class GroundEnergy:
    """Feet stay over the floor; planted feet stay on it and do not move. In cm, averaged over time.

    Args:
        normal: (3,) or (B, 3), upwards, camera axes; offset: () or (B,): normal . x + offset is the height.
        planted: (B, T, 2, 2) probability that the left, right foot of each person stands; None if unknown.
    """

    def __init__(self, normal: Tensor, offset: Tensor, planted: Tensor | None = None, weight: float = 1.0) -> None:
        self.normal = normal.reshape(-1, 1, 1, 1, 1, 3)
        self.offset = offset.reshape(-1, 1, 1, 1, 1)
        self.planted, self.weight = planted, weight

    def __call__(self, motion: GuidedMotion) -> Tensor:
        """(B,) the energy of a motion, without unit."""
        feet = motion.keypoints[..., physics.FOOT_POINTS, :].unflatten(-2, (2, 3))  # (B, T, 2, foot, 3, 3)
        height = (feet * self.normal).sum(dim=-1) + self.offset
        energy = physics.sinking(height).mean(dim=(1, 2, 3, 4))
        if self.planted is not None:
            energy = energy + physics.floating(height, self.planted).mean(dim=(1, 2, 3))
            if feet.shape[1] > 1:
                still = torch.minimum(self.planted[:, 1:], self.planted[:, :-1])[..., None]
                energy = energy + physics.sliding(feet, still, 1).mean(dim=(1, 2, 3, 4))
        return 1e4 * energy


class LimitEnergy:
    """Joints stay within their limits: squared excess in degrees, summed over joints, averaged over time."""

    def __init__(self, weight: float = 1.0) -> None:
        self.weight = weight

    def __call__(self, motion: GuidedMotion) -> Tensor:
        """(B,) the energy of a motion, without unit."""
        over = torch.rad2deg(beyond_limits(roma.rotmat_to_rotvec(motion.rotations)))
        return over.square().sum(dim=(-1, -2)).mean(dim=(1, 2))


class Guided(NamedTuple):
    """Result of ``descend``: the motion (B, T, 2, 157), and the weighted energy (B,) before and after."""

    numbers: Tensor
    before: Tensor
    after: Tensor


def descend(
    numbers: Tensor, crops: Crops, body: TorchBody, energies: Sequence[Energy], iterations: int, rate: float
) -> Guided:
    """Walk a motion down the weighted sum of energies.

    Each window moves against its gradient, scaled to a largest change of ``rate``, and keeps the move if its energy
    falls; otherwise its next move is half as long.
    """
    scale = numbers.new_tensor([s for s, n in zip(STEP_SCALE, (144, 10, 3), strict=True) for _ in range(n)])

    def total(values: Tensor) -> Tensor:
        motion = GuidedMotion(values, crops, body)
        return torch.stack([energy.weight * energy(motion) for energy in energies]).sum(dim=0)

    def slope(values: Tensor) -> tuple[Tensor, Tensor]:
        with torch.enable_grad():
            free = values.clone().requires_grad_()
            energy = total(free)
            (gradient,) = torch.autograd.grad(energy.sum(), free)
        gradient = torch.nan_to_num(gradient) * scale
        return energy.detach(), gradient / gradient.abs().amax(dim=(1, 2, 3), keepdim=True).clamp(min=1e-12)

    best = numbers.detach()
    length = torch.full_like(best[:, :1, :1, :1], rate)
    before, direction = slope(best)
    lowest = before
    for iteration in range(iterations):
        tried = best - length * direction
        with torch.no_grad():
            energy = total(tried)
        fell = energy < lowest
        wide = fell[:, None, None, None]
        best, lowest = torch.where(wide, tried, best), torch.where(fell, energy, lowest)
        length = torch.where(wide, length, 0.5 * length)
        if fell.any() and iteration + 1 < iterations:
            _, direction = slope(best)
    return Guided(best, before, lowest)


class Guide(Protocol):
    """Changes the estimate between two steps of the sampler."""

    def clean(self, numbers: Tensor, crops: Crops, step: DDIMStep) -> Tensor:
        """The clean motion (B, T, 2, 157) with which the sampler goes on, made from the network's."""
        ...

    def noisy(self, numbers: Tensor, crops: Crops, step: DDIMStep) -> Tensor:
        """The noisy motion (B, T, 2, 157), noise unscaled, that the network is to see at this step."""
        ...


class EnergyGuidance:
    """Energies applied to the clean estimate at every step whose timestep is at most ``latest``.

    Attributes:
        history: weighted energies (before, after), each (B,), of the steps of the last run.
    """

    def __init__(
        self, body: TorchBody, energies: Sequence[Energy], iterations: int = 8, rate: float = 0.02, latest: int = 60
    ) -> None:
        self.body, self.energies = body, list(energies)
        self.iterations, self.rate, self.latest = iterations, rate, latest
        self.history: list[tuple[Tensor, Tensor]] = []

    def clean(self, numbers: Tensor, crops: Crops, step: DDIMStep) -> Tensor:
        """The motion with its energy lowered."""
        if step.timestep > self.latest or not self.energies:
            return numbers
        guided = descend(numbers, crops, self.body, self.energies, self.iterations, self.rate)
        self.history.append((guided.before, guided.after))
        return guided.numbers

    def noisy(self, numbers: Tensor, crops: Crops, step: DDIMStep) -> Tensor:
        """Unchanged."""
        return numbers
