# SPDX-License-Identifier: Apache-2.0
"""What the command shows: progress and problems on stderr, results on stdout."""

from __future__ import annotations

import json
import threading
from typing import Annotated, Any

import typer
from rich.console import Console, RenderableType
from rich.progress import BarColumn, TaskID, TaskProgressColumn, TextColumn
from rich.progress import Progress as Bars
from rich.table import Table

from closeint_core.estimate import Estimate
from closeint_core.progress import Progress, StagePlan
from closeint_core.streams import say

errors = Console(stderr=True, highlight=False, soft_wrap=True)
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]
_LONGEST_ROW = 16
_PARTS = 1000  # of a task that its bar tells apart


class TerminalProgress(Progress):
    """Bars on stderr when it is a terminal; warnings always, one line each."""

    def __init__(self) -> None:
        self._stop = threading.Event()
        super().__init__(self._stop.is_set)
        self._bars = Bars(
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[left]}"),
            console=errors,
            disable=not errors.is_terminal,
        )
        self._tasks: dict[str, tuple[TaskID, Estimate]] = {}
        self._whole: Estimate | None = None

    def __enter__(self) -> TerminalProgress:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def on_plan(self, plan: StagePlan) -> None:
        """One bar for all stages from now on, which never goes back."""
        self._whole = Estimate()
        self._whole.expect(plan)

    def on_update(self, stage: str, done: int, total: int) -> None:
        """Move the bar of all stages, or where none were announced that of ``stage``."""
        name = "" if self._whole is not None else stage
        if name not in self._tasks:
            self._tasks[name] = (self._bars.add_task(stage, total=_PARTS, left=""), self._whole or Estimate(whole=True))
        task, estimate = self._tasks[name]
        fraction, seconds = estimate.update(stage, done, total)
        if self._whole is None and total and done >= total:
            fraction = 1.0
        left = "" if seconds is None else f"{int(seconds) // 60}:{int(seconds) % 60:02d} left"
        self._bars.update(task, completed=round(_PARTS * fraction), description=stage, left=left)

    def on_warning(self, message: str) -> None:
        """Print the warning."""
        errors.print(f"[yellow]Warning:[/yellow] {plain(message)}")


def plain(text: str) -> str:
    """Text without rich's markup, so that a path with brackets prints as it is."""
    return text.replace("[", "\\[")


class _Printed:
    """Whether the one JSON object of this process is out."""

    json = False


def print_json(value: Any) -> None:
    """One object on stdout, in ASCII: every code page has it."""
    _Printed.json = True
    say(json.dumps(value, ensure_ascii=True))


def json_is_out(forget: bool = False) -> bool:
    """Whether ``print_json`` was called since it was last told to ``forget``."""
    found, _Printed.json = _Printed.json, _Printed.json and not forget
    return found


def show(*items: RenderableType) -> None:
    """Print tables or lines on stdout, in the colours and the width of a terminal."""
    console = Console(soft_wrap=True, highlight=False)
    for item in items:
        with console.capture() as captured:
            console.print(item)
        say(captured.get(), end="")


def table(title: str, rows: dict[str, Any]) -> Table:
    """Two columns; lists with a value a frame are left to ``--json``."""
    made = Table(title=title, show_header=False, title_justify="left")
    for key, value in rows.items():
        if not (isinstance(value, list) and len(value) > _LONGEST_ROW):
            made.add_row(key, plain(str(value)))
    return made
