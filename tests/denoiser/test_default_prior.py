# SPDX-License-Identifier: Apache-2.0
"""The bundled prior: it loads, knows motion it never saw, and draws pairs of people."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import roma
import torch
from torch import Tensor

import closeint_core
from closeint_core.body.data import load_body
from closeint_core.body.skinning import lbs
from closeint_core.clip import InteractionClip
from closeint_core.denoiser import prior as module
from closeint_core.denoiser.canonical import PairMotion, pair_frames
from closeint_core.denoiser.prior import DEFAULT_PRIOR, canonical_joints, default_prior, draw_interactions, report
from closeint_core.errors import CloseintError
from closeint_core.exchange.sampled import sampled_clip

WINDOW = 16
SAMPLE = Path(closeint_core.__file__).parent / "samples" / "greeting.closeint.npz"


@pytest.fixture(scope="module")
def numbers(body) -> Tensor:
    """The bundled sample's truth, every window of 16 frames that begins at a multiple of 8."""
    clip = InteractionClip.load(SAMPLE)
    rotations = roma.rotvec_to_rotmat(torch.as_tensor(clip.poses)).transpose(0, 1)
    pelvis = torch.as_tensor(clip.transl).transpose(0, 1) + body.rest_joints(torch.as_tensor(clip.betas))[:, 0]
    frames = torch.arange(0, clip.frames - WINDOW + 1, 8)[:, None] + torch.arange(WINDOW)
    motion = PairMotion(rotations[frames], pelvis[frames])
    return pair_frames(motion, torch.tensor([0.0, 0.0, 1.0])).into(motion)


def test_size():
    """With the denoiser, at most 30 MB."""
    assert DEFAULT_PRIOR.stat().st_size < 7.5e6
    assert sum(path.stat().st_size for path in DEFAULT_PRIOR.parent.glob("*.safetensors")) < 30e6


def test_the_sample_is_reconstructed(numbers, body):
    """Measured 9.0 mm; the prior was not trained on it."""
    prior, _ = default_prior()
    assert report(prior, body, numbers).mpjpe_mm < 11
    still = numbers.mean(dim=1, keepdim=True).expand_as(numbers)
    moving = (canonical_joints(body, still) - canonical_joints(body, numbers)).norm(dim=-1).mean()
    assert moving > 0.02  # metres: a still pose would not do


@torch.no_grad()
def test_two_people_are_drawn(body):
    """All over each other or far apart, upside down, in the air, or jumping about: none of it."""
    prior, codes = default_prior()
    motion = draw_interactions(prior, codes, body, 16, seed=3)
    shape = torch.zeros(1)
    skeleton = body.skeleton(motion.rotations, shape, motion.pelvis - body.rest_joints(shape)[0])
    joints = skeleton.joints
    assert torch.isfinite(joints).all()
    apart = (motion.pelvis[:, :, 0] - motion.pelvis[:, :, 1]).norm(dim=-1)
    assert apart.max() < 3
    height = joints[..., 2]
    lowest = height.argmin(dim=-1).flatten()
    assert torch.isin(lowest, torch.tensor([7, 8, 10, 11])).float().mean() > 0.95
    head_over_feet = height[..., 15] - height.amin(dim=-1)
    assert head_over_feet.median() > 1.2
    assert joints.diff(dim=1).norm(dim=-1).mean() < 0.04
    floors = height.amin(dim=-1).mean(dim=1)
    assert (floors[:, 0] - floors[:, 1]).abs().median() < 0.08  # one floor for both
    # Different ones.
    poses = joints.flatten(start_dim=1)
    assert torch.pdist(poses).min() > 0.5
    assert torch.equal(motion.pelvis, draw_interactions(prior, codes, body, 16, seed=3).pelvis)


def test_a_sampled_clip():
    clip = sampled_clip(seed=5)
    assert (clip.people, clip.frames) == (2, 16)
    body = load_body("default")
    poses = clip.poses.reshape(32, 24, 3)
    vertices, _ = lbs(body, poses, np.repeat(clip.betas, 16, axis=0), clip.transl.reshape(32, 3))
    vertices = vertices.reshape(2, 16, -1, 3)
    assert abs(vertices[..., 2].min()) < 0.06  # on the floor
    assert vertices[..., 2].max() < 2.2
    keep = clip.project(vertices)
    assert ((keep > 0) & (keep < clip.image_size)).all()  # the camera shows them


def test_a_missing_file_is_said(monkeypatch, tmp_path):
    monkeypatch.setattr(module, "DEFAULT_PRIOR", tmp_path / "prior.safetensors")
    default_prior.cache_clear()
    with pytest.raises(CloseintError, match="no checkpoint") as caught:
        default_prior()
    assert caught.value.exit_code == 3
