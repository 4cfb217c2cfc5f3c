# SPDX-License-Identifier: Apache-2.0
"""The nearest face of a mesh to each of many points, certainly, for many meshes at once, on CPU or CUDA.

Boxes bound the distance from below, a point of the mesh in each box bounds it from above: what the bounds leave is
measured. Blocks, patches and faces are bounded in turn.
"""

from __future__ import annotations

import torch
from torch import Tensor

from closeint_core.physics.patches import Posed, rows

_POINTS = {"cpu": 1 << 12, "cuda": 1 << 18}  # at a time
_ROUNDING = 1 + 1e-5  # of bounds in float32


def nearest_faces(points: Tensor, mesh: Tensor, posed: Posed) -> Tensor:
    """The face of its mesh that is nearest to each point; of several, the first.

    Args:
        points: (3, N). mesh: (N,) int64.

    Returns:
        (N,) int64.
    """
    step = _POINTS[points.device.type]
    parts = [
        _nearest(points[:, start : start + step], mesh[start : start + step], posed)
        for start in range(0, points.shape[1], step)
    ]
    return torch.cat(parts) if parts else mesh.new_zeros(0)


def _nearest(points: Tensor, mesh: Tensor, posed: Posed) -> Tensor:
    patches = posed.patches
    count, width = patches.members.shape
    size = count // posed.blocks.low.shape[2]
    sample = patches.points[:, 0]  # a vertex of the mesh in each patch ...
    sample = torch.where(patches.own[:, 0], sample, patches.faces[patches.members[:, 0], 0])
    sampled = posed.at.index_select(2, sample)  # ... (3, M, P)

    gap = _gap(points[..., None], rows(posed.blocks.low, mesh, 1), rows(posed.blocks.high, mesh, 1))
    middle = sampled[..., size // 2 :: size]
    most = (rows(middle, mesh, 1) - points[..., None]).square_().sum(0).amin(1)
    point, block = (gap <= most[:, None] * _ROUNDING).nonzero().unbind(1)

    row = mesh[point] * (count // size) + block
    at = points[:, point, None]
    groups = posed.groups.low.unflatten(2, (-1, size)), posed.groups.high.unflatten(2, (-1, size))
    gap = _gap(at, rows(groups[0], row, 2), rows(groups[1], row, 2))
    reach = (rows(sampled.unflatten(2, (-1, size)), row, 2) - at).square_().sum(0).amin(1)
    most = most.scatter_reduce(0, point, reach, "amin")
    pair, patch = (gap <= most[point, None] * _ROUNDING).nonzero().unbind(1)
    point, patch = point[pair], block[pair] * size + patch

    row = mesh[point] * count + patch
    at = points[:, point, None]
    low, high = rows(posed.faces.low, row, 2), rows(posed.faces.high, row, 2)
    gap = _gap(at, low, high)
    reach = torch.maximum(at - low, high - at).square_().sum(0).amin(1)  # all of a face is as near as this
    most = most.scatter_reduce(0, point, reach, "amin")
    pair, member = (gap <= most[point, None] * _ROUNDING).nonzero().unbind(1)
    point, face = point[pair], patches.members[patch[pair], member]

    corners = face_corners(posed.at.flatten(1), mesh[point] * posed.at.shape[2], patches.faces, face)
    distance = triangle_distance(points[:, point].double(), corners.double())
    least = distance.new_full((len(mesh),), torch.inf).scatter_reduce_(0, point, distance, "amin")
    first = torch.where(distance == least[point], face, len(patches.faces))
    return torch.full_like(mesh, len(patches.faces)).scatter_reduce_(0, point, first, "amin")


def _gap(at: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Squared distance of points (3, ...) to boxes, 0 inside."""
    return torch.maximum(low - at, at - high).clamp_(min=0).square_().sum(0)


def face_corners(at: Tensor, base: Tensor, faces: Tensor, face: Tensor) -> Tensor:
    """(corner, 3, N) corners of faces (N,) of meshes in rows: ``at`` (3, M V), ``base`` (N,) first vertex of each mesh."""
    return torch.stack([at.index_select(1, base + vertex) for vertex in faces.index_select(0, face).unbind(1)])


def triangle_distance(points: Tensor, corners: Tensor) -> Tensor:
    """(N,) squared distance of points (3, N) to triangles (corner, 3, N)."""
    weights = triangle_weights(points, corners)
    return ((weights[:, None] * corners).sum(0) - points).square().sum(0)


def triangle_weights(points: Tensor, corners: Tensor) -> Tensor:
    """(3, N) weights of the corners in the point of a triangle (corner, 3, N) that is nearest to a point (3, N).

    The foot in the triangle's plane if it is inside, else the nearest point of the three edges.
    """
    a, b, c = corners.unbind(0)
    ab, ac, ap = b - a, c - a, points - a
    bc, bp = c - b, points - b
    bb, bc_, cc = (ab * ab).sum(0), (ab * ac).sum(0), (ac * ac).sum(0)
    pb, pc = (ap * ab).sum(0), (ap * ac).sum(0)
    area = bb * cc - bc_ * bc_
    flat = area <= 1e-12 * bb * cc  # no plane to speak of: its edges are all there is
    v = (cc * pb - bc_ * pc) / area.masked_fill(flat, 1)
    w = (bb * pc - bc_ * pb) / area.masked_fill(flat, 1)
    within = (v >= 0) & (w >= 0) & (v + w <= 1) & ~flat

    def share(along: Tensor, length: Tensor) -> Tensor:
        return (along / length.masked_fill(length == 0, 1)).clamp(0, 1)

    on_ab, on_ac, on_bc = share(pb, bb), share(pc, cc), share((bp * bc).sum(0), (bc * bc).sum(0))
    far = torch.stack(
        [
            (ap - on_ab * ab).square().sum(0),
            (ap - on_ac * ac).square().sum(0),
            (bp - on_bc * bc).square().sum(0),
        ]
    )
    edge = far.argmin(0)
    second = torch.where(edge == 0, on_ab, torch.where(edge == 1, 0.0, 1 - on_bc))
    third = torch.where(edge == 0, 0.0, torch.where(edge == 1, on_ac, on_bc))
    second, third = torch.where(within, v, second), torch.where(within, w, third)
    return torch.stack([1 - second - third, second, third])
