# SPDX-License-Identifier: Apache-2.0
"""Stand-in weights for the published checkpoints: every machine makes the same ones from names, shapes and a seed."""

from __future__ import annotations

import zlib

import numpy as np


def make(shapes: dict[str, list[int]], seed: int) -> dict[str, np.ndarray]:
    """Weights by name, float32.

    Args:
        shapes: the shape of each weight, by its name in the checkpoint.
        seed: another number gives other weights.
    """
    weights = {}
    for name, shape in shapes.items():
        rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
        values = rng.standard_normal(shape)
        if len(shape) > 1:
            values *= 0.5 / np.sqrt(np.prod(shape[1:]))
        else:
            values = values * 0.05 + (1.0 if name.endswith("weight") else 0.0)
        weights[name] = values.astype(np.float32)
    return weights
