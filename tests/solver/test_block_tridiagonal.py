# SPDX-License-Identifier: Apache-2.0
"""Cyclic reduction against a dense solve."""

from __future__ import annotations

import pytest
import torch

from closeint_core.solver.block_tridiagonal import BlockTridiagonal


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 7, 8, 13, 60])
def test_the_solution_is_that_of_the_dense_system(count: int) -> None:
    generator = torch.Generator().manual_seed(count)
    people, size = 2, 4
    half = torch.randn(people, count, 2 * size, size, generator=generator, dtype=torch.float64)
    dense = torch.zeros(people, count * size, count * size, dtype=torch.float64)
    for n in range(count):  # each block of rows sees its own block and the next
        rows = torch.zeros(people, 2 * size, count * size, dtype=torch.float64)
        rows[:, :, n * size : (n + 1) * size] = half[:, n]
        if n + 1 < count:
            rows[:, :, (n + 1) * size : (n + 2) * size] = half[:, n].flip(1)
        dense += rows.mT @ rows
    dense += 0.1 * torch.eye(count * size)
    blocks = dense.unflatten(-1, (count, size)).unflatten(-3, (count, size))
    index = torch.arange(count)
    diagonal = blocks[:, index, :, index]  # (N, P, b, b)
    upper = blocks[:, index[:-1], :, index[1:]]
    right = torch.randn(count, people, size, 3, generator=generator, dtype=torch.float64)
    found = BlockTridiagonal(diagonal, upper).solve(right)
    expected = torch.linalg.solve(dense, right.transpose(0, 1).flatten(1, 2))
    torch.testing.assert_close(found.transpose(0, 1).flatten(1, 2), expected)
