# SPDX-License-Identifier: Apache-2.0
"""Rotation vectors turned by a matrix, for arrays."""

from __future__ import annotations

import numpy as np
import roma
import torch


def compose(rotation: np.ndarray, rotation_vectors: np.ndarray) -> np.ndarray:
    """Rotation vectors (..., 3) of ``rotation`` (..., 3, 3) after ``rotation_vectors`` (..., 3), float32."""
    turned = torch.tensor(rotation, dtype=torch.float64) @ roma.rotvec_to_rotmat(
        torch.tensor(rotation_vectors, dtype=torch.float64)
    )
    result: np.ndarray = roma.rotmat_to_rotvec(turned).numpy().astype(np.float32)
    return result
