# SPDX-License-Identifier: GPL-3.0-or-later
"""What to import, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Timing = Literal["CLIP", "SCENE", "FRAMES"]
SetScene = Literal["AUTO", "ALWAYS", "NEVER"]


@dataclass(frozen=True)
class ImportOptions:
    """Choices of an import.

    Attributes:
        start_frame: scene frame of the clip's first frame.
        camera: make the clip's camera and look through it.
        footage: show the footage behind the camera.
        footage_path: use this video or image folder instead of the one the clip names.
        set_scene: set the scene's frame range and, with the camera, its camera and resolution; with ``timing`` CLIP
            also its rate. AUTO: only a scene that nobody has worked on (``scene_state.is_untouched``).
        timing: CLIP: the scene takes the clip's frame rate, where it is set up; elsewhere as SCENE.
            SCENE: the scene keeps its rate and the clip its speed, so that keys lie between frames. FRAMES: a clip
            frame is a scene frame whatever the rates.
        meshes: make the skinned meshes; False: armatures only.
        floor: make a floor under the people, in a collection of its own.
        own_collection: put everything into a new collection named after the clip; False: into the active one.
        nla: put the motion into NLA strips instead of the active action.
    """

    start_frame: int = 1
    camera: bool = True
    footage: bool = True
    footage_path: str = ""
    set_scene: SetScene = "AUTO"
    timing: Timing = "CLIP"
    meshes: bool = True
    floor: bool = False
    own_collection: bool = True
    nla: bool = False


@dataclass
class ImportedPerson:
    """Names of what was made for one person; the mesh's is empty when there is none."""

    armature: str
    mesh: str
    action: str


@dataclass
class ImportResult:
    """What an import made, by name: references die with the next undo; with what is wrong, and what is good to know."""

    collection: str
    people: list[ImportedPerson] = field(default_factory=list)
    camera: str | None = None
    warnings: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    floor: str | None = None
