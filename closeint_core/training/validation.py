# SPDX-License-Identifier: Apache-2.0
"""Validation of a network on held-out kinds: measures, and pictures for a person to look at."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from closeint_core.body.data import PARENTS
from closeint_core.body.torch_body import TorchBody
from closeint_core.denoiser.network import Denoiser
from closeint_core.denoiser.prior import CodeModel, InteractionPrior, canonical_joints, report
from closeint_core.denoiser.sampler import Sampler
from closeint_core.denoiser.state import PairState
from closeint_core.halpe import HALPE_BONES
from closeint_core.metrics.accuracy import acceleration_error, interaction_error, mpjpe, pa_mpjpe
from closeint_core.metrics.reference_protocol import LSP_HIPS
from closeint_core.training.batches import TrainingBatch
from closeint_core.training.pictures import View, draw_sheet

SHOWN_FRAMES = 4
_BODY_BONES = tuple((parent, joint) for joint, parent in enumerate(PARENTS) if parent >= 0)
_MEAN_STEPS = 5
_AT_ONCE = 256  # windows of the prior judged at once, so that memory stays bounded


class Judged(NamedTuple):
    """Measures by name, and pictures (H, W, 3) BGR uint8."""

    measures: dict[str, float]
    pictures: list[np.ndarray]


def judge_denoiser(model: Denoiser, body: TorchBody, batches: list[TrainingBatch], pictures: int = 0) -> Judged:
    """Sample every window once, noise from seed 0, and compare with the truth.

    Measures, all in mm, over person-frames that have a truth: ``mpjpe`` (LSP joints, hips' middle in one place),
    ``pa_mpjpe``, ``absolute_mpjpe`` (where they are), ``interaction`` (frames with both people), ``acceleration`` (mm a
    frame^2), ``hidden_mpjpe`` (people of whom nothing is seen in that frame) and ``initial_mpjpe`` (the initial pose on
    the true shape, before the network). ``mean_mpjpe``, ``mean_interaction`` and ``mean_hidden_mpjpe`` are of
    what is sampled from zeros in five steps, near the mean of all draws, which is how the product uses a denoiser.
    """
    sampler = Sampler(model, precision="float32", graphs=False)
    meaner = Sampler(model, min(_MEAN_STEPS, model.config.diffusion_steps), precision="float32", graphs=False)
    found: dict[str, list[np.ndarray]] = {}
    drawn: list[np.ndarray] = []

    def note(name: str, values: np.ndarray, where: np.ndarray) -> None:
        found.setdefault(name, []).append(values[where])

    lsp, halpe = body.points("lsp"), body.points("halpe")
    roots = (LSP_HIPS[0], LSP_HIPS[1])
    with torch.no_grad():
        for batch in batches:
            crops = batch.conditions.crops
            state, truth = sampler.sample(batch.conditions, seed=0), PairState.of(batch.target)
            initial = PairState(batch.conditions.init_pose6d, truth.betas, truth.crop_camera)
            mean = meaner.sample(batch.conditions, noise=torch.zeros_like(batch.target))
            states = (state, truth, initial, mean)
            skeletons = [body.skeleton(s.rotations(), s.betas, s.translation(crops)) for s in states]
            joints, true, first, middle = (
                lsp(skeleton, s.betas).cpu().numpy().astype(np.float64)
                for skeleton, s in zip(skeletons, states, strict=True)
            )
            valid = batch.valid.cpu().numpy()
            note("pa_mpjpe", pa_mpjpe(joints, true), valid)
            note("absolute_mpjpe", 1000 * np.linalg.norm(joints - true, axis=-1).mean(-1), valid)
            note("initial_mpjpe", mpjpe(first, true, roots), valid)
            unseen = None
            if batch.conditions.keypoints is not None:
                unseen = valid & ~torch.isfinite(batch.conditions.keypoints).all(-1).any(-1).cpu().numpy()
            for prefix, ours in (("", joints), ("mean_", middle)):
                error = mpjpe(ours, true, roots)
                note(f"{prefix}mpjpe", error, valid)
                if unseen is not None:
                    note(f"{prefix}hidden_mpjpe", error, unseen)
                pairs, true_pairs = (np.moveaxis(x.reshape(-1, *x.shape[2:]), 1, 0) for x in (ours, true))
                note(f"{prefix}interaction", interaction_error(pairs, true_pairs), valid.all(-1).reshape(-1))
            if joints.shape[1] > 2:
                in_time = np.moveaxis(joints, 2, 1), np.moveaxis(true, 2, 1)
                three = np.moveaxis(valid[:, 2:] & valid[:, 1:-1] & valid[:, :-2], 2, 1)
                note("acceleration", acceleration_error(*in_time, roots), three)
            if len(drawn) < pictures:
                points = [halpe(skeleton, s.betas) for skeleton, s in zip(skeletons, (state, truth), strict=False)]
                for row in range(min(len(batch), pictures - len(drawn))):
                    drawn.append(_denoiser_sheet(batch, points[0], points[1], row))
    measures = {}
    for name, parts in found.items():
        values = np.concatenate(parts)
        if len(values):
            measures[name] = float(values.mean())
    return Judged(measures, drawn)


def _denoiser_sheet(batch: TrainingBatch, points: Tensor, truth: Tensor, row: int) -> np.ndarray:
    """Overlay, from the side and from above of one window, Halpe points (B, T, 2, 26, 3) metres."""
    frames = _shown(points.shape[1])
    crops = batch.conditions.crops[row, frames]
    ours, true = points[row, frames], truth[row, frames]
    keypoints = batch.conditions.keypoints
    dots = None
    if keypoints is not None:
        dots = keypoints[row, frames][..., :2].cpu().numpy()
    overlay = View(crops.project(ours).cpu().numpy(), batch.keypoints[row, frames].cpu().numpy(), dots)
    up = batch.up[row].to(ours)
    ahead = ours.new_tensor([0.0, 0.0, 1.0])
    ahead = ahead - (ahead * up).sum() * up
    ahead = ahead / ahead.norm().clamp(min=1e-3)
    side = torch.stack([ahead, -up], dim=-1)
    above = torch.stack([torch.linalg.cross(up, ahead), -ahead], dim=-1)
    others = [View((ours @ axes).cpu().numpy(), (true @ axes).cpu().numpy()) for axes in (side, above)]
    return draw_sheet([overlay, *others], HALPE_BONES)


def judge_prior(prior: InteractionPrior, body: TorchBody, numbers: Tensor, pictures: int = 0) -> Judged:
    """Perplexity of the codebooks and error (mm) of what is decoded, for canonical numbers (B, T, 2, 147)."""
    found = report(prior, body, numbers)
    drawn = []
    if pictures:
        training = prior.training
        with torch.no_grad():
            made = prior.eval()(numbers[:pictures]).numbers
        prior.train(training)
        drawn = [
            _canonical_sheet(body, made[row : row + 1], numbers[row : row + 1])
            for row in range(min(pictures, len(made)))
        ]
    measures = {"perplexity": found.perplexity, "codes": float(found.codes), "mpjpe": found.mpjpe_mm}
    return Judged(measures, drawn)


def judge_codes(
    codes: CodeModel, prior: InteractionPrior, body: TorchBody, numbers: Tensor, pictures: int = 0
) -> Judged:
    """Denoising error of the latents of canonical numbers (B, T, 2, 147), and pictures of interactions drawn anew.

    Noise and timesteps are the same every time.
    """
    was_training = codes.training
    codes.eval()
    drawn = []
    draw = torch.Generator().manual_seed(0)
    with torch.no_grad():
        losses = []
        for part in numbers.split(_AT_ONCE):
            latents = prior.latents(part)
            noise = torch.randn(latents.shape, generator=draw).to(latents)
            timesteps = torch.randint(len(codes.shares), (len(part),), generator=draw).to(latents.device)
            losses.append(codes.loss(latents, noise, timesteps) * len(part))
        if pictures:
            made = prior.decode_nearest(codes.sample(pictures, numbers.shape[1], seed=0))
            drawn = [_canonical_sheet(body, made[row : row + 1], None) for row in range(pictures)]
    codes.train(was_training)
    return Judged({"denoising": float(torch.stack(losses).sum()) / len(numbers)}, drawn)


def _canonical_sheet(body: TorchBody, numbers: Tensor, truth: Tensor | None) -> np.ndarray:
    """One window (1, T, 2, 147) from the front, from the side and from above."""
    frames = _shown(numbers.shape[1])

    def joints(x: Tensor) -> Tensor:
        own = canonical_joints(body, x)[0, frames]
        # Both frames have one origin and face each other: turned by half a turn, the second's is the first's.
        own[:, 1] = own[:, 1] * own.new_tensor([-1.0, 1.0, -1.0])
        return own

    views = []
    for axes in ((0, 1), (2, 1), (0, 2)):
        shown = [None if x is None else joints(x)[..., list(axes)].cpu().numpy() * (1, -1) for x in (numbers, truth)]
        assert shown[0] is not None
        views.append(View(shown[0], shown[1]))
    return draw_sheet(views, _BODY_BONES)


def _shown(frames: int) -> list[int]:
    return sorted({round(i * (frames - 1) / (SHOWN_FRAMES - 1)) for i in range(SHOWN_FRAMES)})
