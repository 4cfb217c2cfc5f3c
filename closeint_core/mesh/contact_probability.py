# SPDX-License-Identifier: Apache-2.0
"""Which body parts touch the other person, from the distance between the two skins."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from closeint_core.body.data import BodyData
from closeint_core.body.skinning import clip_vertices
from closeint_core.clip import InteractionClip
from closeint_core.mesh.calibration import MESH


def part_distances(vertices: np.ndarray, parts: np.ndarray, joints: int = 24) -> np.ndarray:
    """Distance from each body part of each person to the other's nearest vertex.

    Args:
        vertices: (2, T, V, 3) metres. parts: (V,) body part of each vertex.

    Returns:
        (2, T, joints) metres, at most the calibration's ``reach``.
    """
    reach = MESH.now.touch.reach
    frames = vertices.shape[1]
    out = np.full((2, frames, joints), reach, np.float32)
    low, high = vertices.min(2), vertices.max(2)
    near = ((low[0] - reach < high[1]) & (low[1] - reach < high[0])).all(-1)
    for t in np.flatnonzero(near):
        for person in (0, 1):
            mine, other = vertices[person, t], vertices[1 - person, t]
            close = ((mine > low[1 - person, t] - reach) & (mine < high[1 - person, t] + reach)).all(-1)
            theirs = ((other > low[person, t] - reach) & (other < high[person, t] + reach)).all(-1)
            if not close.any() or not theirs.any():
                continue
            distance, _ = cKDTree(other[theirs]).query(mine[close], distance_upper_bound=reach)
            np.minimum.at(out[person, t], parts[close], np.minimum(distance, reach))
    return out


def clip_contacts(clip: InteractionClip, data: BodyData) -> np.ndarray:
    """(2, T, joints) probability that each body part of a pair touches, measured on the posed meshes of a clip."""
    out = np.zeros(clip.contacts.shape, np.float32)
    for part, vertices, _ in clip_vertices(clip, data):
        out[:, part] = contact_probability(part_distances(vertices, data.parts))
    return out


def contact_probability(distances: np.ndarray) -> np.ndarray:
    """Probability of touch from distances in metres: a logistic around the calibration's ``even`` odds."""
    touch = MESH.now.touch
    return (1.0 / (1.0 + np.exp(np.clip((distances - touch.even) / touch.width, None, 60)))).astype(np.float32)
