# SPDX-License-Identifier: Apache-2.0
"""Forward kinematics, closed-form legs and skinned surface points of one person, in torch."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from closeint_core.body.load import load_body
from sample.keys import Build

JOINTS = (
    "pelvis", "left_hip", "right_hip", "spine1", "left_knee", "right_knee", "spine2", "left_ankle", "right_ankle",
    "spine3", "left_foot", "right_foot", "neck", "left_collar", "right_collar", "head", "left_shoulder",
    "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_hand", "right_hand",
)  # fmt: skip
JOINT = {name: index for index, name in enumerate(JOINTS)}

BASE = torch.tensor([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
"""The rest frame (x left, y up, z forward) turned to the world: forward is +X, left +Y, up +Z."""


COVER = (0.0, 0.005, 0.005, 0.003, 0.005)
"""How far (metres) skin, shirt, trousers, shoes and hair stand off the body where something presses on them."""


@dataclass(frozen=True)
class Rig:
    """One person's rest shape.

    Attributes:
        rest: (V, 3) vertices, metres, y up.
        joints: (24, 3) joints of that shape.
        parents: (24,) parent of each joint, -1 for the pelvis.
        skin_joints, skin_weights: (V, 4).
        normals: (V, 3) rest normals.
        sole: height of the floor in the rest frame.
        cover: (V,) metres that clothes or hair stand off the skin.
    """

    rest: Tensor
    joints: Tensor
    parents: tuple[int, ...]
    skin_joints: Tensor
    skin_weights: Tensor
    normals: Tensor
    faces: np.ndarray
    parts: np.ndarray
    regions: np.ndarray
    sole: float
    cover: Tensor
    offsets: Tensor = field(init=False)
    levels: list[tuple[list[int], list[int]]] = field(init=False)
    order: Tensor = field(init=False)

    def __post_init__(self) -> None:
        offsets = self.joints.clone()
        offsets[1:] -= self.joints[list(self.parents[1:])]
        order, levels = [0], []
        above = [0]
        while len(order) < 24:
            here = [joint for joint in range(24) if self.parents[joint] in above]
            levels.append((here, [above.index(self.parents[joint]) for joint in here]))
            order += here
            above = here
        object.__setattr__(self, "offsets", offsets)
        object.__setattr__(self, "levels", levels)
        object.__setattr__(self, "order", torch.tensor(order).argsort())

    def forward(self, rotations: Tensor, pelvis: Tensor) -> tuple[Tensor, Tensor]:
        """World rotations (T, 24, 3, 3) and joints (T, 24, 3) from local ``rotations`` and pelvis position (T, 3)."""
        world, places = [rotations[:, :1]], [pelvis[:, None]]
        for joints, parents in self.levels:
            # ``parents`` counts within the level above: whole levels at once, as the chain is short and bushy.
            turn = world[-1][:, parents]
            world.append(turn @ rotations[:, joints])
            places.append(places[-1][:, parents] + (turn @ self.offsets[joints, :, None])[..., 0])
        return torch.cat(world, 1)[:, self.order], torch.cat(places, 1)[:, self.order]

    def points(self, world: Tensor, places: Tensor, frame: Tensor, vertex: Tensor) -> Tensor:
        """Skinned positions (N, 3) of ``vertex`` (N,) at ``frame`` (N,)."""
        bones = self.skin_joints[vertex]  # (N, 4)
        local = self.rest[vertex][:, None] - self.joints[bones]
        moved = torch.einsum("nkij,nkj->nki", world[frame[:, None], bones], local) + places[frame[:, None], bones]
        return (self.skin_weights[vertex][..., None] * moved).sum(1)

    def surface(self, world: Tensor, places: Tensor, patch: Patch) -> tuple[Tensor, Tensor]:
        """Mean position and unit normal (T, 3) of a patch, every frame."""
        turn = world[:, patch.bones]  # (T, K, 3, 3)
        mean = (turn @ patch.centres[..., None])[..., 0].sum(1) + (patch.shares[:, None] * places[:, patch.bones]).sum(
            1
        )
        normal = (turn @ patch.normals[..., None])[..., 0].sum(1)
        return mean, torch.nn.functional.normalize(normal, dim=-1)

    def patch(self, vertices: Tensor) -> Patch:
        """The patch of ``vertices`` (N,): skinning is linear, so its mean needs one term a bone, not one a vertex."""
        weights = torch.zeros(len(vertices), 24).scatter_add_(
            1, self.skin_joints[vertices], self.skin_weights[vertices]
        )
        weights /= len(vertices)
        bones = torch.nonzero(weights.sum(0) > 1e-6)[:, 0]
        weights = weights[:, bones]
        local = self.rest[vertices][:, None] - self.joints[bones]  # (N, K, 3)
        return Patch(
            bones=bones,
            centres=(weights[..., None] * local).sum(0),
            normals=weights.T @ self.normals[vertices],
            shares=weights.sum(0),
            cover=float(self.cover[vertices].mean()),
        )


@dataclass(frozen=True)
class Patch:
    """A piece of surface, summed up by bone: bones (K,), centres and normals (K, 3), shares (K,); see ``Rig.cover``."""

    bones: Tensor
    centres: Tensor
    normals: Tensor
    shares: Tensor
    cover: float


def load_rig(betas: np.ndarray) -> Rig:
    """The default body with shape ``betas`` (10,)."""
    body = load_body("default")
    vertices, joints = body.rest(betas)
    vertices = np.asarray(vertices, np.float32).reshape(-1, 3)
    joints = np.asarray(joints, np.float32).reshape(24, 3)
    faces = np.asarray(body.faces)
    return Rig(
        rest=torch.from_numpy(vertices),
        joints=torch.from_numpy(joints),
        parents=tuple(int(p) for p in body.parents),
        skin_joints=torch.from_numpy(np.asarray(body.skin_joints).astype(np.int64)),
        skin_weights=torch.from_numpy(np.asarray(body.skin_weights, np.float32)),
        normals=torch.from_numpy(vertex_normals(vertices, faces)),
        faces=faces,
        parts=np.asarray(body.parts),
        regions=np.asarray(body.regions),
        sole=float(vertices[:, 1].min()),
        cover=torch.tensor(COVER)[torch.from_numpy(np.asarray(body.regions).astype(np.int64))],
    )


def shape_of(build: Build) -> np.ndarray:
    """Betas (10,) of the smallest norm, nearly, whose body has that build (Gauss-Newton on three measures)."""
    body = load_body("default")
    faces = np.asarray(body.faces)

    def measure(betas: np.ndarray) -> np.ndarray:
        vertices, joints = body.rest(betas.astype(np.float32))
        corners = vertices[faces].astype(np.float64)
        volume = np.einsum("fi,fi->", corners[:, 0], np.cross(corners[:, 1], corners[:, 2])) / 6
        stature = float(np.ptp(vertices[:, 1]))
        taper = (joints[JOINT["left_shoulder"], 0] - joints[JOINT["right_shoulder"], 0]) / (
            joints[JOINT["left_hip"], 0] - joints[JOINT["right_hip"], 0]
        )
        return np.array([stature, 1000 * volume / stature**2 / 20, float(taper)])

    wanted = np.array([build.stature, build.bmi / 20, build.taper])
    betas = np.zeros(10)
    for _ in range(8):
        here = measure(betas)
        slope = np.stack([(measure(betas + 0.1 * unit) - here) / 0.1 for unit in np.eye(10)], 1)
        # Ridge: many shapes have these measures; take the most ordinary one.
        goal = slope @ betas + wanted - here
        betas = slope.T @ np.linalg.solve(slope @ slope.T + 1e-6 * np.eye(3), goal)
        betas = np.clip(betas, -2.5, 2.5)
    return betas.astype(np.float32)


def vertex_normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Area-weighted unit normals (V, 3)."""
    corners = vertices[faces]
    face_normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals = np.zeros_like(vertices)
    for corner in range(3):
        np.add.at(normals, faces[:, corner], face_normals)
    result: np.ndarray = normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    return result


def axis_rotation(axis: int, angle: Tensor) -> Tensor:
    """Rotation matrices (..., 3, 3) about a coordinate axis, radians."""
    c, s = torch.cos(angle), torch.sin(angle)
    zero, one = torch.zeros_like(c), torch.ones_like(c)
    rows = {
        0: (one, zero, zero, zero, c, -s, zero, s, c),
        1: (c, zero, s, zero, one, zero, -s, zero, c),
        2: (c, -s, zero, s, c, zero, zero, zero, one),
    }[axis]
    return torch.stack(rows, -1).reshape(*angle.shape, 3, 3)


def solve_leg(rig: Rig, side: str, pelvis: Tensor, turn: Tensor, ankle: Tensor, foot: Tensor, pole: Tensor,
              ) -> tuple[Tensor, Tensor, Tensor, Tensor]:  # fmt: skip
    """Hip, knee and ankle rotations that put the ankle and the foot exactly where they belong.

    Args:
        pelvis: (T, 3) pelvis joint in the world.
        turn: (T, 3, 3) world rotation of the pelvis.
        ankle: (T, 3) where the ankle joint has to be.
        foot: (T, 3, 3) world rotation the foot has to have.
        pole: (T, 3) direction the knee points to.

    Returns:
        Local rotations of hip, knee, ankle (T, 3, 3), and by how many metres the ankle is out of reach (T,).
    """
    hip_j, knee_j, ankle_j = (rig.joints[JOINT[f"{side}_{name}"]] for name in ("hip", "knee", "ankle"))
    thigh, shin = knee_j - hip_j, ankle_j - knee_j
    hip = pelvis + turn @ (hip_j - rig.joints[0])
    reach = ankle - hip
    length = reach.norm(dim=-1)
    # |thigh + Rx(angle) shin|^2 = length^2 is  b cos + c sin = d.
    b = thigh[1] * shin[1] + thigh[2] * shin[2]
    c = thigh[2] * shin[1] - thigh[1] * shin[2]
    both = torch.hypot(b, c)
    fixed = thigh.square().sum() + shin.square().sum() + 2 * thigh[0] * shin[0]
    longest = torch.sqrt(fixed + 2 * both)
    # A knee is never locked dead straight, and near that limit its angle runs away: stop a little before.
    over = torch.relu(length - 0.996 * longest)
    held = torch.minimum(length, 0.9985 * longest)
    cosine = ((held.square() - fixed) / (2 * both)).clamp(-0.999, 0.99999)
    angle = torch.atan2(c, b) + torch.acos(cosine)
    bend = axis_rotation(0, angle)
    straight = thigh + (bend @ shin)
    forward = torch.tensor([0.0, 0.0, 1.0]).expand_as(straight)
    hip_world = _frame(reach, pole) @ _frame(straight, forward).transpose(-1, -2)
    hip_local = turn.transpose(-1, -2) @ hip_world
    ankle_local = (hip_world @ bend).transpose(-1, -2) @ foot
    return hip_local, bend, ankle_local, over


def _frame(along: Tensor, towards: Tensor) -> Tensor:
    """Orthonormal frames (..., 3, 3): first column ``along``, second as near ``towards`` as can be."""
    a = torch.nn.functional.normalize(along, dim=-1)
    b = torch.nn.functional.normalize(towards - (towards * a).sum(-1, keepdim=True) * a, dim=-1)
    return torch.stack((a, b, torch.linalg.cross(a, b)), -1)
