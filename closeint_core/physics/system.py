# SPDX-License-Identifier: Apache-2.0
"""Weighted least squares over all frames of a pair at once: normal equations and their solution.

Terms within a frame make one dense block a frame (both people in it, so that what pushes one pulls the other); terms
over time stay factored, J^T D^T W D J with D a difference over frames. Conjugate gradients with the inverse blocks as
preconditioner solve the whole; all of it is batched over frames and runs where the tensors are. D^T W D of all orders
that share a J is one banded matrix over frames, so that a step of the solver is a handful of products.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad

_ASKED = 5  # steps after which it is asked whether all is solved


def differences(x: Tensor, order: int) -> Tensor:
    """Differences over frames of x (..., T, N), (..., T - order, N)."""
    return torch.diff(x, n=order, dim=-2)


def spread_back(y: Tensor, order: int) -> Tensor:
    """The transpose of ``differences``: (..., T - order, N) to (..., T, N)."""
    for _ in range(order):
        zero = y.new_zeros(*y.shape[:-2], 1, y.shape[-1])
        y = torch.cat((zero, y), -2) - torch.cat((y, zero), -2)
    return y


_COEFFICIENTS = {1: (-1.0, 1.0), 2: (1.0, -2.0, 1.0), 3: (-1.0, 3.0, -3.0, 1.0)}
"""What each frame counts in a difference of an order."""


def _bands(changes: list[tuple[Tensor, int]]) -> Tensor:
    """(..., T, N, 2 * R + 1) the diagonals of the sum of D^T W D, R the highest order of D.

    Args:
        changes: weights (..., T - order, N) of the differences of an order, and that order.
    """
    reach = max(order for _, order in changes)
    weights, order = changes[0]
    out = weights.new_zeros(*weights.shape[:-2], weights.shape[-2] + order, weights.shape[-1], 2 * reach + 1)
    for weights, order in changes:
        last = weights.shape[-2]
        for row, a in enumerate(_COEFFICIENTS[order]):
            for column, b in enumerate(_COEFFICIENTS[order]):
                out[..., row : row + last, :, reach + column - row] += a * b * weights
    return out


class System:
    """The sum of w r^2 over all residuals r, linearised: blocks (T, P * n, P * n) and slope (T, P * n).

    Args:
        people, frames, size: P, T and n, the unknowns of a person's frame.
    """

    def __init__(self, people: int, frames: int, size: int, device: torch.device) -> None:
        self.people, self.frames, self.size = people, frames, size
        total = people * size
        self.blocks = torch.zeros(frames, total, total, device=device)
        self.slope = torch.zeros(frames, total, device=device)
        self._over_time: list[tuple[Tensor, list[tuple[Tensor, int]]]] = []

    def own(self, person: int) -> slice:
        """A person's unknowns within a frame."""
        return slice(person * self.size, (person + 1) * self.size)

    def add_rows(self, rows: Tensor, residual: Tensor, weight: Tensor, person: int | None = None) -> None:
        """Residuals (T, K) with slopes rows (T, K, n), of one person, or (T, K, P * n) of all (None)."""
        own = slice(None) if person is None else self.own(person)
        weighted = rows * weight[..., None]
        self.blocks[:, own, own] += weighted.mT @ rows
        self.slope[:, own] += (weighted.mT @ residual[..., None])[..., 0]

    def add_small(self, first: int, matrices: Tensor, slope: Tensor, person: int) -> None:
        """3 x 3 blocks (T, N, 3, 3) and slopes (T, N, 3) of neighbouring triples from unknown ``first`` on;
        it and the unknowns of a person are multiples of three."""
        start = person * self.size + first
        triples = slice(start // 3, start // 3 + matrices.shape[1])
        thirds = self.blocks.shape[-1] // 3
        diagonal = self.blocks.view(-1, thirds, 3, thirds, 3).diagonal(dim1=1, dim2=3)  # (T, 3, 3, P * n / 3), a view
        diagonal[..., triples] += matrices.permute(0, 2, 3, 1)
        self.slope[:, start : start + 3 * matrices.shape[1]] += slope.flatten(1)

    def add_over_time(self, jacobian: Tensor, *changes: tuple[Tensor, Tensor, int]) -> None:
        """Differences over time of what moves as jacobian (P, T, M, n) says.

        Args:
            changes: residual and weight (P, T - order, M), and the order of the difference.
        """
        kept = [change for change in changes if change[0].shape[1] > 0]
        if not kept:
            return
        self._over_time.append((jacobian, [(weight, order) for _, weight, order in kept]))
        back = torch.stack([spread_back(weight * residual, order) for residual, weight, order in kept]).sum(0)
        self.slope += (back[..., None, :] @ jacobian)[..., 0, :].transpose(0, 1).flatten(1)

    def solve(self, damping: Tensor | float, iterations: int = 30, tolerance: float = 1e-3) -> Tensor:
        """(T, P, n) step to the least sum of squares, each unknown held by ``damping`` (broadcast to (T, n))."""
        hold = torch.as_tensor(damping, device=self.slope.device, dtype=torch.float32)
        hold = hold.expand(self.frames, self.size).repeat(1, self.people)
        near = self.blocks + torch.diag_embed(hold)
        banded = [(jacobian, _bands(changes)) for jacobian, changes in self._over_time]
        for jacobian, bands in banded:
            squared = bands[..., bands.shape[-1] // 2]
            for person in range(self.people):
                own = self.own(person)
                near[:, own, own] += (jacobian[person] * squared[person][..., None]).mT @ jacobian[person]
        scale = near.diagonal(dim1=-2, dim2=-1)
        factor = torch.linalg.cholesky_ex(near + torch.diag_embed(1e-5 * scale)).L
        eye = torch.eye(factor.shape[-1], device=factor.device).expand_as(factor)
        lower = torch.linalg.solve_triangular(factor, eye, upper=False)
        inverse = lower.mT @ lower

        def apply(x: Tensor) -> Tensor:
            out = (self.blocks @ x[..., None])[..., 0] + hold * x
            split = x.unflatten(1, (self.people, self.size)).transpose(0, 1)
            for jacobian, bands in banded:
                moved = (jacobian @ split[..., None])[..., 0]
                reach = bands.shape[-1] // 2
                around = pad(moved, (0, 0, reach, reach)).unfold(1, 2 * reach + 1, 1)  # (P, T, M, 2 * reach + 1)
                back = (bands * around).sum(-1)
                out = out + (back[..., None, :] @ jacobian)[..., 0, :].transpose(0, 1).flatten(1)
            return out

        step = torch.zeros_like(self.slope)
        left = -self.slope
        ready = (inverse @ left[..., None])[..., 0]
        direction = ready
        size = (left * ready).sum()
        first = size
        for number in range(iterations):
            # A device is not waited for in every step; what is solved already changes nothing.
            if number % _ASKED == 0 and not bool(size > tolerance**2 * first):
                break
            image = apply(direction)
            length = size / (direction * image).sum().clamp(min=1e-30)
            active = (size > tolerance**2 * first).float()
            step = step + active * length * direction
            left = left - active * length * image
            ready = (inverse @ left[..., None])[..., 0]
            new = (left * ready).sum()
            direction = ready + (new / size.clamp(min=1e-30)) * direction
            size = torch.where(active > 0, new, size)
        return step.unflatten(1, (self.people, self.size))
