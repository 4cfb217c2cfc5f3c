# SPDX-License-Identifier: Apache-2.0
"""What a solve finds: a motion, the shapes of those who move, and the floor they share."""

from __future__ import annotations

from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any, TypeVar

import roma
import torch
from torch import Tensor
from torch.nn.functional import normalize

Data = TypeVar("Data")


def on_device(data: Data, device: torch.device) -> Data:
    """A dataclass with its tensors, and those of dataclasses in it, on a device."""

    def moved(value: Any) -> Any:
        if isinstance(value, Tensor):
            return value.to(device)
        return on_device(value, device) if is_dataclass(value) and not isinstance(value, type) else value

    names = [field.name for field in fields(data)]  # type: ignore[arg-type]
    return replace(data, **{name: moved(getattr(data, name)) for name in names})  # type: ignore[type-var]


@dataclass
class Floor:
    """The plane normal . x + offset = 0 in the camera's frame; normal (3,) points up, offset ()."""

    normal: Tensor
    offset: Tensor


@dataclass
class Motion:
    """Rotations (P, T, 24, 3, 3), transl (P, T, 3), betas (P, B) and the floor, camera axes, metres."""

    rotations: Tensor
    transl: Tensor
    betas: Tensor
    floor: Floor


@dataclass
class FitState:
    """P people in T frames on a floor, camera axes, metres and radians.

    Attributes:
        rotations: (P, T, 24, 3, 3) local. transl: (P, T, 3). betas: (P, B).
        level: (3,) unit, the floor's normal as it was first guessed. tilt: (2,) what is added to its x and z.
        offset: () of the floor.
    """

    rotations: Tensor
    transl: Tensor
    betas: Tensor
    level: Tensor
    tilt: Tensor
    offset: Tensor

    def moved(self, turn: Tensor, move: Tensor, shared: Tensor | None) -> FitState:
        """The state after a step.

        Args:
            turn: (P, T, 24, 3) radians in each joint's own axes. move: (P, T, 3).
            shared: (P * B + 3,) of the shapes, the tilt and the offset; None leaves them.
        """
        rotations = self.rotations @ roma.rotvec_to_rotmat(turn)
        state = replace(self, rotations=rotations, transl=self.transl + move)
        if shared is None:
            return state
        shapes = shared[:-3].view_as(self.betas)
        return replace(
            state, betas=self.betas + shapes, tilt=self.tilt + shared[-3:-1], offset=self.offset + shared[-1]
        )

    def floor(self) -> Floor:
        """The floor as it stands."""
        return Floor(normalize(self._unnormalised(), dim=0), self.offset)

    def floor_slopes(self) -> Tensor:
        """(3, 2) of the floor's normal by its tilt."""
        raw = self._unnormalised()
        normal = normalize(raw, dim=0)
        across = torch.eye(3, device=raw.device) - normal[:, None] * normal
        return (across / raw.norm())[:, [0, 2]]

    def _unnormalised(self) -> Tensor:
        return self.level + torch.stack([self.tilt[0], torch.zeros_like(self.tilt[0]), self.tilt[1]])
