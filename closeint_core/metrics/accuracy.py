# SPDX-License-Identifier: Apache-2.0
"""Accuracy of reconstructed people against known truth (definitions: CloseInt, CVPR 2024).

Points are metres in, millimetres out. Shapes: P people, T frames, K points.
"""

from __future__ import annotations

import numpy as np


def mpjpe(predicted: np.ndarray, truth: np.ndarray, roots: tuple[int, ...]) -> np.ndarray:
    """Mean distance (..., ) in mm of points (..., K, 3) after subtracting the mean of the ``roots`` rows."""
    roots_list = list(roots)
    a = predicted - predicted[..., roots_list, :].mean(-2, keepdims=True)
    b = truth - truth[..., roots_list, :].mean(-2, keepdims=True)
    result: np.ndarray = 1000 * np.linalg.norm(a - b, axis=-1).mean(-1)
    return result


def similarity_align(points: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Points (..., K, 3) moved onto ``target`` by the best rotation, scale and translation.

    Umeyama, "Least-squares estimation of transformation parameters between two point patterns", 1991.
    """
    points, target = np.asarray(points, np.float64), np.asarray(target, np.float64)
    mean_p, mean_t = points.mean(-2, keepdims=True), target.mean(-2, keepdims=True)
    p, t = points - mean_p, target - mean_t
    u, s, vt = np.linalg.svd(np.swapaxes(p, -1, -2) @ t)
    flip = np.ones_like(s)
    flip[..., -1] = np.sign(np.linalg.det(u @ vt))
    rotation = (u * flip[..., None, :]) @ vt
    scale = (s * flip).sum(-1) / np.maximum(np.square(p).sum((-1, -2)), 1e-12)
    result: np.ndarray = scale[..., None, None] * (p @ rotation) + mean_t
    return result


def pa_mpjpe(predicted: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Mean distance (...,) in mm of points (..., K, 3) after a similarity alignment."""
    result: np.ndarray = 1000 * np.linalg.norm(similarity_align(predicted, truth) - truth, axis=-1).mean(-1)
    return result


def interaction_error(predicted: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Mean error (T,) in mm of all K x K distances between the joints (2, T, K, 3) of two people."""

    def distances(x: np.ndarray) -> np.ndarray:
        result: np.ndarray = np.linalg.norm(x[0][:, :, None] - x[1][:, None], axis=-1)
        return result

    result: np.ndarray = 1000 * np.abs(distances(predicted) - distances(truth)).mean((-1, -2))
    return result


def acceleration_error(predicted: np.ndarray, truth: np.ndarray, roots: tuple[int, ...]) -> np.ndarray:
    """Error (..., T - 2) in mm per frame^2 of the second differences of root-aligned points (..., T, K, 3)."""
    roots_list = list(roots)
    a = predicted - predicted[..., roots_list, :].mean(-2, keepdims=True)
    b = truth - truth[..., roots_list, :].mean(-2, keepdims=True)
    result: np.ndarray = 1000 * np.linalg.norm(np.diff(a - b, n=2, axis=-3), axis=-1).mean(-1)
    return result
