# SPDX-License-Identifier: Apache-2.0
"""Touches that were seen are closed."""

from __future__ import annotations

import numpy as np
import pytest
from support.clips import random_clip

from closeint_core.body.data import JOINT_NAMES
from closeint_core.body.load import load_body
from closeint_core.body.parts import PART_INDEX
from closeint_core.body.skinning import lbs
from closeint_core.clip import InteractionClip
from closeint_core.errors import Cancelled, CloseintError
from closeint_core.perception.observations import PairSeen
from closeint_core.progress import Progress
from closeint_core.reconstruction.seen_contacts import hold_seen_touches
from closeint_core.solver.contact_pairs import signed_gap

FRAMES = 12
BODY = load_body("default")


@pytest.fixture
def clip() -> InteractionClip:
    """Two people who face each other, 0.55 m apart, arms hanging."""
    poses = np.zeros((2, FRAMES, 24, 3), np.float32)
    poses[..., 16, 2], poses[..., 17, 2] = -1.2, 1.2
    poses[0, :, 0] = 2.0944 * np.array([1, 1, 1]) / np.sqrt(3)
    poses[1, :, 0] = 2.0944 * np.array([1, -1, -1]) / np.sqrt(3)
    transl = np.zeros((2, FRAMES, 3), np.float32)
    transl[0, ..., 0], transl[1, ..., 0] = -0.275, 0.275
    vertices, _ = lbs(BODY, poses, np.zeros((2, 1, 10), np.float32), transl)
    transl[..., 2] -= vertices[..., 2].min()
    rotation, away = np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0]], np.float32), np.array([[0, 1, 4]], np.float32)
    made = random_clip(2, FRAMES).copy(
        poses=poses, transl=transl, betas=np.zeros((2, 10), np.float32), body=BODY.name, fps=30.0,
        camera_R=rotation[None], camera_t=away, contacts=np.zeros((2, FRAMES, 24), np.float32),
        metadata={"model": "fit"},
    )  # fmt: skip
    pixels = np.einsum("kv,ptvc->ptkc", BODY.halpe_regressor, lbs(BODY, poses, made.betas[:, None], transl)[0])
    seen = np.concatenate([made.project(pixels), np.full((2, FRAMES, 26, 1), 0.5)], -1)
    return made.copy(keypoints2d=seen.astype(np.float32)).validate()


def seen(probability: float) -> PairSeen:
    """The first person's left hand at the other's right shoulder, in all frames."""
    arrays = {name: np.zeros(shape, np.float32) for name, shape in PairSeen.shapes(FRAMES).items()}
    arrays["touch"] += 0.01
    arrays["touch"][:, PART_INDEX["left_hand"], PART_INDEX["right_shoulder"]] = probability
    return PairSeen(**arrays)


def gap(clip: InteractionClip) -> float:
    vertices, _ = lbs(BODY, clip.poses, clip.betas[:, None], clip.transl)
    hand, shoulder = (np.flatnonzero(BODY.parts == JOINT_NAMES.index(n)) for n in ("left_hand", "right_shoulder"))
    return max(signed_gap(vertices, BODY.faces, t, hand, shoulder) for t in range(FRAMES))


def test_a_touch_that_was_seen_is_closed_and_what_is_said_is_measured(clip: InteractionClip) -> None:
    progress = Progress()
    assert gap(clip) > 0.2
    held = hold_seen_touches(clip, seen(0.9), BODY, progress)
    assert gap(held) < 0.02
    assert progress.warnings == []
    assert held.metadata == clip.metadata
    assert (held.contacts[0, :, JOINT_NAMES.index("left_hand")] > 0.5).all()
    assert held.contacts[0, :, JOINT_NAMES.index("right_foot")].max() < 0.5


def test_what_is_unlikely_or_impossible_changes_nothing(clip: InteractionClip, monkeypatch: pytest.MonkeyPatch) -> None:
    progress = Progress()
    assert hold_seen_touches(clip, seen(0.3), BODY, progress) is clip
    assert progress.warnings == []

    def refuses(*_: object) -> InteractionClip:
        raise CloseintError("It cannot be solved.")

    monkeypatch.setattr("closeint_core.reconstruction.seen_contacts.refine_around", refuses)
    assert hold_seen_touches(clip, seen(0.9), BODY, progress) is clip
    assert progress.warnings == ["Touches that were seen are not closed: It cannot be solved."]


def test_it_can_be_cancelled(clip: InteractionClip) -> None:
    with pytest.raises(Cancelled):
        hold_seen_touches(clip, seen(0.9), BODY, Progress(lambda: True))
