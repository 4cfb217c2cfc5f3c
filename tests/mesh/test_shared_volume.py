# SPDX-License-Identifier: Apache-2.0
"""The shared volume, against the lens of two spheres and against boxes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import trimesh
from support.meshes import body_faces, posed_pairs, spheres

from closeint_core.mesh.inside import find_inside
from closeint_core.mesh.shared_volume import shared_volume


@pytest.mark.parametrize("gap", [0.3, 1.0, 1.5, 1.8])
def test_volume_of_spheres(gap: float) -> None:
    vertices, faces = spheres(gap)
    found = shared_volume(vertices, faces, find_inside(vertices, faces))
    assert found.item() == pytest.approx(np.pi * (4 + gap) * (2 - gap) ** 2 / 12, rel=0.01)


def test_volume_frame_by_frame() -> None:
    parts = [spheres(gap, 4) for gap in (1.0, 3.0, 1.6)]
    vertices, faces = torch.cat([part[0] for part in parts], 1), parts[0][1]
    found = shared_volume(vertices, faces, find_inside(vertices, faces))
    alone = [shared_volume(part, faces, find_inside(part, faces)).item() for part, _ in parts]
    assert found.tolist() == pytest.approx(alone)
    assert found[1] == 0


def test_volume_of_boxes() -> None:
    mesh = trimesh.creation.box((1, 1, 1)).subdivide_loop(0)
    for _ in range(5):
        mesh = mesh.subdivide()
    vertices = torch.as_tensor(np.stack([mesh.vertices, mesh.vertices + [0.6, 0.3, -0.2]]))[:, None]
    faces = torch.as_tensor(np.asarray(mesh.faces))
    found = shared_volume(vertices, faces, find_inside(vertices, faces))
    assert found.item() == pytest.approx(0.4 * 0.7 * 0.8, rel=0.03)  # flat sides: a ray is in or out


def test_both_orders_of_the_pair_agree() -> None:
    vertices = posed_pairs(1, seed=0)
    faces = body_faces()
    one = shared_volume(vertices, faces, find_inside(vertices, faces))
    two = shared_volume(vertices.flip(0), faces, find_inside(vertices.flip(0), faces))
    assert one.item() > 1e-6
    assert one.item() == pytest.approx(two.item(), rel=1e-3)  # the rays stand elsewhere
