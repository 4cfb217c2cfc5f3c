# SPDX-License-Identifier: Apache-2.0
"""Stances and arm poses that several kinds share."""

from __future__ import annotations

import math
from typing import TypedDict

from closeint_core.training.synthetic.spec import Keys, Touch

Arm = tuple[float, float, float, float, float, float]
IDLE: Arm = (74, 0, 0, 20, 0, 0)


def arm(*rows: tuple[float, Arm]) -> Keys:
    """Keys of an arm that rests at the start: (time, pose) rows."""
    return tuple((time, *pose) for time, pose in rows)


def out_and_back(reach: Arm, start: float, end: float, begin: float = 0.0, last: float | None = None) -> Keys:
    """An arm that rests, reaches by ``start``, stays until ``end`` and rests again."""
    return arm((begin, IDLE), (start, reach), (end, reach), (end + 0.75 if last is None else last, IDLE))


def held(pose: Arm) -> Keys:
    """An arm that stays as it is."""
    return ((0.0, *pose),)


def facing(distance: float, aside: float = 0.0) -> tuple[Keys, Keys]:
    """Places of two people face to face, metres between the middles of their feet."""
    half = distance / 2
    return ((0.0, -half, aside, 0.0),), ((0.0, half, -aside, 180.0),)


def lean(amount: float, start: float, end: float, turn: float = 0.0, left: float = 0.0) -> Keys:
    """A trunk that leans forward from ``start`` to ``end``."""
    return ((0, 1, 0, 0), (start, amount, left, turn), (end, amount, left, turn), (end + 0.7, 1, 0, 0))


def circle(radius: float, start: float, turn: float, facing: float, seconds: float = 4.0, beats: int = 4) -> Keys:
    """Places on a circle round the pair's middle, ``turn`` degrees in all, one step pair a beat."""
    rows = []
    for beat in range(beats + 1):
        angle = start + turn * beat / beats
        x, y = radius * math.cos(math.radians(angle)), radius * math.sin(math.radians(angle))
        rows.append((seconds * beat / beats, x, y, angle + facing))
    return tuple(rows)


def palms(who: int, mine: str, theirs: str, start: float, end: float, turning: bool = False) -> Touch:
    """A hand that holds the other's, palm to palm; of ``turning`` hands one turns in the other."""
    return Touch(
        who,
        f"{mine}_palm",
        (f"{theirs}_palm",),
        start,
        end,
        gap=0.003,
        facing=0.8 if turning else 5.0,
        held=not turning,
    )


KNEES = ("left_knee_front", "right_knee_front")
INSTEPS = ("left_instep", "right_instep")
LYING_BACK = ("upper_back", "left_buttock", "right_buttock")
SEATED_BACK: Keys = ((0.0, -28.0, 0.0, 0.0),)
"""The pelvis of somebody who sits on the floor rolls back."""


class Posture(TypedDict, total=False):
    """What the legs and the pelvis of a role do: keywords of ``Role``."""

    pelvis: Keys
    tilt: Keys
    left_foot: Keys
    right_foot: Keys
    rests: tuple[str, ...]
    toe_out: float
    stance: tuple[float, float]


def _both(forward: float, out: float, up: float, pitch: float) -> Posture:
    """Both feet off their steps, mirrored."""
    return {
        "left_foot": ((0.0, 1.0, forward, out, up, pitch),),
        "right_foot": ((0.0, 1.0, forward, -out, up, pitch),),
    }


def on_the_back(feet: float, out: float, pitch: float = -4.0) -> Posture:
    """Lying on the back, the feet ``feet`` metres from the pelvis."""
    return {
        "tilt": ((0.0, -86.0, 0.0, 0.0),), "pelvis": ((0.0, 0.0, 0.0, -0.85),), "rests": LYING_BACK,
        **_both(feet, out, 0.0, pitch),
    }  # fmt: skip


def on_the_floor(feet: float, out: float, toe_out: float = 6.0) -> Posture:
    """Sitting on the floor with the knees drawn up, the feet ``feet`` metres ahead."""
    return {
        "tilt": SEATED_BACK, "pelvis": ((0.0, 0.0, 0.0, -0.84),), "rests": LYING_BACK[1:], "toe_out": toe_out,
        **_both(feet, out, 0.0, -4.0),
    }  # fmt: skip


KNEELING: Posture = {
    "pelvis": ((0.0, 0.0, 0.0, -0.42),), "rests": KNEES, "toe_out": 6.0, **_both(-0.38, 0.12, 0.03, 118.0),
}  # fmt: skip
"""Upright on both knees."""
ASTRIDE: Posture = {
    "pelvis": ((0.0, 0.0, 0.0, -0.5),), "rests": INSTEPS, "toe_out": 24.0, **_both(-0.3, 0.26, -0.04, 165.0),
}  # fmt: skip
"""Kneeling with somebody between the knees."""
