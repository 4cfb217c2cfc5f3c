# SPDX-License-Identifier: Apache-2.0
"""What is inside and what should touch, as pairs of points in every frame for ``terms``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import normalize

from closeint_core.body.torch_body import Skeleton
from closeint_core.mesh.calibration import MESH
from closeint_core.mesh.inside import Inside
from closeint_core.mesh.nearest_parts import NearParts, SkinSamples
from closeint_core.solver.calibration import SOLVER
from closeint_core.solver.contact_pairs import VertexPairs
from closeint_core.solver.pairs import Pairs
from closeint_core.solver.skinned_points import JOINTS, SkinnedPoints, SkinningMap
from closeint_core.solver.ties import Ties, packed

_A_CLUSTER = 10  # vertices of a part inside the partner that stand for the whole part


@dataclass
class WatchedVertices:
    """N vertices that are inside the partner, or were and are near it, and which way is out.

    Attributes:
        frame, person, vertex: (N,). corner: (N, 3) vertices of the partner and barycentric: (N, 3) their weights: the
            place on its skin to stay outside of. depth: (N,) metres, negative outside. direction: (N, 3) unit, world.
    """

    frame: Tensor
    person: Tensor
    vertex: Tensor
    corner: Tensor
    barycentric: Tensor
    depth: Tensor
    direction: Tensor

    def __len__(self) -> int:
        return len(self.frame)

    def take(self, index: Tensor) -> WatchedVertices:
        """Some of them: ``index`` a mask or indices."""
        if index.dtype == torch.bool:
            index = index.nonzero()[:, 0]  # a device is waited for once, not for every field
        return WatchedVertices(**{name: getattr(self, name)[index] for name in self.__dataclass_fields__})

    @classmethod
    def join(cls, parts: list[WatchedVertices]) -> WatchedVertices:
        """All of several."""
        return cls(**{name: torch.cat([getattr(one, name) for one in parts]) for name in cls.__dataclass_fields__})


@dataclass
class PosedSkins:
    """Two people's skins in T frames, as far as points ride on them.

    Attributes:
        ride: the body's. rest: (2, V, 3) or (2, T, V, 3) rest vertices. part: (V,) of each vertex. skeleton: posed.
    """

    ride: SkinningMap
    rest: Tensor
    part: Tensor
    skeleton: Skeleton

    def points(self, person: Tensor | int, frame: Tensor, vertex: Tensor) -> SkinnedPoints:
        """Points (N,) of vertices (N,) of people in frames (N,)."""
        rest = self.rest[person, vertex] if self.rest.ndim == 3 else self.rest[person, frame, vertex]
        return self.ride.vertices(vertex, rest)

    def in_part(self, person: Tensor | int, frame: Tensor, part: Tensor, axis: Tensor) -> Tensor:
        """World directions (N, 3) in the axes of parts (N,) of people in frames (N,): they turn with them."""
        turned = self.skeleton.rotations[person, frame, part].mT
        return (turned @ axis[..., None])[..., 0]


class Spots(NamedTuple):
    """n points (n, 3) of people's parts: ``person`` and ``part`` (n,), ``row`` (n,) in what is known of some frames,
    and ``frame`` (n,) in the time."""

    person: Tensor
    part: Tensor
    row: Tensor
    frame: Tensor
    points: Tensor


def watch(found: WatchedVertices, vertices: Tensor, samples: SkinSamples, ring: Tensor) -> WatchedVertices:
    """Vertices found earlier against the partner's skin as it lies now, without those that are far out.

    What came out would slide back in if nothing held it. The skin is taken to be flat around its nearest vertex.

    Args:
        vertices: (2, T, V, 3) as they lie. ring: (V, R, 3) corners of the faces around each vertex.
    """
    frame, person = found.frame, found.person
    point = vertices[person, frame, found.vertex]
    if not len(found):
        return found
    around = samples.around[_nearest_sample(found, point, vertices, samples)]
    fine = vertices[(1 - person)[:, None], frame[:, None], around]
    best = (fine - point[:, None]).square().sum(-1).argmin(1, keepdim=True)
    nearest = around.gather(1, best)[:, 0]
    a, b, c = vertices[(1 - person)[:, None, None], frame[:, None, None], ring[nearest]].unbind(-2)
    normal = normalize(torch.linalg.cross(b - a, c - a).sum(1), dim=-1)
    away = point - vertices[1 - person, frame, nearest]
    height = (away * normal).sum(-1)
    one = torch.zeros_like(found.barycentric)
    one[:, 0] = 1.0
    current = WatchedVertices(frame, person, found.vertex, nearest[:, None].expand(-1, 3), one, -height, normal)
    # What lies deeper than it is far from the nearest vertex is not there at all: the plane is the wrong one.
    skins = SOLVER.now.skins
    return current.take((away.norm(dim=-1) < skins.danger) & (height > -skins.watched_height))


def _nearest_sample(found: WatchedVertices, point: Tensor, vertices: Tensor, samples: SkinSamples) -> Tensor:
    """(N,) which of the partner's samples is nearest to found vertices that lie at ``point`` (N, 3)."""
    frames = vertices.shape[1]
    key, row = torch.unique(found.person * frames + found.frame, return_inverse=True)
    index, column, columns = _packed(row, -found.vertex, len(key), len(row))
    person, frame = torch.div(key, frames, rounding_mode="floor"), key % frames
    theirs = vertices[(1 - person)[:, None], frame[:, None], samples.vertex]  # (G, S, 3)
    middle = theirs.mean(1, keepdim=True)  # squares lose less near the origin
    mine = _spread(point[index], row[index], column, len(key), columns)
    nearest = []
    chunk = 8 if middle.device.type == "cpu" else 256
    for at, points in zip((theirs - middle).split(chunk), (mine - middle).split(chunk), strict=True):
        squared = torch.baddbmm(at.square().sum(-1)[:, None], points, at.mT, alpha=-2.0)
        nearest.append(squared.argmin(-1))
    out = torch.empty_like(found.frame)
    out[index] = torch.cat(nearest)[row[index], column]
    return out


def representatives(inside: Inside, part: Tensor) -> Tensor:
    """Indices (n,) of vertices that stand for all that are inside: of each part of each person in each frame the
    deepest and others at even steps of depth."""
    key = (inside.frame * 2 + inside.person) * JOINTS + part[inside.vertex]
    order = torch.argsort(inside.depth.detach(), descending=True, stable=True)
    order = order[torch.argsort(key[order], stable=True)]
    _, cluster, counts = torch.unique_consecutive(key[order], return_inverse=True, return_counts=True)
    first = counts.cumsum(0) - counts
    rank = torch.arange(len(order), device=order.device) - first[cluster]
    stride = torch.div(counts[cluster] + _A_CLUSTER - 1, _A_CLUSTER, rounding_mode="floor")
    return order[rank % stride == 0]


def fair_shares(found: WatchedVertices, part: Tensor) -> Tensor:
    """(N,) weights: one deep contact has many vertices inside, and every part in contact counts about once."""
    key = (found.frame * 2 + found.person) * JOINTS + part[found.vertex]
    _, cluster, counts = torch.unique(key, return_inverse=True, return_counts=True)
    return 1.0 / counts[cluster].float().clamp(min=4)


def side_by_side(spots: Spots, middles: Tensor, frames: int, span: int = 17) -> Tensor:
    """Unit directions (n, 3) from the middle of the partner's limb to the middle of one's own, steady over time.

    Args:
        middles: (2, t, S, 3) centres of both people's spheres. frames: in the time.
        span: frames over which a limb is expected to stay on one side.
    """
    person, part, row, frame, points = spots
    out = []
    for some in torch.arange(len(row), device=row.device).split(4096 if row.device.type == "cpu" else 1 << 16):
        ends = []
        for whose in (person[some], 1 - person[some]):
            near = middles[whose, row[some]]
            nearest = (near - points[some, None]).square().sum(-1).argmin(1)
            ends.append(near[torch.arange(len(nearest), device=near.device), nearest])
        out.append(normalize(ends[0] - ends[1], dim=-1))
    each = torch.cat(out) if out else points.new_zeros(0, 3)
    key = person * JOINTS + part
    total = points.new_zeros(2 * JOINTS * frames, 3)
    total = total.index_put((key * frames + frame,), each, accumulate=True)  # in the same order every time, anywhere
    total = total.reshape(2 * JOINTS, frames, 3).mT
    total = torch.nn.functional.avg_pool1d(total, span, 1, span // 2, count_include_pad=False).mT
    return normalize(total[key, frame], dim=-1)


def _packed(frame: Tensor, importance: Tensor, frames: int, most: int) -> tuple[Tensor, Tensor, int]:
    """Of N items, the ``most`` important of every frame: their indices, their column in it, and the columns in all."""
    order = torch.argsort(importance, descending=True, stable=True)
    order = order[torch.argsort(frame[order], stable=True)]
    counts = torch.bincount(frame, minlength=frames)
    column = torch.arange(len(order), device=frame.device) - (counts.cumsum(0) - counts)[frame[order]]
    kept = (column < most).nonzero()[:, 0]
    return order[kept], column[kept], int(counts.clamp(max=most).max()) if len(frame) else 0


def _spread(value: Tensor, frame: Tensor, column: Tensor, frames: int, columns: int) -> Tensor:
    out = value.new_zeros(frames, columns, *value.shape[1:])
    out[frame, column] = value
    return out


def _spread_points(
    ends: Sequence[SkinnedPoints], frame: Tensor, column: Tensor, frames: int, columns: int
) -> SkinnedPoints:
    """Points (2, frames, columns) of both people's ends (N,)."""
    moments, weights = (
        torch.stack([_spread(one, frame, column, frames, columns) for one in part]) for part in zip(*ends, strict=True)
    )
    return SkinnedPoints(moments, weights)


def springs(found: WatchedVertices, push: Tensor, skins: PosedSkins, margin: Tensor, most: int = 128) -> Pairs | None:
    """What pushes found vertices out of the partner.

    Args:
        push: (T,) weight in each frame. skins: as the vertices were found.
        margin: (N,) metres by which they are to be outside.
    """
    frames = len(push)
    if not len(found):
        return None
    index, column, columns = _packed(found.frame, found.depth, frames, most)
    found, margin = found.take(index), margin[index]
    frame, person = found.frame, found.person
    vertex = skins.points(person, frame, found.vertex)
    corner = found.corner
    parts = [skins.points(1 - person, frame, corner[:, i]) for i in range(3)]
    share = found.barycentric.unbind(1)
    surface = SkinnedPoints(
        torch.stack([one.moments * w[:, None, None] for one, w in zip(parts, share, strict=True)]).sum(0),
        torch.stack([one.weights * w[:, None] for one, w in zip(parts, share, strict=True)]).sum(0),
    )
    swap = person == 1
    first = SkinnedPoints(torch.where(swap[:, None, None], surface.moments, vertex.moments),
                   torch.where(swap[:, None], surface.weights, vertex.weights))  # fmt: skip
    second = SkinnedPoints(torch.where(swap[:, None, None], vertex.moments, surface.moments),
                    torch.where(swap[:, None], vertex.weights, surface.weights))  # fmt: skip
    # The way out turns with the partner's part.
    bone = skins.part[corner[:, 0]]
    axis = torch.where(swap[:, None], -found.direction, found.direction)
    axis = skins.in_part(1 - person, frame, bone, axis)
    at = (frame, column, frames, columns)
    tuned = SOLVER.now.skins
    weight = fair_shares(found, skins.part) * push[frame] * (30 / tuned.spring**2)
    return Pairs(
        _spread_points((first, second), *at),
        _spread(axis, *at),
        _spread(bone + JOINTS * (1 - person), *at),
        _spread(margin, *at),
        _spread(weight, *at),
        torch.ones(frames, columns, dtype=torch.bool, device=frame.device),
        False,
        tuned.spring_knee,
    )


@dataclass
class NearestPlaces:
    """What ``contacts`` and ``kept_apart`` need of the bodies as they stand.

    Attributes:
        near: the nearest places. normals: (2, T, 24, C, 3) of them, from the partner's skin outwards.
    """

    skins: PosedSkins
    near: NearParts
    normals: Tensor

    def pairs(self, there: Tensor, weight: Tensor, goal: Tensor, most: int, aside: float) -> Pairs | None:
        """Pairs of the places ``there`` (2, T, 24, C) with weight and goal (2, T, 24); ``aside`` of the weight acts
        across the normal, and makes it a pull."""
        near, frames = self.near, self.near.own.shape[1]
        place = torch.nonzero(there, as_tuple=True)
        person, frame, own_part, _ = place
        if not len(person):
            return None
        count = there.sum(-1)[person, frame, own_part].float()
        each = weight[person, frame, own_part] / count
        index, column, columns = _packed(frame, each, frames, most)
        place = tuple(one[index] for one in place)
        own, other, normal = near.own[place], near.other[place], self.normals[place]
        gap = goal[person, frame, own_part][index]
        person, frame, each = person[index], frame[index], each[index]
        first, second = torch.where(person == 0, own, other), torch.where(person == 0, other, own)
        at = (frame, column, frames, columns)
        copies = 3 if aside else 1
        ends = [self.skins.points(who, frame, vertex) for who, vertex in ((0, first), (1, second))]
        moments, weights = _spread_points(ends, *at)
        points = SkinnedPoints(moments.repeat(1, 1, copies, 1, 1), weights.repeat(1, 1, copies, 1))
        away = torch.where((person == 0)[:, None], normal, -normal)
        helper = torch.eye(3, device=away.device)[away.abs().argmin(1)]
        across = normalize(torch.linalg.cross(away, helper), dim=-1)
        axes = (away, across, torch.linalg.cross(away, across))[:copies]
        bone = self.skins.part[second]
        packed, height = _spread(each, *at), _spread(gap, *at)
        firm = torch.ones_like(height, dtype=torch.bool)
        return Pairs(
            points,
            torch.cat([_spread(self.skins.in_part(1, frame, bone, axis), *at) for axis in axes], 1),
            _spread(bone + JOINTS, *at).repeat(1, copies),
            height.repeat(1, copies),
            torch.cat((packed, *[aside * packed] * (copies - 1)), 1),
            torch.cat((firm, *[~firm] * (copies - 1)), 1),
            copies > 1,
            SOLVER.now.skins.contact_knee,
        )


def contacts(place: NearestPlaces, belief: Tensor, reach: float, most: int = 48) -> Pairs | None:
    """What draws parts that should touch to the partner's skin: firmly along its normal, less so across.

    Args:
        belief: (2, T, 24) that a part touches, 0 where it should not be drawn.
        reach: metres beyond which a part is left where it is: evidence and motion disagree too much.
    """
    skins = SOLVER.now.skins
    there = (place.near.distance < reach) & (belief > 0)[..., None]
    return place.pairs(there, belief / skins.contact**2, implied_distance(belief), most, skins.aside)


def kept_apart(place: NearestPlaces, unlikely: Tensor, most: int = 48) -> Pairs | None:
    """What keeps parts that should not touch from doing so by chance.

    Args:
        unlikely: (2, T, 24) weight of the belief that a part does not touch.
    """
    skins = SOLVER.now.skins
    gap = MESH.now.touch.even + skins.far * unlikely
    there = (place.near.distance < gap[..., None]) & (unlikely > 0)[..., None]
    there[..., 1:] = False  # the nearest place says it all
    return place.pairs(there, unlikely / skins.contact**2, gap, most, 0.0)


def implied_distance(probability: Tensor) -> Tensor:
    """Metres between skins that a probability of touch speaks of (``contact_probability`` turned round), 3 to 12 mm."""
    skins = SOLVER.now.skins
    odds = torch.logit(probability.clamp(*skins.implied_odds))
    return (MESH.now.touch.even - MESH.now.touch.width * odds).clamp(*skins.implied_range)


def tied_vertices(
    pairs: VertexPairs,
    goal: Tensor,
    weight: Tensor,
    skins: PosedSkins,
    frames: int,
    scale: float = float("inf"),
    slack: float = 0.0,
) -> Ties:
    """Ties between vertices of two people.

    Args:
        pairs: N of them. goal: (N, 3) and weight: (N,), scale and slack: see ``Ties``. frames: T.
    """
    return packed(torch.as_tensor(pairs.frame), _ends(pairs, skins), goal, weight, frames, scale, slack)


def apart_vertices(pairs: VertexPairs, gap: float, weight: Tensor, skins: PosedSkins, frames: int) -> Pairs:
    """Pairs of vertices of two people that are kept ``gap`` metres apart along the pairs' directions.

    Args:
        pairs, weight, frames: as for ``tied_vertices``. skins: as the pairs were found.
    """
    frame = torch.as_tensor(pairs.frame)
    index, column, columns = _packed(frame, weight, frames, len(frame))
    at = (frame[index], column, frames, columns)
    bone = skins.part[torch.as_tensor(pairs.b)]
    axis = skins.in_part(1, frame, bone, torch.as_tensor(pairs.direction))
    return Pairs(
        _spread_points([one.of(index) for one in _ends(pairs, skins)], *at),
        _spread(axis[index], *at),
        _spread((bone + JOINTS)[index], *at),
        _spread(torch.full_like(weight, gap)[index], *at),
        _spread(weight[index], *at),
        torch.ones(frames, columns, dtype=torch.bool),
        False,
        float("inf"),
    )


def _ends(pairs: VertexPairs, skins: PosedSkins) -> list[SkinnedPoints]:
    """Points (N,) of both people's vertices of pairs."""
    frame, a, b = (torch.as_tensor(one) for one in (pairs.frame, pairs.a, pairs.b))
    return [skins.points(0, frame, a), skins.points(1, frame, b)]
