# SPDX-License-Identifier: Apache-2.0
"""Clips for tests, made from random numbers."""

from __future__ import annotations

import numpy as np

from closeint_core.clip import InteractionClip


def random_clip(
    people: int = 2, frames: int = 5, *, seed: int = 0, body: str = "closeint-default/1"
) -> InteractionClip:
    """A valid clip of random poses before a level camera three metres away."""
    rng = np.random.default_rng(seed)
    rotation = np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0]], np.float32)
    eye = np.array([0, -3, 1.2], np.float32)
    keypoints = rng.uniform(0, 400, (people, frames, 26, 3)).astype(np.float32)
    keypoints[..., 2] = rng.uniform(0, 1, keypoints.shape[:-1])
    keypoints[0, 0, :3] = np.nan
    poses = rng.normal(0, 0.3, (people, frames, 24, 3)).astype(np.float32)
    poses[..., 0, :] += [np.pi / 2, 0, 0]
    transl = rng.normal(0, 0.3, (people, frames, 3)).astype(np.float32) + [0, 0, 1]
    return InteractionClip(
        poses=poses,
        transl=transl,
        betas=rng.normal(0, 1, (people, 10)),
        body=body,
        fps=29.97,
        image_size=np.array([640, 480]),
        camera_K=np.array([[[800, 0, 320], [0, 800, 240], [0, 0, 1]]], np.float32),
        camera_R=rotation[None],
        camera_t=(-rotation @ eye)[None],
        keypoints2d=keypoints,
        visible=rng.random((people, frames)) > 0.2,
        contacts=rng.uniform(0, 1, (people, frames, 24)),
        foot_contacts=rng.uniform(0, 1, (people, frames, 2)),
        frame_start=7,
        video="footage of us.mp4",
        metadata={"version": "x", "nested": {"list": [1, 2.5, None]}},
    ).validate()
