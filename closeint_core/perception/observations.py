# SPDX-License-Identifier: Apache-2.0
"""What perception hands to the reconstruction."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass
class Observations:
    """What was seen of P (1 or 2) people in T frames.

    Pixels are those of the upright image, pixel centres at +0.5; keypoints are in Halpe-26 order.

    Attributes:
        keypoints2d: f4 (P, T, 26, 3), x, y, confidence 0..1; NaN where unseen. The confidence is lower where two
            networks disagree, where the joint lies on the partner, and for derived points (head top, small toes).
        landmarks3d: f4 (P, T, 26, 3), metres, origin between the hips, camera axes (x right, y down, z forward) of
            the upright image; NaN where absent. Weak-perspective: not corrected for where in the image they are.
        landmarks3d_confidence: f4 (P, T, 26), 0..1, 0 where absent.
        visible: bool (P, T), the person was observed in that frame.
        boxes: f4 (P, T, 4), xyxy round the keypoints; NaN where absent.
        peaks: f4 (T, 17, M, 3), x, y, score of the strongest heatmap peaks of each COCO joint, whoever they belong
            to; NaN padded. ``assignment.reassign`` gives them to people anew, when better predictions are known.
        fps: frames per second.
        frame_start: index of the first frame in the source.
        image_size: (width, height).
        people: numbers of the chosen people (by first appearance in the source, then left to right).
    """

    keypoints2d: np.ndarray
    landmarks3d: np.ndarray
    landmarks3d_confidence: np.ndarray
    visible: np.ndarray
    boxes: np.ndarray
    peaks: np.ndarray
    fps: float
    frame_start: int
    image_size: tuple[int, int]
    people: tuple[int, ...] = ()
