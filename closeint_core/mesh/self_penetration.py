# SPDX-License-Identifier: Apache-2.0
"""A body inside itself: an arm in the ribs, a hand in the thigh.

A skin that passes through itself has no inside to speak of: every vertex is on the surface it is asked about. So the
body is taken apart. Each body part is closed where it was cut, which makes it a solid of its own, and vertices of other
parts are asked about that solid. What lies together in the rest pose (the two sides of a joint, the tops of the thighs)
presses into itself in any bent pose and is not counted.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor

from closeint_core.body.data import BodyData
from closeint_core.errors import CloseintError
from closeint_core.mesh.calibration import MESH, SelfPenetrationCalibration
from closeint_core.mesh.chunks import in_chunks
from closeint_core.mesh.closest import face_corners, nearest_faces, triangle_weights
from closeint_core.mesh.inside import Below, Inside, depth_below
from closeint_core.mesh.patches import Boxes, Patches, cut, meet, pose
from closeint_core.mesh.winding import Lattice, winding_numbers

_FRAMES = {"cpu": 8, "cuda": 64}  # at a time


@dataclass(frozen=True, eq=False)
class _Part:
    """A body part as a solid.

    Attributes:
        solid: its skin and caps, over the vertices of the whole body with the middles of its cuts after them.
        skin: its skin alone. faces: (F',) the skin's faces as faces of the body. corners: (N,) vertices of the solid.
        groups: (G,) int64 groups of the body's vertices in which there are some of other parts that count. own: (G, L)
            bool, which those are.
    """

    solid: Patches
    skin: Patches
    faces: Tensor
    corners: Tensor
    groups: Tensor
    own: Tensor


class SolidParts:
    """The body parts of a body as solids.

    Args:
        body: the body model. device: where it will be asked for.

    Attributes:
        groups: (G, L) int64 the body's vertices in groups of neighbours. rings: (N,) int64 of each cut the vertices
            around it, whose middle is the body's vertex V + its number.
    """

    def __init__(self, body: BodyData, device: torch.device | str = "cpu") -> None:
        reach = MESH.now.itself.rest_distance
        faces = body.faces.astype(np.int64)
        rest = body.template.astype(np.float64)
        of_face = np.sort(body.parts[faces], 1)[:, 1]  # what two of the corners agree on, or the middle one
        rings: list[np.ndarray] = []  # vertices around each cut; its middle is vertex V + its number
        self.faces = torch.as_tensor(faces, device=device)
        self.parts: list[_Part] = []
        whole = cut(torch.as_tensor(faces), torch.as_tensor(rest))
        vertex_groups, real = whole.points.numpy(), whole.own.numpy()
        for part in range(int(body.parts.max()) + 1):
            chosen = np.flatnonzero(of_face == part)
            if not len(chosen):
                continue
            skin = faces[chosen]
            caps = []
            for edges in _cuts(skin):
                middle = len(rest) + len(rings)
                rings.append(np.unique(edges))
                caps.append(np.column_stack([edges[:, ::-1], np.full(len(edges), middle)]))
            solid = np.concatenate([skin, *caps])
            distance, _ = cKDTree(rest[np.unique(skin)]).query(rest, distance_upper_bound=reach)
            counts = (body.parts != part) & np.isinf(distance)
            own = real & counts[vertex_groups]
            rows = own.any(1)
            points = np.concatenate([rest, *(rest[ring].mean(0, keepdims=True) for ring in rings)])
            self.parts.append(
                _Part(
                    _sent(cut(torch.as_tensor(solid), torch.as_tensor(points)), device),
                    _sent(cut(torch.as_tensor(skin), torch.as_tensor(points)), device),
                    torch.as_tensor(chosen, device=device),
                    torch.as_tensor(np.unique(solid), device=device),
                    torch.as_tensor(np.flatnonzero(rows), device=device),
                    torch.as_tensor(own[rows], device=device),
                )
            )
        self.groups = torch.as_tensor(vertex_groups, device=device)
        self.rings = [torch.as_tensor(ring, device=device) for ring in rings]

    def find_inside(self, vertices: Tensor) -> Inside:
        """Every vertex that is inside another part of its own body.

        Args:
            vertices: (P, T, V, 3) metres.

        Returns:
            As of two bodies, but ``face`` is one of the same person: of the part the vertex is in. A vertex inside two
            parts is there twice.

        Raises:
            CloseintError: a vertex is not a number.
        """
        frames = vertices.shape[1]
        with torch.no_grad():
            at = vertices.detach()
            if not bool(torch.isfinite(at).all()):
                raise CloseintError("A body's vertices are not all numbers.", "Look for NaN or infinity in the poses.")
            size = _FRAMES[at.device.type]
            starts = range(0, frames, size)
            found = in_chunks(lambda start: self._search(at[:, start : start + size], start), starts, at.device)
            rows = torch.cat(found) if found else torch.zeros(0, 4, dtype=torch.int64, device=at.device)
            frame, person, vertex, face = rows.unbind(1)
            base = (person * frames + frame) * at.shape[2]
            corners = face_corners(at.reshape(-1, 3).T, base, self.faces, face).double()
            weights = triangle_weights(at[person, frame, vertex].T.double(), corners).T.to(at.dtype)
        below = Below(frame, person, vertex, face, weights)
        return Inside(*below, depth_below(vertices, self.faces, below, person))

    def depths(self, vertices: Tensor) -> Tensor:
        """(P, T) metres of the deepest vertex that is inside another part of its own body, of vertices (P, T, V, 3)."""
        people, frames = vertices.shape[:2]
        own = self.find_inside(vertices)
        deepest = torch.zeros(people * frames, dtype=own.depth.dtype, device=own.depth.device)
        return deepest.scatter_reduce(0, own.person * frames + own.frame, own.depth, "amax").reshape(people, frames)

    def _search(self, vertices: Tensor, start: int) -> Tensor:
        """(N, 4) frame, person, vertex and nearest face, sorted; ``vertices`` (P, t, V, 3) begin at frame ``start``."""
        frames = vertices.shape[1]
        middles = [vertices[:, :, ring].mean(2, keepdim=True) for ring in self.rings]
        lattice = Lattice.around(vertices)
        at = lattice.put(torch.cat([vertices, *middles], 2)).flatten(1, 2)  # (3, P t, V')
        points = at.index_select(2, self.groups.reshape(-1)).unflatten(2, self.groups.shape)  # (3, P t, G, L)
        boxes = Boxes(points.amin(3), points.amax(3))
        out = []
        for part in self.parts:
            found = self._in_part(part, at, points, boxes)
            if found is not None:
                body, vertex, face = found
                out.append(torch.stack([body % frames + start, body // frames, vertex, face], 1))
        if not out:
            return torch.zeros(0, 4, dtype=torch.int64, device=at.device)
        return torch.unique(torch.cat(out), dim=0)

    def _in_part(self, part: _Part, at: Tensor, points: Tensor, boxes: Boxes) -> tuple[Tensor, Tensor, Tensor] | None:
        """Which body (N,), vertex (N,) and nearest face (N,) of what is inside a part; None if nothing is.

        Args:
            at: (3, M, V') bodies. points: (3, M, G, L) their vertices in groups, and boxes (3, M, G) around these.
        """
        skin = at.index_select(2, part.corners)
        low, high = skin.amin(2), skin.amax(2)  # (3, M)
        near = meet(
            boxes.low.index_select(2, part.groups), boxes.high.index_select(2, part.groups), low[..., None],
            high[..., None],
        )  # fmt: skip
        body, group = near.nonzero().unbind(1)
        if not len(body):
            return None
        # Only points in the box around the part are asked about, of bodies that have some.
        asked = points[:, body, part.groups[group]]
        own = part.own[group] & meet(asked, asked, low[:, body, None], high[:, body, None])
        kept = own.any(1).nonzero()[:, 0]
        if not len(kept):
            return None
        asked, own, body, group = asked[:, kept], own[kept], body[kept], group[kept]
        bodies, mesh = torch.unique_consecutive(body, return_inverse=True)
        at = at.index_select(1, bodies)
        row, place = (winding_numbers(asked, own, mesh, pose(part.solid, at)) > 0).nonzero().unbind(1)
        if not len(row):
            return None
        vertex = self.groups[part.groups[group[row]], place]
        face = nearest_faces(asked[:, row, place], mesh[row], pose(part.skin, at))
        return body[row], vertex, part.faces[face]


def solids_of(body: BodyData, device: torch.device | str = "cpu") -> SolidParts:
    """The parts of a body as solids on a device, made the first time they are asked for."""
    return _solids(body, str(device), MESH.now.itself)


@functools.lru_cache(maxsize=4)
def _solids(body: BodyData, device: str, _made_by: SelfPenetrationCalibration) -> SolidParts:
    return SolidParts(body, device)


def _sent(patches: Patches, device: torch.device | str) -> Patches:
    names = ("faces", "members", "real", "points", "own")
    return Patches(*(getattr(patches, name).to(device) for name in names))


def _cuts(faces: np.ndarray) -> list[np.ndarray]:
    """Edges without a face on their other side, one array (E, 2) for each ring (or rings that touch)."""
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    known = {tuple(edge) for edge in edges.tolist()}
    open_edges = [edge for edge in edges.tolist() if (edge[1], edge[0]) not in known]
    label: dict[int, int] = {}

    def root(vertex: int) -> int:
        while label.setdefault(vertex, vertex) != vertex:
            vertex = label[vertex]
        return vertex

    for a, b in open_edges:
        label[root(a)] = root(b)
    rings: dict[int, list[list[int]]] = {}
    for edge in open_edges:
        rings.setdefault(root(edge[0]), []).append(edge)
    return [np.array(ring, np.int64) for ring in rings.values()]
