# SPDX-License-Identifier: GPL-3.0-or-later
"""A pinhole camera in Blender's terms. No bpy here."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..rotations import continuous, matrix_to_quaternion

SENSOR_WIDTH = 36.0
"""Millimetres; the sensor is fitted horizontally, so this is the width of the image."""

_OPENCV_TO_BLENDER = np.diag([1.0, -1.0, -1.0])
"""Blender's camera looks along -Z with Y up, OpenCV's along +Z with Y down."""


@dataclass(frozen=True)
class BlenderCamera:
    """Blender's camera values for C views (1: a still camera).

    Attributes:
        lens: (C,) focal length, millimetres on a sensor ``SENSOR_WIDTH`` wide.
        shift: (C, 2) shift_x, shift_y.
        location: (C, 3) metres.
        rotation: (C, 4) quaternions w, x, y, z.
        pixel_aspect: x, y of the render settings; they carry the difference of fx and fy.
        warnings: what Blender's camera cannot represent.
    """

    lens: np.ndarray
    shift: np.ndarray
    location: np.ndarray
    rotation: np.ndarray
    pixel_aspect: tuple[float, float]
    warnings: tuple[str, ...]


def blender_camera(
    camera_K: np.ndarray, camera_R: np.ndarray, camera_t: np.ndarray, image_size: np.ndarray
) -> BlenderCamera:
    """Convert OpenCV cameras.

    Args:
        camera_K: (C, 3, 3) pixels, pixel centres at +0.5 (so the image spans 0 to its width).
        camera_R: (C, 3, 3) world to camera.
        camera_t: (C, 3) world to camera.
        image_size: (2,) width, height in pixels.
    """
    K = np.asarray(camera_K, np.float64)
    R = np.asarray(camera_R, np.float64)
    t = np.asarray(camera_t, np.float64)
    width, height = (float(n) for n in image_size)
    fx, fy = K[:, 0, 0], K[:, 1, 1]
    warnings = []

    # A pixel is as high as fx / fy of its width; one number serves the whole scene.
    ratios = fx / fy
    ratio = float(np.median(ratios))
    if np.abs(ratios / ratio - 1).max() > 1e-4:
        warnings.append("The camera's pixel aspect changes over time; Blender's is fixed, so its median is used.")
    if abs(ratio - 1) < 1e-6:
        ratio = 1.0
    if np.abs(K[:, 0, 1]).max() > 1e-3 * fx.max():
        warnings.append("The camera has skewed pixels, which Blender cannot represent.")

    shift_x = (width / 2 - K[:, 0, 2]) / width
    shift_y = (K[:, 1, 2] - height / 2) * ratio / width
    rotation = matrix_to_quaternion(np.swapaxes(R, 1, 2) @ _OPENCV_TO_BLENDER)
    return BlenderCamera(
        lens=(fx / width * SENSOR_WIDTH).astype(np.float32),
        shift=np.stack([shift_x, shift_y], axis=1).astype(np.float32),
        location=-np.einsum("cji,cj->ci", R, t).astype(np.float32),
        rotation=continuous(rotation).astype(np.float32),
        pixel_aspect=(1.0, ratio) if ratio >= 1 else (1.0 / ratio, 1.0),
        warnings=tuple(warnings),
    )


def frame_rate(fps: float) -> tuple[int, float]:
    """Blender's ``fps`` and ``fps_base``, whose quotient is the frame rate: 29.97 is 30 / 1.001."""
    whole = min(max(round(fps), 1), 32767)
    return whole, whole / fps
