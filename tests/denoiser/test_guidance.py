# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import torch
from windows import UP, Windows, randomize, synthetic_windows

from closeint_core.denoiser.guidance import (
    ContactEnergy,
    Energy,
    EnergyGuidance,
    GroundEnergy,
    GuidedMotion,
    PenetrationEnergy,
    ReprojectionEnergy,
    descend,
)
from closeint_core.denoiser.network import Denoiser
from closeint_core.denoiser.prior import InteractionPrior, PriorConfig, PriorEnergy
from closeint_core.denoiser.sampler import Sampler
from closeint_core.denoiser.state import PairState
from closeint_core.physics.spheres import BodySpheres


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


def energies(windows: Windows, spheres: BodySpheres) -> dict[str, Energy]:
    return {
        "reprojection": ReprojectionEnergy(windows.conditions.keypoints),
        "penetration": PenetrationEnergy(spheres),
        "contact": ContactEnergy(torch.tensor([[22, 23], [20, 16]]), torch.ones(2, 8, 2), torch.tensor([0.1, 0.15])),
        "ground": GroundEnergy(UP, torch.tensor(0.9), torch.ones(2, 8, 2, 2)),
        "prior": PriorEnergy(prior(), UP),
    }


@pytest.mark.parametrize("name", ["reprojection", "penetration", "contact", "ground", "prior"])
def test_each_energy_is_lowered(windows, spheres, body, name):
    energy = energies(windows, spheres)[name]
    start = close_together(windows)
    guided = descend(start, windows.conditions.crops, body, [energy], 8, 0.02)
    assert (guided.before > 0).all()
    assert (guided.after < guided.before).all()
    measured = energy(GuidedMotion(guided.numbers, windows.conditions.crops, body))
    assert torch.allclose(measured, guided.after, rtol=1e-3)


@pytest.mark.parametrize("name", ["reprojection", "penetration", "contact", "ground"])
def test_gradients_against_differences(windows, spheres, body, name):
    energy = energies(windows, spheres)[name]
    crops = windows.conditions.crops
    start = close_together(windows).requires_grad_()
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
