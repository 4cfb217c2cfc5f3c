# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from support.people import BODY, CAMERA, observe, pair

from closeint_core.camera import project
from closeint_core.errors import Cancelled
from closeint_core.mesh.penetration import vertices_inside
from closeint_core.metrics.accuracy import interaction_error, mpjpe
from closeint_core.metrics.quality import stature
from closeint_core.progress import Progress
from closeint_core.reconstruction.world import to_world
from closeint_core.sequences import fill_gaps, running_median
from closeint_core.solver.solve import Solution, blend_motions, solve
from closeint_core.solver.state import Motion
from closeint_core.windows import window_spans


def joints(motion: Motion) -> np.ndarray:
    return BODY.skeleton(motion.rotations, motion.betas[:, None], motion.transl).joints.numpy()


def test_a_pair_is_recovered_from_its_synthetic_observations():
    truth = pair(12)
    solution = solve(BODY, observe(truth), CAMERA, Progress())
    # One camera cannot tell the size of everything: small people nearby look like tall ones farther off.
    found, real = joints(solution.motion), joints(truth)
    scale = float((found * real).sum() / (found * found).sum())
    assert 0.88 < 1 / scale < 1.12
    assert mpjpe(scale * found, real, (0,)).mean() < 45
    assert interaction_error(scale * found, real).mean() < 60
    assert float(solution.motion.floor.normal @ truth.floor.normal) > np.cos(np.deg2rad(6))
    # The short person stays the short one.
    assert solution.motion.betas[0, 0] > solution.motion.betas[1, 0] + 1


def test_frames_without_observation_are_bridged():
    truth = pair(14)
    observations = observe(truth)
    observations.keypoints2d[1, 5:9] = np.nan
    observations.landmarks3d[1, 5:9] = np.nan
    observations.landmarks3d_confidence[1, 5:9] = 0
    observations.visible[1, 5:9] = False
    solution = solve(BODY, observations, CAMERA, Progress())
    assert np.isfinite(joints(solution.motion)).all()
    assert mpjpe(joints(solution.motion), joints(truth), (0,))[1, 5:9].mean() < 70


def test_one_person_and_one_frame():
    truth = pair(1)
    observations = observe(truth)
    for name in ("keypoints2d", "landmarks3d", "landmarks3d_confidence", "visible", "boxes"):
        setattr(observations, name, getattr(observations, name)[:1])
    motion = solve(BODY, observations, CAMERA, Progress()).motion
    assert motion.transl.shape == (1, 1, 3)
    assert np.isfinite(joints(motion)).all()


def test_overlapping_bodies_are_taken_apart():
    truth = pair(3, gap=0.12)
    motion = solve(BODY, observe(truth), CAMERA, Progress()).motion
    assert deepest(truth) > 0.03
    assert deepest(motion) < 0.6 * deepest(truth)  # the spheres do the rough part, the refinement the rest


def deepest(motion: Motion) -> float:
    """Metres that the deepest vertex of anybody is inside the other."""
    posed = BODY(motion.rotations, motion.betas[:, None], motion.transl).vertices.numpy()
    faces = BODY.data.faces.astype(np.int64)
    pairs = [(frame[a], frame[1 - a]) for frame in posed.swapaxes(0, 1) for a in (0, 1)]
    return max(float(vertices_inside(one, other, faces).depths.max(initial=0.0)) for one, other in pairs)


def test_cancelling_stops_the_fit():
    calls = []

    def cancelled() -> bool:
        calls.append(1)
        return len(calls) > 5

    with pytest.raises(Cancelled):
        solve(BODY, observe(pair(4)), CAMERA, Progress(cancelled))
    assert len(calls) < 10


def test_windows_cover_everything_and_overlap():
    for frames in (1, 300, 301, 3000, 4567):
        windows = window_spans(frames)
        assert (windows[0][0], windows[-1][1]) == (0, frames)
        assert all(a[1] - b[0] >= 30 for a, b in itertools.pairwise(windows))
        assert all(b - a <= 300 for a, b in windows)


def test_blending_equal_windows_changes_nothing():
    whole = pair(40)
    windows = [(0, 25), (15, 40)]
    parts = [Motion(whole.rotations[:, a:b], whole.transl[:, a:b], whole.betas, whole.floor) for a, b in windows]
    both = blend_motions(parts, windows, 40)
    assert torch.allclose(both.rotations, whole.rotations, atol=1e-5)
    assert torch.allclose(both.transl, whole.transl, atol=1e-5)


def test_world_stands_upright_and_projects_alike():
    motion = pair(3)
    world = to_world(motion, BODY)
    posed = BODY(torch.as_tensor(world.poses), motion.betas[:, None], torch.as_tensor(world.transl))
    assert abs(float(posed.vertices[..., 2].min())) < 0.02
    head, pelvis = posed.joints[:, :, 15], posed.joints[:, :, 0]
    assert (head[..., 2] - pelvis[..., 2] > 0.4).all()
    seen = posed.joints @ torch.as_tensor(world.camera_R[0]).T + torch.as_tensor(world.camera_t[0])
    assert np.abs(seen.numpy() - joints(motion)).max() < 1e-4
    assert torch.allclose(pelvis[:, 0, :2].mean(0), torch.zeros(2), atol=1e-4)


def test_gaps_are_filled_linearly_and_medians_reject_outliers():
    x = torch.arange(10.0).reshape(1, 10, 1).clone()
    known = torch.ones(1, 10, dtype=torch.bool)
    known[0, 3:6] = known[0, 0] = False
    x[0, 3:6] = 99
    filled = fill_gaps(x, known)
    assert filled[0, :, 0].tolist() == [1, 1, 2, 3, 4, 5, 6, 7, 8, 9]
    x = torch.zeros(1, 9, 1)
    x[0, 4] = 100
    assert running_median(x, 3).abs().max() == 0


def judged(solution: Solution, observed: np.ndarray) -> tuple[float, np.ndarray]:
    """Median reprojection error in pixels, and (P,) statures in centimetres."""
    motion = solution.motion
    skeleton = BODY.skeleton(motion.rotations, motion.betas[:, None], motion.transl)
    pixels = project(BODY.points("halpe")(skeleton, motion.betas[:, None]), CAMERA).numpy()
    tall = np.array([100 * stature(BODY.data, betas.numpy()) for betas in motion.betas])
    return float(np.median(np.linalg.norm(pixels - observed[..., :2], axis=-1))), tall


def test_people_of_slow_motion_are_as_tall_as_those_of_plain_footage():
    seen = observe(pair(24))
    plain, fast = (
        judged(solve(BODY, replace(seen, fps=fps), CAMERA, Progress(), effort=0.3), seen.keypoints2d)
        for fps in (24.0, 240.0)
    )
    assert fast[0] == pytest.approx(plain[0], rel=0.1)
    np.testing.assert_allclose(fast[1], plain[1], atol=2.0)
