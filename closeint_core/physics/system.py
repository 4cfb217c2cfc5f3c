# SPDX-License-Identifier: Apache-2.0
"""Weighted least squares over all frames of a pair at once: normal equations and their solution.

Terms within a frame make one dense block a frame (both people in it, so that what pushes one pulls the other); terms
over time stay factored, J^T D^T W D J with D a difference over frames. Conjugate gradients with the inverse blocks as
preconditioner solve the whole; all of it is batched over frames and runs where the tensors are.
"""

from __future__ import annotations

import torch
from torch import Tensor

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


def _squared_weights(weights: Tensor, order: int) -> Tensor:
    """Diagonal of D^T W D for weights (..., T - order, N): (..., T, N)."""
    coefficients = {1: (1.0, 1.0), 2: (1.0, 4.0, 1.0), 3: (1.0, 9.0, 9.0, 1.0)}[order]
    frames = weights.shape[-2] + order
    out = weights.new_zeros(*weights.shape[:-2], frames, weights.shape[-1])
    for shift, coefficient in enumerate(coefficients):
        out[..., shift : shift + frames - order, :] += coefficient * weights
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
        """3 x 3 blocks (T, N, 3, 3) and slopes (T, N, 3) of neighbouring triples from unknown ``first`` on."""
        count = matrices.shape[1]
        start = person * self.size + first
        for k in range(count):
            part = slice(start + 3 * k, start + 3 * k + 3)
            self.blocks[:, part, part] += matrices[:, k]
        self.slope[:, start : start + 3 * count] += slope.flatten(1)

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
        for jacobian, changes in self._over_time:
            squared = torch.stack([_squared_weights(weight, order) for weight, order in changes]).sum(0)
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
            for jacobian, changes in self._over_time:
                moved = (jacobian @ split[..., None])[..., 0]
                parts = [spread_back(weight * differences(moved, order), order) for weight, order in changes]
                back = torch.stack(parts).sum(0)
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
