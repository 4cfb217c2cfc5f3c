# SPDX-License-Identifier: Apache-2.0
"""A small H.264 writer for previews and samples."""

from __future__ import annotations

import os
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from closeint_core.errors import CloseintError
from closeint_core.provenance import MARK


class VideoWriter:
    """Writes rgb frames to an H.264 mp4 that plays everywhere (yuv420p, index at the front).

    Odd sizes are padded by one row or column, as the pixel format needs even ones. The file appears
    under its name when the ``with`` block ends without an error; otherwise nothing is left behind.

    Args:
        path: the mp4 to write; its folder is made.
        fps: frames per second.
        crf: quality, 0 (lossless) to 51; 23 is x264's usual.

    Raises:
        CloseintError: the folder cannot be written to.
    """

    def __init__(self, path: str | Path, fps: float, *, crf: int = 20) -> None:
        self.path = Path(path)
        self._temporary = self.path.with_name(f".{self.path.stem}.{os.getpid()}.part.mp4")
        self._rate = Fraction(fps).limit_denominator(1001)
        self._crf = crf
        self._container: Any = None
        self._stream: Any = None
        self._size: tuple[int, int] | None = None

    def __enter__(self) -> VideoWriter:
        import av

        try:
            # FFmpeg opens its file with the first packet; find out now
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._temporary.touch()
            self._container = av.open(str(self._temporary), "w", options={"movflags": "+faststart"})
            self._container.metadata["comment"] = MARK.decode()
        except OSError as error:
            raise CloseintError(
                f"The video {self.path} cannot be written: {error.strerror}.", "Choose a folder that can be written to."
            ) from error
        return self

    def write(self, rgb: np.ndarray) -> None:
        """Append one frame, uint8 (H, W, 3); all frames have the first one's size."""
        import av

        height, width = rgb.shape[:2]
        if self._size is None:
            self._size = (height, width)
            self._stream = self._container.add_stream("libx264", rate=self._rate)
            self._stream.width, self._stream.height = width + width % 2, height + height % 2
            self._stream.pix_fmt = "yuv420p"
            self._stream.options = {"crf": str(self._crf), "preset": "veryfast"}
        if (height, width) != self._size:
            raise ValueError(f"a frame of {rgb.shape[:2]} in a video of {self._size}")
        if height % 2 or width % 2:
            rgb = np.pad(rgb, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb, dtype=np.uint8), format="rgb24")
        for packet in self._stream.encode(frame):
            self._container.mux(packet)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            if kind is None and self._stream is not None:
                for packet in self._stream.encode():
                    self._container.mux(packet)
        finally:
            self._container.close()
            if kind is None and self._stream is not None:
                os.replace(self._temporary, self.path)
            else:
                self._temporary.unlink(missing_ok=True)
