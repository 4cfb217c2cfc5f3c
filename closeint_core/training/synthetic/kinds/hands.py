# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: E501
"""Hand in hand, palms facing."""

from __future__ import annotations

from closeint_core.training.synthetic.kinds.common import IDLE, Arm, arm, facing, palms
from closeint_core.training.synthetic.spec import Kind, Role, Touch

_PRESS: Arm = (72, 62, 5, 72, -40, -30)
_CLASP: Arm = (76, 34, 10, 66, 0, 0)
_OVERHEAD: Arm = (66, 138, 0, 40, -40, -10)

HANDS = (
    Kind(
        "palms pressed together", "train", "palm-press", 2.8, (0.4, 2.6),
        (
            Role(place=facing(0.86)[0], torso=((0, 2, 0, 0), (0.9, 4, 0, 0)), left_arm=arm((0, IDLE), (0.9, _PRESS)), right_arm=arm((0, IDLE), (0.9, _PRESS)), curl=2),
            Role(place=facing(0.86)[1], torso=((0, 2, 0, 0), (0.9, 4, 0, 0)), left_arm=arm((0, IDLE), (0.9, _PRESS)), right_arm=arm((0, IDLE), (0.9, _PRESS)), curl=2),
        ),
        (palms(0, "left", "right", 0.95, 2.8), palms(0, "right", "left", 0.95, 2.8)),
        apart=0.25, family="hand in hand",
    ),
    Kind(
        "standing hand in hand", "train", "stand-hands", 3.0, (0.2, 2.8),
        (
            Role(place=((0, 0, 0.3, -12),), gaze=((0, 0.2), (1.4, 0.9), (2.6, 0.2)), torso=((0, 1, 0, 0), (1.5, 2, -3, -8), (3, 1, 2, 0)), right_arm=arm((0, (70, 6, 0, 18, 30, 0)), (1.5, (70, 16, 0, 24, 30, 0)), (3, (70, 0, 0, 18, 30, 0))), curl=8),
            Role(place=((0, 0, -0.3, 12),), gaze=((0, 0.6), (1.8, 0.1)), torso=((0, 1, 0, 0), (1.5, 2, 3, 8), (3, 1, -2, 0)), left_arm=arm((0, (70, 6, 0, 18, 60, 0)), (1.5, (70, 16, 0, 24, 60, 0)), (3, (70, 0, 0, 18, 60, 0))), curl=8),
        ),
        (palms(0, "right", "left", 0, 3),),
        apart=0.2, family="hand in hand",
    ),
    Kind(
        "hand held in both hands", "train", "stand-clasp", 3.0, (0.6, 2.8),
        (
            Role(place=facing(0.84)[0], torso=((0, 2, 0, 0), (0.9, 5, 0, 6)), right_arm=arm((0, IDLE), (0.9, _CLASP)), curl=5),
            Role(place=facing(0.84)[1], torso=((0, 2, 0, 0), (0.9, 7, 0, 0)), right_arm=arm((0, IDLE), (0.9, _CLASP)), left_arm=arm((0, IDLE), (1.1, (76, 36, 20, 66, 0, 0))), curl=5),
        ),
        (palms(0, "right", "right", 0.95, 3.0), Touch(1, "left_palm", ("right_hand_back", "right_wrist_outer"), 1.2, 3.0, facing=1.0, held=True)),
        apart=0.25, family="hand in hand",
    ),
    Kind(
        "palms together overhead", "test", "palm-over", 2.6, (0.5, 2.4),
        (
            Role(place=facing(0.74)[0], torso=((0, 2, 0, 0), (0.9, 0, 0, 0)), left_arm=arm((0, IDLE), (0.9, _OVERHEAD)), right_arm=arm((0, IDLE), (0.9, _OVERHEAD)), curl=2),
            Role(place=facing(0.74)[1], torso=((0, 2, 0, 0), (0.9, 0, 0, 0)), left_arm=arm((0, IDLE), (0.9, _OVERHEAD)), right_arm=arm((0, IDLE), (0.9, _OVERHEAD)), curl=2),
        ),
        (palms(0, "left", "right", 0.95, 2.6), palms(0, "right", "left", 0.95, 2.6)),
        apart=0.25, family="hand in hand",
    ),
)  # fmt: skip
