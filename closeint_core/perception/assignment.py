# SPDX-License-Identifier: Apache-2.0
"""Whose joint is this peak? Joint assignment of heatmap peaks to the tracked people.

A bottom-up network sees the joints of both people even where its grouping fails, at contact and in a hug. Given a
prediction of each body, from its motion or from a fitted model, every peak goes to at most one person, and left and
right of both people are decided together, because the network confuses sides as well.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
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
        run = _Run(
            part,
            np.asarray(peaks[part], np.float64),
            np.asarray(predicted[:, part], np.float64),
            sigma[:, part],
            None if limb_limit is None else limb_limit[:, part],
            None if evidence is None else evidence[:, part],
            weights,
            result,
        )
        for group in _GROUPS:
            _assign_group(group, run)
    return result


@dataclass(frozen=True)
class _Run:
    """A run of T frames: the arrays as ``reassign`` takes them, cut to ``part``, and the result of all frames."""

    part: slice
    peaks: np.ndarray
    predicted: np.ndarray
    sigma: np.ndarray
    limb_limit: np.ndarray | None
    evidence: np.ndarray | None
    weights: AssignmentWeights
    result: Assignment


@dataclass(frozen=True)
class _Slots:
    """What is decided together: a joint, both sides, of all people, and what each of its places would cost.

    Attributes:
        joints: both sides. slots: (person, joint) of each slot.
        places: (T, C, 3) the peaks of both sides. side: (C,) index into ``joints``. count: peaks of a side.
        distance: (T, slots, C) half the squared distance in standard deviations. unary: the whole cost.
    """

    joints: tuple[int, ...]
    slots: list[tuple[int, int]]
    places: np.ndarray
    side: np.ndarray
    count: int
    distance: np.ndarray
    unary: np.ndarray


@dataclass(frozen=True)
class _Candidates:
    """The best few places of each slot, cheapest first.

    Attributes:
        order: (T, slots, K) index of the place. index: (T, slots, K + 1) the same, then -1 for none.
        same: of each two slots, (T, K + 1, K + 1) whether two candidates are one place.
        combinations: (N, slots) every choice. total: (T, N) its cost.
    """

    order: np.ndarray
    index: np.ndarray
    same: dict[tuple[int, int], np.ndarray]
    combinations: np.ndarray
    total: np.ndarray


def _assign_group(group: tuple[int, ...], run: _Run) -> None:
    """Decide one joint, both sides, of all people for a run of frames; writes into the run's result."""
    of = _slots(group, run)
    tried = _candidates(of, run)
    best = tried.combinations[np.argmin(tried.total, axis=1)]  # (T, slots)
    _write_margins(of, tried, best, run)
    _write_choice(of, tried, best, run)


def _slots(group: tuple[int, ...], run: _Run) -> _Slots:
    people, frames = run.predicted.shape[:2]
    weights, count = run.weights, run.peaks.shape[2]
    slots = [(person, joint) for person in range(people) for joint in group]
    places = run.peaks[:, group].reshape(frames, -1, 3)
    side = np.repeat(np.arange(len(group)), count)
    own_cost, distance = [], []
    for person, joint in slots:
        spread = np.maximum(run.sigma[person, :, joint], PERCEPTION.now.seen.least_sigma)
        away = ((places[..., :2] - run.predicted[person, :, joint, None]) ** 2).sum(axis=-1)
        half = 0.5 * away / spread[:, None] ** 2
        cost = half - weights.presence - weights.score * places[..., 2]
        cost = cost + weights.mirrored * (side != group.index(joint))
        if run.evidence is not None:
            cost = cost + np.concatenate([run.evidence[person, :, j] for j in group], axis=-1)
        if run.limb_limit is not None and joint in PARENT:
            cost = cost + _limb_cost(person, joint, places, run.limb_limit[person, :, joint], run)
        own_cost.append(np.where(np.isfinite(cost), cost, _FAR))
        distance.append(half)
    return _Slots(group, slots, places, side, count, np.stack(distance, axis=1), np.stack(own_cost, axis=1))


def _candidates(of: _Slots, run: _Run) -> _Candidates:
    """The best few candidates of each slot, then "none" with cost 0, and the cost of every combination."""
    frames, width = of.unary.shape[:2]
    keep = min(run.weights.candidates, of.unary.shape[2])
    order = np.argsort(of.unary, axis=2, kind="stable")[..., :keep]
    cost = np.concatenate([np.take_along_axis(of.unary, order, axis=2), np.zeros((frames, width, 1))], axis=2)
    combinations = np.array(list(itertools.product(range(keep + 1), repeat=width)))
    total = np.zeros((frames, len(combinations)))
    for slot in range(width):
        total += cost[:, slot, combinations[:, slot]]
    # none is unlike any
    index = np.concatenate([order, np.full((frames, width, 1), -1)], axis=2)
    same = {}
    for a, b, one_place, penalty in _clashes(of, order, index, run):
        same[a, b] = one_place
        total += penalty[:, combinations[:, a], combinations[:, b]]
    return _Candidates(order, index, same, combinations, total)


def _clashes(
    of: _Slots, order: np.ndarray, index: np.ndarray, run: _Run
) -> Iterator[tuple[int, int, np.ndarray, np.ndarray]]:
    """Of each two slots: which of their candidates are one place, and what it costs to take both."""
    frames, width = order.shape[:2]
    time = np.arange(frames)[:, None, None]
    place = np.concatenate([of.places[time, order, :2], np.full((frames, width, 1, 2), np.nan)], axis=2)
    # whether a candidate's side is the slot's own; none is
    is_own = np.stack([of.side[order[:, s]] == of.joints.index(joint) for s, (_, joint) in enumerate(of.slots)], axis=1)
    is_own = np.concatenate([is_own, np.ones((frames, width, 1), bool)], axis=2)
    reach = _same_place(run.predicted)
    for a, b in itertools.combinations(range(width), 2):
        apart = np.linalg.norm(place[:, a, :, None] - place[:, b, None, :], axis=-1)
        with np.errstate(invalid="ignore"):
            same = apart < reach[:, None, None]
        first, second = index[:, a, :, None], index[:, b, None, :]
        # two peaks of one heatmap are two joints, however close
        same &= (first == second) | (first // of.count != second // of.count)
        both_own = is_own[:, a, :, None] & is_own[:, b, None, :] & (first != second)
        if of.slots[a][0] == of.slots[b][0]:
            # crossing legs do coincide, each side with a peak of its own
            same &= ~both_own
            yield a, b, same, np.where(same, run.weights.shared_side, 0.0)
        else:
            yield a, b, same, np.where(same, np.where(both_own, 0.5, 1.0) * run.weights.shared, 0.0)


def _write_margins(of: _Slots, tried: _Candidates, best: np.ndarray, run: _Run) -> None:
    """What it would cost more if two people exchanged what they were given."""
    frames, width = best.shape
    rows = np.arange(frames)
    full = np.concatenate([of.unary, np.zeros((frames, width, 1))], axis=2)
    chosen_of = np.take_along_axis(tried.index, best[..., None], axis=2)[..., 0]  # (T, slots), -1 none
    paid = full[rows[:, None], np.arange(width), chosen_of]
    result, part = run.result, run.part
    for a, b in itertools.combinations(range(width), 2):
        if of.slots[a][0] == of.slots[b][0]:
            continue
        exchanged = full[rows, a, chosen_of[:, b]] + full[rows, b, chosen_of[:, a]]
        margin = np.maximum(exchanged - paid[:, a] - paid[:, b], 0.0)
        margin = np.where((chosen_of[:, a] == chosen_of[:, b]) | (margin > _FAR / 2), np.inf, margin)
        for person, joint in (of.slots[a], of.slots[b]):
            result.margin[person, part, joint] = np.minimum(result.margin[person, part, joint], margin)


def _write_choice(of: _Slots, tried: _Candidates, best: np.ndarray, run: _Run) -> None:
    rows, keep = np.arange(len(best)), tried.order.shape[2]
    contested = np.zeros(best.shape, bool)
    for (a, b), same in tried.same.items():
        hit = same[rows, best[:, a], best[:, b]]
        contested[:, a] |= hit
        contested[:, b] |= hit
    result, part = run.result, run.part
    for slot, (person, joint) in enumerate(of.slots):
        given = best[:, slot] < keep
        chosen = tried.order[rows, slot, np.minimum(best[:, slot], keep - 1)]
        given &= of.unary[rows, slot, chosen] < _FAR / 2
        result.keypoints[person, part, joint] = np.where(given[:, None], of.places[rows, chosen], np.nan)
        result.peak[person, part, joint] = np.where(given, chosen % of.count, -1)
        result.mirrored[person, part, joint] = given & (of.side[chosen] != of.joints.index(joint))
        result.contested[person, part, joint] = given & contested[:, slot]
        result.cost[person, part, joint] = np.where(given, of.distance[rows, slot, chosen], np.nan)


def _limb_cost(person: int, joint: int, places: np.ndarray, longest: np.ndarray, run: _Run) -> np.ndarray:
    """(T, places) cost of limbs longer than their limit, from the parent as assigned or else as predicted.

    Args:
        places: (T, places, 3). longest: (T,) pixels of the limb from the joint's parent; NaN: no limit.
    """
    parent = PARENT[joint]
    found = run.result.keypoints[person, run.part, parent, :2].astype(np.float64)
    known = np.isfinite(found[:, 0])
    start = np.where(known[:, None], found, run.predicted[person, :, parent])
    limit = longest[:, None]
    length = np.linalg.norm(places[..., :2] - start[:, None], axis=-1)
    slack = run.weights.limb * limit + np.where(known, 0.0, run.sigma[person, :, parent])[:, None]
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
