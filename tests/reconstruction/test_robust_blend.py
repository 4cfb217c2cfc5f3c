# SPDX-License-Identifier: Apache-2.0
"""Windows put together by what most of them say: against plain blending, a naive version, and one that is all wrong."""

from __future__ import annotations

import numpy as np
import pytest
import roma
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from closeint_core.reconstruction.robust_blend import RobustBlend
from closeint_core.windows import blend, blend_rotations, gather, window_starts, window_weights

SPREAD = 0.05
LENGTH = 16
ARMS = torch.tensor([[0.0, 0.0, 0.0], [0.5, 0.0, 0.0], [-0.5, 0.0, 0.0], [0.0, 0.6, 0.1]])


def turning(frames: int) -> tuple[Tensor, Tensor]:
    """Rotations (T, 2, 1, 3, 3) and places (T, 2, 3) of two people who slowly turn and walk."""
    time = torch.linspace(0, 1, frames)
    angle = torch.stack([0.4 * time, 1.0 - 0.6 * time], -1)[..., None]
    vectors = torch.stack([torch.zeros_like(angle), angle, torch.zeros_like(angle)], -1)
    return roma.rotvec_to_rotmat(vectors), torch.stack([time, 1 - time], -1)[..., None] * torch.ones(3)


def together(starts: list[int], weights: Tensor, rotations: Tensor, places: Tensor, frames: int, at_once: int = 1000):
    points = (rotations @ ARMS[:, :, None])[..., 0]  # (W, L, 2, 4, 3)
    result = RobustBlend(frames, SPREAD)
    for first in range(0, len(starts), at_once):
        part = slice(first, first + at_once)
        result.add(starts[part], weights[part], points[part], rotations[part], (places[part],))
    return result.finish()


def windows_of(frames: int, stride: int = 4) -> tuple[list[int], Tensor, Tensor, Tensor]:
    starts = window_starts(frames, LENGTH, stride)
    length = min(LENGTH, frames)
    rotations, places = turning(frames)
    return (
        starts,
        window_weights(starts, length, frames),
        gather(rotations, starts, length),
        gather(places, starts, length),
    )


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 90), st.integers(1, 16))
def test_windows_that_agree_are_what_they_were(frames, stride):
    starts, weights, rotations, places = windows_of(frames, stride)
    turned, placed = together(starts, weights, rotations, places, frames)
    assert torch.allclose(turned, turning(frames)[0], atol=1e-5)
    assert torch.allclose(placed, turning(frames)[1], atol=1e-5)


def test_one_window_turned_about_is_outvoted():
    frames = 60
    starts, weights, rotations, places = windows_of(frames)
    about = roma.rotvec_to_rotmat(torch.tensor([0.0, torch.pi, 0.0]))
    rotations[5, :, 1] = about @ rotations[5, :, 1]
    places[5, :, 1] += 1.0
    truth = turning(frames)

    def off(turned: Tensor) -> Tensor:
        return roma.rotmat_geodesic_distance(turned[..., 0, :, :], truth[0][..., 0, :, :]).amax(0)

    turned, placed = together(starts, weights, rotations, places, frames)
    assert off(turned).max() < 0.01
    assert (placed - truth[1]).abs().max() < 0.01
    plain = off(blend_rotations(rotations, starts, weights, frames))
    assert plain[0] < 1e-3  # the other person's window is as good as all
    assert plain[1] > 1.0


def test_two_windows_that_disagree_are_both_heard():
    starts, frames = [0, 8], 24
    rotations = torch.eye(3).expand(2, LENGTH, 2, 1, 3, 3).clone()
    rotations[1] = roma.rotvec_to_rotmat(torch.tensor([0.0, 0.5, 0.0]))
    places = torch.zeros(2, LENGTH, 2, 3)
    weights = window_weights(starts, LENGTH, frames)
    turned, _ = together(starts, weights, rotations, places, frames)
    angle = roma.rotmat_to_rotvec(turned)[:, 0, 0, 1]
    assert angle[0] == pytest.approx(0.0, abs=1e-4)
    assert angle[-1] == pytest.approx(0.5, abs=1e-4)
    assert torch.all(angle.diff() > -1e-4)


@pytest.mark.parametrize("at_once", [1, 3, 7])
def test_parts_are_the_whole(at_once):
    frames = 70
    starts, weights, rotations, places = windows_of(frames)
    generator = torch.Generator().manual_seed(at_once)
    rotations = rotations @ roma.rotvec_to_rotmat(0.2 * torch.randn(len(starts), 1, 2, 1, 3, generator=generator))
    whole = together(starts, weights, rotations, places, frames)
    for part, one in zip(together(starts, weights, rotations, places, frames, at_once), whole, strict=True):
        assert torch.equal(part, one)


def test_a_naive_version_says_the_same():
    frames = 50
    starts, weights, rotations, places = windows_of(frames, 5)
    generator = torch.Generator().manual_seed(1)
    rotations = rotations @ roma.rotvec_to_rotmat(0.3 * torch.randn(len(starts), 1, 2, 1, 3, generator=generator))
    places = places + torch.randn(len(starts), 1, 2, 1, generator=generator)
    points = (rotations @ ARMS[:, :, None])[..., 0].numpy()
    trust = np.ones((len(starts), 2))
    for person in (0, 1):
        for i, a in enumerate(starts):
            apart = []
            for j, b in enumerate(starts):
                shared = range(max(a, b), min(a, b) + LENGTH)
                if i != j and len(shared):
                    distances = [
                        np.linalg.norm(points[i, t - a, person, k] - points[j, t - b, person, k])
                        for t in shared
                        for k in range(len(ARMS))
                    ]
                    apart.append(np.mean(distances))
            error = sorted(apart)[(len(apart) - 1) // 2]  # torch's median
            trust[i, person] = 1 / (1 + (error / SPREAD) ** 2) ** 2
    naive = np.zeros((frames, 2, 3))
    for t in range(frames):
        for person in (0, 1):
            inside = [(i, t - a) for i, a in enumerate(starts) if 0 <= t - a < LENGTH]
            weight = [(float(weights[i, k]) + 1e-4) * (trust[i, person] + 1e-6) for i, k in inside]
            naive[t, person] = sum(
                w * places[i, k, person].numpy() for w, (i, k) in zip(weight, inside, strict=True)
            ) / sum(weight)
    _, placed = together(starts, weights, rotations, places, frames)
    assert np.abs(placed.numpy() - naive).max() < 1e-4
    assert (placed - blend(places, starts, weights, frames)).abs().max() > 0.05
