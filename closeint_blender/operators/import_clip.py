# SPDX-License-Identifier: GPL-3.0-or-later
"""File > Import > closeint clip, and a clip dropped into the viewport."""

# No postponed annotations here: Blender reads properties from them.
import bpy
from bpy.props import BoolProperty, IntProperty, StringProperty
from bpy_extras.io_utils import ImportHelper

from closeint_core.errors import CloseintError

from ..importer.build import import_clip
from ..importer.options import ImportOptions


class CLOSEINT_OT_import_clip(bpy.types.Operator, ImportHelper):
    """Import the people, the camera and the footage of a closeint clip"""

    bl_idname = "closeint.import_clip"
    bl_label = "Import closeint Clip"
    bl_options = {"REGISTER", "UNDO", "PRESET"}

    filename_ext = ".npz"
    filter_glob: StringProperty(default="*.npz", options={"HIDDEN"})  # type: ignore[valid-type]
    start_frame: IntProperty(  # type: ignore[valid-type]
        name="Start Frame", description="Scene frame of the clip's first frame", default=1
    )
    camera: BoolProperty(  # type: ignore[valid-type]
        name="Camera", description="Make the camera that filmed the people and look through it", default=True
    )
    footage: BoolProperty(  # type: ignore[valid-type]
        name="Footage", description="Show the footage behind the camera", default=True
    )
    footage_path: StringProperty(  # type: ignore[valid-type]
        name="Footage File", description="Video or image folder to use instead of the one the clip names"
    )
    set_scene: BoolProperty(  # type: ignore[valid-type]
        name="Set Up Scene",
        description="Set the scene's frame rate, frame range and resolution to the clip's",
        default=True,
    )

    def execute(self, context):  # type: ignore[no-untyped-def]
        options = ImportOptions(self.start_frame, self.camera, self.footage, self.footage_path, self.set_scene)
        try:
            result = import_clip(context, self.filepath, options)
        except CloseintError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        for warning in result.warnings:
            self.report({"WARNING"}, warning)
        count = len(result.people)
        self.report({"INFO"}, f"Imported {count} {'person' if count == 1 else 'people'} as {result.collection}")
        return {"FINISHED"}

    def draw(self, _context):  # type: ignore[no-untyped-def]
        layout = self.layout
        layout.use_property_split = True
        layout.use_property_decorate = False
        layout.prop(self, "start_frame")
        layout.prop(self, "set_scene")
        layout.prop(self, "camera")
        column = layout.column()
        column.enabled = self.camera
        column.prop(self, "footage")
        row = column.row()
        row.enabled = self.footage
        row.prop(self, "footage_path")


class CLOSEINT_FH_clip(bpy.types.FileHandler):
    """Lets a clip be dropped into the viewport."""

    bl_idname = "CLOSEINT_FH_clip"
    bl_label = "closeint clip"
    bl_import_operator = "closeint.import_clip"
    bl_file_extensions = ".npz"

    @classmethod
    def poll_drop(cls, context):  # type: ignore[no-untyped-def]
        return context.area is not None and context.area.type in {"VIEW_3D", "OUTLINER"}


def _menu(self, _context):  # type: ignore[no-untyped-def]
    self.layout.operator(CLOSEINT_OT_import_clip.bl_idname, text="closeint Clip (.closeint.npz)")


_CLASSES = (CLOSEINT_OT_import_clip, CLOSEINT_FH_clip)


def register() -> None:
    for cls in _CLASSES:
        bpy.utils.register_class(cls)
    bpy.types.TOPBAR_MT_file_import.append(_menu)


def unregister() -> None:
    bpy.types.TOPBAR_MT_file_import.remove(_menu)
    for cls in reversed(_CLASSES):
        bpy.utils.unregister_class(cls)
