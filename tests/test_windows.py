# SPDX-License-Identifier: Apache-2.0
"""Long clips in windows: everything is covered, nothing jumps."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import roma
import torch
from hypothesis import given
from hypothesis import strategies as st

from closeint_core.windows import blend, blend_rotations, gather, window_starts, window_weights


@given(st.integers(1, 300), st.integers(2, 32), st.integers(1, 32))
def test_windows_cover_every_frame_and_weights_sum_to_one(frames, length, stride):
    stride = min(stride, length)
    starts = window_starts(frames, length, stride)
    covered = min(length, frames)
    assert starts[0] == 0
    assert starts[-1] + covered == frames
    assert max(np.diff(starts), default=0) <= stride
    weights = window_weights(starts, covered, frames)
    assert (weights >= 0).all()
    values = torch.linspace(-1, 1, frames)
    back = blend(gather(values, starts, covered), starts, weights, frames)
    assert (back - values).abs().max() < 1e-5


@given(st.integers(0, 2**31), st.integers(17, 80))
def test_windows_that_agree_are_put_back_together(seed, frames):
    generator = torch.Generator().manual_seed(seed)
    rotations = roma.rotvec_to_rotmat(torch.randn(frames, 2, 3, generator=generator))
    starts = window_starts(frames, 16)
    weights = window_weights(starts, 16, frames)
    back = blend_rotations(gather(rotations, starts, 16), starts, weights, frames)
    assert (back - rotations).abs().max() < 1e-5


def test_between_two_windows_the_short_way():
    a = torch.eye(3)
    b = roma.rotvec_to_rotmat(torch.tensor([0.0, 0.0, 1.2]))
    starts, frames = [0, 8], 24
    weights = window_weights(starts, 16, frames)
    found = blend_rotations(torch.stack([a.expand(16, 3, 3), b.expand(16, 3, 3)]), starts, weights, frames)
    vectors = roma.rotmat_to_rotvec(found)
    assert vectors[:, :2].abs().max() < 1e-5
    angles = vectors[:, 2]
    assert torch.all(angles.diff() >= -1e-5)
    assert angles[:8].abs().max() < 1e-5
    assert (angles[16:] - 1.2).abs().max() < 1e-5


def smooth_motion(frames: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Joint rotations (T, 24, 3, 3) and places (T, 3) that everybody would call smooth."""
    time = torch.arange(frames)[:, None, None] / 25.0
    generator = torch.Generator().manual_seed(3)
    swing, phase = torch.randn(2, 1, 24, 3, generator=generator)
    rotations = roma.rotvec_to_rotmat(0.4 * swing * torch.sin(2.5 * time + 3 * phase))
    return rotations, torch.cat([torch.sin(time[:, 0]), torch.cos(time[:, 0]), 0.3 * time[:, 0]], dim=-1)


def acceleration(rotations: torch.Tensor) -> torch.Tensor:
    """(T - 2,) largest angle by which the turning of any joint changes from one frame to the next."""
    turns = rotations[:-1].mT @ rotations[1:]
    return roma.rotmat_to_rotvec(turns[:-1].mT @ turns[1:]).norm(dim=-1).amax(dim=-1)


@pytest.mark.parametrize("frames", [64, 75, 200])
@pytest.mark.parametrize("disagreement", [0.02, 0.15])
def test_no_seam_where_windows_disagree(frames, disagreement):
    """A known smooth motion, each window off by an error of its own: the frames in which windows begin or end are no
    rougher than those between, while windows put end to end jump there."""
    rotations, places = smooth_motion(frames)
    generator = torch.Generator().manual_seed(0)

    def seen(starts: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
        errors = disagreement * torch.randn(len(starts), 1, 24, 3, generator=generator)
        shifts = 0.3 * disagreement * torch.randn(len(starts), 1, 3, generator=generator)
        return gather(rotations, starts, 16) @ roma.rotvec_to_rotmat(errors), gather(places, starts, 16) + shifts

    def roughness(starts: list[int], weights: torch.Tensor) -> tuple[float, float, float, float]:
        turned, moved = seen(starts)
        changes = acceleration(blend_rotations(turned, starts, weights, frames))
        jumps = blend(moved, starts, weights, frames).diff(n=2, dim=0).norm(dim=-1)
        edges = set(starts[1:]) | {start + 16 for start in starts[:-1]}
        at_seam = torch.tensor([any(edge - 2 <= t <= edge - 1 for edge in edges) for t in range(frames - 2)])
        return tuple(float(x.max()) for x in (changes[at_seam], changes[~at_seam], jumps[at_seam], jumps[~at_seam]))

    starts = window_starts(frames, 16)
    seam, elsewhere, seam_moved, elsewhere_moved = roughness(starts, window_weights(starts, 16, frames))
    assert seam <= elsewhere
    assert seam_moved <= elsewhere_moved
    hard = window_starts(frames, 16, stride=16)
    cut = torch.ones(len(hard), 16)
    for window, (a, b) in enumerate(itertools.pairwise(hard)):
        cut[window, b - a :] = 0
    seam, elsewhere, seam_moved, elsewhere_moved = roughness(hard, cut)
    assert seam > 1.5 * elsewhere
    assert seam_moved > 1.5 * elsewhere_moved
