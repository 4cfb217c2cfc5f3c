# SPDX-License-Identifier: Apache-2.0
"""How far a request is, and how long it will still take."""

from __future__ import annotations

import time
from collections.abc import Callable

SHARES = {
    "finding people": 0.10,
    "following the pair": 0.22,
    "following the person": 0.22,
    "placing": 0.10,
    "fitting": 0.30,
    "fitting windows": 0.66,
    "refitting": 0.18,
    "separating": 0.08,
    "image features": 0.45,
    "denoising": 0.21,
    "measuring": 0.02,
}
"""Usual part of a reconstruction's time that each stage takes."""

_ENDS = {
    "finding people": 0.10,
    "following the pair": 0.32,
    "following the person": 0.32,
    "placing": 0.42,
    "fitting": 0.72,
    "refitting": 0.90,
    "separating": 0.98,
    "fitting windows": 0.98,
    "image features": 0.77,
    "denoising": 0.98,
    "measuring": 1.0,
}


class Estimate:
    """Turns stages into one fraction that never falls, and into seconds left.

    Args:
        clock: gives seconds.
        whole: every stage counts the whole request, not itself.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic, *, whole: bool = False) -> None:
        self._clock = clock
        self._whole = whole
        self._begun: dict[str, float] = {}
        self._started = clock()
        self._fraction = 0.0

    def update(self, stage: str, done: int, total: int) -> tuple[float, float | None]:
        """The fraction of the request that is done, and seconds left (None: unknown).

        A stage that is not in the table counts as all that is left when it begins.
        """
        part = min(max(done / total, 0.0), 1.0) if total > 0 else 0.0
        if self._whole:
            fraction = part
        elif stage in _ENDS:
            fraction = _ENDS[stage] - SHARES[stage] * (1.0 - part)
        else:
            begun = self._begun.setdefault(stage, self._fraction)
            fraction = begun + (1.0 - begun) * part
        self._fraction = max(self._fraction, min(fraction, 1.0))
        elapsed = self._clock() - self._started
        if self._fraction < 0.02 or elapsed < 1.0:
            return self._fraction, None
        return self._fraction, round(elapsed * (1.0 - self._fraction) / self._fraction, 1)
