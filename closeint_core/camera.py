# SPDX-License-Identifier: Apache-2.0
"""Pinhole camera: intrinsics from what is known, projection, and the start of a translation.

Camera axes are OpenCV's: x right, y down, z forward; pixel centres lie at +0.5.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from closeint_core.errors import CloseintError

ORDINARY_FOCAL = 0.9
"""Focal length of ordinary footage, in units of the image's longer side."""


def default_focal(image_size: tuple[int, int]) -> float:
    """Focal length in pixels when nothing is known: 0.9 of the longer side.

    That is a 32 mm lens on 35 mm film, about what telephones and camcorders record video with. The
    footage itself hardly tells: the fit is as good with lenses half as long or twice as long.
    """
    return ORDINARY_FOCAL * float(max(image_size))


def intrinsics(image_size: tuple[int, int], focal: float | None = None) -> np.ndarray:
    """(3, 3) pinhole matrix with the principal point in the middle of the image.

    Args:
        image_size: width and height in pixels.
        focal: focal length in pixels; None takes ``default_focal``.

    Raises:
        CloseintError: the focal length is not positive.
    """
    if focal is not None and not (np.isfinite(focal) and focal > 0):
        raise CloseintError(f"The focal length {focal} is not a positive number of pixels.", "Give --focal in pixels.")
    width, height = image_size
    f = default_focal(image_size) if focal is None else float(focal)
    return np.array([[f, 0.0, width / 2], [0.0, f, height / 2], [0.0, 0.0, 1.0]], np.float32)


def project(points: Tensor, camera: Tensor) -> Tensor:
    """Pixels (..., 2) of camera-frame points (..., 3); points behind the camera are clamped to 5 cm in front."""
    z = points[..., 2:].clamp(min=0.05)
    return points[..., :2] / z * torch.stack([camera[0, 0], camera[1, 1]]) + camera[:2, 2]


def solve_translation(points: Tensor, pixels: Tensor, weights: Tensor, camera: Tensor) -> Tensor:
    """Translation that makes 3D points fall on their pixels, by weighted linear least squares.

    Each point gives two equations that are linear in t: (x + tx) - u (z + tz) = 0 and the same for
    y, with (u, v) the normalised image coordinates.

    Args:
        points: (..., K, 3) metres, before translation, camera axes.
        pixels: (..., K, 2).
        weights: (..., K), 0 where unseen; at least two points must count.
        camera: (3, 3).

    Returns:
        (..., 3) translations.
    """
    uv = (pixels - camera[:2, 2]) / torch.stack([camera[0, 0], camera[1, 1]])
    uv = torch.where(weights[..., None] > 0, uv, torch.zeros_like(uv))
    one, zero = torch.ones_like(uv[..., 0]), torch.zeros_like(uv[..., 0])
    a = torch.stack(
        [torch.stack([one, zero, -uv[..., 0]], -1), torch.stack([zero, one, -uv[..., 1]], -1)], -2
    )  # (..., K, 2, 3)
    b = uv * points[..., 2:] - points[..., :2]
    aw = a * weights[..., None, None]
    normal = torch.einsum("...kri,...krj->...ij", aw, a) + 1e-6 * torch.eye(3, dtype=a.dtype)
    right = torch.einsum("...kri,...kr->...i", aw, b)
    result: Tensor = torch.linalg.solve(normal, right)
    return result
