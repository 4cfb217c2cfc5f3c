# SPDX-License-Identifier: Apache-2.0
"""Where parts of two skins are near each other, against all pairs of vertices."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial import cKDTree
from support.meshes import body, posed_pairs
from torch import Tensor

from closeint_core.body.data import PARENTS
from closeint_core.mesh.nearest_parts import NearParts, near_parts, skin_samples, vertex_rings

FRAMES = 3
NEAR = 0.05
"""Metres within which the answer has to be that of the nearest vertices, to a few millimetres."""


@pytest.fixture(scope="module")
def vertices() -> Tensor:
    return posed_pairs(FRAMES, seed=5, apart=0.32)


@pytest.fixture(scope="module")
def found(vertices: Tensor) -> NearParts:
    return near_parts(vertices, skin_samples(body()), 3)


def naive(vertices: Tensor) -> np.ndarray:
    """(2, T, 24) metres from each part's vertices to the partner's nearest vertex."""
    out = np.zeros((2, vertices.shape[1], 24))
    for t in range(vertices.shape[1]):
        for person in (0, 1):
            distance, _ = cKDTree(vertices[1 - person, t]).query(vertices[person, t])
            out[person, t] = [distance[body().parts == part].min() for part in range(24)]
    return out


def test_near_parts_are_those_of_all_pairs(vertices: Tensor, found: NearParts) -> None:
    expected, distance = naive(vertices), found.distance[..., 0].numpy()
    near = expected < NEAR
    assert near.sum() > 20
    assert (distance >= expected - 1e-5).all()
    assert (distance[near] - expected[near]).max() < 0.013  # samples are 5 cm apart
    assert np.median(distance[near] - expected[near]) < 0.003
    assert not np.isfinite(distance[expected > 0.4]).any()


def test_places_are_what_their_distance_says(vertices: Tensor, found: NearParts) -> None:
    person, frame, part, place = torch.nonzero(torch.isfinite(found.distance), as_tuple=True)
    own, other = found.own[person, frame, part, place], found.other[person, frame, part, place]
    apart = (vertices[person, frame, own] - vertices[1 - person, frame, other]).norm(dim=-1)
    torch.testing.assert_close(apart, found.distance[person, frame, part, place], rtol=0, atol=1e-6)
    parts = torch.as_tensor(body().parts)
    assert (parts[own] == part).all()


def test_only_what_is_wanted(vertices: Tensor, found: NearParts) -> None:
    wanted = torch.rand(2, FRAMES, 24, generator=torch.Generator().manual_seed(0)) < 0.4
    some = near_parts(vertices, skin_samples(body()), 3, wanted)
    assert not torch.isfinite(some.distance[~wanted]).any()
    torch.testing.assert_close(some.distance[wanted], found.distance[wanted])


def test_a_liked_part_prefers_a_liked_partner(vertices: Tensor, found: NearParts) -> None:
    """If only the partner's right hand and forearm are liked, the own liked part goes there from farther away."""
    parts = torch.as_tensor(body().parts)
    liked = torch.zeros(2, FRAMES, 24, dtype=torch.bool)
    person, frame, part = (int(x) for x in torch.nonzero(found.distance[..., 0] < 0.03)[0])
    chosen = int(parts[found.other[person, frame, part, 0]])
    # Places on the next parts are found around a sample too, so those are not liked either.
    beside = [other for other in range(24) if other == chosen or chosen == PARENTS[other] or other == PARENTS[chosen]]
    liked[person, frame, part] = True
    liked[1 - person, frame, [other for other in range(24) if other not in beside]] = True
    moved = near_parts(vertices, skin_samples(body()), 1, liked=liked, bias=10.0)
    assert int(parts[moved.other[person, frame, part, 0]]) != chosen
    assert moved.distance[person, frame, part, 0] > found.distance[person, frame, part, 0]
    same = near_parts(vertices, skin_samples(body()), 1, liked=torch.ones_like(liked), bias=10.0)
    torch.testing.assert_close(same.distance[..., 0], found.distance[..., 0])


def test_samples_cover_the_skin() -> None:
    data, samples = body(), skin_samples(body())
    assert (samples.part.numpy() == data.parts[samples.vertex.numpy()]).all()
    for part in range(24):
        mine = data.template[data.parts == part]
        chosen = data.template[samples.vertex.numpy()[samples.part.numpy() == part]]
        assert cKDTree(chosen).query(mine)[0].max() <= np.sqrt(3) * 0.05 + 1e-6
    assert (samples.around[:, 0] == samples.vertex).all()


def test_rings_are_the_faces_around() -> None:
    data, ring = body(), vertex_rings(body()).numpy()
    rng = np.random.default_rng(0)
    for vertex in rng.choice(data.num_vertices, 200, replace=False):
        around = {tuple(face) for face in data.faces[(data.faces == vertex).any(1)]}
        listed = {tuple(face) for face in ring[vertex]}
        assert listed <= around
        assert len(listed) == min(6, len(around))
