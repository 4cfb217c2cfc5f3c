# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the clip's footage is, and which of its frames belongs to which frame of the scene. No bpy here."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp"})
"""And the natural order of names: what the reconstruction counts frames by (closeint_core.video.source)."""


@dataclass(frozen=True)
class Footage:
    """A video or a numbered run of images.

    Attributes:
        path: the video, or the first image.
        is_sequence: the path is the first of a run of images.
        offset: the image user's ``frame_offset`` such that the clip's first frame shows its own footage.
    """

    path: Path
    is_sequence: bool
    offset: int


def find_footage(video: str, clip_path: Path, frame_start: int) -> tuple[Footage | None, str | None]:
    """Find the footage of a clip.

    A relative path is tried from the current folder and from the clip's; a path that is gone, by its name beside
    the clip.

    Args:
        video: the path as the clip or the user gives it; empty means that there is none.
        clip_path: the clip file.
        frame_start: index in the footage of the clip's first frame.

    Returns:
        The footage or None, and a warning or None.
    """
    if not video:
        return None, None
    given = Path(video).expanduser()
    candidates = [given, clip_path.parent / given, clip_path.parent / given.name]
    path = next((c for c in candidates if c.exists()), None)
    if path is None:
        return None, f"The footage {video} was not found, so the camera has no background."
    path = path.resolve()
    if path.is_file():
        # Blender counts a video's frames from 1, as it counts the image user's own.
        return Footage(path, False, frame_start), None
    files = (p for p in path.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES and not p.name.startswith("."))
    images = sorted(files, key=_natural_key)
    if not images:
        return None, f"The footage folder {path} holds no images, so the camera has no background."
    first = _number(images[0])
    if first is None:
        return None, f"The images in {path} are not numbered, so Blender cannot show them as footage."
    numbers = [_number(image) for image in images]
    warning = None
    if numbers != list(range(first, first + len(images))) or len({_pattern(image) for image in images}) > 1:
        warning = f"The images in {path} are not numbered one by one; the background may not match the motion."
    return Footage(images[0], True, first - 1 + frame_start), warning


_DIGITS = re.compile(r"\d+")


def _natural_key(path: Path) -> list[int | str]:
    # Digits and other text alternate, so a number is never compared with text.
    return [int(part) if part.isdigit() else part.lower() for part in re.split(r"(\d+)", path.name)]


def _number(path: Path) -> int | None:
    """The last run of digits of the name: what Blender counts up in an image sequence."""
    digits = _DIGITS.findall(path.stem)
    return int(digits[-1]) if digits else None


def _pattern(path: Path) -> tuple[str, str, str]:
    """The name without that number."""
    digits = list(_DIGITS.finditer(path.stem))
    if not digits:
        return path.stem, "", path.suffix
    return path.stem[: digits[-1].start()], path.stem[digits[-1].end() :], path.suffix
