# SPDX-License-Identifier: Apache-2.0
"""Logs of a run: one JSON object a line, and TensorBoard's files where TensorBoard is installed."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from closeint_core.errors import CloseintError
from closeint_core.files import atomic_path
from closeint_core.foreign_files import Unreadable, parse_json, read_text

Say = Callable[[str], None]


class RunLog:
    """``<task>.jsonl`` and ``tensorboard/<task>`` in a folder.

    Args:
        step: the step from which the run goes on; what the log has of later ones is taken out.
        say: prints a line for the person who waits.
    """

    def __init__(self, folder: Path, task: str, step: int, say: Say) -> None:
        self.path = folder / f"{task}.jsonl"
        self._say = say
        _cut_back(self.path, step)
        self._file = self.path.open("a", encoding="utf-8")
        self._board: Any = None
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            say("TensorBoard is not installed (closeint-core[training]); the log is " + self.path.name + " alone.")
        else:
            self._board = SummaryWriter(str(folder / "tensorboard" / task), purge_step=step + 1)

    def write(self, event: str, step: int, values: dict[str, Any], said: str | None = None) -> None:
        """Add a line; ``said`` is printed."""
        line = {"event": event, "step": step, "time": round(time.time(), 1), **values}
        self._file.write(json.dumps(line) + "\n")
        self._file.flush()
        if self._board is not None:
            for name, value in values.items():
                if isinstance(value, int | float) and not isinstance(value, bool):
                    self._board.add_scalar(f"{event}/{name}", value, step)
        if said:
            self._say(said)

    def picture(self, name: str, step: int, image: np.ndarray) -> None:
        """Show a picture (H, W, 3) BGR in TensorBoard."""
        if self._board is not None:
            self._board.add_image(name, np.ascontiguousarray(image[..., ::-1]), step, dataformats="HWC")

    def close(self) -> None:
        """Write what is pending."""
        self._file.close()
        if self._board is not None:
            self._board.close()


def read_log(path: Path) -> list[dict[str, Any]]:
    """The lines of a log. A last line that a killed run did not finish is left out.

    Raises:
        CloseintError: another line is no JSON.
    """
    lines = read_text(path, "the log", 1 << 30).splitlines()
    found = []
    for number, line in enumerate(lines, 1):
        try:
            entry = parse_json(line)
            if not isinstance(entry, dict):
                raise Unreadable("a line is no object")
            found.append(entry)
        except Unreadable:
            if number == len(lines):
                break
            raise CloseintError(f"Line {number} of the log {path} is damaged.", "Delete the log.") from None
    return found


def _cut_back(path: Path, step: int) -> None:
    if path.exists():
        kept = [line for line in read_log(path) if line["step"] <= step]
        with atomic_path(path) as temporary:
            temporary.write_text("".join(json.dumps(line) + "\n" for line in kept), encoding="utf-8")


class Stopwatch:
    """Time of the source and of the step, on the device's own clock, without waiting for it while it works.

    A CUDA device has events recorded between the kernels, whose distance is asked for at the end; waiting of the
    device for the host counts to the part in which it happens.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self.reset()

    def reset(self) -> None:
        """Begin anew."""
        self._marks: list[tuple[Any, Any, Any]] = []
        self._open: list[Any] = []
        self._began = time.perf_counter()

    def mark(self) -> None:
        """At the beginning of a step, between source and step, and at the end."""
        self._open.append(self._now())
        if len(self._open) == 3:
            self._marks.append((self._open[0], self._open[1], self._open[2]))
            self._open = []

    @property
    def steps(self) -> int:
        """Whole steps since the last ``reset``."""
        return len(self._marks)

    def _now(self) -> Any:
        if self._device.type != "cuda":
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    def read(self) -> tuple[float, float, float]:
        """Seconds in the source, in the steps, and on the wall."""
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
            pairs = [(a.elapsed_time(b) / 1000, b.elapsed_time(c) / 1000) for a, b, c in self._marks]
        else:
            pairs = [(b - a, c - b) for a, b, c in self._marks]
        wall = time.perf_counter() - self._began
        return sum(source for source, _ in pairs), sum(step for _, step in pairs), wall
