# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from closeint_core.denoiser.ddim import ddim_sample, ddim_steps, window_noise
from closeint_core.denoiser.schedule import CosineSchedule
from closeint_core.errors import CloseintError


def test_the_cosine_schedule_step_by_step():
    product = 1.0
    for step, share in enumerate(CosineSchedule(100).alphas_cumprod):
        now, before = (math.cos((u / 100 + 0.008) / 1.008 * math.pi / 2) ** 2 for u in (step + 1, step))
        product *= 1 - min(1 - now / before, 0.999)
        assert math.isclose(share, product, rel_tol=1e-12)


def test_five_of_a_hundred():
    spaced = CosineSchedule(100).spaced(5)
    assert spaced.timesteps.tolist() == [0, 20, 40, 60, 80]
    assert [step.timestep for step in ddim_steps(spaced)] == [80, 60, 40, 20, 0]


@given(st.integers(1, 100), st.integers(1, 200))
def test_spaced_tables_are_those_of_the_whole(count, steps):
    if count > steps:
        with pytest.raises(CloseintError):
            CosineSchedule(steps).spaced(count)
        return
    full = CosineSchedule(steps)
    spaced = full.spaced(count)
    assert len(set(spaced.timesteps.tolist())) == count
    assert spaced.timesteps[0] == 0
    assert np.allclose(spaced.alphas_cumprod, full.alphas_cumprod[spaced.timesteps])
    assert np.allclose(spaced.previous[1:], spaced.alphas_cumprod[:-1])
    assert spaced.previous[0] == 1


@pytest.mark.parametrize("count", [1, 2, 5, 20, 100])
def test_the_chain_against_the_formula_with_noise(count):
    """The same chain written with the noise made explicit, for a predictor that errs."""
    noise = torch.randn(2, 3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))

    def predict(x: torch.Tensor, timestep: int) -> torch.Tensor:
        return torch.sin(x * 2 + timestep / 30)

    spaced = CosineSchedule().spaced(count)
    x = noise
    for index in reversed(range(count)):
        clean = predict(x, int(spaced.timesteps[index]))
        share, previous = spaced.alphas_cumprod[index], spaced.previous[index]
        epsilon = (np.sqrt(1 / share) * x - clean) / np.sqrt(1 / share - 1)
        x = np.sqrt(previous) * clean + np.sqrt(1 - previous) * epsilon
    found = ddim_sample(lambda x, step: predict(x, step.timestep), noise, spaced)
    assert (found - x).abs().max() < 1e-9
    assert (found - clean).abs().max() < 1e-9  # the last step gives the clean sample itself


def test_a_perfect_predictor_is_believed():
    target = torch.randn(2, 5)
    assert torch.equal(ddim_sample(lambda x, step: target, torch.randn(2, 5), CosineSchedule().spaced(7)), target)


def test_noise_is_added_in_the_right_share():
    schedule = CosineSchedule()
    clean, noise = torch.ones(3, 4, 5), 2 * torch.ones(3, 4, 5)
    noisy = schedule.add_noise(clean, noise, torch.tensor([0, 50, 99]))
    for row, timestep in zip(noisy, (0, 50, 99), strict=True):
        share = schedule.alphas_cumprod[timestep]
        assert torch.allclose(row, torch.tensor(float(np.sqrt(share) + 2 * np.sqrt(1 - share))))


def test_noise_by_window():
    batch = window_noise(4, 16, 157, seed=5)
    assert torch.equal(batch, window_noise(4, 16, 157, seed=5))
    for window in range(4):
        assert torch.equal(batch[window : window + 1], window_noise(1, 16, 157, seed=5, first_window=window))
    assert not torch.equal(batch[0], batch[1])
    assert not torch.equal(batch, window_noise(4, 16, 157, seed=6))
    assert abs(float(batch.std()) - 1) < 0.02
