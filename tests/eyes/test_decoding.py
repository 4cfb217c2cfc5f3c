# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
import torch

from closeint_core.eyes.decoding import decode


def test_the_disc_with_most_probability_as_found_one_by_one():
    torch.manual_seed(0)
    heat, radius = 3 * torch.randn(2, 3, 12, 10), torch.tensor([1.7, 3.2])
    points, held = decode(heat, radius)
    chance = heat.flatten(2).softmax(-1).view_as(heat).numpy()
    y, x = np.mgrid[:12, :10]
    for row in range(2):
        r = float(radius[row])
        for joint in range(3):
            p = chance[row, joint]
            best = max(
                ((p * np.clip(r + 0.5 - np.hypot(x - cx, y - cy), 0, 1)).sum(), cx, cy)
                for cx in range(10)
                for cy in range(12)
            )
            assert held[row, joint].item() == pytest.approx(best[0], abs=1e-5)
            inside = p * (np.hypot(x - best[1], y - best[2]) <= r)
            mean = [(inside * x).sum() / inside.sum() + 0.5, (inside * y).sum() / inside.sum() + 0.5]
            np.testing.assert_allclose(points[row, joint].numpy(), mean, atol=1e-4)


def test_a_sharp_peak_is_sure_and_flat_heat_is_not():
    heat = torch.zeros(1, 2, 32, 32)
    heat[0, 0, 7, 9] = 50.0
    points, held = decode(heat, torch.tensor([3.0]))
    np.testing.assert_allclose(points[0, 0].numpy(), [9.5, 7.5], atol=1e-4)
    assert held[0, 0].item() == pytest.approx(1.0, abs=1e-4)
    assert held[0, 1].item() == pytest.approx(np.pi * 3.25**2 / 1024, rel=0.2)
