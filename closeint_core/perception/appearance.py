# SPDX-License-Identifier: Apache-2.0
"""What somebody wears, as colour histograms: tells two people apart after a crossing."""

from __future__ import annotations

import numpy as np

from closeint_core.halpe import HALPE_INDEX as K
from closeint_core.perception.calibration import PERCEPTION

_BINS = 8
DESCRIPTOR = 2 * 3 * _BINS
"""Length of a descriptor: trunk and thighs, each with a histogram of L, a and b."""


def describe(rgb: np.ndarray, keypoints: np.ndarray) -> np.ndarray:
    """Colour histograms of the trunk and the thighs of each skeleton.

    Args:
        rgb: uint8 (H, W, 3); a reduced image will do.
        keypoints: (N, 17, 2+), pixels of ``rgb``, COCO order; NaN where unknown.

    Returns:
        f4 (N, 48); each of the six histograms sums to 1, NaN where nothing could be sampled.
    """
    tuned = PERCEPTION.now.appearance
    points = np.asarray(keypoints, np.float64)[..., :2]
    left = points[:, [K["left_shoulder"], K["left_hip"]]]
    right = points[:, [K["right_shoulder"], K["right_hip"]]]
    u = np.linspace(*tuned.across, 9)[:, None, None]
    v = np.linspace(*tuned.down, 12)[:, None]
    trunk = _blend(left, right, u, v)
    hips = points[:, [K["left_hip"], K["right_hip"]]]
    knees = points[:, [K["left_knee"], K["right_knee"]]]
    along = np.linspace(*tuned.thigh, 24)[:, None]
    thighs = (hips[:, :, None] + along * (knees - hips)[:, :, None]).reshape(len(points), -1, 2)
    parts = [_histograms(rgb, samples) for samples in (trunk, thighs)]
    return np.concatenate(parts, axis=1).astype(np.float32)


def distance(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Bhattacharyya distance of descriptors (..., 48), 0 equal to 1 disjoint; 0.5 where either is unknown."""
    product = np.sqrt(np.maximum(a, 0.0) * np.maximum(b, 0.0)).reshape(
        *np.broadcast_shapes(a.shape, b.shape)[:-1], 6, -1
    )
    overlap = product.sum(axis=-1)
    known = np.isfinite(overlap)
    mean = np.where(known, overlap, 0.0).sum(axis=-1) / np.maximum(known.sum(axis=-1), 1)
    return np.where(known.any(axis=-1), np.sqrt(np.clip(1.0 - mean, 0.0, 1.0)), PERCEPTION.now.appearance.unknown)


def _blend(left: np.ndarray, right: np.ndarray, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """(N, U * V, 2) grid between two lines given by their ends, (N, 2, 2) each."""
    a = left[:, 0][:, None, None] * (1 - v) + left[:, 1][:, None, None] * v
    b = right[:, 0][:, None, None] * (1 - v) + right[:, 1][:, None, None] * v
    result: np.ndarray = (a * (1 - u) + b * u).reshape(len(left), -1, 2)
    return result


def _histograms(rgb: np.ndarray, samples: np.ndarray) -> np.ndarray:
    """(N, 3 * bins) of the pixels at ``samples`` (N, S, 2)."""
    height, width = rgb.shape[:2]
    known = np.isfinite(samples).all(axis=-1)
    cell = np.floor(np.where(known[..., None], samples, -1.0)).astype(int)
    known &= (cell >= 0).all(axis=-1) & (cell[..., 0] < width) & (cell[..., 1] < height)
    x, y = cell[..., 0].clip(0, width - 1), cell[..., 1].clip(0, height - 1)
    import cv2  # here, so that solving needs no OpenCV

    lab = cv2.cvtColor(np.ascontiguousarray(rgb[y, x]), cv2.COLOR_RGB2LAB).astype(np.float64)
    # clothes span little of the a and b axes; stretch their middle over the bins
    span = PERCEPTION.now.appearance.colours
    value = np.stack([lab[..., 0] / 256, (lab[..., 1] - 128) / span + 0.5, (lab[..., 2] - 128) / span + 0.5], axis=-1)
    position = np.clip(value, 0.0, 1.0 - 1e-9) * _BINS - 0.5
    low = np.floor(position).astype(int)
    share = position - low
    result = np.zeros((len(samples), 3, _BINS))
    person = np.broadcast_to(np.arange(len(samples))[:, None, None], low.shape)
    channel = np.broadcast_to(np.arange(3), low.shape)
    # each sample is shared by two neighbouring bins, so that a change of light moves histograms smoothly
    np.add.at(result, (person, channel, low.clip(0, _BINS - 1)), (1 - share) * known[..., None])
    np.add.at(result, (person, channel, (low + 1).clip(0, _BINS - 1)), share * known[..., None])
    total = result.sum(axis=-1, keepdims=True)
    with np.errstate(invalid="ignore"):
        result = result / np.where(total >= 10, total, np.nan)
    return result.reshape(len(samples), -1)
