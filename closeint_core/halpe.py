# SPDX-License-Identifier: Apache-2.0
"""Names, order and symmetry of the Halpe-26 and COCO-17 keypoints."""

from __future__ import annotations

import numpy as np

HALPE_NAMES: tuple[str, ...] = (
    "nose", "left_eye", "right_eye", "left_ear", "right_ear",
    "left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist",
    "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle",
    "head_top", "neck", "pelvis",
    "left_big_toe", "right_big_toe", "left_small_toe", "right_small_toe", "left_heel", "right_heel",
)  # fmt: skip
"""Halpe-26; the first 17 are COCO-17 in COCO's order."""

HALPE_INDEX: dict[str, int] = {name: index for index, name in enumerate(HALPE_NAMES)}

HALPE_BONES: tuple[tuple[int, int], ...] = (
    (15, 13), (13, 11), (11, 19), (16, 14), (14, 12), (12, 19), (17, 18), (18, 19), (18, 5), (5, 7), (7, 9),
    (18, 6), (6, 8), (8, 10), (0, 17), (15, 24), (15, 20), (20, 22), (16, 25), (16, 21), (21, 23),
)  # fmt: skip
"""Pairs of keypoints joined by a limb, for drawing and for limb lengths."""

HALPE_FLIP: np.ndarray = np.array(
    [HALPE_INDEX[name.replace("left", "\0").replace("right", "left").replace("\0", "right")] for name in HALPE_NAMES]
)
"""Index of the mirrored keypoint."""

HALPE_TO_LSP: np.ndarray = np.array([16, 14, 12, 11, 13, 15, 10, 8, 6, 5, 7, 9, 18, 17])
"""The 14 LSP joints of the evaluation protocol, taken from Halpe-26."""
