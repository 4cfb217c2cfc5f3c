# SPDX-License-Identifier: Apache-2.0
"""Reading good and bad videos and image folders."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from films import number_of, numbered, write

from closeint_core.errors import CloseintError
from closeint_core.progress import Progress
from closeint_core.video.source import open_source


def numbers(path: Path, frames: tuple[int | None, int | None] | None = None) -> list[tuple[int, int]]:
    return [(index, number_of(rgb)) for index, rgb in open_source(path, frames)]


def test_every_frame_once_and_again(tmp_path: Path) -> None:
    write(tmp_path / "a.mp4", 40, sound=True)
    source = open_source(tmp_path / "a.mp4")
    assert (source.fps, source.image_size, source.frame_start, source.frame_count) == (30.0, (128, 96), 0, 40)
    assert [(i, number_of(f)) for i, f in source] == [(i, i) for i in range(40)]
    assert [i for i, _ in source] == list(range(40))
    first = next(iter(source))[1]
    assert first.dtype == np.uint8
    assert first.shape == (96, 128, 3)


@pytest.mark.parametrize(("first", "end"), [(None, 7), (5, None), (31, 39), (37, 60)])
def test_ranges(tmp_path: Path, first: int | None, end: int | None) -> None:
    write(tmp_path / "a.mp4", 40)
    expected = list(range(first or 0, min(40, 40 if end is None else end)))
    source = open_source(tmp_path / "a.mp4", (first, end))
    assert source.frame_start == expected[0]
    assert source.frame_count == len(expected)
    assert numbers(tmp_path / "a.mp4", (first, end)) == [(i, i) for i in expected]


def test_a_range_far_into_a_video_is_exact_although_it_seeks(tmp_path: Path) -> None:
    write(tmp_path / "a.mp4", 60, rate=10)
    assert numbers(tmp_path / "a.mp4", (45, 50)) == [(i, i) for i in range(45, 50)]


@pytest.mark.parametrize("frames", [(40, None), (10, 10), (20, 5), (-3, 5)])
def test_a_range_outside_is_refused(tmp_path: Path, frames: tuple[int, int | None]) -> None:
    write(tmp_path / "a.mp4", 40)
    with pytest.raises(CloseintError, match="outside"):
        open_source(tmp_path / "a.mp4", frames)


@pytest.mark.parametrize("rotation", [90, -90, 180])
def test_rotation_metadata_is_applied(tmp_path: Path, rotation: int) -> None:
    write(tmp_path / "phone.mp4", 3, rotation=rotation)
    source = open_source(tmp_path / "phone.mp4")
    assert source.image_size == ((96, 128) if abs(rotation) == 90 else (128, 96))
    index, rgb = list(source)[2]
    upright = np.rot90(numbered(2), rotation // 90)
    assert index == 2
    assert np.abs(rgb.astype(int) - upright).mean() < 8


def test_variable_frame_rate_is_resampled_to_the_nominal_rate(tmp_path: Path) -> None:
    # 30 per second, with frames 10 to 14 shown twice as long
    steps = [40 if 10 <= i < 15 else 20 for i in range(30)]
    pts = [sum(steps[:i]) for i in range(30)]
    write(tmp_path / "phone.mp4", 30, pts=pts)
    source = open_source(tmp_path / "phone.mp4")
    assert source.fps == 30.0
    shown = [number_of(rgb) for _, rgb in source]
    times = np.array(pts) / 600
    wanted = [int(np.argmin(np.abs(times - k / 30) + 1e-9 * np.arange(30))) for k in range(len(shown))]
    ties = [
        abs(abs(times[a] - k / 30) - abs(times[b] - k / 30)) < 1e-6
        for k, (a, b) in enumerate(zip(shown, wanted, strict=True))
    ]
    assert all(ties)
    assert abs(len(shown) - 35) <= 1


def test_one_frame_and_odd_sizes(tmp_path: Path) -> None:
    write(tmp_path / "one.mp4", 1)
    assert numbers(tmp_path / "one.mp4") == [(0, 0)]
    write(tmp_path / "odd.mp4", 4, size=(121, 87), pixels="yuv444p")
    source = open_source(tmp_path / "odd.mp4")
    assert source.image_size == (121, 87)
    assert all(rgb.shape == (87, 121, 3) for _, rgb in source)


def test_a_cut_file_gives_what_is_there_and_a_warning(tmp_path: Path) -> None:
    write(tmp_path / "whole.mp4", 60)
    data = (tmp_path / "whole.mp4").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(data[: int(len(data) * 0.7)])
    progress = Progress()
    source = open_source(tmp_path / "cut.mp4", progress=progress)
    shown = [number_of(rgb) for _, rgb in source]
    assert 10 < len(shown) < 60
    assert shown[:10] == list(range(10))
    assert any("cut short" in message for message in progress.warnings)


def test_bad_input_is_one_sentence_each(tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("this is no video\n" * 50)
    (tmp_path / "empty.mp4").write_bytes(b"")
    (tmp_path / "folder").mkdir()
    write(tmp_path / "late.mp4", 30, faststart=False)
    data = (tmp_path / "late.mp4").read_bytes()
    (tmp_path / "headless.mp4").write_bytes(data[: len(data) // 2])
    for name, words in {
        "absent.mp4": "no file",
        "text.mp4": "not a video",
        "empty.mp4": "empty",
        "folder": "no images",
        "headless.mp4": "damaged",
    }.items():
        with pytest.raises(CloseintError, match=words) as caught:
            open_source(tmp_path / name)
        assert caught.value.exit_code == 2
        assert caught.value.fix


def test_sound_alone_is_no_video(tmp_path: Path) -> None:
    import av

    with av.open(str(tmp_path / "sound.mp4"), "w") as container:
        audio = container.add_stream("aac", rate=16000)
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 16000), np.float32), format="fltp", layout="mono")
        silence.sample_rate = 16000
        for packet in [*audio.encode(silence), *audio.encode()]:
            container.mux(packet)
    with pytest.raises(CloseintError, match="no video stream"):
        open_source(tmp_path / "sound.mp4")


def test_image_folder_in_natural_order(tmp_path: Path) -> None:
    for i in (10, 2, 1):
        cv2.imwrite(str(tmp_path / f"frame{i}.png"), numbered(i)[..., ::-1])
    (tmp_path / "notes.txt").write_text("not an image")
    source = open_source(tmp_path)
    assert (source.fps, source.image_size) == (30.0, (128, 96))
    assert [(i, number_of(rgb)) for i, rgb in source] == [(0, 1), (1, 2), (2, 10)]
    np.testing.assert_array_equal(next(iter(source))[1], numbered(1))
    assert open_source(tmp_path, fps=12.5).fps == 12.5
    assert numbers(tmp_path, (1, 2)) == [(1, 2)]


def test_image_folder_of_mixed_sizes_or_with_a_broken_image(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "1.png"), numbered(1))
    cv2.imwrite(str(tmp_path / "2.png"), numbered(2, 80, 100))
    with pytest.raises(CloseintError, match="100 x 80"):
        list(open_source(tmp_path))
    (tmp_path / "2.png").write_bytes(b"no image")
    with pytest.raises(CloseintError, match=r"2\.png cannot be read"):
        list(open_source(tmp_path))
