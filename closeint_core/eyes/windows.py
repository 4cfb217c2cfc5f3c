# SPDX-License-Identifier: Apache-2.0
"""Squares cut out of frames: the one around the pair, and the sharper ones around hands."""

from __future__ import annotations

import torch
from torch import Tensor


def cut_squares(pictures: Tensor, centres: Tensor, sides: Tensor, size: int) -> Tensor:
    """Squares cut out of pictures by bilinear sampling, black where a picture ends.

    Args:
        pictures: (N, C, H, W). centres: (N, K, 2) pixels, centres of pixels at +0.5. sides: (N, K) pixels.
        size: of the squares in pixels. Where they shrink, each pixel is the mean of up to 16 samples.

    Returns:
        (N, K, C, size, size).
    """
    count, _, height, width = pictures.shape
    number = centres.shape[1]
    shrink = float((sides / size).max()) if sides.numel() else 1.0
    fine = 1 if shrink <= 1.5 else 2 if shrink <= 3 else 4
    at = (torch.arange(size * fine, device=pictures.device, dtype=pictures.dtype) + 0.5) / (size * fine) - 0.5
    x = centres[..., 0, None] + at * sides[..., None]  # (N, K, size * fine)
    y = centres[..., 1, None] + at * sides[..., None]
    grid = torch.stack(torch.broadcast_tensors(2 * x[..., None, :] / width - 1, 2 * y[..., :, None] / height - 1), -1)
    cut = torch.nn.functional.grid_sample(
        pictures.repeat_interleave(number, 0), grid.flatten(0, 1), align_corners=False, padding_mode="zeros"
    )
    if fine > 1:
        cut = torch.nn.functional.avg_pool2d(cut, fine)
    result: Tensor = cut.unflatten(0, (count, number))
    return result
