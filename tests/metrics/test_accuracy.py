# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from closeint_core.metrics import accuracy as metrics

seeds = st.integers(0, 2**31)


@settings(max_examples=30, deadline=None)
@given(seed=seeds, scale=st.floats(0.3, 3))
def test_alignment_undoes_a_similarity(seed, scale):
    rng = np.random.default_rng(seed)
    target = rng.normal(size=(4, 14, 3))
    rotation = Rotation.random(4, random_state=seed % 1000).as_matrix()
    moved = scale * target @ rotation + rng.normal(size=(4, 1, 3))
    assert np.abs(metrics.similarity_align(moved, target) - target).max() < 1e-6
    assert metrics.pa_mpjpe(moved, target).max() < 1e-3


@settings(max_examples=20, deadline=None)
@given(seed=seeds)
def test_alignment_is_the_best_of_many(seed):
    """No random similarity near the found one does better (sum of squares)."""
    rng = np.random.default_rng(seed)
    points, target = rng.normal(size=(14, 3)), rng.normal(size=(14, 3))
    best = metrics.similarity_align(points, target)
    error = np.square(best - target).sum()
    for _ in range(50):
        nudge = Rotation.from_rotvec(rng.normal(0, 0.1, 3)).as_matrix()
        other = (1 + rng.normal(0, 0.05)) * (best - best.mean(0)) @ nudge + best.mean(0) + rng.normal(0, 0.02, 3)
        assert np.square(other - target).sum() >= error - 1e-9


def test_a_reflection_is_not_an_alignment():
    target = np.random.default_rng(0).normal(size=(14, 3))
    assert metrics.pa_mpjpe(target * [-1, 1, 1], target) > 100


def test_known_values():
    truth = np.zeros((1, 2, 4, 3))
    predicted = truth.copy()
    predicted[..., 3, 0] = 0.1
    assert metrics.mpjpe(predicted, truth, (0, 1)) == pytest.approx(25 * np.ones((1, 2)))
    pair = np.zeros((2, 1, 3, 3))
    pair[1, ..., 0] = 1.0
    apart = pair.copy()
    apart[1, ..., 0] = 1.2
    assert metrics.interaction_error(apart, pair) == pytest.approx([200])
    ramp = np.zeros((1, 5, 3, 3))
    ramp[0, :, 2, 1] = 0.001 * np.arange(5) ** 2
    assert metrics.acceleration_error(ramp, np.zeros_like(ramp), (0, 1)) == pytest.approx(np.full((1, 3), 2 / 3))
