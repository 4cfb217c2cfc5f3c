# SPDX-License-Identifier: Apache-2.0
"""Takes two bodies out of each other, measured on the exact meshes.

The spheres of the fit stand in for the volume; what they leave is found here vertex by vertex. In
rounds: measure which vertices are inside the partner and where its surface is nearest, then let the
fit run on with those pairs as springs that push only, all other evidence kept.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from closeint_core.body.spheres import BodySpheres
from closeint_core.body.torch_body import Skeleton, TorchBody
from closeint_core.mesh.penetration import vertices_inside
from closeint_core.physics.energies import huber

_SAME_SIDE = 17  # frames over which a limb is expected to stay on one side
_CHUNK = 32  # frames whose full meshes are in memory at a time


class Solver(Protocol):
    """What a solver must have for its bodies to be taken out of each other.

    Attributes:
        body: the body model. spheres: its inscribed spheres, if there are two people. betas: (P, B).
        transl: (P, T, 3) as they stand.
    """

    body: TorchBody
    spheres: BodySpheres | None
    betas: Tensor
    transl: Tensor

    def rotations(self) -> Tensor:
        """(P, T, 24, 3, 3) as they stand."""


@dataclass
class Springs:
    """N vertices to be brought outside: vertex v of ``person`` in ``frame`` against a triangle of the other.

    Attributes:
        person, frame, vertex: (N,). triangle: (N, 3) vertex indices. barycentric: (N, 3). depth: (N,) metres.
        direction: (N, 3) from the middle of the other's limb to the middle of one's own, unit or zero.
    """

    person: Tensor
    frame: Tensor
    vertex: Tensor
    triangle: Tensor
    barycentric: Tensor
    depth: Tensor
    direction: Tensor


def posed_vertices(
    body: TorchBody, rotations: Tensor, transl: Tensor, betas: Tensor
) -> Iterator[tuple[int, np.ndarray]]:
    """Full meshes in chunks of frames: (first frame, (P, t, V, 3))."""
    with torch.no_grad():
        for start in range(0, transl.shape[1], _CHUNK):
            part = slice(start, start + _CHUNK)
            yield start, body(rotations[:, part], betas[:, None], transl[:, part]).vertices.numpy()


def find_penetration(body: TorchBody, rotations: Tensor, transl: Tensor, betas: Tensor, slack: float = 0.0) -> Springs:
    """Every vertex of one body deeper than ``slack`` metres inside the other."""
    faces = body.data.faces.astype(np.int64)
    parts: list[tuple[np.ndarray, ...]] = []
    for start, chunk in posed_vertices(body, rotations, transl, betas):
        for t in range(chunk.shape[1]):
            for person in (0, 1):
                other = chunk[1 - person, t]
                found = vertices_inside(chunk[person, t], other, faces)
                keep = found.depths > slack
                if not keep.any():
                    continue
                triangle = faces[found.faces[keep]]
                weights = barycentric_coordinates(found.points[keep], other[triangle])
                count = int(keep.sum())
                parts.append(
                    (
                        np.full(count, person),
                        np.full(count, start + t),
                        found.vertices[keep],
                        triangle,
                        weights,
                        found.depths[keep],
                    )
                )
    if not parts:
        empty = torch.zeros(0, dtype=torch.long)
        return Springs(empty, empty, empty, empty.new_zeros(0, 3), torch.zeros(0, 3), torch.zeros(0), torch.zeros(0, 3))
    columns = [np.concatenate([part[i] for part in parts]) for i in range(6)]
    long, real = torch.long, torch.float32
    dtypes = (long, long, long, long, real, real)
    arrays = [torch.as_tensor(column, dtype=dtype) for column, dtype in zip(columns, dtypes, strict=True)]
    arrays.append(torch.zeros(len(arrays[0]), 3))
    return Springs(*arrays)


def point_apart(springs: Springs, fit: Solver) -> Springs:
    """Springs with their directions, from the spheres nearest to each vertex in either body."""
    if fit.spheres is None or not len(springs.depth):
        return springs
    with torch.no_grad():
        skeleton = fit.body.skeleton(fit.rotations(), fit.betas[:, None], fit.transl)
        centres = fit.spheres.centres(skeleton, fit.betas[:, None])  # (2, T, S, 3)
        rest = fit.body.rest_vertices(fit.betas)
        out = torch.zeros_like(springs.direction)
        for start in range(0, len(out), 8192):
            part = slice(start, start + 8192)
            person, frame = springs.person[part], springs.frame[part]
            point = vertices_at(fit.body, skeleton, rest, person, frame, springs.vertex[part])
            middles = []
            for whose in (person, 1 - person):
                near = centres[whose, frame]
                index = (near - point[:, None]).norm(dim=-1).argmin(1)
                middles.append(near[torch.arange(len(index)), index])
            out[part] = normalize(middles[0] - middles[1], dim=-1)
    # A limb leaves by the same side in neighbouring frames: the side most of them are on.
    key = springs.person * 24 + torch.as_tensor(fit.body.data.parts, dtype=torch.long)[springs.vertex]
    frames = fit.transl.shape[1]
    total = torch.zeros(48 * frames, 3).index_add(0, key * frames + springs.frame, out).reshape(48, frames, 3)
    total = torch.nn.functional.avg_pool1d(total.mT, _SAME_SIDE, 1, _SAME_SIDE // 2).mT
    return replace(springs, direction=normalize(total[key, springs.frame], dim=-1))


def barycentric_coordinates(points: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """(N, 3) weights of points (N, 3) in the planes of triangles (N, 3, 3)."""
    a, b, c = triangles[:, 0], triangles[:, 1], triangles[:, 2]
    v0, v1, v2 = b - a, c - a, points - a
    d00, d01, d11 = (v0 * v0).sum(1), (v0 * v1).sum(1), (v1 * v1).sum(1)
    d20, d21 = (v2 * v0).sum(1), (v2 * v1).sum(1)
    scale = np.maximum(d00 * d11 - d01 * d01, 1e-18)
    v = (d11 * d20 - d01 * d21) / scale
    w = (d00 * d21 - d01 * d20) / scale
    weights = np.clip(np.stack([1 - v - w, v, w], 1), 0, 1)
    return weights / weights.sum(1, keepdims=True)


def vertices_at(
    body: TorchBody, skeleton: Skeleton, rest: Tensor, person: Tensor, frame: Tensor, vertex: Tensor
) -> Tensor:
    """Single posed vertices (N, 3): ``vertex`` of ``person`` in ``frame``, each (N,).

    Args:
        skeleton: posed people, leading axes (P, T). rest: (P, V, 3) their unposed vertices.
    """
    joints = torch.as_tensor(body.data.skin_joints, dtype=torch.long)[vertex]
    weights = torch.as_tensor(body.data.skin_weights)[vertex]
    start = rest[person, vertex]
    if skeleton.pose_feature is not None and body.posedirs is not None:
        start = start + torch.einsum("ncf,nf->nc", body.posedirs[vertex], skeleton.pose_feature[person, frame])
    rotations = skeleton.rotations[person[:, None], frame[:, None], joints]
    offsets = skeleton.offsets[person[:, None], frame[:, None], joints]
    return (weights[..., None] * ((rotations @ start[:, None, :, None])[..., 0] + offsets)).sum(1)


class Separation:
    """The energy of a set of springs, to be added to a fit."""

    def __init__(
        self,
        springs: Springs,
        part: Tensor,
        margin: float = 0.002,
        spread: float = 0.004,
        most: int = 20_000,
        knee: float = math.inf,
    ) -> None:
        """A push grows linearly beyond ``knee`` metres: so deep, other evidence should have its say."""
        if len(springs.depth) > most:  # the deepest matter most
            top = springs.depth.topk(most).indices
            springs = Springs(*(getattr(springs, name)[top] for name in Springs.__dataclass_fields__))
        self.springs, self.margin, self.spread, self.knee = springs, margin, spread, knee
        # One deep contact has thousands of vertices inside: every part in contact counts once, not once a vertex.
        key = (springs.frame * 2 + springs.person) * 24 + part[springs.vertex]
        _, cluster, counts = torch.unique(key, return_inverse=True, return_counts=True)
        self.weight = 1.0 / counts[cluster].float().clamp(min=20)

    def __call__(self, fit: Solver, rotations: Tensor) -> dict[str, Tensor]:
        """The push of every spring: squared distance still to go to the other's surface."""
        s = self.springs
        skeleton = fit.body.skeleton(rotations, fit.betas[:, None], fit.transl)
        rest = fit.body.rest_vertices(fit.betas)
        point = vertices_at(fit.body, skeleton, rest, s.person, s.frame, s.vertex)
        other = (1 - s.person)[:, None].expand(-1, 3).reshape(-1)
        frames = s.frame[:, None].expand(-1, 3).reshape(-1)
        corners = vertices_at(fit.body, skeleton, rest, other, frames, s.triangle.reshape(-1)).reshape(-1, 3, 3)
        surface = (corners * s.barycentric[..., None]).sum(1)
        # The normal's own change is second order; held fixed it keeps the push straight.
        normal = normalize(
            torch.linalg.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]).detach(), dim=-1
        )
        # Where a limb sticks right through another, its vertices are nearest to opposite sides and their pushes
        # cancel: leaning every push away from the other limb's middle makes the whole limb leave by one side.
        normal = normalize(normal + 1.5 * s.direction, dim=-1)
        inside = (self.margin - ((point - surface) * normal).sum(-1)).clamp(min=0)
        frames_total = rotations.shape[0] * rotations.shape[1]
        work = huber(inside.square(), self.knee) if math.isfinite(self.knee) else inside.square()
        return {"separation": (self.weight * work).sum() / frames_total / self.spread**2 * 30}


def join_springs(a: Springs, b: Springs) -> Springs:
    """All springs of two sets."""
    return Springs(*(torch.cat([getattr(a, name), getattr(b, name)]) for name in Springs.__dataclass_fields__))
