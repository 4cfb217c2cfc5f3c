# SPDX-License-Identifier: Apache-2.0
"""Touches in words."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from closeint_core.body.parts import GROUPS, PART_INDEX, PARTS
from closeint_core.perception.observations import PairSeen
from closeint_core.perception.touches import group_touches, touch_spans


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
