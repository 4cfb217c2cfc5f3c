# SPDX-License-Identifier: Apache-2.0
"""What is inside and what should touch as pairs of points: against loops, and against where the points are."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pytest
import roma
import torch
from hypothesis import given
from hypothesis import strategies as st
from support.meshes import body, body_faces
from torch import Tensor
from torch.nn.functional import normalize

from closeint_core.body.skinning import lbs
from closeint_core.body.torch_body import TorchBody
from closeint_core.clip import InteractionClip
from closeint_core.mesh.contact_probability import contact_probability
from closeint_core.mesh.inside import Inside, find_inside
from closeint_core.mesh.nearest_parts import near_parts, skin_samples, vertex_rings
from closeint_core.solver.contacts import (
    NearestPlaces,
    PosedSkins,
    Spots,
    WatchedVertices,
    contacts,
    fair_shares,
    implied_distance,
    kept_apart,
    representatives,
    side_by_side,
    springs,
    watch,
)
from closeint_core.solver.pairs import Pairs, Weights
from closeint_core.solver.skinned_points import JOINTS, SkinningMap, parts_of
from closeint_core.solver.terms import PairTerms

FRAMES = 2
BODY = TorchBody(body())
PARTS = torch.as_tensor(body().parts, dtype=torch.long)


class Pair:
    """Two bodies in random poses, a little inside each other (synthetic)."""

    def __init__(self) -> None:
        rng = np.random.default_rng(4)
        poses = rng.normal(0, 0.2, (2, FRAMES, 24, 3)).astype(np.float32)
        poses[:, :, 0] *= 0.2
        poses[1, :, 0, 1] += np.pi
        transl = np.zeros((2, FRAMES, 3), np.float32)
        transl[1, :, 2] = 0.24
        self.rotations, self.transl = roma.rotvec_to_rotmat(torch.as_tensor(poses)), torch.as_tensor(transl)
        self.betas = torch.zeros(2, 10)
        self.skeleton = BODY.skeleton(self.rotations, self.betas[:, None], self.transl)
        self.vertices = torch.as_tensor(lbs(body(), poses, np.zeros((2, 1, 10), np.float32), transl)[0])
        self.rest = BODY.rest_vertices(self.betas)
        self.inside = find_inside(self.vertices, body_faces())
        self.map = SkinningMap(BODY)

    def skins(self) -> PosedSkins:
        return PosedSkins(self.map, self.rest, PARTS, self.skeleton)

    def found(self) -> WatchedVertices:
        """What is inside, to leave along the nearest face's normal."""
        at = self.inside
        corner = body_faces()[at.face]
        corners = self.vertices[(1 - at.person)[:, None], at.frame[:, None], corner]
        way = torch.linalg.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        return WatchedVertices(at.frame, at.person, at.vertex, corner, at.barycentric, at.depth, normalize(way, dim=-1))

    def place(self, frame_parts: int = 1) -> NearestPlaces:
        """What contacts need, with normals that point from one nearest vertex to the other."""
        near = near_parts(self.vertices, skin_samples(body()), frame_parts)
        when = torch.arange(FRAMES)[:, None, None]
        away = []
        for person in (0, 1):
            ends = self.vertices[person, when, near.own[person]], self.vertices[1 - person, when, near.other[person]]
            away.append(normalize(ends[0] - ends[1] + 1e-6, dim=-1))
        return NearestPlaces(self.skins(), near, torch.stack(away))


@pytest.fixture(scope="module")
def pair() -> Pair:
    made = Pair()
    assert len(made.inside) > 100
    return made


def points_of(pair: Pair, pairs: Pairs) -> tuple[Tensor, Tensor, Tensor]:
    """(T, K, 3) places of both points of pairs and the direction between them, in the world."""
    first, second = parts_of(pair.skeleton, pairs.points).sum(-2)
    when = torch.arange(FRAMES)[:, None]
    turned = pair.skeleton.rotations[pairs.joint // JOINTS, when, pairs.joint % JOINTS]
    return first, second, (turned @ pairs.axis[..., None])[..., 0]


def test_representatives_against_a_loop(pair: Pair) -> None:
    at = pair.inside
    groups = defaultdict(list)
    for index in range(len(at)):
        groups[int(at.frame[index]), int(at.person[index]), int(PARTS[at.vertex[index]])].append(index)
    expected = set()
    for members in groups.values():
        members.sort(key=lambda index: -float(at.depth[index]))
        expected |= set(members[:: -(-len(members) // 10)])
    chosen = representatives(at, PARTS)
    assert set(chosen.tolist()) == expected
    assert len(chosen) == len(expected)
    for members in groups.values():  # the deepest of each part is always among them
        assert max(members, key=lambda index: float(at.depth[index])) in expected


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 1), st.integers(0, 4)), min_size=1, max_size=60))
def test_fair_shares_against_counting(rows: list[tuple[int, int, int]]) -> None:
    frame, person, vertex = (torch.tensor([row[k] for row in rows]) for k in range(3))
    count = len(rows)
    found = WatchedVertices(frame, person, vertex, torch.zeros(count, 3).long(), torch.zeros(count, 3),
                  torch.ones(count), torch.zeros(count, 3))  # fmt: skip
    part = torch.tensor([0, 0, 1, 1, 2])
    keys = [(t, p, int(part[v])) for t, p, v in rows]
    expected = torch.tensor([1.0 / max(keys.count(key), 4) for key in keys])
    torch.testing.assert_close(fair_shares(found, part), expected)


def test_springs_join_vertices_to_the_skin_they_are_to_leave(pair: Pair) -> None:
    found = pair.found()
    push = torch.tensor([1.0, 2.5])
    margin = torch.linspace(0.001, 0.003, len(found))
    pairs = springs(found, push, pair.skins(), margin, most=10_000)
    assert pairs is not None
    first, second, axis = points_of(pair, pairs)
    height = ((first - second) * axis).sum(-1)
    there = pairs.weight > 0
    assert int(there.sum()) == len(found)
    # As found, every vertex is as far below the skin as it is deep (the nearest point is along the face's normal but
    # at edges, where it is nearer along it).
    for frame in range(FRAMES):
        mine = found.frame == frame
        depth = found.depth[mine].sort(descending=True).values
        torch.testing.assert_close((first - second).norm(dim=-1)[frame][there[frame]], depth, atol=2e-5, rtol=1e-3)
        assert (-height[frame][there[frame]] <= depth + 2e-5).all()
        assert (height[frame][there[frame]] / depth).median() < -0.95
        order = torch.argsort(found.depth[mine], descending=True, stable=True)
        expected = fair_shares(found, PARTS)[mine] * push[frame] * 30 / 0.004**2
        torch.testing.assert_close(pairs.weight[frame][there[frame]], expected[order])
        torch.testing.assert_close(pairs.goal[frame][there[frame]], margin[mine][order])
    assert not pairs.pull
    few = springs(found, push, pair.skins(), margin, most=5)
    assert few is not None
    assert few.weight.shape == (FRAMES, 5)
    deepest = [float(found.depth[found.frame == frame].sort(descending=True).values[4]) for frame in range(FRAMES)]
    ends = points_of(pair, few)
    assert ((ends[0] - ends[1]).norm(dim=-1).amin(1) >= torch.tensor(deepest) - 2e-5).all()
    empty = found.take(torch.zeros(0, dtype=torch.long))
    assert springs(empty, push, pair.skins(), margin[:0]) is None


def test_contacts_join_the_nearest_places(pair: Pair) -> None:
    place = pair.place()
    belief = torch.zeros(2, FRAMES, 24)
    belief[0, :, [3, 9]] = 0.9
    belief[1, 0, 6] = 0.7
    pairs = contacts(place, belief, 0.15)
    assert pairs is not None
    assert pairs.pull
    first, second, axis = points_of(pair, pairs)
    count = pairs.weight.shape[1] // 3
    wanted = (belief > 0) & (place.near.distance[..., 0] < 0.15)
    assert int((pairs.weight[:, :count] > 0).sum()) == int(wanted.sum())
    for frame in range(FRAMES):
        there = pairs.weight[frame, :count] > 0
        apart = (first - second)[frame, :count].norm(dim=-1)[there]
        near = place.near.distance[:, frame, :, 0][wanted[:, frame]]
        torch.testing.assert_close(apart.sort().values, near.sort().values, atol=1e-5, rtol=1e-3)
        # The first axis goes from the partner's skin outwards, the other two across it, a tenth as firmly.
        height = ((first - second) * axis).sum(-1)[frame]
        torch.testing.assert_close(height[:count][there], apart, atol=2e-5, rtol=1e-3)
        across = height[count:].reshape(2, count)[:, there]
        assert across.abs().max() < 1e-5
        weight = pairs.weight[frame].reshape(3, count)[:, there]
        torch.testing.assert_close(weight[1], 0.1 * weight[0])
    assert pairs.firm[:, :count].all()
    assert not pairs.firm[:, count:].any()
    assert contacts(place, torch.zeros_like(belief), 0.15) is None


def test_what_should_not_touch_is_only_pushed(pair: Pair) -> None:
    place = pair.place(3)
    for sure, gap in ((1.0, 0.032), (0.5, 0.026)):
        pairs = kept_apart(place, torch.full((2, FRAMES, 24), sure), most=1000)
        assert pairs is not None
        assert not pairs.pull
        near = place.near.distance[..., 0] < gap
        assert int((pairs.weight > 0).sum()) == int(near.sum())
        torch.testing.assert_close(pairs.goal[pairs.weight > 0], torch.full((int(near.sum()),), gap))


def test_what_came_out_is_watched_until_it_is_far(pair: Pair) -> None:
    found, samples, ring = pair.found(), skin_samples(body()), vertex_rings(body())
    parted = pair.vertices.clone()
    parted[1, :, :, 2] += 1.0
    assert len(watch(found, parted, samples, ring)) == 0
    parted = pair.vertices.clone()
    parted[1, :, :, 2] += float(pair.inside.depth.max()) + 0.004
    seen = watch(found, parted, samples, ring)
    assert 0 < len(seen) <= len(found)
    points = parted[seen.person, seen.frame, seen.vertex]
    skins = parted[1 - seen.person, seen.frame]
    gap = (points[:, None] - skins).norm(dim=-1).amin(1)
    assert gap.max() < 0.025 + 1e-6
    # The depth is the height under the plane at the nearest vertex: never more than the way to it.
    assert (seen.depth.abs() <= gap + 0.01).all()
    torch.testing.assert_close(seen.direction.norm(dim=-1), torch.ones(len(seen)))
    place = parted[(1 - seen.person)[:, None], seen.frame[:, None], seen.corner]
    anchor = (place * seen.barycentric[..., None]).sum(1)
    torch.testing.assert_close(((points - anchor) * seen.direction).sum(-1), -seen.depth, atol=1e-5, rtol=1e-3)


def test_the_watched_place_is_the_nearest_around_the_nearest_sample(pair: Pair) -> None:
    found, samples = pair.found(), skin_samples(body())
    seen = watch(found, pair.vertices, samples, vertex_rings(body()))
    rows = {(int(p), int(t), int(v)): int(c[0]) for p, t, v, c in zip(
        seen.person, seen.frame, seen.vertex, seen.corner, strict=True)}  # fmt: skip
    assert rows
    for (person, frame, vertex), place in rows.items():
        point, partner = pair.vertices[person, frame, vertex].double(), pair.vertices[1 - person, frame].double()
        sample = (partner[samples.vertex] - point).norm(dim=-1).argmin()
        near = (partner[samples.around[sample]] - point).norm(dim=-1)
        assert (partner[place] - point).norm() == pytest.approx(float(near.min()), abs=1e-6)


def test_frames_without_a_pair_can_be_left_out(pair: Pair) -> None:
    push = torch.tensor([0.0, 1.0])
    all_frames = springs(pair.found(), push, pair.skins(), torch.full((len(pair.found()),), 0.002))
    assert all_frames is not None
    fewer = all_frames.in_use()
    assert fewer.frames is not None
    assert fewer.frames.tolist() == [1]
    assert fewer.in_use() is fewer
    clip = InteractionClip(
        poses=roma.rotmat_to_rotvec(pair.rotations).numpy(), transl=pair.transl.numpy(), betas=np.zeros((2, 10)),
        body=BODY.data.name, fps=30.0, image_size=np.array([64, 64]), camera_K=np.eye(3)[None],
        camera_R=np.eye(3)[None], camera_t=np.array([[0.0, 0.0, 4.0]]),
        keypoints2d=np.full((2, FRAMES, 26, 3), np.nan), visible=np.ones((2, FRAMES), bool),
        contacts=np.zeros((2, FRAMES, 24)), foot_contacts=np.zeros((2, FRAMES, 2)),
    )  # fmt: skip
    terms = PairTerms(BODY, clip, None)
    one, other = (
        terms.evaluate(pair.rotations, pair.transl, Weights(), [("separation", pairs)]) for pairs in (all_frames, fewer)
    )
    torch.testing.assert_close(one[0]["separation"], other[0]["separation"])
    assert float(one[0]["separation"][1]) > 0
    torch.testing.assert_close(one[1].slope, other[1].slope)
    torch.testing.assert_close(one[1].blocks(), other[1].blocks())


def test_limbs_are_told_apart_by_their_middles() -> None:
    """Two limbs that cross: each is pushed to the side on which its middle is, in all frames alike."""
    frames = 20
    middles = torch.zeros(2, frames, 1, 3)
    middles[0, :, 0, 0], middles[1, :, 0, 0] = 0.02, -0.02
    middles[0, 7, 0, 0] = -0.05  # for one frame it is on the other side
    person, row = torch.zeros(frames).long(), torch.arange(frames)
    points = torch.zeros(frames, 3)
    part = torch.full((frames,), 20)
    way = side_by_side(Spots(person, part, row, row, points), middles, frames)
    torch.testing.assert_close(way, torch.tensor([1.0, 0, 0]).expand(frames, 3))
    other = side_by_side(Spots(1 - person, part, row, row, points), middles, frames)
    torch.testing.assert_close(other, -way)
    alone = side_by_side(Spots(person, part, row, row, points), middles, frames, span=1)
    assert alone[7, 0] == -1
    none = Spots(person[:0], part[:0], row[:0], row[:0], points[:0])
    assert len(side_by_side(none, middles, frames)) == 0


@given(st.floats(0.0031, 0.0119))
def test_a_probability_speaks_of_the_distance_it_came_from(distance: float) -> None:
    probability = torch.as_tensor(contact_probability(np.array([distance])))
    torch.testing.assert_close(implied_distance(probability), torch.tensor([distance]), atol=2e-5, rtol=0)
    assert implied_distance(torch.tensor([1e-6]))[0] == pytest.approx(0.012)
    assert implied_distance(torch.tensor([1.0]))[0] == pytest.approx(0.003)


def test_inside_of_nothing() -> None:
    none = torch.zeros(0, dtype=torch.long)
    empty = Inside(none, none, none, none, torch.zeros(0, 3), torch.zeros(0))
    assert len(representatives(empty, PARTS)) == 0
