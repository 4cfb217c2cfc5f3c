# SPDX-License-Identifier: Apache-2.0
"""The steepest way of every term of the refinement is as steep as finite differences say, within 1 %."""

from __future__ import annotations

from dataclasses import fields

import pytest
import roma
import torch
from support.people import BODY, FRAMES, near_pair

from closeint_core.body.spheres import spheres_of
from closeint_core.solver.pairs import Weights
from closeint_core.solver.skinned_points import STATE
from closeint_core.solver.terms import PairTerms

TERMS = {"keep": "pose", "place": "place", "seen": "reprojection", "smooth": "smooth", "jerk": "jerk", "ground": "sink",
         "skate": "skate", "balance": "balance", "spacing": "overlap", "itself": "itself"}  # fmt: skip
"""Weights, and a term that each of them switches on. Joint limits have none and are in each."""


@pytest.fixture(scope="module")
def terms() -> PairTerms:
    made = PairTerms(BODY, near_pair(), spheres_of(BODY))
    made.holding_each_other = torch.ones(FRAMES, dtype=torch.bool)
    return made


@pytest.mark.parametrize("name", TERMS)
def test_steepest_way(terms: PairTerms, name: str) -> None:
    nothing = {field.name: 0.0 for field in fields(Weights)} | {"outlier": 0.1}
    weights = Weights(**{**nothing, name: 1.0})
    generator = torch.Generator().manual_seed(0)
    turn = roma.rotvec_to_rotmat(0.05 * torch.randn(2, FRAMES, 24, 3, generator=generator))
    rotations = terms.old_rotations @ turn
    transl = terms.old_transl + 0.02 * torch.randn(2, FRAMES, 3, generator=generator)
    if name == "balance":  # both fall over backwards
        rotations[:, :, 0] = roma.rotvec_to_rotmat(torch.tensor([0.6, 0.0, 0.0])) @ rotations[:, :, 0]
    values, system = terms.evaluate(rotations, transl, weights, [])
    assert float(values[TERMS[name]].sum()) > 0
    slope = 2 * system.slope.unflatten(1, (2, STATE)).transpose(0, 1)
    way = slope / slope.norm()

    def change(length: float) -> float:
        """Central difference of the energy."""
        ends = []
        for step in (length * way, -length * way):
            turned = rotations @ roma.rotvec_to_rotmat(step[..., :72].unflatten(-1, (24, 3)))
            found, _ = terms.evaluate(turned, transl + step[..., 72:], weights, [])
            ends.append(float(torch.stack(list(found.values())).double().sum()))
        return (ends[0] - ends[1]) / (2 * length)

    expected = (4 * change(1e-3) - change(2e-3)) / 3  # what is of the second order cancels
    assert float(slope.norm()) == pytest.approx(expected, rel=0.01)
