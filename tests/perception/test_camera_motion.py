# SPDX-License-Identifier: Apache-2.0
"""What a camera does is read off pictures whose motion is known: crops out of one large picture of random blots."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from closeint_core.clip import InteractionClip
from closeint_core.perception.camera_motion import CameraMotion, CameraWatch
from closeint_core.video.source import open_source

SAMPLE = Path(__file__).resolve().parents[2] / "closeint_core" / "samples"
NOBODY = np.zeros((0, 17, 3))
SIZE = (240, 320)


def scene(seed: int) -> np.ndarray:
    """(480, 1200, 3) blots of many sizes."""
    rng = np.random.default_rng(seed)
    parts = [cv2.GaussianBlur(rng.normal(size=(480, 1200, 3)) * 40 * s, (0, 0), s) for s in (2.0, 5.0)]
    return np.clip(128 + sum(parts), 0, 255).astype(np.uint8)


def view(place: np.ndarray, x: float, y: float = 100.0) -> np.ndarray:
    """A camera's picture of a scene, its left upper corner at (x, y) in pixels, fractions interpolated."""
    matrix = np.array([[1.0, 0, -x], [0, 1, -y]])
    return cv2.warpAffine(place, matrix, SIZE[::-1], flags=cv2.INTER_LINEAR)


def person(x: float) -> np.ndarray:
    """(1, 17, 3) joints of somebody who stands at x."""
    rng = np.random.default_rng(0)
    return np.concatenate([rng.uniform([x - 25, 40], [x + 25, 220], (1, 17, 2)), np.ones((1, 17, 1))], -1)


def watched(pictures: list[np.ndarray], people: list[np.ndarray] | None = None, start: int = 0) -> CameraMotion:
    watch = CameraWatch(30.0, start)
    for number, rgb in enumerate(pictures):
        watch.add(rgb, NOBODY if people is None else people[number])
    return watch.result()


def test_a_camera_that_stands_still_or_is_held_in_a_hand() -> None:
    place, rng = scene(0), np.random.default_rng(1)
    assert watched([view(place, 400)] * 20) == CameraMotion((), ())
    shaken = watched([view(place, 400 + dx, 100 + dy) for dx, dy in rng.normal(size=(20, 2))])
    assert shaken == CameraMotion((), ())
    assert shaken.warnings() == []


def test_people_who_cross_a_still_picture_are_not_a_camera_that_moves() -> None:
    place, cloth = scene(0), scene(5)
    pictures, people = [], []
    for t in range(30):
        rgb, left = view(place, 400).copy(), 20 + 8 * t
        rgb[30:230, left : left + 60] = cloth[:200, :60]
        pictures.append(rgb)
        people.append(person(left + 30))
    assert watched(pictures, people) == CameraMotion((), ())


@pytest.mark.parametrize("speed", [0.7, 4.0, 15.0])
def test_a_pan_is_noticed_in_the_frames_in_which_it_happens(speed: float) -> None:
    place = scene(2)
    frames = round(min(60.0, 500 / speed))
    x = np.concatenate([np.full(15, 300.0), 300 + speed * np.arange(1, frames + 1)])
    x = np.concatenate([x, np.full(15, x[-1])])
    motion = watched([view(place, one) for one in x], start=100)
    assert motion.cuts == ()
    ((first, last),) = motion.moving
    assert abs(first - 114) <= 4
    assert abs(last - (114 + frames)) <= 4
    (warning,) = motion.warnings()
    assert f"{first} to {last}" in warning


@pytest.mark.parametrize("moving", [False, True])
def test_a_cut_is_noticed_where_it_is(moving: bool) -> None:
    one, other = scene(3), scene(4)
    step = 6.0 if moving else 0.0
    pictures = [view(one, 300 + step * t) for t in range(14)] + [view(other, 300 + step * t) for t in range(14)]
    motion = watched(pictures, start=7)
    assert motion.cuts == (21,)
    assert bool(motion.moving) == moving
    assert "frame 21" in motion.warnings()[0]


def test_a_flash_is_no_cut() -> None:
    place = scene(0)
    pictures = [view(place, 300)] * 20
    pictures[10] = np.clip(pictures[0].astype(int) + 60, 0, 255).astype(np.uint8)
    assert watched(pictures) == CameraMotion((), ())


def test_pictures_without_a_corner_say_nothing() -> None:
    assert watched([np.full((240, 320, 3), 90, np.uint8)] * 5) == CameraMotion((), ())


def test_the_camera_of_the_sample_stands_still() -> None:
    people = InteractionClip.load(SAMPLE / "greeting.closeint.npz").keypoints2d[:, :, :17]
    pictures = [rgb for _, rgb in open_source(SAMPLE / "greeting.mp4", (0, 60))]
    assert watched(pictures, [np.nan_to_num(people[:, t]) for t in range(60)]) == CameraMotion((), ())


@pytest.mark.parametrize(
    ("name", "cuts", "moves"), [("pan.mp4", (), True), ("camera_cut.mp4", (14,), False), ("cam01.mp4", (), False)]
)
def test_real_cameras(shared: Path, name: str, cuts: tuple[int, ...], moves: bool) -> None:
    film = next((path for path in (shared / "cases" / name, shared / "pose2sim" / name) if path.exists()), None)
    if film is None:
        pytest.skip(f"no {name} in ../shared")
    motion = watched([rgb for _, rgb in open_source(film, (0, 30))])
    assert motion.cuts == cuts
    assert bool(motion.moving) == moves
