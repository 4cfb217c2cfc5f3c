# SPDX-License-Identifier: Apache-2.0
"""Reads files that others made: texts, JSON, numpy's npy and npz.

A file may be broken or hostile, so what it says of itself is checked before memory is taken for it: a header that
claims terabytes, an archive that unpacks to them, objects that would run code, nesting without end. Everything that
cannot be read ends in a ``CloseintError`` that names the file. numpy and the standard library only.
"""

from __future__ import annotations

import json
import math
import os
import re
import struct
import zipfile
import zlib
from collections.abc import Collection
from pathlib import Path
from typing import IO, Any

import numpy as np

from closeint_core.errors import CloseintError

_ALWAYS_READ = 256 << 20
"""Bytes that an archive may unpack to however small it is: two people without any motion for an hour and a half."""
_LARGEST_RATIO = 64
"""Times its own size that a larger archive may unpack to; motion packs to about a half."""
_MOST_HEADER = 65_536  # bytes of the header of an array; numpy writes 118 for ours
_MOST_DIMENSIONS = 16
_LARGEST_EXTENT = 1 << 40
_CHUNK = 1 << 20
_KINDS = "biufSU"  # numbers and texts
_UNREADABLE = (
    OSError, EOFError, ValueError, KeyError, IndexError, OverflowError, NotImplementedError, RuntimeError, MemoryError,
    struct.error, zlib.error, zipfile.BadZipFile, zipfile.LargeZipFile,
)  # fmt: skip
"""What ``zipfile`` and ``zlib`` raise on damaged archives (RuntimeError: an encrypted one)."""

_HEADER = re.compile(
    r"\{\s*(?:'(?:descr|fortran_order|shape)'\s*:\s*(?:'[^']*'|True|False|\([\dL,\s]*\))\s*,?\s*){3}\}\s*"
)
_DESCR = re.compile(r"'descr'\s*:\s*'([<>=|]?[a-zA-Z]\d{0,9})'")
_FORTRAN = re.compile(r"'fortran_order'\s*:\s*(True|False)")
_SHAPE = re.compile(r"'shape'\s*:\s*\(([\dL,\s]*)\)")


class Unreadable(ValueError):
    """Part of a file is damaged or not what is expected; the message says what, without a full stop."""


def said(value: object, most: int = 60) -> str:
    """``repr`` of a value out of a foreign file, for a message: short, and never an error."""
    try:
        text = repr(value) if isinstance(value, str | int | float | bool | bytes | None) else type(value).__name__
    except ValueError:  # a whole number with more digits than Python writes
        text = "a number with thousands of digits"
    return text if len(text) <= most else text[: most - 3] + "..."


def read_bytes(path: str | os.PathLike[str], what: str, most: int | None = None) -> bytes:
    """All of a file.

    Args:
        what: what it is, with its article, for messages. most: refuse larger ones.

    Raises:
        CloseintError: missing, no ordinary file, too large or unreadable.
    """
    path = Path(path)
    _check_file(path, what)
    try:
        size = path.stat().st_size
        if most is not None and size > most:
            raise CloseintError(f"{path} is {size} bytes long, too long for {what}.", "Choose another file.")
        return path.read_bytes()
    except (OSError, MemoryError) as error:
        raise CloseintError(
            f"Cannot read {what} {path} ({_reason(error)}).", "Check the file and its rights."
        ) from None


def read_text(path: str | os.PathLike[str], what: str, most: int = 100_000_000) -> str:
    """A UTF-8 text, a byte order mark taken off; arguments and errors as those of ``read_bytes``."""
    data = read_bytes(path, what, most)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise CloseintError(
            f"Cannot read {what} {path}: it is no UTF-8 text ({error.reason}).", "Save it again."
        ) from None


def parse_json(text: str | bytes, numbers_only: bool = False) -> Any:
    """The value that a JSON text holds.

    Args:
        numbers_only: NaN and infinity, which Python writes but JSON does not have, become None.

    Raises:
        Unreadable: no JSON, nested too deeply, or with numbers that are none.
    """
    try:
        return json.loads(text, parse_constant=(lambda _: None) if numbers_only else None)
    except RecursionError:
        raise Unreadable("it is nested too deeply") from None
    except (ValueError, MemoryError) as error:
        raise Unreadable(f"it is no JSON ({' '.join(str(error).split())[:200]})") from None


def read_json(path: str | os.PathLike[str], what: str, most: int = 100_000_000) -> Any:
    """The value that a JSON file holds; arguments as those of ``read_bytes``.

    Raises:
        CloseintError: missing, too large, unreadable, or no JSON.
    """
    text = read_text(path, what, most)
    try:
        return parse_json(text)
    except Unreadable as problem:
        raise CloseintError(f"{path} is not {what}: {problem}.", "Correct or replace the file.") from None


def read_arrays(
    path: str | os.PathLike[str], what: str, wanted: Collection[str] | None = None
) -> dict[str, np.ndarray]:
    """Arrays of numbers and texts in an npz file; nothing in it is run.

    Args:
        what: what the file is, with its article, for messages.
        wanted: which of the arrays to read, if they are there; the others may be of any kind. None reads all.

    Raises:
        CloseintError: the file is missing, no npz file, damaged, or claims to unpack to more than it can hold.
    """
    path = Path(path)
    _check_file(path, what)
    fix = f"Choose {what}, or make the file again."
    try:
        if path.stat().st_size == 0:
            raise Unreadable("it is empty")
        with open(path, "rb") as file:
            if file.read(6) == b"\x93NUMPY":
                raise Unreadable("it is a bare array (npy), not an archive of arrays (npz)")
        with zipfile.ZipFile(path) as archive:
            return _members(archive, wanted, max(_ALWAYS_READ, _LARGEST_RATIO * path.stat().st_size))
    except Unreadable as problem:
        raise CloseintError(f"{path} is not {what}: {problem}.", fix) from None
    except _UNREADABLE as error:
        noun = re.sub(r"^(an?|the) ", "", what)
        raise CloseintError(f"{path} is not a readable {noun} ({_reason(error)}).", fix) from None


def read_array(path: str | os.PathLike[str], what: str) -> np.ndarray:
    """The array in an npy file; arguments and errors as those of ``read_arrays``."""
    path = Path(path)
    _check_file(path, what)
    try:
        with open(path, "rb") as file:
            return _array(file, path.stat().st_size)
    except Unreadable as problem:
        raise CloseintError(f"{path} is not {what}: {problem}.", f"Choose {what}, or get the file again.") from None
    except _UNREADABLE as error:
        raise CloseintError(
            f"Cannot read {what} {path} ({_reason(error)}).", "Check the file and its rights."
        ) from None


def _check_file(path: Path, what: str) -> None:
    try:
        if path.is_file():
            return
        there = path.exists()
    except (OSError, ValueError):  # a name too long, or with a zero byte
        there = False
    if there:
        raise CloseintError(f"Cannot read {what} {path}: it is not a file.", "Check the path.")
    raise CloseintError(f"Cannot read {what} {path}: there is no file of this name.", "Check the path.")


def _members(archive: zipfile.ZipFile, wanted: Collection[str] | None, most: int) -> dict[str, np.ndarray]:
    chosen = {}
    for info in archive.infolist():
        name = info.filename.removesuffix(".npy")
        if name != info.filename and (wanted is None or name in wanted):
            chosen[name] = info
    total = sum(info.file_size for info in chosen.values())
    if total > most:
        raise Unreadable(f"it claims to unpack to {total / 1e9:.1f} GB, which its size does not bear out")
    found = {}
    for name, info in chosen.items():
        try:
            with archive.open(info) as file:
                found[name] = _array(file, info.file_size)
        except Unreadable as problem:
            raise Unreadable(f"{said(name)[1:-1]}: {problem}") from None
    return found


def _array(file: IO[bytes], size: int) -> np.ndarray:
    """The array of an npy stream of ``size`` bytes; memory is taken only for what the header and the size agree on."""
    start = file.read(8)
    if start[:6] != b"\x93NUMPY" or len(start) < 8 or start[6] not in (1, 2, 3):
        raise Unreadable("it does not begin as an array does")
    width = 2 if start[6] == 1 else 4
    length = int.from_bytes(file.read(width), "little")
    if length > min(_MOST_HEADER, size):
        raise Unreadable(f"it has an array with a header of {length} bytes")
    header = file.read(length)
    try:
        text = header.decode("utf-8" if start[6] == 3 else "latin-1")
    except UnicodeDecodeError:
        raise Unreadable("it has an array with a damaged header") from None
    dtype, fortran, shape = _parse_header(text)
    count = math.prod(shape)
    if count * dtype.itemsize != size - 8 - width - length:
        raise Unreadable(
            f"it has an array that says it is {_shape_text(shape)} of type {dtype.str}, which does not fit"
        )
    if dtype.itemsize == 0:
        if count > _CHUNK:
            raise Unreadable("it has an array of too many empty texts")
        return np.zeros(shape, dtype)
    data = bytearray(count * dtype.itemsize)
    view, done = memoryview(data), 0
    while done < len(data):
        part = file.read(min(_CHUNK, len(data) - done))
        if not part:
            raise Unreadable("it is truncated")
        view[done : done + len(part)] = part
        done += len(part)
    flat = np.frombuffer(data, dtype)
    if file.read(1):
        raise Unreadable("it is longer than it says")
    return flat.reshape(shape, order="F" if fortran else "C")


def _parse_header(text: str) -> tuple[np.dtype[Any], bool, tuple[int, ...]]:
    """(type, whether in Fortran's order, shape) of the dictionary in an array's header, read without evaluating it."""
    descr, fortran, shape = (pattern.search(text) for pattern in (_DESCR, _FORTRAN, _SHAPE))
    if _HEADER.fullmatch(text) is None or descr is None or fortran is None or shape is None:
        raise Unreadable("it has an array of objects or records, or one with a damaged header")
    try:
        dtype = np.dtype(descr[1])
    except (TypeError, ValueError, OverflowError):
        raise Unreadable(f"it has an array of the unknown type {descr[1]}") from None
    if dtype.kind not in _KINDS:
        raise Unreadable(f"it has an array of type {descr[1]}, which is neither numbers nor texts")
    try:
        extents = tuple(int(part.strip().removesuffix("L")) for part in shape[1].split(",") if part.strip())
    except ValueError:
        raise Unreadable("it has an array with a damaged shape") from None
    if len(extents) > _MOST_DIMENSIONS or any(extent > _LARGEST_EXTENT for extent in extents):
        raise Unreadable("it has an array with an impossible shape")
    return dtype, fortran[1] == "True", extents


def _shape_text(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape)) or "a single value"


def _reason(error: BaseException) -> str:
    if isinstance(error, MemoryError):
        return "there is not enough memory"
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(text.split())[:200] or type(error).__name__
