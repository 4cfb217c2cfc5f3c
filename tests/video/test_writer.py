# SPDX-License-Identifier: Apache-2.0
"""Writing previews."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.films import number_of, numbered

from closeint_core.errors import CloseintError
from closeint_core.video.source import open_source
from closeint_core.video.writer import VideoWriter


@pytest.mark.parametrize("size", [(96, 128), (87, 121)])
def test_what_is_written_is_read_back(tmp_path: Path, size: tuple[int, int]) -> None:
    with VideoWriter(tmp_path / "a.mp4", 29.97) as writer:
        for i in range(12):
            writer.write(numbered(i, *size))
    source = open_source(tmp_path / "a.mp4")
    assert source.fps == pytest.approx(29.97, rel=1e-4)
    assert source.image_size == (size[1] + size[1] % 2, size[0] + size[0] % 2)
    assert [number_of(rgb[: size[0], : size[1]]) for _, rgb in source] == list(range(12))
    assert [f.name for f in tmp_path.iterdir()] == ["a.mp4"]


def test_an_error_leaves_the_old_file(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"old")

    def fail_half_way() -> None:
        with VideoWriter(tmp_path / "a.mp4", 30) as writer:
            writer.write(np.zeros((64, 64, 3), np.uint8))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_half_way()
    assert (tmp_path / "a.mp4").read_bytes() == b"old"
    assert [f.name for f in tmp_path.iterdir()] == ["a.mp4"]


def test_a_folder_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "no").write_text("a file")
    with pytest.raises(CloseintError, match="cannot be written"), VideoWriter(tmp_path / "no" / "a.mp4", 30):
        pass
