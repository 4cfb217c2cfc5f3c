# SPDX-License-Identifier: Apache-2.0
"""What the eyes are trained for."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from closeint_core.body.parts import ARM_JOINTS, JOINTS, PART_INDEX, PARTS, group_matrix
from closeint_core.eyes.network import MASKS, PairNetwork
from closeint_core.training.eyes.config import EyesLossWeights
from closeint_core.training.eyes.pictures import EyesBatch

_SPREAD = 1.2  # cells of a heatmap's target
_OF_ARMS = 1.6  # weight of elbows and wrists in the heatmaps' loss
_OF_NOBODY, _OF_ARMS_AND_HANDS = 0.4, 2.0  # weights of pixels in the masks' loss
_LIMBS = tuple(f"{side}_{name}" for side in ("left", "right") for name in ("shoulder", "elbow", "wrist", "hand"))


class EyesObjective(nn.Module):
    """Loss of a batch: cross-entropy of heatmaps, masks, visibility, touch and depth order.

    Many of the pairs of parts are told apart by centimetres: that anything of a group of parts touches anything of
    another is asked for as well, as the greatest of the group's logits, by which touches are also judged.

    Args:
        precision: of the network, ``float32`` or ``bf16``; the losses are float32.
    """

    joint_weight: Tensor
    mask_weight: Tensor
    whole_weight: Tensor
    group: Tensor

    def __init__(self, network: PairNetwork, weights: EyesLossWeights, precision: str) -> None:
        super().__init__()
        self.network, self.weights = network, weights
        self.narrow = precision == "bf16"
        joint = torch.ones(len(JOINTS))
        joint[list(ARM_JOINTS)] = _OF_ARMS
        mask = torch.ones(MASKS)
        mask[0] = _OF_NOBODY
        limbs = torch.tensor([PART_INDEX[name] for name in _LIMBS])
        mask[torch.cat([1 + limbs, 1 + len(PARTS) + limbs])] = _OF_ARMS_AND_HANDS
        self.register_buffer("joint_weight", joint, persistent=False)
        whole = torch.ones(1 + len(PARTS))
        whole[0] = _OF_NOBODY
        whole[1 + limbs] = _OF_ARMS_AND_HANDS
        self.register_buffer("whole_weight", whole, persistent=False)
        self.register_buffer("mask_weight", mask, persistent=False)
        self.register_buffer("group", torch.from_numpy(group_matrix()), persistent=False)

    def forward(self, batch: EyesBatch, frames: int) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss () and its terms."""
        with torch.autocast(batch.pictures.device.type, torch.bfloat16, enabled=self.narrow):
            first, second = self.network(batch.pictures, batch.prompts, batch.hands, batch.windows, frames)
        terms = {
            "heat": self._heat(first.heat, batch),
            "masks": cross_entropy(first.masks, batch.masks, weight=self.mask_weight),
            "visible": binary_cross_entropy_with_logits(first.visible, batch.seen.float()),
            "touch": _counted(second.touch, batch.touch).sum((1, 2)).mean(),
            "groups": self._groups(second.touch, batch.touch),
            "before": _mean_counted(second.before, batch.before),
            "nearer": _mean_counted(second.nearer, batch.nearer),
        }
        if first.meeting is not None:
            terms["whole"] = cross_entropy(first.meeting.whole, batch.whole, weight=self.whole_weight)
            terms["contact"] = binary_cross_entropy_with_logits(first.meeting.contact, batch.contact)
        total = torch.stack([getattr(self.weights, name) * value for name, value in terms.items()]).sum()
        return total, terms

    def _groups(self, touch: Tensor, wanted: Tensor) -> Tensor:
        """Cross-entropy of the greatest logit of each pair of groups; not counted where no part surely touches and some
        are not clear."""
        most = self._greatest(wanted)
        unclear = self._greatest(-wanted) > 0.5
        target = torch.where(most > 0.5, 1.0, torch.where(unclear, -1.0, 0.0))
        return _counted(self._greatest(touch), target).sum((1, 2)).mean()

    def _greatest(self, values: Tensor) -> Tensor:
        """(N, 13, 13) of (N, 30, 30)."""
        left_out = torch.where(self.group, 0.0, -torch.inf)  # (13, 30)
        rows = (values[:, None] + left_out[:, :, None]).amax(2)
        return (rows[:, :, None] + left_out).amax(3)

    def _heat(self, heat: Tensor, batch: EyesBatch) -> Tensor:
        """Cross-entropy with a Gaussian about each joint that lies in the picture."""
        at = torch.arange(heat.shape[-1], device=heat.device) + 0.5
        x = torch.exp(-((at - batch.joints[..., :1]) ** 2) / (2 * _SPREAD**2))
        y = torch.exp(-((at - batch.joints[..., 1:]) ** 2) / (2 * _SPREAD**2))
        target = y[..., :, None] * x[..., None, :]
        target = target / target.sum((2, 3), keepdim=True).clamp(min=1e-6)
        missed = -(target.flatten(2) * heat.flatten(2).log_softmax(-1)).sum(-1)
        weight = self.joint_weight * batch.inside
        return (missed * weight).sum() / weight.sum().clamp(min=1)


def _counted(logits: Tensor, wanted: Tensor) -> Tensor:
    """Binary cross-entropy, 0 where the target is -1."""
    lost = binary_cross_entropy_with_logits(logits, wanted.clamp(min=0), reduction="none")
    return lost * (wanted >= 0)


def _mean_counted(logits: Tensor, wanted: Tensor) -> Tensor:
    return _counted(logits, wanted).sum() / (wanted >= 0).sum().clamp(min=1)
