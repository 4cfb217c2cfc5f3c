# SPDX-License-Identifier: Apache-2.0
"""The data of a training step: windows of two people, how a camera saw them, and the truth."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Protocol

import torch
from torch import Tensor

from closeint_core.denoiser.canonical import PairMotion
from closeint_core.denoiser.conditions import Conditions
from closeint_core.training.synthetic.spec import Split


@dataclass(frozen=True)
class TrainingBatch:
    """B windows of T frames, two people, camera axes (x right, y down, z forward), metres.

    Attributes:
        conditions: the inputs of the network.
        target: (B, T, 2, 157) the clean state, see ``denoiser.state``.
        keypoints: (B, T, 2, 26, 2) true pixels of the Halpe-26 keypoints, with the focal length given to the network.
        up: (B, 3) upwards.
        contacts: (B, T, 24, 24) bool, part i of the first touches part j of the second.
        fps: (B,) frames per second.
        valid: (B, T, 2) bool, there is a truth to learn from.
    """

    conditions: Conditions
    target: Tensor
    keypoints: Tensor
    up: Tensor
    contacts: Tensor
    fps: Tensor
    valid: Tensor

    def __len__(self) -> int:
        return len(self.target)

    def to(self, device: torch.device | str) -> TrainingBatch:
        """The same on another device."""
        moved: dict[str, Any] = {f.name: getattr(self, f.name).to(device) for f in fields(self)}
        return TrainingBatch(**moved)

    def __getitem__(self, rows: slice) -> TrainingBatch:
        """Some of the windows."""
        chosen: dict[str, Any] = {f.name: getattr(self, f.name)[rows] for f in fields(self)}
        return TrainingBatch(**chosen)


@dataclass(frozen=True)
class Share:
    """What one process makes of a run's batches, on one side of the wall between training and test.

    Attributes:
        count: windows, or pictures, of a step in this process.
        seed: of the run.
        rank, world: this process among those that train together.
        split: ``train`` or ``test``.
    """

    count: int
    seed: int
    rank: int = 0
    world: int = 1
    split: Split = "train"


@dataclass(frozen=True)
class MotionBatch:
    """Windows of two people's motion for the prior: motion (B, T, 2), Z-up world; up (3,)."""

    motion: PairMotion
    up: Tensor


class BatchSource(Protocol):
    """Where batches come from: a function of the step, so that a run resumes where it stopped."""

    def batch(self, step: int) -> TrainingBatch:
        """The windows of a step; the same for the same step, seed and rank."""
        ...
