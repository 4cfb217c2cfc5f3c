# SPDX-License-Identifier: Apache-2.0
"""The centre of mass over the feet, against the convex hull of the soles and against the table of masses."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial import ConvexHull
from support.meshes import body

from closeint_core.physics.balance import body_masses, outside_of_support

WIDTH = 0.03
SIDES = 32


def feet_at(*places: tuple[float, float]) -> torch.Tensor:
    """(1, 1, 6, 3) foot points of one person on the floor."""
    points = torch.zeros(1, 1, 6, 3)
    points[0, 0, :, :2] = torch.tensor([places[i % len(places)] for i in range(6)])
    return points


def distance_to_hull(point: np.ndarray, points: np.ndarray) -> float:
    """Metres from a point to the convex hull of points (N, 2), 0 inside."""
    hull = ConvexHull(points)
    if (hull.equations[:, :2] @ point + hull.equations[:, 2] <= 0).all():
        return 0.0
    best = math.inf
    for a, b in points[hull.simplices]:
        share = np.clip((point - a) @ (b - a) / ((b - a) @ (b - a)), 0, 1)
        best = min(best, float(np.linalg.norm(point - a - share * (b - a))))
    return best


@given(st.integers(0, 10_000))
def test_against_the_convex_hull(seed: int) -> None:
    rng = np.random.default_rng(seed)
    feet = torch.zeros(1, 1, 6, 3)
    feet[..., :2] = torch.as_tensor(rng.uniform(-0.3, 0.3, (6, 2)), dtype=torch.float32)
    centre = torch.as_tensor(np.append(rng.uniform(-0.8, 0.8, 2), 1.0), dtype=torch.float32)[None, None]
    now = outside_of_support(centre, feet, torch.ones(1, 1, 6), None)
    points = feet[0, 0, :, :2].double().numpy()
    expected = max(distance_to_hull(centre[0, 0, :2].double().numpy(), points) - WIDTH, 0.0)
    # Seen from 32 sides: never more than the distance, and less by at most what a corner hides between two sides.
    angle, size = math.pi / SIDES, float(np.linalg.norm(np.ptp(points, axis=0)))
    found = float(now.far)
    assert found <= expected + 1e-6
    assert found >= expected * math.cos(angle) - (size + WIDTH) * math.sin(angle) - 1e-6
    assert float(now.trust) == 1
    if found > 0:  # the foot named is the one at the edge
        at = feet[0, 0, now.foot[0, 0], :2]
        assert float(now.side[0, 0] @ (centre[0, 0, :2] - at)) - WIDTH == pytest.approx(found, abs=1e-6)


def test_the_way_back_points_to_the_feet() -> None:
    feet = feet_at((0.1, 0.1), (-0.1, 0.1), (0.1, -0.1), (-0.1, -0.1))
    centre = torch.tensor([[[0.5, 0.0, 1.0]]])
    now = outside_of_support(centre, feet, torch.ones(1, 1, 6), None)
    assert float(now.far) == pytest.approx(0.5 - 0.1 - WIDTH)
    torch.testing.assert_close(now.side, torch.tensor([[[1.0, 0.0]]]))
    assert int(now.foot) in (0, 2, 4)  # on the right
    assert not now.joined.any()
    inside = outside_of_support(torch.tensor([[[0.12, -0.05, 1.0]]]), feet, torch.ones(1, 1, 6), None)
    assert float(inside.far) == 0
    # What lies on the ground counts, not what is in the air; nothing is known of somebody who jumps.
    half = torch.tensor([[[1.0, 0, 1, 0, 1, 0]]])
    lifted = outside_of_support(centre, feet_at((0.1, 0.0), (0.5, 0.0)), half, None)
    assert float(lifted.far) == pytest.approx(0.5 - 0.1 - WIDTH)
    assert float(outside_of_support(centre, feet, torch.zeros(1, 1, 6), None).trust) == 0


def test_two_who_lean_stand_on_four_feet() -> None:
    feet = torch.cat((feet_at((-0.5, 0.1), (-0.5, -0.1)), feet_at((0.5, 0.1), (0.5, -0.1))))
    centre = torch.tensor([[[-0.2, 0.0, 1.0]], [[0.2, 0.0, 1.0]]])
    planted = torch.ones(2, 1, 6)
    alone = outside_of_support(centre, feet, planted, torch.tensor([False]))
    torch.testing.assert_close(alone.far[:, 0], torch.full((2,), 0.3 - WIDTH))
    torch.testing.assert_close(alone.side[:, 0, 0], torch.tensor([1.0, -1.0]))
    assert (alone.foot // 6).tolist() == [[0], [1]]
    assert not alone.joined.any()
    together = outside_of_support(centre, feet, planted, torch.tensor([True]))
    assert together.far.max() == 0
    assert together.joined.all()
    fallen = outside_of_support(centre + torch.tensor([2.0, 0, 0]), feet, planted, torch.tensor([True]))
    torch.testing.assert_close(fallen.far[:, 0], torch.full((2,), 2.0 - 0.5 - WIDTH))
    assert (fallen.foot // 6 == 1).all()  # both are held up by the second person's feet
    # One who carries the other stands on two feet alone.
    planted[1] = 0
    carried = outside_of_support(centre, feet, planted, torch.tensor([True]))
    assert not carried.joined.any()
    assert carried.trust[:, 0].tolist() == [1, 0]


def test_masses_of_the_segments() -> None:
    """De Leva's shares (per cent, mean of both sexes) of what is easily told apart."""
    data = body()
    masses = body_masses(data)[0]
    assert masses.sum() == pytest.approx(1, abs=1e-5)
    assert (masses >= 0).all()
    total = 6.8 + 15.7 + 15.5 + 11.8 + 2 * (2.6 + 1.5 + 0.6 + 14.5 + 4.6 + 1.3)
    for parts, share in (((12, 15), 6.8), ((1,), 14.5), ((5,), 4.6), ((8, 11), 1.3), ((17,), 2.6)):
        assert masses[np.isin(data.parts, parts)].sum() == pytest.approx(share / total, rel=1e-3)
    # A standing body's centre of mass is at 54 to 58 per cent of its height.
    height = np.ptp(data.template[:, 1])
    centre = masses @ (data.template - data.template.min(0))
    assert 0.53 < centre[1] / height < 0.60
    # and in its middle.
    assert abs(centre[0] - np.ptp(data.template[:, 0]) / 2) < 0.02
