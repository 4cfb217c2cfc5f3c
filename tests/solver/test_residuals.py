# SPDX-License-Identifier: Apache-2.0
"""Residuals that the solves share, against closed forms, naive versions and gradients by autograd."""

from __future__ import annotations

import pytest
import roma
import torch
from hypothesis import given
from hypothesis import strategies as st

from closeint_core.physics.joint_limits import beyond_limits, joint_bounds
from closeint_core.solver.least_squares import System
from closeint_core.solver.residuals import (
    add_joint_limits,
    by_frame,
    deepest_overlaps,
    one_sided,
    reprojected,
    spread_over,
    standing_feet,
)


@given(height=st.floats(-0.1, 0.1), soft=st.floats(1e-4, 1e-2))
def test_a_shortfall_is_one_sided_and_smooth(height: float, soft: float) -> None:
    x = torch.tensor(height, dtype=torch.float64, requires_grad=True)
    short, slope = one_sided(x, 0.01, soft)
    hard = max(0.01 - height, 0.0)
    assert hard - 1e-12 <= float(short.detach()) <= hard + soft / 2 + 1e-12
    (gradient,) = torch.autograd.grad(short, x)
    assert float(gradient) == pytest.approx(-float(slope.detach()), abs=1e-9)


@pytest.mark.parametrize("order", [1, 2, 3])
def test_differences_lie_at_their_middle(order: int) -> None:
    values = torch.rand(2, 9 - order, 4, 3, generator=torch.Generator().manual_seed(order))
    found = spread_over(values, order)
    assert len(found) == 9
    for frame in range(9):
        start = frame - (order + 1) // 2
        inside = 0 <= start < values.shape[1]
        assert float(found[frame]) == pytest.approx(float(values[:, start].sum()) if inside else 0.0, rel=1e-5)
    torch.testing.assert_close(by_frame(values[..., 0, 0]), values[..., 0, 0].sum(0))


def test_a_foot_in_doubt_stands_while_it_surely_did_around() -> None:
    contacts = torch.tensor([0.1, 0.4, 0.7, 0.9, 0.4, 0.3, 0.8, 0.2, 0.4, 0.5, 0.4, 0.1])
    wanted = torch.tensor([0.0, 0.4, 0.7, 0.9, 0.4, 0.3, 0.8, 0.0, 0.0, 0.0, 0.0, 0.0])
    both = torch.stack([contacts, contacts.flip(0)], -1)[None]  # (1, T, 2)
    torch.testing.assert_close(standing_feet(both), torch.stack([wanted, wanted.flip(0)], -1)[None])


def test_joint_limits_pull_down_their_energy() -> None:
    generator = torch.Generator().manual_seed(3)
    vectors = torch.randn(2, 3, 24, 3, generator=generator) * 0.8
    turn = torch.zeros(2, 3, 24, 3, requires_grad=True)
    rotations = roma.rotvec_to_rotmat(vectors) @ roma.rotvec_to_rotmat(turn)
    over = beyond_limits(roma.rotmat_to_rotvec(rotations))[:, :, 1:] / 0.1
    (0.5 * 2.0 * over.square().sum()).backward()
    system = System(2, 3, 75, torch.device("cpu"))
    energy = add_joint_limits(system, roma.rotmat_to_rotvec(rotations).detach(), joint_bounds(), 0.1, 2.0)
    torch.testing.assert_close(energy, 2.0 * over.detach().square().sum((0, 2, 3)))
    assert float(energy.min()) > 1
    assert turn.grad is not None
    found = system.slope.unflatten(1, (2, 75)).transpose(0, 1)[..., :72].unflatten(-1, (24, 3))
    torch.testing.assert_close(found, turn.grad, rtol=1e-3, atol=1e-3)


def test_pixels_and_their_slopes_are_those_of_pinhole_cameras() -> None:
    generator = torch.Generator().manual_seed(4)
    points = torch.randn(2, 5, 7, 3, generator=generator) + torch.tensor([0.0, 0.0, 6.0])
    points.requires_grad_()
    cameras = torch.tensor([[900.0, 0.0, 320.0], [0.0, 880.0, 240.0], [0.0, 0.0, 1.0]]).repeat(5, 1, 1)
    cameras[:, :2] *= torch.linspace(0.8, 1.2, 5)[:, None, None]  # one that zooms
    observed, scale = torch.full((2, 5, 7, 2), 300.0), torch.full((2, 5, 1, 1), 0.004)
    error, slopes = reprojected(points, cameras, observed, scale, 0.1)
    imaged = (cameras[:, None] @ points[..., None])[..., 0]
    wanted = (imaged[..., :2] / imaged[..., 2:] - observed) * scale
    torch.testing.assert_close(error, wanted, rtol=1e-5, atol=1e-5)
    rows = [torch.autograd.grad(wanted[..., i].sum(), points, retain_graph=True)[0] for i in (0, 1)]
    torch.testing.assert_close(slopes, torch.stack(rows, -2), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(reprojected(points[:, 0], cameras[0], observed[:, 0], scale[:, 0], 0.1)[0], error[:, 0])


def test_the_deepest_overlaps_are_those_of_all_pairs() -> None:
    generator = torch.Generator().manual_seed(5)
    centres = torch.rand(2, 4, 9, 3, generator=generator)
    radii = 0.05 + 0.2 * torch.rand(2, 9, generator=generator)
    found = deepest_overlaps((centres[0], centres[1]), (radii[0], radii[1]))
    assert found is not None
    for frame in range(4):
        every = sorted(
            (
                (float(radii[0, a] + radii[1, b] - (centres[0, frame, a] - centres[1, frame, b]).norm()), a, b)
                for a in range(9)
                for b in range(9)
            ),
            reverse=True,
        )
        for (depth, a, b), first, second, value in zip(
            every, found.first[frame], found.second[frame], found.depth[frame], strict=False
        ):
            assert float(value) == pytest.approx(max(depth, 0.0), abs=1e-5)
            assert depth <= 0 or (int(first), int(second)) == (a, b)
    assert deepest_overlaps((centres[0], centres[1] + 10), (radii[0], radii[1])) is None
