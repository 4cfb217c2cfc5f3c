# SPDX-License-Identifier: Apache-2.0
"""What was seen to touch, in words: spans of frames in which a group of parts of the first person touches one of the
second, for people to read and for pictures."""

from __future__ import annotations

from typing import Any

import numpy as np

from closeint_core.body.parts import GROUPS, group_matrix
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
    steady = group_touches(pair.touch, fps)
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
