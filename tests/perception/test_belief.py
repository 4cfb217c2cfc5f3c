# SPDX-License-Identifier: Apache-2.0
"""Two answers about each joint become one with a probability."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from closeint_core.body.parts import JOINTS_IN_HALPE
from closeint_core.halpe import HALPE_INDEX as K
from closeint_core.perception.belief import FACE, believed, merged
from closeint_core.perception.calibration import PERCEPTION
from closeint_core.perception.observations import PairSeen

CALIBRATION = PERCEPTION.default.belief
chances = st.floats(0.01, 0.99)
places = st.tuples(st.floats(-300, 300), st.floats(-300, 300))
lengths = st.floats(20, 400)


def one(first, p, second, q, length=100.0, slack=0.0):
    place, chance = merged(
        np.array([first], float), np.array([p]), np.array([second], float), np.array([q]), np.array([length]),
        np.array([slack]),
    )  # fmt: skip
    return place[0], float(chance[0])


@given(a=places, b=places, p=chances, q=chances, length=lengths)
def test_the_result_is_a_probability_and_between_both(a, b, p, q, length):
    place, chance = one(a, p, b, q, length)
    assert 0 <= chance <= 1
    assert (place >= np.minimum(a, b) - 1e-6).all()
    assert (place <= np.maximum(a, b) + 1e-6).all()


@given(a=places, p=chances, q=chances, length=lengths)
def test_answers_that_agree_support_each_other(a, p, q, length):
    place, chance = one(a, p, a, q, length)
    np.testing.assert_allclose(place, a, atol=1e-6)
    assert chance > max(p, q)


@given(a=places, p=chances, q=chances, length=lengths)
def test_of_answers_far_apart_the_likelier_is_taken_and_doubted(a, p, q, length):
    b = np.array(a) + [3 * length, 0]
    place, chance = one(a, p, b, q, length)
    # by hand: both cannot be right, so the cases are one, the other, neither
    cases = np.array([p * (1 - q), q * (1 - p), (1 - p) * (1 - q)])
    assert chance == pytest.approx(cases[:2].max() / cases.sum(), abs=1e-6)
    if abs(p - q) > 1e-3:
        np.testing.assert_allclose(place, a if p > q else b, atol=1e-6)


@given(a=places, b=places, p=chances, q=chances, length=lengths, by=st.floats(0.1, 20))
def test_pixels_may_have_any_size(a, b, p, q, length, by):
    place, chance = one(a, p, b, q, length)
    larger, same = one(np.array(a) * by, p, np.array(b) * by, q, length * by)
    assert same == pytest.approx(chance, abs=1e-6)
    if abs(p - q) > 1e-6:  # else either may be taken
        np.testing.assert_allclose(larger, place * by, atol=1e-3 * by)


@given(a=places, p=chances)
def test_one_answer_stays_as_it_is(a, p):
    for first, second in (((a, p), ((np.nan, np.nan), 0.0)), (((np.nan, np.nan), 0.0), (a, p))):
        place, chance = one(*first, *second)
        np.testing.assert_allclose(place, a)
        assert chance == pytest.approx(p)
    place, chance = one((np.nan, np.nan), 0.0, (np.nan, np.nan), 0.0)
    assert np.isnan(place).all()
    assert np.isnan(chance)


def test_what_is_interpolated_far_says_less():
    exact, doubted = (one((0, 0), 0.6, (15, 0), 0.9, slack=slack) for slack in (0.0, 0.3))
    assert doubted[0][0] < exact[0][0]  # nearer to the detectors' place


def seen_of(joints: np.ndarray) -> PairSeen:
    frames, each = joints.shape[1], np.zeros(joints.shape[:3])
    return PairSeen(
        joints, each + 1, np.full((2, frames), 100.0), each, np.zeros((frames, 30, 30)), np.zeros((2, frames, 30)),
        np.zeros(frames),
    )  # fmt: skip


def test_the_layout_of_keypoints_is_kept_and_the_face_goes_with_the_nose():
    random = np.random.default_rng(1)
    keypoints = np.concatenate([random.uniform(0, 500, (2, 3, 17, 2)), np.full((2, 3, 17, 1), 0.3)], -1)
    told = np.concatenate([keypoints[:, :, list(JOINTS_IN_HALPE), :2], np.full((2, 3, 13, 1), 0.98)], -1)
    told[0, 1] = np.nan  # nobody looked
    told[1, 2, 0, :2] += 200  # another nose
    result = believed(keypoints, seen_of(told))
    np.testing.assert_array_equal(result[0, 1], keypoints[0, 1])
    np.testing.assert_allclose(result[0, 0, :, :2], keypoints[0, 0, :, :2])
    assert (result[0, 0, list(JOINTS_IN_HALPE), 2] > 0.9).all()
    np.testing.assert_array_equal(result[0, 0, FACE, 2], 0.3)
    np.testing.assert_allclose(result[1, 2, K["nose"], :2], told[1, 2, 0, :2])
    assert (result[1, 2, FACE, 2] < 0.15).all()
    lost = keypoints.copy()
    lost[1, 0] = np.nan
    found = believed(lost, seen_of(told))[1, 0]
    np.testing.assert_allclose(found[list(JOINTS_IN_HALPE)], told[1, 0])
    assert np.isnan(found[list(FACE)]).all()
    hidden = replace(seen_of(told), visible=np.zeros((2, 3, 13)))
    nose = believed(keypoints, hidden)[0, 0, K["nose"], 2]
    assert nose < result[0, 0, K["nose"], 2]  # what nobody can see is less certain, whoever says it
    assert 0 < CALIBRATION.detected_spread < CALIBRATION.seen_spread < CALIBRATION.within
