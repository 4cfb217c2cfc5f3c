# SPDX-License-Identifier: Apache-2.0
"""Draws what was seen over the footage: joints with how sure they are, and what touches what."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from closeint_core.clip import InteractionClip
from closeint_core.halpe import HALPE_INDEX as K

COLOURS = ((255, 140, 60), (70, 160, 255))
"""RGB of the first and of the second person."""
_BONES = tuple(
    (K[a], K[b])
    for side in ("left", "right")
    for a, b in (
        (f"{side}_shoulder", f"{side}_elbow"), (f"{side}_elbow", f"{side}_wrist"), (f"{side}_shoulder", f"{side}_hip"),
        (f"{side}_hip", f"{side}_knee"), (f"{side}_knee", f"{side}_ankle"),
    )
) + ((K["left_shoulder"], K["right_shoulder"]), (K["left_hip"], K["right_hip"]))  # fmt: skip
_JOINTS = tuple(sorted({K["nose"], *(joint for bone in _BONES for joint in bone)}))
_UNSURE = 0.5  # below this a joint is an open ring, and its bones are thin


def draw_evidence(picture: np.ndarray, clip: InteractionClip, frame: int) -> np.ndarray:
    """A picture (H, W, 3) uint8 with a frame's evidence.

    A disc is a joint that is likely where it is, a ring one that is not; the smaller, the less likely. Touches that the
    eyes for pairs saw are named above, with their probability.
    """
    drawn = np.ascontiguousarray(picture)
    scale = picture.shape[0] / float(clip.image_size[1])
    for person in range(clip.people):
        keypoints = clip.keypoints2d[person, frame]
        colour = COLOURS[person % 2]
        seen = np.isfinite(keypoints).all(axis=-1)
        # Pixels of the clip have their centres at +0.5, those of OpenCV at whole numbers.
        at = np.round(np.nan_to_num(keypoints[:, :2]) * scale - 0.5).clip(-(2**14), 2**14).astype(int)
        for a, b in _BONES:
            if seen[a] and seen[b]:
                sure = min(keypoints[a, 2], keypoints[b, 2]) >= _UNSURE
                cv2.line(drawn, tuple(map(int, at[a])), tuple(map(int, at[b])), colour, 2 if sure else 1, cv2.LINE_AA)
        for joint in _JOINTS:
            if seen[joint]:
                chance = float(keypoints[joint, 2])
                radius = max(2, round(6 * chance))
                thickness = cv2.FILLED if chance >= _UNSURE else 1
                cv2.circle(drawn, tuple(map(int, at[joint])), radius, colour, thickness, cv2.LINE_AA)
    for line, text in enumerate(touches_named(clip.metadata, frame)):
        place = 8, 20 + 18 * line
        cv2.putText(drawn, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.45, (0, 0, 0), 3, cv2.LINE_AA)
        cv2.putText(drawn, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.45, (255, 255, 255), 1, cv2.LINE_AA)
    return drawn


def touches_named(metadata: dict[str, Any], frame: int) -> list[str]:
    """Lines for the touches of a frame, the most probable first; none where the clip tells of none."""
    spans = metadata.get("seen_touches")
    if not isinstance(spans, list):
        return []
    lines = []
    for span in spans:
        try:
            parts, chance = [str(part).replace("_", " ") for part in span["parts"]], float(span["probability"])
            if int(span["first"]) <= frame <= int(span["last"]):
                lines.append((-chance, f"{parts[0]} - {parts[1]} {chance:.0%}"))
        except (KeyError, TypeError, ValueError, IndexError):
            continue  # somebody else's words
    return [text for _, text in sorted(lines)]
