# SPDX-License-Identifier: Apache-2.0
"""Where the clip's floor is: under the soles of the people who stand on it."""

from __future__ import annotations

import numpy as np
import pytest
import roma
import torch
from torch import Tensor

from closeint_core.body.data import load_body
from closeint_core.body.skinning import lbs
from closeint_core.body.torch_body import TorchBody
from closeint_core.reconstruction.world import on_its_feet, to_world
from closeint_core.solver.initial import relaxed_pose
from closeint_core.solver.state import Floor, Motion

BODY = TorchBody(load_body())
FRAMES = 12
DOWN = torch.diag(torch.tensor([1.0, -1.0, -1.0]))
"""From a body's axes (y up) to those of a camera that looks at it from ahead."""


def people_on(turn: Tensor) -> Motion:
    """Two people 1.2 m apart on a floor 1.4 m under the camera, all turned by ``turn`` about the camera (synthetic).

    The floor of the motion is level, and 5 cm under the soles.
    """
    pose = relaxed_pose().expand(2, FRAMES, 24, 3).clone()
    rotations = roma.rotvec_to_rotmat(pose)
    rotations[:, :, 0] = turn @ DOWN
    betas = torch.zeros(2, 10)
    places = torch.tensor([[-0.6, 0.0, 3.5], [0.6, 0.0, 4.3]])[:, None].expand(2, FRAMES, 3)
    upright = rotations.clone()
    upright[:, :, 0] = DOWN
    lowest = BODY(upright, betas[:, None], places).vertices[..., 1].amax(-1)  # y points down
    places = places + torch.stack([torch.zeros_like(lowest), 1.4 - lowest, torch.zeros_like(lowest)], -1)
    root = BODY.rest_joints(betas)[:, None, 0]
    transl = (places + root) @ turn.T - root
    return Motion(rotations, transl, betas, Floor(torch.tensor([0.0, -1.0, 0.0]), torch.tensor(1.45)))


def soles(motion: Motion) -> np.ndarray:
    """(2, T) lowest height of each person in the world of a motion."""
    world = to_world(motion, BODY)
    return lbs(BODY.data, world.poses, world.betas[:, None], world.transl)[0][..., 2].min(-1)


def test_the_floor_is_where_soles_stand() -> None:
    motion = people_on(torch.eye(3))
    assert soles(motion) == pytest.approx(0.05, abs=1e-3)
    found = on_its_feet(motion, BODY, np.ones((2, FRAMES, 2), np.float32), 30.0)
    assert soles(found) == pytest.approx(0.0, abs=3e-3)
    torch.testing.assert_close(found.floor.normal, motion.floor.normal, atol=5e-3, rtol=0)
    torch.testing.assert_close(found.transl, motion.transl)


def test_a_floor_that_is_tilted() -> None:
    motion = people_on(roma.rotvec_to_rotmat(torch.tensor([0.02, 0.0, 0.04])))
    before = soles(motion)
    found = on_its_feet(motion, BODY, np.ones((2, FRAMES, 2), np.float32), 30.0)
    assert np.ptp(before) > 0.03
    assert np.ptp(soles(found)) < 0.5 * np.ptp(before)


def test_pixels_stay_where_they_are() -> None:
    motion = people_on(roma.rotvec_to_rotmat(torch.tensor([0.02, 0.0, 0.04])))
    found = on_its_feet(motion, BODY, np.ones((2, FRAMES, 2), np.float32), 30.0)
    seen = []
    for one in (motion, found):
        world = to_world(one, BODY)
        _, joints = lbs(BODY.data, world.poses, world.betas[:, None], world.transl)
        view = joints @ world.camera_R[0].T + world.camera_t[0]
        seen.append(view[..., :2] / view[..., 2:])
    np.testing.assert_allclose(seen[0], seen[1], atol=1e-5)


def test_nobody_stands() -> None:
    motion = people_on(torch.eye(3))
    assert on_its_feet(motion, BODY, np.zeros((2, FRAMES, 2), np.float32), 30.0) is motion
