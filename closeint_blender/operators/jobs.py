# SPDX-License-Identifier: GPL-3.0-or-later
"""What operators that wait for the worker have in common: modal in a window, blocking without one.

    class CLOSEINT_OT_thing(JobOperator, bpy.types.Operator):
        panel = "reconstruct"                      # where the panel shows what happened

        def submit(self, context): return session.submit("thing", input=...)
        def finish(self, context, job): ...        # with job.result

The modal part never touches the scene; what ``finish`` changes, it changes through operators of its own, so that it
is one undo step.
"""

import sys
import time
from typing import TYPE_CHECKING, Any

import bpy

from closeint_core.errors import Cancelled, CloseintError
from closeint_core.worker.client import Job

from .. import session

_INTERVAL = 0.1
_REDRAW = 0.3
_PATIENCE = 30.0
"""Seconds for which a finished job waits for the user to end what they are dragging."""

_BUSY = ("TRANSFORM_OT_", "SCULPT_OT_", "PAINT_OT_", "GPENCIL_OT_", "MESH_OT_", "POSE_OT_", "VIEW3D_OT_")


class JobOperator:
    """Mixin; see the module. ``panel`` names the panel that shows messages."""

    panel = "reconstruct"
    if TYPE_CHECKING:  # of the operator that it is mixed into
        report: Any

    def submit(self, context: Any) -> Job:
        """Ask the worker.

        Raises:
            CloseintError: nothing can be asked for.
        """
        raise NotImplementedError

    def finish(self, context: Any, job: Job) -> None:
        """Use the result.

        Raises:
            CloseintError: it cannot be used.
        """
        raise NotImplementedError

    # -- without a window ----------------------------------------------------------------------------------------

    def execute(self, context: Any) -> Any:
        """Blocks until the job has ended; progress goes to the terminal."""
        try:
            job = self.submit(context)
            client = session.client_of(job)
            shown = Terminal()
            if client is not None:
                client.wait(job, shown)
            shown.end()
            session.poll()
            self.finish(context, job)
        except Cancelled:
            return self._cancelled()
        except CloseintError as error:
            return self._failed(error)
        for warning in job.warnings:
            self.report({"WARNING"}, warning)
        return {"FINISHED"}

    # -- in a window ---------------------------------------------------------------------------------------------

    def invoke(self, context: Any, _event: Any) -> Any:
        """Starts the job and returns at once."""
        if bpy.app.background or context.window is None:
            return self.execute(context)
        try:
            self._job = self.submit(context)
        except CloseintError as error:
            return self._failed(error)
        session.state.said.pop(self.panel, None)
        self._timer = context.window_manager.event_timer_add(_INTERVAL, window=context.window)
        self._window = context.window
        self._shown, self._shown_at = "", 0.0
        self._ended_at = 0.0
        context.window_manager.modal_handler_add(self)
        self._show(context)
        return {"RUNNING_MODAL"}

    def modal(self, context: Any, event: Any) -> Any:
        """Looks at the job ten times a second and lets every event through but ESC."""
        job: Job = self._job
        if event.type == "ESC" and event.value == "PRESS" and not job.ended:
            running = session.jobs()
            session.cancel(running[0] if running else job)
            return {"RUNNING_MODAL"}
        if event.type != "TIMER":
            return {"PASS_THROUGH"}
        session.poll()
        if not job.ended:
            self._show(context)
            return {"PASS_THROUGH"}
        if not self._ended_at:
            self._ended_at = time.monotonic()
        if job.state == "done" and self._user_is_busy() and time.monotonic() - self._ended_at < _PATIENCE:
            return {"PASS_THROUGH"}
        self._close(context)
        return self._end(context, job)

    def cancel(self, context: Any) -> None:
        """Blender ends the operator: another file was opened, or the window closed. The job goes on."""
        self._close(context)
        if not self._job.ended:
            session.leave(self._job)

    def _end(self, context: Any, job: Job) -> set[str]:
        if job.state == "cancelled":
            return self._cancelled()
        try:
            if job.error is not None:
                raise job.error
            self.finish(context, job)
        except CloseintError as error:
            return self._failed(error)
        except RuntimeError as error:  # an operator that finish called reported an error
            return self._failed(CloseintError(str(error).strip().removeprefix("Error: ")))
        for warning in job.warnings:
            self.report({"WARNING"}, warning)
        session.redraw()
        return {"FINISHED"}

    def _user_is_busy(self) -> bool:
        """Whether the user is dragging something, which an import would disturb."""
        running = getattr(self._window, "modal_operators", ())
        return any(op.bl_idname.startswith(_BUSY) for op in running if not isinstance(op, JobOperator))

    def _close(self, context: Any) -> None:
        if self._timer is not None:
            context.window_manager.event_timer_remove(self._timer)
            self._timer = None
        if context.workspace is not None and len(session.jobs()) == 0:
            context.workspace.status_text_set(None)
        session.redraw()

    def _show(self, context: Any) -> None:
        """The status bar, and the panel if what it shows has changed."""
        running = session.jobs()
        text = progress_text(running[0]) if running else ""
        # Drawing the sidebar takes time from the viewport.
        if text != self._shown and time.monotonic() - self._shown_at > _REDRAW:
            self._shown, self._shown_at = text, time.monotonic()
            context.workspace.status_text_set(f"closeint: {text}     Esc: cancel" if text else None)
            session.redraw()

    # -- both ----------------------------------------------------------------------------------------------------

    def _failed(self, error: CloseintError) -> set[str]:
        session.say(self.panel, "ERROR", str(error))
        self.report({"ERROR"}, str(error))
        session.redraw()
        return {"CANCELLED"}

    def _cancelled(self) -> set[str]:
        session.say(self.panel, "INFO", "Cancelled; nothing was changed.")
        self.report({"WARNING"}, "Cancelled; nothing was changed.")
        session.redraw()
        return {"CANCELLED"}


class Terminal:
    """Shows a job's progress on stderr, on one line if it is a terminal."""

    def __init__(self) -> None:
        self._stage = ""
        self._open = False

    def __call__(self, job: Job) -> None:
        text = progress_text(job)
        if sys.stderr.isatty():
            print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)
            self._open = True
        elif job.stage.partition("\n")[0] != self._stage:
            self._stage = job.stage.partition("\n")[0]
            print(f"closeint: {self._stage}", file=sys.stderr, flush=True)

    def end(self) -> None:
        """Go on on a new line."""
        if self._open:
            print(file=sys.stderr, flush=True)


def progress_text(job: Job) -> str:
    """Such as "fitting, 43 %, 1:20 left"."""
    if job.cancel_by is not None:
        return "cancelling"
    if job.state == "waiting":
        return "starting the worker" if job.command != "install" else "starting"
    parts = [job.stage.partition("\n")[0] or "starting"]
    if job.fraction > 0:
        parts.append(f"{100 * job.fraction:.0f} %")
    if job.eta_s is not None and job.fraction > 0.03:
        parts.append(f"{time_text(job.eta_s)} left")
    return ", ".join(parts)


def time_text(seconds: float) -> str:
    """Such as "1:05" or "1:00:05"."""
    whole = max(0, round(seconds))
    hours, minutes, rest = whole // 3600, whole // 60 % 60, whole % 60
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


class CLOSEINT_OT_cancel(bpy.types.Operator):
    """Stop the reconstruction or installation that runs; nothing in the scene changes"""

    bl_idname = "closeint.cancel"
    bl_label = "Cancel"
    bl_options = {"INTERNAL"}

    index: bpy.props.IntProperty(name="Which", description="Place in the queue, from 0", default=0)  # type: ignore[valid-type]

    @classmethod
    def poll(cls, _context: Any) -> bool:
        return bool(session.jobs())

    def execute(self, _context: Any) -> Any:
        waiting = session.jobs()
        if self.index < len(waiting):
            session.cancel(waiting[self.index])
        return {"FINISHED"}


def register() -> None:
    bpy.utils.register_class(CLOSEINT_OT_cancel)


def unregister() -> None:
    bpy.utils.unregister_class(CLOSEINT_OT_cancel)
