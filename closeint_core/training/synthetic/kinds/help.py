# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: E501
"""Carrying, lifting, helping."""

from __future__ import annotations

from closeint_core.training.synthetic.kinds.common import Arm, arm, held
from closeint_core.training.synthetic.spec import Kind, Role, Touch

_PULL: Arm = (74, 52, 0, 20, 0, 0)

HELP = (
    Kind(
        "help up", "train", "rise", 3.2, (0.3, 2.8),
        (
            Role(place=((0, -0.46, 0, 0),), stance=(0.24, 0.24), curl=8,
                 pelvis=((0, -0.05, 0, -0.16), (0.8, -0.08, 0, -0.18), (2.2, -0.04, 0, -0.02)),
                 torso=((0, 48, 0, 0), (0.8, 48, 0, 0), (1.6, 18, 0, 0), (2.3, 4, 0, 0)),
                 left_arm=arm((0, (72, 62, 0, 15, 0, 0)), (1.0, _PULL), (2.2, (76, 30, 0, 62, 0, 0))),
                 right_arm=arm((0, (72, 62, 0, 15, 0, 0)), (1.0, _PULL), (2.2, (76, 30, 0, 62, 0, 0)))),
            Role(place=((0, 0.28, 0, 180),), curl=8,
                 pelvis=((0, -0.46, 0, -0.80), (0.8, -0.44, 0, -0.76), (1.5, -0.14, 0, -0.42), (2.2, 0, 0, -0.02)),
                 torso=((0, 14, 0, 0), (0.8, 26, 0, 0), (1.5, 38, 0, 0), (2.2, 4, 0, 0)),
                 left_arm=arm((0, (74, 78, 0, 15, 0, 0)), (1.2, (74, 72, 0, 12, 0, 0)), (2.2, (76, 30, 0, 62, 0, 0))),
                 right_arm=arm((0, (74, 78, 0, 15, 0, 0)), (1.2, (74, 72, 0, 12, 0, 0)), (2.2, (76, 30, 0, 62, 0, 0)))),
        ),
        (
            Touch(0, "right_palm", ("left_palm", "left_wrist_inner"), 0.2, 2.2, held=True, gap=0.003, facing=0.4),
            Touch(0, "left_palm", ("right_palm", "right_wrist_inner"), 0.2, 2.2, held=True, gap=0.003, facing=0.4),
        ),
        apart=0.25,
    ),
    Kind(
        "lift", "train", "lift", 3.0, (0.3, 2.8),
        (
            Role(place=((0, -0.17, 0, 0),), stance=(0.3, 0.06), pelvis=((0, 0, 0, -0.12), (0.8, 0, 0, -0.14), (1.6, 0.03, 0, -0.01), (2.4, 0.03, 0, -0.01), (3, 0, 0, -0.08)),
                 torso=((0, 16, 0, 0), (0.8, 16, 0, 0), (1.6, -7, 0, 0), (2.4, -7, 0, 0), (3, 8, 0, 0)), gaze=((0, 0.4),),
                 left_arm=held((54, 40, 45, 68, 0, 10)), right_arm=held((54, 40, 45, 68, 0, 10))),
            Role(place=((0, 0.17, 0, 180),), stance=(0.18, 0), pelvis=((0, 0, 0, -0.02), (0.85, 0, 0, -0.02), (1.6, 0, 0, 0.2), (2.4, 0, 0, 0.2), (2.95, 0, 0, -0.02)),
                 left_foot=((0.7, 0, -0.02, 0.09, 0, 0), (1.0, 1, -0.06, 0.09, 0.05, 25), (1.6, 1, -0.16, 0.1, 0.28, 42), (2.4, 1, -0.16, 0.1, 0.28, 42), (2.8, 1, -0.04, 0.09, 0.03, 20), (2.95, 0, -0.02, 0.09, 0, 0)),
                 right_foot=((0.7, 0, -0.02, -0.09, 0, 0), (1.0, 1, -0.08, -0.09, 0.05, 25), (1.6, 1, -0.2, -0.1, 0.3, 46), (2.4, 1, -0.2, -0.1, 0.3, 46), (2.8, 1, -0.04, -0.09, 0.03, 20), (2.95, 0, -0.02, -0.09, 0, 0)),
                 torso=((0, 6, 0, 0), (1.6, 8, 0, 0)), gaze=((0, 0.5),), head=((0, 6, 0, 0),),
                 left_arm=held((60, 92, 30, 45, 0, 0)), right_arm=held((60, 92, 30, 45, 0, 0))),
        ),
        (
            Touch(0, "right_palm", ("left_lower_back_side", "left_waist_side", "left_mid_back_side"), 0, 3, held=True),
            Touch(0, "left_palm", ("right_lower_back_side", "right_waist_side", "right_mid_back_side"), 0, 3, held=True),
            Touch(1, "right_palm", ("left_shoulder_top", "left_shoulder_back"), 0, 3, held=True),
            Touch(1, "left_palm", ("right_shoulder_top", "right_shoulder_back"), 0, 3, held=True),
            Touch(0, "chest", ("belly", "chest"), 1.5, 2.5, facing=0.1, slack=0.05),
        ),
        apart=0.2,
    ),
    Kind(
        "piggyback", "train", "carry", 3.0, (0.2, 2.8),
        (
            Role(place=((0, -0.9, 0, 0), (3.0, 0.9, 0, 0)), steps=(6,), stance=(0.18, 0), pelvis=((0, 0, 0, -0.04),), torso=((0, 24, 0, 0),),
                 head=((0, -14, 0, 0),), gaze=((0, 0),), left_arm=held((58, -8, 10, 62, 0, 0)), right_arm=held((58, -8, 10, 62, 0, 0))),
            Role(place=((0, -1.16, 0, 0), (3.0, 0.64, 0, 0)), steps=(6,), stance=(0.18, 0), pelvis=((0, 0, 0, 0.1),), torso=((0, 20, 0, 0),), gaze=((0, 0),),
                 left_foot=((0, 1, 0.26, 0.27, 0.36, 35),), right_foot=((0, 1, 0.26, -0.27, 0.36, 35),), head=((0, -8, 10, 0),),
                 left_arm=held((56, 75, 40, 55, 0, 0)), right_arm=held((56, 75, 40, 55, 0, 0))),
        ),
        (
            Touch(0, "right_palm", ("right_thigh_back", "right_knee_back", "right_thigh_outer"), 0, 3, held=True, facing=0.4),
            Touch(0, "left_palm", ("left_thigh_back", "left_knee_back", "left_thigh_outer"), 0, 3, held=True, facing=0.4),
            Touch(1, "right_palm", ("chest", "right_chest_side", "right_shoulder_front"), 0, 3, held=True),
            Touch(1, "left_palm", ("left_chest_side", "left_shoulder_front"), 0, 3, held=True),
            Touch(1, "chest", ("upper_back", "mid_back"), 0, 3, facing=0.1, slack=0.03),
        ),
        apart=0.2,
    ),
)  # fmt: skip
