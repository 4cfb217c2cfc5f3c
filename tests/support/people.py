# SPDX-License-Identifier: Apache-2.0
"""People for the solver's tests: pairs as motions, as clips, and as a detector would see them (all synthetic)."""

from __future__ import annotations

import numpy as np
import roma
import torch

from closeint_core.body.data import load_body
from closeint_core.body.skinning import lbs
from closeint_core.body.torch_body import TorchBody
from closeint_core.camera import intrinsics, project
from closeint_core.clip import InteractionClip
from closeint_core.perception.observations import Observations
from closeint_core.reconstruction.world import floor_frame
from closeint_core.solver.initial import relaxed_pose
from closeint_core.solver.phases import RefineOptions
from closeint_core.solver.state import Floor, Motion

DATA = load_body()
BODY = TorchBody(DATA)
CAMERA = torch.as_tensor(intrinsics((1280, 720), 1100.0))
FRAMES = 5
"""Of ``near_pair``."""
QUICK = RefineOptions(rounds=6)
"""A refinement short enough for a test."""


def pair(frames: int, gap: float = 0.9) -> Motion:
    """Two people of different size facing each other, the first nodding an arm; a camera pitched down by 12 degrees."""
    pose = relaxed_pose().expand(2, frames, 24, 3).clone()
    pose[0, :, 16, 2] += torch.linspace(0, 1.2, frames)
    rotations = roma.rotvec_to_rotmat(pose)
    betas = torch.zeros(2, 10)
    betas[0, 0], betas[1, 0] = 0.8, -1.2
    tilt = np.deg2rad(12.0)
    normal = torch.tensor([0.0, -np.cos(tilt), -np.sin(tilt)], dtype=torch.float32)
    to_camera, _ = floor_frame(Floor(normal, torch.tensor(1.6)), torch.tensor([0.0, 0.0, 4.0]))
    to_camera = to_camera.T
    stand = torch.tensor([[0.0, 0, 1.0], [1.0, 0, 0], [0, 1.0, 0]])  # SMPL's Y up to Z up, facing +X
    turn = torch.stack([stand, torch.diag(torch.tensor([-1.0, -1.0, 1.0])) @ stand])
    rotations[:, :, 0] = (to_camera @ turn)[:, None] @ rotations[:, :, 0]
    rest = BODY.rest_vertices(betas)
    height = -rest[..., 1].amin(1)
    place = torch.tensor([[-gap / 2, 4.0, 0.0], [gap / 2, 4.3, 0.0]])
    place[:, 2] = height - 1.6
    transl = (place @ to_camera.T)[:, None].expand(2, frames, 3).clone()
    return Motion(rotations, transl, betas, Floor(normal, torch.tensor(1.6)))


def observe(motion: Motion, noise: float = 2.0) -> Observations:
    """What a perfect detector with ``noise`` pixels of error would say of a motion (synthetic)."""
    skeleton = BODY.skeleton(motion.rotations, motion.betas[:, None], motion.transl)
    points = BODY.points("halpe")(skeleton, motion.betas[:, None])
    generator = torch.Generator().manual_seed(0)
    pixels = project(points, CAMERA) + noise * torch.randn(*points.shape[:3], 2, generator=generator)
    people, frames = motion.transl.shape[:2]
    hips = points[:, :, [11, 12]].mean(2, keepdim=True)
    landmarks = (points - hips + 0.02 * torch.randn(points.shape, generator=generator)).numpy()
    keypoints = torch.cat([pixels, torch.full_like(pixels[..., :1], 0.9)], -1).numpy()
    return Observations(
        keypoints2d=keypoints,
        landmarks3d=landmarks,
        landmarks3d_confidence=np.full((people, frames, 26), 0.9, np.float32),
        visible=np.ones((people, frames), bool),
        boxes=np.zeros((people, frames, 4), np.float32),
        peaks=np.full((frames, 17, 8, 3), np.nan, np.float32),
        fps=30.0,
        frame_start=0,
        image_size=(1280, 720),
    )


def standing(frames: int, gap: float, people: int = 2) -> InteractionClip:
    """People facing each other ``gap`` metres apart along x, on the floor, 4 m from the camera (synthetic)."""
    pose = relaxed_pose().expand(people, frames, 24, 3).clone()
    upright = torch.tensor([[0.0, 0, 1.0], [1.0, 0, 0], [0, 1.0, 0]])
    turned = torch.diag(torch.tensor([-1.0, -1.0, 1.0])) @ upright
    for person, root in enumerate((upright, turned)[:people]):
        pose[person, :, 0] = roma.rotmat_to_rotvec(root)
    betas = np.zeros((people, 10), np.float32)
    vertices, joints = lbs(DATA, pose.numpy(), betas[:, None], np.zeros((people, frames, 3), np.float32))
    transl = np.zeros((people, frames, 3), np.float32)
    transl[..., 2] = -vertices[..., 2].min(-1)
    for person, side in enumerate((-1, 1)[:people]):
        transl[person, :, :2] = np.array([side * gap / 2, 0.0]) - joints[person, :, 0, :2]
    vertices = vertices + transl[:, :, None]
    clip = InteractionClip(
        poses=pose.numpy(),
        transl=transl,
        betas=betas,
        body=DATA.name,
        fps=30.0,
        image_size=np.array([1280, 720]),
        camera_K=np.array([[[1000.0, 0, 640], [0, 1000, 360], [0, 0, 1]]], np.float32),
        camera_R=np.array([[[1.0, 0, 0], [0, 0, -1], [0, 1, 0]]], np.float32),
        camera_t=np.array([[0.0, 0.9, 4.0]], np.float32),
        keypoints2d=np.full((people, frames, 26, 3), np.nan, np.float32),
        visible=np.ones((people, frames), bool),
        contacts=np.zeros((people, frames, 24), np.float32),
        foot_contacts=np.ones((people, frames, 2), np.float32),
    )
    pixels = clip.project((DATA.halpe_regressor @ vertices).astype(np.float32))
    clip.keypoints2d = np.concatenate([pixels, np.full_like(pixels[..., :1], 0.9)], -1)
    return clip.validate()


def near_pair() -> InteractionClip:
    """Two people beside each other in random poses, feet about the floor, with keypoints (synthetic)."""
    rng = np.random.default_rng(3)
    poses = 0.2 * rng.standard_normal((2, 1, 24, 3)) + 0.02 * rng.standard_normal((2, FRAMES, 24, 3))
    poses[:, :, 0] = [1.2, 1.2, 1.2]
    transl = np.zeros((2, FRAMES, 3))
    transl[1, :, 1] = 0.25
    transl[..., 2] = 0.93
    clip = InteractionClip(
        poses=poses, transl=transl, betas=np.zeros((2, 10)), body=BODY.data.name, fps=30.0,
        image_size=np.array([1280, 720]), camera_K=np.array([[[1000.0, 0, 640], [0, 1000, 360], [0, 0, 1]]]),
        camera_R=np.array([[[1.0, 0, 0], [0, 0, -1], [0, 1, 0]]]), camera_t=np.array([[0.0, 0.9, 4.0]]),
        keypoints2d=np.concatenate([rng.uniform(250, 600, (2, FRAMES, 26, 2)), np.ones((2, FRAMES, 26, 1))], -1),
        visible=np.ones((2, FRAMES), bool), contacts=np.zeros((2, FRAMES, 24)), foot_contacts=np.ones((2, FRAMES, 2)),
    )  # fmt: skip
    return clip.validate()
