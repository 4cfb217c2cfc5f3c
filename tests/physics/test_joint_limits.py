# SPDX-License-Identifier: Apache-2.0
"""What people do is within the limits of their joints, what they cannot do is not."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import roma
import torch
from support.plain_energies import joint_limits
from torch import Tensor
from torch.nn.functional import normalize

import closeint_core
from closeint_core.body.data import JOINT_NAMES, load_body
from closeint_core.body.skinning import lbs
from closeint_core.clip import InteractionClip
from closeint_core.physics.joint_limits import LIMIT_HIGH, LIMIT_LOW, beyond_limits
from closeint_core.solver.initial import relaxed_pose

J = {name: index for index, name in enumerate(JOINT_NAMES)}
TOLERANCE = 10.0
"""Degrees beyond a limit that a recording of real people may be."""
# Column and size of the joints' own rotations in a frame of DeepMimic's clips; axes: x ahead, y up, z right.
COLUMNS = {"chest": (8, 4), "neck": (12, 4), "right_hip": (16, 4), "right_knee": (20, 1), "right_ankle": (21, 4),
           "right_shoulder": (25, 4), "right_elbow": (29, 1), "left_hip": (30, 4), "left_knee": (34, 1),
           "left_ankle": (35, 4), "left_shoulder": (39, 4), "left_elbow": (43, 1)}  # fmt: skip


def recorded(path: Path) -> Tensor:
    """(F, 24, 3) rotation vectors of SMPL's joints from a clip's own joint angles, which tell twists exactly."""
    rows = np.array(json.loads(path.read_text())["Frames"], np.float64)
    rows = rows[np.abs(rows[:, 4:8]).sum(1) > 0]
    axes = torch.tensor([[0.0, 0, -1], [0, 1, 0], [1, 0, 0]], dtype=torch.float64)  # SMPL's in theirs
    turned = {}
    for name, (column, size) in COLUMNS.items():
        numbers = torch.tensor(rows[:, column : column + size])
        if size == 4:
            local = roma.unitquat_to_rotmat(normalize(numbers[:, [1, 2, 3, 0]], dim=-1))
        else:
            local = roma.rotvec_to_rotmat(torch.cat((torch.zeros(len(rows), 2), numbers), 1).double())
        turned[name] = axes @ local @ axes.T
    poses = torch.zeros(len(rows), 24, 3, dtype=torch.float64)
    for name in ("spine1", "spine2", "spine3"):
        poses[:, J[name]] = roma.rotmat_to_rotvec(turned["chest"]) / 3
    for name in ("neck", "head"):
        poses[:, J[name]] = roma.rotmat_to_rotvec(turned["neck"]) / 2
    for side, sign in (("left", 1.0), ("right", -1.0)):
        lowered = roma.rotvec_to_rotmat(torch.tensor([0.0, 0.0, -sign * np.pi / 2], dtype=torch.float64))
        for joint in ("hip", "knee", "ankle"):
            poses[:, J[f"{side}_{joint}"]] = roma.rotmat_to_rotvec(turned[f"{side}_{joint}"])
        # Their rest pose has the arms down, SMPL's to the sides.
        poses[:, J[f"{side}_shoulder"]] = roma.rotmat_to_rotvec(turned[f"{side}_shoulder"] @ lowered)
        poses[:, J[f"{side}_elbow"]] = roma.rotmat_to_rotvec(lowered.T @ turned[f"{side}_elbow"] @ lowered)
    return poses


def worst(poses: Tensor) -> np.ndarray:
    """Degrees (F,) by which the worst joint of each frame is beyond its limits."""
    return np.degrees(beyond_limits(poses).abs().amax((-1, -2)).numpy())


def test_recorded_people_are_within_their_limits(shared: Path) -> None:
    paths = sorted((shared / "motions").glob("humanoid3d_*.txt"))
    if not paths:
        pytest.skip("there are no motions")
    beyond = np.concatenate([worst(recorded(path)) for path in paths])
    assert (beyond <= TOLERANCE).mean() >= 0.99
    assert (beyond == 0).mean() >= 0.95
    assert beyond.max() < 2 * TOLERANCE


def test_the_bundled_sample_is_within_its_limits() -> None:
    folder = Path(closeint_core.__file__).parent / "samples"
    poses = torch.as_tensor(InteractionClip.load(folder / "greeting.closeint.npz").poses).flatten(0, 1)
    assert len(poses) > 100
    assert (worst(poses) <= TOLERANCE).mean() >= 0.99


def bent(**joints: tuple[float, float, float]) -> Tensor:
    """A relaxed pose with joints turned, degrees about SMPL's axes."""
    pose = relaxed_pose()
    for name, degrees in joints.items():
        pose[J[name]] = torch.deg2rad(torch.tensor(degrees))
    return pose[None]


POSSIBLE = {
    "relaxed": bent(),
    "T": torch.zeros(1, 24, 3),
    "sits": bent(left_hip=(-90, 0, 0), right_hip=(-90, 0, 0), left_knee=(90, 0, 0), right_knee=(90, 0, 0)),
    "squats on the heels": bent(left_hip=(-120, 0, 10), left_knee=(150, 0, 0), left_ankle=(-35, 0, 0)),
    "hand to the mouth": bent(left_shoulder=(0, -20, -70), left_elbow=(0, -145, 0)),
    "arms up": bent(left_shoulder=(0, 0, 85), right_shoulder=(0, 0, -85)),
    "hugs": bent(left_shoulder=(0, -100, -10), right_shoulder=(0, 100, 10)),
    "looks over the shoulder": bent(neck=(0, 40, 0), head=(0, 40, 0)),
    "bows": bent(spine1=(30, 0, 0), spine2=(30, 0, 0), spine3=(20, 0, 0)),
}
IMPOSSIBLE = {
    "knee bent backwards": bent(left_knee=(-40, 0, 0)),
    "other knee bent backwards": bent(right_knee=(-40, 0, 0)),
    "knee bent sideways": bent(left_knee=(20, 0, 45)),
    "elbow bent backwards": bent(left_elbow=(0, 40, 0)),
    "other elbow bent backwards": bent(right_elbow=(0, -40, 0)),
    "elbow bent through itself": bent(left_elbow=(0, -185, 0)),
    "head turned by 150 degrees": bent(neck=(0, 75, 0), head=(0, 75, 0)),
    "head turned by 150 degrees at one joint": bent(head=(0, -150, 0)),
    "foot turned back": bent(left_ankle=(0, 120, 0)),
    "toes on the shin": bent(right_ankle=(-80, 0, 0)),
    "leg up behind the back": bent(left_hip=(90, 0, 0)),
    "trunk folded backwards": bent(spine1=(-40, 0, 0), spine2=(-40, 0, 0), spine3=(-40, 0, 0)),
    "hand folded back on the arm": bent(left_wrist=(0, 0, 150)),
}


@pytest.mark.parametrize("name", POSSIBLE)
def test_possible(name: str) -> None:
    assert worst(POSSIBLE[name]).max() == 0


@pytest.mark.parametrize("name", IMPOSSIBLE)
def test_impossible(name: str) -> None:
    assert worst(IMPOSSIBLE[name]).max() > TOLERANCE
    assert joint_limits(IMPOSSIBLE[name][None]) > joint_limits(bent()[None])


def test_the_axes_are_what_they_are_said_to_be() -> None:
    """Each named movement takes the body where its name says: the table's signs, checked on the posed joints."""

    def moved(joint: str, tip: str, degrees: tuple[float, float, float]) -> np.ndarray:
        pose = np.zeros((2, 24, 3), np.float32)
        pose[1, J[joint]] = np.radians(degrees)
        data = load_body()
        _, joints = lbs(data, pose, np.zeros(10, np.float32), np.zeros((2, 3), np.float32))
        return joints[1, J[tip]] - joints[0, J[tip]]

    left, up, ahead = 0, 1, 2
    assert moved("left_hip", "left_ankle", (-60, 0, 0))[ahead] > 0.3  # flexion
    assert moved("left_hip", "left_ankle", (0, 0, 40))[left] > 0.3  # abduction
    assert moved("left_hip", "left_foot", (0, 40, 0))[left] > 0.02  # toes outwards
    assert moved("left_knee", "left_ankle", (90, 0, 0))[ahead] < -0.3  # flexion
    assert moved("left_ankle", "left_foot", (30, 0, 0))[up] < -0.03  # plantar flexion
    assert moved("spine1", "head", (40, 0, 0))[ahead] > 0.2  # flexion
    assert moved("left_collar", "left_shoulder", (0, 0, 30))[up] > 0.03  # elevation
    assert moved("left_collar", "left_shoulder", (0, -30, 0))[ahead] > 0.03  # protraction
    assert moved("left_shoulder", "left_wrist", (0, 0, -90))[up] < -0.3  # down
    assert moved("left_shoulder", "left_wrist", (0, -90, 0))[ahead] > 0.3  # across the chest
    assert moved("left_elbow", "left_wrist", (0, -90, 0))[ahead] > 0.15  # flexion
    assert moved("right_elbow", "right_wrist", (0, 90, 0))[ahead] > 0.15
    assert moved("left_wrist", "left_hand", (0, 0, -60))[up] < -0.03  # flexion


def test_sides_mirror_each_other() -> None:
    generator = torch.Generator().manual_seed(0)
    pose = 1.5 * torch.randn(50, 24, 3, generator=generator)
    swap = [J[n.replace("left", "?").replace("right", "left").replace("?", "right")] for n in JOINT_NAMES]
    mirrored = pose[:, swap] * torch.tensor([1.0, -1.0, -1.0])
    torch.testing.assert_close(beyond_limits(pose).abs()[:, swap], beyond_limits(mirrored).abs())
    assert (beyond_limits(pose)[:, 0] == 0).all()
    assert (LIMIT_LOW[1:] < 0).all()
    assert (LIMIT_HIGH[1:] > 0).all()


def test_the_penalty_is_smooth() -> None:
    """Its slope is that of finite differences, and zero at the limit itself."""
    pose = bent(left_knee=(-60, 10, 30), head=(5, 100, 0)).double()[None].requires_grad_()
    (slope,) = torch.autograd.grad(joint_limits(pose), pose)
    way = torch.randn(pose.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    with torch.no_grad():
        ahead, behind = (float(joint_limits(pose + step * way)) for step in (1e-4, -1e-4))
    assert (ahead - behind) / 2e-4 == pytest.approx(float((slope * way).sum()), rel=1e-3)
    edge = torch.zeros(1, 1, 24, 3)
    edge[..., J["left_knee"], 0] = LIMIT_LOW[J["left_knee"], 0]
    edge.requires_grad_()
    assert torch.autograd.grad(joint_limits(edge), edge)[0].abs().max() == 0
