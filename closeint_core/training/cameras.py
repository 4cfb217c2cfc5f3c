# SPDX-License-Identifier: Apache-2.0
"""Cameras that see synthetic interactions, placed as people hold and mount cameras."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from closeint_core.training.synthetic.plan import Draw

_SIZES = ((1920, 1080), (1280, 720), (1080, 1920), (720, 1280), (640, 480), (960, 720), (1440, 1080))


@lru_cache(maxsize=16)
def _known(device: torch.device) -> tuple[Tensor, Tensor]:
    """Sizes of images and the direction up, copied to a device once:
    a copy waits for all kernels that were started before it."""
    return torch.tensor(_SIZES, device=device), torch.tensor([0.0, 0.0, 1.0], device=device)


@dataclass
class Cameras:
    """Still pinhole cameras, one a pair: K (N, 3, 3) pixels, R (N, 3, 3), t (N, 3) world to camera, OpenCV axes, and
    the image's width and height (N, 2)."""

    K: Tensor
    R: Tensor
    t: Tensor
    size: Tensor

    def view(self, points: Tensor) -> Tensor:
        """World points (N, ..., 3) in camera axes."""
        return torch.einsum("nij,n...j->n...i", self.R, points) + self.t.reshape(-1, *[1] * (points.ndim - 2), 3)

    def project(self, view: Tensor) -> Tensor:
        """Pixels (N, ..., 2) of points (N, ..., 3) in camera axes."""
        image = torch.einsum("nij,n...j->n...i", self.K, view)
        return image[..., :2] / image[..., 2:].clamp(min=0.05)


def draw_cameras(points: Tensor, draw: Draw) -> Cameras:
    """Cameras as people hold and mount them: any side, mostly level, whole figures or closer.

    Args:
        points: (N, 2, T, K, 3) world points of the pairs to be seen. draw: on the same device.
    """
    count, device = len(points), points.device
    flat = points.flatten(1, 3)
    low, high = flat.amin(1), flat.amax(1)
    centre = (low + high) / 2
    azimuth = draw.uniform(-math.pi, math.pi, count)
    elevation = torch.deg2rad(8 + 11 * draw.normal(count)).clamp(-0.25, 0.75)
    roll = torch.deg2rad(1.5 * draw.normal(count))
    size = _known(device)[0][draw.integers(len(_SIZES), count)]
    width, height = size.float().unbind(1)
    field_of_view = torch.deg2rad(draw.uniform(28, 78, count))  # along the longer side
    focal = size.amax(1) / 2 / torch.tan(field_of_view / 2)
    c, s = torch.cos(elevation), torch.sin(elevation)
    forward = -torch.stack((c * torch.cos(azimuth), c * torch.sin(azimuth), s), -1)
    up = _known(device)[1].expand_as(forward)
    right = torch.nn.functional.normalize(torch.linalg.cross(forward, up), dim=-1)
    down = torch.linalg.cross(forward, right)
    cr, sr = torch.cos(roll)[:, None], torch.sin(roll)[:, None]
    turned = torch.stack((cr * right + sr * down, cr * down - sr * right, forward), 1)
    # Near enough to fill the picture, and in a fifth of the cases too near to show all.
    around = torch.einsum("nij,nkj->nki", turned, flat - centre[:, None])
    near = draw.uniform(0, 1, count) < 0.2
    fill = torch.where(near, draw.uniform(1.0, 1.5, count), draw.uniform(0.4, 0.95, count))
    need = torch.maximum(
        around[..., 0].abs() * 2 * (focal / width)[:, None], around[..., 1].abs() * 2 * (focal / height)[:, None]
    )
    distance = (need / fill[:, None] - around[..., 2]).amax(1).clamp(min=1.2)
    distance = torch.maximum(distance, 0.6 - around[..., 2].amin(1))
    shift = 0.05 * distance[:, None] * draw.normal(count, 3)
    eye = centre + shift - distance[:, None] * forward
    K = torch.zeros(count, 3, 3, device=device)
    K[:, 0, 0] = K[:, 1, 1] = focal
    K[:, 0, 2], K[:, 1, 2], K[:, 2, 2] = width / 2, height / 2, 1.0
    return Cameras(K, turned, -torch.einsum("nij,nj->ni", turned, eye), size)
