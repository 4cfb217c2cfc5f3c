# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: E501
"""Pushing, striking, blocking, clinching.

The body's fingers do not close: a fist is a straight hand, whose tip lands where the knuckles would.
"""

from __future__ import annotations

from closeint_core.training.synthetic.kinds.common import IDLE, Arm, arm, facing, held, lean
from closeint_core.training.synthetic.spec import Keys, Kind, Role, Touch

_GUARD_REAR: Arm = (76, 52, 15, 125, 0, 0)
_GUARD_LEAD: Arm = (74, 62, 10, 100, 0, 0)
_PUNCH: Arm = (74, 88, 40, 10, 40, 0)
_STANCE = (0.26, 0.3)


def _strike(at: float) -> Keys:
    return arm((0, _GUARD_REAR), (at - 0.32, _GUARD_REAR), (at, _PUNCH), (at + 0.06, _PUNCH), (at + 0.4, _GUARD_REAR))


def _twist(at: float, amount: float = 32.0) -> Keys:
    return (
        (0, 8, 0, -18),
        (at - 0.35, 7, 0, -22),
        (at, 12, 0, amount),
        (at + 0.1, 12, 0, amount),
        (at + 0.5, 8, 0, -18),
    )


def _recoil(at: float, back: float, side: float = 0.0, low: float = 0.0) -> Keys:
    return ((0, 7, 0, -14), (at - 0.02, 7, 0, -14), (at + 0.22, back, side, -14 + low), (at + 0.8, 7, 0, -14))


_LOW: Keys = ((0.0, 0.0, 0.0, -0.05),)

COMBAT = (
    Kind(
        "push", "train", "shove", 2.4, (0.75, 1.4),
        (
            Role(place=((0, -0.34, 0, 0),), stance=(0.22, 0.22), torso=((0, 3, 0, 0), (0.7, 2, 0, 0), (1.05, 15, 0, 0), (1.3, 15, 0, 0), (2.2, 3, 0, 0)),
                 left_arm=arm((0, IDLE), (0.7, (70, 45, 10, 110, -30, -30)), (1.05, (70, 78, 10, 40, -30, -50)), (1.3, (70, 80, 10, 15, -30, -40)), (2.1, IDLE)),
                 right_arm=arm((0, IDLE), (0.7, (70, 45, 10, 110, -30, -30)), (1.05, (70, 78, 10, 40, -30, -50)), (1.3, (70, 80, 10, 15, -30, -40)), (2.1, IDLE))),
            Role(place=((0, 0.34, 0, 180), (1.08, 0.34, 0, 180), (1.75, 0.75, 0, 180)), steps=(0, 3),
                 torso=((0, 1, 0, 0), (1.0, 1, 0, 0), (1.3, -14, 0, 0), (1.9, 6, 0, 0)),
                 left_arm=arm((0, IDLE), (1.05, IDLE), (1.4, (45, 45, 0, 45, 0, 0)), (2.2, IDLE)),
                 right_arm=arm((0, IDLE), (1.05, IDLE), (1.4, (45, 45, 0, 45, 0, 0)), (2.2, IDLE))),
        ),
        (
            Touch(0, "right_palm", ("left_chest_side", "left_shoulder_front"), 0.98, 1.1, ramp=0.25),
            Touch(0, "left_palm", ("right_chest_side", "right_shoulder_front"), 0.98, 1.1, ramp=0.25),
        ),
    ),
    Kind(
        "punch landing", "train", "punch", 2.0, (0.8, 1.25),
        (
            Role(place=((0, -0.48, 0, 0),), torso=_twist(1.0), right_arm=_strike(1.0), left_arm=held(_GUARD_LEAD), stance=_STANCE, pelvis=_LOW, curl=16),
            Role(place=((0, 0.42, 0, 180),), torso=_recoil(1.0, -10), head=((0, 4, 0, 0), (0.98, 4, 0, 0), (1.15, -12, 0, 14), (1.8, 4, 0, 0)),
                 right_arm=held(_GUARD_REAR), left_arm=held((70, 30, 10, 90, 0, 0)), stance=_STANCE, pelvis=_LOW, curl=16),
        ),
        (Touch(0, "right_fingertips", ("left_cheek", "mouth", "belly", "left_rib_side", "chest", "left_shoulder_front"), 0.98, 1.03, facing=0.1, ramp=0.22),),
    ),
    Kind(
        "punch missing", "train", "punch", 2.0, (0.8, 1.25),
        (
            Role(place=((0, -0.42, 0, 0),), torso=_twist(1.0), right_arm=_strike(1.0), left_arm=held(_GUARD_LEAD), stance=_STANCE, pelvis=_LOW, curl=16),
            Role(place=((0, 0.40, 0, 180),), torso=((0, 7, 0, -14), (0.7, 7, 0, -14), (1.0, 24, 24, -14), (1.2, 24, 24, -14), (1.8, 7, 0, -14)),
                 stance=_STANCE, pelvis=((0, 0, 0, -0.05), (0.7, 0, 0, -0.05), (1.0, 0, 0.06, -0.2), (1.2, 0, 0.06, -0.2), (1.8, 0, 0, -0.05)),
                 right_arm=held(_GUARD_REAR), left_arm=held(_GUARD_LEAD), curl=16),
        ),
    ),
    Kind(
        "block", "train", "punch", 2.0, (0.8, 1.25),
        (
            Role(place=((0, -0.46, 0, 0),), torso=_twist(1.0), right_arm=_strike(1.0), left_arm=held(_GUARD_LEAD), stance=_STANCE, pelvis=_LOW, curl=16),
            Role(place=((0, 0.42, 0, 180),), torso=_recoil(1.0, 2), right_arm=held(_GUARD_REAR),
                 left_arm=arm((0, _GUARD_LEAD), (0.7, _GUARD_LEAD), (1.0, (45, 85, 0, 85, 0, 0)), (1.1, (45, 85, 0, 85, 0, 0)), (1.6, _GUARD_LEAD)), stance=_STANCE, pelvis=_LOW, curl=16),
        ),
        (Touch(1, "left_forearm_little", ("right_wrist_inner", "right_forearm_inner", "right_forearm_thumb"), 0.97, 1.03, facing=0.1, ramp=0.25),),
    ),
    Kind(
        "clinch", "train", "grapple", 3.0, (0.2, 2.8),
        (
            Role(place=((0, -0.44, 0, 0), (1.0, -0.44, 0, 0), (1.8, -0.39, 0.12, -14)), steps=(0, 2), stance=(0.3, 0.25), pelvis=((0, 0, 0, -0.1),),
                 torso=((0, 14, 0, 0), (1.5, 18, 6, 0), (3, 14, -4, 0)), head=((0, -8, 12, 0),), gaze=((0, 0),),
                 right_arm=held((66, 84, 20, 60, 0, 10)), left_arm=held((72, 38, 5, 62, 0, 0))),
            Role(place=((0, 0.44, 0, 180), (1.0, 0.44, 0, 180), (1.8, 0.46, 0.0, 172)), steps=(0, 2), stance=(0.3, 0.25), pelvis=((0, 0, 0, -0.1),),
                 torso=((0, 14, 0, 0), (1.5, 18, 4, 0), (3, 15, 0, 0)), head=((0, -8, 12, 0),), gaze=((0, 0),),
                 right_arm=held((66, 84, 20, 60, 0, 10)), left_arm=held((72, 38, 5, 62, 0, 0))),
        ),
        (
            Touch(0, "right_palm", ("left_shoulder_top", "left_neck_side", "left_shoulder_back"), 0, 3, held=True),
            Touch(1, "right_palm", ("left_shoulder_back", "left_upper_arm_back", "left_shoulder_top"), 0, 3, held=True),
            Touch(0, "left_palm", ("right_upper_arm_outer", "right_elbow_tip", "right_upper_arm_back"), 0, 3, held=True, facing=0.3),
            Touch(1, "left_palm", ("right_upper_arm_outer", "right_elbow_tip", "right_upper_arm_back"), 0, 3, held=True, facing=0.3),
        ),
        apart=0.2,
    ),
    Kind(
        "kick landing", "test", "kick", 2.2, (0.8, 1.3),
        (
            Role(place=((0, -0.5, 0, 0),), stance=_STANCE, pelvis=((0, 0, 0, -0.04), (0.7, 0.02, 0.05, -0.03), (1.0, 0.05, 0.06, -0.02), (1.7, 0, 0, -0.04)),
                 torso=((0, 7, 0, -14), (0.7, 0, 6, 0), (1.0, -16, 8, 8), (1.1, -16, 8, 8), (1.8, 7, 0, -14)),
                 right_foot=((0, 0, -0.1, -0.12, 0.02, 0), (0.4, 0, 0.0, -0.12, 0.05, 20), (0.7, 1, 0.28, -0.12, 0.5, 25), (1.0, 1, 0.78, -0.04, 0.68, 5),
                             (1.06, 1, 0.78, -0.04, 0.68, 5), (1.35, 1, 0.25, -0.12, 0.4, 25), (1.7, 0, -0.1, -0.12, 0.02, 0)),
                 right_arm=held(_GUARD_REAR), left_arm=held(_GUARD_LEAD), curl=16),
            Role(place=((0, 0.48, 0, 180),), torso=((0, 7, 0, -14), (1.0, 7, 0, -14), (1.25, 18, 0, -14), (1.9, 7, 0, -14)),
                 right_arm=held(_GUARD_REAR), left_arm=held((72, 20, 10, 100, 0, 0)), stance=_STANCE, pelvis=_LOW, curl=16),
        ),
        (Touch(0, "right_sole", ("belly", "chest", "left_thigh_front"), 0.98, 1.06, facing=0.3, ramp=0.22),),
    ),
    Kind(
        "shoulder check", "train", "shove", 2.2, (0.75, 1.3),
        (
            Role(place=((0, -0.6, 0.14, 0), (0.9, -0.24, 0.14, 0)), steps=(2,), torso=lean(10, 0.9, 1.1, 22), gaze=((0, 0.6),)),
            Role(place=facing(0.34, 0.14)[1], torso=((0, 1, 0, 0), (0.9, 1, 0, 10), (1.2, -4, 6, -18), (1.9, 1, 0, 0))),
        ),
        (Touch(0, "right_upper_arm_outer", ("right_upper_arm_outer", "right_shoulder_front"), 0.95, 1.05, facing=0.4, ramp=0.2),),
        apart=0.2,
    ),
)  # fmt: skip
