# SPDX-License-Identifier: GPL-3.0-or-later
"""A motion measured frame by frame, and its worst frames."""

from __future__ import annotations

import numpy as np

from closeint_core.body.data import BodyData
from closeint_core.clip import InteractionClip

from .points import pose_skeleton, regressed_points

_CONFIDENT = 0.5


def jitter(joints: np.ndarray, fps: float) -> np.ndarray:
    """(T,) largest acceleration of a joint, metres per second squared; joints (T, J, 3)."""
    result = np.zeros(len(joints), np.float32)
    if len(joints) > 2:
        second = np.linalg.norm(joints[2:] - 2 * joints[1:-1] + joints[:-2], axis=-1)
        result[1:-1] = second.max(-1) * fps**2
        result[0], result[-1] = result[1], result[-2]
    return result


def reprojection(
    body: BodyData, clip: InteractionClip, poses: np.ndarray, transl: np.ndarray, betas: np.ndarray
) -> np.ndarray:
    """(P, T) median distance in pixels of the body's keypoints from the observed ones; 0 where none is sure."""
    result = np.zeros(poses.shape[:2], np.float32)
    for person in range(len(poses)):
        points = regressed_points(body, betas[person], body.halpe_regressor)
        keypoints = points.posed(pose_skeleton(body, poses[person], betas[person], transl[person]))
        error = np.linalg.norm(clip.project(keypoints) - clip.keypoints2d[person, ..., :2], axis=-1)
        sure = (np.nan_to_num(clip.keypoints2d[person, ..., 2]) >= _CONFIDENT) & np.isfinite(error)
        some = sure.any(-1)
        if some.any():
            result[person, some] = np.nanmedian(np.where(sure, error, np.nan)[some], axis=-1)
    return result


def joints_of(body: BodyData, poses: np.ndarray, transl: np.ndarray, betas: np.ndarray) -> np.ndarray:
    """(P, T, 24, 3) metres."""
    people = zip(poses, betas, transl, strict=True)
    return np.stack([pose_skeleton(body, pose, shape, place).joints for pose, shape, place in people])


def worst_frames(values: np.ndarray, count: int = 5, apart: int = 8, share: float = 0.2) -> list[int]:
    """Indices of the highest peaks of a series (T,), highest first, more than ``apart`` frames from each other.

    A plateau is one peak, in its middle. What is lower than ``share`` of the highest is not worth a look.
    """
    left = np.array(values, np.float64)
    least = share * left.max(initial=0.0)
    found: list[int] = []
    while len(left) and len(found) < count:
        top = int(left.argmax())
        if not left[top] > 0 or left[top] < least:
            break
        start = stop = top
        while start > 0 and values[start - 1] == values[top]:
            start -= 1
        while stop + 1 < len(left) and values[stop + 1] == values[top]:
            stop += 1
        found.append((start + stop) // 2)
        left[max(0, start - apart) : stop + apart + 1] = -1
    return found
