# SPDX-License-Identifier: Apache-2.0
"""What an animator corrects in a clip, and the one way in to solving again around it.

Numpy and the standard library only at import, so Blender's Python writes corrections; the solving is imported when
``refine_around`` is called, and may be replaced behind it.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from closeint_core.body.data import JOINT_NAMES
from closeint_core.clip import InteractionClip
from closeint_core.errors import CloseintError
from closeint_core.files import atomic_path
from closeint_core.foreign_files import read_json, said

FORMAT = "closeint-corrections/1"
_MOST_PINS = 100_000
_MOST_ITERATIONS, _MOST_ROUNDS = 100_000, 1000


@dataclass(frozen=True)
class RotationPin:
    """A joint's rotation that must come out as it is.

    Attributes:
        person: index in the clip. frame: index in the clip, from 0. joint: SMPL joint.
        rotation: axis-angle, radians, as in ``clip.poses`` (local; joint 0: the global orientation).
    """

    person: int
    frame: int
    joint: int
    rotation: tuple[float, float, float]


@dataclass(frozen=True)
class PositionPin:
    """A place in the clip's world (metres) where a joint must be; otherwise like ``RotationPin``."""

    person: int
    frame: int
    joint: int
    position: tuple[float, float, float]


@dataclass(frozen=True)
class ContactMark:
    """Two body parts, one of each person, that touch or do not.

    Attributes:
        frame, last: first and last frame in the clip, from 0, both included.
        person: whose ``part`` it is; the partner is the other person.
        part: body part, by its joint. other_part: the partner's; None is any part of the partner.
        touch: they touch; False: they are apart.
    """

    frame: int
    last: int
    person: int
    part: int
    other_part: int | None
    touch: bool = True


@dataclass
class Corrections:
    """All corrections of one clip."""

    rotations: list[RotationPin] = field(default_factory=list)
    positions: list[PositionPin] = field(default_factory=list)
    contacts: list[ContactMark] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.rotations) + len(self.positions) + len(self.contacts)

    def joint_pins(self) -> list[RotationPin | PositionPin]:
        """The pins of joints, rotations first."""
        return [*self.rotations, *self.positions]

    def frames(self) -> np.ndarray:
        """Sorted indices of the clip's frames that are corrected."""
        single = {pin.frame for pin in self.joint_pins()}
        marked = {frame for mark in self.contacts for frame in range(mark.frame, mark.last + 1)}
        return np.array(sorted(single | marked), np.int64)

    def validate(self, clip: InteractionClip) -> Corrections:
        """Check against the clip; returns self.

        Raises:
            CloseintError: a person, frame or joint the clip does not have, a value that is not finite, or contact
                marks in a clip that is not of two people.
        """
        joints = clip.poses.shape[2]
        for pin in self.joint_pins():
            if not (0 <= pin.person < clip.people and 0 <= pin.frame < clip.frames and 0 <= pin.joint < joints):
                raise CloseintError(
                    f"A correction is for person {pin.person + 1}, frame {pin.frame}, joint {pin.joint}; the clip has "
                    f"{clip.people} people, {clip.frames} frames and {joints} joints.",
                    "Remove this correction.",
                )
            value = pin.rotation if isinstance(pin, RotationPin) else pin.position
            if len(value) != 3 or not np.isfinite(value).all():
                raise CloseintError(f"The correction in frame {pin.frame} is not three finite numbers: {value}.")
        for mark in self.contacts:
            if clip.people != 2:
                raise CloseintError(
                    f"Contacts are between two people, and the clip has {clip.people}.", "Remove the contact marks."
                )
            parts_fit = 0 <= mark.part < joints and (mark.other_part is None or 0 <= mark.other_part < joints)
            if not (mark.person in (0, 1) and 0 <= mark.frame <= mark.last < clip.frames and parts_fit):
                raise CloseintError(f"The clip has no place for the contact mark {mark}.", "Remove this mark.")
            if mark.touch and mark.other_part is None:
                raise CloseintError(
                    f"The contact in frame {mark.frame} does not say what the {JOINT_NAMES[mark.part]} touches.",
                    "Name the partner's body part too.",
                )
        return self

    # -- JSON --------------------------------------------------------------------------------------------------------

    def to_json(self) -> dict[str, Any]:
        """A JSON object; joints by name, so that a person can read it."""
        pins: list[dict[str, Any]] = [
            {"type": "rotation", **_where(pin), "rotation": [float(x) for x in pin.rotation]} for pin in self.rotations
        ]
        pins += [
            {"type": "position", **_where(pin), "position": [float(x) for x in pin.position]} for pin in self.positions
        ]
        for mark in self.contacts:
            other = None if mark.other_part is None else JOINT_NAMES[mark.other_part]
            frames = {"frame": int(mark.frame), "last": int(mark.last), "person": int(mark.person)}
            kind = "contact" if mark.touch else "no_contact"
            pins.append({"type": kind, **frames, "part": JOINT_NAMES[mark.part], "other_part": other})
        return {"format": FORMAT, "pins": pins}

    @classmethod
    def from_json(cls, value: Any) -> Corrections:
        """Read what ``to_json`` gives.

        Raises:
            CloseintError: it is something else; the message says which pin and why.
        """
        found = value.get("format") if isinstance(value, dict) else None
        if found != FORMAT or not isinstance(value.get("pins"), list):
            raise CloseintError(
                f"These are no corrections: the format is {said(found)}, not {FORMAT!r}.", "Make the corrections again."
            )
        if len(value["pins"]) > _MOST_PINS:
            raise CloseintError(f"There are {len(value['pins'])} corrections.", f"Make at most {_MOST_PINS}.")
        result = cls()
        for number, pin in enumerate(value["pins"]):
            try:
                _read_pin(pin, result)
            except (KeyError, TypeError, ValueError, OverflowError) as error:
                raise CloseintError(
                    f"Pin {number} of the corrections cannot be read ({error!r}).", "Make the corrections again."
                ) from error
        return result

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write a JSON file, whole or not at all."""
        text = json.dumps(self.to_json(), allow_nan=False)
        with atomic_path(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
        return Path(path)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Corrections:
        """Read a JSON file.

        Raises:
            CloseintError: it is missing or no file of corrections.
        """
        try:
            return cls.from_json(read_json(path, "a file of corrections"))
        except CloseintError as error:
            raise CloseintError(f"The corrections in {path} cannot be read: {error.message}", error.fix) from None


def _where(pin: RotationPin | PositionPin) -> dict[str, Any]:
    return {"person": int(pin.person), "frame": int(pin.frame), "joint": JOINT_NAMES[pin.joint]}


def _read_pin(pin: dict[str, Any], into: Corrections) -> None:
    kind = pin["type"]
    if kind == "rotation":
        into.rotations.append(RotationPin(_whole(pin, "person"), _whole(pin, "frame"), _joint(pin["joint"]),
                                          _three(pin["rotation"])))  # fmt: skip
    elif kind == "position":
        into.positions.append(PositionPin(_whole(pin, "person"), _whole(pin, "frame"), _joint(pin["joint"]),
                                          _three(pin["position"])))  # fmt: skip
    elif kind in ("contact", "no_contact"):
        other = pin.get("other_part")
        first = _whole(pin, "frame")
        last = _whole(pin, "last") if "last" in pin else first
        other_part = None if other is None else _joint(other)
        into.contacts.append(
            ContactMark(first, last, _whole(pin, "person"), _joint(pin["part"]), other_part, kind == "contact")
        )
    else:
        raise ValueError(f"unknown type {said(kind)}")


def _whole(pin: dict[str, Any], key: str) -> int:
    value = pin[key]
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"{key} is {said(value)}, not a whole number")
    if abs(value) >= 1 << 53:
        raise ValueError(f"{key} is beyond any clip")
    return value


def _joint(name: Any) -> int:
    if name not in JOINT_NAMES:
        raise ValueError(f"there is no joint {said(name)}")
    return JOINT_NAMES.index(name)


def _three(values: Any) -> tuple[float, float, float]:
    if not isinstance(values, list | tuple) or any(
        isinstance(v, bool) or not isinstance(v, int | float) for v in values
    ):
        raise ValueError(f"{said(values)} is not three numbers")
    x, y, z = (float(value) for value in values)
    if not all(np.isfinite(value) for value in (x, y, z)):
        raise ValueError("a number is not finite")
    return x, y, z


@dataclass(frozen=True)
class RefineSettings:
    """How to solve again.

    Attributes:
        blend_seconds: how long before and after a correction the motion may change; frames further away stay exactly.
        iterations: steps of the optimiser in each of its rounds.
        rounds: how often contacts and penetration are looked for anew.
        position_tolerance: metres by which a pinned position may be missed without a warning.
        contact_tolerance: metres of gap at which marked parts count as touching.
        apart: metres between parts that are marked as not touching.
        data: folder of licensed models, besides the usual places.
    """

    blend_seconds: float = 0.5
    iterations: int = 80
    rounds: int = 3
    position_tolerance: float = 0.01
    contact_tolerance: float = 0.01
    apart: float = 0.03
    data: str | None = None

    @classmethod
    def from_json(cls, value: dict[str, Any] | None) -> RefineSettings:
        """Settings from a JSON object; what is left out keeps its default.

        Raises:
            CloseintError: an unknown name or a value out of range.
        """
        try:
            settings = cls(**(value or {}))
            numbers = (settings.blend_seconds, settings.position_tolerance, settings.contact_tolerance, settings.apart)
            if any(isinstance(x, bool) or not np.isfinite(x) or x < 0 for x in numbers):
                raise ValueError("a number is out of range")
            if not (settings.data is None or isinstance(settings.data, str)):
                raise ValueError("data is not a path")
            for name, most in (("iterations", _MOST_ITERATIONS), ("rounds", _MOST_ROUNDS)):
                count = getattr(settings, name)
                if type(count) is not int or not 1 <= count <= most:
                    raise ValueError(f"{name} is not in 1..{most}")
        except (TypeError, ValueError) as error:
            raise CloseintError(f"The settings of the refinement cannot be used ({error}).") from error
        return settings
