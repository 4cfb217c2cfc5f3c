# SPDX-License-Identifier: GPL-3.0-or-later
"""Measuring a motion, and going to where it is worst."""

# No postponed annotations here: Blender reads properties from them.
from typing import Any

import bpy
import numpy as np
from bpy.props import EnumProperty, IntProperty

from closeint_core.errors import CloseintError

from ..analysis.series import worst_frames
from ..dynamic import utils
from ..importer.animated_properties import read_series
from ..importer.pair import Pair, require_pair
from ..pair_edit import measure
from .for_pairs import ForPairs

KINDS = {
    "PENETRATION": ("closeint_penetration", "Penetration", "{:.0f} mm"),
    "REPROJECTION": ("closeint_reprojection", "Off the Footage", "{:.1f} px"),
    "UNSEEN": ("closeint_unseen", "Unseen", "{:.2f} s"),
    "JITTER": ("closeint_jitter", "Jitter", "{:.0f} m/s²"),
}
"""Kind -> property, title, how a value is written."""

_MEASURED = ("closeint_penetration", "closeint_reprojection", "closeint_jitter")


def pair_series(pair: Pair, kind: str) -> np.ndarray | None:
    """(T,) the worse of the people, frame by frame; None if it was not measured."""
    name = KINDS[kind][0]
    found = [read_series(ob, pair.frames(), (name,)).get(name) for ob in pair.objects()]
    known = [values for values in found if values is not None]
    return np.max(known, axis=0) if known else None


class CLOSEINT_OT_measure(ForPairs, bpy.types.Operator):
    """Measure penetration, jitter and the distance from the footage of the motion as it is now"""

    bl_idname = "closeint.measure"
    bl_label = "Measure"
    bl_options = {"REGISTER", "UNDO"}

    def execute(self, context: Any) -> Any:
        try:
            worst = measure(require_pair(context))
        except CloseintError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        parts = [
            f"{title.lower()} {form.format(worst[name])}"
            for name, title, form in KINDS.values()
            if name in _MEASURED and name in worst
        ]
        self.report({"INFO"}, f"Worst: {', '.join(parts)}")
        return {"FINISHED"}


class CLOSEINT_OT_jump_to_worst(ForPairs, bpy.types.Operator):
    """Go to the frame in which the motion is worst; again: to the next worst"""

    bl_idname = "closeint.jump_to_worst"
    bl_label = "Jump to Worst Frame"
    bl_options = {"REGISTER", "UNDO_GROUPED"}
    bl_undo_group = "closeint jump"

    kind: EnumProperty(  # type: ignore[valid-type]
        name="Kind",
        description="What is bad",
        items=(
            ("PENETRATION", "Penetration", "The bodies are deepest in each other"),
            ("REPROJECTION", "Off the Footage", "The body lies furthest from what was seen"),
            ("UNSEEN", "Unseen", "In the middle of the longest time in which somebody was not seen"),
            ("JITTER", "Jitter", "A joint jerks most"),
        ),
    )
    rank: IntProperty(  # type: ignore[valid-type]
        name="Rank",
        description="1: the worst, 2: the second worst; 0: the next after the current one",
        default=0,
        min=0,
        options={"SKIP_SAVE"},
    )

    @classmethod
    def description(cls, _context: Any, properties: Any) -> str:
        kinds: Any = cls.bl_rna.properties["kind"]
        items = kinds.enum_items
        return f"{items[properties.kind].description}. Again: the next worst"

    def execute(self, context: Any) -> Any:
        try:
            pair = require_pair(context, edit=False)
            values = pair_series(pair, self.kind)
            if values is None and self.kind != "UNSEEN":
                measure(require_pair(context))
                values = pair_series(pair, self.kind)
        except CloseintError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        _, title, form = KINDS[self.kind]
        frames = worst_frames(values) if values is not None else []
        if values is None or not frames:
            self.report({"INFO"}, f"{title}: nothing to find")
            return {"FINISHED"}
        here = pair.index_at(context.scene.frame_current)
        if self.rank:
            place = min(self.rank, len(frames)) - 1
        else:
            place = (frames.index(here) + 1) % len(frames) if here in frames else 0
        context.scene.frame_set(round(pair.start + pair.step * frames[place]))
        value = form.format(values[frames[place]])
        self.report({"INFO"}, f"{title}: {value}, place {place + 1} of {len(frames)}")
        return {"FINISHED"}


_CLASSES = (CLOSEINT_OT_measure, CLOSEINT_OT_jump_to_worst)

register, unregister = utils.register_classes_factory(_CLASSES)
