#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The README's moving picture, from a preview's video.

.envs/worker/bin/python -m closeint_core preview CLIP -o DIR
.envs/worker/bin/python scripts/animate_preview.py DIR/preview.mp4 docs/preview.webp

An animated WebP that plays without end at the video's speed, with fewer and smaller frames.
"""

from __future__ import annotations

import argparse
import sys
from fractions import Fraction
from pathlib import Path

import av
from av.video.stream import VideoStream

LARGEST = 600_000
"""Bytes that a page may well load for a picture."""


def animate(video: Path, target: Path, every: int, width: int, quality: int) -> int:
    """Write every ``every``-th frame of ``video``, ``width`` pixels wide, to ``target``; returns how many.

    Args:
        quality: of WebP, 0 to 100.
    """
    with av.open(str(video)) as source, av.open(str(target), "w", format="webp", options={"loop": "0"}) as sink:
        shown = source.streams.video[0]
        rate = (shown.average_rate or Fraction(25)) / every
        height = round(shown.height * width / shown.width / 2) * 2
        stream = sink.add_stream("libwebp_anim", rate=rate, options={"quality": str(quality)})
        assert isinstance(stream, VideoStream)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        count = 0
        for number, frame in enumerate(source.decode(video=0)):
            if number % every == 0:
                small = frame.reformat(width=width, height=height, format="yuv420p", interpolation="AREA")
                small.pts, small.time_base = count, 1 / rate
                sink.mux(stream.encode(small))
                count += 1
        sink.mux(stream.encode())
    return count


def main() -> int:
    """The command line; the exit status is 2 if the picture is larger than a page may load."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("video", type=Path, help="preview.mp4 of closeint preview")
    parser.add_argument("target", type=Path, help="the .webp file to write")
    parser.add_argument("--every", type=int, default=2, help="take every N-th frame (default: 2)")
    parser.add_argument("--width", type=int, default=760, help="pixels (default: 760)")
    parser.add_argument("--quality", type=int, default=55, help="of WebP, 0 to 100 (default: 55)")
    options = parser.parse_args()
    if not options.video.is_file():
        print(f"animate_preview: there is no video at {options.video}", file=sys.stderr)
        return 2
    count = animate(options.video, options.target, options.every, options.width, options.quality)
    size = options.target.stat().st_size
    print(f"{options.target}: {count} frames, {size} bytes")
    if size > LARGEST:
        print(f"animate_preview: more than {LARGEST} bytes; take fewer, smaller or coarser frames", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
