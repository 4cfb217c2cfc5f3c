# SPDX-License-Identifier: GPL-3.0-or-later
"""What the user marks in a motion: corrections that must hold, contacts, no contacts."""

# No postponed annotations here: Blender reads properties from them.
from typing import Any

import bpy
from bpy.props import EnumProperty, IntProperty, StringProperty

from closeint_core.body.data import JOINT_NAMES
from closeint_core.errors import CloseintError

from ..dynamic import props, types
from ..importer.bones import joint_of
from ..importer.pair import Pair, require_pair
from ..pair_edit import edited_times, marks_of, nearest_part
from .for_pairs import Edit

_PARTS = [(name, name.replace("_", " ").title(), f"The body part of the bone {name}") for name in JOINT_NAMES]


_ROTATION_PATHS = {"QUATERNION": "rotation_quaternion", "AXIS_ANGLE": "rotation_axis_angle"}
_WAY = props.EnumProperty(
    name="Keep",
    description="What of the bone stays",
    items=(
        ("BOTH", "Rotation and Place", "The bone's rotation, and where its joints are"),
        ("ROTATION", "Rotation", "The bone's rotation against its parent"),
        ("PLACE", "Place", "Where the bone's joints are; how the limb gets there is free"),
    ),
)


class CLOSEINT_PG_mark(bpy.types.PropertyGroup):
    """A correction, contact or no-contact of one pair"""

    kind: EnumProperty(  # type: ignore[valid-type]
        name="Kind",
        description="What is marked",
        items=(
            ("PIN", "Correction", "The bone stays as it is in this frame"),
            ("CONTACT", "Contact", "The two parts touch"),
            ("APART", "No Contact", "The part does not touch the other person"),
        ),
    )
    frame: IntProperty(name="Frame", description="Scene frame of the mark")  # type: ignore[valid-type]
    last: IntProperty(name="Last Frame", description="Scene frame up to which a contact holds")  # type: ignore[valid-type]
    person: IntProperty(name="Person", description="Whose part it is, counted from 0", min=0)  # type: ignore[valid-type]
    part: EnumProperty(name="Part", description="Body part", items=_PARTS)  # type: ignore[valid-type]
    other_part: StringProperty(  # type: ignore[valid-type]
        name="Partner's Part", description="Body part of the other person; empty: any"
    )
    way: _WAY  # type: ignore[valid-type]


# No method of the group: bpy 4.2 as a module crashes at its exit if a group that had one was registered.
def mark_text(mark: Any) -> str:
    """Such as "12: P1 left hand on spine3"."""
    what = f"{mark.frame}: P{mark.person + 1} {mark.part.replace('_', ' ')}"
    if mark.kind == "CONTACT":
        what += f" on {mark.other_part.replace('_', ' ')}"
    elif mark.kind == "APART":
        what += f" not on {mark.other_part.replace('_', ' ') or 'the other'}"
    return what if mark.last <= mark.frame else what.replace(":", f"-{mark.last}:", 1)


def chosen_bones(context: Any, pair: Pair) -> list[tuple[int, int]]:
    """(person, joint) of the selected pose bones of a pair, the active one first.

    Raises:
        CloseintError: none is selected.
    """
    people = {name: person for person, name in enumerate(pair.armatures)}
    bones = list(context.selected_pose_bones or ())
    active = context.active_pose_bone
    if active in bones:
        bones.sort(key=lambda bone: bone != active)
    found = [
        (people[bone.id_data.name], joint)
        for bone in bones
        if bone.id_data.name in people and (joint := joint_of(bone.id_data, bone.name)) is not None
    ]
    if not found:
        raise CloseintError("No bone of the characters is selected.", "Select one in Pose Mode.")
    return found


_PERSON = props.IntProperty(
    name="Person", description="Person counted from 1, for scripts; 0: the selected bones", default=0, min=0,
    options={"SKIP_SAVE"},
)  # fmt: skip
_PART = props.StringProperty(
    name="Bone", description="Name of the bone, for scripts; empty: the selected ones", options={"SKIP_SAVE"}
)


class CLOSEINT_OT_pin(Edit, bpy.types.Operator):
    """Key the selected bones as they are now and keep them so in this frame when the motion is refined"""

    bl_idname = "closeint.pin"
    bl_label = "Keep Correction"

    way: _WAY  # type: ignore[valid-type]
    person: _PERSON  # type: ignore[valid-type]
    bone: _PART  # type: ignore[valid-type]

    def run(self, context: Any) -> Any:
        """Keys and marks."""
        pair = require_pair(context)
        bones = named(self.person, self.bone, pair) if self.bone else chosen_bones(context, pair)
        frame = context.scene.frame_current
        marks = marks_of(pair)
        for person, joint in bones:
            name = JOINT_NAMES[joint]
            armature: Any = bpy.data.objects[pair.armatures[person]]
            pose_bone = armature.pose.bones[name]
            path = _ROTATION_PATHS.get(pose_bone.rotation_mode, "rotation_euler")
            pose_bone.keyframe_insert(path, frame=frame, group=name)
            if joint == 0:
                pose_bone.keyframe_insert("location", frame=frame, group=name)
            mark = same_mark(marks, "PIN", frame, person, name) or marks.add()
            mark.kind, mark.frame, mark.last = "PIN", frame, frame
            mark.person, mark.part, mark.way = person, name, self.way
        self.report({"INFO"}, f"Keeps {len(bones)} {'bone' if len(bones) == 1 else 'bones'} in frame {frame}")
        return {"FINISHED"}


class CLOSEINT_OT_mark_contact(Edit, bpy.types.Operator):
    """Mark that the selected bone's body part touches the other person here. Select a bone of each person, or one: then it is the partner's nearest part"""  # noqa: E501

    bl_idname = "closeint.mark_contact"
    bl_label = "Contact Here"

    touch: bpy.props.BoolProperty(  # type: ignore[valid-type]
        name="Touch", description="The parts touch; without, they do not", default=True, options={"SKIP_SAVE"}
    )
    frames: IntProperty(  # type: ignore[valid-type]
        name="Frames", description="For how many frames, from the current one on", default=1, min=1, soft_max=100
    )
    person: _PERSON  # type: ignore[valid-type]
    bone: _PART  # type: ignore[valid-type]
    other_bone: StringProperty(  # type: ignore[valid-type]
        name="Partner's Bone", description="For scripts; empty: the nearest, or any", options={"SKIP_SAVE"}
    )

    @classmethod
    def description(cls, _context: Any, properties: Any) -> str:
        if properties.touch:
            return cls.__doc__ or ""
        return (
            "Mark that the selected bone's body part does not touch the other person here. Select a bone of each "
            "person for these two parts only"
        )

    def run(self, context: Any) -> Any:
        """Marks."""
        pair = require_pair(context)
        if len(pair.armatures) != 2:
            raise CloseintError("Contacts are between two people, and here is one.")
        frame = context.scene.frame_current
        bones = named(self.person, self.bone, pair) if self.bone else chosen_bones(context, pair)
        person, joint = bones[0]
        if self.other_bone:
            other: int | None = named(1, self.other_bone, pair)[0][1]
        else:
            others = [j for p, j in bones if p != person]
            other = others[0] if others else None
        if other is None and self.touch:
            other = nearest_part(pair, person, joint, pair.index_at(frame))
        kind = "CONTACT" if self.touch else "APART"
        marks = marks_of(pair)
        mark = same_mark(marks, kind, frame, person, JOINT_NAMES[joint]) or marks.add()
        mark.kind, mark.frame, mark.last = kind, frame, frame + self.frames - 1
        mark.person, mark.part = person, JOINT_NAMES[joint]
        mark.other_part = "" if other is None else JOINT_NAMES[other]
        self.report({"INFO"}, f"Marked: {mark_text(mark)}")
        return {"FINISHED"}


class CLOSEINT_OT_remove_mark(Edit, bpy.types.Operator):
    """Take a correction or contact mark off the list; keys stay"""

    bl_idname = "closeint.remove_mark"
    bl_label = "Remove Mark"

    index: IntProperty(name="Which", description="Place in the list, from 0; -1 removes all", default=0)  # type: ignore[valid-type]

    def run(self, context: Any) -> Any:
        """Removes."""
        marks = marks_of(require_pair(context))
        if self.index < 0:
            marks.clear()
        elif self.index < len(marks):
            marks.remove(self.index)
        else:
            raise CloseintError(f"There is no mark {self.index}.")
        return {"FINISHED"}


class CLOSEINT_OT_show_edits(Edit, bpy.types.Operator):
    """Say which bones have been keyed otherwise than the reconstruction; they count as corrections when refining"""

    bl_idname = "closeint.show_edits"
    bl_label = "Find Edited Bones"

    def run(self, context: Any) -> Any:
        """Jumps to the next edited frame."""
        pair = require_pair(context)
        edits = sorted(edited_times(pair))
        if not edits:
            self.report({"INFO"}, "No bone has been keyed otherwise")
            return {"FINISHED"}
        frames = sorted({frame for _, frame, _ in edits})
        now = pair.index_at(context.scene.frame_current)
        following = next((frame for frame in frames if frame > now), frames[0])
        context.scene.frame_set(round(pair.start + pair.step * following))
        names = sorted({f"Person {p + 1} {JOINT_NAMES[j]}" for p, t, j in edits if t == following})
        text = f"{len(edits)} edited in {len(frames)} frames; here: {', '.join(names[:6])}"
        self.report({"INFO"}, text + (" ..." if len(names) > 6 else ""))
        return {"FINISHED"}


def named(person: int, bone: str, pair: Pair) -> list[tuple[int, int]]:
    """A bone that a script names.

    Raises:
        CloseintError: there is no such bone or person.
    """
    if bone not in JOINT_NAMES or not 1 <= person <= len(pair.armatures):
        raise CloseintError(f"There is no bone {bone!r} of person {person}.", f"Bones: {', '.join(JOINT_NAMES)}.")
    return [(person - 1, JOINT_NAMES.index(bone))]


def same_mark(marks: Any, kind: str, frame: int, person: int, part: str) -> Any:
    """The mark that says the same already, or None."""
    return next((m for m in marks if (m.kind, m.frame, m.person, m.part) == (kind, frame, person, part)), None)


_CLASSES = (
    CLOSEINT_PG_mark,
    CLOSEINT_OT_pin,
    CLOSEINT_OT_mark_contact,
    CLOSEINT_OT_remove_mark,
    CLOSEINT_OT_show_edits,
)


def register() -> None:
    for cls in _CLASSES:
        bpy.utils.register_class(cls)
    types.Object.closeint_marks = props.CollectionProperty(
        type=CLOSEINT_PG_mark, name="closeint marks", description="Corrections and contacts of this pair"
    )


def unregister() -> None:
    del types.Object.closeint_marks
    for cls in reversed(_CLASSES):
        bpy.utils.unregister_class(cls)
