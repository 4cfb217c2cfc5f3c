# SPDX-License-Identifier: Apache-2.0
"""Real footage: the right people, no swap, joints at contact where they are."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from closeint_core.errors import CloseintError
from closeint_core.halpe import HALPE_FLIP
from closeint_core.halpe import HALPE_INDEX as K
from closeint_core.perception.observations import Observations
from closeint_core.perception.pipeline import perceive
from closeint_core.progress import Progress
from closeint_core.video.source import open_source
from closeint_core.video.writer import VideoWriter


@pytest.fixture(scope="module")
def sparring(shared: Path) -> Observations:
    return perceive(open_source(shared / "hi4d_frames"), device="cpu")


def test_shapes_and_ranges(sparring: Observations) -> None:
    o = sparring
    assert o.keypoints2d.shape == (2, 16, 26, 3)
    assert o.landmarks3d.shape == (2, 16, 26, 3)
    assert o.landmarks3d_confidence.shape == (2, 16, 26)
    assert o.boxes.shape == (2, 16, 4)
    assert o.peaks.shape == (16, 17, 8, 3)
    assert (o.fps, o.frame_start, o.image_size) == (30.0, 0, (940, 1280))
    for array in (o.keypoints2d, o.landmarks3d, o.landmarks3d_confidence, o.boxes, o.peaks):
        assert array.dtype == np.float32
    confidence = o.keypoints2d[..., 2]
    assert np.nanmin(confidence) >= 0.0
    assert np.nanmax(confidence) <= 1.0
    middle = 0.5 * (o.landmarks3d[:, :, K["left_hip"]] + o.landmarks3d[:, :, K["right_hip"]])
    np.testing.assert_allclose(middle, 0.0, atol=1e-5)


def test_both_people_in_every_frame_and_never_swapped(sparring: Observations) -> None:
    assert sparring.visible.all()
    trunk = sparring.keypoints2d[:, :, [5, 6, 11, 12], 0].mean(axis=-1)
    # he stays on the left of the image and is larger
    assert (trunk[0] < trunk[1] - 100).all()


def test_upright_people_have_their_heads_up(sparring: Observations) -> None:
    head = sparring.landmarks3d[:, :, K["nose"], 1]
    feet = sparring.landmarks3d[:, :, [15, 16], 1].mean(axis=-1)
    assert (head < -0.3).all()
    assert (feet > 0.3).all()


def test_her_touching_wrist_is_on_her_arm_not_on_his(sparring: Observations) -> None:
    # read off the images, frames 000062 to 000067
    truth = np.array([[511, 489], [509, 489], [512, 487], [511, 487], [514, 487], [517, 490]])
    wrist = sparring.keypoints2d[1, 7:13, K["right_wrist"]]
    assert np.linalg.norm(wrist[:, :2] - truth, axis=-1).max() < 12.0
    his = sparring.keypoints2d[0, 7:13, K["right_wrist"], :2]
    assert np.linalg.norm(wrist[:, :2] - his, axis=-1).min() > 30.0
    assert (wrist[:, 2] < 0.95).all()


def test_her_hidden_elbow_is_not_put_on_his(sparring: Observations) -> None:
    # his elbow's tip, read off frames 000062 to 000066; hers is behind it, to the left
    truth = np.array([[492, 544], [497, 542], [500, 538], [503, 535], [504, 532]])
    his, hers = (sparring.keypoints2d[person, 7:12, K["right_elbow"], :2] for person in range(2))
    assert np.linalg.norm(his - truth, axis=-1).max() < 12.0
    assert (hers[:, 0] < truth[:, 0] - 15.0).all()
    assert np.abs(hers - [462.0, 530.0]).max() < 35.0


def test_the_mirror_image_gives_the_mirrored_people(shared: Path, sparring: Observations, tmp_path: Path) -> None:
    for index, rgb in open_source(shared / "hi4d_frames", (0, 5)):
        cv2.imwrite(str(tmp_path / f"{index}.png"), rgb[:, ::-1, ::-1])
    mirrored = perceive(open_source(tmp_path), device="cpu")
    back = mirrored.keypoints2d[::-1][:, :, HALPE_FLIP].copy()
    back[..., 0] = 940 - back[..., 0]
    both = (back[..., 2] > 0.6) & (sparring.keypoints2d[:, :5, :, 2] > 0.6)
    error = np.linalg.norm(back - sparring.keypoints2d[:, :5], axis=-1)[both]
    assert both.mean() > 0.5
    assert np.median(error) < 5.0
    assert np.percentile(error, 95) < 30.0


@pytest.mark.parametrize(("name", "man"), [("cam01", 0), ("cam02", 1)])
def test_keypoints_against_triangulated_joints(shared: Path, name: str, man: int) -> None:
    folder = shared / "pose2sim"
    progress = Progress()
    found = perceive(open_source(folder / f"{name}.mp4", (20, 28)), device="cpu", progress=progress)
    camera = json.loads((folder / "cameras.json").read_text())[name]
    joints = np.load(folder / "joints3d_first50.npz")["joints"][:, 20:28]
    seen = (joints @ np.array(camera["R"]).T + np.array(camera["t"])) @ np.array(camera["K"]).T
    truth = seen[..., :2] / seen[..., 2:]
    truth = truth if man == 0 else truth[::-1]
    assert found.frame_start == 20
    assert found.visible.all()
    assert any("3 people" in message for message in progress.warnings)
    error = np.linalg.norm(found.keypoints2d[:, :, 5:17, :2] - truth[:, :, 5:17], axis=-1)
    sure = found.keypoints2d[:, :, 5:17, 2] > 0.5
    assert np.median(error) < 14.0
    assert (error < 50.0)[sure].mean() > 0.97
    assert sure.mean() > 0.8


def test_nobody_is_an_error(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "grey.mp4", 30) as writer:
        for _ in range(3):
            writer.write(np.full((128, 96, 3), 120, np.uint8))
    with pytest.raises(CloseintError, match="Nobody"):
        perceive(open_source(tmp_path / "grey.mp4"), device="cpu")


def test_one_person_is_followed_alone(shared: Path, tmp_path: Path) -> None:
    for index, rgb in open_source(shared / "hi4d_frames", (0, 3)):
        cv2.imwrite(str(tmp_path / f"{index}.png"), rgb[:, 470:, ::-1])
    progress = Progress()
    found = perceive(open_source(tmp_path), device="cpu", progress=progress)
    assert found.keypoints2d.shape[0] == 1
    assert found.visible.all()
    assert any("one person" in message for message in progress.warnings)
