# SPDX-License-Identifier: Apache-2.0
"""Where two bodies, or an arm and its own body, pass through each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor

from sample.rig import JOINT, Rig, vertex_normals

if TYPE_CHECKING:
    from sample.solve import Actor, Pose

MARGIN = 0.0005
"""Metres kept between clothes, and between skin and skin."""
NEAR = 0.022
"""Pairs this close are watched, although they do not touch yet."""
LOST = 0.09
"""A nearest point farther away than this says nothing about being inside."""


@dataclass(frozen=True)
class Watch:
    """Points of one mesh against the tangent planes of another: (N,) each."""

    point_of: int
    plane_of: int
    frame: Tensor
    point: Tensor
    plane: Tensor
    normal_bone: Tensor


@dataclass(frozen=True)
class ContactPairs:
    """All watched pairs of a scene."""

    watches: Sequence[Watch]

    def depth(self, actors: Sequence[Actor], poses: Sequence[Pose]) -> Tensor:
        """Depth (N,) of every watched point beyond the margin, metres, 0 outside."""
        depths = []
        for watch in self.watches:
            a, b = actors[watch.point_of], actors[watch.plane_of]
            pose_a, pose_b = poses[watch.point_of], poses[watch.plane_of]
            point = a.rig.points(pose_a.world, pose_a.places, watch.frame, watch.point)
            plane = b.rig.points(pose_b.world, pose_b.places, watch.frame, watch.plane)
            turn = pose_b.world[watch.frame, watch.normal_bone]
            normal = torch.einsum("nij,nj->ni", turn, b.rig.normals[watch.plane])
            gap = MARGIN + a.rig.cover[watch.point] + b.rig.cover[watch.plane]
            depths.append(torch.relu(gap - ((point - plane) * normal).sum(-1)))
        return torch.cat(depths) if depths else torch.zeros(1)


LIMBS = tuple(
    (f"{side}_{a}", f"{side}_{b}") for side in ("left", "right") for a, b in (("shoulder", "elbow"), ("elbow", "wrist"))
)


def limb_radii(rig: Rig) -> Tensor:
    """(4,) thickness of the ``LIMBS``, metres: the median distance of their skin from their bone, clothes included."""
    radii = []
    bone = rig.skin_joints[torch.arange(len(rig.rest)), rig.skin_weights.argmax(1)]
    for upper, lower in LIMBS:
        start, end = rig.joints[JOINT[upper]], rig.joints[JOINT[lower]]
        axis = end - start
        local = rig.rest[bone == JOINT[upper]] - start
        along = (local @ axis / axis.square().sum()).clamp(0, 1)
        radii.append((local - along[:, None] * axis).norm(dim=1).median() + rig.cover[bone == JOINT[upper]].max())
    return torch.stack(radii)


def limb_overlap(places: Sequence[Tensor], radii: Sequence[Tensor]) -> Tensor:
    """Overlap (T, 4, 4, 7, 7), metres, of balls strung along the arms of two people with joints (T, 24, 3).

    Nearest surface points cannot tell which way out is shorter when a limb is deep in a limb; the bones can.
    """
    steps = torch.linspace(0, 1, 7)[:, None]
    strings = []
    for joints in places:
        start = joints[:, [JOINT[a] for a, _ in LIMBS], None]
        end = joints[:, [JOINT[b] for _, b in LIMBS], None]
        strings.append(start + steps * (end - start))  # (T, 4, 7, 3)
    apart = (strings[0][:, :, None, :, None] - strings[1][:, None, :, None, :]).norm(dim=-1)
    wanted = radii[0][:, None] + radii[1][None]
    return torch.relu(wanted[..., None, None] - apart)


def skin(rig: Rig, pose: Pose) -> np.ndarray:
    """Vertices (T, V, 3) of a whole clip, frame by frame to bound memory."""
    out = np.empty((len(pose.places), len(rig.rest), 3), np.float32)
    every = torch.arange(len(rig.rest))
    for frame in range(len(out)):
        out[frame] = rig.points(pose.world, pose.places, torch.full_like(every, frame), every).numpy()
    return out


def own_groups(rig: Rig) -> tuple[np.ndarray, np.ndarray]:
    """Vertices of the forearms and hands, and of what they may run into: trunk, head and thighs."""
    bone = rig.skin_joints[torch.arange(len(rig.rest)), rig.skin_weights.argmax(1)].numpy()
    arms = [JOINT[f"{side}_{name}"] for side in ("left", "right") for name in ("elbow", "wrist", "hand")]
    rest = [JOINT[name] for name in ("pelvis", "left_hip", "right_hip", "spine1", "spine2", "spine3", "neck", "head")]
    return np.nonzero(np.isin(bone, arms))[0], np.nonzero(np.isin(bone, rest))[0]


def find_pairs(actors: Sequence[Actor], poses: Sequence[Pose], stride: int = 2) -> ContactPairs:
    """Pairs of close points between the people and between each one's arms and body, in every frame."""
    meshes = [skin(actor.rig, pose) for actor, pose in zip(actors, poses, strict=True)]
    bones = [
        actor.rig.skin_joints[torch.arange(len(actor.rig.rest)), actor.rig.skin_weights.argmax(1)] for actor in actors
    ]
    everything = [np.arange(len(actor.rig.rest)) for actor in actors]
    jobs = [(0, 1, everything[0][::stride], everything[1]), (1, 0, everything[1][::stride], everything[0])]
    jobs += [(i, i, *own_groups(actor.rig)) for i, actor in enumerate(actors)]
    watches = []
    for a, b, points, planes in jobs:
        frames, chosen, partners = [], [], []
        for frame in range(len(meshes[a])):
            mesh_a, mesh_b = meshes[a][frame][points], meshes[b][frame]
            # Only where the two boxes overlap can anything touch.
            mesh_b = mesh_b[planes]
            low = np.maximum(mesh_a.min(0), mesh_b.min(0)) - 0.03
            high = np.minimum(mesh_a.max(0), mesh_b.max(0)) + 0.03
            inside = np.nonzero(((mesh_a > low) & (mesh_a < high)).all(1))[0]
            against = np.nonzero(((mesh_b > low - LOST) & (mesh_b < high + LOST)).all(1))[0]
            if not len(inside) or not len(against):
                continue
            normals = vertex_normals(meshes[b][frame], actors[b].rig.faces)[planes]
            far, near = cKDTree(mesh_b[against]).query(mesh_a[inside], distance_upper_bound=LOST)
            found = np.isfinite(far)
            inside, near = inside[found], against[near[found]]
            signed = ((mesh_a[inside] - mesh_b[near]) * normals[near]).sum(1)
            close = signed < NEAR
            frames.append(np.full(close.sum(), frame))
            chosen.append(points[inside[close]])
            partners.append(planes[near[close]])
        if frames and sum(map(len, frames)):
            at, point, plane = (torch.from_numpy(np.concatenate(ids)) for ids in (frames, chosen, partners))
            watches.append(Watch(a, b, at, point, plane, bones[b][plane]))
    return ContactPairs(watches)
