# SPDX-License-Identifier: Apache-2.0
"""Square image crops round people, and the camera that a network sees in them.

A crop camera (s, tx, ty) is a weak-perspective camera over a crop: s is the size of a 2 m cube relative to the crop,
tx and ty metres. With the crop's place in the picture it becomes a translation in the full camera's frame.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor


@dataclass(frozen=True)
class Crops:
    """Crops of any batch shape (...,), all tensors float32.

    Attributes:
        center: (..., 2) pixels. side: (...,) pixels. image_size: (..., 2) width and height in pixels.
        focal: (...,) pixels. The principal point is the middle of the image.
    """

    center: Tensor
    side: Tensor
    image_size: Tensor
    focal: Tensor

    def info(self) -> Tensor:
        """(..., 3): where the crop's centre is seen and how large the crop is, in units of the focal length."""
        offset = (self.center - self.image_size / 2) / self.focal[..., None] * 2.8
        size = (self.side - 0.24 * self.focal) / (0.06 * self.focal)
        return torch.cat([offset, size[..., None]], dim=-1)

    def translation(self, crop_camera: Tensor) -> Tensor:
        """Translation (..., 3) in metres, camera axes (x right, y down, z forward), of crop cameras (..., 3)."""
        reach = 2.0 / (self.side * crop_camera[..., 0])
        offset = (self.center - self.image_size / 2) * reach[..., None]
        return torch.cat([offset + crop_camera[..., 1:], (self.focal * reach)[..., None]], dim=-1)

    def crop_camera(self, translation: Tensor) -> Tensor:
        """Inverse of ``translation``; depths below 1 cm are taken as 1 cm."""
        depth = translation[..., 2].clamp(min=0.01)
        scale = 2.0 * self.focal / (self.side * depth)
        offset = (self.center - self.image_size / 2) * (depth / self.focal)[..., None]
        return torch.cat([scale[..., None], translation[..., :2] - offset], dim=-1)

    def project(self, points: Tensor) -> Tensor:
        """Pixels (..., K, 2) of camera-frame points (..., K, 3); nearer than 5 cm counts as 5 cm."""
        depth = points[..., 2:].clamp(min=0.05)
        return points[..., :2] / depth * self.focal[..., None, None] + self.image_size[..., None, :] / 2

    def __getitem__(self, index: object) -> Crops:
        """The crops at an index of the batch axes."""
        return Crops(*(getattr(self, f.name)[index] for f in fields(self)))

    def to(self, device: torch.device | str) -> Crops:
        """The same on another device."""
        return Crops(*(getattr(self, f.name).to(device) for f in fields(self)))


def person_crops(boxes: Tensor, image_size: tuple[int, int], focal: float | None = None) -> Crops:
    """Crops round boxes (..., 4) xyxy, as the published demo takes them.

    The side is 1.1 times the box expanded to 192:256; the focal length, when not given, is the image's diagonal.
    """
    width, height = (float(size) for size in image_size)
    low, high = boxes[..., :2], boxes[..., 2:]
    extent = (high - low).clamp(min=1.0)
    side = 1.1 * torch.maximum(extent[..., 0] * (256 / 192), extent[..., 1])
    size = torch.tensor([width, height], dtype=boxes.dtype, device=boxes.device).expand(*boxes.shape[:-1], 2)
    f = float(focal) if focal is not None else (width**2 + height**2) ** 0.5
    return Crops((low + high) / 2, side, size, torch.full_like(side, f))
