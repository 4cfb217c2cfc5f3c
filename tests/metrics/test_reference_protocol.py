# SPDX-License-Identifier: Apache-2.0
"""The published protocol written out in loops (its stored numbers are compared in test_reference_parity.py)."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from closeint_core.metrics.reference_protocol import interaction_errors, person_errors

seeds = st.integers(0, 2**31)


def scene(seed: int, frames: int = 7) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Predicted and true vertices (2, T, 30, 3), a regressor, and validity (2, T) with some zeros."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(size=(2, frames, 30, 3))
    regressor = rng.dirichlet(np.ones(30), 14)
    valid = (rng.random((2, frames)) < 0.7).astype(float)
    return truth + 0.1 * rng.normal(size=truth.shape), truth, regressor, valid


@given(seeds)
@settings(max_examples=15)
def test_against_loops(seed):
    predicted, truth, regressor, valid = scene(seed)
    for person in range(2):
        found = person_errors(predicted[person], truth[person], regressor, valid[person])
        joints = [regressor @ x[person] for x in (predicted, truth)]
        aligned = [x - (x[:, 2:3] + x[:, 3:4]) / 2 for x in joints]
        for t in range(7):

            def mean(a: np.ndarray, b: np.ndarray) -> float:
                return 1000 * float(np.mean([np.sqrt(((x - y) ** 2).sum()) for x, y in zip(a, b, strict=True)]))

            assert found.absolute[t] == pytest.approx(valid[person, t] * mean(joints[0][t], joints[1][t]))
            assert found.mpjpe[t] == pytest.approx(valid[person, t] * mean(aligned[0][t], aligned[1][t]))
            pelvis = [(x[t, 2] + x[t, 3]) / 2 for x in joints]
            vertices = mean(predicted[person, t] - pelvis[0], truth[person, t] - pelvis[1])
            assert found.mpvpe[t] == pytest.approx(vertices)  # validity does not count here
            if t in (0, 6):
                assert found.acceleration[t] == 0
            else:
                second = [x[t + 1] - 2 * x[t] + x[t - 1] for x in aligned]
                assert found.acceleration[t] == pytest.approx(valid[person, t] * mean(second[0], second[1]))
    between = interaction_errors(predicted, truth, regressor, valid)
    both = np.flatnonzero(valid.all(axis=0))
    assert len(between) == len(both)
    for value, t in zip(between, both, strict=True):
        pairs = [
            abs(np.linalg.norm((regressor @ truth[0, t])[i] - (regressor @ truth[1, t])[j])
                - np.linalg.norm((regressor @ predicted[0, t])[i] - (regressor @ predicted[1, t])[j]))
            for i in range(14) for j in range(14)
        ]  # fmt: skip
        assert value == pytest.approx(1000 * np.mean(pairs))


@given(seeds, st.floats(0.5, 2))
@settings(max_examples=15)
def test_a_similarity_costs_nothing_after_alignment(seed, scale):
    _, truth, regressor, _ = scene(seed)
    moved = scale * truth[0] @ Rotation.random(random_state=seed % 2**31).as_matrix() + [1.0, 2.0, 3.0]
    found = person_errors(moved, truth[0], regressor, np.ones(7))
    assert found.pa_mpjpe.max() < 1e-6
    shifted = person_errors(truth[0] + [1.0, 2.0, 3.0], truth[0], regressor, np.ones(7))
    assert shifted.mpjpe.max() < 1e-6
    assert shifted.mpvpe.max() < 1e-6
    assert shifted.absolute.min() > 1000


@pytest.mark.parametrize("frames", [1, 2, 3])
def test_short_clips(frames):
    predicted, truth, regressor, _ = scene(0, frames)
    found = person_errors(predicted[0], truth[0], regressor, np.ones(frames))
    assert found.acceleration.shape == (frames,)
    assert (found.acceleration > 0).sum() == max(0, frames - 2)
