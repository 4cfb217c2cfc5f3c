# SPDX-License-Identifier: Apache-2.0
"""The denoiser's objective: what windows hold that learn from the network's own answers."""

from __future__ import annotations

import dataclasses
import itertools
from functools import lru_cache

import pytest
import torch
from support.toy_run import TINY, ToySource

from closeint_core.body.data import load_body
from closeint_core.body.torch_body import TorchBody
from closeint_core.denoiser.ddim import ddim_steps
from closeint_core.denoiser.schedule import CosineSchedule, SpacedSchedule
from closeint_core.training.batches import TrainingBatch
from closeint_core.training.config import TrainingConfig, build
from closeint_core.training.schedule import OwnStart
from closeint_core.training.synthetic.generate import default_tools
from closeint_core.training.tasks import DenoiserObjective, DenoiserTask


@lru_cache(maxsize=1)
def body() -> TorchBody:
    return TorchBody(load_body("default"))


def made(**diffusion: float) -> DenoiserTask:
    config = build(TrainingConfig, {**TINY, "output": "out", "diffusion": diffusion})
    torch.manual_seed(3)
    source = ToySource(body(), config.batch)
    return DenoiserTask(config, body(), source, source, default_tools())


def own_rows(objective: DenoiserObjective, batch: TrainingBatch, timestep: int, passes: int, between: int):
    count = len(batch)
    own = OwnStart(torch.full((count,), passes), torch.full((count,), between))
    return objective.made_of_nothing(batch.conditions, torch.full((count,), timestep), own)


def naive(objective: DenoiserObjective, batch: TrainingBatch, path: list[int]) -> torch.Tensor:
    """DDIM from zeros along the timesteps ``path``, the last of which is only reached."""
    full = CosineSchedule(objective.network.config.diffusion_steps).alphas_cumprod
    x = torch.zeros_like(batch.target)
    for here, there in itertools.pairwise(path):
        pair = torch.tensor([there, here]).numpy()
        spaced = SpacedSchedule(pair, full[pair], torch.tensor([1.0, full[there]]).numpy())
        step = next(ddim_steps(spaced))
        told = torch.full((len(x),), step.timestep)
        x = step.from_clean * objective.network(x, told, batch.conditions) + step.from_noisy * x
    return x


@torch.no_grad()
def test_own_windows_hold_what_ddim_makes_of_zeros():
    task = made(sampled_steps=10, own=1.0)
    objective = task.objective
    assert isinstance(objective, DenoiserObjective)
    assert objective.first == 90
    for parameter in objective.parameters():  # a new network answers nearly nothing
        parameter.add_(0.05 * torch.randn_like(parameter))
    batch = task.source.batch(0)
    assert not own_rows(objective, batch, 90, 0, 40).any()
    torch.testing.assert_close(own_rows(objective, batch, 30, 1, 0), naive(objective, batch, [90, 30]))
    # On the way to the second look the same; from there on as if that answer had been the first.
    look = own_rows(objective, batch, 60, 1, 0)
    torch.testing.assert_close(look, naive(objective, batch, [90, 60]))
    answer = objective.network(look, torch.full((len(batch),), 60), batch.conditions)
    torch.testing.assert_close(own_rows(objective, batch, 20, 2, 60), objective.factors[20] * answer)


@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_what_is_learned_from_own_windows_reaches_every_weight(precision: str):
    task = made(sampled_steps=5, own=1.0)
    objective = task.objective
    assert isinstance(objective, DenoiserObjective)
    objective.narrow = precision == "bf16"
    batch, noise, timesteps, own = task.inputs(0)
    loss, _ = objective(batch, noise, timesteps, own)
    loss.backward()
    assert torch.isfinite(loss)
    without = [name for name, p in objective.network.named_parameters() if p.grad is None or not p.grad.any()]
    plain = made(own=0.0)
    objective = plain.objective
    loss, _ = objective(*plain.inputs(0))
    loss.backward()
    # motion_embed reads zeros in windows not looked at yet; all that a plain pass reaches is reached here as well.
    assert without == [name for name, p in objective.network.named_parameters() if p.grad is None or not p.grad.any()]


def test_shares_of_own_windows_and_their_timesteps():
    task = made(sampled_steps=5, own=0.5)
    source, looked = task.source, []
    for step in range(60):
        torch.manual_seed(step)
        batch, _, timesteps, own = task.inputs(step)
        assert len(timesteps) == len(batch) == source.count
        assert isinstance(own, OwnStart)
        assert len(own) == 2
        fresh = own.passes == 0
        assert (timesteps[:2][fresh] == 80).all()
        assert torch.isin(timesteps[:2][~fresh], torch.tensor([0, 20, 40, 60])).all()
        looked.append(own.passes)
    assert sorted(torch.cat(looked).unique().tolist()) == [0, 1, 2]
    assert made(own=0.0).inputs(0)[3] is None


def test_noise_does_not_reach_own_windows():
    task = made(sampled_steps=5, own=1.0)
    batch, noise, timesteps, own = task.inputs(0)
    with torch.no_grad():
        first, _ = task.objective(batch, noise, timesteps, own)
        other, _ = task.objective(batch, 10 * noise, timesteps, own)
        # Nor does the truth, which noisy windows hold.
        mixed, _ = task.objective(batch, noise, timesteps, dataclasses.replace(own, passes=0 * own.passes))
    assert torch.equal(first, other)
    assert torch.isfinite(mixed)
