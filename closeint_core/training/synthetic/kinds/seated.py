# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: E501
"""Sitting together, leaning on each other."""

from __future__ import annotations

from closeint_core.training.synthetic.kinds.common import IDLE, arm, held, on_the_floor, palms
from closeint_core.training.synthetic.spec import Keys, Kind, Role, Touch

_SEAT: Keys = ((0, -0.40, 0, -0.48),)

SITTING = (
    Kind(
        "sitting with an arm round the other", "train", "sit-embrace", 3.2, (0.3, 3.0),
        (
            Role(place=((0, 0, 0.2, -8),), pelvis=_SEAT, torso=((0, 4, -2, 0), (1.2, 4, -6, 0)), gaze=((0, 0.5), (1.2, 0.1)), head=((0, 0, 0, 0), (1.4, 4, -8, 0)),
                 left_arm=held((72, 32, 20, 40, 0, 0)), right_arm=arm((0, (50, 0, 0, 40, 0, 0)), (0.9, (10, -6, 10, 55, 0, 10)))),
            Role(place=((0, 0, -0.2, 12),), pelvis=_SEAT, torso=((0, 4, 2, 0), (1.2, 6, 8, 0)), gaze=((0, 0.5), (1.2, 0)), head=((0, 0, 0, 0), (1.4, 6, 20, 6)),
                 left_arm=arm((0, (72, 30, 10, 40, 0, 0)), (1.1, (64, 34, -10, 40, 0, 0))), right_arm=held((72, 32, 35, 60, 0, 0))),
        ),
        (
            Touch(0, "right_palm", ("right_upper_arm_outer", "right_shoulder_top", "right_shoulder_front"), 0.95, 3.2, held=True),
            Touch(1, "left_palm", ("right_thigh_front", "right_knee_front"), 1.15, 3.2, held=True),
            Touch(0, "right_thigh_outer", ("left_thigh_outer",), 0, 3.2, facing=0.2, slack=0.04),
            Touch(0, "left_palm", ("left_thigh_front",), 0, 3.2, facing=0.4, slack=0.02, own=True),
            Touch(1, "right_palm", ("right_thigh_front",), 0, 3.2, facing=0.4, slack=0.02, own=True),
            Touch(1, "left_ear", ("right_shoulder_top", "right_cheek"), 1.4, 3.2, facing=0.1, slack=0.07),
        ),
        apart=0.2, family="sitting together",
    ),
    Kind(
        "sitting on the lap", "train", "sit-lap", 3.2, (0.2, 3.0),
        (
            Role(place=((0, 0, 0, 0),), stance=(0.24, 0), pelvis=_SEAT, torso=((0, -2, 0, 0), (1.6, 0, 3, 0), (3.2, -2, 0, 0)), gaze=((0, 0.7),), left_arm=held((66, 40, 35, 70, 0, 0)), right_arm=held((54, 30, 25, 60, 0, 10))),
            Role(place=((0, -0.16, -0.04, 90),), pelvis=((0, 0, 0, -0.3),), carried=True, tilt=((0, -6, 0, 0),), torso=((0, 8, 4, 12),), gaze=((0, 0.7),), left_arm=held((30, 10, 10, 50, 0, 0)), right_arm=held((70, 34, 35, 60, 0, 0)), toe_out=3,
                 left_foot=((0, 1, 0.44, 0.07, 0.26, 20),), right_foot=((0, 1, 0.42, -0.07, 0.24, 20),)),
        ),
        (
            Touch(0, "right_palm", ("right_waist_side", "lower_back", "right_lower_back_side"), 0, 3.2, held=True),
            Touch(0, "left_palm", ("left_thigh_front", "left_knee_front", "right_thigh_front"), 0, 3.2, held=True),
            Touch(1, "left_palm", ("left_shoulder_top", "upper_back", "left_shoulder_back"), 0, 3.2, held=True, facing=0.6),
            Touch(1, "right_thigh_back", ("right_thigh_front",), 0, 3.2, facing=0.2, slack=0.02),
            Touch(1, "left_thigh_back", ("left_thigh_front",), 0, 3.2, facing=0.2, slack=0.02),
        ),
        apart=0.2, family="sitting together",
    ),
    Kind(
        "side by side on the floor", "train", "floor-sit", 3.2, (0.3, 3.0),
        (
            Role(place=((0, 0, 0.22, -6),), **on_the_floor(0.48, 0.11), torso=((0, 22, -3, 0),), gaze=((0, 0.6),), head=((0, -4, 0, 0),), left_arm=held((66, 66, 20, 40, 0, 0)), right_arm=arm((0, (54, -4, 0, 30, 0, 0)), (0.9, (40, -10, 15, 45, 0, 10)))),
            Role(place=((0, 0, -0.22, 8),), **on_the_floor(0.52, 0.11), torso=((0, 26, 4, 0),), gaze=((0, 0.5),), head=((0, -4, 6, 0),), left_arm=held((66, 66, 20, 40, 0, 0)), right_arm=held((66, 66, 20, 40, 0, 0))),
        ),
        (
            Touch(0, "right_palm", ("right_shoulder_blade", "right_shoulder_top", "upper_back"), 0.95, 3.2, held=True),
            Touch(0, "left_palm", ("left_knee_front", "left_thigh_front"), 0, 3.2, facing=0.4, slack=0.02, own=True),
            Touch(1, "right_palm", ("right_knee_front", "right_thigh_front"), 0, 3.2, facing=0.4, slack=0.02, own=True),
            Touch(0, "right_thigh_outer", ("left_thigh_outer",), 0, 3.2, facing=0.2, slack=0.06),
        ),
        apart=0.2, family="sitting together",
    ),
    Kind(
        "hand in hand on the floor", "test", "floor-face", 3.2, (0.3, 3.0),
        (
            Role(place=((0, -0.56, 0, 0),), **on_the_floor(0.4, 0.2, 24), torso=((0, 30, 0, 0),), gaze=((0, 0.8),), left_arm=held((74, 56, 10, 40, 0, 0)), right_arm=held((74, 56, 10, 40, 0, 0)), curl=6),
            Role(place=((0, 0.56, 0, 180),), **on_the_floor(0.36, 0.16, 20), torso=((0, 30, 0, 0),), gaze=((0, 0.8),), left_arm=held((74, 56, 10, 40, 0, 0)), right_arm=held((74, 56, 10, 40, 0, 0)), curl=6),
        ),
        (palms(0, "right", "left", 0, 3.2), palms(0, "left", "right", 0, 3.2)),
        apart=0.3, family="sitting together",
    ),
)  # fmt: skip

LEANING = (
    Kind(
        "leaning shoulder to shoulder", "train", "lean-side", 3.0, (0.2, 2.8),
        (
            Role(place=((0, 0, 0.36, 0),), tilt=((0, 0, -8, 0),), pelvis=((0, 0, -0.04, -0.01),), torso=((0, 2, -3, 0),), head=((0, 4, -14, 0),), gaze=((0, 0),), left_arm=held((74, 20, 35, 70, 0, 0)), right_arm=held((82, 4, 0, 15, 0, 0))),
            Role(place=((0, 0, -0.36, 0),), tilt=((0, 0, 8, 0),), pelvis=((0, 0, 0.04, -0.01),), torso=((0, 2, 3, 0),), head=((0, 4, 14, 0),), gaze=((0, 0),), left_arm=held((82, 4, 0, 15, 0, 0)), right_arm=held((76, 10, 0, 25, 0, 0))),
        ),
        (
            Touch(0, "right_upper_arm_outer", ("left_upper_arm_outer",), 0, 3, facing=0.4, held=True),
            Touch(0, "right_ear", ("left_ear",), 0.3, 2.7, facing=0.2, slack=0.05),
        ),
        apart=0.25, family="leaning",
    ),
    Kind(
        "leaning on another's back", "train", "lean-on-back", 3.2, (0.4, 3.0),
        (
            Role(place=((0, -0.38, 0, 0),), tilt=((0, 0, 0, 0), (0.9, 13, 0, 0)), pelvis=((0, 0, 0, -0.01), (0.9, 0.1, 0, -0.03)), torso=((0, 2, 0, 0), (1.0, 10, 0, 0)), head=((0, 0, 0, 0), (1.2, 8, 10, 34)), gaze=((0, 0.3), (0.8, 0)),
                 left_arm=arm((0, IDLE), (0.95, (62, 74, 20, 62, 0, 0))), right_arm=arm((0, IDLE), (0.95, (62, 74, 20, 62, 0, 0)))),
            Role(place=((0, 0.08, 0, 0),), stance=(0.24, 0.16), torso=((0, 2, 0, 0), (1.0, 5, 0, 0)), gaze=((0, 0),), right_arm=held((72, 34, 30, 80, 0, 0)), left_arm=held((72, 34, 30, 80, 0, 0))),
        ),
        (
            Touch(0, "right_palm", ("right_shoulder_top", "right_shoulder_back", "right_shoulder_blade"), 1.0, 3.2, held=True),
            Touch(0, "left_palm", ("left_shoulder_top", "left_shoulder_back", "left_shoulder_blade"), 1.0, 3.2, held=True),
            Touch(0, "chest", ("mid_back", "upper_back"), 1.0, 3.2, facing=0.1, slack=0.03),
            Touch(0, "right_cheek", ("upper_back", "left_upper_back_side"), 1.2, 3.2, facing=0.1, slack=0.05),
        ),
        apart=0.25, family="leaning",
    ),
    Kind(
        "walking supported", "train", "lean-walk", 3.2, (0.2, 3.0),
        (
            Role(place=((0, -0.8, 0.2, 0), (3.2, 0.8, 0.2, 0)), steps=(6,), stance=(0.16, 0), torso=((0, 6, -2, 0),), gaze=((0, 0.4),), right_arm=held((54, -16, 20, 45, 0, 10)), left_arm=held((64, 70, 40, 95, 0, 0))),
            Role(place=((0, -0.8, -0.2, 0), (3.2, 0.8, -0.2, 0)), steps=(8,), stance=(0.13, 0), tilt=((0, 0, 7, 0),), torso=((0, 12, 5, 0), (0.8, 16, 7, 0), (1.6, 10, 4, 0), (2.4, 16, 7, 0), (3.2, 12, 5, 0)), head=((0, 14, 4, 0),), gaze=((0, 0),),
                 left_arm=held((4, -4, 10, 45, 0, 0)), right_arm=held((74, 6, 0, 25, 0, 0))),
        ),
        (
            Touch(0, "right_palm", ("right_waist_side", "right_rib_side", "right_lower_back_side"), 0, 3.2, held=True),
            Touch(0, "left_palm", ("left_wrist_outer", "left_forearm_outer", "left_hand_back"), 0, 3.2, held=True, facing=0.5),
            Touch(1, "left_upper_arm_inner", ("right_shoulder_top", "right_upper_back_side", "neck_back"), 0, 3.2, facing=0.1, slack=0.03),
            Touch(0, "right_rib_side", ("left_rib_side",), 0, 3.2, facing=0.1, slack=0.07),
        ),
        apart=0.2, family="leaning",
    ),
    Kind(
        "forehead to forehead", "test", "lean-forehead", 3.2, (0.5, 2.9),
        (
            Role(place=((0, -0.34, 0, 0),), torso=((0, 2, 0, 0), (1.0, 13, 0, 0)), head=((0, 0, 0, 0), (1.0, 14, 0, 0)), gaze=((0, 1), (0.9, 0)), left_arm=arm((0, IDLE), (1.0, (66, 66, 15, 50, 0, 0))), right_arm=arm((0, IDLE), (1.0, (66, 66, 15, 50, 0, 0)))),
            Role(place=((0, 0.34, 0, 180),), torso=((0, 2, 0, 0), (1.0, 13, 0, 0)), head=((0, 0, 0, 0), (1.0, 14, 0, 0)), gaze=((0, 1), (0.9, 0)), left_arm=arm((0, IDLE), (1.1, (66, 44, 20, 70, 0, 0))), right_arm=arm((0, IDLE), (1.1, (66, 44, 20, 70, 0, 0)))),
        ),
        (
            Touch(0, "forehead", ("forehead",), 1.1, 3.2, facing=0.3, gap=0.002),
            Touch(0, "right_palm", ("left_shoulder_top", "left_upper_arm_outer", "left_neck_side"), 1.05, 3.2, held=True),
            Touch(0, "left_palm", ("right_shoulder_top", "right_upper_arm_outer"), 1.05, 3.2, held=True),
            Touch(1, "right_palm", ("left_waist_side", "left_rib_side", "left_elbow_tip"), 1.15, 3.2, held=True),
            Touch(1, "left_palm", ("right_waist_side", "right_rib_side"), 1.15, 3.2, held=True),
        ),
        apart=0.3, family="leaning",
    ),
)  # fmt: skip
SEATED = (*SITTING, *LEANING)
