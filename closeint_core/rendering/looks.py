# SPDX-License-Identifier: Apache-2.0
"""How surfaces look: colours of skin, hair and cloth, patterns, faces, folds, and light."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import normalize

from closeint_core.rendering.clothes import GARMENTS, HAIR, OTHER, SHIRT, SHOES, SKIN, TROUSERS
from closeint_core.rendering.draws import Draws

_SKIN_TONES = [[0.95, 0.76, 0.66], [0.85, 0.62, 0.49], [0.66, 0.45, 0.33], [0.42, 0.27, 0.19], [0.24, 0.15, 0.11]]
_GLOSS = (0.12, 0.03, 0.03, 0.15, 0.15, 0.1)  # of each garment
_LIGHTS = 3
_HEAD = 15


def draw_cloth(draws: Draws, *shape: int) -> Tensor:
    """Colours (*shape, 3) of cloth and paint: dark, light, grey and saturated ones."""
    hue = draws.uniform(*shape, 1) * 6
    pure = ((hue + draws.tensor([0.0, 4.0, 2.0])) % 6 - 3).abs().sub(1).clamp(0, 1)
    strength = draws.uniform(*shape, 1) ** 1.3 * ~draws.chance(0.35, *shape, 1)
    dark = draws.chance(0.35, *shape, 1)
    bright = torch.where(
        dark, draws.uniform(*shape, 1, low=0.03, high=0.2), draws.uniform(*shape, 1, low=0.15, high=0.95)
    )
    return bright * (1 - strength * (1 - pure))


def draw_skin(draws: Draws, *shape: int) -> Tensor:
    """Colours (*shape, 3) of skin, light to dark."""
    tones = draws.tensor(_SKIN_TONES)
    place = draws.uniform(*shape) ** 1.3 * 3.999
    index = place.long()
    share = (place - index)[..., None]
    return (tones[index] * (1 - share) + tones[index + 1] * share + 0.03 * draws.normal(*shape, 3)).clamp(0.02, 1)


@dataclass(frozen=True)
class Looks:
    """Of N people.

    Attributes:
        colours, seconds: (N, 6, 3) of each garment, and of its pattern. pattern: (N, 6) int64, 0 plain, 1 stripes
            across, 2 stripes along, 3 checks, 4 soft, 5 and 6 dots, 7 a print on the chest.
        waves: (N, 6, 2, 3) radians a metre. phases: (N, 6, 2). folds: (N, 3, 3) radians a metre. creased: (N, 1).
        gloss: (N, 1) factor.
    """

    colours: Tensor
    seconds: Tensor
    pattern: Tensor
    waves: Tensor
    phases: Tensor
    folds: Tensor
    creased: Tensor
    gloss: Tensor

    def __getitem__(self, rows: Tensor) -> Looks:
        """Some of the people."""
        return Looks(**{f.name: getattr(self, f.name)[rows] for f in fields(self)})


def draw_looks(draws: Draws, pairs: int, people: int) -> Looks:
    """Looks of ``pairs`` times ``people`` persons; at times the first two are dressed alike."""
    count = pairs * people
    colours, seconds = draw_cloth(draws, count, GARMENTS), draw_cloth(draws, count, GARMENTS)
    colours[:, SKIN] = draw_skin(draws, count)
    dark = draws.uniform(count, 1, low=0.02, high=0.2) * draws.tensor([1.0, 0.85, 0.75])
    fair = draws.uniform(count, 1, low=0.3, high=0.9) * draws.tensor([1.0, 0.82, 0.6])
    colours[:, HAIR] = torch.where(draws.chance(0.7, count, 1), dark, fair)
    worn = [SHIRT, TROUSERS, SHOES]
    by_pair = colours.view(pairs, people, GARMENTS, 3)
    alike = draws.chance(0.2, pairs)[:, None, None]
    by_pair[:, 1, worn] = torch.where(alike, by_pair[:, 0, worn], by_pair[:, 1, worn])
    suit = draws.chance(0.12, count)[:, None]
    colours[:, TROUSERS] = torch.where(suit, colours[:, SHIRT], colours[:, TROUSERS])
    pattern = draws.integers(16, count, GARMENTS)
    pattern[:, SKIN] = 0
    pattern[:, HAIR] = torch.where(draws.chance(0.3, count), 4, 0)
    waves = draws.normal(count, GARMENTS, 2, 3) * torch.exp(draws.uniform(count, GARMENTS, 1, 1, low=2.5, high=4.6))
    for kind, axis in ((1, [0.0, 1.0, 0.0]), (2, [1.0, 0.0, 0.0])):
        stripes = draws.tensor(axis) * draws.uniform(count, GARMENTS, 1, low=40, high=220)
        waves[:, :, 0] = torch.where((pattern == kind)[..., None], stripes, waves[:, :, 0])
    return Looks(
        colours, seconds, pattern, waves, 2 * math.pi * draws.uniform(count, GARMENTS, 2),
        draws.normal(count, 3, 3) * torch.exp(draws.uniform(count, 1, 1, low=3.0, high=4.6)),
        draws.uniform(count, 1) ** 1.5 * 0.6, draws.uniform(count, 1, high=2.0),
    )  # fmt: skip


@dataclass(frozen=True)
class Light:
    """Of N pictures: directions (N, 3, 3), power (N, 3, 3) of each colour, ambient (N, 3), how far light wraps around
    (N, 1), and exposure (N, 1)."""

    directions: Tensor
    power: Tensor
    ambient: Tensor
    wrap: Tensor
    exposure: Tensor

    def __getitem__(self, rows: Tensor) -> Light:
        """Some of the pictures."""
        return Light(**{f.name: getattr(self, f.name)[rows] for f in fields(self)})


def draw_light(draws: Draws, count: int) -> Light:
    """Light of ``count`` pictures, mostly from above."""
    return Light(
        normalize(draws.normal(count, _LIGHTS, 3) + draws.tensor([0.0, 0.0, 0.9]), dim=-1),
        draws.uniform(count, _LIGHTS, 1) ** 1.5 * (1 + 0.2 * draws.normal(count, _LIGHTS, 3)),
        draws.uniform(count, 1, low=0.25, high=0.9) * (1 + 0.06 * draws.normal(count, 3)),
        draws.uniform(count, 1, high=0.6),
        draws.uniform(count, 1, low=0.75, high=1.25),
    )


class Surface(NamedTuple):
    """M seen points: who (M,) person's row, picture (M,), garment (M,), part (M,), place at rest (M, 3), normal (M, 3)
    and the direction in which it is looked at (M, 3), both in the world."""

    who: Tensor
    picture: Tensor
    garment: Tensor
    part: Tensor
    rest: Tensor
    normal: Tensor
    ray: Tensor


def shade(surface: Surface, looks: Looks, light: Light) -> Tensor:
    """Colours (M, 3) in 0..1."""
    colour, wave = _painted(surface, looks)
    colour = _face(surface, looks, colour)
    normal = _creased(surface, looks, wave)
    picture = surface.picture
    lit = torch.einsum("mkc,mc->mk", light.directions[picture], normal)
    wrap = light.wrap[picture]
    lit = ((lit + wrap) / (1 + wrap)).clamp(min=0)
    shadows = light.ambient[picture] + (light.power[picture] * lit[..., None]).sum(1) + 0.15 * normal[:, 2:]
    half = normalize(light.directions[picture][:, 0] - surface.ray, dim=-1)
    gloss = torch.tensor(_GLOSS, device=normal.device)[surface.garment] * looks.gloss[surface.who, 0]
    shine = gloss[:, None] * ((normal * half).sum(-1, keepdim=True).clamp(min=0) ** 24) * light.power[picture, 0]
    usual = (light.ambient + 0.4 * light.power.sum(1)).mean(-1, keepdim=True)
    return (colour * shadows * (light.exposure / usual)[picture] + shine).clamp(0, 1)


def _painted(surface: Surface, looks: Looks) -> tuple[Tensor, Tensor]:
    """Colours (M, 3) of cloth with its pattern, and the pattern's two waves (M, 2)."""
    who, garment = surface.who, surface.garment
    wave = torch.sin((looks.waves[who, garment] * surface.rest[:, None]).sum(-1) + looks.phases[who, garment])
    kind = looks.pattern[who, garment]
    stripes, both = (wave[:, 0] > 0).float(), wave.prod(-1)
    share = (wave.sum(-1) > 1.2).float()
    share = torch.where(kind == 4, both * 0.5 + 0.5, share)
    share = torch.where(kind == 3, (both > 0).float(), share)
    share = torch.where(kind <= 2, stripes, share)
    share = torch.where((kind >= 1) & (kind <= 6), share, 0.0)
    x, y, _ = surface.rest.unbind(-1)
    print_on_chest = (kind == 7) & (x.abs() < 0.08) & ((y - 0.28).abs() < 0.09)
    share = torch.where(print_on_chest, (wave[:, 1] > -0.3).float(), share)[:, None]
    return looks.colours[who, garment] * (1 - share) + looks.seconds[who, garment] * share, wave


def _face(surface: Surface, looks: Looks, colour: Tensor) -> Tensor:
    """Eyes, brows and a mouth drawn onto the front of heads."""
    x, y, z = surface.rest.unbind(-1)
    front = (surface.part == _HEAD) & (z > 0.09)
    aside = x.abs() - 0.031
    eyes = front & (((aside / 0.014) ** 2 + ((y - 0.63) / 0.008) ** 2) < 1)
    brows = front & (((aside / 0.02) ** 2 + ((y - 0.65) / 0.006) ** 2) < 1)
    mouth = front & (((x / 0.024) ** 2 + ((y - 0.562) / 0.008) ** 2) < 1)
    dark = 0.3 * colour + 0.35 * looks.colours[surface.who, HAIR]
    colour = torch.where((eyes | brows)[:, None], dark, colour)
    return torch.where(mouth[:, None], colour * torch.tensor([0.9, 0.6, 0.6], device=colour.device), colour)


def _creased(surface: Surface, looks: Looks, wave: Tensor) -> Tensor:
    """Unit normals (M, 3) turned by folds of cloth and hair, and towards who looks."""
    garment, who = surface.garment, surface.who
    soft = (garment == SHIRT) | (garment == TROUSERS) | (garment == OTHER) | (garment == HAIR)
    fold = torch.sin(torch.einsum("mkc,mc->mk", looks.folds[who], surface.rest) + 3 * wave[:, :1])
    normal = normalize(surface.normal, dim=-1) + soft[:, None] * fold * looks.creased[who]
    normal = normalize(normal, dim=-1)
    away = (normal * surface.ray).sum(-1, keepdim=True)
    return torch.where(away > 0, normal - 2 * away * surface.ray, normal)
