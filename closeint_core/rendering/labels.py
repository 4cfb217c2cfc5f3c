# SPDX-License-Identifier: Apache-2.0
"""What is true in a picture of a pair: which parts touch, which joints are seen, who is in front."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from closeint_core.body.parts import PART_OF_BODY, PARTS, body_parts_near_joints, part_of_vertices
from closeint_core.body.torch_body import TorchBody
from closeint_core.rendering.mesh import PersonMesh
from closeint_core.rendering.rasterizer import Rasterizer

TOUCHING, APART = 0.025, 0.05
"""Metres between the skins of two parts that touch (clothes are thicker than skin), and of two that do not; what lies
between is not counted."""
NEARER = 0.08
"""Metres by which one person's trunk is nearer to the camera, to be called the nearer one."""
_POINTS = 48  # on each part
_LARGEST_DISC = 0.02  # metres of skin around a point for which it speaks
ORDER_SIZE = 128
"""Pixels of the pictures in which depths are compared."""
_FEWEST_PIXELS = 4
_FEWEST_OF_PAIR = 40
_CLEAR_MAJORITY = 0.8


class TouchGaps:
    """Distances between the parts of two bodies, from points spread over each part.

    Each point stands for a small disc of skin, so that points that miss each other on a back do not count as a gap.
    """

    def __init__(self, body: TorchBody, mesh: PersonMesh) -> None:
        device = body.template.device
        picks = [_spread(body.data.template, vertices) for vertices in _vertices_of_parts(part_of_vertices(body.data))]
        self.vertices = torch.as_tensor(np.concatenate([pick for pick, _ in picks]), device=device)
        radius = np.concatenate([disc for _, disc in picks])
        self.radius = torch.as_tensor(radius, dtype=torch.float32, device=device)

    def __call__(self, skins: Tensor, normals: Tensor) -> tuple[Tensor, Tensor]:
        """Metres (N, 30, 30) between part i of the first and part j of the second person, and the places (N, 30, 30, 3)
        halfway between them.

        Args:
            skins, normals: (N, 2, V, 3) of both people's skin, without clothes.
        """
        middle = skins.mean((1, 2), keepdim=True)
        at, facing = skins[:, :, self.vertices], normals[:, :, self.vertices]
        at = at - middle  # near the origin, where float32 is exact
        squared = torch.cdist(at[:, 0], at[:, 1]).square()
        one = self._from_discs(squared, at[:, 0], at[:, 1], facing[:, 1])
        two = self._from_discs(squared.mT, at[:, 1], at[:, 0], facing[:, 0]).mT
        squared = torch.minimum(one, two).unflatten(1, (len(PARTS), _POINTS)).unflatten(3, (len(PARTS), _POINTS))
        least = squared.transpose(2, 3).flatten(3).min(3)
        row = torch.arange(len(at), device=at.device)[:, None, None]
        part = torch.arange(len(PARTS), device=at.device) * _POINTS
        mine = at[row, 0, part[:, None] + least.indices // _POINTS]
        theirs = at[row, 1, part + least.indices % _POINTS]
        return least.values.clamp(min=0).sqrt(), (mine + theirs) / 2 + middle

    def _from_discs(self, squared: Tensor, points: Tensor, centres: Tensor, normals: Tensor) -> Tensor:
        """Squared distance (N, P, Q) of points (N, P, 3) from discs around centres (N, Q, 3)."""
        height = points @ normals.mT - (centres * normals).sum(-1)[:, None]
        aside = (squared - height.square()).clamp(min=0).sqrt()
        return height.square() + (aside - self.radius).clamp(min=0).square()


def _vertices_of_parts(parts: np.ndarray) -> list[np.ndarray]:
    return [np.flatnonzero(parts == index) for index in range(len(PARTS))]


def _spread(template: np.ndarray, vertices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """``_POINTS`` vertices of a part by farthest point sampling, and the radius of each one's disc."""
    at = template[vertices].astype(np.float64)
    chosen = [int(np.argmin(np.linalg.norm(at - at.mean(0), axis=1)))]
    gap = np.linalg.norm(at - at[chosen[0]], axis=1)
    while len(chosen) < _POINTS:
        chosen.append(int(np.argmax(gap)))
        gap = np.minimum(gap, np.linalg.norm(at - at[chosen[-1]], axis=1))
    points = at[chosen]
    apart = np.linalg.norm(points[:, None] - points, axis=-1) + 1e3 * np.eye(len(points))
    return vertices[chosen], np.minimum(0.6 * apart.min(1), _LARGEST_DISC)


def touch_of(gaps: Tensor) -> Tensor:
    """1 where two parts touch, 0 where they do not, -1 where it is not counted, of gaps in metres."""
    return torch.where(gaps < TOUCHING, 1.0, torch.where(gaps > APART, 0.0, -1.0))


def seen_joints(parts: Tensor, depth: Tensor, joints: Tensor, reach: float) -> Tensor:
    """Which joints are seen, (N, 2, 13) bool: a part around the joint shows at two of five places about it.

    Args:
        parts: (N, H, W) int64, 0 or 1 + 30 * person + part. depth: (N, H, W) metres.
        joints: (N, 2, 13, 3) pixels and depth. reach: pixels between the places.
    """
    count, height, width = parts.shape
    device = parts.device
    around = torch.tensor([[0, 0], [1, 0], [-1, 0], [0, 1], [0, -1]], device=device) * reach
    at = (joints[..., None, :2] + around).floor().long()  # (N, 2, 13, 5, 2)
    x, y = at.unbind(-1)
    inside = (x >= 0) & (y >= 0) & (x < width) & (y < height)
    row = torch.arange(count, device=device).view(-1, 1, 1, 1)
    x, y = x.clamp(0, width - 1), y.clamp(0, height - 1)
    label, far = parts[row, y, x], depth[row, y, x]
    person = torch.arange(2, device=device).view(1, 2, 1, 1)
    own = (label > 0) & ((label - 1) // len(PARTS) == person)
    body_part = torch.tensor(PART_OF_BODY, device=device)[((label - 1) % len(PARTS)).clamp(min=0)]
    table = torch.as_tensor(body_parts_near_joints(), device=device)
    joint = torch.arange(joints.shape[2], device=device).view(1, 1, -1, 1)
    shown = table[joint, body_part] & own & inside
    # The nose is on the head, and so is the back of the head.
    behind = far < joints[..., None, 2] - 0.05
    shown = shown & ~((joint == 0) & behind)
    return shown.sum(-1) >= 2


class DepthOrder(NamedTuple):
    """Who is in front: ``nearer`` (N,), 1 the first person's trunk is nearer to the camera, 0 the second's; ``before``
    (N, 2, 30), 1 a part is before the other's body, 0 behind it. -1 is unclear, or nothing overlaps. ``whole``
    (N, 2, 128, 128) uint8: 0 or 1 + the part of each in the pixels of a small picture, as if nobody else were there."""

    nearer: Tensor
    before: Tensor
    whole: Tensor


def depth_order(rasterizer: Rasterizer, mesh: PersonMesh, pixels: Tensor, size: int, trunk_depth: Tensor) -> DepthOrder:
    """Depth order of two people.

    Args:
        pixels: (N, 2, V1, 3) of both in pictures of ``size`` pixels. trunk_depth: (N, 2) metres.
    """
    count = len(pixels)
    scaled = pixels * pixels.new_tensor([ORDER_SIZE / size, ORDER_SIZE / size, 1.0])
    depth, face = rasterizer(scaled.flatten(0, 1), mesh.faces_of(1), (ORDER_SIZE, ORDER_SIZE))
    depth, face = depth.flatten(1).view(count, 2, -1), face.flatten(1).view(count, 2, -1)
    both = (face >= 0).all(1)
    first = (depth[:, 0] < depth[:, 1]) & both
    part = mesh.parts[mesh.faces[face.clamp(min=0)][..., 0]]  # (N, 2, pixels)
    before = []
    for person in (0, 1):
        pixels_of = torch.zeros(count, len(PARTS), device=depth.device)
        ahead = torch.zeros_like(pixels_of)
        wins = first if person == 0 else both & ~first
        pixels_of.scatter_add_(1, part[:, person], both.float())
        ahead.scatter_add_(1, part[:, person], wins.float())
        before.append(_majority(ahead, pixels_of, _FEWEST_PIXELS))
    apart = trunk_depth[:, 1] - trunk_depth[:, 0]
    by_pixels = _majority(first.sum(-1).float(), both.sum(-1).float(), _FEWEST_OF_PAIR)
    nearer = torch.where(apart.abs() > NEARER, (apart > 0).float(), by_pixels)
    whole = torch.where(face >= 0, 1 + part, 0).to(torch.uint8)
    return DepthOrder(nearer, torch.stack(before, 1), whole.view(count, 2, ORDER_SIZE, ORDER_SIZE))


def _majority(ahead: Tensor, total: Tensor, fewest: int) -> Tensor:
    share = ahead / total.clamp(min=1)
    clear = (total >= fewest) & ((share > _CLEAR_MAJORITY) | (share < 1 - _CLEAR_MAJORITY))
    return torch.where(clear, (share > 0.5).float(), -1.0)
