# SPDX-License-Identifier: Apache-2.0
"""Motion capture as text: BVH, and Acclaim's ASF with AMC (the CMU library). Joint positions come out."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from closeint_core.errors import CloseintError
from closeint_core.foreign_files import read_text, said
from closeint_core.training.readers.retarget import Recording

_CMU_FPS = 120.0
_LARGEST = 500_000_000  # bytes of a file; an hour of motion has about a hundred million
_MOST_JOINTS = 2000
_MOST_POSITIONS = 30_000_000  # joints times frames; an hour of 60 joints at 120 Hz has 26 million
_FARTHEST = 1e9  # units; arithmetic on more overflows
CMU_METRES_PER_UNIT = 0.0254 / 0.45
"""Metres in one unit of CMU's ASF files: inches divided by 0.45."""


@dataclass
class _Joint:
    name: str
    parent: int
    offset: np.ndarray
    channels: list[str] = field(default_factory=list)


def _lines(path: str | Path, what: str) -> list[str]:
    return read_text(path, f"{what} file", _LARGEST).splitlines()


def read_bvh(path: str | Path) -> Recording:
    """Joint positions of a BVH file, ends of limbs included as ``<joint>_end``.

    Raises:
        CloseintError: the file is not BVH, or damaged.
    """
    words = iter(" ".join(_lines(path, "a BVH")).split())

    def fail(what: str) -> CloseintError:
        return CloseintError(f"{path} is not a BVH file: {what}.", "Export the motion again as BVH.")

    try:
        joints = _bvh_hierarchy(words, fail)
        _expect(words, "Frames:", fail)
        frames = int(next(words))
        _expect(words, "Frame", fail)
        _expect(words, "Time:", fail)
        seconds = float(next(words))
        values = np.array([float(word) for word in words])
    except (StopIteration, ValueError, IndexError):
        raise fail("it ends early or holds something that is not a number") from None
    columns = sum(len(joint.channels) for joint in joints)
    if not (np.isfinite(seconds) and seconds > 0):
        raise fail("its frame time is not a positive number")
    if frames < 1 or columns < 1 or values.size != frames * columns:
        raise fail(f"{values.size} values for {said(frames)} frames of {columns} channels")
    if not (np.abs(values) < _FARTHEST).all() or not all((np.abs(joint.offset) < _FARTHEST).all() for joint in joints):
        raise fail("it holds values that are not finite, or beyond any motion")
    if frames * len(joints) > _MOST_POSITIONS:
        raise fail(f"{frames} frames of {len(joints)} joints are too many")
    values = values.reshape(frames, columns)
    positions = np.zeros((frames, len(joints), 3))
    turns: list[Rotation] = []
    column = 0
    for index, joint in enumerate(joints):
        mine = values[:, column : column + len(joint.channels)]
        column += len(joint.channels)
        offset = np.tile(joint.offset, (frames, 1))
        axes, angles = "", []
        for channel, value in zip(joint.channels, mine.T, strict=True):
            axis = "XYZ".index(channel[0].upper())
            if channel.lower().endswith("position"):
                offset[:, axis] = value if joint.parent < 0 else offset[:, axis] + value
            else:
                axes += "XYZ"[axis]
                angles.append(value)
        local = Rotation.from_euler(axes, np.stack(angles, 1), degrees=True) if axes else Rotation.identity(frames)
        if joint.parent < 0:
            positions[:, index] = offset
            turns.append(local)
        else:
            positions[:, index] = positions[:, joint.parent] + turns[joint.parent].apply(offset)
            turns.append(turns[joint.parent] * local)
    return Recording(tuple(joint.name for joint in joints), positions.astype(np.float32), 1.0 / seconds)


def _expect(words: Iterator[str], wanted: str, fail) -> None:  # type: ignore[no-untyped-def]
    word = next(words)
    if word != wanted:
        raise fail(f"{wanted} is missing, it says {word[:20]!r}")


def _bvh_hierarchy(words: Iterator[str], fail) -> list[_Joint]:  # type: ignore[no-untyped-def]
    _expect(words, "HIERARCHY", fail)
    joints: list[_Joint] = []
    open_joints: list[int] = []
    for word in words:
        if word in ("ROOT", "JOINT", "End"):
            name = next(words)
            parent = open_joints[-1] if open_joints else -1
            if (parent < 0) != (word == "ROOT"):
                raise fail("it has a joint outside of the tree or a second root")
            label = f"{joints[parent].name}_end" if word == "End" else name
            if len(joints) >= _MOST_JOINTS:
                raise fail(f"it has more than {_MOST_JOINTS} joints")
            joints.append(_Joint(label, parent, np.zeros(3)))
            open_joints.append(len(joints) - 1)
            _expect(words, "{", fail)
        elif word == "OFFSET":
            joints[open_joints[-1]].offset = np.array([float(next(words)) for _ in range(3)])
        elif word == "CHANNELS":
            count = int(next(words))
            joints[open_joints[-1]].channels = [next(words) for _ in range(count)]
        elif word == "}":
            if not open_joints:
                raise fail("a bracket is closed that was never opened")
            open_joints.pop()
        elif word == "MOTION":
            if open_joints or not joints:
                raise fail("the hierarchy is not closed")
            bad = [c for j in joints for c in j.channels if not re.fullmatch(r"[XYZxyz](position|rotation)", c)]
            if bad:
                raise fail(f"it has a channel {bad[0][:20]!r}")
            for joint in joints:
                turned = [c[0].upper() for c in joint.channels if c.lower().endswith("rotation")]
                if len(turned) > 3 or any(a == b for a, b in itertools.pairwise(turned)):
                    raise fail(f"its joint {joint.name[:20]!r} turns about {', '.join(turned[:6])}")
            return joints
        else:
            raise fail(f"it says {word[:20]!r} in the hierarchy")
    raise fail("it has no MOTION")


@dataclass
class _Bone:
    name: str
    direction: np.ndarray
    length: float
    axis: Rotation
    dof: list[str]


def read_asf_amc(asf: str | Path, amc: str | Path, fps: float = _CMU_FPS) -> Recording:
    """Joint positions of a CMU recording: each bone's name stands for the joint where it begins.

    Bones' ends are added as ``<bone>_end``. AMC files do not hold their frame rate.

    Raises:
        CloseintError: one of the files is damaged or they do not fit each other.
    """
    bones, parents = _read_asf(asf)
    frames = _read_amc(amc)
    count = len(frames)
    names = list(bones)
    if count * len(names) > _MOST_POSITIONS:
        raise CloseintError(f"{count} frames of {len(names)} bones in {amc} are too many.", "Cut the recording.")
    start = {name: np.zeros((count, 3)) for name in names}
    end = {name: np.zeros((count, 3)) for name in names}
    turn: dict[str, Rotation] = {}
    for name in names:
        bone = bones[name]
        try:
            values = np.array([frame.get(name, [0.0] * len(bone.dof)) for frame in frames], float)
            values = values.reshape(count, len(bone.dof))
        except ValueError:
            raise CloseintError(
                f"{amc} does not give {len(bone.dof)} values for {name}.", f"Give the AMC that belongs to {asf}."
            ) from None
        angles = np.zeros((count, 3))
        for column, dof in enumerate(bone.dof):
            if dof[0] == "r":
                angles[:, "xyz".index(dof[1])] = values[:, column]
        # About x first, then y, then z, in the bone's own axes.
        local = bone.axis * Rotation.from_euler("xyz", angles, degrees=True) * bone.axis.inv()
        parent = parents.get(name)
        if parent is None:
            shift = np.zeros((count, 3))
            for column, dof in enumerate(bone.dof):
                if dof[0] == "t":
                    shift[:, "xyz".index(dof[1])] = values[:, column]
            turn[name], start[name], end[name] = local, shift, shift
        else:
            turn[name] = turn[parent] * local
            start[name] = end[parent]
            end[name] = start[name] + turn[name].apply(np.tile(bone.direction * bone.length, (count, 1)))
    positions = np.stack([start[n] for n in names] + [end[n] for n in names], 1)
    return Recording((*names, *(f"{n}_end" for n in names)), positions.astype(np.float32), fps)


def _read_asf(path: str | Path) -> tuple[dict[str, _Bone], dict[str, str]]:
    """Bones, parents before children, and the parent of each but the root."""

    def fail(what: str) -> CloseintError:
        return CloseintError(f"{path} is not an ASF skeleton: {what}.", "Give the .asf file of the subject.")

    section = ""
    found: dict[str, _Bone] = {}
    root = _Bone("root", np.zeros(3), 0.0, Rotation.identity(), ["tx", "ty", "tz", "rx", "ry", "rz"])
    current: dict[str, list[str]] = {}
    children: list[tuple[str, list[str]]] = []
    try:
        for line in _lines(path, "an ASF"):
            words = line.split("#")[0].split()
            if not words:
                continue
            if words[0].startswith(":"):
                section = words[0]
            elif section == ":root" and words[0] == "order":
                root.dof = [word.lower() for word in words[1:]]
            elif section == ":bonedata" and words[0] == "begin":
                current = {}
            elif section == ":bonedata" and words[0] == "end":
                axis = Rotation.from_euler("xyz", [float(v) for v in current["axis"][:3]], degrees=True)
                direction = np.array([float(v) for v in current["direction"]])
                name = current["name"][0]
                length, dof = float(current["length"][0]), [word.lower() for word in current.get("dof", [])]
                if direction.shape != (3,) or not (np.abs([*direction, length]) < _FARTHEST).all():
                    raise fail(f"the bone {name[:20]!r} has no direction of three numbers, or no length")
                found[name] = _Bone(name, direction, length, axis, dof)
            elif section == ":bonedata":
                current[words[0]] = words[1:]
            elif section == ":hierarchy" and words[0] not in ("begin", "end"):
                children.append((words[0], words[1:]))
    except (KeyError, ValueError, IndexError):
        raise fail("a bone lacks its name, direction, length or axis") from None
    wrong = [dof for bone in (root, *found.values()) for dof in bone.dof if not re.fullmatch(r"[rt][xyz]|l", dof)]
    if wrong:
        raise fail(f"it has a degree of freedom {wrong[0][:20]!r}")
    if len(found) > _MOST_JOINTS:
        raise fail(f"it has more than {_MOST_JOINTS} bones")
    bones, parents = {"root": root}, {}
    for parent, names in children:
        for name in names:
            if name not in found or parent not in bones or name in bones:
                raise fail(
                    f"its hierarchy names {name[:20]} below {parent[:20]}, of which one is unknown or twice there"
                )
            bones[name], parents[name] = found[name], parent
    if len(bones) < 2:
        raise fail("it has no bones")
    return bones, parents


def _read_amc(path: str | Path) -> list[dict[str, list[float]]]:
    frames: list[dict[str, list[float]]] = []
    try:
        for line in _lines(path, "an AMC"):
            words = line.split()
            if not words or words[0].startswith(("#", ":")):
                continue
            if len(words) == 1 and words[0].isdigit():
                frames.append({})
            else:
                numbers = [float(word) for word in words[1:]]
                if not all(abs(number) < _FARTHEST for number in numbers):
                    raise ValueError
                frames[-1][words[0]] = numbers
    except (ValueError, IndexError):
        frames = []
    if not frames:
        raise CloseintError(f"{path} is not an AMC motion.", "Give the .amc file of the recording.")
    return frames
