# SPDX-License-Identifier: Apache-2.0
"""How near two skins are, part by part, for many frames at once and on any device.

Coarse first, on samples of the skin; then between the vertices around the nearest samples. Where parts are near each
other this is the distance of the nearest vertices, or a few millimetres more.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, fields

import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor

from closeint_core.body.data import BodyData
from closeint_core.mesh.calibration import MESH
from closeint_core.mesh.chunks import in_chunks

_AROUND = 24
_FEW = 6  # of which every so many tell roughly what is near
_CHUNK = {"cpu": 4, "cuda": 64}  # frames whose distances between all samples are in memory


@dataclass
class SkinSamples:
    """S vertices spread over the skin.

    Attributes:
        vertex, part: (S,). around: (S, 24) the vertices nearest to each; own: (S, 24) those of its part.
    """

    vertex: Tensor
    part: Tensor
    around: Tensor
    own: Tensor

    def to(self, device: torch.device) -> SkinSamples:
        """The same on a device."""
        return SkinSamples(*(getattr(self, field.name).to(device) for field in fields(self)))


def skin_samples(data: BodyData) -> SkinSamples:
    """Samples of a body: the first vertex of each part in every cell of a grid over the rest pose."""
    return _samples(data, MESH.now.near.cell)


@functools.lru_cache(maxsize=2)
def _samples(data: BodyData, size: float) -> SkinSamples:
    cell = np.floor(data.template / size).astype(np.int64)
    key = np.concatenate([cell, data.parts[:, None]], 1)
    _, first = np.unique(key, axis=0, return_index=True)
    chosen = np.sort(first)
    _, around = cKDTree(data.template).query(data.template[chosen], _AROUND)
    own = np.zeros_like(around)
    for part in np.unique(data.parts):  # what is nearest on the next part is not a place of this one
        vertices, mine = np.flatnonzero(data.parts == part), data.parts[chosen] == part
        count = min(_AROUND, len(vertices))
        _, nearest = cKDTree(data.template[vertices]).query(data.template[chosen[mine]], np.arange(1, count + 1))
        own[mine] = vertices[np.pad(nearest, ((0, 0), (0, _AROUND - count)), mode="edge")]
    return SkinSamples(
        torch.as_tensor(chosen), torch.as_tensor(data.parts[chosen].astype(np.int64)), torch.as_tensor(around),
        torch.as_tensor(own),
    )  # fmt: skip


@functools.lru_cache(maxsize=2)
def vertex_rings(data: BodyData, size: int = 6) -> Tensor:
    """(V, size, 3) corners of up to ``size`` faces around each vertex, the last one repeated where there are fewer."""
    faces = data.faces.astype(np.int64)
    corner = faces.reshape(-1)
    order = np.argsort(corner, kind="stable")
    counts = np.bincount(corner, minlength=data.num_vertices)
    first = np.cumsum(counts) - counts
    column = np.minimum(np.arange(size), np.maximum(counts, 1)[:, None] - 1)
    return torch.as_tensor(faces[order[np.minimum(first[:, None] + column, len(order) - 1)] // 3])


@dataclass
class NearParts:
    """For each person, frame and part (2, T, 24, C), nearest first: ``own`` and ``other`` vertex, and their
    ``distance`` in metres, infinite where there are fewer than C."""

    own: Tensor
    other: Tensor
    distance: Tensor


def near_parts(
    vertices: Tensor, samples: SkinSamples, count: int = 1, wanted: Tensor | None = None, bias: float | None = None,
    liked: Tensor | None = None,
) -> NearParts:  # fmt: skip
    """Where each body part of each person is nearest to the partner.

    Args:
        vertices: (2, T, V, 3). count: C, places of a part.
        wanted: (2, T, 24) bool, the parts that are asked for, None for all; the others' distances are infinite.
        liked: (2, T, 24) bool; for a liked part a place on a part of the partner that is not liked counts as ``bias``
            metres (the calibration's if not given) farther when it is chosen.
    """
    bias = MESH.now.near.bias if bias is None else bias
    frames = vertices.shape[1]
    chunk = _CHUNK[vertices.device.type]

    def search(start: int) -> tuple[Tensor, Tensor, Tensor]:
        part = slice(start, start + chunk)
        asked, better = (None if x is None else x[:, part] for x in (wanted, liked))
        return _near(vertices[:, part], samples, count, asked, better, bias)

    found = in_chunks(search, range(0, frames, chunk), vertices.device)
    own, other, distance = (torch.cat(each, 1) for each in zip(*found, strict=True))
    return NearParts(own, other, distance)


def _squared(mine: Tensor, theirs: Tensor, preferring: Tensor | None = None) -> Tensor:
    """(t, S', S) squared distances less the squares of ``mine``, in one product: no other pass over so many numbers.

    Args:
        mine: (t, S', 3). theirs: (t, S, 4) points and their squares, and in a fifth column what is added for those of
            mine that are ``preferring`` (t, S').
    """
    columns = [-2 * mine, torch.ones_like(mine[..., :1])]
    if preferring is not None:
        columns.append(preferring[..., None].to(mine))
    return torch.cat(columns, -1) @ theirs.mT


def _near(
    vertices: Tensor, samples: SkinSamples, count: int, wanted: Tensor | None, liked: Tensor | None, bias: float
) -> tuple[Tensor, Tensor, Tensor]:
    device = vertices.device
    points = vertices[:, :, samples.vertex]
    points = points - points.mean((0, 2), keepdim=True)  # squares lose less near the origin
    size = points.square().sum(-1)
    results = []
    for person in (0, 1):
        theirs = torch.cat((points[1 - person], size[1 - person][..., None]), -1)  # (t, S, 4)
        # What is not near a few of the partner's samples is not near the partner.
        ours = _squared(points[person], theirs[:, ::_FEW]).amin(-1) + size[person] < MESH.now.near.reach**2  # (t, S)
        if wanted is not None:
            ours = ours & wanted[person][:, samples.part]
        most = max(int(ours.sum(1).max()), count)
        chosen = ours.float().argsort(dim=1, descending=True, stable=True)[:, :most]
        valid = ours.gather(1, chosen)
        mine = points[person].gather(1, chosen[..., None].expand(-1, -1, 3))
        preferring = None
        if liked is not None:
            # (d + bias)^2 without d: close enough where it matters, at a few centimetres.
            aside = bias * (~liked[1 - person][:, samples.part]).float()
            theirs = torch.cat((theirs, (aside * (aside + MESH.now.near.bias_at))[..., None]), -1)
            preferring = liked[person][:, samples.part].gather(1, chosen)
        squared, partner = _squared(mine, theirs, preferring).min(-1)  # (t, S')
        near = (squared + size[person].gather(1, chosen)).clamp(min=0)
        near = torch.where(valid, near, torch.full_like(near, torch.inf))
        part = samples.part[chosen]
        by_part = torch.where(
            part[:, None] == torch.arange(24, device=device)[:, None],
            near[:, None],
            torch.full_like(near, torch.inf)[:, None],
        )  # fmt: skip
        best, place = by_part.topk(count, -1, largest=False)  # (t, 24, C)
        sample = chosen.gather(1, place.flatten(1)).unflatten(1, place.shape[1:])
        own = samples.own[sample]  # (t, 24, C, A)
        other = samples.around[partner.gather(1, place.flatten(1)).unflatten(1, place.shape[1:])]
        t, j, c = torch.nonzero(torch.isfinite(best), as_tuple=True)
        least = torch.full_like(best, torch.inf)
        mine_at, theirs_at = own[..., 0], other[..., 0]
        if len(t):
            a, b = vertices[person, t[:, None], own[t, j, c]], vertices[1 - person, t[:, None], other[t, j, c]]
            fine = (a[:, :, None] - b[:, None]).square().sum(-1).flatten(1)  # (n, A * A)
            value, which = fine.min(-1)
            least[t, j, c] = value.sqrt()
            mine_at[t, j, c] = own[t, j, c, torch.div(which, _AROUND, rounding_mode="floor")]
            theirs_at[t, j, c] = other[t, j, c, which % _AROUND]
        results.append((mine_at, theirs_at, least))
    return (
        torch.stack([one[0] for one in results]),
        torch.stack([one[1] for one in results]),
        torch.stack([one[2] for one in results]),
    )
