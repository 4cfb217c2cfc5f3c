# SPDX-License-Identifier: Apache-2.0
"""A clip of two people whom the bundled interaction prior made up."""

from __future__ import annotations

import numpy as np
import roma
import torch

from closeint_core.body.data import BodyData
from closeint_core.body.load import load_body
from closeint_core.body.torch_body import TorchBody
from closeint_core.clip import InteractionClip
from closeint_core.denoiser.prior import default_prior, draw_interactions
from closeint_core.exchange.load import still_clip

FRAMES = 16
"""Of the windows that the prior was trained on."""
RATE = 20.0
"""Frames a second; those that it was trained on have 12 to 30."""


def sampled_clip(seed: int = 0, model: BodyData | None = None) -> InteractionClip:
    """Two people of the mean shape for 16 frames, Z up, seen by a level camera.

    Args:
        seed: another number, another interaction.
        model: their body; None is the default one.

    Raises:
        CloseintError: the bundled prior is missing (exit code 3) or damaged.
    """
    body = TorchBody(model or load_body("default"))
    motion = draw_interactions(*default_prior(), body, 1, FRAMES, seed)
    shape = torch.zeros(2, body.num_betas)
    transl = motion.pelvis[0].transpose(0, 1) - body.rest_joints(shape)[:, None, 0]
    poses = roma.rotmat_to_rotvec(motion.rotations[0].transpose(0, 1))
    clip = still_clip(
        poses.numpy().astype(np.float32), transl.numpy().astype(np.float32), shape.numpy(), body.data.name, RATE
    )
    return clip.copy(metadata={"synthetic": True, "drawn_from": "closeint-prior/1", "seed": seed})
