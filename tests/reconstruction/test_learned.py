# SPDX-License-Identifier: Apache-2.0
"""The default model on what the bundled sample's truth would look like, and on what it cannot believe."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import roma
import torch

from closeint_core.body.data import load_body
from closeint_core.body.torch_body import TorchBody
from closeint_core.clip import InteractionClip
from closeint_core.errors import CloseintError
from closeint_core.metrics.accuracy import mpjpe
from closeint_core.perception.observations import Observations
from closeint_core.progress import Progress
from closeint_core.reconstruction.learned import (
    WEIGHTS,
    LearnedOptions,
    believable,
    default_denoiser,
    denoised_motion,
    nearest_shape,
    solve_learned,
)
from closeint_core.solver.evidence import gather_evidence
from closeint_core.solver.state import Floor, Motion

SAMPLE = Path(__file__).parents[2] / "closeint_core" / "samples" / "greeting.closeint.npz"
FRAMES = 24


@pytest.fixture(scope="module")
def body() -> TorchBody:
    return TorchBody(load_body("default"))


@pytest.fixture(scope="module")
def truth(body) -> Motion:
    """The handshake of the sample, in its camera's axes."""
    clip = InteractionClip.load(SAMPLE)
    part = slice(20, 20 + FRAMES)
    rotations = roma.rotvec_to_rotmat(torch.as_tensor(clip.poses[:, part]))
    R, t = torch.as_tensor(clip.camera_R[0]), torch.as_tensor(clip.camera_t[0])
    rotations[:, :, 0] = R @ rotations[:, :, 0]
    betas = torch.as_tensor(clip.betas)
    rest = body.rest_joints(betas)[:, None, 0]
    transl = (rest + torch.as_tensor(clip.transl[:, part])) @ R.T + t - rest
    return Motion(rotations, transl, betas, Floor(R[:, 2], torch.tensor(0.0)))


@pytest.fixture(scope="module")
def camera() -> torch.Tensor:
    return torch.as_tensor(InteractionClip.load(SAMPLE).camera_K[0])


def joints(body: TorchBody, motion: Motion) -> torch.Tensor:
    return body.skeleton(motion.rotations, motion.betas[:, None], motion.transl).joints


def seen(body: TorchBody, motion: Motion, camera: torch.Tensor) -> Observations:
    """Perfect detections: the network must not be worse than a few centimetres on those."""
    skeleton = body.skeleton(motion.rotations, motion.betas[:, None], motion.transl)
    points = body.points("halpe")(skeleton, motion.betas[:, None])
    image = points @ camera.T
    pixels = (image[..., :2] / image[..., 2:]).numpy()
    landmarks = points - points[..., [11, 12], :].mean(-2, keepdim=True)
    people, frames = pixels.shape[:2]
    certain = np.full((people, frames, 26, 1), 0.9, np.float32)
    clip = InteractionClip.load(SAMPLE)
    return Observations(
        np.concatenate([pixels, certain], -1).astype(np.float32),
        landmarks.numpy(),
        certain[..., 0],
        np.ones((people, frames), bool),
        np.concatenate([pixels.min(2), pixels.max(2)], -1),
        np.full((frames, 17, 1, 3), np.nan, np.float32),
        clip.fps,
        0,
        (int(clip.image_size[0]), int(clip.image_size[1])),
    )


def test_perfect_detections_give_the_motion(body, truth, camera):
    found = denoised_motion(default_denoiser(), body, seen(body, truth, camera), camera, Progress())
    assert float(mpjpe(joints(body, found).numpy(), joints(body, truth).numpy(), (0,)).mean()) < 70
    depth = (joints(body, found) - joints(body, truth))[..., 0, 2].abs()
    assert float(depth.median()) < 0.6
    assert float(found.floor.normal @ truth.floor.normal) > 0.95


def test_a_hidden_person_is_carried_through(body, truth, camera):
    observations = seen(body, truth, camera)
    observations.keypoints2d[1, 8:16] = np.nan
    observations.landmarks3d[1, 8:16] = np.nan
    observations.landmarks3d_confidence[1, 8:16] = 0
    observations.visible[1, 8:16] = False
    found = denoised_motion(default_denoiser(), body, observations, camera, Progress())
    error = mpjpe(joints(body, found).numpy(), joints(body, truth).numpy(), (0,))
    assert error[1, 8:16].mean() < 110


def test_nobody_sees_the_other_when_alone(body, truth, camera):
    observations = seen(body, truth, camera)
    moved = replace(observations, keypoints2d=observations.keypoints2d.copy())
    moved.keypoints2d[1, ..., 0] += 40
    model = default_denoiser()
    a, b = (denoised_motion(model, body, o, camera, Progress(), alone=True) for o in (observations, moved))
    torch.testing.assert_close(a.rotations[0], b.rotations[0])
    c, d = (denoised_motion(model, body, o, camera, Progress()) for o in (observations, moved))
    assert (c.rotations[0] - d.rotations[0]).abs().max() > 1e-4


def test_one_person_is_solved(body, truth, camera):
    one = Motion(truth.rotations[:1], truth.transl[:1], truth.betas[:1], truth.floor)
    solution = solve_learned(body, seen(body, one, camera), camera, Progress(), LearnedOptions(effort=0.1))
    assert solution.motion.rotations.shape == (1, FRAMES, 24, 3, 3)
    assert solution.keypoints2d.shape == (1, FRAMES, 26, 3)


def test_the_fit_after_it_brings_the_bodies_onto_the_footage(body, truth, camera):
    observations = seen(body, truth, camera)

    def off(effort: float) -> float:
        motion = solve_learned(body, observations, camera, Progress(), LearnedOptions(effort=effort)).motion
        points = body.points("halpe")(
            body.skeleton(motion.rotations, motion.betas[:, None], motion.transl), motion.betas[:, None]
        )
        image = points @ camera.T
        return float((image[..., :2] / image[..., 2:] - torch.as_tensor(observations.keypoints2d[..., :2])).norm(
            dim=-1
        ).median())  # fmt: skip

    assert off(0.4) < 0.7 * off(0.0)


def test_what_disagrees_with_sure_joints_is_not_believed(body, truth, camera):
    o = seen(body, truth, camera)
    evidence = gather_evidence(
        *(torch.as_tensor(x) for x in (o.keypoints2d, o.landmarks3d, o.landmarks3d_confidence, o.visible)),
        o.peaks, camera, o.fps,
    )  # fmt: skip
    assert believable(body, truth, evidence).all()
    wrong = replace(truth, rotations=truth.rotations.clone())
    turn = roma.rotvec_to_rotmat(torch.tensor([1.2, 0.0, 0.0]))
    wrong.rotations[0, :, [1, 2, 16, 17]] = wrong.rotations[0, :, [1, 2, 16, 17]] @ turn
    wrong.rotations[0, :, 0] = wrong.rotations[0, :, 0] @ turn
    believed = believable(body, wrong, evidence)
    assert not believed[0].any()
    assert believed[1].all()


def test_shapes_go_over_to_the_same_body_unchanged(body):
    betas = torch.randn(3, body.num_betas, generator=torch.Generator().manual_seed(0))
    again = nearest_shape(body, betas, body)
    bones = [body.rest_joints(b)[:, 1:] - body.rest_joints(b)[:, body.parents[1:]] for b in (betas, again)]
    assert (bones[0] - bones[1]).norm(dim=-1).max() < 0.01


def test_the_bundled_network_is_read_once_and_missing_ones_are_named(tmp_path):
    assert default_denoiser() is default_denoiser(WEIGHTS) or default_denoiser(WEIGHTS).config.condition == "keypoints"
    with pytest.raises(CloseintError, match=r"nothing\.safetensors") as error:
        default_denoiser(tmp_path / "nothing.safetensors")
    assert error.value.exit_code == 3
