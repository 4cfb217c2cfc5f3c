# SPDX-License-Identifier: Apache-2.0
"""Sanity training: the networks can learn. Minutes on a CPU, hence marked slow."""

from __future__ import annotations

import pytest
import torch
from support.windows import UP, Windows, synthetic_windows
from torch import Tensor

from closeint_core.body.torch_body import TorchBody
from closeint_core.denoiser.canonical import PairMotion, pair_frames
from closeint_core.denoiser.network import Denoiser, DenoiserConfig
from closeint_core.denoiser.prior import InteractionPrior, PriorConfig, prior_losses, report
from closeint_core.denoiser.sampler import Sampler
from closeint_core.denoiser.schedule import CosineSchedule
from closeint_core.denoiser.state import PairState, mean_state

WINDOWS = 64
TIMESTEPS = (0, 20, 40, 60, 80)


def joints(body: TorchBody, state: PairState, windows: Windows) -> Tensor:
    """(B, T, 2, 24, 3) metres in the camera's frame."""
    translation = state.translation(windows.conditions.crops)
    return body.skeleton(state.rotations(), state.betas, translation).joints


def joint_error_mm(body: TorchBody, state: PairState, windows: Windows) -> tuple[float, float]:
    """Mean error of the joints where they are, and after both pelvises are put in one place."""
    error = joints(body, state, windows) - joints(body, windows.truth, windows)
    aligned = error - error[..., :1, :]
    return 1000 * float(error.norm(dim=-1).mean()), 1000 * float(aligned.norm(dim=-1).mean())


def train_denoiser(
    body: TorchBody, windows: Windows, config: DenoiserConfig, steps: int, batch: int, rate: float
) -> Denoiser:
    """Clean-sample regression at the timesteps that five DDIM steps visit."""
    device = windows.rotations.device
    torch.manual_seed(0)
    model = Denoiser(config).to(device).train()
    residual = windows.truth.numbers() - mean_state(windows.conditions.init_pose6d)
    schedule = CosineSchedule(config.diffusion_steps)
    optimizer = torch.optim.AdamW(model.parameters(), rate, weight_decay=0.0, betas=(0.9, 0.98))
    decay = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, steps, pct_start=0.1)
    # In units of what a joint moves by: a rotation at a limb's length, a shape's deviation, a crop camera at 4 m.
    weights = torch.cat([torch.ones(144), torch.full((10,), 0.02), torch.tensor([40.0, 10.0, 10.0])]).to(device)
    order = torch.arange(WINDOWS)
    for step in range(steps):
        place = step * batch % WINDOWS
        if place == 0:
            order = torch.randperm(WINDOWS)
        index = order[place : place + batch].to(device)
        clean = residual[index]
        timesteps = torch.tensor(TIMESTEPS)[torch.randint(5, (batch,))].to(device)
        noisy = schedule.add_noise(clean, torch.randn(clean.shape).to(device), timesteps)
        predicted = model(noisy, timesteps, windows.conditions[index])
        loss = ((predicted - clean).square() * weights).mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        decay.step()
    return model.eval()


def canonical_numbers(body: TorchBody, windows: Windows) -> Tensor:
    pelvis = body.rest_joints(windows.betas)[..., 0, :] + windows.translation
    motion = PairMotion(windows.rotations, pelvis)
    return pair_frames(motion, UP.to(pelvis)).into(motion)


def train_prior(
    body: TorchBody, numbers: Tensor, config: PriorConfig, steps: int, batch: int, rate: float
) -> InteractionPrior:
    torch.manual_seed(0)
    model = InteractionPrior(config).to(numbers.device)
    model.start(numbers, body)
    optimizer = torch.optim.AdamW(model.parameters(), rate, weight_decay=0.0, betas=(0.9, 0.98))
    decay = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, steps, pct_start=0.1)
    order = torch.arange(WINDOWS)
    for step in range(steps):
        place = step * batch % WINDOWS
        if place == 0:
            order = torch.randperm(WINDOWS)
        given = numbers[order[place : place + batch].to(numbers.device)]
        losses = prior_losses(model, body, model.train()(given), given)
        loss = 0.5 * losses["numbers"] + 5 * losses["joints"] + 5 * losses["velocity"] + 0.1 * losses["commitment"]
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        decay.step()
    return model.eval()


@pytest.mark.slow
def test_the_denoiser_learns_64_windows(body):
    windows = synthetic_windows(body, WINDOWS)
    model = train_denoiser(body, windows, DenoiserConfig(), 1800, 16, 2e-3)
    absolute, aligned = joint_error_mm(body, Sampler(model).sample(windows.conditions, seed=1), windows)
    print(f"joints {absolute:.2f} mm from where they are, pelvis-aligned {aligned:.2f} mm")
    assert aligned < 5
    assert absolute < 5  # with the distance from the camera, 4 m


@pytest.mark.slow
def test_the_prior_learns_64_windows(body):
    numbers = canonical_numbers(body, synthetic_windows(body, WINDOWS))
    model = train_prior(body, numbers, PriorConfig(), 700, WINDOWS, 2e-3)
    found = report(model, body, numbers)
    print(found)
    assert found.mpjpe_mm < 5
    assert found.perplexity > 0.25 * found.codes
