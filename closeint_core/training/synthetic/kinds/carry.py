# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: E501
"""Lifting and carrying: one of the two stands for both."""

from __future__ import annotations

from closeint_core.training.synthetic.kinds.common import Arm, circle, held
from closeint_core.training.synthetic.spec import Kind, Role, Touch

_ROUND_NECK: Arm = (56, 80, 40, 55, 0, 10)
_UNDER_THIGHS: Arm = (60, -4, 12, 68, 0, 0)
_SCOOP: Arm = (76, 22, 5, 80, 60, 0)


def _in_arms(walk: float) -> tuple[Role, Role]:
    """Who carries another across both arms while walking ``walk`` metres ahead, and who lies there."""
    half, steps = walk / 2, (5,) if walk else (0,)
    return (
        Role(place=((0, -half, 0, 0), (3.2, half, 0, 0)), steps=steps, stance=(0.2, 0.04), torso=((0, -9, 0, 0),), pelvis=((0, 0, 0, -0.04),), head=((0, 10, 0, 10),), gaze=((0, 0.4),),
             left_arm=held(_SCOOP), right_arm=held(_SCOOP)),
        Role(place=((0, 0.34 - half, 0.02, -90), (3.2, 0.34 + half, 0.02, -90)), steps=steps, pelvis=((0, 0, 0, 0.0),), carried=True, tilt=((0, -56, 0, 0),), torso=((0, 20, 0, 0),), head=((0, 12, 0, -14),), gaze=((0, 0.3),),
             left_foot=((0, 1, 0.62, 0.06, 0.6, 30),), right_foot=((0, 1, 0.6, -0.06, 0.58, 30),), toe_out=4,
             right_arm=held((48, 60, 20, 50, 0, 0)), left_arm=held((66, 50, 45, 80, 0, 0))),
    )  # fmt: skip


_IN_ARMS = (
    Touch(0, "left_forearm_inner", ("mid_back", "upper_back", "right_mid_back_side"), 0, 3.2, facing=0.4, slack=0.015),
    Touch(0, "left_palm", ("left_rib_side", "left_mid_back_side"), 0, 3.2, facing=0.4, slack=0.03),
    Touch(0, "right_forearm_inner", ("right_knee_back", "right_thigh_back"), 0, 3.2, facing=0.4, slack=0.015),
    Touch(0, "right_palm", ("left_thigh_back", "left_knee_back"), 0, 3.2, facing=0.2, slack=0.03),
    Touch(0, "belly", ("right_waist_side", "right_hip_side", "right_rib_side"), 0, 3.2, facing=0.1, slack=0.04),
)

CARRY = (
    Kind(
        "carried in both arms", "train", "cradle", 3.2, (0.2, 3.0), _in_arms(0.0),
        (
            *_IN_ARMS,
            Touch(1, "right_palm", ("upper_back", "left_shoulder_back", "left_shoulder_top"), 0, 3.2, held=True),
            Touch(1, "left_palm", ("chest", "left_chest_side", "left_shoulder_front"), 0, 3.2, slack=0.02, facing=0.5),
        ),
        apart=0.2, family="lift and carry",
    ),
    Kind(
        "walking with another in both arms", "train", "cradle", 3.2, (0.2, 3.0), _in_arms(1.1),
        (*_IN_ARMS, Touch(1, "right_palm", ("left_shoulder_top", "left_shoulder_back", "upper_back"), 0, 3.2, held=True)),
        apart=0.2, family="lift and carry",
    ),
    Kind(
        "piggyback at rest", "train", "carry-stand", 3.2, (0.2, 3.0),
        (
            Role(place=((0, 0, 0, 0), (1.6, 0, 0, 14), (3.2, 0, 0, -6)), steps=(2, 2), stance=(0.2, 0.05), pelvis=((0, 0, 0, -0.05),), torso=((0, 26, 0, 0), (1.6, 24, 3, 0), (3.2, 28, -3, 0)), head=((0, -14, 0, 0), (1.6, -14, 0, -14), (3.2, -12, 0, 8)), gaze=((0, 0),),
                 left_arm=held((58, -8, 10, 62, 0, 0)), right_arm=held((58, -8, 10, 62, 0, 0))),
            Role(place=((0, -0.26, 0, 0), (1.6, -0.25, -0.06, 14), (3.2, -0.26, 0.02, -6)), steps=(2, 2), pelvis=((0, 0, 0, 0.1),), carried=True, torso=((0, 22, 0, 0),), head=((0, -8, 12, 0),), gaze=((0, 0),), toe_out=14,
                 left_foot=((0, 1, 0.26, 0.27, 0.36, 35),), right_foot=((0, 1, 0.26, -0.27, 0.36, 35),), left_arm=held(_ROUND_NECK), right_arm=held(_ROUND_NECK)),
        ),
        (
            Touch(0, "right_palm", ("right_thigh_back", "right_knee_back", "right_thigh_outer"), 0, 3.2, held=True, facing=0.4),
            Touch(0, "left_palm", ("left_thigh_back", "left_knee_back", "left_thigh_outer"), 0, 3.2, held=True, facing=0.4),
            Touch(1, "right_palm", ("chest", "right_chest_side", "right_shoulder_front"), 0, 3.2, held=True),
            Touch(1, "left_palm", ("left_chest_side", "left_shoulder_front"), 0, 3.2, held=True),
            Touch(1, "chest", ("upper_back", "mid_back"), 0, 3.2, facing=0.1, slack=0.04),
        ),
        apart=0.2, family="lift and carry",
    ),
    Kind(
        "lifted and spun", "train", "lift-spin", 3.0, (0.2, 2.8),
        (
            Role(place=((0, 0, 0, 0), (1.0, 0, 0, 60), (2.0, 0, 0, 120), (3.0, 0, 0, 180)), steps=(2, 2, 2), stance=(0.26, 0.04), torso=((0, -8, 0, 0),), pelvis=((0, 0.02, 0, -0.04),), gaze=((0, 0.3),),
                 left_arm=held((54, 44, 45, 68, 0, 10)), right_arm=held((54, 44, 45, 68, 0, 10))),
            Role(place=circle(0.34, 0, 180, 180, 3.0, 3), steps=(2, 2, 2), pelvis=((0, 0, 0, 0.17),), carried=True, torso=((0, 8, 0, 0),), head=((0, 6, 14, 0),), gaze=((0, 0.2),), tilt=((0, 10, 0, 0),),
                 left_foot=((0, 1, -0.28, 0.1, 0.34, 45),), right_foot=((0, 1, -0.34, -0.1, 0.42, 50),), left_arm=held((60, 92, 30, 48, 0, 0)), right_arm=held((60, 92, 30, 48, 0, 0))),
        ),
        (
            Touch(0, "right_palm", ("left_lower_back_side", "left_waist_side", "mid_back"), 0, 3, held=True),
            Touch(0, "left_palm", ("right_lower_back_side", "right_mid_back_side", "right_waist_side"), 0, 3, held=True),
            Touch(1, "right_palm", ("left_shoulder_back", "upper_back", "left_shoulder_blade"), 0, 3, held=True),
            Touch(1, "left_palm", ("right_shoulder_back", "right_upper_back_side", "right_shoulder_blade"), 0, 3, held=True),
            Touch(0, "chest", ("belly", "chest"), 0, 3, facing=0.1, slack=0.03),
        ),
        apart=0.2, family="lift and carry",
    ),
    Kind(
        "carried with the legs round the waist", "test", "carry-front", 3.2, (0.2, 3.0),
        (
            Role(place=((0, -0.4, 0, 0), (3.2, 0.4, 0, 0)), steps=(4,), stance=(0.22, 0), torso=((0, -10, 0, 0),), pelvis=((0, 0, 0, -0.04),), gaze=((0, 0.3),), left_arm=held(_UNDER_THIGHS), right_arm=held(_UNDER_THIGHS)),
            Role(place=((0, -0.1, 0, 180), (3.2, 0.7, 0, 180)), steps=(4,), pelvis=((0, 0, 0, 0.1),), carried=True, torso=((0, 12, 0, 0),), head=((0, 4, 14, 4),), gaze=((0, 0),), toe_out=16,
                 left_foot=((0, 1, 0.42, 0.22, 0.56, 30),), right_foot=((0, 1, 0.42, -0.22, 0.56, 30),), left_arm=held((58, 92, 35, 55, 0, 10)), right_arm=held((58, 92, 35, 55, 0, 10))),
        ),
        (
            Touch(0, "right_palm", ("left_thigh_back", "left_buttock"), 0, 3.2, held=True, facing=0.4),
            Touch(0, "left_palm", ("right_thigh_back", "right_buttock"), 0, 3.2, held=True, facing=0.4),
            Touch(1, "right_palm", ("left_shoulder_blade", "left_shoulder_back", "upper_back"), 0, 3.2, held=True),
            Touch(1, "left_palm", ("right_shoulder_blade", "right_shoulder_back"), 0, 3.2, held=True),
            Touch(0, "chest", ("chest", "belly"), 0, 3.2, facing=0.1, slack=0.03),
        ),
        apart=0.2, family="lift and carry",
    ),
)  # fmt: skip
