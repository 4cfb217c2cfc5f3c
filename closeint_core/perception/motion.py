# SPDX-License-Identifier: Apache-2.0
"""Where each joint is expected, from the frames around it; gaps filled, outliers outvoted."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import convolve1d, maximum_filter1d

from closeint_core.halpe import HALPE_INDEX as K
from closeint_core.perception.assignment import PARENT
from closeint_core.perception.calibration import PERCEPTION

TRUNK = np.array([K["left_shoulder"], K["right_shoulder"], K["left_hip"], K["right_hip"]])


def fill(values: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Linear interpolation along axis 0 of (T, ...) where ``known`` (T,) is false; held at the ends."""
    frames = np.flatnonzero(known)
    if frames.size == 0:
        return np.full_like(values, np.nan, dtype=np.float64)
    time = np.arange(len(values))
    after = np.searchsorted(frames, time).clip(0, len(frames) - 1)
    before = np.where(frames[after] == time, after, after - 1).clip(0)
    span = frames[after] - frames[before]
    share = np.where(span > 0, (time - frames[before]) / np.maximum(span, 1), 0.0)
    share = share.clip(0.0, 1.0).reshape(-1, *([1] * (values.ndim - 1)))
    result: np.ndarray = values[frames[before]] * (1 - share) + values[frames[after]] * share
    return result


def body_scale(keypoints: np.ndarray, fps: float) -> np.ndarray:
    """(P, T) smooth body size in pixels of keypoints (P, T, 17, 3): how tall the person would stand.

    The largest of the trunk's and the limbs' apparent extents, taken as a running high percentile: bending or
    pointing at the camera makes a body look small, never large.
    """
    from closeint_core.perception.tracking import body_size

    size = body_size(keypoints)
    result = np.full(size.shape, np.nan)
    width = int(fps * 1.0) | 1
    for person, row in enumerate(size):
        known = np.isfinite(row)
        if not known.any():
            continue
        filled = fill(row, known)
        # a wrong joint makes a sixth of a second too large: median first, then the maximum
        smooth = _median(filled, max(5, round(fps / 6) | 1))
        high = maximum_filter1d(smooth, width, mode="nearest")
        kernel = np.ones(width) / width
        result[person] = convolve1d(high, kernel, mode="nearest")
    return result


def predict(
    keypoints: np.ndarray, scale: np.ndarray, fps: float, *, self_weight: float = 1.0
) -> tuple[np.ndarray, np.ndarray]:
    """Expected joint positions by robust local linear regression over time.

    Joints are predicted relative to the trunk, so that a gap follows the body and not the last position.

    Args:
        keypoints: (P, T, J, 3), pixels and confidence; NaN where unseen.
        scale: (P, T) body size, pixels.
        fps: frames per second.
        self_weight: how much a frame counts for itself; 0 predicts it from its neighbours alone.

    Returns:
        (P, T, J, 2) positions, NaN for a joint that was never seen, and (P, T, J) standard deviations in pixels.
    """
    position = np.asarray(keypoints[..., :2], np.float64)
    weight = np.where(np.isfinite(position[..., 0]), np.nan_to_num(keypoints[..., 2], nan=0.0), 0.0).astype(np.float64)
    people, frames, joints = weight.shape
    centre = _trunk_centre(position, weight)
    relative = np.where(weight[..., None] > 0, position - centre[:, :, None], 0.0)

    tuned = PERCEPTION.now.motion
    sd = max(tuned.window * fps, 1.0)
    half = int(np.ceil(tuned.window_reach * sd))
    lag = np.arange(-half, half + 1)
    bell = np.exp(-0.5 * (lag / sd) ** 2)
    bell[half] *= self_weight
    body = np.nan_to_num(scale, nan=tuned.size)[..., None]

    # what interpolation between trusted frames gives: the fallback inside gaps, and the robust start
    start = np.full_like(relative, np.nan)
    distance = np.full(weight.shape, np.inf)
    for p in range(people):
        for j in range(joints):
            trusted = weight[p, :, j] > PERCEPTION.now.seen.sure
            if not trusted.any():
                trusted = weight[p, :, j] > 0.0
            if trusted.any():
                start[p, :, j] = fill(relative[p, :, j], trusted)
                seen = np.flatnonzero(trusted)
                distance[p, :, j] = _distance_to(seen, frames)
    estimate = _running_median(start, half)
    robust = weight
    for _ in range(3):
        residual = np.linalg.norm(relative - estimate, axis=-1) / (tuned.outlier * body)
        robust = weight / (1.0 + np.nan_to_num(residual, nan=0.0) ** 2) ** 2
        estimate, support = _local_linear(relative, robust, bell, lag, start)
    spread = np.sqrt(
        convolve1d(robust * np.nan_to_num(((relative - estimate) ** 2).sum(axis=-1)), bell, axis=1, mode="constant")
        / np.maximum(convolve1d(robust, bell, axis=1, mode="constant"), tuned.least_support)
    )
    unseen = np.minimum(distance, 5 * fps) / fps
    sigma = tuned.spread * body + np.where(support > tuned.support, spread, 0.0)
    sigma = sigma + tuned.speed * body * np.minimum(unseen, tuned.unseen)
    never = ~np.isfinite(start[..., 0])
    predicted = np.where(never[..., None], np.nan, estimate + centre[:, :, None])
    return predicted, np.where(never, np.nan, sigma)


def limb_limits(keypoints: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """(P, T, 17) pixels: how long the limb from each joint's parent can look, from its well seen frames.

    A limb looks shorter when it points at the camera and never longer than it is, so its 90th percentile,
    relative to the body's size, with an allowance.
    """
    people, frames = keypoints.shape[:2]
    limits = np.full((people, frames, 17), np.nan)
    for child, parent in PARENT.items():
        length = np.linalg.norm(keypoints[:, :, child, :2] - keypoints[:, :, parent, :2], axis=-1) / scale
        sure = np.minimum(keypoints[:, :, child, 2], keypoints[:, :, parent, 2])
        length = np.where(np.nan_to_num(sure) > PERCEPTION.now.seen.limb, length, np.nan)
        for person in range(people):
            both = np.concatenate([length[person], _mirror_lengths(keypoints, scale, child, parent)[person]])
            both = both[np.isfinite(both)]
            if both.size >= 3:
                allowance = PERCEPTION.now.motion.limb_allowance
                limits[person, :, child] = allowance * np.percentile(both, 90) * scale[person]
    return limits


def _mirror_lengths(keypoints: np.ndarray, scale: np.ndarray, child: int, parent: int) -> np.ndarray:
    """(P, T) length over body size of the same limb on the other side; NaN where not sure."""
    from closeint_core.halpe import HALPE_FLIP

    a, b = int(HALPE_FLIP[child]), int(HALPE_FLIP[parent])
    length = np.linalg.norm(keypoints[:, :, a, :2] - keypoints[:, :, b, :2], axis=-1) / scale
    sure = np.minimum(keypoints[:, :, a, 2], keypoints[:, :, b, 2])
    return np.where(np.nan_to_num(sure) > PERCEPTION.now.seen.limb, length, np.nan)


def _trunk_centre(position: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """(P, T, 2) smooth path of the trunk, filled over gaps."""
    least = PERCEPTION.now.seen.trunk
    people, frames = weight.shape[:2]
    centre = np.zeros((people, frames, 2))
    for person in range(people):
        trunk = np.stack(
            [
                fill(position[person, :, j], weight[person, :, j] > least)
                for j in TRUNK
                if (weight[person, :, j] > least).any()
            ]
            or [np.zeros((frames, 2))]
        )
        centre[person] = trunk.mean(axis=0)
    return centre


def _local_linear(
    values: np.ndarray, weight: np.ndarray, bell: np.ndarray, lag: np.ndarray, fallback: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Weighted line fit in a window round each frame; (estimate at its middle, support in frames)."""

    def total(x: np.ndarray, kernel: np.ndarray) -> np.ndarray:
        # convolve1d flips the kernel: reverse it to have sum_k kernel[k] x[t + lag[k]]
        result: np.ndarray = convolve1d(x, kernel[::-1], axis=1, mode="constant")
        return result

    s0, s1, s2 = (total(weight, bell * lag**n) for n in range(3))
    wv = weight[..., None] * values
    y0, y1 = total(wv, bell), total(wv, bell * lag)
    # a little slope damping: few frames on one side must not extrapolate wildly
    tuned = PERCEPTION.now.motion
    s2 = s2 + tuned.slope_damping * (bell * lag**2).sum() / len(lag) + 1e-9
    prior = tuned.prior
    s0_safe = s0 + prior
    determinant = s0_safe * s2 - s1**2
    y0 = y0 + prior * np.nan_to_num(fallback)
    estimate = (s2[..., None] * y0 - s1[..., None] * y1) / np.maximum(determinant, 1e-9)[..., None]
    # without support the fallback, blended in to avoid a jump
    trust = np.clip(s0 / tuned.trusted, 0.0, 1.0)[..., None]
    return trust * estimate + (1 - trust) * np.nan_to_num(fallback), s0


def _running_median(values: np.ndarray, half: int) -> np.ndarray:
    """(P, T, J, 2) running median over 2 half + 1 frames along axis 1 (subsampled for wide windows)."""
    step = max(1, half // 5)
    padded = np.pad(values, ((0, 0), (half, half), (0, 0), (0, 0)), mode="edge")
    frames = values.shape[1]
    stack = np.stack([padded[:, k : k + frames] for k in range(0, 2 * half + 1, step)])
    result: np.ndarray = np.median(stack, axis=0)
    return result


def _median(values: np.ndarray, width: int) -> np.ndarray:
    padded = np.pad(values, width // 2, mode="edge")
    result: np.ndarray = np.median(np.stack([padded[k : k + len(values)] for k in range(width)]), axis=0)
    return result


def _distance_to(frames: np.ndarray, count: int) -> np.ndarray:
    """(count,) distance in frames to the nearest of the ascending ``frames``."""
    time = np.arange(count)
    after = np.searchsorted(frames, time).clip(0, len(frames) - 1)
    before = (after - 1).clip(0)
    result: np.ndarray = np.minimum(np.abs(frames[after] - time), np.abs(time - frames[before]))
    return result
