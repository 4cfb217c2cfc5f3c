# SPDX-License-Identifier: Apache-2.0
"""What is inside and what should touch, as pairs of points in every frame for ``pair_terms``."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import normalize

from closeint_core.body.torch_body import Skeleton
from closeint_core.physics.inside import Inside
from closeint_core.physics.pair_terms import Pairs
from closeint_core.physics.proximity import NearParts
from closeint_core.physics.riders import JOINTS, RideMap, Riders

_A_CLUSTER = 10  # vertices of a part inside the partner that stand for the whole part


@dataclass
class Found:
    """N vertices that are inside the partner and which way they are to leave.

    Attributes:
        frame, person, vertex, face: (N,). barycentric: (N, 3). depth: (N,) metres. direction: (N, 3) unit, world.
        weight: (N,).
    """

    frame: Tensor
    person: Tensor
    vertex: Tensor
    face: Tensor
    barycentric: Tensor
    depth: Tensor
    direction: Tensor
    weight: Tensor

    def __len__(self) -> int:
        return len(self.frame)

    def take(self, index: Tensor) -> Found:
        """Some of them."""
        return Found(**{name: getattr(self, name)[index] for name in self.__dataclass_fields__})

    @classmethod
    def join(cls, parts: list[Found]) -> Found:
        """All of several."""
        return cls(**{name: torch.cat([getattr(one, name) for one in parts]) for name in cls.__dataclass_fields__})


def representatives(inside: Inside, part: Tensor) -> tuple[Tensor, Tensor]:
    """Indices (n,) of vertices that stand for all that are inside, and their weights (n,).

    Of each part of each person in each frame the deepest and others at even steps of depth: one deep contact has
    thousands of vertices inside, and every part in contact counts once, not once a vertex.
    """
    key = (inside.frame * 2 + inside.person) * JOINTS + part[inside.vertex]
    order = torch.argsort(inside.depth.detach(), descending=True, stable=True)
    order = order[torch.argsort(key[order], stable=True)]
    _, cluster, counts = torch.unique_consecutive(key[order], return_inverse=True, return_counts=True)
    first = counts.cumsum(0) - counts
    rank = torch.arange(len(order), device=order.device) - first[cluster]
    size = counts[cluster]
    stride = torch.div(size + _A_CLUSTER - 1, _A_CLUSTER, rounding_mode="floor")
    chosen = rank % stride == 0
    stands_for = size.float() / torch.div(size + stride - 1, stride, rounding_mode="floor")
    weight = stands_for / size.float().clamp(min=20)
    return order[chosen], weight[chosen]


def side_by_side(
    inside: Inside, index: Tensor, part: Tensor, middles: Tensor, points: Tensor, frames: int, span: int = 17
) -> Tensor:
    """Unit directions (n, 3) from the middle of the partner's limb to the middle of one's own, steady over time.

    Args:
        index: (n,) which of ``inside``. middles: (2, T, S, 3) centres of both people's spheres. points: (n, 3) the
            vertices. span: frames over which a limb is expected to stay on one side.
    """
    person, frame = inside.person[index], inside.frame[index]
    out = []
    for start in range(0, len(index), 4096):
        some = slice(start, start + 4096)
        ends = []
        for whose in (person[some], 1 - person[some]):
            near = middles[whose, frame[some]]
            nearest = (near - points[some, None]).square().sum(-1).argmin(1)
            ends.append(near[torch.arange(len(nearest), device=near.device), nearest])
        out.append(normalize(ends[0] - ends[1], dim=-1))
    each = torch.cat(out) if out else points.new_zeros(0, 3)
    key = person * JOINTS + part[inside.vertex[index]]
    total = points.new_zeros(2 * JOINTS * frames, 3).index_add(0, key * frames + frame, each)
    total = total.reshape(2 * JOINTS, frames, 3).mT
    total = torch.nn.functional.avg_pool1d(total, span, 1, span // 2, count_include_pad=False).mT
    return normalize(total[key, frame], dim=-1)


def _packed(frame: Tensor, importance: Tensor, frames: int, most: int) -> tuple[Tensor, Tensor, int]:
    """Of N items, the ``most`` important of every frame: their indices, their column in it, and the columns in all."""
    order = torch.argsort(importance, descending=True, stable=True)
    order = order[torch.argsort(frame[order], stable=True)]
    counts = torch.bincount(frame, minlength=frames)
    column = torch.arange(len(order), device=frame.device) - (counts.cumsum(0) - counts)[frame[order]]
    kept = column < most
    return order[kept], column[kept], int(counts.clamp(max=most).max()) if len(frame) else 0


def _spread(value: Tensor, frame: Tensor, column: Tensor, frames: int, columns: int) -> Tensor:
    out = value.new_zeros(frames, columns, *value.shape[1:])
    out[frame, column] = value
    return out


def springs(
    found: Found, ride: RideMap, places: Tensor, faces: Tensor, part: Tensor, skeleton: Skeleton, frames: int,
    margin: float = 0.002, spread: float = 0.004, knee: float = 0.01, most: int = 128,
) -> Pairs | None:  # fmt: skip
    """What pushes found vertices out of the partner.

    Args:
        places: (2, V, 3) or (2, T, V, 3) rest vertices. skeleton: as the vertices were found.
        margin: metres by which they are to be outside.
    """
    if not len(found):
        return None
    index, column, columns = _packed(found.frame, found.depth, frames, most)
    found = found.take(index)
    frame, person = found.frame, found.person

    def place(who: Tensor, vertex: Tensor) -> Tensor:
        return places[who, vertex] if places.ndim == 3 else places[who, frame, vertex]

    vertex = ride.vertices(found.vertex, place(person, found.vertex))
    corner = faces[found.face]
    parts = [ride.vertices(corner[:, i], place(1 - person, corner[:, i])) for i in range(3)]
    share = found.barycentric.unbind(1)
    surface = Riders(
        sum((one.moments * w[:, None, None] for one, w in zip(parts, share, strict=True)), torch.zeros_like(vertex.moments)),
        sum((one.masses * w[:, None] for one, w in zip(parts, share, strict=True)), torch.zeros_like(vertex.masses)),
    )  # fmt: skip
    swap = (person == 1)
    first = Riders(torch.where(swap[:, None, None], surface.moments, vertex.moments),
                   torch.where(swap[:, None], surface.masses, vertex.masses))  # fmt: skip
    second = Riders(torch.where(swap[:, None, None], vertex.moments, surface.moments),
                    torch.where(swap[:, None], vertex.masses, surface.masses))  # fmt: skip
    axis = torch.where(swap[:, None], -found.direction, found.direction)
    # The way out turns with the partner's part.
    bone = part[corner[:, 0]]
    turned = skeleton.rotations[1 - person, frame, bone]
    axis = (turned.mT @ axis[..., None])[..., 0]
    at = (frame, column, frames, columns)
    weight = found.weight * (30 / spread**2)
    return Pairs(
        Riders(_spread(first.moments, *at), _spread(first.masses, *at)),
        Riders(_spread(second.moments, *at), _spread(second.masses, *at)),
        _spread(axis, *at),
        _spread(bone + JOINTS * (1 - person), *at),
        torch.full((frames, columns), margin, device=frame.device),
        _spread(weight, *at),
        False,
        knee,
    )


def contacts(
    near: NearParts, wanted: Tensor, ride: RideMap, places: Tensor, reach: float, most: int = 64,
    gap: float = 0.003, spread: float = 0.006,
) -> Pairs | None:  # fmt: skip
    """What draws parts that should touch to the partner's skin.

    Args:
        wanted: (2, T, 24) weight of the belief that a part touches. places: (2, V, 3) or (2, T, V, 3) rest vertices.
        reach: metres beyond which a part is left where it is: evidence and motion disagree too much.
    """
    frames = near.own.shape[1]
    there = (near.distance < reach) & (wanted > 0)[..., None]
    person, frame, part, place = torch.nonzero(there, as_tuple=True)
    if not len(person):
        return None
    count = there.sum(-1)[person, frame, part].float()
    weight = wanted[person, frame, part] / count / spread**2
    own, other = near.own[there], near.other[there]
    index, column, columns = _packed(frame, weight, frames, most)
    person, frame, weight, own, other = (x[index] for x in (person, frame, weight, own, other))
    first = torch.where(person == 0, own, other)
    second = torch.where(person == 0, other, own)

    def rest(who: int, vertex: Tensor) -> Tensor:
        return places[who, vertex] if places.ndim == 3 else places[who, frame, vertex]

    at = (frame, column, frames, columns)
    riders = []
    for who, vertex in ((0, first), (1, second)):
        one = ride.vertices(vertex, rest(who, vertex))
        riders.append(Riders(_spread(one.moments, *at), _spread(one.masses, *at)))
    return Pairs(
        riders[0],
        riders[1],
        torch.zeros(frames, columns, 3, device=frame.device),
        torch.zeros(frames, columns, dtype=torch.long, device=frame.device),
        torch.full((frames, columns), gap, device=frame.device),
        _spread(weight, *at),
        True,
        0.03,
    )
