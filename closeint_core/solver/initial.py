# SPDX-License-Identifier: Apache-2.0
"""Joint fit of all people and frames to what was observed.

Unknowns: every joint rotation, every translation, one shape a person, and the floor (tilt and
height) they share. The common floor is what fixes the people's relative depth: a small person and
a far one look alike, but only one of them has her feet on the same floor. Everything here lives in
the camera's frame; ``world.py`` takes the result to the clip's Z-up world.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import roma
import torch
from torch import Tensor
from torch.nn.functional import normalize

from closeint_core.body.inverse_kinematics import poses_from_landmarks
from closeint_core.body.spheres import BodySpheres
from closeint_core.body.torch_body import TorchBody
from closeint_core.camera import project, solve_translation
from closeint_core.physics import energies
from closeint_core.progress import Progress
from closeint_core.sequences import continuous, fill_gaps, frame_step, running_median
from closeint_core.solver.evidence import Evidence, planted_feet
from closeint_core.solver.motion_prior import Guide, guide_of, unseen
from closeint_core.solver.reassociation import reclaim_joints, recover_joints

EnergyTerms = dict[str, Tensor]


@dataclass
class Floor:
    """The plane normal . x + offset = 0 in the camera's frame; normal (3,) points up, offset ()."""

    normal: Tensor
    offset: Tensor


@dataclass
class Motion:
    """Rotations (P, T, 24, 3, 3), transl (P, T, 3), betas (P, B) and the floor, camera axes, metres."""

    rotations: Tensor
    transl: Tensor
    betas: Tensor
    floor: Floor


@dataclass(frozen=True)
class Weights:
    """Weights of the energies; one is the natural choice, since every term is in units of its spread."""

    reprojection: float = 1.0
    directions: float = 0.5
    limits: float = 1.0
    pose: float = 0.15
    betas: float = 0.3
    smooth: float = 0.3
    turn: float = 0.05
    stand: float = 0.5
    sink: float = 1.0
    skate: float = 0.2
    gravity: float = 1.0
    overlap: float = 1.0
    apart: float = 2.0


@dataclass
class Stage:
    """One run of the optimiser: its length, first step size, and the scales (metres) beyond which a keypoint
    or a standing foot's height counts as an outlier."""

    name: str
    iterations: int
    rate: float
    outlier_scale: float
    floor_scale: float = 0.15
    weights: Weights = field(default_factory=Weights)
    shape_is_free: bool = True


STAGES = (
    Stage("placing", 80, 0.03, 0.5, 2.0, Weights(smooth=0.05, turn=0.01, skate=0.0, overlap=0.05)),
    Stage("fitting", 200, 0.025, 0.15, 0.5),
)


def relaxed_pose() -> Tensor:
    """(24, 3) rotation vectors of a person standing at ease, arms down."""
    pose = torch.zeros(24, 3)
    pose[16, 2], pose[17, 2] = -1.2, 1.2
    pose[18, 1], pose[19, 1] = -0.3, 0.3
    pose[4, 0] = pose[5, 0] = 0.1
    return pose


_FOOT_OFF = 0.05  # metres by which the height of feet under the camera is off, as far as sizes go
_GAP_OFF = 0.06  # by which a guide is off in how much larger one person is than the other
_LOW_CAMERA = 0.4  # metres over the soles; below, the floor says nothing of sizes, and all only from twice this


class PairFit:
    """The variables of one window and their energies."""

    def __init__(self, body: TorchBody, evidence: Evidence, spheres: BodySpheres | None) -> None:
        self.body = body
        self.evidence = evidence
        self.spheres = spheres if evidence.keypoints.shape[0] == 2 else None
        self.halpe = body.points("halpe")
        self.usual_pose = relaxed_pose()  # (24, 3), or (P, T, 24, 3) where bridging knows better
        self.usual_weight: Tensor | None = None  # (P, T) of each person-frame
        self.usual_spread = energies.POSE_SPREAD  # (24,) or (P, T, 24)
        self.sole = energies.sole_offsets(body.data)
        self.shape_is_fixed = False
        self.guide: Guide | None = None
        self.both_seen: Tensor | None = None  # (T,)
        self.extra: Callable[[PairFit, Tensor], EnergyTerms] | None = None
        self._start()

    # -- the start -----------------------------------------------------------------------------------------------

    def _start(self) -> None:
        """Closed-form pose, translation by linear least squares, upright floor under the feet."""
        e = self.evidence
        people, frames = e.visible.shape
        self.betas = torch.zeros(people, self.body.data.shapedirs.shape[2])
        rest = torch.as_tensor(self.body.data.rest(self.betas[0].numpy())[1], dtype=torch.float32)
        rotations = poses_from_landmarks(e.landmarks, rest)
        self.root_start = rotations[:, :, 0].clone()
        self.root = torch.zeros(people, frames, 3)
        self.pose = roma.rotmat_to_rotvec(rotations[:, :, 1:])
        self._place()
        up = normalize(e.landmarks[:, :, 18] - e.landmarks[:, :, 15:17].mean(2), dim=-1)
        level = up.reshape(-1, 3)[e.visible.reshape(-1)].median(0).values if e.visible.any() else up.reshape(-1, 3)[0]
        # Cameras are held level far more often than not, and pitched as they please.
        level = torch.stack([0.6 * level[0], level[1].clamp(max=-0.3), level[2]])
        self.normal_start = normalize(level, dim=0)
        self.tilt = torch.zeros(2)
        self._match_sizes()
        self.offset = self._clearance().log().mean().exp()

    def _clearance(self) -> Tensor:
        """(P,) how far the camera is above the soles each person stands on."""
        feet = self._keypoints(self.betas)[0][:, :, energies.FOOT_POINTS] @ self.normal_start - self.sole
        lowest = feet.amin(-1)
        if self.guide is not None:  # frames in which only the guide says where the feet are tell nothing new
            seen = self._feet_seen()
            lowest = torch.where(seen | ~seen.any(1, keepdim=True), lowest, torch.nan)
        return -lowest.nanmedian(1).values.clamp(max=-0.2)

    def _feet_seen(self) -> Tensor:
        """(P, T) bool, whether anything was seen of either foot."""
        return self.evidence.weights[:, :, energies.FOOT_POINTS].amax(-1) > 0.2

    def _match_sizes(self) -> None:
        """Shapes that put everybody's feet on one floor.

        A person scaled about the camera looks the same, so the distance of the feet below the camera
        tells the sizes apart: they share one height, and of all common scales the likeliest is taken.
        """
        if len(self.betas) < 2:
            return
        vertices = self.body.rest_vertices(torch.eye(1, self.betas.shape[1]))[0]
        tall = float(vertices[:, 1].max() - vertices[:, 1].min())
        mean = float(self.body.template[:, 1].max() - self.body.template[:, 1].min())
        clearance = self._clearance()
        telling = _telling(clearance.amin())
        size = clearance.log().mean() - clearance.log()
        gap = None if self.guide is None else self.guide.said_gap(self.transl)
        if gap is None:
            size = telling * size
        else:
            often = self._feet_seen().float().mean(1).amin().clamp(min=0.05)
            share = _GAP_OFF**2 / (_GAP_OFF**2 + (_FOOT_OFF / clearance.amin()) ** 2 / often)
            size = share * size + (1 - share) * gap * torch.tensor([-0.5, 0.5])
        size = size.exp()
        scales = torch.linspace(0.6, 1.4, 161)[:, None]
        statures = (scales * size - 1) * mean / (tall - mean)  # (scales, P) first shape coefficients
        costs = self._shape_cost(statures[..., None]).sum(-1)
        self.betas[:, 0] = statures[costs.argmin()].clamp(-3, 3)
        self._place()

    def follow_guide(self) -> None:
        """Where nothing is seen of people: the guide's poses, what was wrong with them elsewhere put right, as start
        and as the usual ones."""
        if self.guide is None:
            return
        rotations = self.guide.corrected(self.rotations())
        gone = (self.guide.weight >= 0.5)[..., None]
        self.root_start = torch.where(gone[..., None], rotations[:, :, 0], self.root_start)
        self.root = torch.where(gone, 0.0, self.root)
        self.pose = torch.where(gone[..., None], roma.rotmat_to_rotvec(rotations[:, :, 1:]), self.pose)
        vectors = torch.cat([torch.zeros_like(self.pose[:, :, :1]), self.pose], 2)
        self.usual_pose = torch.where(gone[..., None], vectors, self.usual_pose)

    def _place(self) -> None:
        """Translations by linear least squares, at the present pose and shape."""
        e = self.evidence
        self.transl = torch.zeros(*e.visible.shape, 3)
        points = self._keypoints(self.betas)[0]
        weights = e.weights.square() * (points.isfinite().all(-1))
        enough = (weights > 0.05).sum(-1) >= 4
        transl = solve_translation(points, e.keypoints, weights, e.camera)
        enough &= (transl[..., 2] > 0.3) & transl.isfinite().all(-1)
        self.transl = fill_gaps(transl, enough)
        # A median over a second rejects frames whose landmarks gave a wrong size.
        self.transl = running_median(self.transl, int(e.fps) | 1)
        if self.guide is not None:
            self.transl = self.guide.carry(self.transl)

    # -- the model -----------------------------------------------------------------------------------------------

    def rotations(self) -> Tensor:
        """(P, T, 24, 3, 3) local joint rotations."""
        root = self.root_start @ roma.rotvec_to_rotmat(self.root)
        return torch.cat([root[:, :, None], roma.rotvec_to_rotmat(self.pose)], 2)

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
        doubt: float = 0.25,
    ) -> None:
        """Start at poses that are nearly right, and take them as the usual ones; sizes and places come from the floor.

        The motion also guides: see ``guide``.

        Args:
            motion: of people as they may be. trusted: (P, T) bool, where its poses can be believed; elsewhere the start
                from the landmarks stays. spread: (24,) radians by which its joints are usually off.
            shape_and_floor: hold these. doubt: weight of the usual pose where the motion is not believed.
        """
        chosen = trusted[..., None, None, None]
        rotations = torch.where(chosen, motion.rotations, self.rotations())
        self.guide = guide_of(self.body, motion, unseen(self.evidence.weights) * trusted, trusted)
        self.both_seen = 1 - self.guide.weight.amax(0)
        self.root_start = rotations[:, :, 0].clone()
        self.root = torch.zeros_like(self.root)
        self.pose = roma.rotmat_to_rotvec(rotations[:, :, 1:])
        known = torch.cat([torch.zeros_like(self.root)[:, :, None], self.pose], 2)
        self.usual_pose = torch.where(chosen[..., 0], known, relaxed_pose())
        self.usual_weight = torch.where(trusted, 1.0, doubt)
        self.usual_spread = torch.where(trusted[..., None], spread, energies.POSE_SPREAD)
        if shape_and_floor is not None:
            self.hold_shape(*shape_and_floor)
            return
        self.betas = torch.zeros_like(self.betas)
        self._place()
        self._match_sizes()
        self.offset = self._clearance().log().mean().exp()

    def _shape_cost(self, betas: Tensor) -> Tensor:
        """(..., P) how unusual shapes (..., P, B) are: for adults, and for who they were said to be."""
        cost = energies.shape_prior(betas)
        return cost if self.guide is None else cost + self.guide.stature_cost(betas)

    def floor(self) -> Floor:
        """The floor as it stands."""
        tilt = torch.stack([self.tilt[0], torch.zeros_like(self.tilt[0]), self.tilt[1]])
        return Floor(normalize(self.normal_start + tilt, dim=0), self.offset)

    def motion(self) -> Motion:
        """The present solution, detached."""
        floor = self.floor()
        return Motion(
            self.rotations().detach(),
            self.transl.detach().clone(),
            self.betas.detach().clone(),
            Floor(floor.normal.detach(), floor.offset.detach()),
        )

    def keypoints_and_pixels(self) -> tuple[Tensor, Tensor]:
        """(P, T, 26, 3) keypoints and their (P, T, 26, 2) pixels."""
        with torch.no_grad():
            keypoints, _ = self._keypoints(self.betas)
            return keypoints, project(keypoints, self.evidence.camera)

    def recover_joints(self) -> None:
        """Look for doubtful joints again where the fitted bodies have them; see ``reassociation``."""
        e = self.evidence
        _, pixels = self.keypoints_and_pixels()
        keypoints, weights = recover_joints(e.keypoints, e.weights, e.trust, e.peaks, pixels, self._pixel_size())
        self.evidence = replace(e, keypoints=keypoints, weights=self._of_the_seen(weights))

    def reclaim_joints(self, given: Evidence, spread: float) -> None:
        """Hand out all joints of doubtful frames anew, ``spread`` metres around the fitted bodies.

        Args:
            given: the evidence as it came, so that a claim of an earlier call can be taken back.
        """
        _, pixels = self.keypoints_and_pixels()
        keypoints, weights = reclaim_joints(
            given.keypoints, given.weights, given.trust, given.peaks, pixels, self._pixel_size(), spread
        )
        self.evidence = replace(given, keypoints=keypoints, weights=self._of_the_seen(weights))

    def _of_the_seen(self, weights: Tensor) -> Tensor:
        """Weights (P, T, 26) without what was claimed for people in frames in which they are not seen, where a guide
        says better what they do: mostly it is the partner's."""
        return weights if self.guide is None else torch.where(self.evidence.visible[..., None], weights, 0.0)

    def bridge(self, known: Tensor) -> None:
        """Where ``known`` (P, T) is false: the motion in between, as start and as the usual pose."""
        quats = continuous(roma.rotmat_to_unitquat(self.rotations()))
        between = normalize(fill_gaps(quats.flatten(2), known).unflatten(2, (24, 4)), dim=-1)
        rotations = roma.unitquat_to_rotmat(between)
        self.root_start = rotations[:, :, 0].clone()
        self.root = torch.zeros_like(self.root)
        self.pose = roma.rotmat_to_rotvec(rotations[:, :, 1:])
        self.transl = fill_gaps(self.transl, known)
        vectors = torch.cat([torch.zeros_like(self.pose[:, :, :1]), self.pose], 2)
        self.usual_pose = torch.where(known[..., None, None], self.usual_pose.expand_as(vectors), vectors)

    def _pixel_size(self) -> Tensor:
        """(P, T, 1) metres a pixel at each person's distance."""
        return (self.transl[..., 2:] / self.evidence.camera[0, 0]).clamp(min=1e-4)

    # -- the energies --------------------------------------------------------------------------------------------

    def _prepare(self) -> None:
        """What changes too little within a stage to be recomputed every step."""
        e = self.evidence
        with torch.no_grad():
            self.metres_per_pixel = (running_median(self.transl, int(e.fps) | 1)[..., 2:] / e.camera[0, 0]).clamp(
                min=1e-4
            )
            keypoints, _ = self._keypoints(self.betas)
            floor = self.floor()
            heights = energies.heights(keypoints[:, :, energies.FOOT_POINTS], floor.normal, floor.offset) - self.sole
            self.planted = planted_feet(e, self.metres_per_pixel, heights)
            feet = e.weights[:, :, energies.FOOT_POINTS].amax(-1)
            self.standing = torch.where(e.visible, feet.clamp(min=0.05), torch.full_like(feet, 0.05))
            if self.guide is not None:
                gone = self.guide.weight.amax(0)
                # Pixels and floor know better than a guide how two people stand to each other, where they know it.
                self.lost = torch.maximum(gone, 1 - _telling(self.offset))
            if self.spheres is not None:
                self.radii = self.spheres.radii(self.betas)

    def energy(self, stage: Stage) -> EnergyTerms:
        """Every term of the present solution, weighted."""
        e, w, guide = self.evidence, stage.weights, self.guide
        rotations = self.rotations()
        skeleton = self.body.skeleton(rotations, self.betas[:, None], self.transl)
        keypoints = self.halpe(skeleton, self.betas[:, None])
        floor = self.floor()
        feet = keypoints[:, :, energies.FOOT_POINTS]
        foot_heights = energies.heights(feet, floor.normal, floor.offset) - self.sole
        stand, sink = energies.floor_contact(foot_heights, self.standing, stage.floor_scale)
        rate = frame_step(e.fps)
        vectors = torch.cat([self.root[:, :, None], self.pose], 2)
        body_up = normalize(keypoints[:, :, 18] - keypoints[:, :, 15:17].mean(2), dim=-1)
        upright = (1 - body_up @ floor.normal) * 2
        terms = {
            "reprojection": w.reprojection
            * energies.reprojection(
                project(keypoints, e.camera), e.keypoints, e.weights, self.metres_per_pixel, 0.02, stage.outlier_scale
            ),
            "directions": w.directions * energies.directions(keypoints, e.directions, e.direction_weights, 0.3),
            "limits": w.limits * energies.joint_limits(vectors),
            "pose": w.pose * energies.pose_prior(vectors, self.usual_pose, self.usual_weight, self.usual_spread),
            "betas": w.betas * self._shape_cost(self.betas).mean(),
            "smooth": w.smooth
            * energies.acceleration(skeleton.joints, 0.012 * rate**2, guide.steps if guide else None),
            "turn": w.turn
            * energies.acceleration(rotations.mT.flatten(2, 3), 0.08 * rate**2, guide.turns if guide else None),
            "stand": w.stand * stand,
            "sink": w.sink * sink,
            "skate": w.skate * energies.foot_skate(feet, self.planted, 0.006 * rate),
            "gravity": w.gravity
            * (
                energies.geman_mcclure(upright, 0.4).mean() / 0.15**2
                + (self.tilt[0] / 0.05) ** 2
                + (self.tilt[1] / 0.05) ** 2
            ),
        }
        if guide is not None and len(self.betas) == 2:
            terms["apart"] = w.apart * guide.apart_cost(skeleton.joints[:, :, 0], self.lost)
        if self.spheres is not None and w.overlap > 0:
            centres = self.spheres.centres(skeleton, self.betas[:, None])
            if guide is not None:  # poses are known better than distances: who overlaps moves away and does not bend
                centres = centres.detach() + (self.transl - self.transl.detach())[:, :, None]
            terms["overlap"] = w.overlap * energies.sphere_overlap(centres, self.radii, weight=self.both_seen)
        if self.extra is not None:
            terms |= self.extra(self, rotations)
        return terms

    # -- the optimiser -------------------------------------------------------------------------------------------

    def run(self, stage: Stage, progress: Progress, done: int = 0, total: int = 0) -> dict[str, float]:
        """Optimise for one stage (Adam, cosine step sizes); returns the final value of every term."""
        self._prepare()
        rate = stage.rate
        groups = [
            {"params": [self.pose, self.root], "lr": rate},
            {"params": [self.transl], "lr": rate},
        ]
        if stage.shape_is_free and not self.shape_is_fixed:
            groups += [{"params": [self.betas], "lr": 2 * rate}, {"params": [self.offset], "lr": rate}]
            groups += [{"params": [self.tilt], "lr": 0.1 * rate}]
        variables = [v for group in groups for v in group["params"]]  # type: ignore[attr-defined]
        for v in variables:
            v.requires_grad_(True)
        optimiser = torch.optim.Adam(groups, betas=(0.9, 0.99))
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, stage.iterations, eta_min=rate * 0.02)
        values: dict[str, float] = {}
        try:
            for step in range(stage.iterations):
                if step and step % 50 == 0:
                    self._prepare()
                optimiser.zero_grad(set_to_none=True)
                terms = self.energy(stage)
                torch.stack(list(terms.values())).sum().backward()
                optimiser.step()
                schedule.step()
                progress.update(stage.name, done + step + 1, total or stage.iterations)
            values = {name: float(term.detach()) for name, term in terms.items()}
        finally:
            for v in variables:
                v.requires_grad_(False)
                v.grad = None
        return values


def _telling(height: Tensor) -> Tensor:
    """() in 0..1, what the common floor says of sizes: a camera near it sees everybody's feet at one height, however
    far they are. height: () metres of the camera over the floor."""
    return ((height - _LOW_CAMERA) / _LOW_CAMERA).clamp(0, 1)
