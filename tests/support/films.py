# SPDX-License-Identifier: Apache-2.0
"""Small videos made on the spot. The frame number is written as a pattern of bright and dark blocks."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np

BITS = 6


def numbered(index: int, height: int = 96, width: int = 128) -> np.ndarray:
    """rgb uint8 frame: bit k of ``index`` is the brightness of block k of the top half; bottom half is dark red."""
    rgb = np.zeros((height, width, 3), np.uint8)
    rgb[height // 2 :, :, 0] = 90
    for bit in range(BITS):
        block = slice(bit * width // BITS, (bit + 1) * width // BITS)
        rgb[: height // 2, block] = 230 if index >> bit & 1 else 20
    return rgb


def number_of(rgb: np.ndarray) -> int:
    """The number written by ``numbered``."""
    height, width = rgb.shape[:2]
    middle = [rgb[height // 4, round((bit + 0.5) * width / BITS)].mean() > 128 for bit in range(BITS)]
    return sum(1 << bit for bit, bright in enumerate(middle) if bright)


def write(
    path: Path,
    count: int,
    *,
    size: tuple[int, int] = (128, 96),
    rate: int = 30,
    pts: list[int] | None = None,
    rotation: int | None = None,
    sound: bool = False,
    faststart: bool = True,
    pixels: str = "yuv420p",
    aspect: Fraction | None = None,
    codec: str = "libx264",
) -> None:
    """Write an mp4 (or what the suffix says) of numbered frames.

    Args:
        size: width, height.
        pts: time stamps in 1/600 s; even ones without.
        rotation: degrees counterclockwise of the display matrix.
        faststart: the index goes to the front, so that a cut file can still be read.
        aspect: width of a pixel over its height.
    """
    import av

    options = {"movflags": "+faststart"} if faststart and path.suffix == ".mp4" else {}
    with av.open(str(path), "w", options=options) as container:
        stream = container.add_stream(codec, rate=rate)
        stream.width, stream.height = size
        stream.pix_fmt = pixels
        stream.bit_rate = 4_000_000
        stream.options = {"crf": "12", "preset": "veryfast", "g": "10"} if codec == "libx264" else {}
        if aspect is not None:
            stream.codec_context.sample_aspect_ratio = aspect
        if pts is not None:
            stream.codec_context.time_base = Fraction(1, 600)
        if rotation is not None:
            stream.set_display_rotation(rotation)
        audio = container.add_stream("aac", rate=16000) if sound else None
        for i in range(count):
            frame = av.VideoFrame.from_ndarray(numbered(i, size[1], size[0]), format="rgb24")
            if pts is not None:
                frame.pts, frame.time_base = pts[i], Fraction(1, 600)
            for packet in stream.encode(frame):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
        if audio is not None:
            silence = av.AudioFrame.from_ndarray(np.zeros((1, 16000), np.float32), format="fltp", layout="mono")
            silence.sample_rate = 16000
            for packet in [*audio.encode(silence), *audio.encode()]:
                container.mux(packet)


def write_streams(path: Path, sizes: list[tuple[int, int]], count: int, shown: int | None, cover: bool = False) -> None:
    """A file with several videos of numbered frames, the k-th beginning with number k.

    Args:
        sizes: width, height of each. shown: which one is marked as the one to show. cover: a picture comes first.
    """
    import av
    from av.stream import Disposition

    with av.open(str(path), "w") as container:
        streams = []
        if cover:
            picture = container.add_stream("mjpeg", rate=1)
            picture.width, picture.height, picture.pix_fmt = 640, 480, "yuvj420p"
            picture.disposition = Disposition.attached_pic
        for number, (width, height) in enumerate(sizes):
            stream = container.add_stream("libx264", rate=30)
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            stream.options = {"crf": "12", "preset": "veryfast"}
            stream.disposition = Disposition.default if number == shown else Disposition(0)
            streams.append(stream)
        if cover:
            container.mux(picture.encode(av.VideoFrame.from_ndarray(numbered(63, 480, 640), format="rgb24")))
            container.mux(picture.encode())
        for number, stream in enumerate(streams):
            for i in range(number, number + count):
                pixels = numbered(i, stream.height, stream.width)
                container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
            container.mux(stream.encode())


def restamp(source: Path, target: Path, stamps: Callable[[int], int], unit: Fraction | None = None) -> None:
    """Copy a video without B-frames, with the time stamps of its packets (0, 1, 2, ...) written anew."""
    import av

    with av.open(str(source)) as given, av.open(str(target), "w") as container:
        stream = container.add_stream_from_template(given.streams.video[0])
        for number, packet in enumerate(p for p in given.demux(video=0) if p.size):
            packet.stream = stream
            packet.time_base = unit or packet.time_base
            packet.pts = packet.dts = stamps(number)
            container.mux(packet)
