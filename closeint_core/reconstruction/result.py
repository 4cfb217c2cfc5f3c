# SPDX-License-Identifier: Apache-2.0
"""The clip that a solution becomes, and what is said of it."""

from __future__ import annotations

import hashlib

import numpy as np

from closeint_core.body.data import BodyData
from closeint_core.body.torch_body import TorchBody
from closeint_core.clip import InteractionClip
from closeint_core.mesh.contact_probability import clip_contacts
from closeint_core.perception.observations import Observations
from closeint_core.reconstruction.world import on_its_feet, to_world
from closeint_core.solver.solve import Solution


def build_clip(solution: Solution, observations: Observations, data: BodyData, video: str) -> InteractionClip:
    """The clip of a solution, with contacts measured on the posed meshes."""
    body = TorchBody(data)
    world = to_world(on_its_feet(solution.motion, body, solution.foot_contacts, observations.fps), body)
    people, frames = world.transl.shape[:2]
    clip = InteractionClip(
        poses=world.poses,
        transl=world.transl,
        betas=world.betas,
        body=data.name,
        fps=observations.fps,
        image_size=np.asarray(observations.image_size),
        camera_K=solution.camera.numpy()[None],
        camera_R=world.camera_R,
        camera_t=world.camera_t,
        keypoints2d=solution.keypoints2d,
        visible=observations.visible,
        contacts=np.zeros((people, frames, 24), np.float32),
        foot_contacts=solution.foot_contacts,
        frame_start=observations.frame_start,
        video=video,
    )
    if people == 2:
        clip.contacts = clip_contacts(clip, data)
    return clip


def body_hash(data: BodyData) -> str:
    """SHA-256 of what makes a body: its mean shape, its shapes and its skinning weights."""
    digest = hashlib.sha256()
    for array in (data.template, data.shapedirs, data.skin_weights):
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
