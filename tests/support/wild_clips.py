# SPDX-License-Identifier: Apache-2.0
"""Made-up clips: wild motion on purpose, so that nothing is right by chance."""

from __future__ import annotations

import numpy as np

from closeint_core.clip import InteractionClip


def look_at(eye: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """World to camera R (3, 3), t (3,), OpenCV axes, for a camera with level horizon."""
    forward = (target - eye) / np.linalg.norm(target - eye)
    right = np.cross(forward, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right)
    R = np.stack([right, np.cross(forward, right), forward])
    return R, -R @ eye


def random_clip(
    seed: int,
    frames: int = 40,
    people: int = 2,
    moving_camera: bool = False,
    beta_scale: float = 1.5,
    fps: float = 30000 / 1001,
    video: str = "",
    frame_start: int = 0,
    size: tuple[int, int] = (1280, 720),
) -> InteractionClip:
    """Random poses, shapes and camera; rotation vectors jump by whole turns, as estimates do."""
    rng = np.random.default_rng(seed)
    poses = np.cumsum(rng.normal(0, 0.15, (people, frames, 24, 3)), axis=1) + rng.normal(0, 0.4, (people, 1, 24, 3))
    poses[..., 0, :] += (np.pi / 2, 0, 0)
    angle = np.linalg.norm(poses, axis=-1, keepdims=True)
    turned = poses * (1 - 2 * np.pi / np.maximum(angle, 1e-6))  # the same rotation, the other way round
    poses = np.where(rng.random((people, frames, 24, 1)) < 0.2, turned, poses)
    transl = np.cumsum(rng.normal(0, 0.03, (people, frames, 3)), axis=1) + np.array([0, 0, 1])
    transl[..., 0] += np.linspace(-0.4, 0.4, people)[:, None]
    count = frames if moving_camera else 1
    phase = np.linspace(0, 1, count)
    views = [look_at(np.array([3 * np.sin(2 * a), -4 * np.cos(2 * a), 1.7 + a]), np.array([0, 0, 1.0])) for a in phase]
    focal = 1100 + 200 * phase
    K = np.zeros((count, 3, 3))
    K[:, 0, 0], K[:, 1, 1], K[:, 2, 2] = focal, focal * 1.05, 1
    K[:, 0, 2], K[:, 1, 2] = size[0] * 0.53 + 5 * phase, size[1] * 0.46
    return InteractionClip(
        poses=poses,
        transl=transl,
        betas=rng.normal(0, beta_scale, (people, 10)),
        body="closeint-default/1",
        fps=fps,
        image_size=np.array(size),
        camera_K=K,
        camera_R=np.stack([R for R, _ in views]),
        camera_t=np.stack([t for _, t in views]),
        keypoints2d=np.full((people, frames, 26, 3), np.nan),
        visible=np.ones((people, frames), bool),
        contacts=np.zeros((people, frames, 24)),
        foot_contacts=np.zeros((people, frames, 2)),
        frame_start=frame_start,
        video=video,
    ).validate()
