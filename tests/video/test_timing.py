# SPDX-License-Identifier: Apache-2.0
"""Frame rates from time stamps, and resampling in time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from closeint_core.video.timing import assumed_rate, constant_rate, nearest_in_time, stamps_fault


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


@given(st.sampled_from([12.0, 25.0, 30.0, 60.0, 240.0]), st.integers(2, 300), st.integers(0, 8), st.randoms())
def test_the_stamps_of_a_film_have_no_fault(rate: float, count: int, reach: int, random) -> None:
    # a codec decodes frames before others that are shown earlier
    order = sorted(range(count), key=lambda i: i + random.randint(0, reach))
    times = 7.5 + np.array(order) / rate
    assert stamps_fault(times, rate) is None
    assert stamps_fault(np.sort(times), rate, ordered=True) is None


def test_faults_of_stamps() -> None:
    even = np.arange(40) / 30
    for times, words in {
        (0.0,) * 16: "only 1 for 16 frames",
        tuple(np.repeat(even, 2)): "only 40 for 80",
        tuple(even * 1e-4): "40 frames within 0.00013",
        tuple(even * 1e4): "40 frames within",
        tuple(np.concatenate([even, even + 3600])): "a pause of",
        tuple(np.concatenate([even + 0.001, even])): "back and forth",
        (0.0, float("nan"), 0.1): "none",
        (): "none",
    }.items():
        fault = stamps_fault(np.array(times))
        assert fault is not None
        assert words in fault
    assert stamps_fault(np.array([0.0, 0.1, 0.05]), ordered=True) == "they run back and forth"


def test_assumed_rates() -> None:
    even = np.arange(40) / 25
    assert assumed_rate(even, []) == (25.0, True)
    assert assumed_rate(np.concatenate([even, even]), [30.0]) == (25.0, True)
    assert assumed_rate(np.concatenate([even, even + 1e5]), [None]) == (25.0, True)
    assert assumed_rate(np.repeat(even, 2), [])[0] == pytest.approx(50, rel=0.02)
    assert assumed_rate(even.reshape(-1, 2)[:, ::-1].ravel(), []) == (25.0, True)
    assert assumed_rate(np.zeros(16), [None, 480.0, 24.0]) == (24.0, True)
    assert assumed_rate(np.empty(0), [None, 90_000.0]) == (30.0, False)
