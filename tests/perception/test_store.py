# SPDX-License-Identifier: Apache-2.0
"""What perception saw, kept in files."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from closeint_core.errors import CloseintError
from closeint_core.perception import store
from closeint_core.perception.observations import Observations, PairSeen
from closeint_core.perception.store import content_key, kept, load_observations, save_observations


def random_observations(people: int, frames: int, seed: int, peaks: int = 3, pair: bool = False) -> Observations:
    random = np.random.default_rng(seed)

    def values(*shape: int) -> np.ndarray:
        drawn = random.normal(size=shape).astype(np.float32)
        drawn[random.random(shape) < 0.2] = np.nan
        return drawn

    return Observations(
        values(people, frames, 26, 3),
        values(people, frames, 26, 3),
        random.random((people, frames, 26)).astype(np.float32),
        random.random((people, frames)) < 0.7,
        values(people, frames, 4),
        values(frames, 17, peaks, 3),
        fps=float(random.uniform(1, 240)),
        frame_start=int(random.integers(1000)),
        image_size=(int(random.integers(1, 4000)), int(random.integers(1, 4000))),
        people=tuple(int(value) for value in random.permutation(5)[:people]),
        pair=PairSeen(**{name: values(*shape) for name, shape in PairSeen.shapes(frames).items()}) if pair else None,
    )


def assert_same(a: Observations, b: Observations) -> None:
    assert (a.pair is None) == (b.pair is None)
    for name in PairSeen.shapes(1) if a.pair else ():
        np.testing.assert_array_equal(getattr(a.pair, name), getattr(b.pair, name), err_msg=name)
    for field in fields(Observations):
        if field.name == "pair":
            continue
        np.testing.assert_array_equal(getattr(a, field.name), getattr(b, field.name), err_msg=field.name)
        assert type(getattr(a, field.name)) is type(getattr(b, field.name))


@settings(max_examples=20, deadline=None)
@given(people=st.integers(1, 2), frames=st.integers(1, 6), peaks=st.integers(0, 4), seed=st.integers(0, 10**6))
def test_what_is_kept_comes_back(
    tmp_path_factory: pytest.TempPathFactory, people: int, frames: int, peaks: int, seed: int
) -> None:
    path = tmp_path_factory.mktemp("kept") / f"film{store.SUFFIX}"
    seen = random_observations(people, frames, seed, peaks, pair=people == 2 and seed % 2 == 0)
    save_observations(path, seen, "key")
    found = load_observations(path, "key")
    assert found is not None
    assert_same(found, seen)
    assert load_observations(path, "another") is None


def test_footage_is_looked_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    film, path = tmp_path / "film.mp4", tmp_path / f"film{store.SUFFIX}"
    film.write_bytes(b"one")
    looks: list[int] = []

    def look() -> Observations:
        looks.append(1)
        return random_observations(2, 3, len(looks))

    first = kept(path, film, look)
    assert_same(kept(path, film, look), first)
    assert len(looks) == 1
    # Other frames, other content, or another perception: looked at anew.
    kept(path, film, look, tag=":5")
    film.write_bytes(b"two")
    kept(path, film, look)
    assert len(looks) == 3
    monkeypatch.setattr(store, "PERCEPTION", store.PERCEPTION + 1)
    third = kept(path, film, look)
    assert len(looks) == 4
    # Without the film, what was kept stands for it; another perception's does not.
    film.unlink()
    assert_same(kept(path, film, look), third)
    monkeypatch.setattr(store, "PERCEPTION", store.PERCEPTION + 1)
    with pytest.raises(CloseintError, match="Bring the footage"):
        kept(path, film, look)
    assert len(looks) == 4


def test_the_key_tells_contents_apart(tmp_path: Path) -> None:
    folder = tmp_path / "frames"
    folder.mkdir()
    (folder / "0.png").write_bytes(b"a")
    (folder / "1.png").write_bytes(b"b")
    before = content_key(folder)
    assert content_key(folder) == before != content_key(folder / "0.png")
    (folder / "1.png").rename(folder / "2.png")
    assert content_key(folder) != before
    with pytest.raises(CloseintError, match="cannot be read"):
        content_key(tmp_path / "none")


def test_damaged_files_are_told(tmp_path: Path) -> None:
    path = tmp_path / f"film{store.SUFFIX}"
    save_observations(path, random_observations(2, 4, 0), "key")
    whole = path.read_bytes()
    for damaged in (b"", b"nonsense", whole[: len(whole) // 2]):
        path.write_bytes(damaged)
        with pytest.raises(CloseintError, match="does not hold observations"):
            load_observations(path)
    seen = random_observations(2, 4, 0)
    seen.keypoints2d = seen.keypoints2d[:, :3]
    save_observations(path, seen, "key")
    with pytest.raises(CloseintError, match="keypoints2d is wrong"):
        load_observations(path)


@pytest.mark.parametrize("spoiled", ["pair_touch", "pair_joints", "pair_nearer"])
def test_what_the_eyes_saw_is_whole_or_refused(tmp_path: Path, spoiled: str) -> None:
    path = tmp_path / f"film{store.SUFFIX}"
    save_observations(path, random_observations(2, 4, 0, pair=True), "key")
    with np.load(path) as stored:
        arrays = dict(stored)
    for other in ({**arrays, spoiled: arrays[spoiled][..., :-1]}, {k: v for k, v in arrays.items() if k != spoiled}):
        np.savez(path, **other)
        with pytest.raises(CloseintError, match="does not hold observations"):
            load_observations(path, "key")


@given(frames=st.integers(1, 9), start=st.integers(0, 9), length=st.integers(0, 9))
def test_some_frames_of_what_the_eyes_saw(frames: int, start: int, length: int) -> None:
    seen = random_observations(2, frames, 3, pair=True).pair
    assert seen is not None
    part = seen.frames(slice(start, start + length))
    count = len(range(frames)[start : start + length])
    assert {name: getattr(part, name).shape for name in PairSeen.shapes(count)} == PairSeen.shapes(count)
    np.testing.assert_array_equal(part.nearer, seen.nearer[start : start + length])
