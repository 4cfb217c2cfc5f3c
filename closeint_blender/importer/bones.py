# SPDX-License-Identifier: GPL-3.0-or-later
"""Which bone is which joint, whatever the user calls it, and how long a metre is in the armature."""

from __future__ import annotations

from typing import Any

from closeint_core.body.data import JOINT_NAMES

JOINT = "closeint_joint"
"""Property of a bone: the number of its joint. It survives renaming."""

UNIT = "closeint_unit"
"""Property of an armature object: Blender units a metre, as the scene's unit scale was when it was made."""


def metres_per_unit(scene: Any) -> float:
    """What the scene's unit settings say of a Blender unit."""
    settings = scene.unit_settings
    return 1.0 if settings.system == "NONE" else float(settings.scale_length)


def units_per_metre(armature: Any) -> float:
    """Blender units a metre of a character's armature."""
    return float(armature.get(UNIT, 1.0))


def number_bones(armature: Any) -> None:
    """Note on each bone which joint it is."""
    for joint, name in enumerate(JOINT_NAMES):
        armature.data.bones[name][JOINT] = joint


def find_bones(armature: Any) -> tuple[str, ...] | None:
    """The names of the bones of all joints, in the joints' order; None if one is gone."""
    bones = armature.data.bones
    numbered: dict[int, list[str]] = {}
    for bone in bones:
        if JOINT in bone:
            numbered.setdefault(int(bone[JOINT]), []).append(bone.name)
    names = []
    for joint, name in enumerate(JOINT_NAMES):
        # A copy of a bone has its number too; files of older versions have no numbers.
        same = numbered.get(joint, [name] if name in bones else [])
        names.append(name if name in same else next(iter(same), ""))
    return tuple(names) if all(names) else None


def bone_names(armature: Any) -> tuple[str, ...]:
    """``find_bones`` of an armature that is known to have them all."""
    names = find_bones(armature)
    if names is None:
        raise KeyError(f"{armature.name} has lost a bone")
    return names


def joint_of(armature: Any, bone: str) -> int | None:
    """The number of the joint that a bone is, or None."""
    names = find_bones(armature)
    return names.index(bone) if names is not None and bone in names else None
