# SPDX-License-Identifier: Apache-2.0
"""What is behind, under and before the people: walls and furniture made up or panoramas, floors, things in front."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample, interpolate, normalize

from closeint_core.errors import CloseintError
from closeint_core.rendering.degradation import soften
from closeint_core.rendering.draws import Draws
from closeint_core.rendering.looks import draw_cloth, draw_skin
from closeint_core.rendering.views import Views, Windows

_FURNITURE = 9
_IN_FRONT = 2
_OCTAVES = (3, 6, 12, 24, 48, 96)


def read_panoramas(path: Path) -> Tensor:
    """Panoramas (N, 3, H, W) in 0..1 from an npz file whose ``images`` are (N, H, W, 3) uint8.

    Raises:
        CloseintError: missing, or another file.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            images = file["images"]
    except (OSError, KeyError, ValueError) as error:
        raise CloseintError(
            f"Cannot read panoramas from {path} ({error}).",
            "Make the file as docs/training.md says, or leave the setting empty.",
        ) from None
    if images.ndim != 4 or images.shape[-1] != 3 or images.dtype != np.uint8:
        raise CloseintError(f"The panoramas in {path} are {images.shape} {images.dtype}, not (N, H, W, 3) uint8.")
    return torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255


def draw_walls(draws: Draws, count: int, size: int, panoramas: Tensor | None = None) -> Tensor:
    """Pictures (count, 3, size, size) in 0..1 of what may be behind people."""
    noise = _noise(draws, count, size)
    pano = _pieces(draws, panoramas, count, size) if panoramas is not None else None
    painted = _painted(draws, count, size, noise)
    wall = painted
    if pano is not None:
        wall = torch.where(draws.chance(0.45, count, 1, 1, 1), pano, painted)
        wall = torch.where(draws.chance(0.2, count, 1, 1, 1), 0.5 * wall + 0.5 * pano, wall)
    return _furnished(draws, wall, noise)


def _noise(draws: Draws, count: int, size: int) -> Tensor:
    """Clouds of all sizes, (count, 3, size, size)."""
    total = torch.zeros(count, 3, size, size, device=draws.device)
    for cells in _OCTAVES:
        grain = draws.normal(count, 3, cells, cells) * 0.5 + draws.normal(count, 1, cells, cells)
        fading = (_OCTAVES[1] / cells) ** draws.uniform(count, 1, 1, 1, high=0.7)
        weight = draws.uniform(count, 1, 1, 1) ** 2 * 0.5 * fading
        total = total + interpolate(grain, (size, size), mode="bilinear") * weight
    return total


def _pieces(draws: Draws, panoramas: Tensor, count: int, size: int) -> Tensor:
    """Pieces cut out of panoramas."""
    zoom = draws.uniform(count, low=0.25, high=1.0)
    flip = torch.where(draws.chance(0.5, count), 1.0, -1.0)
    across = zoom * draws.uniform(count, low=0.35, high=0.7) * flip
    place = torch.zeros(count, 2, 3, device=draws.device)
    place[:, 0, 0], place[:, 1, 1] = across, zoom
    place[:, 0, 2] = draws.uniform(count, low=-1, high=1) * (1 - across.abs())
    place[:, 1, 2] = draws.uniform(count, low=-1, high=1) * (1 - zoom)
    grid = affine_grid(place, [count, 3, size, size], align_corners=False)
    chosen = panoramas[draws.integers(len(panoramas), count)]
    return grid_sample(chosen, grid, align_corners=False, padding_mode="reflection")


def _painted(draws: Draws, count: int, size: int, noise: Tensor) -> Tensor:
    """Plain walls with a gradient, rough ones and smooth bright ones."""
    one, two = draw_cloth(draws, count)[..., None, None], draw_cloth(draws, count)[..., None, None]
    along = torch.linspace(0, 1, size, device=draws.device)
    angle = draws.uniform(count, 1, 1, 1) * 2 * math.pi
    ramp = (angle.cos() * along[None, None, None] + angle.sin() * along[None, None, :, None]) * 0.5 + 0.5
    share = ramp * draws.uniform(count, 1, 1, 1) * 0.7
    wall = one * (1 - share) + two * share
    rough = (wall + 0.25 * noise * draws.uniform(count, 1, 1, 1)).clamp(0, 1)
    smooth = (wall * 0.5 + 0.5 * draws.uniform(count, 1, 1, 1) + 0.02 * noise).clamp(0, 1)
    return torch.where(draws.chance(0.45, count, 1, 1, 1), rough, smooth)


def _furnished(draws: Draws, wall: Tensor, noise: Tensor) -> Tensor:
    """Furniture, frames, doors and posts: boxes and ellipses, some of the colour of skin."""
    count, _, size, _ = wall.shape
    along = torch.linspace(0, 1, size, device=draws.device)
    y, x = torch.meshgrid(along, along, indexing="ij")
    many = draws.uniform(count, 1, 1) ** 2 + 0.1
    for _ in range(_FURNITURE):
        tilt = 0.15 * draws.normal(count, 1, 1) * draws.chance(0.4, count, 1, 1)
        half = (0.3 * draws.uniform(count, 1, 1) ** 2 + 0.01, 0.45 * draws.uniform(count, 1, 1) ** 2 + 0.01)
        place = (draws.uniform(count, 1, 1), draws.uniform(count, 1, 1))
        inside, across = _shape(x, y, place, half, tilt, draws.chance(0.2, count, 1, 1))
        inside = inside & draws.chance(0.8, count, 1, 1) & (draws.uniform(count, 1, 1) < many)
        skin = draws.chance(0.3, count, 1)
        colour = torch.where(skin, draw_skin(draws, count), draw_cloth(draws, count))[..., None, None]
        wave = (across * draws.uniform(count, 1, 1, low=10, high=80)).sin() > 0
        stripes = 1 - 0.4 * draws.chance(0.3, count, 1, 1, 1) * wave[:, None]
        texture = (colour * stripes + 0.1 * noise * draws.uniform(count, 1, 1, 1)).clamp(0, 1)
        wall = torch.where(inside[:, None], texture, wall)
    return wall


def _shape(
    x: Tensor, y: Tensor, place: tuple[Tensor, Tensor], half: tuple[Tensor, Tensor], tilt: Tensor, round_: Tensor
) -> tuple[Tensor, Tensor]:
    """Whether a tilted box or ellipse covers each pixel (N, H, W), and the coordinate across it."""
    dx, dy = x - place[0], y - place[1]
    across, up = dx * tilt.cos() + dy * tilt.sin(), dy * tilt.cos() - dx * tilt.sin()
    ellipse = (across / half[0]) ** 2 + (up / half[1]) ** 2 < 1
    return torch.where(round_, ellipse, (across.abs() < half[0]) & (up.abs() < half[1])), across


@dataclass(frozen=True)
class Floors:
    """Of N pictures, each (N,) but for ``colour`` (N, 3): how far behind the pair a floor reaches (metres, negative
    for none), the angle and size of its tiles, their kind in 0..1, contrasts, and how dark feet make it."""

    reach: Tensor
    angle: Tensor
    tile: Tensor
    kind: Tensor
    contrast: Tensor
    seam: Tensor
    dark: Tensor
    grain: Tensor
    colour: Tensor

    def __getitem__(self, rows: Tensor) -> Floors:
        """Some of the floors."""
        return Floors(**{f.name: getattr(self, f.name)[rows] for f in fields(self)})


def draw_floors(draws: Draws, count: int) -> Floors:
    """Floors of ``count`` pictures; a quarter has none."""
    reach = torch.where(draws.chance(0.75, count), draws.uniform(count, low=0.4, high=5), -1e3)
    wood = draws.tensor([0.62, 0.45, 0.3]) * draws.uniform(count, 1, low=0.5, high=1.4)
    colour = torch.where(draws.chance(0.4, count, 1), wood, draw_cloth(draws, count))
    return Floors(
        reach, draws.uniform(count) * 2 * math.pi, draws.uniform(count, low=0.08, high=0.7), draws.uniform(count),
        0.25 * draws.uniform(count), draws.uniform(count), draws.uniform(count, high=0.7), draws.uniform(count), colour,
    )  # fmt: skip


def lay_floors(
    draws: Draws, walls: Tensor, floors: Floors, views: Views, windows: Windows, standing: Tensor, middle: Tensor
) -> Tensor:
    """Floors painted into ``walls`` (N, 3, S, S), dark below ``standing`` points (N, K, 3); ``middle`` (N, 2) is where
    the pair stands."""
    count, _, size, _ = walls.shape
    rays = views.rays(windows.grid(size))
    away = -views.eye[:, 2, None, None] / rays[..., 2].clamp(max=-1e-3)
    place = views.eye[:, None, None, :2] + away[..., None] * rays[..., :2]
    from_pair = place - middle[:, None, None]
    ahead = normalize(views.rotation[:, 2, :2], dim=-1)[:, None, None]
    there = (rays[..., 2] < -1e-3) & ((from_pair * ahead).sum(-1) < _wide(floors.reach))
    c, s = _wide(floors.angle.cos()), _wide(floors.angle.sin())
    x, y = from_pair[..., 0] * c + from_pair[..., 1] * s, from_pair[..., 1] * c - from_pair[..., 0] * s
    boards = torch.where(floors.kind < 0.4, 6.0, 1.0)
    x, y = x / _wide(floors.tile), y / _wide(floors.tile * boards)
    shade = (torch.sin(x.floor() * 12.9898 + y.floor() * 78.233) * 43758.5453) % 1
    seams = ((x % 1) < 0.04) | ((y % 1) < 0.02)
    pattern = 0.75 + _wide(floors.contrast) * (shade - 0.5) * 2 - 0.2 * seams * _wide(floors.seam)
    pattern = torch.where(_wide(floors.kind) < 0.75, pattern, 1.0)
    dark = torch.zeros_like(pattern)
    for number in range(standing.shape[1]):
        spot = standing[:, number]
        wide = 0.12 if number % 3 < 2 else 0.35  # two feet and a pelvis for each person
        near = torch.exp(-((place - spot[:, None, None, :2]) ** 2).sum(-1) / (2 * wide * wide))
        dark = torch.maximum(dark, near * (1.3 - _wide(spot[:, 2])).clamp(0, 1))
    floor = floors.colour[..., None, None] * (pattern * (1 - dark * _wide(floors.dark)))[:, None]
    grain = interpolate(draws.normal(count, 1, size // 2, size // 2), (size, size), mode="bilinear")
    floor = (floor * (1 + 0.12 * grain * _wide(floors.grain)[:, None])).clamp(0, 1)
    laid = torch.where(there[:, None], floor, walls)
    return torch.where(draws.chance(0.5, count, 1, 1, 1), laid, soften(laid, 2))


def _wide(values: Tensor) -> Tensor:
    return values[:, None, None]


def draw_things_in_front(draws: Draws, count: int, size: int) -> Tensor:
    """Things before the people, colours and cover (count, 4, size, size)."""
    along = (torch.arange(size, device=draws.device) + 0.5) / size
    y, x = torch.meshgrid(along, along, indexing="ij")
    layer = torch.zeros(count, 4, size, size, device=draws.device)
    for _ in range(_IN_FRONT):
        half = (0.02 + 0.2 * draws.uniform(count, 1, 1) ** 2, 0.02 + 0.2 * draws.uniform(count, 1, 1) ** 2)
        place = (draws.uniform(count, 1, 1), draws.uniform(count, 1, 1) ** 0.6)
        inside, _ = _shape(x, y, place, half, 0.5 * draws.normal(count, 1, 1), draws.chance(0.3, count, 1, 1))
        inside = inside & draws.chance(0.14, count, 1, 1)
        colour = (draw_cloth(draws, count)[..., None, None] * (1 + 0.3 * (y - 0.5))).clamp(0, 1)
        thing = torch.cat([colour, torch.ones_like(colour[:, :1])], 1)
        layer = torch.where(inside[:, None], thing, layer)
    return layer
