# SPDX-License-Identifier: Apache-2.0
"""The cosine noise schedule (Nichol and Dhariwal, "Improved Denoising Diffusion Probabilistic Models", 2021)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from closeint_core.errors import CloseintError


@dataclass(frozen=True)
class SpacedSchedule:
    """Tables of a schedule at S chosen timesteps, ascending; float64.

    Attributes:
        timesteps: (S,) the timesteps of the full schedule that the network is told.
        alphas_cumprod: (S,) share of signal variance. previous: (S,) the same one step nearer to the data.
    """

    timesteps: np.ndarray
    alphas_cumprod: np.ndarray
    previous: np.ndarray


class CosineSchedule:
    """Signal and noise over ``steps`` timesteps: x_t = sqrt(a_t) x_0 + sqrt(1 - a_t) noise.

    Attributes:
        betas, alphas_cumprod: (steps,) float64.
    """

    def __init__(self, steps: int = 100) -> None:
        if steps < 1:
            raise ValueError(f"a schedule has at least one step, not {steps}")
        edges = np.cos((np.arange(steps + 1) / steps + 0.008) / 1.008 * math.pi / 2) ** 2
        self.betas = np.minimum(1.0 - edges[1:] / edges[:-1], 0.999)
        self.alphas_cumprod = np.cumprod(1.0 - self.betas)

    def __len__(self) -> int:
        return len(self.betas)

    def spaced(self, count: int) -> SpacedSchedule:
        """``count`` timesteps evenly spaced from 0; 5 of 100 are 0, 20, 40, 60, 80.

        Raises:
            CloseintError: fewer than one or more than all.
        """
        if not 1 <= count <= len(self):
            raise CloseintError(f"{count} sampling steps are not between 1 and {len(self)}.", "Use for instance 5.")
        timesteps = np.arange(count) * len(self) // count
        kept = self.alphas_cumprod[timesteps]
        # The betas between kept steps follow from their products: the spaced chain has the same marginals.
        spaced_betas = 1.0 - kept / np.concatenate([[1.0], kept[:-1]])
        products = np.cumprod(1.0 - spaced_betas)
        return SpacedSchedule(timesteps, products, np.concatenate([[1.0], products[:-1]]))

    def add_noise(self, clean: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """x_t of ``clean`` and ``noise`` (B, ...) at ``timesteps`` (B,), for training."""
        table = torch.as_tensor(self.alphas_cumprod, dtype=torch.float64)
        share = table[timesteps.cpu()].to(clean).reshape(-1, *[1] * (clean.ndim - 1))
        return share.sqrt() * clean + (1.0 - share).sqrt() * noise
