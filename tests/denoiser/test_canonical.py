# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
import roma
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import normalize

from closeint_core.denoiser.canonical import PairMotion, pair_frames

seeds = st.integers(0, 2**31)


def random_pair(seed: int, windows: int = 3, frames: int = 8, apart: float = 1.0) -> tuple[PairMotion, Tensor]:
    """Motion and a unit vector upwards, in double precision."""
    rng = np.random.default_rng(seed)
    rotations = roma.rotvec_to_rotmat(torch.tensor(rng.normal(size=(windows, frames, 2, 24, 3))))
    pelvis = torch.tensor(rng.normal(size=(windows, frames, 2, 3)))
    pelvis[..., 1, :] += apart * torch.tensor(rng.normal(size=3))
    return PairMotion(rotations, pelvis), normalize(torch.tensor(rng.normal(size=3)), dim=0)


def numbers(motion: PairMotion, up: Tensor) -> Tensor:
    return pair_frames(motion, up).into(motion)


def moved(motion: PairMotion, rotation: Tensor, shift: Tensor) -> PairMotion:
    rotations = motion.rotations.clone()
    rotations[..., 0, :, :] = rotation @ rotations[..., 0, :, :]
    return PairMotion(rotations, motion.pelvis @ rotation.T + shift)


@given(seeds)
@settings(max_examples=40)
def test_place_and_heading_do_not_matter(seed):
    motion, up = random_pair(seed)
    rng = np.random.default_rng(seed + 1)
    turn = roma.rotvec_to_rotmat(up * rng.uniform(-3, 3))
    there = moved(motion, turn, torch.tensor(rng.normal(size=3) * 5))
    assert (numbers(there, up) - numbers(motion, up)).abs().max() < 1e-8


@given(seeds)
@settings(max_examples=40)
def test_the_frame_of_reference_does_not_matter(seed):
    """A world with another axis upwards gives the same numbers."""
    motion, up = random_pair(seed)
    any_turn = roma.rotvec_to_rotmat(torch.tensor(np.random.default_rng(seed).normal(size=3)))
    there = moved(motion, any_turn, torch.zeros(3, dtype=torch.float64))
    assert (numbers(there, any_turn @ up) - numbers(motion, up)).abs().max() < 1e-8


@given(seeds)
@settings(max_examples=40)
def test_who_is_listed_first_does_not_matter(seed):
    motion, up = random_pair(seed)
    swapped = PairMotion(motion.rotations.flip(2), motion.pelvis.flip(2))
    assert (numbers(swapped, up).flip(2) - numbers(motion, up)).abs().max() < 1e-10


@given(seeds)
@settings(max_examples=40)
def test_there_and_back(seed):
    motion, up = random_pair(seed)
    frames = pair_frames(motion, up)
    back = frames.back(frames.into(motion))
    assert (back.rotations - motion.rotations).abs().max() < 1e-9
    assert (back.pelvis - motion.pelvis).abs().max() < 1e-9


@given(seeds, st.sampled_from([0.0, 1e-9, 1e-3]))
@settings(max_examples=30)
def test_people_in_one_place_have_frames_all_the_same(seed, apart):
    motion, up = random_pair(seed)
    pelvis = motion.pelvis[..., :1, :].expand(-1, -1, 2, -1) + apart * motion.pelvis
    for rotations in (motion.rotations, torch.eye(3, dtype=torch.float64).expand(3, 8, 2, 24, 3, 3)):
        frames = pair_frames(PairMotion(rotations, pelvis), up)
        identity = frames.axes.mT @ frames.axes
        assert (identity - torch.eye(3, dtype=torch.float64)).abs().max() < 1e-9
        assert torch.linalg.det(frames.axes).min() > 0.99


@pytest.mark.parametrize("up", [[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0]])
def test_both_lying_face_up_in_one_place(up):
    """Neither place nor facing says where the other is: still a frame, no NaN."""
    upwards = torch.tensor(up)
    face = roma.special_gramschmidt(torch.stack([upwards.roll(1), upwards.roll(2)], dim=-1))
    root = torch.stack([face[:, 0], face[:, 1], upwards], dim=-1)
    rotations = torch.eye(3).repeat(1, 4, 2, 24, 1, 1)
    rotations[..., 0, :, :] = root
    frames = pair_frames(PairMotion(rotations, torch.zeros(1, 4, 2, 3)), upwards)
    assert (frames.axes.mT @ frames.axes - torch.eye(3)).abs().max() < 1e-6


def test_axes_mean_what_they_say():
    """Two people 1 m apart facing each other: each stands half a metre behind the origin and sees the other ahead."""
    rotations = torch.eye(3).repeat(1, 4, 2, 24, 1, 1)
    rotations[:, :, 0, 0] = roma.rotvec_to_rotmat(torch.tensor([0.0, torch.pi / 2, 0.0]))  # faces +x
    rotations[:, :, 1, 0] = roma.rotvec_to_rotmat(torch.tensor([0.0, -torch.pi / 2, 0.0]))
    pelvis = torch.tensor([[4.5, 1.0, 2.0], [5.5, 1.0, 2.0]]).repeat(1, 4, 1, 1)
    found = numbers(PairMotion(rotations, pelvis), torch.tensor([0.0, 1.0, 0.0]))
    assert (found[..., :6] - torch.eye(3)[:2].flatten()).abs().max() < 1e-6
    assert (found[..., 144:] - torch.tensor([0.0, 0.0, -0.5])).abs().max() < 1e-6
