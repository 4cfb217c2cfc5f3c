# SPDX-License-Identifier: Apache-2.0
"""The clip that a solution becomes, and what is said of it."""

from __future__ import annotations

import hashlib
import time
from dataclasses import asdict

import numpy as np

import closeint_core
from closeint_core.body.data import BodyData
from closeint_core.body.torch_body import TorchBody
from closeint_core.calibrated import described
from closeint_core.clip import InteractionClip
from closeint_core.mesh.contact_probability import clip_contacts
from closeint_core.metrics.quality import clip_quality
from closeint_core.perception.observations import Observations
from closeint_core.progress import Progress
from closeint_core.reconstruction.calibration import PACKAGES
from closeint_core.reconstruction.world import on_its_feet, to_world
from closeint_core.settings import Settings
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


def with_metadata(
    clip: InteractionClip, data: BodyData, settings: Settings, focal: float, started: float, progress: Progress
) -> InteractionClip:
    """The clip, measured, with what it was made by: version, settings, calibration, warnings and seconds.

    Args:
        data: the clip's body. focal: pixels. started: ``time.monotonic`` of the beginning.
    """
    progress.update("measuring", 0, 1)
    clip.metadata = {
        **clip.metadata,
        "closeint": closeint_core.__version__,
        "model": settings.model,
        "settings": {**asdict(settings), "focal_px": focal},
        "calibration": described(PACKAGES),
        "body_sha256": body_hash(data),
        "seconds": round(time.monotonic() - started, 1),
        "warnings": list(progress.warnings),
        "quality": clip_quality(clip, data),
    }
    progress.update("measuring", 1, 1)
    return clip.validate()
