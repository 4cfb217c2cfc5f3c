# SPDX-License-Identifier: Apache-2.0
"""Every term of the first solve, as weighted residuals with their slopes.

Unknown are all rotations and places, one shape a person, and the floor. Each term is a sum over person-frames of
squared residuals in units of how far each may plausibly be off; robust ones are weighted by the slope of their loss
(iteratively reweighted least squares), so the gradient is exact. What people do over time says nothing of their shapes
here. Metres and radians, camera axes.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import roma
import torch
from torch import Tensor

from closeint_core.body.spheres import BodySpheres
from closeint_core.body.torch_body import LinearPoints, Skeleton, TorchBody
from closeint_core.physics import energies
from closeint_core.physics.joint_limits import joint_bounds
from closeint_core.sequences import frame_step
from closeint_core.solver.bordered import BorderedSystem
from closeint_core.solver.calibration import SOLVER
from closeint_core.solver.evidence import Evidence
from closeint_core.solver.fit_calibration import FitWeights
from closeint_core.solver.least_squares import differences, spread_back
from closeint_core.solver.motion_prior import MotionPrior
from closeint_core.solver.residuals import (
    add_joint_limits,
    by_frame,
    of_all_people,
    overlap_of_two,
    reprojected,
    spread_over,
)
from closeint_core.solver.skinned_points import (
    JOINTS,
    STATE,
    Columns,
    SkinnedPoints,
    SkinningMap,
    jacobian,
    joint_slopes,
    levers,
    parts_of,
)
from closeint_core.solver.state import FitState

_NECK, _ANKLES = 18, slice(15, 17)  # Halpe


@dataclass
class Known:
    """What a fit knows besides the evidence, found anew now and then (P people, T frames).

    Attributes:
        metres_per_pixel: (P, T, 1). planted: (P, T - 1, 6) how surely a foot point stands still. standing: (P, T)
            weight of the belief that a person stands on the floor.
        usual: (P, T, 24, 3, 3) rotations that are usual, usual_weight: (P, T), usual_spread: (P, T, 24) radians.
        sole: (6,) metres of the foot's keypoints over the sole.
        motion_prior: a motion that is nearly right, if any. lost: (T,) in 0..1, how little else says how two stand to
            each other. both_seen: (T,). radii: (P, S) metres of the spheres, if two are to be kept apart.
    """

    metres_per_pixel: Tensor
    planted: Tensor
    standing: Tensor
    usual: Tensor
    usual_weight: Tensor
    usual_spread: Tensor
    sole: Tensor
    motion_prior: MotionPrior | None = None
    lost: Tensor | None = None
    both_seen: Tensor | None = None
    radii: Tensor | None = None


class FitTerms:
    """The terms of one window.

    Args:
        spheres: of the body, if people are to be kept apart.
    """

    def __init__(self, body: TorchBody, evidence: Evidence, spheres: BodySpheres | None) -> None:
        self.body, self.evidence = body, evidence
        self.people, self.frames = evidence.visible.shape
        self.device = body.template.device
        self.map = SkinningMap(body)
        self.halpe = body.points("halpe")
        self.spheres: LinearPoints | None = None
        if spheres is not None:
            here = self.device.type == "cpu"  # where spheres are found
            self.spheres = spheres.points if here else body.points(spheres.regressor)
        self.rate = frame_step(evidence.fps)
        low, high = joint_bounds()
        self.bounds = low.to(self.device), high.to(self.device)

    def evaluate(
        self, state: FitState, known: Known, weights: FitWeights, outlier: float, floor_scale: float, free_shape: bool
    ) -> tuple[dict[str, Tensor], BorderedSystem]:
        """Energies (T,) of every frame, weighted, and their linearisation.

        Args:
            outlier, floor_scale: metres beyond which a keypoint, or a standing foot's height, counts as an outlier.
            free_shape: shapes and floor are unknown too.
        """
        shared = state.betas.numel() + 3 if free_shape else 0
        system = BorderedSystem(self.people, self.frames, STATE, shared, self.device)
        terms: dict[str, Tensor] = {}
        skeleton = self.body.skeleton(state.rotations, state.betas[:, None], state.transl)
        at = _Placed(self, state, skeleton, free_shape)
        self._reprojection(terms, system, at, known, weights.reprojection, outlier)
        self._directions(terms, system, at, weights.directions)
        self._pose(terms, system, state, known, weights)
        self._smooth(terms, system, skeleton, known, weights)
        self._turn(terms, system, state, known, weights)
        self._floor(terms, system, at, known, weights, floor_scale)
        self._skate(terms, system, at, known, weights.skate)
        self._upright(terms, system, at, weights.gravity)
        if known.motion_prior is not None and self.people == 2:
            self._apart(terms, system, skeleton, known, weights.apart)
        if self.spheres is not None and known.radii is not None and weights.overlap > 0:
            self._overlap(terms, system, state, skeleton, known, weights.overlap)
        if free_shape:
            self._shapes(terms, system, state, known, weights)
        return terms, system

    # -- the footage -------------------------------------------------------------------------------------------------

    def _reprojection(
        self, terms: dict[str, Tensor], system: BorderedSystem, at: _Placed, known: Known, weight: float, outlier: float
    ) -> None:
        c = SOLVER.now.fit
        e = self.evidence
        error, project = reprojected(at.points, e.camera, e.keypoints, known.metres_per_pixel[..., None], c.nearest)
        value, slope = energies.geman_mcclure_slope(error.square().sum(-1), outlier)
        factor = weight * e.weights / c.pixels**2
        terms["reprojection"] = by_frame(factor * value)
        at.add(system, project, slice(None), error, (factor * slope)[..., None].expand_as(error))

    def _directions(self, terms: dict[str, Tensor], system: BorderedSystem, at: _Placed, weight: float) -> None:
        c = SOLVER.now.fit
        e = self.evidence
        start, end = energies.DIRECTION_START, energies.DIRECTION_END
        along_limb = at.points[:, :, end] - at.points[:, :, start]
        have, across = _direction(along_limb)
        error = have - e.directions
        value, slope = energies.geman_mcclure_slope(error.square().sum(-1), 3 * c.direction)
        factor = weight * e.direction_weights / c.direction**2
        terms["directions"] = by_frame(factor * value)
        at.add(system, across, (end, start), error, (factor * slope)[..., None].expand_as(error))

    # -- the pose ----------------------------------------------------------------------------------------------------

    def _pose(
        self, terms: dict[str, Tensor], system: BorderedSystem, state: FitState, known: Known, weights: FitWeights
    ) -> None:
        c = SOLVER.now.fit
        turn, vectors = roma.rotmat_to_rotvec(torch.stack((known.usual.mT @ state.rotations, state.rotations)))
        stiff = weights.pose * known.usual_weight[..., None] / known.usual_spread.square()  # (P, T, 24)
        terms["pose"] = by_frame(stiff * turn.square().sum(-1))
        eye = torch.eye(3, device=self.device)
        system.add_small(0, stiff[..., None, None] * eye, stiff[..., None] * turn)
        terms["limits"] = add_joint_limits(system, vectors, self.bounds, c.limit, weights.limits)

    # -- over time ---------------------------------------------------------------------------------------------------

    def _smooth(
        self, terms: dict[str, Tensor], system: BorderedSystem, skeleton: Skeleton, known: Known, weights: FitWeights
    ) -> None:
        c = SOLVER.now.fit
        if self.frames < 3:
            return
        change = differences(skeleton.joints.mT.flatten(2), 2)  # (P, T - 2, 3 * 24)
        if known.motion_prior is not None:
            change = change - known.motion_prior.steps.mT.flatten(2)
        spread = c.smooth * self.rate**2
        value, slope = energies.huber_slope(change.unflatten(-1, (3, JOINTS)).square().sum(-2), 3 * spread)
        factor = weights.smooth / spread**2
        terms["smooth"] = factor * spread_over(value, 2)
        weight = (factor * slope).repeat(1, 1, 3)
        system.add_over_time(joint_slopes(skeleton, self.map.below), (change, weight, 2))

    def _turn(
        self, terms: dict[str, Tensor], system: BorderedSystem, state: FitState, known: Known, weights: FitWeights
    ) -> None:
        """Axes of joints turn evenly. Two frames' axes are taken to move alike by alike turns, which is exact for slow
        ones; the gradient is exact throughout."""
        c = SOLVER.now.fit
        if self.frames < 3:
            return
        axes = state.rotations.mT  # (P, T, 24, 3 axes, 3)
        change = differences(axes.flatten(2), 2)
        if known.motion_prior is not None:
            change = change - known.motion_prior.turns.flatten(2)
        change = change.unflatten(2, axes.shape[2:])
        spread = c.turn * self.rate**2
        value, slope = energies.huber_slope(change.square().sum(-1), 3 * spread)  # (P, T - 2, 24, 3)
        factor = weights.turn / spread**2
        terms["turn"] = factor * spread_over(value, 2)
        pulled = factor * slope[..., None] * change
        back = spread_back(pulled.flatten(2), 2).view_as(axes)
        # Turning by delta in the joint's axes moves axis k by R (delta x e_k): the slope is sum_k e_k x (R^T g_k).
        local = back @ state.rotations  # rows are R^T g_k
        gradient = torch.stack(
            (
                local[..., 1, 2] - local[..., 2, 1],
                local[..., 2, 0] - local[..., 0, 2],
                local[..., 0, 1] - local[..., 1, 0],
            ),
            -1,
        )
        # Each turn moves the two axes across it.
        stiff = factor * (slope.sum(-1, keepdim=True) - slope)  # (P, T - 2, 24, 3)
        place = torch.zeros(*stiff.shape[:2], 3, device=self.device)
        system.add_alike(
            torch.cat((stiff.flatten(2), place), -1),
            torch.cat((gradient.flatten(2), torch.zeros_like(state.transl)), -1),
        )

    def _skate(
        self, terms: dict[str, Tensor], system: BorderedSystem, at: _Placed, known: Known, weight: float
    ) -> None:
        c = SOLVER.now.fit
        if self.frames < 2 or not weight:
            return
        feet = energies.FOOT_POINTS
        spread = c.skate * self.rate
        step = differences(at.points[:, :, feet].flatten(2), 1)
        value, slope = energies.huber_slope(step.unflatten(-1, (6, 3)).square().sum(-1), 3 * spread)
        factor = weight * known.planted / spread**2
        terms["skate"] = spread_over(factor * value, 1)
        rows = at.slopes[:, :, feet].flatten(2, 3)
        system.add_over_time(rows, (step, (factor * slope).repeat_interleave(3, -1), 1))

    # -- the floor ---------------------------------------------------------------------------------------------------

    def _floor(
        self,
        terms: dict[str, Tensor],
        system: BorderedSystem,
        at: _Placed,
        known: Known,
        weights: FitWeights,
        scale: float,
    ) -> None:
        c = SOLVER.now.fit
        feet = energies.FOOT_POINTS
        normal = at.floor.normal
        height = at.points[:, :, feet] @ normal + at.floor.offset - known.sole
        rows = torch.einsum("ptkin,i->ptkn", at.slopes[:, :, feet], normal)
        border = at.border_of_heights(feet)  # (P, T, 6, G)
        share = torch.softmax(-height / c.lowest, -1)
        lowest = (share * height).sum(-1, keepdim=True)
        value, slope = energies.geman_mcclure_slope(lowest.square(), scale)
        factor = weights.stand * known.standing[..., None] / c.stand**2
        terms["stand"] = by_frame(factor * value)
        system.add_bordered_rows(share[..., None, :] @ rows, share[..., None, :] @ border, lowest, (factor * slope))
        under = height.clamp(max=0)
        factor = torch.full_like(under, weights.sink / c.sink**2)
        terms["sink"] = by_frame(factor * under.square())
        system.add_bordered_rows(rows, border, under, factor * (height < 0))

    def _upright(self, terms: dict[str, Tensor], system: BorderedSystem, at: _Placed, weight: float) -> None:
        c = SOLVER.now.fit
        body_up, across = _direction(at.points[:, :, _NECK] - at.points[:, :, _ANKLES].mean(2))
        error = body_up - at.floor.normal
        value, slope = energies.geman_mcclure_slope(error.square().sum(-1), c.leans)
        factor = weight / c.upright**2
        terms["gravity"] = factor * by_frame(value)
        slopes = at.slopes[:, :, _NECK] - at.slopes[:, :, _ANKLES].mean(2)  # (P, T, 3, 75)
        border = error.new_zeros(*error.shape, system.shared)
        if system.shared:
            shape = at.of_shape[:, :, _NECK] - at.of_shape[:, :, _ANKLES].mean(2)  # (P, T, 3, B)
            at.put_shapes(border, across @ shape)
            border[..., -3:-1] = -at.floor_slopes
        system.add_bordered_rows(across @ slopes, border, error, (factor * slope)[..., None].expand_as(error))

    # -- two people --------------------------------------------------------------------------------------------------

    def _apart(
        self, terms: dict[str, Tensor], system: BorderedSystem, skeleton: Skeleton, known: Known, weight: float
    ) -> None:
        """The second person stands to the first as the motion prior says, where nothing else tells."""
        motion_prior = known.motion_prior
        assert motion_prior is not None
        assert known.lost is not None
        off, depth, spread = motion_prior.relative_offset_error(skeleton.joints[:, :, 0])
        value, slope = energies.huber_slope(off.square().sum(-1), 3 * spread)
        factor = self.people * weight * known.lost * motion_prior.together / spread**2
        terms["apart"] = factor * value
        rows = torch.zeros(self.frames, 3, self.people, STATE, device=self.device)
        places = rows[..., 3 * JOINTS :]
        eye = torch.eye(3, device=self.device) / depth[:, None, None]
        places[:, :, 0], places[:, :, 1] = -eye, eye
        places[..., 2] -= 0.5 * ((off + motion_prior.apart) / depth[:, None])[..., None]
        system.add_rows(rows.flatten(2), off, (factor * slope)[:, None].expand_as(off))

    def _overlap(
        self,
        terms: dict[str, Tensor],
        system: BorderedSystem,
        state: FitState,
        skeleton: Skeleton,
        known: Known,
        weight: float,
    ) -> None:
        c = SOLVER.now.fit
        assert self.spheres is not None
        assert known.radii is not None
        points = skinned_points_of(self.spheres, state.betas)
        over_time = SkinnedPoints(points.moments[:, None], points.weights[:, None])
        centres = parts_of(skeleton, over_time).sum(-2)  # (P, T, S, 3)
        total = torch.zeros(self.frames, device=self.device)
        for a, b in combinations(range(self.people), 2):
            who = torch.tensor([a, b], device=self.device)
            part = Skeleton(skeleton.joints[who], skeleton.rotations[who], skeleton.offsets[who], None)
            found = overlap_of_two(part, points.of(who), centres[who], known.radii[who], self.map.below)
            if found is None:
                continue
            deep, each = found  # (T, K), (2, T, K, 75)
            if known.motion_prior is not None:
                # Poses are known better than distances: who overlaps moves and does not bend.
                each[..., : 3 * JOINTS] = 0
            rows = each.new_zeros(self.people, *each.shape[1:])
            rows[a], rows[b] = each[0], each[1]
            factor = self.people * weight * (deep > 0) / c.overlap**2
            if known.both_seen is not None:
                factor = factor * known.both_seen[:, None]
            total = total + (factor * deep.square()).sum(-1)
            system.add_rows(of_all_people(rows), deep, factor)
        terms["overlap"] = total

    # -- what all frames share ---------------------------------------------------------------------------------------

    def _shapes(
        self, terms: dict[str, Tensor], system: BorderedSystem, state: FitState, known: Known, weights: FitWeights
    ) -> None:
        """Shapes are those of people, and the floor is near where it was guessed."""
        c = SOLVER.now.fit
        stature = None if known.motion_prior is None else known.motion_prior.stature
        value, curvature, slope = shape_cost(state.betas, stature)
        count = weights.betas * self.frames
        size = state.betas.numel()
        system.corner.diagonal()[:size] += count * curvature.flatten()
        system.shared_slope[:size] += count * slope.flatten()
        held = weights.gravity * self.people * self.frames / c.tilt**2
        system.corner.diagonal()[size : size + 2] += held
        system.shared_slope[size : size + 2] += held * state.tilt
        whole = count * value.sum() + held * state.tilt.square().sum()
        terms["shapes"] = (whole / self.frames).expand(self.frames)


class _Placed:
    """Keypoints of a state with their slopes.

    Attributes:
        points: (P, T, 26, 3). slopes: (P, T, 26, 3, 75) by each person's unknowns. of_shape: (P, T, 26, 3, B) by her
            shape, empty where shapes are held. floor, floor_slopes: of the state.
    """

    def __init__(self, terms: FitTerms, state: FitState, skeleton: Skeleton, free_shape: bool) -> None:
        points = skinned_points_of(terms.halpe, state.betas)
        each = SkinnedPoints(points.moments[:, None], points.weights[:, None])
        self.points, lever, total = levers(skeleton, Columns.of(each), terms.map.below)
        self.slopes = jacobian(skeleton, lever, total[..., 0, :]).permute(0, 1, 4, 3, 2).contiguous()
        self.floor, self.floor_slopes = state.floor(), state.floor_slopes()
        self.people, self.coefficients = state.betas.shape
        self.of_shape = self.points.new_zeros(*self.points.shape, 0)
        if free_shape:
            none = torch.zeros_like(state.transl)
            basis = torch.cat((state.betas.new_zeros(1, self.coefficients), torch.eye(self.coefficients).to(none)))
            basis = basis[:, None, None]  # (B + 1, 1, 1, B)
            posed = terms.halpe(terms.body.skeleton(state.rotations, basis, none), basis)
            self.of_shape = (posed[1:] - posed[:1]).movedim(0, -1)

    def put_shapes(self, border: Tensor, values: Tensor) -> None:
        """Write values (P, T, ..., B) by each person's shape into border (P, T, ..., G)."""
        for person in range(self.people):
            first = person * self.coefficients
            border[person, ..., first : first + self.coefficients] = values[person]

    def add(
        self,
        system: BorderedSystem,
        gradient: Tensor,
        points: slice | tuple[Tensor, Tensor],
        error: Tensor,
        weight: Tensor,
    ) -> None:
        """Residuals of keypoints.

        Args:
            gradient: (P, T, K, r, 3) of the residuals by the points, or by the way from a second set of points to a
                first. error, weight: (P, T, K, r).
        """

        def of(slopes: Tensor) -> Tensor:
            if isinstance(points, tuple):
                return gradient @ (slopes[:, :, points[0]] - slopes[:, :, points[1]])
            return gradient @ slopes[:, :, points]

        border = error.new_zeros(*error.shape, system.shared)
        if system.shared:
            self.put_shapes(border, of(self.of_shape))
        system.add_bordered_rows(
            of(self.slopes).flatten(2, 3), border.flatten(2, 3), error.flatten(2), weight.flatten(2)
        )

    def border_of_heights(self, points: Tensor) -> Tensor:
        """(P, T, K, G) of some keypoints' heights over the floor by what all frames share."""
        if not self.of_shape.shape[-1]:
            return self.points.new_zeros(*self.points.shape[:2], len(points), 0)
        border = self.points.new_zeros(*self.points.shape[:2], len(points), self.people * self.coefficients + 3)
        self.put_shapes(border, torch.einsum("ptkib,i->ptkb", self.of_shape[:, :, points], self.floor.normal))
        border[..., -3:-1] = self.points[:, :, points] @ self.floor_slopes
        border[..., -1] = 1.0
        return border


def skinned_points_of(points: LinearPoints, betas: Tensor) -> SkinnedPoints:
    """Points (P, K) of points of bodies of shapes (P, B), without the correctives of poses."""
    moments = points.shaped(betas).unflatten(-2, (-1, 3)).movedim(-1, -3)  # (P, K, j, 3)
    full = moments.new_zeros(*moments.shape[:2], JOINTS, 3)
    full[:, :, points.joints] = moments
    weights = moments.new_zeros(points.count, JOINTS)
    weights[:, points.joints] = points.weights.T
    return SkinnedPoints(full, weights.expand(len(betas), -1, -1))


def shape_cost(betas: Tensor, stature: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    """Cost (..., P) of shapes (..., P, B), with its curvature (..., P, B) and half of its gradient.

    It is the squared distance from the average adult, lenient to small people. The first coefficient is stature.
    Statures of adults are normal, but children walk about as well and giants do not: where two people differ a lot, the
    small one is the unusual one. Without this the two would share the difference, and both would be reconstructed too
    big and too far away.

    Args:
        stature: (P,) first coefficients that people were said to have.
    """
    made_for, beyond_weight = SOLVER.now.fit.made_for, SOLVER.now.fit.beyond
    first = betas[..., 0]
    robust, share = energies.geman_mcclure_slope(first.square(), 2.0)
    curvature = torch.ones_like(betas)
    curvature[..., 0] = torch.where(first < 0, share, torch.ones_like(share))
    value = torch.where(first < 0, robust, first.square()) + betas[..., 1:].square().sum(-1)
    slope = curvature * betas
    beyond = betas.clamp(min=-made_for, max=made_for) - betas
    value = value + beyond_weight * beyond.square().sum(-1)
    slope = slope - beyond_weight * beyond
    curvature = curvature + beyond_weight * (beyond != 0)
    if stature is not None:
        off = first - stature
        said, steep = energies.huber_slope(off.square(), SOLVER.now.motion_prior.stature_knee)
        value = value + said
        slope[..., 0] += steep * off
        curvature[..., 0] += steep
    return value, curvature, slope


def _direction(way: Tensor) -> tuple[Tensor, Tensor]:
    """Unit vectors of ways (..., 3), and their slopes (..., 3, 3)."""
    length = way.norm(dim=-1, keepdim=True).clamp(min=1e-6)
    unit = way / length
    across = torch.eye(3, device=way.device) - unit[..., :, None] * unit[..., None, :]
    return unit, across / length[..., None]
