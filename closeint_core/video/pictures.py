# SPDX-License-Identifier: Apache-2.0
"""One image file."""

from __future__ import annotations

import struct
from pathlib import Path

import cv2
import numpy as np

from closeint_core.errors import CloseintError

LARGEST_PICTURE = 100_000_000
"""Pixels; three times an 8K frame. A header that declares more is damage, and would take gigabytes to believe."""


def read_picture(file: Path) -> np.ndarray:
    """RGB uint8 (H, W, 3), upright (OpenCV applies the EXIF orientation).

    Raises:
        CloseintError: it cannot be read, or is too large.
    """
    try:
        data = np.fromfile(file, np.uint8)
    except OSError as error:
        raise CloseintError(f"The image {file} cannot be read: {error.strerror or error}.", _FIX) from error
    width, height = declared_size(data.tobytes()) or (0, 0)
    require_possible(width, height, file)
    try:
        bgr = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
    except cv2.error:
        bgr = None
    if bgr is None:
        raise CloseintError(f"The image {file} cannot be read.", _FIX)
    return np.ascontiguousarray(bgr[..., ::-1])


def require_possible(width: int, height: int, path: Path) -> None:
    """See that a picture is no larger than ``LARGEST_PICTURE``.

    Raises:
        CloseintError: it is.
    """
    if width * height > LARGEST_PICTURE:
        raise CloseintError(
            f"The pictures of {path} are {width} x {height}, too large to be read.", "Convert them to a smaller size."
        )


def declared_size(data: bytes) -> tuple[int, int] | None:
    """Width and height that the header of a PNG, JPEG or BMP file declares; None of others."""
    if data[:8] == b"\x89PNG\r\n\x1a\n" and len(data) >= 24:
        width, height = struct.unpack(">II", data[16:24])
        return width, height
    if data[:2] == b"BM" and len(data) >= 26:
        width, height = struct.unpack("<ii", data[18:26])
        return abs(width), abs(height)
    place = 2
    while data[:2] == b"\xff\xd8" and place + 9 <= len(data) and data[place] == 0xFF:
        marker, length = data[place + 1], int.from_bytes(data[place + 2 : place + 4], "big")
        if marker in _FRAMES:
            height, width = struct.unpack(">HH", data[place + 5 : place + 9])
            return width, height
        # fill bytes come before a marker; markers without a length are none of a header
        place += 1 if marker == 0xFF else 2 + length
    return None


_FIX = "Save it again, or take it out of the folder."
_FRAMES = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
"""JPEG's markers of a frame header (ITU-T T.81, table B.1)."""
