# SPDX-License-Identifier: Apache-2.0
"""Sparse convex regressors: joints of the rest body, and keypoints of the posed body, from vertices near them."""

from __future__ import annotations

import numpy as np
from scipy.optimize import nnls

from closeint_core.body.data import JOINT_NAMES

JOINT = {name: index for index, name in enumerate(JOINT_NAMES)}


def convex_regressor(
    vertices: np.ndarray, targets: np.ndarray, candidates: np.ndarray, count: int, first_weight: float = 20.0
) -> np.ndarray:
    """(count,) non-negative weights that sum to 1 and best give targets (N, 3) from vertices (N, M, 3).

    The first body counts more, so that the mean is met almost exactly. A small ridge spreads the weights over more
    vertices than the few that the plain solution would pick, which keeps the point steady when the mesh is refitted.
    """
    scale = np.ones(len(targets))
    scale[0] = first_weight
    columns = (vertices - targets[:, None]) * scale[:, None, None]
    matrix = columns.transpose(0, 2, 1).reshape(-1, len(candidates))
    # Normal equations by QR: the candidates are far fewer than the equations.
    reduced = np.linalg.qr(matrix, mode="r")
    ridge = 0.005 * np.sqrt(len(targets)) * np.eye(len(candidates))
    total = 1e3 * np.ones((1, len(candidates)))
    right = np.concatenate([np.zeros(len(reduced) + len(candidates)), [1e3]])
    solution = nnls(np.concatenate([reduced, ridge, total]), right, maxiter=20000)[0]
    solution[solution < 1e-4 * solution.max()] = 0.0
    weights = np.zeros(count)
    weights[candidates] = solution / solution.sum()
    return weights


def nearby(vertices: np.ndarray, point: np.ndarray, radius: float, limit: int = 260) -> np.ndarray:
    """Indices of at most ``limit`` vertices within ``radius`` of ``point``, spread evenly over those."""
    distance = np.linalg.norm(vertices - point, axis=1)
    found = np.flatnonzero(distance < radius)
    if len(found) > limit:
        found = found[np.linspace(0, len(found) - 1, limit).astype(int)]
    return found


def mirrored(regressor: np.ndarray, names: tuple[str, ...], mirror: np.ndarray) -> np.ndarray:
    """The mean of a (K, V) regressor and its mirror image."""
    swapped = [
        names.index(name.replace("left", "\0").replace("right", "left").replace("\0", "right")) for name in names
    ]
    result: np.ndarray = 0.5 * (regressor + regressor[swapped][:, mirror])
    return result


# Metres round each joint within which its vertices are taken (the trunk is thick, the wrist is not).
_RADIUS = {
    "pelvis": 0.19, "hip": 0.16, "spine": 0.19, "knee": 0.10, "ankle": 0.08, "foot": 0.08, "neck": 0.11,
    "collar": 0.13, "head": 0.13, "shoulder": 0.11, "elbow": 0.08, "wrist": 0.06, "hand": 0.06,
}  # fmt: skip


def fit_joints(vertices: np.ndarray, joints: np.ndarray, mirror: np.ndarray, first_weight: float) -> np.ndarray:
    """(24, V) regressor of the joints (N, 24, 3) of bodies (N, V, 3)."""
    count = vertices.shape[1]
    regressor = np.zeros((24, count))
    for joint, name in enumerate(JOINT_NAMES):
        if name.startswith("right"):
            continue
        radius = next(size for part, size in _RADIUS.items() if part in name)
        near = nearby(vertices[0], joints[0, joint], radius)
        near = candidates_of_side(near, name, vertices[0])
        regressor[joint] = convex_regressor(vertices[:, near], joints[:, joint], near, count, first_weight)
    return complete(regressor, JOINT_NAMES, mirror)


def candidates_of_side(near: np.ndarray, name: str, vertices: np.ndarray) -> np.ndarray:
    """Only the left body half for a left point, so that it never depends on the other limb."""
    return near[vertices[near, 0] > -0.002] if name.startswith("left") else near


def complete(regressor: np.ndarray, names: tuple[str, ...], mirror: np.ndarray) -> np.ndarray:
    """Fill the right rows from the left ones and make the middle ones symmetric."""
    full = regressor.copy()
    for index, name in enumerate(names):
        if name.startswith("left"):
            full[names.index(name.replace("left", "right"))] = regressor[index][mirror]
        elif not name.startswith("right"):
            full[index] = 0.5 * (regressor[index] + regressor[index][mirror])
    return full
