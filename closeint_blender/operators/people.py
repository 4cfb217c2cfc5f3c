# SPDX-License-Identifier: GPL-3.0-or-later
"""The person picker: find the people of a frame, pick two, swap them."""

# No postponed annotations here: Blender reads properties from them.
import zlib
from pathlib import Path
from typing import Any

import bpy
from bpy.props import IntProperty

from closeint_core.errors import CloseintError
from closeint_core.worker.client import Job

from .. import session
from ..dynamic import utils
from ..properties import scene_settings
from ..video_paths import video_path
from .jobs import JobOperator
from .reconstruct import scene_frames


class CLOSEINT_OT_find_people(JobOperator, bpy.types.Operator):
    """Find the people in one frame of the video and show them with numbers"""

    bl_idname = "closeint.find_people"
    bl_label = "Find People"
    bl_options = {"REGISTER", "INTERNAL"}

    @classmethod
    def poll(cls, context: Any) -> bool:
        kind, text = session.worker_state()
        if context.scene is None or kind != "ready":
            cls.poll_message_set(f"{text}. See Set-Up below.")
            return False
        if not context.scene.closeint.video:
            cls.poll_message_set("Choose a video first.")
            return False
        return True

    def submit(self, context: Any) -> Job:
        settings = scene_settings(context)
        video = video_path(settings.video)
        if not video.exists():
            raise CloseintError(f"There is no video {video}.", "Choose it again.")
        frame = settings.pick_frame - 1 if settings.pick_frame > 0 else None
        if frame is None and (part := scene_frames(context)) is not None:
            frame = (part[0] or 0) + ((part[1] or 0) - (part[0] or 0)) // 2
        self._scene = context.scene.name
        name = f"people-{zlib.crc32(str(video).encode()):08x}.png"
        picture = session.user_folder() / "thumbnails" / name
        return session.submit("detect", input=str(video), output=str(picture), frame=frame)

    def finish(self, context: Any, job: Job) -> None:
        result = job.result
        session.state.detection = session.Detection(
            video=str(Path(job.parameters["input"])),
            frame=int(result["frame"]),
            frame_count=int(result["frame_count"]),
            picture=str(result["path"]),
            boxes=[person["box"] for person in result["people"]],
            suggested=list(result["suggested"]),
        )
        scene = bpy.data.scenes.get(self._scene)
        if scene is not None:
            pair = [*result["suggested"], -1, -1]
            scene.closeint.people = "PICK"
            scene.closeint.person_a, scene.closeint.person_b = pair[0], pair[1]
        count = len(result["people"])
        if count < 2:
            session.say(self.panel, "WARNING", f"Only one person was found in frame {result['frame'] + 1}.")
        self.report({"INFO"}, f"{count} found in frame {result['frame'] + 1}")


class CLOSEINT_OT_pick_person(bpy.types.Operator):
    """Take this person; the one who was picked before the last is given up"""

    bl_idname = "closeint.pick_person"
    bl_label = "Pick Person"
    bl_options = {"UNDO", "INTERNAL"}

    number: IntProperty(name="Number", description="Number in the picture, from 0", min=0)  # type: ignore[valid-type]

    def execute(self, context: Any) -> Any:
        settings = scene_settings(context)
        chosen = [number for number in (settings.person_a, settings.person_b) if number >= 0]
        if self.number in chosen:
            chosen.remove(self.number)
        else:
            chosen = [*chosen[-1:], self.number]
        settings.person_a, settings.person_b = [*chosen, -1, -1][:2]
        return {"FINISHED"}


class CLOSEINT_OT_swap_people(bpy.types.Operator):
    """Exchange who becomes Person 1 and who Person 2"""

    bl_idname = "closeint.swap_people"
    bl_label = "Swap"
    bl_options = {"UNDO", "INTERNAL"}

    def execute(self, context: Any) -> Any:
        settings = scene_settings(context)
        settings.person_a, settings.person_b = settings.person_b, settings.person_a
        return {"FINISHED"}


_CLASSES = (CLOSEINT_OT_find_people, CLOSEINT_OT_pick_person, CLOSEINT_OT_swap_people)

register, unregister = utils.register_classes_factory(_CLASSES)
