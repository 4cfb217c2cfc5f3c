# SPDX-License-Identifier: Apache-2.0
"""The loop of damped steps, on problems whose answers are known."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
import torch
from torch import Tensor

from closeint_core.solver.descent import descend, shortened, turns_and_moves
from closeint_core.solver.fit_calibration import Damping

FRAMES = 6
GOAL = torch.linspace(-2.0, 3.0, FRAMES)


@dataclass
class Parabolas:
    """The square of how far each frame's number is from its goal; steps go ``reach`` times as far as they should."""

    reach: float = 1.0
    asked: list[tuple[float, int]] = field(default_factory=list)

    def linearise(self, state: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        off = state - GOAL
        return {"half": 0.5 * off.square(), "other half": 0.5 * off.square()}, off

    def step(self, state: Tensor, equations: Tensor, damping: Tensor, failed: int) -> Tensor:
        self.asked.append((float(damping.mean()), failed))
        return state - self.reach * equations / (1 + damping)


def test_steps_lead_to_the_goal() -> None:
    done = descend(Parabolas(), torch.zeros(FRAMES), torch.full((FRAMES,), 0.2), Damping(), 12, lambda: None)
    torch.testing.assert_close(done.state, GOAL, atol=1e-6, rtol=0)
    assert done.taken
    assert float(sum(value.sum() for value in done.values.values())) < 1e-9
    torch.testing.assert_close(done.damping, torch.full((FRAMES,), Damping().least))


def test_a_step_that_raises_the_energy_is_not_taken_and_the_next_is_shorter() -> None:
    problem, start = Parabolas(reach=30.0), torch.zeros(FRAMES)
    done = descend(problem, start, torch.full((FRAMES,), 0.1), Damping(), 1, lambda: None)
    assert done.state is start
    assert not done.taken
    torch.testing.assert_close(done.damping, torch.full((FRAMES,), 0.1 * Damping().harder[1]))
    torch.testing.assert_close(done.values["half"], 0.5 * GOAL.square())
    again = descend(problem, start, torch.full((FRAMES,), 0.1), Damping(), 9, lambda: None)
    assert again.taken
    failures = [failed for _, failed in problem.asked[1:]]
    assert failures[:3] == [0, 1, 2]
    assert failures == sorted(failures)
    torch.testing.assert_close(again.state, GOAL, atol=0.2, rtol=0)


@pytest.mark.parametrize("enough", [0.0, 0.5])
def test_it_ends_with_a_step_that_gains_too_little(enough: float) -> None:
    ticks: list[int] = []
    damping = torch.full((FRAMES,), 20.0)  # steps of a twentieth gain a tenth
    rules = Damping(easier=1.0)
    descend(Parabolas(), torch.zeros(FRAMES), damping, rules, 5, lambda: ticks.append(1), enough)
    assert len(ticks) == (1 if enough else 5)


def test_a_tick_that_raises_stops_it() -> None:
    def tick() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        descend(Parabolas(), torch.zeros(FRAMES), torch.zeros(FRAMES), Damping(), 3, tick)


def test_a_step_is_cut_into_turns_and_moves_and_long_ones_are_shortened() -> None:
    step = torch.arange(FRAMES * 2 * 75.0).view(FRAMES, 2, 75)
    turn, move = turns_and_moves(step)
    assert float(turn[1, 4, 23, 2]) == float(step[4, 1, 71])
    assert float(move[0, 3, 1]) == float(step[3, 0, 73])
    length = torch.ones(30)
    length[15] = 4.0
    share = shortened(length)
    assert float(share[15]) == pytest.approx(0.25)
    assert bool((share[:9] == 1).all())
    assert bool((share.diff()[9:15] <= 1e-6).all())
