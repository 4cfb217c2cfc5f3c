# SPDX-License-Identifier: Apache-2.0
"""The terms of the first solve: gradients against finite differences, points and costs against their plain versions."""

from __future__ import annotations

import pytest
import roma
import torch
from support import plain_energies
from support.people import BODY, CAMERA, observe, pair

from closeint_core.body.spheres import spheres_of
from closeint_core.camera import project
from closeint_core.physics import energies
from closeint_core.physics.calibration import PHYSICS
from closeint_core.sequences import frame_step
from closeint_core.solver.fit_terms import FitTerms, FitWeights, Known, shape_cost, skinned_points_of
from closeint_core.solver.motion_prior import motion_prior_of
from closeint_core.solver.skinned_points import JOINTS, STATE, SkinnedPoints, parts_of
from closeint_core.solver.solve import evidence_of
from closeint_core.solver.state import FitState

FRAMES = 6
OFF = dict.fromkeys(FitWeights.__dataclass_fields__, 0.0)
TERMS = {"reprojection": "reprojection", "directions": "directions", "limits": "limits", "pose": "pose",
         "betas": "shapes", "smooth": "smooth", "turn": "turn", "stand": "stand", "sink": "sink", "skate": "skate",
         "gravity": "gravity", "apart": "apart", "overlap": "overlap"}  # fmt: skip
OVER_TIME = ("smooth", "turn", "skate", "overlap")
"""Terms that say nothing of shapes."""


def scene(guided: bool) -> tuple[FitTerms, Known, FitState]:
    """A state off the truth by a few degrees and centimetres, and what is known."""
    truth = pair(FRAMES, gap=0.25)
    evidence = evidence_of(observe(truth), CAMERA)
    generator = torch.Generator().manual_seed(1)

    def noise(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    rotations = truth.rotations @ roma.rotvec_to_rotmat(0.08 * noise(2, FRAMES, JOINTS, 3))
    transl = truth.transl + 0.03 * noise(2, FRAMES, 3)
    transl[:, :, 1] += 0.05  # into the floor
    state = FitState(rotations, transl, truth.betas + 0.3 * noise(2, 10), truth.floor.normal, 0.02 * noise(2),
                     truth.floor.offset.clone())  # fmt: skip
    spheres = spheres_of(BODY)
    motion_prior = motion_prior_of(BODY, truth, torch.full((2, FRAMES), 0.4))
    return (
        FitTerms(BODY, evidence, spheres),
        Known(
            metres_per_pixel=(transl[..., 2:] / CAMERA[0, 0]),
            planted=torch.rand(2, FRAMES - 1, 6, generator=generator),
            standing=torch.full((2, FRAMES), 0.7),
            usual=truth.rotations @ roma.rotvec_to_rotmat(0.1 * noise(2, FRAMES, JOINTS, 3)),
            usual_weight=torch.full((2, FRAMES), 0.8),
            usual_spread=torch.tensor(PHYSICS.default.joints.relaxed).expand(2, FRAMES, JOINTS),
            sole=energies.sole_offsets(BODY.data),
            motion_prior=motion_prior if guided else None,
            lost=torch.full((FRAMES,), 0.5) if guided else None,
            both_seen=torch.full((FRAMES,), 0.6) if guided else None,
            radii=spheres.radii(truth.betas),
        ),
        state,
    )


@pytest.mark.parametrize("name", TERMS)
def test_gradients(name: str) -> None:
    """Along the gradient the energy changes as fast as finite differences say, by frames and by what frames share."""
    terms, known, state = scene(guided=name in ("apart", "smooth", "turn"))
    weights = FitWeights(**{**OFF, name: 1.0})
    if name == "sink":
        state.transl[:, :, 1] += 0.05
    if name == "limits":
        bent = state.rotations.clone()
        bent[:, :, 4:6] = bent[:, :, 4:6] @ roma.rotvec_to_rotmat(torch.tensor([-0.9, 0.3, 0.0]))
        state.rotations = bent

    def energy(at: FitState) -> float:
        values, _ = terms.evaluate(at, known, weights, 0.3, 0.5, True)
        return float(torch.stack(list(values.values())).double().sum())

    values, system = terms.evaluate(state, known, weights, 0.3, 0.5, True)
    assert float(values[TERMS[name]].sum()) > 0
    slope = 2 * system.slope.unflatten(1, (2, STATE)).transpose(0, 1)
    shared = 2 * system.shared_slope
    if name in OVER_TIME:
        assert not shared.any()
    else:
        check(energy, state, torch.zeros_like(slope), shared / shared.norm().clamp(min=1e-9), float(shared.norm()))
    if name != "betas":
        check(energy, state, slope / slope.norm(), torch.zeros_like(shared), float(slope.norm()))


def check(energy, state: FitState, way: torch.Tensor, shared: torch.Tensor, expected: float) -> None:
    def change(length: float) -> float:
        ends = []
        for step in (length, -length):
            turn = (step * way[..., :72]).unflatten(-1, (JOINTS, 3))
            ends.append(energy(state.moved(turn, step * way[..., 72:], step * shared)))
        return (ends[0] - ends[1]) / (2 * length)

    size = 1e-3 if expected > 10 else 2e-2  # single precision has to tell the change
    found = (4 * change(size) - change(2 * size)) / 3  # what is of the second order cancels
    assert found == pytest.approx(expected, rel=0.02, abs=1e-2)


def test_points_of_any_shape_ride_where_the_skin_is() -> None:
    motion = pair(2)
    points = BODY.points("halpe")
    skeleton = BODY.skeleton(motion.rotations, motion.betas[:, None], motion.transl)
    skinned = skinned_points_of(points, motion.betas)
    placed = parts_of(skeleton, SkinnedPoints(skinned.moments[:, None], skinned.weights[:, None])).sum(-2)
    torch.testing.assert_close(placed, points(skeleton, motion.betas[:, None]), atol=1e-5, rtol=0)


def test_the_cost_of_shapes_is_that_of_the_energies() -> None:
    generator = torch.Generator().manual_seed(3)
    betas = (3 * torch.randn(7, 10, generator=generator)).requires_grad_()
    said = torch.randn(7, generator=generator)
    value, curvature, slope = shape_cost(betas.detach(), said)
    plain = plain_energies.shape_prior(betas) + energies.huber((betas[:, 0] - said).square(), 2.0)
    torch.testing.assert_close(value, plain.detach())
    torch.testing.assert_close(slope, torch.autograd.grad(plain.sum(), betas)[0] / 2)
    assert bool((curvature > 0).all())


def test_the_terms_are_those_of_the_plain_energies() -> None:
    terms, known, state = scene(guided=False)
    values, _ = terms.evaluate(state, known, FitWeights(), 0.3, 0.5, True)
    skeleton = BODY.skeleton(state.rotations, state.betas[:, None], state.transl)
    keypoints = BODY.points("halpe")(skeleton, state.betas[:, None])
    e, weights, rate = terms.evidence, FitWeights(), frame_step(terms.evidence.fps)
    floor = state.floor()
    feet = keypoints[:, :, energies.FOOT_POINTS]
    height = energies.heights(feet, floor.normal, floor.offset) - known.sole
    stand, sink = plain_energies.floor_contact(height, known.standing, 0.5)
    turn = roma.rotmat_to_rotvec(known.usual.mT @ state.rotations)
    each = {  # means over person-frames; over time there are fewer
        "reprojection": (plain_energies.reprojection(
            project(keypoints, CAMERA), e.keypoints, e.weights, known.metres_per_pixel, 0.02, 0.3), FRAMES),
        "directions": (plain_energies.directions(keypoints, e.directions, e.direction_weights, 0.3), FRAMES),
        "limits": (plain_energies.joint_limits(roma.rotmat_to_rotvec(state.rotations)), FRAMES),
        "pose": (plain_energies.pose_prior(turn, torch.zeros(24, 3), known.usual_weight, known.usual_spread), FRAMES),
        "stand": (stand, FRAMES),
        "sink": (sink, FRAMES),
        "overlap": (plain_energies.sphere_overlap(
            spheres_of(BODY).centres(skeleton, state.betas[:, None]), known.radii), FRAMES),
        "smooth": (plain_energies.acceleration(skeleton.joints, 0.012 * rate**2), FRAMES - 2),
        "turn": (plain_energies.acceleration(state.rotations.mT.flatten(2, 3), 0.08 * rate**2), FRAMES - 2),
        "skate": (plain_energies.foot_skate(feet, known.planted, 0.006 * rate), FRAMES - 1),
    }  # fmt: skip
    for name, (value, frames) in each.items():
        expected = getattr(weights, name) * float(value) * 2 * frames
        assert float(values[name].sum()) == pytest.approx(expected, rel=3e-3), name
