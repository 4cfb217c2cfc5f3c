# SPDX-License-Identifier: Apache-2.0
"""The solved motion as a clip file, and figures that say how good it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import igl
import numpy as np
import roma
import torch
from scipy.spatial import cKDTree

from closeint_core.body.load import load_body
from closeint_core.clip import InteractionClip
from closeint_core.halpe import HALPE_NAMES
from sample.keys import Camera
from sample.rig import JOINT
from sample.solve import Pose, Scene

CONTACT_DISTANCE = 0.015
"""A body part nearer than this (metres) to the other person touches them."""


def camera_matrices(camera: Camera) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Intrinsics (3, 3), world-to-camera rotation (3, 3) and translation (3,), OpenCV axes."""
    position, target = np.asarray(camera.position, float), np.asarray(camera.target, float)
    forward = (target - position) / np.linalg.norm(target - position)
    right = np.cross(forward, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right)
    rotation = np.stack((right, np.cross(forward, right), forward))
    width, height = camera.size
    intrinsics = np.array([[camera.focal, 0, width / 2], [0, camera.focal, height / 2], [0, 0, 1]])
    return intrinsics, rotation, -rotation @ position


def centre_of_start(poses: Sequence[Pose]) -> np.ndarray:
    """(3,) horizontal place of the pair in the first frame, which a clip's world has at its origin."""
    middle = torch.stack([pose.places[0, 0] for pose in poses]).mean(0).numpy().astype(float)
    return np.array([middle[0], middle[1], 0.0])


def mesh_distance(points: np.ndarray, vertices: np.ndarray, faces: np.ndarray, limit: float) -> np.ndarray:
    """Signed distance (N,) of points to a closed mesh, negative inside; points farther than ``limit`` get ``limit``.

    Only points near the surface are measured exactly (libigl, pseudonormals); the rest are outside for sure as long
    as no point lies deeper than ``limit``.
    """
    out = np.full(len(points), limit)
    # Half an edge is the most that the nearest vertex can be farther away than the nearest face.
    near, _ = cKDTree(vertices).query(points, distance_upper_bound=limit + 0.02)
    close = np.nonzero(np.isfinite(near))[0]
    if len(close):
        signed = igl.signed_distance(points[close].astype(np.float64), vertices.astype(np.float64), faces)[0]
        out[close] = np.minimum(np.asarray(signed).reshape(-1), limit)
    return out


def touching(
    vertices: Sequence[np.ndarray], faces: np.ndarray, parts: np.ndarray, stride: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    """Which body parts touch the partner, and how deep the bodies are in each other.

    Args:
        vertices: (T, V, 3) of each of two people.
        faces: (F, 3).
        parts: (V,) body part of every vertex.
        stride: every how many frames to measure; the frames between take the last measured values.

    Returns:
        Contacts (2, T, 24) as 0 or 1, and the greatest depth (2, T) in metres of a vertex inside the other.
    """
    frames = len(vertices[0])
    contacts, depth = np.zeros((2, frames, 24), np.float32), np.zeros((2, frames), np.float32)
    for frame in range(0, frames, stride):
        for me in (0, 1):
            mine, other = vertices[me][frame], vertices[1 - me][frame]
            distance = mesh_distance(mine, other, faces, 0.05)
            contacts[me, frame : frame + stride, np.unique(parts[distance < CONTACT_DISTANCE])] = 1
            depth[me, frame : frame + stride] = max(0.0, -float(distance.min()))
    return contacts, depth


def make_clip(
    scene: Scene, poses: Sequence[Pose], vertices: Sequence[np.ndarray], metadata: dict[str, Any], stride: int = 1
) -> InteractionClip:
    """The truth as a clip, its figures in the metadata. ``vertices`` are (T, V, 3) a person, world of the scene."""
    body = load_body("default")
    motion = scene.motion
    intrinsics, rotation, translation = camera_matrices(motion.camera)
    centre = centre_of_start(poses)
    # The scene moves so that the pair starts at the origin, and the camera with it.
    translation = translation + rotation @ centre
    joints = [pose.places.numpy() for pose in poses]
    transl = [j[:, 0] - actor.rig.joints[0].numpy() - centre for j, actor in zip(joints, scene.actors, strict=True)]
    keypoints = np.full((2, len(motion.times), len(HALPE_NAMES), 3), 1.0)
    for person, mesh in enumerate(vertices):
        seen = np.einsum("kv,tvi->tki", body.halpe_regressor, mesh) @ rotation.T + translation
        image = seen @ intrinsics.T
        keypoints[person, ..., :2] = image[..., :2] / image[..., 2:]
    contacts, depth = touching(vertices, body.faces, body.parts, stride)
    planted = np.stack([np.stack([foot.planted for foot in actor.feet], -1) for actor in scene.actors])
    figures = {
        "max_penetration_mm": round(1000 * float(depth.max()), 2),
        "frames_in_contact": int((contacts.sum((0, 2)) > 0).sum()),
        "max_foot_slide_mm_per_frame": round(1000 * foot_slide(vertices, body.parts, planted), 3),
        "lowest_vertex_mm": round(1000 * min(float(mesh[..., 2].min()) for mesh in vertices), 2),
    }
    return InteractionClip(
        poses=np.stack([roma.rotmat_to_rotvec(pose.local).numpy() for pose in poses]),
        transl=np.stack(transl),
        betas=np.stack([actor.betas for actor in scene.actors]),
        body=body.name,
        fps=motion.fps,
        image_size=np.array(motion.camera.size),
        camera_K=intrinsics[None],
        camera_R=rotation[None],
        camera_t=translation[None],
        keypoints2d=keypoints,
        visible=np.ones((2, len(motion.times)), bool),
        contacts=contacts,
        foot_contacts=planted,
        video=f"{motion.name}.mp4",
        metadata={"synthetic": True, "ground_truth": True, "motion": motion.name, **metadata, "figures": figures},
    ).validate()


def foot_slide(meshes: Sequence[np.ndarray], parts: np.ndarray, planted: np.ndarray) -> float:
    """Greatest mean slide (metres a frame) of the sole's points that lie on the floor (below 3 mm) of a planted foot.

    Args:
        meshes: (T, V, 3) of each person.
        parts: (V,) body part of every vertex.
        planted: (P, T, 2) of the left, right foot.
    """
    worst = 0.0
    for person, mesh in enumerate(meshes):
        for column, side in enumerate(("left", "right")):
            foot = mesh[:, np.isin(parts, [JOINT[f"{side}_ankle"], JOINT[f"{side}_foot"]])]
            moved = np.linalg.norm(np.diff(foot[..., :2], axis=0), axis=-1)
            down = (foot[1:, :, 2] < 0.003) & (foot[:-1, :, 2] < 0.003)
            both = (planted[person, 1:, column] > 0) & (planted[person, :-1, column] > 0)
            mean = (moved * down).sum(1) / np.maximum(down.sum(1), 1)
            worst = max(worst, float(mean[both].max(initial=0)))
    return worst
