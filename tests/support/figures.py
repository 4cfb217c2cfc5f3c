# SPDX-License-Identifier: Apache-2.0
"""Stick figures: COCO skeletons that walk about, and what a network would say about them."""

from __future__ import annotations

import numpy as np

# a standing person of height 1, origin between the hips, y down
STANDING = np.array(
    [
        [0.00, -0.46], [0.02, -0.48], [-0.02, -0.48], [0.05, -0.47], [-0.05, -0.47],
        [0.11, -0.33], [-0.11, -0.33], [0.15, -0.17], [-0.15, -0.17], [0.17, -0.02], [-0.17, -0.02],
        [0.07, 0.00], [-0.07, 0.00], [0.08, 0.23], [-0.08, 0.23], [0.09, 0.45], [-0.09, 0.45],
    ]
)  # fmt: skip


def walk(start: float, end: float, frames: int, *, y: float = 300.0, height: float = 200.0) -> np.ndarray:
    """(T, 17, 2) pixels of somebody going from x = start to x = end, arms and legs swinging."""
    time = np.linspace(0.0, 1.0, frames)
    pose = np.repeat(STANDING[None], frames, axis=0).copy()
    swing = 0.05 * np.sin(2 * np.pi * 3 * time)
    for joint, sign in ((9, 1), (10, -1), (15, -1), (16, 1)):
        pose[:, joint, 0] += sign * swing
    return pose * height + np.stack([start + (end - start) * time, np.full(frames, y)], axis=-1)[:, None]


def with_score(points: np.ndarray, score: float = 0.8) -> np.ndarray:
    """(..., 17, 3)."""
    return np.concatenate([points, np.full((*points.shape[:-1], 1), score)], axis=-1)


def as_peaks(people: list[np.ndarray], rng: np.random.Generator, *, count: int = 8, score: float = 0.7) -> np.ndarray:
    """(T, 17, M, 3) peaks of all people's joints (T, 17, 2), in random order, NaN padded."""
    frames = len(people[0])
    peaks = np.full((frames, 17, count, 3), np.nan)
    for t in range(frames):
        for joint in range(17):
            for slot, person in enumerate(rng.permutation(len(people))):
                peaks[t, joint, slot] = [*people[person][t, joint], score]
    return peaks
