# SPDX-License-Identifier: Apache-2.0
"""A tiny data set in the published layout: people whose motion, camera and keypoints belong together."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import roma
import torch

from closeint_core.body.data import load_body
from closeint_core.body.torch_body import TorchBody
from support.windows import IMAGE_SIZE, synthetic_windows

GENDERS = {"female": 0, "male": 1}


def annotations(lengths: list[int], people: list[int], seed: int = 0) -> tuple[dict[str, list[Any]], list[np.ndarray]]:
    """The dictionary of a ``test.pkl`` with one sequence for each length, and the true translations (F, P, 3).

    Every body is the default one; the keypoints are exact projections, those of the first frame's head with no
    confidence and elsewhere.
    """
    body = TorchBody(load_body("default"))
    record: dict[str, list[Any]] = {
        name: []
        for name in (
            "pose2ds", "pose2ds_pred", "imnames", "img_size", "intris", "features", "center", "patch_scale", "genders",
            "init_poses", "poses", "shapes", "valid", "bbox",
        )
    }  # fmt: skip
    translations = []
    for index, (frames, count) in enumerate(zip(lengths, people, strict=True)):
        made = synthetic_windows(body, 1, frames, seed + index)
        rotations, betas, translation = made.rotations[0], made.betas[0], made.translation[0]
        crops, keypoints = made.conditions.crops, made.conditions.keypoints[0].clone()
        keypoints[0, :, 0, :2] += 500.0
        keypoints[0, :, 0, 2] = 0.0
        init = made.conditions.init_pose6d[0].reshape(frames, 2, 24, 2, 3)
        turned = torch.stack(
            [init[..., 0, :], init[..., 1, :], torch.linalg.cross(init[..., 0, :], init[..., 1, :])], -2
        )
        part = slice(0, count)
        record["pose2ds"].append(keypoints[:, part].numpy())
        record["pose2ds_pred"].append(made.conditions.keypoints[0][:, part].numpy())
        record["imnames"].append([f"images/{index}/{i:06d}.jpg" for i in range(frames)])
        record["img_size"].append([[IMAGE_SIZE[1], IMAGE_SIZE[0]]] * frames)
        focal = float(crops.focal[0, 0, 0])
        record["intris"].append(np.tile(np.diag([focal, focal, 1.0]), (frames, count, 1, 1)))
        record["features"].append(made.conditions.features[0][:, part].numpy())
        record["center"].append(crops.center[0][:, part].numpy())
        record["patch_scale"].append(crops.side[0][:, part].numpy() / 200)
        record["genders"].append([list(GENDERS.values())[:count]] * frames)
        record["init_poses"].append(roma.rotmat_to_rotvec(turned)[:, part].reshape(frames, count, 72).numpy())
        record["poses"].append(roma.rotmat_to_rotvec(rotations)[:, part].reshape(frames, count, 72).numpy())
        record["shapes"].append(betas[:, part].numpy())
        record["valid"].append(np.ones((frames, count)))
        record["bbox"].append(None)
        translations.append(translation[:, part].numpy())
    return record, translations


def write_annotations(data: Path, record: dict[str, Any]) -> Path:
    """``data``/dataset/Hi4D/annot/test.pkl; returns ``data``."""
    folder = data / "dataset" / "Hi4D" / "annot"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "test.pkl").write_bytes(pickle.dumps(record, protocol=2))
    return data
