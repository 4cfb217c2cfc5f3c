# SPDX-License-Identifier: Apache-2.0
"""Joint fit of all people and frames to what was observed.

Unknowns: every joint rotation, every translation, one shape a person, and the floor (tilt and
height) they share. The common floor is what fixes the people's relative depth: a small person and
a far one look alike, but only one of them has her feet on the same floor. Everything here lives in
the camera's frame; ``world.py`` takes the result to the clip's Z-up world.
"""

from __future__ import annotations

import itertools
from dataclasses import replace

import roma
import torch
from torch import Tensor
from torch.nn.functional import normalize

from closeint_core.body.inverse_kinematics import poses_from_landmarks
from closeint_core.body.spheres import BodySpheres
from closeint_core.body.torch_body import TorchBody
from closeint_core.camera import project, solve_translation
from closeint_core.physics import energies
from closeint_core.physics.calibration import PHYSICS
from closeint_core.progress import Progress
from closeint_core.sequences import continuous, fill_gaps, running_median
from closeint_core.solver.bordered import BorderedSystem
from closeint_core.solver.calibration import SOLVER
from closeint_core.solver.descent import descend, shortened, turns_and_moves
from closeint_core.solver.evidence import Evidence, planted_feet
from closeint_core.solver.fit_calibration import Stage
from closeint_core.solver.fit_terms import FitTerms, Known, shape_cost
from closeint_core.solver.motion_prior import MotionPrior, motion_prior_of, unseen
from closeint_core.solver.reassociation import reassign_doubtful_frames, relocate_doubtful_joints
from closeint_core.solver.skinned_points import JOINTS
from closeint_core.solver.state import FitState, Floor, Motion, on_device


def relaxed_pose() -> Tensor:
    """(24, 3) rotation vectors of a person standing at ease, arms down."""
    c = SOLVER.now.fit
    pose = torch.zeros(24, 3)
    pose[16, 2], pose[17, 2] = -c.arms_down, c.arms_down
    pose[18, 1], pose[19, 1] = -c.elbows, c.elbows
    pose[4, 0] = pose[5, 0] = c.knees
    return pose


class PairFit:
    """The state of one window's fit, and what is known of it.

    Args:
        spheres: of the body, if two people are to be kept apart. worker: the same body on the device on which steps are
            computed; ``body`` if not given. All else is on the CPU.
    """

    def __init__(
        self, body: TorchBody, evidence: Evidence, spheres: BodySpheres | None, worker: TorchBody | None = None
    ) -> None:
        self.body = body
        self.evidence = evidence
        self.spheres = spheres if evidence.keypoints.shape[0] == 2 else None
        self.halpe = body.points("halpe")
        self.worker = worker or body
        self.terms = FitTerms(self.worker, evidence, self.spheres)
        self.sole = energies.sole_offsets(body.data)
        self.shape_is_fixed = False
        self.motion_prior: MotionPrior | None = None
        self.both_seen: Tensor | None = None  # (T,)
        self._start()

    # -- the start -----------------------------------------------------------------------------------------------

    def _start(self) -> None:
        """Closed-form pose, translation by linear least squares, upright floor under the feet."""
        c = SOLVER.now.fit
        e = self.evidence
        people, frames = e.visible.shape
        self.betas = torch.zeros(people, self.body.data.shapedirs.shape[2])
        rest = torch.as_tensor(self.body.data.rest(self.betas[0].numpy())[1], dtype=torch.float32)
        self.turned = poses_from_landmarks(e.landmarks, rest)  # (P, T, 24, 3, 3)
        self.usual = roma.rotvec_to_rotmat(relaxed_pose()).expand_as(self.turned).clone()
        self.usual_weight = torch.ones(people, frames)
        self.usual_spread = torch.tensor(PHYSICS.now.joints.relaxed).expand(people, frames, JOINTS)
        self._place()
        up = normalize(e.landmarks[:, :, 18] - e.landmarks[:, :, 15:17].mean(2), dim=-1)
        level = up.reshape(-1, 3)[e.visible.reshape(-1)].median(0).values if e.visible.any() else up.reshape(-1, 3)[0]
        # Cameras are held level far more often than not, and pitched as they please.
        level = torch.stack([c.level[0] * level[0], level[1].clamp(max=-c.level[1]), level[2]])
        self.normal_start = normalize(level, dim=0)
        self.tilt = torch.zeros(2)
        self._match_sizes()
        self.offset = self._clearance().log().mean().exp()

    def _clearance(self) -> Tensor:
        """(P,) how far the camera is above the soles each person stands on."""
        c = SOLVER.now.fit
        feet = self._keypoints(self.betas)[0][:, :, energies.FOOT_POINTS] @ self.normal_start - self.sole
        lowest = feet.amin(-1)
        if self.motion_prior is not None:
            # Frames in which only the prior says where the feet are tell nothing new.
            seen = self._feet_seen()
            lowest = torch.where(seen | ~seen.any(1, keepdim=True), lowest, torch.nan)
        return -lowest.nanmedian(1).values.clamp(max=-c.least_clearance)

    def _feet_seen(self) -> Tensor:
        """(P, T) bool, whether anything was seen of either foot."""
        return self.evidence.weights[:, :, energies.FOOT_POINTS].amax(-1) > SOLVER.now.fit.foot_seen

    def _match_sizes(self) -> None:
        """Shapes that put everybody's feet on one floor.

        A person scaled about the camera looks the same, so the distance of the feet below the camera
        tells the sizes apart: they share one height, and of all common scales the likeliest is taken.
        """
        c = SOLVER.now.fit
        if len(self.betas) < 2:
            return
        vertices = self.body.rest_vertices(torch.eye(1, self.betas.shape[1]))[0]
        tall = float(vertices[:, 1].max() - vertices[:, 1].min())
        mean = float(self.body.template[:, 1].max() - self.body.template[:, 1].min())
        clearance = self._clearance()
        telling = _telling(clearance.amin())
        size = clearance.log().mean() - clearance.log()
        gap = None if self.motion_prior is None else self.motion_prior.log_size_ratio(self.transl)
        if gap is None:
            size = telling * size
        else:
            often = self._feet_seen().float().mean(1).amin().clamp(min=c.seldom)
            share = c.gap_off**2 / (c.gap_off**2 + (c.foot_off / clearance.amin()) ** 2 / often)
            size = share * size + (1 - share) * gap * torch.tensor([-0.5, 0.5])
        size = size.exp()
        scales = torch.linspace(*c.sizes, 161)[:, None]
        statures = (scales * size - 1) * mean / (tall - mean)  # (scales, P) first shape coefficients
        costs = self._shape_cost(statures[..., None]).sum(-1)
        self.betas[:, 0] = statures[costs.argmin()].clamp(-c.made_for, c.made_for)
        self._place()

    def follow_motion_prior(self) -> None:
        """Where nothing is seen of people: the prior's poses, what was wrong with them elsewhere put right, as start
        and as the usual ones."""
        if self.motion_prior is None:
            return
        gone = (self.motion_prior.weight >= 0.5)[..., None, None, None]
        self.turned = torch.where(gone, self.motion_prior.corrected(self.turned), self.turned)
        self.usual = torch.where(gone, self.turned, self.usual)

    def _place(self) -> None:
        """Translations by linear least squares, at the present pose and shape."""
        c = SOLVER.now.fit
        e = self.evidence
        self.transl = torch.zeros(*e.visible.shape, 3)
        points = self._keypoints(self.betas)[0]
        weights = e.weights.square() * (points.isfinite().all(-1))
        enough = (weights > c.enough).sum(-1) >= 4
        transl = solve_translation(points, e.keypoints, weights, e.camera)
        enough &= (transl[..., 2] > c.least_depth) & transl.isfinite().all(-1)
        self.transl = fill_gaps(transl, enough)
        # A median over a second rejects frames whose landmarks gave a wrong size.
        self.transl = running_median(self.transl, int(e.fps) | 1)
        if self.motion_prior is not None:
            self.transl = self.motion_prior.fill_translation(self.transl)

    # -- the model -----------------------------------------------------------------------------------------------

    def rotations(self) -> Tensor:
        """(P, T, 24, 3, 3) local joint rotations."""
        return self.turned

    def _keypoints(self, betas: Tensor) -> tuple[Tensor, Tensor]:
        skeleton = self.body.skeleton(self.rotations(), betas[:, None], self.transl)
        return self.halpe(skeleton, betas[:, None]), skeleton.joints

    def hold_shape(self, betas: Tensor, floor: Floor) -> None:
        """Take shapes and floor as known; the translations start afresh at the true sizes."""
        self.betas = betas.clone()
        self.normal_start, self.tilt = floor.normal.clone(), torch.zeros(2)
        self.offset = floor.offset.clone()
        self.shape_is_fixed = True
        self._place()

    def start_from(
        self,
        motion: Motion,
        trusted: Tensor,
        spread: Tensor,
        *,
        shape_and_floor: tuple[Tensor, Floor] | None = None,
        doubt: float | None = None,
    ) -> None:
        """Start at poses that are nearly right, and take them as the usual ones; sizes and places come from the floor.

        The motion also guides: see ``motion_prior``.

        Args:
            motion: of people as they may be. trusted: (P, T) bool, where its poses can be believed; elsewhere the start
                from the landmarks stays. spread: (24,) radians by which its joints are usually off.
            shape_and_floor: hold these. doubt: weight of the usual pose where the motion is not believed.
        """
        chosen = trusted[..., None, None, None]
        self.turned = torch.where(chosen, motion.rotations, self.turned)
        self.motion_prior = motion_prior_of(self.body, motion, unseen(self.evidence.weights) * trusted, trusted)
        self.both_seen = 1 - self.motion_prior.weight.amax(0)
        self.usual = torch.where(chosen, self.turned, self.usual)
        self.usual_weight = torch.where(trusted, 1.0, SOLVER.now.fit.doubt if doubt is None else doubt)
        self.usual_spread = torch.where(trusted[..., None], spread, torch.tensor(PHYSICS.now.joints.relaxed))
        if shape_and_floor is not None:
            self.hold_shape(*shape_and_floor)
            return
        self.betas = torch.zeros_like(self.betas)
        self._place()
        self._match_sizes()
        self.offset = self._clearance().log().mean().exp()

    def _shape_cost(self, betas: Tensor) -> Tensor:
        """(..., P) how unusual shapes (..., P, B) are: for adults, and for who they were said to be."""
        stature = None if self.motion_prior is None else self.motion_prior.stature
        return shape_cost(betas, stature)[0]

    def floor(self) -> Floor:
        """The floor as it stands."""
        return self.state().floor()

    def state(self) -> FitState:
        """The solution as it stands, for a step."""
        return FitState(self.turned, self.transl, self.betas, self.normal_start, self.tilt, self.offset)

    def motion(self) -> Motion:
        """The present solution."""
        return Motion(self.turned.clone(), self.transl.clone(), self.betas.clone(), self.floor())

    def keypoints_and_pixels(self) -> tuple[Tensor, Tensor]:
        """(P, T, 26, 3) keypoints and their (P, T, 26, 2) pixels."""
        with torch.no_grad():
            keypoints, _ = self._keypoints(self.betas)
            return keypoints, project(keypoints, self.evidence.camera)

    def relocate_doubtful_joints(self) -> None:
        """Look for doubtful joints again where the fitted bodies have them; see ``reassociation``."""
        e = self.evidence
        _, pixels = self.keypoints_and_pixels()
        keypoints, weights = relocate_doubtful_joints(
            e.keypoints, e.weights, e.trust, e.peaks, pixels, self._pixel_size()
        )
        self.evidence = replace(e, keypoints=keypoints, weights=self._of_the_seen(weights))

    def reassign_doubtful_frames(self, given: Evidence, spread: float) -> None:
        """Hand out all joints of doubtful frames anew, ``spread`` metres around the fitted bodies.

        Args:
            given: the evidence as it came, so that a claim of an earlier call can be taken back.
        """
        _, pixels = self.keypoints_and_pixels()
        keypoints, weights = reassign_doubtful_frames(
            given.keypoints, given.weights, given.trust, given.peaks, pixels, self._pixel_size(), spread
        )
        self.evidence = replace(given, keypoints=keypoints, weights=self._of_the_seen(weights))

    def _of_the_seen(self, weights: Tensor) -> Tensor:
        """Weights (P, T, 26) without what was claimed for people in frames in which they are not seen, where a prior
        says better what they do: mostly it is the partner's."""
        return weights if self.motion_prior is None else torch.where(self.evidence.visible[..., None], weights, 0.0)

    def bridge(self, known: Tensor) -> None:
        """Where ``known`` (P, T) is false: the motion in between, as start and as the usual pose."""
        quats = continuous(roma.rotmat_to_unitquat(self.rotations()))
        between = normalize(fill_gaps(quats.flatten(2), known).unflatten(2, (24, 4)), dim=-1)
        self.turned = roma.unitquat_to_rotmat(between)
        self.transl = fill_gaps(self.transl, known)
        self.usual = torch.where(known[..., None, None, None], self.usual, self.turned)

    def _pixel_size(self) -> Tensor:
        """(P, T, 1) metres a pixel at each person's distance."""
        return (self.transl[..., 2:] / self.evidence.camera[0, 0]).clamp(min=SOLVER.now.fit.least_metres_per_pixel)

    # -- the solve -----------------------------------------------------------------------------------------------

    def _known(self) -> Known:
        """What changes too little within a stage to be found anew every step."""
        c = SOLVER.now.fit
        e = self.evidence
        depth = running_median(self.transl, int(e.fps) | 1)[..., 2:]
        scale = (depth / e.camera[0, 0]).clamp(min=c.least_metres_per_pixel)
        keypoints, _ = self._keypoints(self.betas)
        floor = self.floor()
        heights = energies.heights(keypoints[:, :, energies.FOOT_POINTS], floor.normal, floor.offset) - self.sole
        feet = e.weights[:, :, energies.FOOT_POINTS].amax(-1)
        lost = None
        if self.motion_prior is not None:
            # Pixels and floor know better than a motion prior how two people stand to each other, where they know it.
            lost = torch.maximum(self.motion_prior.weight.amax(0), 1 - _telling(self.offset))
        return Known(
            scale,
            planted_feet(e, scale, heights),
            torch.where(e.visible, feet.clamp(min=c.least_standing), c.least_standing),
            self.usual,
            self.usual_weight,
            self.usual_spread,
            self.sole,
            self.motion_prior,
            lost,
            self.both_seen,
            None if self.spheres is None else self.spheres.radii(self.betas),
        )

    @torch.no_grad()
    def run(self, stage: Stage, progress: Progress) -> dict[str, float]:
        """Damped Gauss-Newton steps of one stage; returns the final value of every term, a mean over person-frames."""
        device = self.worker.template.device
        self.terms.evidence = on_device(self.evidence, device)
        free = stage.shape_is_free and not self.shape_is_fixed
        problem = _StageProblem(self.terms, on_device(self._known(), device), stage, free)
        rules = SOLVER.now.fit.damping
        damping = torch.full((self.terms.frames,), rules.first, device=device)
        count = itertools.count(1)

        def tick() -> None:
            progress.update(stage.name, next(count), stage.steps)

        done = descend(problem, on_device(self.state(), device), damping, rules, stage.steps, tick)
        state = on_device(done.state, self.turned.device)
        self.turned, self.transl, self.betas = state.rotations, state.transl, state.betas
        self.tilt, self.offset = state.tilt, state.offset
        person_frames = state.transl.shape[0] * state.transl.shape[1]
        return {name: float(value.sum()) / person_frames for name, value in done.values.items()}


class _StageProblem:
    """What a stage makes least.

    Args:
        free: shapes and the floor are unknown too.
    """

    def __init__(self, terms: FitTerms, known: Known, stage: Stage, free: bool) -> None:
        self._terms, self._known, self._stage, self._free = terms, known, stage, free
        turn, move = SOLVER.now.fit.reach
        hold = torch.cat((torch.full((3 * JOINTS,), 1 / turn**2), torch.full((3,), 1 / move**2)))
        self._hold = hold.repeat(terms.people).to(terms.device)  # how stiffly damping of one holds each unknown

    def linearise(self, state: FitState) -> tuple[dict[str, Tensor], BorderedSystem]:
        """See ``FitTerms.evaluate``."""
        stage = self._stage
        return self._terms.evaluate(state, self._known, stage.weights, stage.outlier, stage.floor, self._free)

    def step(self, state: FitState, equations: BorderedSystem, damping: Tensor, failed: int) -> FitState:
        """The state after a step; what all frames share is held the harder the more steps have failed."""
        c = SOLVER.now.fit
        shared_hold = torch.full_like(equations.shared_slope, c.shared_hold[0] * c.shared_hold[1] ** failed)
        step = equations.solve_all(damping[:, None] * self._hold, shared_hold, _CG_STEPS, c.tolerance)
        turn, move = turns_and_moves(step.frames)
        share = shortened(turn.norm(dim=-1).amax((0, 2)) / c.longest)
        return state.moved(turn * share[:, None, None], move, step.shared)


_CG_STEPS = 8  # of the linear solve at most


def _telling(height: Tensor) -> Tensor:
    """() in 0..1, what the common floor says of sizes: a camera near it sees everybody's feet at one height, however
    far they are. height: () metres of the camera over the floor."""
    c = SOLVER.now.fit
    return ((height - c.low_camera) / c.low_camera).clamp(0, 1)
