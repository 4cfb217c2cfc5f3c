# SPDX-License-Identifier: Apache-2.0
"""Frames of a video file or of a folder of images, upright and at a constant rate."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from closeint_core.errors import CloseintError
from closeint_core.progress import Progress
from closeint_core.video.timing import constant_rate, nearest_in_time

FrameRange = tuple[int | None, int | None]

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp"})
IMAGE_FPS = 30.0


class FrameSource:
    """Frames in order, read again at each iteration, never more than a few in memory.

    Attributes:
        path: what was opened.
        fps: frames per second, constant.
        image_size: (width, height) of the upright frames.
        frame_start: index, in the whole source, of the first frame given.
        frame_count: how many frames iteration gives (a damaged file may give fewer).
        warnings: sentences for the user about this source; iteration may add some.
    """

    def __init__(self, path: Path, fps: float, image_size: tuple[int, int], start: int, count: int) -> None:
        self.path = path
        self.fps = fps
        self.image_size = image_size
        self.frame_start = start
        self.frame_count = count
        self.warnings: list[str] = []

    def __len__(self) -> int:
        return self.frame_count

    def __iter__(self) -> Iterator[tuple[int, np.ndarray]]:
        """Yield (index in the source, rgb uint8 (H, W, 3))."""
        raise NotImplementedError

    def _warn(self, message: str) -> None:
        if message not in self.warnings:
            self.warnings.append(message)


class ImageFolder(FrameSource):
    """A folder of equally sized images, in natural order of their names (``2.png`` before ``10.png``)."""

    def __init__(self, path: Path, frames: FrameRange | None, fps: float | None) -> None:
        files = [f for f in path.iterdir() if f.suffix.lower() in IMAGE_SUFFIXES and not f.name.startswith(".")]
        if not files:
            raise CloseintError(
                f"The folder {path} has no images.", f"It needs {', '.join(sorted(IMAGE_SUFFIXES))} files."
            )
        files.sort(key=lambda f: [int(s) if s.isdigit() else s.lower() for s in re.split(r"(\d+)", f.name)])
        start, stop = _clip_range(frames, len(files), path)
        self._files = files[start:stop]
        height, width = _read_image(self._files[0]).shape[:2]
        super().__init__(path, fps or IMAGE_FPS, (width, height), start, stop - start)

    def __iter__(self) -> Iterator[tuple[int, np.ndarray]]:
        for index, file in enumerate(self._files, self.frame_start):
            rgb = _read_image(file)
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
        with _open_container(path) as container:
            stream = container.streams.video[0]
            claimed = float(stream.average_rate or stream.guessed_rate or 0) or None
            promised = int(stream.frames or 0)
            stamps = _packet_times(container, stream)
        if stamps.size:
            rate, self.variable_rate = constant_rate(stamps, claimed)
            total = round((stamps[-1] - stamps[0]) * rate) + 1
            self._time0: float | None = float(stamps[0])
        else:
            # raw streams carry no time stamps: count frames
            rate, self.variable_rate, total = claimed or IMAGE_FPS, False, max(promised, 1)
            self._time0 = None
        self._rate = rate
        first = next((_upright(frame) for _, frame in _decode(path, self._time0, rate)), None)
        if first is None:
            raise CloseintError(f"No frame of the video {path} can be decoded.", "Convert or copy it again.")
        start, stop = _clip_range(frames, total, path)
        self._stop = stop if frames is not None and frames[1] is not None else None
        super().__init__(path, fps or rate, (first.shape[1], first.shape[0]), start, stop - start)
        if stamps.size and promised > stamps.size + 1:
            self._warn(f"The video {path.name} is cut short: {stamps.size} of its {promised} frames are there.")

    def __iter__(self) -> Iterator[tuple[int, np.ndarray]]:
        time0 = self._time0 or 0.0
        begin = time0 + self.frame_start / self._rate
        stream = _decode(self.path, self._time0, self._rate, begin)
        given = 0
        for index, frame in nearest_in_time(stream, time0, self._rate, self.frame_start, self._stop):
            rgb = _upright(frame)
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
        if given < self.frame_count and self._time0 is not None:
            self._warn(f"Only {given} of {self.frame_count} frames of {self.path.name} could be decoded.")


def open_source(
    path: str | Path, frames: FrameRange | None = None, *, fps: float | None = None, progress: Progress | None = None
) -> FrameSource:
    """Open a video or a folder of images.

    Args:
        path: video file, or folder of images taken in natural order of their names.
        frames: (first, end), ``end`` excluded, either None; counted at the source's constant rate.
        fps: replaces the rate of the source (an image folder has 30 unless given).
        progress: told of warnings.

    Raises:
        CloseintError: the path is missing, is not a video, has no frames, or ``frames`` lies outside.
    """
    path = Path(path)
    if not path.exists():
        raise CloseintError(f"There is no file or folder {path}.", "Check the path.")
    if fps is not None and not fps > 0:
        raise CloseintError(f"The frame rate must be positive, it is {fps}.")
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


def _read_image(file: Path) -> np.ndarray:
    """RGB uint8, upright (OpenCV applies the EXIF orientation)."""
    bgr = cv2.imdecode(np.fromfile(file, np.uint8), cv2.IMREAD_COLOR) if file.stat().st_size else None
    if bgr is None:
        raise CloseintError(f"The image {file} cannot be read.", "Save it again, or take it out of the folder.")
    return np.ascontiguousarray(bgr[..., ::-1])


def _open_container(path: Path) -> Any:
    """An open PyAV container that has a video stream."""
    try:
        import av
    except ImportError as error:  # pragma: no cover - depends on the environment
        raise CloseintError(
            "Reading video needs PyAV, which is not installed.", "Install closeint-core[inference].", exit_code=3
        ) from error
    try:
        container = av.open(str(path), mode="r", metadata_errors="ignore")
    except av.error.FFmpegError as error:
        if isinstance(error, PermissionError):
            raise
        if path.stat().st_size == 0:
            raise CloseintError(f"The file {path} is empty.", "Copy it again.") from error
        raise CloseintError(
            f"The file {path} is not a video that can be read, or it is damaged.",
            "Give a video file (mp4, mov, mkv, webm, avi) or a folder of images.",
        ) from error
    if not container.streams.video:
        container.close()
        raise CloseintError(f"The file {path} has no video stream.", "Give a file with pictures, not sound alone.")
    return container


def _packet_times(container: Any, stream: Any) -> np.ndarray:
    """(N,) display times in seconds of the frames in the file, ascending; empty without time stamps.

    Reads the packets without decoding them: milliseconds a minute of video.
    """
    import av

    stamps: list[int] = []
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets)
        except (StopIteration, av.error.FFmpegError):
            break
        if packet.size == 0 or packet.is_corrupt or packet.is_discard:
            continue
        if packet.pts is None:
            return np.empty(0)
        stamps.append(packet.pts)
    return np.unique(np.array(stamps, np.int64)) * float(stream.time_base)


def _decode(path: Path, time0: float | None, rate: float, begin: float = 0.0) -> Iterator[tuple[float, Any]]:
    """(seconds, decoded frame), ascending in time; what cannot be decoded is left out.

    Args:
        time0: time of the first frame; None for a stream without time stamps, whose frames are counted.
        begin: frames before this time need not be given.
    """
    import av

    with _open_container(path) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        # a second early: key frames are found by their decoding time, not their display time
        if time0 is not None and begin - 1.0 > time0:
            container.seek(int((begin - 1.0) / stream.time_base), stream=stream, backward=True)
        latest, count = -np.inf, 0
        packets = container.demux(stream)
        while True:
            try:
                packet = next(packets)
            except (StopIteration, av.error.FFmpegError):
                return
            try:
                decoded = [] if packet.is_corrupt else packet.decode()
            except av.error.FFmpegError:
                continue
            for frame in decoded:
                known = time0 is not None and frame.pts is not None
                time = float(frame.pts * stream.time_base) if known else count / rate
                count += 1
                if time > latest:
                    latest = time
                    yield time, frame


def _upright(frame: Any) -> np.ndarray:
    """RGB uint8 (H, W, 3) of a decoded frame as the recording camera meant it to be seen."""
    rgb = frame.to_ndarray(format="rgb24")
    # counterclockwise degrees; recorders only write quarter turns
    turns = round(getattr(frame, "rotation", 0) / 90.0) % 4
    return np.ascontiguousarray(np.rot90(rgb, turns)) if turns else rgb
