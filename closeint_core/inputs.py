# SPDX-License-Identifier: Apache-2.0
"""What a user may write for an input: a path, ``~``, or a ``file:`` URL. Standard library only."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

from closeint_core.errors import CloseintError

_URL = re.compile(r"^(?P<scheme>[A-Za-z][A-Za-z0-9+.-]+):(?P<rest>/.*)$", re.DOTALL)
"""Two letters or more, since one is a Windows drive."""


def input_path(given: str | os.PathLike[str]) -> Path:
    """The path that a user's words for a file or folder mean; whether it exists is not looked at.

    What exists under the very name is taken as it is, so that a file may be called ``~notes`` or ``a%20b``. ``~`` and
    ``~user`` are the home folders, ``file:`` URLs are decoded.

    Raises:
        CloseintError: the name is empty, or means something that is no file of this computer (another computer, a
            stream, standard input).
    """
    text = os.fspath(given)
    if not text:
        raise CloseintError("No input is named.", "Name a video or a folder of images.")
    if "\0" in text:
        raise CloseintError(f"The path {text!r} holds a null character.", "Check the path.")
    if os.path.lexists(text):
        return Path(text)
    if text == "-":
        raise CloseintError("A video cannot be read from standard input.", "Write it to a file, and name that.")
    if text.startswith("~"):
        return _expanded(text)
    url = _URL.match(text)
    if url is None:
        return Path(text)
    if url["scheme"].lower() != "file":
        raise CloseintError(
            f"{text} is not on this computer, and only files and folders of this computer are read.",
            "Download it (of a stream, record a part) and name the file.",
        )
    rest = url["rest"].lstrip("/")
    # one slash is a URL that went through a Path
    if len(url["rest"]) - len(rest) == 2:
        host, slash, rest = rest.partition("/")
        if host.lower() not in ("localhost", "127.0.0.1") or not slash:
            raise CloseintError(
                f"{text} names a file on the computer {unquote(host)}.",
                "A file of this computer is file:///folder/name, with three slashes; its plain path does as well.",
            )
    meant, *others = (_local(reading) for reading in _readings(rest))
    return next((path for path in (meant, *others) if os.path.lexists(path)), meant)


def input_name(given: str | os.PathLike[str]) -> str:
    """An input's words for a file that keeps them: as they were given, but for ``~`` and URLs, which others may not
    understand.

    Raises:
        CloseintError: as ``input_path``.
    """
    path = input_path(given)
    return os.fspath(given) if os.path.lexists(given) or path == Path(given) else str(path)


def _expanded(text: str) -> Path:
    try:
        return Path(text).expanduser()
    except RuntimeError:
        user = re.split(r"[/\\]", text, maxsplit=1)[0]
        raise CloseintError(
            f"The home folder of {user[1:] or 'this user'} is not known, so {text} cannot be found.",
            "Write the whole path, or ./ before a name that begins with ~.",
        ) from None


def _readings(rest: str) -> Iterator[str]:
    """A URL's path as the standard has it, then with characters that should have been encoded and were not."""
    yield unquote(re.split(r"[?#]", rest, maxsplit=1)[0], errors="surrogateescape")
    yield unquote(rest, errors="surrogateescape")
    yield rest


def _local(rest: str) -> Path:
    if sys.platform == "win32" and re.match(r"^[A-Za-z][:|]", rest):  # pragma: no cover - Windows only
        return Path(f"{rest[0]}:{rest[2:]}")
    if "\0" in rest:
        raise CloseintError(f"The path {rest!r} holds a null character.", "Check the path.")
    return Path(f"/{rest}")
