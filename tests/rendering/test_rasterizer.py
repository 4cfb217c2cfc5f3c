# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
import torch

from closeint_core.errors import CloseintError
from closeint_core.rendering import rasterizer as module
from closeint_core.rendering.rasterizer import EMPTY_DEPTH, Rasterizer


def naive(vertices: np.ndarray, faces: np.ndarray, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Every pixel asks every triangle."""
    depth, face = np.full((height, width), EMPTY_DEPTH), np.full((height, width), -1)
    for y in range(height):
        for x in range(width):
            at = np.array([x + 0.5, y + 0.5])
            for number, corners in enumerate(faces):
                triangle = vertices[corners].astype(np.float64)
                matrix = np.vstack([triangle[:, :2].T, np.ones(3)])
                if (triangle[:, 2] <= module.NEAREST).any() or abs(np.linalg.det(matrix)) < 1e-9:
                    continue
                weights = np.linalg.solve(matrix, np.append(at, 1.0))
                if (weights >= 0).all():
                    z = 1 / (weights / triangle[:, 2]).sum()
                    if z < depth[y, x]:
                        depth[y, x], face[y, x] = z, number
    return depth, face


@pytest.fixture(scope="module")
def rasterizer() -> Rasterizer:
    return Rasterizer(torch.device("cpu"))


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_nearest_triangle_as_asked_one_by_one(rasterizer, seed):
    random = np.random.default_rng(seed)
    height, width = 17, 23
    vertices = random.uniform([-10, -10, 0.05], [33, 27, 4], (2, 30, 3)).astype(np.float32)
    faces = random.integers(30, size=(25, 3)).astype(np.int32)  # some have no area, some reach behind the camera
    depth, face = rasterizer(torch.tensor(vertices), torch.tensor(faces), (height, width))
    for number in range(2):
        true_depth, true_face = naive(vertices[number], faces, height, width)
        np.testing.assert_array_equal(face[number].numpy(), true_face)
        np.testing.assert_allclose(depth[number].numpy(), true_depth, rtol=1e-4)


def test_pixels_beside_a_square_are_empty(rasterizer):
    square = torch.tensor([[[2.0, 2, 1], [6, 2, 1], [6, 6, 1], [2, 6, 1]]])
    depth, face = rasterizer(square, torch.tensor([[0, 1, 2], [0, 2, 3]], dtype=torch.int32), (8, 8))
    inside = np.zeros((8, 8), bool)
    inside[2:6, 2:6] = True
    np.testing.assert_array_equal(face[0].numpy() >= 0, inside)
    assert (depth[0].numpy()[~inside] == EMPTY_DEPTH).all()


def test_without_a_compiler_it_says_so(monkeypatch):
    monkeypatch.setattr(module.shutil, "which", lambda _: None)
    with pytest.raises(CloseintError, match="a C"):
        Rasterizer(torch.device("cpu"))
