# SPDX-License-Identifier: Apache-2.0
"""What changes from step to step: learning rate, averaging, timesteps, random numbers. Functions of the step alone.

Nothing here has a state, so that a run that was interrupted continues as if it had not been.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass

import torch
from torch import Tensor

from closeint_core.training.config import DiffusionConfig, OptimizerConfig

_LOOKS = (0.25, 0.6)  # of the windows that start from nothing: share not looked at yet, and looked at once at most


def learning_rate(config: OptimizerConfig, step: int, steps: int) -> float:
    """Rate of a step (counted from 0): a linear rise, then half a cosine down to the floor at the last step."""
    peak = config.learning_rate
    if step < config.warmup:
        return peak * (step + 1) / config.warmup
    progress = (step - config.warmup) / max(1, steps - 1 - config.warmup)
    share = 0.5 * (1.0 + math.cos(math.pi * min(1.0, progress)))
    return peak * (config.floor + (1.0 - config.floor) * share)


def average_decay(decay: float, step: int) -> float:
    """Decay of the moving average: less at first, so that random weights do not linger."""
    return min(decay, (1.0 + step) / (10.0 + step))


def seed_everything(seed: int, rank: int, step: int, purpose: str = "step") -> None:
    """Set torch's random state on all devices to a function of the arguments.

    Each step begins like this; a resumed run needs no stored random state.
    """
    digest = hashlib.sha256(f"{purpose} {seed} {rank} {step}".encode()).digest()
    torch.manual_seed(int.from_bytes(digest[:8], "little") >> 1)


def draw_timesteps(config: DiffusionConfig, diffusion_steps: int, count: int, device: torch.device) -> Tensor:
    """Timesteps (count,) int64: a share of them at the timesteps that sampling visits, the others uniform."""
    uniform = torch.randint(diffusion_steps, (count,), device=device)
    visited = visited_timesteps(config.sampled_steps, diffusion_steps, device)
    chosen = visited[torch.randint(config.sampled_steps, (count,), device=device)]
    return torch.where(torch.rand(count, device=device) < config.emphasis, chosen, uniform)


@dataclass(frozen=True)
class OwnStart:
    """The first windows of a batch: they start from zeros, or from the network's own earlier answer, instead of noise.

    Attributes:
        passes: (N,) int64, how many answers the network has already given: 0, 1 or 2.
        between: (N,) int64, the timestep of its second answer.
    """

    passes: Tensor
    between: Tensor

    def __len__(self) -> int:
        return len(self.passes)


def visited_timesteps(sampled_steps: int, diffusion_steps: int, device: torch.device) -> Tensor:
    """(S,) int64, rising: the timesteps at which sampling runs the network."""
    return torch.arange(sampled_steps, device=device) * diffusion_steps // sampled_steps


def draw_own(config: DiffusionConfig, diffusion_steps: int, timesteps: Tensor) -> tuple[OwnStart | None, Tensor]:
    """The windows that start from zeros (None if there are none), and the timesteps (B,) of all windows.

    Sampling from zeros begins at the last timestep visited; an earlier answer is denoised at any other timestep.
    """
    count = round(config.own * len(timesteps))
    if not count:
        return None, timesteps
    device = timesteps.device
    visited = visited_timesteps(config.sampled_steps, diffusion_steps, device)
    last = max(config.sampled_steps - 1, 1)
    drawn = torch.rand(count, device=device)
    passes = torch.stack([drawn >= share for share in _LOOKS]).sum(0)
    between, later = visited[torch.randint(last, (2, count), device=device)]
    own = torch.where(passes == 0, visited[-1], later)
    return OwnStart(passes, between), torch.cat((own, timesteps[count:]))
