# SPDX-License-Identifier: Apache-2.0
"""The published evaluation protocol, its quirks included, so that numbers compare with the papers'.

Errors in mm for each person-frame. Points are metres. Invalid frames score 0 and stay in the mean of every metric but
MPVPE, which ignores validity; the default protocol of ``metrics`` has neither quirk. Pooled means are plain means of
what is returned here.

The published code joins all windows of a sequence, in order, before it measures: T below is then all of its frames, and
the acceleration is 0 in the first and last of them alone. It scores a sequence of one person as two people: the
second is what the network made of the time-reversed copy, whose truth and validity are reversed window by window.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from closeint_core.metrics.accuracy import interaction_error, similarity_align

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


def person_errors(
    predicted: np.ndarray,
    truth: np.ndarray,
    regressor: np.ndarray,
    valid: np.ndarray,
    pelvis_regressor: np.ndarray | None = None,
) -> PersonErrors:
    """Errors of one person.

    Args:
        predicted, truth: (T, V, 3) vertices in metres. regressor: (14, V) LSP joints. valid: (T,) 1 or 0.
        pelvis_regressor: (14, V) of the joints to whose hips the vertices are aligned, if it is another one.
    """
    predicted, truth = np.asarray(predicted, np.float64), np.asarray(truth, np.float64)
    hips = (regressor if pelvis_regressor is None else pelvis_regressor)[LSP_HIPS]
    mpvpe = vertex_errors(predicted, truth, hips @ predicted, hips @ truth)
    return joint_errors(regressor @ predicted, regressor @ truth, valid, mpvpe)


def vertex_errors(
    predicted: np.ndarray, truth: np.ndarray, predicted_hips: np.ndarray, true_hips: np.ndarray
) -> np.ndarray:
    """MPVPE (T,) in mm of vertices (T, V, 3) after subtracting the middle of the hips (T, 2, 3)."""
    return _distance(
        predicted - predicted_hips.mean(axis=1, keepdims=True), truth - true_hips.mean(axis=1, keepdims=True)
    )


def joint_errors(joints_p: np.ndarray, joints_t: np.ndarray, valid: np.ndarray, mpvpe: np.ndarray) -> PersonErrors:
    """Errors of one person from predicted and true joints (T, 14, 3) in metres; ``mpvpe`` is passed on."""
    joints_p, joints_t = np.asarray(joints_p, np.float64), np.asarray(joints_t, np.float64)
    valid = np.asarray(valid, np.float64)
    pelvis_p, pelvis_t = (joints[:, LSP_HIPS].mean(axis=1, keepdims=True) for joints in (joints_p, joints_t))
    aligned_p, aligned_t = joints_p - pelvis_p, joints_t - pelvis_t
    return PersonErrors(
        _distance(joints_p, joints_t) * valid,
        _distance(aligned_p, aligned_t) * valid,
        _distance(similarity_align(joints_p, joints_t), joints_t) * valid,
        joint_accelerations(joints_p, joints_t, valid),
        mpvpe,
    )


def joint_accelerations(joints_p: np.ndarray, joints_t: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """``PersonErrors.acceleration`` (T,) from predicted and true joints (T, 14, 3) in metres; ``valid`` (T,) 1 or 0.

    A frame that is not valid scores 0, but still stands in the second differences of its neighbours.
    """
    joints_p, joints_t = np.asarray(joints_p, np.float64), np.asarray(joints_t, np.float64)
    aligned = [joints - joints[:, LSP_HIPS].mean(axis=1, keepdims=True) for joints in (joints_p, joints_t)]
    found = np.zeros(len(joints_p))
    if len(found) > 2:
        found[1:-1] = _distance(*(np.diff(joints, n=2, axis=0) for joints in aligned))
    return found * np.asarray(valid, np.float64)


def interaction_errors(
    predicted: np.ndarray, truth: np.ndarray, regressor: np.ndarray, valid: np.ndarray
) -> np.ndarray:
    """Error in mm of the distances between all 14 x 14 pairs of joints, one of each person.

    Args:
        predicted, truth: (2, T, V, 3) vertices in metres. valid: (2, T).

    Returns:
        One value for each frame that is valid for both; no other frames.
    """
    joints_p, joints_t = (regressor @ np.asarray(vertices, np.float64) for vertices in (predicted, truth))
    return joint_interaction_errors(joints_p, joints_t, valid)


def joint_interaction_errors(predicted: np.ndarray, truth: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """``interaction_errors`` of joints (2, T, 14, 3)."""
    both = np.asarray(valid).astype(bool).all(axis=0)
    return interaction_error(np.asarray(predicted)[:, both], np.asarray(truth)[:, both])


def _distance(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Mean distance (T,) in mm of points (T, K, 3)."""
    result: np.ndarray = 1000.0 * np.linalg.norm(a - b, axis=-1).mean(axis=-1)
    return result
