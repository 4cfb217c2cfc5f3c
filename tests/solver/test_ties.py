# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import roma
import torch
from support.people import BODY, FRAMES, near_pair

from closeint_core.body.spheres import spheres_of
from closeint_core.solver.contact_pairs import VertexPairs
from closeint_core.solver.contacts import PosedSkins, tied_vertices
from closeint_core.solver.descent import Descent, Task
from closeint_core.solver.pairs import Weights
from closeint_core.solver.skinned_points import STATE
from closeint_core.solver.terms import PairTerms
from closeint_core.solver.ties import Ties, joints_of, nobody, packed

NOTHING = Weights(0, 0, 0, 0, 0, 0, 0.1, 0, 0, 0, 0, 0, 0, 0)


@pytest.fixture(scope="module")
def terms() -> PairTerms:
    made = PairTerms(BODY, near_pair(), spheres_of(BODY))
    made.holding_each_other = torch.zeros(FRAMES, dtype=torch.bool)
    return made


def some_pairs() -> VertexPairs:
    frame = np.array([0, 2, 2, 4])
    a, b = np.array([10, 5000, 9000, 12000]), np.array([4000, 77, 8000, 300])
    return VertexPairs(frame, a, b, np.ones(4, np.float32), np.zeros((4, 3), np.float32))


def some_ties(terms: PairTerms, scale: float = float("inf")) -> Ties:
    goal = 0.1 * torch.arange(12.0).reshape(4, 3)
    parts = torch.as_tensor(BODY.data.parts, dtype=torch.long)
    skins = PosedSkins(terms.map, terms.rest, parts, terms.before)
    return tied_vertices(some_pairs(), goal, torch.tensor([1.0, 2.0, 3.0, 4.0]), skins, FRAMES, scale)


def test_the_energy_is_that_of_the_posed_vertices(terms: PairTerms) -> None:
    vertices = BODY(terms.old_rotations, terms.betas[:, None], terms.old_transl).vertices
    pairs = some_pairs()
    difference = vertices[0, pairs.frame, pairs.a] - vertices[1, pairs.frame, pairs.b]
    miss = (difference - 0.1 * torch.arange(12.0).reshape(4, 3)).square().sum(-1)
    expected = torch.zeros(FRAMES).index_add(0, torch.as_tensor(pairs.frame), torch.tensor([1.0, 2, 3, 4]) * miss)
    values, _ = terms.evaluate(terms.old_rotations, terms.old_transl, NOTHING, [], [("ties", some_ties(terms))])
    torch.testing.assert_close(values["ties"], expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("scale", [float("inf"), 0.3])
def test_slopes_are_those_of_the_energy(terms: PairTerms, scale: float) -> None:
    ties = [("ties", some_ties(terms, scale))]
    generator = torch.Generator().manual_seed(0)
    way = torch.randn(2, FRAMES, STATE, generator=generator)
    way = way / way.norm()

    def energy(length: float) -> float:
        step = length * way
        turned = terms.old_rotations @ roma.rotvec_to_rotmat(step[..., :72].unflatten(-1, (24, 3)))
        values, _ = terms.evaluate(turned, terms.old_transl + step[..., 72:], NOTHING, [], ties)
        return float(values["ties"].double().sum())

    _, system = terms.evaluate(terms.old_rotations, terms.old_transl, NOTHING, [], ties)
    limits = terms.evaluate(terms.old_rotations, terms.old_transl, NOTHING, [])[1]
    slope = 2 * ((system.slope - limits.slope).unflatten(1, (2, STATE)).transpose(0, 1) * way).sum()
    assert float(slope) == pytest.approx((energy(1e-2) - energy(-1e-2)) / 2e-2, rel=0.01)


def test_a_joint_is_drawn_to_a_place_of_the_world_and_what_is_held_stays(terms: PairTerms) -> None:
    joints = terms.skeleton(terms.old_rotations, terms.old_transl).joints
    joint, frame = torch.tensor([20]), torch.tensor([2])
    rest = BODY.rest_joints(terms.betas)[0, joint]
    target = joints[0, 2, 20] + torch.tensor([0.05, 0.05, 0.1])
    points = [joints_of(terms.map, rest, joint), nobody(1, terms.device)]
    ties = [("pins", packed(frame, points, target[None], torch.tensor([1e7]), FRAMES))]
    descent = Descent(terms, lambda: None)
    descent.free = torch.ones(2, FRAMES, 25)
    descent.free[0, 2, 18] = 0  # the elbow
    descent.free[:, :, 24] = 0  # all places
    with torch.no_grad():
        rotations, transl = descent.run(terms.old_rotations, terms.old_transl, Task(Weights(), 20, ties=ties))
    reached = terms.skeleton(rotations, transl).joints[0, 2, 20]
    assert float((reached - target).norm()) < 0.003
    assert torch.equal(rotations[0, 2, 18], terms.old_rotations[0, 2, 18])
    assert torch.equal(transl, terms.old_transl)


def test_the_slope_of_turns_is_that_of_their_energy() -> None:
    terms = PairTerms(BODY, near_pair(), spheres_of(BODY))
    terms.holding_each_other = torch.zeros(FRAMES, dtype=torch.bool)
    old = terms.old_rotations, terms.old_transl
    generator = torch.Generator().manual_seed(1)
    rotations = old[0] @ roma.rotvec_to_rotmat(0.3 * torch.randn(2, FRAMES, 24, 3, generator=generator))
    with torch.no_grad():
        terms.keep_to(old, old, torch.ones(FRAMES))
    weights = replace(NOTHING, turn=1.0)
    way = torch.randn(2, FRAMES, STATE, generator=generator)
    way = way / way.norm()

    def energy(length: float) -> float:
        turned = rotations @ roma.rotvec_to_rotmat((length * way)[..., :72].unflatten(-1, (24, 3)))
        return float(terms.evaluate(turned, old[1], weights)[0]["turn"].double().sum())

    slopes = [terms.evaluate(rotations, old[1], one)[1].slope for one in (weights, NOTHING)]
    slope = 2 * ((slopes[0] - slopes[1]).unflatten(1, (2, STATE)).transpose(0, 1) * way).sum()
    assert float(slope) == pytest.approx((energy(1e-3) - energy(-1e-3)) / 2e-3, rel=0.02)
