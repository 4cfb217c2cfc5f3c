# SPDX-License-Identifier: Apache-2.0
"""The joints and the parts that pictures of people are labelled with, in one place.

Parts are the 24 of the body (named after the joint that moves them), those of the trunk split into front and back: a
hand on a back is not a hand on a belly. Part i < 24 is the body's part i, of the trunk its front; the backs follow.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np

from closeint_core.body.data import JOINT_NAMES, BodyData
from closeint_core.halpe import HALPE_INDEX, HALPE_NAMES

JOINTS: tuple[str, ...] = (
    "nose",
    *(
        f"{side}_{name}"
        for name in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
        for side in ("left", "right")
    ),
)
"""The 13 joints, named as in Halpe-26."""
JOINT_INDEX = {name: index for index, name in enumerate(JOINTS)}
JOINTS_IN_HALPE: tuple[int, ...] = tuple(HALPE_INDEX[name] for name in JOINTS)
"""Where each joint is in Halpe-26."""
JOINT_FLIP: tuple[int, ...] = (0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11)
"""Index of the joint on the other side of the body."""
SHOULDERS, HIPS = (1, 2), (7, 8)
ARM_JOINTS: tuple[int, ...] = (3, 4, 5, 6)
"""Elbows and wrists: what a prompt does not give away and the field finds hardest."""
OTHER_LIMBS: tuple[int, ...] = (0, 9, 10, 11, 12)
"""Nose, knees and ankles."""
WRISTS: tuple[int, int] = (5, 6)
JOINT_BONES: tuple[tuple[int, int], ...] = (
    (0, 1), (0, 2), (1, 2), (1, 3), (3, 5), (2, 4), (4, 6), (1, 7), (2, 8), (7, 8), (7, 9), (9, 11), (8, 10), (10, 12),
)  # fmt: skip
"""Pairs of joints to draw a line between."""

SPLIT: tuple[int, ...] = (0, 3, 6, 9, 13, 14)
"""Parts of the body that have a front and a back: pelvis, spine1 to 3, both collars."""
PARTS: tuple[str, ...] = (
    *(f"{name}_front" if index in SPLIT else name for index, name in enumerate(JOINT_NAMES)),
    *(f"{JOINT_NAMES[index]}_back" for index in SPLIT),
)
"""Names of the 30 parts; their order is that of masks, touch matrices and depth orders."""
PART_INDEX = {name: index for index, name in enumerate(PARTS)}
BODY_PARTS = len(JOINT_NAMES)

_JOINT_MIRROR = (0, 2, 1, 3, 5, 4, 6, 8, 7, 9, 11, 10, 12, 14, 13, 15, 17, 16, 19, 18, 21, 20, 23, 22)
PART_FLIP: tuple[int, ...] = (
    *_JOINT_MIRROR,
    *(BODY_PARTS + SPLIT.index(_JOINT_MIRROR[index]) for index in SPLIT),
)
"""Index of the part on the other side of the body."""
PART_OF_BODY: tuple[int, ...] = (*range(BODY_PARTS), *SPLIT)
"""The body's part (0 to 23) of each part."""

SEEN_BY: tuple[tuple[str, ...], ...] = (
    ("head",),
    ("left_shoulder", "left_collar"), ("right_shoulder", "right_collar"),
    ("left_shoulder", "left_elbow"), ("right_shoulder", "right_elbow"),
    ("left_elbow", "left_wrist", "left_hand"), ("right_elbow", "right_wrist", "right_hand"),
    ("pelvis", "left_hip"), ("pelvis", "right_hip"),
    ("left_hip", "left_knee"), ("right_hip", "right_knee"),
    ("left_knee", "left_ankle", "left_foot"), ("right_knee", "right_ankle", "right_foot"),
)  # fmt: skip
"""For each joint the parts of the body around it: it is seen where one of them is."""

GROUPS: dict[str, tuple[str, ...]] = {
    "left_hand": ("left_wrist", "left_hand"),
    "right_hand": ("right_wrist", "right_hand"),
    "left_forearm": ("left_elbow",),
    "right_forearm": ("right_elbow",),
    "left_upper_arm": ("left_shoulder", "left_collar_front", "left_collar_back"),
    "right_upper_arm": ("right_shoulder", "right_collar_front", "right_collar_back"),
    "head": ("head", "neck"),
    "trunk_front": ("pelvis_front", "spine1_front", "spine2_front", "spine3_front"),
    "trunk_back": ("pelvis_back", "spine1_back", "spine2_back", "spine3_back"),
    "left_thigh": ("left_hip",),
    "right_thigh": ("right_hip",),
    "left_shin": ("left_knee", "left_ankle", "left_foot"),
    "right_shin": ("right_knee", "right_ankle", "right_foot"),
}
"""Coarse groups of parts, for tables and for labels that people make."""


def body_parts_near_joints() -> np.ndarray:
    """(13, 24) bool of ``SEEN_BY``."""
    return np.array([[name in names for name in JOINT_NAMES] for names in SEEN_BY])


def group_matrix() -> np.ndarray:
    """(13, 30) bool, which parts each group holds."""
    return np.array([[name in names for name in PARTS] for names in GROUPS.values()])


def part_of_vertices(data: BodyData) -> np.ndarray:
    """(V,) int64, the part of each vertex of a body; the trunk is cut at the median depth of its vertices at rest."""
    parts = np.asarray(data.parts).astype(np.int64)
    trunk = np.isin(parts, SPLIT)
    back = trunk & (data.template[:, 2] <= np.median(data.template[trunk, 2]))
    table = np.arange(BODY_PARTS)
    table[list(SPLIT)] = BODY_PARTS + np.arange(len(SPLIT))
    return np.where(back, table[parts], parts)


HAND_SHARE = 0.16
"""Side of the square around a hand as a share of the square around the pair: 0.35 m of 2.2 m."""
_BEYOND_WRIST = 0.25  # of the forearm's length: the middle of the hand lies so far behind the wrist
Array = TypeVar("Array")


def hand_centres(joints: Array) -> Array:
    """Middles (..., 2, 2) of both hands from joints (..., 13, 2) in any unit, numpy's or torch's."""
    elbow, wrist = joints[..., [3, 4], :], joints[..., [5, 6], :]  # type: ignore[index]
    centres: Array = wrist + _BEYOND_WRIST * (wrist - elbow)
    return centres


assert tuple(HALPE_NAMES[index] for index in JOINTS_IN_HALPE) == JOINTS
