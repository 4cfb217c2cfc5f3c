# SPDX-License-Identifier: Apache-2.0
"""Windows that were solved on their own, put together by what most of them say.

One window of many may be all wrong, for example have somebody turned about, where those that overlap it agree. A mean
would then have that person spin around in a few frames.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import roma
import torch
from torch import Tensor

from closeint_core.reconstruction.calibration import RECONSTRUCTION

_LEAST = 1e-6  # trust in a window that everybody contradicts, so that a frame that only it covers has a value


@dataclass
class _Window:
    """A window (N people) that others still have to say something about; ``apart``: metres (N,) from each so far."""

    start: int
    weights: Tensor
    points: Tensor
    rotations: Tensor
    others: tuple[Tensor, ...]
    apart: list[Tensor]


class RobustBlend:
    """Weighted means over overlapping windows, those that disagree with most of their neighbours left out.

    A window's error is the median over the windows that it overlaps of how far their points are apart in the frames
    that they share, so a minority does not spoil what is said of the majority. The trust in it falls with the error as
    Geman and McClure's weight; a window that overlaps fewer than two others is believed. Windows are held only until
    all that overlap them have come.

    Args:
        frames: T of the clip. spread: metres that windows are usually apart.
    """

    def __init__(self, frames: int, spread: float) -> None:
        self.frames, self.spread = frames, spread
        self._waiting: deque[_Window] = deque()
        self._sums: list[Tensor] = []

    def add(
        self, starts: list[int], weights: Tensor, points: Tensor, rotations: Tensor, others: tuple[Tensor, ...]
    ) -> None:
        """The next windows, in the order of their starts.

        Args:
            weights: (W, L), smooth over time (``window_weights``). points: (W, L, N, K, 3) metres, K points of each of
                N people that windows are compared by. rotations: (W, L, N, J, 3, 3). others: (W, L, N, ...) each.
        """
        for number, start in enumerate(starts):
            while self._waiting and self._waiting[0].start + len(self._waiting[0].weights) <= start:
                self._settle()
            one = _Window(
                start,
                weights[number],
                points[number],
                rotations[number],
                tuple(other[number] for other in others),
                [],
            )
            if self._waiting:
                length = len(one.weights)
                begin = [start - before.start for before in self._waiting]
                # (M, L): frames of the earlier ones that are shared; the rest is masked
                index = torch.tensor(begin)[:, None] + torch.arange(length)
                shared = index < length
                before = torch.stack([earlier.points for earlier in self._waiting])
                there = before[torch.arange(len(before))[:, None], index.clamp(max=length - 1)]
                apart = (there - one.points).norm(dim=-1).mean(-1) * shared[..., None]
                for earlier, distance in zip(self._waiting, apart.sum(1) / shared.sum(1)[:, None], strict=True):
                    earlier.apart.append(distance)
                    one.apart.append(distance)
            self._waiting.append(one)

    def finish(self) -> tuple[Tensor, ...]:
        """Rotations (T, N, J, 3, 3), then the others (T, N, ...), in all frames that windows covered.

        The mean rotation is the one nearest to all by the chordal distance (Hartley et al., "Rotation Averaging",
        2013).
        """
        while self._waiting:
            self._settle()
        total, rotations, *others = self._sums
        return (
            roma.special_procrustes(rotations / total[..., None, None, None]),
            *(one / total.reshape(*total.shape, *[1] * (one.ndim - 2)) for one in others),
        )

    def _settle(self) -> None:
        """Add the earliest window, about which all has been said."""
        one = self._waiting.popleft()
        trust = torch.ones(one.points.shape[1])
        if len(one.apart) > 1:
            error = torch.stack(one.apart).median(0).values
            trust = 1 / (1 + (error / self.spread).square()).square() + _LEAST
        # Where its own weight vanishes a window is still the best there is if nobody believes the others.
        weights = (one.weights[:, None] + RECONSTRUCTION.now.learned.least_window) * trust  # (L, N)
        parts = (torch.ones_like(weights), one.rotations, *one.others)
        if not self._sums:
            self._sums = [part.new_zeros(self.frames, *part.shape[1:]) for part in parts]
        for total, part in zip(self._sums, parts, strict=True):
            total[one.start : one.start + len(weights)] += (
                weights.reshape(*weights.shape, *[1] * (part.ndim - 2)) * part
            )
