# SPDX-License-Identifier: Apache-2.0
"""Winding numbers of points in closed meshes, exactly, for many meshes at once, on CPU or CUDA.

The winding number of a point is the number of times a ray from it leaves the mesh less the number of times it enters
(Jacobson et al., "Robust Inside-Outside Segmentation using Generalized Winding Numbers", 2013, for closed meshes).
Points come in groups; a group's rays all run along one axis, the one on which they pass the least, so that boxes rule
out nearly every triangle. The sum is exact: coordinates are whole numbers small enough for "on which side of this edge"
to have an exact answer in float64, so that two triangles never both claim, or both miss, the edge between them.
"""

from __future__ import annotations

import torch
from torch import Tensor

from closeint_core.physics.patches import Boxes, Posed, meet, rows

BITS = 24
"""Of a lattice coordinate: float32 holds it, float64 the product of two differences."""
_TESTS = {"cpu": 1 << 21, "cuda": 1 << 28}  # of a triangle and a point in memory at a time

# The axes (across, across, along) as seen from the six rays +x, -x, +y ...; each a rotation, so that a triangle by which
# the ray leaves is seen counter-clockwise.
_AXES = ((1, 2, 0), (2, 1, 0), (2, 0, 1), (0, 2, 1), (0, 1, 2), (1, 0, 2))


def to_lattice(vertices: Tensor) -> Tensor:
    """Bodies (P, T, V, 3) on the lattice: float32 (3, P, T, V) whole numbers below 2^24, a lattice for each frame.

    A person in a frame of two is moved by no more than 60 nm.
    """
    at = vertices.permute(3, 0, 1, 2).double()
    low, high = at.amin(3).amin(1), at.amax(3).amax(1)  # (3, T)
    half = ((high - low) / 2).amax(0).clamp(min=1e-30)
    scale = torch.exp2(BITS - half.log2().ceil())
    return ((at - ((low + high) / 2)[:, None, :, None]) * scale[None, None, :, None]).round().float()


def winding_numbers(points: Tensor, own: Tensor, mesh: Tensor, posed: Posed) -> Tensor:
    """How many times each point is enclosed by its mesh.

    Args:
        points: (3, G, L) lattice points in G groups of L. own: (G, L) bool, which of them are wanted.
        mesh: (G,) int64, which mesh each group is asked about.
        posed: closed meshes on the lattice, faces counter-clockwise seen from outside.

    Returns:
        (G, L) int64: 0 outside, 1 inside, 2 where the mesh overlaps itself, -1 where it is turned inside out. A point on
        the surface counts to either side. 0 where not wanted.
    """
    far = torch.where(own, points, torch.inf)
    box = Boxes(far.amin(2), torch.where(own, points, -torch.inf).amax(2))  # (3, G)
    out = torch.zeros(own.shape, dtype=torch.int64, device=own.device)
    group, block, ray = _blocks_ahead(box, mesh, posed)
    if not len(group):
        return out
    # The box around all rays of a group.
    axis, back = ray // 2, ray % 2 == 1
    is_axis = torch.arange(3, device=own.device)[:, None] == axis
    ahead = Boxes(torch.where(is_axis & back, -torch.inf, box.low), torch.where(is_axis & ~back, torch.inf, box.high))
    count = posed.groups.low.shape[2]
    size = count // posed.blocks.low.shape[2]
    # Blocks to patches to faces, each time only those that the box meets.
    row = mesh[group] * (count // size) + block
    low, high = ahead.low[:, group, None], ahead.high[:, group, None]
    hit = meet(
        low,
        high,
        rows(posed.groups.low.unflatten(2, (-1, size)), row, 2),
        rows(posed.groups.high.unflatten(2, (-1, size)), row, 2),
    )
    pair, patch = hit.nonzero().unbind(1)
    group, patch = group[pair], block[pair] * size + patch
    row = mesh[group] * count + patch
    low, high = ahead.low[:, group, None], ahead.high[:, group, None]
    hit = meet(low, high, rows(posed.faces.low, row, 2), rows(posed.faces.high, row, 2))
    hit &= posed.patches.real.index_select(0, patch)
    pair, member = hit.nonzero().unbind(1)
    group, patch = group[pair], patch[pair]
    row = row[pair] * hit.shape[1] + member
    face = posed.patches.members[patch, member]

    # Every point against every face its group's box meets.
    width = own.shape[1]
    step = max(_TESTS[own.device.type] // width, 1)
    points = torch.where(own, points, torch.nan)  # meets nothing
    for start in range(0, len(group), step):
        g, r, f = (x[start : start + step] for x in (group, row, face))
        # Where a point's ray meets a box, the point lies in the box drawn out against the ray.
        against, along = is_axis[:, g] & ~back[g], is_axis[:, g] & back[g]
        low = torch.where(against, -torch.inf, rows(posed.faces.low, r, 3))
        high = torch.where(along, torch.inf, rows(posed.faces.high, r, 3))
        at = points.index_select(1, g)
        hit = meet(at, at, low[..., None], high[..., None])
        pair, point = hit.nonzero().unbind(1)
        g, f = g[pair], f[pair]
        place = g * width + point
        origin = points.flatten(1).index_select(1, place).double()
        base = mesh[g] * posed.at.shape[2]
        corners = [
            posed.at.flatten(1).index_select(1, base + vertex).double() - origin
            for vertex in posed.patches.faces.index_select(0, f).unbind(1)
        ]
        out.view(-1).index_add_(0, place, _crossings(torch.stack(corners), ray[g]))
    return out


def _blocks_ahead(box: Boxes, mesh: Tensor, posed: Posed) -> tuple[Tensor, Tensor, Tensor]:
    """The blocks that the rays of groups can meet, on the axis where they are fewest.

    Args:
        box: (3, G) around the points of each group.

    Returns:
        group (N,), block (N,): the pairs. ray: (G,), 0 to 5 for +x, -x, +y ...
    """
    low, high = rows(posed.blocks.low, mesh, 1), rows(posed.blocks.high, mesh, 1)  # (3, G, B)
    over, under = high >= box.low[..., None], low <= box.high[..., None]
    level = over & under
    ahead = []
    for axis in range(3):
        across = level[(axis + 1) % 3] & level[(axis + 2) % 3]
        ahead += [across & over[axis], across & under[axis]]
    every = torch.stack(ahead)  # (6, G, B)
    ray = every.sum(2, dtype=torch.int32).argmin(0)
    chosen = every[ray, torch.arange(len(ray), device=ray.device)]
    group, block = chosen.nonzero().unbind(1)
    return group, block, ray


def _crossings(corners: Tensor, ray: Tensor) -> Tensor:
    """(N,) +1 or -1 where the ray from the origin leaves or enters the triangle, else 0.

    Args:
        corners: (corner, coordinate, N) float64, lattice points. ray: (N,) 0 to 5.

    The turns of the triangle's outline about the ray are counted edge by edge (Sunday, "Inclusion of a Point in a
    Polygon"); an edge counts the opposite for the triangle on its other side.
    """
    axes = torch.tensor(_AXES, device=ray.device)[ray].T.expand(3, -1, -1)
    u, v, w = corners.gather(1, axes).unbind(1)  # each (corner, N)
    turns = torch.zeros_like(ray)
    for i in range(3):
        j = (i + 1) % 3
        below, next_below = v[i] <= 0, v[j] <= 0
        side = u[i] * v[j] - v[i] * u[j]
        turns += (below & ~next_below & (side > 0)).long() - (~below & next_below & (side < 0)).long()
    # The height of the plane above the origin, times the area seen.
    height = (
        w[0] * (u[1] * v[2] - v[1] * u[2]) + w[1] * (u[2] * v[0] - v[2] * u[0]) + w[2] * (u[0] * v[1] - v[0] * u[1])
    )
    backwards = ray % 2 == 1
    return torch.where(torch.where(backwards, -turns * height, turns * height) > 0, turns, 0)
