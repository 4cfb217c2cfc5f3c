# SPDX-License-Identifier: Apache-2.0
"""The triangles of one dressed person: the body, a skirt and long hair (collapsed to a point where not worn)."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from closeint_core.body.parts import part_of_vertices
from closeint_core.body.torch_body import TorchBody

SKIRT_AROUND, SKIRT_DOWN = 28, 8
HAIR_AROUND, HAIR_DOWN = 14, 7
_HAIR_REACH = 1.9  # radians to each side of the back of the head that long hair covers
_LEFT_HIP, _RIGHT_HIP, _HEAD = 1, 2, 15


class PersonMesh:
    """Vertices in the order body (V), skirt, hair; V1 in all.

    Attributes:
        rest: (V1, 3) metres at rest, by which patterns are drawn. parts: (V1,) int64 of ``body.parts.PARTS``.
        regions: (V,) the body's regions (3 shoes, 4 hair). faces: (F1, 3) int64 of one person.
    """

    def __init__(self, body: TorchBody) -> None:
        device = body.template.device
        data = body.data
        self.body_count = data.num_vertices
        around = torch.arange(SKIRT_AROUND, device=device) / SKIRT_AROUND * 2 * math.pi
        self.skirt_cos, self.skirt_sin = torch.cos(around), torch.sin(around)
        across = torch.linspace(-_HAIR_REACH, _HAIR_REACH, HAIR_AROUND, device=device)
        self.hair_sin, self.hair_cos = torch.sin(across), torch.cos(across)
        skirt, hair = SKIRT_AROUND * SKIRT_DOWN, HAIR_AROUND * HAIR_DOWN
        self.count = self.body_count + skirt + hair
        self.skirt = slice(self.body_count, self.body_count + skirt)
        self.hair = slice(self.body_count + skirt, self.count)
        faces = np.concatenate(
            [
                data.faces,
                _grid(SKIRT_AROUND, SKIRT_DOWN, self.skirt.start, closed=True),
                _grid(HAIR_AROUND, HAIR_DOWN, self.hair.start, closed=False),
            ]
        )
        self.faces = torch.as_tensor(faces, dtype=torch.int64, device=device)
        self.rest = torch.cat([body.template, self._skirt_at_rest(), self._hair_at_rest()])
        body_parts = torch.as_tensor(part_of_vertices(data), device=device)
        side = torch.where(self.skirt_cos > 0, _LEFT_HIP, _RIGHT_HIP).expand(SKIRT_DOWN, -1).reshape(-1)
        self.parts = torch.cat([body_parts, side, torch.full((hair,), _HEAD, device=device)])
        self.regions = torch.as_tensor(np.asarray(data.regions), dtype=torch.int64, device=device)
        self.joints = torch.as_tensor(data.parts.astype(np.int64), device=device)

    def _skirt_at_rest(self) -> Tensor:
        down = torch.linspace(0.05, -0.5, SKIRT_DOWN, device=self.skirt_cos.device)[:, None]
        x, z = (0.2 * self.skirt_cos).expand(SKIRT_DOWN, -1), (0.15 * self.skirt_sin).expand(SKIRT_DOWN, -1)
        return torch.stack([x, down.expand_as(x), z], -1).reshape(-1, 3)

    def _hair_at_rest(self) -> Tensor:
        down = torch.linspace(0.75, 0.4, HAIR_DOWN, device=self.hair_sin.device)[:, None]
        x = (0.09 * self.hair_sin).expand(HAIR_DOWN, -1)
        z = (0.06 - 0.1 * self.hair_cos).expand(HAIR_DOWN, -1)
        return torch.stack([x, down.expand_as(x), z], -1).reshape(-1, 3)

    def faces_of(self, people: int) -> Tensor:
        """(people * F1, 3) int32 of several people whose vertices follow each other."""
        each = [self.faces + number * self.count for number in range(people)]
        return torch.cat(each).to(torch.int32).contiguous()

    def normals(self, vertices: Tensor) -> Tensor:
        """Unit normals (N, V1, 3) of posed vertices (N, V1, 3)."""
        corner = [vertices[:, self.faces[:, i]] for i in range(3)]
        across = torch.linalg.cross(corner[1] - corner[0], corner[2] - corner[0])
        total = torch.zeros_like(vertices)
        for i in range(3):
            total.index_add_(1, self.faces[:, i], across)
        return torch.nn.functional.normalize(total, dim=-1)


def _grid(around: int, down: int, first: int, closed: bool) -> np.ndarray:
    """Triangles (F, 3) of a grid of ``down`` rows of ``around`` vertices, the rows closed to rings or open."""
    faces = []
    for row in range(down - 1):
        for column in range(around if closed else around - 1):
            a = first + row * around + column
            b = first + row * around + (column + 1) % around
            faces += [[a, b, b + around], [a, b + around, a + around]]
    return np.array(faces)
