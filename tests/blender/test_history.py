# SPDX-License-Identifier: Apache-2.0
"""History of results; no Blender needed."""

from __future__ import annotations

from pathlib import Path

from closeint_blender.history import LONGEST, Entry, History


def entry(number: int) -> Entry:
    return Entry(f"/clips/{number}.npz", "/video.mp4", "2025-03-01 14:05", 12.5, 2, 100)


def test_newest_first_and_kept(tmp_path: Path) -> None:
    history = History(tmp_path / "user" / "history.json")
    assert history.entries == []
    for number in (1, 2, 3, 2):
        history.add(entry(number))
    assert [e.clip for e in History(history.path).entries] == ["/clips/2.npz", "/clips/3.npz", "/clips/1.npz"]
    history.remove("/clips/3.npz")
    assert [e.clip for e in History(history.path).entries] == ["/clips/2.npz", "/clips/1.npz"]


def test_length_is_limited(tmp_path: Path) -> None:
    history = History(tmp_path / "history.json")
    for number in range(LONGEST + 5):
        history.add(entry(number))
    assert len(History(history.path).entries) == LONGEST


def test_damaged_file_counts_as_empty(tmp_path: Path) -> None:
    path = tmp_path / "history.json"
    for text in ("", "{", "[1]", '[{"clip": "x"}]', "null"):
        path.write_text(text)
        assert History(path).entries == []
