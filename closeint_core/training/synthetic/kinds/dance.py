# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: E501
"""Couple dances."""

from __future__ import annotations

from closeint_core.training.synthetic.kinds.common import circle, held
from closeint_core.training.synthetic.spec import Keys, Kind, Role, Touch


def _sway(amount: float, lean: float = 0.0) -> Keys:
    return tuple((t, lean, amount * (1 if t % 2 else -1), 0) for t in range(5))


DANCE = (
    Kind(
        "dance hold", "train", "step-turn", 4.0, (0.2, 3.8),
        (
            Role(place=circle(0.24, 180, 120, 180), steps=(2, 2, 2, 2), stance=(0.18, 0), torso=_sway(3),
                 left_arm=held((30, 42, 0, 75, 0, 0)), right_arm=held((50, 45, 45, 75, 0, 0)), gaze=((0, 0.7),), curl=6),
            Role(place=circle(0.24, 0, 120, 180), steps=(2, 2, 2, 2), stance=(0.18, 0), torso=_sway(-3, -3),
                 right_arm=held((30, 42, 0, 75, 0, 0)), left_arm=held((50, 62, 20, 60, 0, 0)), gaze=((0, 0.5),), curl=6),
        ),
        (
            Touch(0, "left_palm", ("right_palm",), 0, 4, held=True, gap=0.003),
            Touch(0, "right_palm", ("left_shoulder_blade", "left_mid_back_side", "left_rib_side"), 0, 4, held=True),
            Touch(1, "left_palm", ("right_upper_arm_outer", "right_shoulder_top", "right_upper_arm_front"), 0, 4, held=True),
        ),
        apart=0.2,
    ),
    Kind(
        "slow dance", "train", "step-turn", 4.0, (0.2, 3.8),
        (
            Role(place=circle(0.2, 180, -50, 180), steps=(2, 2, 2, 2), stance=(0.16, 0), torso=_sway(3, 3),
                 left_arm=held((56, 30, 40, 60, 0, 0)), right_arm=held((56, 30, 40, 60, 0, 0)), gaze=((0, 0.7),)),
            Role(place=circle(0.2, 0, -50, 180), steps=(2, 2, 2, 2), stance=(0.16, 0), torso=_sway(-3, 1),
                 left_arm=held((60, 95, 30, 45, 0, 0)), right_arm=held((60, 95, 30, 45, 0, 0)), gaze=((0, 0.7),)),
        ),
        (
            Touch(0, "left_palm", ("right_waist_side", "right_rib_side"), 0, 4, held=True),
            Touch(0, "right_palm", ("left_waist_side", "left_rib_side"), 0, 4, held=True),
            Touch(1, "left_palm", ("right_shoulder_top", "right_shoulder_back"), 0, 4, held=True),
            Touch(1, "right_palm", ("left_shoulder_top", "left_shoulder_back"), 0, 4, held=True),
        ),
        apart=0.2,
    ),
    Kind(
        "two-hand dance", "test", "step-sway", 4.0, (0.2, 3.8),
        (
            Role(place=((0, -0.4, -0.1, 0), (1, -0.38, 0.14, 4), (2, -0.4, -0.1, -4), (3, -0.38, 0.14, 4), (4, -0.4, -0.1, 0)),
                 steps=(2, 2, 2, 2), torso=_sway(3), left_arm=held((66, 30, 0, 70, -20, 0)), right_arm=held((66, 30, 0, 70, -20, 0)), curl=8),
            Role(place=((0, 0.4, -0.1, 180), (1, 0.38, 0.14, 184), (2, 0.4, -0.1, 176), (3, 0.38, 0.14, 184), (4, 0.4, -0.1, 180)),
                 steps=(2, 2, 2, 2), torso=_sway(-3), left_arm=held((66, 30, 0, 70, 20, 0)), right_arm=held((66, 30, 0, 70, 20, 0)), curl=8),
        ),
        (
            Touch(0, "left_palm", ("right_palm",), 0, 4, held=True, gap=0.003),
            Touch(0, "right_palm", ("left_palm",), 0, 4, held=True, gap=0.003),
        ),
    ),
)  # fmt: skip
