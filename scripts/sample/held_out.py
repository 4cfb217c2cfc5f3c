# SPDX-License-Identifier: Apache-2.0
"""Films of generated interactions: who plays, in which room, before which camera."""

from __future__ import annotations

import numpy as np
import torch

from closeint_core.body.data import BodyData
from closeint_core.body.skinning import lbs
from closeint_core.clip import InteractionClip
from closeint_core.evaluation.bench_cases import true_clip
from closeint_core.training.cameras import Cameras
from closeint_core.training.synthetic.generate import Interactions
from sample.film import Stage
from sample.keys import Look
from sample.rig import load_rig

Colour = tuple[float, float, float]

SIZE = (640, 480)
_SKINS: tuple[Colour, ...] = (
    (0.44, 0.235, 0.15), (0.52, 0.30, 0.21), (0.27, 0.125, 0.07), (0.62, 0.37, 0.26), (0.16, 0.07, 0.04),
)  # fmt: skip
_SHIRTS: tuple[Colour, ...] = (
    (0.055, 0.13, 0.30), (0.62, 0.16, 0.07), (0.55, 0.52, 0.44), (0.05, 0.22, 0.12), (0.38, 0.05, 0.08),
    (0.60, 0.42, 0.08), (0.09, 0.09, 0.10), (0.30, 0.16, 0.36),
)  # fmt: skip
_TROUSERS: tuple[Colour, ...] = (
    (0.10, 0.085, 0.065), (0.045, 0.06, 0.11), (0.02, 0.025, 0.04), (0.20, 0.17, 0.12), (0.26, 0.24, 0.22),
)  # fmt: skip
_SHOES: tuple[Colour, ...] = ((0.03, 0.02, 0.015), (0.55, 0.55, 0.52), (0.16, 0.07, 0.03), (0.30, 0.04, 0.04))
_HAIR: tuple[Colour, ...] = ((0.020, 0.012, 0.008), (0.16, 0.075, 0.03), (0.07, 0.035, 0.018), (0.34, 0.22, 0.10))
_WALLS: tuple[Colour, ...] = ((0.40, 0.45, 0.46), (0.62, 0.60, 0.55), (0.46, 0.38, 0.30), (0.34, 0.42, 0.33))
_FLOORS: tuple[Colour, ...] = ((0.36, 0.22, 0.12), (0.22, 0.14, 0.09), (0.42, 0.33, 0.24))


def casting(random: np.random.Generator, betas: np.ndarray, samples: int) -> Stage:
    """A room and two people of shapes (2, B) whose shirts tell them apart."""

    def pick(choices: tuple[Colour, ...]) -> Colour:
        return choices[random.integers(len(choices))]

    shirts = random.permutation(len(_SHIRTS))[:2]
    looks = [
        Look(
            pick(_SKINS), _SHIRTS[shirt], pick(_TROUSERS), pick(_SHOES), pick(_HAIR),
            ("plain", "stripes", "checks")[random.integers(3)],
        )
        for shirt in shirts
    ]  # fmt: skip
    return Stage([load_rig(shape) for shape in betas], looks, pick(_WALLS), pick(_FLOORS), samples)


def place_camera(random: np.random.Generator, points: np.ndarray, size: tuple[int, int] = SIZE) -> Cameras:
    """A still camera at hand-held height that shows both people at full length (1 camera).

    Nobody films two people with one of them all behind the other: the camera stands at least 35 degrees off the line
    through both.

    Args:
        points: (2, ..., 3) of both people over the whole clip, world.
    """
    middles = points.reshape(2, -1, 3).mean(1)
    along = float(np.arctan2(*(middles[1] - middles[0])[[1, 0]]))
    points = points.reshape(-1, 3).astype(np.float64)
    width, height = size
    focal = width * random.uniform(0.8, 1.15)
    side = np.pi / 2 * random.choice([-1, 1])
    azimuth, elevation = along + side + np.radians(random.uniform(-55, 55)), np.radians(random.uniform(2, 14))
    forward = -np.array([np.cos(azimuth) * np.cos(elevation), np.sin(azimuth) * np.cos(elevation), np.sin(elevation)])
    right = np.cross(forward, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right)
    rotation = np.stack((right, np.cross(forward, right), forward))
    centre = (points.min(0) + points.max(0)) / 2
    around = (points - centre) @ rotation.T
    need = np.abs(around[:, :2]) * 2 * focal / np.array([width, height]) / random.uniform(0.78, 0.9)
    distance = float((need.max(1) - around[:, 2]).max())
    eye = centre - distance * forward
    K = torch.tensor([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1.0]], dtype=torch.float32)
    R = torch.as_tensor(rotation, dtype=torch.float32)
    t = torch.as_tensor(-rotation @ eye, dtype=torch.float32)
    return Cameras(K[None], R[None], t[None], torch.tensor([size]))


def shoot(made: Interactions, random: np.random.Generator, data: BodyData) -> tuple[InteractionClip, np.ndarray]:
    """The truth of a pair before a camera, with its keypoints, and the meshes (2, T, V, 3) in its world."""
    poses, betas, transl = (x[0].numpy() for x in (made.poses, made.betas, made.transl))
    vertices, _ = lbs(data, poses, betas[:, None], transl)
    clip = true_clip(made, place_camera(random, vertices[:, ::4, ::7]), data)
    pixels = clip.project(data.halpe_regressor @ vertices)
    clip.keypoints2d = np.concatenate([pixels, np.ones_like(pixels[..., :1])], -1).astype(np.float32)
    return clip.validate(), vertices
