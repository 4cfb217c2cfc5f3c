# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from support.windows import Windows, randomize, synthetic_windows

from closeint_core.denoiser import sampler as sampling
from closeint_core.denoiser.ddim import window_noise
from closeint_core.denoiser.network import Denoiser, DenoiserConfig
from closeint_core.denoiser.sampler import Sampler
from closeint_core.denoiser.state import PairState, mean_state
from closeint_core.errors import CloseintError


@pytest.fixture(scope="module")
def windows(body) -> Windows:
    return synthetic_windows(body, 4, 16)


@pytest.fixture(scope="module")
def model() -> Denoiser:
    return randomize(Denoiser()).eval()


def test_same_seed_same_result(model, windows):
    first = Sampler(model).sample(windows.conditions, seed=3).numbers()
    assert torch.equal(first, Sampler(model).sample(windows.conditions, seed=3).numbers())
    assert (first - Sampler(model).sample(windows.conditions, seed=4).numbers()).abs().max() > 1e-3


def test_a_batch_is_its_windows(model, windows):
    sampler = Sampler(model)
    batch = sampler.sample(windows.conditions, seed=3).numbers()
    for i in range(4):
        noise = window_noise(1, 16, 157, seed=3, first_window=i)
        single = sampler.sample(windows.conditions[i : i + 1], noise).numbers()
        assert (single - batch[i : i + 1]).abs().max() < 1e-5


def test_many_windows_run_in_turn(model, windows, monkeypatch):
    whole = Sampler(model).sample(windows.conditions, seed=3).numbers()
    monkeypatch.setattr(sampling, "LARGEST_BATCH", 3)
    assert (Sampler(model).sample(windows.conditions, seed=3).numbers() - whole).abs().max() < 1e-5


def test_the_loop_against_one_step_at_a_time(model, windows):
    """Hoisting and fusing change nothing."""
    noise = window_noise(4, 16, 157, seed=0)
    schedule = Sampler(model).schedule
    x = noise
    with torch.no_grad():
        for index in reversed(range(5)):
            clean = model(x, torch.full((4,), int(schedule.timesteps[index])), windows.conditions)
            share, previous = (float(table[index]) for table in (schedule.alphas_cumprod, schedule.previous))
            epsilon = (x - share**0.5 * clean) / (1 - share) ** 0.5
            x = previous**0.5 * clean + (1 - previous) ** 0.5 * epsilon
    expected = clean + mean_state(windows.conditions.init_pose6d)
    assert (Sampler(model).sample(windows.conditions, noise).numbers() - expected).abs().max() < 1e-5


@pytest.mark.parametrize("steps", [1, 3, 10])
def test_any_number_of_steps(model, windows, steps):
    assert torch.isfinite(Sampler(model, steps=steps).sample(windows.conditions).numbers()).all()


def test_the_penetration_input_is_filled_in_where_it_counts(windows):
    model = randomize(Denoiser(DenoiserConfig(penetration=True, keypoints=True))).eval()
    calls = []

    def penetration(state: PairState, crops: object) -> torch.Tensor:
        calls.append(state.pose6d.shape)
        return torch.full((4, 16), 3.0)

    off = Sampler(model).sample(windows.conditions).numbers()
    on = Sampler(model, penetration=penetration).sample(windows.conditions).numbers()
    assert calls == [(4, 16, 2, 144)]
    assert (on - off).abs().max() > 1e-3
    minus_one = Sampler(model, penetration=lambda state, crops: torch.full((4, 16), -1.0)).sample(windows.conditions)
    assert (minus_one.numbers() - off).abs().max() < 1e-6


def test_bfloat16_stays_near(model, windows):
    exact = Sampler(model).sample(windows.conditions).numbers()
    half = Sampler(model, precision="bfloat16").sample(windows.conditions).numbers()
    assert half.dtype == torch.float32
    assert 0 < (half - exact).abs().mean() < 0.02


def test_senseless_arguments(model, windows):
    with pytest.raises(CloseintError, match="float8"):
        Sampler(model, precision="float8")
    with pytest.raises(CloseintError, match="101"):
        Sampler(model, steps=101)
    with pytest.raises(ValueError, match="noise"):
        Sampler(model).sample(windows.conditions, torch.zeros(1, 16, 2, 157))


def test_gaps_in_the_keypoints_do_no_harm(windows):
    model = randomize(Denoiser(DenoiserConfig(keypoints=True))).eval()
    holes = windows.conditions.keypoints.clone()
    holes[:, 3] = float("nan")
    assert torch.isfinite(Sampler(model).sample(replace(windows.conditions, keypoints=holes)).numbers()).all()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("count", [1, 4])
def test_on_a_gpu(model, windows, count):
    """The graph gives what eager execution gives, that what the CPU gives, and again the same."""
    given, noise = windows.conditions[:count], window_noise(count, 16, 157, seed=0)
    expected = Sampler(model).sample(given, noise).numbers()
    device = randomize(Denoiser()).eval().cuda()
    eager = Sampler(device, graphs=False, precision="float32").sample(given, noise).numbers()
    graphed = Sampler(device, precision="float32")
    found = graphed.sample(given, noise).numbers()
    assert (eager.cpu() - expected).abs().max() < 1e-4
    assert (found - eager).abs().max() < 1e-5
    graphed.sample(given, -noise)
    assert torch.equal(graphed.sample(given, noise).numbers(), found)
    assert (Sampler(device).sample(given, noise).numbers() - eager).abs().mean() < 1e-2
