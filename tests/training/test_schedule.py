# SPDX-License-Identifier: Apache-2.0
"""What changes from step to step, against closed forms."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from closeint_core.training.config import DiffusionConfig, OptimizerConfig
from closeint_core.training.schedule import average_decay, draw_timesteps, learning_rate, seed_everything


@given(st.integers(0, 50), st.integers(60, 1000), st.floats(0, 1), st.floats(1e-6, 1))
def test_the_rate_rises_and_falls(warmup, steps, floor, peak):
    config = OptimizerConfig(learning_rate=peak, warmup=warmup, floor=floor)
    rates = [learning_rate(config, step, steps) for step in range(steps)]
    assert rates[warmup] == pytest.approx(peak)
    assert rates[-1] == pytest.approx(peak * floor, abs=1e-12)
    assert all(a < b for a, b in pairwise(rates[:warmup]))
    assert all(a >= b - 1e-12 for a, b in pairwise(rates[warmup:]))
    assert 0 < rates[0] <= peak * (1 + 1e-9)
    middle = (warmup + steps - 1) / 2
    if middle == int(middle):
        assert rates[int(middle)] == pytest.approx(peak * (1 + floor) / 2)


def test_a_floor_of_one_is_a_constant_rate():
    config = OptimizerConfig(learning_rate=0.1, warmup=0, floor=1.0)
    assert {round(learning_rate(config, step, 50), 12) for step in range(50)} == {0.1}


def test_the_rate_stays_at_the_floor_beyond_the_end():
    config = OptimizerConfig(learning_rate=0.1, warmup=2, floor=0.1)
    assert learning_rate(config, 10**6, 20) == pytest.approx(0.01)


def test_the_average_forgets_the_beginning():
    """With its decay, weights of the first step soon have no share; later it is what was asked for."""
    shares = [1.0]
    for step in range(1, 2000):
        decay = average_decay(0.99, step)
        shares = [shares[0] * decay]
    assert shares[0] < 1e-8
    assert average_decay(0.99, 10**5) == 0.99
    assert average_decay(0.0, 5) == 0.0
    assert average_decay(0.999, 0) == pytest.approx(0.1)


def test_random_numbers_are_functions_of_the_step():
    drawn = {}
    for key in ((1, 0, 5), (1, 0, 6), (1, 1, 5), (2, 0, 5)):
        seed_everything(*key)
        first = torch.rand(3)
        seed_everything(*key)
        assert torch.equal(torch.rand(3), first)
        drawn[tuple(first.tolist())] = key
    seed_everything(1, 0, 5, "weights")
    assert tuple(torch.rand(3).tolist()) not in drawn
    assert len(drawn) == 4


@pytest.mark.parametrize("emphasis", [0.0, 0.4, 1.0])
def test_timesteps_have_their_shares(emphasis):
    torch.manual_seed(0)
    count = 40_000
    config = DiffusionConfig(emphasis=emphasis, sampled_steps=5)
    drawn = draw_timesteps(config, 100, count, torch.device("cpu"))
    assert drawn.dtype == torch.int64
    counts = torch.bincount(drawn, minlength=100)
    assert len(counts) == 100
    visited = torch.tensor([0, 20, 40, 60, 80])
    wanted = torch.full((100,), (1 - emphasis) / 100)
    wanted[visited] += emphasis / 5
    spread = (wanted * (1 - wanted) / count).sqrt()
    assert ((counts / count - wanted).abs() <= 5 * spread + 1e-12).all()
    assert math.isclose(float(wanted.sum()), 1.0, rel_tol=1e-6)
