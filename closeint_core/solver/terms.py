# SPDX-License-Identifier: Apache-2.0
"""Every term of the refinement, as weighted residuals with their slopes.

A term adds to the ``System`` and gives its energy: the sum over person-frames of squared residuals in units of how
far each may plausibly be off. Robust terms are weighted by the slope of their loss at the residual (iteratively
reweighted least squares), so the gradient is exact. Metres, radians, world axes with z up and the floor at z = 0.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import roma
import torch
from torch import Tensor
from torch.nn.functional import normalize

from closeint_core.body.spheres import BodySpheres, sole_vertices
from closeint_core.body.torch_body import Skeleton, TorchBody
from closeint_core.clip import InteractionClip
from closeint_core.physics import energies
from closeint_core.physics.balance import body_masses, outside_of_support
from closeint_core.physics.calibration import PHYSICS
from closeint_core.physics.joint_limits import joint_bounds
from closeint_core.sequences import frame_step
from closeint_core.solver.calibration import SOLVER
from closeint_core.solver.least_squares import System, differences
from closeint_core.solver.pairs import Pairs, Weights
from closeint_core.solver.residuals import (
    add_joint_limits,
    by_frame,
    chosen_centres,
    deepest_overlaps,
    observed_points,
    of_all_people,
    one_sided,
    overlap_of_two,
    reprojected,
    spread_over,
    standing_feet,
)
from closeint_core.solver.skinned_points import (
    JOINTS,
    STATE,
    Columns,
    SkinnedPoints,
    SkinningMap,
    along,
    inverse_right_jacobian,
    jacobian,
    joint_slopes,
    levers,
    parts_of,
)
from closeint_core.solver.ties import Ties, add_ties

_BY_PERSON = (
    "old_rotations", "old_transl", "confidence", "observed", "metres_per_pixel", "ray", "standing", "planted",
    "sole_before", "low", "high",
)  # fmt: skip


class PairTerms:
    """What is known of a window of frames, ready to be evaluated at any state.

    Args:
        body: on the device on which all is computed. clip: the window as it came; its evidence.
        spheres: of the body, if two people are to be kept apart.
    """

    def __init__(self, body: TorchBody, clip: InteractionClip, spheres: BodySpheres | None) -> None:
        device = body.template.device
        self.body, self.people, self.frames, self.device = body, clip.people, clip.frames, device

        def tensor(array: object) -> Tensor:
            return torch.as_tensor(array, dtype=torch.float32, device=device)

        self.betas = tensor(clip.betas)
        self.old_rotations = roma.rotvec_to_rotmat(tensor(clip.poses))
        self.old_transl = tensor(clip.transl)
        self.when = torch.arange(self.frames, device=device)
        self.map = SkinningMap(body)
        self.rest = body.rest_vertices(self.betas)  # (P, V, 3)
        self.spreads = SOLVER.now.terms
        self.reach = torch.tensor(PHYSICS.now.joints.refined).to(device)
        self.rate = frame_step(clip.fps)
        skeleton = body.skeleton(self.old_rotations, self.betas[:, None], self.old_transl)
        self._gather(clip, skeleton, tensor)
        self.spheres: SkinnedPoints | None = None
        if spheres is not None:
            self._place_spheres(spheres, tensor)

    def _gather(self, clip: InteractionClip, skeleton: Skeleton, tensor) -> None:  # type: ignore[no-untyped-def]
        data = self.body.data
        keypoints = self.map.combined(tensor(data.halpe_regressor), self.rest, self.body.weights)
        masses = self.map.combined(tensor(body_masses(data)), self.rest, self.body.weights)
        self.observed, self.confidence = observed_points(tensor(clip.keypoints2d))
        self.camera = [tensor(x) for x in (clip.camera_K, clip.camera_R, clip.camera_t)]
        depth = (skeleton.joints[:, :, :1] @ self.camera[1].mT + self.camera[2][:, None])[..., 2]
        self.metres_per_pixel = (depth / self.camera[0][:, 0, 0][:, None]).clamp(
            min=self.spreads.least_metres_per_pixel
        )
        # The direction in which a single camera knows least: along its rays.
        self.ray = normalize(skeleton.joints[:, :, 0] + (self.camera[1].mT @ self.camera[2][..., None])[..., 0], dim=-1)
        self.standing = standing_feet(tensor(clip.foot_contacts))  # (P, T, 2)
        self.planted = self.standing.repeat_interleave(3, -1)
        self.feet = energies.FOOT_POINTS.to(self.device)
        chosen = torch.as_tensor(sole_vertices(self.body.data), device=self.device)  # (2, N)
        flat = chosen.flatten()
        places = self.rest[:, flat]
        each = [self.map.vertices(flat, places[person]) for person in range(self.people)]
        self.before = skeleton
        soles = SkinnedPoints(torch.stack([one.moments for one in each]), torch.stack([one.weights for one in each]))
        over_time = SkinnedPoints(soles.moments[:, None], soles.weights[:, None])
        self.sole_before = parts_of(skeleton, over_time).sum(-2)[..., 2]
        self.points = _Points(keypoints, soles, masses)
        vectors = roma.rotmat_to_rotvec(self.old_rotations)
        # A motion beyond the usual limits may stay there, but not go further.
        low, high = joint_bounds()
        self.low = torch.minimum(low.to(self.device), vectors)
        self.high = torch.maximum(high.to(self.device), vectors)

    def _place_spheres(self, spheres: BodySpheres, tensor) -> None:  # type: ignore[no-untyped-def]
        regressor = spheres.regressor.to(self.device)
        self.spheres = self.map.combined(regressor, self.rest, self.body.weights)
        self.radii = spheres.radii(self.betas.cpu()).to(self.device)
        self.apart = spheres.separable_pairs().to(self.device)  # (S, S) pairs of one body that may meet

    # -- evaluation --------------------------------------------------------------------------------------------------

    def skeleton(self, rotations: Tensor, transl: Tensor) -> Skeleton:
        """Posed joints (P, T)."""
        return self.body.skeleton(rotations, self.betas[:, None], transl)

    def evaluate(
        self,
        rotations: Tensor,
        transl: Tensor,
        weights: Weights,
        pairs: Sequence[tuple[str, Pairs]] = (),
        ties: Sequence[tuple[str, Ties]] = (),
    ) -> tuple[dict[str, Tensor], System]:
        """Energies (T,) of every frame, weighted, and their linearisation at a state.

        Args:
            rotations: (P, T, 24, 3, 3) local. transl: (P, T, 3). pairs, ties: named sets of them.
        """
        system = System(self.people, self.frames, STATE, self.device)
        skeleton = self.skeleton(rotations, transl)
        terms: dict[str, Tensor] = {}
        turn, vectors = roma.rotmat_to_rotvec(torch.stack((self.old_rotations.mT @ rotations, rotations)))
        self._keep(terms, system, turn, transl, weights)
        terms["limits"] = add_joint_limits(system, vectors, (self.low, self.high), self.spreads.limits)
        points, soles, centre = self._placed(skeleton)
        self._reprojection(terms, system, points, weights)
        self._ground(terms, system, skeleton, soles, weights)
        self._skate(terms, system, points, weights)
        self._smooth(terms, system, skeleton, weights)
        self._turn(terms, system, rotations, weights)
        self._balance(terms, system, points, centre, weights)
        if self.spheres is not None:
            self._spheres(terms, system, skeleton, weights)
        for name, one in pairs:
            terms[name] = self._pairs(system, skeleton, one, weights.push if name == "separation" else weights.contact)
        for name, tied in ties:
            terms[name] = add_ties(system, skeleton, tied, self.map.below)
        return terms, system

    def at(self, frames: Tensor) -> PairTerms:
        """What is known of some frames (t,), rising; nothing holds together those that do not follow each other."""
        part = copy.copy(self)
        part.frames = len(frames)
        for name in _BY_PERSON:
            setattr(part, name, getattr(self, name)[:, frames])
        part.camera = [one if len(one) == 1 else one[frames] for one in self.camera]
        part.holding_each_other = None if self.holding_each_other is None else self.holding_each_other[frames]
        if self.lowest is not None:
            part.lowest = Columns(self.lowest.moments[:, frames], self.lowest.weights[:, frames])
            part.lowest_before = self.lowest_before[:, frames]
        part.freedom = None if self.freedom is None else self.freedom[frames]
        if self.about is not None:
            part.about = tuple(one[:, frames] for one in self.about)
        part.when = self.when[frames]
        return part

    freedom: Tensor | None = None
    """(T,) in 0..1, how readily each frame leaves the motion as it came; None is everywhere alike."""
    about: tuple[Tensor, ...] | None = None
    """Joints (P, T, 24, 3), keypoints of the feet (P, T, 6, 3) and rotations (P, T, 24, 3, 3) of a motion whose changes
    are to be smooth, with feet that slide no more than they do; None: the motion is to be smooth, its feet to stand."""

    def keep_to(self, clip_motion: tuple[Tensor, Tensor], start: tuple[Tensor, Tensor], freedom: Tensor) -> None:
        """Change a motion as little as may be, instead of making it plausible throughout.

        Args:
            clip_motion: rotations (P, T, 24, 3, 3) and transl (P, T, 3) of the motion whose changes are to be smooth.
            start: the same of the motion that is held on to. freedom: see there.
        """
        skeleton = self.skeleton(*clip_motion)
        keypoints = self._placed(skeleton)[0][0]
        self.about = (skeleton.joints, keypoints[:, :, self.feet], clip_motion[0])
        self.old_rotations, self.old_transl = start
        self.freedom = freedom

    def _linked(self, order: int) -> Tensor:
        """(T - order, 1) 1 where a difference of that order is one of frames that follow each other."""
        return (self.when[order:] - self.when[:-order] == order).float()[:, None]

    def watch_feet(self, lowest: SkinnedPoints, frames: Tensor) -> None:
        """In some frames (t,) keep vertices (P, t, K) over the floor besides the samples of the soles: those that lie
        lowest now."""
        people, _, count = lowest.weights.shape[:3]
        if self.lowest is None:
            moments = torch.zeros(people, self.frames, JOINTS, 3, count, device=self.device)
            self.lowest = Columns(moments, moments[..., 0, :].clone())
            self.lowest_before = moments[..., 0, 0, :].clone()
        joints, rotations, offsets, _ = self.before
        before = Skeleton(joints[:, frames], rotations[:, frames], offsets[:, frames], None)
        self.lowest.moments[:, frames], self.lowest.weights[:, frames] = Columns.of(lowest)
        self.lowest_before[:, frames] = parts_of(before, lowest).sum(-2)[..., 2]

    def _clearance(self, before: Tensor) -> Tensor:
        """Metres over the floor at which points are to stay: what came to lie under it leaves it for sure, what came to
        stand on it stays as it is."""
        clear = self.spreads.clearance
        return torch.where(before < -clear, clear, -clear).to(before)

    lowest: Columns | None = None
    """(P, T, K) vertices of the feet that were lowest when the skins were last looked at."""

    def _nothing(self) -> Tensor:
        return torch.zeros(self.frames, device=self.device)

    def sphere_centres(self, skeleton: Skeleton) -> Tensor:
        """(P, T, S, 3) centres of the spheres of a posed skeleton."""
        assert self.spheres is not None
        each = SkinnedPoints(self.spheres.moments[:, None], self.spheres.weights[:, None])
        return parts_of(skeleton, each).sum(-2)

    def _placed(self, skeleton: Skeleton) -> list[tuple[Tensor, Tensor]]:
        """Places (P, T, K, 3) of the keypoints, soles and centres of mass, each with their full slopes
        (P, T, 75, 3, K)."""
        place, lever, total = levers(skeleton, self.points.columns, self.map.below)
        slopes = jacobian(skeleton, lever, total[..., 0, :])
        sizes = self.points.sizes
        return list(zip(place.split(sizes, 2), slopes.split(sizes, -1), strict=True))

    def _keep(self, terms: dict[str, Tensor], system: System, turn: Tensor, transl: Tensor, weights: Weights) -> None:
        spreads = self.spreads
        squared, slope = energies.huber_slope(turn.square().sum(-1) / self.reach**2, spreads.turn_knee)
        firm = torch.ones(self.frames, device=self.device)
        if self.freedom is not None:
            firm = 1 / self.freedom.clamp(min=spreads.least_freedom).square()
        terms["pose"] = 0.5 * weights.keep * firm * by_frame(squared)
        stiff = (0.5 * weights.keep * firm[:, None] * slope / self.reach**2)[..., None]  # (P, T, 24, 1)
        eye = torch.eye(3, device=self.device)
        system.add_small(0, stiff[..., None] * eye, stiff * turn)
        shift = transl - self.old_transl
        along_ray = (shift * self.ray).sum(-1)
        across = shift - along_ray[..., None] * self.ray
        moved = across.square().sum(-1) / spreads.across**2 + along_ray.square() / spreads.along**2
        terms["place"] = weights.place * firm * by_frame(moved)
        outer = self.ray[..., :, None] * self.ray[..., None, :]
        stiffness = (eye - outer) / spreads.across**2 + outer / spreads.along**2
        hold = weights.place * firm[:, None, None] * stiffness
        pull = (hold @ shift[..., None])[..., 0]
        system.add_small(3 * JOINTS, hold[:, :, None], pull[:, :, None])

    def _reprojection(
        self, terms: dict[str, Tensor], system: System, keypoints: tuple[Tensor, Tensor], weights: Weights
    ) -> None:
        (points, slopes), (K, R, t) = keypoints, self.camera
        view = points @ R.mT + t[:, None]
        error, project = reprojected(view, K, self.observed, self.metres_per_pixel[..., None], self.spreads.least_depth)
        value, slope = energies.geman_mcclure_slope(error.square().sum(-1), weights.outlier)
        weight = weights.seen * self.confidence / self.spreads.keypoint**2
        terms["reprojection"] = by_frame(weight * value)
        gradient = project @ R[:, None]  # (P, T, K, 2, 3), by points in the world
        each = gradient.permute(4, 0, 1, 3, 2)[..., None, :, :]  # (3, P, T, 1, 2, K)
        rows = sum((each[i] * slopes[..., i, None, :] for i in (1, 2)), start=each[0] * slopes[..., 0, None, :])
        weight = (weight * slope).repeat(1, 1, 2)
        system.add_own_rows(rows.flatten(-2).mT, error.mT.flatten(2), weight)

    def _ground(
        self,
        terms: dict[str, Tensor],
        system: System,
        skeleton: Skeleton,
        soles: tuple[Tensor, Tensor],
        weights: Weights,
    ) -> None:
        height, rows = soles[0][..., 2], soles[1][..., 2, :].mT  # (P, T, 2 * N) left then right, and their slopes
        # Planted feet reach the floor with their lowest point; the heel of a step may be up.
        grouped = height.unflatten(-1, (2, -1))
        spreads = self.spreads
        share = torch.softmax(-grouped / spreads.sole, -1)
        up = ((share * grouped).sum(-1) - spreads.stand_slack).clamp(min=0)
        stand_weight = weights.ground * self.standing / spreads.stand**2
        terms["stand"] = by_frame(stand_weight * up.square())
        stand_rows = (share[..., None, :] @ rows.unflatten(2, (2, -1)))[..., 0, :]
        system.add_own_rows(stand_rows, up, stand_weight)
        clearance = self._clearance(self.sole_before)
        if self.lowest is not None:
            up_axis = torch.zeros(*self.lowest_before.shape, 3, device=self.device)
            up_axis[..., 2] = 1.0
            places, lifted = along(skeleton, self.lowest, self.map.below, up_axis)
            height, rows = torch.cat((height, places[..., 2]), 2), torch.cat((rows, lifted), 2)
            clearance = torch.cat((clearance, self._clearance(self.lowest_before)), 2)
        sink, steep = one_sided(height, clearance, spreads.soft)
        weight = torch.full_like(sink, weights.ground / spreads.sunk**2)
        terms["sink"] = by_frame(weight * sink.square())
        system.add_own_rows(rows, sink, weight, -steep)

    def _skate(
        self, terms: dict[str, Tensor], system: System, keypoints: tuple[Tensor, Tensor], weights: Weights
    ) -> None:
        feet, moved = keypoints[0][:, :, self.feet], keypoints[1][..., self.feet]
        if self.frames < 2:
            terms["skate"] = self._nothing()
            return
        both = torch.minimum(self.planted[:, 1:], self.planted[:, :-1]) * self._linked(1)
        spread = self.spreads.skate * self.rate
        slid = feet if self.about is None else feet - self.about[1]
        step = differences(slid[..., :2].flatten(2), 1).unflatten(-1, (6, 2))
        value, slope = energies.huber_slope(step.square().sum(-1), 3 * spread)
        terms["skate"] = weights.skate * 0.5 / spread**2 * spread_over(both * value, 1)
        weight = weights.skate * 0.5 * both * slope / spread**2
        rows = moved[..., :2, :].mT.flatten(-2).mT  # (P, T, 6 * 2, 75)
        system.add_over_time(rows, (step.flatten(2), weight.repeat_interleave(2, -1), 1))

    def _smooth(self, terms: dict[str, Tensor], system: System, skeleton: Skeleton, weights: Weights) -> None:
        joints = skeleton.joints
        flat = (joints if self.about is None else joints - self.about[0]).mT.flatten(2)  # (P, T, 3 * 24)
        changes = []
        for name, order, spread, factor in (
            ("smooth", 2, self.spreads.bend * self.rate**2, weights.smooth),
            ("jerk", 3, self.spreads.jerk * self.rate**3, weights.jerk),
        ):
            if self.frames <= order:
                terms[name] = self._nothing()
                continue
            change = differences(flat, order)
            value, slope = energies.huber_slope(change.unflatten(-1, (3, JOINTS)).square().sum(-2), 3 * spread)
            weight = factor / spread**2 * self._linked(order)
            terms[name] = spread_over(weight * value, order)
            changes.append((change, (weight * slope).repeat(1, 1, 3), order))
        system.add_over_time(joint_slopes(skeleton, self.map.below), *changes)

    def _turn(self, terms: dict[str, Tensor], system: System, rotations: Tensor, weights: Weights) -> None:
        """What joints are turned by changes evenly: a joint that is pinned in one frame swings there and back."""
        if self.about is None or not weights.turn or self.frames < 3:
            return
        turned = roma.rotmat_to_rotvec(self.about[2].mT @ rotations)  # (P, T, 24, 3)
        slopes = torch.zeros(*turned.shape[:2], 3 * JOINTS, STATE, device=self.device)
        blocks = slopes[..., : 3 * JOINTS].unflatten(-1, (JOINTS, 3)).unflatten(-3, (JOINTS, 3))
        blocks.diagonal(dim1=-4, dim2=-2).copy_(inverse_right_jacobian(turned).movedim(-3, -1))
        change = differences(turned.flatten(2), 2)
        spread = self.spreads.turn_bend * self.rate**2
        value, slope = energies.huber_slope(change.unflatten(-1, (JOINTS, 3)).square().sum(-1), 3 * spread)
        weight = weights.turn / spread**2 * self._linked(2)
        terms["turn"] = spread_over(weight * value, 2)
        system.add_over_time(slopes, (change, (weight * slope).repeat_interleave(3, -1), 2))

    def _balance(
        self,
        terms: dict[str, Tensor],
        system: System,
        keypoints: tuple[Tensor, Tensor],
        masses: tuple[Tensor, Tensor],
        weights: Weights,
    ) -> None:
        """The centre of mass over the feet; people who hold on to each other stand on all of their feet."""
        if not weights.balance:
            return
        (points, slopes), (centre, moved) = keypoints, masses
        now = outside_of_support(centre[:, :, 0], points[:, :, self.feet], self.planted, self.holding_each_other)
        factor = weights.balance / self.spreads.balance**2 * now.trust
        terms["balance"] = by_frame(factor * now.far.square())
        frame, person = torch.arange(self.frames, device=self.device), torch.arange(self.people, device=self.device)
        owner = torch.div(now.foot, len(self.feet), rounding_mode="floor")
        foot = self.feet[now.foot % len(self.feet)]
        at_edge = slopes[owner, frame, :, :2, foot].mT  # (P, T, 2, 75)
        side = now.side[..., None, :]  # (P, T, 1, 2)
        edge = (side @ at_edge)[:, None, :, 0]  # (P, 1, T, 75)
        pushed = (side[:, None] @ moved[None, ..., :2, 0].mT)[..., 0, :]  # (P, P', T, 75), by what each of them does
        alone = (person[:, None] == person).float()[..., None]
        share = torch.where(now.joined, 1.0 / self.people, alone)[..., None]  # (P, P', T, 1)
        # What the feet do counts as much as what the centre does: who steps along does not come nearer.
        stepped = (owner[:, None] == person[:, None]).float()[..., None] * edge
        rows = (share * pushed - stepped).permute(2, 0, 1, 3).flatten(2)
        system.add_rows(rows, now.far.T, factor.T)

    holding_each_other: Tensor | None = None
    """(T,) bool, the two hold on to each other; None if there is one person."""

    def _spheres(self, terms: dict[str, Tensor], system: System, skeleton: Skeleton, weights: Weights) -> None:
        assert self.spheres is not None
        centres = self.sphere_centres(skeleton)
        terms["itself"] = self._nothing()
        found = deepest_overlaps((centres, centres), (self.radii, self.radii), self.apart, self.spreads.thick)
        if found is not None:
            a, b, depth = found  # (P, T, K)
            who = torch.arange(self.people, device=self.device)[:, None, None]
            towards = chosen_centres(centres, b) - chosen_centres(centres, a)
            between = self.spheres.of(who, a) - self.spheres.of(who, b)
            _, rows = along(skeleton, Columns.of(between), self.map.below, normalize(towards, dim=-1))
            weight = weights.itself / self.spreads.itself**2 * (depth > 0)
            terms["itself"] = by_frame(weight * depth.square())
            system.add_own_rows(rows, depth, weight)
        if self.people < 2:
            return
        terms["overlap"] = self._nothing()
        if not weights.spacing:
            return
        both = overlap_of_two(skeleton, self.spheres, centres, self.radii, self.map.below)
        if both is None:
            return
        depth, rows = both
        weight = 2.0 * weights.spacing / self.spreads.spacing**2 * (depth > 0)  # both persons' frames
        terms["overlap"] = (weight * depth.square()).sum(-1)
        system.add_rows(of_all_people(rows), depth, weight)

    def _pairs(self, system: System, skeleton: Skeleton, pairs: Pairs, push: float) -> Tensor:
        some = pairs.frames
        # Frames before people: what belongs to a frame lies together.
        joints, rotations, offsets = ((x if some is None else x[:, some]).transpose(0, 1) for x in skeleton[:3])
        near = Skeleton(joints, rotations, offsets, None)
        frame = torch.arange(len(pairs.weight), device=self.device)[:, None]
        turned = near.rotations[frame, torch.div(pairs.joint, JOINTS, rounding_mode="floor"), pairs.joint % JOINTS]
        fixed = (turned @ pairs.axis[..., None])[..., 0]  # (T, K, 3)
        places, rows = along(near, pairs.columns, self.map.below, torch.stack((fixed, -fixed), 1))
        height = ((places[:, 0] - places[:, 1]) * fixed).sum(-1)
        gain = None
        if pairs.pull:
            least = self.spreads.skin
            miss = height - torch.minimum(height.clamp(min=least), pairs.goal.clamp(min=least))
            miss = torch.where(pairs.firm, miss, height)
        else:
            miss, steep = one_sided(height, pairs.goal, self.spreads.soft)
            gain = -steep
        value, slope = energies.huber_slope(miss.square(), pairs.knee)
        system.add_rows(rows.mT.flatten(1, 2).mT, miss, push * pairs.weight * slope, gain, some)
        energy = push * (pairs.weight * value).sum(-1)
        return energy if some is None else self._nothing().index_add(0, some, energy)


class _Points:
    """Points of a person's that every evaluation places, that do not change: keypoints, then soles, then the
    centre of mass.

    Attributes:
        columns: (P, 1) of K. sizes: how many of each.
    """

    def __init__(self, *each: SkinnedPoints) -> None:
        moments, weights = (torch.cat(part, 1)[:, None] for part in zip(*each, strict=True))
        self.columns = Columns.of(SkinnedPoints(moments, weights))
        self.sizes = [one.weights.shape[1] for one in each]
