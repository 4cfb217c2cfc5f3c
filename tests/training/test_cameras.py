# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math
from pathlib import Path

import roma
import torch

import closeint_core
from closeint_core.body.data import load_body
from closeint_core.body.torch_body import TorchBody
from closeint_core.clip import InteractionClip
from closeint_core.halpe import HALPE_INDEX as K
from closeint_core.training.cameras import draw_cameras
from closeint_core.training.synthetic.plan import Draw

SAMPLE = Path(closeint_core.__file__).with_name("samples") / "greeting.closeint.npz"


def test_cameras_look_at_the_pair() -> None:
    clip, body = InteractionClip.load(SAMPLE), TorchBody(load_body("default"))
    betas = torch.tensor(clip.betas)[:, None]
    skeleton = body.skeleton(roma.rotvec_to_rotmat(torch.tensor(clip.poses)), betas, torch.tensor(clip.transl))
    points = body.points("halpe")(skeleton, betas).expand(60, -1, -1, -1, -1)
    cameras = draw_cameras(points[:, :, ::10], Draw(1))
    identity = torch.eye(3).expand(60, 3, 3)
    assert torch.allclose(cameras.R @ cameras.R.mT, identity, atol=1e-5)
    assert torch.allclose(torch.linalg.det(cameras.R), torch.ones(60), atol=1e-5)
    view = cameras.view(points[:, :, ::10])
    assert (view[..., 2] > 0.3).all()
    pixels = cameras.project(view)
    inside = ((pixels >= 0) & (pixels < cameras.size[:, None, None, None])).all(-1).float().mean((1, 2, 3))
    assert inside.mean() > 0.85
    assert (inside > 0.98).float().mean() > 0.5
    # Upright: heads above feet in the picture.
    assert (pixels[..., K["nose"], 1] < pixels[..., K["left_ankle"], 1]).float().mean() > 0.97
    assert math.isfinite(float(pixels.sum()))
