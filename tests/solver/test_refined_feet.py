# SPDX-License-Identifier: Apache-2.0
"""Feet after the refinement: none under the floor, those that stand stay where they stand; near and far from others."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from closeint_core.body.data import load_body
from closeint_core.body.skinning import lbs
from closeint_core.clip import InteractionClip
from closeint_core.metrics.quality import measure_clip
from closeint_core.physics.ground import FootMeasures
from closeint_core.solver.initial import relaxed_pose
from closeint_core.solver.phases import refine

DATA = load_body()
FRAMES = 12


def standing(gap: float) -> InteractionClip:
    """Two people beside each other, ``gap`` metres apart, on the floor, with keypoints that fit (synthetic)."""
    pose = relaxed_pose().expand(2, FRAMES, 24, 3).clone().numpy()
    pose[:, :, 0] = [np.pi / 2, 0, 0]
    betas, transl = np.zeros((2, 10), np.float32), np.zeros((2, FRAMES, 3), np.float32)
    transl[1, :, 0] = gap
    vertices, _ = lbs(DATA, pose, betas[:, None], transl)
    transl[..., 2] = -vertices[..., 2].min(-1)
    clip = InteractionClip(
        poses=pose, transl=transl, betas=betas, body=DATA.name, fps=30.0, image_size=np.array([1280, 720]),
        camera_K=np.array([[[1000.0, 0, 640], [0, 1000, 360], [0, 0, 1]]], np.float32),
        camera_R=np.array([[[1.0, 0, 0], [0, 0, -1], [0, 1, 0]]], np.float32),
        camera_t=np.array([[-gap / 2, 0.9, 4.0]], np.float32),
        keypoints2d=np.full((2, FRAMES, 26, 3), np.nan, np.float32), visible=np.ones((2, FRAMES), bool),
        contacts=np.zeros((2, FRAMES, 24), np.float32), foot_contacts=np.ones((2, FRAMES, 2), np.float32),
    )  # fmt: skip
    vertices, _ = lbs(DATA, clip.poses, betas[:, None], clip.transl)
    pixels = clip.project((DATA.halpe_regressor @ vertices).astype(np.float32))
    return clip.copy(keypoints2d=np.concatenate([pixels, np.full_like(pixels[..., :1], 0.9)], -1)).validate()


def feet(clip: InteractionClip) -> FootMeasures:
    return measure_clip(clip, DATA, detailed=False).feet


@pytest.mark.parametrize("gap", [0.9, 3.0])
def test_no_foot_stays_under_the_floor(gap: float) -> None:
    clip = standing(gap)
    sunk = clip.transl.copy()
    sunk[0, 4:9, 2] -= 0.05
    before = clip.copy(transl=sunk, foot_contacts=np.zeros_like(clip.foot_contacts))
    assert feet(before).sinking.max() > 0.045
    assert feet(refine(before)).sinking.max() < 0.005


def test_planted_feet_come_down_and_stay() -> None:
    clip = standing(0.9)
    generator = torch.Generator().manual_seed(0)
    moved = clip.transl + 0.006 * torch.randn(clip.transl.shape, generator=generator).numpy()
    moved[..., 2] += 0.02
    before, after = feet(clip.copy(transl=moved)), feet(refine(clip.copy(transl=moved)))
    assert np.nanmean(before.floating) > 0.015
    assert np.nanmean(before.skate) > 0.006
    assert np.nanmean(after.floating) < 0.006
    assert np.nanmean(after.skate) < 0.003
    assert after.sinking.max() < 0.005
