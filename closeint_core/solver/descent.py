# SPDX-License-Identifier: Apache-2.0
"""Damped Gauss-Newton steps on the motion of P people, for all that is said in ``PairTerms``."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import roma
import torch
from torch import Tensor

from closeint_core.sequences import dilated, least_around
from closeint_core.solver.calibration import SOLVER
from closeint_core.solver.pairs import Pairs, Weights
from closeint_core.solver.terms import PairTerms
from closeint_core.solver.ties import Ties


class Descent:
    """Steps on one window; it remembers how far the steps of each frame had to be damped.

    Args:
        terms: of the window's T frames. tick: called before every step; may raise to stop.
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
        self._damping = torch.full((terms.frames,), SOLVER.now.descent.first_damping, device=terms.device)

    def run(
        self,
        rotations: Tensor,
        transl: Tensor,
        weights: Weights,
        iterations: int,
        *,
        frames: Tensor | None = None,
        moving: Tensor | None = None,
        pairs: Sequence[tuple[str, Pairs]] = (),
        ties: Sequence[tuple[str, Ties]] = (),
        enough: float = 0.0,
    ) -> tuple[Tensor, Tensor]:
        """The motion after some steps; a step that raises the energy is not taken.

        Args:
            rotations: (P, T, 24, 3, 3) and transl: (P, T, 3) where to begin; they are not changed.
            frames: (t,) to solve for, rising; None is all. moving: (T,) bool, which frames may change; None is all.
            pairs, ties: of ``frames``. enough: share of the energy; a step that gains less is the last, as is one that
                gains nothing after one that did.
        """
        if frames is None:
            frames = torch.arange(self.terms.frames, device=self.terms.device)
        terms = self.terms if len(frames) == self.terms.frames else self.terms.at(frames)
        turned, moved = rotations[:, frames], transl[:, frames]
        free = torch.ones(len(frames), device=frames.device) if moving is None else moving[frames].float()
        held = None if self.free is None else self.free[:, frames]
        hold, steps = self._hold(terms), SOLVER.now.descent
        damping, taken = self._damping[frames], False
        pairs = [(name, one.in_use()) for name, one in pairs]
        values, system = terms.evaluate(turned, moved, weights, pairs, ties)
        energy = torch.stack(list(values.values())).sum(0)  # (t,)
        for _ in range(iterations):
            self.tick()
            damped = torch.where(free > 0, damping, steps.fixed)[:, None] * hold
            damped = damped if held is None else _with_held(damped, held)
            step = system.solve(damped, *self.accuracy)  # (t, P, 75)
            turn = step[..., :72].unflatten(-1, (24, 3)).transpose(0, 1)
            move = step[..., 72:].transpose(0, 1)
            if held is not None:
                turn, move = turn * held[..., :24, None], move * held[..., 24:]
            # Too long a step is shortened for the whole frame and, less and less, for those around it.
            farthest = turn.norm(dim=-1).amax((0, 2)), move.norm(dim=-1).amax(0)
            longest = torch.maximum(farthest[0] / steps.longest_turn, farthest[1] / steps.longest_move)
            share = free * least_around(1 / longest.clamp(min=1.0))
            tried_rotations = turned @ roma.rotvec_to_rotmat(turn * share[:, None, None])
            tried_transl = moved + move * share[:, None]
            values, tried = terms.evaluate(tried_rotations, tried_transl, weights, pairs, ties)
            new = torch.stack(list(values.values())).sum(0)
            fell = bool(new.sum() < energy.sum())
            # Where it rose, steps are to be shorter, whatever the others do.
            rose = dilated(new > energy + steps.rose, 1)
            harder = damping * steps.harder[0 if fell else 1]
            damping = torch.where(rose, harder, (damping / 3).clamp(min=steps.least_damping))
            gained = float(energy.sum() - new.sum()) if enough else 0.0
            if fell:
                turned, moved, system, energy, taken = tried_rotations, tried_transl, tried, new, True
                if enough and gained < enough * float(new.sum()):
                    break
            elif enough and taken:
                break
        # Where every step was too long, as one is that runs into what was not in the way before, the next round would
        # only try the same again.
        self._damping[frames] = torch.full_like(damping, steps.first_damping) if taken else damping
        rotations, transl = rotations.clone(), transl.clone()
        rotations[:, frames], transl[:, frames] = turned, moved
        return rotations, transl

    def _hold(self, terms: PairTerms) -> Tensor:
        """(75,) how stiffly damping of one holds each unknown of a person."""
        place = torch.full_like(terms.reach[:3], 1 / SOLVER.now.descent.place_reach**2)
        return torch.cat((1 / terms.reach.repeat_interleave(3) ** 2, place))


def _with_held(damped: Tensor, free: Tensor) -> Tensor:
    """(t, P * 75) damping (t, 75) of every person, with what is not ``free`` (P, t, 25) held for good."""
    each = free.repeat_interleave(3, -1).transpose(0, 1)  # (t, P, 75)
    return torch.where(each > 0, damped[:, None], SOLVER.now.descent.fixed * damped.amax()).flatten(1)
