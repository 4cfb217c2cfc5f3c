# SPDX-License-Identifier: Apache-2.0
"""A body filled with spheres: a cheap stand-in for its volume while the fit is still far off.

The spheres are inscribed in the rest mesh, largest first, and ride on the surface vertices around
them, so they follow pose and shape exactly as the skin does.
"""

from __future__ import annotations

import igl
import numpy as np
import scipy.optimize
import torch
from torch import Tensor

from closeint_core.body.data import BodyData
from closeint_core.body.torch_body import Skeleton, TorchBody


class BodySpheres:
    """S inscribed spheres of a body.

    Args:
        body: the body they belong to.
        spacing: metres between the candidate centres.
        smallest: radius in metres below which no sphere is placed.
    """

    def __init__(self, body: TorchBody, spacing: float = 0.02, smallest: float = 0.012) -> None:
        centres, self.rest_radii = inscribe_spheres(body.data, spacing, smallest)
        regressor = ride_on_vertices(body.data, centres)
        self._template = torch.as_tensor(body.data.template)
        self._shapedirs = torch.as_tensor(body.data.shapedirs)
        self._regressor = torch.as_tensor(regressor, dtype=torch.float32)
        self._points = body.points(regressor)
        # How much of the body one sphere stands for matters less than that deep parts count: all weigh alike.
        self.count = len(centres)

    def centres(self, skeleton: Skeleton, betas: Tensor) -> Tensor:
        """(..., S, 3) centres of a posed body."""
        return self._points(skeleton, betas)

    def radii(self, betas: Tensor) -> Tensor:
        """(..., S) radii at the shapes ``betas`` (..., B): the distance from each centre to the rest skin."""
        vertices = self._template + torch.einsum("vcb,...b->...vc", self._shapedirs, betas.detach())
        centres = self._regressor @ vertices
        return torch.cdist(centres, vertices).amin(-1)


def inscribe_spheres(data: BodyData, spacing: float, smallest: float) -> tuple[np.ndarray, np.ndarray]:
    """Centres (S, 3) and radii (S,) of spheres inside the rest mesh, greedily from the largest.

    A candidate is skipped when its centre lies well inside a chosen sphere.
    """
    vertices, faces = data.template.astype(np.float64), data.faces.astype(np.int64)
    low, high = vertices.min(0), vertices.max(0)
    axes = [np.arange(a + spacing / 2, b, spacing) for a, b in zip(low, high, strict=True)]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3)
    # Vertices, not triangles, bound the search: only points near the skin's height range can be inside.
    inside = igl.fast_winding_number(vertices, faces, grid) > 0.5
    grid = grid[inside]
    squared, _, _ = igl.point_mesh_squared_distance(grid, vertices, faces)
    radius = np.sqrt(squared)
    order = np.argsort(-radius)
    order = order[radius[order] >= smallest]
    kept: list[int] = []
    for candidate in order:
        if kept:
            gap = np.linalg.norm(grid[kept] - grid[candidate], axis=1)
            if (gap < 0.75 * radius[kept]).any():
                continue
        kept.append(int(candidate))
    return grid[kept], radius[kept]


def ride_on_vertices(data: BodyData, centres: np.ndarray, neighbours: int = 24) -> np.ndarray:
    """(S, V) convex combinations of surface vertices that reproduce the centres in the rest pose."""
    vertices = data.template.astype(np.float64)
    regressor = np.zeros((len(centres), len(vertices)), np.float32)
    for row, centre in enumerate(centres):
        distance = np.linalg.norm(vertices - centre, axis=1)
        near = np.flatnonzero(distance < 1.5 * distance.min() + 0.02)
        # Spread the support around the centre, so that it lies inside its hull.
        chosen = [near[np.argmin(distance[near])]]
        gap = np.linalg.norm(vertices[near] - vertices[chosen[0]], axis=1)
        while len(chosen) < min(neighbours, len(near)):
            chosen.append(near[np.argmax(gap)])
            gap = np.minimum(gap, np.linalg.norm(vertices[near] - vertices[chosen[-1]], axis=1))
        support = vertices[chosen] - centre
        system = np.vstack([support.T, 10 * np.ones(len(chosen)), 1e-3 * np.eye(len(chosen))])
        weights, _ = scipy.optimize.nnls(system, np.concatenate([np.zeros(3), [10.0], np.zeros(len(chosen))]))
        regressor[row, chosen] = weights / weights.sum()
    return regressor
