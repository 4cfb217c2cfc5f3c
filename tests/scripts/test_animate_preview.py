# SPDX-License-Identifier: Apache-2.0
"""The moving picture of a preview."""

from __future__ import annotations

import sys
from pathlib import Path

import animate_preview
import numpy as np
import pytest

from closeint_core.video.writer import VideoWriter


def chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    """The chunks of a RIFF file (WebP container specification)."""
    assert data[:4] == b"RIFF"
    assert data[8:12] == b"WEBP"
    found, at = [], 12
    while at + 8 <= len(data):
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        found.append((data[at : at + 4], data[at + 8 : at + 8 + size]))
        at += 8 + size + size % 2
    return found


@pytest.fixture
def video(tmp_path: Path) -> Path:
    path = tmp_path / "preview.mp4"
    with VideoWriter(path, 20.0) as writer:
        for number in range(9):
            writer.write(np.full((48, 64, 3), 25 * number, np.uint8))
    return path


def test_every_second_frame_plays_as_long_as_two(video: Path, tmp_path: Path) -> None:
    target = tmp_path / "preview.webp"
    assert animate_preview.animate(video, target, every=2, width=32, quality=50) == 5
    found = chunks(target.read_bytes())
    (animation,) = [content for name, content in found if name == b"ANIM"]
    assert int.from_bytes(animation[4:6], "little") == 0  # plays without end
    frames = [content for name, content in found if name == b"ANMF"]
    assert len(frames) == 5
    assert [int.from_bytes(frame[12:15], "little") for frame in frames][:4] == [100] * 4  # milliseconds
    (canvas,) = [content for name, content in found if name == b"VP8X"]
    assert (int.from_bytes(canvas[4:7], "little") + 1, int.from_bytes(canvas[7:10], "little") + 1) == (32, 24)


def test_the_bundled_picture_is_small_enough(video: Path) -> None:
    picture = Path(__file__).resolve().parents[2] / "docs" / "preview.webp"
    assert picture.stat().st_size <= animate_preview.LARGEST
    assert sum(name == b"ANMF" for name, _ in chunks(picture.read_bytes())) >= 40


def test_a_missing_video_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["animate_preview", str(tmp_path / "no.mp4"), str(tmp_path / "a.webp")])
    assert animate_preview.main() == 2
    assert "there is no video" in capsys.readouterr().err
