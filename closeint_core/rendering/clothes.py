# SPDX-License-Identifier: Apache-2.0
"""What people wear: garments by region of the body with a displacement off the skin, skirts, and long hair.

Lengths are metres of the default body at rest; shares and ranges are choices, wide enough to cover what people wear
in ordinary footage, and were not fitted to anything.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import torch
from torch import Tensor
from torch.nn.functional import normalize

from closeint_core.rendering.draws import Draws
from closeint_core.rendering.mesh import HAIR_DOWN, SKIRT_DOWN, PersonMesh

SKIN, SHIRT, TROUSERS, SHOES, HAIR, OTHER = range(6)
"""Garments; ``OTHER`` are skirts and gloves."""
GARMENTS = 6
_SHOE_REGION, _HAIR_REGION = 3, 4
_MOST_OFF_SKIN = (0.0, 0.035, 0.045, 0.008, 0.03, 0.03)  # metres of each garment


@dataclass(frozen=True)
class Clothes:
    """Of N people.

    Attributes:
        garment: (N, V1) int64. displacement: (N, V1) metres along the normal. skirt, hair: (N,) bool, worn or not.
        skirt_length: (N, 1), 1 to the knees and 2 to the ankles. skirt_flare: (N, 1) metres.
        hair_length: (N, 1) metres. hair_width: (N, 1) factor.
    """

    garment: Tensor
    displacement: Tensor
    skirt: Tensor
    hair: Tensor
    skirt_length: Tensor
    skirt_flare: Tensor
    hair_length: Tensor
    hair_width: Tensor

    def __getitem__(self, rows: Tensor) -> Clothes:
        """Some of the people."""
        return Clothes(**{f.name: getattr(self, f.name)[rows] for f in fields(self)})


class Wardrobe:
    """Draws clothes for a mesh."""

    def __init__(self, mesh: PersonMesh, draws: Draws) -> None:
        self.mesh, self.draws = mesh, draws
        self.rest = mesh.rest[: mesh.body_count]
        x, y, _ = self.rest.unbind(-1)
        self.along_arm = (x.abs() - 0.175) / 0.501  # 0 at the shoulder, 1 at the wrist
        self.along_leg = (-0.079 - y) / 0.815  # 0 at the hip, 1 at the ankle

    def _of(self, *joints: int) -> Tensor:
        return torch.isin(self.mesh.joints, torch.tensor(joints, device=self.draws.device))

    def _mixed(self, count: int, *parts: tuple[float, float, float]) -> Tensor:
        """(count, 1): from one of several ranges, (share, low, high) each; the last takes what is left."""
        pick = self.draws.uniform(count, 1)
        value = self.draws.uniform(count, 1, low=parts[-1][1], high=parts[-1][2])
        below = sum(share for share, _, _ in parts[:-1])
        for share, low, high in reversed(parts[:-1]):
            value = torch.where(pick < below, self.draws.uniform(count, 1, low=low, high=high), value)
            below -= share
        return value

    def draw(self, count: int) -> Clothes:
        """Clothes of ``count`` people."""
        draws, mesh = self.draws, self.mesh
        garment = self._garments(count)
        hairy = (garment == HAIR).any(1)
        most = torch.tensor(_MOST_OFF_SKIN, device=draws.device) * draws.uniform(count, GARMENTS) ** 1.5
        turns = draws.normal(count, 3, 3) * 12
        phase = 2 * math.pi * draws.uniform(count, 1, 3)
        wave = torch.sin(torch.einsum("nkc,vc->nvk", turns, self.rest) + phase).mean(-1)
        off = most.gather(1, garment) * (0.7 + 0.6 * wave).clamp(min=0.1)
        _, y, z = self.rest.unbind(-1)
        beard = self._of(15) & (y < 0.578) & (z > 0.09)
        off = off * ~beard
        more = torch.full((mesh.count - mesh.body_count,), OTHER, device=draws.device)
        more[mesh.hair.start - mesh.body_count :] = HAIR
        return Clothes(
            torch.cat([garment, more.expand(count, -1)], 1),
            torch.cat([off, off.new_zeros(count, len(more))], 1),
            draws.chance(0.16, count),
            draws.chance(0.35, count) & hairy,
            draws.uniform(count, 1, low=0.35, high=1.7),
            draws.uniform(count, 1, low=0.09, high=0.2),
            draws.uniform(count, 1, low=0.12, high=0.55),
            draws.uniform(count, 1, low=0.8, high=1.4),
        )

    def _garments(self, count: int) -> Tensor:
        draws = self.draws
        x, y, z = self.rest.unbind(-1)
        garment = torch.zeros(count, len(self.rest), dtype=torch.int64, device=draws.device)
        sleeve = self._mixed(count, (0.28, -0.12, 0.05), (0.34, 0.2, 0.5), (0.0, 0.8, 1.0))
        waist = self._mixed(count, (0.15, 0.1, 0.24), (0.0, -0.2, 0.1))
        slope = draws.uniform(count, 1, high=0.9) * (x.abs() - 0.03) * (z > 0.04)
        neck = draws.uniform(count, 1, low=0.36, high=0.52) + slope
        trunk, arm = self._of(0, 3, 6, 9, 12, 13, 14), self._of(16, 17, 18, 19, 20, 21)
        shirt = (trunk & (y > waist) & (y < neck)) | (arm & (self.along_arm < sleeve))
        shirt = shirt & ~draws.chance(0.07, count, 1)
        length = self._mixed(count, (0.15, 0.08, 0.25), (0.25, 0.3, 0.6), (0.0, 0.85, 1.02))
        top = draws.uniform(count, 1, low=-0.02, high=0.13)
        trousers = self._of(0, 1, 2, 3, 4, 5, 7, 8) & (y < top) & (self.along_leg < length)
        tucked = draws.chance(0.5, count, 1)  # the trousers over the shirt, or the shirt over the trousers
        garment = torch.where(trousers & ~(shirt & tucked), TROUSERS, garment)
        garment = torch.where(shirt & ~(trousers & ~tucked), SHIRT, garment)
        garment = torch.where(draws.chance(0.12, count, 1) & (garment == TROUSERS), SHIRT, garment)  # of one piece
        ankle = draws.uniform(count, 1, low=-0.93, high=-0.75)
        shoes = self._of(7, 8, 10, 11) & ((self.mesh.regions == _SHOE_REGION) | (y < ankle))
        garment = torch.where(shoes & ~draws.chance(0.2, count, 1), SHOES, garment)
        garment = torch.where(self._hair_on_head(count), HAIR, garment)
        gloves = self._of(20, 21, 22, 23) & draws.chance(0.09, count, 1) & (self.along_arm > 0.93)
        return torch.where(gloves, OTHER, garment)

    def _hair_on_head(self, count: int) -> Tensor:
        draws = self.draws
        _, y, z = self.rest.unbind(-1)
        head = self._of(15)
        # Above a slanting line from the forehead to the nape.
        cap = head & ((0.75 * (y - 0.63) - 0.66 * (z - 0.075)) > draws.uniform(count, 1, low=-0.01, high=0.06))
        hair = (cap | (self.mesh.regions == _HAIR_REGION)) & ~draws.chance(0.06, count, 1)
        beard = head & (y < 0.578) & (z > 0.09) & draws.chance(0.15, count, 1)
        return hair | beard

    def hang(self, clothes: Clothes, joints: Tensor, rotations: Tensor) -> Tensor:
        """Skirt and hair (N, V1 - V, 3) on posed joints (N, 24, 3) with rotations (N, 24, 3, 3), Z up."""
        skirt = self._skirt(clothes, joints, rotations[:, 0])
        skirt = torch.where(clothes.skirt[:, None, None, None], skirt, joints[:, None, :1])
        hair = self._hair(clothes, joints[:, 15], rotations[:, 15])
        hair = torch.where(clothes.hair[:, None, None, None], hair, joints[:, None, 15:16])
        return torch.cat([skirt.flatten(1, 2), hair.flatten(1, 2)], 1)

    def _skirt(self, clothes: Clothes, joints: Tensor, pelvis: Tensor) -> Tensor:
        """(N, down, around, 3): rings from the waist to between the legs."""
        mesh, length = self.mesh, clothes.skirt_length

        def along_leg(hip: int, knee: int, ankle: int) -> Tensor:
            upper = joints[:, hip] + length * (joints[:, knee] - joints[:, hip])
            return torch.where(length < 1, upper, joints[:, knee] + (length - 1) * (joints[:, ankle] - joints[:, knee]))

        left, right = along_leg(1, 4, 7), along_leg(2, 5, 8)
        middle, half = (left + right) / 2, (left - right) / 2
        sideways, up, forward = pelvis.unbind(-1)
        axis = normalize(half + 1e-4 * sideways, dim=-1)
        down = normalize(middle - joints[:, 0], dim=-1)
        front = torch.linalg.cross(axis, down)
        front = front * -torch.sign((front * -forward).sum(-1, keepdim=True))
        share = torch.linspace(0, 1, SKIRT_DOWN, device=joints.device)[:, None]
        top = (joints[:, 0] + 0.09 * up)[:, None]
        centre = top + share * (middle[:, None] - top)
        bulge = 0.06 * torch.sin(math.pi * share.clamp(max=0.7))
        flare = clothes.skirt_flare[:, None]
        wide = 0.165 + share * (half.norm(dim=-1)[:, None, None] + flare - 0.165) + bulge
        deep = 0.125 + share * (flare - 0.125) + bulge
        across = normalize(sideways[:, None] * (1 - share) + axis[:, None] * share, dim=-1)
        ahead = normalize(forward[:, None] * (1 - share) + normalize(front, dim=-1)[:, None] * share, dim=-1)
        ring = (wide * mesh.skirt_cos)[..., None] * across[:, :, None]
        result: Tensor = centre[:, :, None] + ring + (deep * mesh.skirt_sin)[..., None] * ahead[:, :, None]
        return result

    def _hair(self, clothes: Clothes, head: Tensor, rotation: Tensor) -> Tensor:
        """(N, down, around, 3): a sheet behind the head that hangs down."""
        mesh = self.mesh
        sideways, up, forward = rotation.unbind(-1)
        share = torch.linspace(0, 1, HAIR_DOWN, device=head.device)[:, None]
        falling = normalize(-0.6 * up + self.draws.tensor([0.0, 0.0, -1.0]), dim=-1)[:, None]
        centre = head[:, None] + 0.145 * (1 - share) * up[:, None] + share * clothes.hair_length[:, None] * falling
        wide = 0.05 + 0.06 * torch.sin(math.pi * share.clamp(0.1, 0.9)) * clothes.hair_width[:, None]
        deep = 0.02 + 0.09 * torch.sin(math.pi * (0.25 + 0.5 * share))
        side = (wide * mesh.hair_sin)[..., None] * sideways[:, None, None]
        return centre[:, :, None] + side - (deep * mesh.hair_cos)[..., None] * forward[:, None, None]
