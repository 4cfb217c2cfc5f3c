# SPDX-License-Identifier: Apache-2.0
"""Pictures as bad cameras and codecs leave them: colour, blur, motion blur, low resolution, noise, blocks, borders."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, conv2d, interpolate, pad

from closeint_core.rendering.draws import Draws

_LUMINANCE = (0.3, 0.59, 0.11)
_BLUR = 7  # pixels to each side that a blur reaches
_BLOCK = 8  # pixels of a codec's block
_RESOLUTIONS = (0.7, 0.5, 0.38, 0.28)  # of pictures that were small; a tenth of all each
_BORDER = 0.14  # largest share of a picture taken by a border, and the share of pictures with one on a side


@dataclass(frozen=True)
class Grade:
    """A camera's colours, of N pictures: matrix (N, 3, 3), contrast, brightness and gamma (N, 1, 1, 1)."""

    matrix: Tensor
    contrast: Tensor
    brightness: Tensor
    gamma: Tensor

    def __getitem__(self, rows: Tensor) -> Grade:
        """Some of the pictures."""
        return Grade(self.matrix[rows], self.contrast[rows], self.brightness[rows], self.gamma[rows])

    def __call__(self, pictures: Tensor) -> Tensor:
        """Pictures (N, 3, H, W) in 0..1 with these colours."""
        pictures = torch.einsum("nij,njyx->niyx", self.matrix, pictures)
        return ((pictures - 0.45) * self.contrast + 0.45 + self.brightness).clamp(1e-4, 1) ** self.gamma


def draw_grade(draws: Draws, count: int) -> Grade:
    """Colours of ``count`` cameras: saturation (at times grey), hue, white balance, contrast, brightness, gamma."""
    grey = draws.chance(0.12, count, 1, 1)
    strength = torch.where(grey, 0.0, torch.exp(0.35 * draws.normal(count, 1, 1)))
    eye = torch.eye(3, device=draws.device)
    matrix = strength * eye + (1 - strength) * draws.tensor([list(_LUMINANCE)])
    hue = 0.12 * draws.normal(count) * draws.chance(0.5, count)
    k = 1 / math.sqrt(3)
    about_grey = draws.tensor([[0.0, -k, k], [k, 0.0, -k], [-k, k, 0.0]])
    turned = eye + hue.sin()[:, None, None] * about_grey + (1 - hue.cos())[:, None, None] * (about_grey @ about_grey)
    matrix = (turned @ matrix) * (1 + 0.06 * draws.normal(count, 3, 1))
    return Grade(
        matrix, torch.exp(0.22 * draws.normal(count, 1, 1, 1)), 0.09 * draws.normal(count, 1, 1, 1),
        torch.exp(0.22 * draws.normal(count, 1, 1, 1)),
    )  # fmt: skip


@torch.no_grad()
def degrade(pictures: Tensor, draws: Draws, grade: Grade | None = None, borders: bool = True) -> Tensor:
    """Pictures (N, 3, H, W) in 0..1, height and width multiples of 8, as bad cameras and codecs leave them.

    Args:
        grade: colours, drawn if not given. borders: black or white where a picture ends inside the crop.
    """
    grade = draw_grade(draws, len(pictures)) if grade is None else grade
    pictures = _blurred(grade(pictures), draws)
    pictures = _compressed(_noisy(_small(pictures, draws), draws), draws)
    return (_bordered(pictures, draws) if borders else pictures).clamp(0, 1)


def _blurred(pictures: Tensor, draws: Draws) -> Tensor:
    """Each by its own kernel: a Gaussian, at times drawn out along a line."""
    count = len(pictures)
    offset = torch.arange(-_BLUR, _BLUR + 1, device=draws.device, dtype=torch.float32)
    y, x = torch.meshgrid(offset, offset, indexing="ij")
    sharp = draws.chance(0.5, count, 1, 1)
    spread = torch.where(sharp, 0.25, 0.3 + 1.7 * draws.uniform(count, 1, 1) ** 1.5)
    angle = draws.uniform(count, 1, 1) * math.pi
    along, across = x * angle.cos() + y * angle.sin(), y * angle.cos() - x * angle.sin()
    moved = torch.where(draws.chance(0.2, count, 1, 1), 1 + 5 * draws.uniform(count, 1, 1), 0.0)
    kernel = torch.exp(-((along.abs() - moved).clamp(min=0) ** 2 + across**2) / (2 * spread**2))
    kernel = kernel / kernel.sum((1, 2), keepdim=True)
    wide = pad(pictures, (_BLUR,) * 4, mode="replicate")
    return conv2d(wide.transpose(0, 1), kernel[:, None], groups=count).transpose(0, 1)


def _small(pictures: Tensor, draws: Draws) -> Tensor:
    """Some shrunk and enlarged again, sharply and not."""
    count, size = len(pictures), pictures.shape[-2:]
    order = torch.randperm(count, device=draws.device)
    each = count // 10
    for number, factor in enumerate(_RESOLUTIONS):
        rows = order[number * each : (number + 1) * each]
        if len(rows):
            little = interpolate(pictures[rows], scale_factor=factor, mode="bilinear", antialias=True)
            pictures[rows] = interpolate(little, size, mode="bilinear")
    return pictures


def _noisy(pictures: Tensor, draws: Draws) -> Tensor:
    """Fine and coarse noise."""
    count, _, height, width = pictures.shape
    fine = draws.normal(count, 3, height, width) * (0.06 * draws.uniform(count, 1, 1, 1) ** 2)
    coarse = interpolate(draws.normal(count, 3, height // 2, width // 2), (height, width), mode="bilinear")
    return pictures + fine + coarse * (0.05 * draws.uniform(count, 1, 1, 1) ** 3)


def cosine_transform(device: torch.device) -> Tensor:
    """(8, 8), the discrete cosine transform of a block's row, orthonormal."""
    k = torch.arange(_BLOCK, device=device, dtype=torch.float32)
    matrix = torch.cos((2 * k[None] + 1) * k[:, None] * math.pi / (2 * _BLOCK)) * 0.5
    matrix[0] *= math.sqrt(0.5)
    return matrix


def _compressed(pictures: Tensor, draws: Draws) -> Tensor:
    """Blocks whose frequencies are rounded, the higher the more coarsely."""
    count, channels, height, width = pictures.shape
    transform = cosine_transform(pictures.device)
    shift = tuple(int(value) for value in torch.randint(_BLOCK, (2,)))
    moved = torch.roll(pictures, shift, (2, 3))
    blocks = moved.reshape(count, channels, height // _BLOCK, _BLOCK, width // _BLOCK, _BLOCK).transpose(3, 4)
    frequencies = transform @ blocks @ transform.T
    index = torch.arange(_BLOCK, device=pictures.device, dtype=torch.float32)
    coarse = 0.09 * draws.uniform(count, 1, 1, 1, 1, 1) ** 2.5 + 1e-4
    step = (1 + 0.6 * (index[:, None] + index[None])) * coarse
    blocks = transform.T @ ((frequencies / step).round() * step) @ transform
    moved = blocks.transpose(3, 4).reshape(count, channels, height, width)
    return torch.roll(moved, (-shift[0], -shift[1]), (2, 3))


def _bordered(pictures: Tensor, draws: Draws) -> Tensor:
    """Where a picture ends inside the crop."""
    count, _, height, width = pictures.shape
    width_of = _BORDER * draws.uniform(count, 4) * draws.chance(_BORDER, count, 4)
    left, right, top, bottom = (width_of[:, side, None, None] for side in range(4))
    x = ((torch.arange(width, device=draws.device) + 0.5) / width)[None, None]
    y = ((torch.arange(height, device=draws.device) + 0.5) / height)[None, :, None]
    outside = (x < left) | (x > 1 - right) | (y < top) | (y > 1 - bottom)
    colour = draws.chance(0.2, count, 1, 1, 1).float()
    return torch.where(outside[:, None], colour, pictures)


def soften(pictures: Tensor, radius: int) -> Tensor:
    """The mean over a square of ``2 * radius + 1`` pixels around each."""
    return avg_pool2d(pad(pictures, (radius,) * 4, mode="replicate"), 2 * radius + 1, 1)
