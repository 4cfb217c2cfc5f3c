# SPDX-License-Identifier: GPL-3.0-or-later
"""Solving again around the user's corrections: the worker does it, the result goes onto the same characters."""

# No postponed annotations here: Blender reads properties from them.
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import bpy
from bpy.props import BoolProperty, FloatProperty

from closeint_core.clip import SUFFIX
from closeint_core.errors import CloseintError
from closeint_core.files import require_writable
from closeint_core.worker.client import Job

from .. import session
from ..dynamic import ops
from ..importer.pair import read_pair, require_pair
from ..pair_edit import gather_corrections
from .for_pairs import ForPairs
from .jobs import JobOperator


class CLOSEINT_OT_refine(JobOperator, ForPairs, bpy.types.Operator):
    """Solve the motion again around your corrections: they hold, both people follow, contacts stay, far frames do not change"""  # noqa: E501

    bl_idname = "closeint.refine"
    bl_label = "Refine Around Corrections"
    bl_options = {"REGISTER"}

    panel = "look"

    blend: FloatProperty(  # type: ignore[valid-type]
        name="Blend",
        description="Seconds before and after a correction in which the motion may change",
        default=0.5,
        min=0.05,
        soft_max=2.0,
        precision=2,
    )
    edits: BoolProperty(  # type: ignore[valid-type]
        name="Edited Bones",
        description="Bones that you have keyed otherwise than the reconstruction count as corrections",
        default=True,
    )

    def submit(self, context: Any) -> Job:
        """Writes the motion before the edits, and the corrections, and asks the worker."""
        session.worker_python()  # the plainest reason to fail, before any work
        pair = require_pair(context)
        clip = pair.load()
        if clip.frames != pair.count or clip.people != len(pair.armatures):
            raise CloseintError(
                f"{pair.clip_path().name} is another clip now than when the characters were made.",
                "Apply it to the characters first.",
            )
        corrections = gather_corrections(pair, self.edits)
        if not len(corrections):
            raise CloseintError(
                "There is nothing to refine around.", "Key a bone otherwise, or mark a correction or a contact."
            )
        motion = read_pair(pair, reference=True)
        clip = clip.copy(poses=motion.poses, transl=motion.transl, betas=motion.betas)
        self._character = pair.armatures[0]
        output = free_refined_path(pair.clip_path())
        self._folder = Path(tempfile.mkdtemp(prefix="refine-", dir=session.user_folder()))
        try:
            corrections.validate(clip)
            given = clip.save(self._folder / f"motion{SUFFIX}")
            pins = corrections.save(self._folder / "corrections.json")
            return session.submit(
                "refine",
                clip=str(given),
                corrections=str(pins),
                output=str(output),
                settings={"blend_seconds": round(float(self.blend), 4)},
            )
        except BaseException:
            self._clear()
            raise

    def finish(self, context: Any, job: Job) -> None:
        """Puts the result onto the characters: one undo step."""
        self._clear()
        session.remember(job, "refined")
        path = job.result["path"]
        ob = bpy.data.objects.get(self._character)
        if ob is None or ob.name not in context.scene.objects:
            raise CloseintError(f"The characters are gone; the refined motion is {path}.", "Import it from Results.")
        try:
            ops.closeint.reapply_clip(
                "EXEC_DEFAULT", True, filepath=path, character=self._character, camera=False, clear_marks=True
            )
        except RuntimeError as error:
            raise CloseintError(str(error).strip().removeprefix("Error: ")) from error
        session.say(self.panel, "INFO", f"Refined; saved as {Path(path).name}.")
        self.report({"INFO"}, "Refined around the corrections")

    def cancel(self, context: Any) -> None:
        """Blender ends the operator; the worker still reads the files, and the folder is small."""
        super().cancel(context)

    def _failed(self, error: Any) -> Any:
        self._clear()
        return super()._failed(error)

    def _cancelled(self) -> Any:
        self._clear()
        return super()._cancelled()

    def _clear(self) -> None:
        folder = getattr(self, "_folder", None)
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)


def free_refined_path(clip: Path) -> Path:
    """A new file for a refined clip: beside the clip, or with the results where that cannot be written."""
    stem = clip.name.removesuffix(SUFFIX).removesuffix(".npz")
    head, mark, number = stem.rpartition("-refined")
    stem = head if mark and (not number or number.lstrip("-").isdigit()) else stem
    folder = clip.parent
    try:
        require_writable(folder)
    except CloseintError:
        folder = session.user_folder() / "results"
    taken = {job.parameters.get("output", "") for job in session.jobs()}
    count = 1
    while True:
        path = folder / f"{stem}-refined{'' if count == 1 else f'-{count}'}{SUFFIX}"
        if not os.path.exists(path) and str(path) not in taken:
            return path
        count += 1


def register() -> None:
    bpy.utils.register_class(CLOSEINT_OT_refine)


def unregister() -> None:
    bpy.utils.unregister_class(CLOSEINT_OT_refine)
