# SPDX-License-Identifier: Apache-2.0
"""Winding numbers of points in closed meshes, exactly, for many meshes at once, on CPU or CUDA.

The winding number of a point is the number of times a ray from it leaves the mesh less the number of times it enters
(Jacobson et al., "Robust Inside-Outside Segmentation using Generalized Winding Numbers", 2013, for closed meshes).
Points come in groups; a group's rays all run along one axis, the one on which they pass the least, so that boxes rule
out nearly every triangle. The sum is exact: coordinates are whole numbers small enough for "on which side of this edge"
to have an exact answer in float64, so that two triangles never both claim, or both miss, the edge between them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from closeint_core.mesh.closest import face_corners
from closeint_core.mesh.patches import Boxes, Posed, group_boxes, met_faces, rows

BITS = 24
"""Of a lattice coordinate: float32 holds it, float64 the product of two differences."""

# The axes (across, across, along) of the six rays +x, -x, +y ..., so that a triangle by which a ray leaves is seen
# counter-clockwise.
_AXES = ((1, 2, 0), (2, 1, 0), (2, 0, 1), (0, 2, 1), (0, 1, 2), (1, 0, 2))


@dataclass(frozen=True, eq=False)
class Lattice:
    """Whole numbers for coordinates, a lattice for each of T frames.

    Attributes:
        centre: (3, T) float64. scale: (T,) float64, lattice units to a unit of length; a power of two.
    """

    centre: Tensor
    scale: Tensor

    @classmethod
    def around(cls, vertices: Tensor) -> Lattice:
        """The finest lattice on which bodies (P, T, V, 3) are numbers up to 2^24; 120 nm for people of 2 m."""
        low, high = vertices.amin(2).amin(0).T.double(), vertices.amax(2).amax(0).T.double()
        half = ((high - low) / 2).amax(0).clamp(min=1e-30)
        return cls((low + high) / 2, torch.exp2(BITS - half.log2().ceil()))

    def put(self, vertices: Tensor) -> Tensor:
        """Bodies (P, T, V, 3) on the lattice: float32 (3, P, T, V) whole numbers."""
        at = vertices.permute(3, 0, 1, 2) - self.centre[:, None, :, None]
        return at.mul_(self.scale[:, None]).round_().float()


def winding_numbers(points: Tensor, own: Tensor, mesh: Tensor, posed: Posed) -> Tensor:
    """How many times each point is enclosed by its mesh.

    Args:
        points: (3, G, L) lattice points in G groups of L. own: (G, L) bool, which of them are wanted.
        mesh: (G,) int64, which mesh each group is asked about.
        posed: closed meshes on the lattice, faces counter-clockwise seen from outside.

    Returns:
        (G, L) int64: 0 outside, 1 inside, 2 where the mesh overlaps itself, -1 where it is turned inside out. A point
        on the surface counts to either side. 0 where not wanted.
    """
    out = torch.zeros(own.shape, dtype=torch.int64, device=own.device)
    for place, turns, _ in crossings(points, own, mesh, posed):
        out.view(-1).index_add_(0, place, turns)
    return out


def crossings(
    points: Tensor, own: Tensor, mesh: Tensor, posed: Posed, axis: Tensor | None = None
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Where rays from points meet their meshes; arguments as in ``winding_numbers``.

    Args:
        axis: (G,) 0 to 2 for rays along +x, +y, +z; else each group takes the ray that passes the least.

    Yields:
        place (N,) g * L + l of the ray's point; turns (N,) int64, 1 where it leaves the mesh, -1 where it enters;
        height (N,) float64, how far from the point.
    """
    box = group_boxes(points, own)
    group, block, ray = _blocks_ahead(box, mesh, posed, axis)
    # A ray meets a box if its point lies in the box drawn out against the ray.
    back = ray % 2 == 1
    is_axis = torch.arange(3, device=own.device)[:, None] == ray // 2
    before = torch.where(is_axis & ~back, torch.inf, 0.0)
    after = torch.where(is_axis & back, torch.inf, 0.0)
    for g, point, face in met_faces(points, own, mesh, posed, (before, after), (group, block)):
        place = g * own.shape[1] + point
        origin = points.flatten(1).index_select(1, place).double()
        corners = face_corners(posed.at.flatten(1), mesh[g] * posed.at.shape[2], posed.patches.faces, face)
        turns, height = _turns(corners.double() - origin, ray[g])
        real = turns.nonzero()[:, 0]
        yield place[real], turns[real], height[real]


def _blocks_ahead(box: Boxes, mesh: Tensor, posed: Posed, axis: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    """The blocks that the rays of groups can meet, on the axis where they are fewest.

    Args:
        box: (3, G) around the points of each group. axis: the rays' axes if they are not to be chosen.

    Returns:
        group (N,), block (N,): the pairs. ray: (G,), 0 to 5 for +x, -x, +y ...
    """
    low, high = rows(posed.blocks.low, mesh, 1), rows(posed.blocks.high, mesh, 1)  # (3, G, B)
    over, under = high >= box.low[..., None], low <= box.high[..., None]
    level = over & under
    ahead = []
    for i in range(3):
        across = level[(i + 1) % 3] & level[(i + 2) % 3]
        ahead += [across & over[i], across & under[i]]
    every = torch.stack(ahead)  # (6, G, B)
    ray = every.sum(2, dtype=torch.int32).argmin(0) if axis is None else 2 * axis
    chosen = every[ray, torch.arange(len(ray), device=ray.device)]
    group, block = chosen.nonzero().unbind(1)
    return group, block, ray


@lru_cache(maxsize=8)
def _axes(device: torch.device) -> Tensor:
    """``_AXES`` on a device: a copy waits for all that is under way there."""
    return torch.tensor(_AXES, device=device)


def _turns(corners: Tensor, ray: Tensor) -> tuple[Tensor, Tensor]:
    """Where the rays from the origin leave (1) or enter (-1) triangles, else 0, (N,); and how far away (N,).

    Args:
        corners: (corner, coordinate, N) float64, lattice points. ray: (N,) 0 to 5.

    The turns of the triangle's outline about the ray are counted over its edges (Sunday, "Inclusion of a Point in a
    Polygon"); an edge counts the opposite for the triangle on its other side.
    """
    axes = _axes(ray.device)[ray].T.expand(3, -1, -1)
    u, v, w = corners.gather(1, axes).unbind(1)  # each (corner, N)
    below = v <= 0
    next_below = below.roll(-1, 0)
    side = u * v.roll(-1, 0) - v * u.roll(-1, 0)  # of each edge
    leaves, enters = below & ~next_below & (side > 0), ~below & next_below & (side < 0)
    turns = leaves.sum(0) - enters.sum(0)
    volume, area = (w.roll(-2, 0) * side).sum(0), side.sum(0)
    height = torch.where(ray % 2 == 1, -volume, volume) / area.masked_fill(area == 0, 1)
    return torch.where(height > 0, turns, 0), height
