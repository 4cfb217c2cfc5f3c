# SPDX-License-Identifier: Apache-2.0
"""Points of two people that are to lie where they are told from each other, or one person's points in the world."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from closeint_core.body.torch_body import Skeleton
from closeint_core.physics import energies
from closeint_core.solver.least_squares import System
from closeint_core.solver.skinned_points import JOINTS, Columns, SkinnedPoints, SkinningMap, jacobian, levers


@dataclass
class Ties:
    """Up to K ties in every frame: person 0's point less person 1's is to be ``goal``.

    Attributes:
        points: (P, T, K) the points; a person who has no part in a tie has a point without weights there.
        goal: (T, K, 3) metres, world axes. weight: (T, K) per square metre, 0 where there is no tie.
        scale: metres beyond which the energy stops growing (Geman-McClure); infinite: it grows for ever.
        slack: metres by which a tie may be off at no cost.
    """

    points: SkinnedPoints
    goal: Tensor
    weight: Tensor
    scale: float = float("inf")
    slack: float = 0.0

    @cached_property
    def columns(self) -> Columns:
        """The points, (P, T, K)."""
        return Columns.of(self.points)


def add_ties(system: System, skeleton: Skeleton, ties: Ties, below: Tensor) -> Tensor:
    """Energies (T,) of ties, and their residuals in the system.

    Args:
        skeleton: posed people, (P, T). below: (24, 24), see ``SkinningMap``.
    """
    people = ties.points.weights.shape[0]
    sign = torch.tensor([1.0, -1.0], device=ties.goal.device)[:people, None, None, None]
    places, lever, total = levers(skeleton, ties.columns, below)
    slopes = jacobian(skeleton, lever, total[..., 0, :])  # (P, T, n, 3, K)
    rows = (sign[..., None] * slopes).permute(1, 4, 3, 0, 2).flatten(3).flatten(1, 2)  # (T, K * 3, P * n)
    miss = (sign * places).sum(0) - ties.goal  # (T, K, 3)
    length = miss.norm(dim=-1)
    if ties.slack:
        miss = miss * ((length - ties.slack).clamp(min=0) / length.clamp(min=1e-9))[..., None]
    squared = miss.square().sum(-1)
    value, slope_of = squared, torch.ones_like(squared)
    if np.isfinite(ties.scale):
        value, slope_of = energies.geman_mcclure_slope(squared, ties.scale)
    stiff = ties.weight * slope_of
    system.add_rows(rows, miss.flatten(1), stiff.repeat_interleave(3, -1))
    return (ties.weight * value).sum(-1)


def packed(
    frame: Tensor, points: Sequence[SkinnedPoints], goal: Tensor, weight: Tensor, frames: int,
    scale: float = float("inf"), slack: float = 0.0,
) -> Ties:  # fmt: skip
    """Ties from a list of them.

    Args:
        frame: (N,). points: (N,) of each person. goal: (N, 3). weight: (N,). frames: T.
    """
    order = torch.argsort(frame, stable=True)
    counts = torch.bincount(frame, minlength=frames)
    column = torch.arange(len(frame), device=frame.device) - (counts.cumsum(0) - counts)[frame[order]]
    at, columns = frame[order], int(counts.max())

    def spread(value: Tensor) -> Tensor:
        out = value.new_zeros(frames, columns, *value.shape[1:])
        out[at, column] = value[order]
        return out

    moments, weights = (torch.stack([spread(one) for one in part]) for part in zip(*points, strict=True))
    return Ties(SkinnedPoints(moments, weights), spread(goal), spread(weight), scale, slack)


def nobody(count: int, device: torch.device) -> SkinnedPoints:
    """Points (N,) of a person who has no part in ties."""
    return SkinnedPoints(torch.zeros(count, JOINTS, 3, device=device), torch.zeros(count, JOINTS, device=device))


def joints_of(ride: SkinningMap, rest: Tensor, joint: Tensor) -> SkinnedPoints:
    """Points (N,) of joints (N,) that lie at ``rest`` (N, 3) in the rest pose."""
    weights = torch.nn.functional.one_hot(joint, JOINTS).to(rest)
    return SkinnedPoints(weights[..., None] * rest[:, None], weights)
