# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: E501
"""Hugs."""

from __future__ import annotations

from closeint_core.training.synthetic.kinds.common import IDLE, Arm, arm
from closeint_core.training.synthetic.spec import Keys, Kind, Role, Touch

_OVER: Arm = (60, 95, 35, 50, 0, 10)
_UNDER: Arm = (54, 46, 45, 66, 0, 10)
_OPEN_HIGH: Arm = (38, 82, 10, 30, 0, 0)
_OPEN_LOW: Arm = (40, 42, 10, 35, 0, 0)


def _wrap(opened: Arm, closed: Arm, start: float, end: float) -> Keys:
    """Arms that open wide before they close round the other, and open again."""
    return arm(
        (0, IDLE), (start - 0.45, opened), (start, closed), (end, closed), (end + 0.35, opened), (end + 0.9, IDLE)
    )


def _approach(sign: float, near: float, aside: float, arrive: float, leave: float, last: float) -> Keys:
    yaw = 0.0 if sign < 0 else 180.0
    return (
        (0, sign * (near + 0.2), 0, yaw), (arrive, sign * near, -sign * aside, yaw),
        (leave, sign * near, -sign * aside, yaw), (last, sign * (near + 0.22), 0, yaw),
    )  # fmt: skip


def _hugger(sign: float, high: bool, near: float, tilt: float, nod: float) -> Role:
    opened, closed = (_OPEN_HIGH, _OVER) if high else (_OPEN_LOW, _UNDER)
    return Role(
        place=_approach(sign, near, 0.035, 0.95, 2.3, 3.2),
        steps=(2, 2, 2),
        torso=((0, 2, 0, 0), (1.05, 6, tilt, 0), (2.3, 6, tilt, 0), (3.0, 1, 0, 0)),
        head=((0, 0, 0, 0), (1.0, nod, 14, 4), (2.3, nod, 14, 4), (3, 0, 0, 0)),
        gaze=((0, 1), (0.9, 0), (2.4, 0), (3, 1)),
        left_arm=_wrap(opened, closed, 1.1, 2.3),
        right_arm=_wrap(opened, closed, 1.1, 2.3),
    )


EMBRACE = (
    Kind(
        "hug", "train", "stand-embrace", 3.2, (0.7, 2.6),
        (_hugger(-1, True, 0.19, 5, -3), _hugger(1, False, 0.19, 5, -5)),
        (
            Touch(0, "right_palm", ("left_upper_back_side", "left_shoulder_blade", "upper_back"), 1.15, 2.3),
            Touch(0, "left_palm", ("right_upper_back_side", "right_shoulder_blade", "right_shoulder_back"), 1.15, 2.3),
            Touch(1, "right_palm", ("left_lower_back_side", "left_mid_back_side", "left_waist_side"), 1.15, 2.3),
            Touch(1, "left_palm", ("right_lower_back_side", "right_mid_back_side", "right_waist_side"), 1.15, 2.3),
            Touch(0, "chest", ("chest", "left_chest_side"), 1.15, 2.3, facing=0.1, slack=0.05),
        ),
        apart=0.2,
    ),
    Kind(
        "crossed hug", "train", "stand-embrace", 3.2, (0.7, 2.6),
        (
            Role(place=_approach(-1, 0.2, 0.05, 0.95, 2.3, 3.2), steps=(2, 2, 2),
                 torso=((0, 2, 0, 0), (1.05, 7, 6, 0), (2.3, 7, 6, 0), (3.0, 1, 0, 0)),
                 head=((0, 0, 0, 0), (1.0, -3, 14, 4), (2.3, -3, 14, 4), (3, 0, 0, 0)), gaze=((0, 1), (0.9, 0), (2.4, 0), (3, 1)),
                 right_arm=_wrap(_OPEN_HIGH, _OVER, 1.1, 2.3), left_arm=_wrap(_OPEN_LOW, _UNDER, 1.1, 2.3)),
            Role(place=_approach(1, 0.2, 0.05, 0.95, 2.3, 3.2), steps=(2, 2, 2),
                 torso=((0, 2, 0, 0), (1.05, 7, 6, 0), (2.3, 7, 6, 0), (3.0, 1, 0, 0)),
                 head=((0, 0, 0, 0), (1.0, -3, 14, 4), (2.3, -3, 14, 4), (3, 0, 0, 0)), gaze=((0, 1), (0.9, 0), (2.4, 0), (3, 1)),
                 right_arm=_wrap(_OPEN_HIGH, _OVER, 1.1, 2.3), left_arm=_wrap(_OPEN_LOW, _UNDER, 1.1, 2.3)),
        ),
        (
            Touch(0, "right_palm", ("left_upper_back_side", "left_shoulder_blade", "left_shoulder_back"), 1.15, 2.3),
            Touch(0, "left_palm", ("right_mid_back_side", "right_lower_back_side", "right_rib_side"), 1.15, 2.3),
            Touch(1, "right_palm", ("left_upper_back_side", "left_shoulder_blade", "left_shoulder_back"), 1.15, 2.3),
            Touch(1, "left_palm", ("right_mid_back_side", "right_lower_back_side", "right_rib_side"), 1.15, 2.3),
            Touch(0, "chest", ("chest", "right_chest_side"), 1.15, 2.3, facing=0.1, slack=0.06),
        ),
        apart=0.2,
    ),
    Kind(
        "hug from behind", "test", "embrace-behind", 3.2, (0.6, 2.7),
        (
            Role(place=((0, -0.5, 0, 0), (0.9, -0.16, 0.04, 0)), steps=(2,), torso=((0, 2, 0, 0), (1.0, 9, 3, 0)),
                 head=((0, 0, 0, 0), (1.0, 4, 6, 6)), gaze=((0, 0.5), (0.9, 0)),
                 left_arm=arm((0, IDLE), (0.6, _OPEN_LOW), (1.1, (58, 45, 55, 75, 0, 10))),
                 right_arm=arm((0, IDLE), (0.6, _OPEN_LOW), (1.1, (58, 45, 55, 75, 0, 10)))),
            Role(place=((0, 0.12, 0, 0),), gaze=((0, 0.0),), torso=((0, 1, 0, 0), (1.1, -2, 0, 0)),
                 left_arm=arm((0, IDLE), (1.2, (70, 25, 40, 70, 0, 0))), right_arm=arm((0, IDLE), (1.2, (70, 25, 40, 70, 0, 0)))),
        ),
        (
            Touch(0, "right_palm", ("right_chest_side", "belly", "chest"), 1.15, 3.0),
            Touch(0, "left_palm", ("left_waist_side", "left_chest_side", "left_rib_side"), 1.15, 3.0),
            Touch(1, "right_palm", ("right_forearm_outer", "right_wrist_outer"), 1.4, 3.0, facing=0.5),
            Touch(0, "chest", ("upper_back", "mid_back"), 1.15, 3.0, facing=0.1, slack=0.05),
        ),
        apart=0.2,
    ),
)  # fmt: skip
