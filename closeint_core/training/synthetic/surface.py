# SPDX-License-Identifier: Apache-2.0
"""Named places on the body's surface, and points spread over all of it.

A place is where a ray from a bone leaves the rest mesh; its position is the mean of a few vertices around, its
normal rides on the bones that carry them. So places exist on any SMPL-style body.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from closeint_core.body.data import JOINT_NAMES, BodyData
from closeint_core.body.skinning import vertex_normals
from closeint_core.body.torch_body import Skeleton, TorchBody

JOINT = {name: index for index, name in enumerate(JOINT_NAMES)}
_PATCH = 10

# name: (bone, next joint, share of the way, sideways/up/forward offset in metres, direction of the ray).
# Rest frame: x left, y up, z forward, left side; the right side mirrors x.
_SIDED: dict[str, tuple[str, str, float, tuple[float, float, float], tuple[float, float, float]]] = {
    "palm": ("wrist", "hand", 0.95, (0, 0, 0), (0, -1, 0)),
    "hand_back": ("wrist", "hand", 0.95, (0, 0, 0), (0, 1, 0)),
    "knuckles": ("wrist", "hand", 1.1, (0, 0, 0), (0.5, 0.86, 0)),
    "fingertips": ("wrist", "hand", 1.4, (0, 0, 0), (1, 0, 0)),
    "wrist_inner": ("elbow", "wrist", 0.9, (0, 0, 0), (0, -1, 0)),
    "wrist_outer": ("elbow", "wrist", 0.9, (0, 0, 0), (0, 1, 0)),
    "forearm_inner": ("elbow", "wrist", 0.5, (0, 0, 0), (0, -1, 0)),
    "forearm_outer": ("elbow", "wrist", 0.5, (0, 0, 0), (0, 1, 0)),
    "forearm_thumb": ("elbow", "wrist", 0.5, (0, 0, 0), (0, 0, 1)),
    "forearm_little": ("elbow", "wrist", 0.5, (0, 0, 0), (0, 0, -1)),
    "elbow_tip": ("elbow", "wrist", 0.0, (0, 0, 0), (0, 0, -1)),
    "elbow_inner": ("elbow", "wrist", 0.05, (0, 0, 0), (0, 0, 1)),
    "upper_arm_outer": ("shoulder", "elbow", 0.45, (0, 0, 0), (0, 1, 0)),
    "upper_arm_inner": ("shoulder", "elbow", 0.6, (0, 0, 0), (0, -1, 0)),
    "upper_arm_front": ("shoulder", "elbow", 0.6, (0, 0, 0), (0, 0, 1)),
    "upper_arm_back": ("shoulder", "elbow", 0.6, (0, 0, 0), (0, 0, -1)),
    "shoulder_top": ("shoulder", "elbow", 0.0, (-0.015, 0, -0.02), (0, 1, 0)),
    "shoulder_back": ("shoulder", "elbow", 0.0, (-0.02, -0.02, 0), (0, 0, -1)),
    "shoulder_front": ("shoulder", "elbow", 0.0, (-0.02, -0.02, 0), (0, 0, 1)),
    "chest_side": ("spine3", "neck", 0.3, (0.08, 0, 0), (0, 0, 1)),
    "rib_side": ("spine2", "spine3", 0.0, (0, 0.02, 0.02), (1, 0, 0)),
    "waist_side": ("spine1", "spine2", 0.0, (0, 0, 0.02), (1, 0, 0)),
    "hip_side": ("hip", "knee", 0.05, (0, 0, 0), (1, 0, 0)),
    "upper_back_side": ("spine3", "neck", 0.45, (0.08, 0, 0), (0, 0, -1)),
    "shoulder_blade": ("spine3", "neck", 0.3, (0.1, 0, 0), (0, 0, -1)),
    "mid_back_side": ("spine2", "spine3", 0.2, (0.08, 0, 0), (0, 0, -1)),
    "lower_back_side": ("spine1", "spine2", 0.1, (0.07, 0, 0), (0, 0, -1)),
    "buttock": ("hip", "knee", 0.05, (0, 0, 0), (0, 0, -1)),
    "neck_side": ("neck", "head", 0.4, (0, 0, 0), (1, 0, 0)),
    "cheek": ("head", "head", 0.0, (0, 0.03, 0.04), (1, 0, 0.3)),
    "ear": ("head", "head", 0.0, (0, 0.06, -0.01), (1, 0, 0)),
    "thigh_front": ("hip", "knee", 0.5, (0, 0, 0), (0, 0, 1)),
    "thigh_outer": ("hip", "knee", 0.5, (0, 0, 0), (1, 0, 0)),
    "thigh_back": ("hip", "knee", 0.6, (0, 0, 0), (0, 0, -1)),
    "knee_back": ("knee", "ankle", 0.0, (0, 0, 0), (0, 0, -1)),
    "knee_front": ("knee", "ankle", 0.0, (0, 0, 0), (0, 0, 1)),
    "shin_front": ("knee", "ankle", 0.5, (0, 0, 0), (0, 0, 1)),
    "instep": ("ankle", "foot", 0.6, (0, 0, 0), (0, 1, 0.3)),
    "sole": ("ankle", "foot", 0.8, (0, 0, 0), (0, -1, 0)),
}  # fmt: skip
_MIDDLE: dict[str, tuple[str, str, float, tuple[float, float, float], tuple[float, float, float]]] = {
    "chest": ("spine3", "neck", 0.3, (0, 0, 0), (0, 0, 1)),
    "belly": ("spine1", "spine2", 0.2, (0, 0, 0), (0, 0, 1)),
    "upper_back": ("spine3", "neck", 0.5, (0, 0, 0), (0, 0, -1)),
    "mid_back": ("spine2", "spine3", 0.2, (0, 0, 0), (0, 0, -1)),
    "lower_back": ("spine1", "spine2", 0.1, (0, 0, 0), (0, 0, -1)),
    "neck_back": ("neck", "head", 0.3, (0, 0, 0), (0, 0.2, -1)),
    "head_back": ("head", "head", 0.0, (0, 0.08, 0), (0, 0, -1)),
    "head_top": ("head", "head", 0.0, (0, 0.08, 0), (0, 1, 0)),
    "forehead": ("head", "head", 0.0, (0, 0.1, 0.02), (0, 0, 1)),
    "mouth": ("head", "head", 0.0, (0, 0.01, 0.04), (0, 0, 1)),
}
PLACES: tuple[str, ...] = (
    *_MIDDLE, *(f"left_{name}" for name in _SIDED), *(f"right_{name}" for name in _SIDED),
)  # fmt: skip
"""Names of all places, in the order of their numbers."""
PLACE = {name: index for index, name in enumerate(PLACES)}


class SurfacePoints(NamedTuple):
    """N points of a posed surface: positions and unit normals, (..., N, 3)."""

    positions: Tensor
    normals: Tensor


class ShapedSurface(NamedTuple):
    """Shapes (..., B) and the moments (see ``LinearPoints``) of places and spread points at those shapes."""

    betas: Tensor
    places: Tensor
    samples: Tensor


def _origin(data: BodyData, place: str) -> tuple[np.ndarray, np.ndarray]:
    side = place.split("_")[0] if place.startswith(("left_", "right_")) else ""
    name = place.removeprefix(f"{side}_") if side else place
    first, second, share, offset, direction = (_SIDED if side else _MIDDLE)[name]
    sign = np.array([-1.0 if side == "right" else 1.0, 1.0, 1.0])

    def joint(short: str) -> np.ndarray:
        full = short if short in JOINT else f"{side}_{short}"
        result: np.ndarray = data.joint_template[JOINT[full]].astype(np.float64)
        return result

    start = joint(first) + share * (joint(second) - joint(first)) + sign * np.asarray(offset)
    ray = sign * np.asarray(direction, float)
    return start, ray / np.linalg.norm(ray)


def _patch(data: BodyData, normals: np.ndarray, place: str) -> np.ndarray:
    """Vertices where the ray of a place first leaves the body."""
    start, ray = _origin(data, place)
    relative = data.template - start
    along = relative @ ray
    aside = np.linalg.norm(relative - along[:, None] * ray, axis=1)
    facing = (normals @ ray > 0.35) & (along > 0)
    # The nearest surface along the ray, allowing some slack aside.
    score = np.where(facing, aside + 0.35 * along, np.inf)
    hit = data.template[np.argmin(score)]
    distance = np.where(normals @ ray > 0.2, np.linalg.norm(data.template - hit, axis=1), np.inf)
    return np.argsort(distance)[:_PATCH]


def spread_vertices(data: BodyData, count: int) -> np.ndarray:
    """``count`` vertices spread over the body by farthest point sampling, hands three times as dense."""
    scale = np.ones(len(data.template))
    scale[np.isin(data.parts, [JOINT[f"{s}_{n}"] for s in ("left", "right") for n in ("wrist", "hand")])] = 2.5
    scale[data.parts == JOINT["head"]] = 0.8
    chosen = [0]
    gap = np.full(len(data.template), np.inf)
    while len(chosen) < count:
        step = np.linalg.norm(data.template - data.template[chosen[-1]], axis=1) * scale
        gap = np.minimum(gap, step)
        chosen.append(int(np.argmax(gap)))
    return np.array(chosen)


class Surface:
    """Places and spread points of one body model, on the body's device.

    Args:
        body: the body. samples: number of points spread over the skin.

    Attributes:
        sample_ids: (S,) vertices of the spread points. sample_parts: (S,) their body parts.
        sample_reach, sample_room: (S,) metres beside and below a spread point for which it speaks.
        around_place, beside_place: (P, S) bool, the spread points within a hand's breadth of each place, and twice.
        place_parts: (P,) body part of each place.
    """

    def __init__(self, body: TorchBody, samples: int = 700) -> None:
        data = body.data
        device = body.template.device
        normals = vertex_normals(data.template.astype(np.float64), data.faces.astype(np.int64))
        regressor = np.zeros((len(PLACES), data.num_vertices), np.float32)
        place_normals = np.zeros((len(PLACES), 3))
        for row, place in enumerate(PLACES):
            patch = _patch(data, normals, place)
            regressor[row, patch] = 1 / len(patch)
            place_normals[row] = normals[patch].mean(0)
        self._places = body.points(regressor)
        self._place_mixed = _mixed(
            torch.tensor(regressor @ data.dense_weights, device=device),
            torch.tensor(place_normals, dtype=torch.float32, device=device),
        )
        self.sample_ids = spread_vertices(data, samples)
        self._samples = body.points(self.sample_ids)
        rest = data.template[self.sample_ids]
        spacing = np.sort(np.linalg.norm(rest[:, None] - rest, axis=-1), axis=1)[:, 4]
        self.sample_reach = torch.tensor(0.8 * spacing, dtype=torch.float32, device=device)
        # Each sample speaks for the skin around it: fingers and ears would point everywhere otherwise.
        own = np.linalg.norm(data.template[None] - rest[:, None], axis=-1) < 0.45 * spacing[:, None]
        mean = own @ normals
        mean /= np.maximum(np.linalg.norm(mean, axis=1, keepdims=True), 1e-6)
        self._sample_mixed = _mixed(
            torch.tensor(data.dense_weights[self.sample_ids], device=device),
            torch.tensor(mean, dtype=torch.float32, device=device),
        )
        # Radius of the largest ball inside the body that touches the skin here: nothing can be deeper under it.
        away = rest[:, None] - data.template[None]
        below, far = np.einsum("svc,sc->sv", away, mean), np.linalg.norm(away, axis=-1)
        ball = np.where(below > 0.3 * far, far**2 / (2 * np.maximum(below, 1e-6)), np.inf).min(1)
        self.sample_room = torch.tensor(1.3 * ball + 0.004, dtype=torch.float32, device=device)
        at = regressor @ data.template
        span = np.linalg.norm(rest[None] - at[:, None], axis=-1)
        opposed = place_normals @ mean.T < -0.3  # the other side of a thin part is another place
        self.around_place = torch.tensor((span < 0.075) & ~opposed, device=device)
        self.beside_place = torch.tensor((span < 0.13) & ~opposed, device=device)
        self.sample_parts = torch.tensor(data.parts[self.sample_ids].astype(np.int64), device=device)
        self.place_parts = torch.tensor(
            [int(np.bincount(data.parts[np.flatnonzero(row)]).argmax()) for row in regressor], device=device
        )

    def shaped(self, betas: Tensor) -> ShapedSurface:
        """What shapes (..., B) make of the surface, for many poses of the same bodies."""
        return ShapedSurface(betas, self._places.shaped(betas), self._samples.shaped(betas))

    def places(self, skeleton: Skeleton, shape: ShapedSurface) -> SurfacePoints:
        """All places (..., len(PLACES), 3) of a posed body."""
        positions = self._places(skeleton, shape.betas, moments=shape.places)
        return SurfacePoints(positions, _turn(self._place_mixed, skeleton))

    def sample_positions(self, skeleton: Skeleton, shape: ShapedSurface) -> Tensor:
        """Positions (..., samples, 3) of the spread points of a posed body."""
        result: Tensor = self._samples(skeleton, shape.betas, moments=shape.samples)
        return result

    def samples(self, skeleton: Skeleton, shape: ShapedSurface) -> SurfacePoints:
        """All spread points (..., samples, 3) of a posed body."""
        return SurfacePoints(self.sample_positions(skeleton, shape), _turn(self._sample_mixed, skeleton))


def _mixed(weights: Tensor, normals: Tensor) -> Tensor:
    """(24 * 3, N): rest normals (N, 3) by the weight (N, 24) of each bone."""
    return (weights[:, :, None] * normals[:, None]).permute(1, 2, 0).flatten(0, 1)


def _turn(mixed: Tensor, skeleton: Skeleton) -> Tensor:
    """Rest normals turned by the blended rotations of their bones: unit (..., N, 3)."""
    flat = skeleton.rotations.transpose(-3, -2).flatten(start_dim=-2)  # (..., 3, 24 * 3)
    return torch.nn.functional.normalize((flat @ mixed).transpose(-1, -2), dim=-1)
