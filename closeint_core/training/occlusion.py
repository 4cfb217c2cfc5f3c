# SPDX-License-Identifier: Apache-2.0
"""What people hide of each other in a picture."""

from __future__ import annotations

import torch
from torch import Tensor


def occluded(view: Tensor, centres: Tensor, radii: Tensor, margin: float = 0.1) -> Tensor:
    """Which points have a body between them and the camera.

    Args:
        view: (N, 2, T, K, 3) points in camera axes. centres: (N, 2, T, S, 3) of the spheres inside both people.
        radii: (N, 2, S). margin: metres by which a sphere has to be nearer: a joint lies inside its own limb.

    Returns:
        (N, 2, T, K) bool.
    """
    everyone = torch.cat((centres[:, 0], centres[:, 1]), 2).transpose(2, 3)  # (N, T, 3, 2S)
    radius = torch.cat((radii[:, 0], radii[:, 1]), 1)
    pairs, _, frames, count, _ = view.shape
    # What lies in the caches is quick to go over again and again; on a GPU only memory counts.
    most = 1 << (19 if view.device.type == "cpu" else 26)
    chunk = max(1, most // (2 * frames * count * radius.shape[1]))
    parts = [
        _occluded(view[some], everyone[some], radius[some], margin)
        for some in (slice(start, start + chunk) for start in range(0, pairs, chunk))
    ]
    return torch.cat(parts)


def _occluded(view: Tensor, everyone: Tensor, radius: Tensor, margin: float) -> Tensor:
    """See ``occluded``; spheres (N, T, 3, S) of radius (N, S).

    A ray enters a sphere at t - sqrt(r^2 - c^2 + t^2), with t the distance along the ray to where it is nearest to the
    centre and c that of the centre; comparisons with it are made without the root.
    """
    points = view.transpose(1, 2)  # (N, T, 2, K, 3)
    distance = points.norm(dim=-1, keepdim=True)
    t = ((points / distance).flatten(2, 3) @ everyone).unflatten(2, points.shape[2:4])  # (N, T, 2, K, S)
    centre = everyone.square().sum(2)[:, :, None, None]
    radius = radius[:, None, None, None]
    square = radius.square() - centre
    # A joint within a sphere is not hidden by it.
    hidden = 2 * distance * t <= distance.square() + (centre - (radius + 0.04).square())
    hidden &= (t > 0) & (t.square() > -square)
    limit = distance - (margin + 0.5 * radius)
    hidden &= (t < limit) | (limit * (limit - 2 * t) < square)
    result: Tensor = hidden.any(-1).transpose(1, 2)
    return result


def box_overlap(points: Tensor) -> Tensor:
    """(N, T) share of the smaller box of points (N, 2, T, K, 2) that the other's covers."""
    low, high = points.amin(-2), points.amax(-2)
    both = (torch.minimum(high[:, 0], high[:, 1]) - torch.maximum(low[:, 0], low[:, 1])).clamp(min=0).prod(-1)
    return both / (high - low).prod(-1).amin(1).clamp(min=1e-6)
