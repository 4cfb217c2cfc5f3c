# SPDX-License-Identifier: Apache-2.0
"""Left and right of what the eyes for pairs saw, decided over time.

From behind or in profile a single picture may be read with both sides of a person exchanged, all joints at once and as
sure as ever. People do not exchange their sides between two looks, and the tracked keypoints have sides too: the most
likely run of exchanges is found exactly (Viterbi, 1967).
"""

from __future__ import annotations

import numpy as np

from closeint_core.body.parts import JOINT_FLIP, PART_FLIP
from closeint_core.perception.calibration import PERCEPTION, SideCosts


def exchanged_sides(
    places: np.ndarray,
    probability: np.ndarray,
    detected: np.ndarray,
    confidence: np.ndarray,
    seconds: np.ndarray,
    costs: SideCosts | None = None,
) -> np.ndarray:
    """bool (L,), the looks at one person in which left and right are exchanged.

    Args:
        places, detected: (L, 13, 2) of ``body.parts.JOINTS``, the eyes' and the tracked keypoints, in trunks; NaN where
            there is none. probability, confidence: (L, 13) how likely each is right. seconds: (L,) times of the looks.
    """
    costs = costs or PERCEPTION.now.sides
    looks = len(places)
    if looks == 0:
        return np.zeros(0, bool)
    flip = list(JOINT_FLIP)
    both = np.stack([places, places[:, flip]]), np.stack([probability, probability[:, flip]])
    apart = _disagreement(both[0], both[1], detected, confidence, costs.step, costs.moved)  # (2, L)
    told = np.clip(apart[1] - apart[0], -costs.detected, costs.detected)
    alone = np.stack([np.zeros(looks), told])
    total = np.array([0.0, costs.begins]) + alone[:, 0]
    before = np.zeros((looks, 2), np.int64)
    for t in range(1, looks):
        spread = costs.step + costs.speed * (seconds[t] - seconds[t - 1])
        same, other = (
            _disagreement(both[0][0, t - 1], both[1][0, t - 1], both[0][s, t], both[1][s, t], spread, costs.moved)
            for s in (0, 1)
        )
        change = np.array([[same, other + costs.begins], [other, same + costs.lasts]])  # from, to
        ways = total[:, None] + change
        before[t] = ways.argmin(axis=0)
        total = ways.min(axis=0) + alone[:, t]
    state = np.empty(looks, np.int64)
    state[-1] = int(total.argmin())
    for t in range(looks - 1, 0, -1):
        state[t - 1] = before[t, state[t]]
    result: np.ndarray = state == 1
    return result


def _disagreement(
    a: np.ndarray, sure_a: np.ndarray, b: np.ndarray, sure_b: np.ndarray, spread: float, most: float
) -> np.ndarray:
    """(...) nats by which joints (..., 13, 2) contradict each other: each at most ``most``, as far as both are sure."""
    squared = ((a - b) ** 2).sum(axis=-1) / (2 * spread**2)
    known = np.isfinite(squared)
    cost: np.ndarray = np.where(known, np.minimum(np.where(known, squared, 0.0), most) * sure_a * sure_b, 0.0)
    result: np.ndarray = np.nansum(cost, axis=-1)
    return result


def exchange_parts(values: np.ndarray, axis: int) -> np.ndarray:
    """Values of the 30 parts along an axis with left and right exchanged."""
    return np.take(values, PART_FLIP, axis=axis)
