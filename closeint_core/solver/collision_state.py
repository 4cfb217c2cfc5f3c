# SPDX-License-Identifier: Apache-2.0
"""Both people's skins as they stand: what is inside the partner and which way is out, what should touch or should not.

Only frames that have moved are looked at again; what is known of the others stays.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import max_pool1d, normalize

from closeint_core.body.torch_body import Skeleton, TorchBody
from closeint_core.mesh.inside import Inside, find_inside
from closeint_core.mesh.nearest_parts import NearParts, near_parts, skin_samples, vertex_rings
from closeint_core.solver.calibration import SOLVER
from closeint_core.solver.contacts import (
    NearestPlaces,
    PosedSkins,
    Spots,
    WatchedVertices,
    contacts,
    kept_apart,
    representatives,
    side_by_side,
    springs,
    watch,
)
from closeint_core.solver.pairs import Pairs
from closeint_core.solver.skinned_points import JOINTS, SkinnedPoints
from closeint_core.solver.terms import PairTerms

_TOGETHER = 17  # frames over which limbs are expected to be entangled or not
_LOWEST = 8  # vertices of a foot that are kept over the floor


class CollisionState:
    """The skins of one window of T frames.

    Args:
        body: on the device on which all is computed. terms: of the window; they get to know the lowest vertices.

    Attributes:
        at: (P, T, V, 3) as last looked at. depth: (T,) metres by which the deepest vertex is inside the partner.
        sunk: (T,) metres by which the lowest vertex of a foot is under the floor.
        found: vertices that are inside, or were and are still near.
        unsure: metres of depth over which it gets likely that the nearest way out is the wrong one.
    """

    def __init__(self, body: TorchBody, terms: PairTerms) -> None:
        self.body, self.terms = body, terms
        device = terms.device
        self.parts = torch.as_tensor(body.data.parts, dtype=torch.long, device=device)
        self.at = torch.zeros(terms.people, terms.frames, len(self.parts), 3, device=device)
        self.depth = torch.zeros(terms.frames, device=device)
        self.sunk = torch.zeros(terms.frames, device=device)
        self.unsure = SOLVER.now.skins.tangled_range
        self.found: WatchedVertices | None = None
        self._lowest_before: Tensor | None = None
        self._deepest = torch.zeros(2, JOINTS, terms.frames, device=device)  # of every part
        self._samples = skin_samples(body.data).to(device)
        self._ring = vertex_rings(body.data).to(device)
        self._feet = [
            torch.as_tensor(np.flatnonzero(np.isin(body.data.parts, foot)), device=device)
            for foot in ((7, 10), (8, 11))
        ]

    def posed(self, rotations: Tensor, transl: Tensor) -> Tensor:
        """(P, t, V, 3) skins of poses (P, t, 24, 3, 3) and places (P, t, 3)."""
        return self.body(rotations, self.terms.betas[:, None], transl).vertices

    def depths(self, rotations: Tensor, transl: Tensor) -> Tensor:
        """(t,) metres by which the deepest vertex of poses that are only tried is inside the partner."""
        inside = find_inside(self.posed(rotations, transl), self.body.faces)
        return _by_frame(inside, transl.shape[1])

    def look(self, rotations: Tensor, transl: Tensor, frames: Tensor) -> None:
        """Look at chosen frames (t,) again, as the bodies (P, T, ...) stand now."""
        rotations, transl = rotations[:, frames], transl[:, frames]
        skeleton = self.terms.skeleton(rotations, transl)
        vertices = self.body.skin(skeleton, self.terms.betas[:, None])
        self.at[:, frames] = vertices
        self._lowest(vertices, frames)
        if self.terms.people < 2:
            return
        inside = find_inside(vertices, self.body.faces)
        self.depth[frames] = _by_frame(inside, len(frames))
        found = self._way_out(inside, vertices, skeleton, frames)
        if self.found is not None:
            # What came out stays watched, so that it does not slide back in.
            known = torch.isin(self._key(self.found), self._key(found))
            moved = torch.isin(self.found.frame, frames)
            earlier = self.found.take(moved & ~known)
            found = WatchedVertices.join(
                [self.found.take(~moved), found, watch(earlier, self.at, self._samples, self._ring)]
            )  # fmt: skip
        self.found = found

    def near(self, reach: float) -> Tensor:
        """(T,) bool, frames in which boxes around the two come within ``reach`` metres."""
        low, high = self.at.amin(2) - reach, self.at.amax(2)
        return ((low[0] <= high[1]) & (low[1] <= high[0])).all(-1)

    def distances(self, rotations: Tensor, transl: Tensor) -> Tensor:
        """(2, t, 24) metres from each body part of posed bodies to the partner's skin, infinite where it is far."""
        return near_parts(self.posed(rotations, transl), self._samples).distance[..., 0]

    def pairs(
        self, frames: Tensor, skeleton: Skeleton, push: Tensor, pull: Tensor, belief: Tensor, doubt: Tensor | None,
        reach: float,
    ) -> list[tuple[str, Pairs]]:  # fmt: skip
        """Pairs of points that should touch, should not, or are to leave the partner, in chosen frames.

        Args:
            frames: (t,), of which ``skeleton`` is posed. push: (T,) weight of what is inside, pull: (T,) of what is
                drawn.
            belief: (2, T, 24) that a part touches, 0 where it is not to be drawn. doubt: (2, T, 24) that it does.
            reach: metres beyond which no part is drawn.
        """
        held = belief[:, frames] > 0
        wanted = held if doubt is None else held | (doubt[:, frames] > 0)
        vertices = self.at[:, frames]
        near = near_parts(vertices, self._samples, 3, wanted, liked=held)
        place = NearestPlaces(self.posed_skins(skeleton), near, self._normals(vertices, near))
        touching = contacts(place, belief[:, frames], reach)
        if touching is not None:
            touching = replace(touching, weight=touching.weight * pull[frames][:, None])
        drawn = {"contact": touching}
        if doubt is not None:
            drawn["apart"] = kept_apart(place, doubt[:, frames])
        drawn["separation"] = self._pushed_out(frames, push, skeleton, doubt)
        return [(name, pairs) for name, pairs in drawn.items() if pairs is not None]

    def pushed_out(self, push: Tensor, skeleton: Skeleton) -> list[tuple[str, Pairs]]:
        """Pairs of points that are to leave the partner, in all frames, of which ``skeleton`` is posed; push: (T,)."""
        every = torch.arange(self.terms.frames, device=push.device)
        pairs = self._pushed_out(every, push, skeleton, None)
        return [] if pairs is None else [("separation", pairs)]

    def _pushed_out(self, frames: Tensor, push: Tensor, skeleton: Skeleton, doubt: Tensor | None) -> Pairs | None:
        if self.found is None:
            return None
        row = torch.full_like(self.depth, -1, dtype=torch.long)
        row[frames] = torch.arange(len(frames), device=row.device)
        some = self.found.take(row[self.found.frame] >= 0)
        margin = torch.full_like(some.depth, SOLVER.now.skins.out)
        if doubt is not None:
            margin = margin + SOLVER.now.skins.away * doubt[some.person, some.frame, self.parts[some.vertex]]
        some.frame = row[some.frame]
        return springs(some, push[frames], self.posed_skins(skeleton), margin)

    def _lowest(self, vertices: Tensor, frames: Tensor) -> None:
        """The lowest vertices of each foot, now and before, are kept over the floor like the samples of the soles: a
        foot would otherwise tilt to and fro between the two."""
        found, lowest = [], []
        for foot in self._feet:
            height, index = vertices[:, :, foot, 2].topk(_LOWEST, -1, largest=False)
            found.append(foot[index])
            lowest.append(height.amin((0, 2)))
        self.sunk[frames] = -torch.minimum(*lowest).clamp(max=0)
        now = torch.cat(found, -1)  # (P, t, 2 * _LOWEST)
        if self._lowest_before is None:
            self._lowest_before = now.new_zeros(len(now), self.terms.frames, now.shape[-1])
            self._lowest_before[:, frames] = now
        chosen = torch.cat((now, self._lowest_before[:, frames]), -1)
        self._lowest_before[:, frames] = now
        who = torch.arange(len(chosen), device=chosen.device)[:, None, None].expand_as(chosen)
        one = self.terms.map.vertices(chosen.flatten(), self.terms.rest[who.flatten(), chosen.flatten()])
        points = SkinnedPoints(one.moments.unflatten(0, chosen.shape), one.weights.unflatten(0, chosen.shape))
        self.terms.watch_feet(points, frames)

    def _normals(self, vertices: Tensor, near: NearParts) -> Tensor:
        """(2, t, 24, C, 3) unit normals between two nearest places, outwards from the partner's skin."""
        frame = torch.arange(vertices.shape[1], device=vertices.device)[:, None, None, None]
        out = []
        for person in (0, 1):
            both = []
            for who, vertex in ((1 - person, near.other[person]), (person, near.own[person])):
                ring = self._ring[vertex]  # (t, 24, C, 6, 3) faces' corners
                corners = vertices[who, frame[..., None], ring]
                a, b, c = corners.unbind(-2)
                both.append(normalize(torch.linalg.cross(b - a, c - a).sum(-2), dim=-1))
            out.append(normalize(both[0] - both[1] + SOLVER.now.skins.tie_break * both[0], dim=-1))
        return torch.stack(out)

    def between(self, frame: Tensor, first: Tensor, second: Tensor) -> Tensor:
        """Unit normals (N, 3) between vertices ``first`` (N,) of person 0 and ``second`` (N,) of person 1 in frames
        (N,), outwards from person 1's skin, as last looked at."""
        each = []
        for person, vertex in ((1, second), (0, first)):
            a, b, c = self.at[person, frame[:, None, None], self._ring[vertex]].unbind(-2)
            each.append(normalize(torch.linalg.cross(b - a, c - a).sum(1), dim=-1))
        return normalize(each[0] - each[1] + SOLVER.now.skins.tie_break * each[0], dim=-1)

    def posed_skins(self, skeleton: Skeleton) -> PosedSkins:
        """The skins on a posed skeleton."""
        return PosedSkins(self.terms.map, self.rest_places(skeleton), self.parts, skeleton)

    def rest_places(self, skeleton: Skeleton) -> Tensor:
        """Rest vertices (P, V, 3), or (P, t, V, 3) where the pose changes them."""
        posedirs = self.body.posedirs
        if posedirs is None or skeleton.pose_feature is None:
            return self.terms.rest
        flat = skeleton.pose_feature @ posedirs.reshape(-1, posedirs.shape[-1]).T
        return self.terms.rest[:, None] + flat.unflatten(-1, (-1, 3))

    def _way_out(self, inside: Inside, vertices: Tensor, skeleton: Skeleton, frames: Tensor) -> WatchedVertices:
        index = representatives(inside, self.parts)
        person, frame, vertex = inside.person[index], inside.frame[index], inside.vertex[index]
        points = vertices[person, frame, vertex]
        corner = self.body.faces[inside.face[index]]
        corners = vertices[(1 - person)[:, None], frame[:, None], corner]
        normal = normalize(torch.linalg.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), dim=-1)
        middles = self.terms.sphere_centres(skeleton)
        spots = Spots(person, self.parts[vertex], frame, frames[frame], points)
        aside = side_by_side(spots, middles, self.terms.frames)
        # Where a limb sticks right through another, its vertices are nearest to opposite sides and their pushes
        # cancel: leaning every push away from the other limb's middle makes the whole limb leave by one side.
        lean = self._entangled(inside, frames)[person, self.parts[vertex], frames[frame]]
        direction = normalize(normal + SOLVER.now.skins.lean * lean[:, None] * aside, dim=-1)
        return WatchedVertices(
            frames[frame], person, vertex, corner, inside.barycentric[index], inside.depth[index].detach(), direction
        )

    def _key(self, found: WatchedVertices) -> Tensor:
        return (found.frame * 2 + found.person) * len(self.parts) + found.vertex

    def _entangled(self, inside: Inside, frames: Tensor) -> Tensor:
        """(2, 24, T) 0..1, how deep each part is in the partner around each frame: whether its nearest surface may be
        on the wrong side."""
        key = (inside.person * JOINTS + self.parts[inside.vertex]) * len(frames) + inside.frame
        deepest = torch.zeros(2 * JOINTS * len(frames), device=self.at.device)
        deepest = deepest.scatter_reduce(0, key, inside.depth.detach(), "amax")
        self._deepest[..., frames] = deepest.reshape(2, JOINTS, len(frames))
        around = max_pool1d(self._deepest.flatten(0, 1), _TOGETHER, 1, _TOGETHER // 2)
        return ((around.unflatten(0, (2, JOINTS)) - SOLVER.now.skins.tangled_from) / self.unsure).clamp(0, 1)


def _by_frame(inside: Inside, frames: int) -> Tensor:
    """(frames,) depth of the deepest vertex of every frame."""
    zero = torch.zeros(frames, device=inside.depth.device)
    return zero.scatter_reduce(0, inside.frame, inside.depth.detach(), "amax").clamp(min=0)
