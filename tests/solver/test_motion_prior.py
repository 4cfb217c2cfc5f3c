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
from closeint_core.physics.calibration import PHYSICS
from closeint_core.progress import Progress
from closeint_core.reconstruction.calibration import RECONSTRUCTION
from closeint_core.solver.evidence import Evidence, gather_evidence
from closeint_core.solver.initial import PairFit
from closeint_core.solver.motion_prior import motion_prior_of, unseen
from closeint_core.solver.state import Floor, Motion

FRAMES = 12
FITTING = replace(RECONSTRUCTION.default.learned.stages[1], steps=8)
SPREAD = torch.tensor(PHYSICS.default.joints.denoised)


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
    """Where it is believed the motion's own steps are expected; where not, none are."""
    weight = torch.zeros(2, FRAMES)
    weight[0] = 1.0
    motion_prior = motion_prior_of(body, motion, weight)
    joints = body.skeleton(motion.rotations, motion.betas[:, None], motion.transl).joints
    torch.testing.assert_close(motion_prior.steps[0], energies.second_difference(joints)[0])
    columns = motion.rotations.mT.flatten(2, 3)
    torch.testing.assert_close(motion_prior.turns[0], energies.second_difference(columns)[0])
    nowhere = motion_prior_of(body, motion, torch.zeros(2, FRAMES))
    assert torch.equal(nowhere.steps, torch.zeros_like(nowhere.steps))


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), start=st.integers(1, FRAMES - 2), length=st.integers(1, 6))
def test_places_go_the_guides_way(seed: int, start: int, length: int) -> None:
    random = torch.Generator().manual_seed(seed)
    there = torch.randn(2, FRAMES, 3, generator=random)
    weight = torch.zeros(2, FRAMES)
    weight[0, start : start + length] = 1.0
    motion_prior = motion_prior_of(
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
    torch.testing.assert_close(motion_prior.fill_translation(found), there + shift)
    # Somebody never seen is where the motion prior has them.
    motion_prior.weight[0] = 1.0
    torch.testing.assert_close(motion_prior.fill_translation(found)[0], there[0])


def test_places_are_not_off_where_the_guide_has_them(body: TorchBody, motion: Motion) -> None:
    """However far away both are together."""
    motion_prior = motion_prior_of(body, motion, torch.zeros(2, FRAMES))
    pelvis = body.skeleton(motion.rotations, motion.betas[:, None], motion.transl).joints[:, :, 0]
    for scale in (1.0, 1.3):
        off, depth, _ = motion_prior.relative_offset_error(scale * pelvis)
        torch.testing.assert_close(off, torch.zeros(FRAMES, 3), atol=1e-6, rtol=0)
        torch.testing.assert_close(depth, scale * pelvis[..., 2].mean(0))
    moved = pelvis.clone()
    moved[1, :, 0] += 0.02  # metres; depths and their mean stay
    off, depth, spread = motion_prior.relative_offset_error(moved)
    torch.testing.assert_close(off[:, 0], 0.02 / depth)
    assert spread == 0.045


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6), start=st.integers(1, FRAMES - 2), length=st.integers(1, 6))
def test_what_is_always_wrong_is_put_right_in_a_gap(seed: int, start: int, length: int) -> None:
    random = torch.Generator().manual_seed(seed)
    said = roma.rotvec_to_rotmat(torch.randn(2, FRAMES, 24, 3, generator=random))
    wrong = roma.rotvec_to_rotmat(0.3 * torch.randn(2, 1, 24, 3, generator=random))
    weight = torch.zeros(2, FRAMES)
    weight[0, start : start + length] = 1.0
    nobody = Motion(said, torch.zeros(2, FRAMES, 3), torch.zeros(2, 10), Floor(torch.zeros(3), torch.zeros(())))
    motion_prior = motion_prior_of(TorchBody(load_body("default")), nobody, weight)
    found = said @ wrong
    given = found.clone()
    given[0, start : start + length] = torch.eye(3)
    torch.testing.assert_close(motion_prior.corrected(given), found, atol=1e-4, rtol=0)
    # Of somebody who is seen nowhere nothing is known to be wrong.
    motion_prior.weight[0] = 1.0
    torch.testing.assert_close(motion_prior.corrected(given)[0], said[0], atol=1e-5, rtol=0)


def test_sizes_follow_from_the_guides_depths(body: TorchBody, motion: Motion) -> None:
    motion_prior = motion_prior_of(body, motion, torch.zeros(2, FRAMES))
    # Of one size they would be at these places: the second, farther away in truth, is larger by that much.
    there = motion.transl.clone()
    there[1] /= 1.1
    gap = motion_prior.log_size_ratio(there)
    assert gap is not None
    assert float(gap) == pytest.approx(float(torch.tensor(1.1).log()), rel=1e-4)
    nowhere = motion_prior_of(body, motion, torch.zeros(2, FRAMES), torch.zeros(2, FRAMES, dtype=torch.bool))
    assert nowhere.log_size_ratio(there) is None
    assert not nowhere.together.any()


@pytest.mark.parametrize("height", [0.15, 1.5])
def test_a_low_camera_tells_sizes_by_the_guide_and_a_high_one_by_the_floor(
    body: TorchBody, motion: Motion, height: float
) -> None:
    """People of one height on one floor, and a motion prior that has one of them a quarter farther away."""
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
        fit.run(FITTING, Progress())
        found = fit.motion()
        joints = body.skeleton(found.rotations, found.betas[:, None], found.transl).joints
        apart = (joints - joints[:, :, :1]) - (true - true[:, :, :1])
        errors[name] = float(apart[0, 5:].norm(dim=-1).mean())
    assert errors["guided"] < 0.02
    assert errors["guided"] < 0.5 * errors["alone"]
    # Nobody claims the partner's joints for somebody unseen.
    fit.reassign_doubtful_frames(evidence, 0.5)
    assert float(fit.evidence.weights[0, 5:].sum()) == 0


def test_a_gap_follows_what_was_found_around_it(body: TorchBody, motion: Motion) -> None:
    """A prior that leans everybody: where people are seen the lean is found out, and then taken out of the gap too."""
    hidden = torch.zeros(2, FRAMES, dtype=torch.bool)
    hidden[0, 4:8] = True
    lean = roma.rotvec_to_rotmat(torch.tensor([0.0, 0.0, 0.25]))
    leaning = replace(motion, rotations=torch.cat([motion.rotations[:, :, :1] @ lean, motion.rotations[:, :, 1:]], 2))
    fit = PairFit(body, evidence_of_motion(body, motion, hidden), None)
    fit.start_from(leaning, ~torch.zeros_like(hidden), SPREAD)
    stage = FITTING
    fit.run(stage, Progress())

    def off() -> float:
        angles = roma.rotmat_geodesic_distance(fit.rotations()[0, 5:7, 0], motion.rotations[0, 5:7, 0])
        return float(angles.mean())

    fit.follow_motion_prior()
    assert off() < 0.6 * 0.25
    fit.run(stage, Progress())
    assert off() < 0.6 * 0.25
