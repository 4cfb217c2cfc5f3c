# SPDX-License-Identifier: GPL-3.0-or-later
"""Sidebar > closeint > Look and Fix: how good the motion is, where it is not, and what to do about it."""

from typing import Any

import bpy

from .. import graph, session
from ..dynamic import props, types
from ..importer.pair import PAIR, find_pair
from ..operators.corrections import mark_text
from ..operators.export import FORMATS
from ..operators.overlay import SHOWN
from ..operators.quality_check import KINDS, pair_series
from ..pair_edit import marks_of
from ..sidebar import CATEGORY
from .widgets import message, paragraph, progress

_MARK_ICONS: dict[str, Any] = {"PIN": "PINNED", "CONTACT": "LINKED", "APART": "UNLINKED"}


class _Panel:
    bl_space_type: Any = "VIEW_3D"
    bl_region_type: Any = "UI"
    bl_category = CATEGORY


class CLOSEINT_PT_look(_Panel, bpy.types.Panel):
    """What the footage said of the people, frame by frame"""

    bl_idname = "CLOSEINT_PT_look"
    bl_label = "Look and Fix"
    bl_order = 5

    @classmethod
    def poll(cls, context: Any) -> bool:
        return any(ob.type == "ARMATURE" and PAIR in ob for ob in context.scene.objects)

    def draw(self, context: Any) -> None:
        layout: Any = self.layout
        pair = find_pair(context)
        if pair is None:
            paragraph(layout, "Select one of the characters.", context, icon="INFO")
            return
        frame = context.scene.frame_current
        inside = 0 <= round((frame - pair.start) / pair.step) < pair.count
        for ob in pair.objects():
            box = layout.box().column(align=True)
            row = box.row()
            data = ob.data
            seen = data.get("closeint_visible", 0.0) > 0.5
            row.label(text=ob.name, icon="HIDE_OFF" if seen else "HIDE_ON")
            side = row.row()
            side.alignment = "RIGHT"
            side.active = inside
            side.label(text=("seen" if seen else "not seen") if inside else "outside the clip")
            sure, touch = (float(data.get(f"closeint_{name}", 0.0)) for name in ("confidence", "contact"))
            box.progress(factor=min(max(sure, 0.0), 1.0), text=f"Confidence {100 * sure:.0f} %")
            box.progress(factor=min(max(touch, 0.0), 1.0), text=f"Contact {100 * touch:.0f} %")
        row = layout.row(align=True)
        row.operator("closeint.graph", depress=graph.is_shown(), icon="GRAPH")
        shown = any(ob is not None and SHOWN in ob for ob in pair.meshes())
        row.operator("closeint.overlay", depress=shown, icon="OVERLAY").show = "TOGGLE"


class _PairPanel(_Panel):
    """A part of the panel, where there are characters."""

    bl_parent_id: Any = "CLOSEINT_PT_look"

    @classmethod
    def poll(cls, context: Any) -> bool:
        return find_pair(context) is not None


class CLOSEINT_PT_worst(_PairPanel, bpy.types.Panel):
    """Where the motion is worst"""

    bl_idname = "CLOSEINT_PT_worst"
    bl_label = "Worst Frames"
    bl_order = 0

    def draw(self, context: Any) -> None:
        layout: Any = self.layout
        pair = find_pair(context)
        if pair is None:  # as in poll
            return
        column = layout.column(align=True)
        for kind, (_, title, form) in KINDS.items():
            values = pair_series(pair, kind)
            row = column.split(factor=0.66, align=True)
            row.operator("closeint.jump_to_worst", text=title, icon="NEXT_KEYFRAME").kind = kind
            side = row.row()
            side.alignment = "RIGHT"
            side.label(text="-" if values is None else form.format(float(values.max())))
        layout.operator("closeint.measure", icon="FILE_REFRESH")


class CLOSEINT_PT_correct(_PairPanel, bpy.types.Panel):
    """Corrections and contacts, and solving again around them"""

    bl_idname = "CLOSEINT_PT_correct"
    bl_label = "Correct"
    bl_order = 1

    def draw(self, context: Any) -> None:
        layout: Any = self.layout
        pair = find_pair(context)
        if pair is None:  # as in poll
            return
        if context.mode != "POSE":
            paragraph(layout, "In Pose Mode, key bones as they should be, or select bones and mark:", context)
        column = layout.column(align=True)
        column.operator("closeint.pin", icon="PINNED")
        row = column.row(align=True)
        row.operator("closeint.mark_contact", text="Contact Here", icon="LINKED").touch = True
        row.operator("closeint.mark_contact", text="No Contact Here", icon="UNLINKED").touch = False
        column.operator("closeint.show_edits", icon="VIEWZOOM")
        marks = marks_of(pair)
        if len(marks):
            box = layout.box().column(align=True)
            for index, mark in enumerate(marks):
                row = box.row(align=True)
                row.label(text=mark_text(mark), icon=_MARK_ICONS[mark.kind])
                row.operator("closeint.remove_mark", text="", icon="X").index = index
            box.operator("closeint.remove_mark", text="Remove All").index = -1
        row = layout.row()
        row.scale_y = 1.4
        row.operator("closeint.refine", icon="SHADERFX").blend = context.scene.closeint_refine_blend
        layout.prop(context.scene, "closeint_refine_blend")
        progress(layout, [job for job in session.jobs() if job.command == "refine"])
        message(layout, "look", context)


class CLOSEINT_PT_mend(_PairPanel, bpy.types.Panel):
    """Changes of both people together that do not part them"""

    bl_idname = "CLOSEINT_PT_mend"
    bl_label = "Both Together"
    bl_order = 2

    def draw(self, _context: Any) -> None:
        layout: Any = self.layout
        column = layout.column(align=True)
        column.operator("closeint.smooth", icon="MOD_SMOOTH")
        column.operator("closeint.to_floor", icon="SNAP_FACE")
        column.operator("closeint.reapply_clip", icon="FILE_REFRESH")


class CLOSEINT_PT_export(_PairPanel, bpy.types.Panel):
    """The characters in files for other programs"""

    bl_idname = "CLOSEINT_PT_export"
    bl_label = "Export"
    bl_options = {"DEFAULT_CLOSED"}
    bl_order = 3

    def draw(self, _context: Any) -> None:
        layout: Any = self.layout
        row = layout.row(align=True)
        for kind, label, _ in FORMATS:
            row.operator("closeint.export", text=label, icon="EXPORT").kind = kind


_CLASSES = (CLOSEINT_PT_look, CLOSEINT_PT_worst, CLOSEINT_PT_correct, CLOSEINT_PT_mend, CLOSEINT_PT_export)


def register() -> None:
    types.Scene.closeint_refine_blend = props.FloatProperty(
        name="Blend",
        description="Seconds before and after a correction in which refining may change the motion",
        default=0.5,
        min=0.05,
        soft_max=2.0,
        precision=2,
    )
    for cls in _CLASSES:
        bpy.utils.register_class(cls)


def unregister() -> None:
    for cls in reversed(_CLASSES):
        bpy.utils.unregister_class(cls)
    del types.Scene.closeint_refine_blend
