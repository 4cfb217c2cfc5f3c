# SPDX-License-Identifier: Apache-2.0
"""Plans made ahead are those that the generator would make itself, in threads and in processes."""

from __future__ import annotations

from dataclasses import fields

import pytest
import torch

from closeint_core.training.plan_workers import ProcessPlanners, ThreadPlanners, planners_of
from closeint_core.training.synthetic.generate import Generator, default_body
from closeint_core.training.synthetic.plan import Plan


def same(a: Plan, b: Plan) -> bool:
    return all(torch.equal(getattr(a, f.name), getattr(b, f.name)) for f in fields(a))


@pytest.mark.parametrize("planners", [ThreadPlanners, ProcessPlanners])
def test_plans_are_the_generators(planners):
    generator = Generator(["handshake", "passing by"], body=default_body(), oversample=1.5)
    ahead = planners(generator, 2)
    waiting = [ahead(4, 8, seed) for seed in (3, 4)]
    first, second = (wait() for wait in waiting)
    assert same(first, generator.plan(4, 8, 3))
    assert same(second, generator.plan(4, 8, 4))
    assert not same(first, second)
    assert len(first.who) == 6


def test_what_fails_in_a_process_is_raised_here():
    ahead = ProcessPlanners(Generator(["passing by"], body=default_body(), oversample=1.5), 1)
    with pytest.raises(TypeError):
        ahead("four", 8, 0)()  # type: ignore[arg-type]


def test_threads_do_on_the_cpu():
    assert isinstance(planners_of(Generator(["passing by"], body=default_body()), 0), ThreadPlanners)
