# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import torch
from torch import Tensor

from closeint_core.solver.least_squares import System, differences, spread_back

PEOPLE, FRAMES, SIZE = 2, 7, 6
FACTORS = {1: (-1.0, 1.0), 2: (1.0, -2.0, 1.0), 3: (-1.0, 3.0, -3.0, 1.0)}


class Dense:
    """The same sum of squares as one matrix, row by row."""

    def __init__(self) -> None:
        unknowns = FRAMES * PEOPLE * SIZE
        self.matrix, self.slope = torch.zeros(unknowns, unknowns), torch.zeros(unknowns)

    def add(self, row: Tensor, residual: Tensor, weight: Tensor) -> None:
        """One residual; row (FRAMES * PEOPLE * SIZE,)."""
        self.matrix += weight * row[:, None] * row
        self.slope += weight * residual * row

    def wide(self, row: Tensor, frame: int, person: int = 0) -> Tensor:
        """A row that begins at a frame's unknowns of a person."""
        out = torch.zeros(len(self.slope))
        start = SIZE * (PEOPLE * frame + person)
        out[start : start + len(row)] = row
        return out


@pytest.fixture
def both() -> tuple[System, Dense]:
    """The same rows of every sort in both (synthetic)."""
    draw = torch.Generator().manual_seed(1)
    system, dense = System(PEOPLE, FRAMES, SIZE, torch.device("cpu")), Dense()

    def some(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=draw)

    rows, residual, weight, gain = (
        some(FRAMES, 5, PEOPLE * SIZE),
        some(FRAMES, 5),
        some(FRAMES, 5).abs(),
        some(FRAMES, 5),
    )
    system.add_rows(rows, residual, weight)
    system.add_rows(rows, residual, weight, gain)
    for t in range(FRAMES):
        for k in range(5):
            dense.add(dense.wide(rows[t, k], t), residual[t, k], weight[t, k])
            dense.add(dense.wide(gain[t, k] * rows[t, k], t), residual[t, k], weight[t, k])
    own, left, heavy = some(PEOPLE, FRAMES, 3, SIZE), some(PEOPLE, FRAMES, 3), some(PEOPLE, FRAMES, 3).abs()
    system.add_own_rows(own, left, heavy, -heavy)
    for p in range(PEOPLE):
        for t in range(FRAMES):
            for k in range(3):
                dense.add(dense.wide(-heavy[p, t, k] * own[p, t, k], t, p), left[p, t, k], heavy[p, t, k])
    half, pull = some(PEOPLE, FRAMES, 1, 3, 3), some(PEOPLE, FRAMES, 1, 3)
    system.add_small(3, half @ half.mT, pull)
    for p in range(PEOPLE):
        for t in range(FRAMES):
            at = slice(SIZE * (PEOPLE * t + p) + 3, SIZE * (PEOPLE * t + p) + 6)
            dense.matrix[at, at] += half[p, t, 0] @ half[p, t, 0].T
            dense.slope[at] += pull[p, t, 0]
    for count, orders in ((2, (1,)), (4, (3, 2))):
        jacobian = some(PEOPLE, FRAMES, count, SIZE)
        changes = [(some(PEOPLE, FRAMES - n, count), some(PEOPLE, FRAMES - n, count).abs(), n) for n in orders]
        system.add_over_time(jacobian, *changes)
        for change, stiff, order in changes:
            for p in range(PEOPLE):
                for t in range(FRAMES - order):
                    for m in range(count):
                        row = sum(f * dense.wide(jacobian[p, t + i, m], t + i, p) for i, f in enumerate(FACTORS[order]))
                        assert isinstance(row, Tensor)
                        dense.add(row, change[p, t, m], stiff[p, t, m])
    return system, dense


def test_the_slope_is_that_of_the_dense_sum(both: tuple[System, Dense]) -> None:
    system, dense = both
    torch.testing.assert_close(system.slope.flatten(), dense.slope, rtol=1e-4, atol=1e-4)


def test_the_step_is_the_dense_solution(both: tuple[System, Dense]) -> None:
    system, dense = both
    expected = -torch.linalg.solve(dense.matrix + 0.1 * torch.eye(len(dense.slope)), dense.slope)
    found = system.solve(0.1, 400, 1e-7)
    torch.testing.assert_close(found, expected.reshape(FRAMES, PEOPLE, SIZE), rtol=1e-2, atol=2e-3)


def test_what_is_held_does_not_move(both: tuple[System, Dense]) -> None:
    damping = torch.full((FRAMES, SIZE), 0.1)
    damping[2] = 1e8
    step = both[0].solve(damping)
    assert float(step[2].abs().max()) < 1e-5
    assert float(step[3].abs().max()) > 1e-3


def test_a_solved_system_takes_no_step() -> None:
    system = System(PEOPLE, FRAMES, SIZE, torch.device("cpu"))
    system.add_own_rows(
        torch.ones(PEOPLE, FRAMES, 2, SIZE), torch.zeros(PEOPLE, FRAMES, 2), torch.ones(PEOPLE, FRAMES, 2)
    )
    assert torch.equal(system.solve(1.0), torch.zeros(FRAMES, PEOPLE, SIZE))


@pytest.mark.parametrize("order", [1, 2, 3])
def test_spread_back_is_the_transpose_of_differences(order):
    generator = torch.Generator().manual_seed(order)
    x, y = torch.randn(2, 9, 3, generator=generator), torch.randn(2, 9 - order, 3, generator=generator)
    assert float((differences(x, order) * y).sum()) == pytest.approx(float((x * spread_back(y, order)).sum()), abs=1e-4)
