# SPDX-License-Identifier: Apache-2.0
"""The figures of a clip against the frames they come from, and the picture of it."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from support.clips import random_clip

from closeint_core.body.data import load_body
from closeint_core.clip import InteractionClip
from closeint_core.errors import CloseintError
from closeint_core.evaluation.compare import compare_clips
from closeint_core.evaluation.plot import plot_measures
from closeint_core.metrics.quality import ClipMeasures, clip_quality, measure_clip, touching_parts
from closeint_core.windows import frames_of

SAMPLE = Path(__file__).resolve().parents[2] / "closeint_core" / "samples" / "greeting.closeint.npz"

PER_PERSON = ("poses", "transl", "betas", "keypoints2d", "visible", "contacts", "foot_contacts")


@pytest.fixture(scope="module")
def clip() -> InteractionClip:
    """Two bodies side by side that come into each other and part again."""
    clip = random_clip(frames=6, seed=2)
    poses = clip.poses.copy()
    poses[:, :, 1:] = 0
    poses[:, :, 0] = [np.pi / 2, 0, 0]
    poses[1, :, 0] = [0, np.pi / np.sqrt(2), np.pi / np.sqrt(2)]  # turned to face the other
    transl = np.zeros_like(clip.transl)
    transl[..., 2] = 1
    transl[1, :, 1] = -np.array([3.0, 0.32, 0.2, 0.2, 0.32, 3.0])
    feet = np.ones_like(clip.foot_contacts)
    feet[0, 3:] = 0
    return clip.copy(poses=poses, transl=transl, betas=np.zeros_like(clip.betas), foot_contacts=feet).validate()


@pytest.fixture(scope="module")
def measures(clip: InteractionClip) -> ClipMeasures:
    return measure_clip(clip, load_body(clip.body))


def test_frame_by_frame(clip: InteractionClip, measures: ClipMeasures) -> None:
    depth, volume = measures.penetration.max_depth, measures.penetration.volume
    assert depth[0] == depth[5] == 0
    assert depth[2] > depth[1]
    assert depth[2] == pytest.approx(depth[3])
    assert volume is not None
    assert volume[0] == 0
    assert volume[2] > volume[1] > 0
    assert measures.touching is not None
    assert not measures.touching[0].any()
    assert measures.touching[2].any()
    assert measures.down.mean() >= (clip.foot_contacts > 0.5).mean()
    # Person 1 moves along y only, so far does every foot.
    assert measures.feet.skate[1, :, 0] == pytest.approx(np.abs(np.diff(clip.transl[1, :, 1])), abs=1e-5)


def test_figures(clip: InteractionClip, measures: ClipMeasures) -> None:
    body = load_body(clip.body)
    quality, brief = clip_quality(clip, body, measures), clip_quality(clip, body)
    assert all(quality[key] == brief[key] for key in brief)
    assert quality["max_penetration_mm"] == pytest.approx(1000 * measures.penetration.max_depth.max(), abs=0.01)
    assert quality["frames_over_5mm"] >= quality["frames_over_10mm"] >= quality["frames_over_20mm"] == 4
    assert quality["max_penetration_cm3"] > 100
    assert quality["self_penetration_frames"] == [0, 0]
    assert quality["frames_touching"] == 4
    assert quality["foot_skate_mm"] == pytest.approx(1000 * np.nanmean(measures.feet.skate), abs=0.01)
    feet = measures.feet
    assert quality["foot_sink_mm"] == pytest.approx(1000 * feet.sinking.max(), abs=0.01)
    assert quality["foot_float_mm"] == pytest.approx(1000 * np.nanmean(feet.floating), abs=0.01)
    # Nobody bends: the lowest point of the feet is the lowest of all, and person 1 slides as far as she is moved.
    height = feet.floating[1] - feet.sinking[1]
    np.testing.assert_allclose(height.min(-1), measures.lowest[1], atol=1e-6)
    way = clip.transl[1, :, 1]
    assert quality["foot_drift_mm"] == pytest.approx(1000 * np.abs(way - np.median(way)).max(), abs=0.1)
    # Everybody stands with straight legs, a metre over the floor at the pelvis.
    assert measures.ground is not None
    assert quality["floor_height_mm"] == pytest.approx(1000 * measures.lowest.mean(), abs=2)
    assert quality["floor_tilt_deg"] == pytest.approx(0, abs=0.05)
    longest = next(iter(quality["touching_parts"].values()))
    assert longest == max(quality["touching_parts"].values()) == touching_parts(measures.touching)[0][2]


def test_picture_shows_the_frames(clip: InteractionClip, measures: ClipMeasures, tmp_path) -> None:
    plot_measures(clip, measures, tmp_path / "new" / "a.png", "a clip")
    picture = cv2.imread(str(tmp_path / "new" / "a.png"))
    still = ClipMeasures(**{**vars(measures), "touching": np.zeros_like(measures.touching)})
    plot_measures(clip, still, tmp_path / "b.png", "a clip")
    red = [(cv2.imread(str(path)) == (70, 60, 200)).all(-1).sum() for path in tmp_path.rglob("*.png")]
    assert picture.shape[1] == 1600
    assert max(red) > min(red) > 0


@pytest.mark.parametrize(("people", "frames"), [(1, 3), (2, 1), (1, 1)])
def test_few_people_and_frames(people: int, frames: int, tmp_path) -> None:
    clip = random_clip(people, frames)
    body = load_body(clip.body)
    found = measure_clip(clip, body)
    quality = clip_quality(clip, body, found)
    assert quality["people"] == people
    assert people == 2 or quality["max_penetration_mm"] == 0
    plot_measures(clip, found, tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size > 1000


def test_a_picture_of_no_kind(clip: InteractionClip, measures: ClipMeasures, tmp_path) -> None:
    with pytest.raises(CloseintError, match="txt"):
        plot_measures(clip, measures, tmp_path / "a.txt")
    assert not list(tmp_path.iterdir())


def test_contacts_against_the_truth(clip: InteractionClip) -> None:
    later = clip.transl.copy()
    later[1, 1:3, 1] = -3  # the contact is found in two frames of four
    worse = clip.copy(transl=later)
    assert compare_clips(clip, clip)["contact_f1"] == 1
    scores = compare_clips(worse, clip)
    assert scores["contact_precision"] == 1
    assert 0.3 < scores["contact_recall"] < 0.7
    swapped = clip.copy(**{name: getattr(clip, name)[::-1].copy() for name in PER_PERSON})
    assert compare_clips(swapped, clip)["contact_f1"] == 1


def test_feet_that_slide_are_found_though_the_clip_says_that_none_stands() -> None:
    """The sample's true motion, its people pushed aside by 35 mm at once: the clip is not asked whether it is right."""
    truth = frames_of(InteractionClip.load(SAMPLE), slice(36, 60))
    body = load_body(truth.body)
    said = truth.copy(foot_contacts=np.zeros_like(truth.foot_contacts), transl=truth.transl.copy())
    plain = clip_quality(said, body)
    assert plain["foot_planted_share"] == 0
    assert plain["foot_down_share"] == pytest.approx((truth.foot_contacts > 0.5).mean(), abs=0.15)
    assert plain["foot_skate_mm"] < 0.7
    said.transl[:, 12:, 0] += 0.035
    slid = clip_quality(said, body)
    assert slid["foot_skate_max_mm"] == pytest.approx(35, abs=8)
    assert slid["foot_skate_mm"] > plain["foot_skate_mm"]
    against = compare_clips(said, truth)
    assert against["foot_skate_max_mm"] == pytest.approx(35, abs=8)
    assert against["foot_down_share"] == plain["foot_down_share"]
