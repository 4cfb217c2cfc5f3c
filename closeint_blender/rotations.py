# SPDX-License-Identifier: GPL-3.0-or-later
"""Rotations as axis-angle, quaternions (w, x, y, z) and matrices. No bpy here."""

from __future__ import annotations

import numpy as np


def rotvec_to_quaternion(rotvec: np.ndarray) -> np.ndarray:
    """Axis-angle (..., 3), radians, as unit quaternions (..., 4) w, x, y, z."""
    half = 0.5 * np.linalg.norm(rotvec, axis=-1, keepdims=True)
    # numpy's sinc is sin(pi x) / (pi x); it is exact at 0, where dividing by the angle is not.
    return np.concatenate([np.cos(half), 0.5 * np.sinc(half / np.pi) * rotvec], axis=-1)


def matrix_to_quaternion(matrix: np.ndarray) -> np.ndarray:
    """Rotation matrices (..., 3, 3) as unit quaternions (..., 4) w, x, y, z with w >= 0.

    The eigenvector of the largest eigenvalue of Bar-Itzhack's symmetric matrix (2000): the nearest rotation when
    the matrix is slightly off, and no branches for angles near 180 degrees.
    """
    m = np.asarray(matrix, np.float64)
    k = np.empty((*m.shape[:-2], 4, 4))
    k[..., 0, 0] = m[..., 0, 0] + m[..., 1, 1] + m[..., 2, 2]
    k[..., 1, 1] = m[..., 0, 0] - m[..., 1, 1] - m[..., 2, 2]
    k[..., 2, 2] = m[..., 1, 1] - m[..., 0, 0] - m[..., 2, 2]
    k[..., 3, 3] = m[..., 2, 2] - m[..., 0, 0] - m[..., 1, 1]
    k[..., 0, 1] = k[..., 1, 0] = m[..., 2, 1] - m[..., 1, 2]
    k[..., 0, 2] = k[..., 2, 0] = m[..., 0, 2] - m[..., 2, 0]
    k[..., 0, 3] = k[..., 3, 0] = m[..., 1, 0] - m[..., 0, 1]
    k[..., 1, 2] = k[..., 2, 1] = m[..., 1, 0] + m[..., 0, 1]
    k[..., 1, 3] = k[..., 3, 1] = m[..., 0, 2] + m[..., 2, 0]
    k[..., 2, 3] = k[..., 3, 2] = m[..., 2, 1] + m[..., 1, 2]
    quaternion = np.linalg.eigh(k)[1][..., -1]
    return np.where(quaternion[..., :1] < 0, -quaternion, quaternion)


def multiply(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Quaternion product (..., 4): the rotation b, then the rotation a."""
    aw, av = a[..., :1], a[..., 1:]
    bw, bv = b[..., :1], b[..., 1:]
    w = aw * bw - np.sum(av * bv, axis=-1, keepdims=True)
    return np.concatenate([w, aw * bv + bw * av + np.cross(av, bv)], axis=-1)


def continuous(quaternions: np.ndarray) -> np.ndarray:
    """The same rotations (T, ..., 4) with signs such that each frame is nearest to the one before.

    q and -q are one rotation, but a curve from q to -q turns the bone all the way round between two frames.
    """
    same = np.sum(quaternions[1:] * quaternions[:-1], axis=-1) >= 0
    signs = np.cumprod(np.where(same, 1.0, -1.0), axis=0)
    return np.concatenate([quaternions[:1], quaternions[1:] * signs[..., None]])


def quaternion_to_rotvec(quaternions: np.ndarray) -> np.ndarray:
    """Unit quaternions (..., 4) w, x, y, z as axis-angle (..., 3), radians, the shorter way round."""
    q = np.asarray(quaternions, np.float64)
    q = q / np.maximum(np.linalg.norm(q, axis=-1, keepdims=True), 1e-12)
    q = np.where(q[..., :1] < 0, -q, q)
    sine = np.linalg.norm(q[..., 1:], axis=-1, keepdims=True)
    angle = 2 * np.arctan2(sine, q[..., :1])
    # The ratio tends to 2 as the angle vanishes.
    result: np.ndarray = q[..., 1:] * np.where(sine > 1e-9, angle / np.maximum(sine, 1e-9), 2.0)
    return result
