# SPDX-License-Identifier: Apache-2.0
"""A clip of two people who stand, tremble and touch with a hand for a while; everything about it is known."""

from __future__ import annotations

import numpy as np

from closeint_core.body.data import load_body
from closeint_core.body.skinning import lbs
from closeint_core.clip import InteractionClip
from support.wild_clips import look_at

FRAMES = 30
TOUCH = slice(6, 22)
UNSEEN = slice(10, 17)
HEIGHT = 0.07
"""Metres by which the two hover over the floor."""


def touching_clip(seed: int = 5) -> InteractionClip:
    """The first person's left hand reaches the other's shoulder in frames ``TOUCH``."""
    rng = np.random.default_rng(seed)
    body = load_body()
    poses = np.zeros((2, FRAMES, 24, 3))
    poses[..., 16, 2], poses[..., 17, 2] = -1.2, 1.2
    reach = np.interp(np.arange(FRAMES), [0, 6, 21, 29], [0, 1, 1, 0])
    poses[0, :, 16, 2] += 1.2 * reach  # the left arm goes up ...
    poses[0, :, 16, 1] -= 1.35 * reach  # ... and forward
    poses[0, :, 0] = 2.0944 * np.array([1, 1, 1]) / np.sqrt(3)
    poses[1, :, 0] = 2.0944 * np.array([1, -1, -1]) / np.sqrt(3)
    poses[..., 1:, :] += rng.normal(0, 0.004, poses[..., 1:, :].shape)
    transl = np.zeros((2, FRAMES, 3))
    transl[0, ..., 0], transl[1, ..., 0] = -0.335, 0.335
    transl[1, ..., 1] = 0.05
    transl += rng.normal(0, 0.002, transl.shape)
    betas = np.zeros((2, 10))
    vertices, _ = lbs(body, poses, betas[:, None], transl)
    transl[..., 2] += HEIGHT - vertices[..., 2].min()
    vertices[..., 2] += HEIGHT - vertices[..., 2].min()
    rotation, offset = look_at(np.array([0.3, -4.0, 1.5]), np.array([0, 0, 1.0]))
    K = np.array([[[1100.0, 0, 640], [0, 1100.0, 360], [0, 0, 1]]])
    contacts = np.zeros((2, FRAMES, 24))
    contacts[0, TOUCH, 22] = 0.9
    contacts[1, TOUCH, 17] = 0.8
    visible = np.ones((2, FRAMES), bool)
    visible[1, UNSEEN] = False
    clip = InteractionClip(
        poses=poses,
        transl=transl,
        betas=betas,
        body=body.name,
        fps=30.0,
        image_size=np.array([1280, 720]),
        camera_K=K,
        camera_R=rotation[None],
        camera_t=offset[None],
        keypoints2d=np.zeros((2, FRAMES, 26, 3)),
        visible=visible,
        contacts=contacts,
        foot_contacts=np.ones((2, FRAMES, 2)),
    ).validate()
    pixels = clip.project(body.halpe_regressor @ vertices)
    pixels[0, 25] += 40.0  # the detector was wrong once
    confidence = np.full((*pixels.shape[:-1], 1), 0.8)
    clip.keypoints2d = np.concatenate([pixels, confidence], -1)
    clip.keypoints2d[1, UNSEEN] = np.nan
    return clip.validate()
