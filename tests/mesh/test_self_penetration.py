# SPDX-License-Identifier: Apache-2.0
"""A body inside itself: a hand in the thigh is found, bent joints are not, and gradients are true."""

from __future__ import annotations

import igl
import numpy as np
import pytest
import torch
from support.meshes import body, body_faces
from torch import Tensor

from closeint_core.body.data import JOINT_NAMES
from closeint_core.body.skinning import lbs
from closeint_core.errors import CloseintError
from closeint_core.mesh.closest import triangle_distance
from closeint_core.mesh.patches import pose as boxes_of
from closeint_core.mesh.self_penetration import SolidParts
from closeint_core.mesh.winding import Lattice, winding_numbers

JOINT = {name: index for index, name in enumerate(JOINT_NAMES)}


@pytest.fixture(scope="module")
def solids() -> SolidParts:
    return SolidParts(body())


def posed(*poses: dict[str, tuple[float, float, float]]) -> Tensor:
    """(1, T, V, 3) bodies with some joints turned."""
    angles = np.zeros((1, len(poses), 24, 3), np.float32)
    for t, pose in enumerate(poses):
        for name, angle in pose.items():
            angles[0, t, JOINT[name]] = angle
    shape = np.zeros((1, 1, 10), np.float32)
    return torch.as_tensor(lbs(body(), angles, shape, np.zeros((1, len(poses), 3), np.float32))[0])


ARM_IN_HIP = {"left_shoulder": (0.0, 0.0, -1.6)}


def test_rest_and_bent_joints_are_not_inside_themselves(solids: SolidParts) -> None:
    vertices = posed(
        {},
        {"left_elbow": (0, -1.2, 0), "right_knee": (1.2, 0, 0)},
        {"left_shoulder": (0, 0, -1.0), "right_shoulder": (0, 0, 1.0)},
    )
    assert len(solids.find_inside(vertices)) == 0


def test_a_hand_in_the_hip(solids: SolidParts) -> None:
    vertices, data = posed(ARM_IN_HIP), body()
    found = solids.find_inside(vertices)
    hand = torch.as_tensor(data.parts == JOINT["left_hand"])
    thigh_faces = (data.parts[data.faces] == JOINT["left_hip"]).sum(1) >= 2
    # The winding number of the thigh's open skin is near 1 well inside it, near 0 well outside.
    skin = np.ascontiguousarray(data.faces[thigh_faces], np.int64)
    at = vertices[0, 0].double().numpy()
    winding = igl.winding_number(at, skin, at[hand.numpy()])
    index = np.flatnonzero(hand.numpy())
    in_thigh = found.vertex[torch.as_tensor(thigh_faces)[found.face]].numpy()
    assert (winding > 0.9).sum() > 20
    assert set(index[winding > 0.9]) <= set(in_thigh)
    assert not set(index[winding < 0.1]) & set(in_thigh)


def test_depth_is_that_to_the_skin_of_the_part(solids: SolidParts) -> None:
    vertices, faces = posed(ARM_IN_HIP), body_faces()
    found = solids.find_inside(vertices)
    of_face = torch.as_tensor(np.sort(body().parts[body().faces], 1)[:, 1])
    for i in range(0, len(found), 40):
        part = faces[of_face == of_face[found.face[i]]]
        corners = vertices[0, 0][part].double().permute(1, 2, 0)
        point = vertices[0, 0, found.vertex[i]].double()[:, None].expand(-1, len(part))
        assert found.depth[i].item() == pytest.approx(triangle_distance(point, corners).min().sqrt().item(), abs=1e-6)


def test_people_and_frames_do_not_mix(solids: SolidParts) -> None:
    inside, free = posed(ARM_IN_HIP), posed({})
    found = solids.find_inside(torch.cat([torch.cat([free, inside], 1), torch.cat([inside, free], 1) + 5.0]))
    alone = solids.find_inside(inside)
    for frame, person in ((1, 0), (0, 1)):
        rows = (found.frame == frame) & (found.person == person)
        assert torch.equal(found.vertex[rows], alone.vertex)
        assert torch.allclose(found.depth[rows], alone.depth, atol=1e-5)
    assert len(found) == 2 * len(alone)


def test_what_is_inside_is_what_asking_every_vertex_finds(solids: SolidParts) -> None:
    """Vertices far from a part are not asked about it: the same is found as if they were."""
    vertices = posed(ARM_IN_HIP, {"right_elbow": (0.0, 2.4, 0.0), "right_shoulder": (0.3, 0.9, 0.2)})
    middles = [vertices[:, :, ring].mean(2, keepdim=True) for ring in solids.rings]
    at = Lattice.around(vertices).put(torch.cat([vertices, *middles], 2)).flatten(1, 2)
    expected = set()
    for part in solids.parts:
        everything = solids.groups[part.groups][part.own].unique()
        points = at[:, :, everything]
        own = torch.ones(points.shape[1:], dtype=torch.bool)
        inside = winding_numbers(points, own, torch.arange(at.shape[1]), boxes_of(part.solid, at)) > 0
        number = int(part.faces[0])
        expected |= {(int(t), int(everything[v]), number) for t, v in inside.nonzero()}
    found = solids.find_inside(vertices)
    first = {int(face): int(part.faces[0]) for part in solids.parts for face in part.faces}
    assert {
        (int(t), int(v), first[int(face)]) for t, v, face in zip(found.frame, found.vertex, found.face, strict=True)
    } == expected
    assert len(expected) > 50


def test_gradient_equals_differences(solids: SolidParts) -> None:
    vertices = posed(ARM_IN_HIP).double().requires_grad_()
    found = solids.find_inside(vertices)
    deep = found.depth.detach() > 2e-3
    gradient = torch.autograd.grad((deep * found.depth).sum(), vertices)[0]
    way = torch.randn(vertices.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    values = []
    for sign in (1, -1):
        moved = solids.find_inside((vertices + sign * 1e-6 * way).detach())
        parts = torch.as_tensor(np.sort(body().parts[body().faces], 1)[:, 1])
        key = [one.vertex * 24 + parts[one.face] for one in (moved, found)]
        order = key[0].argsort()
        values.append(moved.depth[order[torch.searchsorted(key[0][order], key[1][deep])]].sum())
    assert ((values[0] - values[1]) / 2).item() == pytest.approx((gradient * 1e-6 * way).sum().item(), rel=0.01)


def test_no_number_is_refused(solids: SolidParts) -> None:
    vertices = posed({})
    vertices[0, 0, 3, 0] = torch.nan
    with pytest.raises(CloseintError):
        solids.find_inside(vertices)
