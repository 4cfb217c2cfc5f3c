# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: E501
"""The kinds of interaction that can be generated."""

from __future__ import annotations

from closeint_core.training.synthetic.spec import Kind, Registry, Role, Touch

_IDLE = (0.0, 74.0, 0.0, 0.0, 20.0, 0.0, 0.0)


def _arm(*rows: tuple[float, ...]) -> tuple[tuple[float, ...], ...]:
    return tuple(rows)


def _facing(distance: float, forward: float = 0.0) -> tuple[tuple[tuple[float, ...], ...], ...]:
    """Places of two people who face each other, ``distance`` between the middles of their feet."""
    half = distance / 2
    return ((0.0, -half, forward, 0.0),), ((0.0, half, forward, 180.0),)


HANDSHAKE_ARM = _arm(_IDLE, (0.9, 78, 32, 0, 62, 0, 0), (1.2, 78, 28, 0, 60, 0, 0), (1.4, 78, 36, 0, 62, 0, 0),
                     (1.6, 78, 28, 0, 60, 0, 0), (1.8, 78, 34, 0, 62, 0, 0), (2.5, 74, 0, 0, 20, 0, 0))  # fmt: skip
_SHAKE = _facing(0.98)
HANDSHAKE = Kind(
    "handshake", "train", "stand-reach", 2.6, (0.6, 2.1),
    tuple(Role(place=place, torso=((0, 1, 0, 0), (0.9, 7, 0, 8), (1.8, 6, 0, 6), (2.5, 1, 0, 0)),
               right_arm=HANDSHAKE_ARM) for place in _SHAKE),  # type: ignore[arg-type]
    (Touch(0, "right_palm", ("right_palm",), 0.95, 1.85, gap=0.004, held=True),),
)  # fmt: skip

_FIVE = _facing(1.0)
HIGH_FIVE = Kind(
    "high five", "train", "stand-raise", 2.0, (0.5, 1.4),
    tuple(Role(place=place, torso=((0, 1, 0, 0), (0.9, 4, 0, 10), (1.1, 4, 0, 12), (1.8, 1, 0, 0)),
               right_arm=_arm(_IDLE, (0.55, 55, 70, 0, 80, -30, -10), (0.95, 62, 118, 0, 40, -50, -10),
                              (1.1, 62, 112, 0, 40, -50, 0), (1.8, *_IDLE[1:]))) for place in _FIVE),  # type: ignore[arg-type]
    (Touch(0, "right_palm", ("right_palm",), 0.93, 1.03, ramp=0.25),),
)  # fmt: skip

_BUMP = _facing(1.1)
FIST_BUMP = Kind(
    "fist bump", "test", "stand-punch", 2.0, (0.5, 1.5),
    tuple(Role(place=place, torso=((0, 1, 0, 0), (0.9, 4, 0, 10), (1.2, 4, 0, 10), (1.8, 1, 0, 0)), curl=62,
               right_arm=_arm(_IDLE, (0.6, 74, 25, 0, 95, 20, 0), (0.95, 74, 62, 0, 35, 40, 0),
                              (1.2, 74, 62, 0, 35, 40, 0), (1.8, *_IDLE[1:]))) for place in _BUMP),  # type: ignore[arg-type]
    (Touch(0, "right_knuckles", ("right_knuckles",), 0.95, 1.15, ramp=0.3),),
)  # fmt: skip

_OVER = (62, 95, 35, 55, 0, 10)
_UNDER = (58, 48, 45, 70, 0, 10)
HUG = Kind(
    "hug", "train", "stand-embrace", 3.2, (0.7, 2.6),
    (
        Role(place=((0, -0.40, 0, 0), (0.9, -0.19, 0.03, 0), (2.3, -0.19, 0.03, 0), (3.2, -0.42, 0, 0)), steps=(2, 2, 2),
             torso=((0, 2, 0, 0), (1.0, 5, 5, 0), (2.3, 5, 5, 0), (3.0, 1, 0, 0)),
             head=((0, 0, 0, 0), (1.0, -3, 14, 4), (2.3, -3, 14, 4), (3, 0, 0, 0)), gaze=((0, 1), (0.9, 0), (2.4, 0), (3, 1)),
             left_arm=_arm(_IDLE, (0.6, 45, 80, 20, 35, 0, 0), (1.1, *_OVER), (2.3, *_OVER), (2.7, 50, 70, 10, 35, 0, 0), (3.2, *_IDLE[1:])),
             right_arm=_arm(_IDLE, (0.6, 45, 80, 20, 35, 0, 0), (1.1, *_OVER), (2.3, *_OVER), (2.7, 50, 70, 10, 35, 0, 0), (3.2, *_IDLE[1:]))),
        Role(place=((0, 0.40, 0, 180), (0.9, 0.19, 0.03, 180), (2.3, 0.19, 0.03, 180), (3.2, 0.42, 0, 180)), steps=(2, 2, 2),
             torso=((0, 2, 0, 0), (1.0, 4, 5, 0), (2.3, 4, 5, 0), (3.0, 1, 0, 0)),
             head=((0, 0, 0, 0), (1.0, -5, 14, 4), (2.3, -5, 14, 4), (3, 0, 0, 0)), gaze=((0, 1), (0.9, 0), (2.4, 0), (3, 1)),
             left_arm=_arm(_IDLE, (0.6, 45, 45, 20, 40, 0, 0), (1.1, *_UNDER), (2.3, *_UNDER), (2.7, 50, 40, 10, 35, 0, 0), (3.2, *_IDLE[1:])),
             right_arm=_arm(_IDLE, (0.6, 45, 45, 20, 40, 0, 0), (1.1, *_UNDER), (2.3, *_UNDER), (2.7, 50, 40, 10, 35, 0, 0), (3.2, *_IDLE[1:]))),
    ),
    (
        Touch(0, "right_palm", ("left_upper_back_side", "left_shoulder_blade", "upper_back"), 1.1, 2.3),
        Touch(0, "left_palm", ("right_upper_back_side", "right_shoulder_blade", "right_mid_back_side"), 1.1, 2.3),
        Touch(1, "right_palm", ("left_lower_back_side", "left_mid_back_side", "lower_back"), 1.1, 2.3),
        Touch(1, "left_palm", ("right_lower_back_side", "right_mid_back_side", "mid_back"), 1.1, 2.3),
        Touch(0, "chest", ("chest", "left_chest_side"), 1.1, 2.3, facing=0.1),
    ),
    apart=0.2,
)  # fmt: skip

_SHOULDER = _facing(0.72)
HAND_ON_SHOULDER = Kind(
    "hand on shoulder", "train", "stand-reach", 2.6, (0.6, 2.2),
    (
        Role(place=_SHOULDER[0], torso=((0, 1, 0, 0), (0.9, 5, 0, 4), (1.9, 5, 0, 4), (2.5, 1, 0, 0)),
             right_arm=_arm(_IDLE, (0.9, 60, 74, 10, 40, 10, 0), (1.9, 60, 74, 10, 40, 10, 0), (2.6, *_IDLE[1:]))),
        Role(place=_SHOULDER[1]),
    ),
    (Touch(0, "right_palm", ("left_shoulder_top", "left_upper_arm_outer", "left_shoulder_front"), 0.9, 1.9, held=True),),
)  # fmt: skip

PASSING = Kind(
    "passing by", "train", "walk", 3.0, (0.3, 2.7),
    (
        Role(place=((0, -1.7, 0.34, 0), (3.0, 1.7, 0.34, 0)), steps=(6,), stance=(0.14, 0.0), gaze=((0, 0.4),)),
        Role(place=((0, 1.7, -0.34, 180), (3.0, -1.7, -0.34, 180)), steps=(6,), stance=(0.14, 0.0), gaze=((0, 0.4),)),
    ),
)  # fmt: skip

DANCE_HOLD = Kind(
    "dance hold", "train", "step-turn", 4.0, (0.2, 3.8),
    (
        Role(place=((0, -0.24, 0, 0), (1.0, -0.2, -0.13, 30), (2.0, -0.12, -0.21, 60), (3.0, 0, -0.24, 90), (4.0, 0.12, -0.21, 120)), steps=(2, 2, 2, 2), stance=(0.18, 0),
             torso=((0, 0, 0, 0), (1, 0, 4, 0), (2, 0, -4, 0), (3, 0, 4, 0), (4, 0, -4, 0)),
             left_arm=_arm((0, 30, 42, 0, 75, 0, 0)), right_arm=_arm((0, 50, 45, 45, 75, 0, 0)), gaze=((0, 0.7),)),
        Role(place=((0, 0.24, 0, 180), (1.0, 0.2, 0.13, 210), (2.0, 0.12, 0.21, 240), (3.0, 0, 0.24, 270), (4.0, -0.12, 0.21, 300)), steps=(2, 2, 2, 2), stance=(0.18, 0),
             torso=((0, -3, 0, 0), (1, -3, -4, 0), (2, -3, 4, 0), (3, -3, -4, 0), (4, -3, 4, 0)),
             right_arm=_arm((0, 30, 42, 0, 75, 0, 0)), left_arm=_arm((0, 50, 62, 20, 60, 0, 0)), gaze=((0, 0.5),)),
    ),
    (
        Touch(0, "left_palm", ("right_palm",), 0, 4, held=True),
        Touch(0, "right_palm", ("left_shoulder_blade", "left_mid_back_side"), 0, 4, held=True),
        Touch(1, "left_palm", ("right_upper_arm_outer", "right_shoulder_top", "right_shoulder_back"), 0, 4, held=True),
    ),
    apart=0.15,
)  # fmt: skip

KINDS = Registry((HANDSHAKE, HIGH_FIVE, HUG, HAND_ON_SHOULDER, PASSING, DANCE_HOLD, FIST_BUMP))
