# SPDX-License-Identifier: Apache-2.0
"""Exact penetration between two bodies: which vertices are inside the other mesh, and how deep.

The sign comes from the winding number, so it holds for any watertight mesh, folded skin included
(Barill et al., "Fast Winding Numbers for Soups and Clouds", 2018); the depth is the distance to
the nearest point of the surface.
"""

from __future__ import annotations

from dataclasses import dataclass

import igl
import numpy as np

from closeint_core.body.data import BodyData
from closeint_core.body.skinning import clip_vertices
from closeint_core.clip import InteractionClip


@dataclass
class Inside:
    """Vertices of one body that are inside the other (N of them).

    Attributes:
        vertices: (N,) their indices. depths: (N,) metres to the other's surface.
        faces: (N,) nearest face of the other. points: (N, 3) nearest point on it.
    """

    vertices: np.ndarray
    depths: np.ndarray
    faces: np.ndarray
    points: np.ndarray


def vertices_inside(points: np.ndarray, vertices: np.ndarray, faces: np.ndarray) -> Inside:
    """Which of ``points`` (N, 3) lie inside the closed mesh ``vertices`` (V, 3), ``faces`` (F, 3), and how deep."""
    box = (points >= vertices.min(0)) & (points <= vertices.max(0))
    index = np.flatnonzero(box.all(1))
    if len(index):
        mesh = np.ascontiguousarray(vertices, np.float64)
        triangles = np.ascontiguousarray(faces, np.int64)
        query = np.ascontiguousarray(points[index], np.float64)
        index = index[igl.fast_winding_number(mesh, triangles, query) > 0.5]
    if not len(index):
        return Inside(index, np.zeros(0), np.zeros(0, np.int64), np.zeros((0, 3)))
    squared, face, nearest = igl.point_mesh_squared_distance(
        np.ascontiguousarray(points[index], np.float64), mesh, triangles
    )
    return Inside(index, np.sqrt(squared), face, nearest)


def clip_penetration(clip: InteractionClip, data: BodyData) -> float:
    """Metres by which the deepest vertex of a pair is inside the partner, over a whole clip."""
    depths = (measure_penetration(vertices, data.faces).max_depth.max() for _, vertices, _ in clip_vertices(clip, data))
    return float(max(depths))


@dataclass
class PenetrationSummary:
    """Penetration of a pair over T frames; all arrays (T,), metres.

    Attributes:
        max_depth: deepest vertex of either body.
        mean_depth: depth averaged over all vertices of both bodies, 0 outside (A-PD).
    """

    max_depth: np.ndarray
    mean_depth: np.ndarray


def measure_penetration(vertices: np.ndarray, faces: np.ndarray) -> PenetrationSummary:
    """Depths of two bodies inside each other, both ways.

    Args:
        vertices: (2, T, V, 3) metres. faces: (F, 3), shared by both.
    """
    frames = vertices.shape[1]
    deepest, mean = np.zeros(frames), np.zeros(frames)
    for t in range(frames):
        both = [vertices_inside(vertices[p, t], vertices[1 - p, t], faces) for p in (0, 1)]
        depths = np.concatenate([one.depths for one in both])
        deepest[t] = depths.max(initial=0.0)
        mean[t] = depths.sum() / (2 * vertices.shape[2])
    return PenetrationSummary(deepest, mean)
