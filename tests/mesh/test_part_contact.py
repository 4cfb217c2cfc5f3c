# SPDX-License-Identifier: Apache-2.0
"""Gaps between body parts against every vertex and face measured; contacts that do not flicker; scores."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.meshes import body, body_faces, posed_pairs, spheres

from closeint_core.mesh.closest import triangle_distance
from closeint_core.mesh.inside import find_inside
from closeint_core.mesh.part_contact import contact_scores, part_gaps, steady_contacts


def every_gap(vertices: torch.Tensor, faces: torch.Tensor, parts: torch.Tensor, reach: float) -> torch.Tensor:
    """Naive: all distances of one frame."""
    joints = int(parts.max()) + 1
    face_part = parts[faces].sort(1).values[:, 1]
    out = torch.full((joints, joints), reach, dtype=torch.float64)
    for person in (0, 1):
        corners = vertices[1 - person, 0][faces].double().permute(1, 2, 0)
        for vertex in range(vertices.shape[2]):
            point = vertices[person, 0, vertex].double()[:, None].expand(-1, len(faces))
            distance = triangle_distance(point, corners).sqrt()
            row = out[parts[vertex]] if person == 0 else out[:, parts[vertex]]
            row.scatter_reduce_(0, face_part, distance, "amin")
    inside = find_inside(vertices, faces)
    for person, vertex, face in zip(inside.person, inside.vertex, inside.face, strict=True):
        pair = (parts[vertex], face_part[face])
        out[pair if person == 0 else pair[::-1]] = 0
    return out


@pytest.mark.parametrize(("gap", "reach"), [(1.6, 0.3), (2.05, 0.2), (2.05, 0.04), (2.5, 0.3)])
def test_gaps_equal_all_distances(gap: float, reach: float) -> None:
    vertices, faces = spheres(gap, 2)
    # Parts are regions, as on a body, some of them small.
    seeds = torch.as_tensor(np.random.default_rng(0).normal(size=(9, 3)), dtype=torch.float32)
    parts = torch.cdist(vertices[0, 0], seeds).argmin(1)
    found = part_gaps(vertices, faces, parts, reach)
    assert torch.allclose(found[0].double(), every_gap(vertices, faces, parts, reach), atol=1e-6)


def test_gaps_of_bodies_do_not_depend_on_the_order_or_the_company() -> None:
    vertices, faces = posed_pairs(5, seed=1, apart=0.3), body_faces()
    parts = torch.as_tensor(body().parts, dtype=torch.int64)
    found = part_gaps(vertices, faces, parts)
    assert (found < 0.015).any()
    assert torch.allclose(part_gaps(vertices.flip(0), faces, parts), found.mT, atol=1e-6)
    assert torch.allclose(part_gaps(vertices[:, 3:4], faces, parts)[0], found[3], atol=1e-6)


def test_far_apart_nothing_touches() -> None:
    vertices, faces = spheres(20.0, 2)
    parts = torch.zeros(vertices.shape[2], dtype=torch.int64)
    assert part_gaps(vertices, faces, parts, 0.03).item() == pytest.approx(0.03)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.sampled_from([0.0, 0.01, 0.015, 0.02, 0.025, 0.03]), min_size=1, max_size=20))
def test_steady_contacts(values: list[float]) -> None:
    gaps = torch.tensor([[value, 0.03] for value in values], dtype=torch.float64)
    found = steady_contacts(gaps)
    expected = [value <= 0.015 for value in values]
    for order in (range(1, len(values)), range(len(values) - 2, -1, -1)):
        step = order.step
        for t in order:  # a contact spreads to its neighbours until the parts let go
            expected[t] = expected[t] or (expected[t - step] and values[t] < 0.025)
    assert found[:, 0].tolist() == expected
    assert not found[:, 1].any()
    assert torch.equal(steady_contacts(gaps.flip(0)).flip(0), found)


def test_scores() -> None:
    truth = torch.tensor([1, 1, 1, 0, 0], dtype=torch.bool)
    found = torch.tensor([1, 1, 0, 1, 0], dtype=torch.bool)
    scores = contact_scores(found, truth)
    assert (scores.precision, scores.recall) == pytest.approx((2 / 3, 2 / 3))
    assert scores.f1 == pytest.approx(2 / 3)
    nothing = torch.zeros(5, dtype=torch.bool)
    assert contact_scores(nothing, nothing).f1 == 1
    assert contact_scores(nothing, truth).recall == 0
    assert contact_scores(nothing, truth).f1 == 0
