# SPDX-License-Identifier: Apache-2.0
"""Following people: crossings, occlusions, changing slots, and the choice of the pair."""

from __future__ import annotations

import numpy as np
import pytest
from support.figures import walk, with_score

from closeint_core.errors import CloseintError
from closeint_core.perception.pair import choose_people, persistent
from closeint_core.perception.tracking import Track, follow, keep_distinct, rejoin
from closeint_core.progress import Progress

DESCRIPTOR = 48


def colours(seed: int) -> np.ndarray:
    histogram = np.random.default_rng(seed).dirichlet(np.full(8, 0.4), size=6)
    return histogram.reshape(-1)


def detections(
    paths: list[np.ndarray], looks: list[np.ndarray], seed: int, hidden: dict[int, range] | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Slots in random order: keypoints (T, 6, 17, 3), scores, appearance, and who is in each slot (-1 nobody)."""
    rng = np.random.default_rng(seed)
    frames = len(paths[0])
    keypoints = np.zeros((frames, 6, 17, 3))
    scores = np.zeros((frames, 6))
    appearance = np.full((frames, 6, DESCRIPTOR), np.nan)
    who = np.full((frames, 6), -1)
    for t in range(frames):
        for person, slot in zip(range(len(paths)), rng.permutation(6), strict=False):
            if hidden and t in hidden.get(person, ()):
                continue
            keypoints[t, slot] = with_score(paths[person][t] + rng.normal(0, 1.5, (17, 2)))
            scores[t, slot] = 0.6
            appearance[t, slot] = 0.9 * looks[person] + 0.1 / 8
            who[t, slot] = person
    return keypoints, scores, appearance, who


def identities(track: Track, who: np.ndarray) -> set[int]:
    return {int(who[t, s]) for t, s in zip(track.frames, track.slots, strict=True)}


@pytest.mark.parametrize("seed", range(5))
def test_a_crossing_with_one_person_hidden_keeps_both(seed: int) -> None:
    paths = [walk(100, 500, 60), walk(500, 100, 60)]
    looks = [colours(1), colours(2)]
    keypoints, scores, appearance, who = detections(paths, looks, seed, {1: range(26, 36)})
    tracks = follow(keypoints, scores, appearance, 30.0)
    assert [identities(track, who) for track in tracks] == [{0}, {1}]
    assert [len(track.frames) for track in tracks] == [60, 50]


@pytest.mark.parametrize("seed", range(5))
def test_a_crossing_in_the_same_clothes_is_followed_by_motion(seed: int) -> None:
    paths = [walk(100, 500, 60), walk(500, 100, 60, y=312)]
    keypoints, scores, appearance, who = detections(paths, [colours(1), colours(1)], seed)
    tracks = follow(keypoints, scores, appearance, 30.0)
    assert [identities(track, who) for track in tracks] == [{0}, {1}]


def test_a_turn_back_behind_the_partner_is_told_by_the_clothes() -> None:
    """Both come together, one is hidden for half a second, and both go back where they came from."""
    there, back = walk(100, 285, 25), walk(285, 100, 25)
    left = np.concatenate([there, np.repeat(there[-1:], 15, axis=0), back])
    right = left * [-1, 1] + [600, 0]
    right = right[:, [0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15]]
    keypoints, scores, appearance, who = detections([left, right], [colours(3), colours(4)], 0, {0: range(24, 41)})
    tracks = follow(keypoints, scores, appearance, 30.0)
    assert [identities(track, who) for track in tracks] == [{0}, {1}]


def test_the_same_skeleton_twice_is_one_person() -> None:
    person = with_score(walk(100, 100, 1)[0])
    twice = np.stack([person, person + np.array([2.0, -1.0, -0.1]), with_score(walk(180, 180, 1)[0])])
    assert keep_distinct(twice, np.array([0.6, 0.5, 0.6])).tolist() == [True, False, True]


def test_frame_rate_does_not_change_who_is_who() -> None:
    for factor in (1, 2, 4):
        paths = [walk(100, 500, 30 * factor), walk(500, 100, 30 * factor, y=320)]
        keypoints, scores, appearance, who = detections(paths, [colours(1), colours(2)], factor)
        tracks = follow(keypoints, scores, appearance, 15.0 * factor)
        assert [identities(track, who) for track in tracks] == [{0}, {1}]


def crowd() -> tuple[list[Track], np.ndarray]:
    """Five people: two large ones close together (2 and 3 from the left), the others small or far off."""
    paths = [
        walk(60, 60, 30, y=200, height=90),
        walk(150, 150, 30, y=205, height=80),
        walk(300, 320, 30, height=200),
        walk(420, 380, 30, height=190),
        walk(700, 720, 30, height=180),
    ]
    keypoints, scores, appearance, _ = detections(paths, [colours(i) for i in range(5)], 0)
    return persistent(follow(keypoints, scores, appearance, 30.0), 30, 30.0), keypoints


def test_of_five_people_the_close_pair_is_chosen_with_a_warning() -> None:
    tracks, keypoints = crowd()
    progress = Progress()
    assert choose_people(tracks, keypoints, "auto", progress) == [2, 3]
    assert "5 people" in progress.warnings[0]
    assert "--people" in progress.warnings[0]


def test_people_can_be_chosen_by_number() -> None:
    tracks, keypoints = crowd()
    assert choose_people(tracks, keypoints, (4, 0), Progress()) == [4, 0]
    for wrong in ((0, 5), (1, 1), (0, 1, 2)):
        with pytest.raises(CloseintError):
            choose_people(tracks, keypoints, wrong, Progress())


def test_one_person_is_one_with_a_warning_and_nobody_is_an_error() -> None:
    keypoints, scores, appearance, _ = detections([walk(100, 200, 20)], [colours(0)], 0)
    progress = Progress()
    assert choose_people(follow(keypoints, scores, appearance, 30.0), keypoints, "auto", progress) == [0]
    assert "one person" in progress.warnings[0]
    with pytest.raises(CloseintError, match="Nobody"):
        choose_people([], keypoints, "auto", progress)


def test_somebody_new_after_a_hug_is_the_one_who_was_lost() -> None:
    paths = [walk(200, 260, 40), walk(420, 360, 40)]
    looks = [colours(1), colours(2)]
    keypoints, scores, appearance, who = detections(paths, looks, 0, {1: range(15, 25)})
    whole = follow(keypoints, scores, appearance, 25.0)
    torn: list[Track] = []
    for track in whole:
        person = who[track.frames[0], track.slots[0]]
        cuts = [range(15), range(25, 40)] if person == 1 else [range(40)]
        for cut in cuts:
            kept = [i for i, frame in enumerate(track.frames) if frame in cut]
            part = Track([track.frames[i] for i in kept], [track.slots[i] for i in kept])
            part.keypoints = keypoints[part.frames[-1], part.slots[-1]]
            part.appearance = looks[person]
            torn.append(part)
    assert len(torn) == 3
    joined = rejoin(torn, keypoints, 25.0)
    assert [len(track.frames) for track in sorted(joined, key=lambda track: len(track.frames))] == [30, 40]
    # Other clothes are another person.
    torn = [Track(list(t.frames), list(t.slots), t.keypoints, t.velocity, colours(i)) for i, t in enumerate(torn)]
    assert len(rejoin(torn, keypoints, 25.0)) == 3
