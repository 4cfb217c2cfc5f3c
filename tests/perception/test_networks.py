# SPDX-License-Identifier: Apache-2.0
"""The bundled networks and the geometry around them."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from closeint_core.errors import CloseintError
from closeint_core.perception import runtime
from closeint_core.perception.appearance import describe, distance
from closeint_core.perception.blazepose import FLIP, BlazePose, Crop, cut_out, refine
from closeint_core.perception.calibration import PERCEPTION
from closeint_core.perception.closeup import Closeup, sample_masks
from closeint_core.perception.movenet import MoveNet, find_peaks, fit_into


def test_every_bundled_network_is_the_one_of_its_card() -> None:
    card = (runtime.WEIGHTS / "MODEL_CARDS.md").read_text()
    files = sorted(runtime.WEIGHTS.glob("*.onnx"))
    assert [file.name for file in files] == ["blazepose_full.onnx", "movenet_multipose.onnx"]
    for file in files:
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        assert f"| `{file.name}` | {file.stat().st_size} | `{digest}` |" in card
    assert "Apache License" in (runtime.WEIGHTS / "LICENSE.txt").read_text()


def test_float16_storage_changes_nothing(shared: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    rng = np.random.default_rng(0)
    for name, given_input in (
        ("movenet_multipose", rng.integers(0, 255, (1, 256, 192, 3)).astype(np.int32)),
        ("blazepose_full", rng.random((1, 256, 256, 3), dtype=np.float32)),
    ):
        original = onnxruntime.InferenceSession(
            str(shared / "models" / f"{name}.onnx"), providers=["CPUExecutionProvider"]
        )
        bundled = runtime.open_session(name, "cpu")
        feed = {bundled.get_inputs()[0].name: given_input}
        for a, b in zip(original.run(None, feed), bundled.run(None, feed), strict=True):
            np.testing.assert_allclose(a, b, atol=2e-3)


def test_a_missing_network_says_which_and_where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "WEIGHTS", tmp_path)
    with pytest.raises(CloseintError, match=r"movenet_multipose\.onnx") as caught:
        MoveNet("cpu")
    assert caught.value.exit_code == 3
    assert str(tmp_path) in str(caught.value)


def test_devices() -> None:
    assert runtime.providers_for("cpu") == ["CPUExecutionProvider"]
    with pytest.raises(CloseintError, match="tpu"):
        runtime.providers_for("tpu")


@given(st.integers(40, 900), st.integers(40, 900))
@settings(max_examples=30, deadline=None)
def test_fitting_keeps_places(width: int, height: int) -> None:
    rgb = np.zeros((height, width, 3), np.uint8)
    image, scale = fit_into(rgb, 256)
    assert image.shape[0] % 32 == 0
    assert image.shape[1] % 32 == 0
    assert max(np.array([width, height]) * scale) == pytest.approx(256)
    assert scale[0] == pytest.approx(scale[1], abs=0.51 / min(width, height) + 1e-9)


@pytest.mark.parametrize("seed", range(6))
def test_peaks_equal_a_plain_search(seed: int) -> None:
    rng = np.random.default_rng(seed)
    heat = cv2.GaussianBlur(rng.random((24, 20, 17)).astype(np.float32), (0, 0), 2.0).transpose(2, 0, 1)
    heat = (heat - heat.min()) / (heat.max() - heat.min())
    offset = rng.uniform(0.0, 0.9, (34, 24, 20)).astype(np.float32)
    seen = replace(PERCEPTION.default.seen, peak=0.3, peaks_apart=0.0)
    with PERCEPTION.using(replace(PERCEPTION.default, seen=seen)):
        found = find_peaks(heat, offset, 8)
    for joint in range(17):
        plain = []
        for y in range(24):
            for x in range(20):
                around = heat[joint, max(0, y - 1) : y + 2, max(0, x - 1) : x + 2]
                if heat[joint, y, x] >= max(0.3, around.max()):
                    place = (x + offset[2 * joint + 1, y, x], y + offset[2 * joint, y, x])
                    plain.append((4 * place[0], 4 * place[1], heat[joint, y, x]))
        plain.sort(key=lambda peak: -peak[2])
        rows = found[joint][np.isfinite(found[joint, :, 0])]
        np.testing.assert_allclose(rows, plain[:8], atol=1e-4)


def test_two_maxima_that_lead_to_one_place_are_one_peak() -> None:
    heat = np.zeros((17, 16, 16), np.float32)
    offset = np.zeros((34, 16, 16), np.float32)
    heat[0, 5, 5], heat[0, 5, 8] = 0.9, 0.6
    offset[1, 5, 5], offset[1, 5, 8] = 1.5, -1.5
    found = find_peaks(heat, offset, 4)
    np.testing.assert_allclose(found[0, 0], [26.0, 20.0, 0.9], atol=1e-5)
    assert np.isnan(found[0, 1:]).all()


crops = st.builds(
    Crop,
    st.tuples(st.floats(-50, 400), st.floats(-50, 400)),
    st.floats(60, 900),
    st.floats(-3.1, 3.1),
)


@given(crops, st.floats(0, 1), st.floats(0, 1))
def test_a_crop_s_matrix_undoes_its_map_to_the_image(crop: Crop, x: float, y: float) -> None:
    image = crop.to_image(np.array([x, y]))
    # OpenCV counts pixel centres from 0
    back = crop.matrix() @ np.array([*(image - 0.5), 1.0]) + 0.5
    np.testing.assert_allclose(back / 256, [x, y], atol=1e-6)


@pytest.mark.parametrize("size", [150.0, 300.0, 700.0])
def test_what_is_cut_out_lies_where_the_crop_says(size: float) -> None:
    rgb = np.zeros((400, 500, 3), np.uint8)
    cv2.circle(rgb, (240, 180), 9, (255, 255, 255), -1)
    crop = Crop((230.0, 210.0), size, 0.4)
    patch = cut_out(rgb, crop)[..., 0].astype(float)
    rows, columns = np.mgrid[:256, :256] + 0.5
    centre = np.array([(columns * patch).sum(), (rows * patch).sum()]) / patch.sum() / 256
    np.testing.assert_allclose(crop.to_image(centre), [240.5, 180.5], atol=0.05 * size / 256 + 0.1)


def test_landmark_mirror_is_its_own_inverse() -> None:
    np.testing.assert_array_equal(FLIP[FLIP], np.arange(33))


def test_refinement_moves_to_the_heatmap_s_centre() -> None:
    heat = np.full((64, 64, 39), -20.0, np.float32)
    heat[30, 21], heat[30, 22] = 3.0, 3.0
    points = np.full((39, 2), [0.33, 0.47])
    moved = refine(points, heat)
    np.testing.assert_allclose(moved, np.full((39, 2), [21.5 / 64, 30 / 64]), atol=1e-3)
    np.testing.assert_array_equal(refine(points, np.full_like(heat, -20.0)), points)


def test_the_mirrored_look_is_the_mirror_of_the_look_at_the_mirror() -> None:
    rgb = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 255, (300, 300, 3)).astype(np.uint8), (0, 0), 8)
    network = BlazePose("cpu")
    straight = network(np.ascontiguousarray(rgb[:, ::-1]), Crop((150.0, 150.0), 256.0, 0.0))
    mirrored = network(rgb, Crop((150.0, 150.0), 256.0, 0.0), mirrored=True)
    np.testing.assert_allclose(mirrored.image, (straight.image * [-1, 1] + [300, 0])[FLIP], atol=0.01)
    np.testing.assert_allclose(mirrored.world, (straight.world * [-1, 1, 1])[FLIP], atol=1e-4)
    np.testing.assert_allclose(mirrored.mask, straight.mask[:, ::-1], atol=1e-4)


def test_masks_are_read_in_their_rotated_crop() -> None:
    crop = Crop((120.0, 80.0), 100.0, 0.7)
    mask = np.zeros((1, 1, 64, 64), np.uint8)
    mask[0, 0, 10:20, 40:50] = 255
    empty = np.zeros((1, 1, 33), np.float32)
    closeup = Closeup(
        np.zeros((1, 17, 8, 3)), np.zeros((1, 1, 33, 2)), empty, empty, empty, np.zeros((1, 1, 33, 3)),
        np.ones((1, 1)), mask, np.array([[[*crop.centre, crop.size, crop.angle]]], np.float32),
    )  # fmt: skip
    inside, outside = crop.to_image(np.array([[45 / 64, 15 / 64], [15 / 64, 45 / 64]]))
    far = np.array([900.0, 900.0])
    assert sample_masks(closeup, np.stack([inside, outside, far])[None])[0, 0].tolist() == [1.0, 0.0, 0.0]


def test_clothes_tell_people_apart() -> None:
    rgb = np.full((200, 300, 3), 128, np.uint8)
    rgb[60:170, 40:90], rgb[60:170, 200:250] = (200, 30, 40), (30, 60, 190)
    people = np.full((2, 17, 2), np.nan)
    for i, x in enumerate((65, 225)):
        people[i, [5, 6, 11, 12, 13, 14]] = [
            [x + 15, 70], [x - 15, 70], [x + 12, 120], [x - 12, 120], [x + 12, 160], [x - 12, 160],
        ]  # fmt: skip
    looks = describe(rgb, people)
    assert distance(looks[0], looks[0]) < 1e-3
    assert distance(looks[0], looks[1]) > 0.5
    assert distance(looks[0], np.full(48, np.nan)) == 0.5
    np.testing.assert_allclose(looks.reshape(2, 6, 8).sum(axis=-1), 1.0, atol=1e-5)
