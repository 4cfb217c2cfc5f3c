# SPDX-License-Identifier: Apache-2.0
"""Clothing-like regions of the mesh: skin, shirt, trousers, shoes, hair."""

from __future__ import annotations

import numpy as np

from closeint_core.body.data import JOINT_NAMES, REGION_NAMES

JOINT = {name: index for index, name in enumerate(JOINT_NAMES)}
SKIN, SHIRT, TROUSERS, SHOES, HAIR = range(len(REGION_NAMES))


def regions(vertices: np.ndarray, joints: np.ndarray, parts: np.ndarray) -> np.ndarray:
    """(V,) region of each vertex of the T-posed mean body (V, 3) with joints (24, 3) and parts (V,)."""
    x, y, z = vertices.T
    labels = np.full(len(vertices), SKIN)
    trunk = np.isin(parts, [JOINT[n] for n in ("pelvis", "spine1", "spine2", "spine3", "left_collar", "right_collar")])
    legs = np.isin(parts, [JOINT[n] for n in ("left_hip", "right_hip", "left_knee", "right_knee")])
    feet = np.isin(parts, [JOINT[n] for n in ("left_ankle", "right_ankle", "left_foot", "right_foot")])
    arms = np.isin(parts, [JOINT[f"{s}_{n}"] for s in ("left", "right") for n in ("shoulder", "elbow", "wrist")])
    waist = joints[JOINT["pelvis"], 1] + 0.035
    ankle = joints[JOINT["left_ankle"], 1]
    labels[trunk] = SHIRT
    labels[(trunk | legs | feet) & (y < waist) & ~arms] = TROUSERS
    labels[feet & (y < ankle + 0.025)] = SHOES
    # Sleeves to the middle of the forearm.
    elbow, wrist = joints[JOINT["left_elbow"], 0], joints[JOINT["left_wrist"], 0]
    labels[arms & (np.abs(x) < elbow + 0.72 * (wrist - elbow))] = SHIRT
    # A collar round the root of the neck, lower in front.
    neck = joints[JOINT["neck"]]
    above = y > neck[1] - 0.015 + 0.25 * (neck[2] - z)
    labels[above & (np.abs(x) < 0.12) & ~feet] = SKIN
    # Hair: the cap above and behind a plane from the hairline over the ears to the nape.
    head = parts == JOINT["head"]
    crown = vertices[head][:, 1].max()
    height = crown - joints[JOINT["head"], 1]
    centre = joints[JOINT["head"], 2]
    front = z - centre
    hairline = joints[JOINT["head"], 1] + height * (0.30 + 0.45 * np.clip((front + 0.05) / 0.16, 0.0, 1.0))
    labels[head & (y > hairline)] = HAIR
    return labels.astype(np.int8)
