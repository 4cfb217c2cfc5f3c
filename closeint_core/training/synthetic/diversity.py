# SPDX-License-Identifier: Apache-2.0
"""How varied a batch of interactions is: spread of poses, and which body parts ever touch which."""

from __future__ import annotations

from dataclasses import dataclass

import roma
import torch
from torch import Tensor

from closeint_core.body.torch_body import TorchBody
from closeint_core.training.synthetic.generate import Interactions


@dataclass
class Diversity:
    """Coverage of a batch.

    Attributes:
        pose_dimensions: effective number of independent directions of joint movement (participation ratio of the
            covariance of root-relative joints).
        pose_spread: metres, root mean square distance of a root-relative joint from its mean.
        nearest: metres, median over pairs of the mean joint distance to the most similar other pair, both people seen
            from the first one, middle frame: 0 would mean copies.
        contact_pairs: distinct pairs of body parts that touch somewhere in the batch, unordered people.
        contact_parts: body parts that ever touch. in_contact: share of the frames with any touch.
        stature_gap: metres, standard deviation of the difference of the two heights of head above the pelvis.
    """

    pose_dimensions: float
    pose_spread: float
    nearest: float
    contact_pairs: int
    contact_parts: int
    in_contact: float
    stature_gap: float


def measure_diversity(made: Interactions, body: TorchBody) -> Diversity:
    """Coverage of at least two pairs."""
    rotations = roma.rotvec_to_rotmat(made.poses)
    betas = made.betas[:, :, None]
    skeleton = body.skeleton(rotations, betas, made.transl)
    root = skeleton.rotations[..., :1, :, :]
    local = (root.mT @ (skeleton.joints - skeleton.joints[..., :1, :])[..., None])[..., 0]  # (N, 2, T, 24, 3)
    flat = local.flatten(0, 2)[:, 1:].flatten(1)
    centred = flat - flat.mean(0)
    values = torch.linalg.eigvalsh(centred.mT @ centred / len(centred))
    spread = centred.unflatten(1, (-1, 3)).square().sum(-1).mean().sqrt()
    rest = body.rest_joints(made.betas)[..., 15, 1]
    contacts = made.contacts | made.contacts.transpose(2, 3)
    ever = contacts.flatten(0, 1).any(0)
    return Diversity(
        pose_dimensions=float(values.sum() ** 2 / values.square().sum()),
        pose_spread=float(spread),
        nearest=float(_nearest(skeleton.joints, root)),
        contact_pairs=int(torch.triu(ever).sum()),
        contact_parts=int(ever.any(1).sum()),
        in_contact=float(made.contacts.flatten(2).any(2).float().mean()),
        stature_gap=float((rest[:, 0] - rest[:, 1]).std()),
    )


def _nearest(joints: Tensor, root: Tensor) -> Tensor:
    """Median over pairs of the mean joint distance to the most similar other pair, either way round."""
    middle = joints.shape[2] // 2
    here, turn = joints[:, :, middle], root[:, :, middle, 0]
    views = []
    for first in (0, 1):
        order = [first, 1 - first]
        seen = here[:, order] - here[:, first, :1, None].transpose(1, 2)
        views.append(torch.einsum("nij,npki->npkj", turn[:, first], seen).flatten(1, 2))
    distance = torch.stack([(views[0][:, None] - view[None]).norm(dim=-1).mean(-1) for view in views]).amin(0)
    return (distance + torch.diag(torch.full((len(distance),), torch.inf))).amin(1).median()
