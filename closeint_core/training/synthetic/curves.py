# SPDX-License-Identifier: Apache-2.0
"""Curves over time, batched: eased keys, smoothing, B-splines."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def smoothstep(x: Tensor) -> Tensor:
    """0 to 1 with no velocity at either end."""
    x = x.clamp(0, 1)
    return x * x * (3 - 2 * x)


def ease(key_times: Tensor, values: Tensor, times: Tensor) -> Tensor:
    """Values (N, T, D) of keys ``key_times`` (N, K), ``values`` (N, K, D) at ``times`` (N, T).

    Eased between keys, never beyond them; held before the first and after the last.
    """
    if key_times.shape[1] == 1:
        return values.expand(-1, times.shape[1], -1)
    after = torch.searchsorted(key_times.contiguous(), times.contiguous(), right=True)
    after = after.clamp(1, key_times.shape[1] - 1)
    start, end = key_times.gather(1, after - 1), key_times.gather(1, after)
    share = smoothstep((times - start) / (end - start).clamp(min=1e-4))[..., None]
    index = after[..., None].expand(-1, -1, values.shape[-1])
    return values.gather(1, index - 1) * (1 - share) + values.gather(1, index) * share


def keyed(keys: Sequence[Sequence[float]], times: Tensor, noise: Tensor | None = None) -> Tensor:
    """Curves (N, T, D) of keys, each value off by its ``noise`` (N, K, D)."""
    table = torch.tensor(keys, dtype=torch.float32)
    values = table[None, :, 1:].expand(len(times), -1, -1)
    return ease(table[None, :, 0].expand(len(times), -1), values if noise is None else values + noise, times)


def smooth(values: Tensor, sigma: float) -> Tensor:
    """Gaussian blur over time of values (N, T, D); ``sigma`` in frames."""
    reach = torch.arange(values.shape[1], dtype=values.dtype, device=values.device)
    kernel = torch.exp(-0.5 * ((reach[:, None] - reach[None]) / sigma) ** 2)
    return (kernel / kernel.sum(1, keepdim=True)) @ values


def bspline_basis(frames: int, spacing: float) -> Tensor:
    """(frames, K) uniform cubic B-spline weights with a control point every ``spacing`` frames; rows sum to 1."""
    spans = max(1, round((frames - 1) / spacing))
    u = torch.linspace(0, spans, frames, dtype=torch.float64)
    x = (u[:, None] - torch.arange(-1, spans + 2, dtype=torch.float64)).abs()
    near = 2 / 3 - x**2 + x**3 / 2
    far = (2 - x).clamp(min=0) ** 3 / 6
    return torch.where(x < 1, near, far).float()
