# SPDX-License-Identifier: GPL-3.0-or-later
"""Install, check, remove the worker; show its log."""

# No postponed annotations here: Blender reads properties from them.
from pathlib import Path
from typing import Any

import bpy
from bpy.props import BoolProperty

from closeint_core.errors import CloseintError
from closeint_core.worker.client import Job

from .. import session
from ..dynamic import ops, utils
from ..preferences import preferences
from .jobs import JobOperator


class CLOSEINT_OT_install(JobOperator, bpy.types.Operator):
    """Download the worker (about a gigabyte) for the extension alone; an earlier one stays until the new one works"""

    bl_idname = "closeint.install"
    bl_label = "Install"
    bl_options = {"REGISTER", "INTERNAL"}
    panel = "setup"

    @classmethod
    def poll(cls, _context: Any) -> bool:
        if session.state.installer is not None and session.state.installer.jobs:
            cls.poll_message_set("An installation is running.")
            return False
        if not bpy.app.online_access:
            cls.poll_message_set("Blender's online access is off; allow it to install.")
            return False
        return True

    def submit(self, _context: Any) -> Job:
        # Asked again here: from Python an operator can be called past its button.
        if not bpy.app.online_access:
            raise CloseintError(
                "Blender's online access is off, so nothing was downloaded.",
                "Allow it in Preferences > System > Network, or choose an existing Python.",
            )
        wheel = session.bundled_wheel()
        if wheel is None:
            raise CloseintError(
                "The extension has no wheel of closeint_core to install.",
                "Build it with scripts/build_extension.py, or choose an existing Python.",
            )
        session.close_worker()
        session.keep_report(None)
        chosen = preferences()
        base = bpy.path.abspath(chosen.base_python) if chosen.base_python else None
        return session.installer().submit(
            "install", folder=str(session.environment().folder), wheel=str(wheel), python=base
        )

    def finish(self, context: Any, job: Job) -> None:
        done = "Renewed" if job.result["earlier"] else "Installed"
        self.report({"INFO"}, f"{done} closeint {job.result['version']} in {job.result['seconds']:.0f} s")
        session.say(self.panel, "INFO", f"{done}.")
        # Whether it works is what the doctor sees when it runs there.
        ops.closeint.doctor("INVOKE_DEFAULT")


class CLOSEINT_OT_remove(JobOperator, bpy.types.Operator):
    """Delete the worker's environment, its models and caches, and the logs; preferences and your clips stay"""

    bl_idname = "closeint.remove"
    bl_label = "Remove"
    bl_options = {"REGISTER", "INTERNAL"}
    panel = "setup"

    results: BoolProperty(  # type: ignore[valid-type]
        name="Results Too",
        description="Also delete the list of results and the clips in the extension's own folder; clips elsewhere stay",
        default=False,
    )

    @classmethod
    def poll(cls, _context: Any) -> bool:
        if session.jobs():
            cls.poll_message_set("Something is running.")
            return False
        return True

    def invoke(self, context: Any, event: Any) -> Any:
        # A dialog goes on with execute, which blocks; deleting takes a moment only.
        return self.execute(context) if bpy.app.background else context.window_manager.invoke_props_dialog(self)

    def draw(self, context: Any) -> None:
        layout: Any = self.layout
        layout.label(text="Delete the worker, its models, caches and logs?", icon="TRASH")
        layout.prop(self, "results")

    def submit(self, _context: Any) -> Job:
        session.close_worker()
        session.keep_report(None)
        return session.installer().submit(
            "remove",
            folder=str(session.environment().folder),
            home=str(session.user_folder()),
            also=session.removable(self.results),
        )

    def finish(self, _context: Any, _job: Job) -> None:
        session.forget()
        session.say(self.panel, "INFO", "Removed.")


class CLOSEINT_OT_doctor(JobOperator, bpy.types.Operator):
    """Start the worker and see whether everything it needs is there"""

    bl_idname = "closeint.doctor"
    bl_label = "Check"
    bl_options = {"REGISTER", "INTERNAL"}
    panel = "setup"

    @classmethod
    def poll(cls, _context: Any) -> bool:
        kind, text = session.worker_state()
        if kind != "ready":
            cls.poll_message_set(f"{text}.")
            return False
        return True

    def submit(self, _context: Any) -> Job:
        return session.submit("doctor")

    def finish(self, _context: Any, job: Job) -> None:
        found = job.result["report"]
        session.keep_report(found)
        if not found["ok"]:
            raise CloseintError(found["problem"], "Press Repair.", exit_code=3)
        session.say(self.panel, "INFO", "Everything that is needed is there.")


class CLOSEINT_OT_stop_worker(bpy.types.Operator):
    """End the worker and free its memory; the next reconstruction starts it again"""

    bl_idname = "closeint.stop_worker"
    bl_label = "Stop Worker"
    bl_options = {"INTERNAL"}

    @classmethod
    def poll(cls, _context: Any) -> bool:
        return session.state.worker is not None and session.state.worker.pid is not None

    def execute(self, _context: Any) -> Any:
        session.close_worker()
        return {"FINISHED"}


class CLOSEINT_OT_open_log(bpy.types.Operator):
    """Open the newest log in Blender's text editor"""

    bl_idname = "closeint.open_log"
    bl_label = "Open Log"
    bl_options = {"INTERNAL"}

    @classmethod
    def poll(cls, _context: Any) -> bool:
        return session.log_folder().is_dir()

    def execute(self, context: Any) -> Any:
        logs = sorted(session.log_folder().glob("*.log"), key=lambda path: path.stat().st_mtime)
        if not logs:
            self.report({"WARNING"}, "There is no log yet.")
            return {"CANCELLED"}
        self._show(context, logs[-1])
        return {"FINISHED"}

    def _show(self, context: Any, path: Path) -> None:
        text = bpy.data.texts.load(str(path), internal=True)
        area = next((area for area in context.screen.areas if area.type == "TEXT_EDITOR"), None)
        if area is None:
            bpy.ops.wm.window_new()
            area = context.window_manager.windows[-1].screen.areas[0]
            area.type = "TEXT_EDITOR"
        area.spaces.active.text = text
        self.report({"INFO"}, f"The log is {path}")


_CLASSES = (
    CLOSEINT_OT_install,
    CLOSEINT_OT_remove,
    CLOSEINT_OT_doctor,
    CLOSEINT_OT_stop_worker,
    CLOSEINT_OT_open_log,
)

register, unregister = utils.register_classes_factory(_CLASSES)
