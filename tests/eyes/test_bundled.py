# SPDX-License-Identifier: Apache-2.0
"""The bundled weights, on the sample: a film whose truth is known. Skipped until they are bundled."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import closeint_core
from closeint_core.body.data import load_body
from closeint_core.body.parts import HIPS, JOINTS_IN_HALPE, SHOULDERS
from closeint_core.body.skinning import clip_vertices
from closeint_core.clip import InteractionClip
from closeint_core.eyes.look import PairEvidence, PairEyes
from closeint_core.eyes.weights import BUNDLED, find_eyes
from closeint_core.video.source import open_source

SAMPLE = Path(closeint_core.__file__).parent / "samples" / "greeting.mp4"
FRAMES = slice(70, 82, 4)  # of the hug


@pytest.fixture(scope="module")
def seen() -> tuple[PairEvidence, np.ndarray, np.ndarray]:
    """Evidence, true joints (T, 2, 13, 2) in pixels, and lengths of trunks (T, 2)."""
    if not BUNDLED.is_file():
        pytest.skip("no weights of the eyes are bundled yet")
    clip, body = InteractionClip.load(SAMPLE.with_suffix(".closeint.npz")), load_body("default")
    halpe = body.halpe_regressor[list(JOINTS_IN_HALPE)]
    joints = np.concatenate([halpe @ vertices for _, vertices, _ in clip_vertices(clip, body)], 1)
    truth = clip.project(joints)[:, FRAMES].swapaxes(0, 1)
    prompts = np.stack([truth[:, :, list(pair)].mean(2) for pair in (SHOULDERS, HIPS)], 2)
    pictures = [
        rgb for index, rgb in open_source(SAMPLE, (FRAMES.start, FRAMES.stop)) if (index - FRAMES.start) % 4 == 0
    ]
    evidence = PairEyes.load(BUNDLED).look(pictures, prompts, looks=1)
    return evidence, truth, np.linalg.norm(prompts[:, :, 0] - prompts[:, :, 1], axis=-1)


def test_the_file_is_the_one_that_was_bundled(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    if not BUNDLED.is_file():
        pytest.skip("no weights of the eyes are bundled yet")
    monkeypatch.setattr("closeint_core.models.store.user_data_dir", lambda: tmp_path)
    monkeypatch.delenv("CLOSEINT_DATA", raising=False)
    assert find_eyes() == BUNDLED


def test_joints_of_a_hug_are_where_they_are_and_believed(seen: tuple[PairEvidence, np.ndarray, np.ndarray]) -> None:
    evidence, truth, trunk = seen
    right = np.linalg.norm(evidence.keypoints - truth, axis=-1) < 0.25 * trunk[..., None]
    assert right.mean() > 0.9
    assert (right & (evidence.probability > 0.5)).mean() > 0.85


def test_a_hug_touches(seen: tuple[PairEvidence, np.ndarray, np.ndarray]) -> None:
    evidence = seen[0]
    assert np.isfinite(evidence.touch).all()
    assert evidence.touch.max(axis=(1, 2)).min() > 0.2
