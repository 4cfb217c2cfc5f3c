# SPDX-License-Identifier: Apache-2.0
"""Clothes, hair and a face for the bodies: what the camera sees beside the skin."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from scipy import sparse

from sample.rig import JOINT, Rig, vertex_normals

SKIN, SHIRT, TROUSERS, SHOES, HAIR = range(5)
FACE_SIZE = 768


@dataclass(frozen=True)
class Layer:
    """A piece of clothing or hair: a part of the mesh lifted off the skin.

    Attributes:
        name: shirt, trousers, shoes or hair.
        vertices: (N,) indices into the body's vertices.
        faces: (F, 3) indices into ``vertices``.
        lift: (N,) metres above the skin.
        blend: (N, N) averaging over neighbours; applied ``rounds`` times it irons out the anatomy.
        rounds: how often.
    """

    name: str
    vertices: np.ndarray
    faces: np.ndarray
    lift: np.ndarray
    blend: sparse.csr_matrix
    rounds: int


def neighbours(count: int, faces: np.ndarray) -> sparse.csr_matrix:
    """(N, N) symmetric 0/1 matrix of vertices that share an edge."""
    i = np.concatenate([faces[:, 0], faces[:, 1], faces[:, 2], faces[:, 1], faces[:, 2], faces[:, 0]])
    j = np.concatenate([faces[:, 1], faces[:, 2], faces[:, 0], faces[:, 0], faces[:, 1], faces[:, 2]])
    matrix = sparse.coo_matrix((np.ones(len(i)), (i, j)), shape=(count, count)).tocsr()
    matrix.data[:] = 1
    return matrix


def neighbours_of_edges(count: int, edges: np.ndarray) -> sparse.csr_matrix:
    """(N, N) symmetric 0/1 matrix of the ends of ``edges`` (E, 2)."""
    i, j = np.concatenate([edges[:, 0], edges[:, 1]]), np.concatenate([edges[:, 1], edges[:, 0]])
    return sparse.coo_matrix((np.ones(len(i)), (i, j)), shape=(count, count)).tocsr()


def near_region(rig: Rig, region: int, rings: int) -> np.ndarray:
    """(V,) whether a vertex is in a region or within so many edges of it."""
    linked = neighbours(len(rig.rest), rig.faces)
    inside: np.ndarray = rig.regions == region
    for _ in range(rings):
        inside = inside | (linked @ inside.astype(float) > 0)
    return inside


def layer(rig: Rig, name: str, region: int, thickness: float, edge: float, grow: int, rounds: int) -> Layer:
    """Cut the region (grown by ``grow`` rings) out of the mesh; ``edge`` is the lift at its rim, metres."""
    count = len(rig.rest)
    inside = near_region(rig, region, grow)
    faces = rig.faces[inside[rig.faces].all(1)]
    vertices = np.unique(faces)
    index = np.full(count, -1)
    index[vertices] = np.arange(len(vertices))
    faces = index[faces]
    own = neighbours(len(vertices), faces)
    # Lift rises from the rim inwards over a few rings.
    edges = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1)
    unique, uses = np.unique(edges, axis=0, return_counts=True)
    rim = np.zeros(len(vertices), bool)
    rim[unique[uses == 1].ravel()] = True
    rings = np.where(rim, 0.0, 6.0)
    for ring in range(1, 6):
        reached = (own @ (rings < ring).astype(float) > 0) & (rings > ring)
        rings[reached] = ring
    lift = edge + (thickness - edge) * np.minimum(rings / 5.0, 1.0)
    blend = sparse.diags(1 / np.maximum(np.asarray(own.sum(1)).ravel(), 1)) @ own
    # The rim follows mesh edges in a zigzag: averaged along itself it becomes a hem.
    along = neighbours_of_edges(len(vertices), unique[uses == 1])
    hem = sparse.diags(1 / np.maximum(np.asarray(along.sum(1)).ravel(), 1)) @ along
    hold = sparse.diags(np.full(len(vertices), 0.4)) + sparse.diags(np.where(rim, 0.0, 0.6)) @ blend
    hold = hold + sparse.diags(np.where(rim, 0.6, 0.0)) @ hem
    return Layer(name, vertices, faces, lift.astype(np.float32), hold.tocsr(), rounds)


def wardrobe(rig: Rig) -> list[Layer]:
    """Shirt, trousers, shoes and hair."""
    return [
        layer(rig, "trousers", TROUSERS, 0.008, 0.004, 1, 10),
        layer(rig, "shirt", SHIRT, 0.010, 0.010, 2, 14),
        layer(rig, "shoes", SHOES, 0.006, 0.004, 0, 4),
        layer(rig, "hair", HAIR, 0.016, 0.003, 1, 6),
    ]


def worn(layers: list[Layer], vertices: np.ndarray, faces: np.ndarray) -> list[np.ndarray]:
    """Positions (N, 3) of every layer on a posed body (V, 3)."""
    normals = vertex_normals(vertices, faces)
    out = []
    for item in layers:
        skin, up = vertices[item.vertices], normals[item.vertices]
        cloth = skin + item.lift[:, None] * up
        for _ in range(item.rounds):
            cloth = item.blend @ cloth
        # Smoothing pulls cloth into the body where it bulges: keep it above the skin.
        height = ((cloth - skin) * up).sum(1)
        cloth = cloth + np.maximum(0.6 * item.lift - height, 0)[:, None] * up
        cloth[:, 2] = np.maximum(cloth[:, 2], 0.001)
        out.append(cloth.astype(np.float32))
    return out


def weave(rig: Rig, rest: np.ndarray) -> np.ndarray:
    """Place (N, 3) in the cloth of rest positions (N, 3): y runs down the trunk and, as a sleeve, down the arm."""
    seam = float(rig.joints[JOINT["left_shoulder"], 0]) + 0.02
    sleeve = np.abs(rest[:, 0]) > seam
    across, down = np.where(sleeve, rest[:, 1], rest[:, 0]), np.where(sleeve, np.abs(rest[:, 0]), rest[:, 1])
    return np.column_stack((across, down, rest[:, 2])).astype(np.float32)


def folds(rest: np.ndarray) -> np.ndarray:
    """(N,) 0 to 1: smooth irregular light and dark over rest positions (N, 3), like soft creases."""
    random = np.random.default_rng(7)
    tone = np.zeros(len(rest))
    for scale in (9.0, 16.0, 28.0, 45.0):
        for _ in range(4):
            direction = random.normal(size=3)
            wave = rest @ (scale * direction / np.linalg.norm(direction)) + random.uniform(0, 2 * np.pi)
            tone += np.sin(wave + 1.5 * np.sin(0.37 * wave)) / 4
    return np.clip(0.6 + 0.35 * tone, 0, 1).astype(np.float32)


def face_box(rig: Rig, halpe: np.ndarray) -> tuple[np.ndarray, float]:
    """Centre (x, y) and side (metres) of the square of the rest body's front that the face picture covers."""
    keypoints = halpe @ rig.rest.numpy()
    return np.array([0.0, keypoints[0, 1]]), 0.22


def face_picture(rig: Rig, halpe: np.ndarray, skin: np.ndarray, hair: np.ndarray) -> np.ndarray:
    """(FACE_SIZE, FACE_SIZE, 4) linear RGB and cover: eyes, brows, lips, nostrils, seen from the front.

    Row 0 is the top; the body's left (+X) is on the right.
    """
    centre, side = face_box(rig, halpe)
    keypoints = halpe @ rig.rest.numpy()
    nose, left_eye, right_eye = keypoints[0], keypoints[1], keypoints[2]
    scale = FACE_SIZE / side
    colour = np.tile(skin.astype(np.float32), (FACE_SIZE, FACE_SIZE, 1))
    cover = np.zeros((FACE_SIZE, FACE_SIZE), np.float32)

    def pixel(x: float, y: float) -> tuple[int, int]:
        return int((x - centre[0]) * scale + FACE_SIZE / 2), int((centre[1] - y) * scale + FACE_SIZE / 2)

    def ellipse(x: float, y: float, rx: float, ry: float, rgb: np.ndarray, angle: float = 0, alpha: float = 1) -> None:
        mask = np.zeros((FACE_SIZE, FACE_SIZE), np.float32)
        cv2.ellipse(mask, pixel(x, y), (max(1, int(rx * scale)), max(1, int(ry * scale))), angle, 0, 360, 1.0, -1)
        mask = cv2.GaussianBlur(mask, (0, 0), 2.2) * alpha
        colour[:] = colour * (1 - mask[..., None]) + np.asarray(rgb, np.float32) * mask[..., None]
        np.maximum(cover, mask, out=cover)

    lips = np.clip(skin * np.array([0.85, 0.45, 0.45]), 0, 1)
    dark = skin * 0.35
    for eye, sign in ((left_eye, 1.0), (right_eye, -1.0)):
        x, y = float(eye[0]), float(eye[1])
        ellipse(x, y + 0.001, 0.0185, 0.0105, dark, alpha=0.55)
        ellipse(x, y, 0.0145, 0.0064, np.array([0.8, 0.78, 0.75]))
        ellipse(x, y + 0.0005, 0.0062, 0.0062, np.array([0.06, 0.04, 0.03]))
        ellipse(x, y + 0.0068, 0.0155, 0.0018, hair * 0.4)
        ellipse(x + 0.002 * sign, y + 0.021, 0.019, 0.0036, hair * 0.7, angle=-6.0 * -sign)
    ellipse(0.008, float(nose[1]) - 0.012, 0.004, 0.0025, dark, alpha=0.8)
    ellipse(-0.008, float(nose[1]) - 0.012, 0.004, 0.0025, dark, alpha=0.8)
    mouth = float(nose[1]) - 0.036
    ellipse(0, mouth, 0.024, 0.0082, lips)
    ellipse(0, mouth + 0.0008, 0.022, 0.0012, dark)
    return np.dstack((colour, cover)).astype(np.float32)


def head_mask(rig: Rig) -> np.ndarray:
    """(V,) 1 where the face picture may lie: front of the head."""
    bone = rig.skin_joints.numpy()[np.arange(len(rig.rest)), rig.skin_weights.numpy().argmax(1)]
    result: np.ndarray = ((bone == JOINT["head"]) & (rig.normals.numpy()[:, 2] > 0.05)).astype(np.float32)
    return result
