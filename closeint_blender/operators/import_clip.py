# SPDX-License-Identifier: GPL-3.0-or-later
"""File > Import > closeint clip, a clip dropped into the viewport, and a clip on characters that are there."""

# No postponed annotations here: Blender reads properties from them.
from pathlib import Path
from typing import Any

import bpy
from bpy.props import BoolProperty, StringProperty
from bpy_extras.io_utils import ImportHelper

from closeint_core.errors import CloseintError

from ..import_settings import ImportSettings, draw_included, draw_places, draw_time, options_of
from ..importer.build import import_clip
from ..importer.pair import find_pair, require_pair
from ..importer.reapply import reapply_clip
from ..pair_edit import is_measured, marks_of, measure
from .for_pairs import ForPairs


class CLOSEINT_OT_import_clip(ImportSettings, bpy.types.Operator, ImportHelper):  # type: ignore[misc]  # fake-bpy's check differs
    """Import the people, the camera and the footage of a closeint clip"""

    bl_idname = "closeint.import_clip"
    bl_label = "Import closeint Clip"
    bl_options = {"REGISTER", "UNDO", "PRESET"}

    filename_ext = ".npz"
    # Not kept from call to call: what is set is a dropped file.
    filepath: StringProperty(  # type: ignore[valid-type]
        name="Clip", description="Clip file to import", subtype="FILE_PATH", maxlen=1024, options={"SKIP_SAVE"}
    )
    filter_glob: StringProperty(default="*.npz", options={"HIDDEN"})  # type: ignore[valid-type]
    footage_path: StringProperty(  # type: ignore[valid-type]
        name="Footage File", description="Video or image folder to use instead of the one the clip names"
    )

    def invoke(self, context: Any, event: Any) -> Any:
        """The options of a dropped file; the file browser without one."""
        if not self.properties.is_property_set("filepath"):
            return super().invoke(context, event)
        title = f"Import {Path(self.filepath).name}"
        return context.window_manager.invoke_props_dialog(self, width=340, title=title, confirm_text="Import")

    def execute(self, context: Any) -> Any:
        try:
            result = import_clip(context, self.filepath, options_of(self, self.footage_path))
        except CloseintError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        for warning in result.warnings:
            self.report({"WARNING"}, warning)
        for note in result.notes:
            self.report({"INFO"}, note)
        count = len(result.people)
        self.report({"INFO"}, f"Imported {count} {'person' if count == 1 else 'people'} as {result.collection}")
        return {"FINISHED"}

    def draw(self, _context: Any) -> None:
        layout: Any = self.layout
        layout.use_property_split = True
        layout.use_property_decorate = False
        header, body = layout.panel("closeint_import_time", default_closed=False)
        header.label(text="Time")
        if body:
            draw_time(body, self)
        header, body = layout.panel("closeint_import_include", default_closed=False)
        header.label(text="Include")
        if body:
            row = draw_included(body, self).row()
            row.enabled = self.footage
            row.prop(self, "footage_path")
        header, body = layout.panel("closeint_import_scene", default_closed=False)
        header.label(text="Scene")
        if body:
            draw_places(body, self)


class CLOSEINT_OT_reapply_clip(ForPairs, bpy.types.Operator, ImportHelper):  # type: ignore[misc]  # fake-bpy's check differs
    """Put another clip on the selected characters: names, objects, materials and modifiers stay, the motion is new"""

    bl_idname = "closeint.reapply_clip"
    bl_label = "Apply Clip to Characters"
    bl_options = {"REGISTER", "UNDO"}

    filename_ext = ".npz"
    filter_glob: StringProperty(default="*.npz", options={"HIDDEN"})  # type: ignore[valid-type]
    character: StringProperty(  # type: ignore[valid-type]
        name="Character",
        description="Armature of one of the characters; empty: the active or the only ones",
        options={"SKIP_SAVE"},
    )
    swap: BoolProperty(  # type: ignore[valid-type]
        name="Swap People", description="The clip has the two people the other way round", options={"SKIP_SAVE"}
    )
    camera: BoolProperty(  # type: ignore[valid-type]
        name="Camera", description="Move the characters' camera to where the clip has it", default=True
    )
    clear_marks: BoolProperty(  # type: ignore[valid-type]
        name="Clear Marks",
        description="Empty the list of corrections and contacts, which the clip has in it",
        options={"HIDDEN", "SKIP_SAVE"},
    )

    def invoke(self, context: Any, event: Any) -> Any:
        pair = find_pair(context)
        if pair is not None and not self.filepath:  # type: ignore[has-type]  # the helper's property
            self.filepath = str(pair.clip_path())
        return super().invoke(context, event)

    def execute(self, context: Any) -> Any:
        try:
            wanted = bpy.data.objects.get(self.character) if self.character else None
            pair = require_pair(context, wanted)
            measured = is_measured(pair)
            result = reapply_clip(context, pair, self.filepath, self.swap, self.camera)
            pair = require_pair(context, bpy.data.objects[pair.armatures[0]])
            if measured:
                measure(pair)
            if self.clear_marks:
                marks_of(pair).clear()
        except CloseintError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        for warning in result.warnings:
            self.report({"WARNING"}, warning)
        self.report({"INFO"}, f"Applied to {', '.join(person.armature for person in result.people)}")
        return {"FINISHED"}

    def draw(self, _context: Any) -> None:
        layout: Any = self.layout
        layout.use_property_split = True
        layout.use_property_decorate = False
        layout.prop(self, "swap")
        layout.prop(self, "camera")


class CLOSEINT_FH_clip(bpy.types.FileHandler):
    """Lets a clip be dropped into the viewport."""

    bl_idname = "CLOSEINT_FH_clip"
    bl_label = "closeint clip"
    bl_import_operator = "closeint.import_clip"
    bl_file_extensions = ".npz"

    @classmethod
    def poll_drop(cls, context: Any) -> bool:
        return context.area is not None and context.area.type in {"VIEW_3D", "OUTLINER"}


def _menu(self: Any, _context: Any) -> None:
    self.layout.operator(CLOSEINT_OT_import_clip.bl_idname, text="closeint Clip (.closeint.npz)")


_CLASSES = (CLOSEINT_OT_import_clip, CLOSEINT_OT_reapply_clip, CLOSEINT_FH_clip)


def register() -> None:
    for cls in _CLASSES:
        bpy.utils.register_class(cls)
    bpy.types.TOPBAR_MT_file_import.append(_menu)


def unregister() -> None:
    bpy.types.TOPBAR_MT_file_import.remove(_menu)
    for cls in reversed(_CLASSES):
        bpy.utils.unregister_class(cls)
