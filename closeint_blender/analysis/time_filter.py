# SPDX-License-Identifier: GPL-3.0-or-later
"""Gaussian averages over time."""

from __future__ import annotations

import numpy as np


def gaussian(values: np.ndarray, sigma: float) -> np.ndarray:
    """Values (T, ...) averaged over time by a Gaussian of ``sigma`` frames; the ends keep their slope."""
    if sigma <= 0 or len(values) < 3:
        return np.array(values, np.float64)
    half = min(int(np.ceil(3 * sigma)), len(values) - 1)
    kernel = np.exp(-0.5 * (np.arange(-half, half + 1) / sigma) ** 2)
    kernel /= kernel.sum()
    # Mirrored about the end points, a steady movement stays what it is up to the last frame.
    head = 2 * values[:1] - values[half:0:-1]
    tail = 2 * values[-1:] - values[-2 : -half - 2 : -1]
    padded = np.concatenate([head, values, tail]).astype(np.float64)
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * half + 1, axis=0)
    return windows @ kernel


def gaussian_zero(values: np.ndarray, sigma: float) -> np.ndarray:
    """The same with nothing beyond the ends, for values that are weighted sums."""
    half = int(np.ceil(3 * sigma))
    kernel = np.exp(-0.5 * (np.arange(-half, half + 1) / sigma) ** 2)
    kernel /= kernel.sum()
    edge = np.zeros((half, *values.shape[1:]))
    padded = np.concatenate([edge, np.asarray(values, np.float64), edge])
    return np.lib.stride_tricks.sliding_window_view(padded, 2 * half + 1, axis=0) @ kernel
