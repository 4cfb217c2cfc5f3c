# SPDX-License-Identifier: Apache-2.0
"""Stances and arm poses that several kinds share."""

from __future__ import annotations

from closeint_core.training.synthetic.spec import Keys

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
