# SPDX-License-Identifier: Apache-2.0
"""Damped Gauss-Newton steps: the one loop of the fit, the refinement and the solve around corrections.

``descend`` is the loop, for any ``Problem``. ``Descent`` takes its steps on the motion of P people, for all that is
said in ``PairTerms``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, NamedTuple, Protocol, TypeVar

import roma
import torch
from torch import Tensor

from closeint_core.sequences import dilated, least_around
from closeint_core.solver.calibration import SOLVER
from closeint_core.solver.fit_calibration import Damping
from closeint_core.solver.least_squares import System
from closeint_core.solver.pairs import Pairs, Weights
from closeint_core.solver.skinned_points import JOINTS
from closeint_core.solver.terms import PairTerms
from closeint_core.solver.ties import Ties

State = TypeVar("State")
Equations = TypeVar("Equations")


class Problem(Protocol[State, Equations]):
    """What is to be made least, over T frames."""

    def linearise(self, state: State) -> tuple[dict[str, Tensor], Equations]:
        """Energies (T,) of every term at a state, and the normal equations there."""

    def step(self, state: State, equations: Equations, damping: Tensor, failed: int) -> State:
        """The state after a step.

        Args:
            equations: of this state. damping: (T,) of each frame. failed: steps that were not taken so far.
        """


@dataclass
class Descended(Generic[State]):
    """Where steps have led: the state, the energies (T,) of every term there, the damping (T,) that the next step would
    have, and whether any step was taken."""

    state: State
    values: dict[str, Tensor]
    damping: Tensor
    taken: bool


def descend(
    problem: Problem[State, Equations],
    state: State,
    damping: Tensor,
    rules: Damping,
    steps: int,
    tick: Callable[[], None],
    enough: float = 0.0,
) -> Descended[State]:
    """The state after some steps; a step that raises the energy of all frames together is not taken.

    Args:
        damping: (T,) of the first step. rules: how it changes. tick: called after every step; may raise to stop.
        enough: share of the energy; a step that gains less is the last, as is one that gains nothing after one that
            did.
    """
    values, equations = problem.linearise(state)
    energy = _summed(values)
    taken, failed = False, 0
    for _ in range(steps):
        tried = problem.step(state, equations, damping, failed)
        values_there, equations_there = problem.linearise(tried)
        there = _summed(values_there)
        before, after = torch.stack((energy.sum(), there.sum())).tolist()  # the only wait for a device
        fell = after < before
        # Where it rose, steps are to be shorter, whatever the others do.
        rose = dilated(there > energy + rules.rose, 1)
        easier = (damping / rules.easier).clamp(min=rules.least)
        damping = torch.where(rose, damping * rules.harder[0 if fell else 1], easier)
        tick()
        last = bool(enough) and (before - after < enough * after if fell else taken)
        if fell:
            state, values, equations, energy, taken = tried, values_there, equations_there, there, True
        else:
            failed += 1
        if last:
            break
    return Descended(state, values, damping, taken)


def turns_and_moves(step: Tensor) -> tuple[Tensor, Tensor]:
    """Turns (P, T, 24, 3) of joints and moves (P, T, 3) of a step (T, P, 75)."""
    return step[..., : 3 * JOINTS].unflatten(-1, (JOINTS, 3)).transpose(0, 1), step[..., 3 * JOINTS :].transpose(0, 1)


def shortened(length: Tensor) -> Tensor:
    """(T,) shares of a step that are taken where the longest of every frame (T,) should be one at most: too long a step
    is shortened for the whole frame and, less and less, for those around it."""
    return least_around(1 / length.clamp(min=1.0))


def _summed(values: dict[str, Tensor]) -> Tensor:
    return torch.stack(list(values.values())).sum(0)


class Placed(NamedTuple):
    """Where people are: rotations (P, T, 24, 3, 3), local, and transl (P, T, 3)."""

    rotations: Tensor
    transl: Tensor


@dataclass(frozen=True)
class Task:
    """What a few steps on a motion of T frames are for.

    Attributes:
        steps: at most. frames: (t,) to solve for, rising; None is all. moving: (T,) bool, which frames may change; None
            is all.
        pairs, ties: of ``frames``. enough: see ``descend``.
    """

    weights: Weights
    steps: int
    frames: Tensor | None = None
    moving: Tensor | None = None
    pairs: Sequence[tuple[str, Pairs]] = ()
    ties: Sequence[tuple[str, Ties]] = ()
    enough: float = 0.0


class Descent:
    """Steps on one window; it remembers how far the steps of each frame had to be damped.

    Args:
        terms: of the window's T frames. tick: called after every step; may raise to stop.
        accuracy: with which each step is solved for: products at most, and the share of the first error that is left
            (None is the calibration's).

    Attributes:
        free: (P, T, 25) in 0..1, joints and last the translation: 0 where an unknown is held for good; None holds none.
    """

    def __init__(
        self, terms: PairTerms, tick: Callable[[], None], accuracy: tuple[int, float | None] = (30, None)
    ) -> None:
        self.terms, self.tick, self.accuracy = terms, tick, accuracy
        self.free: Tensor | None = None
        self._damping = torch.full((terms.frames,), SOLVER.now.descent.damping.first, device=terms.device)

    def run(self, rotations: Tensor, transl: Tensor, task: Task) -> Placed:
        """The motion after the steps of a task.

        Args:
            rotations: (P, T, 24, 3, 3) and transl: (P, T, 3) where to begin; they are not changed.
        """
        frames = task.frames
        if frames is None:
            frames = torch.arange(self.terms.frames, device=self.terms.device)
        rules = SOLVER.now.descent.damping
        problem = _Motion(self, task, frames)
        start = Placed(rotations[:, frames], transl[:, frames])
        done = descend(problem, start, self._damping[frames], rules, task.steps, self.tick, task.enough)
        # Where every step was too long, as one is that runs into what was not in the way before, the next round would
        # only try the same again.
        self._damping[frames] = torch.full_like(done.damping, rules.first) if done.taken else done.damping
        rotations, transl = rotations.clone(), transl.clone()
        rotations[:, frames], transl[:, frames] = done.state
        return Placed(rotations, transl)


class _Motion:
    """The problem of a task: some frames (t,) of a window."""

    def __init__(self, descent: Descent, task: Task, frames: Tensor) -> None:
        terms, held = descent.terms, descent.free
        self._terms = terms if len(frames) == terms.frames else terms.at(frames)
        self._accuracy, self._weights, self._ties = descent.accuracy, task.weights, task.ties
        self._pairs = [(name, one.in_use()) for name, one in task.pairs]
        self._free = torch.ones(len(frames), device=frames.device)
        if task.moving is not None:
            self._free = task.moving[frames].float()
        self._held = None if held is None else held[:, frames]
        # How stiffly damping of one holds each unknown of a person.
        place = torch.full_like(terms.reach[:3], 1 / SOLVER.now.descent.place_reach**2)
        self._hold = torch.cat((1 / terms.reach.repeat_interleave(3) ** 2, place))  # (75,)

    def linearise(self, state: Placed) -> tuple[dict[str, Tensor], System]:
        """See ``PairTerms.evaluate``."""
        return self._terms.evaluate(*state, self._weights, self._pairs, self._ties)

    def step(self, state: Placed, equations: System, damping: Tensor, failed: int) -> Placed:
        """The motion after a step."""
        tuned, held = SOLVER.now.descent, self._held
        damped = torch.where(self._free > 0, damping, tuned.fixed)[:, None] * self._hold
        damped = damped if held is None else _with_held(damped, held)
        turn, move = turns_and_moves(equations.solve(damped, *self._accuracy))
        if held is not None:
            turn, move = turn * held[..., :JOINTS, None], move * held[..., JOINTS:]
        farthest = turn.norm(dim=-1).amax((0, 2)), move.norm(dim=-1).amax(0)
        share = self._free * shortened(
            torch.maximum(farthest[0] / tuned.longest_turn, farthest[1] / tuned.longest_move)
        )
        turned = state.rotations @ roma.rotvec_to_rotmat(turn * share[:, None, None])
        return Placed(turned, state.transl + move * share[:, None])


def _with_held(damped: Tensor, free: Tensor) -> Tensor:
    """(t, P * 75) damping (t, 75) of every person, with what is not ``free`` (P, t, 25) held for good."""
    each = free.repeat_interleave(3, -1).transpose(0, 1)  # (t, P, 75)
    return torch.where(each > 0, damped[:, None], SOLVER.now.descent.fixed * damped.amax()).flatten(1)
