# SPDX-License-Identifier: Apache-2.0
"""Synthetic windows of two people before a level camera: smooth, random, facing each other."""

from __future__ import annotations

from typing import NamedTuple

import roma
import torch
from torch import Tensor

from closeint_core.body.torch_body import TorchBody
from closeint_core.denoiser.conditions import Conditions
from closeint_core.denoiser.crops import person_crops
from closeint_core.denoiser.rotation6d import matrix_to_rows6d
from closeint_core.denoiser.state import PairState

IMAGE_SIZE = (1280, 720)
UP = torch.tensor([0.0, -1.0, 0.0])


class Windows(NamedTuple):
    """Conditions, and the motion that they belong to: rotations (B, T, 2, 24, 3, 3), betas and translations."""

    conditions: Conditions
    truth: PairState
    rotations: Tensor
    betas: Tensor
    translation: Tensor


def smooth(count: int, frames: int, size: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """(count, frames, *size) random slow oscillations round random values, of unit spread together."""
    time = torch.linspace(0, 1, frames).reshape(1, frames, *[1] * len(size))
    base, swing, phase, speed = (torch.randn(count, 1, *size, generator=generator) for _ in range(4))
    return 0.8 * base + 0.6 * swing * torch.sin(2.0 * speed * time + 3.0 * phase)


def synthetic_windows(body: TorchBody, count: int, frames: int = 16, seed: int = 0) -> Windows:
    """Motion seen by a camera, its keypoints, noisy initial poses, and features that tell the windows apart."""
    generator = torch.Generator().manual_seed(seed)
    vectors = 0.25 * smooth(count, frames, (2, 24, 3), generator)
    heading = torch.zeros(count, frames, 2, 3)
    heading[..., 1] = 0.3 * smooth(count, frames, (2,), generator) + torch.tensor([1.57, -1.57])
    upright = torch.diag(torch.tensor([1.0, -1.0, -1.0]))
    rotations = roma.rotvec_to_rotmat(vectors)
    rotations[..., 0, :, :] = upright @ roma.rotvec_to_rotmat(heading) @ roma.rotvec_to_rotmat(0.3 * vectors[..., 0, :])
    place = torch.tensor([[-0.4, 0.3, 4.0], [0.4, 0.3, 4.0]])
    translation = place + torch.tensor([0.15, 0.05, 0.2]) * smooth(count, frames, (2, 3), generator)
    betas = torch.randn(count, 1, 2, 10, generator=generator).expand(-1, frames, -1, -1)
    skeleton = body.skeleton(rotations, betas, translation)
    points = body.points("halpe")(skeleton, betas)
    focal = (IMAGE_SIZE[0] ** 2 + IMAGE_SIZE[1] ** 2) ** 0.5
    pixels = points[..., :2] / points[..., 2:] * focal + torch.tensor(IMAGE_SIZE) / 2
    crops = person_crops(torch.cat([pixels.amin(dim=-2), pixels.amax(dim=-2)], dim=-1), IMAGE_SIZE)
    confidence = torch.rand(*pixels.shape[:-1], 1, generator=generator) * 0.5 + 0.5
    disturbed = rotations @ roma.rotvec_to_rotmat(0.1 * smooth(count, frames, (2, 24, 3), generator))
    features = torch.randn(count, 1, 2, 1024, generator=generator) + 0.3 * smooth(count, frames, (2, 1024), generator)
    conditions = Conditions(
        matrix_to_rows6d(disturbed).flatten(start_dim=-2),
        crops,
        features,
        torch.cat([pixels, confidence], dim=-1),
    )
    return Windows(conditions, PairState.of_motion(rotations, betas, translation, crops), rotations, betas, translation)


def randomize(module: torch.nn.Module, seed: int = 0) -> torch.nn.Module:
    """Weights and biases like those of a trained network: nothing is zero, so that nothing hides."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in module.named_parameters():
            noise = torch.randn(tensor.shape, generator=generator)
            if tensor.ndim > 1:
                tensor.copy_(noise * 0.5 / tensor[0].numel() ** 0.5)
            else:
                tensor.copy_(noise * 0.05 + (1.0 if name.endswith("weight") else 0.0))
    return module
