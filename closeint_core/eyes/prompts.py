# SPDX-License-Identifier: Apache-2.0
"""How the eyes are told whom to look at: blobs at the middle of both people's shoulders and hips.

Also how detectors err in telling it, for training: places off by up to a third of the trunk, both points of a person
together or each alone, one point on the other person, points or people that nobody found.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from closeint_core.body.parts import HIPS, SHOULDERS
from closeint_core.rendering.draws import Draws

_BLOB = 7 / 256  # spread of a blob as a share of the square's side


@dataclass(frozen=True)
class PromptErrors:
    """How detectors' prompts err; lengths in trunks.

    Attributes:
        levels: (share, low, high) of how far points are off, drawn for each person. together: share of the error's
            variance that both points of a person have in common. lost: share of points not found. swapped: of points
            found on the other person. unknown: of people of whom nobody told.
    """

    levels: tuple[tuple[float, float, float], ...] = ((0.45, 0.0, 0.08), (0.35, 0.08, 0.18), (0.2, 0.18, 0.35))
    together: float = 0.4
    lost: float = 0.07
    swapped: float = 0.02
    unknown: float = 0.05


def prompt_points(joints: Tensor, known: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Middles of shoulders and hips, and whether they are known.

    Args:
        joints: (..., 13, 2). known: (..., 13) bool; all if not given. One side alone stands for both.

    Returns:
        Points (..., 2, 2), shoulders first, and bool (..., 2).
    """
    index = torch.tensor([SHOULDERS, HIPS], device=joints.device)
    pair = joints[..., index, :]  # (..., 2, 2 sides, 2)
    weight = torch.ones_like(pair[..., 0]) if known is None else known[..., index].to(pair.dtype)
    total = weight.sum(-1)
    filled = torch.where(weight[..., None] > 0, pair, 0.0)
    return filled.sum(-2) / total.clamp(min=1)[..., None], total > 0


def trunk_lengths(points: Tensor, given: Tensor, floor: float) -> Tensor:
    """Lengths (..., P) of trunks of points (..., P, 2, 2), at least ``floor``; where one is unknown, the longest of the
    others."""
    length = (points[..., 0, :] - points[..., 1, :]).norm(dim=-1) * given.all(-1)
    return torch.where(length > 0, length, length.amax(-1, keepdim=True)).clamp(min=floor)


def with_errors(points: Tensor, trunks: Tensor, draws: Draws, errors: PromptErrors) -> tuple[Tensor, Tensor]:
    """Prompts as detectors give them.

    Args:
        points: (B, 2, 2, 2) true. trunks: (B, 2), same unit.

    Returns:
        Points and whether they are given, (B, 2, 2, 2) and bool (B, 2, 2).
    """
    count = len(points)
    pick = draws.uniform(count, 2)
    below, level = 0.0, torch.zeros_like(pick)
    for share, low, high in errors.levels:
        level = torch.where(pick >= below, draws.uniform(count, 2, low=low, high=high), level)
        below += share
    own = draws.normal(count, 2, 2, 2) * (1 - errors.together) ** 0.5
    off = own + draws.normal(count, 2, 1, 2) * errors.together**0.5
    moved = points + off * (level * trunks)[..., None, None]
    moved = torch.where(draws.chance(errors.swapped, count, 2, 2)[..., None], moved.flip(1), moved)
    unknown = draws.chance(errors.unknown, count, 2, 1)
    return moved, ~draws.chance(errors.lost, count, 2, 2) & ~unknown


def for_each_person(values: Tensor) -> Tensor:
    """Values (B, 2, K, ...) of both people as rows (2 B, 2 K, ...): of the person asked for, then of the other."""
    return torch.stack([values.flatten(1, 2), values.flip(1).flatten(1, 2)], 1).flatten(0, 1)


def blobs(points: Tensor, given: Tensor, size: int) -> Tensor:
    """Pictures (N, K, size, size) of points (N, K, 2) in pixels, empty where not ``given`` (N, K)."""
    at = torch.arange(size, device=points.device) + 0.5
    spread = _BLOB * size
    x = torch.exp(-((at - points[..., :1]) ** 2) / (2 * spread * spread))
    y = torch.exp(-((at - points[..., 1:]) ** 2) / (2 * spread * spread))
    return y[..., :, None] * x[..., None, :] * given[..., None, None]
