# SPDX-License-Identifier: Apache-2.0
"""Weighted least squares over all frames of a pair at once: normal equations and their solution.

Terms within a frame make one dense block a frame (both people in it, so that what pushes one pulls the other); terms
over time stay factored, J^T D^T W D J with D a difference over frames. Conjugate gradients with the inverse blocks as
preconditioner solve the whole; all of it is batched over frames and runs where the tensors are. D^T W D of all orders
is one banded matrix over frames. A GPU is told of every product one by one, which takes it longer than the products do,
so there are few: a step of the solver is eighteen.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor
from torch.nn.functional import pad

from closeint_core.solver.block_tridiagonal import inverses
from closeint_core.solver.calibration import SOLVER

_ASKED = 5  # steps after which it is asked whether all is solved


def differences(x: Tensor, order: int) -> Tensor:
    """Differences over frames of x (..., T, N), (..., T - order, N)."""
    return torch.diff(x, n=order, dim=-2)


def spread_back(y: Tensor, order: int) -> Tensor:
    """The transpose of ``differences``: (..., T - order, N) to (..., T, N)."""
    back = torch.diff(pad(y, (0, 0, order, order)), n=order, dim=-2)
    return -back if order % 2 else back


def times(matrices: Tensor, vectors: Tensor) -> Tensor:
    """(..., N) matrices (..., N, M) times vectors (..., M); as rows, since a CPU takes up to nine times as long for a
    batch of single columns."""
    return (vectors[..., None, :] @ matrices.mT)[..., 0, :]


_COEFFICIENTS = {1: (-1, 1), 2: (1, -2, 1), 3: (-1, 3, -3, 1)}
"""What each frame counts in a difference of an order."""


@lru_cache(maxsize=32)
def _products(order: int, reach: int, device: torch.device) -> Tensor:
    """(order + 1, 2 * reach + 1) what the weight of a difference counts for on each diagonal of D^T W D.

    The first axis is the frame's place in the difference, from its last to its first.
    """
    out = torch.zeros(order + 1, 2 * reach + 1)
    for row, a in enumerate(_COEFFICIENTS[order]):
        for column, b in enumerate(_COEFFICIENTS[order]):
            out[order - row, reach + column - row] = a * b
    return out.to(device)


def _bands(changes: list[tuple[Tensor, int]], reach: int) -> Tensor:
    """(..., T, N, 2 * reach + 1) the diagonals of the sum of D^T W D.

    Args:
        changes: weights (..., T - order, N) of the differences of an order, and that order, at most ``reach``.
    """
    each = []
    for weights, order in changes:
        around = pad(weights, (0, 0, order, order)).unfold(-2, order + 1, 1)  # (..., T, N, order + 1)
        each.append(around @ _products(order, reach, weights.device))
    return sum(each[1:], start=each[0])


def _diagonal_blocks(matrices: Tensor, size: int) -> Tensor:
    """(..., B, size, size) a view of the blocks on the diagonal of matrices (..., B * size, B * size)."""
    split = matrices.unflatten(-1, (-1, size)).unflatten(-3, (-1, size))  # (..., B, size, B, size)
    return split.diagonal(dim1=-4, dim2=-2).movedim(-1, -3)


class System:
    """The sum of w r^2 over all residuals r, linearised.

    Args:
        people, frames, size: P, T and n, the unknowns of a person's frame.

    Attributes:
        slope: (T, P * n), half of the sum's gradient.
    """

    def __init__(self, people: int, frames: int, size: int, device: torch.device) -> None:
        self.people, self.frames, self.size = people, frames, size
        total = people * size
        self._joint = torch.zeros(frames, total, total, device=device)
        self._own = torch.zeros(people, frames, size, size, device=device)
        self.slope = torch.zeros(frames, total, device=device)
        self._over_time: list[tuple[Tensor, list[tuple[Tensor, int]]]] = []

    def _slope_of_people(self) -> Tensor:
        """(P, T, n), a view."""
        return self.slope.unflatten(1, (self.people, self.size)).transpose(0, 1)

    def blocks(self) -> Tensor:
        """(T, P * n, P * n) what ties the unknowns of a frame together."""
        out = self._joint.clone()
        _diagonal_blocks(out, self.size).add_(self._own.transpose(0, 1))
        return out

    def add_rows(
        self, rows: Tensor, residual: Tensor, weight: Tensor, gain: Tensor | None = None, frames: Tensor | None = None
    ) -> None:
        """Residuals (T, K) with slopes rows (T, K, P * n), each times its gain (T, K) if given; T are all frames or
        some ``frames`` (T,), no frame twice."""
        stiff, pull = _of_rows(residual, weight, gain)
        slope = times(rows.mT, pull)
        if frames is None:
            self._joint.baddbmm_((rows * stiff[..., None]).mT, rows)
            self.slope += slope
        else:
            self._joint.index_add_(0, frames, (rows * stiff[..., None]).mT @ rows)
            self.slope.index_add_(0, frames, slope)

    def add_own_rows(self, rows: Tensor, residual: Tensor, weight: Tensor, gain: Tensor | None = None) -> None:
        """Residuals (P, T, K) of each person with slopes rows (P, T, K, n), each times its gain (P, T, K) if given."""
        stiff, pull = _of_rows(residual, weight, gain)
        self._own.flatten(0, 1).baddbmm_((rows * stiff[..., None]).mT.flatten(0, 1), rows.flatten(0, 1))
        self._slope_of_people().add_(times(rows.mT, pull))

    def add_small(self, first: int, matrices: Tensor, slope: Tensor) -> None:
        """3 x 3 blocks (P, T, N, 3, 3) and slopes (P, T, N, 3) of neighbouring triples of each person's unknowns from
        the one of number ``first`` on; it and their count are multiples of three."""
        triples = slice(first // 3, first // 3 + matrices.shape[2])
        _diagonal_blocks(self._own, 3)[:, :, triples].add_(matrices)
        self._slope_of_people()[..., first : first + 3 * matrices.shape[2]].add_(slope.flatten(2))

    def add_over_time(self, jacobian: Tensor, *changes: tuple[Tensor, Tensor, int]) -> None:
        """Differences over time of what moves as jacobian (P, T, M, n) says.

        Args:
            changes: residual and weight (P, T - order, M), and the order of the difference.
        """
        kept = [change for change in changes if change[0].shape[1] > 0]
        if not kept:
            return
        self._over_time.append((jacobian, [(weight, order) for _, weight, order in kept]))
        back = [spread_back(weight * residual, order) for residual, weight, order in kept]
        total = sum(back[1:], start=back[0])
        self._slope_of_people().add_(times(jacobian.mT, total))

    def _banded(self) -> tuple[Tensor, Tensor] | None:
        """All that holds frames together: jacobians (T, P, M, n) and diagonals (T, P, M, 2 * R + 1), R the highest
        order of a difference; None if nothing does."""
        if not self._over_time:
            return None
        reach = max(order for _, changes in self._over_time for _, order in changes)
        jacobian = torch.cat([one.transpose(0, 1) for one, _ in self._over_time], 2)
        bands = torch.cat([_bands(changes, reach).transpose(0, 1) for _, changes in self._over_time], 2)
        return jacobian, bands

    def solve(self, damping: Tensor | float, iterations: int = 30, tolerance: float | None = None) -> Tensor:
        """(T, P, n) step to the least sum of squares, each unknown held by ``damping``: (T, P * n), or what broadcasts
        to (T, n) and is the same for every person.

        Args:
            tolerance: share of the first error with which it is content; None is the calibration's.
        """
        tolerance = SOLVER.now.descent.tolerance if tolerance is None else tolerance
        hold = torch.as_tensor(damping, device=self.slope.device, dtype=torch.float32)
        if hold.ndim < 2 or hold.shape[-1] != self.slope.shape[1]:
            hold = hold.expand(self.frames, self.size).repeat(1, self.people)
        held = self.blocks()
        held.diagonal(dim1=-2, dim2=-1).add_(hold)
        operator = _Operator(held, self._banded())
        inverse = operator.inverse_blocks()

        step = torch.zeros_like(self.slope)
        left = -self.slope
        direction = times(inverse, left)
        size = _dot(left, direction)
        enough = tolerance**2 * size
        for number in range(iterations):
            # A device is not waited for in every step; what is solved already changes nothing.
            if number % _ASKED == 0 and not bool(size > enough):
                break
            image = operator(direction)
            length = torch.where(size > enough, size / _dot(direction, image).clamp(min=1e-30), 0.0)
            step.addcmul_(direction, length)
            left.addcmul_(image, length, value=-1)
            ready = times(inverse, left)
            before, size = size, _dot(left, ready)
            direction = torch.addcmul(ready, direction, size / before.clamp(min=1e-30))
        return step.unflatten(1, (self.people, self.size))


class _Operator:
    """The matrix of a system, without making it: blocks within frames (T, P * n, P * n), and what ``System._banded``
    says."""

    def __init__(self, held: Tensor, banded: tuple[Tensor, Tensor] | None) -> None:
        self._held, self._banded = held, banded
        if banded is not None:
            jacobian, bands = banded
            self._reach = bands.shape[-1] // 2
            frames, people, rows, self._size = jacobian.shape
            # What the rows moved, with frames that do not move before and after.
            self._moved = held.new_zeros(frames + 2 * self._reach, people, rows)
            self._around = self._moved.unfold(0, 2 * self._reach + 1, 1)  # (T, P, M, 2 * R + 1)
            self._flat = jacobian.flatten(0, 1)

    def inverse_blocks(self) -> Tensor:
        """(T, P * n, P * n) inverses of the blocks on the diagonal of the whole."""
        near = self._held.clone()
        if self._banded is not None:
            jacobian, bands = self._banded
            _diagonal_blocks(near, self._size).add_((jacobian * bands[..., self._reach, None]).mT @ jacobian)
        diagonal = near.diagonal(dim1=-2, dim2=-1)
        diagonal.mul_(1 + 1e-5)
        if near.device.type == "cpu":
            return inverses(near)
        factor = torch.linalg.cholesky_ex(near).L
        eye = torch.eye(factor.shape[-1], device=factor.device).expand_as(factor)
        lower = torch.linalg.solve_triangular(factor, eye, upper=False)
        return lower.mT @ lower

    def __call__(self, x: Tensor) -> Tensor:
        """(T, P * n) the matrix times x (T, P * n)."""
        out = times(self._held, x)
        if self._banded is None:
            return out
        inner = self._moved[self._reach : len(self._moved) - self._reach]
        torch.bmm(x.view(-1, 1, self._size), self._flat.mT, out=inner.view(len(self._flat), 1, -1))
        back = (self._banded[1] * self._around).sum(-1)
        return out + times(self._banded[0].mT, back).view_as(out)


def _of_rows(residual: Tensor, weight: Tensor, gain: Tensor | None) -> tuple[Tensor, Tensor]:
    """How stiff residuals are, and how hard they pull at what their rows move."""
    pull = weight * residual
    return (weight, pull) if gain is None else (weight * gain.square(), pull * gain)


def _dot(a: Tensor, b: Tensor) -> Tensor:
    return torch.dot(a.flatten(), b.flatten())
