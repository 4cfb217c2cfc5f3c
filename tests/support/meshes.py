# SPDX-License-Identifier: Apache-2.0
"""Meshes for the tests of physics: spheres, and pairs of bodies at random in each other."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
import trimesh
from torch import Tensor

from closeint_core.body.data import BodyData, load_body
from closeint_core.body.skinning import lbs


@lru_cache(maxsize=1)
def body() -> BodyData:
    return load_body("default")


def body_faces() -> Tensor:
    return torch.as_tensor(body().faces, dtype=torch.int64)


def spheres(gap: float, detail: int = 5) -> tuple[Tensor, Tensor]:
    """Two unit spheres with their centres ``gap`` apart, (2, 1, V, 3), and their faces."""
    mesh = trimesh.creation.icosphere(detail)
    vertices = np.stack([mesh.vertices, mesh.vertices + gap * np.array([0.48, 0.6, 0.64])])
    return torch.as_tensor(vertices, dtype=torch.float32)[:, None], torch.as_tensor(np.asarray(mesh.faces)).long()


def posed_pairs(count: int, seed: int, apart: float = 0.25, bend: float = 0.25) -> Tensor:
    """Pairs of bodies (2, count, V, 3) in random poses, facing each other ``apart`` metres from centre to centre."""
    rng = np.random.default_rng(seed)
    poses = rng.normal(0, bend, (2, count, 24, 3)).astype(np.float32)
    poses[:, :, 0] = 0.2 * poses[:, :, 0]
    poses[1, :, 0, 1] += np.pi
    betas = rng.normal(0, 0.7, (2, 1, 10)).astype(np.float32)
    transl = rng.normal(0, 0.03, (2, count, 3)).astype(np.float32)
    transl[1, :, :, None][:, 2] += apart
    return torch.as_tensor(lbs(body(), poses, betas, transl)[0])
