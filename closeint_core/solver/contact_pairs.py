# SPDX-License-Identifier: Apache-2.0
"""Which points of two skins belong together: contacts to hold, contacts to make, parts to keep apart.

All work on posed meshes (2, T, V, 3) in metres and give pairs of vertices; what is done with them is the solver's
affair. T is a run of frames, and frames in the results count from its first.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from closeint_core.body.skinning import vertex_normals
from closeint_core.mesh.calibration import MESH
from closeint_core.solver.calibration import SOLVER


@dataclass
class VertexPairs:
    """N pairs: vertex ``a`` of person 0 with vertex ``b`` of person 1 in ``frame``, each (N,).

    Attributes:
        weight: (N,); a contact has a weight of one however many pairs hold it.
        direction: (N, 3) unit vectors from b's skin outwards, on a's side; zero where it does not matter.
    """

    frame: np.ndarray
    a: np.ndarray
    b: np.ndarray
    weight: np.ndarray
    direction: np.ndarray

    def __len__(self) -> int:
        return len(self.frame)

    def take(self, index: np.ndarray) -> VertexPairs:
        """Some of them: ``index`` a mask or indices."""
        return VertexPairs(*(getattr(self, name)[index] for name in self.__dataclass_fields__))

    @classmethod
    def join(cls, parts: list[VertexPairs]) -> VertexPairs:
        """All pairs of several sets."""
        if not parts:
            none = np.zeros(0, np.int64)
            return cls(none, none, none, np.zeros(0, np.float32), np.zeros((0, 3), np.float32))
        names = ("frame", "a", "b", "weight", "direction")
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def _pairs(frame: int, a: np.ndarray, b: np.ndarray, direction: np.ndarray | None = None) -> VertexPairs:
    count = len(a)
    weight = np.full(count, 1.0 / max(count, 1), np.float32)
    aside = np.zeros((count, 3), np.float32) if direction is None else direction.astype(np.float32)
    return VertexPairs(np.full(count, frame, np.int64), a.astype(np.int64), b.astype(np.int64), weight, aside)


def touching_pairs(vertices: np.ndarray, parts: np.ndarray, reach: float | None = None) -> VertexPairs:
    """The closest pair of vertices of every two body parts that touch, frame by frame.

    Args:
        vertices: (2, T, V, 3). parts: (V,) body part of each vertex. reach: metres; None is the calibration's.
    """
    reach = MESH.now.touch.even if reach is None else reach
    found = []
    low, high = vertices.min(2), vertices.max(2)
    near = ((low[0] - reach < high[1]) & (low[1] - reach < high[0])).all(-1)
    for t in np.flatnonzero(near):
        boxes = [((vertices[p, t] > low[1 - p, t] - reach) & (vertices[p, t] < high[1 - p, t] + reach)) for p in (0, 1)]
        mine, theirs = (np.flatnonzero(box.all(1)) for box in boxes)
        if not len(mine) or not len(theirs):
            continue
        distance, nearest = cKDTree(vertices[1, t, theirs]).query(vertices[0, t, mine], distance_upper_bound=reach)
        close = np.isfinite(distance)
        if not close.any():
            continue
        a, b, distance = mine[close], theirs[nearest[close]], distance[close]
        key = parts[a].astype(np.int64) * 64 + parts[b]
        order = np.lexsort((distance, key))
        first = order[np.unique(key[order], return_index=True)[1]]
        found.append(_pairs(int(t), a[first], b[first]))
    return VertexPairs.join(found)


def nearest_pairs(vertices: np.ndarray, frame: int, mine: np.ndarray, theirs: np.ndarray, count: int) -> VertexPairs:
    """The ``count`` vertices of ``mine`` (person 0) nearest to ``theirs`` (person 1) with their nearest ones."""
    distance, nearest = cKDTree(vertices[1, frame, theirs]).query(vertices[0, frame, mine])
    best = np.argsort(distance)[:count]
    return _pairs(frame, mine[best], theirs[nearest[best]])


def close_pairs(
    vertices: np.ndarray,
    faces: np.ndarray,
    frame: int,
    mine: np.ndarray,
    theirs: np.ndarray,
    gap: float,
    count: int = 200,
) -> VertexPairs:
    """Vertices of ``mine`` (person 0) inside the skin ``theirs`` or closer to it than ``gap`` metres, worst first."""
    height, direction, nearest = _heights(vertices, faces, frame, mine, theirs)
    index = np.flatnonzero(height < gap)
    index = index[np.argsort(height[index])[:count]]
    return _pairs(frame, mine[index], theirs[nearest[index]], direction[index])


def signed_gap(vertices: np.ndarray, faces: np.ndarray, frame: int, mine: np.ndarray, theirs: np.ndarray) -> float:
    """Metres between two parts' skins in a frame; negative where they are inside each other."""
    return float(_heights(vertices, faces, frame, mine, theirs)[0].min())


def _heights(
    vertices: np.ndarray, faces: np.ndarray, frame: int, mine: np.ndarray, theirs: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of ``mine``: signed distance (N,) to the skin ``theirs``, direction outwards (N, 3), nearest vertex (N,).

    A point is taken to be inside when the nearest vertex's normal points clearly away from it: beyond the rim of a
    part, where normals point anywhere, it is not.
    """
    distance, nearest = cKDTree(vertices[1, frame, theirs]).query(vertices[0, frame, mine])
    normals = vertex_normals(vertices[1, frame], faces)[theirs[nearest]]
    away = vertices[0, frame, mine] - vertices[1, frame, theirs[nearest]]
    along = (away * normals).sum(1)
    skins = SOLVER.now.skins
    inside = (along < -skins.inside_slope * distance) & (distance < skins.inside_reach)
    outwards = away / np.maximum(distance, 1e-9)[:, None]
    # On the skin itself, "away" has no direction; the normal does.
    direction = np.where((inside | (distance < skins.on_skin))[:, None], normals, outwards)
    return np.where(inside, -distance, distance), direction, nearest
