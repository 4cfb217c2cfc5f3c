# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import roma
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from closeint_core.body.data import load_body
from closeint_core.body.inverse_kinematics import frame_from, poses_from_landmarks, swing
from closeint_core.body.torch_body import TorchBody
from closeint_core.physics import energies

BODY = TorchBody(load_body())
HALPE = BODY.points("halpe")
LIMBS = slice(5, 13)  # upper arms, forearms, thighs, shanks among the limb directions


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**31))
def test_swing_takes_one_direction_to_the_other(seed):
    generator = torch.Generator().manual_seed(seed)
    a, b = torch.nn.functional.normalize(torch.randn(2, 5, 3, generator=generator), dim=-1)
    rotation = swing(a, b)
    assert torch.allclose((rotation @ a[..., None])[..., 0], b, atol=1e-5)
    assert torch.allclose(rotation @ rotation.mT, torch.eye(3).expand(5, 3, 3), atol=1e-5)


def test_swing_of_opposite_directions_is_half_a_turn():
    a = torch.eye(3)
    assert torch.allclose((swing(a, -a) @ a[..., None])[..., 0], -a, atol=1e-5)


def test_frame_is_a_rotation():
    frame = frame_from(torch.tensor([1.0, 0.2, 0.0]), torch.tensor([0.1, 1.0, 0.3]))
    assert torch.allclose(frame @ frame.T, torch.eye(3), atol=1e-6)
    assert torch.linalg.det(frame) > 0.999


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**31))
def test_limbs_of_a_posed_body_are_found_again(seed):
    """Landmarks of a body in a random pose give a pose with the same limb directions."""
    generator = torch.Generator().manual_seed(seed)
    pose = torch.randn(6, 24, 3, generator=generator) * 0.15
    pose[:, 0] = torch.randn(6, 3, generator=generator)
    pose[:, [16, 17]] = torch.randn(6, 2, 3, generator=generator) * 0.6
    pose[:, 18, 1] = -torch.rand(6, generator=generator) * 1.5
    pose[:, 19, 1] = torch.rand(6, generator=generator) * 1.5
    pose[:, [4, 5], 0] = torch.rand(6, 2, generator=generator) * 1.5
    betas, transl = torch.zeros(1, 10), torch.zeros(6, 3)

    def keypoints(rotations: torch.Tensor) -> torch.Tensor:
        return HALPE(BODY.skeleton(rotations, betas, transl), betas)

    truth = keypoints(roma.rotvec_to_rotmat(pose))
    found = keypoints(poses_from_landmarks(3.0 * truth + 1.0, BODY.rest_joints(betas[0])))
    ones = torch.ones(6, 26)
    a, _ = energies.limb_directions(truth, ones)
    b, _ = energies.limb_directions(found, ones)
    angle = torch.rad2deg(torch.acos((a * b).sum(-1).clamp(-1, 1)))[:, LIMBS]
    assert angle.median() < 8
    assert angle.max() < 40
