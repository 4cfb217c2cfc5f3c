# SPDX-License-Identifier: Apache-2.0
"""The observation model against geometry, and against what the project's perception makes of the bundled sample."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import roma
import torch

import closeint_core
from closeint_core.body.data import JOINT_NAMES, load_body
from closeint_core.body.inverse_kinematics import poses_from_landmarks
from closeint_core.body.torch_body import TorchBody
from closeint_core.clip import InteractionClip
from closeint_core.halpe import HALPE_INDEX as K
from closeint_core.training.cameras import Cameras
from closeint_core.training.observation import (
    DetectorErrors,
    SimulatedObservations,
    measure_errors,
    observe,
)
from closeint_core.training.occlusion import box_overlap
from closeint_core.training.synthetic import Interactions

_CLIPS = 16
SAMPLE = Path(closeint_core.__file__).with_name("samples") / "greeting.closeint.npz"
# Median error in millimetres of perception on the bundled sample (camera known, both people, 120 frames).
MEASURED = {
    "nose": 6, "left_ear": 14, "left_shoulder": 35, "right_shoulder": 30, "left_elbow": 40, "right_elbow": 38,
    "left_wrist": 19, "right_wrist": 33, "left_hip": 28, "right_hip": 24, "left_knee": 20, "right_knee": 33,
    "left_ankle": 22, "right_ankle": 15, "head_top": 69, "neck": 33, "pelvis": 25, "left_big_toe": 28,
    "right_big_toe": 27, "left_heel": 32, "right_heel": 24,
}  # fmt: skip
MEASURED_PARTNER = 0.137
"""Share of the wrists near a partner's wrist that sat on the partner instead."""
MEASURED_DEPTH_SCALES = (0.53, 0.94)
"""Slopes of the landmarks' depth against the true one: on the bundled sample, and on real footage with 3D joints."""

# Median error in degrees of joint rotations read off perception's landmarks on the bundled sample, left and right.
MEASURED_TURN = {
    "pelvis": 28, "left_hip": 16, "right_hip": 16, "spine1": 5.3, "left_knee": 7.4, "right_knee": 6.9, "neck": 22,
    "left_shoulder": 33, "right_shoulder": 33, "left_elbow": 15, "right_elbow": 15, "head": 22,
}  # fmt: skip
MEASURED_SURE = {0.3: 87, 0.5: 55, 0.65: 29, 0.75: 25, 0.85: 19, 1.01: 13}
"""Median error in millimetres of the keypoints whose confidence is below each value and not below the one before."""


# Share of the people whose hips are turned by more than 60 degrees in perception's landmarks, and the landmarks' mean
# confidence there: where the two overlap by more than a half and where they do not overlap, in the bundled sample.
MEASURED_ASTRAY, MEASURED_ASTRAY_CONFIDENCE, MEASURED_ASTRAY_APART = 0.76, 0.16, 0.0


@pytest.fixture(scope="module")
def body() -> TorchBody:
    return TorchBody(load_body("default"))


@pytest.fixture(scope="module")
def sample() -> tuple[Interactions, Cameras]:
    clip = InteractionClip.load(SAMPLE)
    frames = clip.poses.shape[1]
    once = Interactions(
        torch.tensor(clip.poses)[None], torch.tensor(clip.transl)[None], torch.tensor(clip.betas)[None],
        torch.tensor([float(clip.fps)]), torch.tensor([0]), torch.zeros(1, frames, 24, 24, dtype=torch.bool),
        torch.zeros(1, 2, frames, 2, dtype=torch.bool), torch.zeros(1), torch.zeros(1),
    )  # fmt: skip
    seen_from = Cameras(
        torch.tensor(clip.camera_K[:1]), torch.tensor(clip.camera_R[:1]), torch.tensor(clip.camera_t[:1]),
        torch.tensor(np.asarray(clip.image_size))[None],
    )  # fmt: skip
    # Errors last: only over many clips are they as often as they are on average.
    made = Interactions(**{name: x.expand(_CLIPS, *x.shape[1:]) for name, x in vars(once).items()})
    cameras = Cameras(**{name: x.expand(_CLIPS, *x.shape[1:]) for name, x in vars(seen_from).items()})
    return made, cameras


@pytest.fixture(scope="module")
def seen(sample: tuple[Interactions, Cameras], body: TorchBody) -> SimulatedObservations:
    return observe(sample[0], body, 3, cameras=sample[1])


def _metre(seen: SimulatedObservations, sample: tuple[Interactions, Cameras], body: TorchBody) -> torch.Tensor:
    made, cameras = sample
    pelvis = body.rest_joints(made.betas)[:, :, None, 0] + made.transl
    return cameras.K[:, 0, 0, None, None] / cameras.view(pelvis)[..., 2]


def test_projection_is_that_of_the_clip(seen: SimulatedObservations) -> None:
    clip = InteractionClip.load(SAMPLE)
    np.testing.assert_allclose(seen.true_keypoints2d[0].numpy(), clip.keypoints2d[..., :2], atol=0.02)


def test_errors_are_like_those_of_perception(
    seen: SimulatedObservations, sample: tuple[Interactions, Cameras], body: TorchBody
) -> None:
    metre = _metre(seen, sample, body)
    statistics = measure_errors(seen.keypoints2d, seen.true_keypoints2d, metre)
    ratios = torch.tensor([1000 * float(statistics.median[K[name]]) / value for name, value in MEASURED.items()])
    assert 0.75 < ratios.log().mean().exp() < 1.35
    assert ratios.min() > 0.4
    assert ratios.max() < 2.5
    assert 0.3 * MEASURED_PARTNER < statistics.partner < 2 * MEASURED_PARTNER
    assert statistics.missing < 0.08
    true = seen.cameras.view(body.points("halpe")(*_skeleton(sample[0], body)))
    true = true - true[..., [K["left_hip"], K["right_hip"]], :].mean(-2, keepdim=True)
    found = torch.isfinite(seen.landmarks3d[..., 2])
    x, y = true[..., 2][found], seen.landmarks3d[..., 2][found]
    low, high = DetectorErrors().depth_scale
    assert all(low < measured < high for measured in MEASURED_DEPTH_SCALES)
    assert low - 0.1 < float((x * y).sum() / x.square().sum()) < high + 0.1


def test_landmarks_turn_joints_wrong_as_those_of_perception_do(
    seen: SimulatedObservations, sample: tuple[Interactions, Cameras], body: TorchBody
) -> None:
    made, cameras = sample
    rotations = roma.rotvec_to_rotmat(made.poses)
    rotations[..., 0, :, :] = cameras.R[:, None, None] @ rotations[..., 0, :, :]
    there = torch.isfinite(seen.landmarks3d).all(-1).all(-1)
    read = poses_from_landmarks(torch.nan_to_num(seen.landmarks3d), body.rest_joints(torch.zeros(10)))
    turn = torch.rad2deg(roma.rotmat_geodesic_distance(read, rotations))[there].median(0).values
    ratios = torch.tensor([float(turn[JOINT_NAMES.index(name)]) / value for name, value in MEASURED_TURN.items()])
    assert 0.7 < ratios.log().mean().exp() < 1.4
    assert ratios.min() > 0.4
    assert ratios.max() < 2.5


def test_landmarks_of_people_who_overlap_go_astray(
    seen: SimulatedObservations, sample: tuple[Interactions, Cameras], body: TorchBody
) -> None:
    """Whole people are turned then, for a long while, so that it takes many clips to see how often."""
    true = seen.cameras.view(body.points("halpe")(*_skeleton(sample[0], body)))
    axes = [points[..., K["left_hip"], :] - points[..., K["right_hip"], :] for points in (seen.landmarks3d, true)]
    bearing = [torch.atan2(axis[..., 0], axis[..., 2]) for axis in axes]
    turned = torch.rad2deg(torch.remainder(bearing[0] - bearing[1] + math.pi, 2 * math.pi) - math.pi).abs() > 60
    overlap = box_overlap(seen.true_keypoints2d)[:, None].expand_as(turned)
    there = seen.visible
    assert 0.3 * MEASURED_ASTRAY < turned[there & (overlap > 0.5)].float().mean() < 1.2 * MEASURED_ASTRAY
    assert turned[there & (overlap < 0.02)].float().mean() < MEASURED_ASTRAY_APART + 0.05
    sure = seen.landmarks3d_confidence[there & (overlap > 0.5) & turned].mean()
    assert 0.5 < sure / MEASURED_ASTRAY_CONFIDENCE < 2


def test_confidence_tells_of_the_error_as_that_of_perception_does(
    seen: SimulatedObservations, sample: tuple[Interactions, Cameras], body: TorchBody
) -> None:
    off = (seen.keypoints2d[..., :2] - seen.true_keypoints2d).norm(dim=-1) / _metre(seen, sample, body)[..., None]
    sure, low = seen.keypoints2d[..., 2], 0.0
    for high, millimetres in MEASURED_SURE.items():
        median = 1000 * float(off[(sure >= low) & (sure < high)].median())
        assert 0.5 < median / millimetres < 2, (low, high, median)
        low = high


def _skeleton(made: Interactions, body: TorchBody) -> tuple:
    betas = made.betas[:, :, None]
    return body.skeleton(roma.rotvec_to_rotmat(made.poses), betas, made.transl), betas


def test_same_seed_same_observations(
    seen: SimulatedObservations, sample: tuple[Interactions, Cameras], body: TorchBody
) -> None:
    again, other = observe(sample[0], body, 3, cameras=sample[1]), observe(sample[0], body, 4, cameras=sample[1])
    assert torch.equal(torch.nan_to_num(again.keypoints2d), torch.nan_to_num(seen.keypoints2d))
    assert not torch.equal(torch.nan_to_num(other.keypoints2d), torch.nan_to_num(seen.keypoints2d))


def test_without_errors_the_truth_is_seen(sample: tuple[Interactions, Cameras], body: TorchBody) -> None:
    none = DetectorErrors(
        noise=torch.zeros(26), blur=0, partner=0, sides=0, other_side=0, swap=0, lost=0, double=0, dropped=0,
        astray=0, turned=0, depth_noise=0, depth_scale=(1, 1), landmark_noise=0,
    )  # fmt: skip
    seen = observe(sample[0], body, 0, none, cameras=sample[1])
    inside = torch.isfinite(seen.keypoints2d[..., 0])
    assert inside.float().mean() > 0.95
    assert torch.allclose(seen.keypoints2d[..., :2][inside], seen.true_keypoints2d[inside], atol=1e-3)
    assert not seen.mistaken.any()


def test_losing_and_doubling_only_where_people_overlap(sample: tuple[Interactions, Cameras], body: TorchBody) -> None:
    seen = observe(sample[0], body, 1, DetectorErrors(lost=0.9), cameras=sample[1])
    overlap = box_overlap(seen.true_keypoints2d)[0]
    lost = ~seen.visible[0]
    assert lost.any()
    assert not lost[:, overlap <= 0.5].any()
    assert lost.sum(0).max() == 1  # the one in front stays
    assert torch.isnan(seen.keypoints2d[0][lost]).all()
