# SPDX-License-Identifier: Apache-2.0
"""Whose joint is this peak? Joint assignment of heatmap peaks to the tracked people.

A bottom-up network sees the joints of both people even where its grouping fails, at contact and in a hug. Given a
prediction of each body, from its motion or from a fitted model, every peak goes to at most one person, and left and
right of both people are decided together, because the network confuses sides as well.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from closeint_core.halpe import HALPE_INDEX as K
from closeint_core.perception.calibration import PERCEPTION, AssignmentWeights

# joints decided together: both sides; a child comes after its parent so that the limb's length counts
_GROUPS: tuple[tuple[int, ...], ...] = (
    (K["nose"],),
    (K["left_eye"], K["right_eye"]),
    (K["left_ear"], K["right_ear"]),
    (K["left_shoulder"], K["right_shoulder"]),
    (K["left_hip"], K["right_hip"]),
    (K["left_elbow"], K["right_elbow"]),
    (K["left_knee"], K["right_knee"]),
    (K["left_wrist"], K["right_wrist"]),
    (K["left_ankle"], K["right_ankle"]),
)
PARENT: dict[int, int] = {
    K["left_elbow"]: K["left_shoulder"],
    K["right_elbow"]: K["right_shoulder"],
    K["left_knee"]: K["left_hip"],
    K["right_knee"]: K["right_hip"],
    K["left_wrist"]: K["left_elbow"],
    K["right_wrist"]: K["right_elbow"],
    K["left_ankle"]: K["left_knee"],
    K["right_ankle"]: K["right_knee"],
}
"""Parent of each limb joint; the others have none."""

_CHUNK = 256
_FAR = 1e6


@dataclass(frozen=True)
class Assignment:
    """Peaks given to people.

    Attributes:
        keypoints: f4 (P, T, 17, 3), pixels and the peak's score; NaN where no peak fits.
        peak: i8 (P, T, 17), index of the peak in its joint's list, -1 without.
        mirrored: bool (P, T, 17), the peak is one of the joint on the other side.
        contested: bool (P, T, 17), another joint was given the same place.
        cost: f4 (P, T, 17), half the squared distance from the prediction in standard deviations.
        margin: f4 (P, T, 17), by how much it would cost more if the other person had this peak and this person the
            other's (or none): near 0 it is anybody's guess; infinite without a rival.
    """

    keypoints: np.ndarray
    peak: np.ndarray
    mirrored: np.ndarray
    contested: np.ndarray
    cost: np.ndarray
    margin: np.ndarray


def reassign(
    peaks: np.ndarray,
    predicted: np.ndarray,
    sigma: np.ndarray,
    *,
    limb_limit: np.ndarray | None = None,
    evidence: np.ndarray | None = None,
    weights: AssignmentWeights | None = None,
) -> Assignment:
    """Give the peaks of every frame to the people, all frames at once.

    For each joint, the places of both sides of all people are chosen together from the peaks of both sides: every
    combination of the best candidates is tried, so the choice is the best one, not a greedy one.

    Args:
        peaks: (T, 17, M, 3) x, y, score of the heatmaps' maxima, NaN padded.
        predicted: (P, T, 17, 2) where each person's joints are expected, pixels; NaN: no expectation, no peak given.
        sigma: (P, T, 17) standard deviation of the prediction, pixels; broadcasts.
        limb_limit: (P, T, 17) largest length in pixels of the limb from each joint's parent; NaN: no limit.
        evidence: (P, T, 17, M) further cost of a person having a peak (for example of lying outside of that
            person's mask); for the joint's own side.
        weights: the costs, the calibration's if not given.

    Returns:
        The assignment; ``P`` is 1 or 2.
    """
    weights = weights or PERCEPTION.now.assignment
    people, frames = predicted.shape[:2]
    sigma = np.broadcast_to(np.asarray(sigma, np.float64), predicted.shape[:3])
    result = Assignment(
        keypoints=np.full((people, frames, 17, 3), np.nan, np.float32),
        peak=np.full((people, frames, 17), -1),
        mirrored=np.zeros((people, frames, 17), bool),
        contested=np.zeros((people, frames, 17), bool),
        cost=np.full((people, frames, 17), np.nan, np.float32),
        margin=np.full((people, frames, 17), np.inf, np.float32),
    )
    for begin in range(0, frames, _CHUNK):
        part = slice(begin, min(begin + _CHUNK, frames))
        for group in _GROUPS:
            _assign_group(
                group,
                np.asarray(peaks[part], np.float64),
                np.asarray(predicted[:, part], np.float64),
                sigma[:, part],
                None if limb_limit is None else limb_limit[:, part],
                None if evidence is None else evidence[:, part],
                weights,
                part,
                result,
            )
    return result


def _assign_group(
    group: tuple[int, ...],
    peaks: np.ndarray,
    predicted: np.ndarray,
    sigma: np.ndarray,
    limb_limit: np.ndarray | None,
    evidence: np.ndarray | None,
    weights: AssignmentWeights,
    part: slice,
    result: Assignment,
) -> None:
    """Decide one joint, both sides, of all people for a run of frames; writes into ``result``."""
    people, frames = predicted.shape[:2]
    count = peaks.shape[2]
    slots = [(person, joint) for person in range(people) for joint in group]
    # all places: the peaks of both sides, (T, S * M)
    places = peaks[:, group].reshape(frames, -1, 3)
    side = np.repeat(np.arange(len(group)), count)

    own_cost, distance_cost = [], []
    for person, joint in slots:
        spread = np.maximum(sigma[person, :, joint], PERCEPTION.now.seen.least_sigma)
        away = ((places[..., :2] - predicted[person, :, joint, None]) ** 2).sum(axis=-1)
        half = 0.5 * away / spread[:, None] ** 2
        cost = half - weights.presence - weights.score * places[..., 2]
        is_mirrored = side != group.index(joint)
        cost = cost + weights.mirrored * is_mirrored
        if evidence is not None:
            cost = cost + np.concatenate([evidence[person, :, j] for j in group], axis=-1)
        if limb_limit is not None and joint in PARENT:
            cost = cost + _limb_cost(person, joint, places, predicted, sigma, limb_limit, weights, part, result)
        own_cost.append(np.where(np.isfinite(cost), cost, _FAR))
        distance_cost.append(half)
    unary = np.stack(own_cost, axis=1)  # (T, slots, S * M)

    # the best few candidates of each slot, then "none" with cost 0
    keep = min(weights.candidates, unary.shape[2])
    order = np.argsort(unary, axis=2, kind="stable")[..., :keep]
    cost = np.concatenate([np.take_along_axis(unary, order, axis=2), np.zeros((frames, len(slots), 1))], axis=2)
    time = np.arange(frames)[:, None, None]
    place = np.concatenate([places[time, order, :2], np.full((frames, len(slots), 1, 2), np.nan)], axis=2)
    reach = _same_place(predicted)
    combinations = np.array(list(itertools.product(range(keep + 1), repeat=len(slots))))
    total = np.zeros((frames, len(combinations)))
    for slot in range(len(slots)):
        total += cost[:, slot, combinations[:, slot]]
    # what each candidate is: its index among all places (none is unlike any), and whether its side is the slot's own
    nothing = np.full((frames, len(slots), 1), -1)
    index = np.concatenate([order, nothing], axis=2)
    is_own = np.stack([side[order[:, s]] == group.index(joint) for s, (_, joint) in enumerate(slots)], axis=1)
    is_own = np.concatenate([is_own, nothing < 0], axis=2)
    clash: dict[tuple[int, int], np.ndarray] = {}
    for a, b in itertools.combinations(range(len(slots)), 2):
        apart = np.linalg.norm(place[:, a, :, None] - place[:, b, None, :], axis=-1)
        with np.errstate(invalid="ignore"):
            same = apart < reach[:, None, None]
        first, second = index[:, a, :, None], index[:, b, None, :]
        # two peaks of one heatmap are two joints, however close
        same &= (first == second) | (first // count != second // count)
        both_own = is_own[:, a, :, None] & is_own[:, b, None, :] & (first != second)
        if slots[a][0] == slots[b][0]:
            # crossing legs do coincide, each side with a peak of its own
            same &= ~both_own
            penalty = np.where(same, weights.shared_side, 0.0)
        else:
            penalty = np.where(same, np.where(both_own, 0.5, 1.0) * weights.shared, 0.0)
        clash[a, b] = same
        total += penalty[:, combinations[:, a], combinations[:, b]]
    best = combinations[np.argmin(total, axis=1)]  # (T, slots)

    rows = np.arange(frames)
    contested = np.zeros((frames, len(slots)), bool)
    for (a, b), same in clash.items():
        hit = same[rows, best[:, a], best[:, b]]
        contested[:, a] |= hit
        contested[:, b] |= hit
    full = np.concatenate([unary, np.zeros((frames, len(slots), 1))], axis=2)
    chosen_of = np.take_along_axis(index, best[..., None], axis=2)[..., 0]  # (T, slots), -1 none
    paid = full[rows[:, None], np.arange(len(slots)), chosen_of]
    for a, b in itertools.combinations(range(len(slots)), 2):
        if slots[a][0] == slots[b][0]:
            continue
        exchanged = full[rows, a, chosen_of[:, b]] + full[rows, b, chosen_of[:, a]]
        margin = np.maximum(exchanged - paid[:, a] - paid[:, b], 0.0)
        margin = np.where((chosen_of[:, a] == chosen_of[:, b]) | (margin > _FAR / 2), np.inf, margin)
        for person, joint in (slots[a], slots[b]):
            result.margin[person, part, joint] = np.minimum(result.margin[person, part, joint], margin)
    for slot, (person, joint) in enumerate(slots):
        given = best[:, slot] < keep
        chosen = order[rows, slot, np.minimum(best[:, slot], keep - 1)]
        given &= unary[rows, slot, chosen] < _FAR / 2
        result.keypoints[person, part, joint] = np.where(given[:, None], places[rows, chosen], np.nan)
        result.peak[person, part, joint] = np.where(given, chosen % count, -1)
        result.mirrored[person, part, joint] = given & (side[chosen] != group.index(joint))
        result.contested[person, part, joint] = given & contested[:, slot]
        result.cost[person, part, joint] = np.where(given, distance_cost[slot][rows, chosen], np.nan)


def _limb_cost(
    person: int,
    joint: int,
    places: np.ndarray,
    predicted: np.ndarray,
    sigma: np.ndarray,
    limb_limit: np.ndarray,
    weights: AssignmentWeights,
    part: slice,
    result: Assignment,
) -> np.ndarray:
    """(T, places) cost of limbs longer than their limit, from the parent as assigned or else as predicted."""
    parent = PARENT[joint]
    found = result.keypoints[person, part, parent, :2].astype(np.float64)
    known = np.isfinite(found[:, 0])
    start = np.where(known[:, None], found, predicted[person, :, parent])
    limit = limb_limit[person, :, joint][:, None]
    length = np.linalg.norm(places[..., :2] - start[:, None], axis=-1)
    slack = weights.limb * limit + np.where(known, 0.0, sigma[person, :, parent])[:, None]
    with np.errstate(invalid="ignore", divide="ignore"):
        cost = 0.5 * (np.maximum(length - limit, 0.0) / slack) ** 2
    return np.where(np.isfinite(limit), np.where(np.isfinite(cost), cost, 0.0), 0.0)


def _same_place(predicted: np.ndarray) -> np.ndarray:
    """(T,) pixels within which two peaks are one place: a small part of the smaller body."""
    with np.errstate(all="ignore"):
        low = np.where(np.isfinite(predicted), predicted, np.inf).min(axis=2)
        high = np.where(np.isfinite(predicted), predicted, -np.inf).max(axis=2)
    size = np.linalg.norm(np.where(np.isfinite(high - low), high - low, np.nan), axis=-1)
    smallest = np.where(np.isfinite(size), size, np.inf).min(axis=0)
    return PERCEPTION.now.seen.same_place * np.where(np.isfinite(smallest), smallest, 0.0)
