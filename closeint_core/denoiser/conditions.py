# SPDX-License-Identifier: Apache-2.0
"""The inputs of the denoiser that come from the pictures, and how keypoints become a condition."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu

from closeint_core.denoiser.crops import Crops

JOINTS = 26
CROP_PIXELS = 256.0
_JOINT_DIM = 16


@dataclass(frozen=True)
class Conditions:
    """Observations of B windows of T frames.

    Attributes:
        init_pose6d: (B, T, 2, 144) rows: the pose that the network corrects.
        crops: batch shape (B, T, 2).
        features: (B, T, 2, 1024) HMR2.0 tokens, or None.
        keypoints: (B, T, 2, 26, 3) Halpe-26 pixels and confidence, NaN where unseen; or None.
        landmarks: (B, T, 2, 26, 4) metres from the middle of the hips, camera axes, and confidence, NaN where unseen;
            or None.
        single: (B, T) 1 in frames with a single person; None if there are none.
    """

    init_pose6d: Tensor
    crops: Crops
    features: Tensor | None = None
    keypoints: Tensor | None = None
    single: Tensor | None = None
    landmarks: Tensor | None = None

    def crop_keypoints(self) -> Tensor:
        """(B, T, 2, 26, 3) keypoints in the published network's units: pixels from the crop's centre over 256.

        Zeros where unseen, as that network was trained.
        """
        if self.keypoints is None:
            return self.init_pose6d.new_zeros(*self.init_pose6d.shape[:-1], JOINTS, 3)
        xy = (self.keypoints[..., :2] - self.crops.center[..., None, :]) / CROP_PIXELS
        return torch.nan_to_num(torch.cat([xy, self.keypoints[..., 2:]], dim=-1), 0.0, 0.0, 0.0)

    def __getitem__(self, index: slice) -> Conditions:
        """Some of the windows."""
        parts = {f.name: getattr(self, f.name) for f in fields(self)}
        chosen: dict[str, Any] = {name: None if part is None else part[index] for name, part in parts.items()}
        return Conditions(**chosen)

    def to(self, device: torch.device | str) -> Conditions:
        """The same on another device."""
        parts = {f.name: getattr(self, f.name) for f in fields(self)}
        moved: dict[str, Any] = {name: None if part is None else part.to(device) for name, part in parts.items()}
        return Conditions(**moved)


class JointEmbedding(nn.Module):
    """26 points to one vector. Each joint has its own layer and, for when it is unseen, its own vector.

    An unseen joint is therefore never a position: a joint at the crop's centre with no confidence looks different.

    Args:
        dim: of the vector. size: numbers a point, the last of them its confidence.
    """

    def __init__(self, dim: int, size: int = 3) -> None:
        super().__init__()
        self.seen = nn.Parameter(torch.randn(JOINTS, size, _JOINT_DIM) * 0.5)
        self.bias = nn.Parameter(torch.zeros(JOINTS, _JOINT_DIM))
        self.unseen = nn.Parameter(torch.randn(JOINTS, _JOINT_DIM) * 0.5)
        self.join = nn.Linear(JOINTS * _JOINT_DIM, dim)

    def forward(self, keypoints: Tensor) -> Tensor:
        """(..., D) from (..., 26, size): place and confidence; not finite or of no confidence means unseen."""
        seen = torch.isfinite(keypoints).all(dim=-1, keepdim=True) & (keypoints[..., -1:] > 0)
        values = torch.where(seen, keypoints, torch.zeros_like(keypoints))
        vectors = torch.einsum("...kc,kcd->...kd", values, self.seen) + self.bias
        result: Tensor = self.join(torch.where(seen, vectors, self.unseen).flatten(start_dim=-2))
        return result


class KeypointEncoder(nn.Module):
    """Halpe-26 keypoints and landmarks of both people, their crops and cameras, to one vector a person-frame.

    A person's vector is computed from both people's keypoints, in the coordinates of this person's crop; from both
    people's landmarks and initial poses; and from the place of this person's crop and of the partner's crop relative
    to it. Transformer layers over time then fill in what single frames do not show. A frame in which a person is not
    seen at all holds a learned vector instead.
    """

    def __init__(self, dim: int = 256, heads: int = 8, depth: int = 2) -> None:
        super().__init__()
        self.own = JointEmbedding(dim)
        self.other = JointEmbedding(dim)
        self.own_landmarks = JointEmbedding(dim, 4)
        self.other_landmarks = JointEmbedding(dim, 4)
        self.own_pose = nn.Linear(24 * 6, dim)
        self.other_pose = nn.Linear(24 * 6, dim)
        self.place = nn.Linear(6, dim)
        self.unseen_frame = nn.Parameter(torch.randn(dim) * 0.5)
        self.nobody = nn.Parameter(torch.randn(dim) * 0.5)
        self.mix = nn.Linear(dim, dim)
        layer = nn.TransformerEncoderLayer(dim, heads, 2 * dim, 0.0, "gelu", batch_first=True, norm_first=True)
        self.time = nn.TransformerEncoder(layer, depth, enable_nested_tensor=False)
        self.norm = nn.LayerNorm(dim)

    def forward(self, conditions: Conditions, positions: Tensor) -> Tensor:
        """(B, T, 2, D); ``positions`` (>= T, D) is the sinusoid table."""
        crops = conditions.crops
        keypoints = conditions.keypoints
        if keypoints is None:
            keypoints = conditions.init_pose6d.new_full((*conditions.init_pose6d.shape[:-1], JOINTS, 3), float("nan"))
        landmarks = conditions.landmarks
        if landmarks is None:
            landmarks = keypoints.new_full((*keypoints.shape[:-1], 4), float("nan"))
        pose = conditions.init_pose6d
        own = self.own(_in_crops(keypoints, crops)) + self.own_landmarks(landmarks)
        other = self.other(_in_crops(keypoints.flip(2), crops))
        other = other + self.other_landmarks(landmarks.flip(2)) + self.other_pose(pose.flip(2))
        relation = torch.cat(
            [
                (crops.center.flip(2) - crops.center) / crops.side[..., None],
                torch.log(crops.side.flip(2) / crops.side)[..., None],
            ],
            dim=-1,
        )
        if conditions.single is not None:
            alone = conditions.single.bool()[:, :, None, None]
            other = torch.where(alone, self.nobody, other)
            relation = torch.where(alone, torch.zeros_like(relation), relation)
        visible = (torch.nan_to_num(keypoints[..., 2]) > 0).any(dim=-1, keepdim=True)
        own = torch.where(visible, own, self.unseen_frame) + self.own_pose(pose)
        x = own + other + self.place(torch.cat([crops.info(), relation], dim=-1))
        x = self.mix(gelu(x)) + x
        batch, frames, people, dim = x.shape
        x = x.transpose(1, 2).reshape(batch * people, frames, dim) + positions[:frames]
        result: Tensor = self.norm(self.time(x)).view(batch, people, frames, dim).transpose(1, 2)
        return result


def _in_crops(keypoints: Tensor, crops: Crops) -> Tensor:
    """Keypoints (..., 26, 3) with x, y from -1 to 1 across the crop."""
    xy = (keypoints[..., :2] - crops.center[..., None, :]) * (2.0 / crops.side[..., None, None])
    return torch.cat([xy, keypoints[..., 2:]], dim=-1)
