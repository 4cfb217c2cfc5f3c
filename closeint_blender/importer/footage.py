# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the clip's footage is, and which of its frames belongs to which frame of the scene. No bpy here."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from closeint_core.errors import CloseintError
from closeint_core.inputs import input_path
from closeint_core.video.image_series import image_series


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
    try:
        given = input_path(video)
    except CloseintError as error:
        return None, f"{error} So the camera has no background."
    candidates = [given, clip_path.parent / given, clip_path.parent / given.name]
    path = next((c for c in candidates if c.exists()), None)
    if path is None:
        return None, f"The footage {video} was not found, so the camera has no background."
    path = path.resolve()
    if path.is_file():
        # Blender counts a video's frames from 1, as it counts the image user's own.
        return Footage(path, False, frame_start), None
    try:
        images = image_series(path).files
    except CloseintError as error:
        return None, f"{error.message[:-1]}, so the camera has no background."
    first = _number(images[0])
    if first is None:
        return None, f"The images in {path} are not numbered, so Blender cannot show them as footage."
    numbers = [_number(image) for image in images]
    warning = None
    if numbers != list(range(first, first + len(images))) or len({_pattern(image) for image in images}) > 1:
        warning = f"The images in {path} are not numbered one by one; the background may not match the motion."
    return Footage(images[0], True, first - 1 + frame_start), warning


def stored_pixel_aspect(metadata: Mapping[str, Any]) -> float:
    """Width over height of the stored pixels of a clip's video, as its metadata say; 1 if they do not."""
    footage = metadata.get("footage")
    aspect = footage.get("pixel_aspect") if isinstance(footage, dict) else None
    return float(aspect) if isinstance(aspect, (int, float)) and 0.1 < aspect < 10.0 else 1.0


def stream_warning(footage: Footage, video: str, metadata: Mapping[str, Any]) -> str | None:
    """A sentence where the clip was made from another video of the file than the one that Blender shows, its first.

    Args:
        footage: what is shown. video, metadata: of the clip.
    """
    stored = metadata.get("footage")
    number = stored.get("stream_number") if isinstance(stored, dict) else None
    if footage.is_sequence or footage.path.name != Path(video).name or not isinstance(number, int) or number < 1:
        return None
    return (
        f"The clip was made from video {number + 1} of {footage.path.name}, and Blender shows the first; save that "
        "video alone in a file, and name it as the footage."
    )


_DIGITS = re.compile(r"\d+")


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
