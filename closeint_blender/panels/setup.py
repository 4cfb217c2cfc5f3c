# SPDX-License-Identifier: GPL-3.0-or-later
"""Sidebar > closeint > Set-Up: what is there, and the buttons that change it."""

from typing import Any

import bpy

from .. import session
from ..preferences import PACKAGE, drawn_below, preferences
from ..sidebar import CATEGORY
from .widgets import message, paragraph, progress, state_line


class CLOSEINT_PT_setup(bpy.types.Panel):
    """What closeint needs, and whether it is there"""

    bl_idname = "CLOSEINT_PT_setup"
    bl_label = "Set-Up"
    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_category = CATEGORY
    bl_options = {"DEFAULT_CLOSED"}
    bl_order = 90

    def draw(self, context: Any) -> None:
        layout: Any = self.layout
        kind, text = session.worker_state()
        report = session.report() if kind == "ready" else None
        column = layout.column(align=True)
        running = [job for job in session.jobs() if job.command in ("install", "remove", "doctor")]
        changing = any(job.command != "doctor" for job in running)
        if changing:
            state_line(column, False, "The worker is being installed or removed", needed=False)
        else:
            state_line(column, kind == "ready", text)
        if report is None:
            if kind == "ready":
                paragraph(layout, "Press Check to start the worker and see whether everything is there.", context)
        else:
            _report_lines(column, report)
        progress(layout, running)
        for job in running:
            line = job.stage.partition("\n")[2]
            if line:
                paragraph(layout, line, context)
        message(layout, "setup", context)
        _buttons(layout, kind, context)

    def draw_header_preset(self, _context: Any) -> None:
        kind, _ = session.worker_state()
        report = session.report()
        good = kind == "ready" and (report is None or bool(report.get("ok")))
        state_line(self.layout, good, "")


def _report_lines(layout: Any, report: dict[str, Any]) -> None:
    """The doctor's findings: the libraries as one line, every model as one."""
    sections = report.get("sections", {})
    program = sections.get("Program", [])
    device = next((row for row in program if row["name"] == "device"), None)
    libraries = [row for row in program if row["name"] != "device"]
    missing = [row["name"] for row in libraries if row["needed"] and not row["ok"]]
    text = "Libraries" if not missing else f"Missing: {', '.join(missing)}"
    state_line(layout, not missing, text)
    if device is not None:
        state_line(layout, device["ok"], f"Device: {device['detail']}")
    for title, rows in sections.items():
        if title != "Program":
            for row in rows:
                if row["needed"] or row["ok"]:
                    state_line(layout, row["ok"], row["name"], needed=row["needed"])


class CLOSEINT_PT_optional(bpy.types.Panel):
    """Licensed models that are not there; nothing needs them"""

    bl_idname = "CLOSEINT_PT_optional"
    bl_label = "Licensed Models"
    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_category = CATEGORY
    bl_parent_id = "CLOSEINT_PT_setup"
    bl_options = {"DEFAULT_CLOSED"}

    @classmethod
    def poll(cls, _context: Any) -> bool:
        return bool(session.worker_state()[0] == "ready" and session.report())

    def draw(self, context: Any) -> None:
        layout: Any = self.layout
        chosen = preferences()
        if isinstance(chosen, bpy.types.AddonPreferences):
            layout.prop(chosen, "data", text="")
        for title, rows in (session.report() or {}).get("sections", {}).items():
            optional = [row for row in rows if not row["needed"]]
            if optional:
                column = layout.column(align=True)
                column.label(text=title)
                for row in optional:
                    state_line(column, row["ok"], row["name"], needed=False, detail="" if row["ok"] else "not there")
        paragraph(layout, "None of them is needed. Where they are looked for and published: closeint doctor.", context)


def in_preferences(layout: bpy.types.UILayout) -> None:
    """The worker's state and the buttons that change it, in the extension's preferences."""
    kind, text = session.worker_state()
    running = [job for job in session.jobs() if job.command in ("install", "remove", "doctor")]
    state_line(layout.column(), kind == "ready", text)
    progress(layout, running)
    _changing_buttons(layout, kind)
    said = session.state.said.get("setup")
    if said is not None:
        layout.label(text=said.text, icon="INFO" if said.level == "INFO" else "ERROR")
    if not bpy.app.online_access:
        layout.operator("extensions.userpref_allow_online", text="Allow Online Access", icon="INTERNET")


def _changing_buttons(layout: Any, kind: str) -> None:
    row = layout.row(align=True)
    if kind == "missing" and not preferences().python:
        row.operator("closeint.install", icon="IMPORT")
    else:
        row.operator("closeint.install", text=session.install_label(kind), icon="FILE_REFRESH")
    row.operator("closeint.remove", icon="TRASH")
    row.operator("closeint.doctor", icon="VIEWZOOM")


def _buttons(layout: Any, kind: str, context: Any) -> None:
    _changing_buttons(layout, kind)
    if not bpy.app.online_access:
        paragraph(layout, "Installing downloads packages; Blender's online access is off.", context, icon="ERROR")
        layout.operator("extensions.userpref_allow_online", text="Allow Online Access", icon="INTERNET")
    row = layout.row(align=True)
    row.operator("closeint.stop_worker", icon="QUIT")
    row.operator("closeint.open_log", icon="TEXT")
    chosen = preferences()
    column = layout.column()
    column.use_property_split = True
    column.use_property_decorate = False
    if isinstance(chosen, bpy.types.AddonPreferences):
        column.prop(chosen, "device")
        column.prop(chosen, "python")
        column.prop(chosen, "base_python")
        column.operator("preferences.addon_show", text="Preferences", icon="PREFERENCES").module = PACKAGE


def register() -> None:
    bpy.utils.register_class(CLOSEINT_PT_setup)
    bpy.utils.register_class(CLOSEINT_PT_optional)
    drawn_below.append(in_preferences)


def unregister() -> None:
    drawn_below.remove(in_preferences)
    bpy.utils.unregister_class(CLOSEINT_PT_optional)
    bpy.utils.unregister_class(CLOSEINT_PT_setup)
