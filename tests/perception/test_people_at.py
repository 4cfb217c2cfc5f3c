# SPDX-License-Identifier: Apache-2.0
"""People pointed at in a frame are found among the tracks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from closeint_core.errors import CloseintError
from closeint_core.perception.pair import people_at
from closeint_core.perception.tracking import Track
from closeint_core.settings import PeopleAt

START = 50


def scene(seed: int, people: int = 3, frames: int = 12) -> tuple[list[Track], np.ndarray]:
    """People side by side, each walking a little; the slots are shuffled in every frame."""
    rng = np.random.default_rng(seed)
    keypoints = np.zeros((frames, people, 17, 3))
    tracks = [Track() for _ in range(people)]
    for t in range(frames):
        order = rng.permutation(people)
        for person, slot in enumerate(order):
            points = rng.uniform((0, 0), (80, 200), (17, 2)) + (150 * person + 3 * t, 40)
            points[0], points[1] = (150 * person + 3 * t, 40), (150 * person + 3 * t + 80, 240)
            keypoints[t, slot, :, :2], keypoints[t, slot, :, 2] = points, 0.8
            tracks[person].frames.append(t)
            tracks[person].slots.append(int(slot))
    return tracks, keypoints


def box(person: int, t: int) -> tuple[float, float, float, float]:
    left = 150.0 * person + 3 * t
    return (left, 40.0, left + 80, 240.0)


@given(st.integers(0, 1000), st.permutations(range(3)), st.integers(0, 11), st.floats(-15.0, 15.0))
def test_in_the_order_in_which_they_were_picked(seed: int, order: list[int], t: int, off: float) -> None:
    tracks, keypoints = scene(seed)
    boxes = tuple(tuple(edge + off for edge in box(person, t)) for person in order[:2])
    where = PeopleAt(START + t, boxes)  # type: ignore[arg-type]
    assert people_at(tracks, keypoints, where, START) == tuple(order[:2])


def test_one_person() -> None:
    tracks, keypoints = scene(1)
    assert people_at(tracks, keypoints, PeopleAt(START + 3, (box(2, 3),)), START) == (2,)


def test_a_track_that_misses_the_frame_is_judged_nearby() -> None:
    tracks, keypoints = scene(2)
    del tracks[1].frames[4:7], tracks[1].slots[4:7]
    where = PeopleAt(START + 5, (box(1, 5), box(0, 5)))
    assert people_at(tracks, keypoints, where, START) == (1, 0)


@pytest.mark.parametrize("frame", [0, START - 1, START + 12])
def test_frame_outside(frame: int) -> None:
    tracks, keypoints = scene(3)
    with pytest.raises(CloseintError, match=f"frame {frame + 1}, which is not among"):
        people_at(tracks, keypoints, PeopleAt(frame, (box(0, 0),)), START)


def test_nobody_there() -> None:
    tracks, keypoints = scene(4)
    with pytest.raises(CloseintError, match="could not be followed"):
        people_at(tracks, keypoints, PeopleAt(START, (box(0, 0), (600.0, 0.0, 700.0, 90.0))), START)
    # two boxes on one person are not two people
    with pytest.raises(CloseintError, match="could not be followed"):
        people_at(tracks, keypoints, PeopleAt(START, (box(0, 0), box(0, 0))), START)
