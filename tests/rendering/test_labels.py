# SPDX-License-Identifier: Apache-2.0
import pytest
import torch

from closeint_core.body.data import load_body
from closeint_core.body.parts import PART_INDEX, PARTS
from closeint_core.body.torch_body import TorchBody
from closeint_core.rendering.labels import TouchGaps, depth_order, seen_joints, touch_of
from closeint_core.rendering.mesh import PersonMesh
from closeint_core.rendering.rasterizer import Rasterizer


@pytest.fixture(scope="module")
def body() -> TorchBody:
    return TorchBody(load_body("default"))


@pytest.fixture(scope="module")
def mesh(body) -> PersonMesh:
    return PersonMesh(body)


def beside(body, mesh, distance: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Two people at rest side by side, the left hand of the first ``distance`` metres from the second's right one."""
    skin = body.template
    width = skin[:, 0].max() - skin[:, 0].min()
    two = skin + torch.tensor([float(width) + distance, 0.0, 0.0])
    full = torch.cat([skin, mesh.rest[mesh.body_count :]])
    normals = mesh.normals(full[None])[:, : mesh.body_count]
    return torch.stack([skin, two])[None], normals[:, None].expand(-1, 2, -1, -1)


@pytest.mark.parametrize("distance", [0.0, 0.02, 0.1])
def test_gap_of_hands_is_their_distance(body, mesh, distance):
    skins, normals = beside(body, mesh, distance)
    gaps, places = TouchGaps(body, mesh)(skins, normals)
    left, right = PART_INDEX["left_hand"], PART_INDEX["right_hand"]
    assert gaps.shape == (1, 30, 30)
    assert gaps[0, left, right].item() == pytest.approx(distance, abs=0.012)
    assert gaps.amin() == gaps[0, left, right]
    # Halfway between the outermost points of both.
    edge = skins[0, 0, :, 0].max() + distance / 2
    assert places[0, left, right, 0].item() == pytest.approx(edge.item(), abs=0.012)
    # An arm's length away, and the whole width for the other hands.
    assert gaps[0, right, left].item() > 3 * abs(body.joint_template[22, 0].item())


def test_a_back_touches_a_belly_and_not_the_other_way(body, mesh):
    skins, normals = beside(body, mesh, 0.0)
    deep = body.template[:, 2][mesh.joints == 6]
    skins[0, 1] = skins[0, 0] + torch.tensor([0.0, 0.0, float(deep.max() - deep.min())])  # the second stands before
    touch = touch_of(TouchGaps(body, mesh)(skins, normals)[0])[0]
    front, back = PART_INDEX["spine2_front"], PART_INDEX["spine2_back"]
    assert touch[front, back] == 1
    assert touch[back, front] == 0


def test_gaps_between_are_not_counted():
    assert touch_of(torch.tensor([0.01, 0.04, 0.06])).tolist() == [1.0, -1.0, 0.0]


def test_depth_order_of_one_before_the_other(body, mesh):
    size = 64
    at = mesh.rest * 25 + torch.tensor([32.0, 32.0, 0.0])
    pixels = torch.stack([at, at])[None].repeat(2, 1, 1, 1)
    pixels[..., 2] = 0.02 * pixels[..., 2] + 3
    pixels[0, 1, :, 2] += 1  # the second behind
    pixels[1, 0, :, 2] += 1
    depth = pixels[..., 2].mean(-1)
    order = depth_order(Rasterizer(torch.device("cpu")), mesh, pixels, size, depth)
    assert order.nearer.tolist() == [1.0, 0.0]
    known = order.before[0, 0] >= 0
    assert known.sum() > len(PARTS) // 3
    assert (order.before[0, 0][known] == 1).all()
    assert (order.before[0, 1][order.before[0, 1] >= 0] == 0).all()
    # Both stand in the same place, and each is seen whole.
    assert torch.equal(order.whole[0, 0], order.whole[0, 1])
    assert set(order.whole[0, 0].unique().tolist()) > {0, 1 + PART_INDEX["head"], 1 + PART_INDEX["left_hand"]}
    apart = pixels.clone()
    apart[:, 1, :, 0] += 500
    far = depth_order(Rasterizer(torch.device("cpu")), mesh, apart, size, torch.full((2, 2), 3.0))
    assert (far.before == -1).all()
    assert (far.nearer == -1).all()


def test_a_covered_joint_is_not_seen():
    parts = torch.full((1, 20, 20), 1 + PART_INDEX["left_elbow"])
    depth = torch.full((1, 20, 20), 3.0)
    joints = torch.full((1, 2, 13, 3), 10.0)
    joints[..., 2] = 3.0
    seen = seen_joints(parts, depth, joints, 2.0)[0]
    assert seen[0].nonzero()[:, 0].tolist() == [3, 5]  # a forearm shows the elbow and the wrist
    assert not seen[1].any()
    joints[..., 0] = 40.0  # outside of the picture
    assert not seen_joints(parts, depth, joints, 2.0).any()
