# SPDX-License-Identifier: Apache-2.0
"""How far a request is, and how long it will still take."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

SHARES: dict[str, dict[str, float]] = {
    "default": {
        "finding people": 0.13,
        "following": 0.29,
        "denoising": 0.05,
        "placing": 0.06,
        "fitting": 0.11,
        "settling": 0.085,
        "polishing": 0.045,
        "refining": 0.21,
        "measuring": 0.02,
    },
    "fit": {
        "finding people": 0.13,
        "following": 0.29,
        "placing": 0.06,
        "fitting": 0.14,
        "untangling": 0.04,
        "refitting": 0.07,
        "separating": 0.04,
        "refining": 0.21,
        "measuring": 0.02,
    },
    "reference": {
        "finding people": 0.10,
        "following": 0.22,
        "image features": 0.45,
        "denoising": 0.21,
        "measuring": 0.02,
    },
}
"""Usual part of a reconstruction's time that each stage takes, by model, in the order of the stages; see
``Estimate.update`` for how a model is told from the stages it has."""

_FIRST = "finding people"
_SAME = {"following the pair": "following", "following the person": "following"}
_WINDOWS = "fitting windows"
"""One stage for all that fits, of long clips: it stands for every stage from placing to before the refinement."""
_FITTED = ("placing", "fitting", "settling", "polishing", "untangling", "refitting", "separating")
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
        self._tables: list[Mapping[str, float]] | None = None
        self._base = 0.0
        self._started = clock()
        self._fraction = 0.0

    def update(self, stage: str, done: int, total: int) -> tuple[float, float | None]:
        """The fraction of the request that is done, below 1 as long as it runs, and seconds left (None: unknown).

        A reconstruction begins with looking for people; which model it is shows in the stages that follow. A stage that
        is in no table, or of a request that is no reconstruction, counts as all that is left when it begins.
        """
        part = min(max(done / total, 0.0), 1.0) if total > 0 else 0.0
        fraction = part if self._whole else self._of_tables(_SAME.get(stage, stage), part)
        if fraction is None:
            begun = self._begun.setdefault(stage, self._fraction)
            fraction = begun + (1.0 - begun) * part
        self._fraction = max(self._fraction, min(fraction, NOT_YET))
        elapsed = self._clock() - self._started
        if self._fraction < 0.02 or elapsed < 1.0:
            return self._fraction, None
        return self._fraction, round(elapsed * (1.0 - self._fraction) / self._fraction, 1)

    def _of_tables(self, stage: str, part: float) -> float | None:
        """The fraction by the first table that has all stages so far; None where there is none."""
        if self._tables is None:
            if stage != _FIRST:
                return None
            self._tables, self._base = list(SHARES.values()), self._fraction
        if stage == _WINDOWS:
            table = self._tables[0]
            own = [name for name in table if name in _FITTED]
        else:
            tables = [table for table in self._tables if stage in table]
            if not tables:
                return None
            self._tables, table, own = tables, tables[0], [stage]
        if not own:
            return None
        names = list(table)
        before = sum(table[name] for name in names[: names.index(own[0])])
        return self._base + (1.0 - self._base) * (before + part * sum(table[name] for name in own))
