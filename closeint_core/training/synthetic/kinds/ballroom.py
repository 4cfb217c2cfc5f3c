# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: E501
"""Closed dance holds, back-bends, turns under the arm."""

from __future__ import annotations

from closeint_core.training.synthetic.kinds.common import IDLE, Arm, arm, circle, held, palms
from closeint_core.training.synthetic.spec import Keys, Kind, Role, Touch

_LEAD: Arm = (38, 46, 0, 72, 0, 0)
_FRAME: Arm = (52, 45, 45, 72, 0, 0)
_ON_ARM: Arm = (52, 62, 20, 58, 0, 0)
_HIGH: Arm = (62, 132, 0, 45, 0, 0)
_ABOVE: Arm = (70, 162, 0, 35, 0, 0)


def _bent(lean: float) -> Keys:
    """A trunk that bends and comes up again."""
    return ((0, 2, 0, 0), (1.0, 2, 0, 0), (1.9, lean, 0, 0), (2.5, lean, 0, 0), (3.4, 2, 0, 0))


def _turner(aside: float, turn: float) -> Keys:
    """Places of somebody who turns once in front of the partner."""
    return (
        (0, 0.42, 0, 180), (0.7, 0.4, 0, 180), (1.5, 0.32, aside, 180 + turn / 4), (2.2, 0.34, aside, 180 + turn / 2),
        (2.9, 0.4, aside / 2, 180 + 0.75 * turn), (3.6, 0.42, 0, 180 + turn), (4.0, 0.42, 0, 180 + turn),
    )  # fmt: skip


BALLROOM = (
    Kind(
        "close hold", "train", "ballroom", 4.0, (0.2, 3.8),
        (
            Role(place=circle(0.19, 180, 90, 180), steps=(2, 2, 2, 2), stance=(0.16, 0.05), torso=((0, 1, 2, 0), (2, 1, -2, 0), (4, 1, 2, 0)), head=((0, -4, 0, 16),), gaze=((0, 0.1),),
                 left_arm=held((30, 40, 0, 78, 0, 0)), right_arm=held(_FRAME), curl=6),
            Role(place=circle(0.19, 0, 90, 180), steps=(2, 2, 2, 2), stance=(0.16, -0.05), torso=((0, -8, -2, 0), (2, -8, 2, 0), (4, -8, -2, 0)), head=((0, -8, 4, 20),), gaze=((0, 0.0),),
                 right_arm=held((30, 40, 0, 78, 0, 0)), left_arm=held(_ON_ARM), curl=6),
        ),
        (
            palms(0, "left", "right", 0, 4),
            Touch(0, "right_palm", ("left_shoulder_blade", "left_mid_back_side", "mid_back"), 0, 4, held=True),
            Touch(1, "left_palm", ("right_upper_arm_outer", "right_shoulder_back", "right_shoulder_top"), 0, 4, held=True),
            Touch(0, "belly", ("belly",), 0, 4, facing=0.1, slack=0.03),
        ),
        apart=0.2, pace=(1.0, 2.2), family="dance holds and turns",
    ),
    Kind(
        "back-bend in the arm", "train", "ballroom-dip", 3.8, (0.6, 3.2),
        (
            Role(place=((0, -0.22, 0, 0), (1.0, -0.22, 0, 0), (1.9, -0.13, 0.03, 0), (2.6, -0.13, 0.03, 0), (3.4, -0.2, 0, 0)), steps=(0, 2, 0, 2), stance=(0.28, 0.28), torso=_bent(30), gaze=((0, 0.8),),
                 pelvis=((0, 0, 0, -0.02), (1.0, 0, 0, -0.02), (1.9, 0, 0, -0.15), (2.5, 0, 0, -0.15), (3.4, 0, 0, -0.02)),
                 left_arm=arm((0, _LEAD), (1.0, _LEAD), (1.9, (52, 58, 30, 50, 0, 0)), (2.5, (52, 58, 30, 50, 0, 0)), (3.4, _LEAD)), right_arm=held((54, 50, 45, 62, 0, 10)), curl=8),
            Role(place=((0, 0.22, 0, 180),), stance=(0.2, 0.22), torso=_bent(-54), head=((0, 0, 0, 0), (1.0, 0, 0, 0), (1.9, -24, 0, 8), (2.5, -24, 0, 8), (3.4, 0, 0, 0)), gaze=((0, 0.3), (1.2, 0), (3, 0.3)),
                 pelvis=((0, 0, 0, -0.02), (1.0, 0, 0, -0.02), (1.9, 0.1, 0, -0.13), (2.5, 0.1, 0, -0.13), (3.4, 0, 0, -0.02)),
                 left_arm=held((56, 80, 25, 50, 0, 0)), right_arm=arm((0, _LEAD), (1.0, _LEAD), (1.9, (30, 60, 0, 25, 0, 0)), (2.5, (30, 60, 0, 25, 0, 0)), (3.4, _LEAD)), curl=8),
        ),
        (
            palms(0, "left", "right", 0, 0.9),
            palms(0, "left", "right", 3.4, 3.8),
            Touch(0, "right_palm", ("left_mid_back_side", "mid_back", "left_shoulder_blade"), 0, 3.8, held=True),
            Touch(0, "left_palm", ("right_waist_side", "right_lower_back_side", "right_rib_side"), 1.8, 2.6),
            Touch(1, "left_palm", ("right_shoulder_back", "right_shoulder_top", "right_upper_arm_outer"), 0, 3.8, held=True, facing=0.6),
            Touch(0, "belly", ("belly",), 0.9, 3.4, facing=0.1, slack=0.04),
        ),
        apart=0.2, pace=(1.0, 2.2), family="dance holds and turns",
    ),
    Kind(
        "turn under the arm", "train", "ballroom-turn", 4.0, (0.4, 3.8),
        (
            Role(place=((0, -0.42, 0, 0), (2.0, -0.4, 0.06, 4), (4.0, -0.42, 0, 0)), steps=(3, 3), stance=(0.18, 0.08), gaze=((0, 0.8),), curl=6, right_arm=held((70, 20, 10, 50, 0, 0)),
                 left_arm=arm((0, (64, 44, 0, 62, 0, 0)), (1.0, _HIGH), (3.0, _HIGH), (3.8, (64, 44, 0, 62, 0, 0)))),
            Role(place=_turner(0.05, 360), steps=(0, 2, 2, 2, 2, 0), stance=(0.14, 0.04), gaze=((0, 0.6), (0.8, 0.1), (3.4, 0.6)), curl=6, left_arm=held((66, 25, 25, 70, 0, 0)),
                 right_arm=arm((0, (64, 44, 0, 62, 0, 0)), (1.0, _ABOVE), (3.0, _ABOVE), (3.8, (64, 44, 0, 62, 0, 0)))),
        ),
        (palms(0, "left", "right", 0, 4, turning=True),),
        apart=0.2, pace=(1.0, 2.2), family="dance holds and turns",
    ),
    Kind(
        "side by side hold", "train", "ballroom-promenade", 4.0, (0.2, 3.8),
        (
            Role(place=((0, -0.6, 0.2, -24), (1.3, -0.2, 0.2, -20), (2.6, 0.2, 0.2, -24), (4.0, 0.6, 0.2, -20)), steps=(2, 2, 2), stance=(0.14, 0), gaze=((0, 0.3),), curl=6,
                 left_arm=held((72, 52, 45, 62, 0, 0)), right_arm=held((44, 10, 30, 60, 0, 10))),
            Role(place=((0, -0.6, -0.2, 24), (1.3, -0.2, -0.2, 20), (2.6, 0.2, -0.2, 24), (4.0, 0.6, -0.2, 20)), steps=(2, 2, 2), stance=(0.14, 0), gaze=((0, 0.3),), curl=6,
                 right_arm=held((72, 52, 45, 62, 0, 0)), left_arm=held((30, 10, 20, 70, 0, 0))),
        ),
        (
            palms(0, "left", "right", 0, 4),
            Touch(0, "right_palm", ("left_shoulder_blade", "mid_back", "right_waist_side"), 0, 4, held=True),
            Touch(1, "left_palm", ("right_shoulder_top", "right_shoulder_back", "right_upper_arm_back"), 0, 4, held=True),
        ),
        apart=0.2, pace=(1.0, 2.2), family="dance holds and turns",
    ),
    Kind(
        "turn with crossed hands", "test", "ballroom-cross-turn", 4.0, (0.4, 3.8),
        (
            Role(place=((0, -0.42, 0, 0), (2.0, -0.4, -0.05, -4), (4.0, -0.42, 0, 0)), steps=(3, 3), stance=(0.18, 0.08), gaze=((0, 0.8),), curl=6, left_arm=arm((0, IDLE), (1.5, (50, 40, 0, 60, 0, 0))),
                 right_arm=arm((0, (70, 44, 20, 60, 0, 0)), (1.0, _HIGH), (3.0, _HIGH), (3.8, (70, 44, 20, 60, 0, 0)))),
            Role(place=_turner(-0.05, -360), steps=(0, 2, 2, 2, 2, 0), stance=(0.14, 0.04), gaze=((0, 0.6), (0.8, 0.1), (3.4, 0.6)), curl=6, left_arm=held((50, 30, 10, 70, 0, 0)),
                 right_arm=arm((0, (70, 44, 20, 60, 0, 0)), (1.0, _ABOVE), (3.0, _ABOVE), (3.8, (70, 44, 20, 60, 0, 0)))),
        ),
        (palms(0, "right", "right", 0, 4, turning=True),),
        apart=0.2, pace=(1.0, 2.2), family="dance holds and turns",
    ),
)  # fmt: skip
