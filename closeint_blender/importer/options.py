# SPDX-License-Identifier: GPL-3.0-or-later
"""What to import, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class ImportOptions:
    """Choices of an import.

    Attributes:
        start_frame: scene frame of the clip's first frame.
        camera: make the clip's camera and look through it.
        footage: show the footage behind the camera.
        footage_path: use this video or image folder instead of the one the clip names.
        set_scene: set the scene's frame rate, frame range and, with the camera, the resolution.
    """

    start_frame: int = 1
    camera: bool = True
    footage: bool = True
    footage_path: str = ""
    set_scene: bool = True


@dataclass
class ImportedPerson:
    """Names of what was made for one person."""

    armature: str
    mesh: str
    action: str


@dataclass
class ImportResult:
    """What an import made, by name: references die with the next undo."""

    collection: str
    people: list[ImportedPerson] = field(default_factory=list)
    camera: str | None = None
    warnings: list[str] = field(default_factory=list)
