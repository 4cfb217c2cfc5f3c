# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math

import torch
from hypothesis import given
from hypothesis import strategies as st

from closeint_core.denoiser.crops import Crops, person_crops

reals = st.floats(-2, 2)


def one_crop(cx: float, cy: float, side: float, focal: float = 1500.0) -> Crops:
    return Crops(torch.tensor([cx, cy]), torch.tensor(side), torch.tensor([1280.0, 720.0]), torch.tensor(focal))


@given(st.floats(0, 1280), st.floats(0, 720), st.floats(80, 800), reals, reals, st.floats(2, 9))
def test_translation_and_crop_camera_are_inverses(cx, cy, side, x, y, z):
    crop = one_crop(cx, cy, side)
    translation = torch.tensor([x, y, z])
    back = crop.translation(crop.crop_camera(translation))
    assert (back - translation).abs().max() < 1e-4


@given(st.floats(0, 1280), st.floats(0, 720), st.floats(80, 800), st.floats(0.3, 2), reals, reals)
def test_formulas_of_the_published_code(cx, cy, side, s, tx, ty):
    crop = one_crop(cx, cy, side)
    expected = [2 * (cx - 640) / (side * s) + tx, 2 * (cy - 360) / (side * s) + ty, 2 * 1500.0 / (side * s)]
    found = crop.translation(torch.tensor([s, tx, ty])).tolist()
    assert all(math.isclose(a, b, rel_tol=1e-4, abs_tol=1e-4) for a, b in zip(found, expected, strict=True))
    info = [(cx - 640) / 1500 * 2.8, (cy - 360) / 1500 * 2.8, (side - 0.24 * 1500) / (0.06 * 1500)]
    assert all(math.isclose(a, b, rel_tol=1e-4, abs_tol=1e-4) for a, b in zip(crop.info().tolist(), info, strict=True))


def test_a_crop_camera_shows_the_body_in_its_crop():
    """A person without offset in the crop camera stands where the crop's centre is seen."""
    crop = one_crop(900.0, 200.0, 400.0)
    translation = crop.translation(torch.tensor([0.9, 0.0, 0.0]))
    assert (crop.project(translation[None])[0] - crop.center).abs().max() < 1e-2
    # s is the size of two metres over the crop's side
    ends = crop.project(translation + torch.tensor([[-1.0, 0.0, 0.0], [1.0, 0.0, 0.0]]))
    assert abs(float((ends[1] - ends[0])[0]) - 0.9 * 400.0) < 1e-2


def test_crops_of_boxes():
    boxes = torch.tensor([[100.0, 50.0, 160.0, 250.0], [0.0, 0.0, 300.0, 200.0], [5.0, 5.0, 5.0, 5.0]])
    crops = person_crops(boxes, (640, 480))
    assert torch.allclose(crops.side, torch.tensor([220.0, 440.0, 1.1 * 256 / 192]))
    assert torch.allclose(crops.center[0], torch.tensor([130.0, 150.0]))
    assert torch.allclose(crops.focal, torch.tensor(800.0))
    assert torch.allclose(person_crops(boxes, (640, 480), 1000.0).focal, torch.tensor(1000.0))
    assert crops[1].side == 440.0
