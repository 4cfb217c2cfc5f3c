# SPDX-License-Identifier: GPL-3.0-or-later
"""A body filled with spheres that touch its skin from inside, for gaps and depths between two people.

A sphere through a vertex, with its centre on the inward normal, grows until it meets another vertex (the shrinking-ball
form of the medial axis: Ma, Bae, Choi, "3D medial axis point approximation using nearest neighbors and the normal
field", 2012). The gap of two spheres is that of the skins where they touch them, to within some millimetres.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from closeint_core.body.data import BodyData
from closeint_core.body.skinning import vertex_normals

from .points import BodyPoints, PosedSkeleton, rigid_points

_SPACING = 0.035  # metres between the skin points that spheres may touch
_DETAIL = 0.015  # metres between the skin points that stop a sphere
_LARGEST = 0.16  # metres: no part of a body is thicker than twice that
_CHUNK = 64


@dataclass
class MedialSpheres:
    """S spheres of one person.

    Attributes:
        points: their centres. radii: (S,) metres. parts: (S,) body part each is in.
    """

    points: BodyPoints
    radii: np.ndarray
    parts: np.ndarray

    def centres(self, skeleton: PosedSkeleton) -> np.ndarray:
        """(T, S, 3)."""
        return self.points.posed(skeleton)


def fill(body: BodyData, betas: np.ndarray, count: int = 320) -> MedialSpheres:
    """Spheres of a body of shape betas (B,), chosen so that together they cover as much of the skin as they can."""
    vertices = body.template + body.shapedirs[:, :, : len(betas)] @ np.asarray(betas, np.float32)
    normals = vertex_normals(vertices, body.faces)
    start = thin_out(vertices, _SPACING)
    centres, radii = medial_spheres(vertices[start], normals[start], vertices[thin_out(vertices, _DETAIL)])
    # The skin a sphere stands for: what lies within half a centimetre of its surface.
    skin = vertices[start]
    square = (centres**2).sum(1)[:, None] + (skin**2).sum(1) - 2 * centres @ skin.T
    covers = square < ((radii + 0.005) ** 2)[:, None]
    chosen: list[int] = []
    open_skin = np.ones(len(start), bool)
    gain = covers.sum(1)
    while len(chosen) < min(count, len(start)) and open_skin.any():
        best = int(gain.argmax())
        if gain[best] <= 0:
            break
        chosen.append(best)
        fresh = covers[best] & open_skin
        gain -= covers[:, fresh].sum(1)
        open_skin &= ~fresh
    index = np.array(chosen)
    weights = _weights_of(body, vertices, centres[index], radii[index], start[index])
    return MedialSpheres(rigid_points(centres[index], weights), radii[index], body.parts[start[index]])


def thin_out(points: np.ndarray, spacing: float) -> np.ndarray:
    """Indices of one of the points (N, 3) in each cell of a grid."""
    cells = np.floor(points / spacing).astype(np.int64)
    return np.sort(np.unique(cells, axis=0, return_index=True)[1])


def medial_spheres(points: np.ndarray, normals: np.ndarray, skin: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Centres (N, 3) and radii (N,) of the largest spheres inside that touch the skin at given points.

    Args:
        points, normals: (N, 3) where they touch. skin: (M, 3) points that no sphere may hold.
    """
    radii = np.empty(len(points), np.float32)
    for first in range(0, len(points), 128):
        part = slice(first, first + 128)
        here, normal = points[part], normals[part]
        # (p - q) . n and |p - q|^2 for every skin point q, as products of matrices.
        along = (here * normal).sum(1)[:, None] - normal @ skin.T
        square = (here**2).sum(1)[:, None] + (skin**2).sum(1) - 2 * here @ skin.T
        # The sphere of radius r about p - r n meets q where |p - q|^2 = 2 r (p - q) . n. What is very near p, or to its
        # side, only tells of the mesh's own roughness.
        tells = (square > 0.01**2) & (along > 0) & (along**2 > 0.09 * square)
        limit = np.where(tells, square / np.maximum(2 * along, 1e-9), _LARGEST)
        radii[part] = np.minimum(limit.min(1), _LARGEST)
    return points - radii[:, None] * normals, radii


def _weights_of(
    body: BodyData, vertices: np.ndarray, centres: np.ndarray, radii: np.ndarray, touched: np.ndarray
) -> np.ndarray:
    """(S, 24) mean skinning weights of the skin around each sphere."""
    square = (centres**2).sum(1)[:, None] + (vertices**2).sum(1) - 2 * centres @ vertices.T
    near = (square < ((radii + 0.008) ** 2)[:, None]).astype(np.float32)
    weights = near @ body.dense_weights + 1e-3 * body.dense_weights[touched]
    result: np.ndarray = weights / weights.sum(1, keepdims=True)
    return result


def least_gaps(centres: tuple[np.ndarray, np.ndarray], spheres: tuple[MedialSpheres, MedialSpheres]) -> np.ndarray:
    """(T,) the smallest gap of two people whose spheres are at ``centres``, (T, S, 3) each; metres."""
    reach = spheres[0].radii[:, None] + spheres[1].radii
    result = np.empty(len(centres[0]), np.float32)
    for t, (a, b) in enumerate(zip(*centres, strict=True)):
        square = (a**2).sum(-1)[:, None] + (b**2).sum(-1) - 2 * a @ b.T
        result[t] = (np.sqrt(np.maximum(square, 0)) - reach).min()
    return result


def part_gaps(
    centres: tuple[np.ndarray, np.ndarray], spheres: tuple[MedialSpheres, MedialSpheres], joints: int = 24
) -> tuple[np.ndarray, np.ndarray]:
    """Gaps between the body parts of two people.

    Args:
        centres: (T, S, 3) of either person. spheres: of either person.

    Returns:
        (T, joints, joints) metres, negative where the parts are inside each other, infinite without spheres; and the
        pair of spheres that it is between, (T, joints, joints, 2).
    """
    frames = len(centres[0])
    gaps = np.full((frames, joints, joints), np.inf, np.float32)
    pairs = np.zeros((frames, joints, joints, 2), np.int64)
    order = [np.argsort(sphere.parts, kind="stable") for sphere in spheres]
    present = [np.unique(sphere.parts, return_index=False) for sphere in spheres]
    starts = [np.searchsorted(sphere.parts[o], p) for sphere, o, p in zip(spheres, order, present, strict=True)]
    reach = spheres[0].radii[order[0]][:, None] + spheres[1].radii[order[1]]
    for first in range(0, frames, _CHUNK):
        part = slice(first, first + _CHUNK)
        a, b = (x[part][:, o] for x, o in zip(centres, order, strict=True))
        square = (a**2).sum(-1)[:, :, None] + (b**2).sum(-1)[:, None] - 2 * a @ b.transpose(0, 2, 1)
        gap = np.sqrt(np.maximum(square, 0)) - reach
        least = np.minimum.reduceat(np.minimum.reduceat(gap, starts[0], axis=1), starts[1], axis=2)
        gaps[part, present[0][:, None], present[1]] = least
        # Which spheres: looked for only where it may matter.
        for t, i, j in np.argwhere(least < 0.05):
            block = gap[
                t,
                starts[0][i] : starts[0][i + 1] if i + 1 < len(starts[0]) else None,
                starts[1][j] : starts[1][j + 1] if j + 1 < len(starts[1]) else None,
            ]
            row, column = np.unravel_index(block.argmin(), block.shape)
            found = (order[0][starts[0][i] + row], order[1][starts[1][j] + column])
            pairs[first + t, present[0][i], present[1][j]] = found
    return gaps, pairs
