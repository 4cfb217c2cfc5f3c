# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import trimesh

from closeint_core.preview.rasterizer import Camera, render

CAMERA = Camera(np.array([[200.0, 0, 80], [0, 200, 60], [0, 0, 1]]), np.eye(3), np.zeros(3))


def sphere(centre: tuple[float, float, float], radius: float) -> trimesh.Trimesh:
    mesh = trimesh.creation.icosphere(4, radius=radius)
    mesh.apply_translation(centre)
    return mesh


def test_depth_equals_cast_rays():
    """Every pixel against trimesh's ray caster."""
    mesh = sphere((0.1, -0.05, 3.0), 0.7)
    vertices, faces = np.asarray(mesh.vertices), np.asarray(mesh.faces)
    _, depth = render(vertices, faces, np.ones_like(vertices), CAMERA, (160, 120))
    grid = np.stack(np.meshgrid(np.arange(160) + 0.5, np.arange(120) + 0.5), -1).reshape(-1, 2)
    rays = np.concatenate([(grid - [80, 60]) / 200, np.ones((len(grid), 1))], 1)
    points, ray, _ = mesh.ray.intersects_location(np.zeros_like(rays), rays, multiple_hits=True)
    expected = np.full(len(grid), np.inf)
    np.minimum.at(expected, ray, points[:, 2])
    drawn, cast = np.isfinite(depth.reshape(-1)), np.isfinite(expected)
    assert (drawn != cast).sum() <= 3  # rays that graze the outline
    both = drawn & cast
    assert both.sum() > 5000
    # Depth is interpolated linearly in the picture, exact to the size of a triangle.
    assert np.abs(depth.reshape(-1)[both] - expected[both]).max() < 2e-3


def test_the_nearer_body_hides_the_other():
    near, far = sphere((0, 0, 2.0), 0.3), sphere((0.1, 0, 4.0), 1.0)
    vertices = np.concatenate([near.vertices, far.vertices])
    faces = np.concatenate([near.faces, far.faces + len(near.vertices)])
    colours = np.zeros_like(vertices)
    colours[: len(near.vertices), 0] = 1
    colours[len(near.vertices) :, 2] = 1
    image, _ = render(vertices, faces, colours, CAMERA, (160, 120))
    assert image[60, 80, 0] > 0.3
    assert image[60, 80, 2] == 0
    assert image[60, 122, 2] > 0.1
    assert image[0, 0].sum() == 0


def test_big_and_small_triangles_alike():
    """A quad of two screen-filling triangles leaves no hole."""
    vertices = np.array([[-5, -5, 3], [5, -5, 3], [5, 5, 3], [-5, 5, 3]], float)
    _, depth = render(vertices, np.array([[0, 2, 1], [0, 3, 2]]), np.ones((4, 3)), CAMERA, (160, 120))
    assert np.allclose(depth, 3)


def test_what_is_behind_the_camera_is_not_drawn():
    mesh = sphere((0, 0, -3.0), 0.7)
    _, depth = render(np.asarray(mesh.vertices), np.asarray(mesh.faces), np.ones((642 * 4 - 6, 3)), CAMERA, (160, 120))
    assert not np.isfinite(depth).any()
