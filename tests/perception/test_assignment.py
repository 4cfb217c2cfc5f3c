# SPDX-License-Identifier: Apache-2.0
"""Whose joint is this peak."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.figures import STANDING, as_peaks, walk

from closeint_core.halpe import HALPE_FLIP
from closeint_core.perception.assignment import reassign
from closeint_core.perception.calibration import AssignmentWeights

FLIP = HALPE_FLIP[:17]


def hug(frames: int = 12) -> tuple[np.ndarray, np.ndarray]:
    """Two people so close that their limbs interleave; each (T, 17, 2)."""
    left, right = walk(300, 305, frames), walk(328, 326, frames, y=296.0)
    # the second one faces away: left and right change sides
    return left, right[:, FLIP]


@given(st.integers(0, 10_000), st.floats(0.0, 4.0))
@settings(max_examples=12, deadline=None)
def test_both_people_get_their_own_joints_in_a_hug(seed: int, noise: float) -> None:
    rng = np.random.default_rng(seed)
    people = hug()
    peaks = as_peaks(list(people), rng)
    predicted = np.stack(people) + rng.normal(0, noise, (2, 12, 17, 2)).clip(-2 * noise, 2 * noise)
    found = reassign(peaks, predicted, np.full((2, 12, 17), 10.0))
    error = np.linalg.norm(found.keypoints[..., :2] - np.stack(people), axis=-1)
    assert (error < 1e-3).mean() > (0.999 if noise == 0 else 0.9)
    assert not np.isnan(error).any()
    # a peak is never given to both without saying so
    together = np.linalg.norm(found.keypoints[0, ..., :2] - found.keypoints[1, ..., :2], axis=-1) == 0
    assert found.contested[:, together].all()


def test_the_order_of_peaks_does_not_matter() -> None:
    people = hug()
    predicted = np.stack(people) + 3.0
    a = reassign(as_peaks(list(people), np.random.default_rng(1)), predicted, np.array(10.0))
    b = reassign(as_peaks(list(people), np.random.default_rng(2)), predicted, np.array(10.0))
    np.testing.assert_array_equal(a.keypoints, b.keypoints)


def test_a_joint_called_by_the_wrong_side_is_found_there() -> None:
    person = walk(300, 300, 3)
    peaks = as_peaks([person], np.random.default_rng(0))
    peaks[:, 9], peaks[:, 10] = peaks[:, 10].copy(), np.nan
    # only one peak, at the right wrist's place, in the left wrist's list
    found = reassign(peaks, person[None], np.array(8.0))
    np.testing.assert_allclose(found.keypoints[0, :, 10, :2], person[:, 10], atol=1e-3)
    assert found.mirrored[0, :, 10].all()
    assert np.isnan(found.keypoints[0, :, 9]).all()


def test_one_peak_for_two_wrists_is_contested_or_given_once() -> None:
    people = [walk(300, 300, 2), walk(340, 340, 2)]
    people[1][:, 10] = people[0][:, 9] + [2.0, 0.0]
    peaks = as_peaks(people, np.random.default_rng(0))
    # the network sees one wrist there, a right one
    peaks[:, 9] = np.where(
        np.linalg.norm(peaks[:, 9, :, :2] - people[0][:, None, 9], axis=-1)[..., None] < 1, np.nan, peaks[:, 9]
    )
    found = reassign(peaks, np.stack(people), np.array(8.0))
    given_to = np.isfinite(found.keypoints[[0, 1], :, [9, 10], 0])
    assert given_to.any(axis=0).all()
    both = given_to.all(axis=0)
    assert (found.contested[0, both, 9] & found.contested[1, both, 10]).all()


def test_the_free_peak_is_preferred_to_the_partner_s() -> None:
    """At contact her prediction lies on his wrist; a weaker peak of her own is near."""
    him, her = walk(300, 300, 1), walk(360, 360, 1)
    her[0, 10] = him[0, 9] + [26.0, 8.0]
    him[:, 10], her[:, 9] = [200.0, 300.0], [450.0, 300.0]
    peaks = as_peaks([him, her], np.random.default_rng(0))
    predicted = np.stack([him, her])
    predicted[1, 0, 10] = him[0, 9] + [10.0, 2.0]
    found = reassign(peaks, predicted, np.array(12.0))
    np.testing.assert_allclose(found.keypoints[1, 0, 10, :2], her[0, 10], atol=1e-3)
    np.testing.assert_allclose(found.keypoints[0, 0, 9, :2], him[0, 9], atol=1e-3)


def test_a_limb_longer_than_it_can_be_is_refused() -> None:
    person = walk(300, 300, 1)
    peaks = as_peaks([person], np.random.default_rng(0))
    wrong = person[0, 7] + [60.0, 0.0]
    peaks[0, 9, 0], peaks[0, 9, 1] = [*wrong, 0.9], [*person[0, 9], 0.5]
    predicted = person[None].copy()
    predicted[0, 0, 9] = 0.5 * (wrong + person[0, 9])
    limit = np.full((1, 1, 17), np.nan)
    free = reassign(peaks, predicted, np.array(20.0)).keypoints[0, 0, 9, :2]
    np.testing.assert_allclose(free, wrong, atol=1e-3)
    limit[0, 0, 9] = 36.0
    bound = reassign(peaks, predicted, np.array(20.0), limb_limit=limit).keypoints[0, 0, 9, :2]
    np.testing.assert_allclose(bound, person[0, 9], atol=1e-3)


def test_evidence_against_a_peak_counts() -> None:
    person = walk(300, 300, 1)
    peaks = as_peaks([person], np.random.default_rng(0))
    evidence = np.zeros((1, 1, 17, peaks.shape[2]))
    evidence[0, 0, 5] = 50.0
    assert np.isnan(reassign(peaks, person[None], np.array(8.0), evidence=evidence).keypoints[0, 0, 5]).all()


def test_nothing_expected_nothing_given() -> None:
    people = hug(4)
    predicted = np.stack(people)
    predicted[1, 2] = np.nan
    found = reassign(as_peaks(list(people), np.random.default_rng(0)), predicted, np.array(8.0))
    assert np.isnan(found.keypoints[1, 2]).all()
    assert (found.peak[1, 2] == -1).all()
    assert np.isfinite(found.keypoints[0]).all()


@pytest.mark.parametrize("seed", range(8))
def test_equals_trying_every_combination(seed: int) -> None:
    """The shoulders of two people against a plain search over all peaks of both sides."""
    rng = np.random.default_rng(seed)
    weights = AssignmentWeights(candidates=6)
    peaks = np.full((1, 17, 8, 3), np.nan)
    for joint in (5, 6):
        peaks[0, joint, :3, :2], peaks[0, joint, :3, 2] = rng.uniform(0, 60, (3, 2)), rng.uniform(0.1, 0.9, 3)
    predicted = np.full((2, 1, 17, 2), np.nan)
    predicted[:, 0, 5:7] = rng.uniform(0, 60, (2, 2, 2))
    # far joints that only give the bodies a size
    predicted[:, 0, 15], predicted[:, 0, 0] = [0.0, 300.0], [0.0, 0.0]
    size = np.linalg.norm(
        [np.nanmax(predicted[p, 0], axis=0) - np.nanmin(predicted[p, 0], axis=0) for p in range(2)], axis=1
    ).min()
    places = [(side, *peaks[0, 5 + side, m]) for side in range(2) for m in range(3)]
    slots = list(itertools.product(range(2), range(2)))

    def price(choice: tuple[int, ...]) -> float:
        total = 0.0
        for (person, side), c in zip(slots, choice, strict=True):
            if c < 0:
                continue
            other, x, y, score = places[c]
            away = ((predicted[person, 0, 5 + side] - [x, y]) ** 2).sum()
            total += (
                0.5 * away / 15.0**2 - weights.presence - weights.score * score + weights.mirrored * (other != side)
            )
        for (i, a), (j, b) in itertools.combinations(enumerate(choice), 2):
            if a < 0 or b < 0 or np.hypot(places[a][1] - places[b][1], places[a][2] - places[b][2]) >= 0.025 * size:
                continue
            if a != b and places[a][0] == places[b][0]:
                continue
            own = a != b and places[a][0] == slots[i][1] and places[b][0] == slots[j][1]
            if slots[i][0] != slots[j][0]:
                total += weights.shared * (0.5 if own else 1.0)
            elif not own:
                total += weights.shared_side
        return total

    best = min(itertools.product(range(-1, 6), repeat=4), key=price)
    found = reassign(peaks, predicted, np.array(15.0), weights=weights)
    for (person, side), c in zip(slots, best, strict=True):
        expected = [np.nan] * 3 if c < 0 else list(places[c][1:])
        np.testing.assert_allclose(found.keypoints[person, 0, 5 + side], expected, atol=1e-4)


def test_figures_are_symmetric() -> None:
    np.testing.assert_allclose(STANDING[FLIP] * [-1, 1], STANDING)
