# SPDX-License-Identifier: Apache-2.0
"""The generator of the sample: keyed curves, exact feet and legs, measured builds, contact geometry, solving."""

from __future__ import annotations

from dataclasses import replace

import igl
import numpy as np
import pytest
import roma
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sample import collide, film, gait, keys, motions, rig, solve, truth
from sample.keys import Build, Step

from closeint_core.body.data import load_body
from closeint_core.body.skinning import lbs


@pytest.fixture(scope="module")
def person() -> rig.Rig:
    return rig.load_rig(rig.shape_of(Build(1.75, 23.0, 1.9)))


@given(
    st.lists(st.floats(0.01, 2.0), min_size=1, max_size=6),
    st.lists(st.floats(-5, 5), min_size=7, max_size=7),
)
def test_keyed_curves_pass_their_keys_and_never_overshoot(gaps: list[float], values: list[float]) -> None:
    times = np.concatenate(([0.0], np.cumsum(gaps)))
    table = np.column_stack((times, values[: len(times)]))
    np.testing.assert_allclose(keys.sample_keys(table, times)[:, 0], table[:, 1], atol=1e-9)
    dense = keys.sample_keys(table, np.linspace(-1, times[-1] + 1, 200))
    assert dense.min() >= table[:, 1].min() - 1e-9
    assert dense.max() <= table[:, 1].max() + 1e-9


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_axis_rotations_agree_with_roma(axis: int) -> None:
    angle = torch.linspace(-3, 3, 13)
    expected = roma.rotvec_to_rotmat(angle[:, None] * torch.eye(3)[axis])
    torch.testing.assert_close(rig.axis_rotation(axis, angle), expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize("build", [Build(1.6, 20.0, 1.8), Build(1.85, 28.0, 2.0)])
def test_shape_has_the_asked_build(build: Build) -> None:
    body = load_body("default")
    vertices, joints = body.rest(rig.shape_of(build))
    volume = igl.volume  # the signed volumes of tetrahedra with the origin sum up to the body's
    tetrahedra = np.column_stack((body.faces + 1, np.zeros(len(body.faces), int)))
    points = np.vstack((np.zeros(3), vertices)).astype(np.float64)
    litres = abs(float(np.sum(volume(points, tetrahedra)))) * 1000
    assert np.ptp(vertices[:, 1]) == pytest.approx(build.stature, abs=0.005)
    assert litres / build.stature**2 == pytest.approx(build.bmi, rel=0.03)
    assert (joints[16, 0] - joints[17, 0]) / (joints[1, 0] - joints[2, 0]) == pytest.approx(build.taper, rel=0.03)


def test_kinematics_and_skinning_agree_with_the_body_model(person: rig.Rig) -> None:
    torch.manual_seed(1)
    poses = 0.4 * torch.randn(3, 24, 3)
    pelvis = torch.randn(3, 3)
    world, places = person.forward(roma.rotvec_to_rotmat(poses), pelvis)
    transl = (pelvis - person.joints[0]).numpy()
    vertices, joints = lbs(load_body("default"), poses.numpy(), rig.shape_of(Build(1.75, 23.0, 1.9)), transl)
    np.testing.assert_allclose(places.numpy(), joints, atol=1e-5)
    picked = torch.arange(0, len(person.rest), 37)
    mine = person.points(world, places, torch.ones_like(picked), picked)
    np.testing.assert_allclose(mine.numpy(), vertices[1, picked.numpy()], atol=1e-5)
    mean, _ = person.surface(world, places, person.patch(picked[:9]))
    np.testing.assert_allclose(mean.numpy(), vertices[:, picked[:9].numpy()].mean(1), atol=1e-5)


@settings(max_examples=25, deadline=None)
@given(
    st.floats(0.55, 0.98),
    st.floats(-0.5, 0.5),
    st.floats(-0.3, 0.3),
    st.floats(-1, 1),
    st.sampled_from(["left", "right"]),
)
def test_legs_reach_their_targets(person: rig.Rig, far: float, x: float, y: float, turn: float, side: str) -> None:
    """The ankle and the foot end where they were asked to be, and the knee bends the right way."""
    length = float(person.joints[0, 1] - person.joints[7, 1]) - 0.08
    down = torch.tensor([[x, y, -1.0]])
    pelvis, pelvis_turn = torch.zeros(1, 3), rig.BASE[None]
    foot = rig.axis_rotation(2, torch.tensor([turn])) @ rig.BASE
    hip = person.joints[rig.JOINT[f"{side}_hip"]] - person.joints[0]
    ankle = rig.BASE @ hip + far * length * down / down.norm()
    pole = torch.tensor([[1.0, 0.0, 0.0]])
    hip_turn, knee, heel, over = rig.solve_leg(person, side, pelvis, pelvis_turn, ankle, foot, pole)
    local = torch.eye(3).repeat(1, 24, 1, 1)
    local[:, 0] = pelvis_turn
    for name, value in (("hip", hip_turn), ("knee", knee), ("ankle", heel)):
        local[:, rig.JOINT[f"{side}_{name}"]] = value
    world, places = person.forward(local, pelvis)
    assert over.item() == 0
    torch.testing.assert_close(places[:, rig.JOINT[f"{side}_ankle"]], ankle, atol=1e-4, rtol=0)
    torch.testing.assert_close(world[:, rig.JOINT[f"{side}_ankle"]], foot, atol=1e-4, rtol=0)
    assert roma.rotmat_to_rotvec(knee)[0, 0] > 0


def test_feet_stand_still_between_steps_and_never_sink(person: rig.Rig) -> None:
    times = np.arange(72) / 24
    steps = [Step("left", 0.5, 1.0, (0.6, 0.1, 20)), Step("left", 1.8, 2.2, (0.2, 0.1, 0), 8, -12)]
    path = gait.foot_path(person, "left", (0.0, 0.1, 5.0), steps, times)
    flat = (path.planted > 0) & (np.abs(path.place[:, 2]) < 1e-9)
    ends = {tuple(np.round(place[:2], 6)) for place in path.place[flat]}
    assert ends == {(0.0, 0.1), (0.6, 0.1), (0.2, 0.1)}
    assert path.place[(times > 0.6) & (times < 0.9), 2].min() > 0.01
    assert gait.clearance(person, "left", path.ankle, path.turn, path.toes).max() < 1e-5


def test_overlapping_steps_are_refused(person: rig.Rig) -> None:
    steps = [Step("left", 0.5, 1.0, (0.6, 0.1, 0)), Step("left", 1.05, 1.4, (0.2, 0.1, 0))]
    with pytest.raises(ValueError, match="left foot"):
        gait.foot_path(person, "left", (0.0, 0.1, 0.0), steps, np.arange(48) / 24)


def test_mesh_distance_agrees_with_a_sphere() -> None:
    import trimesh

    ball = trimesh.creation.icosphere(subdivisions=4, radius=0.1)
    points = np.random.default_rng(0).uniform(-0.13, 0.13, (400, 3))
    found = truth.mesh_distance(points, np.asarray(ball.vertices), np.asarray(ball.faces), 0.05)
    expected = np.minimum(np.linalg.norm(points, axis=1) - 0.1, 0.05)
    near = expected > -0.05
    np.testing.assert_allclose(found[near], expected[near], atol=1e-3)


def test_limbs_overlap_by_their_bones() -> None:
    places = torch.zeros(1, 24, 3)
    places[0, [16, 18, 20]] = torch.tensor([[0.0, 0.0, 0.0], [0.3, 0.0, 0.0], [0.6, 0.0, 0.0]])
    places[0, [17, 19, 21]] = torch.tensor([[0.0, 5.0, 0.0], [0.3, 5.0, 0.0], [0.6, 5.0, 0.0]])
    radii = torch.full((4,), 0.05)
    for apart, deepest in ((0.2, 0.0), (0.07, 0.03), (0.0, 0.1)):
        other = places + torch.tensor([0.0, 0.0, apart])
        overlap = collide.limb_overlap([places, other], [radii, radii])
        assert overlap.max().item() == pytest.approx(deepest, abs=1e-6)


@pytest.mark.parametrize("name", sorted(motions.MOTIONS))
def test_a_short_solve_brings_the_people_together(name: str) -> None:
    """A handful of steps at a coarse frame rate already pulls touching points nearer and keeps the ankles exact."""
    torch.manual_seed(0)
    scene = solve.Scene(replace(motions.MOTIONS[name], fps=6.0))
    with torch.no_grad():
        before = sum(v.item() for v in scene.energy([actor.pose() for actor in scene.actors], None).values())
    lines: list[str] = []
    poses = scene.solve(1, 8, lines.append)
    scene.reserve = 0.0
    after = sum(v.item() for v in scene.energy(poses, None).values())
    assert after < 0.7 * before
    assert len(lines) == 1
    for actor, pose in zip(scene.actors, poses, strict=True):
        reached = pose.out_of_reach < 1e-6
        for column, (joint, ankle) in enumerate(zip((7, 8), actor.ankles, strict=True)):
            error = (pose.places[:, joint] - ankle).norm(dim=-1)[reached[:, column]]
            assert error.max() < 1e-3


def test_a_seed_changes_people_and_camera_but_not_the_motion() -> None:
    motion = motions.MOTIONS["greeting"]
    assert film.varied(motion, 0) is motion
    one, two = film.varied(motion, 1), film.varied(motion, 2)
    assert one.camera.position != two.camera.position
    assert one.roles[0].build != two.roles[0].build
    assert one.roles[0].steps == motion.roles[0].steps
    assert film.varied(motion, 1) == one
