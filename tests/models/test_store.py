# SPDX-License-Identifier: Apache-2.0
"""The order in which model folders are searched."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from closeint_core.models import store


def test_order_and_find(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given, first, second = (tmp_path / name for name in ("given", "first", "second"))
    monkeypatch.setenv("CLOSEINT_DATA", os.pathsep.join((str(first), str(second))))
    assert store.search_paths(given)[:3] == [given, first, second]
    assert store.search_paths(None)[:2] == [first, second]
    assert store.search_paths(first)[:2] == [first, second]  # named twice, searched once
    assert store.find(["a.npz", "a.pkl"], given) is None
    for folder, name in ((second, "a.npz"), (first, "a.pkl")):
        folder.mkdir()
        (folder / name).touch()
    assert store.find(["a.npz", "a.pkl"], given) == first / "a.pkl"  # the folder counts before the name
    assert store.find("a.npz", given) == second / "a.npz"
    (given / "a.npz").mkdir(parents=True)
    assert store.find("a.npz", given) == second / "a.npz"  # a folder is not a file


@pytest.mark.parametrize(
    ("platform", "variable", "tail"),
    [
        ("linux", "XDG_DATA_HOME", ("data", "closeint")),
        ("win32", "LOCALAPPDATA", ("data", "closeint")),
        ("darwin", "HOME", ("data", "Library", "Application Support", "closeint")),
    ],
)
def test_user_folder_by_platform(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, platform: str, variable: str, tail: tuple[str, ...]
) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setenv(variable, str(tmp_path / "data"))
    assert store.user_data_dir() == tmp_path.joinpath(*tail)


def test_relative_xdg_folder_is_ignored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_DATA_HOME", "somewhere")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert store.user_data_dir() == tmp_path / ".local" / "share" / "closeint"
