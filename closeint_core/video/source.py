# SPDX-License-Identifier: Apache-2.0
"""Frames of a video file or of a folder of images, upright and at a constant rate."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from closeint_core.errors import CloseintError
from closeint_core.inputs import input_path
from closeint_core.progress import Progress
from closeint_core.video.container import decode, read_timeline, upright
from closeint_core.video.image_series import image_series
from closeint_core.video.pictures import read_picture
from closeint_core.video.timing import FALLBACK_RATE, POSSIBLE_RATES, RATE_FIX, nearest_in_time

FrameRange = tuple[int | None, int | None]


class FrameSource:
    """Frames in order, read again at each iteration, never more than a few in memory.

    Attributes:
        path: what was opened.
        fps: frames per second, constant.
        image_size: (width, height) of the frames: upright, with square pixels.
        pixel_aspect: width of a stored pixel over its height, before they were made square.
        frame_start: index, in the whole source, of the first frame given.
        frame_count: how many frames iteration gives (a damaged file may give fewer).
        stream_number: which of the videos in a file it is, from 0.
        warnings: sentences for the user about this source; iteration may add some.
    """

    def __init__(self, path: Path, fps: float, image_size: tuple[int, int], start: int, count: int) -> None:
        self.path = path
        self.fps = fps
        self.image_size = image_size
        self.pixel_aspect = 1.0
        self.stream_number = 0
        self.frame_start = start
        self.frame_count = count
        self.warnings: list[str] = []

    def __len__(self) -> int:
        return self.frame_count

    def __iter__(self) -> Iterator[tuple[int, np.ndarray]]:
        """Yield (index in the source, rgb uint8 (H, W, 3))."""
        raise NotImplementedError

    def described(self) -> dict[str, Any]:
        """What those who show the footage beside a clip need to know of it."""
        return {"pixel_aspect": self.pixel_aspect, "stream_number": self.stream_number}

    def _warn(self, message: str) -> None:
        if message not in self.warnings:
            self.warnings.append(message)


class ImageFolder(FrameSource):
    """A folder of equally sized images, one series in natural order of their names (``2.png`` before ``10.png``)."""

    def __init__(self, path: Path, frames: FrameRange | None, fps: float | None) -> None:
        series = image_series(path)
        start, stop = _clip_range(frames, len(series.files), path)
        self._files = series.files[start:stop]
        height, width = read_picture(self._files[0]).shape[:2]
        super().__init__(path, fps or FALLBACK_RATE, (width, height), start, stop - start)
        if series.warning:
            self._warn(series.warning)
        if fps is None and len(series.files) > 1:
            self._warn(f"Pictures do not say their rate: {FALLBACK_RATE:g} frames per second are assumed. {RATE_FIX}")

    def __iter__(self) -> Iterator[tuple[int, np.ndarray]]:
        for index, file in enumerate(self._files, self.frame_start):
            rgb = read_picture(file)
            if (rgb.shape[1], rgb.shape[0]) != self.image_size:
                raise CloseintError(
                    f"The image {file.name} is {rgb.shape[1]} x {rgb.shape[0]}, the first in {self.path} is "
                    f"{self.image_size[0]} x {self.image_size[1]}.",
                    "Give a folder of images of one size, taken by one camera.",
                )
            yield index, rgb


class VideoFile(FrameSource):
    """A video, decoded with FFmpeg; uneven time stamps are resampled to a constant rate."""

    def __init__(self, path: Path, frames: FrameRange | None, fps: float | None) -> None:
        self._timeline = line = read_timeline(path)
        first = next((upright(frame, line.pixel_aspect, path) for _, frame in decode(path, line)), None)
        if first is None:
            raise CloseintError(f"No frame of the video {path} can be decoded.", "Convert or copy it again.")
        start, stop = _clip_range(frames, line.count, path)
        self._stop = stop if frames is not None and frames[1] is not None else None
        super().__init__(path, fps or line.fps, (first.shape[1], first.shape[0]), start, stop - start)
        self.pixel_aspect, self.stream_number = line.pixel_aspect, line.number
        for message in line.warnings:
            self._warn(message)
        if line.rate_warning and fps is None:
            self._warn(line.rate_warning)

    def __iter__(self) -> Iterator[tuple[int, np.ndarray]]:
        line = self._timeline
        time0 = line.time0 or 0.0
        stream = decode(self.path, line, time0 + self.frame_start / line.fps)
        given = 0
        for index, frame in nearest_in_time(stream, time0, line.fps, self.frame_start, self._stop):
            rgb = upright(frame, line.pixel_aspect, self.path)
            if (rgb.shape[1], rgb.shape[0]) != self.image_size:
                # a stream may change its size on the way; the camera did not
                rgb = cv2.resize(rgb, self.image_size, interpolation=cv2.INTER_AREA)
            given += 1
            yield index, rgb
        if given == 0:
            raise CloseintError(
                f"No frame of the video {self.path} from {self.frame_start} on can be decoded.",
                "Convert or copy it again.",
            )
        if given < self.frame_count:
            self._warn(f"Only {given} of {self.frame_count} frames of {self.path.name} could be decoded.")


def open_source(
    path: str | Path, frames: FrameRange | None = None, *, fps: float | None = None, progress: Progress | None = None
) -> FrameSource:
    """Open a video or a folder of images.

    Args:
        path: video file, or folder of images taken in natural order of their names; as ``input_path`` takes it.
        frames: (first, end), ``end`` excluded, either None; counted at the source's own constant rate.
        fps: the true rate, where the source says another (slow motion) or none (a folder of images has 30 unless
            given); the frames and their numbers stay the same.
        progress: told of warnings.

    Raises:
        CloseintError: the path is missing, is not a video, has no frames, or ``frames`` lies outside.
    """
    path = input_path(path)
    if not os.path.exists(path):
        raise CloseintError(f"There is no file or folder {path}.", "Check the path.")
    if fps is not None and not (math.isfinite(fps) and 0 < fps <= POSSIBLE_RATES[1]):
        raise CloseintError(
            f"The frame rate {fps:g} is not possible.", f"Give frames per second, up to {POSSIBLE_RATES[1]:g}."
        )
    try:
        source = ImageFolder(path, frames, fps) if path.is_dir() else VideoFile(path, frames, fps)
    except PermissionError as error:
        raise CloseintError(f"{path} cannot be read: permission denied.", "Check its access rights.") from error
    if progress is not None:
        for message in source.warnings:
            progress.warn(message)
    return source


def _clip_range(frames: FrameRange | None, total: int, path: Path) -> tuple[int, int]:
    first, end = frames if frames is not None else (None, None)
    start, stop = first or 0, total if end is None else end
    if start < 0 or stop <= start or start >= total:
        raise CloseintError(
            f"The frames {start}:{'' if end is None else end} lie outside of {path}, which has {total}.",
            f"Choose a range A:B with 0 <= A < B <= {total}.",
        )
    return start, min(stop, total)
