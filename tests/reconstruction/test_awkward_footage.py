# SPDX-License-Identifier: Apache-2.0
"""Footage as it really comes, made from the bundled sample: each ends in a clip or in one clear sentence."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from closeint_core.clip import InteractionClip
from closeint_core.errors import CloseintError
from closeint_core.progress import Progress
from closeint_core.reconstruction.pipeline import reconstruct
from closeint_core.settings import Settings
from closeint_core.video.source import open_source

SAMPLE = Path(__file__).resolve().parents[2] / "closeint_core" / "samples" / "greeting.mp4"
DRAFT = Settings(quality="draft", refine=False)


@pytest.fixture(scope="module")
def greeting() -> list[np.ndarray]:
    """A few frames in which two people stand apart, rgb."""
    return [rgb for _, rgb in open_source(SAMPLE, (0, 6))]


def film(path: Path, frames: list[np.ndarray], pts: list[int] | None = None, rotation: int = 0) -> Path:
    """Write frames; pts in 1/600 s."""
    height, width = frames[0].shape[:2]
    with av.open(str(path), "w", options={"movflags": "+faststart"}) as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv444p" if width % 2 or height % 2 else "yuv420p"
        stream.options = {"crf": "15", "g": "2"}
        if pts:
            stream.codec_context.time_base = Fraction(1, 600)
        if rotation:
            stream.set_display_rotation(rotation)
        for i, rgb in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format="rgb24")
            if pts:
                frame.pts, frame.time_base = pts[i], Fraction(1, 600)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def run(path: Path, settings: Settings = DRAFT) -> tuple[InteractionClip, list[str]]:
    progress = Progress()
    clip = reconstruct(path, settings, progress)
    clip.validate()
    assert np.isfinite(clip.poses).all()
    assert np.isfinite(clip.transl).all()
    return clip, progress.warnings


def test_one_person_gives_a_clip_of_one(greeting, tmp_path):
    clip, warnings = run(film(tmp_path / "one.mp4", [rgb[:, :480] for rgb in greeting]))
    assert clip.people == 1
    assert any("one person" in warning for warning in warnings)


def test_nobody_is_one_sentence(tmp_path):
    empty = film(tmp_path / "nobody.mp4", [np.full((240, 320, 3), 120, np.uint8)] * 4)
    with pytest.raises(CloseintError, match="Nobody"):
        run(empty)


def test_five_people_give_a_pair_and_say_which(greeting, tmp_path):
    crowd = [np.concatenate([rgb[:, :480], rgb, rgb[:, ::-1]], 1)[::2, ::2] for rgb in greeting]
    clip, warnings = run(film(tmp_path / "five.mp4", crowd))
    assert clip.people == 2
    assert any("--people" in warning for warning in warnings)


@pytest.mark.parametrize(("rotation", "turn"), [(90, 1), (-90, -1)])
def test_a_portrait_phone_video_stands_upright(greeting, tmp_path, rotation, turn):
    # Stored lying on its side, with the display matrix that stands it up again.
    stored = [np.rot90(rgb[:, 180:780], -turn) for rgb in greeting]
    clip, _ = run(film(tmp_path / "portrait.mp4", stored, rotation=rotation))
    assert tuple(clip.image_size) == (600, 720)
    assert clip.people == 2
    heads, feet = clip.keypoints2d[:, :, 0, 1], clip.keypoints2d[:, :, 15:17, 1]
    assert (np.nanmedian(heads) + 200) < np.nanmedian(feet)


def test_a_single_frame(greeting, tmp_path):
    clip, _ = run(film(tmp_path / "single.mp4", greeting[:1]))
    assert (clip.people, clip.frames) == (2, 1)


def test_odd_sizes(greeting, tmp_path):
    clip, _ = run(film(tmp_path / "odd.mp4", [rgb[1:, 1:] for rgb in greeting]))
    assert tuple(clip.image_size) == (959, 719)
    assert clip.people == 2


def test_variable_frame_rate_keeps_time(greeting, tmp_path):
    clip, _ = run(film(tmp_path / "varying.mp4", greeting, pts=[0, 24, 72, 84, 96, 144]))
    assert clip.frames / clip.fps == pytest.approx(0.28, abs=0.09)


def test_a_cut_file_gives_what_is_there(greeting, tmp_path):
    whole = film(tmp_path / "whole.mp4", greeting)
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(whole.read_bytes()[: int(0.75 * whole.stat().st_size)])
    clip, warnings = run(cut)
    assert 1 <= clip.frames < len(greeting)
    assert warnings


def _zero(path: Path) -> None:
    path.write_bytes(b"")


def _header_only(path: Path) -> None:
    whole = film(path, [np.zeros((64, 64, 3), np.uint8)])
    content = whole.read_bytes()
    path.write_bytes(content[: content.index(b"mdat") + 4])


@pytest.mark.parametrize("spoil", [_zero, _header_only])
def test_no_frames_at_all_is_one_sentence(spoil: Callable[[Path], None], tmp_path):
    path = tmp_path / "empty.mp4"
    spoil(path)
    with pytest.raises(CloseintError) as caught:
        run(path)
    assert "empty.mp4" in str(caught.value)
    assert "\n" not in str(caught.value)
