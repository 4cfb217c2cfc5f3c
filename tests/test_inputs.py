# SPDX-License-Identifier: Apache-2.0
"""What a user may write for an input."""

from __future__ import annotations

import string
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from closeint_core.errors import CloseintError
from closeint_core.inputs import input_name, input_path


@pytest.mark.parametrize("name", ["a.mp4", "folder/a.mp4", "-x.mp4", "./-x.mp4", "C:\\a.mp4", "a b%20c.mp4", "x:y.mp4"])
def test_a_plain_path_is_what_it_says(name: str) -> None:
    assert input_path(name) == Path(name)
    assert input_path(Path(name)) == Path(name)
    assert input_name(name) == name


def test_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert input_path("~/a.mp4") == tmp_path / "a.mp4"
    assert input_path("~") == tmp_path
    assert input_name("~/a.mp4") == str(tmp_path / "a.mp4")
    with pytest.raises(CloseintError, match="home folder of nobody-here is not known") as caught:
        input_path("~nobody-here/a.mp4")
    assert caught.value.fix


def test_what_exists_under_the_very_name_is_meant(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("~", "~a", "-", "a%20b"):
        Path(name).touch()
        assert input_path(name) == Path(name)
        assert input_name(name) == name


# What a file may be called on every system.
_NAMES = st.text(string.ascii_letters + string.digits + " %#?&+~-_.\u00e4\u6f22;=@!'()[]", min_size=1).filter(
    lambda name: name not in (".", "..")
)


@given(_NAMES, st.sampled_from(["file:///", "file://localhost/", "FILE:///", "file:/"]))
def test_a_file_url_is_the_path_that_it_encodes(name: str, prefix: str) -> None:
    path = Path("/") / "no such folder" / name
    assert input_path(prefix + quote(path.as_posix()[1:])) == path
    assert input_name(prefix + quote(path.as_posix()[1:])) == str(path)


def test_a_url_made_carelessly_finds_its_file(tmp_path: Path) -> None:
    for name in ("a b.mp4", "take#1.mp4", "why?.mp4", "100%.mp4", "a%20b.mp4"):
        (tmp_path / name).touch()
        assert input_path(f"file://{tmp_path.as_posix()}/{name}").samefile(
            tmp_path / (name if name != "a%20b.mp4" else "a b.mp4")
        )
    assert input_path(f"file://{tmp_path.as_posix()}/a%20b.mp4#t=5") == tmp_path / "a b.mp4"
    assert input_path(Path(f"file://{tmp_path.as_posix()}/a%20b.mp4")) == tmp_path / "a b.mp4"
    (tmp_path / "a b.mp4").unlink()
    assert input_path(f"file://{tmp_path.as_posix()}/a%20b.mp4") == tmp_path / "a%20b.mp4"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("http://example.org/a.mp4", "not on this computer"),
        ("https://example.org/a.mp4?x=1", "not on this computer"),
        ("rtsp://10.0.0.7:554/stream", "not on this computer"),
        ("s3://bucket/a.mp4", "not on this computer"),
        ("gs://bucket/a.mp4", "not on this computer"),
        ("smb://server/share/a.mp4", "not on this computer"),
        ("file://server/share/a.mp4", "on the computer server"),
        ("file://a.mp4", "on the computer a.mp4"),
        ("-", "standard input"),
        ("", "No input"),
        ("a\0b.mp4", "null character"),
        ("file:///a%00b.mp4", "null character"),
    ],
)
def test_what_is_no_file_of_this_computer_is_refused_with_a_way_out(text: str, words: str) -> None:
    with pytest.raises(CloseintError, match=words) as caught:
        input_path(text)
    assert caught.value.exit_code == 2
    assert caught.value.fix
    assert "\n" not in str(caught.value)


def test_a_url_that_went_through_a_path_is_refused_as_well() -> None:
    with pytest.raises(CloseintError, match="not on this computer"):
        input_path(Path("https://example.org/a.mp4"))
