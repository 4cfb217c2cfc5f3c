# SPDX-License-Identifier: Apache-2.0
"""A small z-buffer renderer in numpy: opaque, smooth-shaded triangle meshes from a pinhole camera.

Triangles of like size are tested against their pixels together, so a frame of two 12k-vertex bodies
takes a fraction of a second on one core and nothing but numpy.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from closeint_core.body.skinning import vertex_normals

_NEAR = 0.05


@dataclass
class Camera:
    """Pinhole: K (3, 3) pixels, R (3, 3) and t (3,) world to camera, OpenCV axes, pixel centres at +0.5."""

    K: np.ndarray
    R: np.ndarray
    t: np.ndarray

    def scaled(self, factor: float) -> Camera:
        """The same view in an image ``factor`` times as large."""
        return Camera(np.diag([factor, factor, 1.0]) @ self.K, self.R, self.t)

    def to_view(self, points: np.ndarray) -> np.ndarray:
        """World points (..., 3) in the camera's frame."""
        result: np.ndarray = points @ self.R.T + self.t
        return result

    def project(self, points: np.ndarray) -> np.ndarray:
        """Pixels (..., 2) of world points (..., 3)."""
        image = self.to_view(points) @ self.K.T
        result: np.ndarray = image[..., :2] / np.maximum(image[..., 2:], _NEAR)
        return result


def render(
    vertices: np.ndarray, faces: np.ndarray, colours: np.ndarray, camera: Camera, size: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Draw a mesh.

    Args:
        vertices: (V, 3) world. faces: (F, 3). colours: (V, 3) in 0..1. size: width, height in pixels.

    Returns:
        RGB image (H, W, 3) in 0..1, and depth (H, W) in metres, infinite where nothing was drawn.
    """
    width, height = size
    view = camera.to_view(vertices)
    seen = _on_screen(view, faces, camera, size)
    normals = vertex_normals(vertices, faces) @ camera.R.T
    buffer = np.full(height * width, np.iinfo(np.int64).max, np.int64)
    extent = (seen.high - seen.low).max(1) + 1
    previous = 0
    for limit in (2, 4, 8, 16, 64, max(width, height)):
        group = np.flatnonzero(seen.visible & (extent > previous) & (extent <= limit))
        previous = limit
        step = max(1, 2_000_000 // (limit * limit))
        for start in range(0, len(group), step):
            _draw(buffer, width, seen, group[start : start + step], limit)
    hit = np.flatnonzero(buffer != np.iinfo(np.int64).max)
    face = (buffer[hit] & 0xFFFFFFFF).astype(np.int64)
    centre = np.stack([hit % width + 0.5, hit // width + 0.5], 1)
    weights = _barycentric(centre, seen.corners[face], seen.area[face])
    normal = (normals[faces[face]] * weights[..., None]).sum(1)
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-9)
    colour = (colours[faces[face]] * weights[..., None]).sum(1)
    # A lamp over the camera's left shoulder and light from above.
    lamp = np.array([-0.35, -0.6, -0.72])
    shade = 0.38 + 0.5 * np.clip(normal @ lamp, 0, 1) + 0.17 * np.clip(-normal[:, 1], 0, 1)
    out = np.zeros((height * width, 3), np.float32)
    out[hit] = np.clip(colour * shade[:, None], 0, 1)
    out_depth = np.full(height * width, np.inf, np.float32)
    out_depth[hit] = (seen.depth[face] * weights).sum(1)
    return out.reshape(height, width, 3), out_depth.reshape(height, width)


@dataclass(frozen=True)
class _Triangles:
    """Triangles as the camera sees them.

    Attributes:
        corners: (F, 3, 2) pixels. depth: (F, 3) metres. area: (F,) twice the signed area, pixels².
        low, high: (F, 2) first and last pixel that may be hit. visible: (F,) bool.
    """

    corners: np.ndarray
    depth: np.ndarray
    area: np.ndarray
    low: np.ndarray
    high: np.ndarray
    visible: np.ndarray


def _on_screen(view: np.ndarray, faces: np.ndarray, camera: Camera, size: tuple[int, int]) -> _Triangles:
    """The faces of vertices (V, 3) in the camera's frame."""
    image = view @ camera.K.T
    pixels = image[:, :2] / np.maximum(image[:, 2:], _NEAR)
    tri, depth = pixels[faces], view[faces, 2]
    edge = tri[:, 1:] - tri[:, :1]
    area = edge[:, 0, 0] * edge[:, 1, 1] - edge[:, 0, 1] * edge[:, 1, 0]
    low = np.floor(tri.min(1) - 0.5).astype(np.int64).clip(0)
    high = np.ceil(tri.max(1) - 0.5).astype(np.int64)
    high = np.minimum(high, [size[0] - 1, size[1] - 1])
    # Seen from the camera (y down), faces with outward normals towards it run clockwise: negative area.
    visible = (np.abs(area) > 1e-9) & (depth.min(1) > _NEAR) & (high >= low).all(1) & (area < 0)
    return _Triangles(tri, depth, area, low, high, visible)


def _barycentric(points: np.ndarray, triangles: np.ndarray, area: np.ndarray) -> np.ndarray:
    """(..., 3) weights of points (..., 2) in triangles (..., 3, 2) of twice the signed ``area`` (...)."""
    a, b, c = triangles[..., 0, :], triangles[..., 1, :], triangles[..., 2, :]
    ap = points - a
    v = (ap[..., 0] * (c - a)[..., 1] - ap[..., 1] * (c - a)[..., 0]) / area
    w = ((b - a)[..., 0] * ap[..., 1] - (b - a)[..., 1] * ap[..., 0]) / area
    return np.stack([1 - v - w, v, w], -1)


def _draw(buffer: np.ndarray, width: int, seen: _Triangles, group: np.ndarray, limit: int) -> None:
    """Write the triangles of ``group``, each at most ``limit`` pixels wide and high, into the z-buffer.

    The buffer holds depth (micrometres) and face in one integer, so the nearest face is a plain minimum.
    """
    offset = np.stack(np.meshgrid(np.arange(limit), np.arange(limit), indexing="xy"), -1).reshape(-1, 2)
    pixel = seen.low[group, None] + offset  # (N, limit^2, 2)
    weights = _barycentric(pixel + 0.5, seen.corners[group][:, None], seen.area[group][:, None])
    # A whisker of tolerance closes the cracks between neighbours.
    inside = (weights >= -1e-6).all(-1) & (pixel <= seen.high[group, None]).all(-1)
    row, column = np.nonzero(inside)
    z = (seen.depth[group][row] * weights[row, column]).sum(-1)
    key = ((z * 1e6).astype(np.int64) << 32) | group[row]
    where = pixel[row, column]
    np.minimum.at(buffer, where[:, 1] * width + where[:, 0], key)
