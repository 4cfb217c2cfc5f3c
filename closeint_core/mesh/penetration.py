# SPDX-License-Identifier: Apache-2.0
"""How far two bodies are inside each other, for numpy arrays and clips; ``physics.inside`` does the work."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from closeint_core.mesh.closest import face_corners, nearest_faces, triangle_weights
from closeint_core.mesh.inside import Inside, find_inside
from closeint_core.mesh.patches import filled, halve, patches_of, pose
from closeint_core.mesh.shared_volume import shared_volume
from closeint_core.mesh.winding import Lattice, winding_numbers

_GROUP = 32  # points that are asked about together


@dataclass
class PointsInside:
    """Points that are inside a mesh (N of them).

    Attributes:
        vertices: (N,) their indices. depths: (N,) metres to the surface.
        faces: (N,) nearest face. points: (N, 3) nearest point on it.
    """

    vertices: np.ndarray
    depths: np.ndarray
    faces: np.ndarray
    points: np.ndarray


def vertices_inside(points: np.ndarray, vertices: np.ndarray, faces: np.ndarray) -> PointsInside:
    """Which of ``points`` (N, 3) lie inside the closed mesh ``vertices`` (V, 3), ``faces`` (F, 3), and how deep.

    For two bodies over many frames, ``find_inside`` is quicker.
    """
    box = (points >= vertices.min(0)) & (points <= vertices.max(0))
    asked = np.flatnonzero(box.all(1))
    if not len(asked):
        return PointsInside(asked, np.zeros(0), np.zeros(0, np.int64), np.zeros((0, 3)))
    mesh = torch.as_tensor(vertices, dtype=torch.float64)
    triangles = torch.as_tensor(faces, dtype=torch.int64)
    query = torch.as_tensor(points[asked], dtype=torch.float64)
    lattice = Lattice.around(mesh[None, None])
    posed = pose(patches_of(triangles, mesh), lattice.put(mesh[None, None])[:, 0])
    at = lattice.put(query[None, None])[:, 0, 0]  # (3, N)
    groups, own = (torch.as_tensor(part) for part in filled(halve(points[asked], _GROUP)))
    winding = winding_numbers(at[:, groups], own, groups.new_zeros(len(groups)), posed)
    index = groups[winding > 0].sort().values
    face = nearest_faces(at[:, index], torch.zeros_like(index), posed)
    corners = face_corners(mesh.T, torch.zeros_like(face), triangles, face)
    nearest = (triangle_weights(query[index].T, corners)[:, None] * corners).sum(0).T
    depth = (nearest - query[index]).norm(dim=1)
    return PointsInside(asked[index.numpy()], depth.numpy(), face.numpy(), nearest.numpy())


@dataclass
class PenetrationSummary:
    """Penetration of a pair over T frames; all arrays (T,), metres and cubic metres.

    Attributes:
        max_depth: deepest vertex of either body.
        mean_depth: depth averaged over all vertices of both bodies, 0 outside (A-PD).
        volume: inside both bodies; None if it was not asked for.
    """

    max_depth: np.ndarray
    mean_depth: np.ndarray
    volume: np.ndarray | None = None

    @classmethod
    def join(cls, parts: list[PenetrationSummary]) -> PenetrationSummary:
        """Runs of frames one after the other."""
        volumes = [part.volume for part in parts if part.volume is not None]
        return cls(
            np.concatenate([part.max_depth for part in parts]),
            np.concatenate([part.mean_depth for part in parts]),
            np.concatenate(volumes) if len(volumes) == len(parts) else None,
        )

    def figures(self) -> dict[str, float | int]:
        """A clip's figures, JSON types: millimetres, cubic centimetres, frames."""
        out: dict[str, float | int] = {
            "max_penetration_mm": round(1000 * float(self.max_depth.max()), 2),
            "mean_penetration_mm": round(1000 * float(self.mean_depth.mean()), 4),
        }
        if self.volume is not None:
            out["max_penetration_cm3"] = round(100**3 * float(self.volume.max()), 2)
            out["mean_penetration_cm3"] = round(100**3 * float(self.volume.mean()), 2)
        out |= {f"frames_over_{mm}mm": int((self.max_depth > mm / 1000).sum()) for mm in (5, 10, 20)}
        return out


def summarise(inside: Inside, frames: int, count: int) -> PenetrationSummary:
    """Penetration frame by frame from what ``find_inside`` found in two bodies of ``count`` vertices."""
    depth = inside.depth.detach()
    deepest = depth.new_zeros(frames).scatter_reduce(0, inside.frame, depth, "amax")
    mean = depth.new_zeros(frames, dtype=torch.float64).index_add(0, inside.frame, depth.double()) / (2 * count)
    return PenetrationSummary(deepest.cpu().numpy(), mean.cpu().numpy())


def measure_penetration(vertices: np.ndarray, faces: np.ndarray, volume: bool = False) -> PenetrationSummary:
    """Depths of two bodies inside each other, both ways.

    Args:
        vertices: (2, T, V, 3) metres. faces: (F, 3), shared by both. volume: also the volume inside both.

    Raises:
        CloseintError: a vertex is not a number.
    """
    at, triangles = torch.as_tensor(vertices), torch.as_tensor(faces, dtype=torch.int64)
    inside = find_inside(at, triangles)
    out = summarise(inside, at.shape[1], at.shape[2])
    if volume:
        out.volume = shared_volume(at, triangles, inside).numpy()
    return out
