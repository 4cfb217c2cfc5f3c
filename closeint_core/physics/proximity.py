# SPDX-License-Identifier: Apache-2.0
"""How near two skins are, part by part, for many frames at once and on any device.

Coarse first, on samples of the skin; then between the vertices around the nearest samples. Where parts are near each
other this is the distance of the nearest vertices, or a few millimetres more.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor

from closeint_core.body.data import BodyData

_CELL = 0.035  # metres between samples
_AROUND = 16
_CHUNK = 8  # frames whose distances between all samples are in memory


@dataclass
class SkinSamples:
    """S vertices spread over the skin. ``vertex``: (S,). ``part``: (S,). ``around``: (S, 16) vertices nearest to each."""

    vertex: Tensor
    part: Tensor
    around: Tensor

    def to(self, device: torch.device) -> SkinSamples:
        """The same on a device."""
        return SkinSamples(self.vertex.to(device), self.part.to(device), self.around.to(device))


@functools.lru_cache(maxsize=2)
def skin_samples(data: BodyData) -> SkinSamples:
    """Samples of a body: the first vertex of each part in every cell of a grid over the rest pose."""
    cell = np.floor(data.template / _CELL).astype(np.int64)
    key = np.concatenate([cell, data.parts[:, None]], 1)
    _, first = np.unique(key, axis=0, return_index=True)
    chosen = np.sort(first)
    _, around = cKDTree(data.template).query(data.template[chosen], _AROUND)
    return SkinSamples(
        torch.as_tensor(chosen), torch.as_tensor(data.parts[chosen].astype(np.int64)), torch.as_tensor(around)
    )


@dataclass
class NearParts:
    """For each person, frame and part (2, T, 24, C), nearest first: ``own`` and ``other`` vertex, and their ``distance``
    in metres, infinite where there are fewer than C."""

    own: Tensor
    other: Tensor
    distance: Tensor


def near_parts(
    vertices: Tensor, samples: SkinSamples, count: int = 1, preferred: Tensor | None = None, bias: float = 0.04
) -> NearParts:
    """Where each body part of each person is nearest to the partner.

    Args:
        vertices: (2, T, V, 3). count: C, places of a part. preferred: (2, T, 24) bool, parts that the partner's parts
            should rather be near to: others count as ``bias`` metres farther when the place is chosen.
    """
    frames = vertices.shape[1]
    found: list[tuple[Tensor, Tensor, Tensor]] = []
    for start in range(0, frames, _CHUNK):
        part = slice(start, start + _CHUNK)
        found.append(_near(vertices[:, part], samples, count, None if preferred is None else preferred[:, part], bias))
    own, other, distance = (torch.cat(each, 1) for each in zip(*found, strict=True))
    return NearParts(own, other, distance)


def _near(
    vertices: Tensor, samples: SkinSamples, count: int, preferred: Tensor | None, bias: float
) -> tuple[Tensor, Tensor, Tensor]:
    device, frames = vertices.device, vertices.shape[1]
    points = vertices[:, :, samples.vertex]
    distance = torch.cdist(points[0], points[1])  # (t, S, S)
    results = []
    rows = torch.arange(frames, device=device)[:, None, None]
    for person in (0, 1):
        mine = distance if person == 0 else distance.mT
        if preferred is not None:
            mine = mine + bias * (~preferred[1 - person][:, samples.part])[:, None, :]
        near, partner = mine.min(-1)  # (t, S)
        by_part = near[:, None].expand(-1, 24, -1).masked_fill(
            samples.part != torch.arange(24, device=device)[:, None], torch.inf
        )  # fmt: skip
        best, sample = by_part.topk(count, -1, largest=False)  # (t, 24, C)
        own = samples.around[sample]  # (t, 24, C, 16)
        other = samples.around[partner.gather(1, sample.flatten(1)).unflatten(1, sample.shape[1:])]
        a = vertices[person, rows[..., None], own]
        b = vertices[1 - person, rows[..., None], other]
        fine = (a[..., :, None, :] - b[..., None, :, :]).square().sum(-1).flatten(-2)  # (t, 24, C, 256)
        least, which = fine.min(-1)
        own = own.gather(-1, (which // _AROUND)[..., None])[..., 0]
        other = other.gather(-1, (which % _AROUND)[..., None])[..., 0]
        least = torch.where(torch.isfinite(best), least.sqrt(), best)
        results.append((own, other, least))
    return (
        torch.stack([one[0] for one in results]),
        torch.stack([one[1] for one in results]),
        torch.stack([one[2] for one in results]),
    )
