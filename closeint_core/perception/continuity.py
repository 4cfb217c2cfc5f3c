# SPDX-License-Identifier: Apache-2.0
"""Follows both people's peaks of one joint through the whole video at once (Viterbi, 1967).

Frame by frame, two elbows that pass each other are anybody's guess. Over time they are not: each moves a little from
frame to frame. The best pair of paths through the peaks is found exactly, for all joints together.
"""

from __future__ import annotations

import itertools

import numpy as np

from closeint_core.perception.calibration import PERCEPTION, AssignmentWeights

_CANDIDATES = 5


def follow_peaks(
    peaks: np.ndarray,
    predicted: np.ndarray,
    sigma: np.ndarray,
    scale: np.ndarray,
    fps: float,
    *,
    evidence: np.ndarray | None = None,
    weights: AssignmentWeights | None = None,
) -> np.ndarray:
    """The peak of each joint that belongs to each person, by continuity.

    Args:
        peaks: (T, 17, M, 3) x, y, score, NaN padded.
        predicted: (P, T, 17, 2) rough expectation, pixels; NaN: that person gets no peak.
        sigma: (P, T, 17) its standard deviation; loosened, as continuity is to decide.
        scale: (P, T) body sizes, pixels.
        fps: frames per second.
        evidence: (P, T, 17, M) further costs.
        weights: costs shared with ``assignment.reassign``; the calibration's if not given.

    Returns:
        i8 (P, T, 17) index of the peak, -1 without.
    """
    weights, tuned = weights or PERCEPTION.now.assignment, PERCEPTION.now.continuity
    people = len(predicted)
    spread = np.maximum(tuned.loosened * sigma, tuned.least_spread * scale[..., None])[..., None]
    away = ((peaks[None, ..., :2] - predicted[:, :, :, None]) ** 2).sum(axis=-1)
    unary = 0.5 * away / spread**2 - weights.presence - weights.score * peaks[None, ..., 2]
    if evidence is not None:
        unary = unary + evidence
    unary = np.where(np.isfinite(unary), unary, 1e6)

    # the candidates that are good for somebody, the same ones for all people; then "none"
    keep = min(_CANDIDATES, peaks.shape[2])
    order = np.argsort(unary.min(axis=0), axis=-1, kind="stable")[..., :keep]  # (T, J, K)
    place = np.take_along_axis(peaks[..., :2], order[..., None], axis=2).astype(np.float64)
    states = np.array(list(itertools.product(range(keep + 1), repeat=people)))  # (S, P)
    # how far a joint usually moves between frames, and how much the peaks themselves jitter
    step = np.nan_to_num(scale, nan=tuned.size) * (tuned.jitter + tuned.speed / fps)
    path = _cheapest_path(place, _state_costs(unary, order, states), states, step)
    result = np.full(predicted.shape[:3], -1)
    for p in range(people):
        choice = states[path, p]
        index = np.take_along_axis(order, np.minimum(choice, keep - 1)[..., None], axis=2)[..., 0]
        result[p] = np.where(choice < keep, index, -1)
    return result


def _state_costs(unary: np.ndarray, order: np.ndarray, states: np.ndarray) -> np.ndarray:
    """(T, J, S) cost of every state: who has which candidate.

    Args:
        unary: (P, T, J, M) of each peak. order: (T, J, K) the candidates. states: (S, P), K stands for none, at no
            cost.
    """
    frames, joints, keep = order.shape
    total = np.zeros((frames, joints, len(states)))
    for p, own in enumerate(unary):
        cost = np.concatenate([np.take_along_axis(own, order, axis=2), np.zeros((frames, joints, 1))], axis=2)
        total = total + cost[..., states[:, p]]
    if states.shape[1] == 2:
        both = (states[:, 0] == states[:, 1]) & (states[:, 0] < keep)
        total = total + PERCEPTION.now.continuity.exclusive * both
    return total


def _cheapest_path(place: np.ndarray, costs: np.ndarray, states: np.ndarray, step: np.ndarray) -> np.ndarray:
    """(T, J) the states of least cost, their own and that of the moves between frames.

    Args:
        place: (T, J, K, 2) the candidates, pixels. costs: (T, J, S). states: (S, P).
        step: (P, T) pixels that a joint usually moves from the frame before.
    """
    frames, joints = costs.shape[:2]
    total = costs[0]
    came_from = np.zeros(costs.shape, np.int32)
    for t in range(1, frames):
        candidate = total[:, :, None] + _moves(place[t - 1], place[t], states, step[:, t])
        came_from[t] = candidate.argmin(axis=1)
        total = np.take_along_axis(candidate, came_from[t][:, None], axis=1)[:, 0] + costs[t]
    path = np.empty((frames, joints), np.int64)
    path[-1] = total.argmin(axis=1)
    every = np.arange(joints)
    for t in range(frames - 1, 0, -1):
        path[t - 1] = came_from[t][every, path[t]]
    return path


def _moves(before: np.ndarray, after: np.ndarray, states: np.ndarray, step: np.ndarray) -> np.ndarray:
    """(J, S, S) cost of going from each state to each, of all people together."""
    tuned = PERCEPTION.now.continuity
    joints, keep = before.shape[:2]
    moved = before[:, :, None] - after[:, None]  # (J, K, K, 2)
    squared = np.nan_to_num((moved**2).sum(axis=-1), nan=1e9)
    transition = np.zeros((joints, len(states), len(states)))
    for p, usual in enumerate(step):
        one = np.full((joints, keep + 1, keep + 1), tuned.appear)
        one[:, :keep, :keep] = np.minimum(0.5 * squared / usual**2, tuned.step_limit)
        one[:, keep, keep] = 0.0
        transition += one[:, states[:, p]][:, :, states[:, p]]
    return transition
