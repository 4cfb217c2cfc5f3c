# SPDX-License-Identifier: Apache-2.0
"""The arithmetic of the armature, against naive forward kinematics and scipy."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("hypothesis")
Rotation = pytest.importorskip("scipy.spatial.transform").Rotation

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from closeint_blender.importer import rig  # noqa: E402
from closeint_core.body.data import JOINT_NAMES, PARENTS  # noqa: E402

# A plain T-pose, metres, body's frame.
JOINTS = np.array(
    [
        (0, 0, 0), (0.07, -0.09, 0), (-0.07, -0.09, 0), (0, 0.11, -0.02), (0.10, -0.47, 0), (-0.10, -0.47, 0),
        (0, 0.24, 0.01), (0.09, -0.87, -0.04), (-0.09, -0.87, -0.04), (0, 0.30, 0.03), (0.12, -0.93, 0.08),
        (-0.12, -0.93, 0.08), (0, 0.51, 0), (0.08, 0.42, 0), (-0.08, 0.42, 0), (0, 0.60, 0.05), (0.17, 0.45, -0.02),
        (-0.17, 0.45, -0.02), (0.43, 0.43, -0.04), (-0.43, 0.43, -0.04), (0.68, 0.44, -0.05), (-0.68, 0.44, -0.05),
        (0.76, 0.43, -0.06), (-0.76, 0.43, -0.06),
    ]
)  # fmt: skip

seeds = st.integers(0, 2**32 - 1)


def rest_of(layout: rig.BoneLayout) -> np.ndarray:
    """Rest matrices as Blender makes them: Y along the bone, Z rolled."""
    y = layout.tails - layout.heads
    y /= np.linalg.norm(y, axis=1, keepdims=True)
    x = np.cross(y, layout.z_axes)
    rest = np.tile(np.eye(4), (len(y), 1, 1))
    rest[:, :3, :3] = np.stack([x, y, np.cross(x, y)], axis=2)
    rest[:, :3, 3] = layout.heads
    return rest


def evaluate(rest: np.ndarray, rotations: np.ndarray, root_location: np.ndarray) -> np.ndarray:
    """The bones' pose matrices (T, J, 4, 4) as Blender computes them from channels."""
    count = len(rotations)
    channel = np.tile(np.eye(4), (count, len(PARENTS), 1, 1))
    flat = rotations.reshape(-1, 4)[:, [1, 2, 3, 0]]
    channel[:, :, :3, :3] = Rotation.from_quat(flat).as_matrix().reshape(count, -1, 3, 3)
    channel[:, 0, :3, 3] = root_location
    pose = np.empty_like(channel)
    for j, parent in enumerate(PARENTS):
        if parent < 0:
            pose[:, j] = rest[j] @ channel[:, j]
        else:
            pose[:, j] = pose[:, parent] @ np.linalg.inv(rest[parent]) @ rest[j] @ channel[:, j]
    return pose


def naive_kinematics(joints: np.ndarray, poses: np.ndarray, transl: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Joint rotations (T, J, 3, 3) and positions (T, J, 3) in the world, a frame and a joint at a time."""
    rotations = np.empty((*poses.shape[:2], 3, 3))
    positions = np.empty((*poses.shape[:2], 3))
    for t in range(len(poses)):
        for j, parent in enumerate(PARENTS):
            local = Rotation.from_rotvec(poses[t, j]).as_matrix()
            if parent < 0:
                rotations[t, j], positions[t, j] = local, joints[j] + transl[t]
            else:
                rotations[t, j] = rotations[t, parent] @ local
                positions[t, j] = positions[t, parent] + rotations[t, parent] @ (joints[j] - joints[parent])
    return rotations, positions


@settings(max_examples=25, deadline=None)
@given(seed=seeds)
def test_channels_reproduce_forward_kinematics(seed: int) -> None:
    rng = np.random.default_rng(seed)
    joints = JOINTS + rng.normal(0, 0.01, JOINTS.shape)
    poses = rng.normal(0, 1.5, (4, 24, 3))
    transl = rng.normal(0, 2, (4, 3))
    layout = rig.lay_out_bones(joints, JOINT_NAMES, PARENTS, lift=0.95)
    rest = rest_of(layout)
    channels = rig.pose_channels(poses, transl, joints[0], rest)
    pose = evaluate(rest, channels.rotations, channels.root_location)
    rotations, positions = naive_kinematics(joints, poses, transl)
    np.testing.assert_allclose(pose[..., :3, 3], positions, atol=2e-6)
    # What a bone does to the rest mesh: undo the rest pose (stood up and lifted), turn as the joint does.
    deform = pose @ np.linalg.inv(rest)
    np.testing.assert_allclose(deform[..., :3, :3] @ rig.UPRIGHT, rotations, atol=2e-6)


def test_the_rest_pose_stands_up_and_faces_blender_s_front() -> None:
    head, toe = rig.stand_up(JOINTS[15] - JOINTS[0]), rig.stand_up(JOINTS[10] - JOINTS[7])
    assert head[2] > 0.5
    assert toe[1] < -0.1
    layout = rig.lay_out_bones(JOINTS, JOINT_NAMES, PARENTS, lift=1.0)
    np.testing.assert_allclose(layout.heads, JOINTS @ rig.UPRIGHT.T + [0, 0, 1.0])


def test_bones_point_to_their_children_and_mirror() -> None:
    joints = JOINTS
    layout = rig.lay_out_bones(joints, JOINT_NAMES, PARENTS)
    names = list(JOINT_NAMES)
    for bone, child in (("left_hip", "left_knee"), ("spine3", "neck"), ("right_elbow", "right_wrist")):
        np.testing.assert_allclose(layout.tails[names.index(bone)], layout.heads[names.index(child)])
    rest = rest_of(layout)
    mirror = np.diag([-1.0, 1.0, 1.0])
    for name in names:
        if name.startswith("left_"):
            left, right = rest[names.index(name), :3, :3], rest[names.index(name.replace("left", "right")), :3, :3]
            # A mirrored bone keeps Y and Z mirrored and turns X about, to stay right-handed.
            np.testing.assert_allclose(right, mirror @ left @ np.diag([-1.0, 1.0, 1.0]), atol=1e-9)
    assert (np.linalg.norm(layout.tails - layout.heads, axis=1) >= rig.SHORTEST_BONE).all()


@pytest.mark.parametrize(
    ("joint", "end", "expected"),
    [
        ("left_elbow", "left_wrist", (0, -1, 0)),
        ("right_elbow", "right_wrist", (0, -1, 0)),
        ("left_knee", "left_ankle", (0, 1, 0)),
        ("spine1", "head", (0, -1, 0)),
    ],
)
def test_turning_a_bone_about_its_x_axis_flexes_the_joint(joint: str, end: str, expected: tuple) -> None:
    names = list(JOINT_NAMES)
    rest = rest_of(rig.lay_out_bones(JOINTS, JOINT_NAMES, PARENTS))
    rotations = np.zeros((1, 24, 4))
    rotations[..., 0] = 1
    rotations[0, names.index(joint)] = (np.cos(0.3), np.sin(0.3), 0, 0)
    moved = evaluate(rest, rotations, np.zeros((1, 3)))[0, names.index(end), :3, 3] - rest[names.index(end), :3, 3]
    assert moved @ expected > 0.5 * np.linalg.norm(moved) > 0.01


def test_no_bone_folds_straight_back_on_its_parent() -> None:
    joints = JOINTS.copy()
    joints[3] = (0, 0.11, 0)
    joints[[4, 5], 0] = joints[[1, 2], 0]  # the spine straight up, the thighs straight down
    layout = rig.lay_out_bones(joints, JOINT_NAMES, PARENTS)
    along = layout.tails - layout.heads
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    cosines = [along[j] @ along[parent] for j, parent in enumerate(PARENTS) if parent >= 0]
    assert min(cosines) > -0.96  # towards -1 Blender's rest matrices lose their digits
    assert along[0, 2] > 0.9


def test_coincident_joints_still_make_bones() -> None:
    layout = rig.lay_out_bones(np.zeros((24, 3)), JOINT_NAMES, PARENTS)
    assert (np.linalg.norm(layout.tails - layout.heads, axis=1) >= rig.SHORTEST_BONE - 1e-12).all()
    np.testing.assert_allclose(np.linalg.norm(layout.z_axes, axis=1), 1)
    assert (np.abs(np.sum(layout.z_axes * (layout.tails - layout.heads), axis=1)) < 1e-9).all()


def test_a_turn_beyond_180_degrees_stays_continuous() -> None:
    angle = np.linspace(0, 4 * np.pi, 60)
    rotvec = np.zeros((60, 24, 3))
    wrapped = (angle + np.pi) % (2 * np.pi) - np.pi  # axis-angle as networks give it: it jumps at 180 degrees
    rotvec[:, 0, 1] = wrapped
    rest = rest_of(rig.lay_out_bones(JOINTS, JOINT_NAMES, PARENTS))
    rotations = rig.pose_channels(rotvec, np.zeros((60, 3)), JOINTS[0], rest).rotations
    assert np.abs(np.diff(rotations[:, 0], axis=0)).max() < 0.12
