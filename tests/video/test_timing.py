# SPDX-License-Identifier: Apache-2.0
"""Frame rates from time stamps, and resampling in time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from closeint_core.video.timing import constant_rate, nearest_in_time


@given(st.sampled_from([23.976023976, 25.0, 29.97002997, 30.0, 59.94005994, 60.0]), st.integers(2, 400))
def test_rate_of_even_time_stamps_rounded_to_milliseconds(rate: float, count: int) -> None:
    times = np.round(np.arange(count) / rate, 3)
    found, varies = constant_rate(times, hint=rate)
    assert not varies
    assert found == pytest.approx(rate, rel=1e-6 if count > 40 else 0.03)


def test_varying_time_stamps_take_the_nominal_rate() -> None:
    gaps = np.full(200, 1 / 30)
    gaps[50:70] = 1 / 15
    found, varies = constant_rate(np.concatenate([[0.0], np.cumsum(gaps)]))
    assert varies
    assert found == 30.0


def test_one_frame_takes_what_the_file_claims() -> None:
    assert constant_rate(np.array([0.0]), hint=24.0) == (24.0, False)
    assert constant_rate(np.array([0.0])) == (30.0, False)


@given(
    st.lists(st.floats(0.005, 0.2), min_size=1, max_size=40),
    st.sampled_from([10.0, 25.0, 30.0]),
    st.integers(0, 5),
    st.one_of(st.none(), st.integers(1, 20)),
)
def test_resampling_equals_an_argmin_over_all_frames(
    gaps: list[float], fps: float, first: int, length: int | None
) -> None:
    times = np.cumsum(gaps)
    stop = None if length is None else first + length
    given_frames = list(nearest_in_time(((t, i) for i, t in enumerate(times)), times[0], fps, first, stop))
    for k, item in given_frames:
        distance = np.abs(times - (times[0] + k / fps))
        assert distance[item] <= distance.min() + 1e-6
    indices = [k for k, _ in given_frames]
    assert indices == list(range(first, first + len(indices)))
    if length is not None:
        assert len(indices) <= length


def test_a_constant_rate_passes_one_to_one() -> None:
    stream = [(0.04 * i, i) for i in range(50)]
    assert list(nearest_in_time(stream, 0.0, 25.0)) == [(i, i) for i in range(50)]
