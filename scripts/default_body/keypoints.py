# SPDX-License-Identifier: Apache-2.0
"""The Halpe-26 keypoints of the body: where annotators of images put them, as regressors of posed vertices."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from closeint_core.body.data import JOINT_NAMES, PARENTS
from closeint_core.halpe import HALPE_NAMES
from default_body import regressors

JOINT = {name: index for index, name in enumerate(JOINT_NAMES)}

# Keypoints that are joint centres: they follow the joint through every pose.
_AT_JOINT = {"shoulder": "shoulder", "elbow": "elbow", "wrist": "wrist", "knee": "knee"}
_RADIUS = {"shoulder": 0.12, "elbow": 0.085, "wrist": 0.06, "knee": 0.10, "hip": 0.17, "ankle": 0.08}


@dataclass(frozen=True)
class Shapes:
    """The body that keypoints are fitted on.

    Attributes:
        template: (V, 3) mean rest vertices. shapedirs: (V, 3, B). joint_regressor: (24, V). weights: (V, 24) skinning.
        mirror: (V,) index of each vertex's mirror image.
    """

    template: np.ndarray
    shapedirs: np.ndarray
    joint_regressor: np.ndarray
    weights: np.ndarray
    mirror: np.ndarray


@dataclass(frozen=True)
class _Posed:
    """Random shapes in random poses, the first the mean shape at rest.

    Attributes:
        rest: (N, V, 3). joints: (N, 24, 3) of the rest poses. vertices: (N, V, 3) posed.
        rotations: (N, 24, 3, 3) global. positions: (N, 24, 3) of the joints.
    """

    rest: np.ndarray
    joints: np.ndarray
    vertices: np.ndarray
    rotations: np.ndarray
    positions: np.ndarray

    def carried(self, start: np.ndarray, joint: int) -> np.ndarray:
        """(N, 3) where points (N, 3) of the rest poses are that are fixed in a joint's bone."""
        local = start - self.joints[:, joint]
        result: np.ndarray = self.positions[:, joint] + np.einsum("nab,nb->na", self.rotations[:, joint], local)
        return result

    def off(self, row: np.ndarray, target: np.ndarray) -> float:
        """Mean distance in millimetres of a regressor's row (V,) to targets (N, 3)."""
        return float(np.linalg.norm(row @ self.vertices - target, axis=1).mean() * 1000.0)


def fit(
    body: Shapes, plain_vertices: np.ndarray, coco: dict[str, np.ndarray], bodies: int = 120, seed: int = 1
) -> tuple[np.ndarray, list[float]]:
    """(26, V) regressor, and the mean distance in millimetres to its targets over posed bodies.

    Points on the skin (eyes, ears, nose, toes, heels, crown) are a few vertices there. Points at joints are fitted
    over random shapes in random poses to a point fixed in its bone.
    """
    posed = _random_bodies(body, bodies, np.random.default_rng(seed))
    count = len(body.template)
    regressor = np.zeros((26, count))
    errors = dict.fromkeys(HALPE_NAMES, 0.0)
    for name in HALPE_NAMES:
        if name.startswith("right") or name in ("neck", "pelvis"):
            continue
        row, part = HALPE_NAMES.index(name), name.removeprefix("left_")
        if part in _AT_JOINT or part in ("hip", "ankle"):
            regressor[row], errors[name] = _at_joint(name, posed)
        elif name == "head_top":
            # The middle of the cap: detectors put it a little inside the hair's outline.
            mean = posed.rest[0]
            regressor[row] = _patch(mean, mean[np.argmax(mean[:, 1])], 0.02)
        elif name == "left_heel":
            regressor[row] = _left_heel(posed)
        else:
            # Where anny's own COCO keypoint is on the bodies both define.
            regressor[row] = _on_skin(plain_vertices, coco[name], count, 0.035 if "toe" in name else 0.03)
            errors[name] = float(np.linalg.norm(regressor[row] @ plain_vertices - coco[name], axis=1).mean() * 1000.0)
    regressor = regressors.complete(regressor, HALPE_NAMES, body.mirror)
    hips = 0.5 * (regressor[HALPE_NAMES.index("left_hip")] + regressor[HALPE_NAMES.index("right_hip")])
    regressor[HALPE_NAMES.index("pelvis")] = hips
    regressor[HALPE_NAMES.index("neck")], errors["neck"] = _neck(posed, body.mirror)
    for name in HALPE_NAMES:
        if name.startswith("right"):
            errors[name] = errors[name.replace("right", "left")]
    return regressor, [round(errors[name], 2) for name in HALPE_NAMES]


def _random_bodies(body: Shapes, bodies: int, rng: np.random.Generator) -> _Posed:
    betas = rng.normal(0.0, 1.0, (bodies, body.shapedirs.shape[2]))
    betas[0] = 0.0
    rest = body.template + np.einsum("vab,nb->nva", body.shapedirs, betas)
    joints = body.joint_regressor @ rest
    return _Posed(rest, joints, *_pose(rest, joints, body.weights, PARENTS, _random_poses(rng, bodies)))


def _at_joint(name: str, posed: _Posed) -> tuple[np.ndarray, float]:
    """Row (V,) of a keypoint of the left side that is fixed in a bone, and how far off it is, millimetres."""
    part = name.removeprefix("left_")
    stature = np.ptp(posed.rest[:, :, 1], axis=1)[:, None]
    start = posed.joints[:, JOINT[name]] + _offset(part, stature)
    target = posed.carried(start, JOINT["pelvis" if part == "hip" else name])
    near = regressors.nearby(posed.rest[0], start[0], _RADIUS[part])
    near = regressors.candidates_of_side(near, name, posed.rest[0])
    return _fitted(posed, near, target)


def _fitted(posed: _Posed, near: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, float]:
    count = posed.rest.shape[1]
    row = regressors.convex_regressor(posed.vertices[:, near], target, near, count, first_weight=5.0)
    return row, posed.off(row, target)


def _left_heel(posed: _Posed) -> np.ndarray:
    mean = posed.rest[0]
    ankle = posed.joints[0, JOINT["left_ankle"]]
    foot = np.flatnonzero((mean[:, 0] > 0) & (mean[:, 1] < ankle[1]))
    low = mean[foot, 1].min() + 0.02
    band = foot[np.abs(mean[foot, 1] - low) < 0.012]
    return _patch(mean, mean[band[np.argmin(mean[band, 2])]], 0.018)


def _neck(posed: _Posed, mirror: np.ndarray) -> tuple[np.ndarray, float]:
    """Between the shoulders, at the base of the throat; it rides on the chest, not on the arms."""
    start = 0.5 * (posed.joints[:, JOINT["left_shoulder"]] + posed.joints[:, JOINT["right_shoulder"]])
    start = 0.35 * start + 0.65 * posed.joints[:, JOINT["neck"]]
    target = posed.carried(start, JOINT["spine3"])
    row, _ = _fitted(posed, regressors.nearby(posed.rest[0], start[0], 0.12), target)
    row = 0.5 * (row + row[mirror])
    return row, posed.off(row, target)


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
