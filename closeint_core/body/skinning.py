# SPDX-License-Identifier: Apache-2.0
"""Linear blend skinning in numpy, for Blender's Python and as the reference of the torch version."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from closeint_core.body.data import BodyData
from closeint_core.clip import InteractionClip

_CHUNK_FRAMES = 32  # bounds the memory of the blended transforms: 32 frames of 12k vertices are 19 MB


def axis_angle_to_matrix(axis_angle: np.ndarray) -> np.ndarray:
    """Rotation matrices (..., 3, 3) of rotation vectors (..., 3) in radians (Rodrigues' formula).

    Keeps float64; everything else is computed in float32.
    """
    vector = np.asarray(axis_angle)
    if vector.dtype != np.float64:
        vector = vector.astype(np.float32)
    square = np.sum(vector * vector, axis=-1)
    angle = np.sqrt(square)
    # R = I + a K + b K^2 with K the cross-product matrix of the vector itself. Both coefficients
    # are smooth at zero; below 1e-2 rad their series is exact to float precision (and beyond).
    small = angle < 1e-2
    safe = np.where(small, 1.0, angle)
    half = np.sin(0.5 * safe) / safe
    a = np.where(small, 1.0 - square / 6.0 * (1.0 - square / 20.0), np.sin(safe) / safe)
    b = np.where(small, 0.5 - square / 24.0 * (1.0 - square / 30.0), 2.0 * half * half)
    x, y, z = vector[..., 0], vector[..., 1], vector[..., 2]
    matrix = b[..., None, None] * (vector[..., :, None] * vector[..., None, :])
    diagonal = 1.0 - b * square
    matrix[..., 0, 0] += diagonal
    matrix[..., 1, 1] += diagonal
    matrix[..., 2, 2] += diagonal
    matrix[..., 0, 1] -= a * z
    matrix[..., 1, 0] += a * z
    matrix[..., 0, 2] += a * y
    matrix[..., 2, 0] -= a * y
    matrix[..., 1, 2] -= a * x
    matrix[..., 2, 1] += a * x
    result: np.ndarray = matrix.astype(vector.dtype, copy=False)
    return result


def joint_transforms(rotations: np.ndarray, joints: np.ndarray, parents: np.ndarray) -> np.ndarray:
    """Forward kinematics: world transforms f4 (..., 24, 4, 4) of the joints.

    Args:
        rotations: (..., 24, 3, 3), of each joint relative to its parent.
        joints: (..., 24, 3), rest joints; leading axes broadcast with those of ``rotations``.
        parents: (24,), parents before children.

    Returns:
        Matrices whose last column is the posed joint (without ``transl``).
    """
    rotations = np.asarray(rotations, np.float32)
    lead = np.broadcast_shapes(rotations.shape[:-3], joints.shape[:-2])
    offsets = np.array(joints, np.float32)
    offsets[..., 1:, :] -= joints[..., parents[1:], :]
    local = np.zeros((*lead, len(parents), 4, 4), np.float32)
    local[..., :3, :3] = rotations
    local[..., :3, 3] = offsets
    local[..., 3, 3] = 1.0
    world = local.copy()
    for joint in range(1, len(parents)):
        world[..., joint, :, :] = world[..., parents[joint], :, :] @ local[..., joint, :, :]
    return world


def lbs(body: BodyData, poses: np.ndarray, betas: np.ndarray, transl: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pose a body.

    Args:
        body: the model.
        poses: (..., 24, 3), axis-angle in radians; joint 0 is the global orientation.
        betas: (..., <=B), shape coefficients.
        transl: (..., 3), metres, added after skinning: joint 0 ends at J0(betas) + transl.
            Leading axes of all three broadcast together.

    Returns:
        Vertices f4 (..., V, 3) and joints f4 (..., 24, 3), metres.
    """
    poses = np.asarray(poses, np.float32)
    betas = np.asarray(betas, np.float32)
    transl = np.asarray(transl, np.float32)
    lead = np.broadcast_shapes(poses.shape[:-2], betas.shape[:-1], transl.shape[:-1])
    shape = (int(np.prod(lead)),)
    poses = np.broadcast_to(poses, (*lead, *poses.shape[-2:])).reshape(*shape, *poses.shape[-2:])
    betas = np.broadcast_to(betas, (*lead, betas.shape[-1])).reshape(*shape, -1)
    transl = np.broadcast_to(transl, (*lead, 3)).reshape(*shape, 3)

    rotations = axis_angle_to_matrix(poses)
    # People keep their shape over a clip: compute each distinct rest body once.
    distinct, which = np.unique(betas, axis=0, return_inverse=True)
    which = which.reshape(-1)
    rest_vertices, rest_joints = body.rest(distinct)
    world = joint_transforms(rotations, rest_joints[which], body.parents)
    joints = world[..., :3, 3] + transl[:, None, :]

    skinning = world[..., :3, :].copy()
    skinning[..., 3] -= np.einsum("njab,njb->nja", world[..., :3, :3], rest_joints[which])
    vertices = np.empty((*shape, body.num_vertices, 3), np.float32)
    for start in range(0, shape[0], _CHUNK_FRAMES):
        part = slice(start, min(start + _CHUNK_FRAMES, shape[0]))
        points = rest_vertices[which[part]]
        if body.posedirs is not None:
            feature = (rotations[part, 1:] - np.eye(3, dtype=np.float32)).reshape(len(points), -1)
            flat = feature @ body.posedirs.reshape(-1, feature.shape[1]).T
            points = points + flat.reshape(points.shape)
        frames = len(points)
        blended = body.dense_weights @ skinning[part].reshape(frames, len(body.parents), 12)
        blended = blended.reshape(frames, -1, 3, 4)
        vertices[part] = np.einsum("nvab,nvb->nva", blended[..., :3], points) + blended[..., 3]
    vertices += transl[:, None, :]
    return vertices.reshape(*lead, -1, 3), joints.reshape(*lead, -1, 3)


def clip_vertices(
    clip: InteractionClip, body: BodyData, chunk: int = _CHUNK_FRAMES
) -> Iterator[tuple[slice, np.ndarray, np.ndarray]]:
    """Meshes (P, t, V, 3) and joints (P, t, 24, 3) of a clip, ``chunk`` frames at a time, with their slice."""
    for start in range(0, clip.frames, chunk):
        part = slice(start, min(start + chunk, clip.frames))
        vertices, joints = lbs(body, clip.poses[:, part], clip.betas[:, None], clip.transl[:, part])
        yield part, vertices, joints


def vertex_normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Area-weighted unit normals (V, 3)."""
    corners = vertices[faces]
    face_normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals = np.zeros_like(vertices)
    for axis in range(3):
        normals[:, axis] = np.bincount(faces.reshape(-1), np.repeat(face_normals[:, axis], 3), minlength=len(vertices))
    result: np.ndarray = normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    return result
