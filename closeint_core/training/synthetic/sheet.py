# SPDX-License-Identifier: Apache-2.0
"""A contact sheet: several moments of each pair, drawn from the front, for a person to judge."""

from __future__ import annotations

import cv2
import numpy as np
import torch

from closeint_core.body.torch_body import TorchBody
from closeint_core.preview.preview import draw_floor, person_colours
from closeint_core.preview.rasterizer import Camera, render
from closeint_core.training.synthetic.generate import Interactions


def side_on_camera(joints: np.ndarray, size: tuple[int, int], azimuth: float = 25.0) -> Camera:
    """A camera that sees both people side by side.

    Args:
        joints: (2, T, 24, 3) metres. size: width, height. azimuth: degrees away from square to the pair.
    """
    apart = (joints[1, :, 0] - joints[0, :, 0]).mean(0)
    angle = np.arctan2(apart[1], apart[0]) - np.pi / 2 + np.radians(azimuth)
    points = joints.reshape(-1, 3)
    centre = (points.min(0) + points.max(0)) / 2
    centre[2] = 0.88
    forward = -np.array([np.cos(angle), np.sin(angle), 0.0])
    eye = centre - 4.4 * forward + [0, 0, 0.45]
    forward = (centre - eye) / np.linalg.norm(centre - eye)
    right = np.cross(forward, [0, 0, 1.0])
    right /= np.linalg.norm(right)
    rotation = np.stack((right, np.cross(forward, right), forward))
    wide = np.abs((points - centre) @ right).max() + 0.25
    focal = min(4.4 * size[1] / 2.25, 4.4 * size[0] / (2 * wide))
    k = np.array([[focal, 0, size[0] / 2], [0, focal, size[1] / 2], [0, 0, 1.0]])
    return Camera(k, rotation, -rotation @ eye)


def contact_sheet(
    made: Interactions, body: TorchBody, moments: int = 4, size: tuple[int, int] = (220, 260), azimuth: float = 25.0
) -> np.ndarray:
    """RGB picture (H, W, 3) uint8, one row a pair, ``moments`` frames each, with the kind's name."""
    data = body.data
    colours = np.concatenate([person_colours(data, person) for person in (0, 1)])
    faces = np.concatenate([data.faces.astype(np.int64), data.faces.astype(np.int64) + data.num_vertices])
    frames = np.linspace(0, made.poses.shape[2] - 1, moments).round().astype(int)
    rows = []
    for pair, name in enumerate(made.kind_names()):
        with torch.no_grad():
            out = body(made.poses[pair][:, frames], made.betas[pair][:, None], made.transl[pair][:, frames])
        joints, vertices = out.joints.cpu().numpy(), out.vertices.cpu().numpy().astype(np.float64)
        camera = side_on_camera(joints.astype(np.float64), size, azimuth)
        floor = draw_floor(camera, size, joints.reshape(-1, 3).mean(0))
        tiles = []
        for frame in range(moments):
            drawn, depth = render(vertices[:, frame].reshape(-1, 3), faces, colours, camera, size)
            tiles.append((255 * np.where(np.isfinite(depth)[..., None], drawn, floor)).astype(np.uint8))
        row = np.ascontiguousarray(np.concatenate(tiles, 1))
        label = f"{name}  {1000 * float(made.touch_error[pair]):.0f}/{1000 * float(made.depth[pair]):.0f} mm"
        cv2.putText(row, label, (4, 12), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (20, 20, 20), 1, cv2.LINE_AA)
        rows.append(row)
    return np.concatenate(rows, 0)
