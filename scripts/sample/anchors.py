# SPDX-License-Identifier: Apache-2.0
"""Named places on the body's surface that touch or are touched."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from sample.rig import JOINT, Patch, Rig


def _patch(rig: Rig, candidates: np.ndarray, centre: np.ndarray, count: int) -> Tensor:
    distance = np.linalg.norm(rig.rest.numpy() - centre, axis=1)
    distance[~candidates] = np.inf
    return torch.from_numpy(np.argsort(distance)[:count].copy())


def palm(rig: Rig, side: str) -> Tensor:
    """Vertices of the palm: below the knuckles of a hand that points sideways with its palm down."""
    wrist, hand = rig.joints[JOINT[f"{side}_wrist"]].numpy(), rig.joints[JOINT[f"{side}_hand"]].numpy()
    dominant = rig.skin_joints[torch.arange(len(rig.rest)), rig.skin_weights.argmax(1)].numpy()
    of_hand = np.isin(dominant, [JOINT[f"{side}_wrist"], JOINT[f"{side}_hand"]])
    down = rig.normals[:, 1].numpy() < -0.6
    centre = wrist + 0.8 * (hand - wrist) - np.array([0, 0.02, 0])
    return _patch(rig, of_hand & down, centre, 30)


def torso(rig: Rig, left: float, up: float, front: bool) -> Tensor:
    """Vertices of the trunk's front or back; ``left`` in half shoulder widths, ``up`` 0 at pelvis, 1 at neck."""
    pelvis, neck = rig.joints[0].numpy(), rig.joints[JOINT["neck"]].numpy()
    half = float(rig.joints[JOINT["left_shoulder"], 0])
    z = rig.normals[:, 2].numpy()
    trunk = np.isin(rig.skin_joints[torch.arange(len(rig.rest)), rig.skin_weights.argmax(1)].numpy(),
                    [JOINT[name] for name in ("pelvis", "spine1", "spine2", "spine3", "left_collar", "right_collar",
                                              "left_shoulder", "right_shoulder", "neck")])  # fmt: skip
    facing = z > 0.4 if front else z < -0.4
    centre = np.array([left * half, pelvis[1] + up * (neck[1] - pelvis[1]), 0.15 if front else -0.15], np.float32)
    return _patch(rig, trunk & facing, centre, 12)


def anchors(rig: Rig) -> dict[str, Patch]:
    """Every named place of the surface.

    Left and right are those of the body itself; the trunk's names say height and side.
    """
    places = {f"{side}_palm": palm(rig, side) for side in ("left", "right")}
    for name, left, up, front in (
        ("chest", 0.0, 0.68, True), ("chest_left", 0.4, 0.68, True), ("chest_right", -0.4, 0.68, True),
        ("belly", 0.0, 0.3, True),
        ("upper_back", 0.0, 0.8, False), ("upper_back_left", 0.22, 0.76, False),
        ("upper_back_right", -0.22, 0.76, False), ("mid_back", 0.0, 0.55, False),
        ("mid_back_left", 0.35, 0.52, False), ("mid_back_right", -0.35, 0.52, False),
        ("lower_back_left", 0.3, 0.4, False), ("lower_back_right", -0.3, 0.38, False),
    ):  # fmt: skip
        places[name] = torso(rig, left, up, front)
    for side, sign in (("left", 1.0), ("right", -1.0)):
        shoulder = rig.joints[JOINT[f"{side}_shoulder"]].numpy()
        up_facing = rig.normals[:, 1].numpy() > 0.5
        places[f"{side}_shoulder_top"] = _patch(rig, up_facing, shoulder + np.array([-0.02 * sign, 0.06, 0]), 12)
        upper_arm = 0.5 * (shoulder + rig.joints[JOINT[f"{side}_elbow"]].numpy())
        outer = rig.normals[:, 1].numpy() > 0.3
        places[f"{side}_upper_arm"] = _patch(rig, outer, upper_arm + np.array([0, 0.05, 0]), 12)
    return {name: rig.patch(vertices) for name, vertices in places.items()}
