# SPDX-License-Identifier: Apache-2.0
"""Which parts of two bodies touch, from the distance between their skins, steadily over time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from closeint_core.mesh.calibration import MESH
from closeint_core.mesh.closest import box_gap, face_corners, triangle_distance
from closeint_core.mesh.inside import Inside, find_inside
from closeint_core.mesh.patches import met_faces, patches_of, pose
from closeint_core.mesh.winding import Lattice

_FRAMES = {"cpu": 4, "cuda": 32}  # at a time


@torch.no_grad()
def part_gaps(
    vertices: Tensor, faces: Tensor, parts: Tensor, reach: float | None = None, inside: Inside | None = None
) -> Tensor:
    """Distance from every body part of one person to every body part of the other.

    Args:
        vertices: (2, T, V, 3) metres. faces: (F, 3) int64. parts: (V,) int64 body part of each vertex.
        reach: metres, beyond which distances are not told apart; the calibration's ``release`` if not given.
        inside: what ``find_inside`` found, if it is known.

    Returns:
        (T, J, J) metres from each vertex to the nearest skin of the other, both ways: 0 where one is inside, at most
        ``reach``. Row: part of person 0, column: part of person 1.

    Raises:
        CloseintError: a vertex is not a number.
    """
    reach = MESH.now.touch.release if reach is None else reach
    inside = find_inside(vertices, faces) if inside is None else inside
    gaps = _Gaps(vertices, faces, parts, reach)
    gaps.least[gaps.place(inside.frame, inside.person, inside.vertex, inside.face)] = 0
    low, high = vertices.amin(2) - reach, vertices.amax(2)
    near = ((low[0] <= high[1]) & (low[1] <= high[0])).all(1).nonzero()[:, 0]
    for frames in near.split(_FRAMES[vertices.device.type]):
        gaps.measure(vertices[:, frames], frames)
    return gaps.table()


class _Gaps:
    """The least distances between parts that were found so far; arguments as for ``part_gaps``.

    Attributes:
        least: (T * J * J,) metres, see ``place``.
    """

    def __init__(self, vertices: Tensor, faces: Tensor, parts: Tensor, reach: float) -> None:
        self._faces, self._parts, self._reach = faces, parts, reach
        self._joints = joints = int(parts.max()) + 1
        self._face_part = parts[faces].sort(1).values[:, 1]  # what two of the corners agree on, or the middle one
        size = vertices.shape[1] * joints * joints
        self.least = torch.full((size,), reach, dtype=vertices.dtype, device=vertices.device)
        self._patches = patches = patches_of(faces, vertices[0, 0])
        self._bits = 1 << torch.arange(joints, device=parts.device)
        self._group_parts = _mask(parts[patches.points], joints)  # (P, J) which parts a group of vertices is of
        self._patch_bits = (_mask(self._face_part[patches.members], joints) * self._bits).sum(1)

    def table(self) -> Tensor:
        """(T, J, J)."""
        return self.least.view(-1, self._joints, self._joints)

    def place(self, frame: Tensor, person: Tensor, vertex: Tensor, face: Tensor) -> Tensor:
        """(N,) where in ``least`` a person's vertices and the other's faces belong."""
        own, other = self._parts[vertex], self._face_part[face]
        first, second = torch.where(person == 0, own, other), torch.where(person == 0, other, own)
        return (frame * self._joints + first) * self._joints + second

    def measure(self, vertices: Tensor, frames: Tensor) -> None:
        """Look at some frames (t,), with ``vertices`` (2, t, V, 3)."""
        patches, number = self._patches, len(frames)
        lattice = Lattice.around(vertices)
        at = lattice.put(vertices).flatten(1, 2)
        posed = pose(patches, at)
        flat, scale = at.flatten(1), lattice.scale.repeat(2)
        count, width = patches.points.shape
        groups = at.index_select(2, patches.points.reshape(-1)).reshape(3, 2 * number * count, width)
        body_of = torch.arange(2 * number, device=at.device).repeat_interleave(count)
        mesh, own = (body_of + number) % (2 * number), patches.own.repeat(2 * number, 1)
        # What is closer than a little is found first: most of what is near is near because those parts touch.
        for within, known in ((self._reach / 6, 0.0), (self._reach, self._reach / 6)):
            far = (within * scale).float()[body_of].expand(3, -1)
            keep = self._unsure(frames, known)
            for group, place, face in met_faces(groups, own, mesh, posed, (far, far), keep=keep):
                body = group // count
                pair = self.place(frames[body % number], body // number, patches.points[group % count, place], face)
                rows = (self.least[pair] > 0).nonzero()[:, 0]
                group, place, face, body, pair = (x[rows] for x in (group, place, face, body, pair))
                point = groups.flatten(1).index_select(1, group * width + place)
                corners = face_corners(flat, mesh[group] * at.shape[2], self._faces, face)
                self._lower(pair, point, corners, scale[body])

    def _unsure(self, frames: Tensor, known: float) -> Callable[[Tensor, Tensor], Tensor]:
        """Says of groups of vertices and patches, (N,) and (N,), whether their parts may be nearer to each other than
        is known already; nothing nearer than ``known`` metres is asked about again."""
        table = self.table()[frames]
        unsure = torch.cat([table, table.mT]) > known  # (2 t, J own, J other)
        unsure_bits = (unsure * self._bits).sum(2)  # (2 t, J)
        asked = torch.where(self._group_parts, unsure_bits[:, None], 0)  # (2 t, P, J)
        asked = _any_bit(asked.flatten(0, 1))
        return lambda group, patch: (asked[group] & self._patch_bits[patch]) != 0

    def _lower(self, pair: Tensor, point: Tensor, corners: Tensor, unit: Tensor) -> None:
        """Distances of points (3, N) from triangles, lattice units of which ``unit`` (N,) make a metre."""
        # A corner is as near as its face can be far; a face whose box is further than that is out.
        most = (corners[0] - point).square().sum(0).double().sqrt() / unit
        self.least.scatter_reduce_(0, pair, most.to(self.least.dtype), "amin")
        low = box_gap(point, corners.amin(0), corners.amax(0)).double().sqrt() / unit
        close = (low <= self.least[pair] * (1 + 1e-5)).nonzero()[:, 0]
        gap = triangle_distance(point[:, close].double(), corners[..., close].double()).sqrt() / unit[close]
        self.least.scatter_reduce_(0, pair[close], gap.to(self.least.dtype), "amin")


def _mask(parts: Tensor, joints: int) -> Tensor:
    """(N, joints) bool, which parts occur in each row of (N, K)."""
    return torch.zeros(len(parts), joints, dtype=torch.bool, device=parts.device).scatter_(1, parts, True)


def _any_bit(bits: Tensor) -> Tensor:
    """(N,) all bits that occur in each row of (N, K)."""
    out = bits[:, 0]
    for column in bits.unbind(1)[1:]:
        out = out | column
    return out


def steady_contacts(gaps: Tensor) -> Tensor:
    """Contacts that do not flicker: (T, ...) bool from distances (T, ...).

    Two parts touch from when they come within ``release`` until they leave it, if they come within ``touch`` between:
    the same forwards and backwards in time. Both are the calibration's.
    """
    touch, release = MESH.now.touch.touch, MESH.now.touch.release
    held = gaps < release
    # Runs of frames within release are numbered; one that comes within touch counts as a whole.
    starts = held & ~torch.cat([torch.zeros_like(held[:1]), held[:-1]])
    run = starts.long().cumsum(0)
    touched = torch.zeros((len(gaps) + 1, *gaps.shape[1:]), dtype=torch.int64, device=gaps.device)
    touched.scatter_reduce_(0, run, (held & (gaps <= touch)).long(), "amax")
    return held & (touched.gather(0, run) > 0)


@dataclass(frozen=True)
class ContactScores:
    """How well contacts agree with the truth, 0 to 1; over frames and pairs of parts."""

    precision: float
    recall: float
    f1: float


def contact_scores(found: Tensor, truth: Tensor) -> ContactScores:
    """Compare contacts, bool of one shape. Nothing found is precise, nothing to find is recalled."""
    both, mine, true = (int(x.sum()) for x in (found & truth, found, truth))
    precision, recall = both / mine if mine else 1.0, both / true if true else 1.0
    return ContactScores(precision, recall, 2 * both / (mine + true) if mine + true else 1.0)
