# SPDX-License-Identifier: Apache-2.0
"""Evidence over the footage."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import closeint_core
from closeint_core.clip import InteractionClip
from closeint_core.halpe import HALPE_INDEX as K
from closeint_core.preview.evidence import COLOURS, draw_evidence, touches_named


@pytest.fixture
def clip() -> InteractionClip:
    sample = InteractionClip.load(Path(closeint_core.__file__).parent / "samples" / "greeting.closeint.npz")
    keypoints = np.full((2, sample.frames, 26, 3), np.nan, np.float32)
    return sample.copy(keypoints2d=keypoints, metadata={})


def test_a_joint_is_drawn_where_it_is_in_its_persons_colour(clip: InteractionClip) -> None:
    width, height = (int(side) // 2 for side in clip.image_size)
    clip.keypoints2d[0, 3, K["left_wrist"]] = 201, 121, 0.9
    clip.keypoints2d[1, 3, K["right_knee"]] = 401, 321, 0.9
    grey = np.full((height, width, 3), 90, np.uint8)
    drawn = draw_evidence(grey.copy(), clip, 3)
    for colour, (x, y) in zip(COLOURS, ((100, 60), (200, 160)), strict=True):
        np.testing.assert_array_equal(drawn[y, x], colour)
        rows, columns = np.nonzero((drawn == colour).all(-1))
        assert abs(rows.mean() - y) < 0.5
        assert abs(columns.mean() - x) < 0.5
    np.testing.assert_array_equal(draw_evidence(grey.copy(), clip, 4), grey)  # of another frame


def test_the_surer_the_larger_and_rings_are_doubt(clip: InteractionClip) -> None:
    def covered(chance: float) -> np.ndarray:
        clip.keypoints2d[0, 0, K["nose"]] = 200, 200, chance
        grey = np.full((int(clip.image_size[1]), int(clip.image_size[0]), 3), 90, np.uint8)
        return (draw_evidence(grey, clip, 0) != 90).any(-1)

    assert covered(0.95).sum() > covered(0.6).sum() > 0
    assert covered(0.6)[200, 200]
    assert not covered(0.45)[199, 199]  # a ring is open


def test_touches_are_named_in_their_frames() -> None:
    spans = [
        {"parts": ["left_hand", "trunk_back"], "first": 2, "last": 4, "probability": 0.7},
        {"parts": ["right_hand", "left_hand"], "first": 4, "last": 9, "probability": 0.9},
        "nonsense", {"parts": []}, {"parts": ["a", "b"], "first": None, "last": 3, "probability": 1},
    ]  # fmt: skip
    named = [touches_named({"seen_touches": spans}, frame) for frame in (1, 2, 4, 9, 10)]
    both = ["right hand - left hand 90%", "left hand - trunk back 70%"]
    assert named == [[], both[1:], both, both[:1], []]
    assert touches_named({}, 3) == touches_named({"seen_touches": 5}, 3) == []
