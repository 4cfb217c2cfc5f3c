# SPDX-License-Identifier: GPL-3.0-or-later
"""File > Import > closeint clip, a clip dropped into the viewport, and a clip on characters that are there."""

# No postponed annotations here: Blender reads properties from them.
import bpy
from bpy.props import BoolProperty, EnumProperty, IntProperty, StringProperty
from bpy_extras.io_utils import ImportHelper

from closeint_core.errors import CloseintError

from ..importer.build import import_clip
from ..importer.options import ImportOptions
from ..importer.pair import find_pair, require_pair
from ..importer.reapply import reapply_clip
from ..pair_tools import is_measured, marks_of, measure


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
        description="Set the scene's frame range and resolution to the clip's, and its rate where Timing says so",
        default=True,
    )
    timing: EnumProperty(  # type: ignore[valid-type]
        name="Timing",
        description="What to do when the clip and the scene have different frame rates",
        items=(
            ("CLIP", "Set Scene Rate", "The scene takes the clip's frame rate; every frame is a frame of the footage"),
            ("SCENE", "Scale to Scene", "The scene keeps its rate and the motion its speed; keys lie between frames"),
            ("FRAMES", "Frame by Frame", "A frame of the clip is a frame of the scene, whatever the rates"),
        ),
        default="CLIP",
    )
    meshes: BoolProperty(  # type: ignore[valid-type]
        name="Meshes", description="Make the skinned meshes; without, only the armatures", default=True
    )
    floor: BoolProperty(  # type: ignore[valid-type]
        name="Floor",
        description="Make a floor under the people that catches shadows, in a collection of its own",
        default=False,
    )
    own_collection: BoolProperty(  # type: ignore[valid-type]
        name="New Collection",
        description="Put everything into a new collection named after the clip; without, into the active one",
        default=True,
    )
    nla: BoolProperty(  # type: ignore[valid-type]
        name="NLA Strips",
        description="Put the motion into strips of the NLA editor instead of the active action",
        default=False,
    )

    def execute(self, context):  # type: ignore[no-untyped-def]
        options = ImportOptions(
            start_frame=self.start_frame,
            camera=self.camera,
            footage=self.footage,
            footage_path=self.footage_path,
            set_scene=self.set_scene,
            timing=self.timing,
            meshes=self.meshes,
            floor=self.floor,
            own_collection=self.own_collection,
            nla=self.nla,
        )
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
        header, body = layout.panel("closeint_import_time", default_closed=False)
        header.label(text="Time")
        if body:
            body.prop(self, "start_frame")
            body.prop(self, "timing")
            body.prop(self, "set_scene")
        header, body = layout.panel("closeint_import_include", default_closed=False)
        header.label(text="Include")
        if body:
            body.prop(self, "meshes")
            body.prop(self, "camera")
            column = body.column()
            column.enabled = self.camera
            column.prop(self, "footage")
            row = column.row()
            row.enabled = self.footage
            row.prop(self, "footage_path")
            body.prop(self, "floor")
        header, body = layout.panel("closeint_import_scene", default_closed=False)
        header.label(text="Scene")
        if body:
            body.prop(self, "own_collection")
            body.prop(self, "nla")


class CLOSEINT_OT_reapply_clip(bpy.types.Operator, ImportHelper):
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

    @classmethod
    def poll(cls, context):  # type: ignore[no-untyped-def]
        cls.poll_message_set("No characters of a clip in the scene")
        return any("closeint_pair" in ob for ob in context.scene.objects)

    def invoke(self, context, event):  # type: ignore[no-untyped-def]
        pair = find_pair(context)
        if pair is not None and not self.filepath:
            self.filepath = pair.clip
        return super().invoke(context, event)

    def execute(self, context):  # type: ignore[no-untyped-def]
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

    def draw(self, _context):  # type: ignore[no-untyped-def]
        layout = self.layout
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
    def poll_drop(cls, context):  # type: ignore[no-untyped-def]
        return context.area is not None and context.area.type in {"VIEW_3D", "OUTLINER"}


def _menu(self, _context):  # type: ignore[no-untyped-def]
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
