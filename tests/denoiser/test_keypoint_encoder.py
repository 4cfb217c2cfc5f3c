# SPDX-License-Identifier: Apache-2.0
"""The condition made of keypoints: what is unseen is unseen, not a position."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from support.windows import Windows, synthetic_windows
from torch import Tensor

from closeint_core.denoiser.conditions import Conditions
from closeint_core.denoiser.network import Denoiser, DenoiserConfig


@pytest.fixture(scope="module")
def windows(body) -> Windows:
    return synthetic_windows(body, 2, 8)


@pytest.fixture(scope="module")
def model() -> Denoiser:
    torch.manual_seed(0)
    return Denoiser(DenoiserConfig(condition="keypoints", depth=1)).eval()


def encode(model: Denoiser, conditions: Conditions) -> Tensor:
    with torch.no_grad():
        return model.condition_encoder(conditions, model.positions)


def with_joint(conditions: Conditions, joint: int, value: Tensor) -> Conditions:
    keypoints = conditions.keypoints.clone()
    keypoints[0, 3, 0, joint] = value
    return replace(conditions, keypoints=keypoints)


def test_what_an_unseen_joint_holds_does_not_matter(model, windows):
    nothing = float("nan")
    holes = [
        torch.tensor([nothing, nothing, nothing]),
        torch.tensor([nothing, nothing, 0.0]),
        torch.tensor([400.0, 300.0, 0.0]),
        torch.tensor([0.0, 0.0, 0.0]),
    ]
    codes = [encode(model, with_joint(windows.conditions, 9, hole)) for hole in holes]
    assert all(torch.equal(code, codes[0]) for code in codes)
    assert torch.isfinite(codes[0]).all()


def test_an_unseen_joint_is_not_one_at_the_centre(model, windows):
    centre = windows.conditions.crops.center[0, 3, 0]
    for confidence in (1.0, 0.3, 1e-3):
        there = encode(model, with_joint(windows.conditions, 9, torch.cat([centre, torch.tensor([confidence])])))
        unseen = encode(model, with_joint(windows.conditions, 9, torch.full((3,), float("nan"))))
        assert (there - unseen)[0, 3, 0].abs().max() > 1e-3


def test_an_unseen_person_is_told_from_one_with_some_joints(model, windows):
    gone = windows.conditions.keypoints.clone()
    gone[0, 2:5, 1] = float("nan")
    codes = encode(model, replace(windows.conditions, keypoints=gone))
    assert torch.isfinite(codes).all()
    one = gone.clone()
    one[0, 3, 1, 0] = windows.conditions.keypoints[0, 3, 1, 0]
    assert (encode(model, replace(windows.conditions, keypoints=one)) - codes)[0, 3, 1].abs().max() > 1e-3
    nothing = encode(model, replace(windows.conditions, keypoints=None))
    assert torch.isfinite(nothing).all()


def test_both_people_all_frames_and_the_camera_are_seen(model, windows):
    base = encode(model, windows.conditions)
    moved = windows.conditions.keypoints.clone()
    moved[0, 6, 1, :, :2] += 40.0  # the other person, another frame
    changed = (encode(model, replace(windows.conditions, keypoints=moved)) - base).abs().amax(dim=-1)
    assert changed[0, 0, 0] > 1e-4
    assert changed[0, 6, 0] > 1e-3
    assert changed[1].max() == 0
    longer = replace(
        windows.conditions, crops=replace(windows.conditions.crops, focal=windows.conditions.crops.focal * 2)
    )
    assert (encode(model, longer) - base).abs().max() > 1e-3


def test_alone_the_other_is_not_seen(model, windows):
    alone = replace(windows.conditions, single=torch.ones(2, 8))
    moved = alone.keypoints.clone()
    moved[:, :, 1, :, :2] += 40.0
    difference = encode(model, alone) - encode(model, replace(alone, keypoints=moved))
    assert difference[:, :, 0].abs().max() == 0


def test_moving_picture_and_crop_together_changes_the_place_only(model, windows):
    """Joints are seen in crops: a shift of everything leaves them as they are."""
    crops = windows.conditions.crops
    shift = torch.tensor([64.0, 32.0])
    moved = windows.conditions.keypoints.clone()
    moved[..., :2] += shift
    there = replace(
        windows.conditions,
        keypoints=moved,
        crops=replace(crops, center=crops.center + shift, image_size=crops.image_size + 2 * shift),
    )
    assert (encode(model, there) - encode(model, windows.conditions)).abs().max() < 1e-3


def test_the_network_runs_on_keypoints(model, windows):
    x = torch.randn(2, 8, 2, 157)
    with torch.no_grad():
        found = model(x, torch.tensor([10, 50]), replace(windows.conditions, features=None))
    assert found.shape == x.shape
    assert torch.isfinite(found).all()
