# SPDX-License-Identifier: Apache-2.0
"""One-sided residuals and sums by frame, against closed forms and naive sums."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from closeint_core.solver.residuals import by_frame, one_sided, spread_over, standing_feet


@given(height=st.floats(-0.1, 0.1), soft=st.floats(1e-4, 1e-2))
def test_a_shortfall_is_one_sided_and_smooth(height: float, soft: float) -> None:
    x = torch.tensor(height, dtype=torch.float64, requires_grad=True)
    short, slope = one_sided(x, 0.01, soft)
    hard = max(0.01 - height, 0.0)
    assert hard - 1e-12 <= float(short.detach()) <= hard + soft / 2 + 1e-12
    (gradient,) = torch.autograd.grad(short, x)
    assert float(gradient) == pytest.approx(-float(slope.detach()), abs=1e-9)


@pytest.mark.parametrize("order", [1, 2, 3])
def test_differences_lie_at_their_middle(order: int) -> None:
    values = torch.rand(2, 9 - order, 4, 3, generator=torch.Generator().manual_seed(order))
    found = spread_over(values, order)
    assert len(found) == 9
    for frame in range(9):
        start = frame - (order + 1) // 2
        inside = 0 <= start < values.shape[1]
        assert float(found[frame]) == pytest.approx(float(values[:, start].sum()) if inside else 0.0, rel=1e-5)
    torch.testing.assert_close(by_frame(values[..., 0, 0]), values[..., 0, 0].sum(0))


def test_a_foot_in_doubt_stands_while_it_surely_did_around() -> None:
    contacts = torch.tensor([0.1, 0.4, 0.7, 0.9, 0.4, 0.3, 0.8, 0.2, 0.4, 0.5, 0.4, 0.1])
    wanted = torch.tensor([0.0, 0.4, 0.7, 0.9, 0.4, 0.3, 0.8, 0.0, 0.0, 0.0, 0.0, 0.0])
    both = torch.stack([contacts, contacts.flip(0)], -1)[None]  # (1, T, 2)
    torch.testing.assert_close(standing_feet(both), torch.stack([wanted, wanted.flip(0)], -1)[None])
