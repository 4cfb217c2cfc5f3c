# SPDX-License-Identifier: Apache-2.0
"""Video files by way of FFmpeg (PyAV): which stream, how its frames follow each other, and the frames."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain, islice, pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from closeint_core.errors import CloseintError
from closeint_core.video.pictures import require_possible
from closeint_core.video.timing import RATE_FIX, assumed_rate, constant_rate, is_likely, stamps_fault

_HEAD = 24
"""Frames at the beginning whose time stamps are compared with their order; codecs reorder 16 at most."""
_SQUARE = 0.01
"""A pixel aspect this near to 1 is a rounding of the picture's size."""
_WIDEST_PIXEL = 4.0
"""Pixel aspects beyond it, or its inverse, are damage: lenses and formats have 2 at most."""
_NO_CLOCK = 0x80
"""AVFMT_NOTIMESTAMPS of libavformat: raw streams, whose reader makes time stamps up."""
_MISSING = np.iinfo(np.int64).min


@dataclass(frozen=True)
class Timeline:
    """How the frames of a video's best stream follow each other.

    Attributes:
        stream: index of the stream in the file. number: among its videos, from 0.
        fps: frames per second, constant.
        count: frames at that rate.
        time0: seconds of the first frame; None: time stamps are missing or wrong, and frames are counted instead.
        pixel_aspect: width of a stored pixel over its height.
        warnings: sentences about the file.
        rate_warning: a sentence about a rate that is doubtful.
    """

    stream: int
    number: int
    fps: float
    count: int
    time0: float | None
    pixel_aspect: float
    warnings: tuple[str, ...]
    rate_warning: str | None = None


def read_timeline(path: Path) -> Timeline:
    """Look through a file; quick, unless it has no usable time stamps: then its frames are decoded to count them.

    Raises:
        CloseintError: it is no video, or no frame of it can be decoded.
    """
    status = path.stat()
    return _read_timeline(path.absolute(), path.name, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=16)
def _read_timeline(path: Path, name: str, _size: int, _changed: int) -> Timeline:
    with open_container(path) as container:
        stream = best_stream(container, path)
        number = [other.index for other in container.streams.video].index(stream.index)
        index, unit = stream.index, float(stream.time_base or 0)
        clockless = bool(container.format.flags & _NO_CLOCK)
        promised = int(stream.frames or 0)
        aspect, warnings = _pixel_aspect(stream, name)
        warnings += _other_streams(container, stream, name)
        own_rate = _number(getattr(stream.codec_context, "framerate", None))
        claimed = own_rate if clockless else _number(stream.average_rate) or _number(stream.guessed_rate)
        said = (own_rate, None if clockless else _number(stream.guessed_rate), claimed)
        found, present = _packet_stamps(container, stream)
    head = [frame.pts for frame in islice(_frames(path, index), _HEAD)]
    if not head:
        raise CloseintError(f"No frame of the video {path} can be decoded.", "Convert or copy it again.")
    fault = stamps_fault(_seconds(found, unit), claimed)
    if clockless or fault or not _ascending(head):
        found = _stamps_of(frame.pts for frame in _frames(path, index))
        fault = stamps_fault(_seconds(found, unit), claimed, ordered=True)
    if promised > present + 1:
        warnings.append(f"The video {name} is cut short: {present} of its {promised} frames are there.")
    times = _seconds(found, unit)
    if clockless or fault:
        rate, known = assumed_rate(np.empty(0) if clockless else times, said)
        doubt = _counted_warning(name, None if clockless else fault, claimed, len(found), rate, known)
        return Timeline(index, number, rate, len(found), None, aspect, tuple(warnings), doubt)
    times = np.unique(times)
    rate, _ = constant_rate(times, claimed)
    count = round(float(times[-1] - times[0]) * rate) + 1
    doubt = None if is_likely(rate) else f"{name} says {rate:.4g} frames per second, which is unlikely. {RATE_FIX}"
    return Timeline(index, number, rate, count, float(times[0]), aspect, tuple(warnings), doubt)


def decode(path: Path, timeline: Timeline, begin: float = 0.0) -> Iterator[tuple[float, Any]]:
    """(seconds, decoded frame), ascending in time; what cannot be decoded is left out.

    Args:
        begin: frames before this time need not be given; seconds as in the file's time stamps.
    """
    time0 = timeline.time0
    if time0 is None:
        for count, frame in enumerate(_frames(path, timeline.stream)):
            yield count / timeline.fps, frame
        return
    frames = _timed(_frames(path, timeline.stream))
    # a second early: key frames are found by their decoding time, not their display time
    if begin - 1.0 > time0:
        late = _timed(_frames(path, timeline.stream, begin - 1.0))
        first = next(late, None)
        # some containers find no key frame before the place, and decode from the next
        if first is not None and first[0] <= begin:
            frames = chain([first], late)
    latest = -np.inf
    for time, frame in frames:
        if time > latest:
            latest = time
            yield time, frame


def upright(frame: Any, pixel_aspect: float, path: Path) -> np.ndarray:
    """RGB uint8 (H, W, 3) of a decoded frame as the recording camera meant it to be seen, with square pixels.

    Raises:
        CloseintError: a frame of the video ``path`` is too large.
    """
    require_possible(frame.width, frame.height, path)
    rgb = frame.to_ndarray(format="rgb24")
    width = max(1, round(frame.width * pixel_aspect))
    if width != frame.width:
        smooth = cv2.INTER_LINEAR if width > frame.width else cv2.INTER_AREA
        rgb = cv2.resize(rgb, (width, frame.height), interpolation=smooth)
    # counterclockwise degrees; recorders only write quarter turns
    turns = round(getattr(frame, "rotation", 0) / 90.0) % 4
    return np.ascontiguousarray(np.rot90(rgb, turns)) if turns else rgb


def open_container(path: Path) -> Any:
    """An open PyAV container.

    Raises:
        CloseintError: the file is empty, damaged or no video; PyAV is not installed (exit code 3).
    """
    try:
        import av
    except ImportError as error:  # pragma: no cover - depends on the environment
        raise CloseintError(
            "Reading video needs PyAV, which is not installed.", "Install closeint-core[inference].", exit_code=3
        ) from error
    try:
        # FFmpeg takes names like concat:a or http:b for more than files
        return av.open(f"file:{path}", mode="r", metadata_errors="ignore")
    except av.error.FFmpegError as error:
        if isinstance(error, PermissionError):
            raise
        if path.stat().st_size == 0:
            raise CloseintError(f"The file {path} is empty.", "Copy it again.") from error
        raise CloseintError(
            f"The file {path} is not a video that can be read, or it is damaged.",
            "Give a video file (mp4, mov, mkv, webm, avi) or a folder of images.",
        ) from error


def best_stream(container: Any, path: Path) -> Any:
    """The video stream that the container marks as the one to show, else the largest; never a cover.

    Raises:
        CloseintError: there is none.
    """
    streams = _films(container)
    if not streams:
        if not container.streams.video:
            raise CloseintError(f"The file {path} has no video stream.", "Give a file with pictures, not sound alone.")
        if any(stream.codec_context is None for stream in container.streams.video):
            raise CloseintError(f"The video in {path} is in a format that is not known.", "Convert it to H.264.")
        raise CloseintError(f"The file {path} has a cover picture, but no video.", "Give a file with moving pictures.")
    best = max(streams, key=lambda s: (_has(s, "default"), _area(s), s.frames or 0, -s.index))
    require_possible(best.width or 0, best.height or 0, path)
    return best


def _films(container: Any) -> list[Any]:
    """The video streams that move and whose codec is known."""
    stills = ("attached_pic", "timed_thumbnails", "still_image")
    known = [stream for stream in container.streams.video if stream.codec_context is not None]
    return [stream for stream in known if not any(_has(stream, still) for still in stills)]


def _has(stream: Any, flag: str) -> bool:
    return flag in str(getattr(stream.disposition, "name", "") or stream.disposition)


def _area(stream: Any) -> int:
    return int((stream.width or 0) * (stream.height or 0))


def _number(rate: Any) -> float | None:
    return float(rate) if rate and rate > 0 else None


def _pixel_aspect(stream: Any, name: str) -> tuple[float, list[str]]:
    """Width of a stored pixel over its height, and warnings."""
    aspect = _number(stream.sample_aspect_ratio) or 1.0
    if not 1.0 / _WIDEST_PIXEL <= aspect <= _WIDEST_PIXEL:
        return 1.0, [f"{name} says that its pixels are {aspect:.3g} times as wide as high; square ones are assumed."]
    return (1.0 if abs(aspect - 1.0) < _SQUARE else aspect), []


def _other_streams(container: Any, chosen: Any, name: str) -> list[str]:
    streams = _films(container)
    if len(streams) < 2:
        return []
    others = ", ".join(f"{stream.width} x {stream.height}" for stream in streams if stream is not chosen)
    return [f"{name} holds {len(streams)} videos: that of {chosen.width} x {chosen.height} is read, and not {others}."]


def _counted_warning(
    name: str, fault: str | None, claimed: float | None, count: int, rate: float, known: bool
) -> str | None:
    """A sentence about frames whose rate is not what time stamps say; None where it is beyond doubt."""
    if not known:
        return f"{name} does not say its frame rate: {rate:.4g} frames per second are assumed. {RATE_FIX}"
    if fault is None or (claimed and abs(claimed / rate - 1.0) < 0.01):
        return None
    says = f"says {claimed:.4g} frames per second with" if claimed else "has"
    return (
        f"{name} {says} time stamps that cannot be right ({fault}): all {count} frames are kept, at {rate:.4g} "
        f"per second. {RATE_FIX}"
    )


def _packet_stamps(container: Any, stream: Any) -> tuple[np.ndarray, int]:
    """i8 (N,) display times of the frames to be shown, in the order of decoding, ``_MISSING`` where not said; and how
    many frames are there, with those that an edit of the file hides.

    Reads the packets without decoding them: milliseconds a minute of video.
    """
    stamps, hidden = array("q"), 0
    for packet in _whole(container.demux(stream)):
        if packet.size and not packet.is_corrupt:
            if packet.is_discard:
                hidden += 1
            else:
                stamps.append(_MISSING if packet.pts is None else packet.pts)
    return np.frombuffer(stamps, np.int64), len(stamps) + hidden


def _stamps_of(stamps: Iterable[int | None]) -> np.ndarray:
    return np.frombuffer(array("q", (_MISSING if pts is None else pts for pts in stamps)), np.int64)


def _seconds(stamps: np.ndarray, unit: float) -> np.ndarray:
    return np.where(stamps == _MISSING, np.nan, stamps * unit)


def _ascending(stamps: list[int | None]) -> bool:
    return all(a is not None and b is not None and a < b for a, b in pairwise([*stamps]))


def _whole(packets: Iterator[Any]) -> Iterator[Any]:
    """Packets up to where the file is damaged."""
    import av

    while True:
        try:
            packet = next(packets)
        except (StopIteration, av.error.FFmpegError):
            return
        yield packet


def _timed(frames: Iterator[Any]) -> Iterator[tuple[float, Any]]:
    return ((float(frame.pts * frame.time_base), frame) for frame in frames if frame.pts is not None)


def _frames(path: Path, index: int, seek_to: float | None = None) -> Iterator[Any]:
    """Decoded frames in order; what cannot be decoded is left out. None where ``seek_to`` (seconds) cannot be found."""
    import av

    with open_container(path) as container:
        stream = container.streams[index]
        stream.thread_type = "AUTO"
        if seek_to is not None:
            try:
                container.seek(int(seek_to / stream.time_base), stream=stream, backward=True)
            except av.error.FFmpegError:
                return
        for packet in _whole(container.demux(stream)):
            try:
                decoded = [] if packet.is_corrupt else packet.decode()
            except av.error.FFmpegError:
                continue
            yield from decoded
