# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: E501
"""Side by side and past each other."""

from __future__ import annotations

from closeint_core.training.synthetic.kinds.common import IDLE, arm, held, out_and_back
from closeint_core.training.synthetic.spec import Keys, Kind, Role, Touch


def _walk(aside: float, length: float = 2.6, seconds: float = 3.0) -> Keys:
    return ((0, -length / 2, aside, 0), (seconds, length / 2, aside, 0))


_SEAT: Keys = ((0, -0.40, 0, -0.48),)

TOGETHER = (
    Kind(
        "holding hands walking", "train", "walk", 3.0, (0.2, 2.8),
        (
            Role(place=_walk(0.29), steps=(6,), stance=(0.13, 0), gaze=((0, 0.1), (1.2, 0.6), (2, 0)),
                 right_arm=held((66, 8, 0, 20, 20, 0))),
            Role(place=_walk(-0.29), steps=(6,), stance=(0.13, 0), gaze=((0, 0.1), (1.5, 0.5), (2.5, 0)),
                 left_arm=held((66, 8, 0, 20, 70, 0))),
        ),
        (Touch(0, "right_palm", ("left_palm",), 0, 3, facing=0.6, gap=0.003, held=True),),
    ),
    Kind(
        "linked arms walking", "train", "walk", 3.0, (0.2, 2.8),
        (
            Role(place=_walk(0.28), steps=(6,), stance=(0.13, 0), gaze=((0, 0.2),), right_arm=held((62, 15, 20, 95, 0, 0))),
            Role(place=_walk(-0.28), steps=(6,), stance=(0.13, 0), gaze=((0, 0.3),), left_arm=held((52, 20, 20, 85, 0, 0))),
        ),
        (
            Touch(1, "left_palm", ("right_forearm_outer", "right_forearm_thumb"), 0, 3, facing=0.6,
                  held=True),
        ),
    ),
    Kind(
        "arm over shoulder", "train", "stand-side", 3.0, (0.4, 2.8),
        (
            Role(place=((0, 0, 0.25, -4),), gaze=((0, 0.7),), torso=((0, 1, 0, 0), (1.0, 2, -4, 0)),
                 right_arm=arm((0, IDLE), (0.5, (20, 0, -10, 35, 0, 0)), (1.0, (0, -8, 10, 55, 0, 10)))),
            Role(place=((0, 0, -0.25, 4),), gaze=((0, 0.5),), torso=((0, 1, 0, 0), (1.0, 2, 4, 0)),
                 left_arm=arm((0, IDLE), (0.5, (45, -10, 0, 25, 0, 0)), (1.0, (52, -25, 20, 35, 0, 10)))),
        ),
        (
            Touch(0, "right_palm", ("right_upper_arm_outer", "right_shoulder_top", "right_shoulder_front"), 1.0, 3.0),
            Touch(1, "left_palm", ("left_waist_side", "lower_back", "right_lower_back_side"), 1.0, 3.0),
            Touch(0, "right_rib_side", ("left_rib_side",), 1.0, 3.0, facing=0.1, slack=0.08),
        ),
        apart=0.2,
    ),
    Kind(
        "pat on the back", "train", "stand-side", 2.6, (0.5, 2.3),
        (
            Role(place=((0, 0, 0.28, -25),), gaze=((0, 1),), torso=((0, 1, 0, 0), (0.9, 4, 0, -6)),
                 right_arm=arm((0, IDLE), (0.6, (35, 0, 0, 50, 0, 0)), (0.95, (38, -4, 10, 40, 0, 0)), (1.2, (30, -4, 10, 40, 0, 0)),
                               (1.45, (38, -4, 10, 40, 0, 0)), (1.9, (38, -4, 10, 40, 0, 0)), (2.6, IDLE))),
            Role(place=((0, 0, -0.28, 8),), gaze=((0, 0.4),), torso=((0, 6, 0, 0),)),
        ),
        (
            Touch(0, "right_palm", ("left_shoulder_blade", "upper_back", "mid_back", "left_mid_back_side"), 0.95, 1.02, ramp=0.18),
            Touch(0, "right_palm", ("left_shoulder_blade", "upper_back", "left_upper_back_side"), 1.42, 1.9, ramp=0.18),
        ),
    ),
    Kind(
        "sitting side by side", "train", "sit", 3.2, (0.4, 2.8),
        (
            Role(place=((0, 0, 0.25, -3),), pelvis=_SEAT, torso=((0, 4, 0, 0), (1.0, 8, -3, -6)), gaze=((0, 0.8),),
                 left_arm=held((72, 32, 20, 40, 0, 0)), right_arm=arm((0, (70, 25, 10, 50, 0, 0)), (1.0, (60, 30, -10, 45, 20, 0)))),
            Role(place=((0, 0, -0.25, 3),), pelvis=_SEAT, torso=((0, 4, 0, 0), (1.0, 6, 3, 4)), gaze=((0, 0.8),),
                 left_arm=held((72, 32, 20, 45, 0, 0)), right_arm=held((72, 32, 20, 40, 0, 0))),
        ),
        (
            Touch(0, "right_palm", ("left_thigh_front", "left_knee_front", "left_forearm_outer"), 1.0, 2.5),
            Touch(0, "right_thigh_outer", ("left_thigh_outer",), 0, 3.2, facing=0.2, slack=0.05),
            Touch(0, "left_palm", ("left_thigh_front",), 0, 3.2, facing=0.4, slack=0.02, own=True),
            Touch(1, "right_palm", ("right_thigh_front",), 0, 3.2, facing=0.4, slack=0.02, own=True),
        ),
    ),
    Kind(
        "passing by", "train", "walk", 3.0, (0.5, 2.5),
        (
            Role(place=((0, -1.6, 0.34, 0), (3.0, 1.6, 0.34, 0)), steps=(6,), stance=(0.13, 0), gaze=((0, 0.5), (1.3, 0.3), (2, 0))),
            Role(place=((0, 1.6, -0.34, 180), (3.0, -1.6, -0.34, 180)), steps=(6,), stance=(0.13, 0), gaze=((0, 0.5), (1.3, 0.3), (2, 0))),
        ),
    ),
    Kind(
        "back to back", "test", "stand-back", 2.6, (0.2, 2.4),
        (
            Role(place=((0, -0.13, 0, 180),), torso=((0, -3, 0, 0),), gaze=((0, 0.0),), right_arm=out_and_back((72, 15, 40, 95, 0, 0), 0.8, 2.4),
                 left_arm=out_and_back((72, 15, 40, 95, 0, 0), 0.8, 2.4)),
            Role(place=((0, 0.13, 0, 0),), torso=((0, -3, 0, 0),), gaze=((0, 0.0),), right_arm=held((76, -4, 0, 15, 0, 0)), left_arm=held((76, -4, 0, 15, 0, 0))),
        ),
        (
            Touch(0, "upper_back", ("upper_back", "mid_back"), 0.5, 2.5, facing=0.1, slack=0.05),
            Touch(0, "left_buttock", ("right_buttock",), 0.5, 2.5, facing=0.0, slack=0.04),
        ),
    ),
)  # fmt: skip
