# SPDX-License-Identifier: Apache-2.0
"""What was seen to touch, in words: spans of frames in which a group of parts of the first person touches one of the
second, for people to read and for pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from closeint_core.body.parts import GROUPS, PART_OF_BODY, group_matrix
from closeint_core.perception.calibration import PERCEPTION
from closeint_core.perception.observations import PairSeen
from closeint_core.sequences import hysteresis, steadied


def group_touches(touch: np.ndarray, fps: float) -> np.ndarray:
    """(T, 13, 13) probability that a group of parts (``body.parts.GROUPS``) of the first person touches one of the
    second, steadied over time; 0 where nobody looked.

    Args:
        touch: (T, 30, 30) of ``PairSeen``.
    """
    tuned = PERCEPTION.now.touches
    groups = group_matrix()
    known = np.nan_to_num(touch)
    likeliest = np.stack([known[:, chosen].max(axis=1) for chosen in groups], axis=1)  # (T, 13, 30)
    likeliest = np.stack([likeliest[:, :, chosen].max(axis=2) for chosen in groups], axis=2)
    looked = np.isfinite(touch).all(axis=(1, 2))[:, None, None]
    steady: np.ndarray = np.where(looked, steadied(likeliest, max(tuned.steady * fps, tuned.least_frames), axis=0), 0.0)
    return steady


def touch_spans(pair: PairSeen, fps: float) -> list[dict[str, Any]]:
    """What touches what from when to when, in order of time: ``parts`` (of the first person, of the second), ``first``
    and ``last`` frame, ``probability`` (the highest)."""
    return _spans(group_touches(pair.touch, fps))


def _spans(steady: np.ndarray) -> list[dict[str, Any]]:
    """The same of what ``group_touches`` says."""
    held = hysteresis(steady, *PERCEPTION.now.touches.named, axis=0)
    names, spans = list(GROUPS), []
    for i, j in zip(*np.nonzero(held.any(axis=0)), strict=True):
        edges = np.flatnonzero(np.diff(np.concatenate([[0], held[:, i, j].astype(int), [0]])))
        for first, end in edges.reshape(-1, 2).tolist():
            spans.append(
                {
                    "parts": [names[i], names[j]],
                    "first": first,
                    "last": end - 1,
                    "probability": round(float(steady[first:end, i, j].max()), 2),
                }
            )
    return sorted(spans, key=lambda span: (span["first"], span["parts"]))


@dataclass(frozen=True)
class SeenTouch:
    """A part of the first person's body (0 to 23) touches one of the second's from ``first`` to ``last`` frame;
    ``probability``: the mean."""

    part: int
    other_part: int
    first: int
    last: int
    probability: float


def seen_touches(pair: PairSeen, fps: float) -> list[SeenTouch]:
    """Touches to solve the bodies for, the most probable first: of spans that share a person's part and time, the most
    probable one."""
    names, groups, steady = list(GROUPS), group_matrix(), group_touches(pair.touch, fps)
    rows = []
    for span in _spans(steady):
        i, j = (names.index(name) for name in span["parts"])
        first, last = span["first"], span["last"]
        if last - first + 1 >= PERCEPTION.now.touches.shortest * fps:
            rows.append((float(steady[first : last + 1, i, j].mean()), i, j, first, last))
    taken: list[tuple[float, int, int, int, int]] = []
    for row in sorted(rows, reverse=True):
        if not any(_told_twice(row, other) for other in taken):
            taken.append(row)
    found = []
    for chance, i, j, first, last in taken:
        own, others = np.flatnonzero(groups[i]), np.flatnonzero(groups[j])
        mean = np.nan_to_num(pair.touch[first : last + 1]).mean(axis=0)[np.ix_(own, others)]
        a, b = np.unravel_index(int(mean.argmax()), mean.shape)
        found.append(SeenTouch(PART_OF_BODY[own[a]], PART_OF_BODY[others[b]], first, last, chance))
    return found


def _told_twice(row: tuple[float, int, int, int, int], other: tuple[float, int, int, int, int]) -> bool:
    _, i, j, first, last = row
    _, k, m, begin, end = other
    shared = min(last, end) - max(first, begin) + 1
    return (i == k or j == m) and shared > PERCEPTION.now.touches.shared * min(last - first + 1, end - begin + 1)
