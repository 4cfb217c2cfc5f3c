# SPDX-License-Identifier: Apache-2.0
"""Loosened and newly paired windows: within limits, smooth, and only where chosen."""

from __future__ import annotations

import pytest
import roma
import torch

from closeint_core.training.augmentation import loosened, repaired
from closeint_core.training.synthetic.generate import Interactions, default_body
from closeint_core.training.usual_range import USUAL_HIGH, USUAL_LOW

CHOSEN = torch.tensor([True, False, True, False])


@pytest.fixture
def made() -> Interactions:
    draw = torch.Generator().manual_seed(3)
    pairs, frames = 4, 16
    poses = 0.1 * torch.randn(pairs, 2, 1, 24, 3, generator=draw).expand(-1, -1, frames, -1, -1).clone()
    poses[..., 4, 0] = poses[..., 5, 0] = 0.3
    poses[..., 0, :] = torch.tensor([1.5, 0.1, 0.1])
    return Interactions(
        poses,
        torch.randn(pairs, 2, 1, 3, generator=draw).expand(-1, -1, frames, -1).clone(),
        torch.randn(pairs, 2, 10, generator=draw),
        torch.full((pairs,), 30.0),
        torch.zeros(pairs, dtype=torch.int64),
        torch.ones(pairs, frames, 24, 24, dtype=torch.bool),
        torch.ones(pairs, 2, frames, 2, dtype=torch.bool),
        torch.zeros(pairs),
        torch.zeros(pairs),
    )


def test_only_chosen_windows_are_loosened_and_within_limits(made):
    loose = loosened(made, torch.Generator().manual_seed(0), CHOSEN, 1.0)
    assert torch.equal(loose.poses[~CHOSEN], made.poses[~CHOSEN])
    assert torch.equal(loose.contacts[~CHOSEN], made.contacts[~CHOSEN])
    assert not loose.contacts[CHOSEN].any()
    moved = (loose.poses - made.poses)[CHOSEN].abs()
    assert moved.max() > 0.3
    joints = loose.poses[CHOSEN][..., 1:, :]
    low, high = torch.minimum(made.poses[CHOSEN], USUAL_LOW), torch.maximum(made.poses[CHOSEN], USUAL_HIGH)
    assert (joints >= low[..., 1:, :] - 1e-5).all()
    assert (joints <= high[..., 1:, :] + 1e-5).all()


def test_loosened_motion_is_slow(made):
    loose = loosened(made, torch.Generator().manual_seed(0), CHOSEN, 1.0)
    rotations = roma.rotvec_to_rotmat(loose.poses[CHOSEN])
    step = roma.rotmat_geodesic_distance(rotations[:, :, 1:], rotations[:, :, :-1])
    assert step.max() < 0.6
    assert 0 < step.median() < 0.1


def test_new_partners_stand_near_on_their_feet(made):
    body = default_body()
    paired = repaired(made, body, torch.Generator().manual_seed(1), CHOSEN)
    assert torch.equal(paired.poses[:, 0], made.poses[:, 0])
    assert torch.equal(paired.transl[~CHOSEN], made.transl[~CHOSEN])
    pelvis = body.rest_joints(paired.betas)[:, :, None, 0] + paired.transl
    apart = (pelvis[:, 0] - pelvis[:, 1])[..., :2].norm(dim=-1)[CHOSEN]
    assert (apart[:, 0] > 0.34).all()
    assert (apart < 2.6).all()
    # Heights and bends are somebody's, unchanged: only the heading is new.
    heights = (body.rest_joints(made.betas)[:, :, None, 0] + made.transl)[:, 1, 0, 2]
    for row in torch.nonzero(CHOSEN)[:, 0]:
        assert (heights - pelvis[row, 1, 0, 2]).abs().min() < 1e-5
        assert min(float((paired.poses[row, 1, :, 1:] - other[:, 1:]).abs().max()) for other in made.poses[:, 1]) == 0
