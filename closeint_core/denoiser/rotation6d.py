# SPDX-License-Identifier: Apache-2.0
"""The two 6D rotation representations in use, kept apart by name.

CloseInt's checkpoints hold the first two ROWS of the matrix one after the other, HMR2.0's the first two COLUMNS one
after the other. One is the other's inverse rotation, so that mixing them up looks almost right.
Zhou et al., "On the Continuity of Rotation Representations in Neural Networks", CVPR 2019.
"""

from __future__ import annotations

import roma
from torch import Tensor

_TINY = 1e-12  # two parallel or zero vectors give a finite (though senseless) matrix instead of NaN


def columns6d_to_matrix(columns: Tensor) -> Tensor:
    """Rotation matrices (..., 3, 3) whose first two columns span those of ``columns`` (..., 6), by Gram-Schmidt."""
    result: Tensor = roma.special_gramschmidt(columns.unflatten(-1, (2, 3)).mT, _TINY)
    return result


def rows6d_to_matrix(rows: Tensor) -> Tensor:
    """Rotation matrices (..., 3, 3) whose first two rows span those of ``rows`` (..., 6), by Gram-Schmidt."""
    return columns6d_to_matrix(rows).mT


def matrix_to_columns6d(matrices: Tensor) -> Tensor:
    """First two columns (..., 6) of (..., 3, 3)."""
    return matrices[..., :2].mT.flatten(start_dim=-2)


def matrix_to_rows6d(matrices: Tensor) -> Tensor:
    """First two rows (..., 6) of (..., 3, 3)."""
    return matrices[..., :2, :].flatten(start_dim=-2)
