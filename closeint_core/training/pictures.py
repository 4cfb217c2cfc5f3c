# SPDX-License-Identifier: Apache-2.0
"""Sheets of stick figures: what was predicted, over what is true, in a few frames from a few sides."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np

CELL = 240
_MARGIN = 16
_BACKGROUND = (32, 32, 32)
_TRUTH = ((150, 150, 110), (110, 130, 160))
_FIGURES = ((255, 170, 40), (60, 110, 255))
_DOTS = (90, 220, 90)


class View(NamedTuple):
    """One row of a sheet, in any units, y downwards.

    Attributes:
        figures: (F, P, K, 2) what is shown. truth: the same for what is true, or None. dots: (F, P, K, 2) single points
            such as what a detector found, NaN where there is none, or None.
    """

    figures: np.ndarray
    truth: np.ndarray | None = None
    dots: np.ndarray | None = None


def draw_sheet(views: Sequence[View], bones: Sequence[tuple[int, int]]) -> np.ndarray:
    """(rows * CELL, F * CELL, 3) BGR uint8: a row for each view, a column for each frame.

    A row has one scale, set by the figures and the truth, so that motion is seen.

    Args:
        bones: pairs of points to join.
    """
    return np.concatenate([_row(view, bones) for view in views], axis=0)


def _row(view: View, bones: Sequence[tuple[int, int]]) -> np.ndarray:
    shown = [view.figures] if view.truth is None else [view.figures, view.truth]
    points = np.concatenate([part.reshape(-1, 2) for part in shown])
    points = points[np.isfinite(points).all(axis=-1)]
    if len(points) == 0:
        points = np.zeros((1, 2))
    low, high = points.min(axis=0), points.max(axis=0)
    scale = (CELL - 2 * _MARGIN) / max(float((high - low).max()), 1e-6)
    middle = (low + high) / 2
    cells = []
    for frame in range(len(view.figures)):
        image = np.full((CELL, CELL, 3), _BACKGROUND, np.uint8)

        def place(points: np.ndarray) -> np.ndarray:
            result: np.ndarray = (points - middle) * scale + CELL / 2
            return result

        if view.truth is not None:
            _figures(image, place(view.truth[frame]), bones, _TRUTH, 5)
        _figures(image, place(view.figures[frame]), bones, _FIGURES, 2)
        if view.dots is not None:
            for point in place(view.dots[frame]).reshape(-1, 2):
                if np.isfinite(point).all() and (np.abs(point) < 1e4).all():
                    cv2.circle(image, (round(point[0]), round(point[1])), 2, _DOTS, -1, cv2.LINE_AA)
        cells.append(image)
    return np.concatenate(cells, axis=1)


def _figures(
    image: np.ndarray,
    points: np.ndarray,
    bones: Sequence[tuple[int, int]],
    colours: Sequence[tuple[int, int, int]],
    width: int,
) -> None:
    """Draw people (P, K, 2)."""
    for person, colour in zip(points, colours, strict=False):
        usable = np.isfinite(person).all(axis=-1) & (np.abs(person) < 1e4).all(axis=-1)
        for a, b in bones:
            if usable[a] and usable[b]:
                ends = [(round(float(x)), round(float(y))) for x, y in (person[a], person[b])]
                cv2.line(image, ends[0], ends[1], colour, width, cv2.LINE_AA)
