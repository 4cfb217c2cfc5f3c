# SPDX-License-Identifier: Apache-2.0
"""Which pictures of a folder are the film."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from closeint_core.errors import CloseintError
from closeint_core.video.image_series import ImageSeries, image_series


def chosen(folder: Path, names: list[str]) -> ImageSeries:
    for name in names:
        (folder / name).touch()
    return image_series(folder)


def names_of(series: ImageSeries) -> list[str]:
    return [file.name for file in series.files]


@pytest.mark.parametrize(
    "names",
    [
        ["1.png", "2.png", "10.png"],
        ["frame9.jpg", "frame10.jpeg", "frame11.JPG"],
        ["a.png", "b.png", "c.png"],
        ["hug1.jpg", "kiss2.jpg"],
        ["cam1_0001.png", "cam1_0002.png", "cam1_0003.png"],
        ["only.png"],
        ["mask_1.png", "mask_2.png"],
        # some frames saved anew in another format
        ["1.png", "2.jpg", "3.png", "4.jpg"],
        # frames with the time at which they were taken
        [f"shot_{s:02}.{ms:03}.png" for s in range(3) for ms in range(0, 1000, 40)],
        [f"00h00m{s:02}s{f:02}.png" for s in range(4) for f in range(25)],
        [f"frame{s}.{ms:03}.png" for s in range(3) for ms in range(0, 1000, 40)],
        # a second number that goes with the first
        [f"f{i:04}_d{i * 7 % 5}.png" for i in range(20)],
        [f"f{i:04}_t{i * 40:05}.png" for i in range(20)],
    ],
)
def test_one_series_whole_and_in_order(tmp_path: Path, names: list[str]) -> None:
    found = chosen(tmp_path, names[::-1])
    assert names_of(found) == names
    assert found.warning is None


@pytest.mark.parametrize(
    ("film", "others"),
    [
        ([f"{i:03}.jpg" for i in range(5)], [f"{i:03}.png" for i in range(5)]),
        ([f"{i:03}.jpg" for i in range(5)], [f"{i:03}.webp" for i in range(3)]),
        ([f"{i:03}.jpg" for i in range(5)], [f"{i:03}_mask.png" for i in range(5)]),
        ([f"{i:03}.png" for i in range(5)], [f"{i:03}Depth.png".lower() for i in range(5)]),
        ([f"color_{i}.png" for i in range(12)], [f"depth_{i}.png" for i in range(12)]),
        ([f"{i}.png" for i in range(12)], [f"{i}_seg.png" for i in range(12)] + [f"{i}-normal.png" for i in range(12)]),
        ([f"IMG_{i:04}.jpg" for i in range(30)], ["cover.jpg"]),
        (["000.jpg"], ["000_mask.png"]),
    ],
)
def test_the_film_among_companions_is_read_and_said(tmp_path: Path, film: list[str], others: list[str]) -> None:
    found = chosen(tmp_path, film + others)
    assert names_of(found) == film
    assert found.warning is not None
    assert f"only {film[0]}" in found.warning
    assert others[0] in found.warning


@pytest.mark.parametrize(
    "names",
    [
        [f"cam{c}_{i:04}.png" for c in (1, 2) for i in range(10)],
        [f"{i:04}_view{c}.png" for c in (1, 2, 3) for i in range(10)],
        [f"take{c}_{i:04}.png" for c, count in ((1, 30), (2, 4)) for i in range(count)],
        [f"{c}_{i:04}.png" for c in (1, 2) for i in range(100)],
        [f"left_{i}.png" for i in range(10)] + [f"right_{i}.png" for i in range(10)],
        [f"IMG_{i}.jpg" for i in range(5)] + [f"DSC_{i}.jpg" for i in range(9)],
    ],
)
def test_two_films_in_one_folder_are_refused(tmp_path: Path, names: list[str]) -> None:
    with pytest.raises(CloseintError, match="series of pictures") as caught:
        chosen(tmp_path, names)
    assert caught.value.fix
    assert names[0] in caught.value.message
    assert names[-1] in caught.value.message


def test_other_files_and_hidden_ones_do_not_count(tmp_path: Path) -> None:
    found = chosen(tmp_path, ["1.png", "2.png", "notes.txt", ".DS_Store.png", "._1.png", "1.json"])
    assert names_of(found) == ["1.png", "2.png"]
    assert found.warning is None


@given(st.sets(st.integers(0, 10**6), min_size=1, max_size=20), st.integers(0, 7), st.sampled_from(["", "_x", "7b"]))
def test_any_numbering_is_one_series_in_order(numbers: set[int], width: int, tail: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        names = [f"frame{n:0{width}}{tail}.png" for n in sorted(numbers)]
        found = chosen(Path(folder), names)
    assert names_of(found) == names
    assert found.warning is None


@pytest.mark.parametrize(("folder", "suffix"), [("folder_jpg_and_png", ".jpg"), ("folder_with_masks", ".jpg")])
def test_folders_that_were_interleaved(shared: Path, folder: str, suffix: str) -> None:
    found = image_series(shared / "cases" / folder)
    assert names_of(found) == [f"00{i}{suffix}" for i in range(5)]
    assert found.warning is not None
    assert f"only 000{suffix} to 004{suffix}" in found.warning
