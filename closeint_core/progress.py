# SPDX-License-Identifier: Apache-2.0
"""Progress and cancellation: one small object that the caller hands to every stage."""

from __future__ import annotations

from collections.abc import Callable

from closeint_core.errors import Cancelled


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

    def warn(self, message: str) -> None:
        """Tell the user something; a message is told once."""
        if message not in self.warnings:
            self.warnings.append(message)
            self.on_warning(message)

    def on_update(self, stage: str, done: int, total: int) -> None:
        """Override to show progress."""

    def on_warning(self, message: str) -> None:
        """Override to show warnings."""
