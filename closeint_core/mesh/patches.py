# SPDX-License-Identifier: Apache-2.0
"""A mesh cut into small patches, once for all its poses: boxes around them tell quickly what is far from what."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

_FACES = 48  # of a patch at most
_BLOCK = 8  # patches of a block
_TESTS = {"cpu": 1 << 20, "cuda": 1 << 26}  # of a face and a point in memory at a time


@dataclass(frozen=True, eq=False)
class Patches:
    """P patches of a mesh, P a power of two; neighbours in their order are neighbours on the mesh.

    Attributes:
        faces: (F, 3) int64 the mesh.
        members: (P, K) int64 faces of each patch. real: (P, K) bool, False where a row is filled up with repeats.
        points: (P, L) int64 vertices of each patch, every vertex that has a face in one patch only. own: (P, L) bool,
            False where a row is filled up.
    """

    faces: Tensor
    members: Tensor
    real: Tensor
    points: Tensor
    own: Tensor


@dataclass(frozen=True, eq=False)
class Boxes:
    """low, high: (3, ...) least and greatest coordinates."""

    low: Tensor
    high: Tensor

    def around(self) -> Boxes:
        """The boxes around all of the last axis."""
        return Boxes(self.low.amin(-1), self.high.amax(-1))


@dataclass(frozen=True, eq=False)
class Posed:
    """M poses of a mesh, with its boxes.

    Attributes:
        at: (3, M, V) coordinates.
        patches: the mesh.
        faces: boxes (3, M, P, K) of every face. groups: (3, M, P) of every patch. blocks: (3, M, B) of every run of
            P / B patches.
    """

    at: Tensor
    patches: Patches
    faces: Boxes
    groups: Boxes
    blocks: Boxes


_kept: list[Patches] = []


def patches_of(faces: Tensor, vertices: Tensor) -> Patches:
    """The patches of a mesh, remembered for the last few meshes.

    Args:
        faces: (F, 3) int64. vertices: (V, 3) one pose; it decides which faces are put together, so speed but no result.
    """
    for patches in _kept:
        same = patches.faces.device == faces.device and patches.faces.shape == faces.shape
        if same and torch.equal(patches.faces, faces):
            return patches
    patches = cut(faces, vertices)
    _kept.insert(0, patches)
    del _kept[4:]
    return patches


def cut(faces: Tensor, vertices: Tensor, size: int = _FACES) -> Patches:
    """Cut a mesh into patches of at most ``size`` faces, by halving along the longest side again and again."""
    triangles = faces.cpu().numpy()
    at = vertices.detach().double().cpu().numpy()
    members = halve(at[triangles].mean(1), size)
    points = share_out(triangles, members)
    lists = [torch.as_tensor(array, device=faces.device) for array in (*filled(members), *filled(points))]
    return Patches(faces.clone(), *lists)


def share_out(triangles: np.ndarray, members: list[np.ndarray]) -> list[np.ndarray]:
    """Every vertex of some faces to one patch: among those it touches, the one with the fewest so far."""
    patch = np.repeat(np.arange(len(members)), [3 * len(rows) for rows in members])
    vertex = triangles[np.concatenate(members)].reshape(-1)
    pairs = np.unique(vertex * len(members) + patch)
    vertices, start = np.unique(pairs // len(members), return_index=True)
    touched = (pairs % len(members)).tolist()
    bounds = [*start.tolist(), len(touched)]
    points: list[list[int]] = [[] for _ in members]
    for v, begin, end in zip(vertices.tolist(), bounds[:-1], bounds[1:], strict=True):
        points[min(touched[begin:end], key=lambda p: len(points[p]))].append(v)
    return [np.array(rows, np.int64) for rows in points]


def halve(points: np.ndarray, size: int) -> list[np.ndarray]:
    """Points (N, 3) in groups of at most ``size`` near each other: their indices, a power of two of lists."""
    groups = [np.arange(len(points))]
    while max(len(group) for group in groups) > size:
        halves = []
        for group in groups:
            at = points[group]
            longest = np.ptp(at, axis=0).argmax() if len(group) else 0
            order = group[np.argsort(at[:, longest], kind="stable")]
            halves += [order[: (len(order) + 1) // 2], order[(len(order) + 1) // 2 :]]
        groups = halves
    return groups


def filled(rows: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Lists of unequal length as rows of an array, filled up with repeats (zeros if empty), and where they are real."""
    width = max(len(row) for row in rows)
    out = np.zeros((len(rows), max(width, 1)), np.int64)
    for line, row in zip(out, rows, strict=True):
        line[: len(row)] = row
        line[len(row) :] = row[-1] if len(row) else 0
    return out, np.arange(out.shape[1]) < np.array([len(row) for row in rows])[:, None]


def pose(patches: Patches, at: Tensor) -> Posed:
    """Boxes of a mesh in M poses ``at`` (3, M, V)."""
    count, width = patches.members.shape
    corner = patches.faces[patches.members].reshape(-1, 3).T  # (3, P K)
    flat = at.reshape(-1, at.shape[2])

    def of(index: Tensor) -> Tensor:
        return flat.index_select(1, index)

    a, b, c = of(corner[0]), of(corner[1]), of(corner[2])
    shape = (3, at.shape[1], count, width)
    faces = Boxes(
        torch.minimum(torch.minimum(a, b), c).reshape(shape), torch.maximum(torch.maximum(a, b), c).reshape(shape)
    )
    groups = faces.around()
    size = min(_BLOCK, count)
    blocks = Boxes(groups.low.unflatten(2, (-1, size)), groups.high.unflatten(2, (-1, size))).around()
    return Posed(at, patches, faces, groups, blocks)


def meet(low: Tensor, high: Tensor, boxes_low: Tensor, boxes_high: Tensor) -> Tensor:
    """Whether boxes have points in common: all (3, ...), broadcast, coordinates first."""
    out = low[0] <= boxes_high[0]
    out = out & (high[0] >= boxes_low[0])
    for axis in (1, 2):
        out &= low[axis] <= boxes_high[axis]
        out &= high[axis] >= boxes_low[axis]
    return out


def rows(array: Tensor, index: Tensor, axes: int) -> Tensor:
    """Rows of (3, ..., K): ``index`` (N,) into the ``axes`` axes after the first taken as one. (3, N, K...)."""
    return array.flatten(1, axes).index_select(1, index)


def group_boxes(points: Tensor, own: Tensor) -> Boxes:
    """The boxes (3, G) around groups of points (3, G, L), of those that are ``own`` (G, L)."""
    return Boxes(torch.where(own, points, torch.inf).amin(2), torch.where(own, points, -torch.inf).amax(2))


def met_faces(
    points: Tensor,
    own: Tensor,
    mesh: Tensor,
    posed: Posed,
    drawn_out: tuple[Tensor, Tensor],
    blocks: tuple[Tensor, Tensor] | None = None,
    keep: Callable[[Tensor, Tensor], Tensor] | None = None,
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Every point and face such that the point lies in the face's box, drawn out.

    Args:
        points: (3, G, L) in G groups of L. own: (G, L) bool, which of them are wanted.
        mesh: (G,) int64, which mesh of ``posed`` each group is asked about.
        drawn_out: (3, G) and (3, G) by how much boxes are drawn out to lower and to higher coordinates; may be
            infinite.
        blocks: pairs (N,), (N,) of a group and a block, the only ones to look at.
        keep: says which pairs (N,), (N,) of a group and a patch to look at.

    Yields:
        group (N,), point (N,) in its group, face (N,).
    """
    before, after = drawn_out
    box = group_boxes(points, own)
    reach = Boxes(box.low - after, box.high + before)
    if blocks is None:
        blocks_low, blocks_high = rows(posed.blocks.low, mesh, 1), rows(posed.blocks.high, mesh, 1)
        group, block = meet(reach.low[..., None], reach.high[..., None], blocks_low, blocks_high).nonzero().unbind(1)
    else:
        group, block = blocks
    # From blocks to patches to faces: each time only those that the box meets.
    count = len(posed.patches.members)
    size = count // posed.blocks.low.shape[2]
    row = mesh[group] * (count // size) + block
    split = Boxes(posed.groups.low.unflatten(2, (-1, size)), posed.groups.high.unflatten(2, (-1, size)))
    low, high = reach.low[:, group, None], reach.high[:, group, None]
    pair, patch = meet(low, high, rows(split.low, row, 2), rows(split.high, row, 2)).nonzero().unbind(1)
    group, patch = group[pair], block[pair] * size + patch
    if keep is not None:
        kept = keep(group, patch).nonzero()[:, 0]
        group, patch = group[kept], patch[kept]
    row = mesh[group] * count + patch
    low, high = reach.low[:, group, None], reach.high[:, group, None]
    hit = meet(low, high, rows(posed.faces.low, row, 2), rows(posed.faces.high, row, 2))
    hit &= posed.patches.real.index_select(0, patch)
    pair, member = hit.nonzero().unbind(1)
    group, row = group[pair], row[pair] * hit.shape[1] + member
    face = posed.patches.members[patch[pair], member]

    # Every point against every face that its group's box meets.
    step = max(_TESTS[own.device.type] // own.shape[1], 1)
    points = torch.where(own, points, torch.nan)  # meets nothing
    for start in range(0, len(group), step):
        g, r, f = (x[start : start + step] for x in (group, row, face))
        low = rows(posed.faces.low, r, 3) - before[:, g]
        high = rows(posed.faces.high, r, 3) + after[:, g]
        at = points.index_select(1, g)
        pair, point = meet(at, at, low[..., None], high[..., None]).nonzero().unbind(1)
        yield g[pair], point, f[pair]
