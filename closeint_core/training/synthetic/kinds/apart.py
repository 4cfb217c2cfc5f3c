# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: E501
"""Near each other without touching: what each would do alone."""

from __future__ import annotations

from closeint_core.training.synthetic.kinds.common import IDLE, Arm, arm, facing, held, out_and_back
from closeint_core.training.synthetic.spec import Keys, Kind, Role

_KNEES: Arm = (72, 45, 0, 25, 0, 0)
_UP: Arm = (-55, 10, 0, 25, 0, 0)
_WIDE: Arm = (8, 5, 0, 15, 0, 0)
_GUARD: Arm = (76, 55, 15, 115, 0, 0)
_PUNCH: Arm = (74, 88, 40, 10, 40, 0)


def _down(depth: float, begin: float = 0.9, end: float = 1.8) -> Keys:
    return ((0, 0, 0, -0.01), (begin, -0.03, 0, depth), (end, -0.03, 0, depth), (end + 0.9, 0, 0, -0.01))


def _bow(amount: float, turn: float = 0.0, begin: float = 0.9, end: float = 1.8) -> Keys:
    return ((0, 2, 0, 0), (begin, amount, 0, turn), (end, amount, 0, turn), (end + 0.9, 2, 0, 0))


APART = (
    Kind(
        "walking near", "train", "walk", 4.0, (0.2, 3.8),
        (
            Role(place=((0, 0.1, 0.55, 20), (2, 0.7, 0.75, 60), (4, 0.6, 1.5, 120)), steps=(3, 3), stance=(0.13, 0), gaze=((0, 0.3),), motion=("walk", "run", "jump")),
            Role(place=((0, -0.1, -0.55, 200), (2, -0.7, -0.75, 160), (4, -1.3, -0.3, 120)), steps=(3, 3), stance=(0.13, 0), gaze=((0, 0.3),), motion=("walk", "walk", "run")),
        ),
    ),
    Kind(
        "walking about another", "train", "walk", 4.0, (0.2, 3.8),
        (
            Role(place=((0, 0.0, 0.75, 0), (2, 0.75, 0.3, -60), (4, 0.6, -0.6, -140)), steps=(3, 3), stance=(0.13, 0), gaze=((0, 0.6),), motion=("walk", "run")),
            Role(place=((0, -0.1, -0.05, 90), (2, 0, 0, 40), (4, 0, 0, -40)), steps=(2, 2), gaze=((0, 0.8),), left_arm=out_and_back((60, 60, 0, 60, 0, 0), 1.5, 2.5)),
        ),
    ),
    Kind(
        "dancing apart", "train", "free-dance", 4.0, (0.2, 3.8),
        (
            Role(place=((0, -0.65, 0, 0), (1, -0.6, 0.12, 15), (2, -0.65, 0, -10), (3, -0.6, -0.12, 20), (4, -0.65, 0, 0)), steps=(2, 2, 2, 2), torso=((0, 3, 5, 10), (1, 2, -6, -10), (2, 3, 6, 12), (3, 2, -6, -8), (4, 3, 5, 0)),
                 left_arm=arm((0, (50, 40, 0, 80, 0, 0)), (1, _UP), (2, (50, 40, 0, 80, 0, 0)), (3, _WIDE)), right_arm=arm((0, _WIDE), (1, (50, 40, 0, 90, 0, 0)), (2, _UP), (3, (50, 50, 0, 80, 0, 0))), motion=("dance_a", "spin")),
            Role(place=((0, 0.65, 0, 180), (1, 0.6, 0.12, 200), (2, 0.65, 0, 165), (3, 0.6, -0.12, 190), (4, 0.65, 0, 180)), steps=(2, 2, 2, 2), torso=((0, 3, -5, -10), (1, 2, 6, 10), (2, 3, -6, -12), (3, 2, 6, 8), (4, 3, -5, 0)),
                 left_arm=arm((0, _WIDE), (1, (50, 40, 0, 90, 0, 0)), (2, (40, 30, 0, 100, 0, 0)), (3, _UP)), right_arm=arm((0, (50, 40, 0, 80, 0, 0)), (1.5, _UP), (2.5, (50, 40, 0, 80, 0, 0))), motion=("dance_a", "spin")),
        ),
    ),
    Kind(
        "shadow boxing", "train", "punch", 2.4, (0.4, 2.2),
        (
            Role(place=facing(1.5)[0], stance=(0.26, 0.3), pelvis=((0, 0, 0, -0.05),), torso=((0, 8, 0, -18), (0.7, 7, 0, -20), (1.0, 12, 0, 30), (1.3, 8, 0, -18)), curl=16,
                 right_arm=arm((0, _GUARD), (0.75, _GUARD), (1.0, _PUNCH), (1.3, _GUARD)), left_arm=arm((0, _GUARD), (1.4, _GUARD), (1.65, _PUNCH), (1.9, _GUARD)), motion=("punch",)),
            Role(place=facing(1.5)[1], stance=(0.26, 0.3), pelvis=((0, 0, 0, -0.08),), torso=((0, 10, 0, -14), (1.0, 18, 14, -14), (1.5, 10, -8, -14)), curl=16,
                 right_arm=held(_GUARD), left_arm=held(_GUARD), motion=("punch", "jump")),
        ),
    ),
    Kind(
        "picking up", "train", "stoop", 3.0, (0.3, 2.8),
        (
            Role(place=((0, -0.5, 0.15, 30),), stance=(0.24, 0.12), pelvis=_down(-0.34), torso=_bow(62, 12), gaze=((0, 0),), right_arm=out_and_back((80, 70, 0, 12, 0, 0), 0.9, 1.8), left_arm=out_and_back(_KNEES, 0.9, 1.8)),
            Role(place=((0, 0.5, -0.1, 185),), gaze=((0, 0.8),), torso=_bow(14, -8), left_arm=out_and_back((70, 40, 20, 95, 0, 0), 1.0, 2.0)),
        ),
    ),
    Kind(
        "crouching", "train", "stoop", 3.2, (0.3, 3.0),
        (
            Role(place=((0, -0.45, 0, 10),), stance=(0.28, 0.2), pelvis=_down(-0.5, 1.0, 2.0), torso=_bow(34, 0, 1.0, 2.0), left_arm=out_and_back(_KNEES, 1.0, 2.0), right_arm=out_and_back((72, 60, 0, 60, 0, 0), 1.0, 2.0)),
            Role(place=((0, 0.45, 0, 170),), stance=(0.28, -0.2), pelvis=_down(-0.44, 1.3, 2.2), torso=_bow(28, 0, 1.3, 2.2), left_arm=out_and_back((70, 55, 0, 70, 0, 0), 1.3, 2.2), right_arm=out_and_back(_KNEES, 1.3, 2.2)),
        ),
    ),
    Kind(
        "arms raised", "train", "raise-arms", 3.0, (0.3, 2.8),
        (
            Role(place=((0, -0.5, 0.1, -20), (1.5, -0.5, 0.1, 25)), left_arm=arm((0, IDLE), (0.8, _UP), (1.8, (-40, 20, 0, 60, 0, 0)), (2.8, IDLE)), right_arm=arm((0, IDLE), (1.0, _UP), (2.0, _WIDE), (2.8, IDLE)), torso=((0, 0, 0, 0), (1, -8, 5, 10), (2, 0, -8, -10))),
            Role(place=((0, 0.5, -0.1, 160),), left_arm=arm((0, IDLE), (1.2, (10, 70, 0, 20, 0, 0)), (2.2, IDLE)), right_arm=arm((0, IDLE), (0.9, (30, 95, 0, 100, 0, 0)), (1.8, (-30, 0, 0, 20, 0, 0)), (2.8, IDLE)), torso=((0, 0, 0, 0), (1.2, 4, -8, 20), (2.2, 0, 4, -16))),
        ),
    ),
    Kind(
        "turning round", "train", "turn", 3.2, (0.2, 3.0),
        (
            Role(place=((0, -0.45, 0, 0), (1.4, -0.45, 0.1, 150), (3, -0.4, 0.1, 320)), steps=(4, 4), gaze=((0, 0.1),), torso=((0, 2, 0, 0), (0.7, 2, 0, 25), (2, 2, 0, 25), (3, 2, 0, 0)), right_arm=out_and_back((45, 40, 0, 60, 0, 0), 1.2, 2.2)),
            Role(place=((0, 0.45, 0, 180), (2.0, 0.5, 0, 40), (3, 0.5, 0, 40)), steps=(4, 0), gaze=((0, 0.1),), torso=((0, 2, 0, 0), (1.0, 2, 0, -25), (2.5, 2, 0, 0)), left_arm=out_and_back((72, 30, 30, 100, 0, 0), 0.8, 2.4)),
        ),
    ),
    Kind(
        "kick missing", "test", "kick", 2.2, (0.5, 1.6),
        (
            Role(place=((0, -0.75, 0, 0),), stance=(0.26, 0.3), pelvis=((0, 0, 0, -0.04), (0.7, 0.02, 0.05, -0.03), (1.0, 0.05, 0.06, -0.02), (1.7, 0, 0, -0.04)),
                 torso=((0, 7, 0, -14), (0.7, 0, 6, 0), (1.0, -16, 8, 8), (1.1, -16, 8, 8), (1.8, 7, 0, -14)),
                 right_foot=((0, 0, -0.1, -0.12, 0.02, 0), (0.4, 0, 0.0, -0.12, 0.05, 20), (0.7, 1, 0.28, -0.12, 0.5, 25), (1.0, 1, 0.78, -0.04, 0.68, 5),
                             (1.06, 1, 0.78, -0.04, 0.68, 5), (1.35, 1, 0.25, -0.12, 0.4, 25), (1.7, 0, -0.1, -0.12, 0.02, 0)),
                 right_arm=held(_GUARD), left_arm=held(_GUARD), curl=16, motion=("kick", "spinkick")),
            Role(place=((0, 0.55, 0, 180), (0.7, 0.55, 0, 180), (1.3, 0.85, 0.05, 180)), steps=(0, 2), torso=((0, 7, 0, -14), (1.0, -8, 0, -14), (1.9, 7, 0, -14)), stance=(0.26, 0.3),
                 pelvis=((0, 0, 0, -0.05),), right_arm=held(_GUARD), left_arm=held(_GUARD), curl=16, motion=("dance_b",)),
        ),
        apart=0.3,
    ),
)  # fmt: skip
