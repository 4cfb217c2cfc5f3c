# SPDX-License-Identifier: Apache-2.0
"""Symmetric positive definite block tridiagonal systems, solved by cyclic reduction.

Every second block is eliminated at once, which leaves a block tridiagonal system of half the length: so the number of
steps grows with the logarithm of the length, and each is one batched product, on a CPU and on a GPU
(Heller, "Some aspects of the cyclic reduction algorithm for block tridiagonal linear systems", 1976).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from closeint_core.mesh.chunks import in_chunks


class _Level(NamedTuple):
    """The blocks eliminated at a level: inverse (N, ..., b, b), and what of the blocks before and after is taken."""

    inverse: Tensor
    before: Tensor
    after: Tensor


class BlockTridiagonal:
    """A factorisation.

    Args:
        diagonal: (N, ..., b, b). upper: (N - 1, ..., b, b) blocks to the right of the diagonal.
    """

    def __init__(self, diagonal: Tensor, upper: Tensor) -> None:
        self._levels: list[_Level] = []
        while len(diagonal) > 1:
            to_odd, from_odd = upper[0::2], upper[1::2]
            inverse = inverses(diagonal[1::2])
            count = len(inverse)
            before = inverse @ to_odd.mT
            after = inverse[: len(from_odd)] @ from_odd
            even = diagonal[0::2].clone()
            even[:count] -= to_odd @ before
            even[1 : 1 + len(from_odd)] -= from_odd.mT @ after
            self._levels.append(_Level(inverse, before, after))
            upper = -(before[: len(from_odd)].mT @ from_odd)[: len(even) - 1]
            diagonal = even
        self._last = inverses(diagonal)

    def solve(self, right: Tensor) -> Tensor:
        """(N, ..., b, R) the solution for right sides (N, ..., b, R)."""
        known = []
        for level in self._levels:
            odd = right[1::2]
            even = right[0::2].clone()
            even[: len(odd)] -= level.before.mT @ odd
            after = level.after
            even[1 : 1 + len(after)] -= after.mT @ odd[: len(after)]
            known.append(odd)
            right = even
        found = self._last @ right
        for level, odd in zip(reversed(self._levels), reversed(known), strict=True):
            here = level.inverse @ odd - level.before @ found[: len(odd)]
            here[: len(level.after)] -= level.after @ found[1 : 1 + len(level.after)]
            both = odd.new_empty(len(found) + len(odd), *odd.shape[1:])
            both[0::2], both[1::2] = found, here
            found = both
        return found


def inverses(matrices: Tensor) -> Tensor:
    """Inverses of symmetric positive definite matrices (N, ..., b, b).

    A CPU goes through them one by one: several threads take a share of them each, and not of every matrix.
    """

    def inverse(some: Tensor) -> Tensor:
        return torch.cholesky_inverse(torch.linalg.cholesky_ex(some).L)

    if matrices.device.type != "cpu":
        return inverse(matrices)
    return torch.cat(in_chunks(inverse, matrices.chunk(torch.get_num_threads()), matrices.device))
