# SPDX-License-Identifier: Apache-2.0
"""The default model: the keypoint-conditioned denoiser solves both people together, the joint fit settles the rest.

The denoiser knows how people interact, also where one hides the other; its joints are only near the observed ones. So
its poses are the start and the usual poses of the joint fit, which brings the bodies onto the observed joints and a
common floor; ``refine`` takes them out of each other. Windows overlap and are blended; shapes are one a person.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import roma
import torch
from torch import Tensor

from closeint_core.body.load import load_body
from closeint_core.body.spheres import BodySpheres, spheres_of
from closeint_core.body.torch_body import TorchBody
from closeint_core.camera import project
from closeint_core.denoiser.checkpoint import load_denoiser
from closeint_core.denoiser.conditions import Conditions
from closeint_core.denoiser.crops import Crops
from closeint_core.denoiser.network import Denoiser
from closeint_core.denoiser.sampler import Sampler
from closeint_core.denoiser.state import STATE
from closeint_core.errors import CloseintError
from closeint_core.perception.observations import Observations
from closeint_core.physics.calibration import PHYSICS
from closeint_core.progress import Progress
from closeint_core.reconstruction.calibration import RECONSTRUCTION
from closeint_core.reconstruction.robust_blend import RobustBlend
from closeint_core.reconstruction.window_conditions import window_conditions
from closeint_core.reconstruction.world import floor_and_feet
from closeint_core.sequences import running_median
from closeint_core.solver.evidence import Evidence
from closeint_core.solver.initial import PairFit
from closeint_core.solver.solve import (
    Plan,
    Solution,
    evidence_of,
    small_on_one_thread,
    solve_windows,
    worker_body,
)
from closeint_core.solver.state import Floor, Motion
from closeint_core.windows import LONGEST, gather, window_starts, window_weights

WINDOW = 16
STRIDE = 2
STEPS = 4
"""DDIM steps from noise of zero, the mean of all noise, instead of a random one: the result is near the mean of the
denoiser's samples, which it was trained for. Measured, MPJPE of the network alone in 3, 5 and 10 steps: 12 held-out
simulated interactions 56, 58, 59 mm; 12 films 82, 83, 85 mm; one of two people unseen 53, 56, 59 mm. Depth between the
people of two real views gains from more steps: interaction error of the fit 111 mm after 4, 106 mm after 10."""
NATIVE_BODY = "closeint-default/1"
"""The body whose shape coefficients the denoiser speaks of."""
WEIGHTS = Path(__file__).parents[1] / "denoiser" / "weights" / "denoiser.safetensors"
_WINDOWS_AT_ONCE = 64
_ENOUGH = 7  # sure keypoints that say something


@functools.lru_cache(maxsize=2)
def default_denoiser(path: Path = WEIGHTS) -> Denoiser:
    """The bundled denoiser, read once.

    Raises:
        CloseintError: it is not there (exit code 3) or damaged.
    """
    if not path.is_file():
        raise CloseintError(
            f"The default network is missing; it was looked for at {path}.",
            "Install closeint again, or use --model fit.",
            exit_code=3,
        )
    model = load_denoiser(path)
    if model.config.condition != "keypoints":
        raise CloseintError(f"{path} is not a network that reads keypoints.", "Install closeint again.")
    return model


@dataclass(frozen=True)
class LearnedOptions:
    """How to solve with the denoiser.

    Attributes:
        alone: nobody sees the other, neither the network nor the fit (for comparison).
        effort: factor on the steps of the fit that follows; with 0 the denoiser's poses stay as they are.
        device: where the denoiser and the fit run.
        model: in place of the bundled one.
    """

    alone: bool = False
    effort: float = 1.0
    device: str = "cpu"
    model: Denoiser | None = None


def solve_learned(
    body: TorchBody,
    observations: Observations,
    camera: Tensor,
    progress: Progress,
    options: LearnedOptions | None = None,
) -> Solution:
    """Solve two people (or one) with the denoiser.

    Args:
        camera: (3, 3) intrinsics.

    Raises:
        CloseintError: the bundled denoiser is missing.
        Cancelled: the progress object asked to stop.
    """
    chosen = options or LearnedOptions()
    model = (chosen.model or default_denoiser()).to(chosen.device)
    motion = denoised_motion(model, body, observations, camera, progress, alone=chosen.alone)
    evidence = evidence_of(observations, camera)
    people, frames = evidence.visible.shape
    plan = Plan(chosen.effort, worker_body(body, chosen.device))
    with small_on_one_thread(people * min(frames, LONGEST)):
        if chosen.alone and people == 2:
            return _joined(
                [_settle(body, _only(evidence, person), _person(motion, person), plan, progress) for person in (0, 1)]
            )
        return _settle(body, evidence, motion, plan, progress)


def _settle(body: TorchBody, evidence: Evidence, motion: Motion, plan: Plan, progress: Progress) -> Solution:
    """The fit, started at the denoiser's poses."""
    spheres = spheres_of(body) if len(evidence.visible) == 2 else None

    def fit_window(part: slice, fixed: Motion | None, progress: Progress) -> PairFit:
        here = replace(motion, rotations=motion.rotations[:, part], transl=motion.transl[:, part])
        return _settle_window(body, evidence.window(part.start, part.stop), here, spheres, fixed, plan, progress)

    return solve_windows(evidence, fit_window, progress)


def _settle_window(
    body: TorchBody,
    evidence: Evidence,
    motion: Motion,
    spheres: BodySpheres | None,
    fixed: Motion | None,
    plan: Plan,
    progress: Progress,
) -> PairFit:
    """The fit of one window; shapes and floor are those of ``fixed`` when given.

    Otherwise sizes and places come from the common floor: measured on real footage, that tells the people's distance
    better than the denoiser does.
    """
    fit = PairFit(body, evidence, spheres, plan.worker)
    held = None if fixed is None else (fixed.betas, fixed.floor)
    spread = torch.tensor(PHYSICS.now.joints.denoised)
    fit.start_from(motion, believable(body, motion, evidence), spread, shape_and_floor=held)
    if plan.effort <= 0:
        return fit
    tuned = RECONSTRUCTION.now.learned
    for stage in tuned.stages:
        fit.run(plan.stage(stage), progress)
    fit.follow_motion_prior()
    for stage, off in zip(tuned.polish, tuned.claims, strict=True):
        fit.reassign_doubtful_frames(evidence, off)
        fit.relocate_doubtful_joints()
        fit.run(plan.stage(stage), progress)
    return fit


def believable(body: TorchBody, motion: Motion, evidence: Evidence) -> Tensor:
    """(P, T) bool, whether a motion agrees with the joints that were surely seen.

    The denoiser knows what it was trained on. Of a cartwheel it may think that the detector erred; where many joints
    that were surely seen are far from where it says, it is the denoiser that errs.
    """
    tuned = RECONSTRUCTION.now.learned
    skeleton = body.skeleton(motion.rotations, motion.betas[:, None], motion.transl)
    pixels = project(body.points("halpe")(skeleton, motion.betas[:, None]), evidence.camera)
    metres = (motion.transl[..., 2:] / evidence.camera[0, 0]).clamp(min=tuned.least_metres_per_pixel)
    apart = (pixels - evidence.keypoints).norm(dim=-1) * metres
    sure = evidence.weights > tuned.sure
    apart = torch.where(sure, apart, torch.full_like(apart, float("nan"))).nanmedian(-1).values
    known = sure.sum(-1) >= _ENOUGH
    off = torch.where(known, apart, torch.zeros_like(apart))
    off = running_median(off[..., None], int(evidence.fps / 3) | 1)[..., 0]
    return off < tuned.off


def denoised_motion(
    model: Denoiser,
    body: TorchBody,
    observations: Observations,
    camera: Tensor,
    progress: Progress,
    *,
    alone: bool = False,
) -> Motion:
    """What the denoiser makes of a clip, in the camera's frame, with the floor under it.

    Args:
        body: whose shapes are wanted; on another body than the denoiser's, shapes of the nearest bone lengths.
    """
    native = body if body.data.name == NATIVE_BODY else _native_body()
    people, frames = observations.visible.shape
    # Windows stay as long as they were in training, as far as there are frames: at a wrong rate, as of footage that was
    # made slow or fast, single frames would be all that is left of them.
    apart = max(1, min(round(observations.fps / RECONSTRUCTION.now.learned.rate), frames // WINDOW))
    parts = [
        _denoise(model, native, observations, camera, list(range(phase, frames, apart)), alone, progress)
        for phase in range(min(apart, frames))
    ]
    rotations = torch.zeros(frames, 2, 24, 3, 3)
    pelvis, betas = torch.zeros(frames, 2, 3), torch.zeros(frames, 2, native.num_betas)
    for phase, (turned, placed, shaped) in enumerate(parts):
        rotations[phase::apart], pelvis[phase::apart], betas[phase::apart] = turned, placed, shaped
    if apart > 1:
        rotations = roma.special_procrustes(evenly_mixed(rotations, apart))
        pelvis = evenly_mixed(pelvis, apart)
    seen = torch.as_tensor(observations.visible, dtype=torch.float32)[..., None]
    betas = betas.transpose(0, 1)[:people]
    shape = (seen * betas).sum(dim=1) / seen.sum(dim=1).clamp(min=1.0)
    if native is not body:
        shape = nearest_shape(native, shape, body)
    transl = pelvis.transpose(0, 1)[:people] - body.rest_joints(shape)[:, None, 0]
    motion = Motion(
        rotations.transpose(0, 1)[:people].contiguous(),
        transl.contiguous(),
        shape,
        Floor(torch.tensor([0.0, -1.0, 0.0]), torch.tensor(0.0)),
    )
    motion.floor, _ = floor_and_feet(body, motion, observations.fps)
    return motion


def _denoise(
    model: Denoiser,
    body: TorchBody,
    observations: Observations,
    camera: Tensor,
    index: list[int],
    alone: bool,
    progress: Progress,
) -> tuple[Tensor, Tensor, Tensor]:
    """Rotations (F, 2, 24, 3, 3), pelvis (F, 2, 3) and shapes (F, 2, B) of the frames ``index``."""
    frames = len(index)
    # a single person stands in for the missing partner, whom the mask keeps from being seen
    pair = [0, len(observations.visible) - 1]
    starts = window_starts(frames, WINDOW, STRIDE)
    length = min(WINDOW, frames)
    weights = window_weights(starts, length, frames)
    sampler = Sampler(model, STEPS)
    rest = body.rest_joints(torch.zeros(body.num_betas))

    def of_frames(values: np.ndarray) -> Tensor:
        return torch.as_tensor(values)[pair][:, index].transpose(0, 1)

    keypoints, landmarks = of_frames(observations.keypoints2d), of_frames(observations.landmarks3d)
    confidence = of_frames(observations.landmarks3d_confidence)
    single = torch.full((frames,), float(alone or len(observations.visible) < 2))
    together = RobustBlend(frames, RECONSTRUCTION.now.learned.apart)
    for first in range(0, len(starts), _WINDOWS_AT_ONCE):
        part = starts[first : first + _WINDOWS_AT_ONCE]
        size = torch.tensor(observations.image_size, dtype=torch.float32).expand(len(part), 2)
        conditions: Conditions = window_conditions(
            gather(keypoints, part, length),
            gather(landmarks, part, length),
            gather(confidence, part, length),
            size,
            camera[0, 0].expand(len(part)),
            rest,
            gather(single, part, length),
        )
        state = sampler.sample(conditions, torch.zeros(len(part), length, 2, STATE))
        crops: Crops = conditions.crops.to(state.betas.device)
        places = state.translation(crops).cpu() + body.rest_joints(state.betas.cpu())[..., 0, :]
        turned, shaped = state.rotations().cpu(), state.betas.cpu()
        points = body.skeleton(turned, shaped, torch.zeros_like(places)).joints
        about = points - points[..., :1, :]
        together.add(part, weights[first : first + len(part)], about, turned, (places, shaped))
        progress.update("denoising", min(first + _WINDOWS_AT_ONCE, len(starts)), len(starts))
    turned, placed, shaped = together.finish()
    return turned, placed, shaped


def evenly_mixed(values: Tensor, apart: int) -> Tensor:
    """Values (T, ...) of ``apart`` interleaved sequences, averaged over time so that each counts the same everywhere.

    What one sequence is off from the others would shake at the frame rate. Apart from the two ends, where the frames at
    hand share the weight, a mean over ``apart`` frames has one of each; for an even number the outer two count half.
    """
    reach = apart // 2
    kernel = torch.ones(2 * reach + 1, dtype=values.dtype)
    if apart % 2 == 0:
        kernel[[0, -1]] = 0.5
    flat = values.flatten(start_dim=1).T[:, None]
    count = torch.nn.functional.conv1d(torch.ones_like(flat[:1]), kernel[None, None], padding=reach)
    mixed = torch.nn.functional.conv1d(flat, kernel[None, None], padding=reach) / count
    return mixed[:, 0].T.reshape(values.shape)


def _native_body() -> TorchBody:
    return TorchBody(load_body("default"))


def nearest_shape(native: TorchBody, betas: Tensor, body: TorchBody) -> Tensor:
    """Shapes (P, B') of ``body`` whose bones are as long as those of ``native`` at ``betas`` (P, B), by ridge least
    squares: bone vectors of the rest pose are linear in the shape."""

    def bones(joints: Tensor) -> Tensor:
        return (joints[..., 1:, :] - joints[..., body.parents[1:], :]).flatten(start_dim=-2)

    zero = torch.zeros(body.num_betas)
    start = bones(body.rest_joints(zero))
    directions = bones(body.rest_joints(torch.eye(body.num_betas))) - start  # (B', 69)
    wanted = bones(native.rest_joints(betas)) - start
    system = directions @ directions.T + RECONSTRUCTION.now.learned.shape_ridge * torch.eye(body.num_betas)
    shapes: Tensor = torch.linalg.solve(system, directions @ wanted.T).T
    return shapes


def _only(evidence: Evidence, person: int) -> Evidence:
    names = ("keypoints", "weights", "landmarks", "directions", "direction_weights", "visible", "trust")
    return replace(evidence, **{name: getattr(evidence, name)[person : person + 1] for name in names})


def _person(motion: Motion, person: int) -> Motion:
    some = slice(person, person + 1)
    return replace(motion, rotations=motion.rotations[some], transl=motion.transl[some], betas=motion.betas[some])


def _joined(parts: list[Solution]) -> Solution:
    """One solution of people solved apart; the floor is the first one's."""
    motions = [part.motion for part in parts]
    return Solution(
        Motion(
            torch.cat([motion.rotations for motion in motions]),
            torch.cat([motion.transl for motion in motions]),
            torch.cat([motion.betas for motion in motions]),
            motions[0].floor,
        ),
        parts[0].camera,
        np.concatenate([part.keypoints2d for part in parts]),
        np.concatenate([part.foot_contacts for part in parts]),
    )
