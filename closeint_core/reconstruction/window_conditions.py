# SPDX-License-Identifier: Apache-2.0
"""From what was seen of two people to what the keypoint-conditioned denoiser is told: the same for training and use.

Only what a window itself shows goes in, so that a window means the same wherever it stands in a clip.
"""

from __future__ import annotations

import torch
from torch import Tensor

from closeint_core.body.inverse_kinematics import poses_from_landmarks
from closeint_core.denoiser.conditions import Conditions
from closeint_core.denoiser.crops import Crops
from closeint_core.denoiser.rotation6d import matrix_to_rows6d
from closeint_core.reconstruction.calibration import RECONSTRUCTION


def window_conditions(
    keypoints: Tensor,
    landmarks: Tensor,
    confidence: Tensor,
    image_size: Tensor,
    focal: Tensor,
    rest_joints: Tensor,
    single: Tensor | None = None,
) -> Conditions:
    """Conditions of B windows of T frames.

    Args:
        keypoints: (B, T, 2, 26, 3) Halpe-26 pixels and confidence, NaN where unseen.
        landmarks: (B, T, 2, 26, 3) metres from between the hips, camera axes, NaN where the person is unseen.
        confidence: (B, T, 2, 26) of the landmarks. image_size: (B, 2) pixels. focal: (B,) pixels.
        rest_joints: (24, 3) of the body's mean shape. single: (B, T) 1 where one person is to be solved alone.
    """
    there = torch.isfinite(landmarks).all(-1).all(-1)
    filled = fill_nearest(landmarks, there)
    never = ~there.any(1)  # (B, 2)
    filled = torch.where(never[:, None, :, None, None], torch.ones_like(filled), filled)
    rotations = poses_from_landmarks(filled, rest_joints)
    upright = torch.eye(3, device=filled.device).repeat(24, 1, 1)
    upright[0] = torch.diag(upright.new_tensor(RECONSTRUCTION.now.conditions.upright))
    rotations = torch.where(never[:, None, :, None, None, None], upright, rotations)
    known = torch.cat([landmarks, confidence[..., None]], -1)
    return Conditions(
        matrix_to_rows6d(rotations).flatten(start_dim=-2),
        window_crops(keypoints, image_size, focal),
        keypoints=keypoints,
        single=single,
        landmarks=known,
    )


def window_crops(keypoints: Tensor, image_size: Tensor, focal: Tensor) -> Crops:
    """Square crops (B, T, 2) round the keypoints (B, T, 2, 26, 3) of each person, smooth over the window.

    Where a person is unseen the nearest frame's crop holds; somebody never seen gets the middle of the image.
    """
    tuned = RECONSTRUCTION.now.conditions
    sure = torch.isfinite(keypoints).all(-1) & (keypoints[..., 2] > tuned.sure)
    xy = torch.nan_to_num(keypoints[..., :2])
    big = 1e9
    low = torch.where(sure[..., None], xy, torch.full_like(xy, big)).amin(-2)
    high = torch.where(sure[..., None], xy, torch.full_like(xy, -big)).amax(-2)
    seen = sure.sum(-1) >= 2
    extent = (high - low).clamp(min=tuned.least_side)
    side = tuned.margin * torch.maximum(extent[..., 0] * (256 / 192), extent[..., 1])
    boxes = torch.cat([(low + high) / 2, side[..., None]], -1)
    size = image_size[:, None, None].expand(*seen.shape, 2).to(keypoints)
    middle = torch.cat([size / 2, 0.5 * size.amax(-1, keepdim=True)], -1)
    boxes = fill_nearest(torch.where(seen[..., None], boxes, torch.zeros_like(boxes)), seen)
    boxes = torch.where(seen.any(1)[:, None, :, None], boxes, middle)
    frames = torch.arange(boxes.shape[1], device=boxes.device, dtype=boxes.dtype)
    kernel = torch.exp(-0.5 * ((frames[:, None] - frames) / tuned.smoothing) ** 2)
    smooth = torch.einsum("ts,bspc->btpc", kernel / kernel.sum(1, keepdim=True), boxes)
    return Crops(smooth[..., :2], smooth[..., 2], size, focal[:, None, None].expand(*seen.shape).to(keypoints))


def fill_nearest(values: Tensor, there: Tensor) -> Tensor:
    """Values (B, T, 2, ...) with those of frames that are not ``there`` (B, T, 2) taken from the nearest that is."""
    frames = torch.arange(there.shape[1], device=there.device)
    distance = (frames[:, None] - frames).abs().to(torch.float32)  # (T, S)
    cost = distance[None, :, :, None] + 1e6 * (~there[:, None]).float()  # (B, T, S, 2)
    nearest = cost.argmin(2)  # (B, T, 2)
    index = nearest.reshape(*nearest.shape, *[1] * (values.ndim - 3)).expand(*nearest.shape, *values.shape[3:])
    return values.gather(1, index)
