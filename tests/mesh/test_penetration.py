# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
import trimesh

from closeint_core.mesh.calibration import MESH
from closeint_core.mesh.contact_probability import contact_probability, part_distances
from closeint_core.mesh.penetration import measure_penetration, vertices_inside


def spheres(gap: float) -> tuple[np.ndarray, np.ndarray]:
    mesh = trimesh.creation.icosphere(5)
    vertices = np.stack([mesh.vertices, mesh.vertices + [gap, 0, 0]])
    return vertices, np.asarray(mesh.faces)


@pytest.mark.parametrize("gap", [0.5, 1.5, 1.9])
def test_depth_of_overlapping_spheres(gap):
    vertices, faces = spheres(gap)
    found = measure_penetration(vertices[:, None], faces)
    # The deepest point of one sphere lies |1 - gap| from the other centre.
    assert found.max_depth[0] == pytest.approx(1 - abs(1 - gap), rel=0.01)


def test_separate_spheres_do_not_penetrate():
    vertices, faces = spheres(2.01)
    found = measure_penetration(vertices[:, None], faces)
    assert found.max_depth[0] == found.mean_depth[0] == 0


def test_inside_set_equals_a_ray_test():
    rng = np.random.default_rng(0)
    mesh = trimesh.creation.torus(1.0, 0.35)
    points = rng.uniform(-1.5, 1.5, (4000, 3))
    found = vertices_inside(points, np.asarray(mesh.vertices), np.asarray(mesh.faces))
    assert set(found.vertices) == set(np.flatnonzero(mesh.contains(points)))
    _, distance, _ = trimesh.proximity.closest_point(mesh, points[found.vertices])
    assert np.abs(found.depths - distance).max() < 1e-6


def test_part_distances_against_all_pairs():
    rng = np.random.default_rng(1)
    vertices = rng.normal(0, 0.05, (2, 3, 200, 3)).astype(np.float32)
    vertices[1, :, :, 0] += 0.15
    vertices[1, 2, :, 0] += 5
    parts = rng.integers(0, 24, 200)
    found = part_distances(vertices, parts)
    for person in (0, 1):
        for t in range(3):
            every = np.linalg.norm(vertices[person, t][:, None] - vertices[1 - person, t], axis=-1).min(1)
            for part in range(24):
                expected = min(every[parts == part].min(initial=MESH.now.touch.reach), MESH.now.touch.reach)
                assert found[person, t, part] == pytest.approx(expected, abs=1e-6)


def test_contact_fades_with_distance():
    probability = contact_probability(np.array([0.0, 0.02, MESH.now.touch.reach]))
    assert probability[0] > 0.99
    assert probability[1] == pytest.approx(0.5)
    assert probability[2] < 0.01
