# SPDX-License-Identifier: Apache-2.0
"""People of whom nothing was seen do not become bodies."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from closeint_core.errors import CloseintError
from closeint_core.perception.observations import Observations
from closeint_core.perception.pipeline import only_seen, perceive
from closeint_core.progress import Progress
from closeint_core.video.source import open_source


def observed(*visible: list[bool]) -> Observations:
    """Two people seen in some frames; every array tells them apart."""
    seen = np.array(visible)
    people, frames = seen.shape
    who = np.arange(people, dtype=np.float32)[:, None]

    def full(*shape: int) -> np.ndarray:
        return np.broadcast_to(who.reshape(-1, *[1] * (len(shape) + 1)), (people, frames, *shape)).copy()

    return Observations(
        full(26, 3), full(26, 3), full(26), seen, full(4), np.zeros((frames, 17, 8, 3)), 30.0, 5, (640, 480), (1, 3)
    )


def test_two_people_who_were_seen_stay_as_they_are() -> None:
    both = observed([True] * 20, [False] * 10 + [True] * 10)
    progress = Progress()
    assert only_seen(both, progress) is both
    assert progress.warnings == []


@pytest.mark.parametrize("hidden", [0, 1])
@pytest.mark.parametrize("glimpses", [0, 1])
def test_somebody_never_seen_is_left_out_with_a_sentence(hidden: int, glimpses: int) -> None:
    rows = [[True] * 40, [True] * glimpses + [False] * (40 - glimpses)]
    progress = Progress()
    one = only_seen(observed(*(rows if hidden else rows[::-1])), progress)
    assert one.people == ((1, 3)[1 - hidden],)
    assert one.frame_start == 5
    for field in fields(Observations):
        value = getattr(one, field.name)
        if isinstance(value, np.ndarray) and field.name not in ("visible", "peaks"):
            assert value.shape[0] == 1
            assert (value == 1 - hidden).all()
    assert one.visible.all()
    assert f"Person {(1, 3)[hidden]} " in progress.warnings[0]


def test_nobody_seen_is_one_sentence() -> None:
    with pytest.raises(CloseintError, match="Nobody"):
        only_seen(observed([False], [False]), Progress())


@pytest.mark.parametrize("photo", ["couch_couple", "handclasp"])
def test_a_photograph_gives_no_body_without_evidence(shared: Path, photo: str) -> None:
    folder = shared / "real" / "photos" / photo
    if not folder.is_dir():
        pytest.skip(f"no photograph {photo} in ../shared/real")
    try:
        seen = perceive(open_source(folder), device="cpu")
    except CloseintError:
        return  # a sentence; which one is judged above
    assert seen.visible.any(axis=1).all()
    assert np.isfinite(seen.keypoints2d[..., 0]).any(axis=(1, 2)).all()
