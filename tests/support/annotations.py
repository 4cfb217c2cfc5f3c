# SPDX-License-Identifier: Apache-2.0
"""Small data sets in the published layout: two people moved by the tests' own synthetic motion, true to the camera."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import roma
import torch

from closeint_core.body.data import load_body
from closeint_core.denoiser.rotation6d import rows6d_to_matrix
from closeint_core.training.synthetic.generate import default_body
from support.official_files import official_pickle, smpl_fields
from support.windows import IMAGE_SIZE, synthetic_windows

GENDERS = ("male", "female")


def write_bodies(data: Path, genders: tuple[str, ...] = GENDERS) -> None:
    """``data/smpl``: the default body as SMPL's three; the gendered ones are of other mean shapes."""
    smpl = data / "smpl"
    smpl.mkdir(parents=True, exist_ok=True)
    body = load_body("default")
    fields = smpl_fields(body)
    (smpl / "SMPL_NEUTRAL.pkl").write_bytes(official_pickle(fields))
    for number, gender in enumerate(genders):
        # A mean that the neutral body's shapes can reach, elsewhere in space.
        other = body.template + body.shapedirs[..., number] + np.float32([0.0, 0.02 * number, 0.0])
        (smpl / f"SMPL_{gender.upper()}.pkl").write_bytes(official_pickle(fields | {"v_template": other}))
    np.save(smpl / "J_regressor_halpe.npy", body.halpe_regressor)
    np.save(smpl / "J_regressor_lsp.npy", body.lsp_regressor)


def sequence(frames: int = 20, people: int = 2, seed: int = 0, gender: int = 2) -> tuple[dict[str, Any], torch.Tensor]:
    """One sequence's annotations of people on the neutral body (``gender`` says otherwise), and their translations
    (F, P, 3)."""
    body = default_body()
    made = synthetic_windows(body, 1, frames, seed)
    crops = made.conditions.crops
    points = body.points("halpe")(body.skeleton(made.rotations, made.betas, made.translation), made.betas)
    pixels = torch.cat([crops.project(points), torch.ones(*points.shape[:-1], 1)], -1)
    initial = rows6d_to_matrix(made.conditions.init_pose6d.unflatten(-1, (24, 6)))
    keypoints = made.conditions.keypoints
    assert keypoints is not None
    assert made.conditions.features is not None

    def of(x: torch.Tensor) -> np.ndarray:
        return x[0, :, :people].numpy()

    intrinsics = np.tile(np.eye(3), (frames, people, 1, 1))
    intrinsics[..., 0, 0] = intrinsics[..., 1, 1] = of(crops.focal)
    record = {
        "pose2ds": of(pixels),
        "pose2ds_pred": of(keypoints),
        "imnames": [f"images/{seed}/{i:06d}.jpg" for i in range(frames)],
        "img_size": [[IMAGE_SIZE[1], IMAGE_SIZE[0]]] * frames,
        "intris": intrinsics,
        "features": of(made.conditions.features),
        "center": of(crops.center),
        "patch_scale": of(crops.side) / 200,
        "genders": np.full((frames, people), gender),
        "init_poses": of(roma.rotmat_to_rotvec(initial)).reshape(frames, people, 72),
        "poses": of(roma.rotmat_to_rotvec(made.rotations)).reshape(frames, people, 72),
        "shapes": of(made.betas),
        "valid": np.ones((frames, people)),
        "bbox": None,
    }
    return record, made.translation[0, :, :people]


def write_annotations(data: Path, split: str, sequences: list[dict[str, Any]], name: str = "Hi4D") -> None:
    """``data/dataset/<name>/annot/<split>.pkl``."""
    folder = data / "dataset" / name / "annot"
    folder.mkdir(parents=True, exist_ok=True)
    record = {key: [one[key] for one in sequences] for key in sequences[0]}
    (folder / f"{split}.pkl").write_bytes(pickle.dumps(record, protocol=2))
