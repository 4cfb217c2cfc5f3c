# SPDX-License-Identifier: Apache-2.0
"""Linear blend skinning: against smplx, against a naive loop, and its invariances."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from scipy.spatial.transform import Rotation
from support.official_files import model_fields, official_pickle, smpl_fields

from closeint_core.body import smpl_files
from closeint_core.body.data import BodyData, load_body
from closeint_core.body.skinning import axis_angle_to_matrix, joint_transforms, lbs, vertex_normals

ZERO = np.zeros(3, np.float32)


@pytest.fixture(scope="module")
def body() -> BodyData:
    return load_body()


@pytest.fixture(scope="module")
def corrective_body(tmp_path_factory: pytest.TempPathFactory) -> BodyData:
    """A small random body with pose correctives, as SMPL has."""
    folder = tmp_path_factory.mktemp("smpl")
    np.save(folder / "J_regressor_halpe.npy", np.random.default_rng(0).dirichlet(np.ones(60), 26))
    (folder / "SMPL_MALE.pkl").write_bytes(official_pickle(model_fields()))
    return smpl_files.load_smpl(folder / "SMPL_MALE.pkl")


def naive(body: BodyData, pose: np.ndarray, betas: np.ndarray, transl: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """One body, in float64, from the definition, with scipy's rotations."""
    rest = body.template + np.einsum("vab,b->va", body.shapedirs.astype(np.float64), betas)
    joints = body.joint_regressor.astype(np.float64) @ rest
    local = Rotation.from_rotvec(pose).as_matrix()
    if body.posedirs is not None:
        rest = rest + np.einsum("vab,b->va", body.posedirs, (local[1:] - np.eye(3)).ravel())
    transforms: list[np.ndarray] = []
    for joint, parent in enumerate(body.parents):
        matrix = np.eye(4)
        matrix[:3, :3] = local[joint]
        matrix[:3, 3] = joints[joint] - (joints[parent] if parent >= 0 else 0.0)
        transforms.append(matrix if parent < 0 else transforms[parent] @ matrix)
    posed = np.array([matrix[:3, 3] for matrix in transforms])
    vertices = np.zeros_like(rest)
    for joint, matrix in enumerate(transforms):
        moved = (rest - joints[joint]) @ matrix[:3, :3].T + matrix[:3, 3]
        vertices += body.dense_weights[:, joint : joint + 1] * moved
    return vertices + transl, posed + transl


@pytest.mark.parametrize("which", ["body", "corrective_body"])
def test_against_the_definition(which: str, request: pytest.FixtureRequest) -> None:
    data: BodyData = request.getfixturevalue(which)
    rng = np.random.default_rng(0)
    poses = rng.normal(0.0, 0.6, (2, 3, 24, 3))
    betas, transl = rng.normal(size=(2, 1, 10)), rng.normal(size=(2, 3, 3))
    vertices, joints = lbs(data, poses, betas, transl)
    assert vertices.shape == (2, 3, data.num_vertices, 3)
    for p in range(2):
        for t in range(3):
            wanted = naive(data, poses[p, t], betas[p, 0], transl[p, t])
            np.testing.assert_allclose(vertices[p, t], wanted[0], atol=5e-6)
            np.testing.assert_allclose(joints[p, t], wanted[1], atol=5e-6)


def test_against_smplx(body: BodyData, tmp_path: Path) -> None:
    """The default body written in SMPL's layout, posed by smplx: at most 1e-5 m apart."""
    smplx = pytest.importorskip("smplx")
    import torch
    from smplx.utils import Struct

    fields = smpl_fields(body)
    model = smplx.SMPL(str(tmp_path), data_struct=Struct(**fields), num_betas=10, create_transl=False)
    rng = np.random.default_rng(1)
    poses = rng.normal(0.0, 0.5, (6, 24, 3)).astype(np.float32)
    poses[0] = 0.0
    betas, transl = rng.normal(0, 1.5, (6, 10)).astype(np.float32), rng.normal(size=(6, 3)).astype(np.float32)
    vertices, joints = lbs(body, poses, betas, transl)
    with torch.no_grad():
        output = model(
            betas=torch.tensor(betas),
            body_pose=torch.tensor(poses[:, 1:]).flatten(1),
            global_orient=torch.tensor(poses[:, :1]).flatten(1),
            transl=torch.tensor(transl),
        )
    assert np.abs(vertices - output.vertices.numpy()).max() < 1e-5
    assert np.abs(joints - output.joints.numpy()[:, :24]).max() < 1e-5


def test_chunks_join(body: BodyData) -> None:
    """More frames than one chunk, two shapes: each frame as if alone."""
    rng = np.random.default_rng(2)
    poses, transl = rng.normal(0, 0.3, (2, 35, 24, 3)), rng.normal(size=(2, 35, 3))
    betas = rng.normal(size=(2, 1, 10))
    vertices, _ = lbs(body, poses, betas, transl)
    for p, t in ((0, 0), (0, 31), (0, 32), (1, 0), (1, 34)):
        np.testing.assert_allclose(vertices[p, t], lbs(body, poses[p, t], betas[p, 0], transl[p, t])[0], atol=2e-6)


vectors = npst.arrays(np.float64, 3, elements=st.floats(-4, 4))


@settings(max_examples=200, deadline=None)
@given(vectors)
def test_rodrigues(vector: np.ndarray) -> None:
    np.testing.assert_allclose(axis_angle_to_matrix(vector), Rotation.from_rotvec(vector).as_matrix(), atol=1e-12)


@pytest.mark.parametrize("size", [0.0, 1e-12, 1e-6, 1e-3, 9.9e-3, 1.01e-2, np.pi, 2 * np.pi])
def test_rodrigues_at_its_seams(size: float) -> None:
    vector = size * np.array([0.6, -0.48, 0.64])
    wanted = Rotation.from_rotvec(vector).as_matrix()
    np.testing.assert_allclose(axis_angle_to_matrix(vector), wanted, atol=1e-12)
    single = axis_angle_to_matrix(vector.astype(np.float32))
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, wanted, atol=1e-6)


@settings(max_examples=15, deadline=None)
@given(betas=npst.arrays(np.float32, 10, elements=st.floats(-3, 3, width=32)), transl=vectors)
def test_identity_pose_is_the_rest_body(betas: np.ndarray, transl: np.ndarray) -> None:
    data = load_body()
    vertices, joints = lbs(data, np.zeros((24, 3)), betas, transl)
    rest = data.rest(betas)
    np.testing.assert_allclose(vertices, rest[0] + transl, atol=3e-6)
    np.testing.assert_allclose(joints, rest[1] + transl, atol=3e-6)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 1000), turn=npst.arrays(np.float64, 3, elements=st.floats(-3, 3)))
def test_turning_the_root_turns_the_body(seed: int, turn: np.ndarray) -> None:
    """Rigid about joint 0: distances keep, and every point turns by the same rotation."""
    data = load_body()
    rng = np.random.default_rng(seed)
    pose, betas = rng.normal(0, 0.4, (24, 3)), rng.normal(size=10)
    vertices, joints = lbs(data, pose, betas, ZERO)
    turned = pose.copy()
    rotation = Rotation.from_rotvec(turn)
    turned[0] = (rotation * Rotation.from_rotvec(pose[0])).as_rotvec()
    moved, moved_joints = lbs(data, turned, betas, ZERO)
    np.testing.assert_allclose(moved_joints[0], joints[0], atol=1e-6)
    np.testing.assert_allclose(moved, rotation.apply(vertices - joints[0]) + joints[0], atol=1e-5)
    np.testing.assert_allclose(moved_joints, rotation.apply(joints - joints[0]) + joints[0], atol=1e-5)


def test_transforms_are_rigid_chains(body: BodyData) -> None:
    rng = np.random.default_rng(3)
    rotations = Rotation.random(5 * 24, random_state=3).as_matrix().reshape(5, 24, 3, 3)
    joints = body.rest(rng.normal(size=10))[1]
    world = joint_transforms(rotations, joints, body.parents)
    assert world.shape == (5, 24, 4, 4)
    turns = world[..., :3, :3]
    np.testing.assert_allclose(turns @ turns.swapaxes(-1, -2), np.broadcast_to(np.eye(3), turns.shape), atol=1e-5)
    heads = world[..., :3, 3]
    lengths = np.linalg.norm(heads[:, 1:] - heads[:, body.parents[1:]], axis=-1)
    wanted = np.linalg.norm(joints[1:] - joints[body.parents[1:]], axis=-1)
    np.testing.assert_allclose(lengths, np.broadcast_to(wanted, lengths.shape), atol=1e-5)


def test_the_posed_body_stays_closed_and_keeps_its_volume(body: BodyData) -> None:
    """Skinning loses volume at bent joints; hanging arms and a deep squat must not lose much."""
    import trimesh

    from closeint_core.body.data import JOINT_NAMES

    def volume(pose: np.ndarray) -> float:
        vertices, _ = lbs(body, pose, np.zeros(10), ZERO)
        mesh = trimesh.Trimesh(vertices, body.faces, process=False)
        assert mesh.is_watertight
        return float(mesh.volume)

    rest = volume(np.zeros((24, 3)))
    arms, squat = np.zeros((24, 3)), np.zeros((24, 3))
    for side, sign in (("left", -1.0), ("right", 1.0)):
        arms[JOINT_NAMES.index(f"{side}_shoulder"), 2] = sign * 1.2
        squat[JOINT_NAMES.index(f"{side}_hip"), 0] = -1.7
        squat[JOINT_NAMES.index(f"{side}_knee"), 0] = 2.0
    assert 0.97 < volume(arms) / rest < 1.03
    assert 0.90 < volume(squat) / rest < 1.10


def test_normals_of_a_sphere_point_outwards():
    mesh = trimesh.creation.icosphere(4, radius=1.0)
    mesh.apply_translation((1, 2, 3))
    normals = vertex_normals(np.asarray(mesh.vertices), np.asarray(mesh.faces))
    assert np.abs(normals - (mesh.vertices - [1, 2, 3])).max() < 0.02
