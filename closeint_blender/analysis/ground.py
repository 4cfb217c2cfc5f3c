# SPDX-License-Identifier: GPL-3.0-or-later
"""Putting both people onto the floor by one and the same movement, so that nothing between them changes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from closeint_core.body.data import BodyData

from .medial_spheres import thin_out
from .points import pose_skeleton, regressed_points
from .time_filter import gaussian

_FOOT_PARTS = (7, 8, 10, 11)
_NEAR = 0.06  # metres over the lowest place of a person within which a foot stands


def foot_points(body: BodyData, poses: np.ndarray, transl: np.ndarray, betas: np.ndarray) -> np.ndarray:
    """(P, T, F, 3) points of the feet's skin of P people."""
    vertices = np.flatnonzero(np.isin(body.parts, _FOOT_PARTS))
    chosen = vertices[thin_out(body.template[vertices], 0.02)]
    regressor = np.zeros((len(chosen), body.num_vertices), np.float32)
    regressor[np.arange(len(chosen)), chosen] = 1
    return np.stack(
        [
            regressed_points(body, shape, regressor).posed(pose_skeleton(body, pose, shape, place))
            for pose, place, shape in zip(poses, transl, betas, strict=True)
        ]
    )


@dataclass
class GroundPlan:
    """A movement of everything: x becomes rotation x + offset, and (0, 0, lift) on top of it in each frame.

    Attributes:
        rotation: (3, 3). offset: (3,) metres. lift: (T,) metres.
    """

    rotation: np.ndarray
    offset: np.ndarray
    lift: np.ndarray


def plan_ground(points: np.ndarray, planted: np.ndarray | None, fps: float, level: bool, follow: bool) -> GroundPlan:
    """How to put people on z = 0.

    Args:
        points: (P, T, F, 3) of the feet. planted: (P, T) somebody's foot is planted; None: judged by height.
        level: turn a slanting floor level. follow: let the height follow slow drift, instead of one height for all.
    """
    rotation, offset = np.eye(3), np.zeros(3)
    frames = points.shape[1]
    lowest = points[..., 2].min(-1)  # (P, T)
    window = round(fps) if follow else frames
    standing = _standing(lowest, planted, window)
    if level:
        index = points[..., 2].argmin(-1)
        feet = np.take_along_axis(points, index[..., None, None], 2)[:, :, 0][standing]
        rotation = levelling(feet)
        points = points @ rotation.T
        lowest = points[..., 2].min(-1)
        standing = _standing(lowest, planted, window)
    height = float(np.median(lowest[standing]))
    offset[2] = -height
    lift = np.zeros(frames)
    if follow:
        rest = np.where(standing, lowest - height, np.nan)
        counted = np.isfinite(rest).any(0)
        per_frame = np.where(counted, np.nanmin(np.where(counted, rest, 0.0), axis=0), 0.0)
        known = np.flatnonzero(counted)
        per_frame = np.interp(np.arange(frames), known, per_frame[known])
        lift = -gaussian(per_frame, 0.5 * fps)
    return GroundPlan(rotation, offset, lift)


def _standing(lowest: np.ndarray, planted: np.ndarray | None, window: int) -> np.ndarray:
    """(P, T) frames in which a person's lowest point is as low as it gets within ``window`` frames."""
    half = min(window // 2, lowest.shape[1] - 1)
    if window >= lowest.shape[1]:
        floor = np.percentile(lowest, 10, axis=1, keepdims=True)
    else:
        padded = np.pad(lowest, ((0, 0), (half, half)), mode="edge")
        floor = np.lib.stride_tricks.sliding_window_view(padded, 2 * half + 1, axis=1).min(-1)
    low: np.ndarray = lowest < floor + _NEAR
    if planted is not None and (planted & low).any():
        result: np.ndarray = planted & low
        return result
    return low


def levelling(feet: np.ndarray) -> np.ndarray:
    """Rotation (3, 3) that makes the plane through points (N, 3) level; none if they do not span a plane."""
    centred = feet - feet.mean(0)
    spread = np.linalg.svd(centred[:, :2], compute_uv=False) / np.sqrt(max(len(feet), 1))
    if len(feet) < 3 or spread[-1] < 0.1:
        return np.eye(3)
    slope, *_ = np.linalg.lstsq(np.column_stack([centred[:, :2], np.ones(len(feet))]), centred[:, 2], rcond=None)
    normal = np.array([-slope[0], -slope[1], 1.0])
    normal /= np.linalg.norm(normal)
    axis = np.cross(normal, [0.0, 0.0, 1.0])
    sine, cosine = np.linalg.norm(axis), normal[2]
    if sine < 1e-9 or sine > 0.5:  # more than 30 degrees is no floor
        return np.eye(3)
    x, y, z = axis / sine
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    result: np.ndarray = np.eye(3) + sine * cross + (1 - cosine) * cross @ cross
    return result
