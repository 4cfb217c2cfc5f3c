# SPDX-License-Identifier: GPL-3.0-or-later
"""Sidebar > closeint > Reconstruct, with its people, camera and results."""

from pathlib import Path
from typing import Any

import bpy
import bpy.utils.previews

from closeint_core.errors import CloseintError

from .. import session
from ..import_settings import draw_included, draw_places, draw_time
from ..importer.pair import find_pair
from ..operators.jobs import time_text
from ..sidebar import CATEGORY
from ..video_paths import video_path
from .widgets import message, paragraph, progress

_previews: Any = None
_SHOWN_RESULTS = 6


class _Panel:
    bl_space_type: Any = "VIEW_3D"
    bl_region_type: Any = "UI"
    bl_category = CATEGORY


class CLOSEINT_PT_reconstruct(_Panel, bpy.types.Panel):
    """From a video to two characters"""

    bl_idname = "CLOSEINT_PT_reconstruct"
    bl_label = "Reconstruct"
    bl_order = 0

    def draw(self, context: Any) -> None:
        layout: Any = self.layout
        settings = context.scene.closeint
        kind, text = session.worker_state()
        if kind != "ready":
            running = [job for job in session.jobs() if job.command in ("install", "remove")]
            if running:
                paragraph(layout, "Some minutes; Blender stays usable meanwhile.", context, icon="INFO")
            else:
                paragraph(layout, f"{text}.", context, icon="ERROR")
                row = layout.row()
                row.scale_y = 1.4
                row.operator("closeint.install", text=session.install_label(kind), icon="IMPORT")
                if not bpy.app.online_access:
                    paragraph(layout, "Installing downloads packages; Blender's online access is off.", context)
                    layout.operator("extensions.userpref_allow_online", text="Allow Online Access", icon="INTERNET")
            progress(layout, running)
            for job in running:
                if line := job.stage.partition("\n")[2]:
                    paragraph(layout, line, context)
            message(layout, "setup", context)
            return
        row = layout.row(align=True)
        row.prop(settings, "video", text="")
        if not settings.video:
            row.operator("closeint.choose_video", text="", icon="FILE_MOVIE").sample = True
        column = layout.column()
        column.use_property_split = True
        column.use_property_decorate = False
        column.prop(settings, "frames")
        if settings.frames == "RANGE":
            pair = column.column(align=True)
            pair.prop(settings, "first_frame")
            pair.prop(settings, "last_frame")
        column.prop(settings, "fps")
        column.prop(settings, "model")
        column.prop(settings, "body")
        column.prop(settings, "quality")
        running = [job for job in session.jobs() if job.command not in ("install", "remove", "doctor")]
        row = layout.row()
        row.scale_y = 1.6
        if settings.video:
            text = "Reconstruct" if not running else "Add to Queue"
            row.operator("closeint.reconstruct", text=text, icon="ARMATURE_DATA")
        else:
            row.operator("closeint.choose_video", text="Reconstruct Video...", icon="ARMATURE_DATA").start = True
        progress(layout, running)
        message(layout, "reconstruct", context)


class CLOSEINT_PT_people(_Panel, bpy.types.Panel):
    """Which two people"""

    bl_idname = "CLOSEINT_PT_people"
    bl_label = "People"
    bl_parent_id = "CLOSEINT_PT_reconstruct"
    bl_options = {"DEFAULT_CLOSED"}
    bl_order = 0

    @classmethod
    def poll(cls, _context: Any) -> bool:
        return session.worker_state()[0] == "ready"

    def draw(self, context: Any) -> None:
        layout: Any = self.layout
        settings = context.scene.closeint
        layout.row().prop(settings, "people", expand=True)
        if settings.people == "AUTO":
            return
        row = layout.row(align=True)
        row.prop(settings, "pick_frame")
        row.operator("closeint.find_people", text="", icon="VIEWZOOM")
        found = session.state.detection
        if found is None or not _is_of(found, settings.video):
            layout.operator("closeint.find_people", icon="VIEWZOOM")
            return
        icon = _thumbnail(found.picture)
        if icon:
            layout.template_icon(icon_value=icon, scale=9.0)
        layout.label(text=f"Frame {found.frame + 1} of {found.frame_count}")
        row = layout.row(align=True)
        chosen = (settings.person_a, settings.person_b)
        for number in range(len(found.boxes)):
            picked = number in chosen
            text = f"{number + 1}" + (f" = Person {chosen.index(number) + 1}" if picked else "")
            row.operator("closeint.pick_person", text=text, depress=picked).number = number
        row = layout.row()
        row.enabled = min(chosen) >= 0
        row.operator("closeint.swap_people", icon="ARROW_LEFTRIGHT")


class CLOSEINT_PT_camera(_Panel, bpy.types.Panel):
    """What is known of the lens, and where results go"""

    bl_idname = "CLOSEINT_PT_camera"
    bl_label = "Lens and Output"
    bl_parent_id = "CLOSEINT_PT_reconstruct"
    bl_options = {"DEFAULT_CLOSED"}
    bl_order = 1

    @classmethod
    def poll(cls, _context: Any) -> bool:
        return session.worker_state()[0] == "ready"

    def draw(self, context: Any) -> None:
        layout: Any = self.layout
        layout.use_property_split = True
        layout.use_property_decorate = False
        settings = context.scene.closeint
        layout.prop(settings, "lens")
        if settings.lens == "MM":
            column = layout.column(align=True)
            column.prop(settings, "focal_mm")
            column.prop(settings, "sensor_mm")
        elif settings.lens == "PIXELS":
            layout.prop(settings, "focal_px")
        layout.prop(settings, "refine")
        layout.prop(settings, "output")


class CLOSEINT_PT_import(_Panel, bpy.types.Panel):
    """How the result comes into the scene; as it is when a reconstruction is started"""

    bl_idname = "CLOSEINT_PT_import"
    bl_label = "Import"
    bl_parent_id = "CLOSEINT_PT_reconstruct"
    bl_options = {"DEFAULT_CLOSED"}
    bl_order = 2

    @classmethod
    def poll(cls, _context: Any) -> bool:
        return session.worker_state()[0] == "ready"

    def draw_header(self, context: Any) -> None:
        layout: Any = self.layout
        layout.prop(context.scene.closeint, "import_result", text="")

    def draw(self, context: Any) -> None:
        layout: Any = self.layout
        layout.use_property_split = True
        layout.use_property_decorate = False
        settings = context.scene.closeint
        layout.active = settings.import_result
        layout.prop(settings.importing, "target")
        if settings.importing.target == "SAME":
            pair = find_pair(context)
            text = f"Now: {', '.join(pair.armatures)}" if pair else "Select one of the characters."
            paragraph(layout, text, context, icon="INFO" if pair else "ERROR")
            return
        draw_time(layout.column(), settings.importing, starts_elsewhere=settings.frames == "SCENE")
        draw_included(layout.column(heading="Include"), settings.importing)
        draw_places(layout.column(heading="Scene"), settings.importing)


class CLOSEINT_PT_results(_Panel, bpy.types.Panel):
    """Past results; each can be imported again"""

    bl_idname = "CLOSEINT_PT_results"
    bl_label = "Results"
    bl_parent_id = "CLOSEINT_PT_reconstruct"
    bl_options = {"DEFAULT_CLOSED"}
    bl_order = 3

    @classmethod
    def poll(cls, _context: Any) -> bool:
        return bool(session.history().entries)

    def draw(self, _context: Any) -> None:
        layout: Any = self.layout
        for entry in session.history().entries[:_SHOWN_RESULTS]:
            row = layout.row(align=True)
            name = Path(entry.clip).name.removesuffix(".closeint.npz")
            row.operator("closeint.import_result", text=name, icon="IMPORT").clip = entry.clip
            side = row.row()
            side.active = False
            side.label(text=f"{entry.made[5:]}, {time_text(entry.seconds)}")
            row.operator("closeint.forget_result", text="", icon="X").clip = entry.clip


def _is_of(found: session.Detection, video: str) -> bool:
    """Whether the people were found in the video that the user names."""
    try:
        return bool(video) and Path(found.video) == video_path(video)
    except CloseintError:
        return False


def _thumbnail(path: str) -> int:
    """Icon number of a picture; it is read again when the file has changed. 0 without."""
    try:
        key = f"{path}|{Path(path).stat().st_mtime_ns}"
    except OSError:
        return 0
    if key not in _previews:
        _previews.clear()
        _previews.load(key, path, "IMAGE")
    return int(_previews[key].icon_id)


_CLASSES = (
    CLOSEINT_PT_reconstruct,
    CLOSEINT_PT_people,
    CLOSEINT_PT_camera,
    CLOSEINT_PT_import,
    CLOSEINT_PT_results,
)


def register() -> None:
    global _previews
    _previews = bpy.utils.previews.new()
    for cls in _CLASSES:
        bpy.utils.register_class(cls)


def unregister() -> None:
    for cls in reversed(_CLASSES):
        bpy.utils.unregister_class(cls)
    bpy.utils.previews.remove(_previews)
