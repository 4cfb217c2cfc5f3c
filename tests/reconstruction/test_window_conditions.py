# SPDX-License-Identifier: Apache-2.0
"""Observations of a window as conditions: gaps, crops, people who were never seen."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from closeint_core.body.data import load_body
from closeint_core.body.inverse_kinematics import poses_from_landmarks
from closeint_core.body.torch_body import TorchBody
from closeint_core.denoiser.rotation6d import rows6d_to_matrix
from closeint_core.reconstruction.window_conditions import fill_nearest, window_conditions, window_crops

SIZE = torch.tensor([[640.0, 480.0]])
FOCAL = torch.tensor([600.0])


@pytest.fixture
def rest() -> torch.Tensor:
    return TorchBody(load_body("default")).rest_joints(torch.zeros(1))


def window(frames: int = 6, seed: int = 0):
    draw = torch.Generator().manual_seed(seed)
    keypoints = torch.rand(1, frames, 2, 26, 3, generator=draw)
    keypoints[..., :2] = keypoints[..., :2] * 200 + torch.tensor([200.0, 100.0])
    keypoints[..., 2] = 0.5 + 0.5 * keypoints[..., 2]
    landmarks = torch.randn(1, frames, 2, 26, 3, generator=draw) * 0.4
    return keypoints, landmarks, torch.full((1, frames, 2, 26), 0.8)


@given(st.integers(0, 2**31 - 1), st.integers(1, 9))
@settings(max_examples=30, deadline=None)
def test_gaps_take_the_nearest_frame(seed, frames):
    draw = torch.Generator().manual_seed(seed)
    values, there = torch.rand(3, frames, 2, 4, generator=draw), torch.rand(3, frames, 2, generator=draw) < 0.5
    filled = fill_nearest(values, there)
    for window_number in range(3):
        for person in range(2):
            known = torch.nonzero(there[window_number, :, person])[:, 0]
            for frame in range(frames):
                if len(known) == 0:
                    continue
                distance = (known - frame).abs()
                allowed = known[distance == distance.min()]
                got = filled[window_number, frame, person]
                assert any(torch.equal(got, values[window_number, int(k), person]) for k in allowed)


def test_the_initial_pose_is_that_of_the_landmarks(rest):
    keypoints, landmarks, confidence = window()
    conditions = window_conditions(keypoints, landmarks, confidence, SIZE, FOCAL, rest)
    rotations = rows6d_to_matrix(conditions.init_pose6d.unflatten(-1, (24, 6)))
    torch.testing.assert_close(rotations, poses_from_landmarks(landmarks, rest), atol=1e-5, rtol=0)


def test_a_person_never_seen_stands_upright_in_the_middle(rest):
    keypoints, landmarks, confidence = window()
    keypoints[:, :, 1], landmarks[:, :, 1] = math.nan, math.nan
    conditions = window_conditions(keypoints, landmarks, confidence, SIZE, FOCAL, rest)
    assert conditions.init_pose6d.isfinite().all()
    torch.testing.assert_close(conditions.crops.center[0, :, 1], torch.tensor([320.0, 240.0]).expand(6, 2))
    root = rows6d_to_matrix(conditions.init_pose6d[0, 0, 1, :6])
    torch.testing.assert_close(root, torch.diag(torch.tensor([1.0, -1.0, -1.0])))


def test_a_crop_holds_the_keypoints_of_a_still_person():
    keypoints, _, _ = window()
    keypoints = keypoints[:, :1].expand(-1, 6, -1, -1, -1)
    crops = window_crops(keypoints, SIZE, FOCAL)
    apart = (keypoints[..., :2] - crops.center[..., None, :]).abs().amax((-1, -2))
    assert (apart <= crops.side / 2).all()
    assert (apart > 0.3 * crops.side).all()


def test_doubtful_keypoints_do_not_move_the_crop():
    keypoints, _, _ = window()
    before = window_crops(keypoints, SIZE, FOCAL)
    keypoints[0, 2, 0, 3] = torch.tensor([5000.0, 5000.0, 0.05])
    moved = window_crops(keypoints, SIZE, FOCAL)
    assert (moved.center - before.center).abs().max() < 60
    keypoints[0, 2, 0, 3, 2] = 0.9
    assert (window_crops(keypoints, SIZE, FOCAL).center - before.center).abs().max() > 60


def test_an_unseen_frame_keeps_the_crop_of_its_neighbours(rest):
    keypoints, _, _ = window()
    keypoints = keypoints[:, :1].repeat(1, 6, 1, 1, 1)
    whole = window_crops(keypoints, SIZE, FOCAL)
    keypoints[0, 2:4, 0] = math.nan
    torch.testing.assert_close(window_crops(keypoints, SIZE, FOCAL).side, whole.side)
