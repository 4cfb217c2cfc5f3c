# SPDX-License-Identifier: Apache-2.0
"""Small videos made on the spot. The frame number is written as a pattern of bright and dark blocks."""

from __future__ import annotations

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
) -> None:
    """Write an mp4 (or what the suffix says) of numbered frames.

    Args:
        size: width, height.
        pts: time stamps in 1/600 s; even ones without.
        rotation: degrees counterclockwise of the display matrix.
        faststart: the index goes to the front, so that a cut file can still be read.
    """
    import av

    options = {"movflags": "+faststart"} if faststart and path.suffix == ".mp4" else {}
    with av.open(str(path), "w", options=options) as container:
        stream = container.add_stream("libx264", rate=rate)
        stream.width, stream.height = size
        stream.pix_fmt = pixels
        stream.options = {"crf": "12", "preset": "veryfast", "g": "10"}
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
