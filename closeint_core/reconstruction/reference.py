# SPDX-License-Identifier: Apache-2.0
"""``--model reference``: the published networks, from a video to a clip.

HMR2.0 looks at each person in each frame; the denoiser corrects both people together in windows of 16 frames, which
overlap and are blended. Needs the files of ``models.reference_files``. As in the published demo, physics, keypoint
condition and prior are off and an unknown focal length is the image's diagonal; unlike it, no window ends with a jump.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from closeint_core.body.load import load_body
from closeint_core.body.torch_body import TorchBody
from closeint_core.camera import intrinsics
from closeint_core.clip import InteractionClip
from closeint_core.denoiser.checkpoint import load_denoiser
from closeint_core.denoiser.conditions import Conditions
from closeint_core.denoiser.crops import Crops, person_crops
from closeint_core.denoiser.ddim import window_noise
from closeint_core.denoiser.hmr2 import load_hmr2
from closeint_core.denoiser.network import Denoiser
from closeint_core.denoiser.rotation6d import matrix_to_rows6d
from closeint_core.denoiser.sampler import Sampler
from closeint_core.denoiser.state import STATE
from closeint_core.errors import CloseintError
from closeint_core.inputs import input_name
from closeint_core.models.reference_files import require_reference_files
from closeint_core.perception.observations import Observations
from closeint_core.progress import Progress
from closeint_core.reconstruction.result import build_clip, with_metadata
from closeint_core.reconstruction.world import floor_and_feet
from closeint_core.settings import check_device
from closeint_core.solver.solve import Solution
from closeint_core.solver.state import Floor, Motion
from closeint_core.windows import blend, blend_rotations, gather, window_starts, window_weights

if TYPE_CHECKING:
    from closeint_core.denoiser.hmr2_images import PersonFeatures
    from closeint_core.settings import Settings

WINDOW = 16
STEPS = 5
BODIES = ("default", "smpl-neutral")
_WINDOWS_AT_ONCE = 64


def reconstruct_reference(source: str | Path, settings: Settings, progress: Progress) -> InteractionClip:
    """Reconstruct the people of a video with the published networks.

    Raises:
        CloseintError: files are missing (exit code 3) or unusable, or the input cannot be used.
        Cancelled: the progress object asked to stop.
    """
    from closeint_core.denoiser.hmr2_images import HMR2Extractor
    from closeint_core.perception.pipeline import perceive
    from closeint_core.video.source import open_source

    started = time.monotonic()
    if settings.body not in BODIES:
        raise CloseintError(
            f"--model reference states shapes of the neutral SMPL body, not of {settings.body!r}.",
            "Leave --body out.",
        )
    folder = Path(settings.data) if settings.data else None
    files = require_reference_files(folder)
    for key, name in (("halpe", "J_regressor_halpe.npy"), ("lsp", "J_regressor_lsp.npy")):
        if key not in files:
            progress.warn(f"{name} was not found beside SMPL: keypoints are approximated.")
    data = load_body(files["smpl"])
    device = torch_device(settings.device)
    model = load_denoiser(files["closeint"])
    frames = open_source(source, settings.frames, fps=settings.fps)
    focal = settings.focal if settings.focal is not None else float(np.hypot(*frames.image_size))
    camera = torch.as_tensor(intrinsics(frames.image_size, focal))
    hmr2 = load_hmr2(files["hmr2"], mean_params=files.get("mean"))
    if model.config.condition != "hmr2" or model.config.feature != hmr2.config.decoder_dim:
        raise CloseintError(f"{files['closeint']} and {files['hmr2']} do not belong together.", "Use published files.")
    observations = perceive(
        frames, people=settings.people or "auto", device=settings.device, eyes=settings.eyes, progress=progress
    )
    crops = person_crops(torch.as_tensor(filled_boxes(observations.boxes)), observations.image_size, focal)
    features = HMR2Extractor(hmr2, device).extract(frames, crops, progress)
    del hmr2
    motion = denoise(model.to(device), features, crops, observations, progress)
    body = TorchBody(data)
    motion.floor, feet = floor_and_feet(body, motion, observations.fps)
    solution = Solution(motion, camera, observations.keypoints2d, feet)
    clip = build_clip(solution, observations, data, input_name(source))
    clip.metadata = {
        "footage": frames.described(),
        "checkpoints": {key: path.name for key, path in files.items()},
    }
    return with_metadata(clip, data, settings, focal, started, progress)


def torch_device(name: str) -> str:
    """``cpu`` or ``cuda`` for ``auto``, ``cpu`` or ``cuda``; raises CloseintError if there is no such device."""
    check_device(name)
    if name == "cuda" and not torch.cuda.is_available():
        raise CloseintError("torch finds no CUDA device here.", "Use --device cpu or auto.")
    return "cuda" if name != "cpu" and torch.cuda.is_available() else "cpu"


def filled_boxes(boxes: np.ndarray) -> np.ndarray:
    """f4 (T, P, 4) of boxes (P, T, 4), gaps filled in time; a person is seen at least once."""
    filled = np.empty_like(boxes, np.float32)
    index = np.arange(boxes.shape[1])
    for person, rows in enumerate(boxes):
        seen = np.isfinite(rows).all(axis=-1)
        for column in range(4):
            filled[person, :, column] = np.interp(index, index[seen], rows[seen, column])
    return filled.transpose(1, 0, 2)


def denoise(
    model: Denoiser, features: PersonFeatures, crops: Crops, observations: Observations, progress: Progress
) -> Motion:
    """Run the denoiser over a clip in overlapping windows.

    Args:
        features, crops: of batch shape (T, P), P 1 or 2.

    Returns:
        Motion in the camera's frame; its floor is still unknown (level, through the origin).
    """
    frames, people = crops.side.shape
    # A single person stands in for the missing partner, whom the mask keeps from being seen.
    pair = [0, people - 1]
    alone = torch.as_tensor(observations.visible.sum(axis=0) < 2, dtype=torch.float32)
    keypoints = torch.as_tensor(observations.keypoints2d).transpose(0, 1)[:, pair]
    starts = window_starts(frames, WINDOW)
    length = min(WINDOW, frames)
    weights = window_weights(starts, length, frames)
    # Noise belongs to a frame, not to a window, so that windows agree where they overlap.
    noise = window_noise(1, frames, STATE, seed=0)[0]
    sampler = Sampler(model, STEPS)
    rotations, betas, translation = [], [], []
    for first in range(0, len(starts), _WINDOWS_AT_ONCE):
        part = starts[first : first + _WINDOWS_AT_ONCE]

        def windows(values: Tensor, part: list[int] = part) -> Tensor:
            return gather(values, part, length)

        init = matrix_to_rows6d(features.rotations).flatten(start_dim=-2)
        part_crops = Crops(*(windows(x[:, pair]) for x in (crops.center, crops.side, crops.image_size, crops.focal)))
        conditions = Conditions(
            windows(init[:, pair]),
            part_crops,
            windows(features.features[:, pair]),
            windows(keypoints),
            windows(alone) if alone.any() else None,
        )
        state = sampler.sample(conditions, windows(noise))
        rotations.append(state.rotations().cpu())
        betas.append(state.betas.cpu())
        translation.append(state.translation(part_crops.to(state.betas.device)).cpu())
        progress.update("denoising", min(first + _WINDOWS_AT_ONCE, len(starts)), len(starts))
    together = blend_rotations(torch.cat(rotations), starts, weights, frames).transpose(0, 1)
    shapes = blend(torch.cat(betas), starts, weights, frames).transpose(0, 1)
    places = blend(torch.cat(translation), starts, weights, frames).transpose(0, 1)
    seen = torch.as_tensor(observations.visible, dtype=torch.float32)[..., None]
    shape = (seen * shapes[:people]).sum(dim=1) / seen.sum(dim=1).clamp(min=1.0)
    level = Floor(torch.tensor([0.0, -1.0, 0.0]), torch.tensor(0.0))
    return Motion(together[:people].contiguous(), places[:people].contiguous(), shape, level)
