# SPDX-License-Identifier: Apache-2.0
"""The nearest face of a mesh to each of many points, certainly, for many meshes at once, on CPU or CUDA.

Boxes bound the distance from below, a point of the mesh in each box bounds it from above: what the bounds leave is
measured. Blocks, patches and faces are bounded in turn.
"""

from __future__ import annotations

import torch
from torch import Tensor

from closeint_core.mesh.patches import Posed, rows

_POINTS = {"cpu": 1 << 10, "cuda": 1 << 17}  # at a time
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
    count = len(patches.members)
    size = count // posed.blocks.low.shape[2]
    flat = posed.at.flatten(1)
    base = mesh * posed.at.shape[2]

    # A vertex in each block, then in each patch of the blocks that may be nearest, then all of the best patch.
    sample = patches.faces[patches.members[:, 0], 0]  # (P,) a vertex of each patch
    sampled = posed.at.index_select(2, sample)  # (3, M, P)
    gap = box_gap(points[..., None], rows(posed.blocks.low, mesh, 1), rows(posed.blocks.high, mesh, 1))
    most = _reach(points[..., None], rows(sampled[..., size // 2 :: size], mesh, 1)).amin(1)
    point, block = (gap <= most[:, None] * _ROUNDING).nonzero().unbind(1)

    row = mesh[point] * (count // size) + block
    at = points[:, point, None]
    reach, nearest = _reach(at, rows(sampled.unflatten(2, (-1, size)), row, 2)).min(1)
    best, mine = _least(reach, point, block * size + nearest, len(mesh), count)
    most = torch.minimum(most, best)
    corners = base[:, None] + patches.faces[patches.members[mine], 0]
    vertices = flat.index_select(1, corners.reshape(-1)).reshape(3, *corners.shape)
    most = torch.minimum(most, _reach(points[..., None], vertices).amin(1))

    groups = posed.groups.low.unflatten(2, (-1, size)), posed.groups.high.unflatten(2, (-1, size))
    gap = box_gap(at, rows(groups[0], row, 2), rows(groups[1], row, 2))
    pair, patch = (gap <= most[point, None] * _ROUNDING).nonzero().unbind(1)
    point, patch = point[pair], block[pair] * size + patch

    row = mesh[point] * count + patch
    gap = box_gap(points[:, point, None], rows(posed.faces.low, row, 2), rows(posed.faces.high, row, 2))
    pair, member = (gap <= most[point, None] * _ROUNDING).nonzero().unbind(1)
    point, face = point[pair], patches.members[patch[pair], member]
    corners = face_corners(flat, base[point], patches.faces, face)
    distance = triangle_distance(points[:, point].double(), corners.double())
    return _least(distance, point, face, len(mesh), len(patches.faces))[1]


def _least(value: Tensor, row: Tensor, label: Tensor, count: int, labels: int) -> tuple[Tensor, Tensor]:
    """The least ``value`` (N,) of each of ``count`` rows and the first of its ``labels`` labels: (count,), (count,)."""
    least = value.new_full((count,), torch.inf).scatter_reduce_(0, row, value, "amin")
    first = torch.where(value == least[row], label, labels)
    return least, label.new_full((count,), labels).scatter_reduce_(0, row, first, "amin")


def _reach(at: Tensor, to: Tensor) -> Tensor:
    """Squared distance of points (3, ...) to points."""
    return (to - at).square_().sum(0)


def box_gap(at: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Squared distance of points (3, ...) to boxes, 0 inside."""
    return torch.maximum(low - at, at - high).clamp_(min=0).square_().sum(0)


def face_corners(at: Tensor, base: Tensor, faces: Tensor, face: Tensor) -> Tensor:
    """(corner, 3, N) corners of ``face`` (N,); ``base`` (N,) is the first vertex of its mesh in ``at`` (3, M V)."""
    return torch.stack([at.index_select(1, base + vertex) for vertex in faces.index_select(0, face).unbind(1)])


def triangle_distance(points: Tensor, corners: Tensor) -> Tensor:
    """(N,) squared distance of points (3, N) to triangles (corner, 3, N); float64, or near points are not told apart.

    With a corner as origin, the squared distance to v * ab + w * ac is a quadratic in v and w: its least value in the
    plane, if that is within the triangle, and on each of the three edges.
    """
    a, b, c = corners.unbind(0)
    ab, ac, ap = b - a, c - a, points - a
    d, e, f = _dot(ab, ab), _dot(ab, ac), _dot(ac, ac)
    g, h, k = _dot(ap, ab), _dot(ap, ac), _dot(ap, ap)
    area = d * f - e * e
    flat = area <= 0
    area = area.masked_fill_(flat, 1)
    v, w = (f * g - e * h).div_(area), (d * h - e * g).div_(area)
    within = (v >= 0) & (w >= 0) & (v + w <= 1)
    least = v * (v * d + 2 * (w * e - g)) + w * (w * f - 2 * h)
    least = torch.where(within & ~flat, least, torch.inf)
    on_ab, on_ac, on_bc = _share(g, d), _share(h, f), _share(h - g - e + d, d - 2 * e + f)
    least = torch.minimum(least, on_ab * (on_ab * d - 2 * g))
    least = torch.minimum(least, on_ac * (on_ac * f - 2 * h))
    v = 1 - on_bc
    least = torch.minimum(least, v * (v * d + 2 * (on_bc * e - g)) + on_bc * (on_bc * f - 2 * h))
    return (least + k).clamp_(min=0)


def _dot(a: Tensor, b: Tensor) -> Tensor:
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def _share(along: Tensor, length: Tensor) -> Tensor:
    """Where the foot lies on an edge, 0 to 1; 0 on an edge of no length."""
    return (along / length.masked_fill(length <= 0, 1)).clamp_(0, 1)


def triangle_weights(points: Tensor, corners: Tensor) -> Tensor:
    """(3, N) weights of the corners in the point of a triangle (corner, 3, N) that is nearest to a point (3, N).

    The foot in the triangle's plane if it is inside, else the nearest point of the three edges.
    """
    a, b, c = corners.unbind(0)
    ab, ac, ap = b - a, c - a, points - a
    d, e, f, g, h = _dot(ab, ab), _dot(ab, ac), _dot(ac, ac), _dot(ap, ab), _dot(ap, ac)
    area = d * f - e * e
    flat = area <= 1e-12 * d * f  # no plane to speak of: its edges are all there is
    v, w = (f * g - e * h) / area.masked_fill(flat, 1), (d * h - e * g) / area.masked_fill(flat, 1)
    within = (v >= 0) & (w >= 0) & (v + w <= 1) & ~flat
    on_ab, on_ac, on_bc = _share(g, d), _share(h, f), _share(h - g - e + d, d - 2 * e + f)
    second = torch.stack([on_ab, torch.zeros_like(on_ac), 1 - on_bc])
    third = torch.stack([torch.zeros_like(on_ab), on_ac, on_bc])
    far = [(ap - s * ab - t * ac).square().sum(0) for s, t in zip(second, third, strict=True)]
    edge = torch.stack(far).argmin(0, keepdim=True)
    second = torch.where(within, v, second.gather(0, edge)[0])
    third = torch.where(within, w, third.gather(0, edge)[0])
    return torch.stack([(1 - second - third).clamp(min=0), second, third])
