# SPDX-License-Identifier: Apache-2.0
"""The torch body: equal to numpy, gradients, and keypoints without the mesh."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from support.official_files import model_fields, official_pickle

from closeint_core.body import smpl_files
from closeint_core.body.data import BodyData, load_body
from closeint_core.body.skinning import axis_angle_to_matrix, joint_transforms, lbs
from closeint_core.body.torch_body import TorchBody


@pytest.fixture(scope="module", params=["default", "correctives"])
def body(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> BodyData:
    if request.param == "default":
        return load_body()
    folder = tmp_path_factory.mktemp("smpl")
    rng = np.random.default_rng(0)
    sparse = rng.dirichlet(np.ones(60), 26) * (rng.random((26, 60)) < 0.2)
    np.save(folder / "J_regressor_halpe.npy", sparse)
    (folder / "SMPL_MALE.pkl").write_bytes(official_pickle(model_fields()))
    return smpl_files.load_smpl(folder / "SMPL_MALE.pkl")


def motion(people: int = 2, frames: int = 5, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    poses = 0.5 * torch.randn(people, frames, 24, 3, generator=generator)
    betas = torch.randn(people, 1, 10, generator=generator)
    return poses, betas, torch.randn(people, frames, 3, generator=generator)


def rotations_of(poses: torch.Tensor) -> torch.Tensor:
    return torch.as_tensor(axis_angle_to_matrix(poses.numpy()))


@pytest.mark.parametrize("frames", [1, 12])  # one product per shape needs several frames; both ways
def test_equals_numpy(body: BodyData, frames: int) -> None:
    poses, betas, transl = motion(frames=frames)
    output = TorchBody(body)(poses, betas, transl)
    vertices, joints = lbs(body, poses.numpy(), betas.numpy(), transl.numpy())
    assert output.vertices.shape == vertices.shape
    np.testing.assert_allclose(output.vertices.numpy(), vertices, atol=1e-5)
    np.testing.assert_allclose(output.joints.numpy(), joints, atol=1e-5)


def test_matrices_subsets_and_broadcasting(body: BodyData) -> None:
    model = TorchBody(body)
    poses, betas, transl = motion()
    full = model(poses, betas, transl)
    matrices = model(rotations_of(poses), betas, transl)
    torch.testing.assert_close(matrices.vertices, full.vertices, atol=1e-5, rtol=0)
    ids = torch.tensor([5, 3, 50, 3])
    torch.testing.assert_close(model(poses, betas, transl, ids).vertices, full.vertices[..., ids, :], atol=1e-5, rtol=0)
    spread = model(poses, betas.expand(2, 5, 10), transl)
    torch.testing.assert_close(spread.vertices, full.vertices, atol=1e-5, rtol=0)
    one = model(poses[0, 0], betas[0, 0], transl[0, 0])
    torch.testing.assert_close(one.vertices, full.vertices[0, 0], atol=1e-5, rtol=0)
    short = model(poses, betas[..., :3], transl)
    padded = torch.cat([betas[..., :3], torch.zeros(2, 1, 7)], dim=-1)
    torch.testing.assert_close(short.vertices, model(poses, padded, transl).vertices, atol=1e-5, rtol=0)
    with pytest.raises(ValueError, match="poses must be"):
        model(poses[..., :23, :], betas, transl)
    with pytest.raises(ValueError, match="coefficients"):
        model(poses, torch.zeros(2, 1, 11), transl)


def test_skeleton_equals_numpy(body: BodyData) -> None:
    poses, betas, transl = motion()
    skeleton = TorchBody(body).skeleton(rotations_of(poses), betas, transl)
    rest = body.rest(betas.numpy())[1]
    world = joint_transforms(rotations_of(poses).numpy(), rest, body.parents)
    np.testing.assert_allclose(skeleton.rotations.numpy(), world[..., :3, :3], atol=1e-5)
    np.testing.assert_allclose(skeleton.joints.numpy(), world[..., :3, 3] + transl.numpy()[..., None, :], atol=1e-5)
    placed = np.einsum("ptjab,ptjb->ptja", world[..., :3, :3], np.broadcast_to(rest, (2, 5, 24, 3)))
    np.testing.assert_allclose((skeleton.offsets + torch.as_tensor(placed)).numpy(), skeleton.joints.numpy(), atol=1e-5)


@pytest.mark.parametrize("name", ["halpe", "lsp"])
def test_points_equal_regressed_vertices(body: BodyData, name: str) -> None:
    model = TorchBody(body, torch.float64)
    poses, betas, transl = (tensor.double() for tensor in motion())
    rotations = rotations_of(poses)
    skeleton = model.skeleton(rotations, betas, transl)
    vertices = model(rotations, betas, transl).vertices
    regressor = torch.as_tensor(getattr(body, f"{name}_regressor"), dtype=torch.float64)
    points = model.points(name)(skeleton, betas)
    torch.testing.assert_close(points, regressor @ vertices, atol=1e-9, rtol=0)
    single = TorchBody(body)
    fast = single.points(name)(single.skeleton(rotations.float(), betas.float(), transl.float()), betas.float())
    torch.testing.assert_close(fast.double(), points, atol=1e-5, rtol=0)


def test_points_of_any_regressor(body: BodyData) -> None:
    model = TorchBody(body)
    poses, betas, transl = motion()
    rotations = rotations_of(poses)
    skeleton = model.skeleton(rotations, betas, transl)
    vertices = model(poses, betas, transl).vertices
    ids = np.array([7, 2, 44, 2])
    torch.testing.assert_close(model.points(ids)(skeleton, betas), vertices[..., ids, :], atol=1e-5, rtol=0)
    rng = np.random.default_rng(0)
    matrix = rng.normal(size=(5, body.num_vertices)) * (rng.random(body.num_vertices) < 20 / body.num_vertices)
    wanted = torch.as_tensor(matrix, dtype=torch.float32) @ vertices
    torch.testing.assert_close(model.points(matrix)(skeleton, betas), wanted, atol=1e-4, rtol=0)
    per_frame = betas + 0.1 * torch.arange(5.0)[:, None]
    skeleton = model.skeleton(rotations, per_frame, transl)
    wanted = model(poses, per_frame, transl).vertices[..., ids, :]
    torch.testing.assert_close(model.points(ids)(skeleton, per_frame), wanted, atol=1e-5, rtol=0)
    with pytest.raises(ValueError, match="unknown points"):
        model.points("coco")
    with pytest.raises(ValueError, match="regressor must be"):
        model.points(np.zeros((3, 7)))


def test_zero_feature_leaves_out_the_correctives(body: BodyData) -> None:
    if body.posedirs is None:
        pytest.skip("this body has no pose correctives")
    model = TorchBody(body)
    poses, betas, transl = motion()
    skeleton = model.skeleton(rotations_of(poses), betas, transl)
    ids = torch.arange(10)
    plain = model.skin(skeleton._replace(pose_feature=torch.zeros(2, 5, 207)), betas, ids)
    points = model.points(ids)
    torch.testing.assert_close(points(skeleton, betas, torch.zeros(2, 5, 207)), plain, atol=1e-5, rtol=0)
    assert (points(skeleton, betas) - plain).abs().max() > 1e-3


def test_gradients(body: BodyData) -> None:
    """Central differences in float64, through keypoints and through vertices."""
    model = TorchBody(body, torch.float64)
    poses, betas, transl = (tensor.double() for tensor in motion(people=1, frames=5, seed=4))
    points = model.points("halpe")
    ids = torch.tensor([3, 40])
    weights = torch.randn(26, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))

    def energy(poses: torch.Tensor, betas: torch.Tensor, transl: torch.Tensor) -> torch.Tensor:
        import roma

        skeleton = model.skeleton(roma.rotvec_to_rotmat(poses), betas, transl)
        total = (points(skeleton, betas) * weights).square().sum()
        return total + model(poses, betas, transl, ids).vertices.sin().sum()

    inputs = [tensor.clone().requires_grad_() for tensor in (poses, betas, transl)]
    energy(*inputs).backward()
    generator = torch.Generator().manual_seed(1)
    for index in range(3):
        direction = torch.randn(inputs[index].shape, dtype=torch.float64, generator=generator)
        shifted = [tensor.detach().clone() for tensor in inputs]
        shifted[index] += 1e-6 * direction
        above = energy(*shifted)
        shifted[index] -= 2e-6 * direction
        numeric = (above - energy(*shifted)) / 2e-6
        gradient = inputs[index].grad
        assert gradient is not None
        torch.testing.assert_close((gradient * direction).sum(), numeric.detach(), rtol=1e-5, atol=1e-6)


def test_gradient_at_the_rest_pose_is_finite(body: BodyData) -> None:
    """Axis-angle zero is where optimisations begin."""
    poses = torch.zeros(1, 24, 3, requires_grad=True)
    TorchBody(body)(poses, torch.zeros(1, 10), torch.zeros(1, 3)).vertices.square().sum().backward()
    assert poses.grad is not None
    assert torch.isfinite(poses.grad).all()


def test_buffers_are_not_saved(body: BodyData) -> None:
    model = TorchBody(body)
    assert not model.state_dict()
    assert not model.points("lsp").state_dict()
    assert model.to(torch.float64).template.dtype == torch.float64
