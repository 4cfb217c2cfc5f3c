# SPDX-License-Identifier: Apache-2.0
"""What the terms of the fit and of the refinement share: how keypoints and feet are read, residuals that both have with
their slopes, and sums over all that belongs to a frame."""

from __future__ import annotations

import torch
from torch import Tensor

from closeint_core.physics.joint_limits import beyond_limits
from closeint_core.sequences import hysteresis
from closeint_core.solver.calibration import SOLVER
from closeint_core.solver.least_squares import System
from closeint_core.solver.skinned_points import inverse_right_jacobian


def one_sided(height: Tensor, goal: Tensor | float, soft: float) -> tuple[Tensor, Tensor]:
    """By how much heights fall short of a goal, going to zero smoothly over ``soft``, and its slope by the shortfall.

    What is just above its goal has a curvature already, so a step does not run into what was not there before.
    """
    short = goal - height
    root = (short.square() + soft**2).sqrt()
    return 0.5 * (short + root), 0.5 * (1 + short / root)


def observed_points(keypoints: Tensor) -> tuple[Tensor, Tensor]:
    """Pixels (..., K, 2) and confidence in 0..1 (..., K) of keypoints (..., K, 3), zeros where they are NaN."""
    seen = keypoints.isfinite().all(-1)
    confidence = torch.where(seen, keypoints[..., 2].nan_to_num(0).clamp(0, 1), torch.zeros_like(seen.float()))
    return keypoints[..., :2].nan_to_num(0), confidence


def standing_feet(contacts: Tensor) -> Tensor:
    """Probabilities (P, T, 2) that feet stand, zero where they rather do not. A foot that surely stood goes on standing
    until that is unlikely: in a moment of doubt it would otherwise slide away."""
    held = hysteresis(contacts.cpu().numpy(), *SOLVER.now.evidence.stands)
    return torch.where(torch.as_tensor(held, device=contacts.device), contacts, torch.zeros_like(contacts))


def add_joint_limits(
    system: System, vectors: Tensor, bounds: tuple[Tensor, Tensor], spread: float, weight: float = 1.0
) -> Tensor:
    """Energies (T,) of joints that are bent too far, and their residuals in the system; the root is free.

    Args:
        vectors: (P, T, 24, 3) rotation vectors. bounds: least and greatest, (24, 3) or (P, T, 24, 3), radians.
        spread: radians by which a joint may plausibly be beyond them.
    """
    over = beyond_limits(vectors, *bounds)[..., 1:, :] / spread
    inverse = inverse_right_jacobian(vectors[..., 1:, :])
    active = weight * (over != 0).float()[..., None] / spread**2
    slope = weight * (inverse.mT @ (over / spread)[..., None])[..., 0]
    system.add_small(3, inverse.mT @ (active * inverse), slope)
    return weight * by_frame(over.square())


def pixel_slopes(view: Tensor, depth: Tensor, focal: Tensor) -> Tensor:
    """(..., 2, 3) of pixels by points ``view`` (..., 3) in camera axes at ``depth`` (..., 1), for focal lengths, in
    whatever unit pixels are measured, that broadcast to (..., 2)."""
    slopes = torch.zeros(*view.shape[:-1], 2, 3, device=view.device)
    slopes[..., 0, 0] = slopes[..., 1, 1] = 1.0
    slopes[..., :, 2] = -view[..., :2] / depth
    return slopes / depth[..., None] * focal[..., None]


def by_frame(values: Tensor) -> Tensor:
    """(T,) sums of (P, T, ...)."""
    return values.flatten(2).sum((0, 2)) if values.ndim > 2 else values.sum(0)


def spread_over(values: Tensor, order: int) -> Tensor:
    """(T,) sums of differences (P, T - order, ...), each at its middle frame."""
    each = by_frame(values)
    return torch.nn.functional.pad(each, ((order + 1) // 2, order // 2))
