# SPDX-License-Identifier: Apache-2.0
"""Random numbers on a device, from torch's own state (which a training step sets, see ``training.schedule``)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Draws:
    """Draws tensors on a device."""

    device: torch.device

    def uniform(self, *shape: int, low: float = 0.0, high: float = 1.0) -> Tensor:
        """Between ``low`` and ``high``."""
        return low + (high - low) * torch.rand(*shape, device=self.device)

    def normal(self, *shape: int) -> Tensor:
        """Of mean 0 and spread 1."""
        return torch.randn(*shape, device=self.device)

    def chance(self, probability: float, *shape: int) -> Tensor:
        """Bool, true with a probability."""
        return torch.rand(*shape, device=self.device) < probability

    def integers(self, count: int, *shape: int) -> Tensor:
        """Int64 below ``count``."""
        return torch.randint(count, shape, device=self.device)

    def tensor(self, values: list[float] | list[list[float]]) -> Tensor:
        """Float32 constants on the device."""
        return torch.tensor(values, dtype=torch.float32, device=self.device)
