# SPDX-License-Identifier: Apache-2.0
"""Rotations in the add-on, against scipy."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("hypothesis")
Rotation = pytest.importorskip("scipy.spatial.transform").Rotation

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from closeint_blender.rotations import (  # noqa: E402
    continuous,
    matrix_to_quaternion,
    multiply,
    quaternion_to_rotvec,
    rotvec_to_quaternion,
)

seeds = st.integers(0, 2**32 - 1)


@settings(max_examples=50, deadline=None)
@given(seed=seeds, scale=st.sampled_from([0.0, 1e-12, 1e-4, 1.0, 3.14159265, 6.0]))
def test_quaternion_conversions_agree_with_scipy(seed: int, scale: float) -> None:
    rng = np.random.default_rng(seed)
    rotvec = rng.normal(0, 1, (6, 3))
    rotvec *= scale / np.linalg.norm(rotvec, axis=1, keepdims=True)
    expected = Rotation.from_rotvec(rotvec)
    for ours in (rotvec_to_quaternion(rotvec), matrix_to_quaternion(expected.as_matrix())):
        assert (expected.inv() * Rotation.from_quat(ours[:, [1, 2, 3, 0]])).magnitude().max() < 1e-7
        np.testing.assert_allclose(np.linalg.norm(ours, axis=1), 1, atol=1e-12)
    other = Rotation.random(6, random_state=seed % 1000)
    product = multiply(rotvec_to_quaternion(rotvec), matrix_to_quaternion(other.as_matrix()))
    assert ((expected * other).inv() * Rotation.from_quat(product[:, [1, 2, 3, 0]])).magnitude().max() < 1e-7


@settings(max_examples=50, deadline=None)
@given(seed=seeds)
def test_continuous_changes_signs_only(seed: int) -> None:
    rng = np.random.default_rng(seed)
    quaternions = rng.normal(0, 1, (40, 5, 4))
    quaternions /= np.linalg.norm(quaternions, axis=-1, keepdims=True)
    result = continuous(quaternions)
    assert (np.sum(result[1:] * result[:-1], axis=-1) >= 0).all()
    np.testing.assert_array_equal(np.abs(result), np.abs(quaternions))
    signs = result / quaternions
    np.testing.assert_allclose(signs, signs[..., :1] * np.ones(4))


@settings(max_examples=50, deadline=None)
@given(seed=seeds, angle=st.sampled_from([0.0, 1e-12, 1e-4, 1.0, 3.14159]))
def test_axis_angle_comes_back_the_shorter_way_round(seed: int, angle: float) -> None:
    axis = np.random.default_rng(seed).normal(0, 1, (6, 3))
    rotvec = angle * axis / np.linalg.norm(axis, axis=1, keepdims=True)
    np.testing.assert_allclose(quaternion_to_rotvec(-rotvec_to_quaternion(rotvec)), rotvec, atol=1e-9)
