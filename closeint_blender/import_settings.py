# SPDX-License-Identifier: GPL-3.0-or-later
"""How a clip is imported: the options of File > Import and of the Reconstruct panel, defined once."""

# No postponed annotations here: Blender reads properties from them.
from typing import Any

from bpy.props import BoolProperty, EnumProperty, IntProperty

from .importer.options import ImportOptions


class ImportSettings:
    """Mixin of an operator or a property group that has the options."""

    start_frame: IntProperty(  # type: ignore[valid-type]
        name="Start Frame", description="Scene frame of the clip's first frame", default=1
    )
    timing: EnumProperty(  # type: ignore[valid-type]
        name="Timing",
        description="What to do when the clip and the scene have different frame rates",
        items=(
            (
                "CLIP",
                "Set Scene Rate",
                "The scene takes the clip's frame rate, so that every frame is a frame of the footage. A scene that is "
                "not set up keeps its rate, and the motion its speed",
            ),
            ("SCENE", "Scale to Scene", "The scene keeps its rate and the motion its speed; keys lie between frames"),
            ("FRAMES", "Frame by Frame", "A frame of the clip is a frame of the scene, whatever the rates"),
        ),
        default="CLIP",
    )
    set_scene: EnumProperty(  # type: ignore[valid-type]
        name="Set Up Scene",
        description="Give the scene the clip's frame range, resolution and camera, and its rate where Timing says so",
        items=(
            ("NEVER", "Never", "The scene keeps its frame rate, range, resolution and camera", 0),
            ("ALWAYS", "Always", "The scene takes the clip's frame rate, range, resolution and camera", 1),
            (
                "AUTO",
                "If Untouched",
                "Only a scene as Blender starts with: its own frame rate, range, size and camera, nothing animated. "
                "A shot that is there keeps all of these",
                2,
            ),
        ),
        default="AUTO",
    )
    meshes: BoolProperty(  # type: ignore[valid-type]
        name="Meshes", description="Make the skinned meshes; without, only the armatures", default=True
    )
    camera: BoolProperty(  # type: ignore[valid-type]
        name="Camera", description="Make the camera that filmed the people and look through it", default=True
    )
    footage: BoolProperty(  # type: ignore[valid-type]
        name="Footage", description="Show the footage behind the camera", default=True
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


NAMES = tuple(ImportSettings.__annotations__)
"""Of the options; ``ImportOptions`` has them too."""


def values_of(owner: Any) -> dict[str, Any]:
    """The options as they are set, by name."""
    return {name: getattr(owner, name) for name in NAMES}


def options_of(owner: Any, footage_path: str = "") -> ImportOptions:
    """The options as the importer takes them."""
    return ImportOptions(**values_of(owner), footage_path=footage_path)


def draw_time(layout: Any, owner: Any, starts_elsewhere: bool = False) -> None:
    """When the motion is."""
    row = layout.row()
    row.enabled = not starts_elsewhere
    row.prop(owner, "start_frame")
    layout.prop(owner, "timing")
    layout.prop(owner, "set_scene")


def draw_included(layout: Any, owner: Any) -> Any:
    """What is made; returns the column of the camera's footage."""
    layout.prop(owner, "meshes")
    layout.prop(owner, "camera")
    column = layout.column()
    column.enabled = owner.camera
    column.prop(owner, "footage")
    layout.prop(owner, "floor")
    return column


def draw_places(layout: Any, owner: Any) -> None:
    """Where it goes."""
    layout.prop(owner, "own_collection")
    layout.prop(owner, "nla")
