# SPDX-License-Identifier: GPL-3.0-or-later
"""The history of results: import again, forget."""

# No postponed annotations here: Blender reads properties from them.
from pathlib import Path
from typing import Any

import bpy
from bpy.props import StringProperty

from closeint_core.errors import CloseintError

from .. import session
from ..dynamic import utils
from ..import_settings import values_of
from .reconstruct import import_result


class CLOSEINT_OT_import_result(bpy.types.Operator):
    """Import this result into the scene, with the panel's import options"""

    bl_idname = "closeint.import_result"
    bl_label = "Import Result"
    bl_options = {"INTERNAL"}

    clip: StringProperty(  # type: ignore[valid-type]
        name="Clip", description="The result's clip file", subtype="FILE_PATH"
    )

    def execute(self, context: Any) -> Any:
        entry = next((entry for entry in session.history().entries if entry.clip == self.clip), None)
        if not Path(self.clip).is_file():
            self.report({"ERROR"}, f"The clip {self.clip} is not there any more; reconstruct the video again.")
            return {"CANCELLED"}
        try:
            import_result(self.clip, values_of(context.scene.closeint.importing), entry.video if entry else "")
        except RuntimeError as error:
            self.report({"ERROR"}, str(error).strip().removeprefix("Error: "))
            return {"CANCELLED"}
        return {"FINISHED"}


class CLOSEINT_OT_forget_result(bpy.types.Operator):
    """Take this result off the list; its file stays"""

    bl_idname = "closeint.forget_result"
    bl_label = "Forget Result"
    bl_options = {"INTERNAL"}

    clip: StringProperty(  # type: ignore[valid-type]
        name="Clip", description="The result's clip file", subtype="FILE_PATH"
    )

    def execute(self, _context: Any) -> Any:
        try:
            session.history().remove(self.clip)
        except CloseintError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        return {"FINISHED"}


class CLOSEINT_OT_hide_cube(bpy.types.Operator):
    """Hide the cube of Blender's start-up file, which stands where the people stand"""

    bl_idname = "closeint.hide_cube"
    bl_label = "Hide the Default Cube"
    bl_options = {"REGISTER", "UNDO", "INTERNAL"}

    def execute(self, context: Any) -> Any:
        cube = default_cube(context)
        if cube is None:
            self.report({"INFO"}, "There is no default cube.")
            return {"CANCELLED"}
        cube.hide_set(True)
        cube.hide_render = True
        return {"FINISHED"}


def default_cube(context: Any) -> Any:
    """The cube of the start-up file if it is as it was and is seen; None otherwise."""
    cube = context.scene.objects.get("Cube")
    if cube is None or cube.type != "MESH" or len(cube.data.vertices) != 8 or not cube.visible_get():
        return None
    untouched = max(abs(x) for x in cube.location) < 1e-6 and max(abs(x - 2.0) for x in cube.dimensions) < 1e-5
    return cube if untouched else None


_CLASSES = (CLOSEINT_OT_import_result, CLOSEINT_OT_forget_result, CLOSEINT_OT_hide_cube)

register, unregister = utils.register_classes_factory(_CLASSES)
