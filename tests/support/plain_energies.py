# SPDX-License-Identifier: Apache-2.0
"""The terms of the first solve as plain energies without slopes: each a mean over person-frames of squared errors in
units of its spread. What ``fit_terms`` says is compared with them."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize

from closeint_core.physics import energies
from closeint_core.physics.calibration import PHYSICS
from closeint_core.physics.joint_limits import beyond_limits
from closeint_core.solver.calibration import SOLVER

RELAXED = torch.tensor(PHYSICS.default.joints.relaxed)


def reprojection(
    projected: Tensor, observed: Tensor, weights: Tensor, metres_per_pixel: Tensor, spread: float, scale: float
) -> Tensor:
    """Robust 2D error in metres at the person's size, summed over keypoints.

    Args:
        projected, observed: (P, T, K, 2) pixels. weights: (P, T, K), 0 where unseen.
        metres_per_pixel: (P, T, 1). spread: metres of ordinary noise. scale: metres beyond which a keypoint
        counts as an outlier.
    """
    squared = ((projected - observed) * metres_per_pixel[..., None]).square().sum(-1)
    return (weights * energies.geman_mcclure(squared, scale)).sum(-1).mean() / spread**2


def directions(keypoints: Tensor, target: Tensor, weights: Tensor, spread: float) -> Tensor:
    """Disagreement between limb directions of the body and of the landmarks.

    Args:
        keypoints: (P, T, 26, 3). target: (P, T, D, 3) unit vectors. weights: (P, T, D). spread: radians.
    """
    have = normalize(keypoints[..., energies.DIRECTION_END, :] - keypoints[..., energies.DIRECTION_START, :], dim=-1)
    squared = (have - target).square().sum(-1)  # chord length squared, about the angle squared
    return (weights * energies.geman_mcclure(squared, 3 * spread)).sum(-1).mean() / spread**2


def acceleration(x: Tensor, spread: float, expected: Tensor | None = None) -> Tensor:
    """Second differences over time of x (P, T, N, 3), per frame^2, Huber beyond three spreads.

    Args:
        expected: (P, T - 2, N, 3) the second differences that cost nothing, zero if not given.
    """
    if x.shape[1] < 3:
        return x.new_zeros(())
    difference = energies.second_difference(x)
    squared = (difference if expected is None else difference - expected).square().sum(-1)
    return energies.huber(squared, 3 * spread).sum(-1).mean() / spread**2


def joint_limits(rotation_vectors: Tensor, spread: float = 0.08) -> Tensor:
    """Squared excess over the limits of rotation vectors (P, T, 24, 3); the root is free."""
    return beyond_limits(rotation_vectors).square().sum((-1, -2)).mean() / spread**2


def pose_prior(
    rotation_vectors: Tensor,
    usual: Tensor,
    weight: Tensor | None = None,
    spread: Tensor = RELAXED,
) -> Tensor:
    """Squared deviation of rotation vectors (P, T, 24, 3) from a usual pose, one or one a frame; stiff joints first.

    Args:
        weight: (P, T) of each person-frame, one if not given. spread: (24,) or (P, T, 24) radians.
    """
    deviation = ((rotation_vectors - usual).square().sum(-1) / spread**2).sum(-1)
    return (deviation if weight is None else weight * deviation).mean()


def shape_prior(betas: Tensor) -> Tensor:
    """Squared distance of shapes (P, B) from the average adult, lenient to small people: sum over shapes, (P,).

    The first coefficient is stature. Statures of adults are normal, but children walk about as well and giants
    do not: where two people differ a lot, the small one is the unusual one. Without this the two would share
    the difference, and both would be reconstructed too big and too far away.
    """
    stature = betas[..., 0].square()
    stature = torch.where(betas[..., 0] < 0, energies.geman_mcclure(stature, 2.0), stature)
    beyond = (
        (betas.abs() - SOLVER.default.fit.made_for).clamp(min=0).square().sum(-1)
    )  # the body was made for shapes up to there
    return stature + betas[..., 1:].square().sum(-1) + SOLVER.default.fit.beyond * beyond


def floor_contact(foot_heights: Tensor, standing: Tensor, scale: float) -> tuple[Tensor, Tensor]:
    """Two floor terms: the lower foot stands on it, and nothing lies under it.

    Args:
        foot_heights: (P, T, 6) metres over the floor, in the order of ``FOOT_POINTS``.
        standing: (P, T) weight of the belief that the person stands on the floor.
        scale: metres beyond which the lower foot counts as lifted, as in a jump.

    Returns:
        Standing and sinking term.
    """
    lowest = energies.lowest_point(foot_heights)
    stand = (standing * energies.geman_mcclure(lowest.square(), scale)).mean() / 0.02**2
    return stand, energies.sinking(foot_heights).sum(-1).mean() / 0.01**2


def foot_skate(foot_points: Tensor, planted: Tensor, spread: float = 0.005) -> Tensor:
    """Movement of planted foot points (P, T, 6, 3) between frames; planted (P, T - 1, 6) in 0..1."""
    if foot_points.shape[1] < 2:
        return foot_points.new_zeros(())
    return energies.sliding(foot_points, planted, 1, 3 * spread).sum(-1).mean() / spread**2


def sphere_overlap(centres: Tensor, radii: Tensor, spread: float = 0.01, weight: Tensor | None = None) -> Tensor:
    """Overlap of two people's spheres: centres (2, T, S, 3), radii (2, S); weight (T,) of each frame, one if not
    given."""
    depth = energies.overlaps(centres[0], radii[0], centres[1], radii[1]).square().sum((-1, -2))
    return (depth if weight is None else weight * depth).mean() / spread**2
