# SPDX-License-Identifier: Apache-2.0
"""Progress and cancellation: one small object that the caller hands to every stage."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from closeint_core.errors import Cancelled


@dataclass(frozen=True)
class StagePlan:
    """The stages of a task in their order.

    Attributes:
        shares: part of the whole time that each usually takes; they add up to one.
        spans: other names, each with the first and the last stage that it stands for.
    """

    shares: Mapping[str, float]
    spans: Mapping[str, tuple[str, str]] = field(default_factory=dict)

    def span(self, stage: str) -> tuple[float, float] | None:
        """Fractions of the whole at which a stage begins and ends; None if it is not one of the plan's."""
        first, last = self.spans.get(stage, (stage, stage))
        if first not in self.shares or last not in self.shares:
            return None
        ends: dict[str, tuple[float, float]] = {}
        at = 0.0
        for name, share in self.shares.items():
            ends[name] = (at, at + share)
            at += share
        return ends[first][0], ends[last][1]


class Progress:
    """Reports progress and warnings; the base class reports nothing.

    Stages call ``update`` often (each frame, each iteration) and ``warn`` for what the user
    should know. ``update`` raises ``Cancelled`` once ``cancelled()`` is true.
    """

    def __init__(self, cancelled: Callable[[], bool] | None = None) -> None:
        self._cancelled = cancelled or (lambda: False)
        self.warnings: list[str] = []

    def update(self, stage: str, done: int, total: int) -> None:
        """``done`` of ``total`` steps of ``stage`` are finished (total 0: unknown)."""
        if self._cancelled():
            raise Cancelled
        self.on_update(stage, done, total)

    def expect(self, plan: StagePlan) -> None:
        """The stages that are to come, so that all of them can be shown as one."""
        self.on_plan(plan)

    def warn(self, message: str) -> None:
        """Tell the user something; a message is told once."""
        if message not in self.warnings:
            self.warnings.append(message)
            self.on_warning(message)

    def on_update(self, stage: str, done: int, total: int) -> None:
        """Override to show progress."""

    def on_plan(self, plan: StagePlan) -> None:
        """Override to show all stages as one."""

    def on_warning(self, message: str) -> None:
        """Override to show warnings."""
