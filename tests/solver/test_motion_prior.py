# SPDX-License-Identifier: Apache-2.0
"""What a motion that is nearly right tells the fit."""

from __future__ import annotations

from dataclasses import replace

import pytest
import roma
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from closeint_core.body.data import load_body
from closeint_core.body.torch_body import TorchBody
from closeint_core.camera import project
from closeint_core.physics import energies
from closeint_core.progress import Progress
from closeint_core.reconstruction.learned import SPREAD
from closeint_core.solver.evidence import Evidence, gather_evidence
from closeint_core.solver.initial import Floor, Motion, PairFit, Stage
from closeint_core.solver.motion_prior import guide_of, unseen

FRAMES = 12


@pytest.fixture(scope="module")
def body() -> TorchBody:
    return TorchBody(load_body("default"))


@pytest.fixture(scope="module")
def motion() -> Motion:
    """Two people in front of the camera, one of them bowing ever faster and turning while walking a curve."""
    time = torch.linspace(0, 1, FRAMES)
    poses = torch.zeros(2, FRAMES, 24, 3)
    poses[..., 0, 0] = torch.pi  # upright in a camera's frame, where y points down
    poses[:, :, 16, 2], poses[:, :, 17, 2] = -1.1, 1.1
    poses[0, :, 3, 0] = 0.6 * time**2
    poses[0, :, 18, 1] = -1.5 * time**2
    transl = torch.zeros(2, FRAMES, 3)
    transl[0] = torch.stack([-0.5 + 0.8 * time**2, torch.zeros(FRAMES), 3.0 + 0.4 * time], -1)
    transl[1] = torch.tensor([0.6, 0.0, 3.5])
    rotations = roma.rotvec_to_rotmat(poses)
    return Motion(rotations, transl, torch.zeros(2, 10), Floor(torch.tensor([0.0, -1.0, 0.0]), torch.tensor(1.0)))


def evidence_of_motion(body: TorchBody, motion: Motion, hidden: torch.Tensor) -> Evidence:
    """Perfect keypoints and landmarks of a motion, nothing where ``hidden`` (P, T)."""
    camera = torch.tensor([[1000.0, 0, 500], [0, 1000.0, 500], [0, 0, 1]])
    skeleton = body.skeleton(motion.rotations, motion.betas[:, None], motion.transl)
    points = body.points("halpe")(skeleton, motion.betas[:, None])
    pixels = torch.cat([project(points, camera), torch.ones_like(points[..., :1])], -1)
    landmarks = points - points[:, :, 11:13].mean(2, keepdim=True)
    nothing = torch.tensor(float("nan"))
    pixels = torch.where(hidden[..., None, None], nothing, pixels)
    landmarks = torch.where(hidden[..., None, None], nothing, landmarks)
    confidence = (~hidden)[..., None].float().expand(*hidden.shape, 26)
    peaks = pixels[:, :, :17].permute(1, 2, 0, 3).numpy()
    return gather_evidence(pixels, landmarks, confidence, ~hidden, peaks, camera, 30.0)


def test_a_guide_expects_the_motions_own_steps(body: TorchBody, motion: Motion) -> None:
    """Where it is believed the motion costs nothing; where not, as much as ever."""
    weight = torch.zeros(2, FRAMES)
    weight[0] = 1.0
    guide = guide_of(body, motion, weight)
    joints = body.skeleton(motion.rotations, motion.betas[:, None], motion.transl).joints
    assert float(energies.acceleration(joints[:1], 0.01, guide.steps[:1])) == pytest.approx(0, abs=1e-8)
    columns = motion.rotations.mT.flatten(2, 3)
    assert float(energies.acceleration(columns[:1], 0.01, guide.turns[:1])) == pytest.approx(0, abs=1e-8)
    nowhere = guide_of(body, motion, torch.zeros(2, FRAMES))
    assert torch.equal(nowhere.steps, torch.zeros_like(nowhere.steps))
    assert float(energies.acceleration(joints, 0.01, nowhere.steps)) == float(energies.acceleration(joints, 0.01)) > 0


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), start=st.integers(1, FRAMES - 2), length=st.integers(1, 6))
def test_places_go_the_guides_way(seed: int, start: int, length: int) -> None:
    random = torch.Generator().manual_seed(seed)
    there = torch.randn(2, FRAMES, 3, generator=random)
    weight = torch.zeros(2, FRAMES)
    weight[0, start : start + length] = 1.0
    guide = guide_of(
        TorchBody(load_body("default")),
        Motion(
            torch.eye(3).expand(2, FRAMES, 24, 3, 3), there, torch.zeros(2, 10), Floor(torch.zeros(3), torch.zeros(()))
        ),
        weight,
    )
    # Found somewhere else by a steady amount: moved by just that amount where nothing was seen, whatever stood there.
    shift = torch.randn(3, generator=random)
    found = there + shift
    found[0, start : start + length] = 99.0
    torch.testing.assert_close(guide.carry(found), there + shift)
    # Somebody never seen is where the guide has them.
    guide.weight[0] = 1.0
    torch.testing.assert_close(guide.carry(found)[0], there[0])


def test_statures_cost_by_their_distance(body: TorchBody, motion: Motion) -> None:
    guide = guide_of(body, replace(motion, betas=torch.tensor([[1.0] * 10, [-2.0] * 10])), torch.zeros(2, FRAMES))
    betas = torch.zeros(2, 10)
    torch.testing.assert_close(guide.stature_cost(betas), torch.tensor([1.0, 4.0]))
    # Beyond two it grows by four for every one more.
    torch.testing.assert_close(guide.stature_cost(betas + 4.0), torch.tensor([8.0, 20.0]))


def test_places_apart_cost_nothing_where_the_guide_has_them(body: TorchBody, motion: Motion) -> None:
    """However far away both are together, and as much as little is known otherwise."""
    guide = guide_of(body, motion, torch.zeros(2, FRAMES))
    weight = torch.zeros(FRAMES)
    weight[:4] = torch.tensor([1.0, 1.0, 0.5, 0.5])
    pelvis = body.skeleton(motion.rotations, motion.betas[:, None], motion.transl).joints[:, :, 0]
    assert float(guide.apart_cost(pelvis, weight)) == pytest.approx(0, abs=1e-8)
    assert float(guide.apart_cost(1.3 * pelvis, weight)) == pytest.approx(0, abs=1e-8)
    moved = pelvis.clone()
    moved[1, :, 0] += 0.02  # metres; depths and their mean stay
    off = 0.02 / pelvis[..., 2].mean(0)
    expected = float((weight * (off / 0.045).square()).sum() / FRAMES)
    assert float(guide.apart_cost(moved, weight)) == pytest.approx(expected, rel=1e-3)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6), start=st.integers(1, FRAMES - 2), length=st.integers(1, 6))
def test_what_is_always_wrong_is_put_right_in_a_gap(seed: int, start: int, length: int) -> None:
    random = torch.Generator().manual_seed(seed)
    said = roma.rotvec_to_rotmat(torch.randn(2, FRAMES, 24, 3, generator=random))
    wrong = roma.rotvec_to_rotmat(0.3 * torch.randn(2, 1, 24, 3, generator=random))
    weight = torch.zeros(2, FRAMES)
    weight[0, start : start + length] = 1.0
    nobody = Motion(said, torch.zeros(2, FRAMES, 3), torch.zeros(2, 10), Floor(torch.zeros(3), torch.zeros(())))
    guide = guide_of(TorchBody(load_body("default")), nobody, weight)
    found = said @ wrong
    given = found.clone()
    given[0, start : start + length] = torch.eye(3)
    torch.testing.assert_close(guide.corrected(given), found, atol=1e-4, rtol=0)
    # Of somebody who is seen nowhere nothing is known to be wrong.
    guide.weight[0] = 1.0
    torch.testing.assert_close(guide.corrected(given)[0], said[0], atol=1e-5, rtol=0)


def test_sizes_follow_from_the_guides_depths(body: TorchBody, motion: Motion) -> None:
    guide = guide_of(body, motion, torch.zeros(2, FRAMES))
    # Of one size they would be at these places: the second, farther away in truth, is larger by that much.
    there = motion.transl.clone()
    there[1] /= 1.1
    gap = guide.said_gap(there)
    assert gap is not None
    assert float(gap) == pytest.approx(float(torch.tensor(1.1).log()), rel=1e-4)
    nowhere = guide_of(body, motion, torch.zeros(2, FRAMES), torch.zeros(2, FRAMES, dtype=torch.bool))
    assert nowhere.said_gap(there) is None
    assert float(nowhere.apart_cost(there, torch.ones(FRAMES))) == 0


@pytest.mark.parametrize("height", [0.15, 1.5])
def test_a_low_camera_tells_sizes_by_the_guide_and_a_high_one_by_the_floor(
    body: TorchBody, motion: Motion, height: float
) -> None:
    """People of one height on one floor, and a guide that has one of them a quarter farther away."""
    seen = torch.zeros(2, FRAMES, dtype=torch.bool)
    skeleton = body.skeleton(motion.rotations, motion.betas[:, None], motion.transl)
    points = body.points("halpe")(skeleton, motion.betas[:, None])
    lowest = points[:, :, 20:26, 1].max()  # y points down
    level = replace(motion, transl=motion.transl - torch.stack([torch.zeros(()), lowest - height, torch.zeros(())]))
    fit = PairFit(body, evidence_of_motion(body, level, seen), None)
    farther = level.transl.clone()
    farther[1] *= 1.25
    fit.start_from(replace(level, transl=farther), ~seen, SPREAD)
    taller = float(fit.betas[1, 0] - fit.betas[0, 0])
    assert taller > 1.0 if height < 1 else abs(taller) < 0.8


def test_what_counts_as_unseen() -> None:
    weights = torch.zeros(1, 3, 26)
    weights[0, 0, 5:17] = 1.0
    weights[0, 1, :5] = 1.0  # a face says nothing of limbs
    weights[0, 2, 5] = 1.0
    torch.testing.assert_close(unseen(weights), torch.tensor([[0.0, 1.0, 0.5]]))


def test_somebody_unseen_moves_as_the_guide_says(body: TorchBody, motion: Motion) -> None:
    """The fit keeps the denoiser's motion through a gap, also where the straight way would be another."""
    hidden = torch.zeros(2, FRAMES, dtype=torch.bool)
    hidden[0, 5:] = True
    evidence = evidence_of_motion(body, motion, hidden)
    errors = {}
    true = body.skeleton(motion.rotations, motion.betas[:, None], motion.transl).joints
    for name, trusted in (("guided", ~torch.zeros_like(hidden)), ("alone", torch.zeros_like(hidden))):
        fit = PairFit(body, evidence, None)
        fit.start_from(motion, trusted, SPREAD)
        fit.run(Stage("fitting", 40, 0.02, 0.3), Progress())
        found = fit.motion()
        joints = body.skeleton(found.rotations, found.betas[:, None], found.transl).joints
        apart = (joints - joints[:, :, :1]) - (true - true[:, :, :1])
        errors[name] = float(apart[0, 5:].norm(dim=-1).mean())
    assert errors["guided"] < 0.02
    assert errors["guided"] < 0.5 * errors["alone"]
    # Nobody claims the partner's joints for somebody unseen.
    fit.reclaim_joints(evidence, 0.5)
    assert float(fit.evidence.weights[0, 5:].sum()) == 0


def test_a_gap_follows_what_was_found_around_it(body: TorchBody, motion: Motion) -> None:
    """A guide that leans everybody: where people are seen the lean is found out, and then taken out of the gap too."""
    hidden = torch.zeros(2, FRAMES, dtype=torch.bool)
    hidden[0, 4:8] = True
    lean = roma.rotvec_to_rotmat(torch.tensor([0.0, 0.0, 0.25]))
    leaning = replace(motion, rotations=torch.cat([motion.rotations[:, :, :1] @ lean, motion.rotations[:, :, 1:]], 2))
    fit = PairFit(body, evidence_of_motion(body, motion, hidden), None)
    fit.start_from(leaning, ~torch.zeros_like(hidden), SPREAD)
    stage = Stage("fitting", 60, 0.02, 0.3)
    fit.run(stage, Progress())

    def off() -> float:
        angles = roma.rotmat_geodesic_distance(fit.rotations()[0, 5:7, 0], motion.rotations[0, 5:7, 0])
        return float(angles.mean())

    fit.follow_guide()
    assert off() < 0.6 * 0.25
    fit.run(stage, Progress())
    assert off() < 0.6 * 0.25
