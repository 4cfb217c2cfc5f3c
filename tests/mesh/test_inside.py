# SPDX-License-Identifier: Apache-2.0
"""Exact inside sets, certain nearest faces, true gradients; bodies that are hard to tell apart."""

from __future__ import annotations

import igl
import numpy as np
import pytest
import torch
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st
from support.meshes import body, body_faces, posed_pairs, spheres
from torch import Tensor

from closeint_core.errors import CloseintError
from closeint_core.mesh.closest import triangle_distance, triangle_weights
from closeint_core.mesh.inside import Below, Inside, depth_below, find_inside
from closeint_core.mesh.patches import cut


def of(inside: Inside, frame: int, person: int) -> Tensor:
    return (inside.frame == frame) & (inside.person == person)


@pytest.fixture(scope="module")
def pairs() -> tuple[Tensor, Inside]:
    vertices = posed_pairs(20, seed=0)
    return vertices, find_inside(vertices, body_faces())


@pytest.mark.parametrize("gap", [0.3, 0.7, 1.5, 1.9])
def test_depth_of_spheres(gap: float) -> None:
    vertices, faces = spheres(gap)
    found = find_inside(vertices, faces)
    # The deepest point of either lies |1 - gap| from the other's centre.
    assert found.depth.max().item() == pytest.approx(1 - abs(1 - gap), rel=0.01)
    point = vertices[found.person, 0, found.vertex]
    centre = vertices[:, 0].mean(1)[1 - found.person]
    assert (found.depth - (1 - (point - centre).norm(dim=1))).abs().max() < 2e-3


def test_inside_sets_equal_winding_numbers_of_every_vertex(pairs: tuple[Tensor, Inside]) -> None:
    vertices, found = pairs
    assert len(found) > 1000
    for t in range(vertices.shape[1]):
        for person in (0, 1):
            mine, other = vertices[person, t].double().numpy(), vertices[1 - person, t].double().numpy()
            truth = np.flatnonzero(igl.fast_winding_number(other, body().faces.astype(np.int64), mine) > 0.5)
            assert np.array_equal(found.vertex[of(found, t, person)].numpy(), truth)


def ray_test(vertices: Tensor, frame: int, person: int, asked: np.ndarray) -> np.ndarray:
    mesh = trimesh.Trimesh(vertices[1 - person, frame].double().numpy(), body().faces, process=False)
    return asked[mesh.contains(vertices[person, frame, asked].double().numpy())]


def test_inside_sets_equal_trimesh_rays(pairs: tuple[Tensor, Inside]) -> None:
    """On a sample of every pair: vertices inside, and as many outside that are nearest to those."""
    vertices, found = pairs
    rng = np.random.default_rng(1)
    for t in range(vertices.shape[1]):
        person = t % 2
        inside = found.vertex[of(found, t, person)].numpy()
        if not len(inside):
            continue
        at = vertices[person, t].numpy()
        outside = np.setdiff1d(np.arange(len(at)), inside)
        near = outside[np.argsort(np.linalg.norm(at[outside] - at[inside].mean(0), axis=1))[:12]]
        asked = np.union1d(rng.choice(inside, min(12, len(inside)), replace=False), near)
        assert np.array_equal(ray_test(vertices, t, person, asked), np.intersect1d(asked, inside))


@pytest.mark.slow
def test_inside_sets_equal_trimesh_rays_of_every_vertex(pairs: tuple[Tensor, Inside]) -> None:
    vertices, found = pairs
    for t in range(vertices.shape[1]):
        for person in (0, 1):
            truth = ray_test(vertices, t, person, np.arange(vertices.shape[2]))
            assert np.array_equal(truth, found.vertex[of(found, t, person)].numpy())


def test_depths_equal_every_triangle_measured(pairs: tuple[Tensor, Inside]) -> None:
    vertices, found = pairs
    faces = body_faces()
    sample = torch.as_tensor(np.random.default_rng(2).choice(len(found), 200, replace=False))
    for i in sample.tolist():
        frame, person = int(found.frame[i]), int(found.person[i])
        corners = vertices[1 - person, frame][faces].double().permute(1, 2, 0)
        point = vertices[person, frame, found.vertex[i]].double()
        truth = triangle_distance(point[:, None].expand(-1, len(faces)), corners).min().sqrt()
        assert abs(found.depth[i].item() - truth.item()) < 1e-6


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**31), st.sampled_from([1.0, 1e-3, 0.0]))
def test_triangle_distance_equals_libigl(seed: int, thickness: float) -> None:
    rng = np.random.default_rng(seed)
    corners = rng.normal(size=(50, 3, 3))
    corners[:, 2] = (
        corners[:, 0]
        + rng.uniform(-1, 2, (50, 1)) * (corners[:, 1] - corners[:, 0])
        + thickness * (corners[:, 2] - corners[:, 0])
    )
    points = rng.normal(size=(50, 3))
    at, triangle = torch.as_tensor(points.T), torch.as_tensor(corners.transpose(1, 2, 0))
    distance, weights = triangle_distance(at, triangle), triangle_weights(at, triangle)
    # libigl has no answer for triangles without an area: there the nearest of many points of the triangle bounds it.
    assert (weights >= 0).all()
    assert torch.allclose(weights.sum(0), torch.ones(50, dtype=torch.float64))
    met = ((weights[:, None] * triangle).sum(0) - at).square().sum(0)
    assert torch.allclose(met, distance, atol=1e-9)
    mix = rng.dirichlet([0.5, 0.5, 0.5], 400)
    cloud = np.einsum("kc,ncx->nkx", mix, corners)
    assert (np.square(cloud - points[:, None]).sum(-1).min(1) >= distance.numpy() - 1e-9).all()
    if thickness == 1.0:
        for i in range(50):
            truth = igl.point_mesh_squared_distance(points[i : i + 1], corners[i].copy(), np.array([[0, 1, 2]]))[0]
            assert distance[i].item() == pytest.approx(float(np.ravel(truth)[0]), abs=1e-9)


def test_gradients_equal_differences(pairs: tuple[Tensor, Inside]) -> None:
    """The depth found anew after a step, so the nearest face and the point on it may move."""
    faces = body_faces()
    vertices = pairs[0][:, 2:4].double().requires_grad_()
    found = find_inside(vertices, faces)
    assert len(found) > 50
    deep = found.depth.detach() > 2e-3  # no vertex crosses the skin on the way
    rng = torch.Generator().manual_seed(0)
    for _ in range(4):
        # Over all vertices, kinks (the middle between two faces) are too few to matter.
        weight = torch.rand(len(found), generator=rng, dtype=torch.float64) * deep
        gradient = torch.autograd.grad((weight * found.depth).sum(), vertices, retain_graph=True)[0]
        way = torch.randn(vertices.shape, generator=rng, dtype=torch.float64)
        for person in (0, 1):  # of either body alone
            step = torch.zeros_like(way)
            step[person] = 1e-6 * way[person]
            values = []
            for sign in (1, -1):
                moved = find_inside((vertices + sign * step).detach(), faces)
                key = lambda one: (one.frame * 2 + one.person) * vertices.shape[2] + one.vertex  # noqa: E731
                where = torch.searchsorted(key(moved), key(found)[deep])
                values.append((weight[deep] * moved.depth[where]).sum())
            difference = (values[0] - values[1]) / 2
            assert difference.item() == pytest.approx((gradient * step).sum().item(), rel=0.01)


def test_gradient_on_the_surface_is_finite() -> None:
    vertices, faces = spheres(1.0, 1)
    vertices = vertices.clone().requires_grad_()
    zero = torch.zeros(1, dtype=torch.long)
    with torch.no_grad():
        vertices[0, 0, 0] = vertices[1, 0, faces[0]].mean(0)
    depth = depth_below(vertices, faces, Below(zero, zero, zero, zero, torch.full((1, 3), 1 / 3)))
    depth.sum().backward()
    assert vertices.grad is not None
    assert torch.isfinite(vertices.grad).all()
    assert vertices.grad[0, 0, 0].norm().item() == pytest.approx(1, rel=1e-4)


def test_frames_and_people_do_not_mix(pairs: tuple[Tensor, Inside]) -> None:
    vertices, found = pairs
    for t in (0, 7):
        alone = find_inside(vertices[:, t : t + 1], body_faces())
        turned = find_inside(vertices[:, t : t + 1].flip(0), body_faces())
        for person in (0, 1):
            rows = of(found, t, person)
            assert torch.equal(found.vertex[rows], alone.vertex[alone.person == person])
            assert torch.equal(found.vertex[rows], turned.vertex[turned.person == 1 - person])
            assert torch.allclose(found.depth[rows], alone.depth[alone.person == person], atol=1e-6)


def test_where_the_pair_stands_does_not_matter() -> None:
    vertices = posed_pairs(1, seed=3).double()
    found = find_inside(vertices, body_faces())
    moved = find_inside(vertices + torch.tensor([300.0, -200.0, 50.0]).double(), body_faces())
    assert torch.equal(found.vertex, moved.vertex)
    assert torch.allclose(found.depth, moved.depth, atol=1e-6)


def test_far_apart_nothing_is_inside() -> None:
    vertices = posed_pairs(2, seed=0, apart=10.0)
    assert len(find_inside(vertices, body_faces())) == 0


def test_coincident_bodies() -> None:
    """Every vertex is on the other's skin: whatever is said to be inside is not deep, and finite."""
    vertices = posed_pairs(1, seed=0)[:1].expand(2, -1, -1, -1).clone().requires_grad_()
    found = find_inside(vertices, body_faces())
    assert (found.depth.abs() < 1e-5).all()
    if len(found):
        found.depth.sum().backward()
        assert torch.isfinite(vertices.grad).all()


def test_a_body_wholly_inside() -> None:
    vertices, faces = spheres(0.0, 3)
    vertices = vertices.clone()
    vertices[1] *= 0.4
    found = find_inside(vertices, faces)
    assert torch.equal(found.vertex, torch.arange(vertices.shape[2]))
    assert (found.person == 1).all()


def test_overlapping_skin_is_inside_once_more() -> None:
    """Two nested shells facing outwards enclose the middle twice; a ray's parity would call it outside."""
    mesh = trimesh.creation.icosphere(3)
    shells = np.concatenate([mesh.vertices, 0.5 * mesh.vertices])
    faces = torch.as_tensor(np.concatenate([mesh.faces, mesh.faces + len(mesh.vertices)]))
    vertices = torch.as_tensor(np.stack([shells, 0.2 * shells]), dtype=torch.float32)[:, None]
    found = find_inside(vertices, faces)
    assert int((found.person == 1).sum()) == len(shells)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_no_number_is_refused(bad: float) -> None:
    vertices, faces = spheres(1.0, 1)
    vertices[1, 0, 5, 1] = bad
    with pytest.raises(CloseintError):
        find_inside(vertices, faces)


@settings(deadline=None, max_examples=20)
@given(st.integers(1, 4), st.integers(1, 40))
def test_patches_hold_every_face_and_vertex_once(detail: int, size: int) -> None:
    mesh = trimesh.creation.icosphere(detail)
    faces = torch.as_tensor(np.asarray(mesh.faces))
    patches = cut(faces, torch.as_tensor(mesh.vertices), size)
    assert torch.equal(patches.members[patches.real].sort().values, torch.arange(len(faces)))
    assert torch.equal(patches.points[patches.own].sort().values, torch.arange(len(mesh.vertices)))
    assert len(patches.members) & (len(patches.members) - 1) == 0
