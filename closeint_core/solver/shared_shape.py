# SPDX-License-Identifier: Apache-2.0
"""One shape a person for a whole clip, from the keypoints of all its frames, before the poses are refined.

For given rotations every point of a body is linear in its shape and its place. So shape and places are solved together
by damped Gauss-Newton steps: each frame's place stands only in that frame's residuals and is eliminated there, and what
is left is one small system a person, as large for a long clip as for a short one.
"""

from __future__ import annotations

import roma
import torch
from torch import Tensor

from closeint_core.body.spheres import sole_vertices
from closeint_core.body.torch_body import TorchBody
from closeint_core.clip import InteractionClip
from closeint_core.solver.calibration import SOLVER
from closeint_core.solver.residuals import observed_points, reprojected, standing_feet
from closeint_core.windows import frames_of

_FRAMES = 96  # of the clip, evenly spread, are looked at
_ITERATIONS = 4


@torch.no_grad()
def with_shared_shape(clip: InteractionClip, body: TorchBody, spread: float) -> InteractionClip:
    """The clip with the shapes that its keypoints and its standing feet speak for, and its people moved to match.

    Args:
        body: the clip's, on any device. spread: how far off each of the clip's coefficients may well be, in units of
            the shape space (one is a standard deviation between people). Not positive: the clip as it is.
    """
    if spread <= 0 or clip.frames == 0:
        return clip
    device = body.template.device
    some = frames_of(clip, torch.linspace(0, clip.frames - 1, min(clip.frames, _FRAMES)).round().long().numpy())

    def tensor(array: object) -> Tensor:
        return torch.as_tensor(array, dtype=torch.float32, device=device)

    rotations = roma.rotvec_to_rotmat(tensor(some.poses))
    transl, old = tensor(some.transl), tensor(some.betas)
    # All points at once: those of the keypoints, then of both soles.
    soles = sole_vertices(body.data)
    halpe, sole = body.points("halpe"), body.points(soles.reshape(-1))
    basis = torch.cat((torch.zeros_like(old[:1]), torch.eye(old.shape[1], device=device)))  # (B + 1, B)

    def points(shape: Tensor) -> Tensor:
        """(P, T, K, 3) of all people in one shape (B,)."""
        skeleton = body.skeleton(rotations, shape, torch.zeros_like(transl))
        return torch.cat((halpe(skeleton, shape), sole(skeleton, shape)), -2)

    each = torch.stack([points(shape) for shape in basis])  # (B + 1, P, T, K, 3)
    slopes = (each[1:] - each[:1]).movedim(0, -1)  # (P, T, K, 3, B)
    system = _Evidence(some, device)
    betas, moved = old, transl.clone()
    for _ in range(_ITERATIONS):
        placed = each[0] + (slopes @ betas[:, None, None, :, None])[..., 0] + moved[..., None, :]
        step, shift = system.solve(placed, slopes, moved - transl, betas - old, spread)
        betas, moved = betas + step, moved + shift
    # Places of single frames are as uncertain as the keypoints; the refinement finds those. Here all move as one.
    by = (moved - transl).mean(1, keepdim=True).cpu().numpy()
    return clip.copy(betas=betas.cpu().numpy(), transl=clip.transl + by)


class _Evidence:
    """What is known of a clip of P people and T frames."""

    def __init__(self, clip: InteractionClip, device: torch.device) -> None:
        def tensor(array: object) -> Tensor:
            return torch.as_tensor(array, dtype=torch.float32, device=device)

        self.observed, self.confidence = observed_points(tensor(clip.keypoints2d))
        self.K, self.R, self.t = (tensor(x) for x in (clip.camera_K, clip.camera_R, clip.camera_t))
        self.standing = standing_feet(tensor(clip.foot_contacts))  # (P, T, 2)

    def solve(
        self, placed: Tensor, slopes: Tensor, moved: Tensor, changed: Tensor, spread: float
    ) -> tuple[Tensor, Tensor]:
        """Steps of the shapes (P, B) and of the places (P, T, 3).

        Args:
            placed: (P, T, 26 + 2 N, 3) points in the world. slopes: (P, T, 26 + 2 N, 3, B) of them.
            moved: (P, T, 3) and changed: (P, B), so far.
        """
        spreads = SOLVER.now.shape
        view = placed[..., :26, :] @ self.R[:, None].mT + self.t[:, None, None]
        depth = view[..., :1, 2:].clamp(min=spreads.least_depth)  # of the nose
        scale = depth / self.K[:, None, (0, 1), (0, 1)] / spreads.pixels  # of a pixel, in units of the spread
        error, project = reprojected(view, self.K, self.observed, scale, spreads.least_depth)
        weight = self.confidence / (1 + error.square().sum(-1) / 9).square()
        project = project @ self.R[:, None, None]
        rows_place = project.flatten(2, 3)  # (P, T, 52, 3)
        rows_shape = (project @ slopes[..., :26, :, :]).flatten(2, 3)  # (P, T, 52, B)
        error, weight = error.flatten(2), weight.repeat_interleave(2, -1)

        height = placed[..., 26:, 2].unflatten(-1, (2, -1))
        share = torch.softmax(-height / spreads.lowest, -1)
        up = torch.zeros(*height.shape[:-1], 3, device=view.device)
        up[..., 2] = 1.0 / spreads.floor
        of_shape = (share[..., None] * slopes[..., 26:, 2, :].unflatten(2, (2, -1))).sum(3) / spreads.floor
        rows_place, rows_shape = torch.cat((rows_place, up), 2), torch.cat((rows_shape, of_shape), 2)
        error = torch.cat((error, (share * height).sum(-1) / spreads.floor), 2)
        weight = torch.cat((weight, self.standing), 2)[..., None]

        ray = torch.nn.functional.normalize(
            placed[..., :26, :].mean(2) + (self.R.mT @ self.t[..., None])[..., 0], dim=-1
        )
        outer = ray[..., :, None] * ray[..., None, :]
        hold = (torch.eye(3, device=view.device) - outer) / spreads.across**2 + outer / spreads.along**2
        place = (weight * rows_place).mT @ rows_place + hold  # (P, T, 3, 3)
        both = (weight * rows_place).mT @ rows_shape  # (P, T, 3, B)
        pull = ((weight * rows_place).mT @ error[..., None]) + hold @ moved[..., None]
        shape_pull = (weight * rows_shape).mT @ error[..., None]
        without = torch.linalg.solve(place, torch.cat((both, pull), -1))
        counts = min(1.0, spreads.worth / placed.shape[1])
        left = ((weight * rows_shape).mT @ rows_shape - both.mT @ without[..., :-1]).sum(1) * counts
        slope = (shape_pull - both.mT @ without[..., -1:]).sum(1) * counts
        keep = torch.eye(left.shape[-1], device=view.device) / spread**2
        step = torch.linalg.solve(left + keep, -(slope + changed[..., None] / spread**2))[..., 0]
        shift = -(without[..., -1:] + without[..., :-1] @ step[:, None, :, None])[..., 0]
        return step, shift
