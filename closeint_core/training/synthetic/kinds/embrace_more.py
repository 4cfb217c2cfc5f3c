# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: E501
"""Embraces from the front, from the side and from behind."""

from __future__ import annotations

from closeint_core.training.synthetic.kinds.common import IDLE, Arm, arm, circle, held
from closeint_core.training.synthetic.spec import Keys, Kind, Role, Touch

_OVER: Arm = (60, 95, 35, 50, 0, 10)
_UNDER: Arm = (54, 46, 45, 66, 0, 10)
_OPEN: Arm = (38, 70, 10, 35, 0, 0)
_FORWARD: Arm = (62, 82, 45, 60, 0, 10)
_COVERED: Arm = (70, 42, 22, 85, 0, 0)


def _closing(pose: Arm, at: float = 1.1) -> Keys:
    """Arms that rest, open, and close by ``at``."""
    return arm((0, IDLE), (at - 0.5, _OPEN), (at, pose))


def _rock(lean: float, amount: float) -> Keys:
    """A trunk that leans forward and rocks from side to side."""
    return tuple((0.8 * beat, lean, amount * (1 if beat % 2 else -1), 0) for beat in range(5))


FRONT = (
    Kind(
        "long embrace", "train", "embrace-turning", 4.0, (0.2, 3.8),
        (
            Role(place=circle(0.19, 180, -70, 180), steps=(2, 2, 2, 2), stance=(0.18, 0.04), torso=_rock(5, 4), head=((0, -3, 13, 4),), gaze=((0, 0),),
                 left_arm=held(_OVER), right_arm=held(_OVER)),
            Role(place=circle(0.19, 0, -70, 180), steps=(2, 2, 2, 2), stance=(0.18, -0.04), torso=_rock(5, -4), head=((0, -5, 13, 4),), gaze=((0, 0),),
                 left_arm=held(_UNDER), right_arm=held(_UNDER)),
        ),
        (
            Touch(0, "right_palm", ("left_upper_back_side", "left_shoulder_blade", "upper_back"), 0, 4, held=True),
            Touch(0, "left_palm", ("right_shoulder_blade", "right_shoulder_back", "right_mid_back_side"), 0, 4, held=True),
            Touch(1, "right_palm", ("left_mid_back_side", "left_lower_back_side", "mid_back"), 0, 4, held=True),
            Touch(1, "left_palm", ("right_lower_back_side", "right_waist_side", "lower_back"), 0, 4, held=True),
            Touch(0, "chest", ("chest", "left_chest_side"), 0, 4, facing=0.1, slack=0.03),
        ),
        apart=0.2, family="embrace front",
    ),
    Kind(
        "comforting embrace", "train", "embrace-comfort", 3.6, (0.6, 3.4),
        (
            Role(place=((0, -0.26, 0, 0), (1.0, -0.19, 0.02, 0)), steps=(2,), torso=((0, 2, 0, 0), (1.1, 5, 4, 0)), head=((0, 0, 0, 0), (1.1, 6, 12, 6)), gaze=((0, 1), (0.9, 0)),
                 left_arm=_closing((52, 100, 30, 85, 0, 10)), right_arm=_closing((56, 70, 40, 62, 0, 10))),
            Role(place=((0, 0.26, 0, 180), (1.0, 0.19, -0.02, 180)), steps=(2,), torso=((0, 4, 0, 0), (1.1, 14, 4, 0)), head=((0, 8, 0, 0), (1.1, 14, 16, -8)), gaze=((0, 0.3), (0.9, 0)),
                 left_arm=_closing(_UNDER), right_arm=_closing((60, 38, 40, 80, 0, 10))),
        ),
        (
            Touch(0, "left_palm", ("head_back", "neck_back"), 1.2, 3.6, held=True, facing=0.7),
            Touch(0, "right_palm", ("left_shoulder_blade", "mid_back", "left_mid_back_side"), 1.15, 3.6),
            Touch(1, "left_palm", ("right_mid_back_side", "right_lower_back_side", "right_waist_side"), 1.15, 3.6),
            Touch(1, "right_palm", ("left_waist_side", "left_rib_side", "left_lower_back_side"), 1.15, 3.6),
            Touch(0, "chest", ("chest", "left_chest_side"), 1.2, 3.6, facing=0.1, slack=0.06),
        ),
        apart=0.2, family="embrace front",
    ),
    Kind(
        "hands behind the neck", "train", "embrace-close", 3.6, (0.3, 3.4),
        (
            Role(place=((0, -0.22, 0, 0), (3.6, -0.2, 0.02, 6)), steps=(2,), torso=_rock(0, 3), gaze=((0, 0.9),),
                 left_arm=held((56, 30, 40, 62, 0, 0)), right_arm=held((56, 30, 40, 62, 0, 0))),
            Role(place=((0, 0.22, 0, 180), (3.6, 0.2, -0.02, 186)), steps=(2,), torso=_rock(-4, -3), gaze=((0, 0.9),),
                 left_arm=held((58, 100, 30, 55, 0, 10)), right_arm=held((58, 100, 30, 55, 0, 10))),
        ),
        (
            Touch(0, "right_palm", ("left_lower_back_side", "left_waist_side", "lower_back"), 0, 3.6, held=True),
            Touch(0, "left_palm", ("right_lower_back_side", "right_waist_side", "lower_back"), 0, 3.6, held=True),
            Touch(1, "right_palm", ("left_neck_side", "neck_back", "left_upper_back_side"), 0, 3.6, facing=0.6),
            Touch(1, "left_palm", ("right_upper_back_side", "right_shoulder_back"), 0, 3.6, facing=0.6),
            Touch(0, "belly", ("belly",), 0, 3.6, facing=0.1, slack=0.05),
        ),
        apart=0.2, family="embrace front",
    ),
    Kind(
        "one-armed hug", "test", "embrace-one-arm", 3.0, (0.6, 2.6),
        (
            Role(place=((0, -0.4, 0.05, 0), (0.9, -0.21, 0.08, -14)), steps=(2,), torso=((0, 2, 0, 0), (1.05, 7, 2, 8)), head=((0, 0, 0, 0), (1.0, 0, 10, 10)), gaze=((0, 1), (0.9, 0)),
                 right_arm=arm((0, IDLE), (0.6, (74, 40, 0, 70, 0, 0)), (3, (74, 36, 10, 85, 0, 0))), left_arm=_closing(_OVER)),
            Role(place=((0, 0.4, -0.05, 180), (0.9, 0.21, -0.08, 166)), steps=(2,), torso=((0, 2, 0, 0), (1.05, 7, 2, 8)), head=((0, 0, 0, 0), (1.0, 0, 10, 10)), gaze=((0, 1), (0.9, 0)),
                 right_arm=arm((0, IDLE), (0.6, (74, 40, 0, 70, 0, 0)), (3, (74, 36, 10, 85, 0, 0))), left_arm=_closing((58, 70, 35, 60, 0, 10))),
        ),
        (
            Touch(0, "left_palm", ("right_shoulder_blade", "right_upper_back_side", "upper_back"), 1.15, 3.0),
            Touch(1, "left_palm", ("right_mid_back_side", "right_shoulder_blade", "mid_back"), 1.15, 3.0),
            Touch(0, "right_palm", ("right_palm",), 0.9, 3.0, gap=0.003, facing=0.6, held=True),
            Touch(0, "left_shoulder_front", ("left_shoulder_front", "left_chest_side"), 1.15, 3.0, facing=0.1, slack=0.06),
        ),
        apart=0.2, family="embrace front",
    ),
)  # fmt: skip

SIDE = (
    Kind(
        "embrace from the side", "train", "embrace-side", 3.2, (0.6, 3.0),
        (
            Role(place=((0, 0.05, 0.5, -90), (1.0, 0.02, 0.28, -88)), steps=(2,), torso=((0, 2, 0, 0), (1.1, 8, 0, 0)), head=((0, 0, 0, 0), (1.1, 0, -12, 8)), gaze=((0, 1), (1.0, 0)),
                 left_arm=_closing((58, 62, 45, 55, 0, 10)), right_arm=_closing((58, 70, 40, 50, 0, 10))),
            Role(place=((0, 0, 0, 0),), torso=((0, 1, 0, 0), (1.1, 2, 5, 6)), gaze=((0, 0.5), (1.0, 0.1)), head=((0, 0, 0, 0), (1.1, 0, 8, 12)),
                 right_arm=arm((0, IDLE), (1.4, (66, 45, 45, 85, 0, 0)))),
        ),
        (
            Touch(0, "left_palm", ("right_shoulder_front", "right_chest_side", "chest"), 1.15, 3.2, held=True),
            Touch(0, "right_palm", ("right_shoulder_blade", "right_mid_back_side", "right_upper_back_side"), 1.15, 3.2, held=True),
            Touch(1, "right_palm", ("left_forearm_outer", "left_wrist_outer"), 1.5, 3.2, facing=0.5),
            Touch(0, "chest", ("left_upper_arm_outer",), 1.15, 3.2, facing=0.1, slack=0.05),
        ),
        apart=0.2, family="embrace side",
    ),
    Kind(
        "walking arms round waists", "train", "embrace-walk", 3.0, (0.2, 2.8),
        (
            Role(place=((0, -1.1, 0.19, 0), (3.0, 1.1, 0.19, 0)), steps=(6,), stance=(0.13, 0), gaze=((0, 0.2), (1.5, 0.7), (2.5, 0.1)), torso=((0, 2, -3, 0),),
                 right_arm=held((58, -22, 15, 40, 0, 10))),
            Role(place=((0, -1.1, -0.19, 0), (3.0, 1.1, -0.19, 0)), steps=(6,), stance=(0.13, 0), gaze=((0, 0.3),), torso=((0, 2, 3, 0),),
                 left_arm=held((48, -18, 15, 40, 0, 10)), right_arm=arm((0, IDLE), (1.5, (68, 35, 35, 80, 0, 0)))),
        ),
        (
            Touch(0, "right_palm", ("right_waist_side", "right_lower_back_side", "right_hip_side"), 0, 3, held=True),
            Touch(1, "left_palm", ("left_waist_side", "left_mid_back_side", "left_rib_side"), 0, 3, held=True),
            Touch(0, "right_hip_side", ("left_hip_side",), 0, 3, facing=0.1, slack=0.06),
        ),
        apart=0.2, family="embrace side",
    ),
    Kind(
        "side hug with the head on the shoulder", "test", "embrace-side-head", 3.2, (0.6, 3.0),
        (
            Role(place=((0, 0, 0.24, -10),), torso=((0, 1, 0, 0), (1.0, 2, -3, 0)), gaze=((0, 0.6), (1.0, 0)), head=((0, 0, 0, 0), (1.2, 6, -10, 0)),
                 right_arm=arm((0, IDLE), (0.5, (20, -5, -5, 35, 0, 0)), (1.0, (30, -14, 10, 50, 0, 10)))),
            Role(place=((0, 0, -0.24, 16),), torso=((0, 1, 0, 0), (1.0, 3, 8, 0)), gaze=((0, 0.5), (1.0, 0)), head=((0, 0, 0, 0), (1.2, 4, 26, 6)),
                 left_arm=arm((0, IDLE), (1.0, (54, -20, 20, 35, 0, 10))), right_arm=arm((0, IDLE), (1.3, (64, 50, 45, 80, 0, 0)))),
        ),
        (
            Touch(0, "right_palm", ("right_upper_arm_outer", "right_shoulder_back", "right_shoulder_blade"), 1.1, 3.2, held=True),
            Touch(1, "right_palm", ("belly", "chest", "right_chest_side"), 1.4, 3.2, held=True),
            Touch(1, "left_palm", ("left_waist_side", "lower_back", "left_lower_back_side"), 1.1, 3.2),
            Touch(1, "left_cheek", ("right_shoulder_top", "right_shoulder_front"), 1.2, 3.2, facing=0.1, slack=0.06),
        ),
        apart=0.2, family="embrace side",
    ),
)  # fmt: skip

BEHIND = (
    Kind(
        "embrace over the shoulders from behind", "train", "embrace-behind-high", 3.4, (0.5, 3.2),
        (
            Role(place=((0, -0.5, 0, 0), (0.9, -0.15, 0.02, 0)), steps=(2,), torso=((0, 2, 0, 0), (1.1, 10, 3, 0)), head=((0, 0, 0, 0), (1.1, 4, -14, 6)), gaze=((0, 0.4), (0.8, 0)),
                 left_arm=arm((0, IDLE), (0.6, (40, 60, 10, 40, 0, 0)), (1.1, (58, 84, 45, 55, 0, 10))), right_arm=arm((0, IDLE), (0.6, (40, 60, 10, 40, 0, 0)), (1.1, (58, 84, 45, 55, 0, 10)))),
            Role(place=((0, 0.13, 0, 0),), torso=((0, 1, 0, 0), (1.2, -3, 0, 0)), head=((0, 0, 0, 0), (1.3, -4, 10, 0)), gaze=((0, 0),),
                 left_arm=arm((0, IDLE), (1.4, (70, 40, 30, 110, 0, 0))), right_arm=arm((0, IDLE), (1.4, (70, 40, 30, 110, 0, 0)))),
        ),
        (
            Touch(0, "right_palm", ("left_chest_side", "chest", "left_shoulder_front"), 1.15, 3.4, held=True),
            Touch(0, "left_palm", ("right_chest_side", "right_shoulder_front"), 1.15, 3.4, held=True),
            Touch(1, "right_palm", ("right_forearm_outer", "right_wrist_outer", "right_forearm_thumb"), 1.5, 3.4, facing=0.5),
            Touch(1, "left_palm", ("left_forearm_outer", "left_elbow_tip"), 1.5, 3.4, facing=0.3),
            Touch(0, "chest", ("upper_back", "mid_back"), 1.15, 3.4, facing=0.1, slack=0.05),
        ),
        apart=0.2, family="embrace behind",
    ),
    Kind(
        "arms pinned from behind", "train", "embrace-behind-pin", 3.2, (0.3, 3.0),
        (
            Role(place=((0, -0.16, 0, 0), (3.2, -0.16, 0, 14)), steps=(3,), stance=(0.24, 0.04), torso=((0, 7, 2, 0), (1.6, 7, -4, 0), (3.2, 7, 2, 0)), head=((0, 0, 14, 0),), gaze=((0, 0),),
                 left_arm=held((60, 64, 50, 60, 0, 10)), right_arm=held((60, 64, 50, 60, 0, 10))),
            Role(place=((0, 0.12, 0, 0), (3.2, 0.12, 0.02, 14)), steps=(3,), torso=((0, 0, 0, 0), (1.6, 4, -3, 0), (3.2, -2, 3, 0)), gaze=((0, 0),),
                 left_arm=held((80, 14, 15, 40, 0, 0)), right_arm=held((80, 14, 15, 40, 0, 0))),
        ),
        (
            Touch(0, "right_palm", ("chest", "left_chest_side", "left_forearm_outer"), 0, 3.2, held=True, facing=0.6),
            Touch(0, "left_palm", ("right_chest_side", "belly", "right_elbow_inner"), 0, 3.2, held=True, facing=0.6),
            Touch(0, "chest", ("upper_back", "mid_back"), 0, 3.2, facing=0.1, slack=0.05),
            Touch(0, "right_elbow_inner", ("right_upper_arm_outer",), 0, 3.2, facing=0.2, slack=0.04),
        ),
        apart=0.2, family="embrace behind",
    ),
    Kind(
        "chin on the shoulder from behind", "train", "embrace-behind-sway", 3.6, (0.2, 3.4),
        (
            Role(place=((0, -0.15, 0.03, 0), (1.8, -0.15, 0.06, 6), (3.6, -0.15, 0.02, -4)), steps=(2, 2), torso=_rock(8, 3), head=((0, 6, -10, -6),), gaze=((0, 0),),
                 left_arm=held((60, 46, 50, 70, 0, 10)), right_arm=held((60, 46, 50, 70, 0, 10))),
            Role(place=((0, 0.13, 0, 0), (1.8, 0.13, 0.03, 6), (3.6, 0.13, 0, -4)), steps=(2, 2), torso=_rock(-2, 3), head=((0, -4, -10, 8),), gaze=((0, 0),),
                 left_arm=held(_COVERED), right_arm=held(_COVERED)),
        ),
        (
            Touch(0, "right_palm", ("belly", "right_rib_side"), 0, 3.6, held=True),
            Touch(0, "left_palm", ("left_rib_side", "left_waist_side"), 0, 3.6, held=True),
            Touch(1, "right_palm", ("right_forearm_outer", "right_wrist_outer"), 0, 3.6, facing=0.4, slack=0.03),
            Touch(1, "left_palm", ("left_forearm_outer", "left_wrist_outer"), 0, 3.6, facing=0.4, slack=0.03),
            Touch(0, "chest", ("upper_back", "mid_back"), 0, 3.6, facing=0.1, slack=0.05),
        ),
        apart=0.2, family="embrace behind",
    ),
    Kind(
        "walking embraced from behind", "test", "embrace-behind-walk", 3.0, (0.2, 2.8),
        (
            Role(place=((0, -0.9, 0, 0), (3.0, 0.5, 0, 0)), steps=(6,), stance=(0.24, 0), torso=((0, 9, 3, 0),), head=((0, 2, 12, 4),), gaze=((0, 0),),
                 left_arm=held(_FORWARD), right_arm=held((60, 50, 50, 70, 0, 10))),
            Role(place=((0, -0.6, 0, 0), (3.0, 0.8, 0, 0)), steps=(6,), stance=(0.12, 0), torso=((0, -2, 0, 0),), gaze=((0, 0),), right_arm=held(_COVERED)),
        ),
        (
            Touch(0, "left_palm", ("right_shoulder_front", "chest", "right_chest_side"), 0, 3, held=True),
            Touch(0, "right_palm", ("left_waist_side", "belly"), 0, 3, held=True),
            Touch(1, "right_palm", ("right_forearm_outer", "right_wrist_outer"), 0, 3, facing=0.4),
            Touch(0, "chest", ("upper_back", "mid_back"), 0, 3, facing=0.1, slack=0.05),
        ),
        apart=0.2, family="embrace behind",
    ),
)  # fmt: skip
EMBRACE_MORE = (*FRONT, *SIDE, *BEHIND)
