# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: E501
"""Clinches on the feet, holds on the floor."""

from __future__ import annotations

from closeint_core.training.synthetic.kinds.common import (
    ASTRIDE,
    KNEES,
    LYING_BACK,
    SEATED_BACK,
    Arm,
    held,
    on_the_back,
    palms,
)
from closeint_core.training.synthetic.spec import Kind, Role, Touch

_HOOK: Arm = (64, 86, 20, 58, 0, 10)
_ROUND: Arm = (58, 52, 48, 62, 0, 10)
_STANCE = (0.3, 0.25)

CLINCH = (
    Kind(
        "hands on the neck", "train", "collar-tie", 3.0, (0.2, 2.8),
        (
            Role(place=((0, -0.42, 0, 0), (1.4, -0.38, 0.1, -12), (3, -0.42, -0.05, 8)), steps=(2, 2), stance=_STANCE, pelvis=((0, 0, 0, -0.1),), torso=((0, 24, 0, 0), (1.5, 28, 6, 0), (3, 24, -4, 0)), head=((0, -14, 10, 0),), gaze=((0, 0),),
                 right_arm=held(_HOOK), left_arm=held((68, 56, 15, 62, 0, 0))),
            Role(place=((0, 0.42, 0, 180), (1.4, 0.46, 0, 172), (3, 0.42, -0.06, 188)), steps=(2, 2), stance=_STANCE, pelvis=((0, 0, 0, -0.12),), torso=((0, 26, 0, 0), (1.5, 22, 4, 0), (3, 27, 0, 0)), head=((0, -14, 10, 0),), gaze=((0, 0),),
                 right_arm=held(_HOOK), left_arm=held((68, 56, 15, 62, 0, 0))),
        ),
        (
            Touch(0, "right_palm", ("neck_back", "left_neck_side", "left_upper_back_side"), 0, 3, held=True, facing=0.6),
            Touch(1, "right_palm", ("neck_back", "left_neck_side", "left_shoulder_top"), 0, 3, held=True, facing=0.6),
            Touch(0, "left_palm", ("right_elbow_tip", "right_upper_arm_outer"), 0, 3, held=True, facing=0.2, slack=0.02),
            Touch(1, "left_palm", ("right_elbow_tip", "right_upper_arm_outer"), 0, 3, held=True, facing=0.2, slack=0.02),
        ),
        apart=0.25, family="clinches",
    ),
    Kind(
        "arms round the trunk", "train", "body-lock", 3.0, (0.2, 2.8),
        (
            Role(place=((0, -0.28, 0, 0), (1.5, -0.22, 0.05, -8), (3, -0.28, 0, 4)), steps=(2, 2), stance=_STANCE, pelvis=((0, -0.06, 0, -0.2),), torso=((0, 34, 0, 0), (1.5, 30, 4, 0), (3, 34, 0, 0)), head=((0, -12, 20, 8),), gaze=((0, 0),),
                 left_arm=held(_ROUND), right_arm=held(_ROUND)),
            Role(place=((0, 0.28, 0, 180), (1.5, 0.32, 0, 174), (3, 0.28, 0, 182)), steps=(2, 2), stance=_STANCE, pelvis=((0, -0.06, 0, -0.12),), torso=((0, 22, 0, 0), (1.5, 16, -4, 0), (3, 22, 0, 0)), head=((0, 0, 14, 0),), gaze=((0, 0),),
                 left_arm=held((56, 58, 35, 58, 0, 10)), right_arm=held((56, 58, 35, 58, 0, 10))),
        ),
        (
            Touch(0, "right_palm", ("left_mid_back_side", "mid_back", "left_lower_back_side"), 0, 3, held=True),
            Touch(0, "left_palm", ("right_mid_back_side", "right_lower_back_side", "right_waist_side"), 0, 3, held=True),
            Touch(1, "right_palm", ("left_shoulder_blade", "upper_back", "left_shoulder_back"), 0, 3, held=True),
            Touch(1, "left_palm", ("right_shoulder_blade", "right_shoulder_back", "right_upper_arm_back"), 0, 3, held=True),
            Touch(0, "chest", ("belly", "left_rib_side", "chest"), 0, 3, facing=0.1, slack=0.05),
        ),
        apart=0.25, family="clinches",
    ),
    Kind(
        "trunk held from behind", "train", "rear-lock", 3.0, (0.2, 2.8),
        (
            Role(place=((0, -0.24, 0.02, 0), (1.5, -0.2, 0.08, -10), (3, -0.24, 0, 6)), steps=(2, 2), stance=(0.34, 0.1), pelvis=((0, -0.02, 0, -0.16),), torso=((0, 24, 2, 0), (1.5, 22, 5, 0), (3, 24, -2, 0)), head=((0, -2, 16, 10),), gaze=((0, 0),),
                 left_arm=held((60, 50, 50, 64, 0, 10)), right_arm=held((60, 50, 50, 64, 0, 10))),
            Role(place=((0, 0.16, 0, 0), (1.5, 0.2, 0.06, -10), (3, 0.16, 0, 6)), steps=(2, 2), stance=(0.3, 0.16), pelvis=((0, -0.04, 0, -0.14),), torso=((0, 18, 0, 0), (1.5, 14, -6, 8), (3, 20, 5, -8)), gaze=((0, 0),),
                 left_arm=held((72, 46, 20, 85, 0, 0)), right_arm=held((72, 46, 20, 85, 0, 0))),
        ),
        (
            Touch(0, "right_palm", ("belly", "right_waist_side"), 0, 3, held=True),
            Touch(0, "left_palm", ("left_waist_side", "belly"), 0, 3, held=True),
            Touch(1, "right_palm", ("right_forearm_outer", "right_wrist_outer"), 0, 3, facing=0.4, slack=0.03),
            Touch(1, "left_palm", ("left_forearm_outer", "left_wrist_outer"), 0, 3, facing=0.4, slack=0.03),
            Touch(0, "chest", ("mid_back", "upper_back", "left_mid_back_side"), 0, 3, facing=0.1, slack=0.03),
        ),
        apart=0.25, family="clinches",
    ),
    Kind(
        "one arm over and one under", "test", "over-under", 3.0, (0.2, 2.8),
        (
            Role(place=((0, -0.3, 0.02, 0), (1.5, -0.26, 0.1, -14), (3, -0.3, 0, 6)), steps=(2, 2), stance=_STANCE, pelvis=((0, -0.04, 0, -0.14),), torso=((0, 26, 0, 0), (1.5, 24, 6, 0), (3, 26, 0, 0)), head=((0, -8, 18, 6),), gaze=((0, 0),),
                 right_arm=held((60, 40, 40, 66, 0, 10)), left_arm=held((52, 62, 30, 66, 0, 10))),
            Role(place=((0, 0.3, -0.02, 180), (1.5, 0.34, 0, 168), (3, 0.3, 0, 186)), steps=(2, 2), stance=_STANCE, pelvis=((0, -0.04, 0, -0.14),), torso=((0, 26, 0, 0), (1.5, 26, -4, 0), (3, 26, 0, 0)), head=((0, -8, 18, 6),), gaze=((0, 0),),
                 right_arm=held((60, 40, 40, 66, 0, 10)), left_arm=held((52, 62, 30, 66, 0, 10))),
        ),
        (
            Touch(0, "right_palm", ("left_shoulder_blade", "left_mid_back_side", "left_upper_back_side"), 0, 3, held=True),
            Touch(1, "right_palm", ("left_shoulder_blade", "left_mid_back_side", "mid_back"), 0, 3, held=True),
            Touch(0, "left_palm", ("right_upper_arm_back", "right_shoulder_back", "right_elbow_tip"), 0, 3, held=True, facing=0.4),
            Touch(1, "left_palm", ("right_upper_arm_back", "right_shoulder_back", "right_elbow_tip"), 0, 3, held=True, facing=0.4),
            Touch(0, "chest", ("chest", "left_chest_side"), 0, 3, facing=0.1, slack=0.08),
        ),
        apart=0.25, family="clinches",
    ),
)  # fmt: skip

FLOOR = (
    Kind(
        "astride on the floor", "train", "floor-mount", 3.0, (0.2, 2.8),
        (
            Role(place=((0, 0.0, 0, 180),), **ASTRIDE, torso=((0, 30, 0, 0), (1.5, 26, 5, 0), (3, 31, -4, 0)), gaze=((0, 0.6),), left_arm=held((72, 58, 10, 25, -30, -55)), right_arm=held((72, 58, 10, 25, -30, -55))),
            Role(place=((0, 0.06, 0, 0),), **on_the_back(0.5, 0.13), torso=((0, 8, 0, 0), (1.5, 10, 5, 0), (3, 8, -4, 0)), head=((0, 14, 0, 0),), gaze=((0, 0.3),), left_arm=held((62, 36, 10, 50, 0, 0)), right_arm=held((62, 36, 10, 50, 0, 0))),
        ),
        (
            Touch(0, "right_palm", ("left_chest_side", "chest", "left_shoulder_front"), 0, 3, facing=0.2, slack=0.02),
            Touch(0, "left_palm", ("right_chest_side", "right_shoulder_front"), 0, 3, facing=0.2, slack=0.02),
            Touch(1, "right_palm", ("left_thigh_front", "left_waist_side", "left_hip_side"), 0, 3, facing=0.3, slack=0.02),
            Touch(1, "left_palm", ("right_thigh_front", "right_waist_side", "right_hip_side"), 0, 3, facing=0.3, slack=0.02),
            Touch(0, "left_buttock", ("right_hip_side", "right_thigh_front"), 0, 3, facing=0.0, slack=0.06),
        ),
        apart=0.2, family="holds on the floor",
    ),
    Kind(
        "lying across another", "train", "floor-side", 3.0, (0.2, 2.8),
        (
            Role(place=((0, -0.34, 0.56, -90),), tilt=((0, 66, 0, 0),), torso=((0, 16, 0, 0), (1.5, 14, 5, 0), (3, 16, -4, 0)), pelvis=((0, 0, 0, -0.54),), head=((0, -16, 0, 20),), gaze=((0, 0),), rests=KNEES, toe_out=14,
                 left_foot=((0, 1, -0.4, 0.18, 0.02, 120),), right_foot=((0, 1, -0.4, -0.18, 0.02, 120),), left_arm=held((56, 100, 20, 50, 0, 0)), right_arm=held((56, 100, 20, 50, 0, 0))),
            Role(place=((0, 0, 0, 0),), **on_the_back(0.52, 0.13), torso=((0, 4, 0, 0),), gaze=((0, 0),), head=((0, 8, 0, 10),), left_arm=held((50, 40, 20, 70, 0, 0)), right_arm=held((58, 60, 30, 60, 0, 0))),
        ),
        (
            Touch(0, "right_palm", ("right_shoulder_top", "right_upper_arm_outer", "right_shoulder_front"), 0, 3, held=True, facing=0.4),
            Touch(0, "left_palm", ("right_waist_side", "belly", "left_waist_side"), 0, 3, held=True, facing=0.4),
            Touch(1, "right_palm", ("upper_back", "left_shoulder_blade", "left_upper_back_side"), 0, 3, held=True, facing=0.4, slack=0.02),
            Touch(0, "chest", ("chest", "right_chest_side"), 0, 3, facing=0.1, slack=0.02),
        ),
        apart=0.25, family="holds on the floor",
    ),
    Kind(
        "lying side by side", "train", "floor-lie", 3.4, (0.2, 3.2),
        (
            Role(place=((0, 0, 0.27, 0),), **on_the_back(0.84, 0.1, -62), torso=((0, 0, 0, 0),), head=((0, 0, 0, -20),), gaze=((0, 0.6),), right_arm=held((62, 2, 0, 20, 30, 0)), left_arm=held((66, 30, 50, 85, 0, 0))),
            Role(place=((0, 0.02, -0.27, 0),), **on_the_back(0.55, 0.1), torso=((0, 0, 0, 0),), head=((0, 0, 0, 20),), gaze=((0, 0.6),), left_arm=held((62, 2, 0, 20, 30, 0)), right_arm=held((72, 8, 0, 20, 0, 0))),
        ),
        (palms(0, "right", "left", 0, 3.4), Touch(0, "left_palm", ("belly", "chest"), 0, 3.4, facing=0.6, slack=0.02, own=True)),
        apart=0.2, family="holds on the floor",
    ),
    Kind(
        "held from behind on the floor", "test", "floor-back", 3.0, (0.2, 2.8),
        (
            Role(place=((0, -0.27, 0, 0),), tilt=SEATED_BACK, torso=((0, 14, 0, 0), (1.5, 14, 4, 0), (3, 12, -4, 0)), pelvis=((0, 0, 0, -0.84),), head=((0, 6, 14, 0),), gaze=((0, 0),), rests=LYING_BACK[1:], toe_out=12,
                 left_foot=((0, 1, 0.62, 0.32, 0, -10),), right_foot=((0, 1, 0.62, -0.32, 0, -10),), left_arm=held((58, 70, 50, 60, 0, 10)), right_arm=held((60, 84, 45, 56, 0, 10))),
            Role(place=((0, 0.04, 0, 0),), tilt=((0, -30, 0, 0),), torso=((0, 14, 0, 0),), pelvis=((0, 0, 0, -0.84),), head=((0, 14, -8, 0),), gaze=((0, 0),), rests=LYING_BACK[1:],
                 left_foot=((0, 1, 0.56, 0.1, 0, -6),), right_foot=((0, 1, 0.5, -0.1, 0, 0),), left_arm=held((70, 48, 35, 95, 0, 0)), right_arm=held((70, 48, 35, 95, 0, 0))),
        ),
        (
            Touch(0, "right_palm", ("left_chest_side", "left_shoulder_front", "chest"), 0, 3, held=True),
            Touch(0, "left_palm", ("belly", "chest"), 0, 3, held=True),
            Touch(1, "right_palm", ("right_forearm_outer", "right_wrist_outer"), 0, 3, facing=0.4, slack=0.02),
            Touch(1, "left_palm", ("left_forearm_outer", "left_wrist_outer"), 0, 3, facing=0.3, slack=0.03),
            Touch(0, "chest", ("upper_back", "mid_back"), 0, 3, facing=0.1, slack=0.03),
        ),
        apart=0.2, family="holds on the floor",
    ),
)  # fmt: skip
GRAPPLE = (*CLINCH, *FLOOR)
