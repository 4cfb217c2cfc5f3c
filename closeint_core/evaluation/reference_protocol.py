# SPDX-License-Identifier: Apache-2.0
"""The published evaluation protocol, its quirks included, so that numbers compare with the papers'.

Errors in mm for each person-frame. Points are metres. Invalid frames score 0 and stay in the mean of every metric but
MPVPE, which ignores validity; the default protocol of ``metrics`` has neither quirk. Pooled means are plain means of
what is returned here.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from closeint_core.evaluation.metrics import similarity_align

LSP_HIPS = [2, 3]


@dataclass
class PersonErrors:
    """Errors (T,) of one person, mm (acceleration: mm per frame^2).

    Attributes:
        absolute: of the joints as they are. mpjpe: of pelvis-aligned joints. pa_mpjpe: after a similarity alignment.
        acceleration: of the second difference of pelvis-aligned joints; 0 in the first and last frame.
        mpvpe: of pelvis-aligned vertices.
    """

    absolute: np.ndarray
    mpjpe: np.ndarray
    pa_mpjpe: np.ndarray
    acceleration: np.ndarray
    mpvpe: np.ndarray


def person_errors(predicted: np.ndarray, truth: np.ndarray, regressor: np.ndarray, valid: np.ndarray) -> PersonErrors:
    """Errors of one person.

    Args:
        predicted, truth: (T, V, 3) vertices in metres. regressor: (14, V) LSP joints. valid: (T,) 1 or 0.
    """
    predicted, truth = np.asarray(predicted, np.float64), np.asarray(truth, np.float64)
    valid = np.asarray(valid, np.float64)
    joints_p, joints_t = regressor @ predicted, regressor @ truth
    pelvis_p, pelvis_t = (joints[:, LSP_HIPS].mean(axis=1, keepdims=True) for joints in (joints_p, joints_t))
    aligned_p, aligned_t = joints_p - pelvis_p, joints_t - pelvis_t
    acceleration = np.zeros(len(valid))
    if len(valid) > 2:
        acceleration[1:-1] = _distance(np.diff(aligned_p, n=2, axis=0), np.diff(aligned_t, n=2, axis=0))
    return PersonErrors(
        _distance(joints_p, joints_t) * valid,
        _distance(aligned_p, aligned_t) * valid,
        _distance(similarity_align(joints_p, joints_t), joints_t) * valid,
        acceleration * valid,
        _distance(predicted - pelvis_p, truth - pelvis_t),
    )


def interaction_errors(
    predicted: np.ndarray, truth: np.ndarray, regressor: np.ndarray, valid: np.ndarray
) -> np.ndarray:
    """Error in mm of the distances between all 14 x 14 pairs of joints, one of each person.

    Args:
        predicted, truth: (2, T, V, 3) vertices in metres. valid: (2, T).

    Returns:
        One value for each frame that is valid for both; no other frames.
    """
    both = np.asarray(valid).astype(bool).all(axis=0)

    def distances(vertices: np.ndarray) -> np.ndarray:
        joints = regressor @ np.asarray(vertices, np.float64)[:, both]
        return np.linalg.norm(joints[0, :, :, None] - joints[1, :, None], axis=-1)

    return 1000.0 * np.abs(distances(predicted) - distances(truth)).mean(axis=(1, 2))


def _distance(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Mean distance (T,) in mm of points (T, K, 3)."""
    return 1000.0 * np.linalg.norm(a - b, axis=-1).mean(axis=-1)
