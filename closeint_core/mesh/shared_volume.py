# SPDX-License-Identifier: Apache-2.0
"""The volume that two bodies share.

Parallel rays, a quarter of an edge apart, pass through the bodies where they are inside each other; along each ray the
length that is inside both is exact, from its crossings. What is left is the error of a sum of evenly spaced samples of
a thickness that runs out to zero at the rim.
"""

from __future__ import annotations

import torch
from torch import Tensor

from closeint_core.mesh.inside import Inside
from closeint_core.mesh.patches import Posed, patches_of, pose
from closeint_core.mesh.winding import Lattice, crossings

_TILE = 8  # rays along the side of a tile
_START = -(2.0**25)  # of rays, beyond any lattice coordinate
_FINE = 4  # rays to the mean length of an edge
_FRAMES = {"cpu": 4, "cuda": 32}  # at a time


@torch.no_grad()
def shared_volume(vertices: Tensor, faces: Tensor, inside: Inside) -> Tensor:
    """Volume inside both bodies in each frame: (T,) float64 cubic metres.

    Args:
        vertices: (2, T, V, 3) metres. faces: (F, 3) int64. inside: what ``find_inside`` found; where no vertex
            is inside there is no volume.
    """
    out = torch.zeros(vertices.shape[1], dtype=torch.float64, device=vertices.device)
    if not len(inside):
        return out
    patches = patches_of(faces, vertices[0, 0])
    for part in torch.unique(inside.frame).split(_FRAMES[vertices.device.type]):
        row = torch.searchsorted(part, inside.frame.contiguous()).clamp(max=len(part) - 1)
        mine = part[row] == inside.frame
        lattice = Lattice.around(vertices[:, part])
        at = lattice.put(vertices[:, part])  # (3, 2, t, V)
        posed = pose(patches, at.flatten(1, 2))
        frame, person, vertex, face = row[mine], inside.person[mine], inside.vertex[mine], inside.face[mine]
        points = at[:, person, frame, vertex]
        way = at[:, 1 - person, frame, faces[face, 0]] - points
        # Rays along the axis that most of the depth is along see the overlap from its broad side.
        depth = at.new_zeros(len(part), 3).index_add_(0, frame, way.abs().T)
        axis = depth.argmax(1)
        edges = at[:, 0][:, :, faces[:, 0]] - at[:, 0][:, :, faces[:, 1]]
        spacing = (edges.square().sum(0).sqrt().mean(1) / _FINE).ceil()  # (t,) lattice units
        origin, which = _tiles(points, frame, axis, spacing)
        out[part] = _along_rays(origin, which, axis, spacing, posed, len(part)) / lattice.scale**3
    return out


def _tiles(points: Tensor, frame: Tensor, axis: Tensor, spacing: Tensor) -> tuple[Tensor, Tensor]:
    """Tiles of rays that cover points (3, N) of frames (N,) and a tile's width around: corners (2, G), frame (G,)."""
    across = torch.stack([(axis + 1) % 3, (axis + 2) % 3])  # (2, t)
    place = (points.gather(0, across[:, frame]) / (spacing[frame] * _TILE)).floor().long()
    offsets = torch.tensor([-1, 0, 1], device=points.device)
    tiles = torch.stack(
        torch.broadcast_tensors(
            frame[:, None, None], place[0][:, None, None] + offsets[:, None], place[1][:, None, None] + offsets
        )
    )
    tiles = torch.unique(tiles.flatten(1), dim=1)
    return tiles[1:] * spacing[tiles[0]] * _TILE, tiles[0]


def _along_rays(origin: Tensor, frame: Tensor, axis: Tensor, spacing: Tensor, posed: Posed, frames: int) -> Tensor:
    """(t,) volumes in lattice units, from rays over tiles at ``origin`` (2, G) of ``frame`` (G,)."""
    tiles, width = len(frame), _TILE * _TILE
    step = torch.arange(_TILE, device=frame.device).repeat(_TILE, 1)
    u, v = (
        origin[i][:, None] + steps.reshape(-1) * spacing[frame][:, None] for i, steps in enumerate((step.T, step))
    )  # (G, width)
    along = axis[frame]
    points = torch.full((3, tiles, width), _START, device=frame.device)
    points.scatter_(0, ((along + 1) % 3)[None, :, None].expand(1, -1, width), u[None])
    points.scatter_(0, ((along + 2) % 3)[None, :, None].expand(1, -1, width), v[None])
    wanted = torch.ones(tiles, width, dtype=torch.bool, device=frame.device)
    events = []
    for person in (0, 1):
        for place, turns, height in crossings(points, wanted, person * frames + frame, posed, along):
            events.append((place, height, -turns * (1 - person), -turns * person))
    place, height, first, second = (torch.cat(column) for column in zip(*events, strict=True))
    order = height.argsort(stable=True)
    order = order[place[order].argsort(stable=True)]
    place, height = place[order], height[order]
    # The turns along a ray add up to nothing, so the sums go on from ray to ray.
    both = (first[order].cumsum(0) > 0) & (second[order].cumsum(0) > 0)
    length = torch.where(both[:-1], height[1:] - height[:-1], 0.0)
    which = frame[place[:-1] // width]
    return length.new_zeros(frames).index_add_(0, which, length) * spacing.double() ** 2
