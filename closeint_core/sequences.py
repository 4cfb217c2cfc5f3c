# SPDX-License-Identifier: Apache-2.0
"""Arithmetic on values over time, (P, T, ...) of P people in T frames."""

from __future__ import annotations

import numpy as np
import torch
from scipy.ndimage import gaussian_filter1d
from torch import Tensor
from torch.nn.functional import avg_pool1d, max_pool1d, pad


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


PLAIN_FPS = 30.0
"""Frames per second around which the solvers' spreads, and how many frames they look around, were tuned."""


def frame_step(fps: float) -> float:
    """How long a frame is, in thirtieths of a second, at least one.

    Spreads of what changes from a frame to the next are stated at ``PLAIN_FPS``; of the n-th difference they grow with
    the n-th power of this. Slower footage is judged in seconds: an acceleration has its spread in m/s^2. Faster footage
    is not, for two reasons. Keypoints are off by a centimetre at any rate, so a spread that shrinks with the square of
    the rate (0.2 mm at 240) soon outweighs all that was seen, and the optimisers, which take steps of millimetres, do
    not get there: people shrank to 140 cm. And a rate may be wrong: slow motion is often written with the rate it was
    recorded at, or the reverse. With a frame that never counts as shorter, what was seen decides at any rate.
    """
    return max(PLAIN_FPS / fps, 1.0)


def frames_for(frames: int, fps: float) -> int:
    """As many frames as last as long as ``frames`` do at ``PLAIN_FPS``, and at least so many."""
    return max(frames, round(frames * fps / PLAIN_FPS))


def dilated(chosen: Tensor, reach: int) -> Tensor:
    """(T,) bool, the frames within ``reach`` of those chosen (T,)."""
    return max_pool1d(chosen.float()[None], 2 * reach + 1, 1, reach)[0] > 0


def least_around(share: Tensor, reach: int = 3) -> Tensor:
    """The least of shares (T,) nearby, smoothed."""
    kernel = 2 * reach + 1
    least = -max_pool1d(-share[None], kernel, 1, reach)
    padded = pad(least[None], (reach, reach), mode="replicate")[0]
    return avg_pool1d(padded, kernel, 1)[0]


def neighbours(bad: np.ndarray, longest: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each bad frame (T,) the good ones before and after it and how far it is between them.

    Returns:
        (T,) before and after, -1 for frames that are good or in a bad run longer than ``longest`` or with no good frame
        around; the same twice at the clip's ends. (T,) 0..1.
    """
    frames = len(bad)
    before, after, share = np.full(frames, -1), np.full(frames, -1), np.zeros(frames)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], bad, [False]]).astype(int)))
    for start, stop in edges.reshape(-1, 2):
        if stop - start > longest or (start == 0 and stop == frames):
            continue
        a, b = start - 1, stop
        a, b = (b, b) if a < 0 else (a, a) if b == frames else (a, b)
        before[start:stop], after[start:stop] = a, b
        share[start:stop] = (np.arange(start, stop) - a) / (b - a) if b > a else 0.0
    return before, after, share


def steadied(probability: np.ndarray, frames: float, axis: int = 1) -> np.ndarray:
    """Probabilities with less noise: their log-odds averaged over time, Gaussian of ``frames`` standard deviation.

    Args:
        probability: any shape, 0 to 1, time along ``axis``.
    """
    clipped = np.clip(probability, 1e-3, 1 - 1e-3).astype(np.float64)
    odds = gaussian_filter1d(np.log(clipped / (1 - clipped)), frames, axis, mode="nearest")
    result: np.ndarray = 1 / (1 + np.exp(-odds))
    return result


def hysteresis(probability: np.ndarray, on: float = 0.6, off: float = 0.4, axis: int = 1) -> np.ndarray:
    """Contacts that do not flicker: they begin above ``on`` and last until below ``off``, looked at from both ends.

    Args:
        probability: any shape, time along ``axis``.

    Returns:
        bool, the same shape: runs above ``off`` that somewhere reach ``on``.
    """
    moved = np.moveaxis(probability, axis, 0)
    held = moved >= off
    start = held & ~np.concatenate([np.zeros_like(held[:1]), held[:-1]])
    run = np.cumsum(start, 0)  # number of the run in its own column
    columns = np.arange(held[0].size).reshape(held.shape[1:])
    key = np.where(held, run * held[0].size + columns, -1)
    sure = np.unique(key[held & (moved >= on)])
    return np.moveaxis(held & np.isin(key, sure), 0, axis)
