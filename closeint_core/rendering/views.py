# SPDX-License-Identifier: Apache-2.0
"""Cameras that look at a pair, and square windows cut out of what they see."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import normalize

from closeint_core.rendering.draws import Draws

_NEAREST = 0.05  # metres; what is nearer is projected as if it were there


@dataclass(frozen=True)
class Views:
    """N cameras: ``rotation`` (N, 3, 3) world to camera, rows right, down, forward; ``eye`` (N, 3) in the world.

    Pictures are measured in tangents: x / z and y / z.
    """

    rotation: Tensor
    eye: Tensor

    def __getitem__(self, rows: Tensor) -> Views:
        """Some of the cameras."""
        return Views(self.rotation[rows], self.eye[rows])

    def seen(self, points: Tensor) -> Tensor:
        """World points (N, ..., 3) in the cameras' frames."""
        eye = self.eye.reshape(len(self.eye), *[1] * (points.ndim - 2), 3)
        return torch.einsum("nij,n...j->n...i", self.rotation, points - eye)

    def rays(self, tangents: Tensor) -> Tensor:
        """World directions (N, ..., 3), not of unit length, of tangents (N, ..., 2)."""
        ahead = torch.cat([tangents, torch.ones_like(tangents[..., :1])], -1)
        return torch.einsum("nji,n...j->n...i", self.rotation, ahead)


@dataclass(frozen=True)
class Windows:
    """N squares of pictures: ``centre`` (N, 2) and ``side`` (N,), both in tangents."""

    centre: Tensor
    side: Tensor

    def __getitem__(self, rows: Tensor) -> Windows:
        """Some of the windows."""
        return Windows(self.centre[rows], self.side[rows])

    def pixels(self, seen: Tensor, size: int) -> Tensor:
        """Camera points (N, ..., 3) as x, y in pixels of a window of ``size`` pixels, and depth."""
        tangents = seen[..., :2] / seen[..., 2:].clamp(min=_NEAREST)
        flat = [1] * (seen.ndim - 2)
        centre, side = self.centre.reshape(-1, *flat, 2), self.side.reshape(-1, *flat, 1)
        return torch.cat([((tangents - centre) / side + 0.5) * size, seen[..., 2:]], -1)

    def tangents(self, pixels: Tensor, size: int) -> Tensor:
        """The inverse of ``pixels``: (N, ..., 2) of x, y (N, ..., 2)."""
        flat = [1] * (pixels.ndim - 2)
        centre, side = self.centre.reshape(-1, *flat, 2), self.side.reshape(-1, *flat, 1)
        return (pixels / size - 0.5) * side + centre

    def grid(self, size: int) -> Tensor:
        """Tangents (N, size, size, 2) of the pixels' centres."""
        at = (torch.arange(size, device=self.side.device) + 0.5).expand(size, size)
        pixels = torch.stack([at, at.T], -1).expand(len(self.side), -1, -1, -1)
        return self.tangents(pixels, size)


def draw_views(draws: Draws, places: Tensor) -> Views:
    """Cameras for pairs who stand at ``places`` (N, 2, 3): half look from the side, as people film."""
    count = len(places)
    middle = places.mean(1) * draws.tensor([1.0, 1.0, 0.9])
    line = places[:, 1] - places[:, 0]
    across = torch.where(draws.chance(0.5, count), 0.5, -0.5) * math.pi
    beside = torch.atan2(line[:, 1], line[:, 0]) + across + torch.deg2rad(draws.uniform(count, low=-50, high=50))
    bearing = torch.where(draws.chance(0.5, count), beside, draws.uniform(count) * 2 * math.pi)
    usual = 3 + 8 * draws.normal(count)
    height = torch.where(draws.chance(0.85, count), usual, draws.uniform(count, low=-10, high=40))
    height = torch.deg2rad(height.clamp(-12, 40))
    distance = draws.uniform(count, low=2.5, high=7.5)[:, None]
    forward = -torch.stack([height.cos() * bearing.cos(), height.cos() * bearing.sin(), height.sin()], -1)
    right, down = _axes(forward)
    eye = middle - distance * forward
    eye = torch.cat([eye[:, :2], eye[:, 2:].clamp(min=0.25)], -1)
    # The pair is not always in the middle of the picture, where a lens distorts least.
    aside = torch.tan(torch.deg2rad(draws.uniform(count, 2, low=-1, high=1) * draws.tensor([20.0, 9.0])))
    look = normalize(middle + distance * (right * aside[:, :1] + down * aside[:, 1:]) - eye, dim=-1)
    right, down = _axes(look)
    usual = torch.where(draws.chance(0.2, count), 15.0, 3.0) * draws.normal(count)
    roll = torch.where(draws.chance(0.06, count), draws.uniform(count, low=-180, high=180), usual)
    c, s = torch.deg2rad(roll).cos()[:, None], torch.deg2rad(roll).sin()[:, None]
    return Views(torch.stack([c * right + s * down, c * down - s * right, look], 1), eye)


def _axes(forward: Tensor) -> tuple[Tensor, Tensor]:
    """Unit right and down (N, 3) of level cameras that look along ``forward``."""
    up = torch.tensor([0.0, 0.0, 1.0], device=forward.device).expand_as(forward)
    right = normalize(torch.linalg.cross(forward, up), dim=-1)
    return right, torch.linalg.cross(forward, right)


def windows_around(draws: Draws, seen: Tensor, frames: int) -> Windows:
    """Windows around all joints (N, K, 3) in the cameras' frames, loose and off the middle as a detector's, some of
    them cutting off what is outside; ``frames`` rows that follow each other share their luck, but for a little."""
    pairs = len(seen) // frames
    tangents = seen[..., :2] / seen[..., 2:].clamp(min=0.2)
    low, high = tangents.amin(1), tangents.amax(1)

    def shared(values: Tensor, own: Tensor) -> Tensor:
        return values.repeat_interleave(frames, 0) + (own if frames > 1 else 0.0)

    cut = draws.chance(0.12, pairs)
    factor = torch.where(cut, draws.uniform(pairs, low=-0.6, high=-0.1), draws.uniform(pairs, low=-0.14, high=0.36))
    side = 1.25 * (high - low).amax(-1) * torch.exp(shared(factor, 0.02 * draws.normal(len(seen))))
    aside = torch.where(cut[:, None], 0.15, 0.06) * draws.normal(pairs, 2)
    centre = (low + high) / 2 + side[:, None] * shared(aside, 0.01 * draws.normal(len(seen), 2))
    return Windows(centre, side)
