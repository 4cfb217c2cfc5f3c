# SPDX-License-Identifier: Apache-2.0
"""Reading good and bad videos and image folders."""

from __future__ import annotations

import itertools
import struct
from fractions import Fraction
from pathlib import Path

import cv2
import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
from support.films import number_of, numbered, restamp, write, write_streams

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


def test_pictures_without_a_rate_say_so_until_they_are_given_one(tmp_path: Path) -> None:
    for i in range(3):
        cv2.imwrite(str(tmp_path / f"{i}.png"), numbered(i)[..., ::-1])
        cv2.imwrite(str(tmp_path / f"{i}_mask.png"), numbered(60)[..., ::-1])
    source = open_source(tmp_path)
    assert [number_of(rgb) for _, rgb in source] == [0, 1, 2]
    assert [word in message for word, message in zip(("0_mask.png", "--fps"), source.warnings, strict=True)] == [
        True
    ] * 2
    assert open_source(tmp_path, fps=12.0).warnings == source.warnings[:1]


@pytest.mark.parametrize("fps", [0.0, -24.0, float("nan"), float("inf"), 1e6])
def test_an_impossible_rate_is_refused(tmp_path: Path, fps: float) -> None:
    cv2.imwrite(str(tmp_path / "1.png"), numbered(1))
    with pytest.raises(CloseintError, match="frame rate") as caught:
        open_source(tmp_path, fps=fps)
    assert caught.value.fix


def test_a_rate_that_is_given_changes_the_clock_and_no_frame(tmp_path: Path) -> None:
    pts = [sum([40 if 10 <= i < 15 else 20 for i in range(30)][:k]) for k in range(30)]
    write(tmp_path / "uneven.mp4", 30, pts=pts)
    own, given = open_source(tmp_path / "uneven.mp4"), open_source(tmp_path / "uneven.mp4", (4, 20), fps=240.0)
    assert (own.fps, given.fps) == (30.0, 240.0)
    assert [(i, number_of(f)) for i, f in given] == [(i, number_of(f)) for i, f in own][4:20]


@pytest.mark.parametrize(
    ("stored", "aspect", "shown"),
    [
        ((96, 96), Fraction(4, 3), (128, 96)),
        ((144, 96), Fraction(8, 9), (128, 96)),
        ((128, 96), Fraction(1), (128, 96)),
        ((128, 96), Fraction(200, 201), (128, 96)),
    ],
)
def test_frames_have_square_pixels(
    tmp_path: Path, stored: tuple[int, int], aspect: Fraction, shown: tuple[int, int]
) -> None:
    write(tmp_path / "a.mp4", 3, size=stored, aspect=aspect)
    source = open_source(tmp_path / "a.mp4")
    assert source.image_size == shown
    assert source.pixel_aspect == pytest.approx(float(aspect) if stored != shown else 1.0)
    assert source.warnings == []
    for index, rgb in source:
        assert np.abs(rgb.astype(int) - numbered(index, shown[1], shown[0])).mean() < 8


def test_square_pixels_of_a_rotated_recording(tmp_path: Path) -> None:
    write(tmp_path / "a.mp4", 2, size=(96, 96), aspect=Fraction(4, 3), rotation=90)
    source = open_source(tmp_path / "a.mp4")
    assert source.image_size == (96, 128)
    upright = np.rot90(numbered(1))
    assert np.abs(list(source)[1][1].astype(int) - upright).mean() < 8


def test_an_impossible_pixel_aspect_is_not_believed(tmp_path: Path) -> None:
    write(tmp_path / "a.mp4", 2, aspect=Fraction(1, 100))
    source = open_source(tmp_path / "a.mp4")
    assert source.image_size == (128, 96)
    assert "square" in source.warnings[0]


@pytest.mark.parametrize(
    ("sizes", "shown", "best"),
    [([(64, 48), (128, 96)], 1, 1), ([(128, 96), (64, 48)], 1, 1), ([(64, 48), (128, 96), (96, 96)], None, 1)],
)
def test_the_stream_that_the_container_marks_else_the_largest(
    tmp_path: Path, sizes: list[tuple[int, int]], shown: int | None, best: int
) -> None:
    path = tmp_path / ("a.mp4" if shown is not None else "a.mkv")
    write_streams(path, sizes, 5, shown)
    source = open_source(path)
    assert (source.image_size, source.stream_number) == (sizes[best], best)
    assert [number_of(rgb) for _, rgb in source] == list(range(best, best + 5))
    assert f"{sizes[best][0]} x {sizes[best][1]} is read" in source.warnings[0]


def test_a_cover_is_no_video(tmp_path: Path) -> None:
    write_streams(tmp_path / "covered.mp4", [(128, 96)], 5, 0, cover=True)
    source = open_source(tmp_path / "covered.mp4")
    assert source.warnings == []
    assert [number_of(rgb) for _, rgb in source] == list(range(5))


@pytest.mark.parametrize(
    ("suffix", "codec"), [("h264", "libx264"), ("m2v", "mpeg2video"), ("mpg", "mpeg2video"), ("avi", "libx264")]
)
def test_frames_are_counted_where_the_file_does_not_say(tmp_path: Path, suffix: str, codec: str) -> None:
    path = tmp_path / f"a.{suffix}"
    write(path, 60, rate=25, codec=codec)
    source = open_source(path)
    assert (source.fps, len(source), source.warnings) == (25.0, 60, [])
    assert numbers(path) == [(i, i) for i in range(60)]
    assert numbers(path, (45, 50)) == [(i, i) for i in range(45, 50)]
    with pytest.raises(CloseintError, match="which has 60"):
        open_source(path, (60, None))


def test_a_raw_stream_without_a_rate_says_so(tmp_path: Path) -> None:
    write(tmp_path / "a.mjpeg", 8, codec="mjpeg", pixels="yuvj420p")
    source = open_source(tmp_path / "a.mjpeg")
    assert (source.fps, len(source)) == (30.0, 8)
    assert "--fps" in source.warnings[0]
    assert open_source(tmp_path / "a.mjpeg", fps=25.0).warnings == []


STAMPS = {
    "all at once": lambda i: 0,
    "in pairs": lambda i: i // 2 * 2000,
    "a hundred thousand a second": lambda i: i,
    "a jump of hours": lambda i: i * 3000 + (90_000 * 36_000 if i > 20 else 0),
}


@pytest.mark.parametrize("kind", STAMPS)
def test_every_frame_is_kept_where_time_stamps_make_no_sense(tmp_path: Path, kind: str) -> None:
    write(tmp_path / "a.mp4", 40, codec="mpeg4")
    restamp(tmp_path / "a.mp4", tmp_path / "wrong.mkv", STAMPS[kind], Fraction(1, 90_000))
    source = open_source(tmp_path / "wrong.mkv")
    assert numbers(tmp_path / "wrong.mkv") == [(i, i) for i in range(40)]
    assert numbers(tmp_path / "wrong.mkv", (30, 33)) == [(30, 30), (31, 31), (32, 32)]
    assert 8 <= source.fps <= 250
    given = open_source(tmp_path / "wrong.mkv", fps=24.0)
    assert (given.fps, given.warnings) == (24.0, [])


def test_an_unlikely_rate_is_named(tmp_path: Path) -> None:
    write(tmp_path / "fast.mp4", 20, rate=480)
    source = open_source(tmp_path / "fast.mp4")
    assert (source.fps, len(source)) == (480.0, 20)
    assert "480 frames per second, which is unlikely" in source.warnings[0]
    assert "--fps" in source.warnings[0]
    assert open_source(tmp_path / "fast.mp4", fps=24.0).warnings == []


def test_names_for_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    for name in ("-x.mp4", "a b.mp4", "concat:a|b.mp4", "frame%03d.mp4"):
        write(tmp_path / "plain.mp4", 2)
        (tmp_path / "plain.mp4").rename(tmp_path / name)
        for given in (name, f"./{name}", f"~/{name}", str(tmp_path / name)):
            assert len(list(open_source(given))) == 2
    assert len(list(open_source(f"file://{tmp_path.as_posix()}/a%20b.mp4"))) == 2
    with pytest.raises(CloseintError, match="not on this computer"):
        open_source("https://example.org/a.mp4")


def test_the_cases_that_failed(shared: Path) -> None:
    cases = shared / "cases"
    expected = {
        "anamorphic_sar4x3.mp4": (30.0, (640, 480), 16),
        "square_640x480.mp4": (30.0, (640, 480), 16),
        "two_video_streams.mp4": (30.0, (256, 192), 30),
        "raw.h264": (30.0, (128, 96), 30),
        "absurd_rate.mp4": (30.0, (640, 480), 16),
        "slowmo_flow_240.mp4": (240.0, (640, 480), 71),
        "folder_jpg_and_png": (30.0, (128, 96), 5),
        "folder_with_masks": (30.0, (128, 96), 5),
    }
    for name, facts in expected.items():
        source = open_source(cases / name)
        assert (source.fps, source.image_size, len(source)) == facts, name
        assert [i for i, _ in source] == list(range(facts[2])), name
    warning = open_source(cases / "absurd_rate.mp4").warnings[0]
    assert all(word in warning for word in ("480 frames per second", "all 16 frames are kept", "--fps"))
    anamorphic, square = (
        np.stack([rgb.astype(int) for _, rgb in open_source(cases / name)])
        for name in ("anamorphic_sar4x3.mp4", "square_640x480.mp4")
    )
    assert np.abs(anamorphic - square).mean() < 3


def test_a_phone_held_upright(shared: Path) -> None:
    source = open_source(shared / "real" / "clips" / "handshake_phone_rotflag.mp4", (70, 72))
    assert (source.fps, source.image_size, source.warnings) == (30.0, (480, 848), [])
    assert len(list(source)) == 2
    other = cv2.VideoCapture(str(source.path))  # turns by the flag too
    for (_, rgb), _ in zip(open_source(source.path, (0, 10)), range(10), strict=True):
        assert np.abs(rgb.astype(int) - other.read()[1][..., ::-1]).mean() < 4


def test_a_cover_alone_and_an_unknown_codec(tmp_path: Path) -> None:
    write(tmp_path / "a.mp4", 2)
    (tmp_path / "odd.mp4").write_bytes((tmp_path / "a.mp4").read_bytes().replace(b"avc1", b"zzzz"))
    with pytest.raises(CloseintError, match="format that is not known"):
        open_source(tmp_path / "odd.mp4")
    write_streams(tmp_path / "cover.mp4", [], 0, None, cover=True)
    with pytest.raises(CloseintError, match="a cover picture, but no video"):
        open_source(tmp_path / "cover.mp4")


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp"])
def test_a_picture_that_declares_an_enormous_size(tmp_path: Path, suffix: str) -> None:
    data = bytearray(cv2.imencode(suffix, numbered(1))[1].tobytes())
    place, kind = {".png": (16, ">II"), ".bmp": (18, "<ii"), ".jpg": (data.find(b"\xff\xc0") + 5, ">HH")}[suffix]
    data[place : place + struct.calcsize(kind)] = struct.pack(kind, 30_000, 30_000)
    (tmp_path / f"1{suffix}").write_bytes(data)
    with pytest.raises(CloseintError, match="30000 x 30000, too large"):
        open_source(tmp_path)


def test_what_is_no_picture_in_a_folder(tmp_path: Path) -> None:
    (tmp_path / "0.png").mkdir()
    cv2.imwrite(str(tmp_path / "1.png"), numbered(1)[..., ::-1])
    assert numbers(tmp_path) == [(0, 1)]
    (tmp_path / "2.png").symlink_to(tmp_path / "gone.png")
    with pytest.raises(CloseintError, match=r"2\.png cannot be read"):
        numbers(tmp_path)


@pytest.fixture(scope="module")
def whole_films(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("whole")
    for suffix in ("mp4", "mkv", "avi", "h264", "mpg", "ts"):
        write(folder / f"a.{suffix}", 10, codec={"avi": "mpeg4", "mpg": "mpeg2video"}.get(suffix, "libx264"))
    return sorted(folder.iterdir())


@hypothesis.settings(max_examples=150)
@hypothesis.given(data=st.data())
def test_damaged_films_give_frames_or_a_sentence(whole_films: list[Path], data: st.DataObject) -> None:
    film = data.draw(st.sampled_from(whole_films))
    content = bytearray(film.read_bytes())
    changes = st.tuples(st.integers(0, len(content) - 1), st.binary(min_size=1, max_size=8), st.integers(0, 40))
    for place, put, taken in data.draw(st.lists(changes, min_size=1, max_size=12)):
        content[place : place + taken] = put
    damaged = film.parent.parent / f"damaged{film.suffix}"
    damaged.write_bytes(content)
    problem = None
    try:
        source = open_source(damaged)
        shapes = {rgb.shape[1::-1] for _, rgb in itertools.islice(source, 100)}
    except CloseintError as error:
        problem = error
    if problem is None:
        assert shapes == {source.image_size}
    else:
        assert (problem.exit_code, bool(problem.fix)) == (2, True)
