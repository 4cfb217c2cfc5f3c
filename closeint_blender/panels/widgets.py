# SPDX-License-Identifier: GPL-3.0-or-later
"""Pieces that several panels draw."""

import textwrap
from typing import Any

from closeint_core.worker.client import Job

from .. import session
from ..operators.jobs import progress_text
from ..operators.results import default_cube

GREEN, YELLOW, RED = "COLORSET_03_VEC", "COLORSET_09_VEC", "COLORSET_01_VEC"


def state_line(layout: Any, ok: bool, text: str, *, needed: bool = True, detail: str = "") -> None:
    """A line with a green, red or (not needed and not there) yellow mark."""
    row = layout.row(align=True)
    row.label(text=text, icon=GREEN if ok else RED if needed else YELLOW)
    if detail:
        sub = row.row()
        sub.alignment = "RIGHT"
        sub.active = False
        sub.label(text=detail)


def paragraph(layout: Any, text: str, context: Any, *, icon: str = "NONE") -> None:
    """Text broken into lines that fit the sidebar."""
    width = context.region.width if context.region else 300
    scale = context.preferences.system.ui_scale or 1.0
    columns = max(20, int((width / scale - 50) / 6.2))
    column = layout.column(align=True)
    column.scale_y = 0.8
    for number, line in enumerate(textwrap.wrap(text, columns) or [""]):
        column.label(text=line, icon=icon if number == 0 else "BLANK1" if icon != "NONE" else "NONE")


def message(layout: Any, place: str, context: Any) -> None:
    """The last thing that was said at a place, with the log's button after an error."""
    said = session.state.said.get(place)
    if said is None:
        return
    box = layout.box()
    icon = {"INFO": "INFO", "WARNING": "ERROR", "ERROR": "CANCEL"}[said.level]
    paragraph(box, said.text, context, icon=icon)
    if said.level == "ERROR":
        row = box.row(align=True)
        row.operator("closeint.open_log", icon="TEXT")
    elif said.text.startswith("Imported") and context.scene.camera is not None:
        box.operator("view3d.view_camera", text="Look Through the Camera", icon="CAMERA_DATA")
        if default_cube(context) is not None:
            box.operator("closeint.hide_cube", icon="HIDE_ON")


def progress(layout: Any, jobs: list[Job]) -> None:
    """A bar for each job, with a button that cancels it; the first is the running one."""
    everything = session.jobs()
    for job in jobs:
        index = next(i for i, other in enumerate(everything) if other is job)
        row = layout.row(align=True)
        waiting = job.state == "waiting" and index > 0
        text = f"{title(job)}: waiting" if waiting else progress_text(job).capitalize()
        row.progress(factor=job.fraction, text=text)
        row.operator("closeint.cancel", text="", icon="X").index = index


def title(job: Job) -> str:
    """What a job is, for the queue."""
    names = {"reconstruct": "Reconstruction", "detect": "Finding people", "doctor": "Check", "refine": "Refinement"}
    return names.get(job.command, job.command.capitalize())
