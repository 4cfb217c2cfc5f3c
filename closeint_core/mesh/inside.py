# SPDX-License-Identifier: Apache-2.0
"""Every vertex of one body that is inside the other, exactly, over all frames of a clip, with gradients."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import normalize

from closeint_core.errors import CloseintError
from closeint_core.mesh.chunks import in_chunks
from closeint_core.mesh.closest import face_corners, nearest_faces, triangle_weights
from closeint_core.mesh.patches import Boxes, Patches, meet, patches_of, pose
from closeint_core.mesh.winding import Lattice, winding_numbers

_FRAMES = {"cpu": 4, "cuda": 128}  # at a time; what a CPU works on should fit its cache


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


def find_inside(vertices: Tensor, faces: Tensor) -> Inside:
    """Every vertex of two bodies that is inside the other: where the other's winding number is positive.

    Args:
        vertices: (2, T, V, 3) metres. faces: (F, 3) int64 on the same device, the closed mesh of both.

    Raises:
        CloseintError: a vertex is not a number.
    """
    with torch.no_grad():
        at = vertices.detach()
        # Bodies whose boxes are apart are done with.
        low, high = at.amin(2), at.amax(2)
        if not bool(torch.isfinite(low.sum() + high.sum())):
            raise CloseintError("A body's vertices are not all numbers.", "Look for NaN or infinity in the poses.")
        near = ((low[0] <= high[1]) & (low[1] <= high[0])).all(1).nonzero()[:, 0]
        parts = []
        if len(near):
            patches = patches_of(faces, at[0, 0])
            chunks = near.split(_FRAMES[at.device.type])
            parts = in_chunks(lambda some: _search(at[:, some], some, patches), chunks, at.device)
        found = torch.cat(parts) if parts else near.new_zeros(0, 4)
        frame, person, vertex, face = found.unbind(1)
        base = ((1 - person) * vertices.shape[1] + frame) * vertices.shape[2]
        corners = face_corners(at.reshape(-1, 3).T, base, faces, face).double()
        weights = triangle_weights(at[person, frame, vertex].T.double(), corners).T.to(at.dtype)
    below = Below(frame, person, vertex, face, weights)
    return Inside(*below, depth_below(vertices, faces, below))


def _search(vertices: Tensor, frames: Tensor, patches: Patches) -> Tensor:
    """(N, 4) frame, person, vertex, nearest face of vertices inside; ``vertices`` (2, t, V, 3) are ``frames`` (t,)."""
    at = Lattice.around(vertices).put(vertices).flatten(1, 2)  # (3, 2 t, V)
    posed = pose(patches, at)
    count, width = patches.points.shape
    bodies = at.shape[1]
    groups = at.index_select(2, patches.points.reshape(-1)).reshape(3, bodies * count, width)
    other = torch.arange(bodies, device=at.device).roll(bodies // 2)
    mesh = other.repeat_interleave(count)
    # Only groups that meet the box around the other body are asked about.
    around = Boxes(at.amin(2)[:, mesh], at.amax(2)[:, mesh])
    near = meet(groups.amin(2), groups.amax(2), around.low, around.high).nonzero()[:, 0]
    groups, mesh = groups.index_select(1, near), mesh[near]
    group, place = (winding_numbers(groups, patches.own[near % count], mesh, posed) > 0).nonzero().unbind(1)
    face = nearest_faces(groups[:, group, place], mesh[group], posed)
    body, vertex = near[group] // count, patches.points[near[group] % count, place]
    frame, person = body % len(frames), body // len(frames)
    order = ((frame * 2 + person) * at.shape[2] + vertex).argsort()
    return torch.stack([frames[frame], person, vertex, face], 1)[order]


class Below(NamedTuple):
    """N vertices below the other's surface, as in ``Inside``, all but how deep."""

    frame: Tensor
    person: Tensor
    vertex: Tensor
    face: Tensor
    barycentric: Tensor


def depth_below(vertices: Tensor, faces: Tensor, below: Below, other: Tensor | None = None) -> Tensor:
    """(N,) depth of vertices below given points of the other's surface, differentiable in the vertices of both.

    The weights of the nearest point are held: to first order the distance does not change with them there, so
    the gradient is that of the true depth. Vertices and faces as in ``find_inside``; ``other`` (N,) is whose surface it
    is, if not that of the other of two.
    """
    frame, person, vertex, face, weights = below
    whose = 1 - person if other is None else other
    corners = vertices[whose[:, None], frame[:, None], faces[face]]
    way = (corners * weights[..., None]).sum(1) - vertices[person, frame, vertex]
    with torch.no_grad():
        length = way.norm(dim=-1, keepdim=True)
        # On the surface itself the way out has no direction but the face's.
        normal = normalize(torch.linalg.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), dim=-1)
        direction = torch.where(length > 1e-7, way / length.clamp(min=1e-30), normal)
    return (way * direction).sum(-1)


def select(inside: Inside, rows: Tensor) -> Inside:
    """Some of the vertices: ``rows`` a mask or indices."""
    return Inside(**{field.name: getattr(inside, field.name)[rows] for field in fields(inside)})
