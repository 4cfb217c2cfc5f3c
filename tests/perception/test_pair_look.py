# SPDX-License-Identifier: Apache-2.0
"""The eyes for pairs in the second pass: what they are told, how they are fed, what becomes of their answers.

The networks here have random weights: what is tested is everything around them.
"""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import closeint_core
from closeint_core.body.parts import JOINT_FLIP, JOINTS_IN_HALPE, PART_FLIP
from closeint_core.errors import CloseintError
from closeint_core.eyes.calibration import Calibration
from closeint_core.eyes.look import EyesStream, PairEvidence, PairEyes, filled_prompts
from closeint_core.eyes.network import PairNetwork
from closeint_core.perception.pair_look import (
    PairLook,
    PairPrompts,
    interpolated,
    log_odds,
    prompts_of_tracks,
    with_sides,
)
from closeint_core.perception.pipeline import perceive
from closeint_core.video.source import open_source

GREETING = Path(closeint_core.__file__).parent / "samples" / "greeting.mp4"


@pytest.fixture(scope="module")
def eyes() -> PairEyes:
    torch.manual_seed(3)
    return PairEyes(PairNetwork(), Calibration())


def film(frames: int, width: int = 200, height: int = 120, seed: int = 0) -> list[np.ndarray]:
    random = np.random.default_rng(seed)
    coarse = random.integers(256, size=(frames, height // 8, width // 8, 3), dtype=np.uint8)
    return list(coarse.repeat(8, 1).repeat(8, 2))


def told(frames: int) -> np.ndarray:
    points = np.zeros((frames, 2, 2, 2), np.float32)
    points[:, 0], points[:, 1] = ((70, 40), (72, 70)), ((120, 42), (118, 71))
    return points + np.arange(frames, dtype=np.float32)[:, None, None, None]


# -- prompts ---------------------------------------------------------------------------------------------------------


def tracks(frames: int = 4, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    expected = random.uniform(-20, 20, (2, frames, 17, 2))
    expected[..., 1] += np.array([0] * 5 + [40, 40, 80, 80, 110, 110, 140, 140, 190, 190, 240, 240])
    expected[1, ..., 0] += 150
    return expected, np.full((2, frames, 17), 4.0), np.ones((2, frames), bool)


@given(seed=st.integers(0, 999), by=st.floats(0.3, 8), x=st.floats(-500, 500), y=st.floats(-500, 500))
def test_prompts_move_and_grow_with_the_people(seed, by, x, y):
    expected, sigma, present = tracks(seed=seed)
    plain, moved = (
        prompts_of_tracks(expected, sigma, present),
        prompts_of_tracks(expected * by + [x, y], sigma * by, present),
    )
    np.testing.assert_allclose(moved.points, plain.points * by + [x, y], rtol=1e-4, atol=0.05)
    np.testing.assert_allclose(moved.squares, plain.squares * by + [x, y, 0], rtol=1e-4, atol=0.05)
    np.testing.assert_allclose(moved.trunks, plain.trunks * by, rtol=1e-3)


@given(seed=st.integers(0, 999))
def test_prompts_are_middles_and_squares_hold_everybody(seed):
    expected, sigma, present = tracks(seed=seed)
    prompts = prompts_of_tracks(expected, sigma, present)
    np.testing.assert_allclose(prompts.points[:, 0, 0], expected[0, :, 5:7].mean(1), atol=1e-3)
    np.testing.assert_allclose(prompts.points[:, 1, 1], expected[1, :, 11:13].mean(1), atol=1e-3)
    joints = expected[:, :, JOINTS_IN_HALPE]
    inside = np.abs(joints - prompts.squares[None, :, None, :2]).max((0, 2, 3))
    np.testing.assert_array_less(inside, prompts.squares[:, 2] / 2)
    turned = prompts_of_tracks(expected[..., ::-1], sigma, present)  # a picture on its side
    np.testing.assert_allclose(turned.points, prompts.points[..., ::-1], atol=1e-4)
    np.testing.assert_allclose(turned.squares, prompts.squares[:, [1, 0, 2]], atol=1e-4)


def test_nobody_is_told_of_who_is_lost_or_in_doubt():
    expected, sigma, present = tracks(5)
    sigma[0, 1, 5:7] = 500  # shoulders anywhere
    sigma[1, 2, 5] = 500  # one shoulder known
    present[1, 3] = False
    expected[0, 4] = np.nan
    points = prompts_of_tracks(expected, sigma, present).points
    assert np.isnan(points[1, 0, 0]).all()
    assert np.isfinite(points[1, 0, 1]).all()
    assert np.isnan(points[3, 1]).all()
    assert np.isfinite(points[3, 0]).all()
    assert np.isnan(points[4, 0]).all()
    np.testing.assert_allclose(points[2, 1, 0], expected[1, 2, 6], atol=0.5)  # the one that is known stands for both


def test_missing_prompts_are_what_was_found_nearby():
    prompts = told(12)
    prompts[2, 0, 1] = prompts[11, 0, 1] = np.nan
    prompts[4, 1] = np.nan
    found = torch.zeros(12, 2, 13, 2)
    sure = torch.zeros(12, 2, 13)
    found[3, 0, 7:9], sure[3, 0, 7:9] = torch.tensor([[50.0, 60.0], [54.0, 60.0]]), 0.9
    filled = filled_prompts(prompts, found, sure, np.arange(12) * 2)
    np.testing.assert_allclose(filled[2, 0, 1], [52, 60])
    assert np.isnan(filled[11, 0, 1]).all()  # too far in time
    assert np.isnan(filled[4, 1]).all()  # nobody told of the person at all
    np.testing.assert_array_equal(filled[0], prompts[0])


# -- feeding the network ---------------------------------------------------------------------------------------------


def assert_same(a: PairEvidence, b: PairEvidence, places: float = 2e-2) -> None:
    assert (a.parts == b.parts).mean() > 0.99  # ties may be broken either way
    for f in fields(PairEvidence):
        if f.name == "parts":
            continue
        of_places = f.name in ("keypoints", "squares")
        np.testing.assert_allclose(
            getattr(a, f.name), getattr(b, f.name), atol=places if of_places else 2e-3, err_msg=f.name
        )


def test_frames_one_at_a_time_are_frames_at_once(eyes, monkeypatch):
    frames, prompts = film(5), told(5)
    prompts[2] = np.nan
    monkeypatch.setattr("closeint_core.eyes.look._AT_ONCE", {"cpu": 8})
    whole = eyes.look(frames, prompts, looks=1)
    monkeypatch.setattr("closeint_core.eyes.look._AT_ONCE", {"cpu": 1})
    assert_same(eyes.look(frames, prompts, looks=1), whole)
    assert np.isnan(whole.touch[2]).all()
    assert np.isfinite(whole.touch[[0, 1, 3, 4]]).all()


def test_a_part_of_the_picture_is_as_good_as_the_whole(eyes):
    """With a square only the part around it is kept; without, whole frames are."""
    frames, prompts = film(2, 320, 184), told(2)
    square = np.array([95.0, 60.0, 130.0])
    part, whole = EyesStream(eyes, 2, looks=1), EyesStream(eyes, 2, looks=1)
    for index in range(2):
        part.add(index, frames[index], prompts[index], square)
        whole.add(index, frames[index], prompts[index])
    told_whole = [(i, f, p, square.astype(np.float32), c) for i, f, p, _, c in whole._waiting]
    whole._waiting = told_whole
    kept = part._waiting[0][1].shape
    assert kept[0] < 184
    assert kept[1] < 320
    first, second = part.finish(), whole.finish()
    assert_same(first, second)
    np.testing.assert_allclose(first.squares, np.tile(square, (2, 1)), atol=1e-3)


def test_pixels_of_the_network_are_pixels_of_the_frame(eyes):
    """The same pixels elsewhere in a larger frame, seen through the same square: the same joints, moved."""
    frame, prompts = film(1)[0], told(1)[0]
    square, corner = np.array([95.0, 60.0, 100.0]), np.array([37, 21])
    larger = np.zeros((190, 310, 3), np.uint8)
    larger[corner[1] : corner[1] + 120, corner[0] : corner[0] + 200] = frame
    one, two = EyesStream(eyes, 1, looks=1), EyesStream(eyes, 1, looks=1)
    one.add(0, frame, prompts, square)
    two.add(0, larger, prompts + corner.astype(np.float32), square + [*corner, 0])
    a, b = one.finish(), two.finish()
    np.testing.assert_allclose(b.keypoints, a.keypoints + corner, atol=2e-2)
    np.testing.assert_allclose(b.probability, a.probability, atol=2e-3)


def test_only_some_frames_are_looked_at_on_a_cpu(eyes):
    frames, prompts = film(7), told(7)
    square = np.tile(np.array([95, 60, 110], np.float32), (7, 1))
    prompts[:, 1][3:5] = np.nan
    looker = PairLook(eyes, PairPrompts(prompts, square, np.full((2, 7), 30, np.float32)), 30.0)
    assert looker.step == 3
    for index, frame in enumerate(frames):
        looker.add(index, frame)
    seen = looker.result(np.full((2, 7, 17, 3), np.nan))
    assert np.isfinite(seen.joints[0]).all()  # frames 0, 3, 6 and between
    assert np.isnan(seen.joints[1, 1:6]).all()  # nobody told of the second person in frame 3
    assert np.isfinite(seen.joints[1, [0, 6]]).all()
    assert np.isfinite(seen.nearer[[0, 6]]).all()
    assert np.isnan(seen.touch[1:6]).all()


def test_joints_beyond_the_edge_are_not_seen(eyes, monkeypatch):
    frames, prompts = film(1), told(1)
    looker = PairLook(eyes, PairPrompts(prompts, np.array([[95, 60, 110]], np.float32), np.full((2, 1), 30.0)), 30.0)
    looker.add(0, frames[0])
    finish = looker._stream.finish

    def moved():
        seen = finish()
        seen.keypoints[0, 1, 2:6] = [[-1, 5], [200.5, 5], [5, 121], [199, 119]]  # the frame is 200 x 120
        return seen

    monkeypatch.setattr(looker._stream, "finish", moved)
    seen = looker.result(np.full((2, 1, 17, 3), np.nan))
    assert np.isnan(seen.joints[1, 0, 2:5]).all()
    assert np.isfinite(seen.joints[1, 0, 5]).all()


# -- between the looks -----------------------------------------------------------------------------------------------


def evidence(frames: int, looked: list[int], seed: int = 0) -> PairEvidence:
    random = np.random.default_rng(seed)
    seen = PairEvidence.nothing(frames, masks=False)
    for name in ("keypoints", "probability", "visible", "squares", "before", "nearer", "touch"):
        values = getattr(seen, name)
        values[looked] = random.random(values[looked].shape)
    return seen


@settings(max_examples=30)
@given(looked=st.sets(st.integers(0, 11), min_size=1), step=st.integers(1, 4), seed=st.integers(0, 99))
def test_between_two_looks_evidence_is_interpolated_and_nowhere_else(looked, step, seed):
    at = sorted(looked)
    seen = evidence(12, at, seed)
    result = interpolated(seen, np.ones((2, 12), np.float32), step)
    for t in range(12):
        before, after = [k for k in at if k <= t], [k for k in at if k >= t]
        if t in looked:
            np.testing.assert_allclose(result.touch[t], seen.touch[t], atol=3e-3)
            np.testing.assert_allclose(result.joints[:, t, :, :2], seen.keypoints[t], atol=1e-6)
            assert (result.slack[:, t] == 0).all()
        elif before and after and after[0] - before[-1] <= step:
            a, b = before[-1], after[0]
            share = (t - a) / (b - a)
            np.testing.assert_allclose(
                result.joints[:, t, :, :2], (1 - share) * seen.keypoints[a] + share * seen.keypoints[b], atol=1e-6
            )
            low, high = np.minimum(seen.touch[a], seen.touch[b]), np.maximum(seen.touch[a], seen.touch[b])
            assert (result.touch[t] >= low - 3e-3).all()
            assert (result.touch[t] <= high + 3e-3).all()
        else:
            assert np.isnan(result.touch[t]).all()
            assert np.isnan(result.joints[:, t]).all()


def test_log_odds_have_an_end():
    ends = log_odds(np.array([0.0, 1e-12, 0.5, 1 - 1e-9, 1.0]))
    np.testing.assert_allclose(ends, [-6, -6, 0, 6, 6])


def test_exchanged_sides_are_put_right_in_joints_touch_and_order():
    seen = evidence(9, list(range(9)))
    seen.keypoints[:] = np.random.default_rng(4).uniform(0, 300, (1, 2, 13, 2))
    seen.probability[:] = 0.9
    wrong = replace(seen, **{n: getattr(seen, n).copy() for n in ("keypoints", "visible", "touch", "before")})
    wrong.keypoints[4, 1] = wrong.keypoints[4, 1][list(JOINT_FLIP)]
    wrong.visible[4, 1] = wrong.visible[4, 1][list(JOINT_FLIP)]
    wrong.touch[4] = wrong.touch[4][:, list(PART_FLIP)]
    wrong.before[4, 1] = wrong.before[4, 1][list(PART_FLIP)]
    nobody = np.full((2, 9, 17, 3), np.nan)
    right = with_sides(wrong, nobody, np.full((2, 9), 60.0, np.float32), 10.0)
    for name in ("keypoints", "visible", "touch", "before", "probability"):
        np.testing.assert_array_equal(getattr(right, name), getattr(seen, name), err_msg=name)


# -- the whole of perception -----------------------------------------------------------------------------------------


def test_perception_with_eyes_has_their_evidence(eyes, monkeypatch):
    monkeypatch.setattr("closeint_core.perception.pipeline._eyes", lambda device: eyes)
    seen = perceive(open_source(GREETING, (0, 4)), device="cpu", eyes=True)
    assert seen.pair is not None
    assert seen.pair.joints.shape == (2, 4, 13, 3)
    assert seen.pair.touch.shape == (4, 30, 30)
    assert np.isfinite(seen.pair.touch).all()


def test_weights_that_are_missing_are_named_before_any_work(monkeypatch, tmp_path):
    monkeypatch.setattr("closeint_core.eyes.weights.BUNDLED", tmp_path / "pair_eyes.safetensors")
    monkeypatch.setattr("closeint_core.models.store.user_data_dir", lambda: tmp_path / "none")
    monkeypatch.delenv("CLOSEINT_DATA", raising=False)
    monkeypatch.setattr("closeint_core.perception.pipeline.scan", lambda *_: pytest.fail("frames were read"))
    with pytest.raises(CloseintError, match=r"pair_eyes\.safetensors") as missing:
        perceive(open_source(GREETING, (0, 2)), device="cpu", eyes=True)
    assert missing.value.exit_code == 3
