# SPDX-License-Identifier: Apache-2.0
"""The clock of a video: a constant frame rate from time stamps, and resampling to it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import TypeVar

import numpy as np

T = TypeVar("T")

RATE_FIX = "If that is wrong, give the true rate: --fps (in Blender --source-fps, or Frame Rate in the panel)."
"""What a user can do about a rate that a file does not say, or says wrongly."""
FALLBACK_RATE = 30.0
"""Frames per second where nothing is said: the usual rate of phones and of folders of images."""
POSSIBLE_RATES = (1.0, 1000.0)
"""Frames per second of cameras that film people, time lapse and high-speed cameras included."""
LIKELY_RATES = (8.0, 250.0)
"""Frames per second that nobody need be asked about: from webcams in the dark to the slow motion of phones (240)."""
LONGEST_PAUSE = 5.0
"""Seconds without a frame that a recording may have; a longer pause is a jump of the clock."""
_SHARED_STAMPS = 0.02
"""Share of frames that may have another's time stamp before time stamps count as wrong."""
_FURTHEST_MOVED = 32
"""Frames by which decoding may change the order; codecs reorder 16 at most."""

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


def is_likely(rate: float) -> bool:
    """Whether a rate need not be asked about."""
    return LIKELY_RATES[0] <= rate <= LIKELY_RATES[1]


def stamps_fault(times: np.ndarray, hint: float | None = None, *, ordered: bool = False) -> str | None:
    """Why time stamps cannot be those of a film; None if they can.

    Args:
        times: (N,) seconds in the order of decoding, NaN where missing. hint: as of ``constant_rate``.
        ordered: they are in the order of display.

    Returns:
        A few words, as "only 1 for 16 frames".
    """
    if not len(times) or np.isnan(times).any():
        return "some frames have none"
    order = np.argsort(times, kind="stable")
    moved = int(np.abs(order - np.arange(len(times))).max())
    distinct = np.unique(times)
    if len(times) - len(distinct) > _SHARED_STAMPS * len(times):
        return f"only {len(distinct)} for {len(times)} frames"
    if moved > (0 if ordered else _FURTHEST_MOVED):
        return "they run back and forth"
    gaps = np.diff(distinct)
    if len(gaps) > 1 and gaps.max() > max(LONGEST_PAUSE, 20.0 * float(np.median(gaps))):
        return f"a pause of {gaps.max():.3g} s"
    rate, _ = constant_rate(distinct, hint)
    if len(distinct) > 1 and not POSSIBLE_RATES[0] <= rate <= POSSIBLE_RATES[1]:
        return f"{len(times)} frames within {distinct[-1] - distinct[0]:.3g} s"
    return None


def assumed_rate(times: np.ndarray, said: Iterable[float | None]) -> tuple[float, bool]:
    """The rate of frames whose time stamps cannot be used, and whether anything says it.

    Args:
        times: (N,) seconds in the order of display, NaN where missing; their mean gap counts first, jumps left out.
        said: rates from elsewhere, the most trustworthy first.
    """
    candidates = list(said)
    gaps = np.diff(times)
    if (gaps < 0).sum() > 0.1 * len(times):  # in disorder everywhere, not at a few joints of recordings
        gaps = np.diff(np.unique(times))
    gaps = gaps[(gaps >= 0) & (gaps <= LONGEST_PAUSE)]  # NaN is left out as well
    if 2 * len(gaps) > len(times) and gaps.mean() > 0:
        rate = 1.0 / float(gaps.mean())
        nearest = min((float(r) for r in _COMMON_RATES), key=lambda r: abs(r - rate))
        candidates.insert(0, nearest if abs(nearest / rate - 1.0) < 0.02 else rate)
    likely = [rate for rate in candidates if rate is not None and is_likely(rate)]
    return (likely[0], True) if likely else (FALLBACK_RATE, False)


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
