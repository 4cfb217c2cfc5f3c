# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import fields

import pytest
import roma
import torch
from support.people import BODY, FRAMES, near_pair

from closeint_core.body.spheres import spheres_of
from closeint_core.solver.descent import Descent, Task
from closeint_core.solver.pairs import Weights
from closeint_core.solver.skinned_points import STATE, inverse_right_jacobian
from closeint_core.solver.terms import PairTerms


@pytest.fixture(scope="module")
def terms() -> PairTerms:
    made = PairTerms(BODY, near_pair(), spheres_of(BODY))
    made.holding_each_other = torch.ones(FRAMES, dtype=torch.bool)
    return made


@pytest.mark.parametrize("name", ["keep", "place", "seen", "smooth", "jerk", "ground", "skate", "balance", "spacing"])
def test_slopes_are_those_of_the_energies(terms, name):
    nothing = {field.name: 0.0 for field in fields(Weights)} | {"outlier": 0.1}
    weights = Weights(**{**nothing, name: 1.0})
    generator = torch.Generator().manual_seed(0)
    rotations = terms.old_rotations @ roma.rotvec_to_rotmat(
        0.05 * torch.randn(2, FRAMES, 24, 3, generator=generator)
    )  # fmt: skip
    transl = terms.old_transl + 0.02 * torch.randn(2, FRAMES, 3, generator=generator)
    way = torch.randn(2, FRAMES, STATE, generator=generator)
    way = way / way.norm()

    def energy(length: float) -> float:
        turned = rotations @ roma.rotvec_to_rotmat(length * way[..., :72].unflatten(-1, (24, 3)))
        values, _ = terms.evaluate(turned, transl + length * way[..., 72:], weights, [])
        return float(torch.stack(list(values.values())).double().sum())

    _, system = terms.evaluate(rotations, transl, weights, [])
    slope = 2 * float((system.slope.unflatten(1, (2, STATE)).transpose(0, 1) * way).sum())
    assert abs(slope) > 1e-3
    assert slope == pytest.approx((energy(4e-3) - energy(-4e-3)) / 8e-3, rel=0.03, abs=0.02)


def test_some_frames_have_the_terms_of_all():
    """A run of frames alone; two runs that do not follow each other; and both give what their clips give."""
    clip = near_pair()
    names = ("poses", "transl", "keypoints2d", "visible", "contacts", "foot_contacts")
    whole = PairTerms(BODY, clip, spheres_of(BODY))
    whole.holding_each_other = torch.ones(FRAMES, dtype=torch.bool)
    runs = [torch.tensor([0, 1]), torch.tensor([3, 4])]
    both = whole.at(torch.cat(runs))
    turn = roma.rotvec_to_rotmat(0.1 * torch.randn(2, FRAMES, 24, 3, generator=torch.Generator().manual_seed(5)))
    rotations, transl = whole.old_rotations @ turn, whole.old_transl + 0.01
    chosen = torch.cat(runs)
    found, system = both.evaluate(rotations[:, chosen], transl[:, chosen], Weights(), [])
    step = system.solve(1000.0, 400, 1e-7)
    for place, run in enumerate(runs):
        alone = PairTerms(
            BODY, clip.copy(**{name: getattr(clip, name)[:, run.numpy()] for name in names}), spheres_of(BODY)
        )
        alone.holding_each_other = torch.ones(len(run), dtype=torch.bool)
        expected, own = alone.evaluate(rotations[:, run], transl[:, run], Weights(), [])
        part = slice(2 * place, 2 * place + 2)
        for name, value in expected.items():
            torch.testing.assert_close(found[name][part], value, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(system.slope[part], own.slope, rtol=1e-3, atol=0.05)
        torch.testing.assert_close(system.blocks()[part], own.blocks(), rtol=1e-3, atol=0.5)
        torch.testing.assert_close(step[part], own.solve(1000.0, 400, 1e-7), rtol=1e-3, atol=1e-4)


def test_inverse_right_jacobian_against_finite_differences():
    vector = torch.tensor([[0.3, -1.1, 0.7], [0.0, 0.0, 0.01]], dtype=torch.float64)
    step = torch.tensor([1e-6, -2e-6, 3e-6], dtype=torch.float64)
    turned = roma.rotmat_to_rotvec(roma.rotvec_to_rotmat(vector) @ roma.rotvec_to_rotmat(step))
    expected = (turned - vector).float()
    found = (inverse_right_jacobian(vector.float()) @ step.float()[:, None])[..., 0]
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-9)


@pytest.mark.parametrize("enough", [0.0, 0.03])
def test_steps_that_are_solved_for_roughly_get_as_far(terms, enough):
    weights = Weights()
    start = terms.old_rotations @ roma.rotvec_to_rotmat(
        0.02 * torch.randn(2, FRAMES, 24, 3, generator=torch.Generator().manual_seed(2))
    )  # fmt: skip

    def least(accuracy: tuple[int, float], enough: float) -> tuple[float, int]:
        ticks: list[int] = []
        rotations, transl = Descent(terms, lambda: ticks.append(1), accuracy).run(
            start, terms.old_transl, Task(weights, 8, enough=enough)
        )
        values, _ = terms.evaluate(rotations, transl, weights)
        return float(torch.stack(list(values.values())).sum()), len(ticks)

    exact, steps = least((300, 1e-6), 0.0)
    rough, fewer = least((20, 0.005), enough)
    assert rough < 1.1 * exact
    assert fewer <= steps
    assert (fewer < steps) == (enough > 0)
