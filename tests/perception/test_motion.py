# SPDX-License-Identifier: Apache-2.0
"""Prediction of joints over time."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from support.figures import walk, with_score

from closeint_core.perception.motion import body_scale, fill, limb_limits, predict


@given(st.lists(st.booleans(), min_size=1, max_size=40).filter(any), st.integers(0, 1000))
def test_fill_equals_numpy_interpolation(known: list[bool], seed: int) -> None:
    values = np.random.default_rng(seed).normal(size=(len(known), 2))
    mask = np.array(known)
    time = np.arange(len(known))
    expected = np.stack([np.interp(time, time[mask], values[mask, i]) for i in range(2)], axis=-1)
    np.testing.assert_allclose(fill(values, mask), expected, atol=1e-12)


def test_a_walk_is_predicted_through_outliers_and_a_gap() -> None:
    path = walk(100, 300, 60)
    keypoints = with_score(path)[None].copy()
    rng = np.random.default_rng(0)
    keypoints[0, rng.choice(60, 6, replace=False), 9, :2] += 80.0
    keypoints[0, 30:36, 10] = np.nan
    scale = body_scale(keypoints, 30.0)
    predicted, sigma = predict(keypoints, scale, 30.0)
    error = np.linalg.norm(predicted[0] - path, axis=-1)
    assert np.percentile(error[:, 9], 95) < 6.0
    assert error[30:36, 10].max() < 12.0
    assert sigma[0, 32, 10] > 2 * sigma[0, 10, 8]
    assert np.isfinite(predicted).all()


def test_a_joint_that_was_never_seen_is_not_predicted() -> None:
    keypoints = with_score(walk(100, 120, 20))[None].copy()
    keypoints[0, :, 15] = np.nan
    predicted, sigma = predict(keypoints, body_scale(keypoints, 30.0), 30.0)
    assert np.isnan(predicted[0, :, 15]).all()
    assert np.isnan(sigma[0, :, 15]).all()
    assert np.isfinite(predicted[0, :, :15]).all()


def test_limb_limits_hold_for_the_true_limbs() -> None:
    keypoints = with_score(walk(100, 300, 60))[None]
    limits = limb_limits(keypoints, body_scale(keypoints, 30.0))
    length = np.linalg.norm(keypoints[0, :, 9, :2] - keypoints[0, :, 7, :2], axis=-1)
    assert (length <= limits[0, :, 9] + 1e-6).mean() > 0.95
    assert (limits[0, :, 9] < 1.4 * length.max()).all()
    assert np.isnan(limits[0, :, 5]).all()


def test_a_single_frame() -> None:
    keypoints = with_score(walk(100, 100, 1))[None]
    predicted, _ = predict(keypoints, body_scale(keypoints, 30.0), 30.0)
    np.testing.assert_allclose(predicted[0, 0], keypoints[0, 0, :, :2], atol=1.0)
