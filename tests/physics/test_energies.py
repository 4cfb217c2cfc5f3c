# SPDX-License-Identifier: Apache-2.0
"""Every energy: its value against loops or a closed form, its gradient against finite differences within 1 %."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import roma
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from closeint_core.physics import energies

P, T = 2, 5


def random(*shape: int, seed: int = 0, scale: float = 1.0) -> Tensor:
    return scale * torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def share(*shape: int, seed: int = 1) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def spheres(seed: int = 2) -> Tensor:
    """(2, T, 4, 3) centres, some in each other and none in one place."""
    return random(2, T, 4, 3, seed=seed, scale=0.15)


RADII = torch.tensor([[0.10, 0.12, 0.08, 0.09], [0.11, 0.07, 0.10, 0.12]], dtype=torch.float64)
ENERGIES: dict[str, tuple[Callable[[Tensor], Tensor], Tensor]] = {
    "floating": (lambda x: energies.floating(x, share(P, T)).sum(), random(P, T, 6, seed=12, scale=0.04)),
    "overlap": (lambda x: energies.overlaps(x[0], RADII[0], x[1], RADII[1]).square().sum(), spheres()),
    "gaps": (
        lambda x: energies.gaps(x[0], x[1], torch.tensor(0.1, dtype=torch.float64)).square().sum(),
        random(2, T, 4, 3, seed=14, scale=0.3),
    ),
}


@pytest.mark.parametrize("name", ENERGIES)
def test_gradient_within_one_per_cent(name: str) -> None:
    energy, at = ENERGIES[name]
    at = at.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(energy(at), at)
    assert gradient.isfinite().all()
    assert gradient.abs().max() > 0
    for seed in range(3):
        way = random(*at.shape, seed=20 + seed)
        step = 1e-6 * float(at.detach().abs().mean()) * way
        with torch.no_grad():
            change = float(energy(at + step) - energy(at - step)) / 2
        assert change == pytest.approx(float((gradient * step).sum()), rel=0.01)


@given(st.lists(st.floats(-0.2, 0.2), min_size=2, max_size=8), st.floats(-1, 1))
def test_the_lowest_point_is_between_the_lowest_and_the_mean(heights: list[float], lift: float) -> None:
    points = torch.tensor(heights, dtype=torch.float64)
    lowest = float(energies.lowest_point(points))
    assert min(heights) - 1e-9 <= lowest <= float(points.mean()) + 1e-9
    assert float(energies.lowest_point(points + lift)) == pytest.approx(lowest + lift, abs=1e-9)
    assert float(energies.lowest_point(points[:1].expand(6))) == pytest.approx(heights[0])


def test_overlap_against_loops() -> None:
    centres = spheres()
    total = 0.0
    for frame in range(T):
        for a in range(4):
            for b in range(4):
                apart = float((centres[0, frame, a] - centres[1, frame, b]).norm())
                total += max(float(RADII[0, a] + RADII[1, b]) - apart, 0.0) ** 2
    found = energies.overlaps(centres[0], RADII[0], centres[1], RADII[1])
    assert float(found.square().sum()) == pytest.approx(total, rel=1e-6)
    far = centres[1] + torch.tensor([9.0, 0, 0], dtype=torch.float64)
    assert float(energies.overlaps(centres[0], RADII[0], far, RADII[1]).sum()) == 0


def test_robust_losses_and_their_slopes() -> None:
    squared = torch.linspace(0, 4, 200, dtype=torch.float64)
    for loss, slope, knee in (
        (energies.huber, energies.huber_slope, 0.7), (energies.geman_mcclure, energies.geman_mcclure_slope, 0.9),
    ):  # fmt: skip
        at = squared.clone().requires_grad_()
        value = loss(at, knee)
        (expected,) = torch.autograd.grad(value.sum(), at)
        found, steep = slope(squared, knee)
        torch.testing.assert_close(found, value.detach())
        torch.testing.assert_close(steep, expected)
        assert (value <= squared + 1e-12).all()


def test_limb_directions_of_a_turned_body() -> None:
    """Turned by an angle, every limb across the axis is off by the chord of that angle."""
    points = random(1, 1, 26, 3, seed=15)
    points[..., 2] = 0
    target, weights = energies.limb_directions(points, torch.ones(1, 1, 26, dtype=torch.float64))
    turn = roma.rotvec_to_rotmat(torch.tensor([0.0, 0, 0.1], dtype=torch.float64))
    turned, _ = energies.limb_directions(points @ turn.T, torch.ones(1, 1, 26, dtype=torch.float64))
    torch.testing.assert_close((turned - target).norm(dim=-1), torch.full_like(weights, 2 * math.sin(0.05)))
    points[0, 0, 9] = np.nan
    _, weights = energies.limb_directions(points, torch.ones(1, 1, 26, dtype=torch.float64))
    hurt = ((energies.DIRECTION_START == 9) | (energies.DIRECTION_END == 9)).expand_as(weights)
    assert (weights[hurt] == 0).all()
    assert (weights[~hurt] == 1).all()
