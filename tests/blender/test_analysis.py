# SPDX-License-Identifier: Apache-2.0
"""The arithmetic of Look and Fix, against the exact meshes and against closed forms. No Blender here."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.fixing_clips import touching_clip

from closeint_blender.analysis.contacts import PairState, contact_error, find_touches, hold_contacts
from closeint_blender.analysis.ground import foot_points, levelling, plan_ground
from closeint_blender.analysis.medial_spheres import fill, medial_spheres, thin_out
from closeint_blender.analysis.points import pose_skeleton, regressed_points
from closeint_blender.analysis.series import jitter, worst_frames
from closeint_blender.analysis.smoothing import mix_motions, range_weight, smooth_motion, smooth_pair
from closeint_blender.analysis.time_filter import gaussian
from closeint_blender.importer.clip_series import gap_lengths
from closeint_blender.importer.rig import PoseChannels, channels_of_matrices, clip_motion, pose_channels
from closeint_core.body.data import DEFAULT_BODY_FILE, PARENTS, load_body
from closeint_core.body.skinning import axis_angle_to_matrix, joint_transforms, lbs, vertex_normals
from closeint_core.clip import InteractionClip

pytestmark = pytest.mark.skipif(not DEFAULT_BODY_FILE.is_file(), reason="the default body is not built")


@functools.cache
def clip() -> InteractionClip:
    return touching_clip()


@functools.cache
def state() -> PairState:
    body = load_body()
    spheres: Any = tuple(fill(body, b) for b in clip().betas)
    return PairState.of(body, clip().poses, clip().transl, clip().betas, spheres)


def test_points_are_the_mesh_s():
    body, rng = load_body(), np.random.default_rng(0)
    poses, transl, betas = rng.normal(0, 0.4, (3, 24, 3)), rng.normal(0, 1, (3, 3)), rng.normal(0, 1, 10)
    vertices, joints = lbs(body, poses, betas, transl)
    skeleton = pose_skeleton(body, poses, betas, transl)
    np.testing.assert_allclose(skeleton.joints, joints, atol=1e-5)
    found = regressed_points(body, betas, body.halpe_regressor).posed(skeleton)
    np.testing.assert_allclose(found, body.halpe_regressor @ vertices, atol=1e-5)


def test_spheres_of_a_sphere_are_that_sphere():
    trimesh = pytest.importorskip("trimesh")
    sphere = trimesh.creation.icosphere(subdivisions=4, radius=0.1)
    points = np.asarray(sphere.vertices, np.float32)
    normals = vertex_normals(points, np.asarray(sphere.faces))
    centres, radii = medial_spheres(points[:50], normals[:50], points)
    np.testing.assert_allclose(radii, 0.1, atol=2e-3)
    np.testing.assert_allclose(centres, 0, atol=2e-3)


def test_spheres_lie_inside_the_skin_and_cover_it():
    trimesh = pytest.importorskip("trimesh")
    body = load_body()
    spheres = fill(body, np.zeros(10))
    rest = state().body.template
    skeleton = pose_skeleton(body, np.zeros((1, 24, 3)), np.zeros(10), np.zeros((1, 3)))
    centres = spheres.centres(skeleton)[0]
    mesh = trimesh.Trimesh(rest, body.faces, process=False)
    depth = trimesh.proximity.signed_distance(mesh, centres)
    assert (depth > 0).mean() > 0.97
    assert np.percentile(spheres.radii - depth, 95) < 0.01  # hardly a sphere looks out
    distance = (np.linalg.norm(rest[::7, None] - centres, axis=-1) - spheres.radii).min(1)
    assert np.percentile(distance, 90) < 0.018
    assert len(np.unique(spheres.parts)) == 24 or set(range(24)) - set(np.unique(spheres.parts)) <= {10, 11, 22, 23}


def test_thin_out_keeps_one_a_cell():
    points = np.random.default_rng(0).uniform(0, 1, (500, 3))
    kept = points[thin_out(points, 0.25)]
    cells = np.floor(kept / 0.25)
    assert len(np.unique(cells, axis=0)) == len(kept) == len(np.unique(np.floor(points / 0.25), axis=0))


def test_gaps_and_depths_are_those_of_the_meshes():
    pytest.importorskip("igl")
    from scipy.spatial import cKDTree

    from closeint_core.mesh.penetration import measure_penetration

    one, body = state(), load_body()
    frames = [0, 4, 8, 14, 20]
    for push in (0.0, 0.04):
        transl = one.transl.copy()
        transl[1, ..., 0] -= push
        gaps = one.moved(one.poses, transl).gaps()[0].min((1, 2))[frames]
        vertices, _ = lbs(body, one.poses[:, frames], one.betas[:, None], transl[:, frames])
        near = [cKDTree(v[1]).query(v[0])[0].min() for v in vertices.swapaxes(0, 1)]
        depth = measure_penetration(vertices, body.faces).max_depth
        expected = np.where(depth > 0, -depth, near)
        assert np.abs(gaps - expected).max() < 0.015


# -- time ------------------------------------------------------------------------------------------------------------


@given(st.floats(0.3, 6.0), st.integers(3, 40))
def test_smoothing_leaves_steady_movement(sigma: float, frames: int) -> None:
    line = np.arange(frames)[:, None] * np.array([1.0, -2.0]) + 3.0
    np.testing.assert_allclose(gaussian(line, sigma), line, atol=1e-9)


def test_smoothing_a_range_leaves_the_rest():
    weight = range_weight(40, 10, 30, 4)
    assert (weight[:10] == 0).all()
    assert (weight[31:] == 0).all()
    assert weight[20] == 1
    assert (range_weight(40, 0, 39, 4) == 1).all()
    held = smooth_pair(state(), 2.0, range_weight(30, 10, 20, 2), find_touches(state()), None)[1]
    np.testing.assert_array_equal(held.poses[:, :10], state().poses[:, :10])
    np.testing.assert_array_equal(held.transl[:, 21:], state().transl[:, 21:])
    assert np.abs(held.poses[:, 12:18] - state().poses[:, 12:18]).max() > 1e-3


def test_smoothing_takes_the_short_way_round():
    angle = np.linspace(0, 4 * np.pi, 41)  # two whole turns: the rotation vector jumps
    turns = angle - 2 * np.pi * np.round(angle / (2 * np.pi))
    poses = np.zeros((41, 1, 3))
    poses[:, 0, 2] = turns
    smooth, _ = smooth_motion(poses, np.zeros((41, 3)), 2.0, np.ones(41))
    error = np.abs(axis_angle_to_matrix(smooth.astype(float)) - axis_angle_to_matrix(poses)).max((1, 2, 3))
    assert error[7:-7].max() < 1e-5  # towards the ends, a turn is continued straight on
    assert error.max() < 0.5


def test_mixing_motions():
    rng = np.random.default_rng(0)
    one, other = ((rng.normal(0, 1, (5, 24, 3)).astype(np.float32), rng.normal(0, 1, (5, 3))) for _ in range(2))
    poses, transl = mix_motions(one, other, np.array([0, 0.5, 1, 1, 0]))
    np.testing.assert_array_equal(poses[[0, 4]], one[0][[0, 4]])
    np.testing.assert_allclose(axis_angle_to_matrix(poses[2]), axis_angle_to_matrix(other[0][2]), atol=1e-5)
    np.testing.assert_allclose(transl[1], (one[1][1] + other[1][1]) / 2, rtol=1e-5)


# -- contacts --------------------------------------------------------------------------------------------------------


def test_contacts_are_found_where_the_hand_is():
    touches = find_touches(state())
    on = np.flatnonzero(touches.touching.any(1))
    assert on.min() >= 3
    assert on.max() <= 25
    assert len(on) >= 12
    assert contact_error(touches, state()) == 0


def test_contacts_are_held_against_a_push():
    """The second person is moved aside by two centimetres: the hand follows."""
    one = state()
    touches = find_touches(one)
    transl = one.transl.copy()
    transl[1, :, 1] += 0.02
    transl[1, :, 0] += 0.03
    pushed = one.moved(one.poses, transl)
    held = hold_contacts(one, pushed, touches)
    assert contact_error(touches, pushed) > 0.008
    assert contact_error(touches, held) < 0.001
    quiet = ~(touches.weight > 0).any(1)
    np.testing.assert_allclose(held.poses[:, quiet], pushed.poses[:, quiet], atol=1e-5)


def test_planted_feet_are_held():
    one = state()
    transl = one.transl + np.array([0.0, 0.0, 0.01], np.float32)
    feet = np.ones((2, one.poses.shape[1], 2))
    none = find_touches(one, reach=-np.inf)
    held = hold_contacts(one, one.moved(one.poses, transl), none, feet)
    for person in (0, 1):
        moved = held.skeletons[person].joints[:, [7, 8]] - one.skeletons[person].joints[:, [7, 8]]
        assert np.linalg.norm(moved, axis=-1).max() < 0.003


# -- floor -----------------------------------------------------------------------------------------------------------


def test_a_slanting_floor_is_levelled():
    rng = np.random.default_rng(0)
    flat = np.column_stack([rng.uniform(-1, 1, (200, 2)), rng.normal(0, 1e-3, 200)])
    angle = np.radians(7)
    slant = np.array([[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]])
    rotation = levelling(flat @ slant.T)
    np.testing.assert_allclose(rotation, slant.T, atol=2e-3)
    assert np.linalg.det(rotation) == pytest.approx(1)
    # Feet in a row tell nothing of the slope across.
    np.testing.assert_array_equal(levelling(np.column_stack([flat[:, 0], flat[:, 0] * 0, flat[:, 0]])), np.eye(3))


def test_the_lowest_feet_come_to_the_floor():
    points = foot_points(load_body(), clip().poses, clip().transl, clip().betas)
    exact = lbs(load_body(), clip().poses, clip().betas[:, None], clip().transl)[0][..., 2].min(-1)
    assert np.abs(points[..., 2].min(-1) - exact).max() < 0.006
    drift = np.linspace(0, 0.2, 150)
    points = np.tile(points, (1, 5, 1, 1)) + np.array([0, 0, 1.0]) * drift[:, None, None]
    plan = plan_ground(points, None, 30.0, level=False, follow=True)
    moved = points[..., 2] + plan.offset[2] + plan.lift[:, None]
    assert np.abs(moved.min((0, 2))).max() < 0.02
    still = plan_ground(points, None, 30.0, level=False, follow=False)
    assert (still.lift == 0).all()


# -- series ----------------------------------------------------------------------------------------------------------


def test_jitter_is_the_acceleration():
    t = np.arange(20) / 25.0
    joints = np.zeros((20, 24, 3))
    joints[:, 5, 2] = 0.5 * 9.81 * t**2
    np.testing.assert_allclose(jitter(joints, 25.0), 9.81, rtol=1e-5)
    assert (jitter(joints[:2], 25.0) == 0).all()


def test_worst_frames():
    values = np.zeros(100)
    values[30:41], values[70], values[75], values[90] = 5, 9, 8, 1
    assert worst_frames(values) == [70, 35]  # 75 is too near 70, and 90 too low
    assert worst_frames(np.zeros(10)) == []
    assert worst_frames(np.zeros(0)) == []


@given(st.lists(st.booleans(), min_size=1, max_size=40))
def test_gap_lengths(visible: list[bool]) -> None:
    lengths = gap_lengths(np.array(visible))
    for t, seen in enumerate(visible):
        start = stop = t
        while start > 0 and not visible[start - 1]:
            start -= 1
        while stop < len(visible) and not visible[stop]:
            stop += 1
        assert lengths[t] == (0 if seen else stop - start)


# -- the rig's way back ----------------------------------------------------------------------------------------------


def test_channels_and_clip_motion_are_inverse():
    rng = np.random.default_rng(1)
    rest = np.tile(np.eye(4), (24, 1, 1))
    rest[:, :3, :3] = axis_angle_to_matrix(rng.normal(0, 1, (24, 3)))
    rest[:, :3, 3] = rng.normal(0, 1, (24, 3))
    poses, transl, root = rng.normal(0, 0.9, (6, 24, 3)), rng.normal(0, 1, (6, 3)), rng.normal(0, 1, 3)
    channels = pose_channels(poses, transl, root, rest)
    found, where = clip_motion(channels, root, rest)
    np.testing.assert_allclose(axis_angle_to_matrix(found.astype(float)), axis_angle_to_matrix(poses), atol=1e-5)
    np.testing.assert_allclose(where, transl, atol=1e-5)


def test_channels_of_posed_bones():
    """Bones posed by their channels, as Blender does it, give the channels back."""
    rng = np.random.default_rng(2)
    rest = joint_transforms(
        axis_angle_to_matrix(rng.normal(0, 1, (24, 3))), rng.normal(0, 1, (24, 3)), np.array(PARENTS)
    )
    rest = rest.astype(np.float64)
    quaternions = rng.normal(0, 1, (4, 24, 4))
    quaternions /= np.linalg.norm(quaternions, axis=-1, keepdims=True)
    location = rng.normal(0, 1, (4, 3))
    w, x, y, z = np.moveaxis(quaternions, -1, 0)
    basis = np.tile(np.eye(4), (4, 24, 1, 1))
    basis[..., :3, :3] = np.stack([
        np.stack([1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)], -1),
        np.stack([2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)], -1),
        np.stack([2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)], -1),
    ], -2)  # fmt: skip
    basis[:, 0, :3, 3] = location
    posed = np.empty((4, 24, 4, 4))
    for joint, parent in enumerate(PARENTS):
        local = rest[joint] if parent < 0 else np.linalg.inv(rest[parent]) @ rest[joint]
        posed[:, joint] = (local if parent < 0 else posed[:, parent] @ local) @ basis[:, joint]
    found: PoseChannels = channels_of_matrices(posed, rest, PARENTS)
    dots = np.abs((found.rotations * quaternions).sum(-1))
    np.testing.assert_allclose(dots, 1, atol=1e-5)
    np.testing.assert_allclose(found.root_location, location, atol=1e-5)
