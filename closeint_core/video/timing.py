# SPDX-License-Identifier: Apache-2.0
"""The clock of a video: a constant frame rate from time stamps, and resampling to it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import TypeVar

import numpy as np

T = TypeVar("T")

_COMMON_RATES: tuple[Fraction, ...] = tuple(
    rate for n in (24, 25, 30, 48, 50, 60, 100, 120, 240) for rate in (Fraction(n), Fraction(n * 1000, 1001))
)


def constant_rate(times: np.ndarray, hint: float | None = None) -> tuple[float, bool]:
    """The constant frame rate that describes these time stamps.

    Args:
        times: (N,) seconds, ascending.
        hint: the rate that the file claims, used where the time stamps cannot tell (one frame) and
            where it agrees with them to 0.05 %: containers round time stamps, not the rate.

    Returns:
        Frames per second and whether the spacing varies. With varying spacing the rate is the one
        of the median gap, snapped to a common rate within 2 %, so that no part of the video that
        was recorded at the nominal rate loses frames.
    """
    if len(times) < 2 or times[-1] <= times[0]:
        return (hint if hint and hint > 0 else 30.0), False
    gaps = np.diff(times)
    median = float(np.median(gaps[gaps > 0]))
    mean_rate = (len(times) - 1) / float(times[-1] - times[0])
    # a coarse time base (milliseconds in Matroska) jitters by half a tick either way
    ideal = times[0] + np.arange(len(times)) / mean_rate
    if np.abs(times - ideal).max() <= 0.3 / mean_rate:
        candidates = ([hint] if hint and hint > 0 else []) + [float(rate) for rate in _COMMON_RATES]
        for rate in candidates:
            # the whole length must agree within a tenth of a frame; of a short video, whose ends are rounded to
            # milliseconds, the claimed rate is known better than the measured one
            allowed = max(5e-4, 1.1e-3 / float(times[-1] - times[0])) if rate == hint else 5e-4
            if abs(rate / mean_rate - 1.0) * (len(times) - 1) < 0.1 and abs(rate / mean_rate - 1.0) < allowed:
                return rate, False
        return mean_rate, False
    rate = 1.0 / median
    nearest = min((float(r) for r in _COMMON_RATES), key=lambda r: abs(r - rate))
    return (nearest if abs(nearest / rate - 1.0) < 0.02 else rate), True


def nearest_in_time(
    stream: Iterable[tuple[float, T]], start: float, fps: float, first: int = 0, last: int | None = None
) -> Iterator[tuple[int, T]]:
    """Sample a stream of (time, item) at ``start + k / fps``, each by the item nearest in time.

    Holds two items at most. Items before a sample that is not wanted are dropped; sampling ends half a
    period after the last item, so a constant-rate stream passes through one to one.

    Args:
        stream: seconds and items, ascending in time.
        first, last: range of k, ``last`` excluded (None: to the end).

    Yields:
        (k, item).
    """
    k = first
    previous: tuple[float, T] | None = None
    for time, item in stream:
        if previous is not None:
            middle = 0.5 * (previous[0] + time)
            while (last is None or k < last) and start + k / fps < middle - 1e-9:
                yield k, previous[1]
                k += 1
        if last is not None and k >= last:
            return
        previous = (time, item)
    if previous is not None:
        while (last is None or k < last) and start + k / fps < previous[0] + 0.5 / fps - 1e-9:
            yield k, previous[1]
            k += 1
