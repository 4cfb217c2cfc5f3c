# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from closeint_core.camera import intrinsics, project, solve_translation
from closeint_core.errors import CloseintError

CAMERA = torch.as_tensor(intrinsics((1280, 720), 900.0))


@pytest.mark.parametrize("size", [(300, 400), (400, 300)])
def test_unknown_focal_follows_the_longer_side(size):
    k = intrinsics(size)
    assert (k[0, 0], k[1, 1], k[0, 2], k[1, 2]) == (360, 360, size[0] / 2, size[1] / 2)


@pytest.mark.parametrize("focal", [0.0, -5.0, float("nan"), float("inf")])
def test_senseless_focal_is_refused(focal):
    with pytest.raises(CloseintError, match="focal"):
        intrinsics((300, 400), focal)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**31))
def test_translation_is_recovered_from_its_projection(seed):
    generator = torch.Generator().manual_seed(seed)
    points = torch.randn(3, 12, 3, generator=generator) * 0.5
    truth = torch.rand(3, 3, generator=generator) * torch.tensor([2.0, 2.0, 4.0]) + torch.tensor([-1.0, -1.0, 3.0])
    pixels = project(points + truth[:, None], CAMERA)
    weights = torch.ones(3, 12)
    weights[:, 5] = 0
    pixels[:, 5] = float("nan")
    found = solve_translation(points, pixels, weights, CAMERA)
    assert (found - truth).abs().max() < 2e-3
