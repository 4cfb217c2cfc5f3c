# SPDX-License-Identifier: Apache-2.0
"""What the terms of all solves share: robust losses, limb directions, heights and slips of feet, overlaps.

Shapes: P people, T frames, K keypoints; metres and radians.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize

from closeint_core.body.data import BodyData
from closeint_core.halpe import HALPE_INDEX
from closeint_core.physics.calibration import PHYSICS

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


def limb_directions(landmarks: Tensor, confidence: Tensor) -> tuple[Tensor, Tensor]:
    """Unit limb directions (P, T, D, 3) of landmarks (P, T, 26, 3) and their weights (P, T, D)."""
    start, end = landmarks[..., DIRECTION_START, :], landmarks[..., DIRECTION_END, :]
    weights = torch.minimum(confidence[..., DIRECTION_START], confidence[..., DIRECTION_END])
    weights = torch.where(torch.isfinite(start + end).all(-1), weights, torch.zeros_like(weights))
    return normalize(torch.nan_to_num(end - start), dim=-1), torch.nan_to_num(weights)


def second_difference(x: Tensor) -> Tensor:
    """(P, T - 2, ...) of x (P, T, ...), over time; nothing of less than three frames."""
    return x[:, 2:] - 2 * x[:, 1:-1] + x[:, :-2]


def sole_offsets(data: BodyData) -> Tensor:
    """(6,) height of the foot keypoints, in the order of ``FOOT_POINTS``, over the sole in the rest pose."""
    points = data.halpe_regressor[FOOT_POINTS.numpy()] @ data.template
    return torch.as_tensor(points[:, 1] - data.template[:, 1].min(), dtype=torch.float32)


def heights(points: Tensor, normal: Tensor, offset: Tensor) -> Tensor:
    """Height (...) of points (..., 3) over the floor: normal . x + offset."""
    return points @ normal + offset


def lowest_point(point_heights: Tensor, spread: float | None = None) -> Tensor:
    """Height (...) of the lowest of points (..., K), smooth: their mean, of which those within ``spread`` metres share
    (None: as the ground's calibration has it)."""
    spread = PHYSICS.now.ground.lowest if spread is None else spread
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


def overlaps(first: Tensor, first_radii: Tensor, second: Tensor, second_radii: Tensor, margin: float = 0.0) -> Tensor:
    """Depths (..., S, S') of spheres in each other, centres (..., S, 3) and (..., S', 3), radii (..., S) and (..., S').

    Args:
        margin: metres by which what spheres stand for is thicker than they are, two together.
    """
    reach = first_radii[..., :, None] + second_radii[..., None, :]
    return (reach - torch.cdist(first, second) + margin).clamp(min=0)


def gaps(first: Tensor, second: Tensor, reach: Tensor) -> Tensor:
    """Metres (...) by which two places (..., 3) that should touch are farther from each other than ``reach`` (...)."""
    return (((first - second).square().sum(-1) + 1e-8).sqrt() - reach).clamp(min=0)
