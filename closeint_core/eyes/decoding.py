# SPDX-License-Identifier: Apache-2.0
"""From heatmaps to points, each with the probability of being within a quarter of the trunk's length."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import conv2d

WITHIN = 0.25
"""Of the trunk's length: a joint that near is right."""


def decode(heat: Tensor, radius: Tensor) -> tuple[Tensor, Tensor]:
    """The disc that holds most of each joint's probability.

    Args:
        heat: (N, J, h, w) logits. radius: (N,) of the discs, in cells.

    Returns:
        Points (N, J, 2), x and y in cells, centres at +0.5: the mean of what the disc holds; and how much it holds
        (N, J), the probability that the joint is within the radius of its middle.
    """
    count, _, height, width = heat.shape
    chance = heat.flatten(2).softmax(-1).view_as(heat)
    reach = max(1, int(torch.ceil(radius.max())))
    offset = torch.arange(-reach, reach + 1, device=heat.device, dtype=heat.dtype)
    distance = (offset[:, None] ** 2 + offset[None] ** 2).sqrt()
    disc = (radius[:, None, None] + 0.5 - distance).clamp(0, 1)  # a soft edge of one cell
    held = conv2d(chance.transpose(0, 1), disc[:, None], padding=reach, groups=count).transpose(0, 1)
    best = held.flatten(2).max(-1)
    y, x = best.indices // width, best.indices % width
    rows = torch.arange(height, device=heat.device, dtype=heat.dtype)[:, None]
    columns = torch.arange(width, device=heat.device, dtype=heat.dtype)
    away = (columns - x[..., None, None]) ** 2 + (rows - y[..., None, None]) ** 2
    inside = (away <= radius[:, None, None, None] ** 2) * chance
    total = inside.sum((2, 3)).clamp(min=1e-9)
    points = torch.stack([(inside * columns).sum((2, 3)) / total, (inside * rows).sum((2, 3)) / total], -1)
    return points + 0.5, best.values.clamp(max=1)
