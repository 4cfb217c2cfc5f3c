# SPDX-License-Identifier: Apache-2.0
"""What the terms of the fit and of the refinement share: how keypoints and feet are read, residuals that both have with
their slopes, and sums over all that belongs to a frame."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import normalize

from closeint_core.body.torch_body import Skeleton
from closeint_core.physics import energies
from closeint_core.physics.joint_limits import beyond_limits
from closeint_core.sequences import hysteresis
from closeint_core.solver.calibration import SOLVER
from closeint_core.solver.least_squares import System
from closeint_core.solver.skinned_points import Columns, SkinnedPoints, along, inverse_right_jacobian

_SPHERE_ROWS = 48  # overlapping spheres looked after in a frame, the deepest first


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


def reprojected(
    view: Tensor, intrinsics: Tensor, observed: Tensor, scale: Tensor, least_depth: float
) -> tuple[Tensor, Tensor]:
    """How far pixels (..., K, 2) of points are from where they were seen, and the slopes (..., K, 2, 3) by the points.

    Args:
        view: (..., K, 3) metres, camera axes. intrinsics: (..., 3, 3). observed: (..., K, 2) pixels.
        scale: what a pixel counts, broadcast to (..., K, 2): metres at the person, mostly.
        least_depth: metres that points are taken to be away at least.
    """
    depth = view[..., 2:].clamp(min=least_depth)
    focal = torch.stack([intrinsics[..., 0, 0], intrinsics[..., 1, 1]], -1)[..., None, :]
    pixels = view[..., :2] / depth * focal + intrinsics[..., None, :2, 2]
    return (pixels - observed) * scale, pixel_slopes(view, depth, focal * scale)


def by_frame(values: Tensor) -> Tensor:
    """(T,) sums of (P, T, ...)."""
    return values.flatten(2).sum((0, 2)) if values.ndim > 2 else values.sum(0)


def spread_over(values: Tensor, order: int) -> Tensor:
    """(T,) sums of differences (P, T - order, ...), each at its middle frame."""
    each = by_frame(values)
    return torch.nn.functional.pad(each, ((order + 1) // 2, order // 2))


class Overlaps(NamedTuple):
    """Up to K overlaps of spheres in every frame, the deepest first: ``first`` and ``second`` (..., T, K) sphere of
    each, ``depth`` (..., T, K) in metres, 0 where there is none."""

    first: Tensor
    second: Tensor
    depth: Tensor


def deepest_overlaps(
    centres: tuple[Tensor, Tensor], radii: tuple[Tensor, Tensor], allowed: Tensor | None = None, margin: float = 0.0
) -> Overlaps | None:
    """Where spheres with centres (..., T, S, 3) and radii (..., S) are in each other; None if they are nowhere.

    Args:
        allowed: (S, S) pairs to look at, all if not given. margin: see ``energies.overlaps``.
    """
    mine, theirs = (one[..., None, :] for one in radii)
    depth = energies.overlaps(centres[0], mine, centres[1], theirs, margin)
    if allowed is not None:
        depth = torch.where(allowed, depth, 0.0)
    depth = depth.flatten(-2)
    count = int((depth > 0).sum(-1).max())
    if not count:
        return None
    value, index = depth.topk(min(count, _SPHERE_ROWS), dim=-1)
    size = centres[1].shape[-2]
    return Overlaps(index // size, index % size, value)


def chosen_centres(centres: Tensor, index: Tensor) -> Tensor:
    """(P, T, K, 3) those of an index (P, T, K) among centres (P, T, S, 3)."""
    return torch.gather(centres, 2, index[..., None].expand(-1, -1, -1, 3))


def overlap_of_two(
    skeleton: Skeleton, spheres: SkinnedPoints, centres: Tensor, radii: Tensor, below: Tensor
) -> tuple[Tensor, Tensor] | None:
    """Depths (T, K) of two people's spheres in each other and their slopes (2, T, K, 75); None if they are nowhere.

    Args:
        skeleton: posed, (2, T). spheres: (2, S) with centres (2, T, S, 3) and radii (2, S). below: see ``SkinningMap``.
    """
    found = deepest_overlaps((centres[0], centres[1]), (radii[0], radii[1]))
    if found is None:
        return None
    index = torch.stack((found.first, found.second))  # (2, T, K)
    place = chosen_centres(centres, index)
    direction = normalize(place[1] - place[0], dim=-1)
    points = Columns.of(spheres.of(torch.arange(2, device=index.device)[:, None, None], index))
    return found.depth, along(skeleton, points, below, torch.stack((direction, -direction)))[1]


def of_all_people(rows: Tensor) -> Tensor:
    """(T, K, P * n) rows (P, T, K, n) of all people's unknowns, side by side."""
    return rows.permute(1, 2, 0, 3).flatten(2)
