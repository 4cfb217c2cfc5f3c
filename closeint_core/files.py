# SPDX-License-Identifier: Apache-2.0
"""Files are written whole or not at all, and never over what somebody else made."""

from __future__ import annotations

import contextlib
import fnmatch
import json
import os
import secrets
import shutil
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

import closeint_core
from closeint_core.errors import CloseintError
from closeint_core.inputs import input_path
from closeint_core.provenance import KINDS, is_ours

FOLDER_MARK = "closeint.json"
"""The file that tells a folder of ours."""
_PROBE = 65536
"""Bytes that a folder must take before work begins: an empty file fits on a full disk."""
_TEMPORARY = ".closeint-*"


@contextlib.contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A temporary path beside ``path`` that replaces it when the block ends without an error.

    The temporary name keeps the suffix of ``path``, since many writers choose the format by it. The file gets the
    permissions of an ordinary new file, whatever a writer made of them. A link is followed: what it points at is
    replaced.

    Raises:
        CloseintError: the folder cannot be made or written to, ``path`` is not a file, or the disk is full.
    """
    target = Path(os.path.realpath(path))
    temporary = target.parent / f".{target.stem[:40]}.{secrets.token_hex(4)}{target.suffix}"
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        permissions = stat.S_IMODE(temporary.stat().st_mode)
    except OSError as error:
        raise CloseintError(
            f"Cannot write to the folder {target.parent}: {error.strerror or error}.", "Choose another output folder."
        ) from error
    try:
        yield temporary
        if target.exists() and not target.is_file():
            raise CloseintError(f"{path} is not a file.", "Choose another name.")
        # some libraries write a private file of their own and rename it
        os.chmod(temporary, permissions)
        os.replace(temporary, target)
    except OSError as error:
        raise CloseintError(
            f"Cannot write {target}: {error.strerror or error}.", "Free some space or choose another output folder."
        ) from error
    finally:
        temporary.unlink(missing_ok=True)


def require_writable(folder: str | os.PathLike[str]) -> None:
    """Fail now, not after minutes of work, when ``folder`` cannot take a file. Nothing is left behind.

    A folder that is not there yet is not made: the nearest one above it must be able to hold it.

    Raises:
        CloseintError: the folder cannot be made or written to, or the disk is full.
    """
    place = Path(os.path.realpath(folder))
    try:
        while not os.path.lexists(place):
            place = place.parent
        if not place.is_dir():
            raise CloseintError(f"{place} is a file, not a folder.", "Choose another output folder.")
        probe = place / f".closeint-{secrets.token_hex(4)}"
        try:
            probe.write_bytes(bytes(_PROBE))
        finally:
            probe.unlink(missing_ok=True)
    except (OSError, ValueError) as error:
        raise CloseintError(
            f"Cannot write to the folder {folder}: {getattr(error, 'strerror', None) or error}.",
            "Free some space or choose another output folder.",
        ) from error


def output_path(given: str | os.PathLike[str]) -> Path:
    """The path that a user's words for an output mean: as ``inputs.input_path`` reads them.

    Raises:
        CloseintError: they name nothing on this computer.
    """
    try:
        return input_path(given)
    except CloseintError as error:
        raise CloseintError(
            f"The output {os.fspath(given)!r} names no file or folder of this computer.", "Give a path."
        ) from error


def check_output(path: str | os.PathLike[str], kind: str, inputs: Iterable[str | os.PathLike[str] | None] = ()) -> Path:
    """See, before any work, that a file may be written: nothing that somebody needs is there, and the folder takes it.

    Args:
        path: the file to write; it need not exist, nor its folder.
        kind: what it will be, one of ``provenance.KINDS``. Only a file of that kind that closeint wrote is replaced.
        inputs: files and folders that are read; none of them is ever written over. None and what is not there are
            passed over.

    Returns:
        The path.

    Raises:
        CloseintError: it is an input, a folder, a device, or a file that closeint did not write; or its folder takes no
            file.
    """
    target, what = Path(path), KINDS[kind][0]
    if not str(path) or target.name in ("", "..", "-"):
        raise CloseintError(f"{str(path)!r} is no name of a file.", f"Give the name of {what} to write.")
    found = _status(target)
    if found is not None and stat.S_ISDIR(found.st_mode):
        raise CloseintError(f"The output {path} is a folder.", f"Name {what} in it.")
    existing = [found_path for item in inputs if item is not None and (found_path := _existing(item)) is not None]
    for item in existing:
        if found is not None and os.path.samefile(item, target):
            raise CloseintError(
                f"The output {path} is the input itself, which would be lost.", "Give the output another name."
            )
        if kind == "picture" and item.is_dir() and target.parent.is_dir() and os.path.samefile(item, target.parent):
            raise CloseintError(
                f"The output {path} would become a picture of the input {item}.", "Choose another output folder."
            )
    if found is not None and not stat.S_ISREG(found.st_mode):
        raise CloseintError(f"The output {path} is not an ordinary file.", "Give the output another name.")
    if found is not None and not is_ours(target, kind):
        raise CloseintError(
            f"The output {path} exists, and is not {what} that closeint wrote.",
            "Give the output another name, or move that file away.",
        )
    if found is not None and not os.access(target, os.W_OK):
        raise CloseintError(f"The output {path} is write-protected.", "Give the output another name.")
    require_writable(Path(os.path.realpath(target)).parent)
    return target


def _status(path: Path) -> os.stat_result | None:
    """What is at a path; None for nothing, a link to nothing included.

    Raises:
        CloseintError: there cannot be a file of that name.
    """
    try:
        return path.stat()
    except (FileNotFoundError, NotADirectoryError):  # a file where a folder should be is said by require_writable
        return None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise CloseintError(f"Cannot write {path}: {reason}.", "Give the output another name.") from error


def _existing(given: str | os.PathLike[str]) -> Path | None:
    """The file or folder that a name of an input means; None if there is none, which its reader says."""
    try:
        path = input_path(given)
        return path if path.exists() else None
    except (CloseintError, OSError, ValueError):
        return None


# -- folders -----------------------------------------------------------------------------------------------------


def check_folder(
    path: str | os.PathLike[str], kind: str, *, own: Iterable[str] | None = None, signs: Iterable[str] = ()
) -> Path:
    """See, before any work, that a folder may be filled: it is new, empty, or one that closeint filled before.

    Args:
        path: the folder; it need not exist.
        kind: what it holds, a word that its mark repeats.
        own: patterns of what may lie in it, relative to it, with ``/``; links never may. None: anything beside ours,
            where nothing but ours is ever written over or taken away.
        signs: names of files that tell a folder of ours without a mark, as earlier versions left it.

    Returns:
        The path.

    Raises:
        CloseintError: it is a file, or somebody else's, or has something else in it, or cannot be written to.
    """
    folder = Path(path)
    if not str(path):
        raise CloseintError("The output has no name.", "Give the name of a folder.")
    found = _status(folder)
    if found is not None and not stat.S_ISDIR(found.st_mode):
        raise CloseintError(f"The output {path} is a file, but a folder is written.", "Give the output another name.")
    if found is not None:
        known = folder_kind(folder) == kind or any((folder / name).is_file() for name in signs)
        stranger = _stranger(folder, None if known and own is None else [*(own or ()), FOLDER_MARK, _TEMPORARY])
        if stranger is not None:
            raise CloseintError(
                f"The output folder {path} holds {stranger}, which closeint did not write there.",
                "Choose a new or an empty folder.",
            )
        if not known and own is not None and any(folder.iterdir()):
            raise CloseintError(
                f"The output folder {path} is not empty, and not one that closeint wrote.",
                "Choose a new or an empty folder.",
            )
    require_writable(folder)
    return folder


def _stranger(folder: Path, own: list[str] | None) -> str | None:
    """A file or link below a folder that none of the patterns names; None: no file is strange."""
    if own is None:
        return None

    def complain(error: OSError) -> None:
        raise CloseintError(
            f"The folder {folder} cannot be read: {error.strerror or error}.", "Choose another folder."
        ) from error

    for where, folders, files in os.walk(folder, onerror=complain):
        links = [name for name in folders if os.path.islink(os.path.join(where, name))]
        for name in [*files, *links]:
            inside = Path(where, name).relative_to(folder).as_posix()
            if not any(fnmatch.fnmatchcase(inside, pattern) for pattern in own):
                return inside
    return None


def folder_kind(folder: Path) -> str | None:
    """The kind that a folder's mark names; None without one."""
    try:
        found = json.loads((folder / FOLDER_MARK).read_text(encoding="utf-8"))
        return str(found["kind"]) if isinstance(found, dict) and "closeint" in found else None
    except (OSError, ValueError, KeyError, RecursionError):
        return None


def mark_folder(folder: Path, kind: str) -> None:
    """Put the mark into a folder, which is made when missing.

    Raises:
        CloseintError: it cannot be written.
    """
    with atomic_path(folder / FOLDER_MARK) as temporary:
        temporary.write_text(json.dumps({"closeint": closeint_core.__version__, "kind": kind}), encoding="utf-8")


@contextlib.contextmanager
def atomic_folder(path: str | os.PathLike[str], kind: str, own: Iterable[str]) -> Iterator[Path]:
    """A temporary folder whose content becomes that of ``path`` when the block ends without an error.

    What an earlier run left in ``path`` goes, so that a shorter result is not mixed with a longer one.

    Raises:
        CloseintError: as ``check_folder``; or something cannot be written.
    """
    folder = check_folder(path, kind, own=own)
    existed = folder.exists()
    temporary = (folder if existed else folder.absolute().parent) / f".closeint-{secrets.token_hex(4)}"
    try:
        temporary.mkdir(parents=True)
        mark_folder(temporary, kind)
        yield temporary
        if not existed:
            os.replace(temporary, folder)
            return
        for old in [item for item in folder.iterdir() if item != temporary]:
            shutil.rmtree(old) if old.is_dir() else old.unlink()
        for new in list(temporary.iterdir()):
            os.replace(new, folder / new.name)
    except OSError as error:
        raise CloseintError(
            f"Cannot write {path}: {error.strerror or error}.", "Free some space or choose another output folder."
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
