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
from torch.nn.functional import normalize

from closeint_core.physics import energies
from closeint_core.physics.joint_limits import LIMIT_HIGH

P, T = 2, 5


def random(*shape: int, seed: int = 0, scale: float = 1.0) -> Tensor:
    return scale * torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def share(*shape: int, seed: int = 1) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def spheres(seed: int = 2) -> Tensor:
    """(2, T, 4, 3) centres, some in each other and none in one place."""
    return random(2, T, 4, 3, seed=seed, scale=0.15)


RADII = torch.tensor([[0.10, 0.12, 0.08, 0.09], [0.11, 0.07, 0.10, 0.12]], dtype=torch.float64)
METRES = torch.full((P, T, 1), 0.003, dtype=torch.float64)
SEEN = 500 + random(P, T, 26, 2, scale=40)
TURNED = normalize(random(P, T, len(energies.DIRECTION_START), 3, seed=7), dim=-1)
ENERGIES: dict[str, tuple[Callable[[Tensor], Tensor], Tensor]] = {
    "reprojection": (
        lambda x: energies.reprojection(x, SEEN, share(P, T, 26), METRES, 0.02, 0.15),
        SEEN + random(P, T, 26, 2, seed=3, scale=30),
    ),
    "directions": (
        lambda x: energies.directions(x, TURNED, share(*TURNED.shape[:3]), 0.3),
        random(P, T, 26, 3, seed=4),
    ),
    "acceleration": (lambda x: energies.acceleration(x, 0.012), random(P, T, 6, 3, seed=5, scale=0.02)),
    "joint limits": (energies.joint_limits, random(P, T, 24, 3, seed=6, scale=1.5)),
    "pose prior": (
        lambda x: energies.pose_prior(x, torch.zeros(24, 3, dtype=torch.float64), share(P, T)),
        random(P, T, 24, 3, seed=8),
    ),
    "shape prior": (lambda x: energies.shape_prior(x).sum(), random(P, 10, seed=9, scale=2.5)),
    "standing": (lambda x: energies.floor_contact(x, share(P, T), 0.15)[0], random(P, T, 6, seed=10, scale=0.04)),
    "sinking": (lambda x: energies.floor_contact(x, share(P, T), 0.15)[1], random(P, T, 6, seed=11, scale=0.04)),
    "floating": (lambda x: energies.floating(x, share(P, T)).sum(), random(P, T, 6, seed=12, scale=0.04)),
    "skate": (lambda x: energies.foot_skate(x, share(P, T - 1, 6)), random(P, T, 6, 3, seed=13, scale=0.01)),
    "overlap": (lambda x: energies.sphere_overlap(x, RADII), spheres()),
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


def test_standing_and_sinking_in_closed_form() -> None:
    heights = torch.tensor([0.03, 0.03, 0.03, 0.5, 0.5, 0.5], dtype=torch.float64).expand(1, 1, 6)
    stand, sink = energies.floor_contact(heights, torch.ones(1, 1), 0.15)
    # Three points at 3 cm, the rest far above: the lowest is at 3 cm, and its square is held by 15 cm.
    assert float(stand) == pytest.approx(0.03**2 * 0.15**2 / (0.03**2 + 0.15**2) / 0.02**2, rel=1e-6)
    assert float(sink) == 0
    _, sink = energies.floor_contact(heights - 0.05, torch.ones(1, 1), 0.15)
    assert float(sink) == pytest.approx(3 * 0.02**2 / 0.01**2, rel=1e-6)


@given(st.lists(st.floats(-0.2, 0.2), min_size=2, max_size=8), st.floats(-1, 1))
def test_the_lowest_point_is_between_the_lowest_and_the_mean(heights: list[float], lift: float) -> None:
    points = torch.tensor(heights, dtype=torch.float64)
    lowest = float(energies.lowest_point(points))
    assert min(heights) - 1e-9 <= lowest <= float(points.mean()) + 1e-9
    assert float(energies.lowest_point(points + lift)) == pytest.approx(lowest + lift, abs=1e-9)
    assert float(energies.lowest_point(points[:1].expand(6))) == pytest.approx(heights[0])


def test_skate_counts_planted_steps_only() -> None:
    feet = torch.zeros(1, 3, 6, 3, dtype=torch.float64)
    feet[0, 1:, 0, 0] += 0.004
    feet[0, 2:, 1, 1] += 1.0
    planted = torch.ones(1, 2, 6, dtype=torch.float64)
    planted[0, 1, 1] = 0
    assert float(energies.foot_skate(feet, planted, 0.005)) == pytest.approx((0.004 / 0.005) ** 2 / 2)
    planted[0, 1, 1] = 1  # a metre grows linearly beyond three spreads
    far = (2 * 3 * 0.005 * 1.0 - (3 * 0.005) ** 2) / 0.005**2
    assert float(energies.foot_skate(feet, planted, 0.005)) == pytest.approx(((0.004 / 0.005) ** 2 + far) / 2)
    assert float(energies.foot_skate(feet[:, :1], planted[:, :0])) == 0


def test_overlap_against_loops() -> None:
    centres = spheres()
    total = 0.0
    for frame in range(T):
        for a in range(4):
            for b in range(4):
                apart = float((centres[0, frame, a] - centres[1, frame, b]).norm())
                total += max(float(RADII[0, a] + RADII[1, b]) - apart, 0.0) ** 2
    assert float(energies.sphere_overlap(centres, RADII)) == pytest.approx(total / T / 0.01**2, rel=1e-6)
    far = centres + torch.tensor([[0.0, 0, 0], [9.0, 0, 0]], dtype=torch.float64)[:, None, None]
    assert float(energies.sphere_overlap(far, RADII)) == 0
    nothing = torch.zeros(T)
    assert float(energies.sphere_overlap(centres, RADII, weight=nothing)) == 0


def test_bodies_in_one_place_have_a_finite_slope() -> None:
    centres = spheres()[:1].expand(2, -1, -1, -1).clone().requires_grad_()
    (gradient,) = torch.autograd.grad(energies.sphere_overlap(centres, RADII), centres)
    assert gradient.isfinite().all()


def test_limits_in_closed_form() -> None:
    pose = torch.zeros(1, 1, 24, 3)
    pose[0, 0, 4, 0] = LIMIT_HIGH[4, 0] + 0.16
    pose[0, 0, 0] = 3.0  # the root may face anywhere
    assert float(energies.joint_limits(pose)) == pytest.approx(4.0, rel=1e-4)


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


def test_reprojection_is_in_metres_at_the_person() -> None:
    """An error of 10 pixels at 3 mm a pixel is 3 cm, whatever keypoint it is."""
    off = SEEN.clone()
    off[0, 0, 5, 0] += 10
    weights = torch.ones(P, T, 26, dtype=torch.float64)
    found = float(energies.reprojection(off, SEEN, weights, METRES, 0.02, 0.15))
    expected = 0.03**2 * 0.15**2 / (0.03**2 + 0.15**2) / 0.02**2 / (P * T)
    assert found == pytest.approx(expected, rel=1e-6)


def test_limb_directions_of_a_turned_body() -> None:
    """Turned by an angle, every limb across the axis is off by the chord of that angle."""
    points = random(1, 1, 26, 3, seed=15)
    points[..., 2] = 0
    target, weights = energies.limb_directions(points, torch.ones(1, 1, 26, dtype=torch.float64))
    turn = roma.rotvec_to_rotmat(torch.tensor([0.0, 0, 0.1], dtype=torch.float64))
    chord = (2 * math.sin(0.05)) ** 2
    expected = len(energies.DIRECTION_START) * chord * 0.9**2 / (chord + 0.9**2) / 0.3**2
    assert float(energies.directions(points @ turn.T, target, weights, 0.3)) == pytest.approx(expected, rel=1e-6)
    points[0, 0, 9] = np.nan
    _, weights = energies.limb_directions(points, torch.ones(1, 1, 26, dtype=torch.float64))
    hurt = ((energies.DIRECTION_START == 9) | (energies.DIRECTION_END == 9)).expand_as(weights)
    assert (weights[hurt] == 0).all()
    assert (weights[~hurt] == 1).all()
