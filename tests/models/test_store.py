# SPDX-License-Identifier: Apache-2.0
"""The order in which model folders are searched."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from pathlib import Path

import pytest

from closeint_core.errors import CloseintError
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


def test_trained_weights_are_kept_by_their_hash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOSEINT_DATA", os.pathsep.join((str(tmp_path / "store"), str(tmp_path / "other"))))
    weights = tmp_path / "run" / "denoiser_float16.safetensors"
    weights.parent.mkdir()
    found = {}
    for content in (b"first", b"second", b"first"):
        weights.write_bytes(content)
        path, digest = store.keep(weights, "denoiser", {"run": "here"})
        assert digest == hashlib.sha256(content).hexdigest()
        assert path.name == f"denoiser-{digest[:12]}.safetensors"
        assert path.read_bytes() == content
        found[path] = json.loads(path.with_suffix(".json").read_text())
        assert found[path] == {"sha256": digest, "run": "here"}
    assert len(found) == 2
    assert set((tmp_path / "store" / "trained").iterdir()) == {*found, *(path.with_suffix(".json") for path in found)}
    assert not (tmp_path / "other").exists()


def test_without_a_variable_weights_go_to_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.delenv("CLOSEINT_DATA", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    weights = tmp_path / "w.safetensors"
    weights.write_bytes(b"w")
    assert store.keep(weights, "prior", {})[0].parent == tmp_path / "data" / "closeint" / "trained"


def test_a_store_that_takes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("CLOSEINT_DATA", str(tmp_path / "file"))
    with pytest.raises(CloseintError, match="Cannot write to the folder"):
        store.keep(tmp_path / "file", "prior", {})
