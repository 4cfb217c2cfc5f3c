# SPDX-License-Identifier: Apache-2.0
"""A folder like the published repository's, with small random networks and a body in SMPL's layout."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from closeint_core.body.data import load_body
from closeint_core.denoiser.hmr2 import HMR2, HMR2Config
from closeint_core.denoiser.network import Denoiser
from support.official_files import official_pickle, smpl_fields
from support.windows import randomize

SMALL_HMR2 = HMR2Config(64, 1, 16, 64, 192, 1024, 1, 8, 8, 32)


def write_published(repository: Path) -> Path:
    """Write ``repository``/data; returns it."""
    data = repository / "data"
    smpl = data / "smpl"
    smpl.mkdir(parents=True)
    body = load_body("default")
    (smpl / "SMPL_NEUTRAL.pkl").write_bytes(official_pickle(smpl_fields(body)))
    np.save(smpl / "J_regressor_halpe.npy", body.halpe_regressor)
    np.save(smpl / "J_regressor_lsp.npy", body.lsp_regressor)
    upright = np.zeros((24, 6), np.float32)
    upright[:, 0] = upright[:, 4] = 1.0
    upright[0, 4] = -1.0  # the camera's y axis points down
    means = {"pose": upright.ravel(), "shape": np.zeros(10, np.float32), "cam": np.array([0.9, 0, 0], np.float32)}
    np.savez(smpl / "smpl_mean_params.npz", **means)
    hmr2 = randomize(HMR2(SMALL_HMR2))
    with torch.no_grad():
        for name in ("decpose", "decshape", "deccam"):
            getattr(hmr2.smpl_head, name).weight.mul_(0.05)
        hmr2.smpl_head.init_body_pose.copy_(torch.from_numpy(upright.reshape(1, 144)))
        hmr2.smpl_head.init_cam.copy_(torch.tensor([[0.9, 0.0, 0.0]]))
    path = data / "demo_models" / "Human4D_data" / "Human4D_checkpoints" / "epoch=35-step=1000000.ckpt"
    path.parent.mkdir(parents=True)
    torch.save({"state_dict": hmr2.state_dict(), "epoch": 35}, path)
    model = randomize(Denoiser())
    with torch.no_grad():  # small corrections of the initial pose, so that people stay people
        for head in (model.head, model.shape_head, model.cam_head):
            head[1].weight.mul_(0.03)
    weights = {f"module.{name}": tensor for name, tensor in model.state_dict().items()}
    torch.save(
        {"model": weights | {"module.smpl.v_template": torch.zeros(3, 3)}, "optimizer": {}}, data / "checkpoint.pkl"
    )
    return data
