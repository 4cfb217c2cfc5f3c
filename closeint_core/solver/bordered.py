# SPDX-License-Identifier: Apache-2.0
"""Least squares over all frames with a few unknowns that all frames share, such as shapes and a floor.

The normal equations have a border: [[A, C], [C^T, D]] with A of all frames (see ``least_squares``), C (T, P * n, G) and
D (G, G). The frames are eliminated: A is solved for the slope and for every column of C at once by conjugate gradients,
and what is left is one small system, however long the clip.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from closeint_core.solver.block_tridiagonal import BlockTridiagonal
from closeint_core.solver.least_squares import System, differences, spread_back

_ASKED = 2  # steps after which it is asked whether all is solved


class Step(NamedTuple):
    """Frames (T, P, n) and shared (G,); the latter is None where shared unknowns stay."""

    frames: Tensor
    shared: Tensor | None


class BorderedSystem(System):
    """A ``System`` with G shared unknowns.

    Attributes:
        shared_slope: (G,) half of the sum's gradient by them.
    """

    def __init__(self, people: int, frames: int, size: int, shared: int, device: torch.device) -> None:
        super().__init__(people, frames, size, device)
        self.shared = shared
        self.border = torch.zeros(frames, people * size, shared, device=device)
        self.corner = torch.zeros(shared, shared, device=device)
        self.shared_slope = torch.zeros(shared, device=device)
        self._alike = torch.zeros(people, max(frames - 2, 0), size, device=device)

    def add_bordered_rows(self, rows: Tensor, border: Tensor, residual: Tensor, weight: Tensor) -> None:
        """Residuals (P, T, K) with slopes rows (P, T, K, n) by each person's unknowns and border (P, T, K, G)."""
        self.add_own_rows(rows, residual, weight)
        if not self.shared:
            return
        heavy = weight[..., None] * border
        own = (rows.mT @ heavy).transpose(0, 1)  # (T, P, n, G)
        self.border += own.flatten(1, 2)
        flat = border.reshape(-1, self.shared)
        self.corner += flat.T @ heavy.reshape(-1, self.shared)
        self.shared_slope += flat.T @ (weight * residual).reshape(-1)

    def add_alike(self, curvature: Tensor, slope: Tensor) -> None:
        """Second differences over time of unknowns themselves.

        Args:
            curvature: (P, T - 2, n) weights of the differences. slope: (P, T, n) half of the gradient.
        """
        self._alike += curvature
        self._slope_of_people().add_(slope)

    def solve_all(self, damping: Tensor, shared_damping: Tensor, iterations: int, tolerance: float) -> Step:
        """The step to the least sum of squares.

        Args:
            damping: (T, P * n) and shared_damping: (G,), what holds each unknown.
        """
        held = self.blocks()
        held.diagonal(dim1=-2, dim2=-1).add_(damping)
        operator = _ManyColumns(held, self._banded(), self._alike, self.size)
        wanted = torch.cat((-self.slope[..., None], self.border), -1) if self.shared else -self.slope[..., None]
        solved = _conjugate_gradients(operator, wanted, iterations, tolerance)
        free = solved[..., 0]
        if not self.shared:
            return Step(free.unflatten(1, (self.people, self.size)), None)
        columns = solved[..., 1:]
        left = self.corner - torch.einsum("tng,tnh->gh", self.border, columns)
        left = 0.5 * (left + left.T)
        left.diagonal().add_(shared_damping)
        right = -self.shared_slope - torch.einsum("tng,tn->g", self.border, free)
        shared = torch.linalg.solve(left, right)
        step = free - columns @ shared
        return Step(step.unflatten(1, (self.people, self.size)), shared)


class _ManyColumns:
    """The matrix of all frames, for many columns at once, and its preconditioner."""

    def __init__(self, held: Tensor, banded: tuple[Tensor, Tensor] | None, alike: Tensor, size: int) -> None:
        self._held, self._banded, self._size = held, banded, size
        self._alike = alike if bool((alike != 0).any()) else None
        if banded is not None:
            self._reach = banded[1].shape[-1] // 2
        self._along = self._each_person_over_time()

    def _each_person_over_time(self) -> BlockTridiagonal:
        """Every person's frames without the partner, exactly: what ties two people together is little and is left to
        the iterations, what ties frames together is not."""
        size, frames = self._size, len(self._held)
        split = self._held.unflatten(-1, (-1, size)).unflatten(-3, (-1, size))
        own = split.diagonal(dim1=-4, dim2=-2).movedim(-1, -3)  # (T, P, n, n)
        near = [
            own * (1 + 1e-5),
            own.new_zeros(own.shape),
            own.new_zeros(own.shape),
        ]  # to the frame itself, next, second
        if self._banded is not None:
            jacobian, bands = self._banded
            for ahead in range(min(self._reach, frames - 1) + 1):
                weight = bands[: frames - ahead, ..., self._reach + ahead, None]
                near[ahead][: frames - ahead] += (jacobian[: frames - ahead] * weight).mT @ jacobian[ahead:]
        if self._alike is not None:
            stiff = self._alike.transpose(0, 1)  # (T - 2, P, n)
            for ahead, factors in ((0, (1, 4, 1)), (1, (-2, -2)), (2, (1,))):
                for place, factor in enumerate(factors):
                    near[ahead].diagonal(dim1=-2, dim2=-1)[place : place + len(stiff)] += factor * stiff
        return _in_pairs(near)

    def precondition(self, x: Tensor) -> Tensor:
        """(T, P * n, R) each person's own solution for x."""
        each = x.unflatten(1, (-1, self._size))  # (T, P, n, R)
        frames, people, size, columns = each.shape
        if frames % 2:
            each = torch.cat((each, each.new_zeros(1, people, size, columns)))
        pairs = each.unflatten(0, (-1, 2)).transpose(1, 2).flatten(2, 3)  # (T / 2, P, 2 n, R)
        found = self._along.solve(pairs).unflatten(2, (2, size)).transpose(1, 2).flatten(0, 1)
        return found[:frames].flatten(1, 2)

    def __call__(self, x: Tensor) -> Tensor:
        """(T, P * n, R) the matrix times x."""
        out = self._held @ x
        each = x.unflatten(1, (-1, self._size))  # (T, P, n, R)
        if self._banded is not None:
            jacobian, bands = self._banded
            moved = jacobian @ each  # (T, P, M, R)
            back = torch.zeros_like(moved)
            frames = len(moved)
            for offset in range(-self._reach, self._reach + 1):
                here = slice(max(0, -offset), min(frames, frames - offset))
                there = slice(max(0, offset), min(frames, frames + offset))
                back[here] += bands[here, ..., self._reach + offset, None] * moved[there]
            out += (jacobian.mT @ back).flatten(1, 2)
        if self._alike is not None:
            change = differences(each.flatten(1), 2).unflatten(1, each.shape[1:])
            pulled = self._alike.transpose(0, 1)[..., None] * change
            out += spread_back(pulled.flatten(1), 2).view_as(out)
        return out


def _in_pairs(near: list[Tensor]) -> BlockTridiagonal:
    """The factors of matrices whose blocks (T, P, n, n) reach to the frame itself, the next and the second, with two
    frames to a block; a missing last frame stands alone."""
    own, following, second = near
    frames, people, size, _ = own.shape
    if frames % 2:
        lone = torch.eye(size, device=own.device).expand(1, people, -1, -1)
        own, none = torch.cat((own, lone)), torch.zeros_like(lone)
        following, second = torch.cat((following, none)), torch.cat((second, none))
    blocks = own.new_zeros(len(own) // 2, people, 2, size, 2, size)
    blocks[:, :, 0, :, 0], blocks[:, :, 1, :, 1] = own[0::2], own[1::2]
    blocks[:, :, 0, :, 1], blocks[:, :, 1, :, 0] = following[0::2], following[0::2].mT
    upper = own.new_zeros(len(blocks) - 1, people, 2, size, 2, size)
    upper[:, :, 0, :, 0], upper[:, :, 1, :, 1] = second[0:-2:2], second[1:-1:2]
    upper[:, :, 1, :, 0] = following[1:-1:2]
    return BlockTridiagonal(blocks.flatten(4, 5).flatten(2, 3), upper.flatten(4, 5).flatten(2, 3))


def _conjugate_gradients(operator: _ManyColumns, wanted: Tensor, iterations: int, tolerance: float) -> Tensor:
    """(T, N, R) solutions of every column, each with its own step lengths."""
    found = torch.zeros_like(wanted)
    left = wanted.clone()
    direction = operator.precondition(left)
    size = (left * direction).sum((0, 1))
    enough = tolerance**2 * size
    for number in range(iterations):
        if number % _ASKED == 0 and not bool((size > enough).any()):
            break
        image = operator(direction)
        length = torch.where(size > enough, size / (direction * image).sum((0, 1)).clamp(min=1e-30), 0.0)
        found += length * direction
        left -= length * image
        ready = operator.precondition(left)
        before, size = size, (left * ready).sum((0, 1))
        direction = ready + (size / before.clamp(min=1e-30)) * direction
    return found
