# SPDX-License-Identifier: Apache-2.0
"""A body filled with spheres: a cheap stand-in for its volume while the fit is still far off.

The spheres are inscribed in the rest mesh, largest first, and ride on the surface vertices around
them, so they follow pose and shape exactly as the skin does.
"""

from __future__ import annotations

import functools

import igl
import numpy as np
import scipy.optimize
import torch
from scipy.spatial import cKDTree
from torch import Tensor

from closeint_core.body.data import BodyData
from closeint_core.body.torch_body import LinearPoints, Skeleton, TorchBody

FOOT_PARTS = ((7, 10), (8, 11))
"""Body parts of the left and the right foot."""


class BodySpheres:
    """S inscribed spheres of a body.

    Args:
        body: the body they belong to.
        spacing: metres between the candidate centres.
    """

    def __init__(self, body: TorchBody, spacing: float = 0.02) -> None:
        centres, self.rest_radii = inscribe_spheres(body.data, spacing)
        regressor = ride_on_vertices(body.data, centres)
        self._template = torch.as_tensor(body.data.template)
        self._shapedirs = torch.as_tensor(body.data.shapedirs)
        self._regressor = torch.as_tensor(regressor, dtype=torch.float32)
        self._points = body.points(regressor)
        self._parts = torch.as_tensor((regressor @ body.data.dense_weights).argmax(1))
        self._parents = body.parents
        self.count = len(centres)

    def centres(self, skeleton: Skeleton, betas: Tensor) -> Tensor:
        """(..., S, 3) centres of a posed body."""
        result: Tensor = self._points(skeleton, betas)
        return result

    @property
    def points(self) -> LinearPoints:
        """The S centres as points of the body."""
        return self._points

    @property
    def regressor(self) -> Tensor:
        """(S, V), the centres from vertices."""
        return self._regressor

    def separable_pairs(self) -> Tensor:
        """(S, S) bool, pairs of one body's spheres that should not meet: well apart in the rest pose and along the
        skeleton; each pair once."""
        centres = self._regressor @ self._template
        radii = torch.as_tensor(self.rest_radii, dtype=torch.float32)
        gap = torch.cdist(centres, centres) - radii[:, None] - radii
        parts = self._parts
        near = joint_distance(self._parents)[parts[:, None], parts]
        return ((gap > 0.06) & (near > 2)).triu(1)

    def radii(self, betas: Tensor) -> Tensor:
        """(..., S) radii at the shapes ``betas`` (..., B): the distance from each centre to the rest skin."""
        vertices = self._template + torch.einsum("vcb,...b->...vc", self._shapedirs, betas.detach())
        centres = self._regressor @ vertices
        return torch.cdist(centres, vertices).amin(-1)


def joint_distance(parents: list[int]) -> Tensor:
    """(J, J) number of bones between two joints."""
    count = len(parents)
    distance = torch.full((count, count), count)
    for joint in range(count):
        distance[joint, joint] = 0
        if joint:  # parents come before their children
            distance[joint, :joint] = distance[parents[joint], :joint] + 1
            distance[:joint, joint] = distance[joint, :joint]
    return distance


def sole_vertices(data: BodyData, count: int = 12, rim: int = 6) -> np.ndarray:
    """(2, count + rim) vertices of the left and the right foot: spread over the sole, then over its rim up to 3 cm."""
    chosen = []
    for parts in FOOT_PARTS:
        foot = np.flatnonzero(np.isin(data.parts, parts))
        height = data.template[foot, 1] - data.template[foot, 1].min()
        picked = [int(foot[height < 0.01][data.template[foot[height < 0.01], 2].argmin()])]  # the heel first
        for top, number in ((0.01, count), (0.03, count + rim)):
            low = foot[height < top]
            while len(picked) < number:
                gap = np.linalg.norm(data.template[low][:, None] - data.template[picked], axis=-1).min(1)
                picked.append(int(low[gap.argmax()]))
        chosen.append(picked)
    return np.array(chosen)


@functools.lru_cache(maxsize=2)
def spheres_of(body: TorchBody) -> BodySpheres:
    """The spheres of a body, found the first time they are asked for."""
    return BodySpheres(body)


def inscribe_spheres(data: BodyData, spacing: float, thickness: float = 0.6) -> tuple[np.ndarray, np.ndarray]:
    """Centres (S, 3) and radii (S,) of spheres inside the rest mesh, greedily from the largest.

    Only spheres of at least ``thickness`` times the largest of their body part are taken: they sit
    deep in every limb instead of lining the skin. A candidate inside a chosen sphere is skipped.
    """
    vertices, faces = data.template.astype(np.float64), data.faces.astype(np.int64)
    axes = [np.arange(a + spacing / 2, b, spacing) for a, b in zip(vertices.min(0), vertices.max(0), strict=True)]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3)
    grid = grid[igl.fast_winding_number(vertices, faces, grid) > 0.5]
    radius = np.sqrt(igl.point_mesh_squared_distance(grid, vertices, faces)[0])
    part = data.parts[cKDTree(vertices).query(grid)[1]]
    largest = np.zeros(24)
    np.maximum.at(largest, part, radius)
    free = radius >= thickness * largest[part]
    kept: list[int] = []
    for candidate in np.argsort(-radius):
        if free[candidate]:
            kept.append(int(candidate))
            free &= np.linalg.norm(grid - grid[candidate], axis=1) > 0.8 * radius[candidate]
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
