# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: E501
"""High kicks and what the other does about them."""

from __future__ import annotations

from closeint_core.training.synthetic.kinds.common import Arm, arm, held
from closeint_core.training.synthetic.spec import Keys, Kind, Role, Touch

_REAR: Arm = (76, 52, 15, 125, 0, 0)
_LEAD: Arm = (74, 62, 10, 100, 0, 0)
_SHIELD: Arm = (68, 96, 10, 125, 0, 0)
_STANCE = (0.26, 0.3)
_LOW: Keys = ((0.0, 0.0, 0.0, -0.05),)


def _kicker(distance: float, up: float, reach: float) -> Role:
    """A kick round with the right leg: the knee comes up to the side, the foot out and across, at 1 s."""
    foot: Keys = (
        (0, 0, -0.1, -0.12, 0.02, 0), (0.35, 0, 0.0, -0.12, 0.05, 20), (0.7, 1, 0.2, -0.34, 0.4 + 0.3 * up, 30),
        (1.0, 1, reach, -0.04, up, 50), (1.06, 1, reach, 0.0, up, 50), (1.35, 1, 0.2, -0.2, 0.45, 25),
        (1.7, 0, -0.1, -0.12, 0.02, 0),
    )  # fmt: skip
    away = 14 + 14 * up
    return Role(
        place=((0, -distance, 0, 0),), stance=_STANCE, right_foot=foot, curl=16, toe_out=12,
        pelvis=((0, 0, 0, -0.04), (0.7, 0.0, 0.05, -0.02), (1.0, 0.03, 0.08, -0.02), (1.1, 0.03, 0.08, -0.02), (1.7, 0, 0, -0.04)),
        tilt=((0, 0, 0, 0), (0.35, 0, 0, 0), (1.0, -8, away, 34), (1.1, -8, away, 34), (1.7, 0, 0, 0)),
        torso=((0, 7, 0, -14), (0.6, 2, 4, 0), (1.0, -6, 6, 10), (1.1, -6, 6, 10), (1.8, 7, 0, -14)),
        right_arm=arm((0, _REAR), (0.7, _REAR), (1.0, (60, 0, 0, 60, 0, 0)), (1.6, _REAR)), left_arm=held(_LEAD),
    )  # fmt: skip


def _defender(distance: float, lean: Keys, down: Keys = _LOW, lead: Keys | None = None) -> Role:
    return Role(
        place=((0, distance, 0, 180),), stance=_STANCE, torso=lean, pelvis=down, curl=16, right_arm=held(_REAR),
        left_arm=lead or held(_LEAD),
    )  # fmt: skip


def _moved(lean: float, left: float = 0.0) -> Keys:
    return ((0, 7, 0, -14), (0.65, 7, 0, -14), (1.0, lean, left, -10), (1.15, lean, left, -10), (1.8, 7, 0, -14))


def _hit(lean: float, left: float) -> Keys:
    return ((0, 7, 0, -14), (0.98, 7, 0, -14), (1.22, lean, left, -10), (1.8, 7, 0, -14))


KICKS = (
    Kind(
        "kick to the ribs", "train", "roundhouse", 2.2, (0.7, 1.4),
        (_kicker(0.5, 0.92, 0.66), _defender(0.46, _hit(10, 14))),
        (Touch(0, "right_instep", ("left_rib_side", "left_waist_side", "left_upper_arm_outer", "left_elbow_tip"), 0.98, 1.05, facing=0.2, ramp=0.22),),
        apart=0.25, family="high kicks and dodges",
    ),
    Kind(
        "high kick blocked", "train", "roundhouse", 2.2, (0.7, 1.4),
        (_kicker(0.5, 1.22, 0.62), _defender(0.46, _hit(4, 8), lead=arm((0, _LEAD), (0.65, _LEAD), (0.95, _SHIELD), (1.15, _SHIELD), (1.7, _LEAD)))),
        (Touch(0, "right_instep", ("left_forearm_outer", "left_elbow_tip", "left_upper_arm_outer"), 0.98, 1.05, facing=0.2, ramp=0.22),),
        apart=0.25, family="high kicks and dodges",
    ),
    Kind(
        "high kick ducked", "train", "roundhouse", 2.2, (0.7, 1.4),
        (_kicker(0.52, 1.32, 0.6), _defender(0.44, _moved(42, 0), ((0, 0, 0, -0.05), (0.65, 0, 0, -0.05), (1.0, -0.05, 0, -0.36), (1.15, -0.05, 0, -0.36), (1.8, 0, 0, -0.05)))),
        apart=0.25, family="high kicks and dodges",
    ),
    Kind(
        "leaning away from a high kick", "train", "roundhouse", 2.2, (0.7, 1.4),
        (_kicker(0.56, 1.22, 0.6), _defender(0.5, _moved(-34, 6), ((0, 0, 0, -0.05), (0.65, 0, 0, -0.05), (1.0, -0.08, 0, -0.1), (1.15, -0.08, 0, -0.1), (1.8, 0, 0, -0.05)))),
        apart=0.25, family="high kicks and dodges",
    ),
    Kind(
        "high kick caught", "test", "kick-catch", 2.4, (0.7, 1.8),
        (
            Role(place=((0, -0.54, 0, 0),), stance=_STANCE, curl=16, torso=((0, 7, 0, -14), (0.7, 0, 4, 0), (1.0, -20, 6, 6), (1.7, -20, 6, 6), (2.3, 7, 0, -14)), tilt=((0, 0, 0, 0), (0.5, 0, 0, 0), (1.0, -10, 8, 0), (1.7, -10, 8, 0), (2.3, 0, 0, 0)),
                 pelvis=((0, 0, 0, -0.04), (1.0, 0.04, 0.06, -0.02), (1.7, 0.04, 0.06, -0.02), (2.3, 0, 0, -0.04)), right_arm=held((50, 20, 0, 60, 0, 0)), left_arm=held(_LEAD),
                 right_foot=((0, 0, -0.1, -0.12, 0.02, 0), (0.35, 0, 0.0, -0.12, 0.05, 20), (0.7, 1, 0.3, -0.12, 0.6, 20), (1.0, 1, 0.74, -0.05, 1.0, -10), (1.7, 1, 0.72, -0.05, 0.96, -10), (2.3, 0, -0.1, -0.12, 0.02, 0))),
            Role(place=((0, 0.54, 0, 180),), stance=_STANCE, pelvis=_LOW, torso=_hit(8, 0), curl=16, gaze=((0, 0.5),), left_arm=arm((0, _LEAD), (0.7, _LEAD), (1.0, (72, 66, 15, 50, 0, 0)), (1.7, (72, 66, 15, 50, 0, 0)), (2.3, _LEAD)),
                 right_arm=arm((0, _REAR), (0.7, _REAR), (1.0, (72, 62, 15, 55, 0, 0)), (1.7, (72, 62, 15, 55, 0, 0)), (2.3, _REAR))),
        ),
        (
            Touch(1, "left_palm", ("right_shin_front",), 1.02, 1.65, facing=0.2, ramp=0.25),
            Touch(1, "right_palm", ("right_instep", "right_shin_front"), 1.02, 1.65, facing=0.1, ramp=0.25),
        ),
        apart=0.25, family="high kicks and dodges",
    ),
)  # fmt: skip
