# SPDX-License-Identifier: Apache-2.0
"""The terms of the pair's fit. Each is a mean over person-frames of squared errors in units of its spread.

Dividing every residual by how far it may plausibly be off makes the terms comparable, so their
weights stay near one. Shapes: P people, T frames, K keypoints; metres, radians, camera axes.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize

from closeint_core.body.data import BodyData
from closeint_core.halpe import HALPE_INDEX
from closeint_core.physics.joint_limits import beyond_limits

# Limbs whose 3D direction the landmarks tell, as Halpe indices.
_DIRECTIONS = (
    ("left_hip", "right_hip"), ("left_shoulder", "right_shoulder"), ("pelvis", "neck"), ("left_hip", "left_shoulder"),
    ("right_hip", "right_shoulder"), ("left_shoulder", "left_elbow"), ("right_shoulder", "right_elbow"),
    ("left_elbow", "left_wrist"), ("right_elbow", "right_wrist"), ("left_hip", "left_knee"),
    ("right_hip", "right_knee"), ("left_knee", "left_ankle"), ("right_knee", "right_ankle"),
    ("left_heel", "left_big_toe"), ("right_heel", "right_big_toe"), ("left_ear", "right_ear"), ("neck", "nose"),
)  # fmt: skip
DIRECTION_START = torch.tensor([HALPE_INDEX[a] for a, _ in _DIRECTIONS])
DIRECTION_END = torch.tensor([HALPE_INDEX[b] for _, b in _DIRECTIONS])
FOOT_POINTS = torch.tensor([20, 22, 24, 21, 23, 25])
"""Halpe indices of the left then the right big toe, small toe, heel."""


def geman_mcclure(squared: Tensor, scale: float) -> Tensor:
    """Squared errors that stop growing beyond ``scale``: s e / (s + e) with s = scale^2."""
    return squared * scale**2 / (squared + scale**2)


def huber(squared: Tensor, knee: float) -> Tensor:
    """Squared errors that grow linearly beyond ``knee``."""
    return torch.where(squared <= knee**2, squared, 2 * knee * squared.clamp(min=knee**2).sqrt() - knee**2)


def huber_slope(squared: Tensor, knee: float) -> tuple[Tensor, Tensor]:
    """``huber`` and its slope by the squared error."""
    size = squared.clamp(min=knee**2).sqrt()
    far = squared > knee**2
    return torch.where(far, 2 * knee * size - knee**2, squared), torch.where(far, knee / size, torch.ones_like(size))


def geman_mcclure_slope(squared: Tensor, scale: float) -> tuple[Tensor, Tensor]:
    """``geman_mcclure`` and its slope by the squared error."""
    share = scale**2 / (squared + scale**2)
    return squared * share, share.square()


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
    return (weights * geman_mcclure(squared, scale)).sum(-1).mean() / spread**2


def directions(keypoints: Tensor, target: Tensor, weights: Tensor, spread: float) -> Tensor:
    """Disagreement between limb directions of the body and of the landmarks.

    Args:
        keypoints: (P, T, 26, 3). target: (P, T, D, 3) unit vectors. weights: (P, T, D). spread: radians.
    """
    have = normalize(keypoints[..., DIRECTION_END, :] - keypoints[..., DIRECTION_START, :], dim=-1)
    squared = (have - target).square().sum(-1)  # chord length squared, about the angle squared
    return (weights * geman_mcclure(squared, 3 * spread)).sum(-1).mean() / spread**2


def limb_directions(landmarks: Tensor, confidence: Tensor) -> tuple[Tensor, Tensor]:
    """Unit limb directions (P, T, D, 3) of landmarks (P, T, 26, 3) and their weights (P, T, D)."""
    start, end = landmarks[..., DIRECTION_START, :], landmarks[..., DIRECTION_END, :]
    weights = torch.minimum(confidence[..., DIRECTION_START], confidence[..., DIRECTION_END])
    weights = torch.where(torch.isfinite(start + end).all(-1), weights, torch.zeros_like(weights))
    return normalize(torch.nan_to_num(end - start), dim=-1), torch.nan_to_num(weights)


def second_difference(x: Tensor) -> Tensor:
    """(P, T - 2, ...) of x (P, T, ...), over time; nothing of less than three frames."""
    return x[:, 2:] - 2 * x[:, 1:-1] + x[:, :-2]


def acceleration(x: Tensor, spread: float, expected: Tensor | None = None) -> Tensor:
    """Second differences over time of x (P, T, N, 3), per frame^2, Huber beyond three spreads.

    Args:
        expected: (P, T - 2, N, 3) the second differences that cost nothing, zero if not given.
    """
    if x.shape[1] < 3:
        return x.new_zeros(())
    difference = second_difference(x)
    squared = (difference if expected is None else difference - expected).square().sum(-1)
    return huber(squared, 3 * spread).sum(-1).mean() / spread**2


_STIFFNESS = {0: 1e3, 3: 0.4, 6: 0.4, 9: 0.4, 12: 0.4, 15: 0.5, 13: 0.2, 14: 0.2, 7: 0.4, 8: 0.4, 10: 0.1, 11: 0.1,
              20: 0.4, 21: 0.4, 22: 0.1, 23: 0.1, 4: 1.5, 5: 1.5, 18: 1.5, 19: 1.5,
              1: 1.2, 2: 1.2, 16: 1.5, 17: 1.5}  # fmt: skip
POSE_SPREAD = torch.tensor([_STIFFNESS[joint] for joint in range(24)])
"""How far, in radians, each joint strays from a relaxed stance without evidence."""


def joint_limits(rotation_vectors: Tensor, spread: float = 0.08) -> Tensor:
    """Squared excess over the limits of rotation vectors (P, T, 24, 3); the root is free."""
    return beyond_limits(rotation_vectors).square().sum((-1, -2)).mean() / spread**2


def pose_prior(
    rotation_vectors: Tensor, usual: Tensor, weight: Tensor | None = None, spread: Tensor = POSE_SPREAD
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
    stature = torch.where(betas[..., 0] < 0, geman_mcclure(stature, 2.0), stature)
    beyond = (betas.abs() - 3.0).clamp(min=0).square().sum(-1)  # the body was made for shapes up to there
    return stature + betas[..., 1:].square().sum(-1) + 10.0 * beyond


def sole_offsets(data: BodyData) -> Tensor:
    """(6,) height of the foot keypoints, in the order of ``FOOT_POINTS``, over the sole in the rest pose."""
    points = data.halpe_regressor[FOOT_POINTS.numpy()] @ data.template
    return torch.as_tensor(points[:, 1] - data.template[:, 1].min(), dtype=torch.float32)


def heights(points: Tensor, normal: Tensor, offset: Tensor) -> Tensor:
    """Height (...) of points (..., 3) over the floor: normal . x + offset."""
    return points @ normal + offset


def lowest_point(point_heights: Tensor, spread: float = 0.01) -> Tensor:
    """Height (...) of the lowest of points (..., K), smooth: their mean, of which those within ``spread`` share."""
    return (torch.softmax(-point_heights / spread, -1) * point_heights).sum(-1)


def sinking(point_heights: Tensor) -> Tensor:
    """Squared depth (...) of points under the floor, of their heights (...) over it."""
    return point_heights.clamp(max=0).square()


def floating(foot_heights: Tensor, planted: Tensor) -> Tensor:
    """Squared height (...) by which the lowest of a planted foot's points (..., K) is off the floor; planted (...)."""
    return planted * lowest_point(foot_heights).square()


def sliding(points: Tensor, planted: Tensor, time: int, knee: float | None = None) -> Tensor:
    """Squared way from a frame to the next of points (..., 3) that are planted in both.

    Args:
        planted: 0..1 of each step, one frame shorter than the points. time: their axis of frames. knee: metres beyond
            which the square grows linearly; None is nowhere.
    """
    squared = points.diff(dim=time).square().sum(-1)
    return planted * (squared if knee is None else huber(squared, knee))


def overlaps(first: Tensor, first_radii: Tensor, second: Tensor, second_radii: Tensor) -> Tensor:
    """Depths (..., S, S') of spheres in each other, centres (..., S, 3) and (..., S', 3), radii (S,) and (S',)."""
    return (first_radii[:, None] + second_radii - torch.cdist(first, second)).clamp(min=0)


def gaps(first: Tensor, second: Tensor, reach: Tensor) -> Tensor:
    """Metres (...) by which two places (..., 3) that should touch are farther from each other than ``reach`` (...)."""
    return (((first - second).square().sum(-1) + 1e-8).sqrt() - reach).clamp(min=0)


def floor_contact(foot_heights: Tensor, standing: Tensor, scale: float) -> tuple[Tensor, Tensor]:
    """Two floor terms: the lower foot stands on it, and nothing lies under it.

    Args:
        foot_heights: (P, T, 6) metres over the floor, in the order of ``FOOT_POINTS``.
        standing: (P, T) weight of the belief that the person stands on the floor.
        scale: metres beyond which the lower foot counts as lifted, as in a jump.

    Returns:
        Standing and sinking term.
    """
    lowest = lowest_point(foot_heights)
    stand = (standing * geman_mcclure(lowest.square(), scale)).mean() / 0.02**2
    return stand, sinking(foot_heights).sum(-1).mean() / 0.01**2


def foot_skate(foot_points: Tensor, planted: Tensor, spread: float = 0.005) -> Tensor:
    """Movement of planted foot points (P, T, 6, 3) between frames; planted (P, T - 1, 6) in 0..1."""
    if foot_points.shape[1] < 2:
        return foot_points.new_zeros(())
    return sliding(foot_points, planted, 1, 3 * spread).sum(-1).mean() / spread**2


def sphere_overlap(centres: Tensor, radii: Tensor, spread: float = 0.01, weight: Tensor | None = None) -> Tensor:
    """Overlap of two people's spheres: centres (2, T, S, 3), radii (2, S); weight (T,) of each frame, one if not
    given."""
    depth = overlaps(centres[0], radii[0], centres[1], radii[1]).square().sum((-1, -2))
    return (depth if weight is None else weight * depth).mean() / spread**2
