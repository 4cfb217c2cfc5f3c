# SPDX-License-Identifier: GPL-3.0-or-later
"""Body models and the spheres inside them, read and filled once."""

from __future__ import annotations

import functools

import numpy as np

from closeint_core.body.data import BodyData
from closeint_core.body.load import load_body

from .contacts import PairState
from .medial_spheres import MedialSpheres, fill


@functools.lru_cache(maxsize=4)
def body_of(name: str) -> BodyData:
    """A body model, read once."""
    return load_body(name)


@functools.lru_cache(maxsize=8)
def _spheres_of(name: str, betas: bytes) -> MedialSpheres:
    return fill(body_of(name), np.frombuffer(betas, np.float32))


def pair_state(body: str, poses: np.ndarray, transl: np.ndarray, betas: np.ndarray) -> PairState:
    """A motion of two people on a body with its spheres: poses (2, T, J, 3), transl (2, T, 3), betas (2, B)."""
    one, two = (_spheres_of(body, np.ascontiguousarray(b, np.float32).tobytes()) for b in betas)
    return PairState.of(body_of(body), poses, transl, betas, (one, two))
