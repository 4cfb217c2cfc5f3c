# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from closeint_core.sequences import dilated, hysteresis, least_around, neighbours, steadied


@settings(max_examples=60, deadline=None)
@given(hnp.arrays(np.float64, (2, 12, 3), elements=st.floats(0, 1)))
def test_hysteresis_against_a_walk_through_time(probability):
    expected = np.zeros(probability.shape, bool)
    for p in range(2):
        for j in range(3):
            start = None
            for t in range(13):
                inside = t < 12 and probability[p, t, j] >= 0.4
                if inside and start is None:
                    start = t
                if not inside and start is not None:
                    if probability[p, start:t, j].max() >= 0.6:
                        expected[p, start:t, j] = True
                    start = None
    assert (hysteresis(probability) == expected).all()


def test_stuck_frames_lie_between_their_neighbours():
    bad = np.array([1, 0, 0, 1, 1, 0, 1, 1], bool)
    before, after, share = neighbours(bad, 5)
    assert before.tolist() == [1, -1, -1, 2, 2, -1, 5, 5]
    assert after.tolist() == [1, -1, -1, 5, 5, -1, 5, 5]
    np.testing.assert_allclose(share, [0, 0, 0, 1 / 3, 2 / 3, 0, 0, 0])
    assert (neighbours(np.ones(4, bool), 9)[0] == -1).all()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.booleans(), min_size=1, max_size=30), st.integers(0, 6))
def test_dilated_against_every_frame(chosen, reach):
    found = dilated(torch.tensor(chosen), reach)
    assert found.tolist() == [any(chosen[max(t - reach, 0) : t + reach + 1]) for t in range(len(chosen))]


@settings(max_examples=60, deadline=None)
@given(hnp.arrays(np.float32, st.integers(1, 20), elements=st.floats(0.0078125, 1, width=32)))
def test_least_around_is_no_more_than_any_near(share):
    found = least_around(torch.as_tensor(share), 2).numpy()
    assert (found <= share + 1e-6).all()
    assert (found >= share.min() - 1e-6).all()


def test_steadied_keeps_what_is_constant_and_takes_noise():
    rng = np.random.default_rng(0)
    level = np.array([0.1, 0.5, 0.93])
    odds = np.log(level / (1 - level)) + rng.normal(0, 0.7, (2, 400, 3))
    noisy = 1 / (1 + np.exp(-odds))
    found = steadied(noisy, 2.0)
    assert np.abs(found - level).mean() < 0.5 * np.abs(noisy - level).mean()
    np.testing.assert_allclose(steadied(np.broadcast_to(level, (2, 9, 3)), 2.0), np.broadcast_to(level, (2, 9, 3)))
    assert np.isfinite(steadied(np.array([[[0.0], [1.0]]]), 1.0)).all()
