# SPDX-License-Identifier: GPL-3.0-or-later
"""From characters in the scene to what the analysis works on, and the user's corrections of them."""

from __future__ import annotations

from typing import Any

import bpy
import numpy as np

from closeint_core.body.data import JOINT_NAMES, PARENTS
from closeint_core.clip import InteractionClip
from closeint_core.corrections import ContactMark, Corrections, PositionPin, RotationPin
from closeint_core.errors import CloseintError

from .analysis.bodies import body_of, pair_state
from .analysis.contacts import PairState
from .analysis.points import pose_skeleton
from .analysis.series import jitter, joints_of, reprojection
from .importer.animated_properties import write_series
from .importer.character import rest_matrices
from .importer.clip_series import stored_depths
from .importer.motion import keys_between, read_motion, recorded_action, reference_of
from .importer.pair import Pair, PairMotion, read_pair

_EDITED = np.radians(0.3)
_MOVED = 0.001  # metres


def state_of(motion: PairMotion) -> PairState:
    """The motion of two people with their spheres.

    Raises:
        CloseintError: there are not two.
    """
    if motion.people != 2:
        raise CloseintError("This needs the characters of two people.")
    return pair_state(motion.body, motion.poses, motion.transl, motion.betas)


def clip_or_none(pair: Pair) -> InteractionClip | None:
    """The pair's clip file, or None when it is gone or of another length."""
    try:
        clip = pair.load()
    except CloseintError:
        return None
    return clip if clip.frames == pair.count and clip.people == len(pair.armatures) else None


def planted_of(pair: Pair) -> np.ndarray | None:
    """(P, T, 2) probability of planted feet from the clip file; None without."""
    clip = clip_or_none(pair)
    return None if clip is None or not clip.foot_contacts.any() else clip.foot_contacts


# -- measuring -------------------------------------------------------------------------------------------------------


def measure(pair: Pair, motion: PairMotion | None = None) -> dict[str, float]:
    """Measure the characters' present motion and keep it as animated properties; returns the worst of each.

    Penetration comes from the clip's own figures where it has them and the motion is the clip's; else from spheres.
    """
    motion = motion or read_pair(pair)
    body = body_of(motion.body)
    clip = clip_or_none(pair)
    joints = joints_of(body, motion.poses, motion.transl, motion.betas)
    series: list[dict[str, np.ndarray]] = [{"closeint_jitter": jitter(one, pair.fps)} for one in joints]
    if clip is not None:
        for one, pixels in zip(
            series, reprojection(body, clip, motion.poses, motion.transl, motion.betas), strict=True
        ):
            one["closeint_reprojection"] = pixels
    if motion.people == 2:
        depth = _stored_depths(clip, motion)
        if depth is None:
            depth = state_of(motion).depths()
        for one in series:
            one["closeint_penetration"] = 1000 * depth
    worst: dict[str, float] = {}
    for ob, one in zip(pair.objects(), series, strict=True):
        write_series(ob, one, pair.frames())
        for name, values in one.items():
            worst[name] = max(worst.get(name, 0.0), float(values.max()))
    return worst


def is_measured(pair: Pair) -> bool:
    """Whether ``measure`` has been called for the characters."""
    return any("closeint_jitter" in ob.data for ob in pair.objects())


def _stored_depths(clip: InteractionClip | None, motion: PairMotion) -> np.ndarray | None:
    """(T,) metres, if the clip has them and the motion has not been changed since."""
    stored = stored_depths(clip) if clip is not None else None
    if clip is None or stored is None:
        return None
    same = np.allclose(clip.transl, motion.transl, atol=1e-4) and np.allclose(clip.poses, motion.poses, atol=1e-3)
    return stored if same else None


# -- corrections -----------------------------------------------------------------------------------------------------


def find_edits(pair: Pair) -> list[tuple[int, int, int]]:
    """(person, frame, joint) of every bone that the user has keyed otherwise since we wrote the motion.

    A pelvis that was moved and not turned counts as well.
    """
    found: list[tuple[int, int, int]] = []
    frames = pair.frames()
    for person, ob in enumerate(pair.objects()):
        before = reference_of(recorded_action(ob), pair.count)
        if before is None:
            continue
        now = read_motion(ob, frames, rest_matrices(ob), np.array(PARENTS))
        cosine = np.abs((before.rotations * now.rotations).sum(-1)) / np.maximum(
            np.linalg.norm(before.rotations, axis=-1), 1e-9
        )
        changed = 2 * np.arccos(np.clip(cosine, 0, 1)) > _EDITED
        changed[:, 0] |= np.linalg.norm(before.root_location - now.root_location, axis=-1) > _MOVED
        found += [(person, int(t), int(j)) for t, j in np.argwhere(changed)]
    return found


def edited_times(pair: Pair) -> dict[tuple[int, int, int], float]:
    """(person, clip frame, joint) of every edited bone, with the scene frame that it is edited in.

    Where the scene has another rate than the clip, the user's keys lie between the clip's frames.
    """
    times = {edit: pair.start + pair.step * edit[1] for edit in find_edits(pair)}
    frames = pair.frames()
    for person, ob in enumerate(pair.objects()):
        if reference_of(recorded_action(ob), pair.count) is None:
            continue
        for joint, time in keys_between(ob, frames):
            if frames[0] <= time <= frames[-1]:
                times[person, pair.index_at(time), joint] = time
    return times


def gather_corrections(pair: Pair, edits: bool = True) -> Corrections:
    """The user's marks, and the bones that were keyed otherwise, as corrections of the clip."""
    result = Corrections()
    turned: dict[tuple[int, int, int], float] = {}
    placed: dict[tuple[int, int, int], float] = {}
    if edits:
        turned = edited_times(pair)
        placed = {edit: time for edit, time in turned.items() if edit[2] == 0}
    for mark in marks_of(pair):
        frame = pair.index_at(mark.frame)
        joint = JOINT_NAMES.index(mark.part)
        if mark.kind == "PIN":
            if mark.way in ("ROTATION", "BOTH"):
                turned[mark.person, frame, joint] = mark.frame
            if mark.way in ("PLACE", "BOTH"):
                children = [child for child, parent in enumerate(PARENTS) if parent == joint]
                placed |= {(mark.person, frame, j): float(mark.frame) for j in (joint, *children)}
            continue
        other = JOINT_NAMES.index(mark.other_part) if mark.other_part else None
        last = pair.index_at(max(mark.last, mark.frame))
        result.contacts.append(ContactMark(frame, last, mark.person, joint, other, mark.kind == "CONTACT"))
    times = np.array(sorted({*turned.values(), *placed.values()}), np.float64)
    if not len(times):
        return result
    motion = read_pair(pair, frames=times)
    joints = joints_of(body_of(motion.body), motion.poses, motion.transl, motion.betas)
    place = {time: i for i, time in enumerate(times.tolist())}
    for (person, frame, joint), time in sorted(turned.items()):
        x, y, z = (float(value) for value in motion.poses[person, place[time], joint])
        result.rotations.append(RotationPin(person, frame, joint, (x, y, z)))
    for (person, frame, joint), time in sorted(placed.items()):
        x, y, z = (float(value) for value in joints[person, place[time], joint])
        result.positions.append(PositionPin(person, frame, joint, (x, y, z)))
    return result


def marks_of(pair: Pair) -> Any:
    """The list of the user's marks; it belongs to the first character."""
    first: Any = bpy.data.objects[pair.armatures[0]]
    return first.closeint_marks


def nearest_part(pair: Pair, person: int, joint: int, frame: int) -> int:
    """The partner's body part nearest to a part of ``person`` in a clip frame."""
    motion = read_pair(pair)
    one = PairMotion(motion.poses[:, frame : frame + 1], motion.transl[:, frame : frame + 1], motion.betas, motion.body)
    gaps = state_of(one).gaps()[0][0]
    row = gaps[joint] if person == 0 else gaps[:, joint]
    if np.isfinite(row).any():
        return int(row.argmin())
    body = body_of(motion.body)
    places = [pose_skeleton(body, one.poses[p], one.betas[p], one.transl[p]).joints[0] for p in (0, 1)]
    return int(np.linalg.norm(places[1 - person] - places[person][joint], axis=-1).argmin())
