# SPDX-License-Identifier: Apache-2.0
"""What the denoiser works on: 157 numbers for each person and frame.

144 pose (24 joints, 6D ROWS), 10 betas, 3 crop camera (s, tx, ty). The network sees the residual to a mean: the
initial pose, zero betas, and an ordinary crop camera.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from closeint_core.denoiser.crops import Crops
from closeint_core.denoiser.rotation6d import matrix_to_rows6d, rows6d_to_matrix

POSE, BETAS, CAMERA = 144, 10, 3
STATE = POSE + BETAS + CAMERA
MEAN_CAMERA = (0.9, 0.0, 0.0)


@dataclass(frozen=True)
class PairState:
    """Motion of two people as the denoiser returns it; any batch shape (...).

    Attributes:
        pose6d: (..., 144) rows. betas: (..., 10). crop_camera: (..., 3) (s, tx, ty), see ``crops``.
    """

    pose6d: Tensor
    betas: Tensor
    crop_camera: Tensor

    def rotations(self) -> Tensor:
        """(..., 24, 3, 3), each relative to its parent; the first is the orientation in the camera's frame."""
        return rows6d_to_matrix(self.pose6d.unflatten(-1, (24, 6)))

    def translation(self, crops: Crops) -> Tensor:
        """(..., 3) metres, camera axes, added to the skinned body."""
        return crops.translation(self.crop_camera)

    def numbers(self) -> Tensor:
        """(..., 157)."""
        return torch.cat([self.pose6d, self.betas, self.crop_camera], dim=-1)

    @classmethod
    def of(cls, numbers: Tensor) -> PairState:
        """From (..., 157)."""
        return cls(*numbers.split([POSE, BETAS, CAMERA], dim=-1))

    @classmethod
    def of_motion(cls, rotations: Tensor, betas: Tensor, translation: Tensor, crops: Crops) -> PairState:
        """From rotations (..., 24, 3, 3), betas (..., 10) and translations (..., 3) in the camera's frame."""
        pose = matrix_to_rows6d(rotations).flatten(start_dim=-2)
        return cls(pose, betas.expand(*pose.shape[:-1], BETAS), crops.crop_camera(translation))


def mean_state(init_pose6d: Tensor) -> Tensor:
    """(..., 157), the mean to which the network's residual is added, from the initial pose (..., 144) in rows."""
    # Made on the device: numbers copied from the host cannot be part of a CUDA graph.
    rest = [init_pose6d.new_full((1,), value) for value in (0.0,) * BETAS + MEAN_CAMERA]
    return torch.cat([init_pose6d, torch.cat(rest).expand(*init_pose6d.shape[:-1], -1)], dim=-1)
