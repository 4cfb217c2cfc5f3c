# SPDX-License-Identifier: Apache-2.0
"""A reconstructed clip against a clip of the true motion."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from closeint_core.body.load import load_body
from closeint_core.body.skinning import clip_vertices
from closeint_core.body.spheres import sole_vertices
from closeint_core.clip import InteractionClip
from closeint_core.errors import CloseintError
from closeint_core.mesh.part_contact import contact_scores, part_gaps, steady_contacts
from closeint_core.metrics.accuracy import acceleration_error, interaction_error, mpjpe, pa_mpjpe
from closeint_core.physics.ground import LEVEL, feet_down, measure_feet

_HIPS = (2, 3)


def lsp_joints(clip: InteractionClip, data: Path | None = None) -> np.ndarray:
    """(P, T, 14, 3) LSP joints of a clip, in its camera's frame, metres."""
    body = load_body(clip.body, data)
    joints = np.zeros((clip.people, clip.frames, 14, 3), np.float32)
    for part, vertices, _ in clip_vertices(clip, body):
        joints[:, part] = body.lsp_regressor @ vertices
    return clip.world_to_camera(joints)


def compare_clips(clip: InteractionClip, truth: InteractionClip, data: Path | None = None) -> dict[str, Any]:
    """Errors in mm over the frames both clips have (definitions: ``evaluation.metrics``).

    For a pair also precision, recall and F1 of the contacts between body parts, over frames and pairs of parts, as
    measured on the skins of both clips (``physics.touch``).

    ``foot_skate_mm`` and ``foot_skate_max_mm`` are how far feet slide from a frame to the next where the truth's feet
    stand, ``foot_down_share`` the share of feet and frames in which they do.

    People are matched by where they stand in the picture, once for the whole clip; ``swapped`` counts
    frames in which the other assignment would fit better.

    Raises:
        CloseintError: the clips share no frame or have different numbers of people.
    """
    if clip.people != truth.people:
        raise CloseintError(f"The clip has {clip.people} people, the truth {truth.people}.", "Compare equal numbers.")
    start = max(clip.frame_start, truth.frame_start)
    stop = min(clip.frame_start + clip.frames, truth.frame_start + truth.frames)
    if stop <= start:
        raise CloseintError("The clip and the truth share no frame.", "Compare clips of the same video.")
    predicted = lsp_joints(clip, data)[:, start - clip.frame_start : stop - clip.frame_start]
    true = lsp_joints(truth, data)[:, start - truth.frame_start : stop - truth.frame_start]
    orders = [list(range(clip.people)), list(range(clip.people))[::-1]]
    pixels = [_pixels(x, c) for x, c in ((predicted, clip), (true, truth))]
    costs = np.stack([np.linalg.norm(pixels[0][order] - pixels[1], axis=-1).mean((0, 2)) for order in orders])
    best = int(costs.sum(1).argmin())
    predicted = predicted[orders[best]]
    result: dict[str, Any] = {
        "frames": stop - start,
        "swapped": int((costs[1 - best] < 0.8 * costs[best]).sum()) if clip.people > 1 else 0,
        "mpjpe_mm": round(float(mpjpe(predicted, true, _HIPS).mean()), 1),
        "pa_mpjpe_mm": round(float(pa_mpjpe(predicted, true).mean()), 1),
        "acceleration_mm": round(float(acceleration_error(predicted, true, _HIPS).mean()), 2)
        if stop - start > 2
        else None,
    }
    here, there = (slice(start - one.frame_start, stop - one.frame_start) for one in (clip, truth))
    result |= _slide_where_truth_stands(clip, truth, here, there, orders[best], data)
    if clip.people == 2:
        result["interaction_mm"] = round(float(interaction_error(predicted, true).mean()), 1)
        found = _touching(clip, here, orders[best], data)
        wanted = _touching(truth, there, [0, 1], data)
        scores = contact_scores(found, wanted)
        result |= {f"contact_{name}": round(value, 3) for name, value in vars(scores).items()}
    return result


def _slide_where_truth_stands(
    clip: InteractionClip, truth: InteractionClip, here: slice, there: slice, order: list[int], data: Path | None
) -> dict[str, Any]:
    """How far the clip's feet slide in the frames ``here`` in which the truth's, in ``there``, stand."""
    soles = _soles(clip, data)[order][:, here]
    stands = feet_down(_soles(truth, data)[:, there], LEVEL.normal, truth.fps)
    skate = measure_feet(soles, stands).skate
    skate = skate[np.isfinite(skate)]
    return {
        "foot_skate_mm": round(float(1000 * skate.mean()), 2) if len(skate) else None,
        "foot_skate_max_mm": round(float(1000 * skate.max()), 2) if len(skate) else None,
        "foot_down_share": round(float(stands.mean()), 3),
    }


def _soles(clip: InteractionClip, data: Path | None) -> np.ndarray:
    """(P, T, 2, K, 3) points of the soles, world."""
    body = load_body(clip.body, data)
    chosen = sole_vertices(body)
    return np.concatenate([vertices[:, :, chosen] for _, vertices, _ in clip_vertices(clip, body)], 1)


def _touching(clip: InteractionClip, frames: slice, order: list[int], data: Path | None) -> torch.Tensor:
    """(T, 24, 24) bool, which parts of a pair touch in some frames, people in ``order``."""
    body = load_body(clip.body, data)
    faces, parts = torch.as_tensor(body.faces, dtype=torch.int64), torch.as_tensor(body.parts, dtype=torch.int64)
    gaps = [part_gaps(torch.as_tensor(vertices[order]), faces, parts) for _, vertices, _ in clip_vertices(clip, body)]
    return steady_contacts(torch.cat(gaps)[frames])


def _pixels(joints: np.ndarray, clip: InteractionClip) -> np.ndarray:
    """Pixels (P, T, 14, 2) of camera-frame joints; a moving camera's mean intrinsics serve for matching."""
    image = joints @ clip.camera_K.mean(0).T
    result: np.ndarray = image[..., :2] / np.maximum(image[..., 2:], 0.05)
    return result
