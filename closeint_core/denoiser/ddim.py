# SPDX-License-Identifier: Apache-2.0
"""Deterministic DDIM sampling (eta = 0) for a network that predicts the clean sample.

Song et al., "Denoising Diffusion Implicit Models", ICLR 2021.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from closeint_core.denoiser.schedule import SpacedSchedule


class DDIMStep(NamedTuple):
    """One step of the chain: x_prev = clean * ``from_clean`` + x * ``from_noisy``.

    Attributes:
        position: which spaced step, counting down to 0. timestep: of the full schedule, what the network is told.
        from_clean, from_noisy: both terms of the update, the noise already expressed by x and the clean sample.
    """

    position: int
    timestep: int
    from_clean: float
    from_noisy: float


def ddim_steps(schedule: SpacedSchedule) -> Iterator[DDIMStep]:
    """The steps from noise to data.

    With a = alphas_cumprod and a' one step nearer to the data, the noise in x is (x - sqrt(a) clean) / sqrt(1 - a), and
    x_prev = sqrt(a') clean + sqrt(1 - a') noise. In the last step a' = 1: the result is the clean sample.
    """
    for index in reversed(range(len(schedule.timesteps))):
        share, previous = schedule.alphas_cumprod[index], schedule.previous[index]
        noise_scale = np.sqrt((1.0 - previous) / (1.0 - share))
        yield DDIMStep(
            index,
            int(schedule.timesteps[index]),
            float(np.sqrt(previous) - noise_scale * np.sqrt(share)),
            float(noise_scale),
        )


def ddim_sample(predict_clean: Callable[[Tensor, DDIMStep], Tensor], noise: Tensor, schedule: SpacedSchedule) -> Tensor:
    """Run the chain.

    Args:
        predict_clean: the clean sample from x (as ``noise``) at a step; guidance belongs in here.
        noise: standard normal, any shape.

    Returns:
        The last step's clean sample, shaped as ``noise``.
    """
    x = noise
    for step in ddim_steps(schedule):
        x = step.from_clean * predict_clean(x, step) + step.from_noisy * x
    return x


def window_noise(windows: int, frames: int, size: int, seed: int, first_window: int = 0) -> Tensor:
    """Standard normal (windows, frames, 2, size), drawn on the CPU so that it is the same on every device.

    Window i has its own stream, seeded by (seed, first_window + i): a batch equals its windows run one by one.
    """
    rows = []
    for window in range(first_window, first_window + windows):
        generator = torch.Generator().manual_seed(int(np.random.SeedSequence([seed, window]).generate_state(1)[0]))
        rows.append(torch.randn(frames, 2, size, generator=generator))
    return torch.stack(rows)
