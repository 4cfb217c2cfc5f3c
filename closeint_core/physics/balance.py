# SPDX-License-Identifier: Apache-2.0
"""Whether people would fall over: the centre of mass over the feet, of both people together when they lean."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from closeint_core.body.data import BodyData
from closeint_core.physics.calibration import PHYSICS

_SEGMENTS: dict[tuple[int, ...], str] = {
    (12, 15): "head", (9, 13, 14): "chest", (3, 6): "belly", (0,): "pelvis", (16,): "upper_arm", (17,): "upper_arm",
    (18,): "forearm", (19,): "forearm", (20, 22): "hand", (21, 23): "hand", (1,): "thigh", (2,): "thigh", (4,): "shin",
    (5,): "shin", (7, 10): "foot", (8, 11): "foot",
}  # fmt: skip
"""Which body parts are which of the calibration's segments."""
_DIRECTIONS = 32


def body_masses(data: BodyData) -> np.ndarray:
    """(1, V) share of the body's mass that each vertex stands for; the rows sum to one."""
    share = np.zeros((1, data.num_vertices), np.float32)
    for parts, segment in _SEGMENTS.items():
        mass = getattr(PHYSICS.now.balance.masses, segment)
        chosen = np.flatnonzero(np.isin(data.parts, parts))
        if len(chosen):
            share[0, chosen] = mass / len(chosen)
    shares: np.ndarray = share / share.sum()
    return shares


class Falling(NamedTuple):
    """How the centre of mass of P people over T frames lies to the feet that stand.

    Attributes:
        far: (P, T) metres from the support to the centre along ``side``, 0 inside. side: (P, T, 2) unit, horizontal.
        foot: (P, T) the foot point at the support's edge on that side, 0 to 5 of person 0, then of person 1.
        joined: (T,) bool, whose support is shared. trust: (P, T) 0..1, how much it counts: not in the air.
    """

    far: Tensor
    side: Tensor
    foot: Tensor
    joined: Tensor
    trust: Tensor


@lru_cache(maxsize=8)
def _sides(device: torch.device) -> Tensor:
    """(D, 2) horizontal unit vectors all around."""
    angle = torch.arange(_DIRECTIONS) * (2 * math.pi / _DIRECTIONS)
    return torch.stack((torch.cos(angle), torch.sin(angle)), -1).to(device)


def outside_of_support(centre: Tensor, feet: Tensor, planted: Tensor, holding_each_other: Tensor | None) -> Falling:
    """How far the centre of mass is from being over the feet that stand.

    The support is the convex hull of the planted soles, seen from ``_DIRECTIONS`` sides. While two people lean on
    each other, they are one body on four feet.

    Args:
        centre: (P, T, 3). feet: (P, T, 6, 3). planted: (P, T, 6), 0 where a foot is up.
        holding_each_other: (T,) bool for two people, else None.
    """
    sides = _sides(centre.device)
    down = planted > 0
    reach = feet[..., :2] @ sides.T + PHYSICS.now.balance.foot_width  # (P, T, 6, D)
    reach = torch.where(down[..., None], reach, torch.full_like(reach, -math.inf))
    reach, foot = reach.max(2)  # (P, T, D)
    foot = foot + feet.shape[2] * torch.arange(len(centre), device=centre.device)[:, None, None]
    place = centre[..., :2]
    joined = torch.zeros(centre.shape[1], dtype=torch.bool, device=centre.device)
    if holding_each_other is not None and len(centre) == 2:
        joined = holding_each_other & down.any(-1).all(0)
        shared, who = reach.max(0)
        reach = torch.where(joined[:, None], shared, reach)
        foot = torch.where(joined[:, None], foot.gather(0, who[None])[0], foot)
        place = torch.where(joined[:, None], place.mean(0, keepdim=True), place)
    beyond = place @ sides.T - reach
    beyond = torch.where(torch.isfinite(beyond), beyond, torch.zeros_like(beyond))
    far, which = beyond.max(-1)
    foot = foot.gather(-1, which[..., None])[..., 0]
    return Falling(far.clamp(min=0), sides[which], foot, joined, planted.amax(-1) * down.any(-1))
