# SPDX-License-Identifier: Apache-2.0
"""Blender's camera values, put through Blender's own view plane formulas, give the pinhole's pixels."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("hypothesis")
Rotation = pytest.importorskip("scipy.spatial.transform").Rotation

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from closeint_blender.importer.camera_model import SENSOR_WIDTH, blender_camera, frame_rate  # noqa: E402


def blender_pixels(camera, view: int, size: tuple[int, int], points: np.ndarray) -> np.ndarray:
    """Pixels, y down, of world points as Blender's camera with a horizontal sensor fit sees them."""
    width, height = size
    to_camera = Rotation.from_quat(camera.rotation[view][[1, 2, 3, 0]]).as_matrix().T
    local = (points - camera.location[view]) @ to_camera.T
    plane = local[:, :2] / -local[:, 2:]  # at unit distance
    per_unit = camera.lens[view] / SENSOR_WIDTH * width  # pixels across
    aspect_x, aspect_y = camera.pixel_aspect
    x = plane[:, 0] * per_unit - camera.shift[view, 0] * width + width / 2
    y = (plane[:, 1] * per_unit - camera.shift[view, 1] * width) / (aspect_y / aspect_x) + height / 2
    return np.stack([x, height - y], axis=1)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    size=st.sampled_from([(1920, 1080), (1080, 1920), (641, 479), (512, 512)]),
    stretch=st.floats(0.5, 2.0),
)
def test_projection_equals_the_pinhole(seed: int, size: tuple[int, int], stretch: float) -> None:
    rng = np.random.default_rng(seed)
    focal = rng.uniform(0.5, 3) * size[0]
    K = np.array([[focal, 0, rng.uniform(0, size[0])], [0, focal * stretch, rng.uniform(0, size[1])], [0, 0, 1]])
    K, R = K[None].repeat(3, 0), Rotation.random(3, random_state=seed % 1000).as_matrix()
    t = rng.normal(0, 1, (3, 3))
    camera = blender_camera(K, R, t, np.array(size))
    assert camera.warnings == ()
    assert min(camera.pixel_aspect) == 1.0
    for view in range(3):
        in_camera = rng.normal(0, 1, (20, 3)) * (1, 1, 0) + (0, 0, rng.uniform(2, 5))
        world = (in_camera - t[view]) @ R[view]
        image = in_camera @ K[view].T
        expected = image[:, :2] / image[:, 2:]
        # float32 locations and lens: 1e-5 of the image's size
        np.testing.assert_allclose(blender_pixels(camera, view, size, world), expected, atol=0.05)


def test_a_centred_square_camera_needs_no_shift() -> None:
    K = np.array([[[1000.0, 0, 960], [0, 1000, 540], [0, 0, 1]]])
    camera = blender_camera(K, np.eye(3)[None], np.zeros((1, 3)), np.array([1920, 1080]))
    assert camera.pixel_aspect == (1.0, 1.0)
    np.testing.assert_array_equal(camera.shift, 0)
    np.testing.assert_allclose(camera.lens, 36 * 1000 / 1920, rtol=1e-6)


def test_what_blender_cannot_represent_is_said() -> None:
    K = np.array([[[1000.0, 0, 960], [0, 1000, 540], [0, 0, 1]]]).repeat(2, 0)
    K[1, 1, 1] = 1010
    eye, zero, size = np.eye(3)[None].repeat(2, 0), np.zeros((2, 3)), np.array([1920, 1080])
    assert "pixel aspect" in blender_camera(K, eye, zero, size).warnings[0]
    K[1, 1, 1] = 1000
    K[:, 0, 1] = 20
    assert "skewed" in blender_camera(K, eye, zero, size).warnings[0]


@pytest.mark.parametrize("fps", [24, 25, 30, 30000 / 1001, 60000 / 1001, 24000 / 1001, 12.5, 0.4, 239.76, 1000])
def test_frame_rate_is_exact(fps: float) -> None:
    whole, base = frame_rate(fps)
    assert isinstance(whole, int)
    assert whole >= 1
    assert whole / np.float32(base) == pytest.approx(fps, rel=1e-6)
    if fps == round(fps):
        assert base == 1
