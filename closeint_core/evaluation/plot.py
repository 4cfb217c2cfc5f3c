# SPDX-License-Identifier: Apache-2.0
"""A picture of what happens in a clip over time: penetration, contacts, feet that slide, float or sink."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from closeint_core.clip import InteractionClip
from closeint_core.errors import CloseintError
from closeint_core.files import atomic_path
from closeint_core.metrics.quality import ClipMeasures, touching_parts
from closeint_core.provenance import put_mark

_ENDINGS = (".png", ".jpg", ".jpeg")
_WIDTH, _LEFT, _RIGHT, _TOP = 1600, 330, 40, 96
_ROW = 24  # pixels of a line of contact
_MOST_ROWS = 24
_PANEL = 240  # pixels, height of a panel with an axis
_GAP = 74  # between panels
_INK, _FAINT, _PAPER = (60, 50, 45), (222, 220, 216), (255, 255, 255)
# BGR, apart for colour-blind eyes too: the pair, person 0, person 1.
_PAIR, _PEOPLE = (70, 60, 200), ((40, 130, 235), (180, 110, 30))


def require_picture(path: Path) -> None:
    """Raises CloseintError if a file's name does not end like a picture's."""
    if path.suffix.lower() not in _ENDINGS:
        raise CloseintError(f"{path.name} does not end like a picture.", f"End it with {' or '.join(_ENDINGS)}.")


def plot_measures(clip: InteractionClip, measures: ClipMeasures, path: Path, title: str = "") -> None:
    """Write a picture (PNG or JPEG, by the name's ending) of detailed measures of a clip.

    From top to bottom: depth of the bodies in each other and of each in itself; which parts touch; how far planted feet
    slide from frame to frame; how high planted feet are over the floor, and how deep any foot is under it.

    Raises:
        CloseintError: it cannot be written there, or the ending is not that of a picture.
    """
    require_picture(path)
    touching = touching_parts(measures.touching) if measures.touching is not None else []
    lines = max(min(len(touching), _MOST_ROWS), 1) * _ROW
    canvas = np.full((_TOP + 3 * _PANEL + lines + 4 * _GAP, _WIDTH, 3), 255, np.uint8)
    canvas[:] = _PAPER
    page = _Page(canvas, (clip.frame_start + np.arange(clip.frames)) / clip.fps, 1.0 / clip.fps)
    _write(canvas, title, (24, 34), 0.75, bold=True)
    top = _TOP
    _penetration(page, top, measures, clip.people)
    top += _PANEL + _GAP
    _contacts(page, top, measures, touching)
    top += lines + _GAP
    _skating(page, top, measures)
    top += _PANEL + _GAP
    _height(page, top, measures)
    with atomic_path(path) as temporary:
        temporary.write_bytes(cv2.imencode(path.suffix.lower(), canvas)[1].tobytes())
        put_mark(temporary, "picture")


@dataclass(frozen=True)
class _Page:
    """The picture, and where moments are in it.

    Attributes:
        canvas: uint8 (H, W, 3) BGR. seconds: (T,) of the frames in the footage. frame: seconds of one.
    """

    canvas: np.ndarray
    seconds: np.ndarray
    frame: float

    def across(self, time: float | np.ndarray) -> np.ndarray:
        """Pixels from the left of moments (seconds)."""
        span = max(float(self.seconds[-1] - self.seconds[0]), self.frame)
        result: np.ndarray = _LEFT + (np.asarray(time) - self.seconds[0]) / span * (_WIDTH - _LEFT - _RIGHT)
        return result


def _penetration(page: _Page, top: int, measures: ClipMeasures, people: int) -> None:
    depths = [(1000 * measures.penetration.max_depth, _PAIR, "in each other")] if people == 2 else []
    if measures.self_depth is not None:
        depths += [
            (1000 * depth, _PEOPLE[person % 2], f"person {person} in itself")
            for person, depth in enumerate(measures.self_depth)
        ]
    highest = _ceiling([depth for depth, _, _ in depths], 25.0)
    up = _axis(page.canvas, top, "penetration", "mm", highest, (5.0, 10.0, 20.0))
    for values, colour, _ in depths[::-1]:
        _line(page.canvas, page.across(page.seconds), up(values), colour)
    _legend(page.canvas, top, [(name, colour) for _, colour, name in depths])
    _ticks(page, top + _PANEL)


def _contacts(page: _Page, top: int, measures: ClipMeasures, touching: list[tuple[str, tuple[int, int], int]]) -> None:
    """A bar for each time that two parts touch, a line for each two parts."""
    canvas, rows = page.canvas, touching[:_MOST_ROWS]
    bottom = top + max(len(rows), 1) * _ROW
    _write(canvas, "contacts", (24, top - 14), 0.6, bold=True)
    _write(canvas, "part of person 0 - part of person 1", (_LEFT, top - 12), 0.47)
    if not rows:
        _write(canvas, "nothing touches", (_LEFT, top + 17), 0.5)
    half = (_WIDTH - _LEFT - _RIGHT) / max(len(page.seconds) - 1, 1) / 2
    for i, (name, (a, b), _) in enumerate(rows):
        y = top + i * _ROW
        _write(canvas, name.replace("_", " "), (24, y + 17), 0.47)
        cv2.line(canvas, (_LEFT, y + _ROW // 2), (_WIDTH - _RIGHT, y + _ROW // 2), _FAINT, 1)
        assert measures.touching is not None
        for start, stop in _runs(measures.touching[:, a, b]):
            left = float(page.across(page.seconds[start])) - half
            right = float(page.across(page.seconds[stop - 1])) + half
            left, right = max(left, _LEFT), min(right, _WIDTH - _RIGHT)
            cv2.rectangle(canvas, (round(left), y + 5), (max(round(right), round(left) + 2), y + 19), _PAIR, -1)
    if len(touching) > len(rows):
        _write(canvas, f"and {len(touching) - len(rows)} more, shorter", (_LEFT, bottom + 44), 0.47)
    _ticks(page, bottom)


def _skating(page: _Page, top: int, measures: ClipMeasures) -> None:
    people = len(measures.feet.skate)
    skate = 1000 * np.concatenate([measures.feet.skate, np.full((people, 1, 2), np.nan)], 1)
    up = _axis(page.canvas, top, "foot skate while standing", "mm a frame", _ceiling([skate], 8.0), (3.0,))
    names = [(f"person {p}, {side}", _PEOPLE[p % 2]) for p in range(people) for side in ("left", "right (thin)")]
    _legend(page.canvas, top, names)
    _feet(page, up, skate)
    _ticks(page, top + _PANEL)


def _height(page: _Page, top: int, measures: ClipMeasures) -> None:
    """Feet over the floor while they stand, and under it at any time."""
    sunk = measures.feet.sinking > 0
    height = 1000 * np.where(sunk, -measures.feet.sinking, measures.feet.floating)
    low, high = -_ceiling([-height], 8.0), _ceiling([height], 25.0)
    up = _axis(page.canvas, top, "feet over the floor", "mm; while standing,", high, (-5.0, 5.0, 10.0), low)
    _write(page.canvas, "or below 0 under it", (24, top + 36), 0.47)
    _feet(page, up, height)
    _ticks(page, top + _PANEL, label=True)


def _feet(page: _Page, up: Callable[[np.ndarray], np.ndarray], values: np.ndarray) -> None:
    """A line for each foot of each person, of values (P, T, 2)."""
    for person in range(len(values)):
        for foot in (0, 1):
            _line(
                page.canvas, page.across(page.seconds), up(values[person, :, foot]), _PEOPLE[person % 2], thick=2 - foot
            )


def _ceiling(series: list[np.ndarray], least: float) -> float:
    """The top of an axis that shows all of some values."""
    values = np.concatenate([np.zeros(1), *(one[np.isfinite(one)].reshape(-1) for one in series)])
    return max(least, 1.08 * float(values.max()))


def _axis(
    canvas: np.ndarray, top: int, title: str, unit: str, high: float, marks: tuple[float, ...], low: float = 0.0
) -> Callable[[np.ndarray], np.ndarray]:
    """A panel from ``low`` to ``high`` with lines at 0 and ``marks``; gives the function from values to pixels."""
    _write(canvas, title, (24, top - 14), 0.6, bold=True)
    _write(canvas, unit, (24, top + 14), 0.47)

    def up(values: np.ndarray) -> np.ndarray:
        return top + _PANEL * (high - np.asarray(values)) / (high - low)

    drawn: list[int] = []
    for mark in (0.0, *marks, *(float(f"{end / 1.08:.1g}") for end in (high, low))):
        y = round(float(up(np.array(mark))))
        if not low <= mark <= high or any(abs(y - other) < 14 for other in drawn):
            continue
        drawn.append(y)
        cv2.line(canvas, (_LEFT, y), (_WIDTH - _RIGHT, y), _FAINT if mark else _INK, 1)
        _write(canvas, f"{mark:g}", (_LEFT - 12, y + 5), 0.47, right=True)
    return up


def _ticks(page: _Page, y: int, label: bool = False) -> None:
    """The axis of time under a panel."""
    canvas, seconds = page.canvas, page.seconds
    span = max(float(seconds[-1] - seconds[0]), 1e-3)
    step = next((s for s in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600) if span / s <= 14), 1200)
    cv2.line(canvas, (_LEFT, y), (_WIDTH - _RIGHT, y), _INK, 1)
    for time in np.arange(np.ceil(seconds[0] / step - 1e-6), np.floor(seconds[-1] / step + 1e-6) + 1) * step:
        x = round(float(page.across(time)))
        cv2.line(canvas, (x, y), (x, y + 5), _INK, 1)
        _write(canvas, f"{time + 0:g}", (x, y + 22), 0.47, centre=True)
    if label:
        _write(canvas, "seconds", (_WIDTH - _RIGHT, y + 44), 0.47, right=True)


def _line(canvas: np.ndarray, x: np.ndarray, y: np.ndarray, colour: tuple[int, int, int], thick: int = 2) -> None:
    """A line through the points that are numbers; a point alone is a dot."""
    for start, stop in _runs(np.isfinite(y)):
        points = np.stack([x[start:stop], y[start:stop]], 1)
        if stop - start == 1:
            cv2.circle(canvas, (round(float(points[0, 0])), round(float(points[0, 1]))), thick, colour, -1, cv2.LINE_AA)
        else:
            cv2.polylines(canvas, [np.round(points * 16).astype(np.int32)], False, colour, thick, cv2.LINE_AA, 4)


def _runs(mask: np.ndarray) -> list[tuple[int, int]]:
    """First and one past the last of every run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(np.int8)))
    return [(int(a), int(b)) for a, b in edges.reshape(-1, 2)]


def _legend(canvas: np.ndarray, top: int, entries: list[tuple[str, tuple[int, int, int]]]) -> None:
    x = _WIDTH - _RIGHT
    for name, colour in entries[::-1]:
        width = cv2.getTextSize(name, cv2.FONT_HERSHEY_SIMPLEX, 0.47, 1)[0][0]
        x -= width
        _write(canvas, name, (x, top - 12), 0.47)
        cv2.line(canvas, (x - 30, top - 17), (x - 8, top - 17), colour, 1 if "thin" in name else 3, cv2.LINE_AA)
        x -= 52


def _write(
    canvas: np.ndarray,
    text: str,
    at: tuple[int, int],
    size: float,
    bold: bool = False,
    right: bool = False,
    centre: bool = False,
) -> None:
    width = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, size, 1)[0][0]
    x = at[0] - (width if right else width // 2 if centre else 0)
    cv2.putText(canvas, text, (x, at[1]), cv2.FONT_HERSHEY_SIMPLEX, size, _INK, 2 if bold else 1, cv2.LINE_AA)
