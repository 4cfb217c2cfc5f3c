# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: E501
"""Greetings with the hands and the face."""

from __future__ import annotations

from closeint_core.training.synthetic.kinds.common import IDLE, arm, facing, lean, out_and_back
from closeint_core.training.synthetic.spec import Kind, Role, Touch

_SHAKE = arm(
    (0, IDLE), (0.9, (78, 32, 0, 62, 0, 0)), (1.2, (78, 28, 0, 60, 0, 0)), (1.4, (78, 36, 0, 62, 0, 0)),
    (1.6, (78, 28, 0, 60, 0, 0)), (1.8, (78, 34, 0, 62, 0, 0)), (2.5, IDLE),
)  # fmt: skip
_FIVE = arm(
    (0, IDLE), (0.55, (55, 70, 0, 80, -30, -10)), (0.95, (62, 118, 0, 40, -50, -10)), (1.1, (62, 112, 0, 40, -50, 0)),
    (1.8, IDLE),
)  # fmt: skip
_FIST = arm(
    (0, IDLE), (0.6, (74, 25, 0, 95, 20, 0)), (0.95, (74, 62, 0, 35, 40, 0)), (1.2, (74, 62, 0, 35, 40, 0)),
    (1.8, IDLE),
)  # fmt: skip

GREETING = (
    Kind(
        "handshake", "train", "stand-reach", 2.6, (0.6, 2.1),
        (
            Role(place=facing(0.98)[0], torso=lean(7, 0.9, 1.8, 8), right_arm=_SHAKE, curl=4),
            Role(place=facing(0.98)[1], torso=lean(7, 0.9, 1.8, 8), right_arm=_SHAKE, curl=4),
        ),
        (Touch(0, "right_palm", ("right_palm",), 0.95, 1.85, gap=0.003, held=True),),
    ),
    Kind(
        "high five", "train", "stand-raise", 2.0, (0.75, 1.2),
        (
            Role(place=facing(1.0)[0], torso=lean(4, 0.95, 1.05, 11), right_arm=_FIVE, curl=0),
            Role(place=facing(1.0)[1], torso=lean(4, 0.95, 1.05, 11), right_arm=_FIVE, curl=0),
        ),
        (Touch(0, "right_palm", ("right_palm",), 0.93, 1.03, ramp=0.25),),
    ),
    Kind(
        "fist bump", "test", "stand-jab", 2.0, (0.8, 1.3),
        (
            Role(place=facing(1.1)[0], torso=lean(4, 0.9, 1.2, 10), right_arm=_FIST, curl=14),
            Role(place=facing(1.1)[1], torso=lean(4, 0.9, 1.2, 10), right_arm=_FIST, curl=14),
        ),
        (Touch(0, "right_fingertips", ("right_fingertips",), 0.95, 1.15, ramp=0.3, facing=0.1),),
    ),
    Kind(
        "hand on shoulder", "train", "stand-reach", 2.6, (0.6, 2.2),
        (
            Role(place=facing(0.74)[0], torso=lean(5, 0.9, 1.9, 4),
                 right_arm=out_and_back((60, 74, 10, 40, 10, 0), 0.9, 1.9)),
            Role(place=facing(0.74)[1]),
        ),
        (Touch(0, "right_palm", ("left_shoulder_top", "left_upper_arm_outer", "left_shoulder_front"), 0.9, 1.9,
               held=True),),
    ),
    Kind(
        "hand on cheek", "train", "stand-reach", 2.8, (0.5, 2.4),
        (
            Role(place=facing(0.62)[0], torso=lean(4, 0.9, 2.0, 3), curl=8,
                 right_arm=out_and_back((66, 88, 10, 52, 0, -10), 0.95, 2.0)),
            Role(place=facing(0.62)[1], left_arm=out_and_back((70, 40, 20, 80, 0, 0), 1.3, 2.0)),
        ),
        (
            Touch(0, "right_palm", ("left_cheek", "left_neck_side"), 0.95, 2.0, held=True),
            Touch(1, "left_palm", ("right_forearm_outer", "right_wrist_outer"), 1.35, 2.0, facing=0.3, slack=0.03),
        ),
        apart=0.25,
    ),
    Kind(
        "cheek kiss", "train", "step-in", 2.8, (0.5, 2.3),
        (
            Role(place=((0, -0.36, 0, 0), (0.9, -0.25, 0.06, 0), (1.9, -0.25, 0.06, 0), (2.8, -0.38, 0, 0)),
                 steps=(2, 2, 2), torso=lean(9, 1.0, 1.7, 0, 3), head=((0, 0, 0, 0), (1.0, -4, 8, -22), (1.7, -4, 8, -22), (2.4, 0, 0, 0)),
                 right_arm=out_and_back((66, 50, 20, 55, 0, 0), 0.9, 1.8), left_arm=out_and_back((66, 50, 20, 55, 0, 0), 0.9, 1.8),
                 gaze=((0, 1), (0.9, 0), (1.8, 0), (2.4, 1))),
            Role(place=((0, 0.36, 0, 180), (0.9, 0.25, -0.06, 180), (1.9, 0.25, -0.06, 180), (2.8, 0.38, 0, 180)),
                 steps=(2, 2, 2), torso=lean(8, 1.0, 1.7, 0, 3), head=((0, 0, 0, 0), (1.0, 0, 8, 10), (1.7, 0, 8, 10), (2.4, 0, 0, 0)),
                 right_arm=out_and_back((66, 40, 20, 70, 0, 0), 0.9, 1.8), left_arm=out_and_back((66, 40, 20, 70, 0, 0), 0.9, 1.8),
                 gaze=((0, 1), (0.9, 0), (1.8, 0), (2.4, 1))),
        ),
        (
            Touch(0, "mouth", ("right_cheek",), 1.1, 1.5, facing=0.3, gap=0.002),
            Touch(0, "right_palm", ("left_upper_arm_outer", "left_shoulder_back"), 0.95, 1.8),
            Touch(0, "left_palm", ("right_upper_arm_outer", "right_upper_arm_back"), 0.95, 1.8),
            Touch(1, "right_palm", ("left_waist_side", "left_upper_arm_outer", "left_rib_side"), 0.95, 1.8),
        ),
        apart=0.2,
    ),
    Kind(
        "whispering", "test", "lean-in", 3.2, (0.6, 2.8),
        (
            Role(place=((0, -0.36, 0.04, 20),), torso=lean(12, 0.9, 2.3, -6), curl=20,
                 head=((0, 0, 0, 0), (0.9, -4, 4, 12), (2.3, -4, 4, 12), (3.0, 0, 0, 0)), gaze=((0, 1), (0.8, 0), (2.5, 0), (3, 1)),
                 left_arm=out_and_back((60, 80, 20, 95, 0, 0), 0.9, 2.3)),
            Role(place=((0, 0.1, 0.18, 250),), torso=lean(4, 0.9, 2.3, 0, -6), gaze=((0, 0.6), (0.9, 0))),
        ),
        (
            Touch(0, "mouth", ("right_ear",), 1.0, 2.3, facing=0.5, gap=0.03),
            Touch(0, "left_palm", ("right_shoulder_top", "upper_back", "right_upper_arm_outer"), 1.0, 2.3, facing=0.6),
        ),
        apart=0.2,
    ),
)  # fmt: skip
