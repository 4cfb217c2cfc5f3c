# SPDX-License-Identifier: Apache-2.0
"""Touches in words."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from closeint_core.body.parts import GROUPS, PART_INDEX, PARTS
from closeint_core.perception.observations import PairSeen
from closeint_core.perception.touches import group_touches, seen_touches, touch_spans


def pair_of(touch: np.ndarray) -> PairSeen:
    frames = len(touch)
    arrays = {name: np.zeros(shape, np.float32) for name, shape in PairSeen.shapes(frames).items()}
    return PairSeen(**{**arrays, "touch": touch})


@given(first=st.integers(0, 20), length=st.integers(10, 20), a=st.sampled_from(PARTS), b=st.sampled_from(PARTS))
def test_a_touch_is_named_from_when_to_when(first, length, a, b):
    touch = np.full((45, 30, 30), 0.01, np.float32)
    touch[first : first + length, PART_INDEX[a], PART_INDEX[b]] = 0.97
    (span,) = touch_spans(pair_of(touch), 25.0)
    group = [next(name for name, parts in GROUPS.items() if part in parts) for part in (a, b)]
    assert span["parts"] == group
    assert abs(span["first"] - first) <= 1
    assert abs(span["last"] - (first + length - 1)) <= 1
    assert 0.9 < span["probability"] <= 0.97


def test_a_flicker_is_no_touch_and_nothing_is_said_where_nobody_looked():
    touch = np.full((40, 30, 30), 0.01, np.float32)
    touch[20, 20, 20] = 1.0  # one frame, as sure as it may be
    assert touch_spans(pair_of(touch), 30.0) == []
    touch[:] = np.nan
    assert touch_spans(pair_of(touch), 30.0) == []
    assert (group_touches(touch, 30.0) == 0).all()


def test_of_a_touch_told_twice_the_likelier_stays():
    touch = np.full((60, 30, 30), 0.01, np.float32)
    hand, shoulder, back, elbow = (PART_INDEX[n] for n in ("left_hand", "right_shoulder", "spine3_back", "right_elbow"))
    touch[10:40, hand, shoulder] = 0.9
    touch[10:40, hand, back] = 0.7  # the same hand, less certain
    touch[12:38, elbow, PART_INDEX["left_knee"]] = 0.8  # another part of each
    touch[45:58, hand, back] = 0.7  # the same hand, later
    found = seen_touches(pair_of(touch), 30.0)
    named = {(PARTS[t.part], PARTS[t.other_part]) for t in found}
    assert named == {("left_hand", "right_shoulder"), ("right_elbow", "left_knee"), ("left_hand", "spine3_front")}
    assert [t.probability for t in found] == sorted((t.probability for t in found), reverse=True)
    later = next(t for t in found if PARTS[t.other_part] == "spine3_front")  # part 9 of the body, seen from behind
    assert abs(later.first - 45) <= 1


def test_a_moment_is_no_touch_to_solve_for():
    touch = np.full((60, 30, 30), 0.01, np.float32)
    touch[10:20, 0, 0] = 0.95
    assert len(seen_touches(pair_of(touch), 30.0)) == 1
    assert seen_touches(pair_of(touch), 240.0) == []
