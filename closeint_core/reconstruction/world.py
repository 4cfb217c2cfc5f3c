# SPDX-License-Identifier: Apache-2.0
"""From the camera's frame to the clip's world: Z up, floor at z = 0, the pair's start at x = y = 0."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import roma
import torch
from torch import Tensor
from torch.nn.functional import normalize

from closeint_core.body.spheres import sole_vertices
from closeint_core.body.torch_body import TorchBody
from closeint_core.physics.ground import Ground, find_ground, foot_contacts
from closeint_core.reconstruction.calibration import RECONSTRUCTION
from closeint_core.solver.state import Floor, Motion

_FEET = [20, 22, 24, 21, 23, 25]  # left toes and heel, then right, in Halpe-26


@dataclass
class WorldMotion:
    """Motion in the clip's world (numpy, float32) and the still camera that saw it.

    Attributes:
        poses: (P, T, 24, 3) axis-angle. transl: (P, T, 3). betas: (P, B).
        camera_R: (1, 3, 3), camera_t: (1, 3) world to camera.
    """

    poses: np.ndarray
    transl: np.ndarray
    betas: np.ndarray
    camera_R: np.ndarray
    camera_t: np.ndarray


def floor_frame(floor: Floor, origin: Tensor) -> tuple[Tensor, Tensor]:
    """Camera-to-world rotation (3, 3) and translation (3,).

    The world's Z is the floor's normal, its Y the direction the camera looks along the floor; the
    point of the floor under ``origin`` (3,) becomes the world's origin.
    """
    up = normalize(floor.normal, dim=0)
    forward = up.new_tensor([0.0, 0.0, 1.0])
    forward = forward - (forward @ up) * up
    # Of a camera looking straight down the image's up direction serves.
    if forward.norm() < RECONSTRUCTION.now.floor.straight_down:
        forward = up.new_tensor([0.0, -1.0, 0.0])
        forward = forward - (forward @ up) * up
    forward = normalize(forward, dim=0)
    rotation = torch.stack([torch.linalg.cross(forward, up), forward, up])
    foot = origin - (origin @ up + floor.offset) * up
    return rotation, -rotation @ foot


def on_its_feet(motion: Motion, body: TorchBody, foot_contacts: np.ndarray, fps: float) -> Motion:
    """The same motion with the floor where the soles of both people stand, near the one it came with.

    A fit knows feet by keypoints and its floor is a compromise with all else; the clip's world is to have its z = 0
    where the skins touch, or what comes later would have to bend people down to it. Where nobody stands, nothing
    changes. Measured on two calibrated views, this took 17 to 19 mm off the height of standing feet and left the
    floor's direction within a degree of what it was, which is as good as it was.

    Args:
        foot_contacts: (P, T, 2) probability that each foot is planted.
    """
    chosen = sole_vertices(body.data)
    betas = motion.betas[:, None]
    with torch.no_grad():
        soles = body.points(chosen.ravel())(body.skeleton(motion.rotations, betas, motion.transl), betas)
    soles = soles.unflatten(2, chosen.shape).double().numpy()  # (P, T, 2, K, 3)
    ground = find_ground(soles, foot_contacts, motion.floor.normal.double().numpy(), fps)
    if ground is None:
        return motion
    normal, offset = (torch.as_tensor(x, dtype=torch.float32) for x in (ground.normal, ground.offset))
    return replace(motion, floor=Floor(normal, offset))


def to_world(motion: Motion, body: TorchBody) -> WorldMotion:
    """Express a motion in the world of its floor."""
    betas = motion.betas
    rest = body.rest_joints(betas)[:, None, 0]  # (P, 1, 3): the root turns about it
    roots = rest + motion.transl
    rotation, translation = floor_frame(motion.floor, roots[:, 0].mean(0))
    rotations = motion.rotations.clone()
    rotations[:, :, 0] = rotation @ rotations[:, :, 0]
    transl = roots @ rotation.T + translation - rest
    return WorldMotion(
        roma.rotmat_to_rotvec(rotations).numpy().astype(np.float32),
        transl.numpy().astype(np.float32),
        betas.numpy().astype(np.float32),
        rotation.T.numpy().astype(np.float32)[None],
        (-rotation.T @ translation).numpy().astype(np.float32)[None],
    )


def floor_and_feet(body: TorchBody, motion: Motion, fps: float) -> tuple[Floor, np.ndarray]:
    """The floor under a motion in the camera's frame, and which feet stand on it, (P, T, 2).

    The plane goes through the low feet of all frames; since depth is a network's guess, a tilt of the camera has a
    cost. A foot stands where it is low and slow.
    """
    skeleton = body.skeleton(motion.rotations, motion.betas[:, None], motion.transl)
    feet = body.points(body.data.halpe_regressor[_FEET])(skeleton, motion.betas[:, None])
    low = feet.reshape(*feet.shape[:2], 2, 3, 3)
    points = low.reshape(-1, 3).double()
    # height = -y + a x + b z + c: weighted least squares, points well above the plane losing their say.
    columns = torch.stack([points[:, 0], points[:, 2] - points[:, 2].mean(), torch.ones(len(points))], dim=1)
    target, weight = points[:, 1], torch.ones(len(points), dtype=torch.float64)
    tuned = RECONSTRUCTION.now.floor
    stiff = torch.diag(torch.tensor([1.0, 1.0, 0.0], dtype=torch.float64)) * len(points) * tuned.tilt**2
    plane = torch.zeros(3, dtype=torch.float64)
    for _ in range(15):
        system = columns.T @ (weight[:, None] * columns) + stiff + 1e-9 * torch.eye(3, dtype=torch.float64)
        plane = torch.linalg.solve(system, columns.T @ (weight * target))
        above = columns @ plane - target  # y points down
        weight = torch.sigmoid((tuned.low - above) / tuned.low_range) + 1e-6
    normal = torch.tensor([float(plane[0]), -1.0, float(plane[1])])
    offset = float(plane[2]) - float(plane[1]) * float(points[:, 2].mean())
    length = normal.norm()
    floor = Floor(normal / length, torch.tensor(offset) / length)
    height = (low @ floor.normal + floor.offset).amin(dim=-1)
    # What lies lowest decides where the floor is exactly: no foot is more than slightly under it.
    lowest = torch.quantile(height.flatten(), tuned.lowest)
    floor = Floor(floor.normal, floor.offset - lowest)
    ground = Ground(floor.normal.double().numpy(), float(floor.offset))
    return floor, foot_contacts(low.double().numpy(), ground, fps)
