# SPDX-License-Identifier: Apache-2.0
"""What the terms of the refinement share: one-sided residuals, and sums over all that belongs to a frame."""

from __future__ import annotations

import torch
from torch import Tensor


def one_sided(height: Tensor, goal: Tensor | float, soft: float) -> tuple[Tensor, Tensor]:
    """By how much heights fall short of a goal, going to zero smoothly over ``soft``, and its slope by the shortfall.

    What is just above its goal has a curvature already, so a step does not run into what was not there before.
    """
    short = goal - height
    root = (short.square() + soft**2).sqrt()
    return 0.5 * (short + root), 0.5 * (1 + short / root)


def by_frame(values: Tensor) -> Tensor:
    """(T,) sums of (P, T, ...)."""
    return values.flatten(2).sum((0, 2)) if values.ndim > 2 else values.sum(0)


def spread_over(values: Tensor, order: int) -> Tensor:
    """(T,) sums of differences (P, T - order, ...), each at its middle frame."""
    each = by_frame(values)
    return torch.nn.functional.pad(each, ((order + 1) // 2, order // 2))
