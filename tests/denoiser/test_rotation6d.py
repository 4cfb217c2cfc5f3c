# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from closeint_core.denoiser import rotation6d

seeds = st.integers(0, 2**31)


def random_matrices(seed: int, count: int = 5) -> torch.Tensor:
    return torch.as_tensor(Rotation.random(count, random_state=seed % 2**31).as_matrix())


@given(seeds)
def test_there_and_back(seed):
    matrices = random_matrices(seed)
    rows = rotation6d.matrix_to_rows6d(matrices)
    columns = rotation6d.matrix_to_columns6d(matrices)
    assert (rotation6d.rows6d_to_matrix(rows) - matrices).abs().max() < 1e-12
    assert (rotation6d.columns6d_to_matrix(columns) - matrices).abs().max() < 1e-12


def test_rows_are_rows_and_columns_are_columns():
    matrix = random_matrices(3, 1)[0]
    assert torch.equal(rotation6d.matrix_to_rows6d(matrix), torch.cat([matrix[0], matrix[1]]))
    assert torch.equal(rotation6d.matrix_to_columns6d(matrix), torch.cat([matrix[:, 0], matrix[:, 1]]))


@given(seeds)
def test_mixing_them_up_gives_the_inverse(seed):
    matrices = random_matrices(seed)
    mixed = rotation6d.columns6d_to_matrix(rotation6d.matrix_to_rows6d(matrices))
    assert (mixed - matrices.mT).abs().max() < 1e-12


@given(seeds)
def test_any_six_numbers_give_a_rotation_by_gram_schmidt(seed):
    six = np.random.default_rng(seed).normal(size=6)
    a = six[:3] / np.linalg.norm(six[:3])
    b = six[3:] - a * (a @ six[3:])
    b /= np.linalg.norm(b)
    naive = np.stack([a, b, np.cross(a, b)])
    assert np.abs(rotation6d.rows6d_to_matrix(torch.tensor(six)).numpy() - naive).max() < 1e-9
    assert np.abs(rotation6d.columns6d_to_matrix(torch.tensor(six)).numpy() - naive.T).max() < 1e-9


def test_no_direction_is_no_nan():
    assert torch.isfinite(rotation6d.rows6d_to_matrix(torch.zeros(2, 6))).all()
    assert torch.isfinite(rotation6d.rows6d_to_matrix(torch.ones(2, 6))).all()
