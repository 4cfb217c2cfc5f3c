# SPDX-License-Identifier: GPL-3.0-or-later
"""The scene's settings, ``scene.closeint``. Other parts hang their own groups on it when they register."""

# No postponed annotations here: Blender reads properties from them.
from typing import Any

import bpy
from bpy.props import BoolProperty, EnumProperty, FloatProperty, IntProperty, PointerProperty, StringProperty

from closeint_core.errors import CloseintError
from closeint_core.options import BY_NAME

from .dynamic import props, types
from .import_settings import ImportSettings


def choice_items(name: str) -> list[tuple[str, str, str, int]]:
    """Items of an enumeration from the table of options."""
    return [(choice.value, choice.title, choice.tip, choice.number) for choice in BY_NAME[name].choices]


class CLOSEINT_PG_import(ImportSettings, bpy.types.PropertyGroup):
    """How a result comes into the scene."""

    target: EnumProperty(  # type: ignore[valid-type]
        name="Result Onto",
        description="What the result is put on",
        items=(
            ("NEW", "New Characters", "Two new characters, with what is chosen below"),
            (
                "SAME",
                "Selected Characters",
                "The characters that are selected when the reconstruction is started: a new action for each; names, "
                "objects, materials and the old action stay",
            ),
        ),
    )


class CLOSEINT_PG_scene(bpy.types.PropertyGroup):
    """What a reconstruction is asked for."""

    video: StringProperty(  # type: ignore[valid-type]
        name="Video", description="Video, or folder of numbered images, of two people", subtype="FILE_PATH"
    )
    frames: EnumProperty(  # type: ignore[valid-type]
        name="Frames",
        description="Which part of the video to reconstruct",
        items=(
            ("ALL", "Whole Video", "Every frame of the video"),
            ("SCENE", "Scene Range", "The scene's frame range; scene frame 1 is the video's first frame"),
            ("RANGE", "Range", "From one frame of the video to another"),
        ),
    )
    first_frame: IntProperty(  # type: ignore[valid-type]
        name="First", description="First frame of the video, counted from 1", default=1, min=1
    )
    last_frame: IntProperty(  # type: ignore[valid-type]
        name="Last", description="Last frame of the video, this one included", default=250, min=1
    )
    fps: FloatProperty(  # type: ignore[valid-type]
        name="Frame Rate",
        description="True frames per second of the video, where it says another (slow motion) or none (images, which "
        "have 30 then); 0: as it says",
        default=0.0,
        min=0.0,
        max=1000.0,
        precision=3,
    )
    people: EnumProperty(  # type: ignore[valid-type]
        name="People",
        description="Which two people of the video to reconstruct",
        items=(
            ("AUTO", "Automatic", "The two who are large, stay long and come close to each other"),
            ("PICK", "Picked", "Two people picked in a frame of the video"),
        ),
    )
    pick_frame: IntProperty(  # type: ignore[valid-type]
        name="In Frame",
        description="Frame of the video in which to pick, counted from 1; 0 takes one in which most people are seen",
        default=0,
        min=0,
    )
    person_a: IntProperty(  # type: ignore[valid-type]
        name="First Person",
        description="Number, in the picture, of the person who becomes Person 1",
        default=-1,
        min=-1,
    )
    person_b: IntProperty(  # type: ignore[valid-type]
        name="Second Person",
        description="Number, in the picture, of the person who becomes Person 2",
        default=-1,
        min=-1,
    )
    lens: EnumProperty(  # type: ignore[valid-type]
        name="Lens",
        description="What is known of the lens; the better it is known, the better the depth",
        items=(
            ("AUTO", "Unknown", "Assume an ordinary lens"),
            ("MM", "Focal Length", "Focal length and width of the sensor, in millimetres"),
            ("PIXELS", "Pixels", "Focal length in pixels of the video"),
        ),
    )
    focal_mm: FloatProperty(  # type: ignore[valid-type]
        name="Focal Length", description="Millimetres", default=28.0, min=1.0, max=2000.0, precision=1
    )
    sensor_mm: FloatProperty(  # type: ignore[valid-type]
        name="Sensor Width",
        description="Millimetres along the longer side of the picture; 36 for a focal length in 35 mm equivalent",
        default=36.0,
        min=1.0,
        max=100.0,
        precision=1,
    )
    focal_px: FloatProperty(  # type: ignore[valid-type]
        name="Focal Length", description="Pixels of the video", default=1500.0, min=50.0, max=100000.0, precision=0
    )
    body: EnumProperty(  # type: ignore[valid-type]
        name="Body",
        description="Body model of the characters",
        items=choice_items("body"),
        default=BY_NAME["body"].default,
    )
    model: EnumProperty(  # type: ignore[valid-type]
        name="Model", description="What finds the motion", items=choice_items("model"), default=BY_NAME["model"].default
    )
    quality: EnumProperty(  # type: ignore[valid-type]
        name="Quality",
        description="Time against accuracy",
        items=choice_items("quality"),
        default=BY_NAME["quality"].default,
    )
    refine: BoolProperty(  # type: ignore[valid-type]
        name="Separate Bodies",
        description="Move the two out of each other on their exact surfaces at the end",
        default=True,
    )
    output: StringProperty(  # type: ignore[valid-type]
        name="Save In",
        description="Folder for the results; empty: a folder closeint beside the saved file, or the extension's own",
        subtype="DIR_PATH",
    )
    import_result: BoolProperty(  # type: ignore[valid-type]
        name="Import When Done", description="Bring the characters into the scene at the end", default=True
    )
    importing: PointerProperty(  # type: ignore[valid-type]
        name="Import", description="How a result comes into the scene", type=CLOSEINT_PG_import
    )


def scene_settings(context: bpy.types.Context) -> CLOSEINT_PG_scene:
    """``scene.closeint`` of the context's scene.

    Raises:
        CloseintError: there is no scene.
    """
    if context.scene is None:
        raise CloseintError("There is no scene.", "Make one first.")
    scene: Any = context.scene
    result: CLOSEINT_PG_scene = scene.closeint
    return result


def register() -> None:
    bpy.utils.register_class(CLOSEINT_PG_import)
    bpy.utils.register_class(CLOSEINT_PG_scene)
    types.Scene.closeint = props.PointerProperty(type=CLOSEINT_PG_scene, name="closeint")


def unregister() -> None:
    del types.Scene.closeint
    bpy.utils.unregister_class(CLOSEINT_PG_scene)
    bpy.utils.unregister_class(CLOSEINT_PG_import)
