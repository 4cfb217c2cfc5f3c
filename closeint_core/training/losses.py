# SPDX-License-Identifier: Apache-2.0
"""The losses of a predicted motion of two people.

The terms of CloseInt (rotations, shape, keypoints, vertices, joints) with a real velocity, and terms of the pair:
distances between joints of different people, contacts, penetration. Every term is divided by an error that is
tolerable, so that a weight of one is the natural choice.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor

from closeint_core.body.torch_body import Skeleton, TorchBody
from closeint_core.denoiser.state import POSE, PairState
from closeint_core.errors import CloseintError
from closeint_core.training.batches import TrainingBatch
from closeint_core.training.synthetic.solve import Tools

_SKIN_POINTS = 160
_NEAR = 0.03  # metres between two bodies' spheres that count as a contact


@dataclass(frozen=True)
class LossWeights:
    """Factor on each term of ``DenoiserLosses``."""

    rotations: float = 1.0
    betas: float = 0.3
    camera: float = 1.0
    keypoints: float = 1.0
    vertices: float = 0.5
    joints: float = 1.0
    velocity: float = 0.5
    interaction: float = 1.0
    contact: float = 0.5
    penetration: float = 0.3

    def __post_init__(self) -> None:
        for f in fields(self):
            if not 0 <= getattr(self, f.name) < float("inf"):
                raise CloseintError(f"losses.{f.name} must be a number that is not negative.", "Use 0 to leave it out.")


class DenoiserLosses:
    """The terms for one body; holds what is the same in every step.

    Args:
        body: on the device of the batches. tools: of the generator, which hold the body's spheres; made if not given.
        pair_share: share of the windows for which spheres are compared, the costliest part.
    """

    def __init__(
        self,
        body: TorchBody,
        weights: LossWeights | None = None,
        tools: Tools | None = None,
        pair_share: float = 0.25,
    ) -> None:
        self.body, self.weights, self.pair_share = body, weights or LossWeights(), pair_share
        self.halpe = body.points("halpe")
        self.skin = body.points(np.linspace(0, body.data.num_vertices - 1, _SKIN_POINTS).astype(np.int64))
        self.tools = tools or Tools(body)
        self.radii = _linear_radii(self.tools, body.num_betas)

    def total(self, terms: dict[str, Tensor]) -> Tensor:
        """The weighted sum ()."""
        return torch.stack([getattr(self.weights, f.name) * terms[f.name] for f in fields(self.weights)]).sum()

    def __call__(self, predicted: Tensor, batch: TrainingBatch) -> dict[str, Tensor]:
        """Terms (), unweighted.

        Args:
            predicted: (B, T, 2, 157) the clean state as the network has it (mean added).
        """
        crops, valid = batch.conditions.crops, batch.valid
        share = valid.float() / valid.sum().clamp(min=1)

        def mean(values: Tensor) -> Tensor:
            return (values * share).sum()

        ours, truth = PairState.of(predicted), PairState.of(batch.target)
        rotations = ours.rotations()
        # A person has one shape; to pose a body anew in every frame would also cost a hundred times the memory.
        shapes = [state.betas.mean(1, keepdim=True) for state in (ours, truth)]
        skeletons = [
            self.body.skeleton(rotations, shapes[0], ours.translation(crops)),
            self.body.skeleton(truth.rotations(), shapes[1], truth.translation(crops)),
        ]
        points, true_points = (
            torch.cat([skeleton.joints, self.halpe(skeleton, shape)], -2)
            for skeleton, shape in zip(skeletons, shapes, strict=True)
        )
        skin, true_skin = (self.skin(skeleton, shape) for skeleton, shape in zip(skeletons, shapes, strict=True))
        root, true_root = points[..., :1, :], true_points[..., :1, :]
        off = (points - root) - (true_points - true_root)
        terms = {
            "rotations": mean((predicted - batch.target)[..., :POSE].square().mean(-1)) / 0.15**2
            + mean((rotations - truth.rotations()).square().mean((-1, -2, -3))) / 0.15**2,
            "betas": mean((ours.betas - truth.betas).square().mean(-1)),
            "camera": mean(((ours.crop_camera - truth.crop_camera) / 0.03).abs().mean(-1)),
            "joints": mean(off.norm(dim=-1).mean(-1)) / 0.03,
            "vertices": mean(((skin - root) - (true_skin - true_root)).abs().mean((-1, -2))) / 0.03,
        }
        pixels = crops.project(points[..., 24:, :])
        apart = (pixels - batch.keypoints).norm(dim=-1) / crops.side[..., None]
        terms["keypoints"] = mean(apart.clamp(max=1.0).mean(-1)) / 0.015
        if points.shape[1] > 1:
            both = valid[:, 1:] & valid[:, :-1]
            step = (points - true_points).diff(dim=1).norm(dim=-1).mean(-1)
            terms["velocity"] = (step * both).sum() / both.sum().clamp(min=1) / 0.02
        else:
            terms["velocity"] = predicted.new_zeros(())
        pair = valid.all(-1)
        if batch.conditions.single is not None:
            pair = pair & ~batch.conditions.single.bool()
        terms |= self._pair(points, true_points, skeletons, shapes, pair)
        return terms

    def _pair(
        self,
        points: Tensor,
        true_points: Tensor,
        skeletons: list[Skeleton],
        shapes: list[Tensor],
        pair: Tensor,
    ) -> dict[str, Tensor]:
        """Terms between the two people where ``pair`` (B, T) says there are two."""
        joints, true_joints = points[..., :24, :], true_points[..., :24, :]
        distance = _distances(joints[:, :, 0], joints[:, :, 1])
        wanted = _distances(true_joints[:, :, 0], true_joints[:, :, 1])
        closeness = 1.0 + 3.0 * torch.exp(-wanted / 0.3)
        count = pair.sum().clamp(min=1)
        interaction = (closeness * (distance - wanted).abs()).mean((-1, -2))
        terms = {"interaction": (interaction * pair).sum() / count / 0.06}
        few = max(1, round(self.pair_share * len(pair)))
        pair = pair[:few]
        count = pair.sum().clamp(min=1)
        gaps = []
        for skeleton, shape in zip(skeletons, shapes, strict=True):
            part = Skeleton(*(None if x is None else x[:few] for x in skeleton))  # type: ignore[arg-type]
            centres = self.tools.sphere_centres(part, shape[:few])
            radii = self.radii(shapes[1][:few, 0])  # those of the truth serve both
            gaps.append(
                _distances(centres[:, :, 0], centres[:, :, 1])
                - (radii[:, None, 0, :, None] + radii[:, None, 1, None, :])
            )
        gap, true_gap = gaps
        touching = (true_gap < _NEAR).float() * pair[..., None, None]
        kept = ((gap - true_gap).abs() * touching).sum((-1, -2)) / touching.sum((-1, -2)).clamp(min=1)
        terms["contact"] = kept.sum() / count / 0.03
        # Spheres of people who embrace overlap a little in truth as well: only what goes beyond counts.
        deeper = (torch.minimum(true_gap, torch.zeros_like(gap)) - gap).clamp(min=0) * pair[..., None, None]
        terms["penetration"] = (deeper / 0.02).square().sum((-1, -2)).clamp(max=100.0).sum() / count / 10
        return terms


def _distances(a: Tensor, b: Tensor) -> Tensor:
    """(..., N, M) of points (..., N, 3) and (..., M, 3); for so few coordinates much quicker than ``cdist``."""
    squares = [(x[..., :, None] - y[..., None, :]).square() for x, y in zip(a.unbind(-1), b.unbind(-1), strict=True)]
    return (squares[0] + squares[1] + squares[2]).clamp(min=1e-12).sqrt()


def _linear_radii(tools: Tools, betas: int) -> Callable[[Tensor], Tensor]:
    """Radii (..., S) of the spheres as a linear function of shapes (..., B), fitted to exact ones.

    An exact radius is a distance to the whole skin, which would take too long in every step.
    """
    device = tools.body.template.device
    shapes = torch.randn(160, betas, generator=torch.Generator().manual_seed(0)).to(device)
    exact = torch.cat([tools.sphere_radii(part) for part in shapes.split(16)])
    system = torch.cat([torch.ones_like(shapes[:, :1]), shapes], 1)
    solved = torch.linalg.lstsq(system, exact).solution
    return lambda x: solved[0] + x @ solved[1:]
