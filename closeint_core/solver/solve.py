# SPDX-License-Identifier: Apache-2.0
"""Solves a clip of any length: windows that overlap, one shape and one floor for all of them.

Short clips are one window. A long one is solved first where the people are seen best; the shapes
and the floor found there hold for every window, and neighbouring windows are blended over their
overlap, so memory does not grow with the length and no seam shows.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import roma
import torch
from torch import Tensor

from closeint_core.body.spheres import BodySpheres, spheres_of
from closeint_core.body.torch_body import TorchBody
from closeint_core.clip import InteractionClip
from closeint_core.corrections import Corrections, RefineSettings
from closeint_core.errors import CloseintError
from closeint_core.perception.observations import Observations
from closeint_core.physics import energies
from closeint_core.progress import Progress
from closeint_core.solver.calibration import SOLVER
from closeint_core.solver.evidence import Evidence, gather_evidence, planted_feet
from closeint_core.solver.fit_calibration import Stage
from closeint_core.solver.initial import PairFit
from closeint_core.solver.state import Floor, Motion
from closeint_core.windows import LONGEST, blend_in, window_spans

_USUAL_STEPS = 12  # of a window: the sum of the stages' steps at standard quality
_FINE = 100  # parts of a window that the bar tells apart


@dataclass
class Solution:
    """A solved clip in the camera's frame.

    Attributes:
        motion: pose, translation, shape, floor. camera: (3, 3) intrinsics.
        keypoints2d: (P, T, 26, 3) the observed keypoints, with joints that the fit found again.
        foot_contacts: (P, T, 2) probability that the left, right foot is planted.
    """

    motion: Motion
    camera: Tensor
    keypoints2d: np.ndarray
    foot_contacts: np.ndarray


def solve(
    body: TorchBody,
    observations: Observations,
    camera: Tensor,
    progress: Progress,
    *,
    effort: float = 1.0,
    device: str | torch.device = "cpu",
) -> Solution:
    """Fit all people and frames; see the module.

    Args:
        effort: factor on the steps. device: where they are computed.
    """
    evidence = evidence_of(observations, camera)
    frames = evidence.visible.shape[1]
    with small_on_one_thread(evidence.visible.shape[0] * min(frames, LONGEST)):
        plan = Plan(effort, worker_body(body, device))
        spheres = spheres_of(body) if evidence.visible.shape[0] == 2 else None

        def fit_window(part: slice, fixed: Motion | None, progress: Progress) -> PairFit:
            return _fit(body, evidence.window(part.start, part.stop), spheres, fixed, plan, progress)

        return solve_windows(evidence, fit_window, progress)


def evidence_of(observations: Observations, camera: Tensor) -> Evidence:
    """Evidence for the fit from what perception reports and the intrinsics (3, 3)."""
    return gather_evidence(
        torch.as_tensor(observations.keypoints2d),
        torch.as_tensor(observations.landmarks3d),
        torch.as_tensor(observations.landmarks3d_confidence),
        torch.as_tensor(observations.visible),
        observations.peaks,
        camera,
        observations.fps,
    )


@contextlib.contextmanager
def small_on_one_thread(person_frames: int) -> Iterator[None]:
    """Small problems run on one thread: handing tiny tensors to a second one costs more than it gains."""
    before = torch.get_num_threads()
    torch.set_num_threads(max(1, min(before, person_frames // 150)))
    try:
        yield
    finally:
        torch.set_num_threads(before)


def worker_body(body: TorchBody, device: str | torch.device) -> TorchBody:
    """The body on a device."""
    return body if torch.device(device) == body.template.device else TorchBody(body.data).to(device)


@dataclass(frozen=True)
class Plan:
    """How thoroughly a window is solved, and the body on the device on which that is done, see ``PairFit``."""

    effort: float
    worker: TorchBody | None = None

    def stage(self, stage: Stage) -> Stage:
        """The stage with its number of steps adapted."""
        return replace(stage, steps=max(1, round(self.effort * stage.steps)))


def solve_windows(
    evidence: Evidence, fit_window: Callable[[slice, Motion | None, Progress], PairFit], progress: Progress
) -> Solution:
    """Solve window by window; where there are several, shapes and floor are those of the one seen best.

    Args:
        evidence: of the whole clip. fit_window: solves some frames, with the shapes and the floor of a motion if one is
            given.
    """
    frames = evidence.visible.shape[1]
    windows = window_spans(frames)
    fixed: Motion | None = None
    usual = 0
    if len(windows) > 1:
        seen = [float(evidence.weights[:, a:b].sum()) for a, b in windows]
        calibrating = _Numbered(progress, 0, len(windows) + 1)
        fixed = fit_window(slice(*windows[int(np.argmax(seen))]), None, calibrating).motion()
        usual = calibrating.steps
    motions = []
    feet = torch.zeros(*evidence.visible.shape, 2)
    keypoints, weights = evidence.keypoints.clone(), evidence.weights.clone()
    for number, (start, stop) in enumerate(windows):
        stage_progress = progress if len(windows) == 1 else _Numbered(progress, number + 1, len(windows) + 1, usual)
        fit = fit_window(slice(start, stop), fixed, stage_progress)
        motions.append(fit.motion())
        feet[:, start:stop] = torch.maximum(feet[:, start:stop], foot_contacts(fit))
        keypoints[:, start:stop], weights[:, start:stop] = fit.evidence.keypoints, fit.evidence.weights
    observed = torch.cat([keypoints, weights[..., None]], -1).numpy().astype(np.float32)
    observed[weights.numpy() == 0] = np.nan
    return Solution(blend_motions(motions, windows, frames), evidence.camera, observed, feet.numpy().astype(np.float32))


class _Numbered(Progress):
    """Progress of one window among many.

    Args:
        number, count: which of how many, the one that is solved for shapes and floor among them. usual: steps that
            another window took; 0 where none is known.
    """

    def __init__(self, outer: Progress, number: int, count: int, usual: int = 0) -> None:
        super().__init__()
        self.outer, self.number, self.count = outer, number, count
        self.steps, self._usual = 0, usual or _USUAL_STEPS

    def update(self, stage: str, done: int, total: int) -> None:
        """One bar over all windows, which moves with every step of a window."""
        self.steps += 1
        part = min(self.steps / self._usual, 1.0)
        self.outer.update("fitting windows", round(_FINE * (self.number + part)), _FINE * self.count)


def _fit(
    body: TorchBody,
    evidence: Evidence,
    spheres: BodySpheres | None,
    fixed: Motion | None,
    plan: Plan,
    progress: Progress,
) -> PairFit:
    """Solve one window; shapes and floor are those of ``fixed`` when given."""
    fit = PairFit(body, evidence, spheres, plan.worker)
    if fixed is not None:
        fit.hold_shape(fixed.betas, fixed.floor)
    for stage in SOLVER.now.fit.stages:
        fit.run(plan.stage(stage), progress)
    _untangle(fit, plan, progress)
    fit.relocate_doubtful_joints()
    fit.run(plan.stage(SOLVER.now.fit.refit), progress)
    return fit


def _untangle(fit: PairFit, plan: Plan, progress: Progress) -> None:
    """Where whole frames are in doubt, as in a hug: bridge them, then let the bodies claim the joints there."""
    given = fit.evidence
    doubt = 1 - given.trust[..., 0]
    if not bool((given.visible & (doubt > SOLVER.now.reassociation.untrusted)).any()):
        return
    fit.bridge(doubt < 0.5)
    untangle = SOLVER.now.fit.untangle
    for spread in SOLVER.now.fit.claims:
        fit.reassign_doubtful_frames(given, spread)
        fit.run(plan.stage(replace(untangle, outlier=max(3 * spread, untangle.outlier))), progress)


def foot_contacts(fit: PairFit) -> Tensor:
    """(P, T, 2) probability that each foot is planted, from what was seen and where the fit has it."""
    with torch.no_grad():
        keypoints, _ = fit.keypoints_and_pixels()
        floor = fit.floor()
        heights = energies.heights(keypoints[:, :, energies.FOOT_POINTS], floor.normal, floor.offset) - fit.sole
        scale = (fit.transl[..., 2:] / fit.evidence.camera[0, 0]).clamp(min=SOLVER.now.fit.least_metres_per_pixel)
        steps = planted_feet(fit.evidence, scale, heights)
        people, frames = fit.evidence.visible.shape
        if frames < 2:
            return (heights.reshape(people, frames, 2, 3).amin(-1) < SOLVER.now.fit.on_floor).float()
        # A frame belongs to a stance if the step before or after it does.
        per_frame = torch.maximum(torch.cat([steps[:, :1], steps], 1), torch.cat([steps, steps[:, -1:]], 1))
        return per_frame.reshape(people, frames, 2, 3).amax(-1)


def blend_motions(parts: list[Motion], windows: list[tuple[int, int]], frames: int) -> Motion:
    """One motion from overlapping windows: rotations are blended on the sphere, translations linearly."""
    if len(parts) == 1:
        return parts[0]
    people = parts[0].transl.shape[0]
    quats = torch.zeros(people, frames, 24, 4)
    transl = torch.zeros(people, frames, 3)
    filled = 0
    for part, (start, stop) in zip(parts, windows, strict=True):
        blend_in(quats, transl, roma.rotmat_to_unitquat(part.rotations), part.transl, start, filled)
        filled = stop
    return Motion(
        roma.unitquat_to_rotmat(quats), transl, parts[0].betas, Floor(parts[0].floor.normal, parts[0].floor.offset)
    )


def refine_around(
    clip: InteractionClip,
    corrections: Corrections,
    settings: RefineSettings | None = None,
    progress: Progress | None = None,
) -> InteractionClip:
    """Solve a clip again around corrections.

    Rotation pins come out exactly, positions and contacts to within the tolerances (a warning says where not). Both
    people are solved together: contacts that were there hold, and bodies stay out of each other. Frames further than
    ``blend_seconds`` from a correction are returned bit for bit. Shapes, camera and observations do not change.

    Args:
        clip: the motion; where it has been corrected, as it was before.
        corrections: what must hold.
        settings, progress: see there; the stages are ``refining`` and ``measuring``.

    Returns:
        A new clip; ``metadata["refinement"]`` says what was held how well (JSON types).

    Raises:
        CloseintError: there is nothing to do, or the corrections do not fit the clip.
        Cancelled: the progress object asked to stop.
    """
    from closeint_core.solver.pinned_solve import solve_around  # torch: not in Blender's Python

    corrections.validate(clip)
    if not len(corrections):
        raise CloseintError("There is nothing to refine around.", "Key a correction or mark a contact first.")
    return solve_around(clip, corrections, settings or RefineSettings(), progress or Progress())
