# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: E501
"""An adult with a child: as small as the default body goes, which is a child of ten or so, with an adult's proportions."""

from __future__ import annotations

from closeint_core.training.synthetic.kinds.common import IDLE, KNEELING, Arm, arm, held, palms
from closeint_core.training.synthetic.spec import Kind, Role, Touch

ADULT = (1.64, 1.94)
CHILD = (1.37, 1.46)
_ROUND: Arm = (58, 50, 45, 60, 0, 10)

CHILD_KINDS = (
    Kind(
        "walking hand in hand with a child", "train", "child-walk", 3.0, (0.2, 2.8),
        (
            Role(place=((0, -1.0, 0.24, 0), (3.0, 1.0, 0.24, 0)), steps=(5,), stance=(0.14, 0), gaze=((0, 0.2), (1.2, 0.7), (2.2, 0.1)), right_arm=held((74, 12, 0, 20, 20, 0)), stature=ADULT, curl=8),
            Role(place=((0, -1.0, -0.24, 0), (3.0, 1.0, -0.24, 0)), steps=(7,), stance=(0.12, 0), gaze=((0, 0.4), (1.5, 0.8)), left_arm=held((58, 34, 0, 50, 60, 0)), stature=CHILD, curl=8),
        ),
        (palms(0, "right", "left", 0, 3),),
        family="adult and child",
    ),
    Kind(
        "kneeling to embrace a child", "train", "child-kneel", 3.2, (0.4, 3.0),
        (
            Role(place=((0, -0.26, 0, 0),), **KNEELING, torso=((0, 2, 0, 0), (1.0, 6, 3, 0)), head=((0, 0, 0, 0), (1.1, 0, 12, 4)), gaze=((0, 1), (0.9, 0)), stature=ADULT,
                 left_arm=arm((0, (60, 50, 0, 40, 0, 0)), (1.0, (60, 62, 40, 55, 0, 10))), right_arm=arm((0, (60, 50, 0, 40, 0, 0)), (1.0, (60, 62, 40, 55, 0, 10)))),
            Role(place=((0, 0.4, 0, 180), (0.9, 0.14, 0, 180)), steps=(2,), torso=((0, 2, 0, 0), (1.0, 12, 3, 0)), head=((0, 0, 0, 0), (1.1, 8, 14, 4)), gaze=((0, 1), (0.9, 0)), stature=CHILD,
                 left_arm=arm((0, IDLE), (0.6, (44, 70, 0, 30, 0, 0)), (1.05, (60, 78, 35, 52, 0, 10))), right_arm=arm((0, IDLE), (0.6, (44, 70, 0, 30, 0, 0)), (1.05, (60, 78, 35, 52, 0, 10)))),
        ),
        (
            Touch(0, "right_palm", ("left_mid_back_side", "mid_back", "left_shoulder_blade"), 1.1, 3.2, held=True),
            Touch(0, "left_palm", ("right_mid_back_side", "right_lower_back_side"), 1.1, 3.2, held=True),
            Touch(1, "right_palm", ("left_shoulder_back", "upper_back", "left_upper_back_side"), 1.1, 3.2, held=True),
            Touch(1, "left_palm", ("right_shoulder_back", "right_upper_back_side"), 1.1, 3.2, held=True),
            Touch(0, "chest", ("chest", "belly"), 1.15, 3.2, facing=0.1, slack=0.05),
        ),
        apart=0.2, family="adult and child",
    ),
    Kind(
        "child round the waist", "train", "child-waist", 3.2, (0.4, 3.0),
        (
            Role(place=((0, -0.18, 0, 0),), torso=((0, 2, 0, 0), (1.0, 10, 0, 0)), head=((0, 14, 0, 0),), gaze=((0, 0.7), (1.2, 0.3)), stature=ADULT, left_arm=arm((0, IDLE), (1.15, (66, 50, 30, 60, 0, 0))), right_arm=arm((0, IDLE), (1.1, (66, 56, 30, 60, 0, 0)))),
            Role(place=((0, 0.45, 0, 180), (0.9, 0.16, 0.02, 180)), steps=(2,), torso=((0, 4, 0, 0), (1.0, 10, 3, 0)), head=((0, -8, 0, 0), (1.1, 8, 8, 30)), gaze=((0, 1), (0.9, 0)), stature=CHILD,
                 left_arm=arm((0, IDLE), (0.6, (40, 50, 0, 30, 0, 0)), (1.05, _ROUND)), right_arm=arm((0, IDLE), (0.6, (40, 50, 0, 30, 0, 0)), (1.05, _ROUND))),
        ),
        (
            Touch(1, "right_palm", ("left_lower_back_side", "left_waist_side", "left_mid_back_side"), 1.1, 3.2, held=True),
            Touch(1, "left_palm", ("right_lower_back_side", "right_waist_side", "lower_back"), 1.1, 3.2, held=True),
            Touch(0, "right_palm", ("head_back", "left_shoulder_blade", "upper_back"), 1.2, 3.2, held=True, facing=0.6),
            Touch(0, "left_palm", ("right_shoulder_back", "right_shoulder_blade", "right_shoulder_top"), 1.2, 3.2, held=True),
            Touch(1, "chest", ("belly", "chest"), 1.15, 3.2, facing=0.1, slack=0.04),
        ),
        apart=0.2, family="adult and child",
    ),
    Kind(
        "child on the back", "train", "child-carry", 3.0, (0.2, 2.8),
        (
            Role(place=((0, -0.8, 0, 0), (3.0, 0.8, 0, 0)), steps=(6,), stance=(0.18, 0), pelvis=((0, 0, 0, -0.03),), torso=((0, 20, 0, 0),), head=((0, -12, 0, 0),), gaze=((0, 0),), left_arm=held((58, -8, 10, 66, 0, 0)), right_arm=held((58, -8, 10, 66, 0, 0)), stature=ADULT),
            Role(place=((0, -1.07, 0, 0), (3.0, 0.53, 0, 0)), steps=(6,), pelvis=((0, 0, 0, 0.1),), carried=True, torso=((0, 18, 0, 0),), head=((0, -6, 12, 0),), gaze=((0, 0),), toe_out=14, stature=CHILD,
                 left_foot=((0, 1, 0.24, 0.24, 0.36, 35),), right_foot=((0, 1, 0.24, -0.24, 0.36, 35),), left_arm=held((56, 76, 40, 55, 0, 0)), right_arm=held((56, 76, 40, 55, 0, 0))),
        ),
        (
            Touch(0, "right_palm", ("right_thigh_back", "right_knee_back", "right_thigh_outer"), 0, 3, held=True, facing=0.4),
            Touch(0, "left_palm", ("left_thigh_back", "left_knee_back", "left_thigh_outer"), 0, 3, held=True, facing=0.4),
            Touch(1, "right_palm", ("right_shoulder_front", "right_chest_side", "chest"), 0, 3, held=True),
            Touch(1, "left_palm", ("left_shoulder_front", "left_chest_side"), 0, 3, held=True),
            Touch(1, "chest", ("upper_back", "mid_back"), 0, 3, facing=0.1, slack=0.05),
        ),
        apart=0.2, family="adult and child",
    ),
    Kind(
        "hand on a child's head", "test", "child-head", 2.8, (0.6, 2.4),
        (
            Role(place=((0, -0.36, 0, 0),), torso=((0, 2, 0, 0), (0.9, 7, 0, 4)), gaze=((0, 1),), stature=ADULT, right_arm=arm((0, IDLE), (0.9, (66, 80, 15, 50, 0, 0)), (2.2, (66, 80, 15, 50, 0, 0)), (2.8, IDLE)), left_arm=held((74, 12, 0, 30, 0, 0))),
            Role(place=((0, 0.3, 0.03, 180),), gaze=((0, 1),), stature=CHILD, torso=((0, 1, 0, 0),)),
        ),
        (Touch(0, "right_palm", ("head_top", "head_back", "left_ear"), 0.95, 2.2, held=True, facing=0.7),),
        apart=0.25, family="adult and child",
    ),
)  # fmt: skip
