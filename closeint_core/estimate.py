# SPDX-License-Identifier: Apache-2.0
"""How far a request is, and how long it will still take."""

from __future__ import annotations

import time
from collections.abc import Callable

from closeint_core.progress import StagePlan

NOT_YET = 0.99
"""The most that is said to be done: what comes after the last stage is to write the file."""


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
        self._plan: StagePlan | None = None
        self._base = 0.0
        self._started = clock()
        self._fraction = 0.0

    def expect(self, plan: StagePlan) -> None:
        """The stages that are to come, from now on; what has been done keeps its part."""
        self._plan, self._base = plan, self._fraction

    def update(self, stage: str, done: int, total: int) -> tuple[float, float | None]:
        """The fraction of the request that is done, below 1 as long as it runs, and seconds left (None: unknown).

        A stage that nobody expected counts as all that is left when it begins.
        """
        part = min(max(done / total, 0.0), 1.0) if total > 0 else 0.0
        fraction = part if self._whole else self._by_plan(stage, part)
        if fraction is None:
            begun = self._begun.setdefault(stage, self._fraction)
            fraction = begun + (1.0 - begun) * part
        self._fraction = max(self._fraction, min(fraction, NOT_YET))
        elapsed = self._clock() - self._started
        if self._fraction < 0.02 or elapsed < 1.0:
            return self._fraction, None
        return self._fraction, round(elapsed * (1.0 - self._fraction) / self._fraction, 1)

    def _by_plan(self, stage: str, part: float) -> float | None:
        if self._plan is None:
            return None
        span = self._plan.span(stage)
        if span is None:
            return None
        return self._base + (1.0 - self._base) * (span[0] + part * (span[1] - span[0]))
