# SPDX-License-Identifier: Apache-2.0
"""The Halpe-26 keypoints of the body: where annotators of images put them, as regressors of posed vertices."""

from __future__ import annotations

import numpy as np

from closeint_core.body.data import JOINT_NAMES
from closeint_core.halpe import HALPE_NAMES
from default_body import regressors

JOINT = {name: index for index, name in enumerate(JOINT_NAMES)}

# Keypoints that are joint centres: they follow the joint through every pose.
_AT_JOINT = {"shoulder": "shoulder", "elbow": "elbow", "wrist": "wrist", "knee": "knee"}
_RADIUS = {"shoulder": 0.12, "elbow": 0.085, "wrist": 0.06, "knee": 0.10, "hip": 0.17, "ankle": 0.08}


def fit(
    template: np.ndarray,
    shapedirs: np.ndarray,
    joint_regressor: np.ndarray,
    weights: np.ndarray,
    parents: tuple[int, ...],
    plain_vertices: np.ndarray,
    coco: dict[str, np.ndarray],
    mirror: np.ndarray,
    bodies: int = 120,
    seed: int = 1,
) -> tuple[np.ndarray, list[float]]:
    """(26, V) regressor, and the mean distance in millimetres to its targets over posed bodies.

    Points on the skin (eyes, ears, nose, toes, heels, crown) are a few vertices there. Points at joints are fitted
    over random shapes in random poses to a point fixed in its bone.
    """
    rng = np.random.default_rng(seed)
    count = len(template)
    betas = rng.normal(0.0, 1.0, (bodies, shapedirs.shape[2]))
    betas[0] = 0.0
    rest = template + np.einsum("vab,nb->nva", shapedirs, betas)
    joints = joint_regressor @ rest
    posed, rotations, positions = _pose(rest, joints, weights, parents, _random_poses(rng, bodies))
    stature = np.ptp(rest[:, :, 1], axis=1)[:, None]

    regressor = np.zeros((26, count))
    errors = dict.fromkeys(HALPE_NAMES, 0.0)
    for name in HALPE_NAMES:
        if name.startswith("right") or name in ("neck", "pelvis"):
            continue
        row = HALPE_NAMES.index(name)
        part = name.removeprefix("left_")
        if part in _AT_JOINT or part in ("hip", "ankle"):
            carrier = JOINT["pelvis" if part == "hip" else name]
            offset = _offset(part, stature)
            # A point fixed in the bone of ``carrier``, given by the rest pose.
            start = joints[:, JOINT[name]] + offset
            local = start - joints[:, carrier]
            target = positions[:, carrier] + np.einsum("nab,nb->na", rotations[:, carrier], local)
            near = regressors.nearby(rest[0], start[0], _RADIUS[part])
            near = regressors.candidates_of_side(near, name, rest[0])
            regressor[row] = regressors.convex_regressor(posed[:, near], target, near, count, first_weight=5.0)
            errors[name] = float(np.linalg.norm(regressor[row] @ posed - target, axis=1).mean() * 1000.0)
        elif name == "head_top":
            # The middle of the cap: detectors put it a little inside the hair's outline.
            crown = rest[0][np.argmax(rest[0][:, 1])]
            regressor[row] = _patch(rest[0], crown, 0.02)
        elif name == "left_heel":
            ankle = joints[0, JOINT["left_ankle"]]
            foot = np.flatnonzero((rest[0][:, 0] > 0) & (rest[0][:, 1] < ankle[1]))
            low = rest[0][foot, 1].min() + 0.02
            band = foot[np.abs(rest[0][foot, 1] - low) < 0.012]
            regressor[row] = _patch(rest[0], rest[0][band[np.argmin(rest[0][band, 2])]], 0.018)
        else:
            # Where anny's own COCO keypoint is on the bodies both define.
            regressor[row] = _on_skin(plain_vertices, coco[name], count, 0.035 if "toe" in name else 0.03)
            errors[name] = float(np.linalg.norm(regressor[row] @ plain_vertices - coco[name], axis=1).mean() * 1000.0)
    regressor = regressors.complete(regressor, HALPE_NAMES, mirror)
    hips = 0.5 * (regressor[HALPE_NAMES.index("left_hip")] + regressor[HALPE_NAMES.index("right_hip")])
    regressor[HALPE_NAMES.index("pelvis")] = hips
    # Neck: between the shoulders, at the base of the throat; it rides on the chest, not on the arms.
    start = 0.5 * (joints[:, JOINT["left_shoulder"]] + joints[:, JOINT["right_shoulder"]])
    start = 0.35 * start + 0.65 * joints[:, JOINT["neck"]]
    chest = JOINT["spine3"]
    target = positions[:, chest] + np.einsum("nab,nb->na", rotations[:, chest], start - joints[:, chest])
    near = regressors.nearby(rest[0], start[0], 0.12)
    row = HALPE_NAMES.index("neck")
    regressor[row] = regressors.convex_regressor(posed[:, near], target, near, count, first_weight=5.0)
    regressor[row] = 0.5 * (regressor[row] + regressor[row][mirror])
    errors["neck"] = float(np.linalg.norm(regressor[row] @ posed - target, axis=1).mean() * 1000.0)
    for name in HALPE_NAMES:
        if name.startswith("right"):
            errors[name] = errors[name.replace("right", "left")]
    return regressor, [round(errors[name], 2) for name in HALPE_NAMES]


def _offset(part: str, stature: np.ndarray) -> np.ndarray | float:
    """Of the keypoint from the left joint of the same name in the rest pose, metres."""
    if part == "hip":
        # COCO's hips are drawn at the outline's widest, above and outside of the femoral head.
        result: np.ndarray | float = stature / 1.71 * np.array([0.020, 0.022, 0.0])
        return result
    if part == "ankle":
        result = stature / 1.71 * np.array([0.0, 0.005, -0.003])  # between the malleoli
        return result
    return 0.0


def _patch(vertices: np.ndarray, point: np.ndarray, radius: float) -> np.ndarray:
    """Weights of the vertices within ``radius`` of a point on the skin, falling off with distance."""
    distance = np.linalg.norm(vertices - point, axis=1)
    weights = np.clip(1.0 - distance / radius, 0.0, None)
    result: np.ndarray = weights / weights.sum()
    return result


def _on_skin(vertices: np.ndarray, targets: np.ndarray, count: int, radius: float) -> np.ndarray:
    near = regressors.nearby(vertices[0], targets[0], radius)
    if len(near) < 12:
        near = np.argsort(np.linalg.norm(vertices[0] - targets[0], axis=1))[:24]
    return regressors.convex_regressor(vertices[:, near], targets, near, count)


def _random_poses(rng: np.random.Generator, bodies: int) -> np.ndarray:
    """(N, 24, 3) axis-angle: standing people's arms and legs, moderate everywhere; the first at rest."""
    spread = np.full((24, 3), 0.15)
    for word in ("left", "right"):
        spread[JOINT[f"{word}_shoulder"]] = (0.4, 0.5, 0.5)
        spread[JOINT[f"{word}_hip"]] = (0.5, 0.2, 0.2)
    poses: np.ndarray = rng.normal(0.0, 1.0, (bodies, 24, 3)) * spread
    for word, sign in (("left", -1.0), ("right", 1.0)):
        poses[:, JOINT[f"{word}_shoulder"], 2] += sign * 0.8
        poses[:, JOINT[f"{word}_elbow"], 1] += sign * rng.uniform(0.0, 1.6, bodies)
        poses[:, JOINT[f"{word}_knee"], 0] += rng.uniform(0.0, 1.4, bodies)
        poses[:, JOINT[f"{word}_hip"], 0] -= rng.uniform(0.0, 0.8, bodies)
    poses[0] = 0.0
    return poses


def _pose(
    rest: np.ndarray, joints: np.ndarray, weights: np.ndarray, parents: tuple[int, ...], poses: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Posed vertices (N, V, 3), global rotations (N, 24, 3, 3), joints (N, 24, 3)."""
    from closeint_core.body.skinning import axis_angle_to_matrix, joint_transforms

    world = joint_transforms(axis_angle_to_matrix(poses), joints, np.array(parents)).astype(np.float64)
    rotations, positions = world[..., :3, :3], world[..., :3, 3]
    shift = positions - np.einsum("njab,njb->nja", rotations, joints)
    posed = np.empty_like(rest)
    for index in range(len(rest)):
        blended = np.einsum("vj,jab->vab", weights, rotations[index])
        posed[index] = np.einsum("vab,vb->va", blended, rest[index]) + weights @ shift[index]
    return posed, rotations, positions
