# SPDX-License-Identifier: GPL-3.0-or-later
"""What a clip's own arrays say of a person, frame by frame. No bpy here."""

from __future__ import annotations

import numpy as np

from closeint_core.clip import InteractionClip

from ..analysis.bodies import pair_state

_CONFIDENT = 0.05


def observed_series(clip: InteractionClip, person: int) -> dict[str, np.ndarray]:
    """The series (T,) or (T, J) that the clip's own arrays give."""
    confidence = clip.keypoints2d[person, ..., 2]
    seen = np.isfinite(clip.keypoints2d[person]).all(-1) & (confidence > _CONFIDENT)
    mean = np.where(seen, confidence, 0).sum(-1) / np.maximum(seen.sum(-1), 1)
    contacts = clip.contacts[person]
    return {
        "closeint_visible": clip.visible[person].astype(np.float32),
        "closeint_confidence": mean.astype(np.float32),
        "closeint_contact": contacts.max(-1),
        "closeint_contacts": contacts,
        "closeint_unseen": gap_lengths(clip.visible[person]) / np.float32(clip.fps),
    }


def imported_series(clip: InteractionClip, person: int, depths: np.ndarray | None) -> dict[str, np.ndarray]:
    """What an import writes: ``observed_series``, and the penetration of depths (T,) metres if they are known."""
    series = observed_series(clip, person)
    return series if depths is None else {**series, "closeint_penetration": 1000 * depths}


def stored_depths(clip: InteractionClip) -> np.ndarray | None:
    """(T,) metres that the two are in each other, measured on the meshes when the clip was made; None without."""
    quality = clip.metadata.get("quality")
    stored = quality.get("penetration_mm") if isinstance(quality, dict) else None
    if not isinstance(stored, list) or len(stored) != clip.frames:
        return None
    try:
        depths = np.array(stored, np.float32) / 1000
    except (TypeError, ValueError):  # a file of somebody else's
        return None
    return depths if depths.shape == (clip.frames,) and np.isfinite(depths).all() else None


def clip_depths(clip: InteractionClip) -> np.ndarray | None:
    """(T,) metres that a clip's two people are in each other: its own figures, else of spheres; None without two."""
    if clip.people != 2:
        return None
    stored = stored_depths(clip)
    return stored if stored is not None else pair_state(clip.body, clip.poses, clip.transl, clip.betas).depths()


def gap_lengths(visible: np.ndarray) -> np.ndarray:
    """Of every frame (T,) that is not visible, the length in frames of the run it is in; else 0."""
    edges = np.flatnonzero(np.diff(np.concatenate([[True], visible, [True]]).astype(np.int8)))
    lengths = np.zeros(len(visible), np.float32)
    for start, stop in edges.reshape(-1, 2):
        lengths[start:stop] = stop - start
    return lengths
