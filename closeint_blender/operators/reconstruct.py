# SPDX-License-Identifier: GPL-3.0-or-later
"""Reconstruct: from the scene's settings, or from the operator's own, to characters."""

# No postponed annotations here: Blender reads properties from them.
import contextlib
import functools
import os
from pathlib import Path
from typing import Any

import bpy
from bpy.props import BoolProperty, EnumProperty, FloatProperty, IntVectorProperty, StringProperty
from bpy_extras.io_utils import ImportHelper

from closeint_core.clip import SUFFIX
from closeint_core.errors import CloseintError
from closeint_core.options import read_frames
from closeint_core.settings import MODELS
from closeint_core.worker.client import Job

from .. import session
from ..dynamic import app_context, ops, utils
from ..import_settings import values_of
from ..importer.pair import require_pair
from ..properties import scene_settings
from ..scene_state import is_untouched
from ..sidebar import CATEGORY
from ..video_paths import video_path
from .jobs import JobOperator

VIDEO_SUFFIXES = (".mp4", ".mov", ".m4v", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".mts", ".wmv", ".ogv")


class CLOSEINT_OT_reconstruct(JobOperator, bpy.types.Operator):
    """Reconstruct the two people of the video and bring them into the scene. Blender stays usable meanwhile"""

    bl_idname = "closeint.reconstruct"
    bl_label = "Reconstruct"
    bl_options = {"REGISTER"}

    # From Python; in the panel everything comes from the scene.
    video: StringProperty(name="Video", description="Empty: the scene's setting", subtype="FILE_PATH")  # type: ignore[valid-type]
    output: StringProperty(  # type: ignore[valid-type]
        name="Clip", description="Clip file to write; empty: named after the video", subtype="FILE_PATH"
    )
    frames: StringProperty(  # type: ignore[valid-type]
        name="Frames", description="A:B, counted from 0, without B, as in the command; empty: the scene's setting"
    )
    fps: FloatProperty(  # type: ignore[valid-type]
        name="Frame Rate",
        description="True frames per second of the video; 0: the scene's setting",
        default=0.0,
        min=0.0,
    )
    people: IntVectorProperty(  # type: ignore[valid-type]
        name="People", description="Numbers of the two people, as in the command; -1: the scene's setting",
        size=2, default=(-1, -1), min=-1,
    )  # fmt: skip
    focal: FloatProperty(  # type: ignore[valid-type]
        name="Focal Length", description="Pixels; 0: the scene's setting", default=0.0, min=0.0
    )
    body: StringProperty(  # type: ignore[valid-type]
        name="Body", description="Body model, or path of a body file; empty: the scene's setting"
    )
    model: StringProperty(  # type: ignore[valid-type]
        name="Model", description="Model that finds the motion, as in the command; empty: the scene's setting"
    )
    quality: EnumProperty(  # type: ignore[valid-type]
        name="Quality",
        description="Time against accuracy",
        items=(
            ("scene", "Scene", "The scene's setting"),
            ("draft", "Draft", "Quick"),
            ("standard", "Standard", "The measured default"),
            ("high", "High", "Slow"),
        ),
    )
    refine: BoolProperty(  # type: ignore[valid-type]
        name="Separate Bodies",
        description="Move the two out of each other on their exact surfaces, if the scene says so too",
        default=True,
    )
    device: EnumProperty(  # type: ignore[valid-type]
        name="Device",
        description="Where the networks run",
        items=(
            ("preferences", "Preferences", "The extension's preference"),
            ("auto", "Automatic", "The GPU if there is one that fits"),
            ("cpu", "CPU", "The processor"),
            ("cuda", "CUDA", "An NVIDIA GPU"),
        ),
    )
    import_result: BoolProperty(  # type: ignore[valid-type]
        name="Import", description="Import the clip at the end, if the scene says so too", default=True
    )

    @classmethod
    def poll(cls, context: Any) -> bool:
        if context.scene is None:
            cls.poll_message_set("There is no scene.")
            return False
        kind, text = session.worker_state()
        if kind != "ready":
            cls.poll_message_set(f"{text}. See Set-Up below.")
            return False
        return True

    def submit(self, context: Any) -> Job:
        settings = scene_settings(context)
        video = video_path(self.video or settings.video)
        if not str(video) or str(video) == ".":
            raise CloseintError("No video is chosen.", "Choose one with the folder button.")
        if not video.exists():
            raise CloseintError(f"There is no video {video}.", "Choose it again.")
        parameters: dict[str, Any] = {
            "input": str(video),
            "output": str(absolute(self.output) if self.output else free_clip_path(context, video)),
            "body": self.body or settings.body,
            "model": self.model or settings.model or MODELS[0],  # none: of a file of a later version
            "quality": settings.quality if self.quality == "scene" else self.quality,
            "refine": bool(settings.refine and self.refine),
            "frames": list(read_frames(self.frames)) if self.frames else scene_frames(context),
            "people": list(self.people) if min(self.people) >= 0 else _people_of(settings, video),
        }
        if rate := self.fps or settings.fps:
            parameters["fps"] = float(rate)
        if self.device != "preferences":
            parameters["device"] = self.device
        if self.focal > 0:
            parameters["focal"] = float(self.focal)
        elif settings.lens == "PIXELS":
            parameters["focal"] = float(settings.focal_px)
        elif settings.lens == "MM":
            parameters |= {"focal_mm": float(settings.focal_mm), "sensor_mm": float(settings.sensor_mm)}
        self._import = bool(self.import_result and settings.import_result)
        self._target = ""
        if self._import and settings.importing.target == "SAME":
            self._target = require_pair(context).armatures[0]
        # As they are now: another reconstruction may be asked for with others before this one is done.
        self._options = values_of(settings.importing)
        if settings.frames == "SCENE" and not self.frames:
            # With the scene's own range, the characters move where the range says.
            self._options["start_frame"] = context.scene.frame_start
        self._scene = context.scene.name
        return session.submit("reconstruct", **parameters)

    def finish(self, context: Any, job: Job) -> None:
        session.remember(job)
        path = job.result["path"]
        if not self._import or context.scene is None or context.scene.name != self._scene:
            session.say(self.panel, "INFO", f"Saved {path}; import it from Results.")
        elif not self._target:
            keeps = self._options["set_scene"] == "AUTO" and not is_untouched(context.scene)
            import_result(path, self._options, footage=str(job.parameters["input"]))
            more = " The scene keeps its frame rate, range, size and camera (Import > Set Up Scene)." if keeps else ""
            session.say(self.panel, "INFO", f"Imported {Path(path).name}.{more}")
        elif self._target in bpy.data.objects:
            ops.closeint.reapply_clip("EXEC_DEFAULT", True, filepath=path, character=self._target)
            session.say(self.panel, "INFO", f"Imported {Path(path).name} onto {self._target} and the partner.")
        else:
            raise CloseintError(
                f"The character {self._target} is not there any more, so the result was only saved.",
                "Import it from Results.",
            )
        self.report({"INFO"}, f"Reconstructed {Path(path).name}")


class CLOSEINT_OT_choose_video(bpy.types.Operator, ImportHelper):  # type: ignore[misc]  # fake-bpy's check differs
    """Choose a video, or a folder of numbered images, of two people"""

    bl_idname = "closeint.choose_video"
    bl_label = "Choose Video"
    bl_options = {"REGISTER", "UNDO", "INTERNAL"}

    filter_glob: StringProperty(  # type: ignore[valid-type]
        default=";".join(f"*{suffix}" for suffix in VIDEO_SUFFIXES), options={"HIDDEN"}
    )
    start: BoolProperty(  # type: ignore[valid-type]
        name="Reconstruct at Once", description="Start the reconstruction with the present settings"
    )
    sample: BoolProperty(  # type: ignore[valid-type]
        name="Bundled Sample", description="Take the extension's sample video", options={"HIDDEN", "SKIP_SAVE"}
    )

    @classmethod
    def description(cls, _context: Any, properties: Any) -> str:
        if properties.sample:
            return "Take the sample video that comes with the extension: a greeting of five seconds"
        if properties.start:
            return "Choose a video of two people and reconstruct it with the present settings"
        return "Choose a video, or a folder of numbered images, of two people"

    def invoke(self, context: Any, event: Any) -> Any:
        if self.sample:
            self.filepath = str(session.sample_video())
            return self.execute(context)
        return super().invoke(context, event)

    def execute(self, context: Any) -> Any:
        try:
            path = video_path(self.filepath)
        except CloseintError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        if not path.exists():
            self.report({"ERROR"}, f"There is no video {path}.")
            return {"CANCELLED"}
        context.scene.closeint.video = str(path)
        session.state.said.pop("reconstruct", None)
        if self.start:
            ops.closeint.reconstruct("INVOKE_DEFAULT")
        return {"FINISHED"}


class CLOSEINT_OT_drop_video(bpy.types.Operator):
    """Take a dropped video as the one to reconstruct, and show the panel"""

    bl_idname = "closeint.drop_video"
    bl_label = "closeint: Reconstruct Two People"
    bl_options = {"REGISTER", "UNDO", "INTERNAL"}

    filepath: StringProperty(subtype="FILE_PATH", options={"SKIP_SAVE"})  # type: ignore[valid-type]

    def execute(self, context: Any) -> Any:
        if not Path(self.filepath).exists():
            self.report({"ERROR"}, f"There is no video {self.filepath}.")
            return {"CANCELLED"}
        context.scene.closeint.video = self.filepath
        area = context.area
        if area is not None and area.type == "VIEW_3D":
            area.spaces.active.show_region_ui = True
            if not bpy.app.background:
                bpy.app.timers.register(functools.partial(_show_tab, area.as_pointer(), [20]), first_interval=0.05)
        self.report({"INFO"}, "Video chosen; press Reconstruct in the sidebar (N), tab closeint")
        return {"FINISHED"}


class CLOSEINT_FH_video(bpy.types.FileHandler):
    """Lets a video be dropped into the viewport."""

    bl_idname = "CLOSEINT_FH_video"
    bl_label = "closeint video"
    bl_import_operator = "closeint.drop_video"
    bl_file_extensions = ";".join(VIDEO_SUFFIXES)

    @classmethod
    def poll_drop(cls, context: Any) -> bool:
        return context.area is not None and context.area.type == "VIEW_3D"


def _show_tab(area_pointer: int, tries: list[int]) -> float | None:
    """Bring the tab to the front; a timer, since a sidebar has no tabs before it is drawn for the first time."""
    tries[0] -= 1
    for window in app_context.window_manager.windows:
        for area in window.screen.areas:
            if area.as_pointer() == area_pointer:
                region: Any = next((region for region in area.regions if region.type == "UI"), None)
                with contextlib.suppress(TypeError, AttributeError):
                    region.active_panel_category = CATEGORY
                    region.tag_redraw()
                    return None
    return 0.1 if tries[0] > 0 else None


def absolute(path: str) -> Path:
    """A path as the user gives it, possibly relative to the .blend."""
    return Path(bpy.path.abspath(path)) if path else Path()


def scene_frames(context: Any) -> list[int | None] | None:
    """The frames of the video that the scene's settings name: [first, end) from 0, or None for all.

    Raises:
        CloseintError: the range is empty or lies before the video's first frame.
    """
    settings, scene = scene_settings(context), context.scene
    if settings.frames == "ALL":
        return None
    if settings.frames == "SCENE":
        first, last = scene.frame_start, scene.frame_end
    else:
        first, last = settings.first_frame, settings.last_frame
    if first < 1:
        raise CloseintError(f"Frame {first} is before the video's first, which is 1.", "Choose a later start.")
    if last < first:
        raise CloseintError(f"The frames {first} to {last} are none.", "The last frame must not be before the first.")
    return [first - 1, last]


def free_clip_path(context: Any, video: Path) -> Path:
    """A clip file that does not exist, named after the video, where the scene's settings say."""
    settings = scene_settings(context)
    if settings.output:
        folder = absolute(settings.output)
    elif bpy.data.filepath:
        folder = Path(bpy.data.filepath).parent / "closeint"
    else:
        folder = session.user_folder() / "results"
    stem = video.stem if video.is_file() else video.name
    taken = {Path(job.parameters.get("output", "")) for job in session.jobs()}
    number = 1
    while True:
        name = f"{stem}{'' if number == 1 else f'-{number}'}{SUFFIX}"
        if not (folder / name).exists() and folder / name not in taken:
            return folder / name
        number += 1


def import_result(path: str, options: dict[str, Any], footage: str = "") -> None:
    """Import a clip as one undo step; ``options`` as of ``import_settings.values_of``."""
    if footage and os.path.exists(footage):
        options = {**options, "footage_path": footage}
    ops.closeint.import_clip("EXEC_DEFAULT", True, filepath=path, **options)


def _people_of(settings: Any, video: Path) -> Any:
    """What the worker is told about the people.

    Raises:
        CloseintError: people were to be picked and were not.
    """
    if settings.people == "AUTO":
        return None
    found = session.state.detection
    if found is None or Path(found.video) != video:
        raise CloseintError("No people are picked in this video.", "Press Find People, or choose Automatic.")
    chosen = [number for number in (settings.person_a, settings.person_b) if 0 <= number < len(found.boxes)]
    if not chosen or len(set(chosen)) != len(chosen):
        raise CloseintError("Two different people are needed.", "Pick them by their numbers in the picture.")
    return {"frame": found.frame, "boxes": [found.boxes[number] for number in chosen]}


_CLASSES = (CLOSEINT_OT_reconstruct, CLOSEINT_OT_choose_video, CLOSEINT_OT_drop_video, CLOSEINT_FH_video)

register, unregister = utils.register_classes_factory(_CLASSES)
