# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math

import pytest
import roma
import torch
from support.windows import UP, Windows, randomize, synthetic_windows

from closeint_core.body.spheres import BodySpheres
from closeint_core.denoiser.guidance import (
    ContactEnergy,
    Energy,
    EnergyGuidance,
    GroundEnergy,
    GuidedMotion,
    LimitEnergy,
    PenetrationEnergy,
    ReprojectionEnergy,
    descend,
)
from closeint_core.denoiser.network import Denoiser
from closeint_core.denoiser.prior import InteractionPrior, PriorConfig
from closeint_core.denoiser.prior_guidance import PriorEnergy
from closeint_core.denoiser.sampler import Sampler
from closeint_core.denoiser.state import PairState


@pytest.fixture(scope="module")
def windows(body) -> Windows:
    return synthetic_windows(body, 2, 8)


@pytest.fixture(scope="module")
def spheres(body) -> BodySpheres:
    return BodySpheres(body, spacing=0.04)


def prior() -> InteractionPrior:
    model = randomize(InteractionPrior(PriorConfig(24, 2, 1, 8, 2, 4, 1)))
    model.quantizer.codebook.copy_(torch.randn(2, 8, 4, generator=torch.Generator().manual_seed(1)))
    return model.eval()


def close_together(windows: Windows) -> torch.Tensor:
    """The windows' motion with the people 0.1 m apart, (B, T, 2, 157)."""
    translation = windows.translation.clone()
    translation[..., 0] *= 0.12
    crops = windows.conditions.crops
    return PairState.of_motion(windows.rotations, windows.betas, translation, crops).numbers()


def bent_beyond(windows: Windows, numbers: torch.Tensor) -> torch.Tensor:
    """The motion with both knees of everybody bent backwards by 60 degrees, (B, T, 2, 157)."""
    state = PairState.of(numbers)
    rotations = state.rotations().clone()
    rotations[..., 4:6, :, :] = roma.rotvec_to_rotmat(torch.tensor([-1.05, 0.0, 0.0]))
    crops = windows.conditions.crops
    return PairState.of_motion(rotations, state.betas, state.translation(crops), crops).numbers()


def energies(windows: Windows, spheres: BodySpheres) -> dict[str, Energy]:
    return {
        "reprojection": ReprojectionEnergy(windows.conditions.keypoints),
        "penetration": PenetrationEnergy(spheres),
        "contact": ContactEnergy(torch.tensor([[22, 23], [20, 16]]), torch.ones(2, 8, 2), torch.tensor([0.1, 0.15])),
        "ground": GroundEnergy(UP, torch.tensor(0.9), torch.ones(2, 8, 2, 2)),
        "limits": LimitEnergy(),
        "prior": PriorEnergy(prior(), UP),
    }


@pytest.mark.parametrize("name", ["reprojection", "penetration", "contact", "ground", "limits", "prior"])
def test_each_energy_is_lowered(windows, spheres, body, name):
    energy = energies(windows, spheres)[name]
    start = close_together(windows)
    if name == "limits":
        start = bent_beyond(windows, start)
    guided = descend(start, windows.conditions.crops, body, [energy], 8, 0.02)
    assert (guided.before > 0).all()
    assert (guided.after < guided.before).all()
    measured = energy(GuidedMotion(guided.numbers, windows.conditions.crops, body))
    assert torch.allclose(measured, guided.after, rtol=1e-3)


@pytest.mark.parametrize("name", ["reprojection", "penetration", "contact", "ground", "limits"])
def test_gradients_against_differences(windows, spheres, body, name):
    energy = energies(windows, spheres)[name]
    crops = windows.conditions.crops
    start = close_together(windows)
    if name == "limits":
        start = bent_beyond(windows, start)
    start.requires_grad_()
    (gradient,) = torch.autograd.grad(energy(GuidedMotion(start, crops, body)).sum(), start)
    direction = torch.randn(start.shape, generator=torch.Generator().manual_seed(0)) * 0.1 + gradient.sign()
    step = 1e-4 * direction
    with torch.no_grad():
        ahead, behind = (energy(GuidedMotion(start + s, crops, body)).sum() for s in (step, -step))
    expected = float((gradient * step).sum()) * 2
    assert float(ahead - behind) == pytest.approx(expected, rel=0.05)


def test_reprojection_of_the_truth_is_zero_and_unseen_joints_are_free(windows, body):
    motion = GuidedMotion(windows.truth.numbers(), windows.conditions.crops, body)
    keypoints = windows.conditions.keypoints.clone()
    assert ReprojectionEnergy(keypoints)(motion).max() < 1e-6
    keypoints[:, :, 0, 9] = float("nan")
    keypoints[:, :, 1, 9, :2] += 500.0
    keypoints[:, :, 1, 9, 2] = 0.0
    assert ReprojectionEnergy(keypoints)(motion).max() < 1e-6


def test_guidance_lowers_the_energy_of_samples(windows, spheres, body):
    """The same noise with and without guidance: every energy in the list ends lower, and guidance never raises one."""
    model = randomize(Denoiser()).eval()
    crops = windows.conditions.crops
    for name, energy in energies(windows, spheres).items():
        guide = EnergyGuidance(body, [energy])
        free = Sampler(model).sample(windows.conditions, seed=1)
        guided = Sampler(model, guides=[guide]).sample(windows.conditions, seed=1)
        before, after = (energy(GuidedMotion(state.numbers(), crops, body)) for state in (free, guided))
        assert len(guide.history) == 4, name
        assert all((high >= low).all() for high, low in guide.history), name
        if before.max() > 1e-6:
            assert after.sum() < before.sum(), name


def test_a_batch_is_guided_as_its_windows(windows, spheres, body):
    chosen = energies(windows, spheres)
    crops, start = windows.conditions.crops, close_together(windows)
    for name in ("penetration", "ground"):
        energy = chosen[name]
        if name == "ground":
            energy = GroundEnergy(UP, torch.tensor(0.9))
        both = descend(start, crops, body, [energy], 5, 0.02).numbers
        for i in range(2):
            one = descend(start[i : i + 1], crops[i : i + 1], body, [energy], 5, 0.02).numbers
            assert (one - both[i : i + 1]).abs().max() < 1e-5


def test_what_energies_are_in_closed_form(windows, spheres, body):
    """Each is what its docstring says, computed again with loops over people, feet and frames."""
    crops = windows.conditions.crops
    motion = GuidedMotion(bent_beyond(windows, close_together(windows)), crops, body)
    planted = torch.rand(2, 8, 2, 2, generator=torch.Generator().manual_seed(3))
    ground = GroundEnergy(UP, torch.tensor(0.9), planted)(motion)
    for window in range(2):
        sink, stand, skate = [], [], []
        for person in range(2):
            for foot, points in ((0, (20, 22, 24)), (1, (21, 23, 25))):
                at = 100 * motion.keypoints[window, :, person, list(points)]  # (T, 3, 3), cm
                height = at @ UP + 90
                sink += [min(float(h), 0) ** 2 for h in height.flatten()]
                share = torch.softmax(-height, -1)
                stand += (planted[window, :, person, foot] * (share * height).sum(-1) ** 2).tolist()
                for t in range(7):
                    sure = min(float(planted[window, t, person, foot]), float(planted[window, t + 1, person, foot]))
                    skate += [sure * float((at[t + 1, k] - at[t, k]).square().sum()) for k in range(3)]
        expected = sum(sum(values) / len(values) for values in (sink, stand, skate))
        assert float(ground[window]) == pytest.approx(expected, rel=1e-3)
    # Of a T-pose with both knees at -60 degrees nothing else is beyond its limits, and those are at -15.
    still = torch.eye(3).expand_as(windows.rotations)
    still = PairState.of_motion(still, windows.betas, windows.translation, crops).numbers()
    torch.testing.assert_close(LimitEnergy()(GuidedMotion(still, crops, body)), torch.zeros(2))
    bent = LimitEnergy()(GuidedMotion(bent_beyond(windows, still), crops, body))
    torch.testing.assert_close(bent, torch.full((2,), 2 * (math.degrees(1.05) - 15) ** 2), rtol=1e-3, atol=0.1)
    apart = (motion.skeleton.joints[:, :, 0, 22] - motion.skeleton.joints[:, :, 1, 23]).norm(dim=-1)
    touch = ContactEnergy(torch.tensor([[22, 23]]), torch.full((2, 8, 1), 0.5), torch.tensor([0.1]))(motion)
    torch.testing.assert_close(touch, (0.5 * (100 * (apart - 0.1).clamp(min=0)) ** 2).mean(1), rtol=1e-3, atol=1e-3)


def test_no_energies_no_change(windows, body):
    model = randomize(Denoiser()).eval()
    free = Sampler(model).sample(windows.conditions, seed=1).numbers()
    guided = Sampler(model, guides=[EnergyGuidance(body, [])]).sample(windows.conditions, seed=1).numbers()
    assert (free - guided).abs().max() < 1e-5


def test_a_window_without_overlap_stays(windows, spheres, body):
    far = windows.translation.clone()
    far[..., 0] *= 5
    numbers = PairState.of_motion(windows.rotations, windows.betas, far, windows.conditions.crops).numbers()
    guided = descend(numbers, windows.conditions.crops, body, [PenetrationEnergy(spheres)], 4, 0.02)
    assert torch.equal(guided.numbers, numbers)
    assert guided.before.max() == 0
