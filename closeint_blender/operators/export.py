# SPDX-License-Identifier: GPL-3.0-or-later
"""The characters into files for other programs, from the panel and from File > Export."""

# No postponed annotations here: Blender reads properties from them.
from pathlib import Path
from typing import Any

import bpy
from bpy.props import BoolProperty, EnumProperty, StringProperty
from bpy_extras.io_utils import ExportHelper

from closeint_core.errors import CloseintError

from ..exports import EXPORTERS, export_scene
from ..importer.pair import require_pair
from .for_pairs import ForPairs

FORMATS = (
    ("fbx", "FBX", "Unreal, Unity, Maya, MotionBuilder and others; starts at time 0"),
    ("glb", "GLB", "glTF in one file, for the web and game engines; starts at time 0"),
    ("usd", "USD", "Universal Scene Description, at the scene's frames"),
)


class CLOSEINT_OT_export(ForPairs, bpy.types.Operator, ExportHelper):
    """Write both characters and their camera, with the bodies' shapes in the meshes; the scene stays as it is"""

    bl_idname = "closeint.export"
    bl_label = "Export Characters"
    bl_options = {"PRESET"}

    filename_ext = ""
    filter_glob: StringProperty(default="*.fbx;*.glb;*.usdc;*.usd", options={"HIDDEN"})  # type: ignore[valid-type]
    kind: EnumProperty(name="Format", description="The file's format", items=FORMATS)  # type: ignore[valid-type]
    per_person: BoolProperty(  # type: ignore[valid-type]
        name="File per Person",
        description="A file for each person, ..._p1 and ..._p2, without the camera; the bones then have their plain "
        "names, for retargeting. In one FBX or GLB they end with _p1 and _p2",
        default=False,
    )

    def invoke(self, context: Any, event: Any) -> Any:
        if not self.filepath:  # type: ignore[has-type]  # the helper's property
            here = bpy.data.filepath
            self.filepath = f"{Path(here).with_suffix('') if here else 'characters'}{EXPORTERS[self.kind].suffix}"
        else:
            self.filepath = str(Path(self.filepath).with_suffix(EXPORTERS[self.kind].suffix))
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def check(self, _context: Any) -> bool:  # type: ignore[override]  # fake-bpy's helper has no result
        path = self._path()
        changed = str(path) != self.filepath
        self.filepath = str(path)
        return changed

    def _path(self) -> Path:
        """The path with a suffix of the format."""
        path, suffix = Path(self.filepath), EXPORTERS[self.kind].suffix
        known = {exporter.suffix for exporter in EXPORTERS.values()} | {".usd", ".usda"}
        if self.kind == "usd" and path.suffix.lower() in (".usd", ".usda", ".usdc"):
            return path
        if path.suffix.lower() == suffix or not path.name:
            return path
        return path.with_suffix(suffix) if path.suffix.lower() in known else path.with_name(path.name + suffix)

    def execute(self, context: Any) -> Any:
        try:
            pair = require_pair(context, edit=False)
            path = Path(bpy.path.abspath(str(self._path())))
            files = export_scene(path, self.kind, context, pair.objects(), self.per_person)
        except CloseintError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        self.report({"INFO"}, f"Wrote {', '.join(file.name for file in files)}")
        return {"FINISHED"}

    def draw(self, _context: Any) -> None:
        layout: Any = self.layout
        layout.use_property_split = True
        layout.use_property_decorate = False
        layout.prop(self, "kind")
        layout.prop(self, "per_person")


def _menu(self: Any, _context: Any) -> None:
    self.layout.operator(CLOSEINT_OT_export.bl_idname, text="closeint Characters (.fbx/.glb/.usd)")


def register() -> None:
    bpy.utils.register_class(CLOSEINT_OT_export)
    bpy.types.TOPBAR_MT_file_export.append(_menu)


def unregister() -> None:
    bpy.types.TOPBAR_MT_file_export.remove(_menu)
    bpy.utils.unregister_class(CLOSEINT_OT_export)
