# SPDX-License-Identifier: Apache-2.0
"""The extension in a real Blender with a window."""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Play = Callable[..., Any]

SAMPLE = Path(__file__).resolve().parents[2] / "closeint_core" / "samples" / "greeting.mp4"

pytestmark = pytest.mark.slow


def pictures(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*.png"))


@pytest.mark.skipif("CLOSEINT_TEST_INSTALL" not in os.environ, reason="downloads a gigabyte; set CLOSEINT_TEST_INSTALL")
def test_from_the_zip_to_the_first_result(play: Play, extension: Path, tmp_path: Path) -> None:
    """CLOSEINT_TEST_INSTALL may name the Python to install with."""
    videos = tmp_path / "videos"
    videos.mkdir()
    cut(SAMPLE, videos / "greeting.mp4", first=30, count=10)
    base = os.environ["CLOSEINT_TEST_INSTALL"]
    played = play("steps_first_result.py", str(extension), str(videos), base if os.path.isabs(base) else "",
                  seconds=1500, install=False)  # fmt: skip
    assert re.search(r"FIRST-RESULT \d+ s, 4 clicks, 1 file choice", played.output)


def cut(source: Path, target: Path, first: int, count: int) -> None:
    """A few frames of a video as a video."""
    av = pytest.importorskip("av")
    from closeint_core.video.source import open_source

    frames = open_source(source, (first, first + count))
    with av.open(str(target), "w") as container:
        stream = container.add_stream("libx264", rate=round(frames.fps), options={"crf": "12"})
        stream.width, stream.height = frames.image_size
        stream.pix_fmt = "yuv420p"
        for _, rgb in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(rgb, format="rgb24")))
        container.mux(stream.encode())


def test_drop_by_the_mouse(play: Play) -> None:
    clip = SAMPLE.with_suffix(".closeint.npz")
    played = play("steps_drop.py", sys.executable, str(SAMPLE), str(clip))
    assert len(pictures(played.pictures)) == 5


def test_panel(play: Play) -> None:
    played = play("steps_panel.py", sys.executable)
    assert pictures(played.pictures) == ["1-nothing-installed.png", "2-checked.png", "last.png"]


def test_sample(play: Play) -> None:
    played = play("steps_sample.py", sys.executable, seconds=400)
    assert len(pictures(played.pictures)) == 7


def test_redraws(play: Play) -> None:
    """A hundred milliseconds more than without a job, at most: software rendering alone may need as much."""
    played = play("steps_redraws.py", sys.executable, seconds=240, size="800x600")
    alone, busy = (
        tuple(float(part) for part in re.findall(rf"{name} (\S+) (\S+)", played.output)[0])
        for name in ("REDRAW-ALONE", "REDRAW-BUSY")
    )
    stages, steps = (int(part) for part in re.findall(r"STAGES (\d+) (\d+)", played.output)[0])
    assert stages >= 4
    assert steps > stages
    print(f"longest gap between redraws: {busy[0]:.3f} s with a job, {alone[0]:.3f} s without")
    assert busy[0] < max(0.2, alone[0] + 0.1, 3 * alone[1])


@pytest.mark.parametrize("how", ["quit", "kill", "file"])
def test_blender_goes_away(play: Play, how: str) -> None:
    played = play("steps_leave.py", sys.executable, how, expect=137 if how == "kill" else 0)
    worker = int(re.findall(r"WORKER (\d+)", played.output)[0])
    if how == "file":
        assert "GOES-ON 1 running" in played.output
        assert "CANCELLED-WITHOUT-OPERATOR" in played.output
    end = time.monotonic() + 5
    while Path(f"/proc/{worker}").exists():
        assert time.monotonic() < end, "the worker outlives Blender"
        time.sleep(0.1)
