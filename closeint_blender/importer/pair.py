# SPDX-License-Identifier: GPL-3.0-or-later
"""The characters of one import, found in the scene again, and their motion as a clip's.

Characters may have been moved about by their objects. A motion is read in the first character's own frame, so that
moving both together changes nothing, and moving one against the other is part of the motion.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bpy
import numpy as np

from closeint_core.body.data import PARENTS
from closeint_core.body.skinning import axis_angle_to_matrix
from closeint_core.clip import InteractionClip
from closeint_core.errors import CloseintError

from ..clip_paths import find_clip
from ..rotations import matrix_to_quaternion, quaternion_to_rotvec
from .bones import bone_names, find_bones, units_per_metre
from .character import rest_matrices
from .motion import action_of, is_in_strip, read_motion, recorded_action, reference_of, write_motion
from .rig import (
    PoseChannels,
    channels_of_matrices,
    clip_motion,
    pose_channels,
)

PAIR = "closeint_pair"
"""Property that all objects of one import share."""


def new_identity() -> str:
    """A value of ``PAIR``."""
    return uuid.uuid4().hex[:16]


@dataclass(frozen=True)
class Pair:
    """The characters of one import, by name: references die with the next undo.

    Attributes:
        identity: their common ``PAIR``. armatures: in the order of the clip's people.
        clip: the clip file they were made of, as it is kept (``clip_paths``).
        start, step, count: scene frame of the first clip frame, scene frames per clip frame, and clip frames.
        fps: of the clip.
    """

    identity: str
    armatures: tuple[str, ...]
    clip: str
    start: float
    step: float
    count: int
    fps: float

    def objects(self) -> list[Any]:
        """The armature objects."""
        return [bpy.data.objects[name] for name in self.armatures]

    def meshes(self) -> list[Any]:
        """The characters' mesh objects, None where there is none."""
        return [mesh_of(ob) for ob in self.objects()]

    def frames(self) -> np.ndarray:
        """(T,) scene frames of the clip's frames."""
        return self.start + self.step * np.arange(self.count)

    def index_at(self, frame: float) -> int:
        """The clip frame nearest to a scene frame."""
        return int(np.clip(round((frame - self.start) / self.step), 0, self.count - 1))

    def load(self) -> InteractionClip:
        """The clip file.

        Raises:
            CloseintError: it is gone or damaged.
        """
        path = self.clip_path()
        if not path.is_file():
            raise CloseintError(
                f"The clip file of these characters is gone: {path}.",
                "Put it back, there or beside the .blend, or re-apply a clip to them.",
            )
        return InteractionClip.load(path)

    def clip_path(self) -> Path:
        """Where the clip file is, or was."""
        return find_clip(self.clip, bpy.data.objects.get(self.armatures[0]))


def mesh_of(armature: Any) -> Any:
    """The character's mesh object, by the link that survives renaming; None without."""
    link = armature.get("closeint_mesh")
    if isinstance(link, bpy.types.Object):
        return link if link.name in bpy.data.objects else None
    return next(
        (
            ob
            for ob in armature.children
            if ob.type == "MESH" and any(m.type == "ARMATURE" and m.object == armature for m in ob.modifiers)
        ),
        None,
    )


def find_pair(context: Any, wanted: Any = None) -> Pair | None:
    """The characters the user means: those of ``wanted`` or the active object, of a selected one, or the only ones.

    Returns:
        None if there are none, or several and none is chosen.
    """
    scene = context.scene
    chosen = [wanted] if wanted is not None else [context.view_layer.objects.active, *_selected(context)]
    for ob in chosen:
        identity = _identity_of(ob)
        if identity:
            return pair_of(scene, identity, ob)
    identities = {ob[PAIR] for ob in scene.objects if ob.type == "ARMATURE" and PAIR in ob}
    return pair_of(scene, identities.pop()) if len(identities) == 1 else None


def require_pair(context: Any, wanted: Any = None, edit: bool = True) -> Pair:
    """``find_pair`` or an error.

    Args:
        edit: the characters will be changed.

    Raises:
        CloseintError: no characters, or it is not clear which, or they are another file's and cannot be changed.
    """
    pair = find_pair(context, wanted)
    if pair is None:
        raise CloseintError("No characters of a clip are chosen.", "Select one of the characters.")
    if edit:
        _require_own(pair)
    return pair


def _require_own(pair: Pair) -> None:
    for ob in (*pair.objects(), *(mesh for mesh in pair.meshes() if mesh is not None)):
        library = ob.library or ob.data.library
        if library is not None:
            raise CloseintError(
                f"{ob.name} is linked from {Path(library.filepath.replace(chr(92), '/')).name}, "
                "so it cannot be changed here.",
                "Work in that file, or make it local with its data (Object > Relations > Make Local).",
            )


def _selected(context: Any) -> list[Any]:
    return [ob for ob in context.view_layer.objects if ob.select_get(view_layer=context.view_layer)]


def _identity_of(ob: Any) -> str | None:
    while ob is not None:
        if PAIR in ob:
            return str(ob[PAIR])
        ob = ob.parent
    return None


def pair_of(scene: Any, identity: str, near: Any = None) -> Pair | None:
    """The characters with an identity; of copies, those that share a collection with ``near``."""
    found: dict[int, Any] = {}
    places = set(near.users_collection) if near is not None else set()
    for ob in scene.objects:
        if ob.type == "ARMATURE" and ob.get(PAIR) == identity and find_bones(ob) is not None:
            person = int(ob.get("closeint_person", 0))
            if person not in found or (
                places & set(ob.users_collection) and not places & set(found[person].users_collection)
            ):
                found[person] = ob
    if not found or sorted(found) != list(range(len(found))):
        return None
    people = [found[i] for i in range(len(found))]
    first = people[0]
    return Pair(
        identity=identity,
        armatures=tuple(ob.name for ob in people),
        clip=str(first.get("closeint_clip", "")),
        start=float(first.get("closeint_start_frame", 1)),
        step=float(first.get("closeint_frame_step", 1.0)),
        count=int(first.get("closeint_frames", 1)),
        fps=float(first.get("closeint_fps", 30.0)),
    )


@dataclass
class PairMotion:
    """Motion of P people over T frames: poses (P, T, J, 3), transl (P, T, 3), betas (P, B), as in a clip."""

    poses: np.ndarray
    transl: np.ndarray
    betas: np.ndarray
    body: str

    @property
    def people(self) -> int:
        """P."""
        return len(self.poses)


def read_pair(pair: Pair, reference: bool = False, frames: np.ndarray | None = None) -> PairMotion:
    """The motion of the characters as it is now, or as it was last written by us.

    Args:
        pair: the characters.
        reference: as it was written; people without a record are read as they are now.
        frames: scene frames to read it at; None: those of the clip's frames.

    Raises:
        CloseintError: a character is scaled against the other.
    """
    people = pair.objects()
    frames = pair.frames() if frames is None else frames
    poses, transl = [], []
    for ob, (rotation, offset) in zip(people, pair_relations(people), strict=True):
        rest = rest_matrices(ob)
        channels = reference_of(recorded_action(ob), pair.count) if reference else None
        if channels is None:
            channels = read_motion(ob, frames, rest, np.array(PARENTS))
        root = np.array(ob["closeint_root_joint"], np.float64)
        one_poses, one_transl = clip_motion(channels, root, rest)
        moved_poses, moved_transl = move(one_poses, one_transl, root, rotation, offset)
        poses.append(moved_poses)
        transl.append(moved_transl)
    betas = np.array([list(ob["closeint_betas"]) for ob in people], np.float32)
    return PairMotion(np.stack(poses), np.stack(transl), betas, str(people[0]["closeint_body"]))


def pose_now(pair: Pair) -> PairMotion:
    """One frame: the characters as they stand evaluated now, whatever moves them. Never changes the frame."""
    people = pair.objects()
    poses, transl = [], []
    for ob, (rotation, offset) in zip(people, pair_relations(people), strict=True):
        rest = rest_matrices(ob)
        matrices = np.array([[ob.pose.bones[name].matrix for name in bone_names(ob)]], np.float64)
        matrices[..., :3, 3] /= units_per_metre(ob)
        root = np.array(ob["closeint_root_joint"], np.float64)
        pose, place = clip_motion(channels_of_matrices(matrices, rest, PARENTS), root, rest)
        pose, place = move(pose, place, root, rotation, offset)
        poses.append(pose)
        transl.append(place)
    betas = np.array([list(ob["closeint_betas"]) for ob in people], np.float32)
    return PairMotion(np.stack(poses), np.stack(transl), betas, str(people[0]["closeint_body"]))


def write_pair(pair: Pair, motion: PairMotion) -> list[str]:
    """Give the characters a new action each; returns the actions' names. The inverse of ``read_pair``.

    The old actions stay in the file: the user may have worked on them.
    """
    people = pair.objects()
    frames = pair.frames()
    names = []
    for person, (ob, (rotation, offset)) in enumerate(zip(people, pair_relations(people), strict=True)):
        rest = rest_matrices(ob)
        root = np.array(ob["closeint_root_joint"], np.float64)
        poses, transl = move(motion.poses[person], motion.transl[person], root, rotation.T, -rotation.T @ offset)
        names.append(replace_motion(ob, pose_channels(poses, transl, root, rest), frames))
    return names


def replace_motion(armature: Any, channels: PoseChannels, frames: np.ndarray) -> str:
    """A new action in place of the one the armature moves by, in a strip if that was in one; returns its name."""
    old = action_of(armature)
    in_strip = is_in_strip(armature)
    if old is not None:
        old.use_fake_user = True
    base = old.name.split(".")[0] if old is not None else armature.name
    return str(write_motion(armature, base, channels, frames, in_strip).name)


def move(
    poses: np.ndarray, transl: np.ndarray, root_joint: np.ndarray, rotation: np.ndarray, offset: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """A motion, one person's (T, J, 3) and (T, 3), moved rigidly: x becomes rotation x + offset."""
    if np.allclose(rotation, np.eye(3), atol=1e-7) and np.allclose(offset, 0, atol=1e-7):
        return poses, transl
    poses = np.array(poses, np.float32)
    turned = rotation @ axis_angle_to_matrix(poses[:, 0].astype(np.float64))
    poses[:, 0] = quaternion_to_rotvec(matrix_to_quaternion(turned))
    moved = (transl + root_joint) @ rotation.T + offset - root_joint
    return poses, moved.astype(np.float32)


def pair_relations(people: list[Any]) -> list[tuple[np.ndarray, np.ndarray]]:
    """Rotation (3, 3) and offset (3,), metres, of each character's frame in the first one's.

    Raises:
        CloseintError: one is scaled against the other.
    """
    first = np.linalg.inv(np.array(people[0].matrix_world, np.float64))
    result = []
    for ob in people:
        relation = first @ np.array(ob.matrix_world, np.float64)
        scale = np.linalg.norm(relation[:3, :3], axis=0)
        if np.abs(scale - 1).max() > 1e-3:
            raise CloseintError(
                f"{ob.name} is scaled against {people[0].name}, so their motions do not fit together.",
                "Clear the scale of the armature objects (Alt S), or scale both alike.",
            )
        result.append((relation[:3, :3] / scale, relation[:3, 3] / units_per_metre(people[0])))
    return result
