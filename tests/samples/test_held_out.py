# SPDX-License-Identifier: Apache-2.0
"""Films of generated interactions: the camera sees both people whole and apart, the truth lies on them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sample import film, held_out

from closeint_core.body.data import BodyData, load_body
from closeint_core.evaluation.bench_cases import draw_pair


@pytest.fixture(scope="module")
def data() -> BodyData:
    return load_body("default")


@pytest.mark.parametrize("seed", range(20))
def test_the_camera_sees_everybody(seed: int) -> None:
    random = np.random.default_rng(seed)
    spread = random.uniform(0.2, 0.5)
    points = random.normal(0, 1, (2, 5, 60, 3)) * [spread, spread, 0.4] + [0, 0, 0.9]
    points[1, ..., :2] += random.normal(0, 0.8, 2)
    points[..., 2] = np.clip(points[..., 2], 0, 1.9)
    cameras = held_out.place_camera(random, points)
    K, R, t = (x[0].numpy().astype(float) for x in (cameras.K, cameras.R, cameras.t))
    np.testing.assert_allclose(R @ R.T, np.eye(3), atol=1e-6)
    view = points.reshape(-1, 3) @ R.T + t
    pixels = (view @ K.T)[:, :2] / view[:, 2:]
    assert (view[:, 2] > 0.5).all()
    assert (pixels >= 0).all()
    assert (pixels <= held_out.SIZE).all()
    # They fill the picture one way or the other, and it is not tilted.
    assert (np.abs(pixels / held_out.SIZE - 0.5).max(0) > 0.38).any()
    assert abs(R[0, 2]) < 1e-6
    eye = -R.T @ t
    assert 0 < eye[2] < 5
    line = points[1].reshape(-1, 3).mean(0) - points[0].reshape(-1, 3).mean(0)
    line[2], ahead = 0.0, R[2] * [1, 1, 0]
    cosine = abs(line @ ahead) / np.linalg.norm(line) / np.linalg.norm(ahead)
    assert np.degrees(np.arccos(cosine)) > 34.9


def test_a_pair_is_dressed_and_its_truth_lies_on_it(data: BodyData, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    clip, vertices = held_out.shoot(draw_pair(0, 4, 1), random, data)
    assert vertices.shape == (2, 4, data.num_vertices, 3)
    seen = clip.project(data.halpe_regressor @ vertices)
    np.testing.assert_allclose(clip.keypoints2d[..., :2], seen, atol=0.01)
    stage = held_out.casting(random, clip.betas, 2)
    assert stage.looks[0].shirt != stage.looks[1].shirt
    np.testing.assert_allclose(stage.rigs[1].rest, data.rest(clip.betas[1])[0], atol=1e-5)
    film.write_scene(tmp_path / "scene.npz", stage, clip, list(vertices))
    with np.load(tmp_path / "scene.npz") as scene:
        np.testing.assert_array_equal(scene["person1_skin_vertices"], vertices[1])
        assert int(scene["samples"]) == 2
        assert scene["person0_shirt_vertices"].shape[0] == 4
