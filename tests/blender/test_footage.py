# SPDX-License-Identifier: Apache-2.0
"""Finding the footage, and the offset that puts the right frame under the clip's first one."""

from __future__ import annotations

from pathlib import Path

import pytest

from closeint_blender.importer.footage import Footage, find_footage, stored_pixel_aspect, stream_warning


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")


def test_no_video_is_no_warning(tmp_path: Path) -> None:
    assert find_footage("", tmp_path / "a.closeint.npz", 0) == (None, None)


def test_missing_video_is_a_warning(tmp_path: Path) -> None:
    footage, warning = find_footage("gone.mp4", tmp_path / "a.closeint.npz", 0)
    assert footage is None
    assert warning is not None
    assert "gone.mp4" in warning


@pytest.mark.parametrize("given", ["shot.mp4", "elsewhere/shot.mp4"])
def test_video_beside_the_clip(tmp_path: Path, given: str) -> None:
    touch(tmp_path / "shot.mp4")
    footage, warning = find_footage(given, tmp_path / "a.closeint.npz", 12)
    assert warning is None
    assert footage is not None
    assert (footage.path, footage.is_sequence, footage.offset) == (tmp_path / "shot.mp4", False, 12)


def test_image_folder_counts_from_its_first_number(tmp_path: Path) -> None:
    touch(*(tmp_path / "images" / f"cam1_{n:06d}.jpg" for n in range(62, 70)), tmp_path / "images" / "note.txt")
    footage, warning = find_footage(str(tmp_path / "images"), tmp_path / "a.closeint.npz", 3)
    assert warning is None
    assert footage is not None
    assert footage.is_sequence
    assert footage.path.name == "cam1_000062.jpg"
    # Blender shows the file numbered 1 + offset on the first frame: 65, the fourth.
    assert footage.offset == 64


def test_the_background_is_the_series_that_was_read(tmp_path: Path) -> None:
    touch(*(tmp_path / "images" / f"{n:03d}{rest}" for n in range(5) for rest in (".jpg", ".png", "_mask.png")))
    footage, warning = find_footage(str(tmp_path / "images"), tmp_path / "a.closeint.npz", 0)
    assert warning is None
    assert footage is not None
    assert footage.path.name == "000.jpg"


def test_a_url_of_footage(tmp_path: Path) -> None:
    touch(tmp_path / "a shot.mp4")
    url = (tmp_path / "a shot.mp4").as_uri()
    footage, warning = find_footage(url, tmp_path / "a.closeint.npz", 0)
    assert (footage and footage.path, warning) == (tmp_path / "a shot.mp4", None)
    footage, warning = find_footage("https://example.org/a.mp4", tmp_path / "a.closeint.npz", 0)
    assert footage is None
    assert warning is not None
    assert "not on this computer" in warning


@pytest.mark.parametrize(
    ("metadata", "aspect"),
    [
        ({}, 1.0),
        ({"footage": {"pixel_aspect": 4 / 3}}, 4 / 3),
        ({"footage": {"pixel_aspect": "wide"}}, 1.0),
        ({"footage": {"pixel_aspect": float("nan")}}, 1.0),
        ({"footage": [1]}, 1.0),
    ],
)
def test_pixel_aspect_of_the_metadata(metadata: dict[str, object], aspect: float) -> None:
    assert stored_pixel_aspect(metadata) == aspect


def test_a_video_that_blender_does_not_show() -> None:
    shot, images = Footage(Path("shot.mp4"), False, 0), Footage(Path("1.png"), True, 0)
    said = stream_warning(shot, "x/shot.mp4", {"footage": {"stream_number": 1}})
    assert said is not None
    assert "video 2 of shot.mp4" in said
    for footage, metadata in ((shot, {}), (shot, {"footage": {"stream_number": 0}}), (shot, {"footage": None})):
        assert stream_warning(footage, "shot.mp4", metadata) is None
    assert stream_warning(images, "1.png", {"footage": {"stream_number": 1}}) is None
    assert stream_warning(shot, "other.mp4", {"footage": {"stream_number": 1}}) is None


def test_natural_order(tmp_path: Path) -> None:
    touch(*(tmp_path / "images" / f"{n}.png" for n in range(2, 12)))
    footage, warning = find_footage(str(tmp_path / "images"), tmp_path / "a.closeint.npz", 0)
    assert warning is None
    assert footage is not None
    assert footage.path.name == "2.png"


@pytest.mark.parametrize(
    ("names", "part", "found"),
    [
        ([], "no images", False),
        (["left.png", "right.png"], "not numbered", False),
        (["1.png", "3.png"], "one by one", True),
        (["left1.png", "left2.png", "right1.png", "right2.png"], "2 series", False),
        (["a1.png", "b2.png"], "one by one", True),
    ],
)
def test_folders_blender_cannot_follow_are_said(tmp_path: Path, names: list[str], part: str, found: bool) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    touch(*(folder / name for name in names))
    footage, warning = find_footage(str(folder), tmp_path / "a.closeint.npz", 0)
    assert (footage is not None) == found
    assert warning is not None
    assert part in warning
