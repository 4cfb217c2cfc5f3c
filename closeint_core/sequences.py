# SPDX-License-Identifier: Apache-2.0
"""Arithmetic on values over time, (P, T, ...) of P people in T frames."""

from __future__ import annotations

import torch
from torch import Tensor


def fill_gaps(x: Tensor, known: Tensor) -> Tensor:
    """Linear interpolation over time of x (P, T, ...) where ``known`` (P, T) is false; the ends are held."""
    frames = x.shape[1]
    steps = torch.arange(frames)
    out = x.clone()
    for person in range(x.shape[0]):
        index = steps[known[person]]
        if len(index) in (0, frames):
            continue
        after = torch.searchsorted(index, steps).clamp(max=len(index) - 1)
        before = (torch.searchsorted(index, steps, right=True) - 1).clamp(min=0)
        a, b = index[before], index[after]
        mix = torch.where(b > a, (steps - a) / (b - a).clamp(min=1), torch.zeros_like(steps, dtype=x.dtype))
        mix = mix.clamp(0, 1).reshape(-1, *[1] * (x.dim() - 2))
        out[person] = x[person, a] * (1 - mix) + x[person, b] * mix
    return out


def continuous(quats: Tensor) -> Tensor:
    """Quaternions (P, T, N, 4) with the signs that make neighbouring frames close."""
    dots = (quats[:, 1:] * quats[:, :-1]).sum(-1, keepdim=True)
    signs = torch.where(dots < 0, -1.0, 1.0).cumprod(1)
    return torch.cat([quats[:, :1], quats[:, 1:] * signs], 1)


def running_median(x: Tensor, width: int) -> Tensor:
    """Median of x (P, T, N) over ``width`` (odd) neighbouring frames, the ends repeated."""
    width = min(width, 2 * x.shape[1] - 1) | 1
    if width < 3:
        return x.clone()
    half = width // 2
    index = (torch.arange(x.shape[1])[:, None] + torch.arange(-half, half + 1)).clamp(0, x.shape[1] - 1)
    return x[:, index].median(2).values
