# SPDX-License-Identifier: Apache-2.0
"""What perception hands to the reconstruction."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from closeint_core.body.parts import JOINTS, PARTS


@dataclass
class PairSeen:
    """What the eyes for pairs (``closeint_core.eyes``) say of T frames; NaN where they did not look.

    Attributes:
        joints: f4 (2, T, 13, 3) of ``body.parts.JOINTS``: x, y in pixels, and the probability of being within a quarter
            of the trunk's length.
        visible: f4 (2, T, 13), probability of being in sight and not hidden.
        trunks: f4 (2, T), the length of the trunk in pixels by which that probability counts.
        slack: f4 (2, T, 13), pixels by which a joint may be further off because it is interpolated between looks.
        touch: f4 (T, 30, 30), probability that part i (``body.parts.PARTS``) of the first person touches part j of the
            second.
        before: f4 (2, T, 30), probability that the part is before the other's body, where they overlap.
        nearer: f4 (T,), probability that the first person's trunk is nearer to the camera.
    """

    joints: np.ndarray
    visible: np.ndarray
    trunks: np.ndarray
    slack: np.ndarray
    touch: np.ndarray
    before: np.ndarray
    nearer: np.ndarray

    @staticmethod
    def shapes(frames: int) -> dict[str, tuple[int, ...]]:
        """Of the arrays for so many frames."""
        joints, parts = len(JOINTS), len(PARTS)
        return {
            "joints": (2, frames, joints, 3), "visible": (2, frames, joints), "trunks": (2, frames),
            "slack": (2, frames, joints), "touch": (frames, parts, parts), "before": (2, frames, parts),
            "nearer": (frames,),
        }  # fmt: skip

    def frames(self, part: slice) -> PairSeen:
        """Of some frames."""
        by_person = ("joints", "visible", "trunks", "slack", "before")
        return PairSeen(
            **{f.name: getattr(self, f.name)[(slice(None),) * (f.name in by_person) + (part,)] for f in fields(self)}
        )


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
        pair: what the eyes for pairs saw, where they looked and two people are left.
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
    pair: PairSeen | None = None
