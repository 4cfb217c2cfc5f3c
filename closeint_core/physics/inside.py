# SPDX-License-Identifier: Apache-2.0
"""Every vertex of one body that is inside the other, exactly, over all frames of a clip, with gradients."""

from __future__ import annotations

from dataclasses import dataclass

import igl
import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize


@dataclass
class Inside:
    """N vertices that are inside the other body, sorted by frame, person and vertex; all on the vertices' device.

    Attributes:
        frame, person, vertex: (N,) int64; vertex ``vertex`` of ``person`` is inside person ``1 - person``.
        face: (N,) int64 nearest face of the other body.
        barycentric: (N, 3) weights of that face's corners at the nearest point of the surface.
        depth: (N,) metres to that point, differentiable in the vertices of both bodies.
    """

    frame: Tensor
    person: Tensor
    vertex: Tensor
    face: Tensor
    barycentric: Tensor
    depth: Tensor

    def __len__(self) -> int:
        return len(self.frame)


def find_inside(vertices: Tensor, faces: Tensor, parts: Tensor | None = None) -> Inside:
    """Every vertex of two bodies that is inside the other.

    Args:
        vertices: (2, T, V, 3) metres. faces: (F, 3) int64, the closed mesh of both.
        parts: (V,) body part of each vertex.
    """
    frames = vertices.shape[1]
    mesh = vertices.detach().double().cpu().numpy()
    triangles = np.ascontiguousarray(faces.cpu().numpy(), np.int64)
    rows: list[np.ndarray] = []
    near_faces: list[np.ndarray] = []
    for t in range(frames):
        for person in (0, 1):
            points, other = mesh[person, t], np.ascontiguousarray(mesh[1 - person, t])
            index = np.flatnonzero(((points >= other.min(0)) & (points <= other.max(0))).all(1))
            if len(index):
                index = index[igl.fast_winding_number(other, triangles, points[index]) > 0.5]
            if len(index):
                _, face, _ = igl.point_mesh_squared_distance(points[index], other, triangles)
                rows.append(np.stack([np.full(len(index), t), np.full(len(index), person), index], 1))
                near_faces.append(face)
    found = torch.as_tensor(np.concatenate([*rows, np.zeros((0, 3), np.int64)]).astype(np.int64)).to(vertices.device)
    face = torch.as_tensor(np.concatenate([*near_faces, np.zeros(0, np.int64)]).astype(np.int64)).to(vertices.device)
    frame, person, vertex = found.unbind(1)
    barycentric = nearest_barycentric(
        vertices.detach()[person, frame, vertex], vertices.detach()[(1 - person)[:, None], frame[:, None], faces[face]]
    )
    return Inside(
        frame,
        person,
        vertex,
        face,
        barycentric,
        inside_depth(vertices, faces, frame, person, vertex, face, barycentric),
    )


def inside_depth(
    vertices: Tensor, faces: Tensor, frame: Tensor, person: Tensor, vertex: Tensor, face: Tensor, barycentric: Tensor
) -> Tensor:
    """(N,) depth of vertices below found points of the other's surface, differentiable in both bodies' vertices.

    The weights of the nearest point are held fixed: at the nearest point the distance does not change to first order
    when they do, so the gradient is that of the true depth.
    """
    corners = vertices[(1 - person)[:, None], frame[:, None], faces[face]]
    surface = (corners * barycentric[..., None]).sum(1)
    way = surface - vertices[person, frame, vertex]
    with torch.no_grad():
        # On the surface itself the way out has no direction: it is the face's normal.
        normal = normalize(torch.linalg.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), dim=-1)
        length = way.norm(dim=-1, keepdim=True)
        direction = torch.where(length > 1e-7, way / length.clamp(min=1e-30), normal)
    return (way * direction).sum(-1)


def nearest_barycentric(points: Tensor, corners: Tensor) -> Tensor:
    """(N, 3) weights of the point of each triangle (N, 3, 3) that is nearest to each point (N, 3).

    Ericson, Real-Time Collision Detection, 5.1.5, without branches.
    """
    a, b, c = corners.unbind(1)
    ab, ac, ap = b - a, c - a, points - a
    d1, d2 = (ab * ap).sum(-1), (ac * ap).sum(-1)
    aa, bb, cc = (ab * ab).sum(-1), (ab * ac).sum(-1), (ac * ac).sum(-1)
    # In the plane's own coordinates: v along ab, w along ac.
    det = (aa * cc - bb * bb).clamp(min=1e-30)
    v, w = (cc * d1 - bb * d2) / det, (aa * d2 - bb * d1) / det
    flat = torch.stack([1 - v - w, v, w], -1)
    inside = (flat >= 0).all(-1)

    def along(start: Tensor, edge: Tensor) -> Tensor:
        return ((points - start) * edge).sum(-1).div((edge * edge).sum(-1).clamp(min=1e-30)).clamp(0, 1)

    zero = torch.zeros_like(v)
    s, t, u = along(a, ab), along(a, ac), along(b, c - b)
    edges = torch.stack(
        [torch.stack([1 - s, s, zero], -1), torch.stack([1 - t, zero, t], -1), torch.stack([zero, 1 - u, u], -1)], 1
    )  # (N, 3 edges, 3)
    distance = ((edges @ corners) - points[:, None]).square().sum(-1)
    best = edges[torch.arange(len(points), device=points.device), distance.argmin(1)]
    return torch.where(inside[:, None], flat, best)
