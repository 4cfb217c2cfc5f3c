# SPDX-License-Identifier: Apache-2.0
"""How good a clip is, judged without the truth: what an animator would see wrong with it."""

from __future__ import annotations

from typing import Any

import numpy as np

from closeint_core.body.data import BodyData
from closeint_core.body.skinning import clip_vertices
from closeint_core.clip import InteractionClip
from closeint_core.physics.penetration import measure_penetration

_CONFIDENT = 0.5


def clip_quality(clip: InteractionClip, body: BodyData) -> dict[str, Any]:
    """Quality figures of a clip: JSON types, millimetres and pixels.

    ``reprojection_px`` is the median over keypoints observed with confidence of at least 0.5.
    ``penetration_mm`` has a value for every frame: how deep the two are in each other (zeros without a pair).
    ``foot_skate_mm`` is the mean movement per frame of feet the clip says are planted.
    """
    frames = clip.frames
    halpe = body.halpe_regressor
    keypoints = np.zeros((clip.people, frames, 26, 3), np.float32)
    joints = np.zeros((clip.people, frames, 24, 3), np.float32)
    lowest = np.zeros((clip.people, frames))
    deepest, mean_depth = np.zeros(frames), np.zeros(frames)
    for part, vertices, posed in clip_vertices(clip, body):
        keypoints[:, part] = halpe @ vertices
        joints[:, part] = posed
        lowest[:, part] = vertices[..., 2].min(-1)
        if clip.people == 2:
            found = measure_penetration(vertices, body.faces)
            deepest[part], mean_depth[part] = found.max_depth, found.mean_depth
    error = np.linalg.norm(clip.project(keypoints) - clip.keypoints2d[..., :2], axis=-1)
    confident = np.nan_to_num(clip.keypoints2d[..., 2]) >= _CONFIDENT
    error = error[confident & np.isfinite(error)]
    feet = keypoints[:, :, [[20, 22, 24], [21, 23, 25]]].mean(-2)  # (P, T, 2, 3)
    planted = np.minimum(clip.foot_contacts[:, 1:], clip.foot_contacts[:, :-1]) > 0.5
    slide = np.linalg.norm(np.diff(feet, axis=1)[..., :2], axis=-1)[planted]
    jerk = np.diff(joints, n=2, axis=1)
    result: dict[str, Any] = {
        "people": clip.people,
        "frames": frames,
        "seconds": round(frames / clip.fps, 3),
        "visible_frames": clip.visible.sum(1).astype(int).tolist(),
        "reprojection_px": _rounded(np.median(error)) if len(error) else None,
        "max_penetration_mm": _rounded(1000 * deepest.max()),
        "penetration_mm": [_rounded(1000 * depth) for depth in deepest],
        "mean_penetration_mm": _rounded(1000 * mean_depth.mean(), 4),
        "frames_over_5mm": int((deepest > 0.005).sum()),
        "frames_over_10mm": int((deepest > 0.010).sum()),
        "frames_over_20mm": int((deepest > 0.020).sum()),
        "frames_in_contact": int((clip.contacts > 0.5).any((0, 2)).sum()),
        "lowest_point_mm": _rounded(1000 * lowest.min()),
        "foot_skate_mm": _rounded(1000 * slide.mean()) if len(slide) else None,
        "acceleration_mm": _rounded(1000 * np.linalg.norm(jerk, axis=-1).mean()) if frames > 2 else None,
        "stature_cm": [_rounded(100 * stature(body, betas)) for betas in clip.betas],
    }
    return result


def stature(body: BodyData, betas: np.ndarray) -> float:
    """Height in metres of the rest body."""
    vertices, _ = body.rest(betas)
    return float(np.ptp(vertices[:, 1]))


def _rounded(value: Any, digits: int = 2) -> float:
    return round(float(value), digits)
